//! What the kernel holds in a table: its chains and the types of its sets, without rules and elements.

use super::expr::EXPR_NAME;
use super::found::long_number;
use super::set_type::SetType;
use super::{encode, kernel, nfgenmsg};
use crate::netlink::{Attributes, Connection, DumpError, Writer};
use crate::plan::ruleset::{Elements, Field, Hook, Recorded, Set, Table};
use std::collections::BTreeMap;

/// What the kernel holds in one table.
#[derive(Debug, Default)]
pub struct TableState {
    /// Its flags; `None`: there is no such table.
    pub flags: Option<u32>,
    /// All its chains.
    pub chains: BTreeMap<String, ChainState>,
    /// All its sets, by name.
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

/// A set that the kernel holds, without its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetState {
    /// nft's number for the type of its keys.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_length: u32,
    /// NFT_SET_*.
    pub flags: u32,
    /// Number of elements, if the kernel says it: 6.18 does, 6.1 does not.
    pub count: Option<usize>,
    /// Milliseconds for which its elements stay.
    pub timeout: Option<u64>,
    /// Most elements that it takes, if there is such a number.
    pub size: Option<u32>,
    /// What each element gets when it is added.
    pub added: Added,
}

/// The expressions that a set gives to each of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// None.
    Nothing,
    /// A counter.
    Counter,
    /// Others, such as a quota: then the set matches only until that is used up.
    Other,
}

impl SetState {
    /// Whether it is of the planned type.
    pub(super) fn is_of_type(&self, set: &Set) -> bool {
        let SetType { key_type, key_length, flags, .. } = SetType::of(&set.elements);
        (self.key_type, self.key_length, self.flags) == (key_type, key_length, flags)
    }

    /// What it is otherwise than planned, if anything, in words that follow its name.
    pub(super) fn deviation(&self, set: &Set) -> Option<&'static str> {
        if !self.is_of_type(set) {
            return Some("of another type or with flags");
        }
        let is_counted = match &set.elements {
            // What each address gets is up to those whose rules use the set.
            Elements::Ipv4(_) | Elements::Ipv6(_) => return None,
            Elements::Keyed(keyed) => keyed.counted,
            Elements::Recorded(Recorded { size, timeout, .. }) => {
                if (self.size, self.timeout) != (Some(*size), Some(u64::from(*timeout) * 1000)) {
                    return Some("of another size or timeout");
                }
                // Its counters come from the rules that add to it.
                false
            }
        };
        match (self.added, is_counted) {
            (Added::Counter, true) | (Added::Nothing, false) => None,
            (Added::Nothing, true) => Some("without counter"),
            (Added::Counter, false) => Some("with a counter"),
            (Added::Other, _) => Some("with something else than a counter for its elements"),
        }
    }

    /// The field of a key, in a set of addresses alone.
    pub(super) fn fields_of_addresses(&self) -> Option<&'static [Field]> {
        SetType::fields_of_addresses(self.key_type, self.key_length)
    }
}

impl TableState {
    /// Whether somebody's rules are switched off as a whole.
    pub fn is_dormant(&self) -> bool {
        self.flags.is_some_and(|flags| flags & kernel::TABLE_F_DORMANT != 0)
    }

    /// The flags that switch the table on, if it is off and base chains of ours are wanted in it: who asks for these asks
    /// for a policy that is in force. Otherwise to switch it on is for who switched it off.
    pub(super) fn waking(&self, table: &Table) -> Option<u32> {
        let is_wanted = table.chains.iter().any(|chain| chain.hook.is_some());
        self.flags.filter(|_| is_wanted && self.is_dormant()).map(|flags| flags & !kernel::TABLE_F_DORMANT)
    }

    /// Whether the table belongs to one process and nobody else may change it.
    pub fn is_owned(&self) -> bool {
        self.flags.is_some_and(|flags| flags & kernel::TABLE_F_OWNER != 0)
    }

    /// Sets of ours that the table shall not have any more.
    pub fn retired_sets<'s>(&'s self, table: &'s Table) -> impl Iterator<Item = &'s str> {
        let ours = |name: &str| table.set_endings.iter().any(|ending| name.ends_with(ending));
        let planned = |name: &str| table.sets.iter().any(|set| set.name.as_str() == name);
        let of_addresses = |set: &SetState| set.flags == 0 && set.fields_of_addresses().is_some();
        let retired = move |name: &str, set: &SetState| {
            table.absent_sets.contains(&name) || (ours(name) && !planned(name) && of_addresses(set))
        };
        let sets = self.sets.iter().filter(move |(name, set)| retired(name, set));
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
                let count = set.number(kernel::SET_COUNT).and_then(|count| usize::try_from(count).ok());
                let timeout = long_number(&set, kernel::SET_TIMEOUT);
                let size = set.nested(kernel::SET_DESC).number(kernel::SET_DESC_SIZE);
                let found = SetState { key_type, key_length, flags, count, timeout, size, added: added_by(&set) };
                state.sets.insert(name.to_owned(), found);
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

/// A single expression is by itself, several are in a list.
fn added_by(set: &Attributes) -> Added {
    if set.get(kernel::SET_EXPRESSIONS).is_some() {
        return Added::Other;
    }
    match set.nested(kernel::SET_EXPR).text(EXPR_NAME) {
        None => Added::Nothing,
        Some("counter") => Added::Counter,
        Some(_) => Added::Other,
    }
}

/// What a base chain of ours looks like in the kernel.
pub(super) fn base_as_planned(hook: Hook) -> (u32, i32, String) {
    (encode::hook_number(hook.point), hook.priority, "filter".to_owned())
}
