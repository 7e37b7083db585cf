//! THE model of chains, rules and sets. It knows neither protections nor how it is written; [`crate::sink::nft_text`]
//! prints it and [`crate::sink::nft_netlink`] encodes it, and both must come out the same in the kernel.

use crate::net::{IfName, Mac, Name};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Everything that one transaction puts into the kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruleset<'a> {
    /// The tables; each keeps what others put into it.
    pub tables: Vec<Table<'a>>,
}

/// What is ours in one table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table<'a> {
    /// Address family.
    pub family: Family,
    /// Name within the family.
    pub name: Identifier,
    /// Our chains; one comes after those that it jumps to.
    pub chains: Vec<Chain<'a>>,
    /// Base chains of ours that must not be there.
    pub absent_chains: Vec<(&'static str, Hook)>,
    /// Our sets.
    pub sets: Vec<Set>,
    /// Sets with names that end so are ours. Those that are not in `sets` are emptied: somebody may still refer to them.
    pub set_endings: &'static [&'static str],
}

/// nf_tables' families that have a use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// ARP.
    Arp,
    /// Early ingress of one device.
    Netdev,
    /// Frames that pass a bridge.
    Bridge,
    /// IPv6.
    Ip6,
}

impl Family {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Inet, "inet"),
        (Self::Ip, "ip"),
        (Self::Arp, "arp"),
        (Self::Netdev, "netdev"),
        (Self::Bridge, "bridge"),
        (Self::Ip6, "ip6"),
    ];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(family, _)| family == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(family, _)| *family);
        known.ok_or_else(|| format!("\"{text}\" is no family (inet, ip, ip6, arp, bridge, netdev)"))
    }
}

/// A table's or set's name: a letter, then letters, digits and `_ . / -`. nft reads it back unless it is a bare word of its
/// language (`map`, `ip`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identifier(String);

impl Identifier {
    /// Longest name in bytes: NFT_NAME_MAXLEN without its final NUL.
    pub const LONGEST: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Identifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tail = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if starts_well && text.bytes().all(tail) && text.len() <= Self::LONGEST {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("names in nftables are a letter, then letters, digits and _ . / -, at most {}", Self::LONGEST))
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A chain of ours: replaced as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'static str,
    /// Which packets are meant to be sent through it: the matches in front of a jump to it.
    pub meant_for: Vec<Match>,
    /// Where the kernel calls it by itself; `None` for a chain that is jumped to.
    pub hook: Option<Hook>,
    /// Its rules in order.
    pub rules: Vec<Rule<'a>>,
}

impl Chain<'_> {
    /// The statements of a rule that sends to this chain what it is meant for.
    pub fn jump(&self) -> impl Iterator<Item = Statement> {
        self.meant_for.iter().copied().map(Statement::Match).chain([Statement::Verdict(Verdict::Jump(self.name))])
    }
}

/// Where a base chain of type filter is hooked, with policy accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// Which of the bridge family's hooks.
    pub point: HookPoint,
    /// Lower runs earlier.
    pub priority: i32,
}

/// The hooks of the bridge family that we use (NF_BR_*, linux/netfilter_bridge.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// Frames for the bridge's own address.
    Input,
    /// Frames from port to port.
    Forward,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule<'a> {
    /// Its statements in order.
    pub statements: Box<[Statement]>,
    /// What the kernel keeps as its comment.
    pub comment: Option<Comment<'a>>,
    /// A remark for readers of the text only.
    pub remark: Option<&'static str>,
}

/// One statement of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// Goes on only for packets that match.
    Match(Match),
    /// Counts packets and bytes.
    Counter,
    /// Decides.
    Verdict(Verdict),
}

/// Field, or the first bits of it, equals value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// What is compared.
    pub field: Field,
    /// How many leading bits are compared; `None`: all.
    pub prefix: Option<u8>,
    /// With what.
    pub value: Value,
}

impl Match {
    /// The whole field equals `value`.
    pub fn equal(field: Field, value: Value) -> Self {
        Self { field, prefix: None, value }
    }

    /// The bits that are compared, when not all are.
    pub fn mask(&self) -> Option<Bytes> {
        let ones = u128::MAX.checked_shl(128 - u32::from(self.prefix?)).unwrap_or_default().to_be_bytes();
        ones.get(..self.value.bytes().len()).map(Bytes::from)
    }
}

/// A field of a packet or of its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `ether saddr`: the Ethernet source.
    EtherSource,
    /// `ether type`.
    EtherType,
    /// `arp saddr ip`: sender protocol address of an IPv4-over-Ethernet ARP packet (RFC 826).
    ArpSourceIp,
    /// `@nh,OFFSET,LENGTH`: bits from the start of the network header.
    NetworkBits {
        /// First bit.
        offset: u16,
        /// Number of bits.
        length: u16,
    },
    /// `icmpv6 type`.
    Icmpv6Type,
    /// `meta ibrname`: the bridge that the frame came in by; needs the kernel's nft_meta_bridge.
    InputBridge,
    /// `iifname`: the port that the frame came in by.
    InputPort,
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
        let mut length = 0;
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
            length += 1;
        }
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
    /// ARP.
    Arp = 0x0806,
    /// IPv6.
    Ip6 = 0x86dd,
}

/// ICMPv6 types with a use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Icmpv6 {
    /// Neighbour advertisement (RFC 4861, section 4.4).
    NeighborAdvertisement = 136,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This base chain lets it through.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the calling chain.
    Return,
    /// On in that chain.
    Jump(&'static str),
}

/// A comment that nft reads back: at most 128 characters, without quotes and line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment<'a>(&'a str);

impl<'a> Comment<'a> {
    /// Longest comment in bytes; nft refuses a whole file for a longer one.
    pub const LONGEST: usize = 128;

    /// An instance's name, cut where nft's limit wants it.
    pub fn name(name: &'a Name) -> Self {
        let text = name.as_str();
        Self(text.get(..Self::LONGEST).unwrap_or(text))
    }

    /// A word of ours.
    pub fn word(word: &'static str) -> Self {
        Self(word)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0
    }
}

/// A named set of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: Identifier,
    /// Its elements, as in the registry: an address may come twice.
    pub elements: Elements,
}

/// The elements of a set, all of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// `type ipv4_addr`.
    Ipv4(Vec<Ipv4Addr>),
    /// `type ipv6_addr`.
    Ipv6(Vec<Ipv6Addr>),
}

impl Elements {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Ipv4(elements) => elements.len(),
            Self::Ipv6(elements) => elements.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
