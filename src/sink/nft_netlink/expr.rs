//! A rule's statements as the kernel's expressions: the instructions of nf_tables' small machine.
//!
//! Lowering yields exactly what nft makes of the same text, so that nft lists it as that text. Everything is compared in
//! register 1.

use crate::netlink::{Attributes, Writer};
use crate::plan::ruleset::{Bytes, EtherType, Field, Match, Statement, Value, Verdict};
use std::fmt;

/// One expression. Counters are compared without their counts.
#[derive(Clone, PartialEq, Eq)]
pub enum Expr<'a> {
    /// Load packet bytes into the register.
    Payload {
        /// From which header.
        base: Base,
        /// First byte.
        offset: u32,
        /// Number of bytes.
        length: u32,
    },
    /// Load metadata into the register.
    Meta(MetaKey),
    /// Keep only these bits of the register.
    Mask(Bytes),
    /// Go on if the register equals this.
    Equal(Bytes),
    /// Count.
    Counter,
    /// End the rule.
    Verdict {
        /// NF_DROP, NF_ACCEPT, NFT_RETURN, NFT_JUMP, ...
        code: i32,
        /// Where to, for a jump or goto.
        chain: Option<&'a str>,
    },
    /// Look up the verdict in a map; we write none.
    VerdictMap,
    /// Another one that we do not write: its name.
    Foreign(&'a str),
}

/// NFT_PAYLOAD_*_HEADER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Base {
    /// Ethernet.
    Link = 0,
    /// ARP or IPv6.
    Network = 1,
    /// Behind all IPv6 extension headers.
    Transport = 2,
}

/// NFT_META_*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MetaKey {
    /// Name of the input port.
    InputName = 6,
    /// Transport protocol.
    L4Protocol = 16,
    /// Name of the input port's bridge.
    InputBridgeName = 17,
}

const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
/// NFT_JUMP.
pub(super) const JUMP: i32 = -3;
/// NFT_GOTO.
pub(super) const GOTO: i32 = -4;
const RETURN: i32 = -5;

const ICMPV6: u8 = 58;

/// The expressions of a rule.
pub fn lower(statements: &[Statement]) -> impl Iterator<Item = Expr<'_>> {
    statements
        .iter()
        .flat_map(|statement| match statement {
            Statement::Match(matched) => lower_match(matched),
            Statement::Counter => [Some(Expr::Counter), None, None, None, None],
            Statement::Verdict(verdict) => {
                let (code, chain) = match verdict {
                    Verdict::Drop => (NF_DROP, None),
                    Verdict::Accept => (NF_ACCEPT, None),
                    Verdict::Return => (RETURN, None),
                    Verdict::Jump(chain) => (JUMP, Some(*chain)),
                };
                [Some(Expr::Verdict { code, chain }), None, None, None, None]
            }
        })
        .flatten()
}

/// The field's dependency, its load, a mask, the comparison.
fn lower_match<'a>(matched: &Match) -> [Option<Expr<'a>>; 5] {
    let payload = |base, offset, length| Expr::Payload { base, offset, length };
    let ether_type = payload(Base::Link, 12, 2);
    let (dependency, load) = match matched.field {
        Field::EtherSource => (None, payload(Base::Link, 6, 6)),
        Field::EtherType => (None, ether_type),
        Field::ArpSourceIp => {
            let arp = Value::EtherType(EtherType::Arp).bytes();
            (Some((ether_type, arp)), payload(Base::Network, 14, 4))
        }
        Field::NetworkBits { offset, length } => {
            (None, payload(Base::Network, u32::from(offset / 8), u32::from(length.div_ceil(8))))
        }
        Field::Icmpv6Type => {
            let icmpv6 = [ICMPV6][..].into();
            (Some((Expr::Meta(MetaKey::L4Protocol), icmpv6)), payload(Base::Transport, 0, 1))
        }
        Field::InputBridge => (None, Expr::Meta(MetaKey::InputBridgeName)),
        Field::InputPort => (None, Expr::Meta(MetaKey::InputName)),
    };
    let (dependency_load, dependency_value) = dependency.unzip();
    let comparison = Some(Expr::Equal(matched.value.bytes()));
    [dependency_load, dependency_value.map(Expr::Equal), Some(load), matched.mask().map(Expr::Mask), comparison]
}

const REGISTER_1: u32 = 1;
/// The register that a verdict is loaded into.
const REGISTER_VERDICT: u32 = 0;
const CMP_EQ: u32 = 0;
const BITWISE_BOOL: u32 = 0;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;

