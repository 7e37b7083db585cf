//! How long to wait after failures: twice as long each time, and never all at the same moment.

use std::time::Duration;

/// The waits after failures in a row. Pure: chance comes from the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits about `first` after the first failure, and never longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Another failure: how long to wait, between half of the whole wait and all of it, as `seed` says (any number; clients
    /// that lost a server at the same moment should not come back at the same moment).
    pub fn next(&mut self, seed: u64) -> Duration {
        let doubled = 2_u32.checked_pow(self.failures).and_then(|factor| self.first.checked_mul(factor));
        let whole = doubled.unwrap_or(self.longest).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        // The upper 32 bits of the seed as a fraction of one.
        let fraction = u32::try_from(seed >> 32).unwrap_or(u32::MAX);
        half + half.mul_f64(f64::from(fraction) / f64::from(u32::MAX))
    }

    /// How many failures there were since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A success: what was before is forgotten.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest_and_a_success_forgets_all() {
        let mut backoff = Backoff::new(SECOND, 30 * SECOND);
        let waits: Vec<_> = (0..7).map(|_| backoff.next(u64::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.failures(), 7);
        backoff.reset();
        assert_eq!((backoff.next(u64::MAX), backoff.next(0)), (SECOND, SECOND));
    }

    proptest! {
        #[test]
        fn waits_lie_between_half_and_whole_forever(seeds in prop::collection::vec(any::<u64>(), 1..80)) {
            let mut backoff = Backoff::new(SECOND, 60 * SECOND);
            for (failure, seed) in seeds.into_iter().enumerate() {
                let whole = SECOND * 2_u32.pow(failure.min(6).try_into().unwrap());
                let whole = whole.min(60 * SECOND);
                let wait = backoff.next(seed);
                prop_assert!(whole / 2 <= wait && wait <= whole, "{wait:?} after {failure}");
            }
        }
    }
}
