//! A rule's statements as the kernel's expressions: the instructions of nf_tables' small machine.
//!
//! Lowering yields exactly what nft makes of the same text, so that nft lists it as that text. Single fields are compared in
//! register 1; fields that are looked up together lie one behind the other from there.
//!
//! nft also joins comparisons of payload that lie side by side. No rule of ours has such.

use super::log;
use crate::netlink::{Attributes, Writer};
use crate::plan::ruleset::{Bytes, EtherType, Field, Header, Match, Operator, Statement, Value, Verdict};
use std::fmt;

/// One expression. Counters are compared without their counts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Expr<'a> {
    /// Load packet bytes.
    Payload {
        /// From which header.
        base: Header,
        /// First byte.
        offset: u32,
        /// Number of bytes.
        length: u32,
        /// To where.
        register: u32,
    },
    /// Load metadata.
    Meta {
        /// Which.
        key: MetaKey,
        /// To where.
        register: u32,
    },
    /// Keep only these bits of register 1.
    Mask(Bytes),
    /// Go on if register 1 equals this, or does not.
    Compare(Operator, Bytes),
    /// Go on if what begins in register 1 is an element of this set.
    Lookup(&'a str),
    /// Put what begins in register 1 into this set, with a counter.
    Record(&'a str),
    /// Count.
    Counter,
    /// Go on for so many packets.
    Limit {
        /// In the long run.
        per_second: u64,
        /// At once.
        burst: u32,
    },
    /// Write a line that begins so to the kernel's log.
    Log(&'a str),
    /// Hand over to a queue.
    Queue {
        /// Its number.
        number: u16,
        /// NFT_QUEUE_FLAG_*.
        flags: u16,
    },
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

/// NFT_META_*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MetaKey {
    /// Ether type behind a VLAN tag that the kernel keeps apart.
    Protocol = 1,
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
const UDP: u8 = 17;

/// The expressions of a rule.
pub fn lower(statements: &[Statement]) -> Vec<Expr<'_>> {
    let mut lowered = Vec::with_capacity(3 * statements.len());
    for statement in statements {
        match statement {
            Statement::Match(matched) => lower_match(&mut lowered, matched),
            Statement::Lookup { fields, set } => {
                load(&mut lowered, fields);
                lowered.push(Expr::Lookup(set));
            }
            Statement::Record { fields, set } => {
                load(&mut lowered, fields);
                lowered.push(Expr::Record(set));
            }
            Statement::Counter => lowered.push(Expr::Counter),
            Statement::Limit { per_second, burst } => {
                lowered.push(Expr::Limit { per_second: u64::from(*per_second), burst: *burst });
            }
            Statement::Log { prefix } => lowered.push(Expr::Log(prefix)),
            Statement::Queue { number, bypass } => {
                lowered.push(Expr::Queue { number: *number, flags: if *bypass { QUEUE_BYPASS } else { 0 } });
            }
            Statement::Verdict(verdict) => {
                let (code, chain) = match verdict {
                    Verdict::Drop => (NF_DROP, None),
                    Verdict::Accept => (NF_ACCEPT, None),
                    Verdict::Return => (RETURN, None),
                    Verdict::Jump(chain) => (JUMP, Some(*chain)),
                    Verdict::Goto(chain) => (GOTO, Some(*chain)),
                };
                lowered.push(Expr::Verdict { code, chain });
            }
        }
    }
    lowered
}

/// The field's dependency, its load, a mask, the comparison.
fn lower_match(lowered: &mut Vec<Expr<'_>>, matched: &Match) {
    load(lowered, &[matched.field]);
    lowered.extend(matched.mask.map(Expr::Mask));
    lowered.push(Expr::Compare(matched.operator, matched.value.bytes()));
}

/// Loads fields one behind the other, behind comparisons that make sure that they are where they are looked for.
fn load(lowered: &mut Vec<Expr<'_>>, fields: &[Field]) {
    for (load, value) in fields.iter().flat_map(|field| dependencies(*field)).flatten() {
        let comparison = Expr::Compare(Operator::Equal, value);
        // Once in a rule.
        if !lowered.windows(2).any(|pair| *pair == [load.clone(), comparison.clone()]) {
            lowered.extend([load, comparison]);
        }
    }
    // In units of four bytes.
    let mut slot = 0;
    for field in fields {
        // 16-byte registers count from 1, their quarters from 8. nft and the kernel call a quarter that begins a register
        // by the register's name.
        let register = if slot % 4 == 0 { REGISTER_1 + slot / 4 } else { REGISTER32_0 + slot };
        lowered.push(load_to(*field, register));
        slot += u32::try_from(field.length().div_ceil(4)).unwrap_or_default();
    }
}

fn load_to<'a>(field: Field, register: u32) -> Expr<'a> {
    match (field.location(), field) {
        (Some((base, offset, length)), _) => {
            Expr::Payload { base, offset: u32::from(offset), length: u32::from(length), register }
        }
        (None, Field::L4Protocol) => Expr::Meta { key: MetaKey::L4Protocol, register },
        (None, Field::InputBridge) => Expr::Meta { key: MetaKey::InputBridgeName, register },
        (None, _) => Expr::Meta { key: MetaKey::InputName, register },
    }
}

/// What nft compares first for a field of a protocol.
fn dependencies<'a>(field: Field) -> [Option<(Expr<'a>, Bytes)>; 2] {
    let ether_type = |wanted| Some((load_to(Field::EtherType, REGISTER_1), Value::EtherType(wanted).bytes()));
    let meta = |key, bytes| Some((Expr::Meta { key, register: REGISTER_1 }, bytes));
    let protocol = |wanted| meta(MetaKey::Protocol, Value::EtherType(wanted).bytes());
    let l4_protocol = |wanted| meta(MetaKey::L4Protocol, Value::Protocol(wanted).bytes());
    match field {
        Field::ArpSourceIp | Field::ArpSourceMac | Field::ArpTargetIp => [ether_type(EtherType::Arp), None],
        Field::IpSource => [protocol(EtherType::Ip), None],
        Field::Ip6Source => [protocol(EtherType::Ip6), None],
        Field::Icmpv6Type => [ether_type(EtherType::Ip6), l4_protocol(ICMPV6)],
        Field::RoutedIcmpv6Type => [l4_protocol(ICMPV6), None],
        Field::UdpTarget => [l4_protocol(UDP), None],
        _ => [None, None],
    }
}

