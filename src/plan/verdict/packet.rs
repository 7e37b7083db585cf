//! A frame as nf_tables sees it in the bridge family.
//!
//! The outermost VLAN tag (802.1Q, 802.1ad) is taken off when a frame is received and kept apart (skb_vlan_untag); loads from
//! the link layer put it back, the network header is behind it. Of an IPv4 or IPv6 packet whose header is valid, the
//! transport protocol is known (nft_set_pktinfo_ipv4_validate, nft_set_pktinfo_ipv6_validate), also behind one tag.

use super::ipv6;
use crate::net::IfName;
use crate::plan::ruleset::{Bytes, EtherType, Field, Header};

/// Octets of an Ethernet header.
pub(super) const ETHERNET: usize = 14;
/// Octets of a VLAN tag.
pub(super) const TAG: usize = 4;

const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// A frame that comes in at a port of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'f> {
    /// Its octets from the destination on, with all tags, without the check sequence.
    pub bytes: &'f [u8],
    /// How many of its octets were left out at the end, by who captured it.
    pub missing: usize,
    /// The port, if that is known.
    pub port: Option<IfName>,
    /// The port's bridge, if that is known.
    pub bridge: Option<IfName>,
}

impl<'f> Frame<'f> {
    /// A whole frame that comes from nowhere.
    pub fn new(bytes: &'f [u8]) -> Self {
        Self { bytes, missing: 0, port: None, bridge: None }
    }

    /// Octets on the wire.
    pub fn length(&self) -> usize {
        self.bytes.len().saturating_add(self.missing)
    }
}

/// The frame as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'f> {
    frame: Frame<'f>,
    /// Ether type behind the tag that is kept apart: `meta protocol`.
    protocol: u16,
    /// From the network header to the end.
    network: &'f [u8],
    /// `None`: neither valid IPv4 nor valid IPv6.
    transport: Option<Transport>,
}

/// What is known of the transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transport {
    /// `meta l4proto`.
    pub(super) protocol: u8,
    /// Octets from the network header to it. Of a later fragment of IPv6 the kernel says 0.
    pub(super) offset: usize,
    /// Whether this is a fragment that is not the first, so that the header is not there.
    pub(super) is_later: bool,
}

impl Transport {
    /// Where the kernel begins to read for a load from the transport header. Of later fragments there is nothing to be read;
    /// but its short cut for small aligned loads (nft_payload_fast_eval) does not look whether it has one, and reads what is
    /// there: in IPv4 the fragment's own octets, in IPv6 those of the IPv6 header. Measured on Linux 6.18.
    fn start(self, offset: u16, length: u16) -> Option<usize> {
        let is_short_cut = [1, 2, 4].contains(&length) && offset.is_multiple_of(length);
        (!self.is_later || is_short_cut).then_some(self.offset)
    }
}

impl<'f> Packet<'f> {
    /// Takes the frame apart.
    pub fn of(frame: &Frame<'f>) -> Self {
        let outermost = number16(frame.bytes, 12).unwrap_or_default();
        let (protocol, start) = if is_tag(outermost) {
            (number16(frame.bytes, ETHERNET + 2).unwrap_or_default(), ETHERNET + TAG)
        } else {
            (outermost, ETHERNET)
        };
        let network = frame.bytes.get(start..).unwrap_or_default();
        let length = network.len().saturating_add(frame.missing);
        let transport = match protocol {
            IP => ipv4(network, length),
            IP6 => ipv6::transport(network, length),
            _ => None,
        };
        Self { frame: *frame, protocol, network, transport }
    }

    /// A field's octets, unless the packet has no such field; then it can be compared neither way.
    pub fn field(&self, field: Field) -> Option<Bytes> {
        if !self.is_of_protocol(field) {
            return None;
        }
        if let Some((header, offset, length)) = field.location() {
            let (from, start) = match header {
                // On the wire the tag is where loads put it back.
                Header::Link => (self.frame.bytes, 0),
                Header::Network => (self.network, 0),
                Header::Transport => (self.network, self.transport?.start(offset, length)?),
            };
            let start = start.checked_add(usize::from(offset))?;
            return from.get(start..start.checked_add(usize::from(length))?).map(Bytes::from);
        }
        match field {
            Field::L4Protocol => Some(Bytes::from(&[self.transport?.protocol][..])),
            Field::InputBridge => self.frame.bridge.map(|name| Bytes::from(&name.padded()[..])),
            Field::InputPort => self.frame.port.map(|name| Bytes::from(&name.padded()[..])),
            _ => None,
        }
    }

