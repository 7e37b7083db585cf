//! The tests' simulator of a Proxmox VE cluster as a program, for `make demo-proxmox`. It prints where it is, its CA's file, the token's id
//! and the token's secret, then does what its standard input says, a line each, and ends with that:
//!
//! - `add VMID qemu|lxc NODE NAME`: a guest that runs, on a node that is made if it is not there; its name may have blanks
//! - `set VMID FIELD VALUE`: a field of its configuration, `net0` or `ipconfig0`, say
//! - `tell VMID MAC ADDRESS...`: from now on its agent, or its node, tells these addresses; without any: nothing
//! - `rename VMID NAME`, `migrate VMID NODE`, `remove VMID`
//! - `node NODE online|offline`

#[path = "../tests/common/proxmox/mod.rs"]
mod proxmox;

use proxmox::{Cluster, Reply, SECRET, Simulator, TOKEN};
use serde_json::{Value, json};
use std::io::{self, BufRead as _};
use std::net::IpAddr;
use std::process::ExitCode;

fn main() -> ExitCode {
    let simulator = Simulator::with(Cluster::default(), 1);
    println!("{}\n{}\n{TOKEN}\n{SECRET}", simulator.url(), simulator.ca_file().display());
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if obey(&mut simulator.cluster(), &line).is_none() {
            eprintln!("proxmox_simulator: not understood: {line}");
            return ExitCode::FAILURE;
        }
        // Done.
        println!("{line}");
    }
    ExitCode::SUCCESS
}

/// Does what a line says, if it makes sense.
fn obey(cluster: &mut Cluster, line: &str) -> Option<()> {
    let (what, rest) = line.split_once(' ')?;
    let mut words = rest.split(' ');
    if what == "node" {
        let name = words.next().filter(|name| cluster.nodes.contains_key(*name))?;
        cluster.node(name, words.next()? == "online");
        return Some(());
    }
    let vmid: u32 = words.next()?.parse().ok()?;
    if what == "add" {
        let (kind, node) = (words.next().filter(|kind| matches!(*kind, "qemu" | "lxc"))?, words.next()?);
        cluster.add(vmid, kind, node, &words.collect::<Vec<_>>().join(" "));
        return tell(cluster, vmid, std::iter::empty());
    }
    if !cluster.guests.contains_key(&vmid) {
        return None;
    }
    match what {
        "set" => {
            let field = words.next()?;
            cluster.configure(vmid, field, &words.collect::<Vec<_>>().join(" "));
        }
        "tell" => tell(cluster, vmid, words)?,
        "rename" => cluster.rename(vmid, &words.collect::<Vec<_>>().join(" ")),
        "migrate" => cluster.migrate(vmid, words.next()?),
        "remove" => cluster.remove(vmid),
        _ => return None,
    }
    Some(())
}

/// Has a guest's agent, or its node, tell of one interface with these addresses; nothing: of the loopback alone.
fn tell<'a>(cluster: &mut Cluster, vmid: u32, mut words: impl Iterator<Item = &'a str>) -> Option<()> {
    let guest = cluster.guest(vmid);
    let is_container = guest.kind == "lxc";
    let interface = |name: &str, mac: &str, addresses: &[IpAddr]| {
        let address = |address: &IpAddr| {
            let (v4, v6) = if is_container { ("inet", "inet6") } else { ("ipv4", "ipv6") };
            let (kind, prefix) = if address.is_ipv4() { (v4, 24) } else { (v6, 64) };
            json!({ "ip-address": address.to_string(), "prefix": prefix, "ip-address-type": kind })
        };
        let addresses: Vec<Value> = addresses.iter().map(address).collect();
        json!({ "name": name, "hardware-address": mac, "ip-addresses": addresses })
    };
    let mut all = vec![interface("lo", "00:00:00:00:00:00", &[[127, 0, 0, 1].into()])];
    if let Some(mac) = words.next() {
        let addresses: Vec<IpAddr> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        all.push(interface("eth0", mac, &addresses));
    }
    guest.interfaces = Reply::ok(&if is_container { json!(all) } else { json!({ "result": all }) });
    Some(())
}
