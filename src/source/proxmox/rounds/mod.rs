//! What is asked when. A value: no I/O, no clock.
//!
//! A round begins with one question for all guests and nodes. Its answer says whose configuration may have changed: those are read
//! next. A few times in a round as many of the others, the ones first that were read longest ago, as it takes to see each again within a
//! minute; a container's configuration changes without a trace in the list. Who was heard on the wire waits for neither. Guests
//! that find their addresses themselves are asked for them, less often; the agents of virtual machines one at a time on a node, and
//! ever more rarely while they do not answer.
//!
//! Two questions at most are on their way to a node. A node that does not answer is asked again after a while, with one question.
//! What was known last stays until something better is: a guest is gone when the list lacks it twice, and no
//! question about it is on its way.

mod answers;
mod known;
mod lane;
mod share;
#[cfg(test)]
mod tests;
mod troubles;

pub use answers::{Answer, Freed, Outcome};
pub use known::{Known, Stale};
pub use troubles::Note;

use super::{Config, Failure, Listed, Place, Refused};
use crate::daemon::schedule::Moment;
use crate::net::Mac;
use crate::plan::guest::{Kind, Lists, Sighting};
use crate::source::backoff::Backoff;
use lane::{Lane, What};
use rustc_hash::FxHashSet;
use share::Share;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use troubles::Subject;

/// Every configuration is read again within this time, if rounds are not longer.
const CONFIGS: Duration = Duration::from_secs(60);
/// Every guest that finds its addresses itself is asked for them within this time.
const ADDRESSES: Duration = Duration::from_secs(300);
/// How often the SDN's address management is asked, if it has something.
const IPAM: Duration = Duration::from_secs(60);
/// The same if it has nothing or is not there.
const IPAM_IDLE: Duration = Duration::from_secs(600);
/// Between two readings for the reason that somebody was heard on the wire, or asks for them.
const APART: Duration = Duration::from_secs(1);
/// A list that fails is asked for again after this time at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A token that is refused, not before this time: each refusal costs the node 3 s and leaves a line in its log.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// How often in a round some have their turn who do not seem to have changed, unless rounds are long.
const ROLLS: u32 = 3;
/// So many connections that break in a round end it.
const LOST: u32 = 3;
/// For so many rounds after its start a guest without an address is asked in each.
const RESTLESS: u8 = 6;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// For all guests and nodes.
    Resources,
    /// How a guest is configured.
    Config(Place),
    /// Which addresses it has.
    Addresses(Place),
    /// What the SDN gave out.
    Ipam,
}

impl Call {
    /// One word, for a metric's label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::Config(_) => "config",
            Self::Addresses(place) if place.kind == Kind::Qemu => "agent",
            Self::Addresses(_) => "interfaces",
            Self::Ipam => "ipam",
        }
    }
}

/// What is known of a cluster, and what is to be asked next.
#[derive(Debug)]
pub struct Rounds {
    interval: Duration,
    guests: BTreeMap<u32, Known>,
    lanes: BTreeMap<String, Lane>,
    macs: BTreeMap<Mac, BTreeSet<u32>>,
    /// Those that have just become nobody's.
    freed: Vec<Mac>,
    listing: Listing,
    ipam: Ipam,
    /// Who was heard just after it had been read, and when it is read again.
    later: BTreeMap<u32, Moment>,
    /// When more have their turn, and how many.
    roll_due: Moment,
    configs: Share,
    addresses: Share,
    troubles: BTreeMap<Subject, Failure>,
    /// Connections that broke in this round.
    lost: u32,
}

/// The list of all guests and nodes.
#[derive(Debug)]
struct Listing {
    due: Moment,
    begun: Moment,
    in_flight: bool,
    /// It is asked for between two rounds, for a guest that moved. That happens once a round.
    is_extra: bool,
    may_be_extra: bool,
    /// For when somebody asked for it last.
    hurried: Option<Moment>,
    backoff: Backoff,
    /// When it came last, and since when it has not.
    read: Option<Moment>,
    failing_since: Option<Moment>,
    /// Rows that make no sense.
    refused: Vec<Refused>,
}

