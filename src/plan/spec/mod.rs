//! The original's two chains. People's own rules jump to them.
//!
//! With a rule for each address the verdicts and the text are the original's, to the letter; with sets the verdicts are the
//! same.

pub mod arp;
pub mod ndp;

use super::claims;
use super::layout::Layout;
use super::ruleset::{Chain, Comment, Field, Match, Rule, Set, Statement, Value, Verdict};
use crate::net::Mac;
use crate::registry::Registry;

/// The chains' names.
pub const CHAINS: [&str; 2] = [arp::CHAIN, ndp::CHAIN];

/// What reports call the protections of these chains.
pub const PROTECTIONS: [&str; 2] = ["arp", "ndp"];

/// The protection whose chain this is.
pub fn protection(chain: &str) -> Option<&'static str> {
    CHAINS.into_iter().zip(PROTECTIONS).find(|(name, _)| *name == chain).map(|(_, protection)| protection)
}

/// The comment of each chain's last rule, which counts what it drops.
pub const LOCKDOWN: &str = "lockdown";

/// The chains for this registry; `sets` are those which hold its addresses.
pub fn chains<'a>(registry: &'a Registry, layout: Layout, sets: &[Set]) -> [Chain<'a>; 2] {
    let has = |name: &str| sets.iter().any(|set| set.name.as_str() == name);
    match layout {
        Layout::Rules => [arp::rules(registry), ndp::rules(registry)],
        Layout::Sets => [arp::sets(has(claims::IP_NETS)), ndp::sets(has(claims::IP6_NETS))],
    }
}

/// A rule that lets `mac` claim an address: counts the claims, and those among them that are rightful.
fn allow(claim: Option<Match>, mac: Mac, comment: Option<Comment<'_>>) -> Rule<'_> {
    let sender = Match::equal(Field::EtherSource, Value::Mac(mac));
    let rightful =
        [Statement::Counter, Statement::Match(sender), Statement::Counter, Statement::Verdict(Verdict::Return)];
    Rule { comment, ..Rule::of(claim.map(Statement::Match).into_iter().chain(rightful)) }
}

/// The last rule of a protection: what no rule let through is dropped.
fn lockdown() -> Rule<'static> {
    let statements = [Statement::Counter, Statement::Verdict(Verdict::Drop)];
    Rule { comment: Some(Comment::word(LOCKDOWN)), ..Rule::of(statements) }
}

/// A rule that lets pass what is in a set; the element counts.
fn look_up(fields: &'static [Field], set: &'static str) -> Rule<'static> {
    Rule::of([Statement::Lookup { fields, set }, Statement::Verdict(Verdict::Return)])
}
