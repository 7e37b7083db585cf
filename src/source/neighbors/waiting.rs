//! What was seen and not told yet. It stays small whatever comes: of each (MAC, address) the newest alone, of each MAC a few
//! addresses, and only MACs that are known come in.

use super::Sighted;
use crate::net::Mac;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::collections::hash_map::Entry;

/// Addresses that wait of one MAC, at most; of more, the oldest is lost. A guest has fewer, unless it means harm; then the harm is
/// its own.
pub const MOST: usize = 16;

/// What waits. MACs take turns: who talks all the time delays nobody else.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Each MAC that has something, once.
    turns: VecDeque<Mac>,
    by_mac: FxHashMap<Mac, VecDeque<Sighted>>,
    /// How many were lost.
    pub lost: u64,
}

impl Waiting {
    /// Lets it wait.
    pub fn push(&mut self, sighted: Sighted) {
        let of_mac = match self.by_mac.entry(sighted.mac) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.turns.push_back(sighted.mac);
                entry.insert(VecDeque::with_capacity(1))
            }
        };
        if let Some(older) = of_mac.iter_mut().find(|older| older.address == sighted.address) {
            *older = sighted;
            return;
        }
        if of_mac.len() >= MOST {
            of_mac.pop_front();
            self.lost += 1;
        }
        of_mac.push_back(sighted);
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<Sighted> {
        let mac = self.turns.pop_front()?;
        let Entry::Occupied(mut entry) = self.by_mac.entry(mac) else { return None };
        let sighted = entry.get_mut().pop_front();
        if entry.get().is_empty() {
            entry.remove();
        } else {
            self.turns.push_back(mac);
        }
        sighted
    }

    /// Keeps only what is about these MACs.
    pub fn retain(&mut self, known: &FxHashSet<Mac>) {
        self.turns.retain(|mac| known.contains(mac));
        self.by_mac.retain(|mac, _| known.contains(mac));
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.by_mac.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::neighbors::How;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn seen(mac: u8, address: u32, at: u64) -> Sighted {
        let (mac, address) = (Mac([2, 0, 0, 0, 0, mac]), Ipv4Addr::from(address).into());
        Sighted { mac, address, how: How::Said, at: Duration::from_secs(at) }
    }

    fn all(waiting: &mut Waiting) -> Vec<Sighted> {
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    #[test]
    fn the_newest_of_a_mac_and_address_wins() {
        let mut waiting = Waiting::default();
        for sighted in [seen(1, 7, 1), seen(1, 8, 2), seen(1, 7, 3)] {
            waiting.push(sighted);
        }
        assert_eq!(all(&mut waiting), [seen(1, 7, 3), seen(1, 8, 2)]);
    }

    #[test]
    fn who_talks_all_the_time_loses_its_own_and_delays_nobody() {
        let mut waiting = Waiting::default();
        for address in 0..1_000_000 {
            waiting.push(seen(1, address, 1));
        }
        waiting.push(seen(2, 7, 2));
        assert_eq!((waiting.len(), waiting.lost), (MOST + 1, 1_000_000 - MOST as u64));
        let told = all(&mut waiting);
        assert_eq!(told[1], seen(2, 7, 2));
        assert_eq!(told.last(), Some(&seen(1, 999_999, 1)));
    }

    #[test]
    fn macs_that_are_not_known_any_more_wait_for_nothing() {
        let mut waiting = Waiting::default();
        waiting.push(seen(1, 7, 1));
        waiting.push(seen(2, 7, 1));
        waiting.retain(&FxHashSet::from_iter([Mac([2, 0, 0, 0, 0, 2])]));
        assert_eq!(all(&mut waiting), [seen(2, 7, 1)]);
        assert!(waiting.is_empty());
    }

    proptest! {
        #[test]
        fn each_that_comes_in_is_told_once_in_its_newest_form(
            pushed in vec((0u8..4, 0u32..12, any::<bool>()), 0..200)
        ) {
            // Fewer addresses than are lost of a MAC; now and then one is told.
            let mut waiting = Waiting::default();
            let mut model = std::collections::BTreeMap::new();
            for (at, (mac, address, pops)) in (0..).zip(pushed) {
                waiting.push(seen(mac, address, at));
                model.insert((mac, address), at);
                if pops {
                    let told = waiting.pop().unwrap();
                    let key = (0..4).flat_map(|mac| (0..12).map(move |address| (mac, address)))
                        .find(|(mac, address)| seen(*mac, *address, 0).mac == told.mac
                            && seen(*mac, *address, 0).address == told.address).unwrap();
                    prop_assert_eq!(model.remove(&key).map(Duration::from_secs), Some(told.at));
                }
                prop_assert_eq!(waiting.len(), model.len());
                prop_assert_eq!(waiting.is_empty(), model.is_empty());
            }
            prop_assert_eq!(all(&mut waiting).len(), model.len());
            prop_assert_eq!(waiting.lost, 0);
        }
    }
}
