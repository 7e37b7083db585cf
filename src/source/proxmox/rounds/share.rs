//! How many have their turn.

use std::time::Duration;

/// Has everybody take a turn within a time, evenly: as many as belong to the time that has passed.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Time for which nobody had a turn.
    owed: Duration,
}

impl Share {
    /// How many of `count` have their turn now, so that each has one `within` a time, if somebody asks after each `pause`.
    pub fn next(&mut self, count: usize, within: Duration, pause: Duration) -> usize {
        // Nobody's turn may wait for the end of a pause, and answers take their time, too.
        let within = within.saturating_sub(pause + Duration::from_secs(1));
        let apart = within / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        if apart.is_zero() {
            return count;
        }
        self.owed += pause;
        let turns = self.owed.as_nanos() / apart.as_nanos();
        self.owed = self.owed.saturating_sub(apart.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX)));
        usize::try_from(turns).unwrap_or(usize::MAX).min(count)
    }
}
