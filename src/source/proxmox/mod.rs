//! Proxmox VE's API: which guests there are, how they are configured, which addresses they have.
//!
//! Past here every MAC address and every address is legal. What is not as the API says is [`Refused`], with the guest and the field
//! named, and nothing else is lost for it.

mod config;
mod interfaces;
mod ipam;
#[cfg(test)]
mod parse_tests;
mod property;
mod scalar;
mod wire;

pub use config::{Config, config};
pub use interfaces::{Interface, Told, agent_interfaces, container_interfaces, sightings};
pub use ipam::ipam;
pub use wire::{Listed, Node, Resources, guest, resources};

use crate::net::{Mac, Shown};
use std::fmt;

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
