//! Options that are truncated, longer than what is there, of no length, in each other: refused for what is wrong.

use super::setting::*;
use instances::net::Mac;
use instances::packet::dhcp6::{self, kind};
use instances::packet::ipv6::Ipv6;
use instances::packet::{Segment, Udp};
use instances::plan::responder::{Decision, Declined, dhcp6 as responder, neighbor, router};
use std::time::Instant;

/// A message of this kind with these octets behind its transaction.
fn decide_dhcp6(kind: u8, options: &[u8]) -> Decision {
    let message = [&[kind, 0, 0, 1], options].concat();
    let packet = Ipv6::new(guest(), SERVERS).packet(&Udp::new(dhcp6::CLIENT, dhcp6::SERVER, message).segment());
    responder::answer(&packet, GUEST, &client(&binding()), &settings(), &mut Declined::default(), Instant::now())
}

fn decide_rs(options: &[u8]) -> Decision {
    let message = Segment::icmpv6(133, 0, &[&[0; 4], options].concat());
    let packet = Ipv6::neighbor_discovery(guest(), ROUTERS).packet(&message);
    router::answer(&packet, GUEST, &client(&binding()), &settings())
}

fn decide_ns(options: &[u8]) -> Decision {
    let target = v6("2001:db8:a:b::1");
    let message = Segment::icmpv6(135, 0, &[&[0; 4], &target.octets()[..], options].concat());
    let packet = Ipv6::neighbor_discovery(guest(), target).packet(&message);
    neighbor::answer(&packet, GUEST, &client(&binding()), &settings(), &|_| false)
}

const CLIENT: [u8; 14] = [0, 1, 0, 10, 0, 3, 0, 1, 0xaa, 0, 0, 0, 0, 1];

#[test]
fn neighbor_discoverys_options_of_no_length_do_not_loop() {
    let Mac(mac) = GUEST;
    let own = [&[1, 1], &mac[..]].concat();
    let none = [1, 0, 0, 0, 0, 0, 0, 0];
    for decide in [decide_rs, decide_ns] {
        assert!(matches!(decide(&own), Decision::Reply { .. }));
        assert!(matches!(decide(&[]), Decision::Reply { .. }));
        for options in [&none[..], &[&own[..], &none].concat(), &[99, 0, 0, 0, 0, 0, 0, 0], &[0; 800]] {
            assert_eq!(decide(options), Decision::Silence("ND: an option of no length"), "{options:?}");
        }
        for length in 1..own.len() {
            assert_eq!(decide(&own[..length]), Decision::Silence("ND: cut short"), "{length}");
        }
        assert_eq!(decide(&[1, 2, 0, 0, 0, 0, 0, 0]), Decision::Silence("ND: cut short"));
        assert_eq!(decide(&[1, 255, 0, 0, 0, 0, 0, 0]), Decision::Silence("ND: cut short"));
        // Options that nobody knows are skipped, however long they are.
        let unknown = [&[200, 100], &[0xff; 798][..], &own].concat();
        assert!(matches!(decide(&unknown), Decision::Reply { .. }));
    }
}

#[test]
fn dhcpv6_options_that_are_cut_off_or_too_long_are_refused() {
    assert!(matches!(decide_dhcp6(kind::INFORMATION_REQUEST, &CLIENT), Decision::Reply { .. }));
    for length in 1..CLIENT.len() {
        let decision = decide_dhcp6(kind::INFORMATION_REQUEST, &CLIENT[..length]);
        assert_eq!(decision, Decision::Silence("DHCPv6: cut short"), "{length}");
    }
    for (option, reason) in [
        (&[0, 1, 0xff, 0xff, 1][..], "DHCPv6: cut short"),
        (&CLIENT, "DHCPv6: an option twice that stands once"),
        (&[0, 6, 0, 3, 0, 23, 0], "DHCPv6: an option cut short"),
        (&[0, 2, 0, 0], "DHCPv6: a DUID of a wrong length"),
        (&[0, 9, 0, 0], "DHCPv6: a relayed message in one that is not relayed"),
    ] {
        let decision = decide_dhcp6(kind::INFORMATION_REQUEST, &[&CLIENT, option].concat());
        assert_eq!(decision, Decision::Silence(reason), "{option:?}");
    }
    // A DUID has 130 octets at most (RFC 8415, section 11.1).
    let long = [&[0, 1, 0, 131], &[7; 131][..]].concat();
    let decision = decide_dhcp6(kind::INFORMATION_REQUEST, &long);
    assert_eq!(decision, Decision::Silence("DHCPv6: a DUID of a wrong length"));
}

#[test]
fn dhcpv6_associations_in_each_other_are_refused() {
    let mut nested: Vec<u8> = Vec::new();
    for _ in 0..40 {
        let inner = u16::try_from(nested.len() + 12).unwrap().to_be_bytes();
        nested = [&[0, 3], &inner[..], &[0; 12], &nested].concat();
    }
    let decision = decide_dhcp6(kind::SOLICIT, &[&CLIENT[..], &nested].concat());
    assert_eq!(decision, Decision::Silence("DHCPv6: an association in another one"));
}

#[test]
fn messages_that_are_relayed_in_circles_are_refused() {
    let mut message = [&[kind::INFORMATION_REQUEST, 0, 0, 1], &CLIENT[..]].concat();
    let decide = |message: &[u8]| {
        let packet = Ipv6::new(guest(), SERVERS).packet(&Udp::new(dhcp6::SERVER, dhcp6::SERVER, message).segment());
        responder::answer(&packet, GUEST, &client(&binding()), &settings(), &mut Declined::default(), Instant::now())
    };
    for depth in 1..=30_u8 {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        message = [&[kind::RELAY_FORWARD, depth], &[0; 32][..], &[0, 9], &length, &message].concat();
        let decision = decide(&message);
        match depth {
            1..=8 => assert!(matches!(decision, Decision::Reply { .. }), "{depth}: {decision:?}"),
            _ => assert_eq!(decision, Decision::Silence("DHCPv6: relayed too often"), "{depth}"),
        }
    }
}
