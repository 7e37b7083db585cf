//! `instances-process`: from the registry to files and kernel.

use crate::cli::print;
use crate::cli::process::{PROGRAM, Request, Task, Uplinks};
use crate::daemon::watch;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::explain;
use crate::plan::groups;
use crate::plan::hosts;
use crate::plan::policy::{self, Hooking};
use crate::plan::ruleset::{Elements, Ruleset, Set, Table};
use crate::plan::uplinks;
use crate::registry::Registry;
use crate::registry::lock::Lock;
use crate::registry::store::{self, Version};
use crate::report;
use crate::sink::nft_netlink::apply::{self, Applied, Failure};
use crate::sink::{atomic_file, nft_text};
use crate::source::bridge_ports;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::slice;

/// How often a plan is made anew because somebody else changed the kernel's ruleset meanwhile.
const TRIES: usize = 20;

/// Bytes of a file that `--check` reads at least.
const LARGEST_DIFF: u64 = 64 << 20;

/// Addresses of several instances that are named in full.
const MOST_CONFLICTS: usize = 3;

/// Does what was asked for. Differences go to `out`, the rest to `news` (standard error).
///
/// # Errors
/// One line for a person; the flag stays, the old policy is in force.
pub fn run(request: &Request, out: &mut dyn Write, news: &mut dyn Write) -> Result<Exit> {
    if let Some(explain) = &request.explain {
        return explain::run(request, explain, out, news);
    }
    if request.task == Task::Watch {
        return watch::run(request, news);
    }
    refuse_own_files(request)?;
    if request.task == Task::Report {
        return report::run(request, out, news);
    }
    if request.task == Task::ProcessUpdate && Version::at(&request.paths.flag()).is_none() {
        return Ok(Exit::NothingToDo);
    }
    for left_out in &request.left_out {
        let _ = writeln!(news, "{left_out}");
    }
    match untrusted_uplinks(request)? {
        // It changes nothing, so there is nothing to keep from happening.
        Some(refusal) if request.task == Task::Check => drop(writeln!(news, "{PROGRAM}: {refusal}")),
        Some(refusal) => return Err(refusal),
        None => {}
    }
    if request.task == Task::Check {
        return check(request, out, news);
    }
    for _ in 0..TRIES {
        match attempt(request, news) {
            Ok(exit) => return Ok(exit),
            Err(Failure::Stale { .. }) => {}
            Err(Failure::Final(error)) => return Err(error),
        }
    }
    let message = format!("the kernel's ruleset was changed by others {TRIES} times while ours was made");
    Err(Error::new(message).remedy("see who does it with: nft monitor; the old policy is in force"))
}

/// Neither the hosts file nor the metrics must go where another file of ours is.
pub(crate) fn refuse_own_files(request: &Request) -> Result<()> {
    let paths = &request.paths;
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (fs::canonicalize(folder).ok(), path.file_name().map(ToOwned::to_owned))
    };
    let others = [paths.registry(), paths.flag(), paths.lock(), paths.chains(), paths.sets()];
    let refuse = |option: &str, file: &Path, others: &[PathBuf]| {
        let wanted = place(file);
        let Some(other) = others.iter().find(|other| place(other) == wanted) else { return Ok(()) };
        let message = format!("{option} {}: this is {}, a file of ours", file.display(), other.display());
        Err(Error::new(message).remedy("choose another place"))
    };
    refuse("--hosts-to", &request.hosts, &others)?;
    let Some(metrics) = &request.report.metrics else { return Ok(()) };
    refuse("--metrics", metrics, &[&others[..], slice::from_ref(&request.hosts)].concat())
}

/// Why the bridges must not be protected as they are asked to be, if there is a reason.
pub(crate) fn untrusted_uplinks(request: &Request) -> Result<Option<Error>> {
    match (&request.wishes.hook, request.uplinks) {
        (Hooking::Protect { bridges, trusted_ports }, Uplinks::MustBeTrusted) => {
            Ok(uplinks::refusal(&bridge_ports::read()?, bridges, trusted_ports))
        }
        _ => Ok(None),
    }
}

