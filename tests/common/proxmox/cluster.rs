//! What the simulated cluster is, to be changed while it runs.

use super::asking::{SECRET, TOKEN};
use super::http::{Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An answer as it was recorded or made up.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub reason: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn ok(data: &Value) -> Self {
        Self { status: 200, reason: "OK".to_owned(), body: json!({ "data": data }).to_string().into_bytes() }
    }

    /// As Proxmox says no: in the reason phrase, and from version 8 on in the body, too.
    pub fn no(status: u16, reason: &str) -> Self {
        let body = json!({ "data": null, "message": format!("{reason}\n") }).to_string().into_bytes();
        // The proxy's own words have no body.
        let body = if matches!(status, 401 | 501 | 590..) { Vec::new() } else { body };
        Self { status, reason: reason.to_owned(), body }
    }
}

/// A guest.
#[derive(Debug, Clone)]
pub struct Guest {
    /// `qemu` or `lxc`.
    pub kind: String,
    pub node: String,
    /// Its row in the list.
    pub row: Value,
    /// Its configuration as it runs.
    pub config: Value,
    /// With what is pending, if that is something else.
    pub pending: Option<Value>,
    /// What its agent or its node says of its addresses.
    pub interfaces: Reply,
}

/// The cluster.
pub struct Cluster {
    /// Whether each is online.
    pub nodes: BTreeMap<String, bool>,
    pub guests: BTreeMap<u32, Guest>,
    /// Rows of the list that are neither guests nor nodes.
    pub others: Vec<Value>,
    pub ipam: Reply,
    /// Other requests' answers, by path.
    pub replies: BTreeMap<String, Reply>,
    /// The token that is let in: id and secret.
    pub token: (String, String),
    /// Whether it has VM.Audit: without it guests are not in the list, and their configuration is 403.
    pub sees_guests: bool,
    /// How long a refusal takes; 3 s in Proxmox.
    pub refusal_delay: Duration,
    /// How long every answer takes.
    pub delay: Duration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            guests: BTreeMap::new(),
            others: Vec::new(),
            ipam: Reply::ok(&json!([])),
            replies: BTreeMap::new(),
            token: (TOKEN.to_owned(), SECRET.to_owned()),
            sees_guests: true,
            refusal_delay: Duration::from_secs(3),
            delay: Duration::ZERO,
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxmox/samples")
}

fn data(reply: &Reply) -> Value {
    serde_json::from_slice::<Value>(&reply.body).unwrap()["data"].take()
}

/// The samples of the manifest, by request.
fn samples() -> BTreeMap<String, Reply> {
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder().join("manifest.json")).unwrap()).unwrap();
    let reply = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let body = std::fs::read(folder().join(text("file"))).unwrap();
        let status = u16::try_from(entry["status"].as_u64().unwrap()).unwrap();
        (text("request"), Reply { status, reason: text("reason"), body })
    };
    manifest.as_array().unwrap().iter().map(reply).collect()
}

impl Cluster {
    /// The cluster of the samples: pve1 and pve2, and pve3, which is offline.
    pub fn samples() -> Self {
        let samples = samples();
        let at = |path: &str| samples.get(&format!("GET {path}")).cloned();
        let mut cluster = Self { ipam: at("/cluster/sdn/ipams/pve/status").unwrap(), ..Self::default() };
        for row in data(&at("/cluster/resources").unwrap()).as_array_mut().unwrap().drain(..) {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            match text("type").as_str() {
                "node" => drop(cluster.nodes.insert(text("node"), text("status") == "online")),
                kind @ ("qemu" | "lxc") => {
                    let (kind, node, vmid) = (kind.to_owned(), text("node"), row["vmid"].as_u64().unwrap());
                    let place = format!("/nodes/{node}/{kind}/{vmid}");
                    let config = at(&format!("{place}/config")).filter(|reply| reply.status == 200);
                    let current = at(&format!("{place}/config?current=1"));
                    let ask = if kind == "lxc" { "interfaces" } else { "agent/network-get-interfaces" };
                    let interfaces = at(&format!("{place}/{ask}"));
                    let config = config.as_ref().map_or_else(|| json!({}), data);
                    let (config, pending) = match current {
                        Some(current) => (data(&current), Some(config)),
                        None => (config, None),
                    };
                    let interfaces = interfaces.unwrap_or_else(|| Reply::no(500, "No QEMU guest agent configured"));
                    let guest = Guest { kind, node, row, config, pending, interfaces };
                    cluster.guests.insert(u32::try_from(vmid).unwrap(), guest);
                }
                _ => cluster.others.push(row),
            }
        }
        for (request, reply) in &samples {
            if let Some(path) =
                request.strip_prefix("GET ").filter(|path| !path.starts_with("/nodes/") && !path.contains('?'))
            {
                cluster.replies.insert(path.to_owned(), reply.clone());
            }
        }
        cluster
    }

