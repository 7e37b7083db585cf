//! What has to change where something is held already.
//!
//! What stays is not touched, so its counters go on.

use super::ruleset::{Elements, Key, Ruleset, Set, Table};
use rustc_hash::{FxHashMap, FxHashSet};
use std::iter;
use std::ops::Range;

/// What has to change in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableDelta {
    /// For each planned chain.
    pub chains: Vec<ChainDelta>,
    /// For each planned set.
    pub sets: Vec<SetDelta>,
    /// Chains that lose their rules.
    pub emptied_chains: Vec<String>,
    /// Those among them that go, too.
    pub removed_chains: Vec<String>,
    /// Sets that lose their elements.
    pub emptied_sets: Vec<String>,
    /// The table was switched off and has to be switched on: its flags without that one.
    pub woken: Option<u32>,
}

/// What has to change in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainDelta {
    /// Nothing.
    Same,
    /// It is not there.
    New,
    /// All of its rules.
    Replaced,
    /// Some of its rules.
    Edited(Vec<RuleEdit>),
}

/// A change among the rules of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleEdit {
    /// The rule with this handle goes.
    Delete {
        /// The kernel's number.
        handle: u64,
    },
    /// The planned rule of this index comes.
    Insert {
        /// Its index.
        rule: usize,
        /// In front of the rule with this handle; otherwise at the end.
        before: Option<u64>,
    },
}

/// What has to change in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetDelta {
    /// It is not there.
    New,
    /// Some of its elements: first some go, then others come.
    Edited {
        /// Key, and last key of a range.
        remove: Vec<(Key, Option<Key>)>,
        /// Indices among the planned.
        add: Vec<usize>,
    },
}

impl TableDelta {
    /// Whether nothing has to change.
    pub fn is_empty(&self) -> bool {
        self.chains.iter().all(|chain| *chain == ChainDelta::Same)
            && self.sets.iter().all(SetDelta::is_empty)
            && self.emptied_chains.is_empty()
            && self.removed_chains.is_empty()
            && self.emptied_sets.is_empty()
            && self.woken.is_none()
    }

    /// Whether the table is to be switched on, but in a later transaction: the kernel takes no new base chain in one that
    /// does so (EINVAL).
    pub fn is_woken_later(&self, table: &Table) -> bool {
        let mut chains = table.chains.iter().zip(&self.chains);
        self.woken.is_some() && chains.any(|(chain, delta)| chain.hook.is_some() && *delta == ChainDelta::New)
    }
}

impl SetDelta {
    /// Nothing has to change.
    pub const NOTHING: Self = Self::Edited { remove: Vec::new(), add: Vec::new() };

    /// Whether nothing has to change.
    pub fn is_empty(&self) -> bool {
        *self == Self::NOTHING
    }
}

/// What leads from the rules that a chain has to the `planned` number of rules. Each that it has is known by its handle and,
/// if it is equal to a planned one, the index of that; no two by the same.
pub fn rules(planned: usize, found: &[(u64, Option<usize>)]) -> ChainDelta {
    let handles = |range: Range<usize>| found.get(range).unwrap_or_default().iter().map(|(handle, _)| *handle);
    let mut edits = Vec::new();
    let (mut there, mut wanted) = (0, 0);
    for (place, rule) in longest_in_order(found).into_iter().chain([(found.len(), planned)]) {
        edits.extend(handles(there..place).map(|handle| RuleEdit::Delete { handle }));
        let before = handles(place..found.len()).next();
        edits.extend((wanted..rule).map(|rule| RuleEdit::Insert { rule, before }));
        (there, wanted) = (place + 1, rule + 1);
    }
    if edits.is_empty() { ChainDelta::Same } else { ChainDelta::Edited(edits) }
}

