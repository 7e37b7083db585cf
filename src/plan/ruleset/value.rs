//! Comparisons of a field with a value.

use super::Field;
use crate::net::{IfName, Mac};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Field, or the first bits of it, equals value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// What is compared.
    pub field: Field,
    /// Which bits are compared; `None`: all.
    pub mask: Option<Bytes>,
    /// How.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

/// How a field is compared. A field that the packet does not have matches neither way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
}

impl Match {
    /// The whole field equals `value`.
    pub fn equal(field: Field, value: Value) -> Self {
        Self { field, mask: None, operator: Operator::Equal, value }
    }

    /// The field is there and is not `value`.
    pub fn not_equal(field: Field, value: Value) -> Self {
        Self { operator: Operator::NotEqual, ..Self::equal(field, value) }
    }

    /// The first `bits` of the field are those of `value`.
    pub fn prefix(field: Field, bits: u8, value: Value) -> Self {
        let ones = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or_default().to_be_bytes();
        let mask = ones.get(..value.bytes().len()).map(Bytes::from);
        Self { mask, ..Self::equal(field, value) }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// An Ethernet address.
    Mac(Mac),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A payload type of Ethernet.
    EtherType(EtherType),
    /// An ICMPv6 message type.
    Icmpv6(Icmpv6),
    /// An interface.
    Interface(IfName),
    /// All interfaces whose names begin so.
    Interfaces(IfName),
    /// A protocol's number behind IP (IANA's assigned Internet protocol numbers).
    Protocol(u8),
    /// A UDP port.
    Port(u16),
    /// Bits, at most 16 bytes of them.
    Bits(Bytes),
}

impl Value {
    /// The value as the kernel compares it: network byte order.
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Mac(mac) => mac.0[..].into(),
            Self::Ipv4(address) => address.octets()[..].into(),
            Self::Ipv6(address) => address.octets()[..].into(),
            Self::EtherType(ether_type) => (*ether_type as u16).to_be_bytes()[..].into(),
            Self::Icmpv6(message) => [*message as u8][..].into(),
            Self::Interface(name) => name.padded()[..].into(),
            Self::Interfaces(start) => start.as_str().as_bytes().into(),
            Self::Protocol(number) => [*number][..].into(),
            Self::Port(number) => number.to_be_bytes()[..].into(),
            Self::Bits(bits) => *bits,
        }
    }
}

/// At most 16 bytes: what one register of the kernel's holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bytes {
    length: u8,
    bytes: [u8; 16],
}

impl From<&[u8]> for Bytes {
    /// What is beyond 16 bytes is cut off.
    fn from(from: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let from = from.get(..bytes.len()).unwrap_or(from);
        if let Some(place) = bytes.get_mut(..from.len()) {
            place.copy_from_slice(from);
        }
        // At most 16.
        let length = u8::try_from(from.len()).unwrap_or(16);
        Self { length, bytes }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Ether types with a use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum EtherType {
    /// IPv4.
    Ip = 0x0800,
    /// ARP.
    Arp = 0x0806,
    /// A VLAN tag (IEEE 802.1Q), also one that only gives a priority.
    Vlan = 0x8100,
    /// IPv6.
    Ip6 = 0x86dd,
    /// A provider's VLAN tag (IEEE 802.1ad), in front of another.
    ProviderVlan = 0x88a8,
    /// The same before it had a number of its own.
    OldProviderVlan = 0x9100,
}

/// ICMPv6 types with a use here (RFC 4443, RFC 4861, RFC 2710, RFC 3810).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Icmpv6 {
    /// Destination unreachable.
    DestinationUnreachable = 1,
    /// Packet too big.
    PacketTooBig = 2,
    /// Time exceeded.
    TimeExceeded = 3,
    /// Parameter problem.
    ParameterProblem = 4,
    /// Echo request.
    EchoRequest = 128,
    /// Echo reply.
    EchoReply = 129,
    /// Multicast listener query.
    ListenerQuery = 130,
    /// Multicast listener report.
    ListenerReport = 131,
    /// Multicast listener done.
    ListenerDone = 132,
    /// Router solicitation (RFC 4861, section 4.1).
    RouterSolicitation = 133,
    /// Neighbour solicitation (RFC 4861, section 4.3).
    NeighborSolicitation = 135,
    /// Neighbour advertisement (RFC 4861, section 4.4).
    NeighborAdvertisement = 136,
    /// Multicast listener report, version 2.
    ListenerReport2 = 143,
}

impl Icmpv6 {
    /// nft's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DestinationUnreachable => "destination-unreachable",
            Self::PacketTooBig => "packet-too-big",
            Self::TimeExceeded => "time-exceeded",
            Self::ParameterProblem => "parameter-problem",
            Self::EchoRequest => "echo-request",
            Self::EchoReply => "echo-reply",
            Self::ListenerQuery => "mld-listener-query",
            Self::ListenerReport => "mld-listener-report",
            Self::ListenerDone => "mld-listener-done",
            Self::RouterSolicitation => "nd-router-solicit",
            Self::NeighborSolicitation => "nd-neighbor-solicit",
            Self::NeighborAdvertisement => "nd-neighbor-advert",
            Self::ListenerReport2 => "mld2-listener-report",
        }
    }
}
