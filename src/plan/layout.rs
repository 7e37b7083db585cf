//! How a policy is laid out: with sets of claims, or with a rule for each claim.
//!
//! [`spell_out`] makes rules of look-ups: the same verdicts, at a cost that grows with the number of instances. It is for
//! files that are to be read, for kernels without ranges in keys of several fields (before Linux 5.6), and a witness of the
//! sets.

use super::ruleset::{
    Bytes, Chain, Datatype, Element, Elements, Field, Header, Keyed, Match, Operator, Rule, Set, Statement, Value,
    parts,
};
use crate::net::{IfName, Mac};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How a policy is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A rule for each address.
    Rules,
    /// Addresses in sets.
    Sets,
}

/// The chains with each rule that looks something up replaced by a rule for each element.
pub fn spell_out<'a>(chains: Vec<Chain<'a>>, sets: &[Set<'a>]) -> Vec<Chain<'a>> {
    let keyed = |wanted: &str| {
        sets.iter().find(|set| set.name.as_str() == wanted).and_then(|set| match &set.elements {
            Elements::Keyed(keyed) => Some(keyed),
            _ => None,
        })
    };
    let spell = |rule: Rule<'a>| {
        let look_up = rule.statements.iter().enumerate().find_map(|(place, statement)| match statement {
            Statement::Lookup { fields, set } => keyed(set).map(|keyed| (place, *fields, keyed)),
            _ => None,
        });
        match look_up {
            None => vec![rule],
            Some((place, fields, keyed)) => {
                keyed.elements.iter().map(|element| one(&rule, place, fields, keyed, element)).collect()
            }
        }
    };
    let spell_chain = |chain: Chain<'a>| Chain { rules: chain.rules.into_iter().flat_map(spell).collect(), ..chain };
    chains.into_iter().map(spell_chain).collect()
}

/// The rule with one element in the place of the look-up.
fn one<'a>(
    rule: &Rule<'a>,
    place: usize,
    fields: &'static [Field],
    keyed: &Keyed<'a>,
    element: &Element<'a>,
) -> Rule<'a> {
    let (before, after) = rule.statements.split_at_checked(place).unwrap_or_default();
    // Rules of ours have nothing but comparisons in front of a look-up.
    let before = before.iter().filter_map(|statement| match statement {
        Statement::Match(matched) => Some(*matched),
        _ => None,
    });
    let mut matches: Vec<Match> = before.collect();
    for (index, (field, part)) in parts(fields, &element.key).enumerate() {
        match element.prefix.filter(|_| index == 0) {
            None => matches.push(Match::equal(by_bits(field), value(field, part))),
            Some(0) => {}
            // Not by name: nft would write and read it as a shorter field.
            Some(bits) => matches.push(Match::prefix(raw(field), bits, value(field, part))),
        }
    }
    let counter = keyed.counted.then_some(Statement::Counter);
    let matches = join_neighbours(matches).into_iter().map(Statement::Match);
    let statements = matches.chain(counter).chain(after.iter().skip(1).copied());
    Rule { comment: element.comment.clone(), ..Rule::of(statements) }
}

/// ARP by bits: the comparison of the ether type, which nft puts in front of its names, would be joined with that of the
/// Ethernet source behind it.
fn by_bits(field: Field) -> Field {
    match field {
        Field::ArpSourceIp | Field::ArpSourceMac | Field::ArpTargetIp => raw(field),
        _ => field,
    }
}

/// The field as bits of the network header, if it is there.
fn raw(field: Field) -> Field {
    match field.location() {
        Some((Header::Network, octet, octets)) => Field::NetworkBits { offset: octet * 8, length: octets * 8 },
        _ => field,
    }
}

/// Bits that are compared at once, at most.
const REGISTER: u16 = 128;

/// Makes one comparison of two that lie side by side, as nft does where both fit into a register.
fn join_neighbours(matches: Vec<Match>) -> Vec<Match> {
    let mut joined: Vec<Match> = Vec::with_capacity(matches.len());
    for next in matches {
        match joined.last_mut() {
            Some(last) => match join(last, &next).or_else(|| join(&next, last)) {
                Some(both) => *last = both,
                None => joined.push(next),
            },
            None => joined.push(next),
        }
    }
    joined
}

/// One comparison of two, if the second lies right behind the first.
fn join(first: &Match, second: &Match) -> Option<Match> {
    let place = |at: &Match| match at.field {
        Field::NetworkBits { offset, length } if at.mask.is_none() && at.operator == Operator::Equal => {
            Some((offset, length))
        }
        _ => None,
    };
    let ((offset, length), (second_offset, second_length)) = (place(first)?, place(second)?);
    let field = Field::NetworkBits { offset, length: length + second_length };
    let bits = Bytes::from([&*first.value.bytes(), &*second.value.bytes()].concat().as_slice());
    let fits = offset + length == second_offset && length + second_length <= REGISTER;
    fits.then_some(Match::equal(field, Value::Bits(bits)))
}

/// A part of a key as a value.
fn value(field: Field, part: &[u8]) -> Value {
    let bits = || Value::Bits(Bytes::from(part));
    match field.datatype() {
        Datatype::Ipv4 => {
            <[u8; 4]>::try_from(part).map_or_else(|_| bits(), |octets| Value::Ipv4(Ipv4Addr::from(octets)))
        }
        Datatype::Ipv6 => {
            <[u8; 16]>::try_from(part).map_or_else(|_| bits(), |octets| Value::Ipv6(Ipv6Addr::from(octets)))
        }
        Datatype::Mac => <[u8; 6]>::try_from(part).map_or_else(|_| bits(), |octets| Value::Mac(Mac(octets))),
        Datatype::Interface => IfName::of_padded(part).map_or_else(bits, Value::Interface),
        Datatype::Integer => bits(),
    }
}
