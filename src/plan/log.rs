//! `--log`: what is dropped is said in the kernel's log, a few lines of it.
//!
//! One rule in each chain that drops, in front of what records and drops, with a rate of its own: a flood against one
//! protection hides nothing of the others. The kernel adds ports, addresses and MACs to each line.
//!
//! Limits: not one line for each offender. A set of rates for each would have to be bounded too, and who makes up senders
//! would fill it, and the log with it. Who else offended while a flood ran is in `--status`. The kernel logs only for its
//! first network namespace unless net.netfilter.nf_log_all_netns says otherwise.

use super::guard::{Protection, block};
use super::ruleset::{Chain, Rule, Statement, Verdict};
use super::spec;

/// Lines per second that each chain logs in the long run.
pub const PER_SECOND: u32 = 1;
/// Lines that it may log at once.
pub const BURST: u32 = 5;

/// Puts a rule that logs into each of these chains that drops.
pub fn add(chains: &mut [Chain]) {
    for chain in chains {
        let Some(prefix) = prefix(chain.name) else { continue };
        let is_drop = |rule: &Rule| rule.statements.contains(&Statement::Verdict(Verdict::Drop));
        let place = chain.rules.iter().position(is_drop).unwrap_or(chain.rules.len());
        let limit = Statement::Limit { per_second: PER_SECOND, burst: BURST };
        chain.rules.insert(place, Rule::of([limit, Statement::Log { prefix }]));
    }
}

/// How the lines of a chain begin.
fn prefix(chain: &str) -> Option<&'static str> {
    match chain {
        spec::arp::CHAIN => return Some("[instances] arp: "),
        spec::ndp::CHAIN => return Some("[instances] ndp: "),
        _ => {}
    }
    let protection = block::protection(chain)?;
    Some(match protection {
        Protection::Arp => "[instances] arp: ",
        Protection::Nd => "[instances] nd: ",
        Protection::Source => "[instances] source: ",
        Protection::BoundMac | Protection::Mac => "[instances] mac: ",
        Protection::Ra => "[instances] ra: ",
        Protection::Dhcp4 => "[instances] dhcp4: ",
        Protection::Dhcp6 => "[instances] dhcp6: ",
        Protection::Query => "[instances] query: ",
        Protection::EtherType => "[instances] ethertype: ",
        Protection::Vlan => "[instances] vlan: ",
        Protection::ExtHdr => "[instances] exthdr: ",
    })
}
