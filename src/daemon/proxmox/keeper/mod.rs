//! What the companion does, step by step, without knowing where the cluster, dnsmasq and the wire are: it takes in what they tell, and
//! has the files say what follows.
//!
//! - Names that are published stay until something better is known: what was known before the start counts from the start, and if
//!   that is lost nothing is written before every configuration has been read once.
//! - The state file is written before names are, so that a start does not know less than what is published. While it cannot be
//!   written, names go on nevertheless, and everybody is told: a start would have to read all guests first.
//! - What comes in together is published together; nothing is written, and dnsmasq not told, when nothing has changed.

mod publishing;
mod releasing;
mod remembering;
#[cfg(test)]
mod tests;
mod told;

use super::metrics::Metrics;
use super::registry::Bridge;
use super::seen::Seen;
use super::snapshot::{Dnsmasq, Parts, Snapshot};
use super::state::{Now, StateFile};
use crate::cli::proxmox::Config;
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result};
use crate::net::Mac;
use crate::plan::dns_records::{Policy, Reason, Record, Records, Source};
use crate::plan::guest::By;
use crate::registry::paths::Paths;
use crate::sink::dnsmasq::Version;
use crate::sink::dnsmasq_dir::{Reloads, Sink};
use crate::source::backoff::Backoff;
use crate::source::leases::{LeaseFile, Look};
use crate::source::neighbors::Sighted;
use crate::source::proxmox::{Answer, Call, Done, Note, Rounds};
use releasing::Release;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use told::{About, Told};
use tracing::{error, info, warn};

/// What changes within this time is published together.
const TOGETHER: Duration = Duration::from_millis(100);
/// How often dnsmasq's leases are looked at: one system call if they are as before.
const LEASES: Duration = Duration::from_secs(1);
/// How often leases that have ended are noticed.
const LEASES_END: Duration = Duration::from_secs(10);
/// What is known and not published is written to the state file so often at most.
const STATE: Duration = Duration::from_secs(60);
/// A failure is tried again after this time at first, ...
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// ... and after this time at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// All is not well when so many rounds have not succeeded.
const ROUNDS: u32 = 3;

/// Keeps names in step.
#[allow(clippy::struct_excessive_bools, reason = "each is something that is so or not")]
pub struct Keeper<S> {
    /// What is counted.
    pub metrics: Metrics,
    policy: Policy,
    sync_interval: Duration,
    rounds: Rounds,
    seen: Seen,
    sink: S,
    reloads: Reloads,
    state: StateFile,
    /// Whether nothing may be written but by way of the sink.
    is_rehearsal: bool,
    leases: Option<LeaseFile>,
    /// MAC addresses whose leases are to end.
    releases: BTreeMap<Mac, Release>,
    registry: Option<Bridge>,
    records: Records,
    /// Whether enough is known to write anything.
    is_ready: bool,
    has_published: bool,
    is_unwatched: bool,
    due: Due,
    backoff: Backoff,
    told: Told,
    interests: Interests,
    /// Whether they may be others by now.
    is_curious: bool,
    /// Since when a round goes on.
    round: Option<Moment>,
    /// Whether people may be shown something else by now.
    pub is_news: bool,
}

/// Who is of interest on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interests {
    /// Of whom is to be heard.
    pub macs: FxHashSet<Mac>,
    /// Which IPv6 addresses are to be asked for.
    pub asked: Vec<Ipv6Addr>,
    /// Which IPv4 addresses are published by a better word than the wire's, so that nobody who answers for them would be believed.
    pub spared: FxHashSet<Ipv4Addr>,
    /// Whether there are guests whose addresses are sought: they were started lately, and none is known.
    pub are_sought: bool,
}

/// When what is to be done.
#[derive(Debug, Default)]
struct Due {
    /// Since when something has changed that is not published yet.
    changed: Option<Moment>,
    /// Not before.
    publish: Moment,
    /// When the files are compared, whatever has changed.
    compare: Moment,
    leases: Moment,
    leases_end: Moment,
    /// When the state file is to be written.
    state: Option<Moment>,
}

impl<S: Sink> Keeper<S> {
    /// Nothing is known yet. Moments count from `began`.
    ///
    /// # Errors
    /// The registry is none.
    pub fn new(config: &Config, sink: S, began: Instant) -> Result<Self> {
        let registry = config.registry.as_deref().map(Paths::of).transpose()?.map(Bridge::new);
        Ok(Self::with(config, sink, registry, began))
    }

