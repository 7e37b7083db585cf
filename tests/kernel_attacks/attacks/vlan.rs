//! Tagged frames: Linux takes priority tags off and believes what is inside; many filters do not look there.

use super::{ALL_NODES, arp, broadcast, datagram, ipv4, ipv6, unicast};
use crate::case::Case;
use crate::case::Judge::{AdvertisedRoute, Neighbours, Socket};
use crate::lab::APPLICATION;
use crate::who::{ATTACKER, NEIGHBOUR, Who};
use instances::packet::dhcp4::{CLIENT, Dhcp4, kind};
use instances::packet::nd::{Nd, NdOption, multicast_mac};
use instances::packet::{Arp, Ethernet, Ipv4, Ipv6, Tag, ether_type};
use std::net::Ipv4Addr;

/// "The neighbour's address is at my MAC", tagged.
fn lie(to: &Who, tags: &[Tag]) -> Vec<Vec<u8>> {
    let header = Ethernet { tags: tags.to_vec(), ..unicast(to) };
    arp(&header, &Arp::reply((ATTACKER.mac, NEIGHBOUR.v4), (to.mac, to.v4)))
}

/// The same by neighbour discovery.
fn lie6(to: &Who, tags: &[Tag]) -> Vec<Vec<u8>> {
    let header = Ethernet { tags: tags.to_vec(), ..unicast(to) };
    let claim = Nd::answer(NEIGHBOUR.v6).segment(&[NdOption::TargetLinkLayer(ATTACKER.mac)]);
    ipv6(&header, &Ipv6::neighbor_discovery(ATTACKER.v6, to.v6), &claim)
}

const PRIORITY: Tag = Tag::vlan(0);

pub fn cases() -> Vec<Case> {
    [priority_tags(), other_tags()].into_iter().flatten().collect()
}

fn priority_tags() -> Vec<Case> {
    vec![
        Case::attack("ARP with a priority tag", "CVE-2021-27853; 802.1Q, 6.8", Neighbours, |to| lie(to, &[PRIORITY])),
        Case::attack("ARP with a tag of priority 7", "802.1Q", Neighbours, |to| {
            lie(to, &[Tag { priority: 7, ..PRIORITY }])
        }),
        Case::attack("NA with a priority tag", "CVE-2021-27853", Neighbours, |to| lie6(to, &[PRIORITY])),
        Case::attack("ARP with an 802.1ad priority tag", "CVE-2021-27853; 802.1ad", Neighbours, |to| {
            lie(to, &[Tag::service(0)])
        }),
        Case::attack("ARP with two priority tags", "lxd pull 7808; CVE-2021-27853", Neighbours, |to| {
            lie(to, &[PRIORITY, PRIORITY])
        }),
        Case::attack("NA with two priority tags", "CVE-2021-27853", Neighbours, |to| lie6(to, &[PRIORITY, PRIORITY])),
        Case::attack("ARP with 802.1ad and 802.1Q priority tags", "lxd pull 7808", Neighbours, |to| {
            lie(to, &[Tag::service(0), PRIORITY])
        }),
        Case::attack("ARP with three priority tags", "lxd pull 7808", Neighbours, |to| lie(to, &[PRIORITY; 3])),
        Case::attack("UDP from the neighbour's address, priority tag", "CVE-2021-27853", Socket(APPLICATION), |to| {
            ipv4(&unicast(to).tagged(PRIORITY), &Ipv4::new(NEIGHBOUR.v4, to.v4), &datagram())
        }),
        Case::attack("router advertisement with a priority tag", "CVE-2021-27853", AdvertisedRoute, |_| {
            let header = Ethernet::new(multicast_mac(ALL_NODES), ATTACKER.mac).tagged(PRIORITY);
            let ip = Ipv6::neighbor_discovery(ATTACKER.lla, ALL_NODES);
            ipv6(&header, &ip, &Nd::router_advertisement(1800).segment(&[]))
        }),
        Case::attack("DHCP offer with a priority tag", "CVE-2021-27853", Socket(CLIENT), |to| {
            let offer = Dhcp4::from_server(kind::OFFER, ATTACKER.v4, Ipv4Addr::new(10, 0, 0, 200), to.mac);
            let ip = Ipv4::new(ATTACKER.v4, Ipv4Addr::BROADCAST);
            ipv4(&broadcast().tagged(PRIORITY), &ip, &offer.segment())
        }),
        Case::attack(
            "honest UDP with a priority tag",
            "issue: tagged frames from guest ports",
            Socket(APPLICATION),
            |to| ipv4(&unicast(to).tagged(PRIORITY), &Ipv4::new(ATTACKER.v4, to.v4), &datagram()),
        ),
    ]
}

fn other_tags() -> Vec<Case> {
    vec![
        Case::ignored("ARP in VLAN 5", "802.1Q", |to| lie(to, &[Tag::vlan(5)])),
        Case::ignored("NA in VLAN 4094", "802.1Q", |to| lie6(to, &[Tag::vlan(4094)])),
        Case::ignored("ARP in VLAN 1, the default one", "VLAN hopping: CVE-1999-1129", |to| lie(to, &[Tag::vlan(1)])),
        Case::ignored("ARP in VLAN 5 in VLAN 1: hopping", "VLAN hopping: CVE-2005-4440", |to| {
            lie(to, &[Tag::vlan(1), Tag::vlan(5)])
        }),
        Case::ignored("NA in QinQ", "802.1ad; lxd pull 7808", |to| lie6(to, &[Tag::service(5), Tag::vlan(6)])),
        Case::ignored("ARP with four tags", "lxd pull 7808", |to| lie(to, &[Tag::vlan(5); 4])),
        Case::ignored("an old QinQ ether type", "0x9100", |to| lie(to, &[Tag { protocol: 0x9100, ..Tag::vlan(0) }])),
        Case::ignored("a tag and nothing in it", "802.1Q", |to| {
            vec![unicast(to).tagged(Tag::vlan(0)).frame(ether_type::EXPERIMENT, &[])]
        }),
    ]
}
