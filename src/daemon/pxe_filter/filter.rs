//! The filter itself: asks Ironic, puts together what it tells, and brings the folder in step.

use super::agenda::{Agenda, Question, Task};
use super::metrics::signed;
use super::tidy::Tidy;
use super::told::{LOGGED, Told};
use crate::cli::pxe_filter::Config;
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result};
use crate::net::{IfName, Mac};
use crate::plan::pxe_access::changes::{Changes, Found};
use crate::plan::pxe_access::inventory::{Circle, Inventory};
use crate::plan::pxe_access::{Access, InfiniBand, Settings, Who};
use crate::source::ethoib;
use crate::source::ironic::{Baremetal, Failure, Kind, Ports};
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::time::{Duration, Instant, SystemTime};
use tracing::{debug, info, warn};
use uuid::Uuid;

/// How long what is known already waits for ports that are still to be asked for.
const SOON: Duration = Duration::from_secs(1);
/// How often in a row a listing may begin anew because a port was deleted meanwhile.
const BEGINNINGS: u32 = 5;

/// The folder, as the filter sees it.
pub trait Hosts {
    /// Everything that it says now.
    ///
    /// # Errors
    /// It cannot be read, or is another's.
    fn look(&mut self) -> Result<Look>;

    /// Has it say this, in this order. Given up half-way, what was written stays.
    fn write(&mut self, writes: &[(Who, Access)]) -> impl Future<Output = Result<()>>;

    /// Deletes files of MAC addresses, and has dnsmasq forget them. Whether it could be told.
    ///
    /// # Errors
    /// They cannot be deleted.
    fn delete(&mut self, macs: &[Mac]) -> Result<bool>;

    /// Deletes files that are not ours and could mean something to dnsmasq. Their names.
    ///
    /// # Errors
    /// They cannot be deleted.
    fn purge(&mut self) -> Result<Vec<String>>;

    /// Waits until somebody else has changed it.
    fn changed(&mut self) -> impl Future<Output = ()>;

    /// Whether [`Self::changed`] is sure to notice whatever somebody else does to it.
    fn notices_all(&self) -> bool;
}

/// What a folder holds.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// What it says.
    pub found: Found,
    /// What else there is, and what is wrong, for people.
    pub notices: BTreeSet<String>,
    /// How many files are not ours.
    pub foreign: usize,
    /// How many files nobody has read since they were written.
    pub unread: usize,
}

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

