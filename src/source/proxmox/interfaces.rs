//! Which addresses a guest has now: `agent/network-get-interfaces`, which the guest itself answers, and a container's
//! `interfaces`, which its node does. A guest can say anything: it is believed only about its own MAC addresses.

use super::mac;
use super::scalar::Scalar;
use crate::daemon::schedule::Moment;
use crate::net::{Mac, Shown};
use crate::plan::guest::{By, Guest, Lists, Sighting};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// More addresses of one guest are of no interest, and no honest one has them.
const MOST: usize = 256;

/// An interface as the guest has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its MAC address; tunnels and some of Windows' have none.
    pub mac: Option<Mac>,
    /// Its addresses, without those that are no host's: loopback, multicast, unspecified.
    pub addresses: Vec<IpAddr>,
    /// Whether it has no others: a container of Proxmox VE 8 tells one address of each family.
    pub is_whole: bool,
}

/// An agent's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The guest's interfaces.
    Interfaces(Vec<Interface>),
    /// Why it does not say, in its words: the command is disabled, or it failed.
    Not(String),
}

/// What an answer's body to `agent/network-get-interfaces` says.
///
/// # Errors
/// It is none; serde's words.
pub fn agent_interfaces(body: &[u8]) -> Result<Told, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: Option<Data<'a>>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Failed<'a> {
        #[serde(borrow)]
        error: Reason<'a>,
    }
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Reason<'a> {
        desc: Option<Scalar<'a>>,
        class: Option<Scalar<'a>>,
    }
    let Body { data: Some(Data { result }) } = serde_json::from_slice(body)? else {
        return Ok(Told::Not("no answer".to_owned()));
    };
    // A list with one member would be taken for an object with one field.
    if result.get().starts_with('{')
        && let Ok(Failed { error }) = serde_json::from_str(result.get())
    {
        let words = [error.desc, error.class];
        let words = words.iter().flatten().find_map(|words| words.text().filter(|words| !words.is_empty()));
        return Ok(Told::Not(Shown(words.unwrap_or("an error without words")).to_string()));
    }
    Ok(Told::Interfaces(interfaces(&serde_json::from_str::<Vec<&RawValue>>(result.get())?)))
}

/// What an answer's body to a container's `interfaces` says; none if it does not run.
///
/// # Errors
/// It is none; serde's words.
pub fn container_interfaces(body: &[u8]) -> Result<Vec<Interface>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: Option<Vec<&'a RawValue>>,
    }
    let Body { data } = serde_json::from_slice(body)?;
    Ok(interfaces(&data.unwrap_or_default()))
}

/// The interfaces that make sense. The others are no news to anybody: a guest may answer what it likes.
fn interfaces(raw: &[&RawValue]) -> Vec<Interface> {
    raw.iter().filter_map(|raw| interface(raw)).collect()
}

fn interface(raw: &RawValue) -> Option<Interface> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Wire<'a> {
        #[serde(rename = "hardware-address")]
        hardware_address: Option<Scalar<'a>>,
        hwaddr: Option<Scalar<'a>>,
        #[serde(rename = "ip-addresses")]
        addresses: Option<&'a RawValue>,
        // Before PVE 9 a container has one address of each family here, for IPv6 often the link-local one, and no list.
        inet: Option<Scalar<'a>>,
        inet6: Option<Scalar<'a>>,
    }
    #[derive(Deserialize)]
    struct Address<'a> {
        #[serde(rename = "ip-address", borrow)]
        address: Option<Scalar<'a>>,
    }
    let wire: Wire = serde_json::from_str(raw.get()).ok()?;
    let text = wire.hardware_address.as_ref().or(wire.hwaddr.as_ref()).and_then(Scalar::text);
    let list =
        wire.addresses.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()).unwrap_or_default();
    let listed = list.iter().filter_map(|raw| serde_json::from_str::<Address>(raw.get()).ok()?.address);
    // Who has no address at all has no list either.
    let is_whole = wire.addresses.is_some() || (wire.inet.is_none() && wire.inet6.is_none());
    let mut addresses: Vec<IpAddr> = Vec::new();
    for scalar in listed.chain(wire.inet).chain(wire.inet6) {
        let address = scalar.text().and_then(address);
        addresses.extend(address.filter(|address| !addresses.contains(address)));
        if addresses.len() >= MOST {
            break;
        }
    }
    Some(Interface { mac: text.and_then(|text| mac(text).ok()), addresses, is_whole })
}

/// An address that a host can have, without prefix length and without scope (`fe80::1%6`).
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.split(['/', '%']).next().unwrap_or_default();
    let address: IpAddr = text.trim().parse().ok()?;
    let is_hosts = !address.is_loopback() && !address.is_multicast() && !address.is_unspecified();
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    (is_hosts && !is_broadcast).then_some(address)
}

/// Of which of the guest's own interfaces all addresses are in there, and when that was so.
pub fn lists(guest: &Guest, interfaces: &[Interface], at: Moment) -> Lists {
    let own: BTreeSet<Mac> = guest.nics.iter().map(|nic| nic.mac).collect();
    let whole = interfaces.iter().filter(|interface| interface.is_whole).filter_map(|interface| interface.mac);
    whole.filter(|mac| own.contains(mac)).map(|mac| (mac, at)).collect()
}

/// What of that is to be believed: the addresses on the guest's own interfaces.
pub fn sightings(guest: &Guest, interfaces: &[Interface], by: By, at: Moment) -> Vec<Sighting> {
    let own: BTreeSet<Mac> = guest.nics.iter().map(|nic| nic.mac).collect();
    let pairs = interfaces.iter().filter_map(|interface| Some((interface.mac?, &interface.addresses)));
    let own = pairs.filter(|(mac, _)| own.contains(mac));
    let all: BTreeSet<_> =
        own.flat_map(|(mac, all)| all.iter().map(move |address| (mac, *address))).take(MOST).collect();
    let sighting = |(mac, address)| Sighting { mac, address, vmid: Some(guest.vmid), by, since: at, at };
    all.into_iter().map(sighting).collect()
}