impl Expr<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Meta(_) => "meta",
            Self::Mask(_) => "bitwise",
            Self::Equal(_) => "cmp",
            Self::Counter => "counter",
            Self::Verdict { .. } => "immediate",
            Self::VerdictMap => "lookup",
            Self::Foreign(name) => name,
        }
    }

    /// Writes the expression as an element of a rule's list.
    pub fn write(&self, writer: &mut Writer) {
        writer.nested(super::kernel::LIST_ELEM, |writer| {
            writer.text(EXPR_NAME, self.name());
            writer.nested(EXPR_DATA, |writer| self.write_data(writer));
        });
    }

    fn write_data(&self, writer: &mut Writer) {
        let value = |writer: &mut Writer, kind, bytes: &Bytes| {
            writer.nested(kind, |writer| writer.attribute(super::kernel::DATA_VALUE, bytes));
        };
        match self {
            Self::Payload { base, offset, length } => {
                writer.number(1, REGISTER_1);
                writer.number(2, *base as u32);
                writer.number(3, *offset);
                writer.number(4, *length);
            }
            Self::Meta(key) => {
                writer.number(2, *key as u32);
                writer.number(1, REGISTER_1);
            }
            Self::Mask(mask) => {
                let zero = Bytes::from(vec![0; mask.len()].as_slice());
                writer.number(1, REGISTER_1);
                writer.number(2, REGISTER_1);
                writer.number(6, BITWISE_BOOL);
                writer.number(3, u32::try_from(mask.len()).unwrap_or_default());
                value(writer, 4, mask);
                value(writer, 5, &zero);
            }
            Self::Equal(bytes) => {
                writer.number(1, REGISTER_1);
                writer.number(2, CMP_EQ);
                value(writer, 3, bytes);
            }
            Self::Verdict { code, chain } => {
                writer.number(1, REGISTER_VERDICT);
                writer.nested(2, |writer| {
                    writer.nested(super::kernel::DATA_VERDICT, |writer| {
                        writer.number(super::kernel::VERDICT_CODE, code.cast_unsigned());
                        if let Some(chain) = chain {
                            writer.text(super::kernel::VERDICT_CHAIN, chain);
                        }
                    });
                });
            }
            Self::Counter | Self::VerdictMap | Self::Foreign(_) => {}
        }
    }
}

/// Reads a rule's list of expressions.
pub fn read(list: Attributes<'_>) -> impl Iterator<Item = Expr<'_>> {
    list.map(|(_, expression)| {
        let expression = Attributes(expression);
        let name = expression.text(EXPR_NAME).unwrap_or_default();
        read_one(name, &expression.nested(EXPR_DATA)).unwrap_or(Expr::Foreign(name))
    })
}

/// `None` for what we would not write: another expression, register or operation.
fn read_one<'a>(name: &str, data: &Attributes<'a>) -> Option<Expr<'a>> {
    let in_register_1 = |kind| data.number(kind) == Some(REGISTER_1);
    let value = |kind| data.nested(kind).get(super::kernel::DATA_VALUE).filter(|value| value.len() <= 16);
    match name {
        "payload" if in_register_1(1) => {
            let base = [Base::Link, Base::Network, Base::Transport].into_iter();
            let base = base.into_iter().find(|base| data.number(2) == Some(*base as u32))?;
            Some(Expr::Payload { base, offset: data.number(3)?, length: data.number(4)? })
        }
        "meta" if in_register_1(1) => {
            let mut keys = [MetaKey::InputName, MetaKey::L4Protocol, MetaKey::InputBridgeName].into_iter();
            keys.find(|key| data.number(2) == Some(*key as u32)).map(Expr::Meta)
        }
        "bitwise" if in_register_1(1) && in_register_1(2) && data.number(6).unwrap_or_default() == BITWISE_BOOL => {
            value(5)?.iter().all(|byte| *byte == 0).then_some(())?;
            Some(Expr::Mask(value(4)?.into()))
        }
        "cmp" if in_register_1(1) && data.number(2) == Some(CMP_EQ) => Some(Expr::Equal(value(3)?.into())),
        "counter" => Some(Expr::Counter),
        "immediate" if data.number(1) == Some(REGISTER_VERDICT) => {
            let verdict = data.nested(2).nested(super::kernel::DATA_VERDICT);
            let code = verdict.number(super::kernel::VERDICT_CODE)?.cast_signed();
            Some(Expr::Verdict { code, chain: verdict.text(super::kernel::VERDICT_CHAIN) })
        }
        // A lookup whose result is a verdict.
        "lookup" if data.number(3) == Some(REGISTER_VERDICT) => Some(Expr::VerdictMap),
        _ => None,
    }
}

/// As `nft --debug=netlink` shows it, more or less.
impl fmt::Debug for Expr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload { base, offset, length } => write!(f, "[load {length} bytes @ {base:?} + {offset}]"),
            Self::Meta(key) => write!(f, "[load {key:?}]"),
            Self::Mask(mask) => write!(f, "[& {mask:?}]"),
            Self::Equal(bytes) => write!(f, "[== {bytes:?}]"),
            Self::Counter => f.write_str("[counter]"),
            Self::Verdict { code, chain } => match (*code, chain) {
                (NF_DROP, None) => f.write_str("[drop]"),
                (NF_ACCEPT, None) => f.write_str("[accept]"),
                (RETURN, None) => f.write_str("[return]"),
                (JUMP, Some(chain)) => write!(f, "[jump {chain}]"),
                (GOTO, Some(chain)) => write!(f, "[goto {chain}]"),
                _ => write!(f, "[verdict {code}]"),
            },
            Self::VerdictMap => f.write_str("[vmap]"),
            Self::Foreign(name) => write!(f, "[{name} ...]"),
        }
    }
}
