//! `ethertype`: guests send IPv4, IPv6 and ARP, nothing else.
//!
//! Dropped: frames with a length in place of a type (IEEE 802.3, so spanning tree too), LLDP, PPPoE, MPLS, and all that a
//! host or switch might heed. Tagged frames: [`super::vlan`].
//!
//! Limits: what is inside IP (tunnels) is not looked at.

use super::rules::always;
use super::{Plan, Protection, block};
use crate::plan::ruleset::Rule;

/// The last rule for each frame.
pub(super) fn rule(plan: &Plan) -> Option<Rule<'static>> {
    plan.has(Protection::EtherType).then(|| always(block::of(Protection::EtherType)))
}
