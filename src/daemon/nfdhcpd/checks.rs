//! What keeps packets of taps from reaching us, to be said: settings of the kernel that are not ours to change.

use super::desk::Desk;
use crate::plan::responder::rules::Wishes;
use crate::sink::queue_rules;
use std::fs;
use tracing::warn;

/// What is looked at, and what was said about all taps.
pub struct Checks {
    wishes: Wishes,
    is_bridge_seen: bool,
}

impl Checks {
    /// For taps with rules of these wishes.
    pub fn new(wishes: Wishes) -> Self {
        Self { wishes, is_bridge_seen: false }
    }

    /// Looks at a tap that has a binding by now.
    pub fn look_at(&mut self, desk: &Desk, tap: u32) {
        let name = desk.name(tap);
        if desk.store.links().get(tap).is_some_and(|link| link.master.is_some()) {
            if !std::mem::replace(&mut self.is_bridge_seen, true) {
                for warning in queue_rules::bridge_warnings(&self.wishes) {
                    warn!("{name} is in a bridge: {warning}");
                }
            }
            return;
        }
        // A routed one without IPv6 never hands on what its guest sends.
        let has_ipv6 = desk.store.bound(tap).is_some_and(|bound| bound.binding.subnet6.is_some());
        if desk.settings.ipv6.is_none() || !has_ipv6 {
            return;
        }
        let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        if fs::read_to_string(path).is_ok_and(|value| value.trim() == "1") {
            warn!(
                "{name}: IPv6 is disabled there, so that the kernel drops what its guest asks before we see it: only periodic \
                 advertisements are sent; sysctl net.ipv6.conf.{name}.disable_ipv6=0"
            );
        }
    }
}
