//! `ra`: guests are no routers (RA guard, RFC 6105 and RFC 7113).
//!
//! Router advertisements and redirects (RFC 4861), router renumbering (RFC 2894) and multicast router discovery (RFC 4286)
//! from guest ports are dropped, and so are ICMP's router advertisements (RFC 1256) and redirects (RFC 792). Those in
//! fragments or behind extension headers: [`super::exthdr`].
//!
//! Limits: a guest that is a router belongs on a trusted port. Routing protocols (VRRP, OSPF, RIP) pass: they have
//! authentication of their own.

use super::rules::{self, always, first_fragment, goto, later_fragment, network, not_transport, transport, when};
use super::{Plan, Protection, block};
use crate::plan::ruleset::{Chain, Rule, Verdict};

/// ICMP.
pub(super) const ICMP: &str = "instances_guard_icmp";

const ICMP_PROTOCOL: u8 = 1;
/// ICMP's redirect and router advertisement.
const ICMP_OF_ROUTERS: [u8; 2] = [5, 9];

const ADVERTISEMENT: u8 = 134;
const REDIRECT: u8 = 137;
const RENUMBERING: u8 = 138;
/// Multicast router advertisement and termination.
const MULTICAST_ROUTER: [u8; 2] = [151, 153];

/// With `nd` alone, advertisements and redirects are dropped all the same: they write neighbour caches.
pub(super) fn rules(plan: &Plan) -> Vec<Rule<'static>> {
    let (kinds, protection) = match (plan.has(Protection::Ra), plan.has(Protection::Nd)) {
        (true, _) => ([&[ADVERTISEMENT, REDIRECT, RENUMBERING][..], &MULTICAST_ROUTER].concat(), Protection::Ra),
        (false, true) => (vec![ADVERTISEMENT, REDIRECT], Protection::Nd),
        (false, false) => return Vec::new(),
    };
    kinds.into_iter().map(|kind| when(&[network(40, [kind])], block::of(protection))).collect()
}

/// Sends ICMP on.
pub(super) fn ip_rule(plan: &Plan) -> Option<Rule<'static>> {
    plan.has(Protection::Ra).then(|| when(&[network(9, [ICMP_PROTOCOL])], goto(ICMP)))
}

pub(super) fn chain(plan: &Plan) -> Option<Chain<'static>> {
    let blocked = block::of(Protection::Ra);
    let of_routers = ICMP_OF_ROUTERS.map(|kind| when(&[transport(0, [kind]), first_fragment()], blocked));
    // 255 is no type: what has another has one.
    let last = [
        when(&[not_transport(0, [255])], Verdict::Return),
        when(&[later_fragment()], Verdict::Return),
        always(blocked),
    ];
    plan.has(Protection::Ra).then(|| rules::chain(ICMP, of_routers.into_iter().chain(last).collect()))
}
