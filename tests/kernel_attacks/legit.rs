//! What must pass, whatever is protected: single frames, as hosts send them. Real programs are in flows.rs.

use crate::attacks::{ALL_NODES, datagram, fragments4, fragments6, frames};
use crate::case::{Case, DHCP_SERVERS, Judge};
use crate::lab::APPLICATION;
use crate::who::{
    ALLOWED_V4, ALLOWED_V6, HOST, NEIGHBOUR, NEWCOMER, PREFIX_V4, PREFIX_V6, ROUTER, STRANGER, VICTIM, VIRTUAL_ROUTER,
    VIRTUAL_V4, Who,
};
use instances::net::Mac;
use instances::packet::dhcp4::{self, Dhcp4};
use instances::packet::dhcp6::{self, Dhcp6};
use instances::packet::igmp::{self, Igmp};
use instances::packet::ipv4::ROUTER_ALERT;
use instances::packet::mld::Mld;
use instances::packet::nd::{Nd, NdOption, multicast_mac, solicited_node};
use instances::packet::{Arp, Ethernet, Extension, Ipv4, Ipv6, Segment, Tag, Udp, ether_type, protocol};
use std::net::{Ipv4Addr, Ipv6Addr};

const N: Who = NEIGHBOUR;

/// From the neighbour to these.
const fn honest(name: &'static str, reference: &'static str, judge: Judge, frames: fn(&Who) -> Vec<Vec<u8>>) -> Case {
    Case::attack(name, reference, judge, frames).from(NEIGHBOUR).to(&[VICTIM, HOST, ROUTER])
}

/// Arrives.
const fn passes(name: &'static str, reference: &'static str, frames: fn(&Who) -> Vec<Vec<u8>>) -> Case {
    honest(name, reference, Judge::Arrival, frames)
}

fn arp(destination: Mac, source: Mac, arp: &Arp) -> Vec<Vec<u8>> {
    vec![Ethernet::new(destination, source).frame(ether_type::ARP, &arp.packet())]
}

fn v4(destination: Mac, source: Mac, ip: &Ipv4, segment: &Segment) -> Vec<Vec<u8>> {
    vec![Ethernet::new(destination, source).frame(ether_type::IPV4, &ip.packet(segment))]
}

fn v6(to: &Who, source: Mac, ip: &Ipv6, segment: &Segment) -> Vec<Vec<u8>> {
    let mac = if ip.destination.is_multicast() { multicast_mac(ip.destination) } else { to.mac };
    vec![Ethernet::new(mac, source).frame(ether_type::IPV6, &ip.packet(segment))]
}

fn nd(to: &Who, source: Ipv6Addr, destination: Ipv6Addr, message: &Nd, options: &[NdOption]) -> Vec<Vec<u8>> {
    v6(to, N.mac, &Ipv6::neighbor_discovery(source, destination), &message.segment(options))
}

/// All of them, by what they are about.
pub fn all() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("arp", of_arp()),
        ("nd", of_nd()),
        ("ip", [of_ipv4(), of_ipv6()].into_iter().flatten().collect()),
        ("groups", of_groups()),
        ("dhcp", of_dhcp()),
        ("router", of_uplink()),
    ]
}

fn of_arp() -> Vec<Case> {
    const ALL: Mac = Ethernet::BROADCAST;
    vec![
        passes("request", "RFC 826", |to| arp(ALL, N.mac, &Arp::request((N.mac, N.v4), to.v4))),
        passes("reply", "RFC 826", |to| arp(to.mac, N.mac, &Arp::reply((N.mac, N.v4), (to.mac, to.v4)))),
        passes("probe of an own address", "RFC 5227, 2.1.1", |_| arp(ALL, N.mac, &Arp::probe(N.mac, N.v4))),
        passes("announcement", "RFC 5227, 2.3", |_| arp(ALL, N.mac, &Arp::announcement((N.mac, N.v4)))),
        passes("gratuitous reply", "RFC 5227, 3", |_| arp(ALL, N.mac, &Arp::reply((N.mac, N.v4), (ALL, N.v4)))),
        passes("an allowed address", "kube-ovn 3292", |_| arp(ALL, N.mac, &Arp::announcement((N.mac, ALLOWED_V4)))),
        passes("an address in an allowed prefix", "kube-ovn 3292", |to| {
            arp(ALL, N.mac, &Arp::request((N.mac, PREFIX_V4), to.v4))
        }),
        passes("a virtual router's address at its MAC", "RFC 9568, 8.1.2", |_| {
            arp(ALL, VIRTUAL_ROUTER, &Arp::announcement((VIRTUAL_ROUTER, VIRTUAL_V4)))
        }),
        passes("a virtual router's address at the master's MAC", "keepalived without vmac", |_| {
            arp(ALL, N.mac, &Arp::announcement((N.mac, VIRTUAL_V4)))
        }),
    ]
}

