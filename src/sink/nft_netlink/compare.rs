//! What the kernel holds, compared with the plan.
//!
//! Rules and elements are compared as they come out of the dump; nothing is kept of what agrees.

use super::found::{FoundRule, dump_rules};
use super::reach::Reach;
use super::socket::Socket;
use super::state::{ChainState, SetState, TableState, base_as_planned};
use super::{elements, encode};
use crate::netlink::{Connection, DumpError};
use crate::plan::diff::{self, ChainDelta, RuleEdit, SetDelta, TableDelta};
use crate::plan::ruleset::{Chain, Table};
use crate::sink::nft_text::RuleText;
use rustc_hash::FxHashMap;
use std::fmt;
use std::ops::ControlFlow;

/// What differs between the plan and the kernel in one table, and how its chains are reached.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Number of differences.
    pub count: usize,
    /// The first of them, as lines of a diff: what the kernel has too much behind `-`, what it lacks behind `+`.
    pub differences: Vec<String>,
    /// How many are kept.
    keep: usize,
    /// What makes the kernel hold the plan. Chains that were not compared to the end are replaced.
    pub delta: TableDelta,
    /// Who jumps where; of chains of ours, the number of rules is the planned one.
    pub reach: Reach,
}

impl Comparison {
    fn differs(&mut self, sign: char, what: fmt::Arguments) {
        self.count += 1;
        if self.differences.len() < self.keep {
            self.differences.push(format!("{sign}{what}"));
        }
    }
}

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every rule and element; all differences are kept.
    Full,
    /// Every element, every number of rules, and the first [`RULES_AT_DEPTH`] rules of each chain.
    Bounded,
}

/// The kernel dumps a chain in pages and walks from the chain's start to each page, so a full dump costs the square of
/// the number of rules: 0.2 s for 30,000, as much as loading them, and 10 s for 300,000. What goes wrong in
/// encoding goes wrong for each rule of a kind; what gets lost is missing in the number of rules.
pub const RULES_AT_DEPTH: usize = 2048;

/// Differences that are kept at bounded depth.
const QUOTED: usize = 5;

/// Compares a table with the plan; when this delta has just been `loaded`, only those elements that it was about.
///
/// # Errors
/// [`DumpError`].
pub fn compare(
    socket: &mut Socket,
    table: &Table,
    depth: Depth,
    loaded: Option<&TableDelta>,
) -> Result<(TableState, Comparison), DumpError> {
    let connection = socket.connection();
    let state = TableState::read(connection, table)?;
    let keep = if depth == Depth::Full { usize::MAX } else { QUOTED };
    let mut comparison = Comparison { keep, ..Comparison::default() };
    comparison.delta.woken = state.waking(table);
    if comparison.delta.woken.is_some() {
        comparison.differs('-', format_args!("flags dormant"));
    }
    for chain in &table.chains {
        let delta = match state.chains.get(chain.name) {
            None => {
                comparison.differs('+', format_args!("chain {}", chain.name));
                comparison.reach.rules.insert(chain.name.to_owned(), 0);
                ChainDelta::New
            }
            Some(found) => compare_chain(connection, table, chain, found, depth, &mut comparison)?,
        };
        comparison.delta.chains.push(delta);
    }
    for name in state.chains.keys().filter(|name| table.chains.iter().all(|chain| chain.name != **name)) {
        // Who jumps where decides what is in force, and what can be removed.
        let mut rules = 0;
        dump_rules(connection, table, name, |rule| {
            rules += 1;
            comparison.reach.see(name, &rule);
            ControlFlow::Continue(())
        })?;
        comparison.reach.rules.insert(name.clone(), rules);
    }
    compare_absent_chains(table, &state, &mut comparison);
    let differences = match loaded {
        Some(delta) => elements::not_loaded(socket, table, delta, |set| state.sets.get(set)?.count)?,
        None => compare_sets(socket, table, &state, depth, &mut comparison)?,
    };
    for (sign, text) in differences {
        comparison.differs(sign, format_args!("{text}"));
    }
    Ok((state, comparison))
}

/// Compares all sets.
fn compare_sets(
    socket: &mut Socket,
    table: &Table,
    state: &TableState,
    depth: Depth,
    comparison: &mut Comparison,
) -> Result<Vec<elements::Difference>, DumpError> {
    let mut all = Vec::new();
    for set in &table.sets {
        let found = state.sets.get(set.name.as_str());
        let deviation = found.and_then(|found| found.deviation(set));
        let delta = match found {
            Some(found) if deviation.is_none() => {
                let (delta, differences) = elements::compare(socket, table, set, found.count, depth)?;
                all.extend(differences);
                delta
            }
            _ => {
                all.extend(deviation.map(|deviation| ('-', format!("set {} {deviation}", set.name))));
                all.push(('+', format!("set {} of {} elements", set.name, set.elements.len())));
                SetDelta::New
            }
        };
        comparison.delta.sets.push(delta);
    }
    for name in state.retired_sets(table) {
        let fields = state.sets.get(name).and_then(SetState::fields_of_addresses);
        let held = elements::retired(socket, table, name, fields)?;
        if !held.is_empty() {
            all.extend(held);
            comparison.delta.emptied_sets.push(name.to_owned());
        }
    }
    Ok(all)
}

