//! The cluster in one answer, `GET /cluster/resources`: guests and nodes, among storages, pools and what comes in later versions.

use super::config::{Config, named, tags};
use super::scalar::Scalar;
use super::{Read, Refused};
use crate::net::Shown;
use crate::plan::guest::{Guest, Kind, Lists, State};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// A guest's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub vmid: u32,
    /// What it is.
    pub kind: Kind,
    /// The node that it is on.
    pub node: String,
    /// Its name, if it has one and its node is there to tell it.
    pub name: Option<String>,
    /// Whether it runs.
    pub state: State,
    /// Whether it is a template; nodes that are offline do not tell.
    pub is_template: bool,
    /// Its tags; none if it has none or its node is offline.
    pub tags: Option<BTreeSet<String>>,
    /// For how many seconds it has been running. Less than before: it was started anew, and with what was pending.
    pub uptime: Option<u64>,
    /// Why it is locked: `migrate`, `backup`, ...
    pub lock: Option<String>,
}

/// A node's row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it is part of the cluster now.
    pub is_online: bool,
}

/// The rows that concern us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// The guests that we may see (`VM.Audit`).
    pub guests: Vec<Listed>,
    /// The nodes; none if the API was asked for guests only.
    pub nodes: Vec<Node>,
}

/// What an answer's body says.
///
/// # Errors
/// It is none; serde's words.
pub fn resources(body: &[u8]) -> Result<Read<Resources>, serde_json::Error> {
    let mut read = Read::<Resources>::default();
    let mut take = |row: Result<Option<Row>, Refused>| match row {
        Ok(Some(Row::Guest(guest))) => read.value.guests.push(guest),
        Ok(Some(Row::Node(node))) => read.value.nodes.push(node),
        Ok(None) => {}
        Err(refused) => read.refused.push(refused),
    };
    if let Ok(Body { data }) = serde_json::from_slice::<Body<Wire>>(body) {
        data.into_iter().map(row).for_each(&mut take);
    } else {
        // One that makes no sense is no reason to lose the others.
        let Body { data } = serde_json::from_slice::<Body<&RawValue>>(body)?;
        for raw in data {
            take(serde_json::from_str(raw.get()).map_or_else(
                |error| Err(Refused::new(None, format!("row {}", Shown(raw.get())), error.to_string())),
                row,
            ));
        }
    }
    Ok(read)
}

#[derive(Deserialize)]
struct Body<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Wire<'a> {
    r#type: Option<Scalar<'a>>,
    id: Option<Scalar<'a>>,
    vmid: Option<Scalar<'a>>,
    node: Option<Scalar<'a>>,
    name: Option<Scalar<'a>>,
    status: Option<Scalar<'a>>,
    template: Option<Scalar<'a>>,
    tags: Option<Scalar<'a>>,
    uptime: Option<Scalar<'a>>,
    lock: Option<Scalar<'a>>,
}

enum Row {
    Guest(Listed),
    Node(Node),
}

/// A row, if it concerns us.
fn row(wire: Wire) -> Result<Option<Row>, Refused> {
    let kind = match wire.r#type.as_ref().and_then(Scalar::text) {
        Some("qemu") => Kind::Qemu,
        Some("lxc") => Kind::Lxc,
        Some("node") => return Ok(node(wire.node.as_ref(), wire.status.as_ref()).map(Row::Node)),
        _ => return Ok(None),
    };
    let id = wire.id.as_ref().and_then(Scalar::text).unwrap_or_default();
    // `id` says it, too: `qemu/117`.
    let number = || id.split_once('/')?.1.parse().ok();
    let vmid = wire.vmid.as_ref().and_then(Scalar::number).or_else(number).filter(|vmid| *vmid > 0);
    let vmid = vmid.ok_or_else(|| Refused::new(None, format!("row {}", Shown(id)), "vmid: it has none"))?;
    let node = wire.node.as_ref().and_then(Scalar::text).filter(|node| !node.is_empty());
    let text = |scalar: &Option<Scalar>| scalar.as_ref().and_then(Scalar::text).map(str::to_owned);
    Ok(Some(Row::Guest(Listed {
        vmid,
        kind,
        node: node.ok_or_else(|| Refused::new(vmid, "node", "it has none"))?.to_owned(),
        name: text(&wire.name).and_then(|name| named(kind, vmid, &name)),
        state: match wire.status.as_ref().and_then(Scalar::text) {
            Some("stopped") => State::Stopped,
            Some("unknown") | None => State::Unknown,
            Some(_) => State::Running,
        },
        is_template: wire.template.is_some_and(|template| template.is_true()),
        tags: text(&wire.tags).map(|text| tags(&text)),
        uptime: wire.uptime.and_then(|uptime| uptime.number()),
        lock: text(&wire.lock),
    })))
}

fn node(name: Option<&Scalar>, status: Option<&Scalar>) -> Option<Node> {
    let is_online = status.and_then(Scalar::text) == Some("online");
    name.and_then(Scalar::text).map(|name| Node { name: name.to_owned(), is_online })
}

/// A guest, from its row and its configuration. What the row does not tell because the node is offline, the configuration does,
/// as it was read when the node was there. Which lists of addresses came, neither tells.
pub fn guest(listed: &Listed, config: &Config) -> Guest {
    let (name, tags) = match listed.state {
        State::Unknown => (listed.name.as_ref().or(config.name.as_ref()), listed.tags.as_ref().unwrap_or(&config.tags)),
        // The row is asked for more often.
        State::Running | State::Stopped => (listed.name.as_ref(), listed.tags.as_ref().unwrap_or(&config.tags)),
    };
    Guest {
        vmid: listed.vmid,
        kind: listed.kind,
        node: listed.node.clone(),
        name: name.cloned(),
        state: listed.state,
        is_template: listed.is_template || config.is_template,
        tags: tags.clone(),
        agent_enabled: config.agent_enabled,
        has_custom_cloud_init: config.has_custom_cloud_init,
        nics: config.nics.clone(),
        lists: Lists::new(),
    }
}
