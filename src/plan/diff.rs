//! What has to change where something is held already.
//!
//! What stays is not touched, so its counters go on.

use super::ruleset::Key;

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
    let wanted: Vec<_> = (0..planned).map(Some).collect();
    let there: Vec<_> = found.iter().map(|(_, index)| *index).collect();
    let handle = |index: usize| found.get(index).map(|(handle, _)| *handle);
    let mut edits = Vec::new();
    for operation in similar::capture_diff_slices(similar::Algorithm::Myers, &there, &wanted) {
        let (old, new) = (operation.old_range(), operation.new_range());
        if operation.tag() == similar::DiffTag::Equal {
            continue;
        }
        let before = handle(old.end);
        edits.extend(old.filter_map(handle).map(|handle| RuleEdit::Delete { handle }));
        edits.extend(new.map(|rule| RuleEdit::Insert { rule, before }));
    }
    if edits.is_empty() { ChainDelta::Same } else { ChainDelta::Edited(edits) }
}
