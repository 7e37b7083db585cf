//! From Ironic's JSON to ports and nodes. One port that makes no sense is refused by itself, with its UUID for whoever looks
//! for it; the others count.

use super::{Ports, time};
use crate::net::{Mac, Shown};
use crate::plan::pxe_access::{Guid, Node, Port};
use crate::source::ethoib;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

/// The fields of a port that are asked for.
pub(super) const PORT_FIELDS: &str = "uuid,address,node_uuid,extra";
/// The fields of a node that are asked for.
pub(super) const NODE_FIELDS: &str = "uuid,name,provision_state,provision_updated_at";
/// The states that nodes are asked for by.
const UNDER_INSPECTION: [&str; 2] = ["inspecting", "inspect wait"];

/// A page of a listing.
pub(super) struct Listed<T> {
    /// What it holds, without what makes no sense.
    pub items: T,
    /// How many items there were in it, with those.
    pub count: usize,
    /// The UUIDs of all items that say one.
    pub uuids: Vec<Uuid>,
    /// The last item's UUID, if it says one: what the next page begins behind.
    pub last: Option<Uuid>,
    /// Whether Ironic says that there is another page. Where that is, it knows only by what a proxy called it.
    pub goes_on: bool,
}

/// A page of ports.
///
/// # Errors
/// It is none; serde's words.
pub(super) fn ports(body: &[u8]) -> Result<Listed<Ports>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        ports: Vec<&'a RawValue>,
        next: Option<IgnoredAny>,
    }
    let Body { ports: raw, next } = serde_json::from_slice(body)?;
    let mut items = Ports { ports: Vec::with_capacity(raw.len()), refused: Vec::new() };
    let mut uuids = Vec::with_capacity(raw.len());
    let mut last = None;
    for raw in &raw {
        match port(raw) {
            Ok(port) => {
                last = Some(port.uuid);
                items.ports.push(port);
            }
            Err(why) => {
                last = uuid_of(raw);
                let name = last.map_or_else(|| format!("{}", Shown(raw.get())), |uuid| uuid.to_string());
                items.refused.push(format!("port {name}: {why}"));
            }
        }
        uuids.extend(last);
    }
    Ok(Listed { items, count: raw.len(), uuids, last, goes_on: next.is_some() })
}

/// A page of nodes under inspection.
///
/// # Errors
/// It is none; serde's words. A node in another state was not asked for: a cache or proxy that takes the question for another
/// one, without `provision_state=`, would have everybody boot.
pub(super) fn nodes(body: &[u8]) -> Result<Listed<Vec<Node>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        nodes: Vec<&'a RawValue>,
        next: Option<IgnoredAny>,
    }
    let Body { nodes: raw, next } = serde_json::from_slice(body)?;
    if let Some(other) = raw.iter().filter(|raw| node(raw).is_some()).find_map(|raw| other_state(raw)) {
        let why = format_args!("a node in the state {other} among those asked for, so provision_state= was ignored");
        return Err(serde::de::Error::custom(why));
    }
    let items = raw.iter().filter_map(|raw| node(raw)).collect();
    let uuids: Vec<_> = raw.iter().filter_map(|raw| uuid_of(raw)).collect();
    let last = raw.last().and_then(|raw| uuid_of(raw));
    Ok(Listed { items, count: raw.len(), uuids, last, goes_on: next.is_some() })
}

/// A node's state, for people, if it is not under inspection or does not say so.
fn other_state(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        provision_state: String,
    }
    match serde_json::from_str(raw.get()) {
        Ok(Named { provision_state }) if UNDER_INSPECTION.contains(&provision_state.as_str()) => None,
        Ok(Named { provision_state }) => Some(Shown(&provision_state).to_string()),
        Err(_) => Some("that it does not say".to_owned()),
    }
}

/// The UUID of whatever it is.
fn uuid_of(raw: &RawValue) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Named {
        uuid: String,
    }
    let Named { uuid } = serde_json::from_str(raw.get()).ok()?;
    Uuid::try_parse(&uuid).ok()
}

fn port(raw: &RawValue) -> Result<Port, String> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        uuid: Option<Text<'a>>,
        #[serde(borrow)]
        address: Option<Text<'a>>,
        #[serde(borrow)]
        node_uuid: Option<Text<'a>>,
        pxe_enabled: Option<bool>,
        #[serde(borrow)]
        extra: Option<&'a RawValue>,
    }
    let wire: Wire = serde_json::from_str(raw.get()).map_err(|error| format!("not a port: {error}"))?;
    let uuid = |field: Option<Text>, name| {
        let Text(text) = field.ok_or_else(|| format!("it has no {name}"))?;
        Uuid::try_parse(&text).map_err(|_| format!("its {name} is no UUID: {}", Shown(&text)))
    };
    let Text(address) = wire.address.ok_or("it has no address")?;
    Ok(Port {
        uuid: uuid(wire.uuid, "uuid")?,
        node: uuid(wire.node_uuid, "node_uuid")?,
        address: mac(&address).ok_or_else(|| format!("its address is no MAC address: {}", Shown(&address)))?,
        // Before 1.19 nobody could say no.
        pxe_enabled: wire.pxe_enabled.unwrap_or(true),
        guid: wire.extra.and_then(guid_of),
    })
}

/// A text as it stands in the answer, where that is possible.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Ironic gives MAC addresses in lower case; upper case means the same. Nothing else is one.
fn mac(text: &str) -> Option<Mac> {
    text.parse().ok().or_else(|| text.to_ascii_lowercase().parse().ok())
}

/// `client-id` is an InfiniBand port's: a hardware type, a queue pair and then the GUID (RFC 4390 §2.1). `extra` is an
/// administrator's, who may keep anything in it.
fn guid_of(extra: &RawValue) -> Option<Guid> {
    #[derive(Deserialize)]
    struct Extra {
        #[serde(rename = "client-id")]
        client_id: Option<String>,
    }
    let Extra { client_id } = serde_json::from_str(extra.get()).ok()?;
    ethoib::guid(&client_id?)
}

/// A node without a UUID has no ports that could be found.
fn node(raw: &RawValue) -> Option<Node> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        uuid: String,
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        inspect_interface: Option<&'a RawValue>,
        #[serde(borrow)]
        provision_updated_at: Option<&'a RawValue>,
    }
    let text = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let wire: Wire = serde_json::from_str(raw.get()).ok()?;
    Some(Node {
        uuid: Uuid::try_parse(&wire.uuid).ok()?,
        name: text(wire.name).map(|name| Shown(&name).to_string()),
        inspect_interface: text(wire.inspect_interface),
        since: text(wire.provision_updated_at).and_then(|text| time::parse(&text)),
    })
}
