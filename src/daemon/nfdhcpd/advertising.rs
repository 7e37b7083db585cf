//! When which tap gets a router advertisement that nobody asked for: a value without clock or I/O.
//!
//! The period is divided into slots, and each tap has one, so that a period's advertisements are spread over it however many
//! taps there are, and as many taps cost one wake-up as fit a slot. A tap that is new or has changed is told at once, but
//! not all at once when all have changed.

use crate::daemon::schedule::Moment;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A slot, where the period is long enough: advertisements come so much too early or late at most.
const SLOT: Duration = Duration::from_millis(250);
/// Slots at most.
const MOST_SLOTS: u32 = 1 << 14;
/// At most so many taps are told at once ...
const AT_ONCE: usize = 64;
/// ... and then there is a pause, for packets.
const PAUSE: Duration = Duration::from_millis(10);

/// The schedule. Taps are the indices of their interfaces.
#[derive(Debug)]
pub struct Advertising {
    slots: u32,
    slot: Duration,
    taps: BTreeMap<u32, Vec<u32>>,
    places: FxHashMap<u32, u32>,
    /// The slot that is next, and when that is.
    next: (u32, Moment),
    /// Who is to be told now, each once.
    due: VecDeque<u32>,
    waiting: FxHashSet<u32>,
    not_before: Moment,
    /// Taps so far.
    turn: u32,
}

impl Advertising {
    /// Each tap once in this period.
    pub fn every(period: Duration, now: Moment) -> Self {
        let period = period.max(Duration::from_millis(1));
        let slots = (period.as_nanos() / SLOT.as_nanos()).clamp(1, MOST_SLOTS.into());
        let slots = u32::try_from(slots).unwrap_or(MOST_SLOTS);
        let slot = period / slots;
        Self {
            slots,
            slot,
            taps: BTreeMap::new(),
            places: FxHashMap::default(),
            next: (0, now + slot),
            due: VecDeque::new(),
            waiting: FxHashSet::default(),
            not_before: now,
            turn: 0,
        }
    }

    /// From now on the tap is told; also at once if it is not to wait for its turn.
    pub fn add(&mut self, tap: u32, at_once: bool) {
        if !self.places.contains_key(&tap) {
            self.turn = self.turn.wrapping_add(1);
            // Multiples of the golden ratio, modulo 1, are far from each other however many they are.
            let fraction = self.turn.wrapping_mul(0x9e37_79b9);
            let slot = u32::try_from((u64::from(fraction) * u64::from(self.slots)) >> 32).unwrap_or_default();
            self.places.insert(tap, slot);
            self.taps.entry(slot).or_default().push(tap);
        }
        if at_once && self.waiting.insert(tap) {
            self.due.push_back(tap);
        }
    }

    /// It is told no more.
    pub fn remove(&mut self, tap: u32) {
        let Some(slot) = self.places.remove(&tap) else { return };
        if let Some(taps) = self.taps.get_mut(&slot) {
            taps.retain(|other| *other != tap);
            if taps.is_empty() {
                self.taps.remove(&slot);
            }
        }
    }

    /// Who is to be told now: not more at a time than others can wait for.
    pub fn due(&mut self, now: Moment) -> Vec<u32> {
        self.advance(now);
        if now < self.not_before {
            return Vec::new();
        }
        let count = AT_ONCE.min(self.due.len());
        if count > 0 {
            self.not_before = now + PAUSE;
        }
        let (waiting, places) = (&mut self.waiting, &self.places);
        let told = self.due.drain(..count).inspect(|tap| {
            waiting.remove(tap);
        });
        told.filter(|tap| places.contains_key(tap)).collect()
    }

    /// When [`Self::due`] is to be asked next.
    pub fn next(&self) -> Option<Moment> {
        if !self.due.is_empty() {
            return Some(self.not_before);
        }
        let (slot, at) = self.next;
        let ahead = match self.taps.range(slot..).next() {
            Some((later, _)) => later - slot,
            None => self.taps.keys().next()? + self.slots - slot,
        };
        Some(at + self.slot * ahead)
    }

