//! What a frame says about its sender: pure, and strict.
//!
//! A sender is whom three places name: the frame's source, and the field or option in which ARP and neighbour discovery repeat it. What
//! names another one is a proxy's word, or a forger's. The kernel of the host would believe it; we do not.

use super::How;
use crate::net::Mac;
use crate::packet::nd::{self, Nd};
use crate::packet::{Malformed, Reader, arp, ether_type, ipv6};
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a frame says: its sender has this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The sender.
    pub mac: Mac,
    /// Its address.
    pub address: IpAddr,
    /// [`How::Said`] or [`How::Tentative`].
    pub how: How,
}

/// Why a frame says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Nobody asked for its sender.
    Unknown,
    /// It is not as it should be, or not about its sender's address: the reason.
    Because(&'static str),
}

impl From<Malformed> for Ignored {
    fn from(Malformed(reason): Malformed) -> Self {
        Self::Because(reason)
    }
}

/// What a frame says, from its Ethernet destination on, whose outermost tag is taken off. Allocates nothing unless its sender is
/// known.
///
/// # Errors
/// It says nothing: why.
pub fn claim<S: BuildHasher>(frame: &[u8], known: &HashSet<Mac, S>) -> Result<Claim, Ignored> {
    let mut reader = Reader::new(frame, "Ethernet: cut short");
    reader.array::<6>()?;
    let mac = Mac(reader.array()?);
    if !known.contains(&mac) {
        return Err(Ignored::Unknown);
    }
    match reader.u16()? {
        ether_type::ARP => of_arp(mac, reader.rest()),
        ether_type::IPV6 => of_nd(mac, reader.rest()),
        _ => Err(Ignored::Because("neither ARP nor IPv6")),
    }
}

fn of_arp(mac: Mac, packet: &[u8]) -> Result<Claim, Ignored> {
    let arp::Received { sender: (said, address), .. } = arp::parse(packet)?;
    if said != mac {
        return Err(Ignored::Because("ARP: from another than the frame"));
    }
    if address.is_unspecified() {
        // Whether it takes the address, it announces later (RFC 5227, section 2.3).
        return Err(Ignored::Because("ARP: a probe"));
    }
    claimed(mac, address.into(), How::Said)
}

fn of_nd(mac: Mac, packet: &[u8]) -> Result<Claim, Ignored> {
    let packet = ipv6::parse(packet)?;
    let received = nd::receive(&packet)?;
    let source = received.source_link_layer();
    let (said, address, how) = match received.message {
        // It has none yet (RFC 4862, section 5.4.2), and so no option either.
        Nd::NeighborSolicitation { target } if packet.source.is_unspecified() => (Some(mac), target, How::Tentative),
        Nd::NeighborSolicitation { .. } | Nd::RouterSolicitation => (source, packet.source, How::Said),
        Nd::NeighborAdvertisement { target, .. } => (received.target_link_layer(), target, How::Said),
        Nd::RouterAdvertisement { .. } | Nd::Redirect { .. } => {
            return Err(Ignored::Because("ND: a router's message"));
        }
    };
    match said {
        Some(said) if said == mac => claimed(mac, address.into(), how),
        Some(_) => Err(Ignored::Because("ND: from another than the frame")),
        None => Err(Ignored::Because("ND: without link-layer address")),
    }
}

fn claimed(mac: Mac, address: IpAddr, how: How) -> Result<Claim, Ignored> {
    if may_be_a_hosts(address) {
        Ok(Claim { mac, address, how })
    } else {
        Err(Ignored::Because("an address that no host has"))
    }
}

