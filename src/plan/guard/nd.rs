//! `nd`: neighbour discovery (RFC 4861) says nothing about its sender but the truth.
//!
//! Solicitations (of neighbours and routers) and advertisements write the sender's addresses into neighbour caches: by their
//! source, by the target of an advertisement, by link-layer options. So the source and the target of an advertisement must
//! be the sender's, and so must the address in every option. As rules cannot loop over options, only the shapes pass that
//! hosts send: no extension header (RFC 6980), hop limit 255, code 0, no option or the one that belongs there; duplicate
//! address detection from `::` only for an own address, with at most a nonce (RFC 7527).
//!
//! Router advertisements and redirects are for routers: [`super::ra`].
//!
//! Limits: an address that is not registered yet can neither be probed for nor advertised; a probe that is dropped is for
//! its sender one that nobody answered. Secure neighbour discovery (RFC 3971) has more options and does not pass.

use super::rules::{always, chain, goto, look_up, network, when};
use super::{Plan, Protection, block, query, ra};
use crate::plan::claims;
use crate::plan::ruleset::{Chain, Field, Rule, Statement, Verdict};

/// ICMPv6 without extension headers.
pub(super) const ICMPV6: &str = "instances_guard_icmpv6";
/// A target that must be the sender's.
pub(super) const TARGET: &str = "instances_guard_nd_target";
const NS: &str = "instances_guard_ns";
const NA: &str = "instances_guard_na";
const RS: &str = "instances_guard_rs";
/// The chains for each kind of message.
pub(super) const KINDS: [&str; 3] = [NS, NA, RS];

/// Next header ICMPv6.
const PROTOCOL: u8 = 58;

/// Octets of the IPv6 header: payload length, next header, hop limit.
const fn header(length: u8) -> [u8; 4] {
    [0, length, PROTOCOL, 255]
}

/// Octet at which the ICMPv6 message begins, with type and code.
const MESSAGE: u16 = 40;
/// Echo request and reply.
const ECHO: [u8; 2] = [128, 129];
const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// What hosts send; none has another code than 0 (RFC 4861, section 4).
const OF_HOSTS: [u8; 3] = [NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT, ROUTER_SOLICITATION];
/// Inverse neighbour discovery (RFC 3122): nothing that a host on Ethernet sends.
const INVERSE: [u8; 2] = [141, 142];

/// Octet at which the first option begins, behind the target.
const NEIGHBOR_OPTION: u16 = MESSAGE + 24;
/// Type, and length in units of 8 octets.
const SOURCE_LINK_LAYER: [u8; 2] = [1, 1];
const NONCE: [u8; 2] = [14, 1];
/// The addresses in those options.
const NEIGHBOR_LINK_LAYER: &[Field] = &[Field::NetworkBits { offset: 66 * 8, length: 48 }, Field::EtherSource];
const ROUTER_LINK_LAYER: &[Field] = &[Field::NetworkBits { offset: 50 * 8, length: 48 }, Field::EtherSource];

const BLOCK: Protection = Protection::Nd;

pub(super) fn chains(plan: &Plan) -> Vec<Chain<'static>> {
    let mut chains = Vec::new();
    if plan.has(Protection::Nd) {
        let mut target: Vec<_> =
            plan.look_up_both(claims::IP6_KEY, [claims::IP6, claims::IP6_NETS], Verdict::Return).collect();
        target.push(always(block::of(BLOCK)));
        chains.push(chain(TARGET, target));
        chains.push(solicitation(NS, 24, NEIGHBOR_LINK_LAYER));
        chains.push(chain(NA, advertisement(plan)));
        chains.push(solicitation(RS, 8, ROUTER_LINK_LAYER));
    }
    if has_rule(plan) {
        let mut rules = Vec::new();
        if plan.has(Protection::Nd) {
            let kinds = [(NEIGHBOR_ADVERTISEMENT, NA), (NEIGHBOR_SOLICITATION, NS), (ROUTER_SOLICITATION, RS)];
            rules.extend(kinds.map(|(kind, chain)| when(&[network(MESSAGE, [kind, 0])], goto(chain))));
            // What there is most of besides says nothing about addresses.
            rules.extend(ECHO.map(|kind| when(&[network(MESSAGE, [kind])], Verdict::Return)));
            let blocked = OF_HOSTS.into_iter().chain(INVERSE);
            rules.extend(blocked.map(|kind| when(&[network(MESSAGE, [kind])], block::of(BLOCK))));
        }
        rules.extend(ra::rules(plan));
        rules.extend(query::mld(plan));
        chains.push(chain(ICMPV6, rules));
    }
    chains
}

/// An advertisement with a claimed source: one look-up where the target's option is there, as it nearly always is.
fn advertisement(plan: &Plan) -> Vec<Rule<'static>> {
    let with_option = Statement::Match(network(4, header(32)));
    let look_up = plan.look_up_both(claims::NA_KEY, [claims::NA, claims::NA_NETS], Verdict::Return);
    let mut rules: Vec<_> = look_up.map(|rule| Rule::of([with_option].into_iter().chain(rule.statements))).collect();
    rules.extend([when(&[network(4, header(24))], goto(TARGET)), always(block::of(BLOCK))]);
    rules
}

/// A solicitation with a claimed source: with the sender's own MAC in the only option, or without option.
fn solicitation(name: &'static str, length: u8, link_layer: &'static [Field]) -> Chain<'static> {
    let option_at = MESSAGE + u16::from(length);
    let with_option = [network(4, header(length + 8)), network(option_at, SOURCE_LINK_LAYER)].map(Statement::Match);
    let own = look_up(link_layer, claims::OWN_MAC, Verdict::Return);
    let rules = vec![
        Rule::of(with_option.into_iter().chain(own.statements)),
        when(&[network(4, header(length))], Verdict::Return),
        always(block::of(BLOCK)),
    ];
    chain(name, rules)
}

fn has_rule(plan: &Plan) -> bool {
    plan.has_any(&[Protection::Nd, Protection::Ra, Protection::Query])
}

/// Sends ICMPv6 without extension headers on.
pub(super) fn rule(plan: &Plan) -> Option<Rule<'static>> {
    has_rule(plan).then(|| when(&[network(6, [PROTOCOL])], goto(ICMPV6)))
}

/// Duplicate address detection, from `::`.
pub(super) fn detection(plan: &Plan) -> Vec<Rule<'static>> {
    let verdict = if plan.has(Protection::Nd) { goto(TARGET) } else { Verdict::Return };
    let solicitation = network(MESSAGE, [NEIGHBOR_SOLICITATION, 0]);
    vec![
        when(&[network(4, header(24)), solicitation], verdict),
        when(&[network(4, header(32)), solicitation, network(NEIGHBOR_OPTION, NONCE)], verdict),
    ]
}

/// A router solicitation that says nothing about its sender.
pub(super) fn solicitation_without_option() -> Rule<'static> {
    when(&[network(4, header(8)), network(MESSAGE, [ROUTER_SOLICITATION, 0])], Verdict::Return)
}

/// Messages whose source is not the sender's.
pub(super) fn not_claimed() -> Vec<Rule<'static>> {
    OF_HOSTS.map(|kind| when(&[network(6, [PROTOCOL]), network(MESSAGE, [kind])], block::of(BLOCK))).into()
}
