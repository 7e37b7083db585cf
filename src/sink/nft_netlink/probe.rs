//! What the kernel's nf_tables can do, found out without changing anything; and tables that have become empty.

use super::apply::{errno, no_nf_tables, no_permission};
use super::batch::{Batch, FIRST};
use super::socket::{Refusal, Socket};
use super::{batch, encode};
use crate::error::{Error, Result, in_words};
use crate::netlink::{TooLong, Writer};
use crate::plan::ruleset::{Chain, Family, Identifier, Rule, Ruleset, Statement, Table};

/// Whether the kernel has nf_tables.
pub fn has_nf_tables() -> bool {
    Socket::open().is_ok_and(|mut socket| socket.generation().is_ok())
}

/// Whether rules can hand packets to a queue (nft_queue). The kernel is asked to load its module.
///
/// It is tried in a transaction that ends with the removal of a chain that is not there, so nothing comes of it.
///
/// # Errors
/// No permission.
pub fn has_queue() -> Result<bool> {
    const TABLE: u32 = FIRST + 1;
    const RULE: u32 = FIRST + 3;
    const NEVER: u32 = FIRST + 4;
    let table = Table::named(Family::Ip, Identifier::ours("instances_probe"));
    let queue = Rule::of([Statement::Queue { number: 0, bypass: true }]);
    let chain = Chain { name: "probe", meant_for: None, hook: None, rules: vec![queue] };
    let batch = in_batch(NEVER, |writer| {
        encode::table(writer, TABLE, &table, None);
        encode::chain(writer, TABLE + 1, &table, &chain);
        chain.rules.iter().for_each(|rule| encode::rule(writer, RULE, &table, &chain, rule, None));
        encode::delete_chain(writer, NEVER, &table, "nobody_has_this");
    });
    let mut socket = Socket::open().map_err(|error| no_nf_tables(&error))?;
    match socket.commit(&batch.map_err(|error| Error::new(error.to_string()))?) {
        Err(Refusal::Kernel(error)) if error.code == libc::EPERM => Err(no_permission(&errno(error.code))),
        // The first error counts: if it is the last message's, the kernel took the rule.
        Err(Refusal::Kernel(error)) => Ok(error.sequence == NEVER),
        Err(Refusal::Stale) | Ok(()) => Ok(false),
        Err(Refusal::Unsent(error) | Refusal::NoAnswer(error)) => {
            Err(Error::new(format!("cannot ask nf_tables whether it has queues: {}", in_words(&error))))
        }
    }
}

/// Deletes those of the tables that hold nothing any more; others put something into the rest.
///
/// # Errors
/// The kernel refuses for another reason than that.
pub fn drop_empty_tables(ruleset: &Ruleset) -> Result<()> {
    let mut socket = Socket::open().map_err(|error| no_nf_tables(&error))?;
    for table in &ruleset.tables {
        let batch = in_batch(FIRST + 1, |writer| encode::delete_empty_table(writer, FIRST + 1, table));
        match socket.commit(&batch.map_err(|error| Error::new(error.to_string()))?) {
            Err(Refusal::Kernel(error)) if ![libc::ENOENT, libc::EBUSY].contains(&error.code) => {
                let message = format!("cannot delete table {} {}: {}", table.family, table.name, errno(error.code));
                return Err(Error::new(message));
            }
            Err(Refusal::Unsent(error) | Refusal::NoAnswer(error)) => {
                return Err(Error::new(format!("cannot delete empty tables: {}", in_words(&error))));
            }
            // A kernel without the bridge family has no such table either.
            Ok(()) | Err(Refusal::Kernel(_) | Refusal::Stale) => {}
        }
    }
    Ok(())
}

/// A batch of these messages, valid in any generation, whose last one is acknowledged.
fn in_batch(last: u32, messages: impl FnOnce(&mut Writer)) -> Result<Batch, TooLong> {
    let mut writer = Writer::default();
    batch::begin(&mut writer);
    messages(&mut writer);
    batch::end(&mut writer, last + 1);
    Ok(Batch { bytes: writer.finish()?, acknowledged: last })
}
