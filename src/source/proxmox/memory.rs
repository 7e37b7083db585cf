//! A cluster's twin in memory: the same answers, without HTTP, for tests of what is done with them.

use super::rounds::Call;
use super::{Cluster, Config, Failure, Kind, Listed, Node, Place, Read, Resources, Told};
use crate::daemon::schedule::Moment;
use crate::plan::guest::{Sighting, State};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A cluster in memory. Clones are the same cluster: one is asked, another changed meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    nodes: BTreeMap<String, bool>,
    guests: BTreeMap<u32, (Listed, Read<Config>)>,
    told: BTreeMap<u32, Told>,
    ipam: Vec<Sighting>,
    failures: VecDeque<Failure>,
    down: Option<Failure>,
    asked: Vec<Call>,
    notices: Vec<String>,
}

impl Memory {
    /// An empty cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a guest, or replaces the one of that number. Its node is there from now on if nothing else was said of it.
    pub fn put(&self, listed: Listed, config: Config) {
        let mut content = self.content();
        content.nodes.entry(listed.node.clone()).or_insert(true);
        content.guests.insert(listed.vmid, (listed, Read { value: config, refused: Vec::new() }));
    }

    /// Removes a guest.
    pub fn remove(&self, vmid: u32) {
        self.content().guests.remove(&vmid);
    }

    /// Moves a guest to another node.
    pub fn migrate(&self, vmid: u32, node: &str) {
        let mut content = self.content();
        content.nodes.entry(node.to_owned()).or_insert(true);
        if let Some((listed, _)) = content.guests.get_mut(&vmid) {
            node.clone_into(&mut listed.node);
        }
    }

    /// Changes a guest.
    pub fn change(&self, vmid: u32, change: impl FnOnce(&mut Listed, &mut Config)) {
        if let Some((listed, read)) = self.content().guests.get_mut(&vmid) {
            change(listed, &mut read.value);
        }
    }

    /// Has a guest's agent, or its node, say this of its addresses.
    pub fn tell(&self, vmid: u32, told: Told) {
        self.content().told.insert(vmid, told);
    }

    /// Has the SDN's address management have given out these.
    pub fn ipam(&self, sightings: Vec<Sighting>) {
        self.content().ipam = sightings;
    }

    /// Takes a node from the cluster, or brings it back.
    pub fn node(&self, name: &str, is_online: bool) {
        self.content().nodes.insert(name.to_owned(), is_online);
    }

    /// Answers the next question that is still without one so. Several are given in turn.
    pub fn fail_once(&self, kind: Kind, text: &str) {
        self.content().failures.push_back(Failure::new(kind, text));
    }

    /// Answers every question so until [`Self::up`].
    pub fn down(&self, kind: Kind, text: &str) {
        self.content().down = Some(Failure::new(kind, text));
    }

    /// Answers again.
    pub fn up(&self) {
        self.content().down = None;
    }

    /// Has something to say to people.
    pub fn notice(&self, text: &str) {
        self.content().notices.push(text.to_owned());
    }

    /// What was asked since this was called last.
    pub fn asked(&self) -> Vec<Call> {
        std::mem::take(&mut self.content().asked)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the question; the failure that is its answer, if it is one.
    fn take(&self, call: Call) -> Result<MutexGuard<'_, Content>, Failure> {
        let mut content = self.content();
        content.asked.push(call);
        match content.failures.pop_front().or_else(|| content.down.clone()) {
            Some(failure) => Err(failure),
            None => Ok(content),
        }
    }
}

impl Content {
    /// The guest, if it is where it is looked for, and its node is there.
    fn at(&self, place: &Place) -> Result<&(Listed, Read<Config>), Failure> {
        if self.nodes.get(&place.node) != Some(&true) {
            let text = format!("{}: 595 No route to host", place.node);
            return Err(Failure::new(Kind::NodeDown, text));
        }
        let here = self.guests.get(&place.vmid).filter(|(listed, _)| listed.node == place.node);
        here.ok_or_else(|| Failure::new(Kind::Moved, format!("guest {} is not on {}", place.vmid, place.node)))
    }
}

impl Cluster for Memory {
    async fn resources(&self) -> Result<Read<Resources>, Failure> {
        let content = self.take(Call::Resources)?;
        let guests = content.guests.values().map(|(listed, _)| {
            let is_online = content.nodes.get(&listed.node) == Some(&true);
            if is_online {
                listed.clone()
            } else {
                // As Proxmox has it of a node that is offline.
                let (state, uptime, lock) = (State::Unknown, None, None);
                Listed { name: None, tags: None, is_template: false, state, uptime, lock, ..listed.clone() }
            }
        });
        let guests = guests.collect();
        let nodes = content.nodes.iter().map(|(name, is_online)| Node { name: name.clone(), is_online: *is_online });
        let nodes = nodes.collect();
        Ok(Read { value: Resources { guests, nodes }, refused: Vec::new() })
    }

    async fn config(&self, place: &Place) -> Result<Read<Config>, Failure> {
        let content = self.take(Call::Config(place.clone()))?;
        content.at(place).map(|(_, config)| config.clone())
    }

    async fn interfaces(&self, place: &Place) -> Result<Told, Failure> {
        let content = self.take(Call::Addresses(place.clone()))?;
        content.at(place)?;
        let silent = || Failure::new(Kind::NoAgent, "QEMU guest agent is not running");
        content.told.get(&place.vmid).cloned().ok_or_else(silent)
    }

    async fn ipam(&self, _: Moment) -> Result<Read<Vec<Sighting>>, Failure> {
        let content = self.take(Call::Ipam)?;
        Ok(Read { value: content.ipam.clone(), refused: Vec::new() })
    }

    fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.content().notices)
    }
}
