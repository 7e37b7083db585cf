//! `vlan`: guests send no VLAN tags (IEEE 802.1Q), also none that only give a priority, nor several (802.1ad, QinQ).
//!
//! A host strips a priority tag and believes what is behind it, and other checks would have to look behind tags of any
//! depth. On a bridge with VLAN filtering, frames of an untagged port have no tag here yet.
//!
//! Limits: a guest that needs tags belongs on a trusted port.

use super::rules::when;
use super::{Plan, Protection, block};
use crate::plan::ruleset::{EtherType, Field, Match, Rule, Value};

/// After the rules for untagged frames.
pub(super) fn rules(plan: &Plan) -> Vec<Rule<'static>> {
    if !plan.has(Protection::Vlan) {
        return Vec::new();
    }
    let tags = [EtherType::Vlan, EtherType::ProviderVlan, EtherType::OldProviderVlan];
    let rule = |tag| when(&[Match::equal(Field::EtherType, Value::EtherType(tag))], block::of(Protection::Vlan));
    tags.map(rule).into()
}
