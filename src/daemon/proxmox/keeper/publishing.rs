//! Having files, dnsmasq and the registry say what follows from what is known.

use super::super::state::Now;
use super::told::About;
use super::{Keeper, LONGEST_WAIT};
use crate::daemon::schedule::Moment;
use crate::net::DomainName;
use crate::plan::dns_records::{Record, Records, Reservation};
use crate::plan::guest::{Guest, Sighting};
use crate::sink::dnsmasq_dir::{Put, Sink};
use crate::source::proxmox::Known;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Publishing takes no more than one part in so many of all time.
const REST: u32 = 10;
/// Whether dnsmasq watches the folder is looked at again after this time, before it is said that it does not.
const AGAIN: Duration = Duration::from_secs(5);
/// So many changes are named one by one in the log.
const NAMED: usize = 50;

impl<S: Sink> Keeper<S> {
    /// Has the files say what follows from what is known. Whether they do.
    pub(super) fn publish(&mut self, now: Now) -> bool {
        let begun = Instant::now();
        self.is_curious = true;
        let guests: Vec<Guest> = self.rounds.guests().filter_map(Known::guest).collect();
        let sightings: Vec<Sighting> = self.rounds.sightings().chain(self.seen.all()).copied().collect();
        let records = Records::new(&guests, &sightings, &self.policy);
        for warning in records.warnings.iter().filter(|warning| !self.records.warnings.contains(warning)) {
            warn!("{warning}");
        }
        let is_same = self.has_published && published(&records) == published(&self.records);
        let is_compared = self.due.compare <= now.moment;
        if is_same && !is_compared {
            self.records = records;
            self.due.changed = None;
            // A MAC address stands in no file of names.
            self.register(&guests, false, now.moment);
            self.due.publish = now.moment + begun.elapsed() * REST;
            return false;
        }
        if !is_same {
            self.remember(now);
        }
        match self.sink.put(&records) {
            Ok(put) => {
                self.log(&records);
                self.records = records;
                self.has_published = true;
                self.is_news = true;
                self.metrics.written(put.files);
                if let Some(since) = self.due.changed.take().filter(|_| !is_same) {
                    self.metrics.changed((now.moment + begun.elapsed()).saturating_sub(since));
                }
                self.due.compare = now.moment + self.sync_interval;
                self.due.publish = now.moment + begun.elapsed() * REST;
                if put.is_doubtful {
                    self.due.compare = now.moment + if put.is_unwatched { LONGEST_WAIT } else { AGAIN };
                }
                self.was_put(put);
                self.register(&guests, is_compared, now.moment);
                true
            }
            Err(failure) => {
                self.metrics.not_written();
                self.faults(About::Names, [failure.to_string()]);
                let wait = self.backoff.next(u64::from(now.moment.subsec_nanos()) << 32);
                // Whatever will have changed by then.
                (self.due.publish, self.due.compare) = (now.moment + wait, now.moment + wait);
                false
            }
        }
    }

    fn was_put(&mut self, put: Put) {
        self.backoff.reset();
        self.faults(About::Names, []);
        self.faults(About::Watch, put.faults.unwatched);
        self.faults(About::Rights, put.faults.unreadable);
        self.told.oddities(About::Names, put.notices);
        if put.needs_reload {
            self.reloads.want();
        }
        self.is_unwatched = put.is_unwatched;
    }

    pub(super) fn reload(&mut self, now: Moment) {
        match self.sink.reload() {
            Ok(()) => {
                self.reloads.done(now);
                self.metrics.reloaded();
                self.faults(About::Reload, []);
                info!("dnsmasq reads the reservations anew");
            }
            Err(failure) => {
                self.reloads.failed(now);
                self.faults(About::Reload, [format!("dnsmasq cannot be told of new reservations: {failure}")]);
            }
        }
    }

    /// Has the registry follow, if it would be given something else than the last time, or is to be compared.
    fn register(&mut self, guests: &[Guest], is_compared: bool, now: Moment) {
        let Some(registry) = &mut self.registry else { return };
        let followed = registry.follow(guests, &self.records, is_compared);
        match followed {
            Ok(None) => {}
            Ok(Some(followed)) => {
                self.faults(About::Registry, []);
                self.told.oddities(About::Registry, followed.conflicts);
            }
            Err(failure) => {
                self.due.compare = self.due.compare.min(now + LONGEST_WAIT);
                self.faults(About::Registry, [failure.to_string()]);
            }
        }
    }

    fn log(&self, records: &Records) {
        let (before, after) = (names(&self.records), names(records));
        let is_new = |record: &&Record| !before.contains(&(&record.name, record.address));
        for Record { name, address, reason, .. } in records.records.iter().filter(is_new).take(NAMED) {
            info!("{name} is {address} ({reason})");
        }
        for (name, address) in before.difference(&after).take(NAMED) {
            info!("{name} is {address} no longer");
        }
        let (more, less) = (after.difference(&before).count(), before.difference(&after).count());
        if more > NAMED || less > NAMED {
            info!(added = more, removed = less, records = after.len(), "names have changed");
        }
    }
}

/// Names with addresses.
fn names(records: &Records) -> BTreeSet<(&DomainName, IpAddr)> {
    records.records.iter().map(|record| (&record.name, record.address)).collect()
}

/// What of records stands in files.
fn published(records: &Records) -> (Vec<(&DomainName, IpAddr, bool)>, &[Reservation]) {
    let lines = records.records.iter().map(|record| (&record.name, record.address, record.has_ptr));
    (lines.collect(), &records.reservations)
}