    /// Takes in the slots that have passed.
    fn advance(&mut self, now: Moment) {
        let (slot, at) = self.next;
        let Some(late) = now.checked_sub(at) else { return };
        let passed = late.as_nanos() / self.slot.as_nanos().max(1) + 1;
        // After a pause of more than a period each is due once, not several times.
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        let told = passed.min(self.slots);
        let first = u64::from(slot) + u64::from(passed - told);
        let first = u32::try_from(first % u64::from(self.slots)).unwrap_or_default();
        let (before_end, wrapped) = (self.slots - first, told.saturating_sub(self.slots - first));
        let end = first + told.min(before_end);
        let ranges = self.taps.range(first..end).chain(self.taps.range(..wrapped));
        self.due.extend(ranges.flat_map(|(_, taps)| taps).filter(|tap| self.waiting.insert(**tap)));
        let next = (u64::from(slot) + u64::from(passed)) % u64::from(self.slots);
        self.next = (u32::try_from(next).unwrap_or_default(), at + self.slot * passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Runs until `end`; who was told when.
    fn run(advertising: &mut Advertising, from: Moment, end: Moment) -> Vec<(Moment, Vec<u32>)> {
        let (mut now, mut told) = (from, Vec::new());
        while let Some(next) = advertising.next().filter(|next| *next < end) {
            assert!(next >= now, "{next:?} {now:?}");
            now = next;
            told.push((now, advertising.due(now)));
        }
        told
    }

    #[test]
    fn ten_thousand_taps_are_each_told_once_in_a_period_and_never_many_at_a_time() {
        let period = Duration::from_secs(300);
        let mut advertising = Advertising::every(period, Moment::ZERO);
        (1..=10_000).for_each(|tap| advertising.add(tap, false));
        let told = run(&mut advertising, Moment::ZERO, period * 3 + SLOT);
        let mut moments: HashMap<u32, Vec<Moment>> = HashMap::new();
        for (now, taps) in &told {
            assert!(taps.len() <= 12, "{}", taps.len());
            for tap in taps {
                moments.entry(*tap).or_default().push(*now);
            }
        }
        assert_eq!(moments.len(), 10_000);
        for moments in moments.values() {
            assert!((3..=4).contains(&moments.len()));
            assert!(moments.windows(2).all(|pair| pair[0] + period == pair[1]), "{moments:?}");
        }
        // Four wake-ups a second.
        assert!(told.len() <= 3 * 1201, "{}", told.len());
    }

    #[test]
    fn one_tap_costs_one_wake_up_in_a_period_and_none_costs_nothing() {
        let mut advertising = Advertising::every(Duration::from_secs(300), Moment::ZERO);
        assert_eq!(advertising.next(), None);
        advertising.add(7, false);
        let told = run(&mut advertising, Moment::ZERO, Duration::from_secs(901));
        assert_eq!(told.iter().map(|(_, taps)| taps.as_slice()).collect::<Vec<_>>(), [[7], [7], [7]]);
        advertising.remove(7);
        advertising.remove(8);
        assert_eq!(advertising.next(), None);
    }

    #[test]
    fn who_is_new_is_told_at_once_and_all_that_are_new_with_pauses() {
        let mut advertising = Advertising::every(Duration::from_secs(300), Moment::ZERO);
        let now = Duration::from_secs(100);
        advertising.due(now);
        (0..200).for_each(|tap| advertising.add(tap, true));
        advertising.add(0, true);
        advertising.remove(1);
        assert_eq!(advertising.due(now).len(), 63);
        assert!(advertising.due(now).is_empty());
        let told = run(&mut advertising, now, now + PAUSE * 4);
        assert_eq!(told.iter().map(|(_, taps)| taps.len()).collect::<Vec<_>>(), [64, 64, 8]);
    }

    #[test]
    fn after_a_long_pause_each_is_told_once() {
        let mut advertising = Advertising::every(Duration::from_secs(10), Moment::ZERO);
        (0..50).for_each(|tap| advertising.add(tap, false));
        let now = Duration::from_secs(86_400);
        let mut told = advertising.due(now);
        told.sort_unstable();
        assert_eq!(told, (0..50).collect::<Vec<_>>());
        assert!(advertising.next().is_some_and(|next| next > now && next <= now + SLOT * 2));
    }

    proptest! {
        /// Whatever the period, whenever it is asked: no tap waits longer than a period and a slot, or than we were late.
        #[test]
        fn nobody_is_forgotten(
            period in 1..100_000_u64,
            taps in 1..40_u32,
            pauses in proptest::collection::vec(0..40_000_u64, 1..200),
        ) {
            let period = Duration::from_millis(period);
            let mut advertising = Advertising::every(period, Moment::ZERO);
            (0..taps).for_each(|tap| advertising.add(tap, false));
            let mut last = vec![Moment::ZERO; taps as usize];
            let mut now = Moment::ZERO;
            for pause in pauses {
                let pause = Duration::from_millis(pause);
                now += pause;
                for tap in advertising.due(now) {
                    last[tap as usize] = now;
                }
                let patience = period + advertising.slot * 2 + pause * 2;
                prop_assert!(last.iter().all(|last| now <= *last + patience), "{last:?} {now:?}");
            }
        }
    }
}
