//! What Ironic has told, put together: a listing of all ports comes in pages, between which nodes enter and leave inspection and
//! are asked for their ports. The newer word counts, and a listing counts only when it is complete.

use super::{InfiniBand, Node, Port, Settings, Table};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use uuid::Uuid;

type PortsOfNodes = HashMap<Uuid, Vec<Port>>;

/// All ports, all nodes under inspection, as far as they are known.
#[derive(Debug, Default)]
pub struct Inventory {
    ports: PortsOfNodes,
    inspected: HashMap<Uuid, Node>,
    /// Nodes whose ports are to be asked for, since the last listing cannot know them.
    to_ask: VecDeque<Uuid>,
    listing: Option<Listing>,
    is_listed: bool,
    /// Whether anybody ever said which nodes are under inspection.
    knows_nodes: bool,
}

/// A listing that has begun.
#[derive(Debug, Default)]
struct Listing {
    ports: PortsOfNodes,
    seen: HashSet<Uuid>,
    /// Nodes that were asked meanwhile: they told later than the page that they are on.
    asked: HashSet<Uuid>,
}

/// A port came twice in one listing: its pages go in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circle(pub Uuid);

impl Inventory {
    /// These nodes are under inspection now, and no others.
    pub fn inspected(&mut self, nodes: Vec<Node>) {
        let nodes: HashMap<_, _> = nodes.into_iter().map(|node| (node.uuid, node)).collect();
        let entered = nodes.keys().filter(|uuid| !self.inspected.contains_key(uuid));
        // An inspection may have found more ports.
        let left = self.inspected.keys().filter(|uuid| !nodes.contains_key(uuid));
        let asked: Vec<Uuid> = entered.chain(left).copied().collect();
        self.ask(asked);
        self.inspected = nodes;
        self.knows_nodes = true;
    }

    /// A node whose ports are to be asked for, if there is one.
    pub fn to_ask(&self) -> Option<Uuid> {
        self.to_ask.front().copied()
    }

    /// This node could not be asked: the others come first.
    pub fn ask_later(&mut self, node: Uuid) {
        self.to_ask.retain(|other| *other != node);
        self.to_ask.push_back(node);
    }

    fn ask(&mut self, nodes: impl IntoIterator<Item = Uuid>) {
        for node in nodes {
            if !self.to_ask.contains(&node) {
                self.to_ask.push_back(node);
            }
        }
    }

    /// This node has these ports, and no others.
    pub fn ports_of(&mut self, node: Uuid, ports: Vec<Port>) {
        self.to_ask.retain(|other| *other != node);
        if let Some(listing) = &mut self.listing {
            listing.asked.insert(node);
        }
        give(&mut self.ports, node, ports);
    }

    /// A listing of all ports begins, or begins anew.
    pub fn begin_listing(&mut self) {
        self.listing = Some(Listing::default());
    }

    /// A page of it.
    ///
    /// # Errors
    /// One of its ports was there before. The listing is of no use then.
    pub fn page(&mut self, ports: Vec<Port>) -> Result<(), Circle> {
        let listing = self.listing.get_or_insert_default();
        for port in ports {
            if !listing.seen.insert(port.uuid) {
                let circle = Circle(port.uuid);
                self.listing = None;
                return Err(circle);
            }
            listing.ports.entry(port.node).or_default().push(port);
        }
        Ok(())
    }

