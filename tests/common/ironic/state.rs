//! What the simulated Ironic knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Whom it lets in.
#[derive(Debug, Clone, Default)]
pub enum AuthMode {
    /// Everybody.
    #[default]
    None,
    /// With this name and password.
    Basic(String, String),
    /// With one of Keystone's tokens.
    Keystone,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: Option<String>,
    pub state: String,
    pub inspect_interface: String,
    pub updated_at: String,
}

/// A port. Nothing is checked: a simulator may say what Ironic never would.
#[derive(Debug, Clone)]
pub struct Port {
    pub uuid: Uuid,
    pub address: String,
    pub node: Uuid,
    pub pxe_enabled: bool,
    /// JSON.
    pub extra: Option<Box<str>>,
    /// Given instead of all that, as it is.
    pub raw: Option<Box<str>>,
}

/// What the simulator answers from.
pub struct State {
    /// In the order in which they were registered, as Ironic lists them.
    pub ports: BTreeMap<u64, Port>,
    pub nodes: BTreeMap<u64, (Uuid, Node)>,
    port_ids: HashMap<Uuid, u64>,
    node_ids: HashMap<Uuid, u64>,
    of_node: HashMap<Uuid, Vec<u64>>,
    next_id: u64,
    /// Ports that a listing leaves out since their node has just been deleted.
    pub skipped: HashSet<Uuid>,
    /// `[api] max_limit`.
    pub max_limit: usize,
    /// Versions of the API, minor numbers.
    pub versions: (u32, u32),
    /// Whether the state `inspect wait` is known: not before 1.39.
    pub knows_inspect_wait: bool,
    pub auth: AuthMode,
    /// The account may not list.
    pub forbidden: bool,
    /// A path before everything, as behind a proxy.
    pub prefix: String,
    /// Answers are packed if the client can unpack them.
    pub gzip: bool,
    /// Names and passwords, ids and secrets of application credentials.
    pub accounts: Vec<(String, String)>,
    /// For how long a token is good.
    pub token_lifetime: Duration,
    /// By how much Keystone's clock is wrong, seconds.
    pub clock_error: i64,
    pub tokens: HashMap<String, Instant>,
    pub tokens_given: u64,
    /// How often somebody came without a good one.
    pub tokens_refused: u64,
    /// The catalogue, JSON.
    pub catalog: String,
}

impl Default for State {
    fn default() -> Self {
        Self {
            ports: BTreeMap::new(),
            nodes: BTreeMap::new(),
            port_ids: HashMap::new(),
            node_ids: HashMap::new(),
            of_node: HashMap::new(),
            next_id: 1,
            skipped: HashSet::new(),
            max_limit: 1000,
            versions: (1, 115),
            knows_inspect_wait: true,
            auth: AuthMode::None,
            forbidden: false,
            prefix: String::new(),
            gzip: false,
            accounts: Vec::new(),
            token_lifetime: Duration::from_secs(3600),
            clock_error: 0,
            tokens: HashMap::new(),
            tokens_given: 0,
            tokens_refused: 0,
            catalog: "[]".to_owned(),
        }
    }
}

impl State {
    /// Registers a node that is available.
    pub fn add_node(&mut self) -> Uuid {
        let uuid = self.new_uuid();
        self.put_node(uuid, &format!("node-{}", self.next_id), "available", "agent");
        uuid
    }

    /// Registers a node that is under inspection.
    pub fn add_inspected(&mut self) -> Uuid {
        let uuid = self.add_node();
        self.set_state(uuid, "inspect wait");
        uuid
    }

    pub fn put_node(&mut self, uuid: Uuid, name: &str, state: &str, inspect_interface: &str) {
        let id = self.new_id();
        self.node_ids.insert(uuid, id);
        let node = Node {
            name: (!name.is_empty()).then(|| name.to_owned()),
            state: state.to_owned(),
            inspect_interface: inspect_interface.to_owned(),
            updated_at: "2026-11-20T07:49:46+00:00".to_owned(),
        };
        self.nodes.insert(id, (uuid, node));
    }

