//! Proxmox VE's API as the client sees it, and everything that can go wrong on the way, against a simulator over TLS that serves
//! the samples or as many guests as one likes.
#![cfg(feature = "proxmox")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "proxmox/client.rs"]
mod client;
#[path = "proxmox/faults.rs"]
mod faults;
#[path = "proxmox/hosts.rs"]
mod hosts;
#[path = "proxmox/reading.rs"]
mod reading;
#[path = "common/proxmox/mod.rs"]
mod simulator;
#[path = "proxmox/trust.rs"]
mod trust;

use instances::plan::guest;
use instances::source::proxmox::{Failure, Kind, Place};

fn place(node: &str, kind: guest::Kind, vmid: u32) -> Place {
    Place { vmid, kind, node: node.to_owned() }
}

fn lxc(node: &str, vmid: u32) -> Place {
    place(node, guest::Kind::Lxc, vmid)
}

fn qemu(node: &str, vmid: u32) -> Place {
    place(node, guest::Kind::Qemu, vmid)
}

#[track_caller]
fn is(failure: &Failure, kind: Kind, text: &str) {
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.text.contains(text), "{failure}\nhas no\n{text}");
    assert!(!failure.text.contains(|character: char| character.is_control()), "{failure:?}");
    assert!(!failure.text.contains(simulator::SECRET), "{failure}");
}