fn of_nd() -> Vec<Case> {
    const MINE: &[NdOption] = &[NdOption::SourceLinkLayer(N.mac)];
    const MINE_TARGET: &[NdOption] = &[NdOption::TargetLinkLayer(N.mac)];
    const NONE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
    vec![
        passes("solicitation", "RFC 4861, 7.2.2", |to| {
            nd(to, N.v6, solicited_node(to.v6), &Nd::solicitation(to.v6), MINE)
        }),
        passes("solicitation to one machine, no option", "RFC 4861, 7.3.3", |to| {
            nd(to, N.v6, to.v6, &Nd::solicitation(to.v6), &[])
        }),
        passes("answer", "RFC 4861, 7.2.4", |to| nd(to, N.v6, to.v6, &Nd::answer(N.v6), MINE_TARGET)),
        passes("answer without option", "RFC 4861, 7.2.4", |to| nd(to, N.v6, to.v6, &Nd::answer(N.v6), &[])),
        passes("answer from the link-local address", "RFC 4861, 7.2.4", |to| {
            nd(to, N.lla, to.v6, &Nd::answer(N.v6), MINE_TARGET)
        }),
        passes("unsolicited advertisement", "RFC 4861, 7.2.6", |to| {
            nd(to, N.v6, ALL_NODES, &Nd::advertisement(N.v6), MINE_TARGET)
        }),
        passes("advertisement of an allowed address", "kube-ovn 3292", |to| {
            nd(to, N.lla, ALL_NODES, &Nd::advertisement(ALLOWED_V6), MINE_TARGET)
        }),
        passes("solicitation from an allowed prefix", "kube-ovn 3292", |to| {
            nd(to, PREFIX_V6, to.v6, &Nd::solicitation(to.v6), MINE)
        }),
        passes("duplicate address detection", "RFC 4862, 5.4.2", |to| {
            nd(to, NONE, solicited_node(N.v6), &Nd::solicitation(N.v6), &[])
        }),
        passes("the same with a nonce", "RFC 7527, 4.1", |to| {
            nd(to, NONE, solicited_node(N.v6), &Nd::solicitation(N.v6), &[NdOption::Nonce([1, 2, 3, 4, 5, 6])])
        }),
        passes("duplicate address detection of a newcomer", "RFC 4862, 5.4.2", |to| {
            let ip = Ipv6::neighbor_discovery(NONE, solicited_node(NEWCOMER.lla));
            v6(to, NEWCOMER.mac, &ip, &Nd::solicitation(NEWCOMER.lla).segment(&[]))
        })
        .from(NEWCOMER),
        passes("router solicitation", "RFC 4861, 6.3.7", |to| {
            nd(to, N.lla, "ff02::2".parse().unwrap(), &Nd::RouterSolicitation, MINE)
        }),
        passes("router solicitation from ::", "RFC 4861, 6.3.7", |to| {
            nd(to, NONE, "ff02::2".parse().unwrap(), &Nd::RouterSolicitation, &[])
        }),
    ]
}

