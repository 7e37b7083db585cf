//! What `instances-proxmox` might know: three guests on two nodes, one of them stale, and a record of the administrator's.
#![allow(dead_code, clippy::unwrap_used, reason = "each test crate uses its part")]

use instances::daemon::proxmox::snapshot::{
    Dnsmasq, GuestRow, LeftOutRow, NetworkRow, NicRow, ReservationRow, Row, Snapshot,
};
use instances::net::Mac;
use std::time::Duration;

/// A name of a guest's.
pub fn row(vmid: u32, name: &str, address: &str, source: &'static str) -> Row {
    let mac = Some(Mac([2, 0, 0, 0, 0, u8::try_from(vmid % 256).unwrap()]));
    Row {
        name: name.to_owned(),
        address: address.parse().unwrap(),
        has_ptr: true,
        nic: Some(NicRow { vmid, index: 0, mac, network: 0 }),
        source,
        since: Duration::from_secs(10),
    }
}

/// A guest.
pub fn guest(vmid: u32, node: &str, name: &str, records: usize) -> GuestRow {
    GuestRow {
        vmid,
        kind: if vmid.is_multiple_of(2) { "qemu" } else { "lxc" },
        node: node.to_owned(),
        name: Some(name.to_owned()),
        state: "running",
        names: vec![format!("{name}.lan")],
        records,
        stale: None,
    }
}

/// All that is known.
pub fn snapshot() -> Snapshot {
    let stale = Some((Duration::from_secs(50), "the node pve3 is offline".to_owned()));
    let extra = Row { nic: None, ..row(0, "printer.lan", "192.0.2.9", "extra") };
    Snapshot {
        rows: vec![
            extra,
            row(101, "web.lan", "192.0.2.10", "config"),
            row(102, "db.lan", "192.0.2.20", "agent"),
            row(102, "db.lan", "2001:db8::20", "agent"),
        ],
        guests: vec![
            guest(101, "pve1", "web", 1),
            guest(102, "pve2", "db", 2),
            GuestRow { stale, state: "unknown", ..guest(103, "pve3", "mail", 0) },
        ],
        nodes: [("pve1", true), ("pve2", true), ("pve3", false)].map(|(name, on)| (name.to_owned(), on)).into(),
        networks: vec![NetworkRow {
            place: "vmbr0".to_owned(),
            prefixes: vec!["192.0.2.0/24".to_owned(), "2001:db8::/64".to_owned()],
            domain: "lan".to_owned(),
        }],
        reservations: vec![ReservationRow {
            mac: "02:00:00:00:00:66".to_owned(),
            name: "db".to_owned(),
            vmid: 102,
            nic: 0,
        }],
        left_out: vec![LeftOutRow {
            vmid: 102,
            nic: Some(0),
            address: Some("172.17.0.1".parse().unwrap()),
            why: "outside of the interface's network".to_owned(),
        }],
        warnings: vec!["guest 101: \"we b\" is no name for DNS; it is called web".to_owned()],
        troubles: Vec::new(),
        faults: Vec::new(),
        dnsmasq: Dnsmasq::Answers,
        failing_since: None,
    }
}
