//! `source`: the source address of an IPv4 or IPv6 packet belongs to the MAC that it comes from (BCP 38, RFC 2827; as
//! SAVI for DHCP, RFC 7513).
//!
//! Let pass without such an address: what a host sends before it has one. DHCP requests and IGMP reports from 0.0.0.0;
//! duplicate address detection, router solicitation and MLD reports from `::` (RFC 4862, RFC 4861, RFC 3590); DHCPv6, MLD
//! reports and router solicitations without option from a link-local address that is nobody else's.
//!
//! Limits: instances that make up a link-local address of their own (RFC 7217) need it `allowed` for everything else. The
//! usual one, made of the MAC, is always theirs.

use super::rules::{always, chain, goto, look_up, network, when};
use super::{Plan, Protection, block, dhcp4, dhcp6, exthdr, mac, nd, query, ra};
use crate::plan::claims;
use crate::plan::ruleset::{Bytes, Chain, Field, Match, Rule, Value, Verdict};

/// IPv4.
pub(super) const IP: &str = "instances_guard_ip";
/// IPv4 with a source that is the sender's.
pub(super) const IP_CLAIMED: &str = "instances_guard_ip_claimed";
/// IPv6.
pub(super) const IP6: &str = "instances_guard_ip6";
/// IPv6 with a source that is the sender's.
pub(super) const IP6_CLAIMED: &str = "instances_guard_ip6_claimed";
/// IPv6 from `::`.
pub(super) const UNSPECIFIED: &str = "instances_guard_unspecified";
/// IPv6 from a link-local address that is not the sender's.
pub(super) const LINK_LOCAL: &str = "instances_guard_link_local";

const IP6_SOURCE_KEY: &[Field] = &[claims::IP6_SOURCE, Field::EtherSource];

const TCP: u8 = 6;

/// Where IPv4 goes.
pub(super) fn to_ip(plan: &Plan) -> Verdict {
    if ip_rules(plan).is_empty() { to_ip_claimed(plan) } else { goto(IP) }
}

/// Where IPv6 goes.
pub(super) fn to_ip6(plan: &Plan) -> Verdict {
    if ip6_rules(plan).is_empty() { to_ip6_claimed(plan) } else { goto(IP6) }
}

/// Where IPv4 goes whose source is the sender's, or need not be.
fn to_ip_claimed(plan: &Plan) -> Verdict {
    if plan.has_any(&[Protection::Dhcp4, Protection::Query, Protection::Ra]) {
        goto(IP_CLAIMED)
    } else {
        Verdict::Return
    }
}

/// Where IPv6 goes whose source is the sender's, or need not be.
fn to_ip6_claimed(plan: &Plan) -> Verdict {
    let inner = [Protection::Nd, Protection::Ra, Protection::Dhcp6, Protection::Query, Protection::ExtHdr];
    if plan.has_any(&inner) { goto(IP6_CLAIMED) } else { Verdict::Return }
}

/// Neighbour messages depend on their source: some write it into caches.
fn looks_up_ip6(plan: &Plan) -> bool {
    plan.has_any(&[Protection::Source, Protection::Nd])
}

/// The first rules: who has a port needs one look-up for port, MAC and address.
fn at_port(plan: &Plan, fields: &'static [Field], set: &'static str, verdict: Verdict) -> Vec<Rule<'static>> {
    let at_port = plan.has_set(set).then(|| look_up(fields, set, verdict));
    at_port.into_iter().chain(mac::rule(plan)).collect()
}

pub(super) fn ip_chains(plan: &Plan) -> Vec<Chain<'static>> {
    let claimed = to_ip_claimed(plan);
    let mut chains = Vec::new();
    if claimed != Verdict::Return {
        let mut rules = vec![when(&[network(9, [TCP])], Verdict::Return)];
        rules.extend(dhcp4::rule(plan));
        rules.extend(ra::ip_rule(plan));
        rules.extend(query::rules(plan));
        chains.push(chain(IP_CLAIMED, rules));
    }
    let rules = ip_rules(plan);
    if !rules.is_empty() {
        chains.push(chain(IP, rules));
    }
    chains
}

