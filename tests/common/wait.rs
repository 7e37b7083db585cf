//! Waiting for what nobody can be told of.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::time::{Duration, Instant};

/// How long anything is waited for; whoever needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
