use crate::packet::checksum::internet_checksum_of_both;
use crate::packet::{Datagram, Malformed, Reader, length16, protocol, put};
use std::net::Ipv6Addr;

/// An IPv6 packet, taken apart as far as to what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// From whom, it says: never a multicast group.
    pub source: Ipv6Addr,
    /// To whom.
    pub destination: Ipv6Addr,
    /// Differentiated services and congestion.
    pub traffic_class: u8,
    /// Hops that are left.
    pub hop_limit: u8,
    /// Whether extension headers stand before what it carries.
    pub extended: bool,
    /// What it carries (IANA's protocol numbers).
    pub protocol: u8,
    /// That, as long as the header says: what is behind it only fills up a frame.
    pub payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// The UDP datagram in it.
    ///
    /// # Errors
    /// It carries something else, or what [`Datagram::parse`] refuses.
    pub fn udp(&self) -> Result<Datagram<'a>, Malformed> {
        if self.protocol != protocol::UDP {
            return Err(Malformed("no UDP"));
        }
        Datagram::parse(self.payload, &self.source.octets(), &self.destination.octets())
    }

    /// Whether it carries an ICMPv6 message of this type, whatever else is wrong with it.
    pub fn is_icmpv6(&self, kind: u8) -> bool {
        self.protocol == protocol::ICMPV6 && self.payload.first() == Some(&kind)
    }

    /// Whether the checksum in what it carries fits that and the addresses (RFC 8200, section 8.1).
    pub(in crate::packet) fn verifies(&self) -> bool {
        let mut pseudo = [0; 40];
        put(&mut pseudo, 0, &self.source.octets());
        put(&mut pseudo, 16, &self.destination.octets());
        put(&mut pseudo, 34, &length16(self.payload.len()));
        put(&mut pseudo, 39, &[self.protocol]);
        internet_checksum_of_both(&pseudo, self.payload) == 0
    }
}

/// Takes a packet apart, which begins with the IPv6 header. Extension headers are walked: each takes eight octets at least
/// from what is left, so the walk ends. A fragment is refused, but for one that is the whole packet (RFC 6946).
///
/// # Errors
/// What is not as RFC 8200 has it.
pub fn parse(packet: &[u8]) -> Result<Received<'_>, Malformed> {
    let mut reader = Reader::new(packet, "IPv6: cut short");
    let [first, second, ..] = reader.array::<4>()?;
    if first >> 4 != 6 {
        return Err(Malformed("IPv6: another version"));
    }
    let length = reader.u16()?;
    let (next, hop_limit) = (reader.u8()?, reader.u8()?);
    let (source, destination) = (Ipv6Addr::from(reader.array::<16>()?), Ipv6Addr::from(reader.array::<16>()?));
    if source.is_multicast() {
        return Err(Malformed("IPv6: from a group"));
    }
    let (protocol, payload) = walk(next, reader.take(usize::from(length))?)?;
    let traffic_class = first << 4 | second >> 4;
    let extended = payload.len() != usize::from(length);
    Ok(Received { source, destination, traffic_class, hop_limit, extended, protocol, payload })
}

