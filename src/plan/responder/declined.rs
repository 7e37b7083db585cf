//! Addresses that a client found in use by somebody else: not offered for a while.

use crate::net::Mac;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an address is not offered. Each tap has one address, so that nothing else could be offered meanwhile: a minute
/// is enough against a loop of offers and refusals, and a guest comes up soon after the conflict is gone.
pub const HOLD: Duration = Duration::from_secs(60);

/// Addresses that are remembered at most.
pub const MOST: usize = 4096;

/// What was declined until when, by the MAC of the binding and its address. It holds [`MOST`] at most: if as many were
/// declined within [`HOLD`], further ones are forgotten at once.
#[derive(Debug, Clone, Default)]
pub struct Declined(FxHashMap<(Mac, IpAddr), Instant>);

impl Declined {
    /// Remembers an address, declined now. Whether it could.
    pub fn insert(&mut self, binding: Mac, address: impl Into<IpAddr>, now: Instant) -> bool {
        let key = (binding, address.into());
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.retain(|_, until| *until > now);
            if self.0.len() >= MOST {
                return false;
            }
        }
        self.0.insert(key, now + HOLD);
        true
    }

    /// Whether an address is not to be offered now.
    pub fn contains(&self, binding: Mac, address: impl Into<IpAddr>, now: Instant) -> bool {
        // Hardly ever is there any.
        !self.0.is_empty() && self.0.get(&(binding, address.into())).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn an_address_is_declined_for_a_while_for_its_binding_only() {
        let (mut declined, now) = (Declined::default(), Instant::now());
        assert!(!declined.contains(MAC, Ipv4Addr::LOCALHOST, now));
        assert!(declined.insert(MAC, Ipv4Addr::LOCALHOST, now));
        assert!(declined.contains(MAC, Ipv4Addr::LOCALHOST, now + HOLD.saturating_sub(Duration::from_nanos(1))));
        assert!(!declined.contains(MAC, Ipv4Addr::LOCALHOST, now + HOLD));
        assert!(!declined.contains(Mac([2; 6]), Ipv4Addr::LOCALHOST, now));
        assert!(!declined.contains(MAC, Ipv4Addr::BROADCAST, now));
    }

    #[test]
    fn memory_is_bounded_and_what_is_over_makes_room() {
        let (mut declined, now) = (Declined::default(), Instant::now());
        let address = |n: usize| Ipv4Addr::from(u32::try_from(n).unwrap());
        assert!((0..MOST).all(|n| declined.insert(MAC, address(n), now)));
        assert!(!declined.insert(MAC, address(MOST), now));
        assert!(declined.insert(MAC, address(7), now + HOLD / 2), "one that is there");
        assert!(declined.insert(MAC, address(MOST), now + HOLD));
        assert!(declined.contains(MAC, address(7), now + HOLD));
        assert_eq!(declined.0.len(), 2);
    }
}
