//! Prints the ruleset in nft's language, in the format of the original's files: bare chains and bare sets, to be
//! included inside a table.

use crate::net::{Shown, until_nul};
use crate::plan::ruleset::{
    Bytes, Chain, Datatype, Elements, Entry, EtherType, Field, Hook, HookPoint, Keyed, Match, Operator, Rule, Set,
    Statement, Value, Verdict, parts,
};
use crate::sink::nft_netlink::set_type::SetType;
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Prints chains, each with a comment on how it is meant to be used.
pub fn write_chains(out: &mut dyn Write, chains: &[Chain]) -> io::Result<()> {
    for chain in chains {
        if chain.meant_for.is_some() {
            writeln!(out, "# Use: {}", Statements(&chain.jump().collect::<Vec<_>>()))?;
        }
        writeln!(out, "chain {} {{", chain.name)?;
        if let Some(Hook { point, priority }) = chain.hook {
            let point = match point {
                HookPoint::Prerouting => "prerouting",
                HookPoint::Input => "input",
                HookPoint::Forward => "forward",
            };
            writeln!(out, "    type filter hook {point} priority {priority}; policy accept;")?;
        }
        for rule in &chain.rules {
            writeln!(out, "    {}", RuleText(rule))?;
        }
        writeln!(out, "}}")?;
    }
    Ok(())
}

/// Prints sets: those for people's own rules each with a comment on how it is meant to be used.
pub fn write_sets<'a>(out: &mut dyn Write, sets: impl IntoIterator<Item = &'a Set<'a>>) -> io::Result<()> {
    for set in sets {
        match &set.elements {
            Elements::Ipv4(_) | Elements::Ipv6(_) => writeln!(out, "# Use: @{}\nset {} {{", set.name, set.name)?,
            Elements::Keyed(_) | Elements::Recorded(_) => writeln!(out, "set {} {{", set.name)?,
        }
        match &set.elements {
            Elements::Ipv4(elements) => write_addresses(out, "ipv4_addr", elements)?,
            Elements::Ipv6(elements) => write_addresses(out, "ipv6_addr", elements)?,
            Elements::Keyed(keyed) => write_keyed(out, keyed, &set.elements)?,
            Elements::Recorded(recorded) => {
                writeln!(out, "    {}", KeyType(recorded.fields))?;
                writeln!(
                    out,
                    "    size {}\n    flags dynamic,timeout\n    timeout {}s",
                    recorded.size, recorded.timeout
                )?;
            }
        }
        writeln!(out, "}}")?;
    }
    Ok(())
}

fn write_addresses(out: &mut dyn Write, element_type: &str, elements: &[impl fmt::Display]) -> io::Result<()> {
    writeln!(out, "    type {element_type}")?;
    write_elements(out, elements.iter())
}

fn write_keyed(out: &mut dyn Write, keyed: &Keyed, elements: &Elements) -> io::Result<()> {
    let fields = keyed.fields;
    writeln!(out, "    {}", KeyType(fields))?;
    if keyed.interval {
        writeln!(out, "    flags interval")?;
    }
    if keyed.counted {
        writeln!(out, "    counter")?;
    }
    let all = (0..keyed.elements.len()).filter_map(|index| elements.entry(index));
    write_elements(out, all.map(|element| ElementText { fields, element }))
}

fn write_elements(out: &mut dyn Write, elements: impl Iterator<Item = impl fmt::Display>) -> io::Result<()> {
    let mut elements = elements.peekable();
    // nft takes empty braces for a syntax error.
    if elements.peek().is_some() {
        write!(out, "    elements = {{ ")?;
        for element in elements {
            write!(out, "{element}, ")?;
        }
        writeln!(out, "}}")?;
    }
    Ok(())
}

/// The type of a set's key.
struct KeyType(&'static [Field]);

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SetType::needs_typeof(self.0) {
            return write!(f, "typeof {}", Fields(self.0));
        }
        for (index, field) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "type " } else { " . " })?;
            f.write_str(match field.datatype() {
                Datatype::Ipv4 => "ipv4_addr",
                Datatype::Ipv6 => "ipv6_addr",
                Datatype::Mac => "ether_addr",
                Datatype::Interface => "ifname",
                Datatype::Integer => "integer",
            })?;
        }
        Ok(())
    }
}

/// Fields, as they are looked up together.
struct Fields(&'static [Field]);

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" . ")?;
            }
            write_field(f, *field)?;
        }
        Ok(())
    }
}

/// An element of a set whose key has such fields.
pub struct ElementText<'a> {
    /// The fields.
    pub fields: &'static [Field],
    /// The element.
    pub element: Entry<'a>,
}

impl fmt::Display for ElementText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { key, last, comment } = &self.element;
        let last = last.as_ref().unwrap_or(key);
        let ends = parts(self.fields, key).zip(parts(self.fields, last));
        for (index, ((field, part), (_, last))) in ends.enumerate() {
            if index > 0 {
                f.write_str(" . ")?;
            }
            write_part(f, field, part)?;
            match (part == last, field.datatype()) {
                (true, _) => {}
                (false, Datatype::Ipv4 | Datatype::Ipv6) => write!(f, "/{}", common_bits(part, last))?,
                (false, _) => {
                    f.write_str("-")?;
                    write_part(f, field, last)?;
                }
            }
        }
        comment.map_or(Ok(()), |comment| write!(f, " comment \"{comment}\""))
    }
}

/// How many leading bits both have in common: the length of the prefix that begins and ends so.
fn common_bits(first: &[u8], last: &[u8]) -> u32 {
    let equal = first.iter().zip(last).take_while(|(first, last)| first == last).count();
    let next = first.get(equal).zip(last.get(equal)).map_or(0, |(first, last)| (first ^ last).leading_zeros());
    u32::try_from(8 * equal).unwrap_or_default() + next
}

