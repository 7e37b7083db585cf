//! A guest's configuration, `GET /nodes/N/qemu/ID/config?current=1` and `GET /nodes/N/lxc/ID/config`: its interfaces and what
//! they are to have for addresses.

use super::property::{properties, property};
use super::scalar::{Scalar, is_true};
use super::{Read, Refused, mac};
use crate::net::{Mac, Shown};
use crate::plan::guest::{Configured, Kind, Nic};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What of a configuration concerns names and addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `name`, of a container `hostname`.
    pub name: Option<String>,
    /// `tags`.
    pub tags: BTreeSet<String>,
    /// `template`.
    pub is_template: bool,
    /// Whether `agent` is enabled.
    pub agent_enabled: bool,
    /// Whether `cicustom` replaces the network.
    pub has_custom_cloud_init: bool,
    /// `netN`, with `ipconfigN`; by N.
    pub nics: Vec<Nic>,
    /// What changes with the file.
    pub digest: Option<String>,
}

type Fields<'a> = BTreeMap<String, Scalar<'a>>;

/// Interfaces of a guest: `net0` to `net31`.
const NICS: u8 = 32;

/// What an answer's body says of this guest.
///
/// # Errors
/// It is none; serde's words.
pub fn config(kind: Kind, vmid: u32, body: &[u8]) -> Result<Read<Config>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: Fields<'a>,
    }
    let Body { data: fields } = serde_json::from_slice(body)?;
    let mut refused = Vec::new();
    let text = |field: &str| fields.get(field).and_then(Scalar::text);
    let mut nics = Vec::new();
    for index in 0..NICS {
        let field = format!("net{index}");
        let Some(value) = fields.get(&field) else { continue };
        let configured = text(&format!("ipconfig{index}")).filter(|_| kind == Kind::Qemu);
        let read = value.text().ok_or_else(|| "it is no text".to_owned()).and_then(|value| nic(kind, index, value));
        match read {
            Ok(mut nic) => {
                let (from, field) = match (kind, configured) {
                    (Kind::Qemu, Some(configured)) => (configured, format!("ipconfig{index}")),
                    (Kind::Qemu, None) => ("", field),
                    (Kind::Lxc, _) => (value.text().unwrap_or_default(), field),
                };
                let mut refuse = |key, why| refused.push(Refused::new(vmid, format!("{field}: {key}"), why));
                nic.v4 = how(from, "ip").unwrap_or_else(|why| unsaid("ip", why, &mut refuse));
                nic.v6 = how(from, "ip6").unwrap_or_else(|why| unsaid("ip6", why, &mut refuse));
                nics.push(nic);
            }
            Err(why) => refused.push(Refused::new(vmid, field, why)),
        }
    }
    let name = match kind {
        Kind::Qemu => "name",
        Kind::Lxc => "hostname",
    };
    let value = Config {
        name: text(name).and_then(|name| named(kind, vmid, name)),
        tags: text("tags").map(tags).unwrap_or_default(),
        is_template: fields.get("template").is_some_and(Scalar::is_true),
        agent_enabled: kind == Kind::Qemu && text("agent").is_some_and(is_agent_enabled),
        has_custom_cloud_init: text("cicustom").is_some_and(|custom| property(custom, "network").is_some()),
        nics,
        digest: text("digest").map(str::to_owned),
    };
    Ok(Read { value, refused })
}

/// A name, unless it is none: empty, or what Proxmox shows for guests that have none.
pub(super) fn named(kind: Kind, vmid: u32, name: &str) -> Option<String> {
    let substitute = match kind {
        Kind::Qemu => format!("VM {vmid}"),
        Kind::Lxc => format!("CT{vmid}"),
    };
    let name = name.trim();
    (!name.is_empty() && name != substitute).then(|| name.to_owned())
}

/// Tags are separated by `;`, `,` or blanks, and are the same in either case (PVE::Tools, `split_list`).
pub(super) fn tags(text: &str) -> BTreeSet<String> {
    let tags = text.split([';', ',', '\0']).flat_map(str::split_whitespace);
    tags.map(str::to_lowercase).collect()
}

/// `1`, `enabled=1`, with or without options behind.
fn is_agent_enabled(text: &str) -> bool {
    property(text, "enabled").or_else(|| property(text, "")).is_some_and(is_true)
}

/// `netN`. A VLAN that makes no sense refuses the interface: in which network it is, nobody can say then.
fn nic(kind: Kind, index: u8, text: &str) -> Result<Nic, String> {
    let (mut found, mut bridge, mut tag, mut is_link_down): (Option<Mac>, _, _, _) = (None, None, None, false);
    for (key, value) in properties(text) {
        match key {
            "bridge" => bridge = Some(value.to_owned()).filter(|bridge| !bridge.is_empty()),
            "tag" => {
                let number = value.parse().ok().filter(|number| (1..=4094).contains(number));
                tag = Some(number.ok_or_else(|| format!("tag {} is no VLAN, 1 to 4094", Shown(value)))?);
            }
            "link_down" => is_link_down = is_true(value),
            "hwaddr" | "macaddr" => found = Some(mac(value)?),
            // `virtio=MAC`: the model is the key. There are a dozen, and there will be more.
            _ if kind == Kind::Qemu && found.is_none() && value.len() == Mac::TEXT_LEN && value.contains(':') => {
                found = Some(mac(value)?);
            }
            _ => {}
        }
    }
    let mac = found.ok_or_else(|| format!("there is no MAC address in {}", Shown(text)))?;
    Ok(Nic { index, mac, bridge, tag, is_link_down, v4: Configured::Unsaid, v6: Configured::Unsaid })
}

/// `ip` or `ip6` of `ipconfigN` or of a container's `netN`.
fn how<A: FromStr + Length>(text: &str, key: &str) -> Result<Configured<A>, String> {
    let Some(value) = property(text, key) else { return Ok(Configured::Unsaid) };
    match value {
        "dhcp" => Ok(Configured::Dhcp),
        "auto" if A::HAS_AUTO => Ok(Configured::Auto),
        "manual" => Ok(Configured::Manual),
        _ => {
            let (address, length) = value.split_once('/').unwrap_or((value, "0"));
            let is_length = length.parse().is_ok_and(|length: u8| length <= A::LENGTH);
            let address = address.parse().ok().filter(|_| is_length);
            address.map(Configured::Static).ok_or_else(|| format!("{} is no address and no word for one", Shown(value)))
        }
    }
}

fn unsaid<A>(key: &'static str, why: String, refuse: &mut impl FnMut(&'static str, String)) -> Configured<A> {
    refuse(key, why);
    Configured::Unsaid
}

/// What the families differ in.
trait Length {
    const LENGTH: u8;
    const HAS_AUTO: bool;
}

impl Length for Ipv4Addr {
    const LENGTH: u8 = 32;
    const HAS_AUTO: bool = false;
}

impl Length for Ipv6Addr {
    const LENGTH: u8 = 128;
    const HAS_AUTO: bool = true;
}
