//! `query`: guests are no multicast queriers or routers.
//!
//! A bridge with IGMP or MLD snooping sends all multicast to where queries come from (RFC 4541, section 2.1.1). Dropped from
//! guest ports: IGMP and MLD queries (RFC 3376, RFC 3810), multicast router discovery (RFC 4286), DVMRP, and PIM (RFC 7761)
//! over IPv4. Reports pass, also from 0.0.0.0 and `::`.
//!
//! Limits: PIM over IPv6 passes.

use super::rules::{self, always, first_fragment, goto, later_fragment, network, not_transport, transport, when};
use super::{Plan, Protection, block};
use crate::plan::ruleset::{Chain, Match, Rule, Verdict};

/// IGMP.
pub(super) const IGMP: &str = "instances_guard_igmp";

const PROTOCOL: u8 = 2;
const PIM: u8 = 103;
/// IGMP: membership query, DVMRP, multicast router advertisement and termination.
const IGMP_OF_ROUTERS: [u8; 4] = [0x11, 0x13, 0x30, 0x32];
/// MLD: listener query.
const MLD_QUERY: u8 = 130;
/// MLD: listener report version 2, report, done.
const MLD_REPORTS: [u8; 3] = [143, 131, 132];

pub(super) fn chain(plan: &Plan) -> Option<Chain<'static>> {
    let blocked = block::of(Protection::Query);
    let igmp = IGMP_OF_ROUTERS.map(|kind| when(&[transport(0, [kind]), first_fragment()], blocked));
    // As for UDP: what has no readable type is not let pass.
    let last =
        [when(&[not_transport(0, [0])], Verdict::Return), when(&[later_fragment()], Verdict::Return), always(blocked)];
    plan.has(Protection::Query).then(|| rules::chain(IGMP, igmp.into_iter().chain(last).collect()))
}

/// Sends IGMP on.
pub(super) fn rules(plan: &Plan) -> Vec<Rule<'static>> {
    if !plan.has(Protection::Query) {
        return Vec::new();
    }
    vec![when(&[network(9, [PROTOCOL])], goto(IGMP)), when(&[network(9, [PIM])], block::of(Protection::Query))]
}

/// IGMP of a host without address.
pub(super) fn from_unspecified(plan: &Plan, unspecified: Match) -> Rule<'static> {
    let verdict = if plan.has(Protection::Query) { goto(IGMP) } else { Verdict::Return };
    when(&[unspecified, network(9, [PROTOCOL])], verdict)
}

/// MLD queries without extension header, which no router sends but hosts may heed.
pub(super) fn mld(plan: &Plan) -> Option<Rule<'static>> {
    plan.has(Protection::Query).then(|| when(&[network(40, [MLD_QUERY])], block::of(Protection::Query)))
}

/// MLD reports as hosts send them: behind a hop-by-hop header of 8 octets with the router alert (RFC 3810, section 5).
pub(super) fn reports() -> impl Iterator<Item = Rule<'static>> {
    let behind_hop_by_hop = [network(6, [0]), network(40, [58, 0])];
    MLD_REPORTS.into_iter().map(move |kind| {
        let [first, second] = behind_hop_by_hop;
        when(&[first, second, network(48, [kind])], Verdict::Return)
    })
}
