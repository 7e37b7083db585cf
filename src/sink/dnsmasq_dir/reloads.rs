//! When dnsmasq is told to read everything anew. A value: no I/O, no clock.
//!
//! Reservations count from then on. It answers nobody meanwhile and forgets what it has cached, so what comes in between two times is
//! one, and there is an interval between them.

use crate::daemon::schedule::Moment;
use std::time::Duration;

/// The first pause after a failure; each further one doubles it.
const SHORTEST: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether and when.
#[derive(Debug, Clone)]
pub struct Reloads {
    interval: Duration,
    is_wanted: bool,
    not_before: Moment,
    failures: u32,
    count: u64,
}

impl Reloads {
    /// None more often than once in this interval.
    pub fn new(interval: Duration) -> Self {
        Self { interval, is_wanted: false, not_before: Moment::ZERO, failures: 0, count: 0 }
    }

    /// Something has changed.
    pub fn want(&mut self) {
        self.is_wanted = true;
    }

    /// dnsmasq will begin anew after all that has changed.
    pub fn forget(&mut self) {
        self.is_wanted = false;
    }

    /// When it is to be told; nothing: not at all.
    pub fn due(&self) -> Option<Moment> {
        self.is_wanted.then_some(self.not_before)
    }

    /// Whether it is to be told now.
    pub fn is_due(&self, now: Moment) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// It was told.
    pub fn done(&mut self, now: Moment) {
        self.is_wanted = false;
        self.failures = 0;
        self.count += 1;
        self.not_before = now + self.interval;
    }

    /// It could not be told.
    pub fn failed(&mut self, now: Moment) {
        let pause = SHORTEST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(LONGEST);
        self.failures = (self.failures + 1).min(31);
        self.not_before = now + pause;
    }

    /// How often it was told.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_is_told_at_once_and_what_follows_is_one() {
        let mut reloads = Reloads::new(s(30));
        assert_eq!(reloads.due(), None);
        reloads.want();
        assert!(reloads.is_due(s(0)));
        reloads.done(s(5));
        assert_eq!(reloads.due(), None);
        for _ in 0..100 {
            reloads.want();
        }
        assert!(!reloads.is_due(s(34)) && reloads.is_due(s(35)));
        reloads.done(s(35));
        assert_eq!((reloads.due(), reloads.count()), (None, 2));
    }

    #[test]
    fn a_failure_is_tried_again_ever_more_rarely() {
        let mut reloads = Reloads::new(s(30));
        reloads.want();
        let mut now = s(0);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(reloads.is_due(now));
            reloads.failed(now);
            assert_eq!(reloads.due(), Some(now + s(pause)));
            now += s(pause);
        }
        reloads.forget();
        assert_eq!(reloads.due(), None);
    }

    proptest! {
        /// Whatever happens: never two within the interval, none that nobody wanted, and none forgotten.
        #[test]
        fn none_too_often_and_none_forgotten(events in proptest::collection::vec((any::<bool>(), 0_u64..20), 0..100)) {
            let mut reloads = Reloads::new(s(30));
            let (mut now, mut last, mut is_wanted) = (s(0), None, false);
            for (wants, passes) in events {
                if wants {
                    reloads.want();
                    is_wanted = true;
                }
                now += s(passes);
                if reloads.is_due(now) {
                    prop_assert!(is_wanted && last.is_none_or(|last| now >= last + s(30)));
                    reloads.done(now);
                    (last, is_wanted) = (Some(now), false);
                } else {
                    prop_assert!(!is_wanted || last.is_some_and(|last| now < last + s(30)));
                }
            }
        }
    }
}
