use super::setting::{
    Answer, GUEST, HOST, NOBODY, SERVERS, STRANGER, binding, client, dhcp6_packet, guest, host, message, settings, v6,
    with_mode,
};
use instances::net::Mac;
use instances::packet::dhcp6::{self, Association, Dhcp6, Dhcp6Option, Duid, Lease, Message, kind, status};
use instances::packet::ipv6::{Extension, Ipv6};
use instances::packet::{Segment, Udp};
use instances::plan::responder::binding::{Binding, Options};
use instances::plan::responder::declined::HOLD;
use instances::plan::responder::dhcp6::{answer, leased_address};
use instances::plan::responder::settings::Mode;
use instances::plan::responder::{Client, Decision, Declined, Settings};
use std::net::Ipv6Addr;
use std::time::Instant;

/// With an address and a prefix to lease.
fn rich() -> Binding {
    Binding { ip6: Some(leased()), prefix6: Some("2001:db8:77::/56".parse().unwrap()), ..binding() }
}

fn leased() -> Ipv6Addr {
    v6("2001:db8:a:b::5")
}

/// The answer of a server that nobody declined anything to.
fn fresh(packet: &[u8], source: Mac, client: &Client, settings: &Settings) -> Decision {
    answer(packet, source, client, settings, &mut Declined::default(), Instant::now())
}

fn decide(binding: &Binding, settings: &Settings, message: &Message) -> Decision {
    let packet = dhcp6_packet(&Dhcp6::Direct(message.clone()));
    fresh(&packet, GUEST, &client(binding), settings)
}

fn answered(binding: &Binding, message: &Message) -> (Message, &'static str) {
    let answer = Answer::of(&decide(binding, &settings(), message));
    assert_eq!((answer.to, answer.from), (GUEST, HOST));
    let ip = answer.ip();
    assert_eq!((ip.source, ip.destination, ip.hop_limit, ip.traffic_class), (host(), guest(), 64, 192));
    let udp = ip.udp().unwrap();
    assert_eq!((udp.source, udp.destination), (547, 546));
    let reply = answer.dhcp6_message();
    assert_eq!(reply.transaction, message.transaction);
    assert_eq!(reply.client(), message.client());
    assert_eq!(reply.server(), Some(&Duid::link_layer(HOST)));
    (reply, answer.what)
}

