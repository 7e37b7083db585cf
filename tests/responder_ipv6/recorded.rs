//! With `compat`, answers equal those of the original, octet by octet (`tests/nfdhcpd/recorded`), but for the time in the
//! server's identifier. Where the original was silent by mistake, we answer; see the last test.

use super::setting::{
    Answer, GUEST, HOST, NOBODY, ROUTERS, binding, client, compat, dhcp6_packet, guest, host, message, nd_packet, v6,
};
use instances::packet::dhcp6::{Dhcp6, Dhcp6Option, Message, kind};
use instances::packet::nd::{Nd, NdOption, solicited_node};
use instances::plan::responder::{Decision, Declined, dhcp6, neighbor, router};
use std::net::Ipv6Addr;
use std::time::Instant;

const RECORDED: &str = include_str!("../nfdhcpd/recorded/golden_routed.txt");
const MINE: NdOption = NdOption::SourceLinkLayer(GUEST);

/// The frame that the original sent in answer to this probe, put together from what was written down of it.
fn recorded(probe: &str) -> Vec<u8> {
    let heading = format!("===== {probe}\n");
    let (_, section) = RECORDED.split_once(&heading).unwrap();
    let section = section.split("=====").next().unwrap();
    let line = section.lines().find(|line| line.contains("<IPv6")).unwrap().trim();
    let payload = section.lines().find_map(|line| line.trim().strip_prefix("hex ")).unwrap();
    let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap();
    let number = |name: &str| field(name).parse::<u16>().unwrap();
    let next = if field("nh=") == "UDP" { 17 } else { 58 };
    let (destination, _) = line.split_once(' ').unwrap();
    let destination: Vec<u8> = destination.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
    let payload: Vec<u8> =
        (0..payload.len() / 2).map(|at| u8::from_str_radix(&payload[2 * at..2 * at + 2], 16).unwrap()).collect();
    let [high, low] = number("plen=").to_be_bytes();
    let (class, hops) = (u8::try_from(number("tc=")).unwrap(), u8::try_from(number("hlim=")).unwrap());
    [
        &destination[..],
        &HOST.0,
        &[0x86, 0xdd, 0x60 | class >> 4, class << 4, 0, 0, high, low, next, hops],
        &v6(field("src=")).octets(),
        &v6(field("dst=")).octets(),
        &payload,
    ]
    .concat()
}

fn frame(decision: Decision) -> Vec<u8> {
    match decision {
        Decision::Reply { frame, .. } => frame,
        other => panic!("{other:?}"),
    }
}

fn solicited(source: Ipv6Addr, target: Ipv6Addr, options: &[NdOption]) -> Decision {
    let packet = nd_packet(source, solicited_node(target), &Nd::solicitation(target), options);
    neighbor::answer(&packet, GUEST, &client(&binding()), &compat(), &|_| false)
}

fn asked(message: Message) -> Decision {
    dhcp6::answer(
        &dhcp6_packet(&Dhcp6::Direct(message)),
        GUEST,
        &client(&binding()),
        &compat(),
        &mut Declined::default(),
        Instant::now(),
    )
}

#[test]
fn the_router_advertisement_is_the_recorded_one() {
    let packet = nd_packet(guest(), ROUTERS, &Nd::RouterSolicitation, &[MINE]);
    assert_eq!(frame(router::answer(&packet, GUEST, &client(&binding()), &compat())), recorded("rs"));
    assert_eq!(router::advertisement(&client(&binding()), &compat()), Some(recorded("rs")));
}

#[test]
fn neighbor_advertisements_are_the_recorded_ones() {
    assert_eq!(frame(solicited(guest(), v6("2001:db8:a:b::99"), &[MINE])), recorded("ns"));
    assert_eq!(frame(solicited(guest(), host(), &[MINE])), recorded("nsll"));
    assert_eq!(solicited(guest(), v6("2001:db8:ffff::1"), &[MINE]), Decision::Silence("a target outside of SUBNET6"));
}

#[test]
fn the_reply_to_an_information_request_is_the_recorded_one_whatever_is_asked_for() {
    for options in [&[][..], &[Dhcp6Option::Requested(vec![23, 56])]] {
        let frame = frame(asked(message(kind::INFORMATION_REQUEST, options)));
        let wrong: Vec<_> =
            (0..).zip(frame.iter().zip(recorded("inf6"))).filter(|(_, (is, was))| **is != *was).collect();
        // The UDP checksum, which is right, and the time.
        let but_for = wrong.iter().map(|(at, (is, _))| (*at, **is)).filter(|(at, _)| !(60..62).contains(at));
        assert_eq!(but_for.collect::<Vec<_>>(), [(88, 0), (90, 0), (91, 0)]);
        assert!(Answer::of_frame(&frame, "").ip().udp().is_ok());
    }
    assert_eq!(asked(message(kind::SOLICIT, &[])), Decision::Silence("DHCPv6: nothing to lease"));
}

#[test]
fn any_time_in_the_servers_identifier_is_ours() {
    for (time, mac, right) in [([1, 2, 3, 4], HOST, true), ([9; 4], HOST, true), ([1, 2, 3, 4], GUEST, false)] {
        let duid = [&[0, 1, 0, 1][..], &time, &mac.0].concat();
        let server = Dhcp6Option::Server(instances::packet::dhcp6::Duid::parse(&duid).unwrap());
        let answered = matches!(asked(message(kind::INFORMATION_REQUEST, &[server])), Decision::Reply { .. });
        assert_eq!(answered, right, "{time:?} {mac}");
    }
}

#[test]
fn the_instances_new_addresses_stay_its_own() {
    for own in [v6("2001:db8:a:b:a800:ff:fe00:1"), guest()] {
        for source in [NOBODY, guest()] {
            assert_eq!(solicited(source, own, &[]), Decision::Silence("an address of its own"));
        }
    }
    // With the option, which duplicate address detection has not, they are answered for as all in SUBNET6.
    let own = solicited(guest(), v6("2001:db8:a:b:a800:ff:fe00:1"), &[MINE]);
    assert!(matches!(own, Decision::Reply { .. }));
    assert_eq!(solicited(guest(), guest(), &[MINE]), Decision::Silence("a target outside of SUBNET6"));
}

#[test]
fn what_the_original_left_unanswered_by_mistake_is_answered() {
    // It hung at a neighbour solicitation without the option, and was silent at a router solicitation without it and at
    // an Information-Request without a client identifier.
    assert_eq!(frame(solicited(guest(), v6("2001:db8:a:b::99"), &[])), recorded("ns"));
    for source in [guest(), NOBODY] {
        let packet = nd_packet(source, ROUTERS, &Nd::RouterSolicitation, &[]);
        assert_eq!(frame(router::answer(&packet, GUEST, &client(&binding()), &compat())), recorded("rs"));
    }
    let nameless = Message { options: Vec::new(), ..message(kind::INFORMATION_REQUEST, &[]) };
    assert!(matches!(asked(nameless), Decision::Reply { .. }));
}
