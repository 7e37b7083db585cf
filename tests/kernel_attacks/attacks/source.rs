//! An IP packet says to be from an address that is not the sender's.

use super::{ALL_NODES, broadcast, datagram, fragments4, fragments6, frames, ipv4, ipv6_to, unicast};
use crate::case::{Case, Judge::Socket};
use crate::lab::APPLICATION;
use crate::who::{ATTACKER, NEIGHBOUR, ROUTER, VICTIM, Who};
use instances::packet::dhcp6::{CLIENT, Dhcp6, SERVER, kind};
use instances::packet::igmp::{self, Igmp};
use instances::packet::ipv4::ROUTER_ALERT;
use instances::packet::mld::Mld;
use instances::packet::nd::Nd;
use instances::packet::{Ethernet, Extension, Ipv4, Ipv6, Segment, ether_type};
use std::net::{Ipv4Addr, Ipv6Addr};

const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ARRIVES: crate::case::Judge = Socket(APPLICATION);

fn from4(to: &Who, source: Ipv4Addr) -> Vec<Vec<u8>> {
    ipv4(&unicast(to), &Ipv4::new(source, to.v4), &datagram())
}

fn from6(to: &Who, source: impl Into<Ipv6Addr>) -> Vec<Vec<u8>> {
    ipv6_to(to, &Ipv6::new(source.into(), to.v6), &datagram())
}

fn behind(to: &Who, extension: Extension) -> Vec<Vec<u8>> {
    ipv6_to(to, &Ipv6::new(NEIGHBOUR.v6, to.v6).with(extension), &datagram())
}

pub fn cases() -> Vec<Case> {
    [version_4(), version_4_odd(), version_6(), version_6_odd()].into_iter().flatten().collect()
}

fn version_4() -> Vec<Case> {
    vec![
        Case::attack("UDP from the neighbour's IPv4 address", "RFC 2827", ARRIVES, |to| from4(to, NEIGHBOUR.v4)),
        Case::attack("UDP from the router's IPv4 address", "RFC 2827", ARRIVES, |to| from4(to, ROUTER.v4)),
        Case::attack("UDP from an IPv4 address elsewhere", "RFC 2827; RFC 3704", ARRIVES, |to| {
            from4(to, Ipv4Addr::new(198, 51, 100, 1))
        }),
        Case::attack("IPv4 with options, from the neighbour's", "RFC 791; RFC 7126", ARRIVES, |to| {
            let ip = Ipv4 { options: vec![1; 8], ..Ipv4::new(NEIGHBOUR.v4, to.v4) };
            ipv4(&unicast(to), &ip, &datagram())
        }),
        Case::attack("IPv4 in fragments, from the neighbour's", "RFC 1858", ARRIVES, |to| {
            let packets = fragments4(&Ipv4::new(NEIGHBOUR.v4, to.v4), &datagram(), &[8, 24]);
            frames(&unicast(to), ether_type::IPV4, &packets)
        }),
        Case::attack("broadcast from 0.0.0.0 that is no DHCP", "RFC 1122, 3.2.1.3", ARRIVES, |_| {
            ipv4(&broadcast(), &Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST), &datagram())
        }),
    ]
}

fn version_4_odd() -> Vec<Case> {
    vec![
        Case::ignored("one machine hears from 0.0.0.0", "RFC 1122, 3.2.1.3", |to| from4(to, Ipv4Addr::UNSPECIFIED)),
        Case::ignored("from 127.0.0.1", "RFC 1122, 3.2.1.3; CVE-2020-8558", |to| from4(to, Ipv4Addr::LOCALHOST)),
        Case::ignored("from the broadcast address", "RFC 1122, 3.2.1.3", |to| from4(to, Ipv4Addr::BROADCAST)),
        Case::ignored("from a multicast address", "RFC 1112, 7.2", |to| from4(to, Ipv4Addr::new(224, 0, 0, 1))),
        Case::ignored("from the victim's own address (land)", "CVE-1999-0016", |to| from4(to, to.v4)),
        Case::ignored("broadcast ping in the victim's name (smurf)", "RFC 2644; CVE-1999-0513", |_| {
            let ip = Ipv4::new(VICTIM.v4, Ipv4Addr::new(10, 0, 255, 255));
            ipv4(&broadcast(), &ip, &Segment::icmpv4(8, 0, &[0; 8]))
        }),
        Case::ignored("TCP reset in the neighbour's name", "RFC 5961", |to| {
            let mut tcp = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 4, 0, 0];
            tcp.extend([0; 4]);
            ipv4(&unicast(to), &Ipv4::new(NEIGHBOUR.v4, to.v4), &Segment::raw(6, tcp))
        }),
        Case::ignored("ICMP redirect in the router's name", "RFC 792; CVE-1999-0265", |to| {
            let inside = Ipv4::new(to.v4, Ipv4Addr::new(192, 0, 2, 1)).packet(&Segment::raw(17, [0; 8]));
            let body = [&ATTACKER.v4.octets()[..], &inside].concat();
            ipv4(&unicast(to), &Ipv4::new(ROUTER.v4, to.v4), &Segment::icmpv4(5, 1, &body))
        }),
    ]
}