/// What finds out whose source it is, if anything does.
fn ip_rules(plan: &Plan) -> Vec<Rule<'static>> {
    let claimed = to_ip_claimed(plan);
    let mut rules = at_port(plan, claims::IP_AT_PORT_KEY, claims::IP_AT_PORT, claimed);
    if plan.has(Protection::Source) {
        let unspecified = network(12, [0; 4]);
        rules.extend(plan.look_up_both(claims::IP_KEY, [claims::IP, claims::IP_NETS], claimed));
        rules.push(dhcp4::from_unspecified(plan, unspecified));
        rules.push(query::from_unspecified(plan, unspecified));
        rules.push(always(block::of(Protection::Source)));
    } else if !rules.is_empty() {
        rules.push(always(claimed));
    }
    rules
}

pub(super) fn ip6_chains(plan: &Plan) -> Vec<Chain<'static>> {
    let claimed = to_ip6_claimed(plan);
    let mut chains = Vec::new();
    if claimed != Verdict::Return {
        let mut rules = Vec::from_iter(dhcp6::rule(plan));
        rules.push(when(&[network(6, [TCP])], Verdict::Return));
        rules.extend(nd::rule(plan));
        rules.extend(exthdr::rules(plan));
        chains.push(chain(IP6_CLAIMED, rules));
    }
    if looks_up_ip6(plan) {
        chains.push(chain(UNSPECIFIED, unspecified(plan)));
        chains.push(chain(LINK_LOCAL, link_local_rules(plan)));
    }
    let rules = ip6_rules(plan);
    if !rules.is_empty() {
        chains.push(chain(IP6, rules));
    }
    chains
}

/// What finds out whose source it is, if anything does.
fn ip6_rules(plan: &Plan) -> Vec<Rule<'static>> {
    let claimed = to_ip6_claimed(plan);
    let mut rules = at_port(plan, claims::IP6_AT_PORT_KEY, claims::IP6_AT_PORT, claimed);
    if looks_up_ip6(plan) {
        let link_local = Match::prefix(Field::NetworkBits { offset: 64, length: 16 }, 10, fe80());
        rules.extend(plan.look_up_both(IP6_SOURCE_KEY, [claims::IP6, claims::IP6_NETS], claimed));
        rules.push(when(&[network(8, [0; 16])], goto(UNSPECIFIED)));
        rules.push(when(&[link_local], goto(LINK_LOCAL)));
        rules.extend(not_claimed(plan));
    } else if !rules.is_empty() {
        rules.push(always(claimed));
    }
    rules
}

/// The first 16 bits of link-local addresses, of which ten count (RFC 4291, section 2.5.6).
fn fe80() -> Value {
    Value::Bits(Bytes::from(&[0xfe, 0x80][..]))
}

/// What a host sends from `::`.
fn unspecified(plan: &Plan) -> Vec<Rule<'static>> {
    let mut rules = nd::detection(plan);
    rules.push(nd::solicitation_without_option());
    rules.extend(query::reports());
    rules.extend(not_claimed(plan));
    rules
}

/// What a host sends from a link-local address that is not the sender's, if it is nobody else's either.
fn link_local_rules(plan: &Plan) -> Vec<Rule<'static>> {
    let of_another = || look_up(&[claims::IP6_SOURCE], claims::LINK_LOCAL, block::of(Protection::Source));
    let mut rules = Vec::from_iter(plan.has(Protection::Source).then(of_another));
    rules.extend([dhcp6::from_link_local(plan), nd::solicitation_without_option()]);
    rules.extend(query::reports());
    rules.extend(not_claimed(plan));
    rules
}

/// The end for IPv6 whose source is not the sender's. Without `source` it only must not write neighbour caches.
fn not_claimed(plan: &Plan) -> Vec<Rule<'static>> {
    if plan.has(Protection::Source) {
        return vec![always(block::of(Protection::Source))];
    }
    let mut rules = nd::not_claimed();
    rules.push(always(to_ip6_claimed(plan)));
    rules
}