fn of_ipv4() -> Vec<Case> {
    const ARRIVES: Judge = Judge::Socket(APPLICATION);
    vec![
        honest("UDP", "RFC 768", ARRIVES, |to| v4(to.mac, N.mac, &Ipv4::new(N.v4, to.v4), &datagram())),
        honest("UDP from an allowed address", "kube-ovn 3292", ARRIVES, |to| {
            v4(to.mac, N.mac, &Ipv4::new(ALLOWED_V4, to.v4), &datagram())
        }),
        honest("UDP from an allowed prefix", "kube-ovn 3292", ARRIVES, |to| {
            v4(to.mac, N.mac, &Ipv4::new(PREFIX_V4, to.v4), &datagram())
        }),
        honest("UDP in fragments", "RFC 791", ARRIVES, |to| {
            let packets = fragments4(&Ipv4::new(N.v4, to.v4), &datagram(), &[8, 24]);
            frames(&Ethernet::new(to.mac, N.mac), ether_type::IPV4, &packets)
        }),
        honest("UDP behind IPv4 options", "RFC 791", ARRIVES, |to| {
            v4(to.mac, N.mac, &Ipv4 { options: vec![1; 4], ..Ipv4::new(N.v4, to.v4) }, &datagram())
        }),
        passes("ping", "RFC 792", |to| v4(to.mac, N.mac, &Ipv4::new(N.v4, to.v4), &Segment::icmpv4(8, 0, &[0; 32]))),
        passes("GRE, ESP, or any other protocol", "RFC 2784; RFC 4303", |to| {
            v4(to.mac, N.mac, &Ipv4::new(N.v4, to.v4), &Segment::raw(47, [0, 0, 8, 0, 0, 0, 0, 0]))
        }),
        passes("a virtual router says that it is there", "RFC 9568, 5.2", |_| {
            let group = Ipv4Addr::new(224, 0, 0, 18);
            let vrrp = Segment { protocol: protocol::VRRP, ..Segment::raw(0, [0x31, 7, 100, 1, 0, 100, 0, 0]) };
            let ip = Ipv4 { ttl: 255, ..Ipv4::new(N.v4, group) };
            v4(igmp::multicast_mac(group), VIRTUAL_ROUTER, &ip, &vrrp)
        }),
        passes("the same from the master's MAC", "keepalived without vmac", |_| {
            let group = Ipv4Addr::new(224, 0, 0, 18);
            let vrrp = Segment::raw(protocol::VRRP, [0x31, 7, 100, 1, 0, 100, 0, 0]);
            let ip = Ipv4 { ttl: 255, ..Ipv4::new(N.v4, group) };
            v4(igmp::multicast_mac(group), N.mac, &ip, &vrrp)
        }),
    ]
}

fn of_ipv6() -> Vec<Case> {
    const ARRIVES: Judge = Judge::Socket(APPLICATION);
    vec![
        honest("UDP by IPv6", "RFC 8200", ARRIVES, |to| v6(to, N.mac, &Ipv6::new(N.v6, to.v6), &datagram())),
        honest("UDP from the link-local address", "RFC 4291", ARRIVES, |to| {
            v6(to, N.mac, &Ipv6::new(N.lla, to.lla), &datagram())
        }),
        honest("UDP from an allowed IPv6 address", "kube-ovn 3292", ARRIVES, |to| {
            v6(to, N.mac, &Ipv6::new(ALLOWED_V6, to.v6), &datagram())
        }),
        honest("UDP from an allowed IPv6 prefix", "kube-ovn 3292", ARRIVES, |to| {
            v6(to, N.mac, &Ipv6::new(PREFIX_V6, to.v6), &datagram())
        }),
        honest("UDP in IPv6 fragments", "RFC 8200, 4.5", ARRIVES, |to| {
            let large = Udp::new(APPLICATION, APPLICATION, [7; 1800]).segment();
            let packets = fragments6(&Ipv6::new(N.v6, to.v6), 0, &large, &[1232]);
            frames(&Ethernet::new(to.mac, N.mac), ether_type::IPV6, &packets)
        }),
        honest("UDP behind destination options", "RFC 8200, 4.6", ARRIVES, |to| {
            let ip = Ipv6::new(N.v6, to.v6).with(Extension::empty_destination_options());
            v6(to, N.mac, &ip, &datagram())
        }),
        passes("ping by IPv6", "RFC 4443", |to| {
            v6(to, N.mac, &Ipv6::new(N.v6, to.v6), &Segment::icmpv6(128, 0, &[0; 32]))
        }),
        passes("packet too big", "RFC 8201", |to| {
            v6(to, N.mac, &Ipv6::new(N.v6, to.v6), &Segment::icmpv6(2, 0, &[0, 0, 5, 0, 0x60, 0, 0, 0]))
        }),
    ]
}

