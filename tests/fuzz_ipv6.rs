//! Any octets at all, to what answers over IPv6: it never panics, and what it answers is an answer.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/fuzz.rs"]
mod fuzz;
#[path = "responder_ipv6/setting.rs"]
#[allow(dead_code)]
mod setting;

use instances::net::Mac;
use instances::packet::dhcp6::{self, Association, Dhcp6, Dhcp6Option, Duid, Lease, kind};
use instances::packet::nd::{self, Nd};
use instances::packet::{internet_checksum, ipv6};
use instances::plan::responder::binding::Binding;
use instances::plan::responder::settings::Mode;
use instances::plan::responder::{Decision, Declined, Settings, dhcp6 as responder_dhcp6, neighbor, router};
use setting::{ALL_NODES, GUEST, HOST, NOBODY, client, dhcp6_packet, guest, message, nd_packet, v6, with_mode};
use std::time::Instant;

const SCAPY: &str = include_str!("nfdhcpd/scapy/ipv6.txt");
/// What was found.
const FOUND: &str = include_str!("nfdhcpd/fuzz_ipv6.txt");

fn binding() -> Binding {
    Binding {
        ip6: Some(v6("2001:db8:a:b::5")),
        prefix6: Some("2001:db8:77::/56".parse().unwrap()),
        mtu: Some(1500),
        ..setting::binding()
    }
}

/// Lengths and checksums fit again, where there are any.
fn repair(packet: &mut [u8]) {
    if packet.len() < 48 || packet.len() > 1500 {
        return;
    }
    packet[0] = 0x60 | packet[0] & 0xf;
    let length = u16::try_from(packet.len() - 40).unwrap();
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    let (next, at) = (packet[6], if packet[6] == 17 { 46 } else { 42 });
    if next == 17 {
        packet[44..46].copy_from_slice(&length.to_be_bytes());
    }
    if next == 17 || next == 58 {
        packet[at..at + 2].fill(0);
        let pseudo = [&packet[8..40], &[0, 0], &length.to_be_bytes(), &[0, 0, 0, next]].concat();
        let sum = internet_checksum(&[&pseudo, &packet[40..]].concat());
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// What was read says the same when it is written and read again.
fn reads_the_same(packet: &ipv6::Received) {
    if let Ok(nd::Received { message, options }) = nd::parse(packet.payload) {
        let again = nd::parse(&message.segment(&options).bytes);
        assert_eq!(again, Ok(nd::Received { message, options }));
    }
    if let Some(message) = packet.udp().ok().and_then(|udp| dhcp6::parse(udp.data).ok()) {
        assert_eq!(dhcp6::parse(&message.bytes()), Ok(message));
    }
}

/// An answer is a right packet from the host to its guest, and never takes the guest's addresses away: as duplicate address
/// detection, with `compat`.
fn is_an_answer(frame: &[u8], binding: &Binding, compat: bool) {
    assert!(frame.len() <= 14 + 1500);
    assert!(frame[..6] == GUEST.0 || frame[..6] == [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(frame[6..14], [&HOST.0[..], &[0x86, 0xdd]].concat());
    let packet = ipv6::parse(&frame[14..]).unwrap();
    assert_eq!(packet.source, setting::host());
    if let Ok(udp) = packet.udp() {
        match dhcp6::parse(udp.data).unwrap() {
            Dhcp6::Direct(message) => assert!(matches!(message.kind, 2 | 7)),
            Dhcp6::Relayed { kind, .. } => assert_eq!(kind, 13),
        }
        return;
    }
    match nd::receive(&packet).unwrap().message {
        Nd::RouterAdvertisement { .. } => {}
        Nd::NeighborAdvertisement { target, .. } => {
            let own = [binding.ip6, binding.eui64, Some(guest())];
            assert!(!own.contains(&Some(target)) || compat && packet.destination != ALL_NODES, "{target}");
        }
        other => panic!("{other:?}"),
    }
}

fn judge(packet: &[u8], settings: &Settings) -> &'static str {
    let binding = binding();
    let client = client(&binding);
    if let Ok(received) = ipv6::parse(packet) {
        reads_the_same(&received);
    }
    let source: Mac = GUEST;
    let decisions = [
        router::answer(packet, source, &client, settings),
        neighbor::answer(packet, source, &client, settings, &|target| target.octets()[15] & 1 == 1),
        responder_dhcp6::answer(packet, source, &client, settings, &mut Declined::default(), Instant::now()),
    ];
    for decision in &decisions {
        if let Decision::Reply { frame, .. } = decision {
            is_an_answer(frame, &binding, settings.compat);
        }
    }
    let labels = decisions.iter().map(|decision| match decision {
        Decision::Reply { what, .. } => (0, *what),
        Decision::Silence(reason) => (1, *reason),
        Decision::Pass(reason) => (2, *reason),
    });
    labels.min().unwrap().1
}

/// One of each kind that a guest may send us: scapy's name another server.
fn honest() -> Vec<Vec<u8>> {
    let lease = |address| vec![Lease::new(address, 128)];
    let address = Association { leases: lease(v6("2001:db8:a:b::5")), ..Association::new(7) };
    let other = Association { leases: lease(v6("2001:db8:a:b::6")), ..Association::new(8) };
    let associations = [Dhcp6Option::Addresses(address), Dhcp6Option::Addresses(other)];
    let us = [Dhcp6Option::Server(Duid::link_layer(HOST))];
    let direct = (1..=11).map(|kind| match kind {
        kind::SOLICIT | kind::CONFIRM | kind::REBIND => message(kind, &associations),
        kind::INFORMATION_REQUEST => message(kind, &us),
        _ => message(kind, &[&us[..], &associations].concat()),
    });
    let direct: Vec<_> = direct.map(Dhcp6::Direct).collect();
    let relayed = direct.iter().map(|message| message.clone().relayed(kind::RELAY_FORWARD, guest(), guest()));
    let relayed: Vec<_> = relayed.collect();
    let looked_for = ["2001:db8:a:b::1", "2001:db8:a:b::5", "fe80::fc00:ff:fe00:1"].map(v6);
    let solicitations = looked_for.into_iter().flat_map(|target| {
        [NOBODY, guest()].map(|source| nd_packet(source, nd::solicited_node(target), &Nd::solicitation(target), &[]))
    });
    direct.iter().chain(&relayed).map(dhcp6_packet).chain(solicitations).collect()
}

fn fuzzed(settings: &Settings) -> fuzz::Outcomes {
    let seeds = [fuzz::seeds(SCAPY), fuzz::seeds(FOUND), honest()].concat();
    fuzz::fuzz(&seeds, |packet| repair(packet), |packet| judge(packet, settings))
}

#[test]
fn whatever_comes_in_is_answered_rightly_or_not_at_all() {
    let outcomes = fuzzed(&with_mode(Mode::Auto));
    for must in [
        "router advertisement",
        "neighbour advertisement",
        "advertise",
        "reply to request",
        "reply to confirm",
        "reply to renew",
        "reply to rebind",
        "reply to release",
        "reply to decline",
        "an address of its own",
        "reply to solicit",
        "reply to information-request",
        "ND: hop limit is not 255",
        "ND: an option of no length",
        "DHCPv6: cut short",
        "DHCPv6: an option cut short",
    ] {
        assert!(outcomes.contains_key(must), "{must} never came: {outcomes:?}");
    }
}

#[test]
fn with_compat_too() {
    let outcomes = fuzzed(&Settings { compat: true, ..with_mode(Mode::Dhcp) });
    assert!(outcomes.contains_key("router advertisement"), "{outcomes:?}");
}
