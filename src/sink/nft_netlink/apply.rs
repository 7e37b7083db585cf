//! Puts a ruleset in force and makes sure that it is.

use super::batch::{self, Batch};
use super::compare::{self, Comparison, Depth};
use super::elements;
use super::refusal;
use super::socket::{KernelError, Refusal, Socket};
use super::state::{TableState, base_as_planned};
use crate::error::{Error, Result, in_words};
use crate::netlink::DumpError;
use crate::plan::diff::TableDelta;
use crate::plan::ruleset::{Ruleset, Table};
use std::io;
use std::mem;

/// How an attempt to apply a ruleset ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whether it was loaded; otherwise the kernel held it already, nothing was sent, and counters go on.
    pub loaded: bool,
    /// The tables besides the bridge table that were not there before: perhaps by a slip of the pen.
    pub created: Vec<String>,
    /// Why the protections are not in force all the same.
    pub idle: Option<String>,
}

/// Why an attempt did not end well.
#[derive(Debug)]
pub enum Failure {
    /// Somebody else changed the kernel's ruleset meanwhile, or a second transaction has to follow: plan again from the
    /// start.
    Stale {
        /// Whether ours was loaded before.
        loaded: bool,
    },
    /// For good. The old policy is in force.
    Final(Error),
}

impl Failure {
    /// The same after our commit.
    fn after_commit(self) -> Self {
        if matches!(self, Self::Stale { .. }) { Self::Stale { loaded: true } } else { self }
    }

