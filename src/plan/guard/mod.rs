//! The guard: protections beyond the original's two chains, in one pass over each frame.
//!
//! [`CHAIN`] is what a frame goes through, on the prerouting hook, before the bridge learns. Frames whose sender is in a set
//! pass after one look-up and a few comparisons; `return` lets a frame pass, so that people's own rules still see it. What is
//! not let pass ends in a chain of [`block`], one for each protection, which counts, records who it was, and drops.
//!
//! Comparisons of raw bits (`@nh`, `@th`) are of fields that nft has no name for, or cheaper than by name: a name brings a
//! comparison of its own with it, and a test of at most four octets is several times faster than a longer one.

pub mod arp;
pub mod block;
pub mod dhcp4;
pub mod dhcp6;
pub mod ethertype;
pub mod exthdr;
mod list;
pub mod local;
pub mod mac;
pub mod nd;
pub mod query;
pub mod ra;
mod rules;
pub mod source;
pub mod vlan;

pub use list::{Guard, Protection};

use super::ruleset::{Chain, Elements, EtherType, Field, Identifier, Match, Rule, Set, Value, Verdict};
use rules::{chain, goto, look_up, when};

/// The chain that each frame goes through; people's own rules may jump to it.
pub const CHAIN: &str = "instances_guard";

/// All chains of the guard. One comes after those that it goes to.
pub const CHAINS: [&str; 34] = [
    block::chain_name(Protection::Arp),
    block::chain_name(Protection::Nd),
    block::chain_name(Protection::Source),
    block::chain_name(Protection::Mac),
    block::chain_name(Protection::Ra),
    block::chain_name(Protection::Dhcp4),
    block::chain_name(Protection::Dhcp6),
    block::chain_name(Protection::Query),
    block::chain_name(Protection::EtherType),
    block::chain_name(Protection::Vlan),
    block::chain_name(Protection::ExtHdr),
    mac::CHAIN,
    arp::CLAIMED,
    arp::CHAIN,
    dhcp4::CHAIN,
    dhcp4::UDP,
    query::IGMP,
    ra::ICMP,
    source::IP_CLAIMED,
    source::IP,
    dhcp6::CHAIN,
    dhcp6::UDP,
    exthdr::CHAIN,
    nd::TARGET,
    nd::KINDS[0],
    nd::KINDS[1],
    nd::KINDS[2],
    nd::ICMPV6,
    source::IP6_CLAIMED,
    source::UNSPECIFIED,
    source::LINK_LOCAL,
    source::IP6,
    local::CHAIN,
    CHAIN,
];

/// What is planned: which protections, and which sets of claims there are.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'p> {
    guard: Guard,
    sets: &'p [Set<'p>],
}

impl Plan<'_> {
    fn has(&self, protection: Protection) -> bool {
        self.guard.has(protection)
    }

    fn has_any(&self, protections: &[Protection]) -> bool {
        protections.iter().any(|protection| self.has(*protection))
    }

    fn has_set(&self, name: &str) -> bool {
        self.sets.iter().any(|set| set.name.as_str() == name)
    }

    /// Rules that let pass, or on to a chain, what is in a set of addresses or in the one of its prefixes.
    fn look_up_both(
        &self,
        fields: &'static [Field],
        sets: [&'static str; 2],
        verdict: Verdict,
    ) -> impl Iterator<Item = Rule<'static>> {
        let is_there = move |set: &&str| self.has_set(set);
        sets.into_iter().filter(is_there).map(move |set| look_up(fields, set, verdict))
    }
}

/// The chains of a guard, for these sets of claims.
pub fn chains(guard: Guard, sets: &[Set]) -> Vec<Chain<'static>> {
    if guard.is_spec() {
        return Vec::new();
    }
    let plan = &Plan { guard, sets };
    let mut chains = block::chains(guard);
    chains.extend(mac::chain(plan));
    chains.extend(arp::chains(plan));
    chains.extend(dhcp4::chains(plan));
    chains.extend(query::chain(plan));
    chains.extend(ra::chain(plan));
    chains.extend(source::ip_chains(plan));
    chains.extend(dhcp6::chains(plan));
    chains.extend(exthdr::chain(plan));
    chains.extend(nd::chains(plan));
    chains.extend(source::ip6_chains(plan));
    chains.push(local::chain_of(guard));
    chains.push(Chain { meant_for: Some(Vec::new()), ..chain(CHAIN, frame(plan)) });
    chains
}

/// The sets that the guard fills.
pub fn offender_sets(guard: Guard) -> Vec<Set<'static>> {
    let sets = block::offenders(guard)
        .map(|(name, recorded)| Set { name: Identifier::ours(name), elements: Elements::Recorded(recorded) });
    sets.collect()
}

/// Sends a frame on by its ether type: of its outermost tag, so what follows sees only frames without.
fn frame(plan: &Plan) -> Vec<Rule<'static>> {
    let of_type = |ether_type, verdict| when(&[Match::equal(Field::EtherType, Value::EtherType(ether_type))], verdict);
    let mut rules = vec![of_type(EtherType::Ip, source::to_ip(plan)), of_type(EtherType::Ip6, source::to_ip6(plan))];
    rules.extend(plan.has(Protection::Arp).then(|| of_type(EtherType::Arp, goto(arp::CHAIN))));
    rules.extend(mac::rule(plan));
    rules.extend((!plan.has(Protection::Arp)).then(|| of_type(EtherType::Arp, Verdict::Return)));
    rules.extend(vlan::rules(plan));
    rules.extend(ethertype::rule(plan));
    rules
}