    /// Whether kernels see the packet differently: extension headers that say to end beyond it leave no protocol to Debian's
    /// 6.1, and the one that they name to 6.18, which is what is said here. Measured; nobody can mean such a packet.
    pub fn is_ambiguous(&self) -> bool {
        let length = self.network.len().saturating_add(self.frame.missing);
        self.transport.is_some_and(|transport| transport.offset > length)
    }

    /// Whether the packet is of the protocol that a field by name belongs to: nft compares that first. By which of the two
    /// ether types it does so differs, and counts for tagged frames.
    fn is_of_protocol(&self, field: Field) -> bool {
        let ether_type = number16(self.frame.bytes, 12);
        let l4_protocol = self.transport.map(|transport| transport.protocol);
        match field {
            Field::ArpSourceIp | Field::ArpSourceMac | Field::ArpTargetIp => ether_type == Some(ARP),
            Field::IpSource => self.protocol == IP,
            Field::Ip6Source => self.protocol == IP6,
            Field::Icmpv6Type => ether_type == Some(IP6) && l4_protocol == Some(ICMPV6),
            Field::RoutedIcmpv6Type => self.protocol == IP6 && l4_protocol == Some(ICMPV6),
            Field::UdpTarget => l4_protocol == Some(UDP),
            _ => true,
        }
    }
}

const IP: u16 = EtherType::Ip as u16;
const IP6: u16 = EtherType::Ip6 as u16;
const ARP: u16 = EtherType::Arp as u16;

/// Whether an ether type is that of a tag which Linux takes off (eth_type_vlan).
pub(super) fn is_tag(ether_type: u16) -> bool {
    [EtherType::Vlan as u16, EtherType::ProviderVlan as u16].contains(&ether_type)
}

/// Two octets as a number.
pub(super) fn number16(bytes: &[u8], offset: usize) -> Option<u16> {
    let octets = bytes.get(offset..offset.checked_add(2)?)?;
    octets.try_into().ok().map(u16::from_be_bytes)
}