fn of_groups() -> Vec<Case> {
    fn igmp(source: Ipv4Addr, group: Ipv4Addr, message: &Igmp) -> Vec<Vec<u8>> {
        let ip = Ipv4 { ttl: 1, options: ROUTER_ALERT.to_vec(), ..Ipv4::new(source, group) };
        v4(igmp::multicast_mac(group), N.mac, &ip, &message.segment())
    }
    fn mld(to: &Who, source: Ipv6Addr, group: Ipv6Addr, message: &Mld) -> Vec<Vec<u8>> {
        v6(to, N.mac, &Ipv6::mld(source, group), &message.segment())
    }
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
    const REPORTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
    const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x1234);
    const REPORTS6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
    vec![
        passes("IGMPv2 report", "RFC 2236", |_| igmp(N.v4, GROUP, &Igmp::ReportV2(GROUP))),
        passes("IGMPv2 leave", "RFC 2236", |_| igmp(N.v4, Ipv4Addr::new(224, 0, 0, 2), &Igmp::LeaveV2(GROUP))),
        passes("IGMPv3 report", "RFC 9776, 4.2", |_| igmp(N.v4, REPORTS, &Igmp::ReportV3(vec![GROUP]))),
        passes("IGMPv3 report from 0.0.0.0", "RFC 9776, 4.2.13", |_| {
            igmp(Ipv4Addr::UNSPECIFIED, REPORTS, &Igmp::ReportV3(vec![GROUP]))
        }),
        passes("MLDv1 report", "RFC 2710", |to| mld(to, N.lla, GROUP6, &Mld::ReportV1(GROUP6))),
        passes("MLDv1 done", "RFC 2710", |to| mld(to, N.lla, "ff02::2".parse().unwrap(), &Mld::DoneV1(GROUP6))),
        passes("MLDv2 report", "RFC 9777, 5.2; incus 4025", |to| {
            mld(to, N.lla, REPORTS6, &Mld::ReportV2(vec![GROUP6]))
        }),
        passes("MLDv2 report from ::", "RFC 9777, 5.2.13; incus 4025", |to| {
            mld(to, Ipv6Addr::UNSPECIFIED, REPORTS6, &Mld::ReportV2(vec![solicited_node(N.lla)]))
        }),
        passes("multicast DNS", "RFC 6762", |_| {
            let group = Ipv4Addr::new(224, 0, 0, 251);
            let ip = Ipv4 { ttl: 255, ..Ipv4::new(N.v4, group) };
            v4(igmp::multicast_mac(group), N.mac, &ip, &Udp::new(5353, 5353, [0; 12]).segment())
        }),
    ]
}

fn of_dhcp() -> Vec<Case> {
    fn ask(who: Who, message: &Dhcp4) -> Vec<Vec<u8>> {
        let ip = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        v4(Ethernet::BROADCAST, who.mac, &ip, &message.segment())
    }
    fn solicit(to: &Who, from: Who) -> Vec<Vec<u8>> {
        let ip = Ipv6::new(from.lla, "ff02::1:2".parse().unwrap());
        let segment = Dhcp6::from_client(dhcp6::kind::SOLICIT, from.mac).segment(dhcp6::CLIENT, dhcp6::SERVER);
        v6(to, from.mac, &ip, &segment)
    }
    const SERVER: Judge = Judge::Socket(dhcp4::SERVER);
    vec![
        honest("a client asks", "RFC 2131, 4.4.1", SERVER, |_| {
            ask(N, &Dhcp4::from_client(dhcp4::kind::DISCOVER, N.mac))
        }),
        honest("a newcomer asks", "RFC 2131, 4.4.1; incus 4027", SERVER, |_| {
            ask(NEWCOMER, &Dhcp4::from_client(dhcp4::kind::DISCOVER, NEWCOMER.mac))
        })
        .from(NEWCOMER),
        honest("a stranger asks for its first lease", "RFC 2131, 4.4.1", SERVER, |_| {
            ask(STRANGER, &Dhcp4::from_client(dhcp4::kind::DISCOVER, STRANGER.mac))
        })
        .from(STRANGER),
        honest("a client renews its lease", "RFC 2131, 4.4.5", SERVER, |to| {
            let message = Dhcp4 { client: N.v4, ..Dhcp4::from_client(dhcp4::kind::REQUEST, N.mac) };
            v4(to.mac, N.mac, &Ipv4::new(N.v4, to.v4), &message.segment())
        }),
        honest("a client releases its lease", "RFC 2131, 4.4.6", SERVER, |to| {
            let message = Dhcp4 { client: N.v4, ..Dhcp4::from_client(dhcp4::kind::RELEASE, N.mac) };
            v4(to.mac, N.mac, &Ipv4::new(N.v4, to.v4), &message.with(54, to.v4.octets()).segment())
        }),
        passes("a DHCPv6 client asks", "RFC 8415, 18.2.1", |to| solicit(to, N)),
        honest("a DHCPv6 client releases its lease", "RFC 8415, 18.2.7", Judge::Socket(dhcp6::SERVER), |to| {
            let message = Dhcp6::from_client(dhcp6::kind::RELEASE, N.mac);
            v6(to, N.mac, &Ipv6::new(N.lla, to.lla), &message.segment(dhcp6::CLIENT, dhcp6::SERVER))
        }),
    ]
    .into_iter()
    .map(|case| case.to(DHCP_SERVERS))
    .collect()
}

