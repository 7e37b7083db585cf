use super::setting::{
    ALL_NODES, Answer, GUEST, HOST, NOBODY, STRANGER, binding, client, guest, host, nd_packet, settings, v6,
};
use instances::packet::ipv6::Ipv6;
use instances::packet::nd::{Nd, NdOption, multicast_mac, solicited_node};
use instances::packet::{Segment, Udp};
use instances::plan::responder::binding::Binding;
use instances::plan::responder::{Decision, Settings, neighbor};
use std::net::Ipv6Addr;

const MINE: NdOption = NdOption::SourceLinkLayer(GUEST);

/// Bound to another tap.
fn elsewhere() -> Ipv6Addr {
    v6("2001:db8:a:b::77")
}

fn gateway() -> Ipv6Addr {
    v6("2001:db8:a:b::1")
}

fn solicited_by(binding: &Binding, settings: &Settings, source: Ipv6Addr, target: Ipv6Addr) -> Decision {
    let options = if source == NOBODY { &[][..] } else { &[MINE] };
    let packet = nd_packet(source, solicited_node(target), &Nd::solicitation(target), options);
    neighbor::answer(&packet, GUEST, &client(binding), settings, &|target| target == elsewhere())
}

fn solicited(source: Ipv6Addr, target: Ipv6Addr) -> Decision {
    solicited_by(&binding(), &settings(), source, target)
}