/// Chains that must not be there: those that others lead to are only emptied.
fn compare_absent_chains(table: &Table, state: &TableState, comparison: &mut Comparison) {
    let is_absent = |name: &str| table.absent_chains.iter().any(|(absent, _)| *absent == name);
    let is_ours = |name: &str| is_absent(name) || table.chains.iter().any(|chain| chain.name == name);
    for (name, _) in &table.absent_chains {
        let Some(found) = state.chains.get(*name) else { continue };
        let rules = comparison.reach.rules.get(*name).copied().unwrap_or_default();
        let is_used = found.used > rules + comparison.reach.jumps_to(name, is_ours);
        if is_used && rules == 0 {
            continue;
        }
        comparison.differs('-', format_args!("chain {name}"));
        comparison.delta.emptied_chains.push((*name).to_owned());
        if !is_used {
            comparison.delta.removed_chains.push((*name).to_owned());
        }
    }
}

fn compare_chain(
    connection: &mut Connection,
    table: &Table,
    chain: &Chain,
    found: &ChainState,
    depth: Depth,
    comparison: &mut Comparison,
) -> Result<ChainDelta, DumpError> {
    let accepts = found.policy.is_none_or(|policy| policy == encode::POLICY_ACCEPT);
    let is_as_planned = found.base == chain.hook.map(base_as_planned) && accepts;
    if !is_as_planned {
        comparison.differs('+', format_args!("chain {}", chain.name));
    }
    comparison.reach.rules.insert(chain.name.to_owned(), chain.rules.len());
    let is_long = chain.rules.len() > RULES_AT_DEPTH || found.used > 2 * RULES_AT_DEPTH;
    if is_long && depth == Depth::Bounded {
        // A connection of its own, since the dump is broken off.
        let mut own = Connection::open(mnl::Bus::Netfilter)?;
        return compare_start(&mut own, table, chain, found, comparison).map(|()| ChainDelta::Replaced);
    }
    let delta = compare_rules(connection, table, chain, comparison)?;
    // A policy is only set by saying the chain again, which does not touch its rules.
    Ok(if is_as_planned || delta != ChainDelta::Same { delta } else { ChainDelta::Edited(Vec::new()) })
}

/// Compares the first rules of a chain one by one, and the number of all.
fn compare_start(
    connection: &mut Connection,
    table: &Table,
    chain: &Chain,
    found: &ChainState,
    comparison: &mut Comparison,
) -> Result<(), DumpError> {
    let mut index = 0;
    dump_rules(connection, table, chain.name, |rule| {
        comparison.reach.see(chain.name, &rule);
        let planned = chain.rules.get(index);
        if planned.is_none_or(|planned| !rule.is(planned)) {
            if let Some(planned) = planned {
                comparison.differs('+', format_args!("{}: {}", chain.name, RuleText(planned)));
            }
            comparison.differs('-', format_args!("{}:{rule}", chain.name));
        }
        index += 1;
        if index < RULES_AT_DEPTH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    // A chain holds at least its rules and the jumps to it that were seen; verdict maps may refer to it too.
    let expected = chain.rules.len() + comparison.reach.jumps_to(chain.name, |_| true);
    if let Some(missing) = expected.checked_sub(found.used).filter(|missing| *missing > 0) {
        comparison.differs('+', format_args!("{}: {missing} of {} rules", chain.name, chain.rules.len()));
    }
    Ok(())
}

/// Compares all rules of a chain.
fn compare_rules(
    connection: &mut Connection,
    table: &Table,
    chain: &Chain,
    comparison: &mut Comparison,
) -> Result<ChainDelta, DumpError> {
    let mut planned: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for (index, rule) in chain.rules.iter().enumerate().rev() {
        planned.entry(FoundRule::hash_of(rule)).or_default().push(index);
    }
    // Handle, which planned rule it is, and the text of what is none.
    let mut found: Vec<(u64, Option<usize>)> = Vec::new();
    let mut foreign: FxHashMap<u64, String> = FxHashMap::default();
    dump_rules(connection, table, chain.name, |rule| {
        comparison.reach.see(chain.name, &rule);
        let index = planned.get_mut(&rule.hash()).and_then(Vec::pop);
        let index = index.filter(|index| chain.rules.get(*index).is_some_and(|planned| rule.is(planned)));
        if index.is_none() {
            foreign.insert(rule.handle, rule.to_string());
        }
        found.push((rule.handle, index));
        ControlFlow::Continue(())
    })?;
    let delta = diff::rules(chain.rules.len(), &found);
    if let ChainDelta::Edited(edits) = &delta {
        let planned_as: FxHashMap<u64, Option<usize>> = found.into_iter().collect();
        for edit in edits {
            match edit {
                RuleEdit::Insert { rule, .. } => {
                    if let Some(rule) = chain.rules.get(*rule) {
                        comparison.differs('+', format_args!("{}: {}", chain.name, RuleText(rule)));
                    }
                }
                RuleEdit::Delete { handle } => {
                    let moved = planned_as.get(handle).and_then(|index| chain.rules.get((*index)?));
                    let moved = moved.map(|rule| format!(" {}", RuleText(rule)));
                    let text = foreign.remove(handle).or(moved).unwrap_or_default();
                    comparison.differs('-', format_args!("{}:{text}", chain.name));
                }
            }
        }
    }
    Ok(delta)
}
