//! IPv6 packets with any chain of extension headers, and their fragments (RFC 8200).

mod received;

pub use received::{Received, parse};

use super::{Segment, length8, length16, pad, pieces, put};
use std::net::Ipv6Addr;

/// An extension header (RFC 8200, section 4). Options are given as type, length, data and filled up with padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// Options for every hop (section 4.3).
    HopByHop(Vec<u8>),
    /// Options for the destination (section 4.6).
    DestinationOptions(Vec<u8>),
    /// A routing header (section 4.4).
    Routing {
        /// 0 is deprecated (RFC 5095), 2 is mobility's, 4 is segment routing's.
        kind: u8,
        /// Addresses still to visit.
        segments_left: u8,
        /// What follows the first four octets.
        data: Vec<u8>,
    },
    /// Says that the packet is a part of another one (section 4.5); with offset 0 and nothing more, it is an atomic
    /// fragment (RFC 6946).
    Fragment {
        /// Octets before this part, a multiple of 8.
        offset: u16,
        /// Whether there are parts after it.
        more: bool,
        /// What all parts have in common.
        identification: u32,
    },
    /// An authentication header (RFC 4302) with an integrity value of 12 octets.
    Authentication,
    /// Any other number: next header, length and data as RFC 6564 has them.
    Other(u8, Vec<u8>),
}

impl Extension {
    /// The option by which routers look into a packet (RFC 2711), which MLD carries.
    pub fn router_alert() -> Self {
        Self::HopByHop(vec![5, 2, 0, 0])
    }

    /// A header with nothing but padding.
    pub const fn empty_destination_options() -> Self {
        Self::DestinationOptions(Vec::new())
    }

    /// An atomic fragment's header.
    pub const fn atomic_fragment() -> Self {
        Self::Fragment { offset: 0, more: false, identification: 1 }
    }

    /// Its number in the header before it.
    pub const fn number(&self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => 44,
            Self::Authentication => 51,
            Self::DestinationOptions(_) => 60,
            Self::Other(number, _) => *number,
        }
    }

    /// The header, with what comes next.
    fn bytes(&self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop(options) | Self::DestinationOptions(options) => with_length(next, &padded(options)),
            Self::Routing { kind, segments_left, data } => {
                let mut body = vec![*kind, *segments_left];
                body.extend(data);
                with_length(next, &body)
            }
            Self::Fragment { offset, more, identification } => {
                let [high, low] = (offset & !7 | u16::from(*more)).to_be_bytes();
                [&[next, 0, high, low][..], &identification.to_be_bytes()].concat()
            }
            // Its length counts words of 32 bits, minus 2; index 1, sequence number 1.
            Self::Authentication => [&[next, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..], &[0; 12]].concat(),
            Self::Other(_, data) => with_length(next, data),
        }
    }
}

/// Options filled up so that they and the two octets before them are a multiple of 8: by Pad1 or PadN.
fn padded(options: &[u8]) -> Vec<u8> {
    let mut padded = options.to_vec();
    let total = (2 + padded.len()).next_multiple_of(8) - 2;
    match total - padded.len() {
        0 => {}
        1 => padded.push(0),
        missing => padded.extend([1, length8(missing - 2)]),
    }
    padded.resize(total, 0);
    padded
}

/// Next header, length in units of 8 octets minus the first one, body.
fn with_length(next: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = [&[next, 0], body].concat();
    pad(&mut bytes, 8);
    let units = length8((bytes.len() / 8).saturating_sub(1));
    put(&mut bytes, 1, &[units]);
    bytes
}

/// An IPv6 header and its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6 {
    /// From whom, it says.
    pub source: Ipv6Addr,
    /// To whom; the last one if there is a routing header.
    pub destination: Ipv6Addr,
    /// Differentiated services and congestion (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// Hops that are left.
    pub hop_limit: u8,
    /// Extension headers in order.
    pub extensions: Vec<Extension>,
}

