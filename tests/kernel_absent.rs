//! A kernel without nf_tables. Debian's has it as modules, which can be taken out; elsewhere there is nothing to try.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;

use kernel::Host;
use netns::{on_stock_kernel, run};
use std::fs;

const MODPROBE: &str = "/proc/sys/kernel/modprobe";

#[test]
fn a_kernel_without_nf_tables_is_named() {
    if !on_stock_kernel() {
        return;
    }
    let loaded = fs::read_to_string("/proc/modules").unwrap();
    let names = loaded.lines().filter_map(|line| line.split(' ').next());
    let nf_tables: Vec<_> = names.filter(|name| name.starts_with("nft_") || *name == "nf_tables").collect();
    if !nf_tables.is_empty() {
        run("modprobe", &[&["-r"], nf_tables.as_slice()].concat());
    }
    let loader = fs::read_to_string(MODPROBE).unwrap();
    fs::write(MODPROBE, "/bin/false").unwrap();
    let host = Host::new();
    let output = host.try_apply(&["--hook", "*"]);
    fs::write(MODPROBE, loader).unwrap();

    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot talk to nf_tables") && message.contains("modprobe nf_tables"), "{message}");
    assert!(!host.path("hosts").exists(), "nothing is done before the kernel has answered");
    host.apply(&["--hook", "*"]);
    // This was the machine's own namespace.
    run("nft", &["delete", "table", "bridge", "instances"]);
}
