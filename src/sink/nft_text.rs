//! Prints the ruleset in nft's language, in the format of the original's files: bare chains and bare sets, to be
//! included inside a table.

use crate::plan::ruleset::{
    Chain, Elements, EtherType, Field, Hook, HookPoint, Icmpv6, Match, Rule, Set, Statement, Value, Verdict,
};
use std::fmt;
use std::io::{self, Write};

/// Prints chains, each with a comment on how it is meant to be used.
pub fn write_chains(out: &mut dyn Write, chains: &[Chain]) -> io::Result<()> {
    for chain in chains {
        if !chain.meant_for.is_empty() {
            writeln!(out, "# Use: {}", Statements(&chain.jump().collect::<Vec<_>>()))?;
        }
        writeln!(out, "chain {} {{", chain.name)?;
        if let Some(Hook { point, priority }) = chain.hook {
            let point = match point {
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

/// Prints sets, each with a comment on how it is meant to be used.
pub fn write_sets(out: &mut dyn Write, sets: &[Set]) -> io::Result<()> {
    for set in sets {
        writeln!(out, "# Use: @{}\nset {} {{", set.name, set.name)?;
        match &set.elements {
            Elements::Ipv4(elements) => write_elements(out, "ipv4_addr", elements)?,
            Elements::Ipv6(elements) => write_elements(out, "ipv6_addr", elements)?,
        }
        writeln!(out, "}}")?;
    }
    Ok(())
}

fn write_elements(out: &mut dyn Write, element_type: &str, elements: &[impl fmt::Display]) -> io::Result<()> {
    writeln!(out, "    type {element_type}")?;
    // nft takes empty braces for a syntax error.
    if !elements.is_empty() {
        write!(out, "    elements = {{ ")?;
        for element in elements {
            write!(out, "{element}, ")?;
        }
        writeln!(out, "}}")?;
    }
    Ok(())
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
                Statement::Counter => f.write_str("counter")?,
                Statement::Verdict(Verdict::Accept) => f.write_str("accept")?,
                Statement::Verdict(Verdict::Drop) => f.write_str("drop")?,
                Statement::Verdict(Verdict::Return) => f.write_str("return")?,
                Statement::Verdict(Verdict::Jump(chain)) => write!(f, "jump {chain}")?,
            }
        }
        Ok(())
    }
}

fn write_match(f: &mut fmt::Formatter<'_>, matched: &Match) -> fmt::Result {
    match matched.field {
        Field::EtherSource => f.write_str("ether saddr"),
        Field::EtherType => f.write_str("ether type"),
        Field::ArpSourceIp => f.write_str("arp saddr ip"),
        Field::NetworkBits { offset, length } => write!(f, "@nh,{offset},{length}"),
        Field::Icmpv6Type => f.write_str("icmpv6 type"),
        Field::InputBridge => f.write_str("meta ibrname"),
        Field::InputPort => f.write_str("iifname"),
    }?;
    if let Some(mask) = matched.mask() {
        write!(f, " & {mask:?} ==")?;
    }
    f.write_str(" ")?;
    match matched.value {
        // nft knows no other way to write raw bits.
        value if matches!(matched.field, Field::NetworkBits { .. }) => write!(f, "{:?}", value.bytes()),
        Value::Mac(mac) => write!(f, "{mac}"),
        Value::Ipv4(address) => write!(f, "{address}"),
        Value::Ipv6(address) => write!(f, "{address}"),
        Value::EtherType(EtherType::Arp) => f.write_str("arp"),
        Value::EtherType(EtherType::Ip6) => f.write_str("ip6"),
        Value::Icmpv6(Icmpv6::NeighborAdvertisement) => f.write_str("nd-neighbor-advert"),
        Value::Interface(name) => write!(f, "\"{name}\""),
    }
}
