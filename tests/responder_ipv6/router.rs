use super::setting::{
    ALL_NODES, Answer, GUEST, HOST, NOBODY, ROUTERS, STRANGER, binding, client, compat, guest, host, nd_packet,
    settings, v6, with_mode,
};
use instances::packet::ipv6::{Extension, Ipv6};
use instances::packet::nd::{Nd, NdOption, multicast_mac};
use instances::packet::{Segment, Udp};
use instances::plan::responder::binding::{Binding, Options};
use instances::plan::responder::settings::Mode;
use instances::plan::responder::{Decision, Settings, router};
use std::time::Duration;

const MINE: NdOption = NdOption::SourceLinkLayer(GUEST);

fn solicited(binding: &Binding, settings: &Settings) -> Answer {
    let packet = nd_packet(guest(), ROUTERS, &Nd::RouterSolicitation, &[MINE]);
    Answer::of(&router::answer(&packet, GUEST, &client(binding), settings))
}

/// Flags and lifetime.
fn head(answer: &Answer) -> (u8, u16) {
    match answer.nd().message {
        Nd::RouterAdvertisement { flags, lifetime, .. } => (flags, lifetime),
        other => panic!("{other:?}"),
    }
}

/// The prefix's flags, the prefix itself, its length, its lifetimes.
fn prefix(answer: &Answer) -> (u8, String, u8, (u32, u32)) {
    let options = answer.nd().options;
    let found = options.iter().find_map(|option| match option {
        NdOption::PrefixInformation { prefix, length, flags, lifetimes } => {
            Some((*flags, prefix.to_string(), *length, *lifetimes))
        }
        _ => None,
    });
    found.unwrap()
}

#[test]
fn an_answer_goes_to_who_asked_with_all_there_is_to_know() {
    let answer = solicited(&Binding { mtu: Some(1400), ..binding() }, &settings());
    assert_eq!((answer.to, answer.from, answer.what), (GUEST, HOST, "router advertisement"));
    let ip = answer.ip();
    assert_eq!((ip.source, ip.destination, ip.hop_limit), (host(), guest(), 255));
    let received = answer.nd();
    let expected = Nd::RouterAdvertisement { hop_limit: 64, flags: 0x48, lifetime: 14_400, timers: (0, 0) };
    assert_eq!(received.message, expected);
    let prefix = v6("2001:db8:a:b::1");
    let options = [
        NdOption::SourceLinkLayer(HOST),
        NdOption::PrefixInformation { prefix, length: 64, flags: 0xe0, lifetimes: (u32::MAX, u32::MAX) },
        NdOption::RecursiveDns(900, vec![v6("2001:db8:100::1"), v6("2001:db8:200::2")]),
        NdOption::SearchList(900, vec!["example.com".parse().unwrap()]),
        NdOption::Mtu(1400),
    ];
    assert_eq!(received.options, options);
}

#[test]
fn who_has_no_address_is_answered_at_all_nodes_and_nobody_else_hears_it() {
    let packet = nd_packet(NOBODY, ROUTERS, &Nd::RouterSolicitation, &[]);
    let answer = Answer::of(&router::answer(&packet, GUEST, &client(&binding()), &settings()));
    assert_eq!((answer.to, answer.ip().destination), (GUEST, ALL_NODES));
}

#[test]
fn unsolicited_ones_go_to_all_nodes_and_say_the_same() {
    let frame = router::advertisement(&client(&binding()), &settings()).unwrap();
    let answer = Answer::of_frame(&frame, "");
    assert_eq!((answer.to, answer.from, answer.ip().destination), (multicast_mac(ALL_NODES), HOST, ALL_NODES));
    assert_eq!(answer.nd(), solicited(&binding(), &settings()).nd());
}

