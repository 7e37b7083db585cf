//! Frames, byte by byte: what guests send, honest ones and others, and what they are answered. Pure: no I/O, no clock, no
//! randomness.
//!
//! Every layer is a plain struct whose fields may say anything, lies included; lengths and checksums are made to fit
//! it. [`Ethernet`] with any stack of [`Tag`]s carries [`Arp`], [`Ipv4`] or [`Ipv6`], and the latter two carry a
//! [`Segment`], whose checksum they fill in since it covers their addresses: of [`Udp`] ([`dhcp4`], [`dhcp6`] inside),
//! [`nd`] and [`mld`] (ICMPv6), [`igmp`].
//!
//! ```
//! use instances::net::Mac;
//! use instances::packet::{Ethernet, ether_type, ipv6::Ipv6, nd::{Nd, NdOption}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (source, target) = (Mac([2, 0, 0, 0, 0, 1]), "fe80::1".parse()?);
//! let claim = Nd::advertisement(target).segment(&[NdOption::TargetLinkLayer(source)]);
//! let packet = Ipv6::neighbor_discovery(target, "ff02::1".parse()?).packet(&claim);
//! let frame = Ethernet::new(Mac([0x33, 0x33, 0, 0, 0, 1]), source).frame(ether_type::IPV6, &packet);
//! assert_eq!(frame.len(), 14 + 40 + 24 + 8);
//! # Ok(())
//! # }
//! ```

pub mod arp;
mod checksum;
pub mod dhcp4;
pub mod dhcp6;
mod domain;
pub mod ethernet;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod mld;
pub mod nd;
mod reader;
mod segment;
pub mod udp4;

use std::fmt;

pub use arp::Arp;
pub use checksum::internet_checksum;
pub use ethernet::{Ethernet, Tag, ether_type};
pub use ipv4::Ipv4;
pub use ipv6::{Extension, Ipv6};
pub(crate) use reader::Reader;
pub use segment::{Checksum, Datagram, Segment, Udp, protocol};

/// Octets that are not what they should be: what is wrong, in a few words without anything from the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// A length as a 16-bit field has it; what does not fit becomes the greatest one.
fn length16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// A length as an 8-bit field has it; what does not fit becomes the greatest one.
fn length8(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// Writes over what is at `offset`, as far as there is something.
pub(crate) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(offset).zip(value) {
        *byte = *new;
    }
}

/// Fills up with zeros to a multiple of `unit` octets.
fn pad(bytes: &mut Vec<u8>, unit: usize) {
    bytes.resize(bytes.len().next_multiple_of(unit), 0);
}

/// Cuts at these offsets, which are rounded down to multiples of 8 as fragments need it (RFC 791, RFC 8200); each piece
/// with its offset.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<(usize, &'a [u8])> {
    let mut pieces = Vec::new();
    let (mut start, mut rest) = (0, bytes);
    for cut in cuts.iter().map(|cut| cut & !7) {
        if let Some((piece, after)) = cut.checked_sub(start).filter(|&n| n > 0).and_then(|n| rest.split_at_checked(n)) {
            pieces.push((start, piece));
            (start, rest) = (cut, after);
        }
    }
    pieces.push((start, rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_begin_at_multiples_of_eight_and_miss_nothing() {
        let bytes: Vec<u8> = (0..30).collect();
        assert_eq!(pieces(&bytes, &[]), [(0, &bytes[..])]);
        assert_eq!(pieces(&bytes, &[9, 24]), [(0, &bytes[..8]), (8, &bytes[8..24]), (24, &bytes[24..])]);
        assert_eq!(pieces(&bytes, &[0, 7, 16, 16, 99]), [(0, &bytes[..16]), (16, &bytes[16..])]);
    }

    #[test]
    fn padding_fills_up_and_adds_nothing_more() {
        for (before, after) in [(0, 0), (1, 8), (8, 8), (9, 16)] {
            let mut bytes = vec![1; before];
            pad(&mut bytes, 8);
            assert_eq!(bytes.len(), after);
        }
    }
}
