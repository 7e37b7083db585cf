//! Proxmox VE's API: which guests there are, how they are configured, which addresses they have.
//!
//! [`Cluster`] is what the companion asks; [`Client`] asks it over HTTPS, [`Memory`] is its twin for tests, [`Rounds`] says what is
//! to be asked when, and [`Reading`] asks several things at a time.
//!
//! Past here every MAC address and every address is legal. What is not as the API says is [`Refused`], with the guest and the field
//! named, and nothing else is lost for it.

mod access;
mod client;
mod config;
mod failure;
mod https;
mod interfaces;
mod ipam;
mod memory;
#[cfg(test)]
mod parse_tests;
mod property;
mod reading;
mod rounds;
mod scalar;
mod tls;
mod wire;

pub use access::{Access, Fingerprint, Token, Trust, host};
pub use client::Client;
pub use config::{Config, config};
pub use failure::{Failure, Kind};
pub use interfaces::{Interface, Told, agent_interfaces, container_interfaces, lists, sightings};
pub use ipam::ipam;
pub use memory::Memory;
pub use reading::{Done, Reading};
pub use rounds::{Answer, Call, Freed, Known, Note, Outcome, Rounds};
pub use wire::{Listed, Node, Resources, guest, resources};

use crate::daemon::schedule::Moment;
use crate::net::{Mac, Shown};
use crate::plan::guest::{self, Sighting};
use std::fmt;
use std::future::Future;

/// A guest, and where it is: whom to ask about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its number.
    pub vmid: u32,
    /// What it is.
    pub kind: guest::Kind,
    /// The node that it is on.
    pub node: String,
}

impl Place {
    /// Its part of the API. What the API calls a node must be one: it becomes part of a path.
    fn path(&self) -> Result<String, Failure> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.node.is_empty() || self.node.len() > 63 || !self.node.bytes().all(is_name) {
            let text = format!("guest {} is said to be on the node {}, which is no name", self.vmid, Shown(&self.node));
            return Err(Failure::new(Kind::Nonsense, text));
        }
        Ok(format!("nodes/{}/{}/{}", self.node, self.kind, self.vmid))
    }
}

/// What the companion asks a cluster. Several questions may be on their way at a time.
pub trait Cluster {
    /// All guests and nodes. Guests that the token may not see are not there, and that is no failure.
    fn resources(&self) -> impl Future<Output = Result<Read<Resources>, Failure>>;

    /// How a guest is configured; what is pending until it is started anew does not count.
    fn config(&self, place: &Place) -> impl Future<Output = Result<Read<Config>, Failure>>;

    /// Which addresses a guest has now: the node of a container says so, the agent of a virtual machine, which may keep one waiting
    /// for seconds.
    fn interfaces(&self, place: &Place) -> impl Future<Output = Result<Told, Failure>>;

    /// Which addresses the SDN's own address management gave out.
    fn ipam(&self, at: Moment) -> impl Future<Output = Result<Read<Vec<Sighting>>, Failure>>;

    /// What people should know since this was asked last: another host answers, certificates that nobody looks at.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Something in an answer that makes no sense. The rest of the answer counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refused {
    /// The guest that it is about, if that is known.
    pub vmid: Option<u32>,
    /// The field, as the API calls it: `net0`, `ipconfig0: ip6`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl Refused {
    fn new(vmid: impl Into<Option<u32>>, field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { vmid: vmid.into(), field: field.into(), why: why.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vmid {
            Some(vmid) => write!(f, "guest {vmid}: {}: {}", self.field, self.why),
            None => write!(f, "{}: {}", self.field, self.why),
        }
    }
}

/// An answer's content, and what in it makes no sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read<T> {
    /// What makes sense.
    pub value: T,
    /// What does not.
    pub refused: Vec<Refused>,
}

/// A MAC address that a guest's interface can have: in either case, with colons, of one station (IEEE 802: neither the group bit
/// nor all zeros).
fn mac(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.to_ascii_lowercase().parse().map_err(|_| format!("{} is no MAC address", Shown(text)))?;
    let [first, ..] = mac.0;
    if first & 1 == 1 {
        Err(format!("{mac} is the MAC address of a group"))
    } else if mac == Mac([0; 6]) {
        Err(format!("{mac} is nobody's MAC address"))
    } else {
        Ok(mac)
    }
}
