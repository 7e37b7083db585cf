//! One transaction: all of the ruleset or nothing.
//!
//! Nothing that somebody may refer to is deleted: tables, chains and sets are added if they are missing, flushed and
//! filled again. People's own base chains, their jumps and their sets in the same table survive.

use super::encode::{self, ElementsPart};
use super::kernel;
use super::readback::TableState;
use crate::netlink::{ACK, REQUEST, TooLong, Writer};
use crate::plan::ruleset::{Chain, Rule, Ruleset, Set, Table};
use crate::sink::nft_text::RuleText;

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

/// Bytes of a typical rule, for the first guess of the batch's size.
const TYPICAL_RULE: usize = 512;

/// The batch which makes the kernel hold `ruleset` where it held `before`, a state for each table, valid only while the
/// kernel's generation is `generation`.
///
/// # Errors
/// A message is too long, which no ruleset of ours is.
pub fn replace(ruleset: &Ruleset, generation: u32, before: &[TableState]) -> Result<Batch, TooLong> {
    let rules: usize = ruleset.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum();
    let elements: usize = ruleset.tables.iter().flat_map(|table| &table.sets).map(|set| set.elements.len()).sum();
    let mut writer = Writer::with_capacity(4096 + rules * TYPICAL_RULE + elements * 32);
    writer.message(BATCH_BEGIN, REQUEST, FIRST, &BATCH_HEADER, |writer| writer.number(BATCH_GENID, generation));
    let mut last = FIRST;
    let mut last_start = 0;
    for (sequence, step) in (FIRST + 1..).zip(steps(ruleset, before)) {
        (last, last_start) = (sequence, writer.len());
        step.write(&mut writer, sequence);
    }
    // One acknowledgement, of the last object: one for each would overrun the receive buffer, and BATCH_END is only
    // acknowledged since Linux 6.10.
    writer.add_flags(last_start, ACK);
    writer.message(BATCH_END, REQUEST, last + 1, &BATCH_HEADER, |_| {});
    Ok(Batch { bytes: writer.finish()?, acknowledged: last })
}

/// What the message with this sequence number was for.
pub fn step<'a>(ruleset: &'a Ruleset<'a>, before: &'a [TableState], sequence: u32) -> Option<Step<'a>> {
    steps(ruleset, before).nth(usize::try_from(sequence.checked_sub(FIRST + 1)?).ok()?)
}

/// One message of the transaction.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// See [`encode::table`].
    Table(&'a Table<'a>),
    /// See [`encode::chain`].
    Chain(&'a Table<'a>, &'a Chain<'a>),
    /// See [`encode::flush_chain`].
    FlushChain(&'a Table<'a>, &'a str),
    /// See [`encode::delete_chain`].
    DeleteChain(&'a Table<'a>, &'a str),
    /// See [`encode::rule`].
    Rule(&'a Table<'a>, &'a Chain<'a>, &'a Rule<'a>),
    /// See [`encode::set`].
    Set(&'a Table<'a>, &'a Set),
    /// See [`encode::flush_set`].
    FlushSet(&'a Table<'a>, &'a str),
    /// See [`encode::elements`].
    Elements(&'a Table<'a>, &'a Set, ElementsPart<'a>),
}

impl Step<'_> {
    fn write(self, writer: &mut Writer, sequence: u32) {
        match self {
            Self::Table(table) => encode::table(writer, sequence, table),
            Self::Chain(table, chain) => encode::chain(writer, sequence, table, chain),
            Self::FlushChain(table, name) => encode::flush_chain(writer, sequence, table, name),
            Self::DeleteChain(table, name) => encode::delete_chain(writer, sequence, table, name),
            Self::Rule(table, chain, rule) => encode::rule(writer, sequence, table, chain, rule),
            Self::Set(table, set) => encode::set(writer, sequence, table, set),
            Self::FlushSet(table, name) => encode::flush_set(writer, sequence, table, name),
            Self::Elements(table, set, part) => encode::elements(writer, sequence, table, set, part),
        }
    }

    /// Says what the message was for; with the offset that the kernel names, which element.
    pub fn describe(self, offset: Option<u32>) -> String {
        match self {
            Self::Table(table) => format!("table {} {}", table.family, table.name),
            Self::Chain(table, chain) => format!("chain {} in table {} {}", chain.name, table.family, table.name),
            Self::FlushChain(table, name) => format!("flush of chain {name} in table {} {}", table.family, table.name),
            Self::DeleteChain(table, name) => {
                format!("removal of chain {name} in table {} {}", table.family, table.name)
            }
            Self::Rule(_, chain, rule) => format!("rule in chain {}: {}", chain.name, RuleText(rule)),
            Self::Set(table, set) => format!("set {} in table {} {}", set.name, table.family, table.name),
            Self::FlushSet(table, name) => format!("flush of set {name} in table {} {}", table.family, table.name),
            Self::Elements(table, set, part) => {
                let in_set = format!("set {} in table {} {}", set.name, table.family, table.name);
                match offset.and_then(|offset| self.element_at(part, offset)) {
                    Some(element) => format!("element {element} of {in_set}"),
                    None => format!("an element of {in_set}"),
                }
            }
        }
    }

    /// Elements are the last in their message and all of one size.
    fn element_at(self, part: ElementsPart, offset: u32) -> Option<String> {
        let mut writer = Writer::default();
        self.write(&mut writer, 0);
        let size = encode::ELEMENT_OVERHEAD + part.key_length();
        let first = writer.len().checked_sub(part.len() * size)?;
        part.text(usize::try_from(offset).ok()?.checked_sub(first)? / size)
    }
}

fn steps<'a>(ruleset: &'a Ruleset<'a>, before: &'a [TableState]) -> impl Iterator<Item = Step<'a>> {
    ruleset.tables.iter().zip(before).flat_map(|(table, before)| {
        let present = |name: &str| before.chains.contains_key(name);
        let unhooked = table.absent_chains.iter().map(|(name, _)| *name).filter(move |name| present(name));
        let unhook = unhooked.flat_map(|name| [Step::FlushChain(table, name), Step::DeleteChain(table, name)]);
        let chains = table.chains.iter().flat_map(move |chain| {
            let flush = present(chain.name).then_some(Step::FlushChain(table, chain.name));
            let rules = chain.rules.iter().map(move |rule| Step::Rule(table, chain, rule));
            [Step::Chain(table, chain)].into_iter().chain(flush).chain(rules)
        });
        let sets = table.sets.iter().flat_map(move |set| {
            let parts = encode::parts(&set.elements).map(move |part| Step::Elements(table, set, part));
            [Step::Set(table, set), Step::FlushSet(table, set.name.as_str())].into_iter().chain(parts)
        });
        let retired = before.retired_sets(table).map(move |name| Step::FlushSet(table, name));
        [Step::Table(table)].into_iter().chain(unhook).chain(chains).chain(sets).chain(retired)
    })
}
