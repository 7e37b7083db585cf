//! From registry to policy: what the kernel and the files should hold. No I/O, no clock.
//!
//! [`ruleset`] is the model. [`arp`] and [`ndp`] are the protections, [`address_sets`] the sets for people's own rules,
//! [`hooks`] puts the protections in force, [`uplinks`] says where that would be a mistake, [`hosts`] is the hosts file.
//! [`policy`] puts them together.

pub mod address_sets;
pub mod arp;
pub mod hooks;
pub mod hosts;
pub mod ndp;
pub mod policy;
pub mod ruleset;
pub mod uplinks;

use crate::net::Mac;
use ruleset::{Comment, Field, Match, Rule, Statement, Value, Verdict};

/// A rule that lets `mac` claim an address: counts the claims, and those among them that are rightful.
fn allow(claim: Option<Match>, mac: Mac, comment: Option<Comment<'_>>) -> Rule<'_> {
    let sender = Match::equal(Field::EtherSource, Value::Mac(mac));
    let rightful =
        [Statement::Counter, Statement::Match(sender), Statement::Counter, Statement::Verdict(Verdict::Return)];
    Rule { statements: claim.map(Statement::Match).into_iter().chain(rightful).collect(), comment, remark: None }
}

/// The last rule of a protection: what no rule let through is dropped.
fn lockdown() -> Rule<'static> {
    let statements = Box::new([Statement::Counter, Statement::Verdict(Verdict::Drop)]);
    Rule { statements, comment: Some(Comment::word("lockdown")), remark: None }
}
