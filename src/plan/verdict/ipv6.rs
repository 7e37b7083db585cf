//! The transport header of an IPv6 packet, as the kernel finds it for nf_tables: __nft_set_pktinfo_ipv6_validate, and
//! ipv6_find_hdr (net/ipv6/exthdrs_core.c) with IP6_FH_F_AUTH, for which an authentication header is the last.

use super::packet::{Transport, number16};

const HEADER: usize = 40;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NONE: u8 = 59;
const DESTINATION: u8 = 60;

/// Whether the kernel takes a next header for one that another follows (ipv6_ext_hdr).
fn is_extension(number: u8) -> bool {
    [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, NONE, DESTINATION].contains(&number)
}

/// The transport header of a packet of which `length` octets are there, padding included.
pub(super) fn transport(packet: &[u8], length: usize) -> Option<Transport> {
    packet.get(..HEADER)?;
    let payload = usize::from(number16(packet, 4)?);
    if packet.first()? >> 4 != 6 || payload + HEADER > length {
        return None;
    }
    let mut next = *packet.get(6)?;
    let mut start = HEADER;
    // Ends: each header is at least eight octets.
    while is_extension(next) && next != NONE {
        let [following, units] = *packet.get(start..start + 2)? else { return None };
        let size = match next {
            AUTHENTICATION => break,
            FRAGMENT => {
                if number16(packet, start + 2)? & !7 != 0 {
                    let known = !is_extension(following) || following == NONE;
                    return known.then_some(Transport { protocol: following, offset: 0, is_later: true });
                }
                8
            }
            // Type and segments left must be there too.
            ROUTING if packet.len() < start + 4 => return None,
            _ => (usize::from(units) + 1) * 8,
        };
        next = following;
        start += size;
    }
    u16::try_from(start).is_ok().then_some(Transport { protocol: next, offset: start, is_later: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [&[0x60, 0, 0, 0][..], &length, &[next, 255], &[0; 32], payload].concat()
    }

    /// Protocol and offset; none in a later fragment.
    fn found(packet: &[u8]) -> Option<(u8, Option<usize>)> {
        transport(packet, packet.len())
            .map(|transport| (transport.protocol, (!transport.is_later).then_some(transport.offset)))
    }

    #[test]
    fn headers_are_walked_to_the_upper_layer() {
        let payload = [&[43, 0, 0, 0, 0, 0, 0, 0][..], &[60, 1], &[0; 14], &[58, 0, 0, 0, 0, 0, 0, 0], &[136]].concat();
        assert_eq!(found(&packet(0, &payload)), Some((58, Some(72))));
        assert_eq!(found(&packet(58, &[136])), Some((58, Some(40))));
        assert_eq!(found(&packet(59, &[])), Some((59, Some(40))));
        assert_eq!(found(&packet(60, &[59, 0, 0, 0, 0, 0, 0, 0])), Some((59, Some(48))));
    }

    #[test]
    fn an_authentication_header_is_the_last() {
        assert_eq!(found(&packet(51, &[58, 4, 0, 0, 0, 0, 0, 0])), Some((51, Some(40))));
        assert_eq!(found(&packet(60, &[51, 0, 0, 0, 0, 0, 0, 0, 58, 4])), Some((51, Some(48))));
    }

    #[test]
    fn fragments_have_a_transport_header_only_if_they_are_the_first() {
        assert_eq!(found(&packet(44, &[58, 0, 0, 1, 0, 0, 0, 0, 136])), Some((58, Some(48))));
        assert_eq!(found(&packet(44, &[58, 0, 0, 8, 0, 0, 0, 0, 136])), Some((58, None)));
        assert_eq!(found(&packet(44, &[60, 0, 0, 8, 0, 0, 0, 0, 136])), None);
        assert_eq!(found(&packet(44, &[59, 0, 0, 8, 0, 0, 0, 0])), Some((59, None)));
    }

    #[test]
    fn headers_that_do_not_end_leave_nothing() {
        assert_eq!(found(&packet(60, &[])), None);
        assert_eq!(found(&packet(60, &[0])), None);
        assert_eq!(found(&packet(43, &[58, 0, 0])), None);
        assert_eq!(found(&packet(44, &[58, 0, 0])), None);
        // The upper layer is named, though it is not there.
        assert_eq!(found(&packet(60, &[58, 9])), Some((58, Some(120))));
        assert_eq!(found(&packet(60, &[60, 9])), None);
    }

    #[test]
    fn kernels_do_not_agree_on_headers_that_end_beyond_the_packet() {
        use crate::plan::verdict::{Frame, packet::Packet};
        for (units, is_ambiguous) in [(0, false), (1, false), (2, true), (255, true)] {
            let packet = packet(60, &[&[58, units][..], &[0; 14]].concat());
            let frame = [&[2; 12][..], &[0x86, 0xdd], &packet].concat();
            assert_eq!(Packet::of(&Frame::new(&frame)).is_ambiguous(), is_ambiguous, "{units}");
        }
    }

    #[test]
    fn an_invalid_header_leaves_nothing() {
        let whole = packet(58, &[136, 0]);
        assert_eq!(transport(&whole, whole.len() - 1), None, "shorter than it says");
        assert!(transport(&whole, whole.len() + 9).is_some(), "padding");
        let mut other = whole.clone();
        other[0] = 0x45;
        assert_eq!(found(&other), None);
        assert_eq!(found(&whole[..39]), None);
    }
}
