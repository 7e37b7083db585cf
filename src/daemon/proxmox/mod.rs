//! `instances-proxmox`: keeps dnsmasq in step with a Proxmox VE cluster. [`child`] is a dnsmasq of its own, and [`tending`] decides when it
//! begins, is asked and has to go. [`snapshot`] is what is known and published, for [`metrics`] and the [`page`].

pub mod child;
pub mod metrics;
pub mod page;
mod published;
pub mod snapshot;
#[cfg(test)]
mod snapshot_tests;
pub mod tending;
