//! Having dnsmasq end leases of guests that are gone: else their names would stay for as long as their leases, for dnsmasq keeps a lease's
//! name when its reservation goes.

use super::super::state::Now;
use super::Keeper;
use super::told::About;
use crate::daemon::schedule::Moment;
use crate::sink::dnsmasq_dir::Sink;
use crate::source::leases::{Lease, LeaseFile};
use crate::source::proxmox::Freed;
use std::time::Duration;
use tracing::{info, warn};

/// After this time at first, doubled each time, it is looked whether a lease has ended: dnsmasq may have just been starting.
const AGAIN: Duration = Duration::from_secs(3);
/// After this time it is looked whether all guests are known.
const UNSURE: Duration = Duration::from_secs(1);
/// So often dnsmasq is told.
const TRIES: u32 = 6;

/// A MAC address of a guest's that is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Release {
    freed: Freed,
    due: Moment,
    tries: u32,
}

impl<S: Sink> Keeper<S> {
    /// MAC addresses have become nobody's.
    pub(super) fn free(&mut self, freed: Vec<Freed>) {
        if self.leases.is_some() && !self.is_rehearsal {
            self.releases
                .extend(freed.into_iter().map(|freed| (freed.mac, Release { freed, due: freed.sure, tries: 0 })));
        }
        // While somebody still listens for them.
        let seen = &self.seen;
        self.releases.retain(|mac, release| {
            let is_there = release.tries == 0 && seen.was_heard_after(*mac, release.freed.since);
            if is_there {
                warn!("{mac} was heard after its guest was gone: its lease stays; may the token see all guests?");
            }
            !is_there
        });
    }

    /// When there is something to do about it.
    pub(super) fn release_due(&self) -> Option<Moment> {
        self.releases.values().map(|release| release.due).min()
    }

    /// Has dnsmasq end what is due.
    pub(super) fn release(&mut self, now: Now) {
        let Some(leases) = self.leases.as_ref().map(LeaseFile::leases) else { return };
        let is_configured = self.rounds.is_configured();
        let mut failures = Vec::new();
        for (mac, release) in self.releases.iter_mut().filter(|(_, release)| release.due <= now.moment) {
            if !is_configured {
                // A guest of which nothing is known yet may have the address.
                release.due = now.moment + UNSURE;
                continue;
            }
            let is_its = |lease: &&Lease| lease.mac == Some(*mac) && lease.is_in_force(now.time.as_secs());
            let mut of_mac = leases.leases.iter().filter(is_its).peekable();
            if self.rounds.has(*mac) || of_mac.peek().is_none() {
                release.tries = TRIES + 1;
                continue;
            }
            if release.tries == TRIES {
                failures.push(format!("dnsmasq does not end the lease of {mac}, whose guest is gone"));
            }
            for lease in of_mac.filter(|_| release.tries < TRIES) {
                let told = self.sink.release(lease, leases.server.as_ref());
                if told.is_ok() && release.tries == 0 {
                    info!("{mac} has no guest any more: its lease of {} ends", lease.address);
                }
                failures.extend(told.err().map(|failure| failure.to_string()));
            }
            release.due = now.moment + AGAIN * (1 << release.tries);
            release.tries += 1;
        }
        self.releases.retain(|_, release| release.tries <= TRIES);
        self.told.oddities(About::Leases, failures);
    }
}