    fn with(config: &Config, sink: S, registry: Option<Bridge>, began: Instant) -> Self {
        let patience = config.poll_interval * ROUNDS + config.access.timeout;
        Self {
            metrics: Metrics::new(began, patience),
            policy: config.policy.clone(),
            sync_interval: config.sync_interval,
            rounds: Rounds::new(config.poll_interval),
            seen: Seen::default(),
            sink,
            reloads: Reloads::new(config.reload_interval),
            state: StateFile::new(&config.state_file),
            is_rehearsal: false,
            leases: config.leases.as_ref().map(LeaseFile::new),
            releases: BTreeMap::new(),
            registry,
            records: Records::default(),
            is_ready: false,
            has_published: false,
            is_unwatched: false,
            due: Due::default(),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            told: Told::default(),
            interests: Interests::default(),
            is_curious: true,
            round: None,
            is_news: true,
        }
    }

    /// One that writes nothing but by way of its sink.
    pub fn rehearse(config: &Config, sink: S, began: Instant) -> Self {
        Self { is_rehearsal: true, ..Self::with(config, sink, None, began) }
    }

    /// What the cluster is to be asked now.
    pub fn calls(&mut self, now: Moment) -> Vec<Call> {
        self.rounds.next(now)
    }

    /// The cluster has answered.
    pub fn answered(&mut self, done: Done, now: Moment) {
        self.metrics.asked(&done);
        if matches!(done.answer, Answer::Resources(Ok(_))) {
            self.round = Some(now.saturating_sub(done.took));
        }
        let is_failure = done.answer.failure().is_some();
        let troubles = self.rounds.troubles().count();
        let outcome = self.rounds.answered(done.answer, now);
        self.is_news |= is_failure || outcome.is_changed || troubles != self.rounds.troubles().count();
        for note in outcome.notes {
            match note {
                Note::Fault(text) => error!("{text}"),
                // As loud as its beginning was.
                Note::Over(text) => error!("it is over: {text}"),
                Note::Odd(text) => warn!("{text}"),
            }
        }
        for vmid in outcome.gone {
            info!(vmid, "the guest is gone");
        }
        self.free(outcome.freed);
        if outcome.is_changed {
            self.change(now);
        }
        if !self.is_ready && self.rounds.is_configured() {
            self.is_ready = true;
            self.change(now);
        }
        if let Some(since) = self.round
            && self.rounds.is_complete()
        {
            self.round = None;
            self.metrics.round(now.saturating_sub(since));
        }
    }

    /// Somebody was heard on the wire.
    pub fn heard(&mut self, sighted: &Sighted, now: Moment) {
        if self.seen.hear(sighted) {
            self.rounds.heard(sighted.mac, now);
            self.change(now);
        }
    }

    /// dnsmasq has begun, and read all that there was.
    pub fn dnsmasq_began(&mut self) {
        match self.sink.begins_anew() {
            Ok(()) => self.reloads.forget(),
            Err(failure) => warn!("{failure}"),
        }
        self.is_unwatched = false;
    }

    /// A dnsmasq of our own answers: what another could not be told, it has read at its start.
    pub fn dnsmasq_answers(&mut self) {
        if self.reloads.due().is_none() {
            self.faults(About::Reload, []);
        }
    }

    /// dnsmasq was there already, and may not have read what was written while nobody could tell it.
    pub fn dnsmasq_found(&mut self) {
        self.reloads.want();
    }

    /// dnsmasq says which version it is.
    pub fn dnsmasq_is(&mut self, version: Version) {
        self.sink.is_version(version);
    }

    /// Whether dnsmasq watches a folder that is no longer there, and has to begin anew.
    pub fn is_unwatched(&self) -> bool {
        self.is_unwatched
    }

    /// Everything is looked at anew.
    pub fn doubt(&mut self, now: Moment) {
        self.rounds.hurry(now);
        self.due.compare = now;
        self.due.publish = now;
    }

    /// What is known and published now, for people.
    pub fn show(&mut self, dnsmasq: Dnsmasq, troubles: Vec<String>, now: Moment) {
        self.is_news = false;
        let (records, policy, rounds) = (&self.records, &self.policy, &self.rounds);
        let faults = self.told.all().map(str::to_owned).collect();
        let parts = Parts { records, policy, rounds, dnsmasq, faults, troubles };
        self.metrics.snapshot(Snapshot::new(parts, Some(&self.metrics.shown()), now));
    }

    /// What is known of the cluster.
    pub fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// What is published.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Whether names have been written since the start.
    pub fn has_published(&self) -> bool {
        self.has_published
    }

    /// What keeps names from being right now, here; the one thing of all that matters most.
    pub fn failure(&self) -> Option<&str> {
        self.told.all().next()
    }

    /// What goes wrong with the cluster now, one thing of all.
    pub fn trouble(&self) -> Option<String> {
        self.rounds.troubles().next().map(|failure| failure.text.clone())
    }