/// The transport header of an IPv4 packet of which `length` octets are there, padding included (RFC 791, section 3.1).
fn ipv4(packet: &[u8], length: usize) -> Option<Transport> {
    const SHORTEST: usize = 20;
    packet.get(..SHORTEST)?;
    let first = packet.first()?;
    let header = usize::from(first & 0xf) * 4;
    let total = usize::from(number16(packet, 2)?);
    if first >> 4 != 4 || header < SHORTEST || total < header || total > length {
        return None;
    }
    let fragment = number16(packet, 6)? & 0x1fff;
    Some(Transport { protocol: *packet.get(9)?, offset: header, is_later: fragment > 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(types: &[u8], packet: &[u8]) -> Vec<u8> {
        [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], types, packet].concat()
    }

    fn field(bytes: &[u8], field: Field) -> Option<Vec<u8>> {
        Packet::of(&Frame::new(bytes)).field(field).map(|bytes| bytes.to_vec())
    }

    /// IPv4 with UDP to port 67, and two octets of padding.
    const UDP_PACKET: [u8; 30] = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
        0, 68, 0, 67, 0, 8, 0, 0, 0xaa, 0xbb,
    ];

    fn with(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut packet = UDP_PACKET.to_vec();
        for (at, byte) in changes {
            packet[*at] = *byte;
        }
        frame(&[8, 0], &packet)
    }

    #[test]
    fn one_tag_is_seen_from_the_link_layer_only() {
        let tagged = frame(&[0x81, 0, 0, 5, 8, 0], &UDP_PACKET);
        assert_eq!(field(&tagged, Field::EtherType).unwrap(), [0x81, 0]);
        assert_eq!(field(&tagged, Field::EtherSource).unwrap(), [2, 0, 0, 0, 0, 1]);
        assert_eq!(field(&tagged, Field::IpSource).unwrap(), [10, 0, 0, 1]);
        assert_eq!(field(&tagged, Field::UdpTarget).unwrap(), [0, 67]);
        let arp = frame(&[0x81, 0, 0, 0, 8, 6], &[0; 28]);
        assert_eq!(field(&arp, Field::ArpSourceIp), None, "by the ether type, which is that of the tag");
        let twice = frame(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0], &UDP_PACKET);
        assert_eq!(field(&twice, Field::EtherType).unwrap(), [0x88, 0xa8]);
        assert_eq!(field(&twice, Field::IpSource), None);
        assert_eq!(field(&twice, Field::NetworkBits { offset: 0, length: 32 }).unwrap(), [0, 6, 8, 0]);
        let old = frame(&[0x91, 0, 0, 5, 8, 0], &UDP_PACKET);
        assert_eq!(field(&old, Field::IpSource), None, "0x9100 is no tag to Linux");
    }

    #[test]
    fn only_a_valid_ipv4_header_has_a_transport_header_behind_it() {
        let protocol = |bytes: &[u8]| field(bytes, Field::L4Protocol);
        assert_eq!(protocol(&with(&[])), Some(vec![17]));
        assert_eq!(protocol(&with(&[(3, 30)])), Some(vec![17]), "the padding may count");
        for wrong in [[(0, 0x44)], [(0, 0x55)], [(0, 0x48)], [(3, 31)], [(3, 19)], [(2, 1)]] {
            assert_eq!(protocol(&with(&wrong)), None, "{wrong:?}");
        }
        assert_eq!(field(&with(&[(3, 31)]), Field::IpSource).unwrap(), [10, 0, 0, 1], "the network header is there");
        assert_eq!(protocol(&frame(&[8, 0], &UDP_PACKET[..19])), None);
    }

    #[test]
    fn reading_goes_on_into_the_padding_and_not_beyond() {
        let bits = |octet: u16, octets: u16| Field::TransportBits { offset: octet * 8, length: octets * 8 };
        assert_eq!(field(&with(&[]), bits(8, 2)).unwrap(), [0xaa, 0xbb]);
        assert_eq!(field(&with(&[]), bits(9, 2)), None);
        let nowhere = Field::NetworkBits { offset: u16::MAX - 7, length: u16::MAX };
        assert_eq!(field(&with(&[]), nowhere), None);
    }

    #[test]
    fn of_later_fragments_only_short_cuts_read_a_transport_header() {
        let later = with(&[(7, 1)]);
        assert_eq!(field(&later, Field::L4Protocol).unwrap(), [17]);
        assert_eq!(field(&later, Field::UdpTarget).unwrap(), [0, 67]);
        let bits = |octet: u16, octets: u16| Field::TransportBits { offset: octet * 8, length: octets * 8 };
        for (octet, octets, is_read) in
            [(3, 1, true), (1, 2, false), (2, 2, true), (0, 3, false), (4, 4, true), (2, 4, false), (0, 6, false)]
        {
            assert_eq!(field(&later, bits(octet, octets)).is_some(), is_read, "{octets} at {octet}");
            assert!(field(&with(&[(6, 0x20)]), bits(octet, octets)).is_some(), "the first");
        }
        let packet = [&[0x60, 0, 0x11, 0x22, 0, 8, 44][..], &[0; 33], &[17, 0, 0, 8, 0, 0, 0, 0]].concat();
        assert_eq!(field(&frame(&[0x86, 0xdd], &packet), Field::UdpTarget).unwrap(), [0x11, 0x22], "the flow label");
    }

    #[test]
    fn a_capture_cut_short_keeps_the_length_of_the_wire() {
        let bytes = with(&[(2, 1)]);
        let cut = Frame { missing: 300, ..Frame::new(&bytes) };
        assert_eq!(Packet::of(&cut).field(Field::L4Protocol).unwrap().to_vec(), [17]);
        assert_eq!(cut.length(), 344);
    }
}