/// Past the extension headers: what the last one says comes next, and that.
fn walk(mut number: u8, mut rest: &[u8]) -> Result<(u8, &[u8]), Malformed> {
    let mut is_first = true;
    loop {
        let mut header = Reader::new(rest, "IPv6: extension header cut short");
        let next = match number {
            // Only directly behind the IPv6 header (section 4.1).
            0 if !is_first => return Err(Malformed("IPv6: hop-by-hop options not first")),
            0 | 43 | 60 => {
                let [next, units] = header.array()?;
                header.take(6 + usize::from(units) * 8)?;
                next
            }
            44 => {
                let [next, _, high, low] = header.array()?;
                header.take(4)?;
                if u16::from_be_bytes([high, low]) & !6 != 0 {
                    return Err(Malformed("IPv6: a fragment"));
                }
                next
            }
            // Its length counts words of 32 bits, minus 2 (RFC 4302, section 2.2); in IPv6, a multiple of 8 octets.
            51 => {
                let [next, words] = header.array()?;
                header.take((usize::from(words) + 2) * 4 - 2)?;
                next
            }
            _ => return Ok((number, rest)),
        };
        (number, rest, is_first) = (next, header.rest(), false);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Extension, Ipv6};
    use super::*;
    use crate::packet::{Segment, Udp};

    const HEADER: Ipv6 = Ipv6::new(Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);

    fn datagram() -> Segment {
        Udp::new(546, 547, [1, 2, 3]).segment()
    }

    #[test]
    fn what_was_built_is_taken_apart_again_and_filling_is_cut_off() {
        let mut packet = Ipv6 { traffic_class: 0xa5, hop_limit: 7, ..HEADER }.packet(&datagram());
        packet.extend([0; 9]);
        let received = parse(&packet).unwrap();
        assert_eq!((received.source, received.destination), (HEADER.source, HEADER.destination));
        assert_eq!((received.traffic_class, received.hop_limit, received.extended), (0xa5, 7, false));
        assert_eq!((received.protocol, received.payload.len()), (17, 11));
        assert_eq!(received.udp(), Ok(Datagram { source: 546, destination: 547, data: &[1, 2, 3] }));
    }

    #[test]
    fn extension_headers_are_walked() {
        let chain = [
            Extension::router_alert(),
            Extension::DestinationOptions(vec![0x1e, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Extension::Routing { kind: 4, segments_left: 0, data: vec![0; 20] },
            Extension::Authentication,
            Extension::atomic_fragment(),
        ];
        let packet = chain.into_iter().fold(HEADER, Ipv6::with).packet(&datagram());
        let received = parse(&packet).unwrap();
        assert!(received.extended);
        assert_eq!(received.udp(), Ok(Datagram { source: 546, destination: 547, data: &[1, 2, 3] }));
    }

    #[test]
    fn whatever_is_cut_anywhere_is_refused() {
        let header = HEADER.with(Extension::router_alert()).with(Extension::Authentication);
        let packet = header.packet(&datagram());
        for length in 0..packet.len() {
            assert_eq!(parse(&packet[..length]), Err(Malformed("IPv6: cut short")), "{length}");
            let Some(payload) = length.checked_sub(40) else { continue };
            let mut lies_less = packet.clone();
            lies_less[5] = u8::try_from(payload).unwrap();
            assert!(parse(&lies_less).and_then(|received| received.udp().map(drop)).is_err(), "{length}");
        }
    }

    #[test]
    fn what_is_no_whole_ipv6_packet_from_one_node_is_refused() {
        let refused = |packet: &[u8]| parse(packet).unwrap_err().0;
        let mut packet = HEADER.packet(&datagram());
        packet[0] = 0x40;
        assert_eq!(refused(&packet), "IPv6: another version");
        let group = Ipv6 { source: "ff02::1".parse().unwrap(), ..HEADER };
        assert_eq!(refused(&group.packet(&datagram())), "IPv6: from a group");
        for (offset, more) in [(0, true), (8, false)] {
            let fragment = HEADER.with(Extension::Fragment { offset, more, identification: 1 });
            assert_eq!(refused(&fragment.packet(&datagram())), "IPv6: a fragment");
        }
        let late = HEADER.with(Extension::empty_destination_options()).with(Extension::router_alert());
        assert_eq!(refused(&late.packet(&datagram())), "IPv6: hop-by-hop options not first");
        // Zero length means that an option has the length (RFC 2675): not for what fits into a frame.
        let mut jumbo = HEADER.with(Extension::router_alert()).packet(&datagram());
        jumbo[4..6].fill(0);
        assert_eq!(refused(&jumbo), "IPv6: extension header cut short");
    }

    #[test]
    fn udp_needs_a_checksum_that_covers_the_addresses() {
        let refused = |change: fn(&mut Vec<u8>)| {
            let mut packet = HEADER.packet(&datagram());
            change(&mut packet);
            parse(&packet).unwrap().udp().unwrap_err().0
        };
        assert_eq!(refused(|packet| packet[6] = 58), "no UDP");
        assert_eq!(refused(|packet| packet[46..48].fill(0)), "UDP: no checksum");
        assert_eq!(refused(|packet| packet[50] ^= 1), "UDP: wrong checksum");
        assert_eq!(refused(|packet| packet[23] ^= 3), "UDP: wrong checksum");
    }
}
