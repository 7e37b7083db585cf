//! `instances-proxmox` itself, with a cluster's API over TLS, a dnsmasq, guests and DHCP clients in a network namespace: what its users
//! see, asked with DNS; and what people and Prometheus see of it.
#![cfg(feature = "proxmox")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod beside;
mod clock;
mod faults;
mod kills;
mod lab;
mod leases;
mod metrics;
mod page;
mod program;
mod scenarios;
mod watched;
mod watching;

#[path = "../common/browser.rs"]
mod browser;
#[path = "../common/dns.rs"]
mod dns;
#[path = "../common/exposition.rs"]
mod exposition;
#[path = "../common/guest.rs"]
mod guest;
#[path = "../common/made_up.rs"]
mod made_up;
#[path = "../common/netns.rs"]
mod netns;
#[path = "../common/proxmox/mod.rs"]
mod proxmox;

use netns::{needs, wait};