#[derive(Debug, Default)]
struct Ipam {
    due: Moment,
    wanted: bool,
    in_flight: bool,
    sightings: Vec<Sighting>,
}

impl Rounds {
    /// Nothing is known yet; a round begins each `interval`.
    pub fn new(interval: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        Self {
            interval,
            guests: BTreeMap::new(),
            lanes: BTreeMap::new(),
            macs: BTreeMap::new(),
            freed: Vec::new(),
            listing: Listing {
                due: Moment::ZERO,
                begun: Moment::ZERO,
                in_flight: false,
                is_extra: false,
                may_be_extra: true,
                hurried: None,
                backoff: Backoff::new(interval, LONGEST_WAIT.max(interval)),
                read: None,
                failing_since: None,
                refused: Vec::new(),
            },
            ipam: Ipam::default(),
            later: BTreeMap::new(),
            roll_due: Moment::ZERO,
            configs: Share::default(),
            addresses: Share::default(),
            troubles: BTreeMap::new(),
            lost: 0,
        }
    }

    /// Takes in what was known before the program's start, and since when that is old. It is stale until it is read again.
    pub fn restore(
        &mut self,
        listed: Listed,
        config: Option<Config>,
        sightings: Vec<Sighting>,
        lists: Lists,
        since: Moment,
    ) {
        let vmid = listed.vmid;
        let mut known = Known::new(listed);
        known.stale = Some(Stale { since, why: "not read since the start".to_owned() });
        (known.sightings, known.lists) = (sightings, lists);
        self.guests.insert(vmid, known);
        if let Some(config) = config {
            self.learn(vmid, config);
        }
    }

    /// What is to be asked now. Each of these must be answered with [`Self::answered`] at some time.
    pub fn next(&mut self, now: Moment) -> Vec<Call> {
        let mut calls = Vec::new();
        if !self.listing.in_flight && self.listing.due <= now {
            self.listing.in_flight = true;
            self.listing.begun = now;
            calls.push(Call::Resources);
        }
        if self.ipam.wanted && !self.ipam.in_flight {
            self.ipam.in_flight = true;
            self.ipam.wanted = false;
            calls.push(Call::Ipam);
        }
        let due: Vec<u32> = self.later.iter().filter(|(_, due)| **due <= now).map(|(vmid, _)| *vmid).collect();
        for vmid in due {
            self.later.remove(&vmid);
            self.bring_forward(vmid, now);
        }
        if self.rolls() && self.roll_due <= now {
            self.roll(now);
        }
        for (node, lane) in &mut self.lanes {
            while let Some(call) = lane.next(node, &mut self.guests, now) {
                calls.push(call);
            }
        }
        calls
    }

    /// When there may be something to ask again, unless an answer comes before; none: when one has come.
    pub fn wake(&self) -> Option<Moment> {
        let listing = (!self.listing.in_flight).then_some(self.listing.due);
        let roll = self.rolls().then_some(self.roll_due);
        listing.into_iter().chain(roll).chain(self.later.values().copied()).min()
    }

    /// Whether what did not seem to change is read again, too.
    fn rolls(&self) -> bool {
        self.listing.read.is_some() && self.listing.failing_since.is_none()
    }

    /// Somebody with this MAC address was heard on the wire, and not where or as before. Whether it is a guest.
    pub fn heard(&mut self, mac: Mac, now: Moment) -> bool {
        let Some(vmids) = self.macs.get(&mac).cloned() else { return false };
        for vmid in &vmids {
            let begun = self.guests.get(vmid).and_then(|known| known.config_pace.begun);
            match begun.map(|begun| begun + APART).filter(|due| *due > now) {
                Some(due) => drop(self.later.insert(*vmid, due)),
                None => self.bring_forward(*vmid, now),
            }
        }
        true
    }

    /// Whether a MAC address is a guest's.
    pub fn has(&self, mac: Mac) -> bool {
        self.macs.contains_key(&mac)
    }

