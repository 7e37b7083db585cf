//! The filter itself: asks Ironic, puts together what it tells, and brings the folder in step.

use super::agenda::{Agenda, Question, Task};
use super::hosts::{Hosts, deny_all};
use super::metrics::signed;
use super::tidy::Tidy;
use super::told::{LOGGED, Told};
use crate::cli::pxe_filter::Config;
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result};
use crate::net::IfName;
use crate::plan::pxe_access::changes::Changes;
use crate::plan::pxe_access::inventory::{Circle, Inventory};
use crate::plan::pxe_access::{Access, InfiniBand, Removed, Settings, Who};
use crate::source::ethoib;
use crate::source::ironic::{Baremetal, Failure, Kind, Ports};
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};
use tracing::{debug, info, warn};
use uuid::Uuid;

/// How long what is known already waits for ports that are still to be asked for.
const SOON: Duration = Duration::from_secs(1);
/// How often in a row a listing may begin anew because a port was deleted meanwhile.
const BEGINNINGS: u32 = 5;

/// The filter.
pub struct Filter<B, H> {
    api: B,
    hosts: H,
    settings: Settings,
    purges: bool,
    ethoib: Vec<IfName>,
    inventory: Inventory,
    agenda: Agenda,
    tidy: Tidy,
    start: Instant,
    /// What is known was not compared with the folder yet, or the folder was changed.
    is_stale: bool,
    /// When that was noticed or compared last.
    looked: Moment,
    /// Of a listing that has just ended.
    is_listed: bool,
    marker: Option<Uuid>,
    beginnings: u32,
    /// Ports of the listing so far that make no sense: how many, and the first of them.
    refused: (usize, Vec<String>),
    /// What everybody is told of it.
    pub told: Told,
}

impl<B: Baremetal, H: Hosts> Filter<B, H> {
    /// A filter that knows nothing yet.
    pub fn new(api: B, hosts: H, config: &Config) -> Self {
        Self {
            api,
            hosts,
            settings: config.policy.clone(),
            purges: config.purge,
            ethoib: config.ethoib_interfaces.clone(),
            inventory: Inventory::default(),
            agenda: Agenda::new(config.poll_interval, config.sync_period),
            tidy: Tidy::default(),
            start: Instant::now(),
            is_stale: true,
            looked: Moment::ZERO,
            is_listed: false,
            marker: None,
            beginnings: 0,
            refused: (0, Vec::new()),
            told: Told::default(),
        }
    }

    /// Since the filter began.
    pub fn now(&self) -> Moment {
        self.start.elapsed()
    }

    /// What Ironic has told.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The folder.
    pub fn hosts(&mut self) -> &mut H {
        &mut self.hosts
    }

    /// Whether the folder was brought in step completely at least once.
    pub fn is_in_step(&self) -> bool {
        self.told.status.last_sync.is_some()
    }

    /// Whether nobody is let in that should not be: it is in step, or denies everybody.
    pub fn is_safe(&self) -> bool {
        self.is_in_step() || self.told.status.denies_all
    }

    /// Everything may have changed.
    pub fn doubt(&mut self) {
        self.is_stale = true;
        self.agenda.doubt();
    }

    /// When the folder was looked at last, or was going to be.
    pub fn looked(&self) -> Moment {
        self.looked
    }

    /// Somebody else changed the folder, or may have.
    pub fn folder_changed(&mut self) {
        self.looked = self.now();
        self.is_stale = true;
    }

    /// Does what is due, and says when there is more to do. Given up half-way, what was written stays, and the rest is written
    /// by the next step.
    pub async fn step(&mut self) -> Moment {
        let now = self.now();
        let question = match self.agenda.next(now, self.inventory.to_ask().is_some()) {
            Task::Ask(question) => question,
            Task::Wait(then) => {
                self.bring_in_step().await;
                self.tidy_up();
                return then;
            }
        };
        match self.ask(question, now).await {
            // A listing is answered with its last page.
            Ok(()) if question == Question::Page && self.inventory.is_listing() => {}
            Ok(()) => self.told.answered(question),
            Err(failure) => self.failed(question, &failure),
        }
        // Ports that are still to be asked for come first: one write for all. But not if they do not come, or not soon.
        let is_late = self.now() >= self.looked + SOON;
        if self.inventory.to_ask().is_none() || is_late || self.agenda.is_failing() {
            self.bring_in_step().await;
        }
        Moment::ZERO
    }