/// Whether a host can have the address on a link (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5).
pub(super) fn may_be_a_hosts(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first != 0 && !v4.is_loopback() && !v4.is_multicast() && v4 != Ipv4Addr::BROADCAST
        }
        IpAddr::V6(v6) => {
            // ::/96 holds the unspecified one, loopback, and IPv4-compatible ones.
            let is_special = v6.octets().first_chunk() == Some(&[0; 12]) || v6.to_ipv4_mapped().is_some();
            !is_special && !v6.is_multicast() && v6 != Ipv6Addr::UNSPECIFIED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::nd::{NdOption, multicast_mac, solicited_node};
    use crate::packet::{Arp, Ethernet, Ipv6, Tag};
    use rustc_hash::FxHashSet;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const NONE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

    fn of(frame: &[u8]) -> Result<Claim, Ignored> {
        claim(frame, &FxHashSet::from_iter([MAC]))
    }

    fn arp(arp: &Arp) -> Result<Claim, Ignored> {
        of(&Ethernet::new(Ethernet::BROADCAST, MAC).frame(ether_type::ARP, &arp.packet()))
    }

    fn nd(source: Ipv6Addr, destination: Ipv6Addr, message: &Nd, options: &[NdOption]) -> Result<Claim, Ignored> {
        let packet = Ipv6::neighbor_discovery(source, destination).packet(&message.segment(options));
        of(&Ethernet::new(multicast_mac(destination), MAC).frame(ether_type::IPV6, &packet))
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with results")]
    fn said(address: impl Into<IpAddr>) -> Result<Claim, Ignored> {
        Ok(Claim { mac: MAC, address: address.into(), how: How::Said })
    }

    fn because(reason: &'static str) -> Result<Claim, Ignored> {
        Err(Ignored::Because(reason))
    }

    #[test]
    fn arp_tells_its_senders_address_whatever_it_is_for() {
        assert_eq!(arp(&Arp::announcement((MAC, V4))), said(V4));
        assert_eq!(arp(&Arp::request((MAC, V4), Ipv4Addr::new(192, 0, 2, 9))), said(V4));
        assert_eq!(arp(&Arp::reply((MAC, V4), (OTHER, Ipv4Addr::new(192, 0, 2, 9)))), said(V4));
        assert_eq!(arp(&Arp::probe(MAC, V4)), because("ARP: a probe"));
    }

    #[test]
    fn a_sender_that_is_not_the_frames_source_is_not_believed() {
        assert_eq!(arp(&Arp::announcement((OTHER, V4))), because("ARP: from another than the frame"));
        let other = "ND: from another than the frame";
        let options = [NdOption::SourceLinkLayer(OTHER)];
        assert_eq!(nd(V6, solicited_node(V6), &Nd::solicitation(V6), &options), because(other));
        assert_eq!(nd(V6, ALL, &Nd::RouterSolicitation, &options), because(other));
        assert_eq!(nd(V6, ALL, &Nd::advertisement(V6), &[NdOption::TargetLinkLayer(OTHER)]), because(other));
    }

    #[test]
    fn neighbour_discovery_tells_the_senders_address() {
        let (mine, target) = (NdOption::SourceLinkLayer(MAC), "fe80::9".parse().unwrap());
        let asked = nd(V6, solicited_node(target), &Nd::solicitation(target), std::slice::from_ref(&mine));
        assert_eq!(asked, said(V6));
        assert_eq!(nd(V6, ALL, &Nd::RouterSolicitation, std::slice::from_ref(&mine)), said(V6));
        let target_is = [NdOption::TargetLinkLayer(MAC)];
        assert_eq!(nd(target, ALL, &Nd::advertisement(V6), &target_is), said(V6));
        let detection = nd(NONE, solicited_node(V6), &Nd::solicitation(V6), &[NdOption::Nonce([1; 6])]);
        assert_eq!(detection, Ok(Claim { mac: MAC, address: V6.into(), how: How::Tentative }));
    }

    #[test]
    fn messages_that_do_not_say_who_sent_them_are_not_believed() {
        let without = "ND: without link-layer address";
        assert_eq!(nd(V6, solicited_node(V6), &Nd::solicitation(V6), &[]), because(without));
        assert_eq!(nd(V6, ALL, &Nd::RouterSolicitation, &[]), because(without));
        assert_eq!(nd(NONE, ALL, &Nd::RouterSolicitation, &[]), because(without));
        // The wrong one of both options.
        let source = [NdOption::SourceLinkLayer(MAC)];
        assert_eq!(nd(V6, ALL, &Nd::advertisement(V6), &source), because(without));
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let message = Nd::router_advertisement(9);
        assert_eq!(nd(router, ALL, &message, &source), because("ND: a router's message"));
    }

    #[test]
    fn who_is_not_known_is_not_looked_at_any_further() {
        for payload in [&Arp::announcement((OTHER, V4)).packet()[..], b"\xff\xff\xff"] {
            let frame = Ethernet::new(Ethernet::BROADCAST, OTHER).frame(ether_type::ARP, payload);
            assert_eq!(of(&frame), Err(Ignored::Unknown));
        }
        assert_eq!(of(&[0xff; 11]), because("Ethernet: cut short"));
    }

    #[test]
    fn a_second_tag_and_other_ether_types_are_left_alone() {
        let header = Ethernet::new(Ethernet::BROADCAST, MAC).tagged(Tag::vlan(7));
        let frame = header.frame(ether_type::ARP, &Arp::announcement((MAC, V4)).packet());
        assert_eq!(of(&frame), because("neither ARP nor IPv6"));
    }

    #[test]
    fn addresses_that_no_host_has_are_not_told() {
        for address in ["0.0.0.9", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
            let sender = (MAC, address.parse().unwrap());
            assert_eq!(arp(&Arp::announcement(sender)), because("an address that no host has"), "{address}");
        }
        for address in ["::1", "::ffff:192.0.2.1", "::192.0.2.1"] {
            let (address, target_is) = (address.parse().unwrap(), [NdOption::TargetLinkLayer(MAC)]);
            let told = nd(V6, ALL, &Nd::advertisement(address), &target_is);
            assert_eq!(told, because("an address that no host has"), "{address}");
        }
        for address in ["fe80::1", "fd00::1", "10.0.0.1", "169.254.1.1", "240.0.0.1"] {
            assert!(may_be_a_hosts(address.parse().unwrap()), "{address}");
        }
    }
}
