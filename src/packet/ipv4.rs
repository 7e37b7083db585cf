//! IPv4 packets with options, and their fragments (RFC 791).

use super::{Malformed, Segment, internet_checksum, length16, pad, pieces, put};
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

/// A packet that came in, whole and with a header that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// From whom, it says.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// Hops that are left.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// What comes behind the header and its options, as far as the packet's length goes.
    pub payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// Reads a packet from its IP header on. Fragments are refused, and what is behind the packet's length is left out
    /// (it is what filled an Ethernet frame up).
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = packet.first_chunk::<20>().ok_or(Malformed("IPv4: header cut off"))?;
        let &[first, _, l0, l1, _, _, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = fixed;
        if first >> 4 != 4 {
            return Err(Malformed("IPv4: another version"));
        }
        let packet = packet.get(..usize::from(u16::from_be_bytes([l0, l1])));
        let packet = packet.ok_or(Malformed("IPv4: packet cut off"))?;
        let length = usize::from(first & 0xf) * 4;
        let (header, payload) = packet.split_at_checked(length).ok_or(Malformed("IPv4: header longer than packet"))?;
        if length < 20 {
            return Err(Malformed("IPv4: header too short"));
        }
        if internet_checksum(header) != 0 {
            return Err(Malformed("IPv4: wrong header checksum"));
        }
        // More fragments follow, or it is not the first.
        if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
            return Err(Malformed("IPv4: fragment"));
        }
        let (source, destination) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
        Ok(Self { source, destination, ttl, protocol, payload })
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

    #[test]
    fn what_was_built_is_read_and_padding_is_left_out() {
        for options in [vec![], ROUTER_ALERT.to_vec(), vec![1; 40]] {
            let mut packet = Ipv4 { options, ttl: 9, dont_fragment: true, ..HEADER }.packet(&Segment::raw(7, *b"data"));
            packet.extend([0; 30]);
            let (source, destination) = (HEADER.source, HEADER.destination);
            let expected = Received { source, destination, ttl: 9, protocol: 7, payload: b"data" };
            assert_eq!(Received::parse(&packet), Ok(expected));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let whole = HEADER.packet(&Segment::raw(7, *b"data"));
        let changed = |at: usize, value: u8| {
            let mut packet = whole.clone();
            packet[at] = value;
            packet[10..12].copy_from_slice(&[0, 0]);
            let sum = internet_checksum(&packet[..20]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet
        };
        let mut sum = whole.clone();
        sum[8] = 1;
        for (packet, reason) in [
            (whole[..19].to_vec(), "IPv4: header cut off"),
            (whole[..23].to_vec(), "IPv4: packet cut off"),
            (changed(0, 0x65), "IPv4: another version"),
            (changed(0, 0x44), "IPv4: header too short"),
            (changed(0, 0x47), "IPv4: header longer than packet"),
            (changed(3, 19), "IPv4: header longer than packet"),
            (changed(6, 0x20), "IPv4: fragment"),
            (changed(7, 1), "IPv4: fragment"),
            (sum, "IPv4: wrong header checksum"),
        ] {
            assert_eq!(Received::parse(&packet), Err(Malformed(reason)));
        }
    }
}
