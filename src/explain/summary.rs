//! What a frame is, in a few words for a person, and which address it claims. Only for reading: nothing is decided here.

use crate::net::Mac;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Summary {
    pub(super) source: Option<Mac>,
    pub(super) destination: Option<Mac>,
    /// Like `ARP request, 10.0.0.1 asks for 10.0.0.2`.
    pub(super) what: String,
    /// The address that it says is its sender's.
    pub(super) claim: Option<IpAddr>,
}

/// Tags that are looked behind at most.
const MOST_TAGS: usize = 8;
/// Extension headers that are looked behind at most.
const MOST_HEADERS: usize = 8;

impl Summary {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut summary = Self { source: mac(bytes, 6), destination: mac(bytes, 0), ..Self::default() };
        // Writing to text cannot fail.
        let _ = summary.describe(bytes);
        summary
    }

    fn describe(&mut self, bytes: &[u8]) -> fmt::Result {
        let mut at = 12;
        let mut ether_type = number(bytes, at);
        for _ in 0..MOST_TAGS {
            match ether_type {
                Some(0x8100 | 0x88a8 | 0x9100) => {
                    let vlan = number(bytes, at + 2).unwrap_or_default() & 0xfff;
                    write!(self.what, "VLAN {vlan} ")?;
                    at += 4;
                    ether_type = number(bytes, at);
                }
                _ => break,
            }
        }
        let packet = bytes.get(at + 2..).unwrap_or_default();
        match ether_type {
            None => self.what.write_str("too short"),
            Some(0x0806) => self.arp(packet),
            Some(0x0800) => self.ipv4(packet),
            Some(0x86dd) => self.ipv6(packet),
            Some(length @ 0..0x600) => write!(self.what, "802.3 frame of {length} octets"),
            Some(other) => match name_of(other) {
                Some(name) => self.what.write_str(name),
                None => write!(self.what, "ether type 0x{other:04x}"),
            },
        }
    }

    fn arp(&mut self, packet: &[u8]) -> fmt::Result {
        let (Some(sender), Some(target)) = (v4(packet, 14), v4(packet, 24)) else {
            return self.what.write_str("ARP, cut short");
        };
        self.claim = Some(sender.into());
        match number(packet, 6) {
            Some(1) if sender == target => write!(self.what, "ARP announcement of {sender}")?,
            Some(1) if sender.is_unspecified() => {
                self.claim = Some(target.into());
                write!(self.what, "ARP probe for {target}")?;
            }
            Some(1) => write!(self.what, "ARP request, {sender} asks for {target}")?,
            Some(2) => write!(self.what, "ARP reply, {sender} is here")?,
            operation => write!(self.what, "ARP operation {}", operation.unwrap_or_default())?,
        }
        match mac(packet, 8) {
            Some(at) if Some(at) != self.source => write!(self.what, " at {at}"),
            _ => Ok(()),
        }
    }

    fn ipv4(&mut self, packet: &[u8]) -> fmt::Result {
        let (Some(source), Some(destination)) = (v4(packet, 12), v4(packet, 16)) else {
            return self.what.write_str("IPv4, cut short");
        };
        self.claim = Some(source.into());
        let header = usize::from(packet.first().copied().unwrap_or_default() & 0xf) * 4;
        let protocol = packet.get(9).copied().unwrap_or_default();
        let transport = packet.get(header..).unwrap_or_default();
        write!(self.what, "IPv4 {source} > {destination} ")?;
        match number(packet, 6).unwrap_or_default() & 0x1fff {
            0 => self.transport(protocol, transport),
            offset => write!(self.what, "protocol {protocol}, fragment at {}", u32::from(offset) * 8),
        }
    }

    fn ipv6(&mut self, packet: &[u8]) -> fmt::Result {
        let (Some(source), Some(destination)) = (v6(packet, 8), v6(packet, 24)) else {
            return self.what.write_str("IPv6, cut short");
        };
        self.claim = Some(source.into());
        write!(self.what, "IPv6 {source} > {destination} ")?;
        let mut next = packet.get(6).copied().unwrap_or_default();
        let mut rest = packet.get(40..).unwrap_or_default();
        for _ in 0..MOST_HEADERS {
            let (name, length) = match (next, rest) {
                (0, [_, length, ..]) => ("hop-by-hop", usize::from(*length) * 8 + 8),
                (43, [_, length, ..]) => ("routing", usize::from(*length) * 8 + 8),
                (44, [_, _, high, low, ..]) => match u16::from_be_bytes([*high, *low]) & !7 {
                    0 => ("fragment", 8),
                    offset => return write!(self.what, "fragment at {offset}"),
                },
                (51, [_, length, ..]) => ("authentication", usize::from(*length) * 4 + 8),
                (60, [_, length, ..]) => ("options", usize::from(*length) * 8 + 8),
                _ => break,
            };
            write!(self.what, "{name}, ")?;
            next = rest.first().copied().unwrap_or_default();
            rest = rest.get(length..).unwrap_or_default();
        }
        self.transport(next, rest)
    }

    fn transport(&mut self, protocol: u8, bytes: &[u8]) -> fmt::Result {
        let ports = number(bytes, 0).zip(number(bytes, 2));
        match (protocol, ports) {
            (17, Some((from, to))) => {
                write!(self.what, "UDP {from} > {to}")?;
                self.what.write_str(match to {
                    67 => " (to a DHCP server)",
                    68 => " (to a DHCP client)",
                    546 => " (to a DHCPv6 client)",
                    547 => " (to a DHCPv6 server)",
                    _ => "",
                })
            }
            (6, Some((from, to))) => write!(self.what, "TCP {from} > {to}"),
            (58, _) => self.icmpv6(bytes),
            (2, _) => match bytes.first() {
                Some(0x11) => self.what.write_str("IGMP query"),
                Some(0x12 | 0x16 | 0x22) => self.what.write_str("IGMP report"),
                kind => write!(self.what, "IGMP type {}", kind.copied().unwrap_or_default()),
            },
            (1, _) => self.what.write_str("ICMP"),
            (59, _) => self.what.write_str("nothing"),
            _ => write!(self.what, "protocol {protocol}"),
        }
    }

    fn icmpv6(&mut self, message: &[u8]) -> fmt::Result {
        let kind = message.first().copied().unwrap_or_default();
        let target = v6(message, 8);
        match (kind, target) {
            (133, _) => self.what.write_str("router solicitation"),
            (134, _) => self.what.write_str("router advertisement"),
            (135, Some(target)) => {
                if self.claim == Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) {
                    self.claim = Some(target.into());
                }
                write!(self.what, "neighbour solicitation for {target}")
            }
            (136, Some(target)) => {
                self.claim = Some(target.into());
                write!(self.what, "neighbour advertisement of {target}")
            }
            (137, _) => self.what.write_str("redirect"),
            (130, _) => self.what.write_str("MLD query"),
            (131 | 143, _) => self.what.write_str("MLD report"),
            (132, _) => self.what.write_str("MLD done"),
            (128, _) => self.what.write_str("ICMPv6 echo request"),
            (129, _) => self.what.write_str("ICMPv6 echo reply"),
            _ => write!(self.what, "ICMPv6 type {kind}"),
        }
    }
}

