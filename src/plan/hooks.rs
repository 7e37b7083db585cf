//! Our own base chains, which put the protections in force on chosen bridges (`--hook`).
//!
//! Input and forward both: a guest that deceives the host itself never reaches the forward hook. Trusted ports (uplinks)
//! are let through first. Accepting there ends only this chain; other base chains still see the packet.

use super::ruleset::{Chain, Field, Hook, HookPoint, Match, Rule, Statement, Value, Verdict};
use crate::net::IfName;

/// The chain on the input hook.
const INPUT: &str = "instances_input";
/// The chain on the forward hook.
const FORWARD: &str = "instances_forward";

/// The bridge family's `filter` priority (NF_BR_PRI_FILTER_BRIDGED).
const PRIORITY: i32 = -200;

/// Our base chains.
pub const BASE_CHAINS: [(&str, Hook); 2] = [
    (INPUT, Hook { point: HookPoint::Input, priority: PRIORITY }),
    (FORWARD, Hook { point: HookPoint::Forward, priority: PRIORITY }),
];

/// Which bridges are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bridges {
    /// `*`: all of this host.
    All,
    /// These.
    These(Vec<IfName>),
}

/// The base chains which send frames through `protections`.
pub fn chains(bridges: &Bridges, trusted_ports: &[IfName], protections: &[Chain]) -> [Chain<'static>; 2] {
    BASE_CHAINS.map(|(name, hook)| {
        let mut rules = Vec::new();
        for port in trusted_ports {
            let from_port = Match::equal(Field::InputPort, Value::Interface(*port));
            rules.push(rule([Statement::Match(from_port), Statement::Verdict(Verdict::Accept)]));
        }
        let places: Vec<Option<Match>> = match bridges {
            Bridges::All => vec![None],
            Bridges::These(names) => {
                names.iter().map(|name| Some(Match::equal(Field::InputBridge, Value::Interface(*name)))).collect()
            }
        };
        for place in places {
            for protection in protections {
                rules.push(rule(place.map(Statement::Match).into_iter().chain(protection.jump())));
            }
        }
        Chain { name, meant_for: Vec::new(), hook: Some(hook), rules }
    })
}

fn rule(statements: impl IntoIterator<Item = Statement>) -> Rule<'static> {
    Rule { statements: statements.into_iter().collect(), comment: None, remark: None }
}