/// One field's part of a key.
fn write_part(f: &mut fmt::Formatter<'_>, field: Field, part: &[u8]) -> fmt::Result {
    match (field.datatype(), part) {
        (Datatype::Ipv4, &[a, b, c, d]) => write!(f, "{}", Ipv4Addr::new(a, b, c, d)),
        (Datatype::Ipv6, part) => match <[u8; 16]>::try_from(part) {
            Ok(octets) => write!(f, "{}", Ipv6Addr::from(octets)),
            Err(_) => write!(f, "{:?}", Bytes::from(part)),
        },
        (Datatype::Mac, part) if part.len() == 6 => part.iter().enumerate().try_for_each(|(index, byte)| {
            f.write_str(if index == 0 { "" } else { ":" })?;
            write!(f, "{byte:02x}")
        }),
        (Datatype::Interface, part) => {
            write!(f, "\"{}\"", Shown(&String::from_utf8_lossy(until_nul(part))))
        }
        (_, part) => write!(f, "{:?}", Bytes::from(part)),
    }
}

/// A rule on one line.
pub struct RuleText<'a>(pub &'a Rule<'a>);

impl fmt::Display for RuleText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { statements, comment, remark } = self.0;
        write!(f, "{}", Statements(statements))?;
        if let Some(comment) = comment {
            write!(f, " comment \"{}\"", comment.as_str())?;
        }
        remark.map_or(Ok(()), |remark| write!(f, " # {remark}"))
    }
}

struct Statements<'a>(&'a [Statement]);

impl fmt::Display for Statements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, statement) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match statement {
                Statement::Match(matched) => write_match(f, matched)?,
                Statement::Lookup { fields, set } => write!(f, "{} @{set}", Fields(fields))?,
                Statement::Record { fields, set } => write!(f, "update @{set} {{ {} counter }}", Fields(fields))?,
                Statement::Counter => f.write_str("counter")?,
                Statement::Limit { per_second, burst } => {
                    write!(f, "limit rate {per_second}/second burst {burst} packets")?;
                }
                Statement::Log { prefix } => write!(f, "log prefix \"{prefix}\" flags ether")?,
                Statement::Queue { number, bypass } => {
                    write!(f, "queue num {number}{}", if *bypass { " bypass" } else { "" })?;
                }
                Statement::Verdict(Verdict::Accept) => f.write_str("accept")?,
                Statement::Verdict(Verdict::Drop) => f.write_str("drop")?,
                Statement::Verdict(Verdict::Return) => f.write_str("return")?,
                Statement::Verdict(Verdict::Jump(chain)) => write!(f, "jump {chain}")?,
                Statement::Verdict(Verdict::Goto(chain)) => write!(f, "goto {chain}")?,
            }
        }
        Ok(())
    }
}

fn write_field(f: &mut fmt::Formatter<'_>, field: Field) -> fmt::Result {
    f.write_str(match field {
        Field::EtherTarget => "ether daddr",
        Field::EtherSource => "ether saddr",
        Field::EtherType => "ether type",
        Field::ArpSourceIp => "arp saddr ip",
        Field::ArpSourceMac => "arp saddr ether",
        Field::ArpTargetIp => "arp daddr ip",
        Field::IpSource => "ip saddr",
        Field::Ip6Source => "ip6 saddr",
        Field::NetworkBits { offset, length } => return write!(f, "@nh,{offset},{length}"),
        Field::TransportBits { offset, length } => return write!(f, "@th,{offset},{length}"),
        Field::Icmpv6Type | Field::RoutedIcmpv6Type => "icmpv6 type",
        Field::UdpTarget => "udp dport",
        Field::L4Protocol => "meta l4proto",
        Field::InputBridge => "meta ibrname",
        Field::InputPort => "iifname",
    })
}

fn write_match(f: &mut fmt::Formatter<'_>, matched: &Match) -> fmt::Result {
    write_field(f, matched.field)?;
    if let Some(mask) = matched.mask {
        f.write_str(" & ")?;
        write_part(f, matched.field, &mask)?;
    }
    f.write_str(match (matched.mask, matched.operator) {
        (None, Operator::Equal) => " ",
        (Some(_), Operator::Equal) => " == ",
        (_, Operator::NotEqual) => " != ",
    })?;
    // nft knows no other way to write raw bits.
    if matches!(matched.field, Field::NetworkBits { .. } | Field::TransportBits { .. }) {
        return write!(f, "{:?}", matched.value.bytes());
    }
    match matched.value {
        Value::Mac(mac) => write!(f, "{mac}"),
        Value::Ipv4(address) => write!(f, "{address}"),
        Value::Ipv6(address) => write!(f, "{address}"),
        Value::EtherType(EtherType::Arp) => f.write_str("arp"),
        Value::EtherType(EtherType::Ip) => f.write_str("ip"),
        Value::EtherType(EtherType::Ip6) => f.write_str("ip6"),
        Value::EtherType(EtherType::Vlan) => f.write_str("8021q"),
        Value::EtherType(EtherType::ProviderVlan) => f.write_str("8021ad"),
        Value::EtherType(ether_type @ EtherType::OldProviderVlan) => write!(f, "0x{:04x}", ether_type as u16),
        Value::Icmpv6(message) => f.write_str(message.as_str()),
        Value::Interface(name) => write!(f, "\"{name}\""),
        Value::Interfaces(start) => write!(f, "\"{start}*\""),
        Value::Protocol(number) => write!(f, "{number}"),
        Value::Port(number) => write!(f, "{number}"),
        Value::Bits(bits) => write!(f, "{bits:?}"),
    }
}