/// Router, solicited, replace.
fn flags(answer: &Answer, of: Ipv6Addr) -> (bool, bool, bool) {
    let received = answer.nd();
    assert_eq!(received.options, [NdOption::TargetLinkLayer(HOST)]);
    match received.message {
        Nd::NeighborAdvertisement { target, router, solicited, replace } if target == of => {
            (router, solicited, replace)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_gateway_ourselves_and_who_is_bound_elsewhere_are_found() {
    for (target, expected) in
        [(gateway(), (true, true, false)), (host(), (true, true, true)), (elsewhere(), (false, true, false))]
    {
        let answer = Answer::of(&solicited(guest(), target));
        assert_eq!((answer.to, answer.from, answer.what), (GUEST, HOST, "neighbour advertisement"));
        let ip = answer.ip();
        assert_eq!((ip.source, ip.destination, ip.hop_limit), (host(), guest(), 255));
        assert_eq!(flags(&answer, target), expected, "{target}");
    }
}

#[test]
fn an_answer_comes_also_without_the_option_and_to_one_address() {
    let packet = nd_packet(guest(), gateway(), &Nd::solicitation(gateway()), &[]);
    let answer = Answer::of(&neighbor::answer(&packet, GUEST, &client(&binding()), &settings(), &|_| false));
    assert_eq!(flags(&answer, gateway()), (true, true, false));
}

#[test]
fn who_looks_whether_a_new_address_is_free_finds_it_free() {
    let own = Binding { ip6: Some(v6("2001:db8:a:b::5")), ..binding() };
    for target in [v6("2001:db8:a:b::5"), v6("2001:db8:a:b:a800:ff:fe00:1"), guest()] {
        for source in [NOBODY, guest()] {
            assert_eq!(
                solicited_by(&own, &settings(), source, target),
                Decision::Pass("an address of its own"),
                "{target}"
            );
        }
    }
    assert_eq!(solicited(NOBODY, v6("2001:db8:a:b::1234")), Decision::Pass("nobody has that address"));
    assert_eq!(solicited(NOBODY, elsewhere()), Decision::Pass("a new address of its own"));
    let mut proxy = settings();
    proxy.ipv6.as_mut().unwrap().proxy_all = true;
    let decision = solicited_by(&binding(), &proxy, NOBODY, v6("2001:db8:a:b::1234"));
    assert_eq!(decision, Decision::Pass("a new address of its own"));
}

#[test]
fn who_takes_the_gateways_address_or_ours_is_told_so_and_so_are_all() {
    for (target, replace) in [(gateway(), false), (host(), true)] {
        let answer = Answer::of(&solicited(NOBODY, target));
        assert_eq!((answer.to, answer.ip().destination), (multicast_mac(ALL_NODES), ALL_NODES));
        assert_eq!(flags(&answer, target), (true, false, replace));
    }
}

#[test]
fn nobody_is_found_by_us_where_nobody_is_unless_all_are_to_be() {
    let nobody = v6("2001:db8:a:b::1234");
    assert_eq!(solicited(guest(), nobody), Decision::Pass("nobody has that address"));
    let mut proxy = settings();
    proxy.ipv6.as_mut().unwrap().proxy_all = true;
    let answer = Answer::of(&solicited_by(&binding(), &proxy, guest(), nobody));
    assert_eq!(flags(&answer, nobody), (false, true, false));
    let compat = Settings { compat: true, ..settings() };
    for outside in [v6("2001:db8:a:c::1"), v6("fe80::1")] {
        let decision = solicited_by(&binding(), &compat, guest(), outside);
        assert_eq!(decision, Decision::Silence("a target outside of SUBNET6"));
        let decision = solicited_by(&binding(), &proxy, guest(), outside);
        assert_eq!(decision, Decision::Pass("a target outside of SUBNET6"));
    }
}

#[test]
fn bound_elsewhere_counts_inside_of_the_subnet_only() {
    let narrow = Binding { subnet6: Some("2001:db8:a:b::/124".parse().unwrap()), ..binding() };
    let decision = solicited_by(&narrow, &settings(), guest(), elsewhere());
    assert_eq!(decision, Decision::Pass("a target outside of SUBNET6"));
    let bare = Binding { subnet6: None, ..binding() };
    let decision = solicited_by(&bare, &settings(), guest(), elsewhere());
    assert_eq!(decision, Decision::Pass("a target outside of SUBNET6"));
}

#[test]
fn a_gateway_may_be_link_local() {
    let target = v6("fe80::1");
    let answer =
        Answer::of(&solicited_by(&Binding { gateway6: Some(target), ..binding() }, &settings(), guest(), target));
    assert_eq!(flags(&answer, target), (true, true, false));
}

#[test]
fn private_instances_find_neighbors_and_no_router() {
    let private = Binding { private: true, ..binding() };
    let decision = |target| solicited_by(&private, &settings(), guest(), target);
    assert_eq!(decision(gateway()), Decision::Silence("PRIVATE: no router"));
    assert_eq!(flags(&Answer::of(&decision(host())), host()), (false, true, true));
    assert_eq!(flags(&Answer::of(&decision(elsewhere())), elsewhere()), (false, true, false));
}

#[test]
fn what_is_not_to_be_answered_is_not() {
    let decide = |packet: &[u8], source| neighbor::answer(packet, source, &client(&binding()), &settings(), &|_| true);
    let message = Nd::solicitation(gateway()).segment(&[]);
    let header = Ipv6::neighbor_discovery(guest(), gateway());
    assert!(matches!(decide(&header.packet(&message), GUEST), Decision::Reply { .. }));
    let far = Ipv6 { hop_limit: 64, ..header.clone() };
    assert_eq!(decide(&far.packet(&message), GUEST), Decision::Silence("ND: hop limit is not 255"));
    let decision = decide(&header.packet(&message), STRANGER);
    assert_eq!(decision, Decision::Silence("a MAC that is not the binding's"));
    let packet = nd_packet(NOBODY, gateway(), &Nd::solicitation(gateway()), &[]);
    assert_eq!(decide(&packet, GUEST), Decision::Silence("NS: from nobody, not to a solicited-node group"));
    let other = nd_packet(guest(), host(), &Nd::RouterSolicitation, &[]);
    assert_eq!(decide(&other, GUEST), Decision::Pass("no neighbour solicitation"));
    // Rules may hand over more than they should: an echo request, DHCPv6.
    for segment in [Segment::icmpv6(128, 0, &[0; 4]), Udp::new(546, 547, []).segment()] {
        let packet = Ipv6::new(guest(), host()).packet(&segment);
        assert_eq!(decide(&packet, GUEST), Decision::Pass("no neighbour solicitation"));
    }
    let off = Settings { ipv6: None, ..settings() };
    let decision = neighbor::answer(&packet, GUEST, &client(&binding()), &off, &|_| true);
    assert_eq!(decision, Decision::Pass("IPv6 is off"));
}