    /// The listing is complete and in force. Nodes under inspection keep the ports that they are known to have, and are asked
    /// once more if the listing says otherwise: a page that lost some must not lock them out. Whether any of it is news.
    pub fn end_listing(&mut self) -> bool {
        let Some(mut listing) = self.listing.take() else { return false };
        let addresses = |ports: Option<&Vec<Port>>| -> BTreeSet<_> {
            ports.into_iter().flatten().map(|port| (port.address, port.guid.map(|guid| guid.0))).collect()
        };
        let is_doubtful = |node: &&Uuid| {
            let is_known = self.is_listed && self.ports.contains_key(*node) && !listing.asked.contains(*node);
            is_known && addresses(self.ports.get(*node)) != addresses(listing.ports.get(*node))
        };
        let doubtful: Vec<_> = self.inspected.keys().filter(is_doubtful).copied().collect();
        for node in listing.asked.into_iter().chain(doubtful.iter().copied()) {
            give(&mut listing.ports, node, self.ports.get(&node).cloned().unwrap_or_default());
        }
        self.ask(doubtful);
        let is_news = !self.is_listed || self.ports != listing.ports;
        self.ports = listing.ports;
        self.is_listed = true;
        is_news
    }

    /// The listing failed. What was known before stays.
    pub fn abandon_listing(&mut self) {
        self.listing = None;
    }

    /// Whether everything is known: a listing came to its end, and which nodes are under inspection was told.
    pub fn is_complete(&self) -> bool {
        self.is_listed && self.knows_nodes
    }

    /// Whether a listing has begun and not ended.
    pub fn is_listing(&self) -> bool {
        self.listing.is_some()
    }

    /// The nodes under inspection.
    pub fn nodes(&self) -> &HashMap<Uuid, Node> {
        &self.inspected
    }

    /// The ports that a node is known to have.
    pub fn of(&self, node: Uuid) -> &[Port] {
        self.ports.get(&node).map_or(&[], Vec::as_slice)
    }

    /// All ports that are known.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.values().flatten()
    }

    /// What follows.
    pub fn table(&self, settings: &Settings, infiniband: &InfiniBand) -> Table {
        Table::new(self.ports(), &self.inspected, settings, infiniband)
    }
}

/// A node has these ports, and no others. Where one was another's, it is no more.
fn give(all: &mut PortsOfNodes, node: Uuid, ports: Vec<Port>) {
    all.remove(&node);
    if ports.is_empty() {
        return;
    }
    let given: HashSet<Uuid> = ports.iter().map(|port| port.uuid).collect();
    for others in all.values_mut() {
        others.retain(|port| !given.contains(&port.uuid));
    }
    all.insert(node, ports);
}

#[cfg(test)]
mod tests {
    use super::super::Access;
    use super::super::tests::{mac, node, port, settings};
    use super::*;

