//! A guest says that it is a router, or that the router is none.

use super::{ALL_NODES, datagram, ipv6_to, unicast};
use crate::case::Judge::{AdvertisedAddress, AdvertisedRoute, Sysctl};
use crate::case::{Case, EVIL_PREFIX};
use crate::who::{ATTACKER, NEIGHBOUR, ROUTER, Who};
use instances::packet::nd::{Nd, NdOption};
use instances::packet::{Ipv4, Ipv6, ether_type};
use std::net::Ipv6Addr;

fn advertise(to: &Who, source: Ipv6Addr, lifetime: u16, options: &[NdOption]) -> Vec<Vec<u8>> {
    let ip = Ipv6::neighbor_discovery(source, ALL_NODES);
    ipv6_to(to, &ip, &Nd::router_advertisement(lifetime).segment(options))
}

fn prefix() -> NdOption {
    NdOption::PrefixInformation {
        prefix: EVIL_PREFIX.parse().unwrap(),
        length: 64,
        flags: 0xc0,
        lifetimes: (3600, 3600),
    }
}

/// An ICMP message of this type, from the attacker's own address.
fn icmp(to: &Who, kind: u8) -> Vec<Vec<u8>> {
    const PROTOCOL: usize = 9;
    const MESSAGE: usize = 20;
    let mut packet = Ipv4::new(ATTACKER.v4, to.v4).packet(&datagram());
    packet[PROTOCOL] = 1;
    packet[MESSAGE] = kind;
    vec![unicast(to).frame(ether_type::IPV4, &packet)]
}

pub fn cases() -> Vec<Case> {
    vec![
        Case::attack("a default router", "RFC 6104; RFC 6105", AdvertisedRoute, |to| {
            advertise(to, ATTACKER.lla, 1800, &[NdOption::SourceLinkLayer(ATTACKER.mac)])
        }),
        Case::attack("a default router, without options", "RFC 6105", AdvertisedRoute, |to| {
            advertise(to, ATTACKER.lla, 1800, &[])
        }),
        Case::attack("a default router of high preference", "RFC 4191", AdvertisedRoute, |to| {
            let message = Nd::RouterAdvertisement { hop_limit: 64, flags: 0x08, lifetime: 1800, timers: (0, 0) };
            ipv6_to(to, &Ipv6::neighbor_discovery(ATTACKER.lla, ALL_NODES), &message.segment(&[]))
        }),
        Case::attack("a default router, told to one machine", "RFC 6104", AdvertisedRoute, |to| {
            let ip = Ipv6::neighbor_discovery(ATTACKER.lla, to.lla);
            ipv6_to(to, &ip, &Nd::router_advertisement(1800).segment(&[]))
        }),
        Case::attack("the neighbour as default router", "RFC 6104", AdvertisedRoute, |to| {
            advertise(to, NEIGHBOUR.lla, 1800, &[])
        }),
        Case::attack("a prefix for addresses", "RFC 4862, 5.5.3; RFC 6104", AdvertisedAddress, |to| {
            advertise(to, ATTACKER.lla, 0, &[prefix()])
        }),
        Case::attack("a smaller MTU", "RFC 4861, 6.3.4", Sysctl("mtu", "1280"), |to| {
            advertise(to, ATTACKER.lla, 0, &[NdOption::Mtu(1280)])
        }),
        Case::ignored("ICMP router advertisement", "RFC 1256, 7", |to| icmp(to, 9)),
        Case::ignored("ICMP redirect", "RFC 1122, 3.2.2.2", |to| icmp(to, 5)),
        Case::ignored("a name server", "RFC 8106, 7", |to| {
            advertise(to, ATTACKER.lla, 0, &[NdOption::RecursiveDns(600, vec![ATTACKER.v6])])
        }),
        Case::ignored("a route", "RFC 4191", |to| {
            let prefix = EVIL_PREFIX.parse().unwrap();
            let route = NdOption::RouteInformation { prefix, length: 64, preference: 0, lifetime: 600 };
            advertise(to, ATTACKER.lla, 0, &[route])
        }),
        Case::ignored("the router is none, in its name", "RFC 3756, 4.2.2", |to| advertise(to, ROUTER.lla, 0, &[])),
        Case::ignored("from an address that is not link-local", "RFC 4861, 6.1.2", |to| {
            advertise(to, ATTACKER.v6, 1800, &[])
        }),
    ]
}
