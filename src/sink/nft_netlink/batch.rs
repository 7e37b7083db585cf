//! One transaction: all that has to change or nothing.
//!
//! Nothing that somebody may refer to is deleted: tables, chains and sets are added if they are missing, and filled or
//! edited. People's own base chains, their jumps and their sets in the same table survive.

use super::encode;
use super::kernel;
use crate::netlink::{ACK, REQUEST, TooLong, Writer};
use crate::plan::diff::{ChainDelta, RuleEdit, SetDelta, TableDelta};
use crate::plan::ruleset::{Chain, Elements, Entry, Key, Rule, Ruleset, Set, Table};
use crate::sink::nft_text::{ElementText, RuleText};

/// A batch, ready to be sent in one piece.
#[derive(Debug)]
pub struct Batch {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Sequence number of the message that is acknowledged if everything was committed.
    pub acknowledged: u32,
}

/// NFNL_MSG_BATCH_BEGIN and _END.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// NFNL_BATCH_GENID.
const BATCH_GENID: u16 = 1;
/// struct nfgenmsg of the batch messages: unspecified family, version 0, NFNL_SUBSYS_NFTABLES in network order.
const BATCH_HEADER: [u8; kernel::NFGENMSG] = [0, 0, 0, 10];

/// The sequence number of BATCH_BEGIN; the messages count on from it.
pub const FIRST: u32 = 1;

/// Bytes of a typical rule and element, for the first guess of the batch's size.
const TYPICAL_RULE: usize = 512;
const TYPICAL_ELEMENT: usize = 96;

/// The batch which makes of what the kernel holds the `ruleset`, by a delta for each table, valid only while the kernel's
/// generation is `generation`, if one is given. `None`: nothing has to change.
///
/// # Errors
/// A message is too long, which no ruleset of ours is.
pub fn build(ruleset: &Ruleset, generation: Option<u32>, deltas: &[TableDelta]) -> Result<Option<Batch>, TooLong> {
    let mut writer = Writer::with_capacity(4096 + ruleset.tables.iter().zip(deltas).map(size).sum::<usize>());
    writer.message(BATCH_BEGIN, REQUEST, FIRST, &BATCH_HEADER, |writer| {
        if let Some(generation) = generation {
            writer.number(BATCH_GENID, generation);
        }
    });
    let mut last = FIRST;
    let mut last_start = 0;
    for (sequence, step) in (FIRST + 1..).zip(steps(ruleset, deltas)) {
        (last, last_start) = (sequence, writer.len());
        step.write(&mut writer, sequence);
    }
    if last == FIRST {
        return Ok(None);
    }
    // One acknowledgement, of the last object: one for each would overrun the receive buffer, and BATCH_END is only
    // acknowledged since Linux 6.10.
    writer.add_flags(last_start, ACK);
    writer.message(BATCH_END, REQUEST, last + 1, &BATCH_HEADER, |_| {});
    Ok(Some(Batch { bytes: writer.finish()?, acknowledged: last }))
}

/// A batch of nothing.
///
/// # Errors
/// None that could happen.
pub(super) fn empty() -> Result<Vec<u8>, TooLong> {
    let mut writer = Writer::default();
    begin(&mut writer);
    end(&mut writer, FIRST + 1);
    writer.finish()
}

/// The start of a batch that is valid in any generation.
pub(super) fn begin(writer: &mut Writer) {
    writer.message(BATCH_BEGIN, REQUEST, FIRST, &BATCH_HEADER, |_| {});
}

/// The end of a batch.
pub(super) fn end(writer: &mut Writer, sequence: u32) {
    writer.message(BATCH_END, REQUEST, sequence, &BATCH_HEADER, |_| {});
}

/// About as many bytes as a delta takes.
fn size((table, delta): (&Table, &TableDelta)) -> usize {
    let rules = |(chain, delta): (&Chain, &ChainDelta)| match delta {
        ChainDelta::Same => 0,
        ChainDelta::New | ChainDelta::Replaced => chain.rules.len(),
        ChainDelta::Edited(edits) => edits.len(),
    };
    let elements = |(set, delta): (&Set, &SetDelta)| match delta {
        SetDelta::New => set.elements.len(),
        SetDelta::Edited { remove, add } => remove.len() + add.len(),
    };
    let rules: usize = table.chains.iter().zip(&delta.chains).map(rules).sum();
    let elements: usize = table.sets.iter().zip(&delta.sets).map(elements).sum();
    rules * TYPICAL_RULE + elements * TYPICAL_ELEMENT
}

/// What the message with this sequence number was for.
pub fn step<'a>(ruleset: &'a Ruleset<'a>, deltas: &'a [TableDelta], sequence: u32) -> Option<Step<'a>> {
    steps(ruleset, deltas).nth(usize::try_from(sequence.checked_sub(FIRST + 1)?).ok()?)
}

