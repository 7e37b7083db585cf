//! Ethernet frames with any stack of VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use super::length16;
use crate::net::Mac;

/// Ether types (IEEE's registry; RFC 9542, appendix B).
pub mod ether_type {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// Reverse ARP (RFC 903).
    pub const RARP: u16 = 0x8035;
    /// A VLAN tag (802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// A service tag (802.1ad), the outer one of two.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// Novell IPX.
    pub const IPX: u16 = 0x8137;
    /// MPLS unicast (RFC 3032).
    pub const MPLS: u16 = 0x8847;
    /// PPPoE discovery (RFC 2516).
    pub const PPPOE_DISCOVERY: u16 = 0x8863;
    /// PPPoE session (RFC 2516).
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// EAP over LAN (802.1X).
    pub const EAPOL: u16 = 0x888e;
    /// Link layer discovery (802.1AB).
    pub const LLDP: u16 = 0x88cc;
    /// Loopback (Ethernet configuration testing protocol).
    pub const LOOPBACK: u16 = 0x9000;
    /// For local experiments (802).
    pub const EXPERIMENT: u16 = 0x88b5;
}

/// Octets of a frame without its check sequence, at least.
const SHORTEST: usize = 60;

/// A VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// What announces it: [`ether_type::VLAN`], [`ether_type::SERVICE_VLAN`].
    pub protocol: u16,
    /// The VLAN, 0 to 4095; 0 makes it a priority tag.
    pub vlan: u16,
    /// Priority, 0 to 7.
    pub priority: u8,
}

impl Tag {
    /// An 802.1Q tag.
    pub const fn vlan(vlan: u16) -> Self {
        Self { protocol: ether_type::VLAN, vlan, priority: 0 }
    }

    /// An 802.1ad tag.
    pub const fn service(vlan: u16) -> Self {
        Self { protocol: ether_type::SERVICE_VLAN, vlan, priority: 0 }
    }

    /// The two octets behind [`Tag::protocol`].
    fn control(self) -> [u8; 2] {
        (u16::from(self.priority & 7) << 13 | self.vlan & 0xfff).to_be_bytes()
    }
}

/// An Ethernet header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ethernet {
    /// To whom.
    pub destination: Mac,
    /// From whom, it says.
    pub source: Mac,
    /// The tags, outermost first.
    pub tags: Vec<Tag>,
}

impl Ethernet {
    /// To all.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// A header without tags.
    pub const fn new(destination: Mac, source: Mac) -> Self {
        Self { destination, source, tags: Vec::new() }
    }

    /// With one more tag, inside those that are there.
    #[must_use]
    pub fn tagged(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// The frame with this payload, filled up to the 60 octets that Ethernet demands.
    pub fn frame(&self, ether_type: u16, payload: &[u8]) -> Vec<u8> {
        self.with_type(ether_type.to_be_bytes(), payload)
    }

    /// A frame with a length instead of an ether type (802.3), as LLC (802.2) needs it, STP and raw IPX use it.
    pub fn length_frame(&self, payload: &[u8]) -> Vec<u8> {
        self.with_type(length16(payload.len()), payload)
    }

    fn with_type(&self, kind: [u8; 2], payload: &[u8]) -> Vec<u8> {
        let mut frame = [self.destination.0, self.source.0].concat();
        for tag in &self.tags {
            frame.extend(tag.protocol.to_be_bytes());
            frame.extend(tag.control());
        }
        frame.extend(kind);
        frame.extend(payload);
        let shortest = SHORTEST.max(frame.len());
        frame.resize(shortest, 0);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn tags_stand_outermost_first_before_the_type() {
        let outer = Tag { priority: 7, ..Tag::service(4094) };
        let header = Ethernet::new(Ethernet::BROADCAST, SOURCE).tagged(outer).tagged(Tag::vlan(0));
        let frame = header.frame(ether_type::ARP, &[0xaa; 50]);
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[6..12], SOURCE.0);
        assert_eq!(frame[12..22], [0x88, 0xa8, 0xef, 0xfe, 0x81, 0x00, 0, 0, 0x08, 0x06]);
        assert_eq!(frame[22..], [0xaa; 50]);
    }

    #[test]
    fn short_frames_are_filled_up_and_lengths_count_without_filling() {
        let header = Ethernet::new(Ethernet::BROADCAST, SOURCE);
        assert_eq!(header.frame(ether_type::IPV4, &[]).len(), 60);
        let frame = header.length_frame(&[0x42, 0x42, 0x03]);
        assert_eq!((frame.len(), &frame[12..17]), (60, &[0, 3, 0x42, 0x42, 0x03][..]));
    }
}
