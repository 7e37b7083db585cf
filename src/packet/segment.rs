use super::checksum::internet_checksum_of_both;
use super::{Malformed, internet_checksum, length16, put};

/// What IP carries: a protocol's header and data. Its checksum covers the addresses of the IP header (RFC 9293, section
/// 3.1; RFC 8200, section 8.1), hence whoever carries it fills it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The protocol's number (IANA's protocol numbers).
    pub protocol: u8,
    /// Header and data, the checksum zero.
    pub bytes: Vec<u8>,
    /// Where the checksum goes, if there is one.
    pub checksum: Option<Checksum>,
}

/// A checksum's place, and what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// Octets from the start of the segment.
    pub offset: usize,
    /// Whether the addresses are covered too: not in ICMPv4 and IGMP.
    pub pseudo_header: bool,
    /// Whether a sum of zero is sent as 0xffff, since zero means that there is none (RFC 768).
    pub zero_means_none: bool,
}

/// Numbers of protocols.
pub mod protocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: u8 = 1;
    /// IGMP (RFC 9776).
    pub const IGMP: u8 = 2;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// VRRP (RFC 9568).
    pub const VRRP: u8 = 112;
}

impl Segment {
    /// Octets as they are.
    pub fn raw(protocol: u8, bytes: impl Into<Vec<u8>>) -> Self {
        Self { protocol, bytes: bytes.into(), checksum: None }
    }

    /// An ICMPv6 message: type, code, checksum (RFC 4443, section 2.1), then `body`.
    pub fn icmpv6(kind: u8, code: u8, body: &[u8]) -> Self {
        let checksum = Checksum { offset: 2, pseudo_header: true, zero_means_none: false };
        let bytes = [&[kind, code, 0, 0], body].concat();
        Self { protocol: protocol::ICMPV6, bytes, checksum: Some(checksum) }
    }

    /// An ICMP message for IPv4 (RFC 792).
    pub fn icmpv4(kind: u8, code: u8, body: &[u8]) -> Self {
        let checksum = Checksum { offset: 2, pseudo_header: false, zero_means_none: false };
        let bytes = [&[kind, code, 0, 0], body].concat();
        Self { protocol: protocol::ICMP, bytes, checksum: Some(checksum) }
    }

    /// The octets with their checksum. Source and destination in the order of the IP header; of IPv6 and IPv4, the
    /// pseudo headers sum up to the same.
    pub(super) fn filled_in(&self, source: &[u8], destination: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let Some(checksum) = self.checksum else { return bytes };
        let mut covered = Vec::new();
        if checksum.pseudo_header {
            covered.extend([source, destination].concat());
            covered.extend([0, self.protocol]);
            covered.extend(length16(bytes.len()));
        }
        covered.extend(&bytes);
        let sum = match internet_checksum(&covered) {
            0 if checksum.zero_means_none => 0xffff,
            sum => sum,
        };
        put(&mut bytes, checksum.offset, &sum.to_be_bytes());
        bytes
    }
}

/// A UDP datagram (RFC 768).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Data.
    pub data: Vec<u8>,
}

impl Udp {
    /// A datagram.
    pub fn new(source: u16, destination: u16, data: impl Into<Vec<u8>>) -> Self {
        Self { source, destination, data: data.into() }
    }

    /// For IP to carry.
    pub fn segment(&self) -> Segment {
        let mut bytes = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        bytes.extend(length16(8 + self.data.len()));
        bytes.extend([0, 0]);
        bytes.extend(&self.data);
        let checksum = Checksum { offset: 6, pseudo_header: true, zero_means_none: true };
        Segment { protocol: protocol::UDP, bytes, checksum: Some(checksum) }
    }
}

