//! What everybody is told of a filter: the log, each thing once, the counters, the status.

use super::agenda::Question;
use super::metrics::{Metrics, signed};
use super::status::{NodeStatus, Status};
use crate::error::{Error, Result};
use crate::net::Mac;
use crate::plan::pxe_access::inventory::Inventory;
use crate::plan::pxe_access::{Access, InfiniBand, Node, Table, Who};
use crate::sink::dhcp_hostsdir::Contents;
use crate::source::ironic::Failure;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, SystemTime};
use tracing::{error, info, warn};
use uuid::Uuid;

/// Up to how many changes are logged each by itself.
pub const LOGGED: usize = 256;

/// What was told, and what is counted.
#[derive(Debug, Default)]
pub struct Told {
    /// The counters.
    pub metrics: Metrics,
    /// How it is.
    pub status: Status,
    said: Said,
    /// What Ironic does not answer, and why.
    failing: BTreeMap<Question, String>,
    /// Nodes whose inspection has begun and whose files do not say so yet.
    begun: HashSet<Uuid>,
}

/// What was logged already, not to be repeated.
#[derive(Debug, Default)]
struct Said {
    folder: Option<String>,
    notices: BTreeSet<String>,
    once: BTreeSet<String>,
    refused: BTreeSet<String>,
    disputed: Vec<Mac>,
}

impl Told {
    /// Something that nobody needs to hear twice.
    pub fn once(&mut self, notice: String) {
        if !self.said.once.contains(&notice) {
            warn!("{notice}");
            self.said.once.insert(notice);
        }
    }

    /// A node's inspection has begun.
    pub fn begun(&mut self, node: &Node) {
        info!(node = %node.uuid, name = node.name, "inspection has begun");
        self.begun.insert(node.uuid);
    }

    /// A listing has ended in which so many ports made no sense, these among them.
    pub fn listed(&mut self, number: usize, refused: &[String]) {
        self.metrics.refused.set(signed(number));
        self.said.refused.retain(|said| refused.contains(said));
        self.refused(refused);
    }

    /// Ironic did not answer this question.
    pub fn failed(&mut self, question: Question, failure: &Failure, is_complete: bool) {
        self.metrics.failed(failure);
        if self.failing.get(&question) != Some(&failure.text) {
            let what = if is_complete { "everything stays as it is" } else { "nobody may boot" };
            error!("{failure}; until Ironic answers {what}");
            self.failing.insert(question, failure.text.clone());
        }
        self.status.failure = Some(failure.text.clone());
    }

    /// These ports make no sense.
    pub fn refused(&mut self, refused: &[String]) {
        for what in refused {
            if self.said.refused.len() < LOGGED && self.said.refused.insert(what.clone()) {
                warn!("ignored: {what}");
            }
        }
    }

    /// Ironic answered this question.
    pub fn answered(&mut self, question: Question) {
        self.status.last_answer = Some(SystemTime::now());
        let had_failed = self.failing.remove(&question).is_some();
        self.status.failure = self.failing.values().next().cloned();
        self.metrics.is_up(self.failing.is_empty());
        if had_failed && self.failing.is_empty() {
            info!("Ironic answers again");
        }
    }

    /// This was written, and took so long.
    pub fn written(
        &mut self,
        writes: &[(Who, Access)],
        inventory: &Inventory,
        infiniband: &InfiniBand,
        took: Duration,
    ) {
        self.metrics.written.inc_by(writes.len() as u64);
        let allowed = writes.iter().filter(|(_, access)| *access == Access::Allow).count();
        info!(allowed, denied = writes.len() - allowed, seconds = took.as_secs_f64(), "written");
        let written: BTreeMap<Mac, Access> = writes
            .iter()
            .filter_map(|(who, access)| match who {
                Who::Mac(mac) => Some((*mac, *access)),
                Who::Unknown => {
                    info!("MAC addresses that Ironic does not know: {access}");
                    None
                }
            })
            .collect();
        let mut owned = BTreeSet::new();
        for port in inventory.ports() {
            let mac = port.guid.and_then(|guid| infiniband.get(&guid)).copied().unwrap_or(port.address);
            let Some(access) = written.get(&mac) else { continue };
            owned.insert(mac);
            let node = inventory.nodes().get(&port.node);
            if *access == Access::Allow
                && self.begun.remove(&port.node)
                && let Some(since) = node.and_then(|node| node.since)
            {
                self.metrics.changed(since);
            }
            if writes.len() <= LOGGED {
                let name = node.and_then(|node| node.name.as_deref());
                info!(%mac, node = %port.node, name, port = %port.uuid, "{access}");
            }
        }
        if writes.len() <= LOGGED {
            for (mac, access) in written.iter().filter(|(mac, _)| !owned.contains(mac)) {
                info!(%mac, "{access}: no port of Ironic's");
            }
        }
    }

    /// The folder holds this, and says what this table says.
    pub fn compared(&mut self, contents: &Contents, table: &Table, inventory: &Inventory) {
        self.begun.clear();
        for notice in contents.notices.difference(&self.said.notices) {
            warn!("{notice}");
        }
        self.said.notices.clone_from(&contents.notices);
        if table.disputed != self.said.disputed {
            for mac in &table.disputed {
                warn!(%mac, "denied: several nodes have it, and not all of them are under inspection");
            }
            self.said.disputed.clone_from(&table.disputed);
        }
        self.metrics.in_step(table);
        self.metrics.foreign.set(signed(contents.foreign.len()));
        self.metrics.unread.set(signed(contents.unread));
        self.status.unknown = Some(table.unknown);
        self.status.ports = table.macs.len();
        self.status.foreign = contents.foreign.len();
        self.status.disputed.clone_from(&table.disputed);
        let node = |node: &Node| {
            let ports = inventory.of(node.uuid).iter();
            NodeStatus { uuid: node.uuid, name: node.name.clone(), ports: ports.map(|port| port.address).collect() }
        };
        self.status.inspected = inventory.nodes().values().map(node).collect();
        self.status.inspected.sort_by_key(|node| node.uuid);
    }

    /// What became of reading or writing the folder.
    pub fn folder(&mut self, result: Result<()>) {
        let failure = result.err().map(|error: Error| error.to_string());
        if let Some(failure) = &failure {
            self.metrics.folder_failures.inc();
            if self.said.folder.as_ref() != Some(failure) {
                error!("{failure}");
            }
        } else if self.said.folder.is_some() {
            info!("the folder can be written again");
        }
        self.status.folder_failure.clone_from(&failure);
        self.said.folder = failure;
    }
}
