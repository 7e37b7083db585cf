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
#[allow(clippy::struct_excessive_bools, reason = "each is a thing to be done or not")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// The registry, and what is made of it.
    pub registry: bool,
    /// Whether the kernel still holds the policy.
    pub kernel: bool,
    /// Everything, even what seems not to have changed.
    pub reload: bool,
    /// Others commit so often that ours has to get in between.
    pub insist: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody else committed meanwhile, and it is to be begun anew.
    Overtaken {
        /// Whether ours was loaded all the same, but could not be read back.
        loaded: bool,
    },
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
#[allow(clippy::struct_excessive_bools, reason = "each says that one kind of thing has happened")]
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    end: bool,
    reload: bool,
    /// The registry has changed.
    registry: bool,
    /// The registry could not be processed.
    registry_again: bool,
    kernel: bool,
    /// The policy was restored, but not read back yet.
    unread: bool,
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
        let insist = self.overtaken >= TRIES / 4;
        let work = Work { registry: registry || self.reload, kernel, reload: self.reload, insist };
        self.reload = false;
        if work.registry {
            self.registry = false;
            self.registry_again = false;
        }
        work
    }

    /// Notes how an attempt ended that began at `began`.
    pub fn ended(&mut self, work: Work, outcome: Outcome, began: Moment, now: Moment) -> Verdict {
        let (registry, kernel) = match outcome {
            Outcome::Ended { registry, kernel } => (registry, kernel),
            Outcome::Overtaken { loaded } => return self.was_overtaken(work, loaded, now),
        };
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
                if std::mem::take(&mut self.unread) {
                    verdict.restored = Some(self.repairs.pause);
                }
                self.rest = now + now.saturating_sub(began).saturating_mul(REST).min(LONGEST_REST);
            }
            Part::Changed => {
                let foreign = self.kernel && !work.reload;
                self.kernel = false;
                self.unread = false;
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

    fn was_overtaken(&mut self, work: Work, loaded: bool, now: Moment) -> Verdict {
        self.overtaken += 1;
        self.unread |= loaded && work.kernel && !work.reload;
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
            if !work.registry {
                // Perhaps what we had just repaired was changed before we had read it back: a fight.
                self.repairs.step(now);
            }
        }
        Verdict { gave_up, ..Verdict::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(milliseconds: u64) -> Moment {
        Duration::from_millis(milliseconds)
    }

    const REPAIRED: Outcome = Outcome::Ended { registry: Part::NotSeen, kernel: Part::Changed };
    const UNREADABLE: Outcome = Outcome::Ended { registry: Part::Failed, kernel: Part::NotSeen };

    /// After the first attempt, which found everything in order.
    fn settled() -> Schedule {
        let mut schedule = Schedule::default();
        schedule.note(Event::Reload);
        let work = schedule.begin(ms(0));
        assert_eq!(work, Work { registry: true, kernel: true, reload: true, insist: false });
        let loaded = Outcome::Ended { registry: Part::Changed, kernel: Part::Changed };
        assert_eq!(schedule.ended(work, loaded, ms(0), ms(1)), Verdict::default());
        assert_eq!(schedule.next(ms(1)), Step::Wait(None));
        schedule
    }

    /// Attempts whenever something is due until `end`, each of which ends so, after a foreign change each millisecond.
    fn fought_over(schedule: &mut Schedule, from: u64, to: u64) -> (usize, Vec<Duration>) {
        let (mut attempts, mut said) = (0, Vec::new());
        for now in (from..to).map(ms) {
            schedule.note(Event::Kernel);
            if schedule.next(now) == Step::Work {
                attempts += 1;
                let work = schedule.begin(now);
                said.extend(schedule.ended(work, REPAIRED, now, now).restored);
            }
        }
        (attempts, said)
    }

    #[test]
    fn a_burst_is_one_attempt_and_at_once() {
        let mut schedule = settled();
        for _ in 0..1000 {
            schedule.note(Event::Registry);
            schedule.note(Event::Kernel);
        }
        assert_eq!(schedule.next(ms(5)), Step::Work);
        let work = schedule.begin(ms(5));
        assert_eq!(work, Work { registry: true, kernel: true, ..Work::default() });
        schedule.ended(work, Outcome::Ended { registry: Part::Held, kernel: Part::Held }, ms(5), ms(6));
        assert_eq!(schedule.next(ms(6)), Step::Wait(None));
    }

    #[test]
    fn a_fight_is_fought_ever_more_rarely_and_said_once_per_step() {
        let mut schedule = settled();
        let (attempts, said) = fought_over(&mut schedule, 1000, 301_000);
        // 10 ms to 20.48 s are twelve steps and 41 s; then every 30 s.
        assert_eq!(said.len(), 13);
        assert_eq!((said.first(), said.last()), (Some(&SHORTEST), Some(&LONGEST)));
        assert_eq!(attempts, 12 + 9);
    }

    #[test]
    fn peace_makes_the_next_repair_immediate_and_its_pause_short() {
        let mut schedule = settled();
        fought_over(&mut schedule, 0, 5000);
        let later = ms(5000) + LONGEST + PEACE + LONGEST;
        schedule.note(Event::Kernel);
        assert_eq!(schedule.next(later), Step::Work);
        let work = schedule.begin(later);
        assert_eq!(schedule.ended(work, REPAIRED, later, later).restored, Some(SHORTEST));
    }

    #[test]
    fn a_registry_that_is_broken_does_not_delay_a_repair() {
        let mut schedule = settled();
        for step in 0..20 {
            let now = ms(step * 60_000);
            schedule.note(Event::Registry);
            let work = schedule.begin(now);
            schedule.ended(work, UNREADABLE, now, now);
        }
        let now = ms(19 * 60_000 + 5);
        schedule.note(Event::Kernel);
        assert_eq!(schedule.next(now), Step::Work);
        assert_eq!(schedule.begin(now), Work { kernel: true, ..Work::default() });
    }

    #[test]
    fn what_failed_is_tried_again_and_a_new_version_does_not_wait() {
        let mut schedule = settled();
        schedule.note(Event::Registry);
        let mut now = ms(100);
        for pause in [10, 20, 40, 80] {
            assert_eq!(schedule.next(now), Step::Work);
            let work = schedule.begin(now);
            schedule.ended(work, UNREADABLE, now, now);
            assert_eq!(schedule.next(now), Step::Wait(Some(now + ms(pause))));
            now += ms(pause);
        }
        schedule.note(Event::Registry);
        assert_eq!(schedule.next(now.saturating_sub(ms(79))), Step::Work);
    }

    #[test]
    fn overtaken_again_and_again_it_gives_up_for_a_while() {
        let mut schedule = settled();
        schedule.note(Event::Registry);
        for attempt in 1..=TRIES {
            assert_eq!(schedule.next(ms(1)), Step::Work);
            let work = schedule.begin(ms(1));
            assert_eq!(work.insist, attempt > TRIES / 4);
            assert_eq!(
                schedule.ended(work, Outcome::Overtaken { loaded: false }, ms(1), ms(1)).gave_up,
                attempt == TRIES
            );
        }
        assert_eq!(schedule.next(ms(1)), Step::Wait(Some(ms(11))));
    }

    #[test]
    fn a_repair_that_was_overtaken_before_it_was_read_back_is_said_once_it_is() {
        let mut schedule = settled();
        let held = Outcome::Ended { registry: Part::NotSeen, kernel: Part::Held };
        let mut ends = |from: u64, outcome| {
            schedule.note(Event::Kernel);
            let work = schedule.begin(ms(from));
            assert!(work.kernel);
            schedule.ended(work, outcome, ms(from), ms(from)).restored
        };
        assert_eq!(ends(1000, Outcome::Overtaken { loaded: true }), None);
        assert_eq!(ends(2000, Outcome::Overtaken { loaded: false }), None);
        assert_eq!(ends(3000, held), Some(SHORTEST * 2));
        assert_eq!(ends(4000, Outcome::Overtaken { loaded: false }), None);
        assert_eq!(ends(5000, held), None);
    }

    #[test]
    fn comparisons_that_find_nothing_leave_time_for_others() {
        let mut schedule = settled();
        schedule.note(Event::Kernel);
        let work = schedule.begin(ms(100));
        let held = Outcome::Ended { registry: Part::NotSeen, kernel: Part::Held };
        schedule.ended(work, held, ms(100), ms(110));
        schedule.note(Event::Kernel);
        assert_eq!(schedule.next(ms(110)), Step::Wait(Some(ms(200))));
    }

    #[derive(Debug, Clone)]
    enum Happens {
        Note(Event),
        Passes(u64),
        Ends(Outcome),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        let part = prop_oneof![Just(Part::Held), Just(Part::Changed), Just(Part::Failed)];
        let outcome = prop_oneof![
            1 => any::<bool>().prop_map(|loaded| Outcome::Overtaken { loaded }),
            4 => (part.clone(), part).prop_map(|(registry, kernel)| Outcome::Ended { registry, kernel }),
        ];
        prop_oneof![
            prop_oneof![Just(Event::Registry), Just(Event::Kernel), Just(Event::Reload)].prop_map(Happens::Note),
            (0_u64..3_000).prop_map(Happens::Passes),
            outcome.prop_map(Happens::Ends),
        ]
    }

    proptest! {
        /// Whatever happens: a change of the registry is due at once, nothing else later than in 30 s, nothing that was
        /// noted is forgotten before it was looked at with success, and a schedule at rest has nothing to do.
        #[test]
        fn nothing_is_forgotten_and_nothing_waits_too_long(history in proptest::collection::vec(happens(), 0..200)) {
            let mut schedule = Schedule::default();
            let mut now = ms(0);
            let (mut registry, mut kernel, mut fresh) = (false, false, false);
            for event in history {
                match event {
                    Happens::Note(event) => {
                        schedule.note(event);
                        registry |= event != Event::Kernel;
                        kernel |= event != Event::Registry;
                        fresh |= event != Event::Kernel;
                    }
                    Happens::Passes(time) => now += ms(time),
                    Happens::Ends(outcome) => {
                        if schedule.next(now) != Step::Work {
                            continue;
                        }
                        let work = schedule.begin(now);
                        let outcome = match outcome {
                            Outcome::Ended { registry: _, kernel: part } if !work.registry => {
                                Outcome::Ended { registry: Part::NotSeen, kernel: part }
                            }
                            Outcome::Ended { registry: part, kernel: _ } if !work.kernel => {
                                Outcome::Ended { registry: part, kernel: Part::NotSeen }
                            }
                            outcome => outcome,
                        };
                        let verdict = schedule.ended(work, outcome, now, now);
                        if let Outcome::Ended { registry: read, kernel: loaded } = outcome {
                            registry &= !matches!(read, Part::Held | Part::Changed);
                            kernel &= !matches!(loaded, Part::Held | Part::Changed);
                            kernel |= loaded == Part::Failed;
                            fresh = false;
                        } else {
                            fresh &= !verdict.gave_up;
                        }
                    }
                }
                match schedule.next(now) {
                    Step::Work => prop_assert!(registry || kernel),
                    Step::Wait(None) => prop_assert!(!registry && !kernel),
                    Step::Wait(Some(due)) => {
                        prop_assert!((registry || kernel) && !fresh);
                        prop_assert!(due > now && due <= now + LONGEST);
                    }
                    Step::End => prop_assert!(false),
                }
            }
        }
    }
}
