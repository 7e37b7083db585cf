//! IPv4 packets with options, and their fragments (RFC 791).

use super::{Segment, internet_checksum, length16, pad, pieces, put};
use std::net::Ipv4Addr;

/// An IPv4 header. Lengths and the checksum are made to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv4 {
    /// From whom, it says.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// Hops that are left.
    pub ttl: u8,
    /// What fragments of one packet have in common.
    pub identification: u16,
    /// Whether no router may cut it.
    pub dont_fragment: bool,
    /// Options, at most 40 octets; filled up to 32-bit words with zeros, which end them.
    pub options: Vec<u8>,
}

/// The option by which routers look into a packet (RFC 2113); MLD and IGMP carry it.
pub const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];

impl Ipv4 {
    /// A header as most packets have it.
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self { source, destination, ttl: 64, identification: 0, dont_fragment: false, options: Vec::new() }
    }

    /// The packet with this segment.
    pub fn packet(&self, segment: &Segment) -> Vec<u8> {
        let upper = segment.filled_in(&self.source.octets(), &self.destination.octets());
        self.part(segment.protocol, 0, false, &upper)
    }

    /// The packet in fragments, cut at these offsets from the start of the segment, in multiples of 8.
    pub fn fragments(&self, segment: &Segment, cuts: &[usize]) -> Vec<Vec<u8>> {
        let upper = segment.filled_in(&self.source.octets(), &self.destination.octets());
        let part = |(offset, piece): (usize, &[u8])| {
            self.part(segment.protocol, offset, offset + piece.len() < upper.len(), piece)
        };
        pieces(&upper, cuts).into_iter().map(part).collect()
    }

    /// A packet that says to be the part from `offset` (octets, a multiple of 8) of a larger one.
    pub fn part(&self, protocol: u8, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
        let mut options = self.options.clone();
        pad(&mut options, 4);
        options.truncate(40);
        let words = 5 + super::length8(options.len() / 4);
        let flags = u16::from(self.dont_fragment) << 14 | u16::from(more) << 13;
        let fragment = flags | u16::try_from(offset / 8).unwrap_or_default() & 0x1fff;
        let mut packet = vec![0x40 | words, 0];
        packet.extend(length16(20 + options.len() + payload.len()));
        packet.extend(self.identification.to_be_bytes());
        packet.extend(fragment.to_be_bytes());
        packet.extend([self.ttl, protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(options);
        let sum = internet_checksum(&packet);
        put(&mut packet, 10, &sum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::super::Udp;
    use super::*;

    const HEADER: Ipv4 = Ipv4::new(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn the_header_verifies_with_and_without_options() {
        for (options, words) in [(vec![], 5), (ROUTER_ALERT.to_vec(), 6), (vec![7, 3, 4], 6), (vec![1; 99], 15)] {
            let packet = Ipv4 { options, ..HEADER }.packet(&Udp::new(1, 2, [0; 4]).segment());
            let header = usize::from(words) * 4;
            assert_eq!(packet[0], 0x40 | words);
            assert_eq!(internet_checksum(&packet[..header]), 0);
            assert_eq!((packet[2..4].to_vec(), packet.len()), (length16(header + 12).to_vec(), header + 12));
        }
    }

    #[test]
    fn fragments_join_to_the_packet() {
        let segment = Udp::new(1, 2, (0..50).collect::<Vec<u8>>()).segment();
        let whole = HEADER.packet(&segment);
        let fragments = HEADER.fragments(&segment, &[8, 40]);
        let at = |fragment: &[u8]| u16::from_be_bytes([fragment[6], fragment[7]]);
        assert_eq!(fragments.iter().map(|fragment| at(fragment)).collect::<Vec<_>>(), [0x2000, 0x2001, 5]);
        let joined: Vec<u8> = fragments.iter().flat_map(|fragment| fragment[20..].to_vec()).collect();
        assert_eq!(joined, whole[20..]);
    }
}
