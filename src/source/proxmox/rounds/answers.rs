//! What an answer changes.

use super::super::{Config, Failure, Kind, Listed, Place, Read, Refused, Resources, Told, lists, sightings};
use super::known::{Known, seed};
use super::lane::{Lane, What};
use super::troubles::{NOBODY, Note, Subject};
use super::{CONFIGS, IPAM, IPAM_IDLE, LOST, REFUSED_WAIT, RESTLESS, Rounds};
use crate::daemon::schedule::Moment;
use crate::net::Mac;
use crate::plan::guest::{self, By, Sighting, State};
use std::collections::{BTreeMap, BTreeSet};

/// An answer to a [`super::Call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All guests and nodes.
    Resources(Result<Read<Resources>, Failure>),
    /// How a guest is configured.
    Config(Place, Result<Read<Config>, Failure>),
    /// Which addresses it has.
    Addresses(Place, Result<Told, Failure>),
    /// What the SDN gave out.
    Ipam(Result<Read<Vec<Sighting>>, Failure>),
}

impl Answer {
    /// The failure that it is, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Resources(answer) => answer.as_ref().err(),
            Self::Config(_, answer) => answer.as_ref().err(),
            Self::Addresses(_, answer) => answer.as_ref().err(),
            Self::Ipam(answer) => answer.as_ref().err(),
        }
    }
}

/// A MAC address that is nobody's any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// The address.
    pub mac: Mac,
    /// Since when: who is heard with it later is somebody all the same.
    pub since: Moment,
    /// From when on it is known that it has not become another guest's.
    pub sure: Moment,
}

/// What came of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A guest or a sighting is another than before: names and addresses may follow.
    pub is_changed: bool,
    /// Guests that are gone for good.
    pub gone: Vec<u32>,
    /// MAC addresses that were guests' and are nobody's now.
    pub freed: Vec<Freed>,
    /// What people should know; each trouble once until it has ended.
    pub notes: Vec<Note>,
}

impl Rounds {
    /// Takes in an answer.
    pub fn answered(&mut self, answer: Answer, now: Moment) -> Outcome {
        let mut outcome = Outcome::default();
        match answer {
            Answer::Resources(answer) => {
                self.listing.in_flight = false;
                match answer {
                    Ok(read) => self.listed(read, now, &mut outcome),
                    Err(failure) => self.list_failed(failure, now, &mut outcome),
                }
            }
            Answer::Config(place, answer) => {
                self.reached(&place, false, answer.as_ref().err(), now, &mut outcome);
                match answer {
                    Ok(read) => self.configured(&place, read, now, &mut outcome),
                    Err(failure) => self.config_failed(&place, failure, now, &mut outcome),
                }
            }
            Answer::Addresses(place, answer) => {
                let is_agents = place.kind == guest::Kind::Qemu;
                self.reached(&place, is_agents, answer.as_ref().err(), now, &mut outcome);
                self.told(&place, answer, now, &mut outcome);
            }
            Answer::Ipam(answer) => self.ipam_told(answer, now, &mut outcome),
        }
        outcome
    }

    /// The list came.
    fn listed(&mut self, read: Read<Resources>, now: Moment, outcome: &mut Outcome) {
        let Read { value: Resources { guests, nodes }, refused } = read;
        // Whose row makes no sense is listed all the same.
        let listed: BTreeSet<u32> =
            guests.iter().map(|guest| guest.vmid).chain(refused.iter().filter_map(|refused| refused.vmid)).collect();
        let known = self.guests.len();
        if listed.is_empty() && known > 0 {
            let text = format!(
                "the cluster lists no guests where there were {known}: the token, or its user, has lost the privilege VM.Audit on \
                 /vms; what is known stays, until the list has guests or the state file is removed"
            );
            return self.list_failed(Failure::new(Kind::Forbidden, text), now, outcome);
        }
        let is_extra = std::mem::replace(&mut self.listing.is_extra, false);
        self.listing.may_be_extra |= !is_extra;
        self.listing.due = self.listing.begun + self.interval;
        self.listing.backoff.reset();
        self.listing.read = Some(now);
        self.listing.failing_since = None;
        self.end(&Subject::Resources, outcome);
        if listed.is_empty() {
            self.trouble(Subject::Nobody, Failure::new(Kind::Forbidden, NOBODY), outcome);
        } else {
            self.end(&Subject::Nobody, outcome);
        }
        self.see_nodes(nodes.into_iter().map(|node| (node.name, node.is_online)).collect(), &guests);
        for guest in guests {
            outcome.is_changed |= self.see(guest, now);
        }
        self.refuse(refused, now, outcome);
        self.freed(now, now + CONFIGS, outcome);
        self.miss(&listed, now, outcome);
        self.plan(now, is_extra);
    }

