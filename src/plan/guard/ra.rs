//! `ra`: guests are no routers (RA guard, RFC 6105 and RFC 7113).
//!
//! Router advertisements and redirects (RFC 4861), router renumbering (RFC 2894) and multicast router discovery (RFC 4286)
//! from guest ports are dropped. Those in fragments or behind extension headers: [`super::exthdr`].
//!
//! Limits: a guest that is a router belongs on a trusted port.

use super::rules::{network, when};
use super::{Plan, Protection, block};
use crate::plan::ruleset::Rule;

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