impl Ipv6 {
    /// A header as most packets have it.
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self { source, destination, traffic_class: 0, hop_limit: 64, extensions: Vec::new() }
    }

    /// A header as neighbour discovery demands it: hop limit 255 (RFC 4861, sections 6.1, 7.1, 8.1).
    pub fn neighbor_discovery(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self { hop_limit: 255, ..Self::new(source, destination) }
    }

    /// A header as MLD demands it: hop limit 1 and a router alert (RFC 9777, section 5).
    pub fn mld(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self { hop_limit: 1, ..Self::new(source, destination) }.with(Extension::router_alert())
    }

    /// With one more extension header, behind those that are there.
    #[must_use]
    pub fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The packet with this segment.
    pub fn packet(&self, segment: &Segment) -> Vec<u8> {
        let upper = segment.filled_in(&self.source.octets(), &self.destination.octets());
        self.carrying(&self.extensions, segment.protocol, &upper)
    }

    /// The packet in fragments. The first `unfragmentable` extension headers are in each of them; what follows those is
    /// cut at these offsets from its start, in multiples of 8. No cuts: an atomic fragment.
    pub fn fragments(
        &self,
        unfragmentable: usize,
        segment: &Segment,
        identification: u32,
        cuts: &[usize],
    ) -> Vec<Vec<u8>> {
        let upper = segment.filled_in(&self.source.octets(), &self.destination.octets());
        let (before, behind) = self.extensions.split_at(unfragmentable.min(self.extensions.len()));
        let (first, whole) = chained(behind, segment.protocol, &upper);
        let part = |(offset, piece): (usize, &[u8])| {
            let more = offset + piece.len() < whole.len();
            let offset = u16::try_from(offset).unwrap_or_default();
            let extensions = [before, &[Extension::Fragment { offset, more, identification }]].concat();
            self.carrying(&extensions, first, piece)
        };
        pieces(&whole, cuts).into_iter().map(part).collect()
    }

    /// A packet with these extension headers (not its own), then `payload`, which begins with a header of this number.
    pub fn carrying(&self, extensions: &[Extension], number: u8, payload: &[u8]) -> Vec<u8> {
        let (first, rest) = chained(extensions, number, payload);
        let mut packet = vec![0x60 | self.traffic_class >> 4, self.traffic_class << 4, 0, 0];
        packet.extend(length16(rest.len()));
        packet.extend([first, self.hop_limit]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(rest);
        packet
    }
}

/// Extension headers before `payload`, each with the number of the next; and the number of the first.
fn chained(extensions: &[Extension], number: u8, payload: &[u8]) -> (u8, Vec<u8>) {
    let behind = |(next, rest): (u8, Vec<u8>), extension: &Extension| {
        (extension.number(), [extension.bytes(next), rest].concat())
    };
    extensions.iter().rev().fold((number, payload.to_vec()), behind)
}

#[cfg(test)]
mod tests {
    use super::super::{Udp, protocol};
    use super::*;

    const HEADER: Ipv6 = Ipv6::new(Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);

    #[test]
    fn each_header_names_the_next_and_its_length() {
        let chain = [
            Extension::router_alert(),
            Extension::DestinationOptions(vec![0x1e, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Extension::Routing { kind: 0, segments_left: 0, data: vec![0; 20] },
            Extension::Authentication,
            Extension::Fragment { offset: 8, more: true, identification: 7 },
            Extension::Other(135, vec![0; 6]),
        ];
        let packet = chain.into_iter().fold(HEADER, Ipv6::with).packet(&Segment::raw(59, []));
        assert_eq!((packet[6], usize::from(packet[5])), (0, packet.len() - 40));
        let mut walked = Vec::new();
        let (mut number, mut at) = (packet[6], 40);
        while number != 59 {
            walked.push(number);
            let length = match number {
                44 => 8,
                51 => (usize::from(packet[at + 1]) + 2) * 4,
                _ => (usize::from(packet[at + 1]) + 1) * 8,
            };
            (number, at) = (packet[at], at + length);
        }
        assert_eq!((walked, at), (vec![0, 60, 43, 51, 44, 135], packet.len()));
    }

    #[test]
    fn options_are_padded_as_rfc_8200_says() {
        assert_eq!(Extension::router_alert().bytes(58), [58, 0, 5, 2, 0, 0, 1, 0]);
        assert_eq!(Extension::empty_destination_options().bytes(58), [58, 0, 1, 4, 0, 0, 0, 0]);
        assert_eq!(Extension::HopByHop(vec![1, 3, 0, 0, 0]).bytes(6), [6, 0, 1, 3, 0, 0, 0, 0]);
    }

    #[test]
    fn fragments_join_to_what_was_cut() {
        let header = HEADER.with(Extension::router_alert()).with(Extension::empty_destination_options());
        let segment = Udp::new(1, 2, vec![7; 30]).segment();
        let whole = header.packet(&segment);
        let fragments = header.fragments(1, &segment, 9, &[8, 24]);
        let joined: Vec<u8> = fragments.iter().flat_map(|fragment| fragment[56..].to_vec()).collect();
        assert_eq!(joined, whole[48..]);
        let heads: Vec<_> = fragments.iter().map(|fragment| fragment[48..56].to_vec()).collect();
        assert_eq!(heads, [[60, 0, 0, 1, 0, 0, 0, 9], [60, 0, 0, 9, 0, 0, 0, 9], [60, 0, 0, 24, 0, 0, 0, 9]]);
        let atomic = HEADER.fragments(0, &segment, 1, &[]);
        assert_eq!(atomic, [HEADER.with(Extension::atomic_fragment()).packet(&segment)]);
    }

    #[test]
    fn extensions_do_not_change_the_checksum() {
        let segment = Udp::new(1, 2, [1, 2, 3]).segment();
        let plain = HEADER.packet(&segment);
        let behind = HEADER.with(Extension::empty_destination_options()).packet(&segment);
        assert_eq!((plain[6], plain[40..].to_vec()), (protocol::UDP, behind[48..].to_vec()));
    }
}