/// Most of the rules that can stay where they are, as places among the found and planned indices: a longest increasing
/// subsequence, in time that grows with the number of rules and its logarithm, however much differs.
fn longest_in_order(found: &[(u64, Option<usize>)]) -> Vec<(usize, usize)> {
    // Of the subsequences of each length that which ends lowest: place and index of its end.
    let mut ends: Vec<(usize, usize)> = Vec::new();
    // What comes before each place in the longest subsequence that ends there.
    let mut before = vec![None; found.len()];
    let known = found.iter().enumerate().filter_map(|(place, (_, index))| Some((place, (*index)?)));
    for (place, index) in known {
        let length = ends.partition_point(|(_, end)| *end < index);
        if let (Some(link), Some(last)) = (before.get_mut(place), length.checked_sub(1)) {
            *link = ends.get(last).copied();
        }
        match ends.get_mut(length) {
            Some(end) => *end = (place, index),
            None => ends.push((place, index)),
        }
    }
    let mut longest: Vec<_> =
        iter::successors(ends.last().copied(), |(place, _)| before.get(*place).copied().flatten()).collect();
    longest.reverse();
    longest
}

/// What leads from one ruleset that is held to another, a delta for each table, if only elements of sets have to change.
///
/// Chains and the sets themselves do not depend on single instances in the layout with sets. Where they differ, what the
/// kernel holds has to be read: only it knows the handles of rules.
pub fn between(held: &Ruleset, planned: &Ruleset) -> Option<Vec<TableDelta>> {
    if held.tables.len() != planned.tables.len() {
        return None;
    }
    held.tables.iter().zip(&planned.tables).map(|(held, planned)| between_tables(held, planned)).collect()
}

fn between_tables(held: &Table, planned: &Table) -> Option<TableDelta> {
    let is_same = (held.family, &held.name) == (planned.family, &planned.name)
        && held.chains == planned.chains
        && held.absent_chains == planned.absent_chains
        && held.sets.len() == planned.sets.len()
        && held.sets.iter().zip(&planned.sets).all(|(held, planned)| is_alike(held, planned));
    is_same.then(|| TableDelta {
        chains: vec![ChainDelta::Same; planned.chains.len()],
        sets: held.sets.iter().zip(&planned.sets).map(|(held, planned)| elements(held, planned)).collect(),
        ..TableDelta::default()
    })
}

/// Whether two sets differ at most in their elements.
fn is_alike(one: &Set, other: &Set) -> bool {
    let alike = match (&one.elements, &other.elements) {
        (Elements::Ipv4(_), Elements::Ipv4(_)) | (Elements::Ipv6(_), Elements::Ipv6(_)) => true,
        (Elements::Keyed(one), Elements::Keyed(other)) => {
            (one.fields, one.interval, one.counted) == (other.fields, other.interval, other.counted)
        }
        (one, other) => one == other,
    };
    alike && one.name == other.name
}

/// What leads from one set's elements to the other's.
fn elements(held: &Set, planned: &Set) -> SetDelta {
    let (old, new) = (&held.elements, &planned.elements);
    let is_equal = |old_index: usize, new_index: usize| old.is_same_at(old_index, new, new_index);
    // Most are at both ends, in the same order.
    let shorter = old.len().min(new.len());
    let before = (0..shorter).take_while(|index| is_equal(*index, *index)).count();
    let from_end = |back: &usize| is_equal(old.len() - 1 - back, new.len() - 1 - back);
    let behind = (0..shorter - before).take_while(from_end).count();
    let gone = before..old.len() - behind;
    let come = before..new.len() - behind;
    if gone.is_empty() && come.is_empty() {
        return SetDelta::NOTHING;
    }
    let old_middle: FxHashMap<_, _> =
        gone.filter_map(|index| old.entry(index).map(|entry| (entry.key, entry))).collect();
    let is_held = |index: &usize| {
        new.entry(*index).is_some_and(|entry| old_middle.get(&entry.key).is_some_and(|held| *held == entry))
    };
    let add: Vec<_> = come.clone().filter(|index| !is_held(index)).collect();
    // An address of two instances is still there when one of them has lost it; keys of several fields come once.
    let again = if matches!(new, Elements::Keyed(_)) { come } else { 0..new.len() };
    let kept: FxHashSet<Key> = again.filter_map(|index| new.entry(index)).map(|entry| entry.key).collect();
    // Another comment makes another element.
    let changed: FxHashSet<Key> = add.iter().filter_map(|index| new.entry(*index)).map(|entry| entry.key).collect();
    let goes = |key: &Key| !kept.contains(key) || changed.contains(key);
    let remove = old_middle.into_values().filter(|entry| goes(&entry.key)).map(|entry| (entry.key, entry.last));
    SetDelta::Edited { remove: remove.collect(), add }
}