fn silence(binding: &Binding, message: &Message) -> &'static str {
    match decide(binding, &settings(), message) {
        Decision::Silence(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn us() -> Dhcp6Option {
    Dhcp6Option::Server(Duid::link_layer(HOST))
}

fn addresses(id: u32, held: &[Ipv6Addr]) -> Dhcp6Option {
    let leases = held.iter().map(|address| Lease::new(*address, 128)).collect();
    Dhcp6Option::Addresses(Association { leases, ..Association::new(id) })
}

fn prefixes(id: u32, held: &[&str]) -> Dhcp6Option {
    let lease = |prefix: &&str| {
        let (address, length) = prefix.split_once('/').unwrap();
        Lease::new(v6(address), length.parse().unwrap())
    };
    Dhcp6Option::Prefixes(Association { leases: held.iter().map(lease).collect(), ..Association::new(id) })
}

/// Without identifiers and configuration.
fn essence(message: &Message) -> Vec<&Dhcp6Option> {
    let is_other = |option: &&Dhcp6Option| {
        use Dhcp6Option::{Client, DnsServers, SearchList, Server, TimeServers};
        !matches!(option, Client(_) | Server(_) | DnsServers(_) | SearchList(_) | TimeServers(_))
    };
    message.options.iter().filter(is_other).collect()
}

/// An association of an answer: its number, addresses with valid lifetimes, status.
type Given = (u32, Vec<(String, u32)>, Option<u16>);

fn associations(message: &Message) -> Vec<Given> {
    let of = |option: &&Dhcp6Option| match option {
        Dhcp6Option::Addresses(association)
        | Dhcp6Option::Temporary(association)
        | Dhcp6Option::Prefixes(association) => {
            let leases = association.leases.iter().map(|lease| (lease.address.to_string(), lease.lifetimes.1));
            Some((association.id, leases.collect(), association.status.as_ref().map(|(code, _)| *code)))
        }
        _ => None,
    };
    essence(message).iter().filter_map(of).collect()
}

fn granted(id: u32, what: &str) -> Given {
    (id, vec![(what.to_owned(), 2000)], None)
}

fn failed(id: u32, code: u16) -> Given {
    (id, vec![], Some(code))
}

#[test]
fn an_information_request_is_answered_in_every_mode_with_or_without_an_identifier() {
    for mode in [Mode::Auto, Mode::Slaac, Mode::SlaacAndDhcp, Mode::Dhcp] {
        for asked in [
            message(kind::INFORMATION_REQUEST, &[]),
            Message { options: vec![], ..message(kind::INFORMATION_REQUEST, &[]) },
            message(kind::INFORMATION_REQUEST, &[us()]),
        ] {
            let answer = Answer::of(&decide(&binding(), &with_mode(mode), &asked));
            assert_eq!(answer.what, "reply to information-request");
            let reply = answer.dhcp6_message();
            assert_eq!((reply.kind, reply.client()), (kind::REPLY, asked.client()));
            let configuration = &reply.options[reply.options.len() - 2..];
            let expected = [
                Dhcp6Option::DnsServers(vec![v6("2001:db8:100::1"), v6("2001:db8:200::2")]),
                Dhcp6Option::SearchList(vec!["example.com".parse().unwrap()]),
            ];
            assert_eq!(configuration, expected);
        }
    }
}

#[test]
fn what_is_asked_for_is_served_in_that_order_and_nothing_else() {
    let own = Options { ntp6: Some(vec![v6("2001:db8::123")]), ..Options::default() };
    let binding = Binding { own, ..binding() };
    for (asked, expected) in [
        (vec![24, 23], vec![24, 23]),
        (vec![56, 99, 23, 56, 23], vec![56, 23]),
        (vec![32, 1, 13], vec![]),
        (vec![], vec![]),
    ] {
        let asked = message(kind::INFORMATION_REQUEST, &[Dhcp6Option::Requested(asked)]);
        let (reply, _) = answered(&binding, &asked);
        let numbers: Vec<_> = reply.options[2..].iter().map(Dhcp6Option::number).collect();
        assert_eq!(numbers, expected);
    }
    let (reply, _) = answered(&binding, &message(kind::INFORMATION_REQUEST, &[]));
    assert_eq!(reply.options[4], Dhcp6Option::TimeServers(vec![v6("2001:db8::123")]));
}

#[test]
fn a_solicit_is_offered_address_and_prefix_and_told_not_to_wait() {
    let asked = message(kind::SOLICIT, &[addresses(7, &[]), prefixes(8, &["::/48"])]);
    let (reply, what) = answered(&rich(), &asked);
    assert_eq!((reply.kind, what), (kind::ADVERTISE, "advertise"));
    let address = Lease { lifetimes: (1000, 2000), ..Lease::new(leased(), 128) };
    let prefix = Lease { lifetimes: (1000, 2000), ..Lease::new(v6("2001:db8:77::"), 56) };
    let lease = |id, lease| Association { timers: (500, 800), leases: vec![lease], ..Association::new(id) };
    let expected = [
        Dhcp6Option::Preference(255),
        Dhcp6Option::Addresses(lease(7, address)),
        Dhcp6Option::Prefixes(lease(8, prefix)),
    ];
    assert_eq!(essence(&reply), expected.iter().collect::<Vec<_>>());
    assert_eq!(reply.options.len(), 7);
}

#[test]
fn rapid_commit_saves_two_messages_where_there_is_something_to_commit() {
    let asked = message(kind::SOLICIT, &[Dhcp6Option::RapidCommit, addresses(7, &[])]);
    let (reply, what) = answered(&rich(), &asked);
    assert_eq!((reply.kind, what), (kind::REPLY, "reply to solicit"));
    assert_eq!(essence(&reply)[0], &Dhcp6Option::RapidCommit);
    assert_eq!(associations(&reply), [granted(7, "2001:db8:a:b::5")]);
    let (reply, _) = answered(&Binding { ip6: None, ..rich() }, &asked);
    assert_eq!((reply.kind, associations(&reply)), (kind::ADVERTISE, vec![failed(7, status::NO_ADDRESSES)]));
}

#[test]
fn who_has_nothing_to_offer_does_not_ask_to_be_preferred() {
    let preferred = |binding: &Binding, options: &[Dhcp6Option]| {
        let (reply, what) = answered(binding, &message(kind::SOLICIT, options));
        assert_eq!(what, "advertise");
        reply.options.contains(&Dhcp6Option::Preference(255))
    };
    let prefix_alone = Binding { ip6: None, ..rich() };
    assert!(!preferred(&prefix_alone, &[addresses(7, &[])]));
    assert!(preferred(&prefix_alone, &[addresses(7, &[]), prefixes(8, &[])]));
}

#[test]
fn modes_say_which_address_is_leased() {
    let eui64 = binding().eui64;
    for (mode, with_ip6, without) in [
        (Mode::Auto, Some(leased()), None),
        (Mode::Slaac, None, None),
        (Mode::SlaacAndDhcp, None, None),
        (Mode::Dhcp, Some(leased()), eui64),
    ] {
        let settings = with_mode(mode);
        assert_eq!(leased_address(&client(&rich()), &settings), with_ip6, "{mode:?}");
        assert_eq!(leased_address(&client(&binding()), &settings), without, "{mode:?}");
        let compat = Settings { compat: true, ..settings.clone() };
        assert_eq!(leased_address(&client(&binding()), &compat), None, "the original leased nothing");
        let decision = decide(&binding(), &settings, &message(kind::SOLICIT, &[addresses(1, &[])]));
        assert_eq!(matches!(decision, Decision::Reply { .. }), without.is_some(), "{mode:?}");
    }
}

#[test]
fn one_address_and_one_prefix_go_to_one_association_each() {
    let asked = message(kind::SOLICIT, &[addresses(1, &[]), addresses(2, &[]), prefixes(3, &[]), prefixes(4, &[])]);
    let (no_address, no_prefix) = (status::NO_ADDRESSES, status::NO_PREFIXES);
    let expected =
        [granted(1, "2001:db8:a:b::5"), failed(2, no_address), granted(3, "2001:db8:77::"), failed(4, no_prefix)];
    assert_eq!(associations(&answered(&rich(), &asked).0), expected);
    // Who has it already keeps it.
    let asked = message(kind::REQUEST, &[us(), addresses(1, &[]), addresses(2, &[leased()])]);
    assert_eq!(associations(&answered(&rich(), &asked).0), [failed(1, no_address), granted(2, "2001:db8:a:b::5")]);
    let temporary = Dhcp6Option::Temporary(Association::new(9));
    let asked = message(kind::REQUEST, &[us(), temporary]);
    assert_eq!(associations(&answered(&rich(), &asked).0), [failed(9, no_address)]);
}

#[test]
fn a_request_is_granted_what_the_binding_says() {
    let (reply, what) = answered(&rich(), &message(kind::REQUEST, &[us(), addresses(7, &[leased()])]));
    assert_eq!((reply.kind, what), (kind::REPLY, "reply to request"));
    assert_eq!(associations(&reply), [granted(7, "2001:db8:a:b::5")]);
    let wish = message(kind::REQUEST, &[us(), addresses(7, &[v6("2001:db8:a:b::6")])]);
    assert_eq!(associations(&answered(&rich(), &wish).0), [granted(7, "2001:db8:a:b::5")]);
    let foreign = message(kind::REQUEST, &[us(), addresses(7, &[v6("2001:db8:f::6")])]);
    assert_eq!(associations(&answered(&rich(), &foreign).0), [failed(7, status::NOT_ON_LINK)]);
    let poor = message(kind::REQUEST, &[us(), addresses(7, &[]), prefixes(8, &[])]);
    let expected = [failed(7, status::NO_ADDRESSES), failed(8, status::NO_PREFIXES)];
    assert_eq!(associations(&answered(&binding(), &poor).0), expected);
}

#[test]
fn renewals_extend_what_is_right_and_end_what_is_not() {
    let old = v6("2001:db8:a:b::6");
    for (kind, server) in [(kind::RENEW, vec![us()]), (kind::REBIND, vec![])] {
        let renewed = |binding: &Binding, options: &[Dhcp6Option]| {
            associations(&answered(binding, &message(kind, &[&server[..], options].concat())).0)
        };
        assert_eq!(renewed(&rich(), &[addresses(7, &[leased()])]), [granted(7, "2001:db8:a:b::5")]);
        let over = (old.to_string(), 0);
        let both = (7, vec![("2001:db8:a:b::5".to_owned(), 2000), over.clone()], None);
        assert_eq!(renewed(&rich(), &[addresses(7, &[old])]), [both]);
        let prefix = (8, vec![("2001:db8:77::".to_owned(), 2000), ("2001:db8:77::".to_owned(), 0)], None);
        assert_eq!(renewed(&rich(), &[prefixes(8, &["2001:db8:77::/60"])]), [prefix]);
        // An address and nothing else.
        let poorer = Binding { ip6: None, ..rich() };
        assert_eq!(renewed(&poorer, &[addresses(7, &[old])]), [(7, vec![over], None)]);
        assert_eq!(renewed(&poorer, &[addresses(7, &[])]), [failed(7, status::NO_BINDING)]);
    }
    let rebind = message(kind::REBIND, &[addresses(7, &[old])]);
    assert_eq!(silence(&binding(), &rebind), "DHCPv6: nothing to lease");
    let renew = message(kind::RENEW, &[us(), addresses(7, &[old])]);
    assert_eq!(associations(&answered(&binding(), &renew).0), [(7, vec![(old.to_string(), 0)], None)]);
}

#[test]
fn a_confirm_is_right_for_all_addresses_of_the_link() {
    let confirm = |held: &[Ipv6Addr]| message(kind::CONFIRM, &[addresses(7, held)]);
    let code = |held: &[Ipv6Addr]| {
        let (reply, what) = answered(&rich(), &confirm(held));
        assert_eq!((reply.kind, what, reply.options.len()), (kind::REPLY, "reply to confirm", 3));
        match &reply.options[2] {
            Dhcp6Option::Status(code, _) => *code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code(&[leased()]), status::SUCCESS);
    assert_eq!(code(&[v6("2001:db8:a:b::6")]), status::SUCCESS, "as a Request for it is granted");
    assert_eq!(code(&[v6("2001:db8:f::6")]), status::NOT_ON_LINK);
    assert_eq!(code(&[leased(), v6("2001:db8:f::6")]), status::NOT_ON_LINK);
    assert_eq!(silence(&rich(), &confirm(&[])), "DHCPv6: a confirm without addresses");
    assert_eq!(silence(&binding(), &confirm(&[leased()])), "DHCPv6: no address to lease");
    assert_eq!(silence(&Binding { ip6: None, ..rich() }, &confirm(&[leased()])), "DHCPv6: no address to lease");
    let outside = Binding { subnet6: None, ..rich() };
    let (reply, _) = answered(&outside, &confirm(&[leased()]));
    assert_eq!(reply.options[2], Dhcp6Option::Status(status::SUCCESS, String::new()));
}

#[test]
fn what_is_given_back_is_taken_and_what_was_never_had_is_named() {
    let other = v6("2001:db8:a:b::6");
    for (kind, right, wrong) in [
        (kind::RELEASE, "reply to release", "reply to release"),
        (kind::DECLINE, "reply to decline", "reply to a wrong decline"),
    ] {
        let given = |options: &[Dhcp6Option]| answered(&rich(), &message(kind, &[&[us()][..], options].concat()));
        let success = Dhcp6Option::Status(status::SUCCESS, String::new());
        let (reply, what) = given(&[addresses(7, &[leased()])]);
        assert_eq!((essence(&reply), what), (vec![&success], right));
        let (reply, what) = given(&[addresses(7, &[other])]);
        assert_eq!((essence(&reply)[0], what), (&success, wrong));
        assert_eq!(associations(&reply), [failed(7, status::NO_BINDING)]);
        let (reply, _) = given(&[prefixes(8, &["2001:db8:77::/56"]), prefixes(9, &["2001:db8:77::/57"])]);
        assert_eq!(associations(&reply), [failed(9, status::NO_BINDING)]);
    }
}

#[test]
fn a_declined_address_is_not_offered_for_a_while_but_the_prefix_is() {
    let (mut declined, start) = (Declined::default(), Instant::now());
    let mut decided = |message: &Message, now: Instant| {
        let packet = dhcp6_packet(&Dhcp6::Direct(message.clone()));
        let decision = answer(&packet, GUEST, &client(&rich()), &settings(), &mut declined, now);
        associations(&Answer::of(&decision).dhcp6_message())
    };
    let options = [addresses(7, &[leased()]), prefixes(8, &[])];
    let (solicit, renew) = (message(kind::SOLICIT, &options), message(kind::RENEW, &[&[us()][..], &options].concat()));
    let decline = |address| message(kind::DECLINE, &[us(), addresses(7, &[address])]);
    let (address, prefix) = (granted(7, "2001:db8:a:b::5"), granted(8, "2001:db8:77::"));
    decided(&decline(v6("2001:db8:a:b::6")), start);
    assert_eq!(decided(&solicit, start), [address.clone(), prefix.clone()]);
    decided(&decline(leased()), start);
    assert_eq!(decided(&solicit, start), [failed(7, status::NO_ADDRESSES), prefix.clone()]);
    assert_eq!(decided(&renew, start)[0], (7, vec![("2001:db8:a:b::5".to_owned(), 0)], None));
    assert_eq!(decided(&solicit, start + HOLD), [address, prefix]);
}

#[test]
fn each_message_names_a_server_or_none_as_it_must() {
    let other = Dhcp6Option::Server(Duid::link_layer(STRANGER));
    let lease = addresses(7, &[leased()]);
    for kind in [kind::SOLICIT, kind::CONFIRM, kind::REBIND] {
        let asked = message(kind, &[us(), lease.clone()]);
        assert_eq!(silence(&rich(), &asked), "DHCPv6: a server identifier where none may be");
    }
    for kind in [kind::REQUEST, kind::RENEW, kind::RELEASE, kind::DECLINE] {
        let without = message(kind, std::slice::from_ref(&lease));
        assert_eq!(silence(&rich(), &without), "DHCPv6: no server identifier");
        assert_eq!(silence(&rich(), &message(kind, &[other.clone(), lease.clone()])), "DHCPv6: for another server");
    }
    let asked = message(kind::INFORMATION_REQUEST, &[other]);
    assert_eq!(silence(&rich(), &asked), "DHCPv6: for another server");
    for kind in [kind::SOLICIT, kind::REBIND, kind::CONFIRM] {
        let nameless = Message { options: vec![lease.clone()], ..message(kind, &[]) };
        assert_eq!(silence(&rich(), &nameless), "DHCPv6: no client identifier");
    }
    let asked = message(kind::INFORMATION_REQUEST, &[lease]);
    assert_eq!(silence(&rich(), &asked), "DHCPv6: an information-request for a lease");
    for kind in [kind::ADVERTISE, kind::REPLY, kind::RECONFIGURE] {
        assert_eq!(silence(&rich(), &message(kind, &[us()])), "DHCPv6: a server's message");
    }
    assert_eq!(silence(&rich(), &message(99, &[])), "DHCPv6: an unknown message");
    assert_eq!(silence(&rich(), &message(kind::SOLICIT, &[])), "DHCPv6: a solicit for nothing");
}

#[test]
fn to_us_alone_is_told_to_ask_all() {
    let to = |destination: Ipv6Addr, message: &Message| {
        let segment = Dhcp6::Direct(message.clone()).segment(dhcp6::CLIENT, dhcp6::SERVER);
        let packet = Ipv6::new(guest(), destination).packet(&segment);
        fresh(&packet, GUEST, &client(&rich()), &settings())
    };
    let request = message(kind::REQUEST, &[us(), addresses(7, &[])]);
    for destination in [host(), v6("2001:db8:a:b::1")] {
        let answer = Answer::of(&to(destination, &request));
        let reply = answer.dhcp6_message();
        let use_multicast = Dhcp6Option::Status(status::USE_MULTICAST, String::new());
        assert_eq!((essence(&reply), reply.options.len()), (vec![&use_multicast], 3));
        assert_eq!(to(destination, &message(kind::SOLICIT, &[])), Decision::Silence("DHCPv6: to us alone"));
        let information = message(kind::INFORMATION_REQUEST, &[]);
        assert_eq!(to(destination, &information), Decision::Silence("DHCPv6: to us alone"));
    }
    assert!(matches!(to(v6("ff05::1:3"), &request), Decision::Reply { .. }));
    for elsewhere in ["2001:db8:5::547", "ff02::1"] {
        assert_eq!(to(v6(elsewhere), &request), Decision::Pass("DHCPv6 to somebody else"), "{elsewhere}");
    }
}

#[test]
fn relay_agents_get_back_what_they_sent_and_their_marks() {
    let asked = message(kind::SOLICIT, &[addresses(7, &[])]);
    let mark = Dhcp6Option::Other(18, b"eth7".to_vec());
    let forwarded = |kind, hops, link: &str, options, message| Dhcp6::Relayed {
        kind,
        hops,
        link: v6(link),
        peer: guest(),
        options,
        message: Box::new(message),
    };
    let forward = kind::RELAY_FORWARD;
    let strange = Dhcp6Option::Other(37, vec![1, 2, 3, 4, 5]);
    let inner = forwarded(forward, 0, "2001:db8::9", vec![mark.clone()], Dhcp6::Direct(asked.clone()));
    let outer = forwarded(forward, 1, "::", vec![strange], inner);
    let decide = |relayed: &Dhcp6, source: u16| {
        let packet = Ipv6::new(guest(), host()).packet(&relayed.segment(source, dhcp6::SERVER));
        fresh(&packet, GUEST, &client(&rich()), &settings())
    };
    let reply = Answer::of(&decide(&outer, 547));
    assert_eq!((reply.what, reply.ip().udp().unwrap().destination), ("advertise", 547));
    let expected = answered(&rich(), &asked).0;
    let inner = forwarded(kind::RELAY_REPLY, 0, "2001:db8::9", vec![mark], Dhcp6::Direct(expected));
    assert_eq!(reply.dhcp6(), forwarded(kind::RELAY_REPLY, 1, "::", vec![], inner.clone()));
    assert_eq!(decide(&inner, 547), Decision::Silence("DHCPv6: a server's message"));
    let port = Dhcp6Option::Other(135, vec![0, 0]);
    let relayed = forwarded(forward, 0, "::", vec![port.clone()], Dhcp6::Direct(asked));
    let reply = Answer::of(&decide(&relayed, 12_345));
    assert_eq!(reply.ip().udp().unwrap().destination, 12_345);
    assert!(matches!(reply.dhcp6(), Dhcp6::Relayed { options, .. } if options == [port]));
    // The relay agent's MAC is another one than the guest's, as with DHCPv4.
    let packet = Ipv6::new(guest(), host()).packet(&relayed.segment(547, dhcp6::SERVER));
    assert_eq!(Answer::of(&fresh(&packet, STRANGER, &client(&rich()), &settings())).to, STRANGER);
}

#[test]
fn what_is_not_to_be_answered_is_not() {
    let good = Dhcp6::Direct(message(kind::INFORMATION_REQUEST, &[])).segment(dhcp6::CLIENT, dhcp6::SERVER);
    let decide = |header: &Ipv6, segment: &Segment, source| {
        fresh(&header.packet(segment), source, &client(&binding()), &settings())
    };
    let header = Ipv6::new(guest(), SERVERS);
    assert!(matches!(decide(&header, &good, GUEST), Decision::Reply { .. }));
    let extended = header.clone().with(Extension::empty_destination_options());
    assert!(matches!(decide(&extended, &good, GUEST), Decision::Reply { .. }));
    assert_eq!(decide(&header, &good, STRANGER), Decision::Silence("a MAC that is not the binding's"));
    assert_eq!(decide(&Ipv6::new(NOBODY, SERVERS), &good, GUEST), Decision::Silence("DHCPv6 from nobody"));
    let other = Udp::new(546, 548, vec![]).segment();
    assert_eq!(decide(&header, &other, GUEST), Decision::Pass("no DHCPv6"));
    assert_eq!(decide(&header, &Segment::icmpv6(133, 0, &[]), GUEST), Decision::Pass("no DHCPv6"));
    let short = Udp::new(546, 547, vec![11, 0, 0]).segment();
    assert_eq!(decide(&header, &short, GUEST), Decision::Silence("DHCPv6: cut short"));
    let fragment = header.clone().with(Extension::Fragment { offset: 0, more: true, identification: 1 });
    assert_eq!(decide(&fragment, &good, GUEST), Decision::Silence("IPv6: a fragment"));
    let off = Settings { ipv6: None, ..settings() };
    let decision = fresh(&header.packet(&good), GUEST, &client(&binding()), &off);
    assert_eq!(decision, Decision::Pass("IPv6 is off"));
    let spoof = Binding { mac_spoof: true, ..binding() };
    let decision = fresh(&header.packet(&good), STRANGER, &client(&spoof), &settings());
    assert_eq!(Answer::of(&decision).to, STRANGER);
}

#[test]
fn a_message_of_thousands_of_associations_gets_no_answer_that_is_longer() {
    let many: Vec<_> = (0..17).map(|id| addresses(id, &[])).collect();
    assert_eq!(silence(&rich(), &message(kind::SOLICIT, &many)), "DHCPv6: too many associations");
    assert!(matches!(decide(&rich(), &settings(), &message(kind::SOLICIT, &many[1..])), Decision::Reply { .. }));
    let long = addresses(1, &[leased(); 17]);
    assert_eq!(silence(&rich(), &message(kind::SOLICIT, &[long])), "DHCPv6: too many associations");
    let own = Options { nameservers6: Some(vec![leased(); 100]), ..Options::default() };
    let asked = message(kind::INFORMATION_REQUEST, &[]);
    let reason = "DHCPv6: an answer longer than the MTU";
    assert_eq!(silence(&Binding { own: own.clone(), ..rich() }, &asked), reason);
    let jumbo = Binding { own, mtu: Some(9000), ..rich() };
    assert!(matches!(decide(&jumbo, &settings(), &asked), Decision::Reply { .. }));
}

#[test]
fn lifetimes_are_in_order_and_for_ever_stays_for_ever() {
    for (lifetimes, timers, expected) in [
        ((1001, 2000), (500, 800), (1001, 2000)),
        ((3000, 2000), (1000, 1600), (2000, 2000)),
        ((u32::MAX, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX, u32::MAX)),
        ((u32::MAX - 1, u32::MAX), (2_147_483_647, 3_435_973_835), (u32::MAX - 1, u32::MAX)),
    ] {
        let mut settings = settings();
        settings.ipv6.as_mut().unwrap().lifetimes = lifetimes;
        let asked = message(kind::SOLICIT, &[addresses(7, &[])]);
        let reply = Answer::of(&decide(&rich(), &settings, &asked)).dhcp6_message();
        match essence(&reply)[1] {
            Dhcp6Option::Addresses(association) => {
                assert_eq!((association.timers, association.leases[0].lifetimes), (timers, expected));
            }
            other => panic!("{other:?}"),
        }
    }
}