/// One message of the transaction.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// See [`encode::table`].
    Table(&'a Table<'a>, Option<u32>),
    /// See [`encode::chain`].
    Chain(&'a Table<'a>, &'a Chain<'a>),
    /// See [`encode::flush_chain`].
    FlushChain(&'a Table<'a>, &'a str),
    /// See [`encode::delete_chain`].
    DeleteChain(&'a Table<'a>, &'a str),
    /// See [`encode::rule`].
    Rule(&'a Table<'a>, &'a Chain<'a>, &'a Rule<'a>, Option<u64>),
    /// See [`encode::delete_rule`].
    DeleteRule(&'a Table<'a>, &'a Chain<'a>, u64),
    /// See [`encode::set`].
    Set(&'a Table<'a>, &'a Set<'a>),
    /// See [`encode::flush_set`].
    FlushSet(&'a Table<'a>, &'a str),
    /// See [`encode::elements`].
    Elements(&'a Table<'a>, &'a Set<'a>, Part<'a>),
    /// See [`encode::delete_elements`].
    DeleteElements(&'a Table<'a>, &'a Set<'a>, &'a [(Key, Option<Key>)]),
}

/// Some of a set's planned elements.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// From this one on, so many.
    Range(usize, usize),
    /// These.
    These(&'a [usize]),
}

impl Part<'_> {
    fn of<'e>(self, elements: &'e Elements<'e>) -> impl Iterator<Item = Entry<'e>> {
        let (range, these) = match self {
            Self::Range(first, count) => (first..first + count, &[][..]),
            Self::These(these) => (0..0, these),
        };
        range.chain(these.iter().copied()).filter_map(|index| elements.entry(index))
    }
}

impl<'a> Step<'a> {
    fn write(self, writer: &mut Writer, sequence: u32) {
        match self {
            Self::Table(table, flags) => encode::table(writer, sequence, table, flags),
            Self::Chain(table, chain) => encode::chain(writer, sequence, table, chain),
            Self::FlushChain(table, name) => encode::flush_chain(writer, sequence, table, name),
            Self::DeleteChain(table, name) => encode::delete_chain(writer, sequence, table, name),
            Self::Rule(table, chain, rule, before) => encode::rule(writer, sequence, table, chain, rule, before),
            Self::DeleteRule(table, chain, handle) => encode::delete_rule(writer, sequence, table, chain, handle),
            Self::Set(table, set) => encode::set(writer, sequence, table, set),
            Self::FlushSet(table, name) => encode::flush_set(writer, sequence, table, name),
            Self::Elements(table, set, _) => encode::elements(writer, sequence, table, set, self.elements()),
            Self::DeleteElements(table, set, _) => {
                encode::delete_elements(writer, sequence, table, set.name.as_str(), self.elements());
            }
        }
    }

    /// The elements that the message is about.
    fn elements(self) -> impl Iterator<Item = Entry<'a>> {
        let (come, go) = match self {
            Self::Elements(_, set, part) => (Some(part.of(&set.elements)), &[][..]),
            Self::DeleteElements(_, _, part) => (None, part),
            _ => (None, &[][..]),
        };
        let go = go.iter().map(|(key, last)| Entry { key: *key, last: *last, comment: None });
        come.into_iter().flatten().chain(go)
    }

    /// Says what the message was for; with the offset that the kernel names, which element.
    pub fn describe(self, offset: Option<u32>) -> String {
        match self {
            Self::Table(table, _) => format!("table {} {}", table.family, table.name),
            Self::Chain(table, chain) => format!("chain {} in table {} {}", chain.name, table.family, table.name),
            Self::FlushChain(table, name) => format!("flush of chain {name} in table {} {}", table.family, table.name),
            Self::DeleteChain(table, name) => {
                format!("removal of chain {name} in table {} {}", table.family, table.name)
            }
            Self::Rule(_, chain, rule, _) => format!("rule in chain {}: {}", chain.name, RuleText(rule)),
            Self::DeleteRule(_, chain, handle) => format!("removal of rule {handle} from chain {}", chain.name),
            Self::Set(table, set) => format!("set {} in table {} {}", set.name, table.family, table.name),
            Self::FlushSet(table, name) => format!("flush of set {name} in table {} {}", table.family, table.name),
            Self::Elements(table, set, _) | Self::DeleteElements(table, set, _) => {
                let in_set = format!("set {} in table {} {}", set.name, table.family, table.name);
                let fields = set.elements.fields();
                match offset.and_then(|offset| self.element_at(offset)) {
                    Some(element) => format!("element {} of {in_set}", ElementText { fields, element }),
                    None => format!("an element of {in_set}"),
                }
            }
        }
    }

    /// The element that lies at an offset. Elements are the last in their message.
    fn element_at(self, offset: u32) -> Option<Entry<'a>> {
        let mut writer = Writer::default();
        self.write(&mut writer, 0);
        let sizes: Vec<_> = self.elements().map(|element| encode::element_size(element)).collect();
        let mut start = writer.len().checked_sub(sizes.iter().sum())?;
        let offset = usize::try_from(offset).ok()?;
        offset.checked_sub(start)?;
        let index = sizes.iter().position(|size| {
            start += size;
            offset < start
        })?;
        self.elements().nth(index)
    }
}

fn steps<'a>(ruleset: &'a Ruleset<'a>, deltas: &'a [TableDelta]) -> impl Iterator<Item = Step<'a>> {
    let changed = ruleset.tables.iter().zip(deltas).filter(|(_, delta)| !delta.is_empty());
    changed.flat_map(|(table, delta)| {
        let chains = || table.chains.iter().zip(&delta.chains).filter(|(_, delta)| **delta != ChainDelta::Same);
        let sets = || table.sets.iter().zip(&delta.sets);
        let new_sets = sets().filter(|(_, delta)| **delta == SetDelta::New).map(|(set, _)| Step::Set(table, set));
        let named = chains().map(|(chain, _)| Step::Chain(table, chain));
        let rules = chains().flat_map(|(chain, delta)| rule_steps(table, chain, delta));
        let flushed = delta.emptied_chains.iter().map(|name| Step::FlushChain(table, name));
        let removed = delta.removed_chains.iter().map(|name| Step::DeleteChain(table, name));
        let elements = in_step(sets().map(|(set, delta)| element_steps(table, set, delta).collect()));
        let emptied = delta.emptied_sets.iter().map(|name| Step::FlushSet(table, name));
        // What rules refer to comes before them, and goes after them.
        let woken = delta.woken.filter(|_| !delta.is_woken_later(table));
        let first = [Step::Table(table, woken)].into_iter().chain(new_sets).chain(named).chain(rules);
        first.chain(flushed).chain(removed).chain(elements).chain(emptied)
    })
}

