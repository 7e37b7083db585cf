//! A frame's Ethernet source is not the sender's: the bridge learns it before most hooks see the frame, and from then on
//! sends there what is meant for somebody else.

use super::{arp, broadcast, datagram, ipv4, ipv6, unicast};
use crate::case::{Case, Judge::Learned};
use crate::who::{ATTACKER, HOST, NEIGHBOUR, NOBODY, ROUTER, STRANGER, VICTIM, VIRTUAL_ROUTER, Who};
use instances::net::Mac;
use instances::packet::{Arp, Ethernet, Ipv4, Ipv6, Tag};

/// A datagram from the attacker's address and this MAC.
fn from(source: Mac, to: &Who) -> Vec<Vec<u8>> {
    ipv4(&Ethernet { source, ..unicast(to) }, &Ipv4::new(ATTACKER.v4, to.v4), &datagram())
}

/// One of the case's name, judged at the host: it is its bridge that is deceived.
fn stolen(name: &'static str, reference: &'static str, mac: Mac, frames: fn(&Who) -> Vec<Vec<u8>>) -> Case {
    Case::attack(name, reference, Learned(mac), frames).to(&[HOST])
}

/// True IPv4 of the neighbour to one of the groups that bridges keep for themselves.
fn group(last: u8) -> Vec<Vec<u8>> {
    let header = Ethernet::new(Mac([0x01, 0x80, 0xc2, 0, 0, last]), NEIGHBOUR.mac);
    ipv4(&header, &Ipv4::new(NEIGHBOUR.v4, HOST.v4), &datagram())
}

pub fn cases() -> Vec<Case> {
    vec![
        stolen("IPv4 from the neighbour's MAC", "Catalyst port security", NEIGHBOUR.mac, |to| from(NEIGHBOUR.mac, to)),
        stolen("IPv4 from the victim's MAC", "Catalyst port security", VICTIM.mac, |to| from(VICTIM.mac, to)),
        stolen("IPv4 from the router's MAC", "Catalyst port security", ROUTER.mac, |to| from(ROUTER.mac, to)),
        stolen("IPv4 from a virtual router's MAC", "RFC 9568, 9", VIRTUAL_ROUTER, |to| from(VIRTUAL_ROUTER, to)),
        stolen("true IPv4 of the neighbour, from its MAC", "libvirt: no-mac-spoofing", NEIGHBOUR.mac, |to| {
            let header = Ethernet { source: NEIGHBOUR.mac, ..unicast(to) };
            ipv4(&header, &Ipv4::new(NEIGHBOUR.v4, to.v4), &datagram())
        }),
        stolen("true ARP of the neighbour, from its MAC", "libvirt: no-mac-spoofing", NEIGHBOUR.mac, |_| {
            let header = Ethernet { source: NEIGHBOUR.mac, ..broadcast() };
            arp(&header, &Arp::announcement((NEIGHBOUR.mac, NEIGHBOUR.v4)))
        }),
        stolen("true IPv6 of the neighbour, from its MAC", "libvirt: no-mac-spoofing", NEIGHBOUR.mac, |to| {
            let header = Ethernet { source: NEIGHBOUR.mac, ..unicast(to) };
            ipv6(&header, &Ipv6::new(NEIGHBOUR.v6, to.v6), &datagram())
        }),
        stolen("802.3 frame from the neighbour's MAC", "802.2", NEIGHBOUR.mac, |to| {
            vec![Ethernet { source: NEIGHBOUR.mac, ..unicast(to) }.length_frame(&[0xaa, 0xaa, 3])]
        }),
        stolen("tagged frame from the neighbour's MAC", "802.1Q", NEIGHBOUR.mac, |to| {
            let header = Ethernet { source: NEIGHBOUR.mac, ..unicast(to) }.tagged(Tag::vlan(0));
            ipv4(&header, &Ipv4::new(ATTACKER.v4, to.v4), &datagram())
        }),
        stolen("LACP's group, from the neighbour's MAC", "802.1Q, table 8-1", NEIGHBOUR.mac, |_| group(2)),
        stolen("LLDP's group, from the neighbour's MAC", "802.1Q, table 8-1", NEIGHBOUR.mac, |_| group(0xe)),
        stolen("a MAC of nobody: flooding the table", "macof; RFC 7513", NOBODY, |to| from(NOBODY, to)),
        stolen("the stranger's MAC", "libvirt: no-mac-spoofing", STRANGER.mac, |to| from(STRANGER.mac, to)),
    ]
}