#[cfg(test)]
mod tests {
    use super::super::ruleset::{Comment, Element, Field, Keyed, Value};
    use super::*;
    use crate::net::Mac;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const WORDS: [&str; 2] = ["web", "db"];

    fn plain(addresses: &[u8]) -> Set<'static> {
        let addresses = addresses.iter().map(|last| [10, 0, 0, *last].into()).collect();
        Set { name: "s".parse().unwrap(), elements: Elements::Ipv4(addresses) }
    }

    /// Keys come once, as everywhere.
    fn keyed(elements: &BTreeMap<u8, usize>) -> Set<'static> {
        let element = |(last, word): (&u8, &usize)| Element {
            key: Key::of(&[Value::Mac(Mac([2, 0, 0, 0, 0, *last]))]),
            prefix: None,
            comment: Some(Comment::word(WORDS[*word])),
        };
        let elements = elements.iter().map(element).collect();
        let keyed = Keyed { fields: &[Field::EtherSource], interval: false, counted: true, elements };
        Set { name: "s".parse().unwrap(), elements: Elements::Keyed(keyed) }
    }

    /// What a set holds, as the kernel does: the first of those with one key.
    fn held(set: &Set) -> BTreeMap<Key, Option<String>> {
        let mut held = BTreeMap::new();
        for entry in set.elements.entries() {
            held.entry(entry.key).or_insert_with(|| entry.comment.map(str::to_owned));
        }
        held
    }

    fn assert_leads_there(old: &Set, new: &Set) {
        let mut now = held(old);
        let SetDelta::Edited { remove, add } = elements(old, new) else { panic!("edited") };
        for (key, _) in remove {
            assert!(now.remove(&key).is_some(), "the kernel refuses to remove what is not there");
        }
        for index in &add {
            let entry = new.elements.entry(*index).unwrap();
            now.entry(entry.key).or_insert_with(|| entry.comment.map(str::to_owned));
        }
        assert_eq!(now, held(new));
        // Nothing is touched without need: its counter goes on.
        if held(old) == held(new) && old.elements.len() == held(old).len() && new.elements.len() == held(new).len() {
            assert!(add.is_empty());
        }
    }

    proptest! {
        #[test]
        fn a_delta_of_addresses_leads_there(
            old in proptest::collection::vec(0u8..12, 0..12),
            new in proptest::collection::vec(0u8..12, 0..12),
        ) {
            assert_leads_there(&plain(&old), &plain(&new));
        }

        #[test]
        fn a_delta_of_keys_and_comments_leads_there(
            old in proptest::collection::btree_map(0u8..12, 0usize..2, 0..12),
            new in proptest::collection::btree_map(0u8..12, 0usize..2, 0..12),
        ) {
            assert_leads_there(&keyed(&old), &keyed(&new));
        }

        #[test]
        fn edits_of_rules_lead_there_and_leave_alone_what_stays(
            planned in 0usize..10,
            found in proptest::collection::vec(proptest::option::of(0usize..10), 0..10),
        ) {
            // No two are the same planned rule.
            let mut seen = FxHashSet::default();
            let known = |index: &usize| *index < planned && seen.insert(*index);
            let mut known = known;
            let found: Vec<_> = found.iter().map(|index| index.filter(&mut known)).enumerate()
                .map(|(handle, index)| (handle as u64, index)).collect();
            let mut chain: Vec<_> = found.clone();
            let mut kept = found.len();
            if let ChainDelta::Edited(edits) = rules(planned, &found) {
                for edit in edits {
                    match edit {
                        RuleEdit::Delete { handle } => {
                            kept -= 1;
                            chain.retain(|(other, _)| *other != handle);
                        }
                        RuleEdit::Insert { rule, before } => {
                            let place = before.map(|before| chain.iter().position(|(other, _)| *other == before).unwrap());
                            chain.insert(place.unwrap_or(chain.len()), (u64::MAX, Some(rule)));
                        }
                    }
                }
            }
            let order: Vec<_> = chain.iter().map(|(_, index)| *index).collect();
            assert_eq!(order, (0..planned).map(Some).collect::<Vec<_>>());
            if found.iter().map(|(_, index)| *index).eq((0..planned).map(Some)) {
                assert_eq!(kept, planned);
            }
        }
    }
}