const REGISTER_1: u32 = 1;
/// NFT_REG32_00.
const REGISTER32_0: u32 = 8;
/// The register that a verdict is loaded into.
const REGISTER_VERDICT: u32 = 0;
const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;
/// NFT_DYNSET_OP_UPDATE.
const DYNSET_UPDATE: u32 = 1;
const BITWISE_BOOL: u32 = 0;
/// NFT_QUEUE_FLAG_BYPASS.
const QUEUE_BYPASS: u16 = 1;
/// Queues from the number on that packets are spread over.
const ONE_QUEUE: u16 = 1;

pub(super) const EXPR_NAME: u16 = 1;
pub(super) const EXPR_DATA: u16 = 2;

impl Expr<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Meta { .. } => "meta",
            Self::Mask(_) => "bitwise",
            Self::Compare(..) => "cmp",
            Self::Lookup(_) | Self::VerdictMap => "lookup",
            Self::Record(_) => "dynset",
            Self::Counter => "counter",
            Self::Limit { .. } => "limit",
            Self::Log(_) => "log",
            Self::Queue { .. } => "queue",
            Self::Verdict { .. } => "immediate",
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
            Self::Payload { base, offset, length, register } => {
                writer.number(1, *register);
                writer.number(2, *base as u32);
                writer.number(3, *offset);
                writer.number(4, *length);
            }
            Self::Meta { key, register } => {
                writer.number(2, *key as u32);
                writer.number(1, *register);
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
            Self::Compare(operator, bytes) => {
                writer.number(1, REGISTER_1);
                writer.number(2, if *operator == Operator::Equal { CMP_EQ } else { CMP_NEQ });
                value(writer, 3, bytes);
            }
            Self::Lookup(set) => {
                writer.text(1, set);
                writer.number(2, REGISTER_1);
            }
            Self::Record(set) => {
                writer.text(1, set);
                writer.number(3, DYNSET_UPDATE);
                writer.number(4, REGISTER_1);
                writer.nested(7, write_counter);
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
            Self::Queue { number, flags } => {
                writer.attribute(1, &number.to_be_bytes());
                writer.attribute(2, &ONE_QUEUE.to_be_bytes());
                if *flags != 0 {
                    writer.attribute(3, &flags.to_be_bytes());
                }
            }
            Self::Limit { per_second, burst } => log::write_limit(writer, *per_second, *burst),
            Self::Log(prefix) => log::write_log(writer, prefix),
            Self::Counter | Self::VerdictMap | Self::Foreign(_) => {}
        }
    }
}

