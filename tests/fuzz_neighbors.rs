//! Any octets at all, as frames that a guest sends: what they tell is what their sender may say.
#![cfg(feature = "proxmox")]
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/fuzz.rs"]
mod fuzz;

use instances::net::Mac;
use instances::packet::nd::{Nd, NdOption, multicast_mac, solicited_node};
use instances::packet::{Arp, Ethernet, Ipv6, Tag, ether_type, internet_checksum};
use instances::source::neighbors::{How, Ignored, claim};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

fn nd(source: Ipv6Addr, destination: Ipv6Addr, message: &Nd, options: &[NdOption]) -> Vec<u8> {
    let packet = Ipv6::neighbor_discovery(source, destination).packet(&message.segment(options));
    Ethernet::new(multicast_mac(destination), MAC).frame(ether_type::IPV6, &packet)
}

fn honest() -> Vec<Vec<u8>> {
    let (all, nobody) = ("ff02::1".parse().unwrap(), Ipv6Addr::UNSPECIFIED);
    let header = Ethernet::new(Ethernet::BROADCAST, MAC);
    let arps = [Arp::announcement((MAC, V4)), Arp::probe(MAC, V4), Arp::reply((OTHER, V4), (MAC, V4))];
    let arps = arps.iter().map(|arp| header.frame(ether_type::ARP, &arp.packet()));
    let tagged = header.clone().tagged(Tag::vlan(7)).frame(ether_type::ARP, &Arp::announcement((MAC, V4)).packet());
    let nds = [
        nd(nobody, solicited_node(V6), &Nd::solicitation(V6), &[NdOption::Nonce([1; 6])]),
        nd(V6, all, &Nd::solicitation(V6), &[NdOption::SourceLinkLayer(MAC)]),
        nd(V6, all, &Nd::RouterSolicitation, &[NdOption::SourceLinkLayer(MAC)]),
        nd(V6, all, &Nd::advertisement(V6), &[NdOption::TargetLinkLayer(MAC), NdOption::Mtu(1400)]),
        nd(V6, all, &Nd::advertisement(V6), &[NdOption::TargetLinkLayer(OTHER)]),
    ];
    arps.chain([tagged]).chain(nds).collect()
}

/// The sender is known; lengths and checksum of IPv6 fit again.
fn repair(frame: &mut [u8]) {
    if frame.len() < 62 {
        return;
    }
    frame[6..12].copy_from_slice(&MAC.0);
    if frame[12..14] == [0x86, 0xdd] {
        let length = u16::try_from(frame.len() - 54).unwrap();
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame[56..58].fill(0);
        let pseudo = [&frame[22..54], &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 58]].concat();
        let sum = internet_checksum(&[&pseudo, &frame[54..]].concat());
        frame[56..58].copy_from_slice(&sum.to_be_bytes());
    }
}

fn judge(frame: &[u8]) -> &'static str {
    let said = match claim(frame, &HashSet::from([MAC])) {
        Ok(said) => said,
        Err(Ignored::Unknown) => return "unknown",
        Err(Ignored::Because(reason)) => return reason,
    };
    assert_eq!(frame[6..12], said.mac.0);
    assert_eq!(said.mac, MAC);
    assert!(!said.address.is_multicast() && !said.address.is_unspecified() && !said.address.is_loopback());
    let octets = match said.address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    assert!(frame.windows(octets.len()).any(|window| window == octets));
    // The sender stands in the frame twice, except in duplicate address detection.
    let senders = frame.windows(6).filter(|window| *window == MAC.0).count();
    assert!(senders >= if said.how == How::Tentative { 1 } else { 2 });
    match (said.how, said.address) {
        (How::Said, IpAddr::V4(_)) => "said, IPv4",
        (How::Said, IpAddr::V6(_)) => "said, IPv6",
        (How::Tentative, IpAddr::V6(_)) => "tentative",
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn whatever_a_guest_sends_it_speaks_for_itself_alone() {
    let outcomes = fuzz::fuzz(&honest(), |frame| repair(frame), judge);
    for must in [
        "said, IPv4",
        "said, IPv6",
        "tentative",
        "unknown",
        "ARP: from another than the frame",
        "ARP: a probe",
        "ARP: cut short",
        "ND: from another than the frame",
        "ND: without link-layer address",
        "ND: hop limit is not 255",
        "an address that no host has",
        "neither ARP nor IPv6",
    ] {
        assert!(outcomes.contains_key(must), "{must} never came: {outcomes:?}");
    }
}
