//! Short forms for the rules of the guard.

use crate::plan::ruleset::{Bytes, Chain, Field, Match, Operator, Rule, Statement, Value, Verdict};

/// A chain that only our own chains lead to.
pub(super) fn chain(name: &'static str, rules: Vec<Rule<'static>>) -> Chain<'static> {
    Chain { name, meant_for: None, hook: None, rules }
}

/// A rule for what matches all of these.
pub(super) fn when(matches: &[Match], verdict: Verdict) -> Rule<'static> {
    let matches = matches.iter().copied().map(Statement::Match);
    Rule::of(matches.chain([Statement::Verdict(verdict)]))
}

/// A rule for what is in a set.
pub(super) fn look_up(fields: &'static [Field], set: &'static str, verdict: Verdict) -> Rule<'static> {
    Rule::of([Statement::Lookup { fields, set }, Statement::Verdict(verdict)])
}

/// A rule for everything.
pub(super) fn always(verdict: Verdict) -> Rule<'static> {
    Rule::of([Statement::Verdict(verdict)])
}

/// On in that chain.
pub(super) fn goto(chain: &'static str) -> Verdict {
    Verdict::Goto(chain)
}

/// Octets of the network header are these.
pub(super) fn network<const N: usize>(octet: u16, octets: [u8; N]) -> Match {
    Match::equal(network_field::<N>(octet), bits(&octets))
}

/// Octets of the network header are there and are not these.
pub(super) fn not_network<const N: usize>(octet: u16, octets: [u8; N]) -> Match {
    Match::not_equal(network_field::<N>(octet), bits(&octets))
}

/// Octets of the transport header are these.
pub(super) fn transport<const N: usize>(octet: u16, octets: [u8; N]) -> Match {
    Match::equal(transport_field::<N>(octet), bits(&octets))
}

/// Octets of the transport header are there and are not these.
pub(super) fn not_transport<const N: usize>(octet: u16, octets: [u8; N]) -> Match {
    Match::not_equal(transport_field::<N>(octet), bits(&octets))
}

/// An IPv4 packet that is whole, or its first fragment (RFC 791). nf_tables' short cut for loads of at most four octets takes
/// what a later fragment begins with for a transport header.
pub(super) fn first_fragment() -> Match {
    let mask = Some(Bytes::from(&[0x1f, 0xff][..]));
    Match { mask, ..network(6, [0, 0]) }
}

/// The opposite.
pub(super) fn later_fragment() -> Match {
    Match { operator: Operator::NotEqual, ..first_fragment() }
}

fn network_field<const N: usize>(octet: u16) -> Field {
    Field::NetworkBits { offset: octet * 8, length: width::<N>() }
}

fn transport_field<const N: usize>(octet: u16) -> Field {
    Field::TransportBits { offset: octet * 8, length: width::<N>() }
}

/// Bits of so many octets; no field has more than 16.
fn width<const N: usize>() -> u16 {
    u16::try_from(N * 8).unwrap_or(u16::MAX)
}

fn bits(octets: &[u8]) -> Value {
    Value::Bits(Bytes::from(octets))
}
