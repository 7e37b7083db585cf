//! A guest is a multicast router: the bridge sends it all that is meant for groups, and believes its queries.

use super::{ALL_NODES, ipv4, ipv6_to};
use crate::case::{Case, Judge::Arrival, Judge::MulticastRouter};
use crate::who::{ATTACKER, HOST, NEIGHBOUR, Who};
use instances::packet::igmp::{self, Igmp};
use instances::packet::ipv4::ROUTER_ALERT;
use instances::packet::mld::Mld;
use instances::packet::{Ethernet, Extension, Ipv4, Ipv6, Segment};
use std::net::{Ipv4Addr, Ipv6Addr};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

fn to_group(source: Ipv4Addr, group: Ipv4Addr, options: &[u8], segment: &Segment) -> Vec<Vec<u8>> {
    let ip = Ipv4 { ttl: 1, options: options.to_vec(), ..Ipv4::new(source, group) };
    ipv4(&Ethernet::new(igmp::multicast_mac(group), ATTACKER.mac), &ip, segment)
}

fn query(message: &Igmp) -> Vec<Vec<u8>> {
    to_group(ATTACKER.v4, ALL_SYSTEMS, &ROUTER_ALERT, &message.segment())
}

fn listener_query(to: &Who, message: &Mld) -> Vec<Vec<u8>> {
    ipv6_to(to, &Ipv6::mld(ATTACKER.lla, ALL_NODES), &message.segment())
}

const fn router(name: &'static str, reference: &'static str, frames: fn(&Who) -> Vec<Vec<u8>>) -> Case {
    Case::attack(name, reference, MulticastRouter, frames).to(&[HOST])
}

pub fn cases() -> Vec<Case> {
    [version_4(), version_6()].into_iter().flatten().collect()
}

fn version_4() -> Vec<Case> {
    vec![
        router("IGMPv1 query", "RFC 1112; RFC 4541, 2.1.1", |_| query(&Igmp::QueryV1)),
        router("IGMPv2 query", "RFC 2236, 10; RFC 4541", |_| query(&Igmp::QueryV2(Ipv4Addr::UNSPECIFIED))),
        router("IGMPv3 query", "RFC 9776, 9.1; RFC 4541", |_| query(&Igmp::QueryV3(Ipv4Addr::UNSPECIFIED))),
        router("IGMPv2 query without router alert", "RFC 2236", |_| {
            to_group(ATTACKER.v4, ALL_SYSTEMS, &[], &Igmp::QueryV2(Ipv4Addr::UNSPECIFIED).segment())
        }),
        Case::ignored("IGMPv2 query for one group", "RFC 2236", |_| {
            to_group(ATTACKER.v4, GROUP, &ROUTER_ALERT, &Igmp::QueryV2(GROUP).segment())
        }),
        Case::ignored("IGMPv3 query from 0.0.0.0", "RFC 4541, 2.1.1", |_| {
            let segment = Igmp::QueryV3(Ipv4Addr::UNSPECIFIED).segment();
            to_group(Ipv4Addr::UNSPECIFIED, ALL_SYSTEMS, &ROUTER_ALERT, &segment)
        }),
        // The bridge has heard queries from lower addresses and takes no others: RFC 9776, section 6.6.2.
        Case::attack("IGMPv3 query from the neighbour's address", "RFC 9776, 9.1", Arrival, |_| {
            let segment = Igmp::QueryV3(Ipv4Addr::UNSPECIFIED).segment();
            to_group(NEIGHBOUR.v4, ALL_SYSTEMS, &ROUTER_ALERT, &segment)
        }),
        router("multicast router advertisement", "RFC 4286", |_| {
            let segment = Segment { protocol: 2, ..Segment::icmpv4(0x30, 20, &[0, 125, 0, 2]) };
            to_group(ATTACKER.v4, Ipv4Addr::new(224, 0, 0, 106), &ROUTER_ALERT, &segment)
        }),
        router("PIM hello", "RFC 7761, 4.9.2; RFC 4541", |_| {
            let segment = Segment { protocol: 103, ..Segment::icmpv4(0x20, 0, &[0, 1, 0, 2, 0, 105]) };
            to_group(ATTACKER.v4, Ipv4Addr::new(224, 0, 0, 13), &[], &segment)
        }),
    ]
}

fn version_6() -> Vec<Case> {
    vec![
        router("MLDv1 query", "RFC 2710; RFC 4541, 3", |to| listener_query(to, &Mld::QueryV1(Ipv6Addr::UNSPECIFIED))),
        router("MLDv2 query", "RFC 9777, 10.1; RFC 4541, 3", |to| {
            listener_query(to, &Mld::QueryV2(Ipv6Addr::UNSPECIFIED))
        }),
        Case::ignored("MLDv2 query without router alert", "RFC 9777, 5.1.14", |to| {
            let ip = Ipv6 { hop_limit: 1, ..Ipv6::new(ATTACKER.lla, ALL_NODES) };
            ipv6_to(to, &ip, &Mld::QueryV2(Ipv6Addr::UNSPECIFIED).segment())
        }),
        Case::ignored("MLDv2 query behind destination options", "RFC 9777, 5", |to| {
            let ip = Ipv6::mld(ATTACKER.lla, ALL_NODES).with(Extension::empty_destination_options());
            ipv6_to(to, &ip, &Mld::QueryV2(Ipv6Addr::UNSPECIFIED).segment())
        }),
        Case::ignored("MLDv2 query in an atomic fragment", "RFC 6980", |to| {
            let ip = Ipv6::mld(ATTACKER.lla, ALL_NODES).with(Extension::atomic_fragment());
            ipv6_to(to, &ip, &Mld::QueryV2(Ipv6Addr::UNSPECIFIED).segment())
        }),
        router("multicast router advertisement, IPv6", "RFC 4286", |to| {
            let ip = Ipv6::mld(ATTACKER.lla, "ff02::6a".parse().unwrap());
            ipv6_to(to, &ip, &Segment::icmpv6(151, 20, &[0, 125, 0, 2]))
        }),
    ]
}
