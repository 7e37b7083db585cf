//! `arp`: an instance announces only its own IPv4 addresses.
//!
//! Intent: an ARP packet (RFC 826; request, reply or gratuitous, RFC 5227) whose sender protocol address is registered
//! or `allowed` passes only from the MAC that it belongs to; any other is dropped, unregistered senders included.
//!
//! Limits: compares the Ethernet source, not the sender hardware address inside the packet, and does not look behind
//! VLAN tags. That is the policy of the original, to the letter.

use super::{allow, lockdown, look_up};
use crate::plan::claims;
use crate::plan::ruleset::{Chain, Comment, EtherType, Field, Match, Rule, Value};
use crate::registry::Registry;
use ipnet::IpNet;

/// The chain's name; people's own rules jump to it.
pub const CHAIN: &str = "instances_drop_arp";

const REMARK: &str = r#"prepend to log to dmesg: log prefix "[nftables] dropped ARP: ""#;

/// Bits from the start of an ARP packet to the sender protocol address, after 6-octet hardware addresses.
const SENDER_PROTOCOL_ADDRESS: u16 = 14 * 8;

/// The chain for this registry, a rule for each address.
pub fn rules(registry: &Registry) -> Chain<'_> {
    let mut rules = Vec::new();
    for (mac, instance) in registry.iter() {
        let comment = instance.name().map(Comment::name);
        if let Some(address) = instance.ipv4() {
            let sender = Match::equal(Field::ArpSourceIp, Value::Ipv4(address));
            rules.push(allow(Some(sender), mac, comment.clone()));
        }
        for net in instance.allowed() {
            if let IpNet::V4(net) = net {
                let sender = match net.prefix_len() {
                    0 => None,
                    32 => Some(Match::equal(Field::ArpSourceIp, Value::Ipv4(net.addr()))),
                    // Not `arp saddr ip NET`: nft merges that with `ether saddr` and moves the first counter behind both.
                    bits => {
                        let field = Field::NetworkBits { offset: SENDER_PROTOCOL_ADDRESS, length: 32 };
                        Some(Match::prefix(field, bits, Value::Ipv4(net.addr())))
                    }
                };
                rules.push(allow(sender, mac, comment.clone()));
            }
        }
    }
    chain(rules)
}

/// The chain, with all addresses in sets.
pub fn sets(nets: bool) -> Chain<'static> {
    let fields = &[Field::ArpSourceIp, Field::EtherSource];
    let sets = [Some(claims::IP), nets.then_some(claims::IP_NETS)];
    chain(sets.into_iter().flatten().map(|set| look_up(fields, set)).collect())
}

fn chain(mut rules: Vec<Rule<'_>>) -> Chain<'_> {
    rules.push(Rule { remark: Some(REMARK), ..lockdown() });
    let arp = Match::equal(Field::EtherType, Value::EtherType(EtherType::Arp));
    Chain { name: CHAIN, meant_for: Some(vec![arp]), hook: None, rules }
}