    fn list_failed(&mut self, failure: Failure, now: Moment, outcome: &mut Outcome) {
        let wait = self.listing.backoff.next(seed(now, 1));
        let least = if failure.kind == Kind::Unauthorized { REFUSED_WAIT.max(self.interval) } else { self.interval };
        self.listing.due = (self.listing.begun + least).max(now + wait);
        self.listing.failing_since.get_or_insert(now);
        self.listing.is_extra = false;
        self.trouble(Subject::Resources, failure, outcome);
    }

    /// Which nodes there are; if the list does not say, those of the guests.
    fn see_nodes(&mut self, mut nodes: BTreeMap<String, bool>, guests: &[Listed]) {
        for guest in guests {
            if !nodes.contains_key(&guest.node) {
                nodes.insert(guest.node.clone(), true);
            }
        }
        for (name, lane) in &mut self.lanes {
            lane.is_listed = nodes.contains_key(name);
            lane.is_online = nodes.get(name).copied().unwrap_or(false);
        }
        for (name, is_online) in nodes {
            self.lanes.entry(name).or_insert_with(Lane::new).is_online = is_online;
        }
        self.lanes.retain(|_, lane| !lane.is_unused());
    }

    /// A guest's row. Whether it changes anything about the guest.
    fn see(&mut self, mut row: Listed, now: Moment) -> bool {
        let is_online = self.lanes.get(&row.node).is_some_and(|lane| lane.is_online);
        if self.guests.get(&row.vmid).is_some_and(|known| known.listed.kind != row.kind) {
            // The number was given to another.
            self.learn(row.vmid, Config::default());
            self.guests.remove(&row.vmid);
        }
        let known = self.guests.entry(row.vmid).or_insert_with(|| Known::new(row.clone()));
        known.missing = None;
        if row.state == State::Unknown {
            // Its node is not there to tell.
            row.name = row.name.or_else(|| known.listed.name.clone());
            row.tags = row.tags.or_else(|| known.listed.tags.clone());
            row.is_template |= known.listed.is_template;
        }
        if !is_online {
            known.grow_stale(now, &format!("the node {} is offline", row.node));
        } else if row.state == State::Unknown {
            known.grow_stale(now, &format!("the node {} does not tell how its guests are", row.node));
        }
        let before = &known.listed;
        let is_started = row.state == State::Running
            && (before.state != State::Running || row.uptime < before.uptime || known.config_pace.begun.is_none());
        let is_changed = (&row.node, &row.name, row.state, row.is_template, &row.tags)
            != (&before.node, &before.name, before.state, before.is_template, &before.tags);
        if is_changed || is_started || row.lock != before.lock {
            known.stir();
        }
        if is_started {
            known.restless = RESTLESS;
        }
        known.listed = row;
        is_changed && known.config.is_some()
    }

    /// Rows of the list that make no sense: their guests stay as they are known. Each is said once until it makes sense.
    fn refuse(&mut self, refused: Vec<Refused>, now: Moment, outcome: &mut Outcome) {
        let before = std::mem::take(&mut self.listing.refused);
        for row in refused.iter().filter(|row| !before.contains(row)) {
            outcome.notes.push(Note::Odd(format!("list of guests: {row}")));
        }
        for row in &refused {
            if let Some(known) = row.vmid.and_then(|vmid| self.guests.get_mut(&vmid)) {
                known.missing = None;
                known.grow_stale(
                    now,
                    &format!("its row in the list of guests makes no sense: {}: {}", row.field, row.why),
                );
            }
        }
        self.listing.refused = refused;
    }