/// Reads the registry, writes the files, loads the kernel, takes the flag down.
fn attempt(request: &Request, news: &mut dyn Write) -> Result<Exit, Failure> {
    // Before anything is read: then a commit of somebody else's after the reading makes ours stale.
    let generation = if request.apply { Some(apply::generation()?) } else { None };

    let lock = Lock::acquire(&request.paths.lock())?;
    let flag = Version::at(&request.paths.flag());
    // Somebody else may have been faster.
    if flag.is_none() && request.task == Task::ProcessUpdate {
        return Ok(Exit::NothingToDo);
    }
    let registry = store::read(&request.paths.registry())?.registry;
    let conflicts = conflicts(&registry);
    // The kernel may take seconds, for which dnsmasq's next event must not wait.
    drop(lock);

    // Protection first: the files are for names, and there may be no room for them.
    let ruleset = generation.map(|generation| (policy::ruleset(&registry, &request.wishes), generation));
    let loaded = match &ruleset {
        Some((ruleset, generation)) => Some((ruleset, apply::apply(ruleset, *generation)?)),
        None => None,
    };
    let written = Lock::acquire(&request.paths.lock()).and_then(|_lock| write_files(request, &registry))?;
    drop_flag(request, flag)?;
    tell(registry.len(), &written, loaded, news);
    let _ = news.write_all(conflicts.as_bytes());
    Ok(Exit::Done)
}

/// How much went to the files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    /// Lines of the hosts file.
    host_lines: usize,
    /// Rules and sets of the nftables files.
    nftables: Option<(usize, usize)>,
}

/// Writes the hosts file and, if wanted, the nftables files.
pub(crate) fn write_files(request: &Request, registry: &Registry) -> Result<Written> {
    let mut written = Written::default();
    atomic_file::replace(&request.hosts, |out| {
        hosts::lines(registry, &request.domains).try_for_each(|line| {
            written.host_lines += 1;
            writeln!(out, "{line}")
        })
    })?;
    if request.emit {
        let ruleset = policy::ruleset(registry, &request.for_files);
        for (path, print) in nftables_files(request, &ruleset) {
            atomic_file::replace(&path, |out| print(out))?;
        }
        written.nftables = ruleset.tables.first().map(size);
    }
    Ok(written)
}

/// Numbers of rules and sets; base chains are not for including.
fn size(table: &Table) -> (usize, usize) {
    let chains = table.chains.iter().filter(|chain| chain.hook.is_none());
    (chains.map(|chain| chain.rules.len()).sum(), table.sets.len())
}

type Print<'a> = Box<dyn Fn(&mut dyn Write) -> io::Result<()> + 'a>;