    /// So many guests, from 100 on, in turn containers and machines, on so many nodes `pve1` ...; all with DHCP and an address.
    pub fn populated(guests: u32, nodes: u32) -> Self {
        let mut cluster = Self::default();
        for number in 0..guests {
            let node = format!("pve{}", number % nodes.max(1) + 1);
            cluster.add(100 + number, if number % 2 == 0 { "lxc" } else { "qemu" }, &node, &format!("guest-{number}"));
        }
        cluster
    }

    /// The MAC address of a guest that was added.
    pub fn mac(vmid: u32) -> String {
        let [_, a, b, c] = vmid.to_be_bytes();
        format!("bc:24:11:{a:02x}:{b:02x}:{c:02x}")
    }

    /// Makes a guest that runs, with DHCP and an address in 10.0.0.0/8. Its node is made, too, if it is not there.
    pub fn add(&mut self, vmid: u32, kind: &str, node: &str, name: &str) -> &mut Guest {
        self.nodes.entry(node.to_owned()).or_insert(true);
        let mac = Self::mac(vmid);
        let [_, a, b, c] = vmid.to_be_bytes();
        let address = format!("10.{a}.{b}.{c}");
        let row = json!({
            "id": format!("{kind}/{vmid}"), "vmid": vmid, "node": node, "type": kind, "status": "running", "name": name,
            "template": 0, "uptime": 86_400, "maxcpu": 2, "cpu": 0.0123, "maxmem": 2_147_483_648_u64, "mem": 536_870_912,
            "maxdisk": 8_589_934_592_u64, "disk": 1_073_741_824, "netin": 123_456, "netout": 65_432, "diskread": 0, "diskwrite": 0,
        });
        let (config, interfaces) = if kind == "lxc" {
            let net = format!("name=eth0,bridge=vmbr0,hwaddr={},ip=dhcp,type=veth", mac.to_uppercase());
            let told = json!([{
                "name": "eth0", "hwaddr": mac, "hardware-address": mac, "inet": format!("{address}/8"),
                "ip-addresses": [{ "ip-address": address, "prefix": 8, "ip-address-type": "inet" }],
            }]);
            (json!({ "hostname": name, "net0": net, "arch": "amd64", "digest": "0" }), told)
        } else {
            let net = format!("virtio={},bridge=vmbr0,firewall=1", mac.to_uppercase());
            let lo = json!({ "ip-address": "127.0.0.1", "prefix": 8, "ip-address-type": "ipv4" });
            let lo = json!({ "name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": [lo] });
            let told = json!({ "result": [lo, {
                "name": "eth0", "hardware-address": mac,
                "ip-addresses": [{ "ip-address": address, "prefix": 8, "ip-address-type": "ipv4" }],
            }] });
            (json!({ "name": name, "net0": net, "agent": "1", "digest": "0" }), told)
        };
        let (kind, node) = (kind.to_owned(), node.to_owned());
        let guest = Guest { kind, node, row, config, pending: None, interfaces: Reply::ok(&interfaces) };
        self.guests.insert(vmid, guest);
        self.guests.get_mut(&vmid).unwrap()
    }

    pub fn guest(&mut self, vmid: u32) -> &mut Guest {
        self.guests.get_mut(&vmid).expect("there is such a guest")
    }

    pub fn remove(&mut self, vmid: u32) {
        self.guests.remove(&vmid).expect("there is such a guest");
    }

    /// Moves a guest to another node.
    pub fn migrate(&mut self, vmid: u32, node: &str) {
        self.nodes.entry(node.to_owned()).or_insert(true);
        let guest = self.guest(vmid);
        node.clone_into(&mut guest.node);
        guest.row["node"] = node.into();
    }

    /// Changes a field of a guest's configuration, without any other trace.
    pub fn configure(&mut self, vmid: u32, field: &str, value: &str) {
        self.guest(vmid).config[field] = value.into();
    }

    /// Gives a guest another name, in its configuration and in the list.
    pub fn rename(&mut self, vmid: u32, name: &str) {
        let guest = self.guest(vmid);
        let field = if guest.kind == "lxc" { "hostname" } else { "name" };
        guest.config[field] = name.into();
        guest.row["name"] = name.into();
    }

    /// Takes a node from the cluster, or brings it back.
    pub fn node(&mut self, name: &str, is_online: bool) {
        self.nodes.insert(name.to_owned(), is_online);
    }

    /// How long to wait, and what to say, if a request is not let in.
    pub fn refused(&self, request: &Request) -> Option<(Duration, Response)> {
        let given = request.header("authorization");
        let is_good = given == Some(&format!("PVEAPIToken={}={}", self.token.0, self.token.1));
        let reason = if given.is_some() { "Authentication failed!" } else { "No ticket" };
        (!is_good).then(|| (self.refusal_delay, super::api::response(&Reply::no(401, reason))))
    }
}
