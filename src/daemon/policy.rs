//! One attempt of the watch: look at the registry, load the kernel, write the files.
//!
//! The policy in force was made of a registry that was read whole. It is kept, for as long as there is no newer one that
//! can be read and that the kernel accepts: a registry that is broken, or not there, takes nothing away, and what
//! somebody flushes meanwhile is restored from it. What the kernel holds is never remembered but read.
//!
//! Nor does an uplink that nobody trusts take anything away: it keeps new policies from being loaded, not the one in force
//! from being restored.

use super::commits::{Follower, Ours};
use super::schedule::{Outcome, Part, Work};
use crate::cli::process::Request;
use crate::error::{Error, Result, in_words};
use crate::netlink::{Connection, DumpError};
use crate::plan::diff::{self, TableDelta};
use crate::plan::ruleset::{Elements, Ruleset};
use crate::plan::{parts, policy};
use crate::process::{conflicts, drop_flag, tell, untrusted_uplinks, write_files};
use crate::registry::Registry;
use crate::registry::lock::Lock;
use crate::registry::store::{self, Version};
use crate::sink::nft_netlink::apply::{self, Applied, Failure};
use crate::sink::nft_netlink::elements;
use std::io::{self, Write};

/// What the watch keeps between attempts.
pub struct Policy<'a> {
    request: &'a Request,
    accepted: Option<Accepted>,
    /// Why the policy is loaded but not in force, as it was last seen.
    idle: Option<String>,
    /// Addresses of several instances, as they were last said.
    conflicts: String,
    /// The uplinks that nobody trusts, as a message, when they were looked at last.
    uplinks: Option<String>,
}

/// The registry that the policy was made of.
struct Accepted {
    registry: Registry,
    /// Of its file, if there was one.
    version: Option<Version>,
    /// Whether everything else was made of it, too.
    is_written: bool,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct Attempt {
    /// For the schedule.
    pub outcome: Outcome,
    /// For people.
    pub problems: Vec<Error>,
    /// Why the policy is loaded but not in force.
    pub idle: Option<String>,
}

/// As far as an attempt has come.
struct Progress {
    registry: Part,
    kernel: Part,
    problems: Vec<Error>,
}

impl<'a> Policy<'a> {
    /// Nothing is known yet.
    pub fn new(request: &'a Request) -> Self {
        Self { request, accepted: None, idle: None, conflicts: String::new(), uplinks: None }
    }

    /// How many instances the policy in force knows, when there is one of ours.
    pub fn instances(&self) -> Option<usize> {
        self.accepted.as_ref().map(|accepted| accepted.registry.len())
    }

    /// Does what there is to do. What was done goes to `news`; that a policy was restored is for the schedule to say.
    pub fn attempt(&mut self, work: Work, follower: &mut Follower, news: &mut dyn Write) -> Attempt {
        let mut progress = Progress { registry: Part::NotSeen, kernel: Part::NotSeen, problems: Vec::new() };
        match self.advance(work, follower, news, &mut progress) {
            Ok(()) => {}
            Err(Failure::Stale { loaded }) => {
                let outcome = Outcome::Overtaken { loaded };
                return Attempt { outcome, problems: Vec::new(), idle: self.idle.clone() };
            }
            Err(Failure::Final(error)) => {
                progress.problems.push(error);
                let failed = |looked: bool, part| if looked && part == Part::NotSeen { Part::Failed } else { part };
                progress.registry = failed(work.registry, progress.registry);
                progress.kernel = failed(work.kernel, progress.kernel);
            }
        }
        let Progress { registry, kernel, mut problems } = progress;
        // Also where nothing had to be loaded: who works over the uplink has lost it.
        if let Some(refusal) = &self.uplinks
            && problems.iter().all(|problem| problem.to_string() != *refusal)
        {
            problems.push(Error::new(refusal));
        }
        Attempt { outcome: Outcome::Ended { registry, kernel }, problems, idle: self.idle.clone() }
    }

