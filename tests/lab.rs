//! `make demo`, `make demo-nfdhcpd`, `make demo-pxe` and `make demo-proxmox` as tests: real DHCP clients and a real dnsmasq, from the
//! first lease to spoofing stopped; the responder, from the first binding file to its restart; the PXE filter, with the simulator of
//! Ironic, from the first node under inspection to the end; Proxmox VE's companion, with the simulator of a cluster, from its first
//! guest to the outage of a node.
#![allow(clippy::expect_used)]

#[path = "common/needs.rs"]
mod needs;

use needs::can;
use std::path::Path;
use std::process::Command;

/// What a lab may need, each with a command that succeeds where it is present.
const DNSMASQ: (&str, &str) = ("dnsmasq", "command -v dnsmasq");
const DHCLIENT: (&str, &str) = ("dhclient", "command -v dhclient");
const DIG: (&str, &str) = ("dig", "command -v dig");
const PING: (&str, &str) = ("ping", "command -v ping");
const NFT: (&str, &str) = ("nft", "command -v nft");
#[cfg(feature = "nfdhcpd")]
const IPTABLES: (&str, &str) = ("iptables", "command -v iptables && command -v ip6tables");
const IP: (&str, &str) = ("ip", "command -v ip");
const SPACES: (&str, &str) =
    ("namespaces, as root or as a user", "unshare --net --mount true || unshare --net --mount --map-root-user true");
#[cfg(feature = "pxe-filter")]
const UDHCPC: (&str, &str) = ("udhcpc", "command -v udhcpc");
// cargo makes it when it makes all tests, but not when it makes only this one.
#[cfg(feature = "pxe-filter")]
const SIMULATOR: (&str, &str) =
    ("simulator (cargo build --example ironic_simulator)", "test -x \"$BIN/examples/ironic_simulator\"");
#[cfg(feature = "proxmox")]
const CLUSTER: (&str, &str) =
    ("simulator (cargo build --example proxmox_simulator)", "test -x \"$BIN/examples/proxmox_simulator\"");
#[cfg(any(feature = "nfdhcpd", feature = "proxmox", feature = "pxe-filter"))]
const ROOT: (&str, &str) = ("namespaces, as root", "unshare --net --mount true");

fn passes(script: &str, needs: &[(&str, &str)]) {
    let programs = Path::new(env!("CARGO_BIN_EXE_instances-update")).parent().expect("a program is in a folder");
    let programs = programs.display();
    if !needs.iter().all(|(what, command)| can(what, &format!("BIN='{programs}'; {command}"))) {
        return;
    }
    // The real Ironic has tests of its own.
    let variables = [("BIN", programs.to_string()), ("IRONIC", "simulator".to_owned())];
    let output = Command::new(script).envs(variables).output().expect("start the lab");
    let shown = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let last = shown.lines().last().unwrap_or_default();
    assert!(
        output.status.success() && last.starts_with("demo: ") && last.contains(" checks passed: "),
        "{}\n{shown}\n{complaints}",
        output.status
    );
}

#[test]
fn leases_become_names_and_spoofing_stops() {
    passes("lab/demo.sh", &[DNSMASQ, DHCLIENT, DIG, PING, NFT, IP, SPACES]);
}

#[test]
#[cfg(feature = "nfdhcpd")]
fn files_become_leases_and_change_and_go() {
    passes("lab/nfdhcpd.sh", &[DHCLIENT, PING, IPTABLES, IP, ROOT]);
}

#[test]
#[cfg(feature = "pxe-filter")]
fn inspected_nodes_boot_and_no_others() {
    passes("lab/pxe-filter.sh", &[DNSMASQ, UDHCPC, IP, ROOT, SIMULATOR]);
}

#[test]
#[cfg(feature = "proxmox")]
fn guests_keep_their_names_through_changes_outages_and_kills() {
    passes("lab/proxmox.sh", &[DNSMASQ, DHCLIENT, DIG, PING, IP, ROOT, CLUSTER]);
}
