//! What the kernel holds, compared with the plan.
//!
//! Rules and elements are compared as they come out of the dump; nothing is kept of what agrees.

use super::expr::{self, Expr};
use super::{encode, kernel, nfgenmsg};
use crate::net::Shown;
use crate::netlink::{Attributes, Connection, DumpError, Writer};
use crate::plan::ruleset::{Bytes, Chain, Elements, Hook, Rule, Set, Table};
use crate::sink::nft_text::RuleText;
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// What the kernel holds in one table.
#[derive(Debug, Default)]
pub struct TableState {
    /// Its flags; `None`: there is no such table.
    pub flags: Option<u32>,
    /// All its chains.
    pub chains: BTreeMap<String, ChainState>,
    /// The key types of all its sets, by name.
    pub sets: BTreeMap<String, SetState>,
}

/// A chain that the kernel holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainState {
    /// Hook number, priority and type of a base chain.
    pub base: Option<(u32, i32, String)>,
    /// What becomes of a packet that a base chain has not decided about.
    pub policy: Option<u32>,
    /// Its rules plus the rules and map elements that jump to it.
    pub used: usize,
}

/// A set that the kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetState {
    /// nft's number for the type of its keys.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_length: u32,
    /// NFT_SET_*.
    pub flags: u32,
}

impl SetState {
    /// What a set of ours looks like in the kernel.
    pub(super) fn planned(set: &Set) -> Self {
        let (key_type, key_length) = encode::key_type(&set.elements);
        Self { key_type, key_length, flags: 0 }
    }
}

impl TableState {
    /// Whether somebody's rules are switched off as a whole.
    pub fn is_dormant(&self) -> bool {
        self.flags.is_some_and(|flags| flags & kernel::TABLE_F_DORMANT != 0)
    }

    /// Whether the table belongs to one process and nobody else may change it.
    pub fn is_owned(&self) -> bool {
        self.flags.is_some_and(|flags| flags & kernel::TABLE_F_OWNER != 0)
    }

    /// Sets of ours that the table shall not have any more.
    pub fn retired_sets<'s>(&'s self, table: &'s Table) -> impl Iterator<Item = &'s str> {
        let ours = |name: &str| table.set_endings.iter().any(|ending| name.ends_with(ending));
        let planned = |name: &str| table.sets.iter().any(|set| set.name.as_str() == name);
        let of_our_type = |state: &SetState| state.flags == 0 && encode::is_key_type(state.key_type, state.key_length);
        let sets = self.sets.iter().filter(move |(name, state)| ours(name) && !planned(name) && of_our_type(state));
        sets.map(|(name, _)| name.as_str())
    }

    /// Reads table, chains and sets, without rules and elements.
    ///
    /// # Errors
    /// [`DumpError`].
    pub fn read(connection: &mut Connection, table: &Table) -> Result<Self, DumpError> {
        let mut state = Self::default();
        let header = nfgenmsg(table.family);
        connection.dump(
            kernel::GETTABLE,
            &header,
            |_| {},
            |message| {
                if message.attributes(kernel::NFGENMSG).text(kernel::TABLE_NAME) == Some(table.name.as_str()) {
                    state.flags =
                        Some(message.attributes(kernel::NFGENMSG).number(kernel::TABLE_FLAGS).unwrap_or_default());
                }
            },
        )?;
        if state.flags.is_none() {
            return Ok(state);
        }
        connection.dump(
            kernel::GETCHAIN,
            &header,
            |_| {},
            |message| {
                let chain = message.attributes(kernel::NFGENMSG);
                if chain.text(kernel::CHAIN_TABLE) == Some(table.name.as_str())
                    && let Some(name) = chain.text(kernel::CHAIN_NAME)
                {
                    let used = chain.number(kernel::CHAIN_USE).unwrap_or_default();
                    let used = usize::try_from(used).unwrap_or(usize::MAX);
                    state.chains.insert(
                        name.to_owned(),
                        ChainState { base: base_of(&chain), policy: chain.number(kernel::CHAIN_POLICY), used },
                    );
                }
            },
        )?;
        let in_table = |writer: &mut Writer| writer.text(kernel::SET_TABLE, table.name.as_str());
        connection.dump(kernel::GETSET, &header, in_table, |message| {
            let set = message.attributes(kernel::NFGENMSG);
            let number = |kind| set.number(kind).unwrap_or_default();
            if let Some(name) = set.text(kernel::SET_NAME) {
                let [key_type, key_length, flags] =
                    [kernel::SET_KEY_TYPE, kernel::SET_KEY_LEN, kernel::SET_FLAGS].map(number);
                state.sets.insert(name.to_owned(), SetState { key_type, key_length, flags });
            }
        })?;
        Ok(state)
    }
}

fn base_of(chain: &Attributes) -> Option<(u32, i32, String)> {
    let hook = chain.nested(kernel::CHAIN_HOOK);
    let priority = hook.number(kernel::HOOK_PRIORITY)?.cast_signed();
    let kind = chain.text(kernel::CHAIN_TYPE).unwrap_or_default().to_owned();
    Some((hook.number(kernel::HOOK_HOOKNUM)?, priority, kind))
}