    fn advance(
        &mut self,
        work: Work,
        follower: &mut Follower,
        news: &mut dyn Write,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        // Before anything is read: then a commit of somebody else's after the reading makes ours stale.
        let generation = apply::generation()?;
        if work.registry || !self.is_current() {
            match self.renew(work, generation, follower, news, progress) {
                Err(Failure::Final(error)) => {
                    progress.registry = Part::Failed;
                    progress.problems.push(error);
                }
                ended => ended?,
            }
        }
        if work.kernel && progress.kernel == Part::NotSeen {
            progress.kernel = match &self.accepted {
                Some(accepted) => {
                    let ruleset = policy::ruleset(&accepted.registry, &self.request.wishes);
                    let applied = self.load(&ruleset, None, generation, work, follower)?;
                    let part = part(&applied);
                    self.idle = applied.idle;
                    part
                }
                // There is nothing to restore; the registry is tried again.
                None => Part::Held,
            };
        }
        Ok(())
    }

    /// Whether the registry is the one that the policy was made of, and everything was made of it.
    fn is_current(&self) -> bool {
        let now = Version::at(&self.request.paths.registry());
        self.accepted.as_ref().is_some_and(|accepted| accepted.is_written && accepted.version == now)
    }

    /// Makes policy and files of the registry, if it is a new one or the flag is up.
    fn renew(
        &mut self,
        work: Work,
        generation: u32,
        follower: &mut Follower,
        news: &mut dyn Write,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let request = self.request;
        let paths = &request.paths;
        self.uplinks = untrusted_uplinks(request)?.map(|refusal| refusal.to_string());
        if !work.reload && self.is_current() && Version::at(&paths.flag()).is_none() {
            progress.registry = Part::Held;
            return Ok(());
        }
        // Without the lock, whose file would be made anew in a folder that is just being removed.
        self.refuse_missing()?;
        if let Some(refusal) = &self.uplinks {
            return Err(Error::new(refusal).into());
        }
        // Nobody waits for the kernel, so the lock is given back at once.
        let read = Lock::acquire(&paths.lock()).and_then(|_lock| {
            let flag = Version::at(&paths.flag());
            store::read(&paths.registry()).map(|snapshot| (snapshot, flag))
        });
        let (snapshot, flag) = match read {
            Ok(read) => read,
            Err(error) => {
                if !self.is_in_force()? {
                    // Closed, as for a registry that is not there, until it can be read.
                    let nothing = Registry::default();
                    progress.kernel = part(&apply::apply(&policy::ruleset(&nothing, &request.wishes), generation)?);
                }
                return Err(error.into());
            }
        };
        let (registry, version) = (snapshot.registry, snapshot.layout.map(|layout| layout.version));
        if registry.is_empty() && flag.is_none() {
            self.refuse_emptied()?;
        }

        let held =
            self.accepted.as_ref().filter(|_| follower.held() == Some(generation) && !work.reload && !work.insist);
        let parts = held.and_then(|held| parts::of(&held.registry, &registry, &request.wishes));
        let (ruleset, deltas) = match parts.as_ref().and_then(|parts| self.changes(parts)) {
            Some((ruleset, deltas)) => (ruleset, Some(deltas)),
            None => (policy::ruleset(&registry, &request.wishes), None),
        };
        let applied = self.load(&ruleset, deltas.as_deref(), generation, work, follower)?;
        progress.kernel = part(&applied);
        self.idle.clone_from(&applied.idle);
        // Protection first: the files are for names.
        let written = Lock::acquire(&paths.lock()).and_then(|_lock| write_files(request, &registry));
        let finished = written.and_then(|written| drop_flag(request, flag).map(|()| written));
        if let Ok(written) = &finished {
            // That it is idle is for the watch to say, once.
            tell(registry.len(), written, Some((&ruleset, Applied { idle: None, ..applied })), news);
        }
        let conflicts = conflicts(&registry);
        if conflicts != self.conflicts {
            let _ = news.write_all(conflicts.as_bytes());
            self.conflicts = conflicts;
        }
        self.accepted = Some(Accepted { registry, version, is_written: finished.is_ok() });
        finished?;
        progress.registry = Part::Changed;
        Ok(())
    }