    /// Asks everything once, and brings the folder in step. What failed before anything was written has changed nothing.
    ///
    /// # Errors
    /// Ironic does not answer, or the folder cannot be written.
    pub async fn once(&mut self) -> Result<()> {
        while !self.inventory.is_complete() || self.inventory.to_ask().is_some() {
            let now = self.now();
            match self.agenda.next(now, self.inventory.to_ask().is_some()) {
                Task::Ask(question) => {
                    self.ask(question, now).await.map_err(|failure| Error::new(failure.text))?;
                }
                Task::Wait(then) => tokio::time::sleep(then.saturating_sub(now)).await,
            }
        }
        self.compare().await?;
        self.hosts.settle().await;
        Ok(())
    }

    /// Asks Ironic.
    async fn ask(&mut self, question: Question, began: Moment) -> Result<(), Failure> {
        let asked = match question {
            Question::Nodes => self.ask_nodes(began).await,
            Question::PortsOfNode => self.ask_ports_of_node().await,
            Question::Page => self.ask_page(began).await,
        };
        for notice in self.api.notices() {
            warn!("{notice}");
        }
        asked
    }

    async fn ask_nodes(&mut self, began: Moment) -> Result<(), Failure> {
        let asked = Instant::now();
        let nodes = self.api.nodes_under_inspection().await?;
        self.told.metrics.answered("nodes", asked.elapsed());
        self.told.metrics.inspected.set(signed(nodes.len()));
        self.agenda.told_nodes(began);
        self.is_stale |= !self.inventory.is_complete();
        let before: HashMap<Uuid, _> = self.inventory.nodes().clone();
        for node in nodes.iter().filter(|node| !before.contains_key(&node.uuid)) {
            self.told.begun(node);
        }
        self.inventory.inspected(nodes);
        for node in before.values().filter(|node| !self.inventory.nodes().contains_key(&node.uuid)) {
            info!(node = %node.uuid, name = node.name, "inspection has ended");
        }
        self.is_stale |= before != *self.inventory.nodes();
        Ok(())
    }

    async fn ask_ports_of_node(&mut self) -> Result<(), Failure> {
        let Some(node) = self.inventory.to_ask() else { return Ok(()) };
        let asked = Instant::now();
        // If that fails, the others are not to wait for this one.
        let Ports { ports, refused } = self.api.ports_of(node).await.inspect_err(|_| self.inventory.ask_later(node))?;
        self.told.metrics.answered("ports_of_node", asked.elapsed());
        self.agenda.told_ports();
        self.told.refused(&refused);
        self.inventory.ports_of(node, ports);
        self.is_stale = true;
        Ok(())
    }

    async fn ask_page(&mut self, began: Moment) -> Result<(), Failure> {
        if !self.inventory.is_listing() {
            self.inventory.begin_listing();
            self.marker = None;
            self.refused = (0, Vec::new());
        }
        let asked = Instant::now();
        let page = match self.api.ports(self.marker).await {
            Err(failure) if failure.kind == Kind::MarkerGone && self.beginnings < BEGINNINGS => {
                debug!("{failure}; the listing begins anew");
                self.beginnings += 1;
                self.inventory.abandon_listing();
                self.agenda.begin_anew();
                return Ok(());
            }
            answer => answer?,
        };
        self.told.metrics.answered("ports", asked.elapsed());
        self.inventory.page(page.ports.ports).map_err(|Circle(port)| Failure {
            kind: Kind::Nonsense,
            text: format!("Ironic lists port {port} twice: its pages go in circles; look at what is between us and it"),
        })?;
        let (number, first) = &mut self.refused;
        *number += page.ports.refused.len();
        first.extend(page.ports.refused);
        first.truncate(LOGGED);
        self.marker = page.next;
        self.agenda.told_page(began, page.next.is_none());
        if page.next.is_none() {
            self.beginnings = 0;
            let is_news = self.inventory.end_listing();
            self.tidy.listed();
            let (number, refused) = std::mem::take(&mut self.refused);
            self.told.listed(number, &refused);
            // Where InfiniBand ports are is the host's to say, who does not tell when it changes.
            let tells = self.ethoib.is_empty() && self.hosts.notices_all();
            self.is_stale |= is_news || !tells || self.settings.removed == Removed::AsUnknown && self.tidy.waits();
            self.is_listed = true;
        }
        Ok(())
    }