#[test]
fn modes_say_by_flags_where_addresses_come_from() {
    for (mode, flags, prefix_flags) in [
        (Mode::Auto, 0x48, 0xe0),
        (Mode::Slaac, 0x08, 0xe0),
        (Mode::SlaacAndDhcp, 0x48, 0xe0),
        (Mode::Dhcp, 0xc8, 0xa0),
    ] {
        let answer = solicited(&binding(), &with_mode(mode));
        assert_eq!((head(&answer).0, prefix(&answer).0), (flags, prefix_flags), "{mode:?}");
        let answer = solicited(&binding(), &Settings { compat: true, ..with_mode(mode) });
        assert_eq!((head(&answer).0, prefix(&answer).0), (0x48, 0xe0), "the original knew one way");
    }
}

#[test]
fn private_instances_have_a_prefix_and_no_router() {
    let private = Binding { private: true, ..binding() };
    let answer = solicited(&private, &settings());
    assert_eq!(head(&answer), (0x40, 0));
    assert_eq!(prefix(&answer), (0xc0, "2001:db8:a:b::".to_owned(), 64, (u32::MAX, u32::MAX)));
    // The original did not heed it.
    assert_eq!(head(&solicited(&private, &compat())), (0x48, 14_400));
}

#[test]
fn without_a_gateway_in_it_the_prefix_is_the_network() {
    for gateway6 in [None, Some(v6("fe80::1"))] {
        let answer = solicited(&Binding { gateway6, ..binding() }, &settings());
        assert_eq!(prefix(&answer), (0xc0, "2001:db8:a:b::".to_owned(), 64, (u32::MAX, u32::MAX)));
    }
}

#[test]
fn prefixes_that_are_not_of_64_bits_are_not_for_autoconfiguration() {
    let subnet6 = Some("2001:db8:a:b::/80".parse().unwrap());
    let answer = solicited(&Binding { subnet6, gateway6: None, ..binding() }, &settings());
    assert_eq!((prefix(&answer).0, prefix(&answer).2), (0x80, 80));
}

#[test]
fn the_last_one_takes_everything_back() {
    for binding in [binding(), Binding { private: true, mtu: Some(1400), ..binding() }] {
        let answer = Answer::of_frame(&router::goodbye(&client(&binding), &settings()).unwrap(), "");
        assert_eq!((answer.ip().destination, answer.ip().hop_limit), (ALL_NODES, 255));
        assert_eq!(head(&answer), (0x40, 0));
        assert_eq!(prefix(&answer).3, (0, 0));
        let lasting = answer.nd().options.into_iter().any(|option| match option {
            NdOption::RecursiveDns(lifetime, _) | NdOption::SearchList(lifetime, _) => lifetime != 0,
            NdOption::Mtu(_) => true,
            _ => false,
        });
        assert!(!lasting);
    }
}

#[test]
fn a_binding_says_name_servers_and_domains_instead_of_the_configuration() {
    let own = Options {
        nameservers6: Some(vec![v6("2001:db8::53")]),
        search6: Some(vec!["a.example".parse().unwrap()]),
        ..Options::default()
    };
    let options = solicited(&Binding { own, ..binding() }, &settings()).nd().options;
    assert!(options.contains(&NdOption::RecursiveDns(900, vec![v6("2001:db8::53")])), "{options:?}");
    assert!(options.contains(&NdOption::SearchList(900, vec!["a.example".parse().unwrap()])), "{options:?}");
    let none = Options { nameservers6: Some(vec![]), search6: Some(vec![]), ..Options::default() };
    assert_eq!(solicited(&Binding { own: none, ..binding() }, &settings()).nd().options.len(), 2);
}

#[test]
fn whatever_is_configured_it_fits_into_1280_octets() {
    let long = |n: u16| ["a".repeat(63), "b".repeat(63), "c".repeat(63), n.to_string()].join(".").parse().unwrap();
    let mut settings = settings();
    settings.options.nameservers6 = Some((0..200).map(|n| v6(&format!("2001:db8::{n}"))).collect());
    settings.options.search6 = Some((0..50).map(long).collect());
    let answer = solicited(&Binding { mtu: Some(1400), ..binding() }, &settings);
    assert!((700..=1280).contains(&answer.packet.len()), "{}", answer.packet.len());
    assert_eq!(answer.nd().options.len(), 5);
}

