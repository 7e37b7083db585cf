//! `instances-process --watch`: stays, and keeps kernel and files as the registry wants them.
//!
//! One thread, one poll(2) over inotify, nf_tables' events, those of links and signals. All that has come is taken in before
//! anything is done, so a burst costs one attempt; a single event is acted upon at once.

use super::commits::{Commits, Follower, Seen};
use super::folder::Folder;
use super::links::Links;
use super::metrics::Metrics;
use super::policy::{Attempt, Policy};
use super::schedule::{Event, Moment, Outcome, Part, Schedule, Step, Verdict, Work};
use super::signals;
use super::supervisor::Supervisor;
use crate::cli::process::{PROGRAM, Request};
use crate::error::{Error, Result, in_words};
use crate::exit::Exit;
use crate::process::refuse_own_files;
use crate::sink::nft_netlink::apply;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::io::Write;
use std::time::{Duration, Instant};

/// How often we look whether everything is as it was, in case that an event did not come.
const ROUND: Duration = Duration::from_secs(30);

/// Stays until SIGTERM or SIGINT, which leave everything in force.
///
/// # Errors
/// The events that it lives by cannot be had. What goes wrong later is said and tried again.
pub fn run(request: &Request, news: &mut dyn Write) -> Result<Exit> {
    refuse_own_files(request)?;
    for left_out in &request.left_out {
        let _ = writeln!(news, "{left_out}");
    }
    let mut watch = Watch {
        began: Instant::now(),
        signals: signals::take()?,
        folder: Folder::watch(&request.paths.registry(), &request.paths.flag())?,
        // Before the first look at the ruleset: no change of it is missed.
        commits: Commits::listen()?,
        links: Links::listen()?,
        follower: Follower::default(),
        policy: Policy::new(request),
        schedule: Schedule::default(),
        supervisor: Supervisor::from_environment(),
        said: Vec::new(),
        idle: None,
        next_round: ROUND,
        metrics: None,
    };
    watch.schedule.note(Event::Reload);
    loop {
        watch.take_in()?;
        let now = watch.now();
        watch.supervisor.tell(now);
        match watch.schedule.next(now) {
            Step::End => {
                watch.supervisor.stopping();
                watch.supervisor.tell(now);
                return Ok(Exit::Done);
            }
            Step::Work => watch.work(request, news),
            Step::Wait(until) => {
                match &watch.metrics {
                    None => watch.metrics = Metrics::begin(request)?,
                    Some(metrics) => metrics.problems().iter().for_each(|problem| watch.say(problem, news)),
                }
                watch.wait(until)?;
            }
        }
    }
}

struct Watch<'a> {
    began: Instant,
    signals: SignalFd,
    folder: Folder,
    commits: Commits,
    links: Links,
    follower: Follower,
    policy: Policy<'a>,
    schedule: Schedule,
    supervisor: Supervisor,
    /// What went wrong since everything was fine: said once each.
    said: Vec<String>,
    /// Why the policy is loaded but not in force.
    idle: Option<String>,
    next_round: Moment,
    /// What writes them, from the first attempt on.
    metrics: Option<Metrics>,
}

/// Errors that are remembered as said.
const SAID: usize = 64;

impl Watch<'_> {
    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    /// Takes in all that has happened.
    fn take_in(&mut self) -> Result<()> {
        // With the registry, since that may have waited for an uplink to go.
        if self.folder.changed()? | self.links.changed()? {
            self.schedule.note(Event::Registry);
        }
        match self.commits.drain(&mut self.follower)? {
            Seen::Nothing => {}
            Seen::Change => self.schedule.note(Event::Kernel),
            Seen::Loss => self.compare_generations(),
        }
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGHUP) => {
                    self.supervisor.reloading();
                    self.schedule.note(Event::Reload);
                }
                Ok(Signal::SIGINT | Signal::SIGTERM) => self.schedule.note(Event::End),
                _ => {}
            }
        }
        if self.now() >= self.next_round {
            self.next_round = self.now() + ROUND;
            self.folder.is_still_there()?;
            // Costs two look-ups, and a look at the links, when there is nothing new.
            self.schedule.note(Event::Registry);
            self.compare_generations();
        }
        Ok(())
    }

    fn compare_generations(&mut self) {
        if self.follower.held().is_some() && apply::generation().ok() != self.follower.held() {
            self.schedule.note(Event::Kernel);
        }
    }

    fn work(&mut self, request: &Request, news: &mut dyn Write) {
        let began = self.now();
        let work = self.schedule.begin(began);
        let by = self.follower.by().map(ToString::to_string);
        let Attempt { outcome, mut problems, idle } = self.policy.attempt(work, &mut self.follower, news);
        let verdict = self.schedule.ended(work, outcome, began, self.now());
        if let Some(pause) = verdict.restored {
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let table = &request.wishes.table;
            let _ = writeln!(
                news,
                "{PROGRAM}: table bridge {table} was changed{by}: restored; when it is changed again, after {pause:?}"
            );
        }
        if verdict.gave_up {
            let error = Error::new("the kernel's ruleset is changed by others all the time, ours does not get in");
            problems.push(error.remedy("see who does it with: nft monitor; the old policy is in force"));
        }
        self.tell_idle(idle, news);
        self.report(work, outcome, verdict, &problems, news);
    }

    /// Says that the policy is not in force, when it was so far or is not for another reason.
    fn tell_idle(&mut self, idle: Option<String>, news: &mut dyn Write) {
        if let Some(why) = idle.as_ref().filter(|_| idle != self.idle) {
            let _ = writeln!(news, "{PROGRAM}: loaded but not in force: {why}");
        }
        self.idle = idle;
    }

    fn report(&mut self, work: Work, outcome: Outcome, verdict: Verdict, problems: &[Error], news: &mut dyn Write) {
        for problem in problems {
            self.say(problem, news);
        }
        let Outcome::Ended { registry, .. } = outcome else {
            if verdict.gave_up {
                self.supervisor.reloaded();
            }
            return;
        };
        let instances = self.policy.instances();
        let status = match (instances, problems.first()) {
            (Some(instances), _) if let Some(why) = &self.idle => {
                format!("The policy of {instances} instances is loaded but not in force: {why}")
            }
            (Some(instances), None) => format!("The policy of {instances} instances is in force"),
            (Some(instances), Some(problem)) => {
                format!("The policy of {instances} instances stays in force: {problem}")
            }
            (None, Some(problem)) => format!("Not in force yet: {problem}"),
            (None, None) => return,
        };
        self.supervisor.status(status, instances.is_some());
        if work.reload {
            self.supervisor.reloaded();
        }
        if problems.is_empty() && registry != Part::NotSeen {
            self.said.clear();
        }
    }

    /// Says what went wrong, once.
    fn say(&mut self, problem: &Error, news: &mut dyn Write) {
        let problem = problem.to_string();
        if !self.said.contains(&problem) {
            let _ = writeln!(news, "{PROGRAM}: {problem}");
            self.said.truncate(SAID - 1);
            self.said.insert(0, problem);
        }
    }

    /// Waits for events, or for the moment when something is due.
    fn wait(&self, until: Option<Moment>) -> Result<()> {
        let due = [until, Some(self.next_round), self.supervisor.next(self.now())].into_iter().flatten().min();
        let timeout = due.map(|due| due.saturating_sub(self.now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let signals: BorrowedFd = self.signals.as_fd();
        let fds = [self.folder.as_fd(), self.commits.as_fd(), self.links.as_fd(), signals];
        let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Error::new(format!("cannot wait for events: {}", in_words(&error.into())))),
        }
    }
}