fn rule_steps<'a>(table: &'a Table, chain: &'a Chain, delta: &'a ChainDelta) -> impl Iterator<Item = Step<'a>> {
    let (flush, all, edits) = match delta {
        ChainDelta::Same => (false, &[][..], &[][..]),
        ChainDelta::New => (false, &*chain.rules, &[][..]),
        ChainDelta::Replaced => (true, &*chain.rules, &[][..]),
        ChainDelta::Edited(edits) => (false, &[][..], &**edits),
    };
    let flush = flush.then_some(Step::FlushChain(table, chain.name));
    let all = all.iter().map(|rule| Step::Rule(table, chain, rule, None));
    let edits = edits.iter().filter_map(|edit| match *edit {
        RuleEdit::Delete { handle } => Some(Step::DeleteRule(table, chain, handle)),
        RuleEdit::Insert { rule, before } => Some(Step::Rule(table, chain, chain.rules.get(rule)?, before)),
    });
    flush.into_iter().chain(all).chain(edits)
}

fn element_steps<'a>(table: &'a Table, set: &'a Set, delta: &'a SetDelta) -> impl Iterator<Item = Step<'a>> {
    let most = encode::elements_per_message(&set.elements);
    let (all, remove, add) = match delta {
        SetDelta::New => (set.elements.len(), &[][..], &[][..]),
        SetDelta::Edited { remove, add } => (0, &**remove, &**add),
    };
    let remove = remove.chunks(most).map(move |part| Step::DeleteElements(table, set, part));
    let all = (0..all).step_by(most).map(move |first| Part::Range(first, most.min(all - first)));
    let add = add.chunks(most).map(Part::These);
    remove.chain(all.chain(add).map(move |part| Step::Elements(table, set, part)))
}

/// All sets are filled side by side: the kernel enlarges a hash table in the background, and what is added to the same table
/// meanwhile costs it several times more.
fn in_step<'a>(sets: impl Iterator<Item = Vec<Step<'a>>>) -> impl Iterator<Item = Step<'a>> {
    const WHOLE: usize = 1 << 20;
    let placed = sets.flat_map(|steps| {
        let number = steps.len().max(1);
        steps.into_iter().enumerate().map(move |(index, step)| (index * WHOLE / number, step))
    });
    let mut placed: Vec<_> = placed.collect();
    // Stable.
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, step)| step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ruleset::{Family, Identifier};

    #[test]
    fn sets_of_any_size_are_filled_side_by_side_each_in_its_order() {
        let table = Table::named(Family::Bridge, Identifier::ours("t"));
        // Any step with a name will do.
        let steps = |names: &[&'static str]| names.iter().map(|name| Step::FlushSet(&table, name)).collect::<Vec<_>>();
        let order = in_step([steps(&["a1", "a2"]), steps(&[]), steps(&["b1", "b2", "b3", "b4"])].into_iter());
        let name = |step| match step {
            Step::FlushSet(_, name) => name,
            _ => "",
        };
        assert_eq!(order.map(name).collect::<Vec<_>>(), ["a1", "b1", "b2", "a2", "b3", "b4"]);
    }
}