/// A UDP datagram that came in, whole and with a checksum that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Data.
    pub data: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads what `source` sent to `destination`, the addresses of the IP header. Over IPv4 the checksum may be zero: none
    /// (RFC 768); over IPv6 it may not (RFC 8200, section 8.1). What is behind the datagram's length is left out.
    ///
    /// The kernel completes checksums that were left to hardware before it hands a packet over, unless asked not to
    /// (NFQUEUE's `NFQA_CFG_F_GSO`).
    pub fn parse<const N: usize>(
        segment: &'a [u8],
        source: &[u8; N],
        destination: &[u8; N],
    ) -> Result<Self, Malformed> {
        let header = segment.first_chunk::<8>().ok_or(Malformed("UDP: header cut off"))?;
        let &[s0, s1, d0, d1, l0, l1, c0, c1] = header;
        let datagram = segment.get(..usize::from(u16::from_be_bytes([l0, l1])));
        let datagram = datagram.ok_or(Malformed("UDP: datagram cut off"))?;
        let data = datagram.get(8..).ok_or(Malformed("UDP: length too small"))?;
        match ([c0, c1], N) {
            ([0, 0], 4) => {}
            ([0, 0], _) => return Err(Malformed("UDP: no checksum")),
            _ => {
                // Two addresses of 16 octets at most, protocol and length.
                let mut pseudo = [0; 36];
                put(&mut pseudo, 0, source);
                put(&mut pseudo, N, destination);
                put(&mut pseudo, 32, &[0, protocol::UDP, l0, l1]);
                if internet_checksum_of_both(&pseudo, datagram) != 0 {
                    return Err(Malformed("UDP: wrong checksum"));
                }
            }
        }
        let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        Ok(Self { source, destination, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a receiver does: the sum over everything, checksum included, is zero.
    fn verifies(segment: &Segment, source: &[u8], destination: &[u8]) -> bool {
        let bytes = segment.filled_in(source, destination);
        let pseudo = [source, destination, &[0, segment.protocol], &length16(bytes.len())].concat();
        internet_checksum(&[pseudo, bytes].concat()) == 0
    }

    #[test]
    fn udp_verifies_over_both_families_at_any_length() {
        for length in [0, 1, 2, 9, 1000] {
            let segment = Udp::new(68, 67, vec![0x5a; length]).segment();
            assert!(verifies(&segment, &[10, 0, 0, 1], &[10, 0, 0, 2]), "{length}");
            assert!(verifies(&segment, &[0xfd; 16], &[0xfe; 16]), "{length}");
            assert_eq!(segment.bytes[4..6], length16(8 + length));
        }
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_ones_in_udp_only() {
        // 0x0011 for the protocol, 2 * 0x000a for the lengths, and data which makes the sum 0xffff.
        let udp = Udp::new(0, 0, (0xffff_u16 - 0x11 - 2 * 0xa).to_be_bytes()).segment();
        assert_eq!(udp.filled_in(&[0; 4], &[0; 4])[6..8], [0xff, 0xff]);
        let icmp = Segment::icmpv4(0xff, 0xff, &[]);
        assert_eq!(icmp.filled_in(&[1; 4], &[2; 4]), [0xff, 0xff, 0, 0]);
    }

    #[test]
    fn icmpv6_verifies_and_covers_addresses() {
        let segment = Segment::icmpv6(128, 0, &[1, 2, 3, 4, 5]);
        assert!(verifies(&segment, &[0xfd; 16], &[0xfe; 16]));
        assert_ne!(segment.filled_in(&[0; 16], &[1; 16]), segment.filled_in(&[0; 16], &[2; 16]));
    }

    #[test]
    fn what_was_sent_is_read_over_both_families() {
        for length in [0, 1, 2, 9, 300] {
            let udp = Udp::new(68, 67, vec![0x5a; length]);
            let read = Datagram { source: 68, destination: 67, data: &udp.data };
            let v4 = udp.segment().filled_in(&[1, 2, 3, 4], &[9; 4]);
            assert_eq!(Datagram::parse(&v4, &[1, 2, 3, 4], &[9; 4]), Ok(read));
            let mut v6 = udp.segment().filled_in(&[0xfd; 16], &[0xfe; 16]);
            v6.extend([1; 5]);
            assert_eq!(Datagram::parse(&v6, &[0xfd; 16], &[0xfe; 16]), Ok(read));
        }
    }

    #[test]
    fn lengths_and_checksums_must_be_right() {
        let (from, to) = ([1, 2, 3, 4], [5, 6, 7, 8]);
        let whole = Udp::new(68, 67, *b"data").segment().filled_in(&from, &to);
        let changed = |at: usize, value: u8| {
            let mut segment = whole.clone();
            segment[at] = value;
            segment
        };
        for (segment, reason) in [
            (whole[..7].to_vec(), "UDP: header cut off"),
            (changed(5, 13), "UDP: datagram cut off"),
            (changed(5, 7), "UDP: length too small"),
            (changed(5, 11), "UDP: wrong checksum"),
            (changed(11, 0), "UDP: wrong checksum"),
        ] {
            assert_eq!(Datagram::parse(&segment, &from, &to), Err(Malformed(reason)));
        }
        let none = Udp::new(68, 67, *b"data").segment().bytes;
        assert!(Datagram::parse(&none, &from, &to).is_ok());
        assert_eq!(Datagram::parse(&none, &[0; 16], &[1; 16]), Err(Malformed("UDP: no checksum")));
    }
}