/// What a base chain of ours looks like in the kernel.
pub(super) fn base_as_planned(hook: Hook) -> (u32, i32, String) {
    (encode::hook_number(hook.point), hook.priority, "filter".to_owned())
}

/// What differs between the plan and the kernel in one table, and how its chains are reached.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Number of differences.
    pub count: usize,
    /// The first of them, as lines of a diff: what the kernel has too much behind `-`, what it lacks behind `+`.
    pub differences: Vec<String>,
    /// How many are kept.
    keep: usize,
    /// Whether every rule was compared.
    pub complete: bool,
    /// How many rules jump or go from a chain to a chain.
    jumps: BTreeMap<(String, String), usize>,
    /// The number of rules of each chain; of ours, the planned one.
    rules: BTreeMap<String, usize>,
    /// The chains with rules that look verdicts up in a map.
    with_verdict_maps: BTreeSet<String>,
}

impl Comparison {
    /// The chains that packets reach: base chains, what is jumped to from them, however far, and, where one of these looks
    /// verdicts up in a map, what maps jump to. Which map that is is not looked at.
    pub fn reached<'s>(&'s self, state: &'s TableState) -> BTreeSet<&'s str> {
        // Uses that are neither rules nor jumps are those of verdict maps.
        let in_a_map = |(name, chain): &(&String, &ChainState)| {
            chain.used > self.rules.get(*name).copied().unwrap_or_default() + self.jumps_to(name)
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

    /// How many rules jump or go to a chain.
    fn jumps_to(&self, chain: &str) -> usize {
        self.jumps.iter().filter(|((_, to), _)| to == chain).map(|(_, count)| count).sum()
    }

    fn differs(&mut self, sign: char, what: std::fmt::Arguments) {
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

/// Compares a table with the plan.
///
/// # Errors
/// [`DumpError`].
pub fn compare(table: &Table, depth: Depth) -> Result<(TableState, Comparison), DumpError> {
    let mut connection = Connection::open(mnl::Bus::Netfilter)?;
    let state = TableState::read(&mut connection, table)?;
    let keep = if depth == Depth::Full { usize::MAX } else { QUOTED };
    let mut comparison = Comparison { keep, complete: true, ..Comparison::default() };
    for chain in &table.chains {
        let found = state.chains.get(chain.name);
        let accepts = |found: &ChainState| found.policy.is_none_or(|policy| policy == encode::POLICY_ACCEPT);
        if found.is_none_or(|found| found.base != chain.hook.map(base_as_planned) || !accepts(found)) {
            comparison.differs('+', format_args!("chain {}", chain.name));
        }
    }
    for (name, _) in table.absent_chains.iter().filter(|(name, _)| state.chains.contains_key(*name)) {
        comparison.differs('-', format_args!("chain {name}"));
    }
    for name in state.chains.keys() {
        let planned = table.chains.iter().find(|chain| chain.name == name);
        comparison.rules.insert(name.clone(), planned.map_or(0, |chain| chain.rules.len()));
        match planned {
            Some(chain) if chain.rules.len() > RULES_AT_DEPTH && depth == Depth::Bounded => {
                comparison.complete = false;
                // A connection of its own, since the dump is broken off.
                let mut own = Connection::open(mnl::Bus::Netfilter)?;
                compare_rules(&mut own, table, chain, RULES_AT_DEPTH, &mut comparison)?;
            }
            Some(chain) => {
                compare_rules(&mut connection, table, chain, usize::MAX, &mut comparison)?;
            }
            None => {
                connection.dump(kernel::GETRULE, &nfgenmsg(table.family), in_chain(table, name), |message| {
                    *comparison.rules.entry(name.clone()).or_default() += 1;
                    count_jumps(name, &message.attributes(kernel::NFGENMSG), &mut comparison);
                })?;
            }
        }
    }
    compare_numbers(table, &state, &mut comparison);
    for set in &table.sets {
        match state.sets.get(set.name.as_str()) {
            Some(found) if *found == SetState::planned(set) => {
                compare_elements(&mut connection, table, set.name.as_str(), keys(&set.elements), &mut comparison)?;
            }
            _ => comparison.differs('+', format_args!("set {} of {} elements", set.name, set.elements.len())),
        }
    }
    for name in state.retired_sets(table) {
        compare_elements(&mut connection, table, name, FxHashSet::default(), &mut comparison)?;
    }
    Ok((state, comparison))
}

/// A chain holds at least its rules and the jumps to it that were seen; verdict maps may refer to it too.
fn compare_numbers(table: &Table, state: &TableState, comparison: &mut Comparison) {
    for chain in &table.chains {
        let Some(found) = state.chains.get(chain.name) else { continue };
        let jumps: usize =
            comparison.jumps.iter().filter(|((_, to), _)| to == chain.name).map(|(_, count)| count).sum();
        if found.used < chain.rules.len() + jumps {
            let missing = chain.rules.len() + jumps - found.used;
            comparison.differs('+', format_args!("{}: {missing} of {} rules", chain.name, chain.rules.len()));
        }
    }
}

fn in_chain(table: &Table, chain: &str) -> impl FnOnce(&mut Writer) {
    move |writer| {
        writer.text(kernel::RULE_TABLE, table.name.as_str());
        writer.text(kernel::RULE_CHAIN, chain);
    }
}

fn compare_rules(
    connection: &mut Connection,
    table: &Table,
    chain: &Chain,
    most: usize,
    comparison: &mut Comparison,
) -> Result<(), DumpError> {
    let mut found = 0;
    connection.dump_while(kernel::GETRULE, &nfgenmsg(table.family), in_chain(table, chain.name), |message| {
        let rule = message.attributes(kernel::NFGENMSG);
        compare_rule(chain, chain.rules.get(found), &rule, comparison);
        count_jumps(chain.name, &rule, comparison);
        found += 1;
        if found < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for rule in chain.rules.iter().take(most).skip(found) {
        comparison.differs('+', format_args!("{}: {}", chain.name, RuleText(rule)));
    }
    Ok(())
}

fn count_jumps(from: &str, rule: &Attributes, comparison: &mut Comparison) {
    for expression in expr::read(rule.nested(kernel::RULE_EXPRESSIONS)) {
        if let Expr::Verdict { code: expr::JUMP | expr::GOTO, chain: Some(to) } = expression {
            *comparison.jumps.entry((from.to_owned(), to.to_owned())).or_default() += 1;
        } else if expression == Expr::VerdictMap {
            comparison.with_verdict_maps.insert(from.to_owned());
        }
    }
}

fn compare_rule(chain: &Chain, planned: Option<&Rule>, rule: &Attributes, comparison: &mut Comparison) {
    let expressions = || expr::read(rule.nested(kernel::RULE_EXPRESSIONS));
    let userdata = rule.get(kernel::RULE_USERDATA);
    let agrees = planned.is_some_and(|planned| {
        userdata == planned.comment.as_ref().map(encode::comment_userdata).as_deref()
            && expressions().eq(expr::lower(&planned.statements))
    });
    if agrees {
        return;
    }
    if let Some(planned) = planned {
        comparison.differs('+', format_args!("{}: {}", chain.name, RuleText(planned)));
    }
    let mut text = String::new();
    for expression in expressions() {
        let _ = write!(text, " {expression:?}");
    }
    if let Some(comment) = userdata.and_then(comment_of) {
        let _ = write!(text, " comment \"{}\"", Shown(comment));
    }
    comparison.differs('-', format_args!("{}:{text}", chain.name));
}

/// The comment in a rule's userdata, if it begins with one.
fn comment_of(userdata: &[u8]) -> Option<&str> {
    let [_, length, text @ ..] = userdata else { return None };
    let text = text.get(..usize::from(*length))?;
    str::from_utf8(text.strip_suffix(&[0])?).ok()
}

fn keys(elements: &Elements) -> FxHashSet<Bytes> {
    match elements {
        Elements::Ipv4(elements) => elements.iter().map(|address| address.octets()[..].into()).collect(),
        Elements::Ipv6(elements) => elements.iter().map(|address| address.octets()[..].into()).collect(),
    }
}

fn compare_elements(
    connection: &mut Connection,
    table: &Table,
    set: &str,
    mut missing: FxHashSet<Bytes>,
    comparison: &mut Comparison,
) -> Result<(), DumpError> {
    let in_set = |writer: &mut Writer| {
        writer.text(kernel::SET_ELEM_LIST_TABLE, table.name.as_str());
        writer.text(kernel::SET_ELEM_LIST_SET, set);
    };
    connection.dump(kernel::GETSETELEM, &nfgenmsg(table.family), in_set, |message| {
        for (_, element) in message.attributes(kernel::NFGENMSG).nested(kernel::SET_ELEM_LIST_ELEMENTS) {
            let element = Attributes(element);
            let key = element.nested(kernel::SET_ELEM_KEY).get(kernel::DATA_VALUE).unwrap_or_default();
            if !missing.remove(&Bytes::from(key)) || element.get(kernel::SET_ELEM_FLAGS).is_some() {
                comparison.differs('-', format_args!("@{set}: {}", key_text(key)));
            }
        }
    })?;
    for key in missing {
        comparison.differs('+', format_args!("@{set}: {}", key_text(&key)));
    }
    Ok(())
}

fn key_text(key: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(key).map(|octets| std::net::Ipv4Addr::from(octets).to_string());
    let v6 = || <[u8; 16]>::try_from(key).map(|octets| std::net::Ipv6Addr::from(octets).to_string());
    v4.or_else(|_| v6()).unwrap_or_else(|_| format!("{key:02x?}"))
}