/// From the trusted uplink everything comes: it is not a guest.
fn of_uplink() -> Vec<Case> {
    const R: Who = ROUTER;
    let cases = vec![
        passes("the router answers ARP", "RFC 826", |to| {
            arp(to.mac, R.mac, &Arp::reply((R.mac, R.v4), (to.mac, to.v4)))
        }),
        honest("packets from elsewhere", "RFC 1812", Judge::Socket(APPLICATION), |to| {
            v4(to.mac, R.mac, &Ipv4::new(Ipv4Addr::new(198, 51, 100, 1), to.v4), &datagram())
        }),
        honest("router advertisement", "RFC 4861, 6.2", Judge::AdvertisedRoute, |to| {
            let message = Nd::router_advertisement(1800).segment(&[NdOption::SourceLinkLayer(R.mac)]);
            v6(to, R.mac, &Ipv6::neighbor_discovery(R.lla, ALL_NODES), &message)
        }),
        honest("a DHCP server's offer", "RFC 2131, 4.3.1", Judge::Socket(dhcp4::CLIENT), |to| {
            let offer = Dhcp4::from_server(dhcp4::kind::OFFER, R.v4, to.v4, to.mac);
            v4(Ethernet::BROADCAST, R.mac, &Ipv4::new(R.v4, Ipv4Addr::BROADCAST), &offer.segment())
        }),
        honest("a DHCPv6 server's reply", "RFC 8415, 18.3", Judge::Socket(dhcp6::CLIENT), |to| {
            let reply = Dhcp6::from_server(dhcp6::kind::REPLY, R.mac, to.mac, to.v6);
            v6(to, R.mac, &Ipv6::new(R.lla, to.lla), &reply.segment(dhcp6::SERVER, dhcp6::CLIENT))
        }),
        honest("a multicast router's query", "RFC 9776, 4.1", Judge::MulticastRouter, |_| {
            let group = Ipv4Addr::new(224, 0, 0, 1);
            let ip = Ipv4 { ttl: 1, options: ROUTER_ALERT.to_vec(), ..Ipv4::new(R.v4, group) };
            v4(igmp::multicast_mac(group), R.mac, &ip, &Igmp::QueryV3(Ipv4Addr::UNSPECIFIED).segment())
        }),
        passes("LLDP from a switch", "802.1AB", |to| {
            vec![Ethernet::new(to.mac, R.mac).frame(ether_type::LLDP, &[2, 7, 4])]
        }),
        passes("frames with a priority tag", "802.1Q, 6.8", |to| {
            let header = Ethernet::new(to.mac, R.mac).tagged(Tag::vlan(0));
            vec![header.frame(ether_type::IPV4, &Ipv4::new(R.v4, to.v4).packet(&datagram()))]
        }),
    ];
    cases.into_iter().map(|case| case.from(ROUTER).to(&[VICTIM, HOST])).collect()
}
