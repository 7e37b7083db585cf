//! What is known of a guest, and how often it is asked.

use super::super::{Config, Listed, Place, Refused, guest};
use crate::daemon::schedule::Moment;
use crate::plan::guest::{Guest, Kind, Lists, Sighting, State};
use crate::source::backoff::Backoff;
use std::time::Duration;

/// A configuration that cannot be read is tried again after this time at first, ...
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// ... and after this time at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// An agent that does not answer, which may have cost seconds, is asked again after this time at first, ...
const FIRST_AGENT_WAIT: Duration = Duration::from_secs(30);
/// ... and after this time at the latest.
const LONGEST_AGENT_WAIT: Duration = Duration::from_secs(900);
/// So long, in seconds, a guest may take from its start to its addresses.
const STARTING: u64 = 60;

/// A guest, as it was known last.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its row in the list, with what it had when its node told more.
    pub listed: Listed,
    /// Its configuration; none: never read.
    pub config: Option<Config>,
    /// What its agent or its node said about its addresses.
    pub sightings: Vec<Sighting>,
    /// Of which of its interfaces they said all, and when: [`Guest::lists`].
    pub lists: Lists,
    /// Whether something else was heard of it than it said last: the same again says more then.
    pub(super) is_doubted: bool,
    /// What of its configuration makes no sense.
    pub refused: Vec<Refused>,
    /// Since when all that could not be looked at.
    pub stale: Option<Stale>,
    /// Since when the list lacks it.
    pub(super) missing: Option<Moment>,
    pub(super) config_pace: Pace,
    pub(super) addresses_pace: Pace,
    /// For how many rounds more it is asked for addresses in each: it was started, and has none yet.
    pub(super) restless: u8,
}

/// That something is old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Since when.
    pub since: Moment,
    /// Why, for a person.
    pub why: String,
}

/// How often something is read.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    pub wanted: bool,
    pub in_flight: bool,
    /// When it was asked for last.
    pub begun: Option<Moment>,
    /// Not before.
    pub until: Moment,
    backoff: Backoff,
}

impl Known {
    pub(super) fn new(listed: Listed) -> Self {
        Self {
            listed,
            config: None,
            sightings: Vec::new(),
            lists: Lists::new(),
            is_doubted: false,
            refused: Vec::new(),
            stale: None,
            missing: None,
            config_pace: Pace::new(FIRST_WAIT, LONGEST_WAIT),
            addresses_pace: Pace::new(FIRST_AGENT_WAIT, LONGEST_AGENT_WAIT),
            restless: 0,
        }
    }

    /// The guest; none before its configuration was read once.
    pub fn guest(&self) -> Option<Guest> {
        let guest = self.config.as_ref().map(|config| guest(&self.listed, config));
        guest.map(|guest| Guest { lists: self.lists.clone(), ..guest })
    }

    pub(super) fn place(&self) -> Place {
        Place { vmid: self.listed.vmid, kind: self.listed.kind, node: self.listed.node.clone() }
    }

    /// Whether its configuration is worth reading: templates have no names, and who may be gone has none to be read.
    pub(super) fn reads_config(&self) -> bool {
        !self.listed.is_template && self.missing.is_none()
    }

    /// Whether it has addresses that its configuration does not tell, and somebody who does.
    pub(super) fn asks_for_addresses(&self) -> bool {
        let Some(config) = &self.config else { return false };
        let is_there = self.listed.state == State::Running && self.reads_config();
        is_there
            && match self.listed.kind {
                Kind::Qemu => config.agent_enabled,
                Kind::Lxc => config.nics.iter().any(|nic| nic.v4.address().is_none() || nic.v6.address().is_none()),
            }
    }

    /// Whether a question about it is on its way.
    pub(super) fn is_asked(&self) -> bool {
        self.config_pace.in_flight || self.addresses_pace.in_flight
    }

    /// Whether it was started so lately that it may have no address yet.
    pub(super) fn is_starting(&self) -> bool {
        self.listed.uptime.is_some_and(|uptime| uptime < STARTING)
    }

    /// It may be another from now on: it was changed, moved or started.
    pub(super) fn stir(&mut self) {
        self.config_pace.stir();
        self.addresses_pace.stir();
    }

    pub(super) fn grow_stale(&mut self, now: Moment, why: &str) {
        if self.stale.is_none() {
            self.stale = Some(Stale { since: now, why: why.to_owned() });
        }
    }
}

impl Pace {
    fn new(first: Duration, longest: Duration) -> Self {
        let backoff = Backoff::new(first, longest);
        Self { wanted: true, in_flight: false, begun: None, until: Moment::ZERO, backoff }
    }

    /// Whether it is to be asked for now.
    pub fn is_wanted(&self, now: Moment) -> bool {
        self.wanted && !self.in_flight && self.until <= now
    }

    /// Whether it could be asked for now and is not to be.
    pub fn is_idle(&self, now: Moment) -> bool {
        !self.wanted && !self.in_flight && self.until <= now
    }

    pub fn is_failing(&self) -> bool {
        self.backoff.failures() > 0
    }

    pub fn begin(&mut self, now: Moment) {
        self.wanted = false;
        self.in_flight = true;
        self.begun = Some(now);
    }

    pub fn succeed(&mut self) {
        self.in_flight = false;
        self.backoff.reset();
    }

    /// It is asked for again after a while.
    pub fn fail(&mut self, now: Moment, vmid: u32) {
        self.in_flight = false;
        self.wanted = true;
        self.until = now + self.backoff.next(seed(now, vmid.into()));
    }

    fn stir(&mut self) {
        self.wanted = true;
        self.until = Moment::ZERO;
        self.backoff.reset();
    }
}

/// Something like chance, the same each time.
pub(super) fn seed(now: Moment, number: u64) -> u64 {
    let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    (nanos ^ number.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