    fn uuid(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn open(inventory: &Inventory) -> Vec<crate::net::Mac> {
        let table = inventory.table(&settings(), &InfiniBand::default());
        table.macs.into_iter().filter(|(_, access)| *access == Access::Allow).map(|(mac, _)| mac).collect()
    }

    /// Two nodes with a port each.
    fn listed() -> Inventory {
        let mut inventory = Inventory::default();
        inventory.begin_listing();
        inventory.page(vec![port(1, 1)]).unwrap();
        inventory.page(vec![port(2, 2)]).unwrap();
        inventory.inspected(vec![]);
        assert!(!inventory.is_complete());
        assert!(inventory.end_listing());
        assert!(inventory.is_complete());
        inventory
    }

    #[test]
    fn a_node_that_enters_or_leaves_is_asked_for_its_ports_once() {
        let mut inventory = listed();
        inventory.inspected(vec![node(1)]);
        assert_eq!((inventory.to_ask(), open(&inventory)), (Some(uuid(1)), vec![mac(1)]));
        inventory.ports_of(uuid(1), vec![port(1, 1), port(3, 1)]);
        assert_eq!((inventory.to_ask(), open(&inventory)), (None, vec![mac(1), mac(3)]));
        inventory.inspected(vec![node(1)]);
        assert_eq!(inventory.to_ask(), None);
        inventory.inspected(vec![]);
        assert_eq!((inventory.to_ask(), open(&inventory)), (Some(uuid(1)), vec![]));
    }

    #[test]
    fn what_a_node_told_during_a_listing_is_newer_than_the_listing() {
        let mut inventory = listed();
        inventory.begin_listing();
        inventory.page(vec![port(1, 1)]).unwrap();
        inventory.inspected(vec![node(1), node(9)]);
        inventory.ports_of(uuid(1), vec![port(1, 1), port(4, 1)]);
        inventory.ports_of(uuid(9), vec![port(9, 9)]);
        inventory.page(vec![port(2, 2)]).unwrap();
        inventory.end_listing();
        assert_eq!(open(&inventory), [mac(1), mac(4), mac(9)]);
        assert_eq!(inventory.ports().count(), 4);
    }

    #[test]
    fn a_listing_that_lost_a_port_of_an_inspected_node_does_not_close_it() {
        let mut inventory = listed();
        inventory.inspected(vec![node(1)]);
        inventory.ports_of(uuid(1), vec![port(1, 1)]);
        inventory.begin_listing();
        inventory.page(vec![port(2, 2)]).unwrap();
        inventory.end_listing();
        assert_eq!((open(&inventory), inventory.to_ask()), (vec![mac(1)], Some(uuid(1))));
        // It was really removed.
        inventory.ports_of(uuid(1), vec![]);
        assert_eq!((open(&inventory), inventory.ports().count()), (vec![], 1));
    }

    #[test]
    fn a_port_that_was_given_to_another_node_is_not_the_first_ones_any_more() {
        let mut inventory = listed();
        inventory.inspected(vec![node(2)]);
        inventory.ports_of(uuid(2), vec![port(2, 2), port(1, 2)]);
        assert_eq!((open(&inventory), inventory.ports().count()), (vec![mac(1), mac(2)], 2));
        // A listing that began before says the old.
        inventory.begin_listing();
        inventory.page(vec![port(1, 1), port(2, 2)]).unwrap();
        inventory.ports_of(uuid(2), vec![port(2, 2), port(1, 2)]);
        inventory.end_listing();
        assert_eq!((open(&inventory), inventory.ports().count()), (vec![mac(1), mac(2)], 2));
    }

    #[test]
    fn a_listing_that_says_what_was_known_is_no_news() {
        let mut inventory = listed();
        let list = |inventory: &mut Inventory, ports| {
            inventory.begin_listing();
            inventory.page(ports).unwrap();
            inventory.end_listing()
        };
        assert!(!list(&mut inventory, vec![port(1, 1), port(2, 2)]));
        let closed = Port { pxe_enabled: false, ..port(2, 2) };
        assert!(list(&mut inventory, vec![port(1, 1), closed.clone()]));
        assert!(!list(&mut inventory, vec![port(1, 1), closed]));
        assert!(list(&mut inventory, vec![port(1, 1)]));
        assert!(list(&mut inventory, vec![]));
        assert!(!list(&mut inventory, vec![]));
    }

    #[test]
    fn a_node_that_cannot_be_asked_holds_up_no_other() {
        let mut inventory = listed();
        inventory.inspected(vec![node(1), node(2)]);
        let first = inventory.to_ask().unwrap();
        inventory.ask_later(first);
        let second = inventory.to_ask().unwrap();
        assert_ne!(first, second);
        inventory.ports_of(second, vec![]);
        assert_eq!(inventory.to_ask(), Some(first));
    }

    #[test]
    fn pages_in_circles_and_listings_that_fail_change_nothing() {
        let mut inventory = listed();
        inventory.begin_listing();
        inventory.page(vec![port(5, 5), port(6, 6)]).unwrap();
        assert_eq!(inventory.page(vec![port(6, 6)]), Err(Circle(uuid(6))));
        inventory.end_listing();
        inventory.begin_listing();
        inventory.page(vec![port(7, 7)]).unwrap();
        inventory.abandon_listing();
        inventory.end_listing();
        assert!(inventory.is_complete() && !inventory.is_listing());
        assert_eq!(inventory.ports().count(), 2);
    }
}
