//! `make demo` as a test: real DHCP clients and a real dnsmasq, from the first lease to spoofing stopped.
#![allow(clippy::expect_used)]

#[path = "common/needs.rs"]
mod needs;

use needs::can;
use std::path::Path;
use std::process::Command;

/// What the lab cannot do without, each with a command that succeeds where it is present.
const NEEDS: [(&str, &str); 7] = [
    ("dnsmasq", "command -v dnsmasq"),
    ("dhclient", "command -v dhclient"),
    ("dig", "command -v dig"),
    ("ping", "command -v ping"),
    ("nft", "command -v nft"),
    ("ip", "command -v ip"),
    ("namespaces, as root or as a user", "unshare --net --mount true || unshare --net --mount --map-root-user true"),
];

#[test]
fn leases_become_names_and_spoofing_stops() {
    if !NEEDS.iter().all(|(what, command)| can(what, command)) {
        return;
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_instances-update")).parent().expect("a program is in a folder");
    let output = Command::new("lab/demo.sh").env("BIN", programs).output().expect("start lab/demo.sh");
    let shown = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let last = shown.lines().last().unwrap_or_default();
    assert!(
        output.status.success() && last.starts_with("demo: ") && last.contains(" checks passed: "),
        "{}\n{shown}\n{complaints}",
        output.status
    );
}