    /// Those that the list lacks are gone if it lacked them in the round before, too.
    fn miss(&mut self, listed: &BTreeSet<u32>, now: Moment, outcome: &mut Outcome) {
        let apart = self.interval / 2;
        for (vmid, known) in self.guests.iter_mut().filter(|(vmid, _)| !listed.contains(vmid)) {
            let since = *known.missing.get_or_insert(now);
            known.grow_stale(now, "the list of guests lacks it");
            // An answer that is still to come would be taken for one about whoever gets the number next.
            if now.saturating_sub(since) >= apart && since < now && !known.is_asked() {
                outcome.gone.push(*vmid);
            }
        }
        for vmid in outcome.gone.clone() {
            let since = self.guests.get(&vmid).and_then(|known| known.missing).unwrap_or(now);
            self.learn(vmid, Config::default());
            self.freed(since, now, outcome);
            self.guests.remove(&vmid);
            self.later.remove(&vmid);
            self.troubles.remove(&Subject::Config(vmid));
            self.troubles.remove(&Subject::Addresses(vmid));
        }
        outcome.is_changed |= !outcome.gone.is_empty();
    }

    /// Tells of MAC addresses that have become nobody's.
    fn freed(&mut self, since: Moment, sure: Moment, outcome: &mut Outcome) {
        outcome.freed.extend(self.freed.drain(..).map(|mac| Freed { mac, since, sure }));
    }

    /// What an answer says about the node.
    fn reached(
        &mut self,
        place: &Place,
        is_agents: bool,
        failure: Option<&Failure>,
        now: Moment,
        outcome: &mut Outcome,
    ) {
        let subject = Subject::Node(place.node.clone());
        let Some(lane) = self.lanes.get_mut(&place.node) else { return };
        lane.answered(is_agents);
        match failure.map(|failure| (failure, failure.kind)) {
            // An agent may keep its node's answer for longer than anybody waits, while all is well with the node.
            Some((_, Kind::NodeDown | Kind::Timeout)) if is_agents => {}
            Some((failure, Kind::NodeDown | Kind::Timeout)) => {
                lane.fail(now);
                self.trouble(subject, failure.clone(), outcome);
            }
            // One connection may break. If several do, the API is not there: the next list will tell.
            Some((_, Kind::Unreachable | Kind::Tls)) => {
                self.lost += 1;
                if self.lost >= LOST {
                    self.lanes.values_mut().for_each(Lane::clear);
                }
            }
            // The token is no longer good, for nothing.
            Some((_, Kind::Unauthorized)) => self.lanes.values_mut().for_each(Lane::clear),
            Some(_) | None => {
                lane.succeed();
                self.end(&subject, outcome);
            }
        }
    }

    fn configured(&mut self, place: &Place, read: Read<Config>, now: Moment, outcome: &mut Outcome) {
        let Read { value: config, refused } = read;
        self.end(&Subject::Config(place.vmid), outcome);
        let Some(known) = self.guests.get_mut(&place.vmid).filter(|known| known.listed.kind == place.kind) else {
            return;
        };
        known.config_pace.succeed();
        // While its row makes no sense, nobody knows where it is and whether it runs.
        if !self.listing.refused.iter().any(|row| row.vmid == Some(place.vmid)) {
            known.stale = None;
        }
        if known.refused != refused {
            let new = refused.iter().filter(|new| !known.refused.contains(new));
            outcome.notes.extend(new.map(|refused| Note::Odd(refused.to_string())));
            known.refused = refused;
        }
        let asked = known.config_pace.begun.unwrap_or(now);
        outcome.is_changed |= self.learn(place.vmid, config);
        // It may have been given to another guest, which is read again within this time.
        self.freed(asked, now + CONFIGS, outcome);
        let Some(known) = self.guests.get(&place.vmid) else { return };
        let place = known.place();
        if known.config_pace.is_wanted(now) {
            // It was heard, or its row changed, while the answer was on its way.
            self.push(&place, What::Config(place.vmid), now);
        } else if known.addresses_pace.is_wanted(now) && known.asks_for_addresses() {
            self.push(&place, What::addresses(&place), now);
        }
    }

