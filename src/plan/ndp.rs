//! `ndp`: an instance advertises only its own IPv6 addresses.
//!
//! Intent: a neighbour advertisement (RFC 4861, section 4.4) whose target is registered or `allowed` passes only from
//! the MAC that it belongs to; any other is dropped, unregistered senders included.
//!
//! Limits: the target is looked for directly behind a plain IPv6 header; solicitations, router advertisements and
//! redirects, which also write neighbour caches, are not looked at. That is the policy of the original, to the letter.

use super::ruleset::{Chain, Comment, EtherType, Field, Icmpv6, Match, Rule, Value};
use super::{allow, lockdown};
use crate::net::V6Class;
use crate::registry::Registry;
use ipnet::IpNet;

/// The chain's name; people's own rules jump to it.
pub const CHAIN: &str = "instances_drop_ndp";

const REMARK: &str = r#"prepend to log to dmesg: log prefix "[nftables] dropped NDP: ""#;

/// The target address: behind 40 octets of IPv6 header and 8 octets of ICMPv6.
const TARGET: Field = Field::NetworkBits { offset: 48 * 8, length: 128 };

/// The chain for this registry.
pub fn chain(registry: &Registry) -> Chain<'_> {
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
                    bits => Some(Match { field: TARGET, prefix: Some(bits), value }),
                };
                rules.push(allow(target, mac, comment.clone()));
            }
        }
    }
    rules.push(Rule { remark: Some(REMARK), ..lockdown() });
    let meant_for = vec![
        Match::equal(Field::EtherType, Value::EtherType(EtherType::Ip6)),
        Match::equal(Field::Icmpv6Type, Value::Icmpv6(Icmpv6::NeighborAdvertisement)),
    ];
    Chain { name: CHAIN, meant_for, hook: None, rules }
}
