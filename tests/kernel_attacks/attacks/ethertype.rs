//! Frames that are neither IP nor ARP.

use super::{broadcast, unicast};
use crate::case::Case;
use crate::who::{ATTACKER, NEIGHBOUR, Who};
use instances::packet::{Arp, ether_type};

/// An ether type with something in it; whoever speaks the protocol gets it.
macro_rules! of_type {
    ($name:literal, $reference:literal, $ether_type:expr, $payload:expr) => {
        Case::ignored($name, $reference, |to| vec![unicast(to).frame($ether_type, $payload)])
    };
}

/// SNAP in LLC, with an ether type of its own (RFC 1042).
fn snap(to: &Who, ether_type: u16, payload: &[u8]) -> Vec<Vec<u8>> {
    let header = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ether_type.to_be_bytes()].concat();
    vec![unicast(to).length_frame(&[&header[..], payload].concat())]
}

pub fn cases() -> Vec<Case> {
    vec![
        of_type!("LLDP", "802.1AB; CVE-2020-27827", ether_type::LLDP, &[2, 7, 4, 2, 0, 0, 0, 0, 10]),
        of_type!("PPPoE offer", "RFC 2516, 9", ether_type::PPPOE_DISCOVERY, &[0x11, 0x07, 0, 0, 0, 0]),
        of_type!("PPPoE session", "RFC 2516", ether_type::PPPOE_SESSION, &[0x11, 0, 0, 1, 0, 2, 0, 0x21]),
        of_type!("MPLS", "RFC 3032", ether_type::MPLS, &[0, 1, 0x11, 64, 0x45, 0, 0, 20]),
        of_type!("IPX", "RFC 1132", ether_type::IPX, &[0xff, 0xff, 0, 30]),
        of_type!("loopback test", "DIX Ethernet, 8", ether_type::LOOPBACK, &[0, 0, 1, 0]),
        of_type!("EAPOL", "802.1X", ether_type::EAPOL, &[2, 1, 0, 0]),
        of_type!("RARP reply", "RFC 903", ether_type::RARP, &[0, 1, 8, 0, 6, 4, 0, 4]),
        of_type!("MACsec", "802.1AE", 0x88e5, &[0; 16]),
        of_type!("precision time", "IEEE 1588; RFC 7384", 0x88f7, &[0x00, 2, 0, 44]),
        of_type!("PROFINET", "IEC 61158", 0x8892, &[0xfe, 0xfe]),
        of_type!("ATA over Ethernet", "AoE; CVE-2023-6270", 0x88a2, &[0x10; 24]),
        of_type!("wake on LAN", "AMD 20213", 0x0842, &[0xff; 46]),
        of_type!("batman-adv", "batman-adv", 0x4305, &[0; 32]),
        of_type!("an experimental ether type", "802, 9.2.3", ether_type::EXPERIMENT, &[0; 4]),
        Case::ignored("spanning tree, not to its group", "802.1D", |_| {
            let bpdu = [&[0x42, 0x42, 3, 0, 0, 0, 0, 0][..], &[0; 30]].concat();
            vec![broadcast().length_frame(&bpdu)]
        }),
        Case::ignored("raw 802.3", "802.3", |to| vec![unicast(to).length_frame(&[0xff; 30])]),
        Case::ignored("ARP in SNAP", "RFC 1042; CVE-2021-27861", |to| {
            let lie = Arp::reply((ATTACKER.mac, NEIGHBOUR.v4), (to.mac, to.v4));
            snap(to, ether_type::ARP, &lie.packet())
        }),
        Case::ignored("IPv4 in SNAP", "RFC 1042", |to| snap(to, ether_type::IPV4, &[0x45, 0, 0, 20])),
        Case::ignored("a VLAN tag in SNAP", "CVE-2021-27853; CVE-2021-27861", |to| {
            snap(to, ether_type::VLAN, &[0, 0, 8, 6])
        }),
    ]
}