    /// A round begins at once in which everything is read: somebody asks for it. However often, it is one a second at most.
    pub fn hurry(&mut self, now: Moment) {
        let due = match self.listing.hurried {
            // It is to come.
            Some(due) if due > now => due,
            Some(before) => now.max(before + APART),
            None => now,
        };
        self.listing.hurried = Some(due);
        self.listing.due = self.listing.due.min(due);
        self.listing.is_extra = false;
        self.guests.values_mut().for_each(Known::stir);
    }

    /// All guests, by number.
    pub fn guests(&self) -> impl Iterator<Item = &Known> {
        self.guests.values()
    }

    /// A guest.
    pub fn guest(&self, vmid: u32) -> Option<&Known> {
        self.guests.get(&vmid)
    }

    /// What guests and nodes say about addresses, and the SDN.
    pub fn sightings(&self) -> impl Iterator<Item = &Sighting> {
        self.guests.values().flat_map(|known| &known.sightings).chain(&self.ipam.sightings)
    }

    /// Nodes, and whether they are there.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, bool)> {
        self.lanes.iter().filter(|(_, lane)| lane.is_listed).map(|(name, lane)| (name.as_str(), lane.is_online))
    }

    /// When the list came last.
    pub fn listed_at(&self) -> Option<Moment> {
        self.listing.read
    }

    /// Since when the list has not come: everything is stale since then.
    pub fn failing_since(&self) -> Option<Moment> {
        self.listing.failing_since
    }

    /// Whether everything that can be read now has been read once.
    pub fn is_complete(&self) -> bool {
        self.lanes.values().all(Lane::is_idle) && self.listing.failing_since.is_none() && self.is_configured()
    }

    /// Whether every configuration that can be read now has been read once. Addresses may take longer: agents are slow.
    pub fn is_configured(&self) -> bool {
        // From the end: what comes last is read last.
        self.listing.read.is_some()
            && self.guests.values().rev().all(|known| known.config.is_some() || !self.is_readable(known))
    }

    /// Guests that were started lately, and have not told an address since.
    pub fn restless(&self) -> impl Iterator<Item = u32> {
        self.guests.values().filter(|known| known.restless > 0).map(|known| known.listed.vmid)
    }

    /// What goes wrong now.
    pub fn troubles(&self) -> impl Iterator<Item = &Failure> {
        self.troubles.values()
    }

    fn is_readable(&self, known: &Known) -> bool {
        let is_there = self.lanes.get(&known.listed.node).is_some_and(|lane| lane.is_online && !lane.is_failing());
        is_there && known.reads_config() && !known.config_pace.is_failing()
    }

    /// Reads a guest's configuration, and then its addresses, before all others.
    fn bring_forward(&mut self, vmid: u32, now: Moment) {
        let Some(known) = self.guests.get_mut(&vmid) else { return };
        known.config_pace.wanted = true;
        known.config_pace.until = Moment::ZERO;
        known.addresses_pace.wanted = true;
        known.is_doubted = true;
        if let Some(lane) = self.lanes.get_mut(&known.listed.node)
            && lane.is_ready(now)
        {
            lane.push_first(What::Config(vmid));
        }
    }

    /// What is to be read now that the list has come, in order: all that may have changed or is late.
    fn plan(&mut self, now: Moment, is_extra: bool) {
        self.lost = 0;
        self.lanes.values_mut().for_each(Lane::clear);
        if !is_extra {
            self.ipam.wanted = !self.ipam.in_flight && self.ipam.due <= now;
            for known in self.guests.values_mut().filter(|known| known.restless > 0) {
                known.restless -= 1;
                known.addresses_pace.wanted = true;
            }
        }
        for (place, what) in self.wanted(now) {
            self.push(&place, what, now);
        }
    }

    /// What is to be asked for, in order.
    fn wanted(&self, now: Moment) -> Vec<(Place, What)> {
        let is_wanted = |known: &&Known| known.config_pace.is_wanted(now) && known.reads_config();
        let mut wanted: Vec<_> = self.guests.values().filter(is_wanted).collect();
        wanted.sort_by_key(|known| (known.config.is_some(), known.config_pace.begun, known.listed.vmid));
        let configs = wanted.into_iter().map(|known| (known.place(), What::Config(known.listed.vmid)));
        let wanted = self.guests.values().filter(|known| {
            // The others follow their configuration.
            known.addresses_pace.is_wanted(now) && known.asks_for_addresses() && !is_wanted(known)
        });
        let addresses = wanted.map(Known::place).map(|place| (place.clone(), What::addresses(&place)));
        configs.chain(addresses).collect()
    }

    fn push(&mut self, place: &Place, what: What, now: Moment) {
        if let Some(lane) = self.lanes.get_mut(&place.node)
            && lane.is_ready(now)
        {
            lane.push(what);
        }
    }

    /// Has a share of what did not seem to change read again, the longest ago first. All at once, for what is done together costs less;
    /// and before connections are closed for being idle.
    fn roll(&mut self, now: Moment) {
        let pause = if self.interval < CONFIGS { self.interval / ROLLS } else { self.interval };
        self.roll_due = now + pause;
        let ready: FxHashSet<&str> =
            self.lanes.iter().filter(|(_, lane)| lane.is_ready(now)).map(|(name, _)| name.as_str()).collect();
        let mut counts = (0, 0);
        let (mut configs, mut addresses) = (Vec::new(), Vec::new());
        let is_there = |known: &&Known| known.reads_config() && ready.contains(known.listed.node.as_str());
        for known in self.guests.values().filter(is_there) {
            counts.0 += 1;
            if known.config_pace.is_idle(now) {
                configs.push((known.config_pace.begun, known.listed.vmid));
            }
            if known.asks_for_addresses() {
                counts.1 += 1;
                if known.addresses_pace.is_idle(now) {
                    addresses.push((known.addresses_pace.begun, known.listed.vmid));
                }
            }
        }
        let configs = oldest(configs, self.configs.next(counts.0, CONFIGS, pause));
        let addresses = oldest(addresses, self.addresses.next(counts.1, ADDRESSES, pause));
        for (vmid, is_config) in configs.map(|vmid| (vmid, true)).chain(addresses.map(|vmid| (vmid, false))) {
            let Some(known) = self.guests.get_mut(&vmid) else { continue };
            let place = known.place();
            let what = if is_config { What::Config(vmid) } else { What::addresses(&place) };
            // Who is read is asked then.
            let is_read = known.config_pace.wanted;
            let pace = if is_config { &mut known.config_pace } else { &mut known.addresses_pace };
            pace.wanted = true;
            if !is_read {
                self.push(&place, what, now);
            }
        }
    }

    /// A guest's configuration is this from now on. Whether it was another before.
    fn learn(&mut self, vmid: u32, config: Config) -> bool {
        let Some(known) = self.guests.get_mut(&vmid) else { return false };
        if known.config.as_ref() == Some(&config) {
            return false;
        }
        let before: Vec<Mac> = known.config.iter().flat_map(|config| &config.nics).map(|nic| nic.mac).collect();
        for nic in known.config.iter().flat_map(|config| &config.nics) {
            if let Some(vmids) = self.macs.get_mut(&nic.mac) {
                vmids.remove(&vmid);
                if vmids.is_empty() {
                    self.macs.remove(&nic.mac);
                }
            }
        }
        for nic in &config.nics {
            self.macs.entry(nic.mac).or_default().insert(vmid);
        }
        known.config = Some(config);
        self.freed.extend(before.into_iter().filter(|mac| !self.macs.contains_key(mac)));
        true
    }
}

/// Those of whom something was asked for longest ago, in this order.
fn oldest(mut all: Vec<(Option<Moment>, u32)>, count: usize) -> impl Iterator<Item = u32> {
    if count < all.len() {
        all.select_nth_unstable(count);
        all.truncate(count);
    }
    all.sort_unstable();
    all.into_iter().map(|(_, vmid)| vmid)
}
