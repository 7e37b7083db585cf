//! `ndp`: an instance advertises only its own IPv6 addresses.
//!
//! Intent: a neighbour advertisement (RFC 4861, section 4.4) whose target is registered or `allowed` passes only from
//! the MAC that it belongs to; any other is dropped, unregistered senders included.
//!
//! Limits: the target is looked for directly behind a plain IPv6 header; solicitations, router advertisements and
//! redirects, which also write neighbour caches, are not looked at. That is the policy of the original, to the letter.

use super::{allow, lockdown, look_up};
use crate::net::V6Class;
use crate::plan::claims;
use crate::plan::ruleset::{Chain, Comment, EtherType, Field, Icmpv6, Match, Rule, Value};
use crate::registry::Registry;
use ipnet::IpNet;

/// The chain's name; people's own rules jump to it.
pub const CHAIN: &str = "instances_drop_ndp";

const REMARK: &str = r#"prepend to log to dmesg: log prefix "[nftables] dropped NDP: ""#;

const TARGET: Field = claims::ND_TARGET;

/// The chain for this registry, a rule for each address.
pub fn rules(registry: &Registry) -> Chain<'_> {
    let mut rules = Vec::new();
    for (mac, instance) in registry.iter() {
        let comment = instance.name().map(Comment::name);
        for class in [V6Class::Global, V6Class::UniqueLocal, V6Class::LinkLocal] {
            if let Some(address) = instance.ipv6(class) {
                let target = Match::equal(TARGET, Value::Ipv6(address));
                rules.push(allow(Some(target), mac, comment.clone()));
            }
        }
        for net in instance.allowed() {
            if let IpNet::V6(net) = net {
                let value = Value::Ipv6(net.addr());
                let target = match net.prefix_len() {
                    0 => None,
                    128 => Some(Match::equal(TARGET, value)),
                    bits => Some(Match::prefix(TARGET, bits, value)),
                };
                rules.push(allow(target, mac, comment.clone()));
            }
        }
    }
    chain(rules)
}

/// The chain, with all addresses in sets.
pub fn sets(nets: bool) -> Chain<'static> {
    let sets = [Some(claims::IP6), nets.then_some(claims::IP6_NETS)];
    chain(sets.into_iter().flatten().map(|set| look_up(claims::IP6_KEY, set)).collect())
}

fn chain(mut rules: Vec<Rule<'_>>) -> Chain<'_> {
    rules.push(Rule { remark: Some(REMARK), ..lockdown() });
    let meant_for = Some(vec![
        Match::equal(Field::EtherType, Value::EtherType(EtherType::Ip6)),
        Match::equal(Field::Icmpv6Type, Value::Icmpv6(Icmpv6::NeighborAdvertisement)),
    ]);
    Chain { name: CHAIN, meant_for, hook: None, rules }
}