#[test]
fn lifetimes_outlast_periods_that_are_long() {
    for (period, router, servers) in [(4800, 14_400, 14_400), (7200, 21_600, 21_600), (21_845, 65_535, 65_535)] {
        let mut settings = settings();
        settings.ipv6.as_mut().unwrap().ra_period = Duration::from_secs(period);
        let answer = solicited(&binding(), &settings);
        assert_eq!(head(&answer).1, router);
        let is_servers = |option: &NdOption| matches!(option, NdOption::RecursiveDns(for_, _) if *for_ == servers);
        assert!(answer.nd().options.iter().any(is_servers), "{period}");
    }
}

#[test]
fn an_mtu_that_ipv6_cannot_have_is_not_said() {
    let has_mtu = |mtu| {
        let answer = solicited(&Binding { mtu: Some(mtu), ..binding() }, &settings());
        answer.nd().options.contains(&NdOption::Mtu(mtu.into()))
    };
    assert_eq!((has_mtu(1279), has_mtu(1280), has_mtu(9000)), (false, true, true));
}

#[test]
fn what_is_not_to_be_answered_is_not() {
    let decide = |packet: &[u8], source| router::answer(packet, source, &client(&binding()), &settings());
    let solicitation = Nd::RouterSolicitation;
    let good = Ipv6::neighbor_discovery(guest(), ROUTERS);
    let silence = |header: &Ipv6| decide(&header.packet(&solicitation.segment(&[])), GUEST);
    assert!(matches!(silence(&good), Decision::Reply { .. }));
    let far = Ipv6 { hop_limit: 254, ..good.clone() };
    assert_eq!(silence(&far), Decision::Silence("ND: hop limit is not 255"));
    let hidden = good.clone().with(Extension::empty_destination_options());
    assert_eq!(silence(&hidden), Decision::Silence("ND: behind an extension header"));
    let packet = nd_packet(NOBODY, ROUTERS, &solicitation, &[MINE]);
    let reason = "ND: from nobody, with a source link-layer address";
    assert_eq!(decide(&packet, GUEST), Decision::Silence(reason));
    let packet = nd_packet(guest(), ROUTERS, &solicitation, &[]);
    assert_eq!(decide(&packet, STRANGER), Decision::Silence("a MAC that is not the binding's"));
    assert_eq!(decide(&packet[..47], GUEST), Decision::Silence("IPv6: cut short"));
    let other = nd_packet(guest(), host(), &Nd::solicitation(host()), &[]);
    assert_eq!(decide(&other, GUEST), Decision::Pass("no router solicitation"));
    // Rules may hand over more than they should: an echo request, DHCPv6.
    for segment in [Segment::icmpv6(128, 0, &[0; 4]), Udp::new(546, 547, []).segment()] {
        let packet = Ipv6::new(guest(), host()).packet(&segment);
        assert_eq!(decide(&packet, GUEST), Decision::Pass("no router solicitation"));
    }
    let spoof = Binding { mac_spoof: true, ..binding() };
    let answer = Answer::of(&router::answer(&packet, STRANGER, &client(&spoof), &settings()));
    assert_eq!(answer.to, STRANGER);
}

#[test]
fn without_subnet_or_without_ipv6_there_is_nothing_to_advertise() {
    let packet = nd_packet(guest(), ROUTERS, &Nd::RouterSolicitation, &[]);
    let bare = Binding { subnet6: None, ..binding() };
    let decision = router::answer(&packet, GUEST, &client(&bare), &settings());
    assert_eq!(decision, Decision::Silence("no SUBNET6"));
    assert_eq!(router::advertisement(&client(&bare), &settings()), None);
    assert_eq!(router::goodbye(&client(&bare), &settings()), None);
    let off = Settings { ipv6: None, ..settings() };
    assert_eq!(router::answer(&packet, GUEST, &client(&binding()), &off), Decision::Pass("IPv6 is off"));
    assert_eq!(router::advertisement(&client(&binding()), &off), None);
}