/// Denies everybody; how many files had to be written for it.
///
/// # Errors
/// The folder cannot be read or written.
pub async fn deny_all(hosts: &mut impl Hosts) -> Result<u64> {
    let look = hosts.look()?;
    let changes = Changes::to_deny_all(&look.found);
    hosts.write(&changes.writes).await?;
    Ok(changes.writes.len() as u64)
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
        self.compare().await
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
            self.is_stale |= is_news || !self.ethoib.is_empty() || !self.hosts.notices_all();
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
        let look = self.hosts.look()?;
        let infiniband = self.infiniband();
        let table = self.inventory.table(&self.settings, &infiniband);
        let changes = Changes::new(&table, &look.found, &self.settings);
        self.hosts.write(&changes.writes).await?;
        self.is_stale = false;
        self.told.status.denies_all = false;
        if !changes.writes.is_empty() {
            self.tidy.changed(self.now());
            self.told.written(&changes.writes, &self.inventory, &infiniband, began.elapsed());
        }
        self.tidy.removed(&changes.removed);
        self.told.compared(&look, &table, &self.inventory);
        if std::mem::take(&mut self.is_listed) {
            let is_first = self.synchronized();
            if is_first {
                info!(ports = table.macs.len(), written = changes.writes.len(), "all ports are as Ironic has them");
            }
            if is_first && self.purges {
                for name in self.hosts.purge()? {
                    warn!("deleted {name}, which was not the filter's: purge_dhcp_hostsdir");
                }
            }
        }
        Ok(())
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
mod tests {
    use super::super::tests::{Twin, allow, config, deny, mac, node, port};
    use super::*;
    use crate::source::ironic::{Asked, Memory};

    fn uuid(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// A filter of two ports, 1 of node 1 and 2 of node 2, and its folder.
    fn filter(ironic: &Memory, folder: &Twin) -> Filter<Memory, Twin> {
        Filter::new(ironic.clone(), folder.clone(), &config())
    }

    async fn steps(filter: &mut Filter<Memory, Twin>, number: usize) {
        for _ in 0..number {
            filter.step().await;
        }
    }

    #[tokio::test]
    async fn nothing_is_written_before_the_last_page_and_then_everything() {
        let (ironic, folder) = (Memory::new([port(1, 1), port(2, 2)], [node(1)]), Twin::default());
        ironic.page_size(1);
        let mut filter = filter(&ironic, &folder);
        // Nodes, node 1's ports, two pages; the third is empty.
        steps(&mut filter, 4).await;
        assert!(folder.writes().is_empty() && !filter.is_in_step());
        steps(&mut filter, 1).await;
        assert!(filter.is_in_step());
        assert_eq!(folder.writes(), [allow(1), deny(2), (Who::Unknown, Access::Allow)]);
    }

    #[tokio::test]
    async fn a_node_that_enters_is_asked_for_its_ports_and_opened_with_one_write() {
        let (ironic, folder) = (Memory::new([port(1, 1), port(2, 2)], []), Twin::default());
        let mut filter = filter(&ironic, &folder);
        steps(&mut filter, 3).await;
        assert_eq!(folder.writes(), [deny(1), deny(2), (Who::Unknown, Access::Deny)]);
        ironic.put_port(port(3, 1));
        ironic.inspect(node(1));
        ironic.asked();
        filter.agenda = Agenda::new(config().poll_interval, None);
        steps(&mut filter, 2).await;
        assert_eq!(ironic.asked(), [Asked::Nodes, Asked::PortsOf(uuid(1))]);
        assert_eq!(folder.writes(), [allow(1), allow(3), (Who::Unknown, Access::Allow)]);
    }

    #[tokio::test]
    async fn ironic_down_at_the_start_denies_all_and_later_changes_nothing() {
        let (ironic, folder) = (Memory::new([port(1, 1)], [node(1)]), Twin::default());
        folder.put(mac(7), Access::Allow);
        ironic.down(Kind::Unreachable, "no route");
        let mut filter = filter(&ironic, &folder);
        steps(&mut filter, 1).await;
        assert_eq!(folder.writes(), [(Who::Unknown, Access::Deny), deny(7)]);
        assert!(filter.is_safe() && !filter.is_in_step());
        assert_eq!(filter.told.status.failure.as_deref(), Some("no route"));
        ironic.up();
        filter.agenda = Agenda::new(config().poll_interval, None);
        steps(&mut filter, 4).await;
        assert_eq!(folder.writes(), [allow(1), (Who::Unknown, Access::Allow)]);
        for kind in [Kind::Unreachable, Kind::Nonsense, Kind::Forbidden] {
            ironic.down(kind, "down again");
            filter.agenda = Agenda::new(config().poll_interval, None);
            steps(&mut filter, 2).await;
        }
        assert!(folder.writes().is_empty() && filter.is_in_step());
    }

    #[tokio::test]
    async fn a_listing_whose_marker_was_deleted_begins_anew() {
        let (ironic, folder) = (Memory::new([port(1, 1), port(2, 2)], []), Twin::default());
        ironic.page_size(1);
        let mut filter = filter(&ironic, &folder);
        steps(&mut filter, 2).await;
        ironic.remove_port(uuid(1));
        steps(&mut filter, 3).await;
        assert_eq!(folder.writes(), [deny(2), (Who::Unknown, Access::Deny)]);
        assert_eq!(filter.told.status.failure, None);
    }

    #[tokio::test]
    async fn what_somebody_else_did_to_the_folder_is_put_right_at_the_next_step() {
        let (ironic, folder) = (Memory::new([port(1, 1)], []), Twin::default());
        let mut filter = filter(&ironic, &folder);
        steps(&mut filter, 3).await;
        folder.writes();
        folder.put(mac(1), Access::Allow);
        steps(&mut filter, 1).await;
        assert!(folder.writes().is_empty());
        filter.folder_changed();
        steps(&mut filter, 1).await;
        assert_eq!(folder.writes(), [deny(1)]);
    }

    #[tokio::test]
    async fn a_folder_whose_changes_would_not_be_noticed_is_compared_with_each_listing() {
        let (ironic, folder) = (Memory::new([port(1, 1)], []), Twin::default());
        let mut filter = filter(&ironic, &folder);
        steps(&mut filter, 3).await;
        folder.writes();
        for is_noticed in [true, false] {
            folder.put(mac(1), Access::Allow);
            filter.agenda.doubt();
            steps(&mut filter, 3).await;
            assert_eq!(folder.writes().is_empty(), is_noticed);
            folder.unwatch();
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_tried_again_and_said() {
        let (ironic, folder) = (Memory::new([port(1, 1)], []), Twin::default());
        folder.fail(true);
        let mut filter = filter(&ironic, &folder);
        steps(&mut filter, 3).await;
        assert_eq!(filter.told.status.folder_failure.as_deref(), Some("the disk is full"));
        assert!(!filter.is_in_step());
        folder.fail(false);
        steps(&mut filter, 1).await;
        assert_eq!(filter.told.status.folder_failure, None);
        assert!(filter.is_in_step());
    }
}