    fn config_failed(&mut self, place: &Place, failure: Failure, now: Moment, outcome: &mut Outcome) {
        let Some(known) = self.guests.get_mut(&place.vmid).filter(|known| known.listed.kind == place.kind) else {
            return;
        };
        if known.listed.node != place.node {
            // It has moved meanwhile, as the list said.
            known.config_pace.succeed();
            known.config_pace.wanted = true;
            let place = known.place();
            return self.push(&place, What::Config(place.vmid), now);
        }
        known.config_pace.fail(now, place.vmid);
        match failure.kind {
            Kind::Moved => {
                // Where to, the list says.
                known.config_pace.until = Moment::ZERO;
                if self.listing.may_be_extra && !self.listing.in_flight {
                    self.listing.may_be_extra = false;
                    self.listing.is_extra = self.listing.due > now;
                    self.listing.due = self.listing.due.min(now);
                }
            }
            // These are not about the guest; the round in which they have ended reads it.
            Kind::NodeDown | Kind::Timeout | Kind::Unreachable | Kind::Tls | Kind::Unauthorized => {
                known.config_pace.until = Moment::ZERO;
                known.grow_stale(now, &failure.text);
            }
            _ => {
                known.grow_stale(now, &failure.text);
                self.trouble(Subject::Config(place.vmid), failure, outcome);
            }
        }
    }

    /// What a guest's agent or its node says of its addresses.
    fn told(&mut self, place: &Place, answer: Result<Told, Failure>, now: Moment, outcome: &mut Outcome) {
        let Some(known) = self.guests.get_mut(&place.vmid).filter(|known| known.listed.kind == place.kind) else {
            return;
        };
        let by = match place.kind {
            guest::Kind::Qemu => By::Agent,
            guest::Kind::Lxc => By::Interfaces,
        };
        match answer {
            Ok(Told::Interfaces(interfaces)) => {
                known.addresses_pace.succeed();
                let Some(guest) = known.guest() else { return };
                // Who was heard after it was asked may not have said so yet.
                let at = known.addresses_pace.begun.unwrap_or(now);
                let all = sightings(&guest, &interfaces, by, at);
                self.end(&Subject::Addresses(place.vmid), outcome);
                let Some(known) = self.guests.get_mut(&place.vmid) else { return };
                if all.iter().any(|sighting| !is_link_local(sighting)) {
                    known.restless = 0;
                } else if known.is_starting() {
                    // It has none yet. It had some before, and is about to have them again.
                    return;
                }
                let before = std::mem::take(&mut known.sightings);
                let all = Sighting::continued(all, &before);
                let lists = lists(&guest, &interfaces, at);
                outcome.is_changed |= std::mem::take(&mut known.is_doubted) || !lists.keys().eq(known.lists.keys());
                known.lists = lists;
                let pairs =
                    |all: &[Sighting]| -> BTreeSet<_> { all.iter().map(|s| (s.mac, s.address, s.by)).collect() };
                outcome.is_changed |= pairs(&all) != pairs(&before);
                known.sightings = all;
            }
            // What was said last stays: an agent that is silent does not make its guest another.
            Ok(Told::Not(_)) => known.addresses_pace.fail(now, place.vmid),
            Err(failure) => {
                known.addresses_pace.fail(now, place.vmid);
                if failure.kind == Kind::Forbidden {
                    self.trouble(Subject::Addresses(place.vmid), failure, outcome);
                }
            }
        }
    }

    fn ipam_told(&mut self, answer: Result<Read<Vec<Sighting>>, Failure>, now: Moment, outcome: &mut Outcome) {
        self.ipam.in_flight = false;
        self.ipam.due = now + IPAM_IDLE;
        match answer {
            Ok(Read { value, refused: _ }) => {
                self.end(&Subject::Ipam, outcome);
                if !value.is_empty() {
                    self.ipam.due = now + IPAM;
                }
                let all = Sighting::continued(value, &self.ipam.sightings);
                let pairs = |all: &[Sighting]| -> BTreeSet<_> { all.iter().map(|s| (s.mac, s.address)).collect() };
                outcome.is_changed |= pairs(&all) != pairs(&self.ipam.sightings);
                self.ipam.sightings = all;
            }
            // Not every cluster has it.
            Err(failure) if failure.kind == Kind::NotFound => {}
            Err(failure) => self.trouble(Subject::Ipam, failure, outcome),
        }
    }
}

fn is_link_local(sighting: &Sighting) -> bool {
    match sighting.address {
        std::net::IpAddr::V4(address) => address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
