//! How much a cluster was asked.

use super::simulated::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Counts of requests.
#[derive(Default)]
pub struct Counters(Mutex<State>);

#[derive(Default)]
struct State {
    calls: BTreeMap<&'static str, u64>,
    lanes: BTreeMap<String, Lane>,
}

/// What was on its way to a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lane {
    pub calls: u64,
    pub in_flight: u32,
    /// The most at a time.
    pub most: u32,
    pub agents: u32,
    pub most_agents: u32,
}

/// Counts a request as being on its way for as long as it lives.
pub struct Counted<'a>(&'a Counters, Option<(String, bool)>);

impl Counters {
    pub(super) fn begin(&self, path: &str) -> Counted<'_> {
        let mut parts = path.split('/').skip(1);
        let is_nodes = parts.next() == Some("nodes");
        let node = parts.next().filter(|_| is_nodes).map(str::to_owned);
        let name = match path {
            "/cluster/resources" => "resources",
            "/cluster/sdn/ipams/pve/status" => "ipam",
            path if path.ends_with("/config") => "config",
            path if path.contains("/agent/") => "agent",
            path if path.ends_with("/interfaces") => "interfaces",
            _ => "other",
        };
        let mut state = lock(&self.0);
        *state.calls.entry(name).or_default() += 1;
        let counted = node.map(|node| (node, name == "agent"));
        if let Some((node, is_agent)) = &counted {
            let lane = state.lanes.entry(node.clone()).or_default();
            lane.calls += 1;
            lane.in_flight += 1;
            lane.most = lane.most.max(lane.in_flight);
            lane.agents += u32::from(*is_agent);
            lane.most_agents = lane.most_agents.max(lane.agents);
        }
        Counted(self, counted)
    }

    /// Requests of a kind: `resources`, `config`, `agent`, `interfaces`, `ipam`, `other`.
    pub fn calls(&self, kind: &str) -> u64 {
        lock(&self.0).calls.get(kind).copied().unwrap_or(0)
    }

    /// All requests.
    pub fn all(&self) -> u64 {
        lock(&self.0).calls.values().sum()
    }

    /// A node's.
    pub fn lane(&self, node: &str) -> Lane {
        lock(&self.0).lanes.get(node).copied().unwrap_or_default()
    }

    /// All nodes'.
    pub fn lanes(&self) -> BTreeMap<String, Lane> {
        lock(&self.0).lanes.clone()
    }

    /// Counts from zero; what is on its way stays so.
    pub fn reset(&self) {
        let mut state = lock(&self.0);
        state.calls.clear();
        for lane in state.lanes.values_mut() {
            *lane = Lane { calls: 0, most: lane.in_flight, most_agents: lane.agents, ..*lane };
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some((node, is_agent)) = &self.1
            && let Some(lane) = lock(&self.0.0).lanes.get_mut(node)
        {
            lane.in_flight -= 1;
            lane.agents -= u32::from(*is_agent);
        }
    }
}