fn name_of(ether_type: u16) -> Option<&'static str> {
    Some(match ether_type {
        0x8035 => "reverse ARP",
        0x8847 => "MPLS",
        0x8863 => "PPPoE discovery",
        0x8864 => "PPPoE session",
        0x888e => "EAP over LAN",
        0x88cc => "LLDP",
        0x9000 => "loopback",
        _ => return None,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn mac(bytes: &[u8], at: usize) -> Option<Mac> {
    array(bytes, at).map(Mac)
}

fn v4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    array::<4>(bytes, at).map(Ipv4Addr::from)
}

fn v6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    array::<16>(bytes, at).map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::dhcp4::Dhcp4;
    use crate::packet::nd::Nd;
    use crate::packet::{Arp, Ethernet, Extension, Ipv4, Ipv6, Tag, ether_type};
    use proptest::prelude::*;

    const GUEST: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn said(ether_type: u16, packet: &[u8]) -> (String, Option<String>) {
        let frame = Ethernet::new(Ethernet::BROADCAST, GUEST).frame(ether_type, packet);
        let summary = Summary::of(&frame);
        assert_eq!((summary.source, summary.destination), (Some(GUEST), Some(Ethernet::BROADCAST)));
        (summary.what, summary.claim.map(|claim| claim.to_string()))
    }

    fn expect(ether_type: u16, packet: &[u8], what: &str, claim: &str) {
        assert_eq!(said(ether_type, packet), (what.to_owned(), Some(claim.to_owned())));
    }

    #[test]
    fn frames_are_named_with_the_address_that_they_claim() {
        let arp = |arp: Arp, what: &str, claim: &str| expect(ether_type::ARP, &arp.packet(), what, claim);
        arp(Arp::request((GUEST, ONE), TWO), "ARP request, 10.0.0.1 asks for 10.0.0.2", "10.0.0.1");
        arp(Arp::probe(GUEST, TWO), "ARP probe for 10.0.0.2", "10.0.0.2");
        arp(Arp::reply((OTHER, TWO), (GUEST, ONE)), "ARP reply, 10.0.0.2 is here at 02:00:00:00:00:02", "10.0.0.2");
        arp(Arp::announcement((GUEST, ONE)), "ARP announcement of 10.0.0.1", "10.0.0.1");

        let dhcp =
            Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).packet(&Dhcp4::from_client(1, GUEST).segment());
        let what = "IPv4 0.0.0.0 > 255.255.255.255 UDP 68 > 67 (to a DHCP server)";
        expect(ether_type::IPV4, &dhcp, what, "0.0.0.0");

        let (target, to) = ("fd00::2".parse().unwrap(), "ff02::1".parse().unwrap());
        let ip = Ipv6::neighbor_discovery("fe80::1".parse().unwrap(), to).with(Extension::router_alert());
        let packet = ip.packet(&Nd::advertisement(target).segment(&[]));
        let what = "IPv6 fe80::1 > ff02::1 hop-by-hop, neighbour advertisement of fd00::2";
        expect(ether_type::IPV6, &packet, what, "fd00::2");
        let probe = Ipv6::neighbor_discovery(Ipv6Addr::UNSPECIFIED, to).packet(&Nd::solicitation(target).segment(&[]));
        expect(ether_type::IPV6, &probe, "IPv6 :: > ff02::1 neighbour solicitation for fd00::2", "fd00::2");
    }

    #[test]
    fn tags_types_and_ends_are_named() {
        let ethernet = Ethernet::new(OTHER, GUEST).tagged(Tag::service(7)).tagged(Tag::vlan(0));
        assert_eq!(Summary::of(&ethernet.frame(ether_type::LLDP, &[])).what, "VLAN 7 VLAN 0 LLDP");
        assert_eq!(said(0x1234, &[]).0, "ether type 0x1234");
        assert_eq!(Summary::of(&[2; 13]).what, "too short");
        assert_eq!(Summary::of(&[]), Summary { what: "too short".to_owned(), ..Summary::default() });
        assert_eq!(Summary::of(&Ethernet::new(OTHER, GUEST).length_frame(&[1; 50])).what, "802.3 frame of 50 octets");
    }

    proptest! {
        #[test]
        fn any_frame_has_a_short_summary(
            kind in prop::sample::select(vec![0x0800_u16, 0x0806, 0x86dd, 0x8100]),
            packet in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let frame = [&[2; 12][..], &kind.to_be_bytes(), &packet].concat();
            let what = Summary::of(&frame).what;
            prop_assert!(what.len() < 250 && !what.contains(char::is_control), "{what}");
        }
    }
}
