//! An ARP packet names an address that is not the sender's, or a MAC.

use super::{arp, broadcast, unicast};
use crate::case::{Case, Judge::Neighbours};
use crate::who::{ATTACKER, NEIGHBOUR, NOBODY, ROUTER, Who};
use instances::net::Mac;
use instances::packet::arp::operation;
use instances::packet::{Arp, Ethernet, ether_type};
use std::net::Ipv4Addr;

/// "The neighbour's address is at my MAC."
const LIE: (Mac, Ipv4Addr) = (ATTACKER.mac, NEIGHBOUR.v4);
const TRUTH: (Mac, Ipv4Addr) = (ATTACKER.mac, ATTACKER.v4);

fn of(to: &Who) -> (Mac, Ipv4Addr) {
    (to.mac, to.v4)
}

/// A lie in reply, changed.
fn reply(to: &Who, change: impl FnOnce(&mut Arp)) -> Vec<Vec<u8>> {
    let mut lie = Arp::reply(LIE, of(to));
    change(&mut lie);
    arp(&unicast(to), &lie)
}

pub fn cases() -> Vec<Case> {
    [claims(), hardware_addresses(), odd_packets()].into_iter().flatten().collect()
}

fn claims() -> Vec<Case> {
    vec![
        Case::attack("reply claims the neighbour's address", "RFC 826; CVE-1999-0667", Neighbours, |to| {
            reply(to, |_| {})
        }),
        Case::attack("request claims the neighbour's address", "RFC 826; CVE-1999-0667", Neighbours, |to| {
            arp(&broadcast(), &Arp::request(LIE, to.v4))
        }),
        Case::attack("request to the victim alone", "RFC 826", Neighbours, |to| {
            arp(&unicast(to), &Arp::request(LIE, to.v4))
        }),
        Case::attack("gratuitous request", "RFC 5227, section 2.3", Neighbours, |_| {
            arp(&broadcast(), &Arp::announcement(LIE))
        }),
        Case::attack("gratuitous reply", "RFC 5227, section 3", Neighbours, |_| {
            arp(&broadcast(), &Arp::reply(LIE, (Ethernet::BROADCAST, NEIGHBOUR.v4)))
        }),
        Case::attack("reply claims the router's address", "CVE-1999-0667", Neighbours, |to| {
            arp(&unicast(to), &Arp::reply((ATTACKER.mac, ROUTER.v4), of(to)))
        }),
        Case::attack("request claims an address of nobody", "RFC 826", Neighbours, |to| {
            arp(&unicast(to), &Arp::request((ATTACKER.mac, Ipv4Addr::new(10, 0, 0, 99)), to.v4))
        }),
        Case::ignored("announcement of the victim's own address", "RFC 5227, section 2.4", |to| {
            arp(&broadcast(), &Arp::announcement((ATTACKER.mac, to.v4)))
        }),
        Case::ignored("probe for the victim's own address", "RFC 5227, section 2.1.1", |to| {
            arp(&broadcast(), &Arp::probe(ATTACKER.mac, to.v4))
        }),
        Case::ignored("reply from 0.0.0.0", "RFC 5227, section 1.1", |to| {
            arp(&unicast(to), &Arp::reply((ATTACKER.mac, Ipv4Addr::UNSPECIFIED), of(to)))
        }),
        Case::ignored("request from a multicast address", "RFC 1122, section 3.2.1.3", |to| {
            arp(&unicast(to), &Arp::request((ATTACKER.mac, Ipv4Addr::new(224, 0, 0, 1)), to.v4))
        }),
    ]
}

fn hardware_addresses() -> Vec<Case> {
    vec![
        Case::attack("own address at a MAC of nobody", "RFC 826; OVN port security", Neighbours, |to| {
            arp(&unicast(to), &Arp::request((NOBODY, ATTACKER.v4), to.v4))
        }),
        Case::attack("own address at the neighbour's MAC", "OVN port security", Neighbours, |to| {
            arp(&unicast(to), &Arp::request((NEIGHBOUR.mac, ATTACKER.v4), to.v4))
        }),
        Case::attack("own address at the broadcast MAC", "RFC 1812, section 3.3.2", Neighbours, |to| {
            arp(&unicast(to), &Arp::request((Ethernet::BROADCAST, ATTACKER.v4), to.v4))
        }),
        Case::attack("neighbour's MAC in Ethernet, own inside", "CVE-1999-0667", Neighbours, |to| {
            arp(&Ethernet::new(to.mac, NEIGHBOUR.mac), &Arp::reply(LIE, of(to)))
        }),
        Case::attack("a MAC of nobody in Ethernet, own inside", "CVE-1999-0667", Neighbours, |to| {
            arp(&Ethernet::new(to.mac, NOBODY), &Arp::reply(LIE, of(to)))
        }),
        Case::attack("a MAC of nobody in both", "CVE-1999-0667", Neighbours, |to| {
            arp(&Ethernet::new(to.mac, NOBODY), &Arp::reply((NOBODY, NEIGHBOUR.v4), of(to)))
        }),
        Case::attack("own address, hardware type 6", "Linux, arp_process; RFC 5494", Neighbours, |to| {
            arp(&unicast(to), &Arp { hardware: 6, ..Arp::request((NOBODY, ATTACKER.v4), to.v4) })
        }),
    ]
}

fn odd_packets() -> Vec<Case> {
    vec![
        Case::attack("hardware type 6, IEEE 802", "Linux, arp_process; RFC 5494", Neighbours, |to| {
            reply(to, |lie| lie.hardware = 6)
        }),
        Case::ignored("hardware type 15, frame relay", "RFC 5494", |to| reply(to, |lie| lie.hardware = 15)),
        Case::ignored("protocol type IPv6", "RFC 826", |to| reply(to, |lie| lie.protocol = ether_type::IPV6)),
        Case::ignored("protocol addresses of 16 octets", "RFC 826", |to| {
            reply(to, |lie| lie.sender_ip = NEIGHBOUR.v6.octets().to_vec())
        }),
        Case::ignored("hardware addresses said to be 8 octets", "RFC 826", |to| {
            reply(to, |lie| lie.lengths = Some((8, 4)))
        }),
        Case::ignored("protocol addresses said to be none", "RFC 826", |to| {
            reply(to, |lie| lie.lengths = Some((6, 0)))
        }),
        Case::ignored("operation RARP reply", "RFC 903", |to| {
            reply(to, |lie| lie.operation = operation::REVERSE_REPLY)
        }),
        Case::ignored("operation InARP reply", "RFC 2390", |to| {
            reply(to, |lie| lie.operation = operation::INVERSE_REPLY)
        }),
        Case::ignored("operation 0", "RFC 5494", |to| reply(to, |lie| lie.operation = 0)),
        Case::ignored("own address, operation 0x0102", "RFC 5494", |to| {
            arp(&unicast(to), &Arp::new(0x0102, TRUTH, of(to)))
        }),
    ]
}
