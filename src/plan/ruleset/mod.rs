//! THE model of chains, rules and sets. It knows neither protections nor how it is written; [`crate::sink::nft_text`]
//! prints it and [`crate::sink::nft_netlink`] encodes it, and both must come out the same in the kernel.

mod field;
mod set;
mod value;

pub use field::{Datatype, Field, Header};
pub(crate) use set::parts;
pub use set::{Element, Elements, Entry, Key, Keyed, Recorded, Set};
pub use value::{Bytes, EtherType, Icmpv6, Match, Operator, Value};

use crate::net::Name;
use std::borrow::Cow;
use std::fmt;
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
    /// Our chains; one comes after those that it jumps or goes to.
    pub chains: Vec<Chain<'a>>,
    /// The chains which packets must reach for the policy to be in force.
    pub protections: Vec<&'static str>,
    /// Chains of ours that must not be there. Those without a hook stay, empty, where others jump to them.
    pub absent_chains: Vec<(&'static str, Option<Hook>)>,
    /// Base chains of ours that nothing was said about, and the chain that each leads to. Where one is there, its chain
    /// must be planned.
    pub kept_hooks: Vec<(&'static str, &'static str)>,
    /// Our sets.
    pub sets: Vec<Set<'a>>,
    /// Sets of ours by these names that are not in `sets` are emptied: somebody may still refer to them.
    pub absent_sets: Vec<&'static str>,
    /// So are those with names that end so.
    pub set_endings: &'static [&'static str],
}

impl Table<'_> {
    /// A table of this name, in which nothing is planned but that address sets of other names are emptied.
    pub(crate) fn named(family: Family, name: Identifier) -> Self {
        Self {
            family,
            name,
            chains: Vec::new(),
            protections: Vec::new(),
            absent_chains: Vec::new(),
            kept_hooks: Vec::new(),
            sets: Vec::new(),
            absent_sets: Vec::new(),
            set_endings: super::address_sets::ENDINGS,
        }
    }
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
pub struct Identifier(Cow<'static, str>);

impl Identifier {
    /// Longest name in bytes: NFT_NAME_MAXLEN without its final NUL.
    pub const LONGEST: usize = 255;

    /// A name of ours.
    pub(crate) const fn ours(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

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
            Ok(Self(Cow::Owned(text.to_owned())))
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
    /// Which packets people are meant to send through it: the matches in front of a jump to it. `None`: only our own
    /// chains lead to it.
    pub meant_for: Option<Vec<Match>>,
    /// Where the kernel calls it by itself; `None` for a chain that is jumped to.
    pub hook: Option<Hook>,
    /// Its rules in order.
    pub rules: Vec<Rule<'a>>,
}

impl Chain<'_> {
    /// The statements of a rule that sends to this chain what it is meant for.
    pub fn jump(&self) -> impl Iterator<Item = Statement> {
        let matches = self.meant_for.iter().flatten().copied().map(Statement::Match);
        matches.chain([Statement::Verdict(Verdict::Jump(self.name))])
    }
}

/// Where a base chain of type filter is hooked, with policy accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// Which hook.
    pub point: HookPoint,
    /// Lower runs earlier.
    pub priority: i32,
}

/// The hooks that we use: of the bridge family (NF_BR_*, linux/netfilter_bridge.h), with the numbers that `ip` and `ip6` have
/// for them, too (NF_INET_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// Every frame that comes in by a port, before the bridge learns from where and decides where to.
    Prerouting,
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

impl Rule<'_> {
    /// A rule of these statements, without comment and remark.
    pub(crate) fn of(statements: impl IntoIterator<Item = Statement>) -> Self {
        Self { statements: statements.into_iter().collect(), comment: None, remark: None }
    }
}

/// One statement of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// Goes on only for packets that match.
    Match(Match),
    /// Goes on only for packets whose fields are together an element of the set of this name.
    Lookup {
        /// The fields, in the order of the set's key.
        fields: &'static [Field],
        /// The set's name.
        set: &'static str,
    },
    /// Puts the packet's fields into a set with [`Elements::Recorded`], or counts on and renews what is there. Goes on
    /// unless the set is full.
    Record {
        /// The fields, in the order of the set's key.
        fields: &'static [Field],
        /// The set's name.
        set: &'static str,
    },
    /// Counts packets and bytes.
    Counter,
    /// Goes on only for so many packets.
    Limit {
        /// In the long run.
        per_second: u32,
        /// At once.
        burst: u32,
    },
    /// Writes a line to the kernel's log, at its level of warnings. For ARP, too, it names the Ethernet source.
    Log {
        /// How the line begins: at most 127 bytes, without quotes.
        prefix: &'static str,
    },
    /// Hands it to the program that listens to this queue, which decides.
    Queue {
        /// The queue's number.
        number: u16,
        /// Where nobody listens, it goes on in the next chain; otherwise it is gone.
        bypass: bool,
    },
    /// Decides.
    Verdict(Verdict),
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
    /// On in that chain, then back here.
    Jump(&'static str),
    /// On in that chain, then back to where this one was called from.
    Goto(&'static str),
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
