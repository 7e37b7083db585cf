//! How many packets of a tap are looked at: so many a second of each kind, and a second's worth at once. A value without a
//! clock.
//!
//! All taps share the queues, which are first in, first out. What is over the limit is dropped before anything of it is
//! read, which costs a microsecond or two, so that the packets of other taps behind it wait for milliseconds at most. Each
//! kind counts for itself: a guest that looks for all its neighbours still gets its lease.

use crate::daemon::schedule::Moment;
use crate::plan::responder::rules::Traffic;
use std::time::Duration;

/// The limit; `None`: there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit(Option<Share>);

/// Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    of_each: u64,
    at_once: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Limit {
    /// So many packets a second.
    pub fn per_second(packets: Option<u32>) -> Self {
        let share = |packets: u32| {
            let of_each = SECOND / u64::from(packets.max(1));
            // The last packet of those that come at once is through before its share has passed.
            Share { of_each, at_once: SECOND.saturating_sub(of_each) }
        };
        Self(packets.map(share))
    }
}

/// What a tap has had: until when its packets so far last at the limit's pace, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    until: [u64; Traffic::ALL.len()],
    /// Packets that were over the limit and are not reported yet.
    over: u64,
    quiet_until: Moment,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// It is looked at.
    Within,
    /// It is too much.
    Over,
    /// It is too much, and it is time to say so: so many are, since that was said last.
    OverSay(u64),
}

/// From one report of a tap to the next.
pub const QUIET: Duration = Duration::from_secs(10);

impl Used {
    /// Counts one more packet.
    pub fn measure(&mut self, kind: Traffic, limit: Limit, now: Moment) -> Measured {
        let Limit(Some(share)) = limit else { return Measured::Within };
        let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let Some(until) = self.until.get_mut(kind as usize) else { return Measured::Within };
        let begins = nanoseconds.max(*until);
        if begins - nanoseconds <= share.at_once {
            *until = begins.saturating_add(share.of_each);
            return Measured::Within;
        }
        self.over += 1;
        if now < self.quiet_until {
            return Measured::Over;
        }
        self.quiet_until = now + QUIET;
        Measured::OverSay(std::mem::take(&mut self.over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn within(used: &mut Used, kind: Traffic, limit: Limit, now: Moment) -> bool {
        used.measure(kind, limit, now) == Measured::Within
    }

    #[test]
    fn a_seconds_worth_comes_at_once_and_then_one_after_the_other() {
        let (limit, mut used) = (Limit::per_second(Some(100)), Used::default());
        let at = Duration::from_millis;
        assert_eq!(
            (0..1000).filter(|_| within(&mut used, Traffic::NeighborSolicitations, limit, at(5000))).count(),
            100
        );
        assert!(!within(&mut used, Traffic::NeighborSolicitations, limit, at(5009)));
        assert!(within(&mut used, Traffic::NeighborSolicitations, limit, at(5010)));
        assert!(!within(&mut used, Traffic::NeighborSolicitations, limit, at(5010)));
        // Another kind is not touched by that.
        assert!(within(&mut used, Traffic::Dhcp4, limit, at(5010)));
        // Nothing is saved up for later than a second.
        assert_eq!(
            (0..1000).filter(|_| within(&mut used, Traffic::NeighborSolicitations, limit, at(3_600_000))).count(),
            100
        );
    }

    #[test]
    fn a_limit_of_one_lets_one_through_and_none_lets_all() {
        let mut used = Used::default();
        let one = Limit::per_second(Some(1));
        assert!(within(&mut used, Traffic::RouterSolicitations, one, Moment::ZERO));
        assert!(!within(&mut used, Traffic::RouterSolicitations, one, Duration::from_millis(999)));
        assert!(within(&mut used, Traffic::RouterSolicitations, one, Duration::from_secs(1)));
        assert!((0..1000).all(|_| within(
            &mut used,
            Traffic::RouterSolicitations,
            Limit::per_second(None),
            Moment::ZERO
        )));
    }

    #[test]
    fn the_first_that_is_over_is_said_and_then_every_ten_seconds_how_many_were() {
        let (limit, mut used) = (Limit::per_second(Some(1)), Used::default());
        let mut said = Vec::new();
        for millisecond in 0..25_000 {
            if let Measured::OverSay(over) =
                used.measure(Traffic::NeighborSolicitations, limit, Duration::from_millis(millisecond))
            {
                said.push((millisecond, over));
            }
        }
        // One of each thousand is within it.
        assert_eq!(said, [(1, 1), (10_001, 9_990), (20_001, 9_990)]);
    }

    proptest! {
        /// In no stretch of time are there more than the limit allows for it, and a second's worth.
        #[test]
        fn nobody_gets_more_than_the_limit(rate in 1..2000_u32, pauses in proptest::collection::vec(0..50_000_u64, 1..500)) {
            let (limit, mut used) = (Limit::per_second(Some(rate)), Used::default());
            let (mut now, mut granted) = (Moment::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_micros(pause);
                if within(&mut used, Traffic::Dhcp6, limit, now) {
                    granted.push(now);
                }
            }
            for (place, end) in granted.iter().enumerate() {
                for (start_place, start) in granted.iter().take(place).enumerate() {
                    // So many take, at the limit's pace, a second longer than they took.
                    let pace = Duration::from_nanos(SECOND / u64::from(rate));
                    let between = u32::try_from(place - start_place).expect("few");
                    prop_assert!(pace * between <= end.saturating_sub(*start) + Duration::from_secs(1));
                }
            }
        }
    }
}