    /// Registers a port of a node.
    pub fn add_port(&mut self, node: Uuid, address: &str) -> Uuid {
        let uuid = self.new_uuid();
        self.put_port(Port { uuid, address: address.to_owned(), node, pxe_enabled: true, extra: None, raw: None });
        uuid
    }

    /// A port of which only the UUID is as it should be.
    pub fn add_raw_port(&mut self, raw: &str) -> Uuid {
        let uuid = self.new_uuid();
        let raw = raw.replace("UUID", &uuid.to_string()).into_boxed_str();
        let port = Port { uuid, address: String::new(), node: uuid, pxe_enabled: true, extra: None, raw: Some(raw) };
        self.put_port(port);
        uuid
    }

    pub fn put_port(&mut self, port: Port) {
        let id = self.new_id();
        self.port_ids.insert(port.uuid, id);
        self.of_node.entry(port.node).or_default().push(id);
        self.ports.insert(id, port);
    }

    /// So many nodes with so many ports each: `52:54:..`, numbered. Gives the nodes.
    pub fn populate(&mut self, nodes: usize, ports_each: usize) -> Vec<Uuid> {
        let mut number: u32 = self.ports.len().try_into().unwrap();
        let mut made = Vec::with_capacity(nodes);
        for _ in 0..nodes {
            let node = self.add_node();
            made.push(node);
            for _ in 0..ports_each {
                let [a, b, c, d] = number.to_be_bytes();
                self.add_port(node, &format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}"));
                number += 1;
            }
        }
        made
    }

    pub fn set_state(&mut self, node: Uuid, state: &str) {
        state.clone_into(&mut self.node(node).state);
    }

    pub fn node(&mut self, node: Uuid) -> &mut Node {
        &mut self.nodes.get_mut(&self.node_ids[&node]).unwrap().1
    }

    pub fn port(&mut self, port: Uuid) -> &mut Port {
        self.ports.get_mut(&self.port_ids[&port]).unwrap()
    }

    pub fn remove_port(&mut self, port: Uuid) {
        let id = self.port_ids.remove(&port).unwrap();
        let port = self.ports.remove(&id).unwrap();
        self.of_node.get_mut(&port.node).unwrap().retain(|other| *other != id);
    }

    /// With its ports, as Ironic does it.
    pub fn remove_node(&mut self, node: Uuid) {
        for id in self.of_node.remove(&node).unwrap_or_default() {
            let port = self.ports.remove(&id).unwrap();
            self.port_ids.remove(&port.uuid);
        }
        let id = self.node_ids.remove(&node).unwrap();
        self.nodes.remove(&id);
    }

    pub fn port_id(&self, uuid: Uuid) -> Option<u64> {
        self.port_ids.get(&uuid).copied()
    }

    pub fn node_id(&self, uuid: Uuid) -> Option<u64> {
        self.node_ids.get(&uuid).copied()
    }

    pub fn ports_of(&self, node: Uuid) -> &[u64] {
        self.of_node.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Every token given so far is refused from now on.
    pub fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    /// A catalogue in which Ironic is here, once for each interface.
    pub fn catalog_at(&mut self, places: &[(&str, &str, &str)]) {
        let place = |(interface, region, url): &(&str, &str, &str)| {
            format!(
                r#"{{"id":"e","interface":"{interface}","region":"{region}","region_id":"{region}","url":"{url}"}}"#
            )
        };
        let places: Vec<_> = places.iter().map(place).collect();
        let compute = r#"{"id":"c","name":"nova","type":"compute","endpoints":[]}"#;
        self.catalog = format!(
            r#"[{compute},{{"id":"b","name":"ironic","type":"baremetal","endpoints":[{}]}}]"#,
            places.join(",")
        );
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Looks like chance and is the same each time.
    fn new_uuid(&mut self) -> Uuid {
        self.next_id += 1;
        let mixed = |seed: u64| {
            let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            seed ^ (seed >> 31)
        };
        Uuid::from_u64_pair(mixed(self.next_id), mixed(!self.next_id))
    }
}
