//! Ironic's twin in memory: the same answers, without HTTP, for tests of what is done with them.

use super::{Baremetal, Failure, Kind, Page, Ports};
use crate::plan::pxe_access::{Node, Port};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A page of all ports, behind this one.
    Ports(Option<Uuid>),
    /// A node's ports.
    PortsOf(Uuid),
    /// The nodes under inspection.
    Nodes,
}

/// An Ironic in memory. Clones are the same Ironic: one is asked, another changed meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ports: Vec<Port>,
    refused: Vec<String>,
    nodes: Vec<Node>,
    page_size: Option<usize>,
    failures: VecDeque<Failure>,
    down: Option<Failure>,
    asked: Vec<Asked>,
    notices: Vec<String>,
}

impl Memory {
    /// An Ironic with these ports and nodes under inspection.
    pub fn new(ports: impl IntoIterator<Item = Port>, nodes: impl IntoIterator<Item = Node>) -> Self {
        let state =
            State { ports: ports.into_iter().collect(), nodes: nodes.into_iter().collect(), ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Lets a page have at most so many ports.
    pub fn page_size(&self, size: usize) {
        self.state().page_size = Some(size);
    }

    /// Registers a port, or replaces the one of that UUID.
    pub fn put_port(&self, port: Port) {
        let ports = &mut self.state().ports;
        match ports.iter_mut().find(|known| known.uuid == port.uuid) {
            Some(known) => *known = port,
            None => ports.push(port),
        }
    }

    /// Deletes a port.
    pub fn remove_port(&self, uuid: Uuid) {
        self.state().ports.retain(|port| port.uuid != uuid);
    }

    /// Puts a node under inspection, or changes what is said of it.
    pub fn inspect(&self, node: Node) {
        let nodes = &mut self.state().nodes;
        nodes.retain(|known| known.uuid != node.uuid);
        nodes.push(node);
    }

    /// Ends a node's inspection.
    pub fn end_inspection(&self, uuid: Uuid) {
        self.state().nodes.retain(|node| node.uuid != uuid);
    }

    /// Has the first page name these as refused.
    pub fn refuse(&self, refused: impl IntoIterator<Item = String>) {
        self.state().refused = refused.into_iter().collect();
    }

    /// Answers the next question that is still without one so. Several are given in turn.
    pub fn fail_once(&self, kind: Kind, text: &str) {
        self.state().failures.push_back(Failure { kind, text: text.to_owned() });
    }

    /// Answers every question so until [`Self::up`].
    pub fn down(&self, kind: Kind, text: &str) {
        self.state().down = Some(Failure { kind, text: text.to_owned() });
    }

    /// Answers again.
    pub fn up(&self) {
        self.state().down = None;
    }

    /// Has something to say to people.
    pub fn notice(&self, text: &str) {
        self.state().notices.push(text.to_owned());
    }

    /// What was asked since this was called last.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the question; the failure that is its answer, if it is one.
    fn take(&self, asked: Asked) -> Result<MutexGuard<'_, State>, Failure> {
        let mut state = self.state();
        state.asked.push(asked);
        match state.failures.pop_front().or_else(|| state.down.clone()) {
            Some(failure) => Err(failure),
            None => Ok(state),
        }
    }
}

impl Baremetal for Memory {
    async fn ports(&mut self, marker: Option<Uuid>) -> Result<Page, Failure> {
        let state = self.take(Asked::Ports(marker))?;
        let start = match marker {
            None => 0,
            Some(marker) => match state.ports.iter().position(|port| port.uuid == marker) {
                Some(index) => index + 1,
                None => return Err(Failure { kind: Kind::MarkerGone, text: format!("port {marker} is gone") }),
            },
        };
        let size = state.page_size.unwrap_or(usize::MAX);
        let ports: Vec<Port> = state.ports.iter().skip(start).take(size).cloned().collect();
        let next = ports.last().map(|port| port.uuid);
        let refused = if marker.is_none() { state.refused.clone() } else { Vec::new() };
        Ok(Page { ports: Ports { ports, refused }, next })
    }

    async fn ports_of(&mut self, node: Uuid) -> Result<Ports, Failure> {
        let state = self.take(Asked::PortsOf(node))?;
        let ports = state.ports.iter().filter(|port| port.node == node).cloned().collect();
        Ok(Ports { ports, refused: Vec::new() })
    }

    async fn nodes_under_inspection(&mut self) -> Result<Vec<Node>, Failure> {
        Ok(self.take(Asked::Nodes)?.nodes.clone())
    }

    fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.state().notices)
    }
}