    /// What a dump's failure means for who reads a table.
    pub(super) fn of_dump(table: &Table, error: DumpError) -> Self {
        match error {
            DumpError::Interrupted => Self::Stale { loaded: false },
            // The table, a chain or a set went away between two dumps.
            DumpError::Io(error) if error.raw_os_error() == Some(libc::ENOENT) => Self::Stale { loaded: false },
            DumpError::Io(error) => Self::Final(unreadable(table, &error)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// How often reading that is overtaken by changes is begun anew.
pub(super) const TRIES: usize = 20;

/// The kernel's present generation. Ask before reading what the ruleset is planned from.
///
/// # Errors
/// There is no nf_tables, or no permission.
pub fn generation() -> Result<u32> {
    Socket::open().and_then(|mut socket| socket.generation()).map_err(|error| no_nf_tables(&error))
}

/// The generation that a commit makes of this one: the kernel leaves out 0.
pub(crate) fn next(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(1)
}

/// Makes the kernel hold `ruleset`, in one transaction that is valid only for `generation`, and reads it back.
///
/// # Errors
/// [`Failure`]; then the old policy is in force, except where the kernel does not hold what it acknowledged.
pub fn apply(ruleset: &Ruleset, generation: u32) -> Result<Applied, Failure> {
    load(ruleset, Some(generation))
}

/// The same whatever others commit meanwhile, for where they do so all the time: each such commit would make ours stale, and what
/// it is planned from hard to read in one piece. A transaction that does not fit what they made of the ruleset is refused as a
/// whole; one that does is read back. Whoever calls looks again when it hears of a commit.
///
/// # Errors
/// [`Failure`].
pub fn insist(ruleset: &Ruleset) -> Result<Applied, Failure> {
    load(ruleset, None)
}

fn load(ruleset: &Ruleset, generation: Option<u32>) -> Result<Applied, Failure> {
    // Closing a socket after a commit waits for what the kernel has to free, so there is one for all.
    let mut socket = open()?;
    if generation.is_none() {
        // On a busy machine each of fifty dumps is cut into by who commits every few milliseconds.
        socket.connection().take_interrupted();
    }
    let before = compare_all(&mut socket, ruleset, Depth::Bounded, None)?;
    for (table, (state, _)) in ruleset.tables.iter().zip(&before) {
        refuse_conflicts(table, state)?;
    }
    let (states, mut comparisons): (Vec<_>, Vec<_>) = before.into_iter().unzip();
    let deltas: Vec<_> = comparisons.iter_mut().map(|comparison| mem::take(&mut comparison.delta)).collect();
    let batch = batch::build(ruleset, generation, &deltas).map_err(|error| Error::new(error.to_string()))?;
    let Some(batch) = batch else {
        // Dumps are not marked where a commit has cut into them.
        if generation.is_some() && socket.generation().ok() != generation {
            return Err(Failure::Stale { loaded: false });
        }
        let idle = idle(ruleset, states.first(), comparisons.first());
        return Ok(Applied { loaded: false, created: Vec::new(), idle });
    };
    commit(&mut socket, ruleset, &deltas, &batch, generation.is_some())?;
    drop(batch);
    if ruleset.tables.iter().zip(&deltas).any(|(table, delta)| delta.is_woken_later(table)) {
        return Err(Failure::Stale { loaded: true });
    }
    let after = compare_all(&mut socket, ruleset, Depth::Bounded, Some(&deltas)).map_err(Failure::after_commit)?;
    for (table, (_, comparison)) in ruleset.tables.iter().zip(&after) {
        if comparison.count > 0 {
            let differences = comparison.differences.join("; ");
            return Err(not_as_loaded(table, comparison.count, &differences, generation));
        }
    }
    let created = ruleset.tables.iter().zip(&states).skip(1).filter(|(_, state)| state.flags.is_none());
    let created = created.map(|(table, _)| format!("table {} {}", table.family, table.name)).collect();
    let (state, comparison) = after.first().map(|(state, comparison)| (state, comparison)).unzip();
    Ok(Applied { loaded: true, created, idle: idle(ruleset, state, comparison) })
}

/// Makes the kernel, which is known to hold something else in this `generation`, hold `ruleset` by these deltas of
/// elements, and reads back what was added. Says whether anything had to be sent.
///
/// # Errors
/// As for [`apply`].
pub fn apply_changes(ruleset: &Ruleset, deltas: &[TableDelta], generation: u32) -> Result<bool, Failure> {
    let batch = batch::build(ruleset, Some(generation), deltas).map_err(|error| Error::new(error.to_string()))?;
    let Some(batch) = batch else { return Ok(false) };
    let mut socket = open()?;
    commit(&mut socket, ruleset, deltas, &batch, true)?;
    for (table, delta) in ruleset.tables.iter().zip(deltas) {
        // Edited sets are not counted.
        let lacks = elements::not_loaded(&mut socket, table, delta, |_| None);
        let lacks = lacks.map_err(|error| Failure::Final(unreadable(table, &error)))?;
        if let Some((sign, text)) = lacks.first() {
            return Err(not_as_loaded(table, lacks.len(), &format!("{sign}{text}"), Some(generation)));
        }
    }
    Ok(true)
}

fn open() -> Result<Socket> {
    Socket::open().map_err(|error| no_nf_tables(&error))
}

fn commit(
    socket: &mut Socket,
    ruleset: &Ruleset,
    deltas: &[TableDelta],
    batch: &Batch,
    is_certain: bool,
) -> Result<(), Failure> {
    socket.commit(batch).map_err(|refusal| match refusal {
        Refusal::Stale => Failure::Stale { loaded: false },
        // Somebody else took away what was to be removed.
        Refusal::Kernel(KernelError { code: libc::ENOENT, .. }) if !is_certain => Failure::Stale { loaded: false },
        Refusal::Kernel(error) => Failure::Final(refusal::explained(ruleset, deltas, &error)),
        Refusal::Unsent(error) => Failure::Final(unsent(batch.bytes.len(), &error)),
        Refusal::NoAnswer(error) => Failure::Final(unanswered(&error)),
    })
}

/// What a full comparison found.
#[derive(Debug)]
pub struct Checked {
    /// The differences for each table, as lines of a diff.
    pub differences: Vec<Vec<String>>,
    /// Why the protections are not in force.
    pub idle: Option<String>,
}

/// Compares the kernel with the plan, in full.
///
/// # Errors
/// The kernel cannot be asked, or does not come to rest.
pub fn check(ruleset: &Ruleset) -> Result<Checked> {
    let mut socket = open()?;
    for _ in 0..TRIES {
        let before = socket.generation().map_err(|error| no_nf_tables(&error))?;
        match compare_all(&mut socket, ruleset, Depth::Full, None) {
            Err(Failure::Stale { .. }) => {}
            Err(Failure::Final(error)) => return Err(error),
            // What was read before a commit does not go together with what was read after it.
            Ok(_) if socket.generation().map_err(|error| no_nf_tables(&error))? != before => {}
            Ok(compared) => {
                let (state, comparison) = compared.first().map(|(state, comparison)| (state, comparison)).unzip();
                let idle = idle(ruleset, state, comparison);
                let differences = compared.into_iter().map(|(_, comparison)| comparison.differences).collect();
                return Ok(Checked { differences, idle });
            }
        }
    }
    Err(changes_all_the_time())
}

pub(super) fn changes_all_the_time() -> Error {
    Error::new("the kernel's ruleset changes all the time").remedy("see who does it with: nft monitor")
}

fn compare_all(
    socket: &mut Socket,
    ruleset: &Ruleset,
    depth: Depth,
    loaded: Option<&[TableDelta]>,
) -> Result<Vec<(TableState, Comparison)>, Failure> {
    let compared = ruleset.tables.iter().enumerate().map(|(index, table)| {
        let loaded = loaded.and_then(|deltas| deltas.get(index));
        compare::compare(socket, table, depth, loaded).map_err(|error| Failure::of_dump(table, error))
    });
    compared.collect()
}

/// Why the protections in the bridge table, the first, are loaded but not in force, if so.
fn idle(ruleset: &Ruleset, state: Option<&TableState>, comparison: Option<&Comparison>) -> Option<String> {
    let (table, state, comparison) = (ruleset.tables.first()?, state?, comparison?);
    comparison.reach.idle(table, &table.protections, state)
}

/// What is in the way, found out beforehand: older kernels would take a set of another type without a word.
fn refuse_conflicts(table: &Table, state: &TableState) -> Result<()> {
    let place = format!("table {} {}", table.family, table.name);
    if state.is_owned() {
        let message = format!("{place} belongs to another program (flag owner), which alone may change it");
        return Err(Error::new(message).remedy("choose another with --table"));
    }
    let planned = table.chains.iter().map(|chain| (chain.name, chain.hook));
    let removed = table.absent_chains.iter().copied();
    for (name, hook) in planned.chain(removed) {
        let Some(found) = state.chains.get(name) else { continue };
        if found.base != hook.map(base_as_planned) {
            let found = match &found.base {
                Some((hook, priority, kind)) => {
                    format!("a base chain (type {kind}, hook number {hook}, priority {priority})")
                }
                None => "a chain without hook".to_owned(),
            };
            let message = format!("{place} has {name} already, and it is {found} that is not ours");
            return Err(Error::new(message).remedy("rename that one, or choose another table with --table"));
        }
    }
    for (base, protection) in &table.kept_hooks {
        if state.chains.contains_key(*base) && table.chains.iter().all(|chain| chain.name != *protection) {
            let message = format!("{place} has our base chain {base}, which leads to {protection}; that would be gone");
            return Err(
                Error::new(message).remedy("say --guard strict or --hook BRIDGE again, or --hook none to remove it")
            );
        }
    }
    for set in &table.sets {
        let found = state.sets.get(set.name.as_str());
        if let Some(deviation) = found.and_then(|found| found.deviation(set)) {
            let message = format!("{place} has a set {} already, {deviation}", set.name);
            return Err(Error::new(message).remedy("rename or delete that one, or choose another table with --table"));
        }
    }
    Ok(())
}

fn not_as_loaded(table: &Table, count: usize, differences: &str, generation: Option<u32>) -> Failure {
    // Our own commit is one step; what is more is somebody else's, who may well have changed our table.
    if self::generation().is_ok_and(|now| generation.is_none_or(|before| now != next(before))) {
        return Failure::Stale { loaded: true };
    }
    let message = format!(
        "table {} {}: the kernel acknowledged the transaction but holds something else in {count} places: {differences}",
        table.family, table.name
    );
    Failure::Final(Error::new(message).remedy("this is a bug here or in the kernel: please report it"))
}

fn unreadable(table: &Table, error: &io::Error) -> Error {
    if error.raw_os_error() == Some(libc::EPERM) {
        return no_permission(&in_words(error));
    }
    Error::new(format!("cannot read table {} {} from the kernel: {}", table.family, table.name, in_words(error)))
}

pub(super) fn no_nf_tables(error: &io::Error) -> Error {
    if error.raw_os_error() == Some(libc::EPERM) {
        return no_permission(&in_words(error));
    }
    Error::new(format!("cannot talk to nf_tables: {}", in_words(error)))
        .remedy("this kernel may lack it: modprobe nf_tables")
}

pub(super) fn no_permission(words: &str) -> Error {
    Error::new(format!("the kernel does not let us change its ruleset: {words}"))
        .remedy("run as root, or with CAP_NET_ADMIN")
}

fn unsent(bytes: usize, error: &io::Error) -> Error {
    let failed = Error::new(format!("cannot send a transaction of {bytes} bytes: {}", in_words(error)));
    match error.raw_os_error() {
        Some(libc::EMSGSIZE | libc::ENOBUFS) => failed
            .remedy("the socket's buffer is too small: run with CAP_NET_ADMIN in the host's user namespace, or raise net.core.wmem_max"),
        _ => failed.remedy("the old policy is in force"),
    }
}

fn unanswered(error: &io::Error) -> Error {
    Error::new(format!("the kernel's answer to the transaction is missing: {}", in_words(error)))
        .remedy("what is in force shows: instances-process --check --apply")
}

pub(super) fn errno(code: i32) -> String {
    in_words(&io::Error::from_raw_os_error(code))
}