fn version_6() -> Vec<Case> {
    vec![
        Case::attack("UDP from the neighbour's IPv6 address", "RFC 2827; RFC 7039", ARRIVES, |to| {
            from6(to, NEIGHBOUR.v6)
        }),
        Case::attack("UDP from the neighbour's link-local address", "RFC 7039", ARRIVES, |to| {
            ipv6_to(to, &Ipv6::new(NEIGHBOUR.lla, to.lla), &datagram())
        }),
        Case::attack("UDP from an IPv6 address elsewhere", "RFC 2827; RFC 3704", ARRIVES, |to| {
            from6(to, [0x2d00, 0xbad, 0, 0, 0, 0, 0, 1])
        }),
        Case::attack("the neighbour's address behind a hop-by-hop header", "RFC 8200, 4.3", ARRIVES, |to| {
            behind(to, Extension::HopByHop(vec![]))
        }),
        Case::attack("the neighbour's address behind destination options", "RFC 8200, 4.6", ARRIVES, |to| {
            behind(to, Extension::empty_destination_options())
        }),
        Case::attack("the neighbour's address in an atomic fragment", "RFC 6946", ARRIVES, |to| {
            behind(to, Extension::atomic_fragment())
        }),
        Case::attack("the neighbour's address in fragments", "RFC 8200, 4.5", ARRIVES, |to| {
            let packets = fragments6(&Ipv6::new(NEIGHBOUR.v6, to.v6), 0, &datagram(), &[8, 24]);
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
        Case::attack("UDP from :: to all nodes", "RFC 4291, 2.5.2", ARRIVES, |to| {
            ipv6_to(to, &Ipv6::new(Ipv6Addr::UNSPECIFIED, ALL_NODES), &datagram())
        }),
        Case::attack("UDP from :: to one machine", "RFC 4291, 2.5.2", ARRIVES, |to| from6(to, Ipv6Addr::UNSPECIFIED)),
    ]
}

fn version_6_odd() -> Vec<Case> {
    vec![
        Case::ignored("from ::1", "RFC 4291, 2.5.3", |to| from6(to, Ipv6Addr::LOCALHOST)),
        Case::ignored("from a multicast IPv6 address", "RFC 4291, 2.7", |to| from6(to, ALL_NODES)),
        Case::attack("from the neighbour's address, mapped", "RFC 4291, 2.5.5.2", ARRIVES, |to| {
            from6(to, NEIGHBOUR.v4.to_ipv6_mapped())
        }),
        Case::ignored("MLD done in the neighbour's name", "RFC 2710; RFC 7039", |to| {
            let ip = Ipv6::mld(NEIGHBOUR.lla, ALL_ROUTERS);
            ipv6_to(to, &ip, &Mld::DoneV1("ff05::1234".parse().unwrap()).segment())
        }),
        Case::ignored("IGMP leave in the neighbour's name", "RFC 2236; RFC 2827", |_| {
            let group = Ipv4Addr::new(224, 0, 0, 2);
            let ip = Ipv4 { ttl: 1, options: ROUTER_ALERT.to_vec(), ..Ipv4::new(NEIGHBOUR.v4, group) };
            let segment = Igmp::LeaveV2(Ipv4Addr::new(239, 1, 2, 3)).segment();
            ipv4(&Ethernet::new(igmp::multicast_mac(group), ATTACKER.mac), &ip, &segment)
        }),
        Case::ignored("router solicitation in the neighbour's name", "RFC 4861, 6.2.6; RFC 7039", |to| {
            let ip = Ipv6::neighbor_discovery(NEIGHBOUR.lla, ALL_ROUTERS);
            ipv6_to(to, &ip, &Nd::RouterSolicitation.segment(&[]))
        }),
        Case::attack("DHCPv6 solicitation in the neighbour's name", "RFC 8415, 22; RFC 7039", Socket(SERVER), |to| {
            let message = Dhcp6::from_client(kind::SOLICIT, NEIGHBOUR.mac);
            ipv6_to(to, &Ipv6::new(NEIGHBOUR.lla, to.lla), &message.segment(CLIENT, SERVER))
        }),
        Case::ignored("ping in the victim's name to all nodes", "RFC 4443, 5.2", |to| {
            ipv6_to(to, &Ipv6::new(VICTIM.v6, ALL_NODES), &Segment::icmpv6(128, 0, &[0; 8]))
        }),
    ]
}
