//! Our own base chains, which put the protections in force on chosen bridges (`--hook`).
//!
//! The guard has one on prerouting, before the bridge learns from a frame, and one on input for the frames that a bridge
//! takes past it ([`guard::local`]). The original's two chains alone are called from input and forward both: a guest that
//! deceives the host itself never reaches the forward hook. Trusted ports (uplinks) are let through first. Accepting there
//! ends only this chain; other base chains still see the packet.

use super::guard::{self, Guard};
use super::ruleset::{Chain, Field, Hook, HookPoint, Match, Rule, Statement, Value, Verdict};
use super::spec;
use crate::net::IfName;

/// The chain on the prerouting hook.
const PREROUTING: &str = "instances_prerouting";
/// The chain on the input hook.
const INPUT: &str = "instances_input";
/// The chain on the forward hook.
const FORWARD: &str = "instances_forward";

/// The bridge family's `filter` priority (NF_BR_PRI_FILTER_BRIDGED).
const PRIORITY: i32 = -200;

/// All base chains, with a protection that each leads to.
pub const BASE_CHAINS: [(&str, Hook, &str); 3] = [
    (PREROUTING, Hook { point: HookPoint::Prerouting, priority: PRIORITY }, guard::CHAIN),
    (INPUT, Hook { point: HookPoint::Input, priority: PRIORITY }, spec::arp::CHAIN),
    (FORWARD, Hook { point: HookPoint::Forward, priority: PRIORITY }, spec::arp::CHAIN),
];

/// Which bridges are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bridges {
    /// `*`: all of this host.
    All,
    /// These.
    These(Vec<IfName>),
}

/// The chains that a guard's base chain on a hook leads to.
fn led_to(point: HookPoint, guard: Guard) -> &'static [&'static str] {
    match (guard.is_spec(), point) {
        (true, HookPoint::Input | HookPoint::Forward) => &spec::CHAINS,
        (false, HookPoint::Prerouting) => &[guard::CHAIN],
        (false, HookPoint::Input) => &[guard::local::CHAIN],
        (true, HookPoint::Prerouting) | (false, HookPoint::Forward) => &[],
    }
}

/// The chains that packets must reach for a guard to be in force.
pub fn protections(guard: Guard) -> &'static [&'static str] {
    led_to(if guard.is_spec() { HookPoint::Forward } else { HookPoint::Prerouting }, guard)
}

/// Whether this base chain belongs to a guard.
pub fn belongs_to(point: HookPoint, guard: Guard) -> bool {
    !led_to(point, guard).is_empty()
}

/// The base chains which send frames through the guard's protections, which are among `chains`.
pub fn chains(guard: Guard, bridges: &Bridges, trusted_ports: &[IfName], chains: &[Chain]) -> Vec<Chain<'static>> {
    let ours = BASE_CHAINS.into_iter().filter(|(_, hook, _)| belongs_to(hook.point, guard));
    let base_chain = |(name, hook, _): (_, Hook, _)| {
        let led_to = led_to(hook.point, guard);
        let protections: Vec<_> = chains.iter().filter(|chain| led_to.contains(&chain.name)).collect();
        let mut rules = Vec::new();
        for port in trusted_ports {
            let from_port = Match::equal(Field::InputPort, Value::Interface(*port));
            rules.push(Rule::of([Statement::Match(from_port), Statement::Verdict(Verdict::Accept)]));
        }
        let places: Vec<Option<Match>> = match bridges {
            Bridges::All => vec![None],
            Bridges::These(names) => {
                names.iter().map(|name| Some(Match::equal(Field::InputBridge, Value::Interface(*name)))).collect()
            }
        };
        for place in places {
            for protection in &protections {
                rules.push(Rule::of(place.map(Statement::Match).into_iter().chain(protection.jump())));
            }
        }
        Chain { name, meant_for: None, hook: Some(hook), rules }
    };
    ours.map(base_chain).collect()
}
