//! The fields of packets and of their metadata: where they lie, how long they are, what their values mean.

/// A field of a packet or of its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `ether saddr`: the Ethernet source.
    EtherSource,
    /// `ether daddr`: the Ethernet destination.
    EtherTarget,
    /// `ether type`. A frame with VLAN tags has that of its outermost tag, also where the kernel keeps the tag apart.
    EtherType,
    /// `arp saddr ip`: sender protocol address of an IPv4-over-Ethernet ARP packet (RFC 826).
    ArpSourceIp,
    /// `arp saddr ether`: its sender hardware address.
    ArpSourceMac,
    /// `arp daddr ip`: its target protocol address.
    ArpTargetIp,
    /// `ip saddr`.
    IpSource,
    /// `ip6 saddr`.
    Ip6Source,
    /// `@nh,OFFSET,LENGTH`: bits from the start of the network header.
    NetworkBits {
        /// First bit.
        offset: u16,
        /// Number of bits.
        length: u16,
    },
    /// `@th,OFFSET,LENGTH`: bits from the start of the transport header, behind all IPv6 extension headers. Not there in
    /// a fragment that is not the first.
    TransportBits {
        /// First bit.
        offset: u16,
        /// Number of bits.
        length: u16,
    },
    /// `icmpv6 type` of a frame on a bridge.
    Icmpv6Type,
    /// `icmpv6 type` in a table of family `ip6`, where all is IPv6.
    RoutedIcmpv6Type,
    /// `udp dport`.
    UdpTarget,
    /// `meta l4proto`: the protocol behind all IPv6 extension headers. Not there if these do not end within the packet.
    L4Protocol,
    /// `meta ibrname`: the bridge that the frame came in by; needs the kernel's nft_meta_bridge.
    InputBridge,
    /// `iifname`: the port that the frame came in by.
    InputPort,
}

/// From where a field's offset counts (NFT_PAYLOAD_*_HEADER).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Header {
    /// Ethernet, with the VLAN tag that the kernel keeps apart put back in.
    Link = 0,
    /// ARP, IPv4 or IPv6.
    Network = 1,
    /// Behind all IPv6 extension headers.
    Transport = 2,
}

/// What the value of a field means, for its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    /// `ipv4_addr`.
    Ipv4,
    /// `ipv6_addr`.
    Ipv6,
    /// `ether_addr`.
    Mac,
    /// `ifname`.
    Interface,
    /// Bits without a meaning to nft.
    Integer,
}

impl Field {
    /// Where a packet has the field: header, first byte, number of bytes. `None` for metadata.
    pub fn location(self) -> Option<(Header, u16, u16)> {
        Some(match self {
            Self::EtherTarget => (Header::Link, 0, 6),
            Self::EtherSource => (Header::Link, 6, 6),
            Self::EtherType => (Header::Link, 12, 2),
            Self::ArpSourceMac => (Header::Network, 8, 6),
            Self::ArpSourceIp => (Header::Network, 14, 4),
            Self::ArpTargetIp => (Header::Network, 24, 4),
            Self::IpSource => (Header::Network, 12, 4),
            Self::Ip6Source => (Header::Network, 8, 16),
            Self::NetworkBits { offset, length } => (Header::Network, offset / 8, length.div_ceil(8)),
            Self::TransportBits { offset, length } => (Header::Transport, offset / 8, length.div_ceil(8)),
            Self::Icmpv6Type | Self::RoutedIcmpv6Type => (Header::Transport, 0, 1),
            Self::UdpTarget => (Header::Transport, 2, 2),
            Self::L4Protocol | Self::InputBridge | Self::InputPort => return None,
        })
    }

    /// Bytes of a value.
    pub fn length(self) -> usize {
        match self {
            Self::InputBridge | Self::InputPort => crate::net::IfName::SIZE,
            Self::L4Protocol => 1,
            _ => self.location().map_or(0, |(_, _, length)| usize::from(length)),
        }
    }

    /// What its values mean.
    pub fn datatype(self) -> Datatype {
        match self {
            Self::EtherTarget | Self::EtherSource | Self::ArpSourceMac => Datatype::Mac,
            Self::ArpSourceIp | Self::ArpTargetIp | Self::IpSource => Datatype::Ipv4,
            Self::Ip6Source => Datatype::Ipv6,
            Self::InputBridge | Self::InputPort => Datatype::Interface,
            _ => Datatype::Integer,
        }
    }
}
