//! Which chains packets reach.

use super::expr::{self, Expr};
use super::found::FoundRule;
use super::state::{ChainState, TableState};
use crate::plan::ruleset::Table;
use std::collections::{BTreeMap, BTreeSet};

/// How the chains of a table lead to each other.
#[derive(Debug, Default)]
pub struct Reach {
    /// How many rules jump or go from a chain to a chain.
    jumps: BTreeMap<(String, String), usize>,
    /// The number of rules of each chain.
    pub rules: BTreeMap<String, usize>,
    /// The chains with rules that look verdicts up in a map.
    with_verdict_maps: BTreeSet<String>,
}

impl Reach {
    /// Takes note of where a rule of the chain `from` leads.
    pub(super) fn see(&mut self, from: &str, rule: &FoundRule) {
        for expression in rule.expressions() {
            if let Expr::Verdict { code: expr::JUMP | expr::GOTO, chain: Some(to) } = expression {
                *self.jumps.entry((from.to_owned(), to.to_owned())).or_default() += 1;
            } else if expression == Expr::VerdictMap {
                self.with_verdict_maps.insert(from.to_owned());
            }
        }
    }

    /// How many rules of some chains jump or go to a chain.
    pub(super) fn jumps_to(&self, chain: &str, of: impl Fn(&str) -> bool) -> usize {
        let jumps = self.jumps.iter().filter(|((from, to), _)| to == chain && of(from));
        jumps.map(|(_, count)| count).sum()
    }

    /// The chains that packets reach: base chains, what is jumped to from them, however far, and, where one of these looks
    /// verdicts up in a map, what maps jump to. Which map that is is not looked at.
    pub fn reached<'s>(&'s self, state: &'s TableState) -> BTreeSet<&'s str> {
        // Uses that are neither rules nor jumps are those of verdict maps.
        let in_a_map = |(name, chain): &(&String, &ChainState)| {
            chain.used > self.rules.get(*name).copied().unwrap_or_default() + self.jumps_to(name, |_| true)
        };
        let in_maps: Vec<_> = state.chains.iter().filter(in_a_map).map(|(name, _)| name.as_str()).collect();
        let mut reached = BTreeSet::new();
        let bases = state.chains.iter().filter(|(_, chain)| chain.base.is_some());
        let mut from_here: Vec<&str> = bases.map(|(name, _)| name.as_str()).collect();
        while let Some(from) = from_here.pop() {
            if reached.insert(from) {
                from_here.extend(self.jumps.keys().filter(|(other, _)| other == from).map(|(_, to)| to.as_str()));
                if self.with_verdict_maps.contains(from) {
                    from_here.extend(&in_maps);
                }
            }
        }
        reached
    }

    /// Why the protections in this table are loaded but not in force, if so.
    pub fn idle(&self, table: &Table, protections: &[&str], state: &TableState) -> Option<String> {
        let place = format!("table {} {}", table.family, table.name);
        if state.is_dormant() {
            return Some(format!("{place} is dormant; wake it with: nft add {place}"));
        }
        let reached = self.reached(state);
        let unreached: Vec<_> = protections.iter().copied().filter(|chain| !reached.contains(chain)).collect();
        if unreached.is_empty() {
            return None;
        }
        let unreached = unreached.join(", ");
        Some(format!("no base chain in {place} leads to {unreached}; use --hook BRIDGE, or jumps of your own"))
    }
}
