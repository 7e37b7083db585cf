//! `arp`: an ARP packet (RFC 826) says nothing about its sender but the truth: its IPv4 address, registered or `allowed`,
//! and the Ethernet source as its hardware address.
//!
//! Only requests and replies for IPv4 over Ethernet pass; a sender address 0.0.0.0 only in the request that probes for an
//! own address (RFC 5227, section 2.1.1). Announcements are such requests or replies. What is behind VLAN tags of any depth
//! is dropped by [`super::vlan`].
//!
//! Limits: an instance that is not registered sends no ARP at all.

use super::rules::{always, chain, goto, network, not_network, when};
use super::{Plan, Protection, block, mac};
use crate::plan::claims;
use crate::plan::ruleset::{Chain, Field, Verdict};

/// ARP.
pub(super) const CHAIN: &str = "instances_guard_arp";
/// ARP whose sender is who it says.
pub(super) const CLAIMED: &str = "instances_guard_arp_claimed";

const CLAIM: &[Field] = claims::ARP_KEY;
const PROBE: &[Field] = &[Field::ArpTargetIp, Field::ArpSourceMac, Field::EtherSource];
const SETS: [&str; 2] = [claims::ARP, claims::ARP_NETS];

/// Hardware type Ethernet, protocol type IPv4.
const TYPES: [u8; 4] = [0, 1, 8, 0];
/// Lengths of their addresses, then the operation.
const REQUEST: [u8; 4] = [6, 4, 0, 1];
const REPLY: [u8; 4] = [6, 4, 0, 2];

pub(super) fn chains(plan: &Plan) -> Vec<Chain<'static>> {
    if !plan.has(Protection::Arp) {
        return Vec::new();
    }
    let blocked = block::of(Protection::Arp);
    let claimed = vec![
        when(&[not_network(0, TYPES)], blocked),
        when(&[network(4, REQUEST)], Verdict::Return),
        when(&[network(4, REPLY)], Verdict::Return),
        always(blocked),
    ];
    let mut all: Vec<_> = mac::rule(plan).into_iter().collect();
    all.extend(plan.look_up_both(CLAIM, SETS, goto(CLAIMED)));
    all.push(when(&[not_network(0, TYPES)], blocked));
    all.push(when(&[not_network(4, REQUEST)], blocked));
    all.push(when(&[not_network(14, [0; 4])], blocked));
    all.extend(plan.look_up_both(PROBE, SETS, Verdict::Return));
    all.push(always(blocked));
    vec![chain(CLAIMED, claimed), chain(CHAIN, all)]
}
