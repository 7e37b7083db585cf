//! What the watch does next, from what happened, how the last attempt ended and what time it is. A value: no I/O, no
//! clock.
//!
//! - A change of the registry is acted upon at once. What comes in while an attempt runs is one change.
//! - A foreign change of the kernel's ruleset is repaired at once, too, unless somebody fights us: each repair doubles
//!   the time until the next, and a while of peace forgets it.
//! - What failed is tried again, after doubling times; a new version of the registry does not wait for them.

use std::time::Duration;

/// The time since the watch began.
pub type Moment = Duration;

/// The first pause.
pub const SHORTEST: Duration = Duration::from_millis(10);
/// No pause is longer.
pub const LONGEST: Duration = Duration::from_secs(30);
/// So long after a pause nothing may have happened for the next one to be the first again.
pub const PEACE: Duration = Duration::from_secs(10);
/// How often we may be overtaken by other people's commits before that counts as a failure.
pub const TRIES: u32 = 20;
/// A comparison that found nothing is followed by a rest of so many times its own length ...
const REST: u32 = 9;
/// ... but not by a longer one than this: what comes in meanwhile may be worse.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The registry or its flag may have changed.
    Registry,
    /// Somebody may have changed what is ours in the kernel.
    Kernel,
    /// Everything is to be read anew.
    Reload,
    /// It is time to go.
    End,
}

/// What an attempt is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// The registry, and what is made of it.
    pub registry: bool,
    /// Whether the kernel still holds the policy.
    pub kernel: bool,
    /// Everything, even what seems not to have changed.
    pub reload: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody else committed meanwhile; nothing was done.
    Overtaken,
    /// It came to its end.
    Ended {
        /// What became of the registry.
        registry: Part,
        /// What became of the kernel.
        kernel: Part,
    },
}

/// What became of one thing that an attempt looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nobody looked.
    NotSeen,
    /// It was as it should be.
    Held,
    /// It was changed.
    Changed,
    /// It could not be made what it should be.
    Failed,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something may be due: [`Schedule::begin`].
    Work,
    /// Wait for events, until this moment if there is one.
    Wait(Option<Moment>),
    /// Leave.
    End,
}

/// Pauses that double.
#[derive(Debug, Clone, Copy, Default)]
struct Backoff {
    level: u32,
    pause: Duration,
    until: Moment,
}

impl Backoff {
    /// One more time; says whether the pause is a new one.
    fn step(&mut self, now: Moment) -> bool {
        if now >= self.until + self.pause.max(PEACE) {
            self.level = 0;
        }
        let before = if self.level == 0 { Duration::ZERO } else { self.pause };
        self.pause = SHORTEST.saturating_mul(1_u32.checked_shl(self.level).unwrap_or(u32::MAX)).min(LONGEST);
        self.level = (self.level + 1).min(31);
        self.until = now + self.pause;
        self.pause != before
    }
}

/// What the watch knows about time.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    end: bool,
    reload: bool,
    /// The registry has changed.
    registry: bool,
    /// The registry could not be processed.
    registry_again: bool,
    kernel: bool,
    repairs: Backoff,
    registry_failures: Backoff,
    kernel_failures: Backoff,
    rest: Moment,
    overtaken: u32,
}

/// What an attempt's end means for what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The policy was restored, and that is to be said: the time until the next repair is a new one, and it is this.
    pub restored: Option<Duration>,
    /// Others have changed the ruleset all the time.
    pub gave_up: bool,
}

impl Schedule {
    /// Notes what happened.
    pub fn note(&mut self, event: Event) {
        match event {
            Event::Registry => self.registry = true,
            Event::Kernel => self.kernel = true,
            Event::Reload => self.reload = true,
            Event::End => self.end = true,
        }
    }

    /// What is to be done now.
    pub fn next(&self, now: Moment) -> Step {
        if self.end {
            return Step::End;
        }
        match self.due() {
            Some(due) if due <= now => Step::Work,
            due => Step::Wait(due),
        }
    }

    /// When something is due next.
    fn due(&self) -> Option<Moment> {
        if self.reload || self.registry {
            return Some(Moment::ZERO);
        }
        let registry = self.registry_again.then_some(self.registry_failures.until);
        let kernel = self.kernel.then_some(self.kernel_due());
        registry.into_iter().chain(kernel).min()
    }

    fn kernel_due(&self) -> Moment {
        self.repairs.until.max(self.kernel_failures.until).max(self.rest)
    }

    /// Begins an attempt: what it has to look at.
    pub fn begin(&mut self, now: Moment) -> Work {
        let registry = self.registry || (self.registry_again && self.registry_failures.until <= now);
        let kernel = self.reload || (self.kernel && self.kernel_due() <= now);
        let work = Work { registry: registry || self.reload, kernel, reload: self.reload };
        self.reload = false;
        if work.registry {
            self.registry = false;
            self.registry_again = false;
        }
        work
    }

    /// Notes how an attempt ended that began at `began`.
    pub fn ended(&mut self, work: Work, outcome: Outcome, began: Moment, now: Moment) -> Verdict {
        let Outcome::Ended { registry, kernel } = outcome else { return self.was_overtaken(work, now) };
        self.overtaken = 0;
        let mut verdict = Verdict::default();
        match registry {
            Part::Failed => {
                self.registry_again = true;
                self.registry_failures.step(now);
            }
            Part::Held | Part::Changed => self.registry_failures = Backoff::default(),
            Part::NotSeen => {}
        }
        match kernel {
            Part::NotSeen => {}
            Part::Held => {
                self.kernel = false;
                self.kernel_failures = Backoff::default();
                self.rest = now + now.saturating_sub(began).saturating_mul(REST).min(LONGEST_REST);
            }
            Part::Changed => {
                let foreign = self.kernel && !work.reload;
                self.kernel = false;
                self.kernel_failures = Backoff::default();
                if foreign && self.repairs.step(now) {
                    verdict.restored = Some(self.repairs.pause);
                }
            }
            Part::Failed => {
                self.kernel = true;
                self.kernel_failures.step(now);
            }
        }
        verdict
    }

    fn was_overtaken(&mut self, work: Work, now: Moment) -> Verdict {
        self.overtaken += 1;
        let gave_up = self.overtaken >= TRIES;
        if gave_up {
            self.overtaken = 0;
            self.registry_again |= work.registry;
            self.kernel |= work.kernel;
            self.registry_failures.step(now);
            self.kernel_failures.step(now);
        } else {
            self.reload |= work.reload;
            self.registry |= work.registry;
            self.kernel |= work.kernel;
        }
        Verdict { gave_up, ..Verdict::default() }
    }
}
