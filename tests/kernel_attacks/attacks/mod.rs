//! The attacks, a file for each protection.

mod arp;
mod dhcp4;
mod dhcp6;
mod ethertype;
mod exthdr;
mod mac;
mod nd;
mod query;
mod ra;
mod source;
mod vlan;

use crate::case::Case;
use crate::lab::APPLICATION;
use crate::who::{ATTACKER, Who};
use instances::packet::nd::multicast_mac;
use instances::packet::{Arp, Ethernet, Ipv4, Ipv6, Segment, Udp, ether_type};
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// All of them, by protection.
pub fn all() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("arp", arp::cases()),
        ("nd", nd::cases()),
        ("source", source::cases()),
        ("mac", mac::cases()),
        ("ra", ra::cases()),
        ("dhcp4", dhcp4::cases()),
        ("dhcp6", dhcp6::cases()),
        ("query", query::cases()),
        ("ethertype", ethertype::cases()),
        ("vlan", vlan::cases()),
        ("exthdr", exthdr::cases()),
    ]
}

pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// From the attacker's own MAC to one machine.
pub fn unicast(to: &Who) -> Ethernet {
    Ethernet::new(to.mac, ATTACKER.mac)
}

pub fn broadcast() -> Ethernet {
    Ethernet::new(Ethernet::BROADCAST, ATTACKER.mac)
}

pub fn arp(header: &Ethernet, arp: &Arp) -> Vec<Vec<u8>> {
    vec![header.frame(ether_type::ARP, &arp.packet())]
}

pub fn ipv4(header: &Ethernet, ip: &Ipv4, segment: &Segment) -> Vec<Vec<u8>> {
    vec![header.frame(ether_type::IPV4, &ip.packet(segment))]
}

pub fn ipv6(header: &Ethernet, ip: &Ipv6, segment: &Segment) -> Vec<Vec<u8>> {
    vec![header.frame(ether_type::IPV6, &ip.packet(segment))]
}

/// One that no packet had before. Else the receiver might join fragments with what is left of others.
pub fn identification() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

pub fn fragments4(ip: &Ipv4, segment: &Segment, cuts: &[usize]) -> Vec<Vec<u8>> {
    Ipv4 { identification: identification() as u16, ..ip.clone() }.fragments(segment, cuts)
}

pub fn fragments6(ip: &Ipv6, unfragmentable: usize, segment: &Segment, cuts: &[usize]) -> Vec<Vec<u8>> {
    ip.fragments(unfragmentable, segment, identification(), cuts)
}

/// Each of these packets in a frame of its own.
pub fn frames(header: &Ethernet, ether_type: u16, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| header.frame(ether_type, packet)).collect()
}

/// An IPv6 packet from the attacker's own MAC to wherever its destination is.
pub fn ipv6_to(to: &Who, ip: &Ipv6, segment: &Segment) -> Vec<Vec<u8>> {
    let mac = if ip.destination.is_multicast() { multicast_mac(ip.destination) } else { to.mac };
    ipv6(&Ethernet::new(mac, ATTACKER.mac), ip, segment)
}

/// A datagram that any program might send.
pub fn datagram() -> Segment {
    Udp::new(APPLICATION, APPLICATION, *b"Whoever reads this believes who sent it.").segment()
}