    /// A registry that is not there is not believed, unless there never was one.
    fn refuse_missing(&self) -> Result<()> {
        let path = self.request.paths.registry();
        if Version::at(&path).is_some() || !self.is_in_force()? {
            return Ok(());
        }
        let path = path.display();
        let error = Error::new(format!("{path} is not there; the policy stays as it is"));
        Err(error.remedy(format!("put it back, or for a registry without instances: echo {{}} >{path}")))
    }

    /// Nor is one from which all instances are gone at once, unless somebody says so by the flag. To be asked to read it
    /// anew says nothing about what is in it.
    fn refuse_emptied(&self) -> Result<()> {
        let lost = match self.instances() {
            Some(0) => return Ok(()),
            Some(had) => format!("all of its {had} instances"),
            // Who ran before us may have known some.
            None if self.is_in_force()? => "all of its instances".to_owned(),
            None => return Ok(()),
        };
        let (path, flag) = (self.request.paths.registry(), self.request.paths.flag());
        let message = format!("{} has lost {lost}; the policy stays as it is", path.display());
        Err(Error::new(message).remedy(format!("if that is meant: touch {}", flag.display())))
    }

    /// What leads from the policy of what is held to that of what is planned, and the latter.
    fn changes<'r>(&self, [held, planned]: &'r [Registry; 2]) -> Option<(Ruleset<'r>, Vec<TableDelta>)> {
        let [held, planned] = [held, planned].map(|registry| policy::ruleset(registry, &self.request.wishes));
        diff::between(&held, &planned).map(|deltas| (planned, deltas))
    }

    /// Makes the kernel hold this ruleset: by these deltas, if it is known what it holds, otherwise by a comparison.
    fn load(
        &self,
        ruleset: &Ruleset,
        deltas: Option<&[TableDelta]>,
        generation: u32,
        work: Work,
        follower: &mut Follower,
    ) -> Result<Applied, Failure> {
        let applied = match deltas {
            Some(deltas) => {
                let loaded = apply::apply_changes(ruleset, deltas, generation)?;
                Applied { loaded, created: Vec::new(), idle: self.idle.clone() }
            }
            // In which generation it is held, the events of what is committed next will have us find out.
            None if work.insist => return apply::insist(ruleset),
            None => apply::apply(ruleset, generation)?,
        };
        let held = if applied.loaded { apply::next(generation) } else { generation };
        follower.hold(Ours::of(ruleset), held);
        Ok(applied)
    }

    /// Whether there is a policy with instances, ours or that of who ran before us.
    fn is_in_force(&self) -> Result<bool> {
        if let Some(accepted) = &self.accepted {
            return Ok(accepted.version.is_some());
        }
        let nothing = Registry::default();
        let ruleset = policy::ruleset(&nothing, &self.request.wishes);
        let Some(table) = ruleset.tables.first() else { return Ok(false) };
        let failed = |error: io::Error| Error::new(format!("cannot read the kernel's sets: {}", in_words(&error)));
        // Offenders are there without any instance.
        let planned = table.sets.iter().filter(|set| !matches!(set.elements, Elements::Recorded(_)));
        let mut connection = Connection::open(mnl::Bus::Netfilter).map_err(failed)?;
        for set in planned {
            let mut is_filled = false;
            let dumped = elements::dump(&mut connection, table, set.name.as_str(), |_| is_filled = true);
            match dumped {
                // Who changes it meanwhile has it.
                Err(DumpError::Interrupted) => return Ok(true),
                Err(DumpError::Io(error)) if error.raw_os_error() != Some(libc::ENOENT) => return Err(failed(error)),
                _ if is_filled => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }
}

fn part(applied: &Applied) -> Part {
    if applied.loaded { Part::Changed } else { Part::Held }
}
