//! One attempt of the watch: look at the registry, load the kernel, write the files.
//!
//! The policy in force was made of a registry that was read whole. It is kept, for as long as there is no newer one that
//! can be read and that the kernel accepts: a registry that is broken, or not there, takes nothing away, and what
//! somebody flushes meanwhile is restored from it. What the kernel holds is never remembered but read.

use super::commits::{Follower, Ours};
use super::schedule::{Outcome, Part, Work};
use crate::cli::process::Request;
use crate::error::{Error, Result, in_words};
use crate::netlink::{Connection, DumpError, Writer};
use crate::plan::policy;
use crate::process::{drop_flag, tell, write_files};
use crate::registry::Registry;
use crate::registry::lock::Lock;
use crate::registry::store::{self, Version};
use crate::sink::nft_netlink::apply::{self, Applied, Failure};
use crate::sink::nft_netlink::{kernel, nfgenmsg};
use std::io::{self, Write};

/// What the watch keeps between attempts.
pub struct Policy<'a> {
    request: &'a Request,
    accepted: Option<Accepted>,
    /// Why the policy is loaded but not in force, as it was last said.
    idle: Option<String>,
}

/// The registry that the policy was made of.
struct Accepted {
    registry: Registry,
    /// Of its file, if there was one.
    version: Option<Version>,
    /// Whether the files were made of it, too.
    is_written: bool,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct Attempt {
    /// For the schedule.
    pub outcome: Outcome,
    /// For people.
    pub problems: Vec<Error>,
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
        Self { request, accepted: None, idle: None }
    }

    /// How many instances the policy in force knows, when there is one of ours.
    pub fn instances(&self) -> Option<usize> {
        self.accepted.as_ref().map(|accepted| accepted.registry.len())
    }

    /// Does what there is to do. What was done goes to `news`; that a policy was restored is for the schedule to say.
    pub fn attempt(&mut self, work: Work, follower: &mut Follower, news: &mut dyn Write) -> Attempt {
        let mut progress = Progress { registry: Part::NotSeen, kernel: Part::NotSeen, problems: Vec::new() };
        match self.advance(work, follower, news, &mut progress) {
            Ok(()) => {
                let outcome = Outcome::Ended { registry: progress.registry, kernel: progress.kernel };
                Attempt { outcome, problems: progress.problems }
            }
            Err(Failure::Stale) => Attempt { outcome: Outcome::Overtaken, problems: Vec::new() },
            Err(Failure::Final(error)) => {
                progress.problems.push(error);
                let failed = |looked: bool, part| if looked && part == Part::NotSeen { Part::Failed } else { part };
                let registry = failed(work.registry, progress.registry);
                let kernel = failed(work.kernel, progress.kernel);
                Attempt { outcome: Outcome::Ended { registry, kernel }, problems: progress.problems }
            }
        }
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
                Some(accepted) => part(&load(self.request, &accepted.registry, generation, follower)?),
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
        if !work.reload && self.is_current() && Version::at(&paths.flag()).is_none() {
            progress.registry = Part::Held;
            return Ok(());
        }
        let lock = Lock::acquire(&paths.lock())?;
        let flag = Version::at(&paths.flag());
        let snapshot = store::read(&paths.registry())?;
        // Nobody waits for the kernel.
        drop(lock);
        let (registry, version) = (snapshot.registry, snapshot.layout.map(|layout| layout.version));
        self.refuse_emptied(&registry, version, flag.is_some() || work.reload)?;

        let applied = load(request, &registry, generation, follower)?;
        progress.kernel = part(&applied);
        // Protection first: the files are for names.
        self.accepted = Some(Accepted { registry, version, is_written: false });
        let Some(accepted) = &mut self.accepted else { return Ok(()) };
        let ruleset = policy::ruleset(&accepted.registry, &request.wishes);
        let lock = Lock::acquire(&paths.lock())?;
        let host_lines = write_files(request, &accepted.registry, &ruleset)?;
        drop(lock);
        accepted.is_written = true;
        drop_flag(request, flag)?;
        progress.registry = Part::Changed;

        let idle = std::mem::replace(&mut self.idle, applied.idle.clone());
        let idle = applied.idle.filter(|why| idle.as_ref() != Some(why));
        tell(accepted.registry.len(), host_lines, &ruleset, Some(Applied { idle, ..applied }), news);
        Ok(())
    }

    /// A registry from which all instances are gone at once is believed only if somebody says so, by the flag or by
    /// asking to read anew. One that is not there is not believed at all, unless there never was one.
    fn refuse_emptied(&self, registry: &Registry, version: Option<Version>, is_meant: bool) -> Result<()> {
        let path = self.request.paths.registry();
        let path = path.display();
        if version.is_none() && self.is_in_force(registry)? {
            let error = Error::new(format!("{path} is not there; the policy stays as it is"));
            return Err(error.remedy(format!("put it back, or for a registry without instances: echo {{}} >{path}")));
        }
        let had = self.instances().unwrap_or_default();
        if registry.is_empty() && had > 0 && !is_meant {
            let message = format!("{path} has lost all of its {had} instances; the policy stays as it is");
            let flag = self.request.paths.flag();
            return Err(Error::new(message).remedy(format!("if that is meant: touch {}", flag.display())));
        }
        Ok(())
    }

    /// Whether there is a policy with instances, ours or that of who ran before us.
    fn is_in_force(&self, nothing: &Registry) -> Result<bool> {
        if let Some(accepted) = &self.accepted {
            return Ok(accepted.version.is_some());
        }
        let ruleset = policy::ruleset(nothing, &self.request.wishes);
        let Some(table) = ruleset.tables.first() else { return Ok(false) };
        let failed = |error: io::Error| Error::new(format!("cannot read the kernel's sets: {}", in_words(&error)));
        for set in &table.sets {
            let mut connection = Connection::open(mnl::Bus::Netfilter).map_err(failed)?;
            let mut is_filled = false;
            let which = |request: &mut Writer| {
                request.text(kernel::SET_ELEM_LIST_TABLE, table.name.as_str());
                request.text(kernel::SET_ELEM_LIST_SET, set.name.as_str());
            };
            let dumped = connection.dump(kernel::GETSETELEM, &nfgenmsg(table.family), which, |answer| {
                let elements = answer.attributes(kernel::NFGENMSG).nested(kernel::SET_ELEM_LIST_ELEMENTS);
                is_filled |= answer.kind == kernel::NEWSETELEM && elements.get(kernel::LIST_ELEM).is_some();
            });
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

/// Makes the kernel hold the policy of this registry. The only place from which the watch reaches the kernel's ruleset:
/// what is faster than comparing and loading all of it goes here.
fn load(request: &Request, registry: &Registry, generation: u32, follower: &mut Follower) -> Result<Applied, Failure> {
    let ruleset = policy::ruleset(registry, &request.wishes);
    let applied = apply::apply(&ruleset, generation)?;
    let held = if applied.loaded { after(generation) } else { generation };
    follower.hold(Ours::of(&ruleset), held);
    Ok(applied)
}

/// The generation that a commit makes: the kernel leaves out 0.
fn after(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(1)
}

fn part(applied: &Applied) -> Part {
    if applied.loaded { Part::Changed } else { Part::Held }
}
