//! `instances-proxmox` itself, with a cluster's API over TLS, a dnsmasq, guests and DHCP clients in a network namespace: what its users
//! see, asked with DNS.
#![cfg(feature = "proxmox")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod faults;
mod lab;
mod scenarios;

#[path = "../common/dns.rs"]
mod dns;
#[path = "../common/guest.rs"]
mod guest;
#[path = "../common/netns.rs"]
mod netns;
#[path = "../common/proxmox/mod.rs"]
mod proxmox;

use netns::wait;
