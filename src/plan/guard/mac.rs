//! `mac`: an instance with a `port` sends only from there, and that port carries no other Ethernet source. Named on the
//! command line, it also drops what comes from MACs that are not registered.
//!
//! Intent: a bridge learns a frame's source before it decides where the frame goes (IEEE 802.1Q, section 8.7), so only a
//! drop on the prerouting hook keeps a stolen MAC out of the forwarding table.
//!
//! Limits: the MAC of an instance without a port can be stolen, as can that of a router behind an uplink unless it is
//! registered with that uplink as its port.

use super::rules::{self, always, look_up};
use super::{Plan, Protection, block};
use crate::plan::claims;
use crate::plan::ruleset::{Chain, Field, Rule, Verdict};

/// Returns with what may be sent by this MAC from this port.
pub(super) const CHAIN: &str = "instances_guard_mac";

const BLOCK: Protection = Protection::BoundMac;

pub(super) fn chain(plan: &Plan) -> Option<Chain<'static>> {
    let mut own = Vec::new();
    if plan.has_set(claims::BOUND) {
        own.push(look_up(claims::BOUND_KEY, claims::BOUND, Verdict::Return));
        own.push(look_up(&[Field::EtherSource], claims::BOUND_MAC, block::of(BLOCK)));
        own.push(look_up(&[Field::InputPort], claims::BOUND_PORT, block::of(BLOCK)));
    }
    if plan.has(Protection::Mac) {
        own.push(look_up(&[Field::EtherSource], claims::MAC, Verdict::Return));
        own.push(always(block::of(BLOCK)));
    }
    (!own.is_empty()).then(|| rules::chain(CHAIN, own))
}

/// Makes sure of MAC and port before anything is let pass for its address.
pub(super) fn rule(plan: &Plan) -> Option<Rule<'static>> {
    (plan.has_set(claims::BOUND) || plan.has(Protection::Mac)).then(|| always(Verdict::Jump(CHAIN)))
}