/// The two nftables files and what belongs into them: chains with the sets that they look up, and sets for people's own
/// rules.
fn nftables_files<'a>(request: &Request, ruleset: &'a Ruleset) -> [(PathBuf, Print<'a>); 2] {
    let table = ruleset.tables.first();
    let chains = table.map(|table| table.chains.as_slice()).unwrap_or_default();
    let sets = table.map(|table| table.sets.as_slice()).unwrap_or_default();
    let is_for_people = |set: &&Set| matches!(set.elements, Elements::Ipv4(_) | Elements::Ipv6(_));
    let chains = move |out: &mut dyn Write| {
        nft_text::write_sets(out, sets.iter().filter(|set| !is_for_people(set)))?;
        nft_text::write_chains(out, chains)
    };
    let sets = move |out: &mut dyn Write| nft_text::write_sets(out, sets.iter().filter(is_for_people));
    [(request.paths.chains(), Box::new(chains)), (request.paths.sets(), Box::new(sets))]
}

/// Takes the flag down, unless it was raised again since `seen`.
pub(crate) fn drop_flag(request: &Request, seen: Option<Version>) -> Result<()> {
    let path = request.paths.flag();
    let _lock = Lock::acquire(&request.paths.lock())?;
    if seen.is_none() || Version::at(&path) != seen {
        return Ok(());
    }
    fs::remove_file(&path).map_err(|error| Error::io("remove", &path, &error))
}

pub(crate) fn tell(instances: usize, written: &Written, loaded: Option<(&Ruleset, Applied)>, news: &mut dyn Write) {
    let of_kernel = || loaded.as_ref().and_then(|(ruleset, _)| ruleset.tables.first()).map(size);
    let (rules, sets) = written.nftables.or_else(of_kernel).unwrap_or_default();
    let _ = writeln!(
        news,
        "Loading: {instances} instances; saving: {} host addresses, {rules} nftables rules, {sets} nftables sets; done",
        written.host_lines
    );
    if let Some((ruleset, applied)) = loaded {
        let how = if applied.loaded { "loaded and read back" } else { "held already" };
        for table in &ruleset.tables {
            let _ = writeln!(news, "Kernel: table {} {}: {how}", table.family, table.name);
        }
        for table in &applied.created {
            let _ = writeln!(news, "Kernel: {table} was not there and has been made");
        }
        if let Some(why) = applied.idle {
            let _ = writeln!(news, "{PROGRAM}: loaded but not in force: {why}");
        }
    }
}

/// Addresses which two instances may use, as lines for a person.
pub(crate) fn conflicts(registry: &Registry) -> String {
    let shared = registry.shared_addresses();
    let mut lines: Vec<_> = shared.iter().take(MOST_CONFLICTS).map(|shared| format!("{PROGRAM}: {shared}\n")).collect();
    if let Some(more) = shared.len().checked_sub(MOST_CONFLICTS).filter(|more| *more > 0) {
        lines.push(format!("{PROGRAM}: and {more} more addresses of several MACs; see instances-update --list\n"));
    }
    lines.concat()
}

/// Compares files and kernel with the plan, prints what differs.
fn check(request: &Request, out: &mut dyn Write, news: &mut dyn Write) -> Result<Exit> {
    let registry = store::read(&request.paths.registry())?.registry;
    let _ = news.write_all(conflicts(&registry).as_bytes());
    if let Hooking::Protect { bridges, .. } = &request.wishes.hook {
        for note in groups::notes(&bridge_ports::bridges()?, bridges) {
            let _ = writeln!(news, "{PROGRAM}: {note}");
        }
    }
    let for_files = request.emit.then(|| policy::ruleset(&registry, &request.for_files));
    let lines: Print =
        Box::new(|out| hosts::lines(&registry, &request.domains).try_for_each(|line| writeln!(out, "{line}")));
    let mut files = vec![(request.hosts.clone(), lines)];
    if let Some(for_files) = &for_files {
        files.extend(nftables_files(request, for_files));
    }
    let mut differs = false;
    for (path, print) in files {
        differs |= file_differs(&path, &print, out)?;
    }
    if request.apply {
        let ruleset = policy::ruleset(&registry, &request.wishes);
        let checked = apply::check(&ruleset)?;
        for (table, differences) in ruleset.tables.iter().zip(checked.differences) {
            if !differences.is_empty() {
                differs = true;
                let name = format!("table {} {}", table.family, table.name);
                print(out, format_args!("--- {name} (in the kernel)\n+++ {name} (planned)\n"))?;
            }
            for difference in differences {
                print(out, format_args!("{difference}\n"))?;
            }
        }
        if let Some(why) = checked.idle {
            // Who asks about hooks asks whether the policy is in force.
            differs |= matches!(request.wishes.hook, Hooking::Protect { .. });
            let _ = writeln!(news, "{PROGRAM}: not in force: {why}");
        }
    }
    Ok(if differs { Exit::Failed } else { Exit::Done })
}

fn file_differs(path: &Path, planned: &Print, out: &mut dyn Write) -> Result<bool> {
    let mut wanted = Vec::new();
    planned(&mut wanted).map_err(|error| Error::new(error.to_string()))?;
    let mut found = Vec::new();
    if let Some((file, _)) = atomic_file::open_existing(path)? {
        // One byte more than planned is enough to differ; a diff of something endless is not.
        let most = (wanted.len() as u64).max(LARGEST_DIFF);
        file.take(most + 1).read_to_end(&mut found).map_err(|error| Error::io("read", path, &error))?;
    }
    if found == wanted {
        return Ok(false);
    }
    let (wanted, found) = (String::from_utf8_lossy(&wanted), String::from_utf8_lossy(&found));
    let diff = similar::TextDiff::from_lines(&*found, &*wanted);
    let (planned, there) = (format!("{} (planned)", path.display()), format!("{} (there)", path.display()));
    print(out, format_args!("{}", diff.unified_diff().header(&there, &planned)))?;
    Ok(true)
}
