//! `instances-proxmox`: keeps dnsmasq in step with a Proxmox VE cluster. [`child`] is a dnsmasq of its own, and [`tending`] decides when it
//! begins, is asked and has to go.

pub mod child;
pub mod tending;