    /// Who is of interest on the wire, if that is another answer than the last time, somebody is sought, or it is `new` to whoever
    /// listens.
    pub fn interests(&mut self, is_new: bool) -> Option<Interests> {
        if !std::mem::take(&mut self.is_curious) && !is_new {
            return None;
        }
        let configs =
            self.rounds.guests().filter(|known| !known.listed.is_template).filter_map(|known| known.config.as_ref());
        let macs = configs.flat_map(|config| &config.nics).map(|nic| nic.mac).collect();
        let published = self.records.records.iter();
        let published = published.filter_map(|record| Some((record.reason.vmid()?, record.address)));
        let asked = published.clone().filter_map(|(_, address)| match address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        });
        let have_one: FxHashSet<u32> = published.map(|(vmid, _)| vmid).collect();
        let are_sought = self.rounds.restless().any(|vmid| !have_one.contains(&vmid));
        let spared = self.records.records.iter().filter_map(|record| match record.address {
            IpAddr::V4(address) if self.is_beyond_doubt(record) => Some(address),
            _ => None,
        });
        let interests = Interests { macs, asked: asked.collect(), spared: spared.collect(), are_sought };
        if interests == self.interests && !interests.are_sought && !is_new {
            return None;
        }
        if self.rounds.listed_at().is_some() {
            self.seen.retain(&interests.macs);
        }
        self.interests.clone_from(&interests);
        Some(interests)
    }

    /// Whether no frame makes an address another guest's, in whatever network.
    fn is_beyond_doubt(&self, record: &Record) -> bool {
        let networks = self.policy.networks.iter().filter(|network| network.holds(record.address));
        let Reason::Nic { vmid, source, .. } = record.reason else { return false };
        let is_sure = match source {
            Source::Config => true,
            // That it was allocated does not mean that it is used: who has it may be found.
            Source::Seen(By::Ipam) => false,
            Source::Seen(by) => self.rounds.guest(vmid).is_some_and(|known| by.outweighs_the_wire(known.listed.state)),
        };
        is_sure && networks.count() == 1
    }

    /// When there is something to do next, unless something happens before.
    pub fn wake(&self) -> Option<Moment> {
        let leases = self.leases.as_ref().map(|_| self.due.leases);
        let all =
            [self.rounds.wake(), self.reloads.due(), self.publish_due(), self.due.state, leases, self.release_due()];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn work(&mut self, now: Now) {
        if self.due.leases <= now.moment {
            self.due.leases = now.moment + LEASES;
            self.look_at_leases(now);
        }
        if self.publish_due().is_some_and(|due| due <= now.moment) {
            self.publish(now);
        }
        if self.release_due().is_some_and(|due| due <= now.moment) {
            self.release(now);
        }
        if self.reloads.is_due(now.moment) {
            self.reload(now.moment);
        }
        if self.due.state.is_some_and(|due| due <= now.moment) {
            self.remember(now);
        }
    }

    /// Does at once what there is to do.
    ///
    /// # Errors
    /// Too little is known, or it cannot be written.
    pub fn finish(&mut self, now: Now) -> Result<()> {
        self.look_at_leases(now);
        if !self.is_ready {
            let why = self.trouble().unwrap_or_else(|| "the cluster did not answer in time".to_owned());
            return Err(Error::new(format!("not every guest could be read, so nothing was written: {why}")));
        }
        self.due.compare = now.moment;
        if !self.publish(now) {
            return Err(Error::new(self.failure().unwrap_or_default().to_owned()));
        }
        if self.reloads.due().is_some() && !self.is_rehearsal {
            self.reload(now.moment);
        }
        Ok(())
    }

    fn change(&mut self, now: Moment) {
        self.is_news = true;
        self.due.changed.get_or_insert(now);
        self.due.state.get_or_insert(now + STATE);
    }

    fn publish_due(&self) -> Option<Moment> {
        let changed = self.due.changed.map(|since| since + TOGETHER);
        let due = changed.map_or(self.due.compare, |changed| changed.min(self.due.compare)).max(self.due.publish);
        self.is_ready.then_some(due)
    }

    fn look_at_leases(&mut self, now: Now) {
        let Some(file) = &mut self.leases else { return };
        let look = file.look();
        match look {
            Ok(Look::Same) if now.moment < self.due.leases_end => {}
            Ok(Look::Same | Look::New) => {
                self.due.leases_end = now.moment + LEASES_END;
                let published: FxHashSet<IpAddr> = self.records.records.iter().map(|record| record.address).collect();
                let is_published = |address| published.contains(&address);
                let changed = self.seen.lease(file.leases(), now.time, file.written(), now.moment, is_published);
                for mac in &changed {
                    // Who asks a DHCP server may have been told to.
                    self.rounds.heard(*mac, now.moment);
                }
                if !changed.is_empty() {
                    self.change(now.moment);
                }
            }
            Ok(Look::BeingWritten) | Err(_) => {}
        }
        self.faults(About::Leases, look.err().map(|failure| failure.to_string()));
    }

    /// These keep names from being right now; none: that is over.
    fn faults(&mut self, about: About, now: impl IntoIterator<Item = String>) {
        self.is_news |= self.told.faults(about, now);
    }
}