    /// Ironic did not answer. What the folder says stays as it is; only if nothing is known yet, nobody may boot.
    fn failed(&mut self, question: Question, failure: &Failure) {
        self.agenda.failed(question, self.now(), fastrand::u64(..));
        if question == Question::Page {
            self.inventory.abandon_listing();
            self.beginnings = 0;
        }
        self.told.failed(question, failure, self.inventory.is_complete());
        self.is_stale |= !self.inventory.is_complete();
    }

    /// Compares all that is known with all that the folder says, and has it say that. Where Ironic says what it said before and
    /// nobody has touched the folder, which would be noticed, there is nothing to compare.
    async fn bring_in_step(&mut self) {
        if !self.is_stale {
            if self.inventory.is_complete() && std::mem::take(&mut self.is_listed) {
                self.synchronized();
            }
        } else if self.inventory.is_complete() {
            let compared = self.compare().await;
            self.told.folder(compared);
        } else if self.agenda.is_failing() || self.told.status.denies_all {
            self.looked = self.now();
            let denied = deny_all(&mut self.hosts).await;
            self.is_stale = denied.is_err();
            self.told.status.denies_all = denied.is_ok();
            self.told.metrics.written.inc_by(*denied.as_ref().unwrap_or(&0));
            self.told.folder(denied.map(drop));
        }
    }

    async fn compare(&mut self) -> Result<()> {
        let began = Instant::now();
        self.looked = self.now();
        let mut contents = self.hosts.look()?;
        let infiniband = self.infiniband();
        let table = self.inventory.table(&self.settings, &infiniband);
        let Changes { writes, removed } =
            Changes::new(&table, &contents.found, &self.settings, |mac| self.tidy.is_sure(mac));
        let done = self.hosts.write(&writes).await;
        let written = if done.is_ok() { writes } else { self.in_place(writes) };
        self.told.status.denies_all &= done.is_err() && written.is_empty();
        if !written.is_empty() {
            self.tidy.changed(self.now());
            self.told.written(&written, &self.inventory, &infiniband, began.elapsed());
        }
        done?;
        self.is_stale = false;
        self.tidy.removed(&removed);
        if std::mem::take(&mut self.is_listed) && self.synchronized() {
            info!(ports = table.macs.len(), written = written.len(), "all ports are as Ironic has them");
            if self.purges {
                for name in self.hosts.purge()? {
                    warn!("deleted {name}, which was not the filter's: purge_dhcp_hostsdir");
                }
                contents = self.hosts.look()?;
            }
        }
        self.told.compared(&contents, &table, &self.inventory);
        Ok(())
    }

    /// What the folder says of all this, after a write that failed.
    fn in_place(&mut self, mut writes: Vec<(Who, Access)>) -> Vec<(Who, Access)> {
        let found = self.hosts.look().map(|contents| contents.found).unwrap_or_default();
        writes.retain(|(who, access)| found.of(*who) == Some(*access));
        writes
    }

    /// All ports are as Ironic has them. Whether that is so for the first time.
    fn synchronized(&mut self) -> bool {
        self.told.metrics.synchronized();
        self.told.status.last_sync.replace(SystemTime::now()).is_none()
    }

    /// Where InfiniBand ports are, as the host's interfaces know.
    fn infiniband(&mut self) -> InfiniBand {
        let (known, failed) = ethoib::read(&self.ethoib);
        for (interface, error) in failed {
            self.told
                .once(format!("cannot read which InfiniBand ports {interface} has: {error}; see ethoib_interfaces"));
        }
        known
    }

    fn tidy_up(&mut self) {
        let macs = self.tidy.due(self.now(), !self.inventory.nodes().is_empty());
        if macs.is_empty() || self.is_stale {
            return;
        }
        let deleted = self.hosts.delete(&macs).map(|told| {
            self.tidy.removed(&[]);
            self.told.metrics.reloads.inc_by(told.into());
            let dnsmasq =
                if told { "dnsmasq reads everything anew" } else { "dnsmasq denies them until it starts again" };
            info!(number = macs.len(), "files of MAC addresses that are no port's any more are deleted; {dnsmasq}");
        });
        self.told.folder(deleted);
    }
}

#[cfg(test)]
mod tests;