/// A counter as the expression of elements.
pub(super) fn write_counter(writer: &mut Writer) {
    writer.text(EXPR_NAME, "counter");
    writer.nested(EXPR_DATA, |_| {});
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
        "payload" => {
            let mut bases = [Header::Link, Header::Network, Header::Transport].into_iter();
            let base = bases.find(|base| data.number(2) == Some(*base as u32))?;
            Some(Expr::Payload { base, offset: data.number(3)?, length: data.number(4)?, register: data.number(1)? })
        }
        "meta" => {
            let mut keys =
                [MetaKey::Protocol, MetaKey::InputName, MetaKey::L4Protocol, MetaKey::InputBridgeName].into_iter();
            let key = keys.find(|key| data.number(2) == Some(*key as u32))?;
            Some(Expr::Meta { key, register: data.number(1)? })
        }
        "bitwise" if in_register_1(1) && in_register_1(2) && data.number(6).unwrap_or_default() == BITWISE_BOOL => {
            value(5)?.iter().all(|byte| *byte == 0).then_some(())?;
            Some(Expr::Mask(value(4)?.into()))
        }
        "cmp" if in_register_1(1) => {
            let operator = match data.number(2)? {
                CMP_EQ => Operator::Equal,
                CMP_NEQ => Operator::NotEqual,
                _ => return None,
            };
            Some(Expr::Compare(operator, value(3)?.into()))
        }
        "counter" => Some(Expr::Counter),
        "limit" => log::read_limit(data),
        "log" => log::read_log(data),
        "queue" => {
            let short = |kind| data.get(kind)?.try_into().ok().map(u16::from_be_bytes);
            // From a register, or spread over several, is not as we write it.
            (short(2)? == ONE_QUEUE).then_some(())?;
            Some(Expr::Queue { number: short(1)?, flags: short(3).unwrap_or_default() })
        }
        "immediate" if data.number(1) == Some(REGISTER_VERDICT) => {
            let verdict = data.nested(2).nested(super::kernel::DATA_VERDICT);
            let code = verdict.number(super::kernel::VERDICT_CODE)?.cast_signed();
            Some(Expr::Verdict { code, chain: verdict.text(super::kernel::VERDICT_CHAIN) })
        }
        // A lookup whose result is a verdict.
        "lookup" if data.number(3) == Some(REGISTER_VERDICT) => Some(Expr::VerdictMap),
        "lookup" if in_register_1(2) && data.number(3).is_none() && data.number(5).unwrap_or_default() == 0 => {
            data.text(1).map(Expr::Lookup)
        }
        "dynset" if in_register_1(4) && data.number(3) == Some(DYNSET_UPDATE) => {
            (data.nested(7).text(EXPR_NAME) == Some("counter")).then_some(())?;
            data.text(1).map(Expr::Record)
        }
        _ => None,
    }
}

/// As `nft --debug=netlink` shows it, more or less.
impl fmt::Debug for Expr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload { base, offset, length, register } => {
                write!(f, "[load {length} bytes @ {base:?} + {offset} => {register}]")
            }
            Self::Meta { key, register } => write!(f, "[load {key:?} => {register}]"),
            Self::Mask(mask) => write!(f, "[& {mask:?}]"),
            Self::Compare(Operator::Equal, bytes) => write!(f, "[== {bytes:?}]"),
            Self::Compare(Operator::NotEqual, bytes) => write!(f, "[!= {bytes:?}]"),
            Self::Lookup(set) => write!(f, "[in @{set}]"),
            Self::Record(set) => write!(f, "[into @{set}]"),
            Self::Counter => f.write_str("[counter]"),
            Self::Limit { per_second, burst } => write!(f, "[limit {per_second}/second burst {burst}]"),
            Self::Log(prefix) => write!(f, "[log {}]", crate::net::Shown(prefix)),
            Self::Queue { number, flags } => write!(f, "[queue {number} flags {flags}]"),
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
