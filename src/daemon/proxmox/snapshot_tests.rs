use super::snapshot::{Dnsmasq, Parts, Snapshot};
use crate::daemon::schedule::Moment;
use crate::net::Mac;
use crate::plan::dns_records::{Extra, Network, Policy, Records, Vlan};
use crate::plan::guest::{By, Configured, Guest, Kind, Nic, Sighting, State};
use crate::source::proxmox::{Answer, Config, Failure, Kind as Failed, Known, Listed, Rounds};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

fn policy() -> Policy {
    let network = Network {
        bridge: Some("vmbr0".to_owned()),
        vlan: Vlan::Any,
        prefixes: vec!["192.0.2.0/24".parse().unwrap()],
        domain: "lan".parse().unwrap(),
    };
    let extra = vec![Extra { name: "printer.lan".parse().unwrap(), address: "192.0.2.9".parse().unwrap() }];
    Policy { networks: vec![network], extra, ..Policy::default() }
}

/// A guest with this name, static or by DHCP.
fn add(rounds: &mut Rounds, vmid: u32, name: &str, is_static: bool) {
    let number = u8::try_from(vmid % 100).unwrap();
    let listed = Listed {
        vmid,
        kind: Kind::Lxc,
        node: "pve1".to_owned(),
        name: Some(name.to_owned()),
        state: State::Running,
        is_template: false,
        tags: Some(BTreeSet::new()),
        uptime: Some(1),
        lock: None,
    };
    let v4 = if is_static { Configured::Static([192, 0, 2, number + 100].into()) } else { Configured::Dhcp };
    let nic = Nic {
        index: 0,
        mac: mac(number),
        bridge: Some("vmbr0".to_owned()),
        tag: None,
        is_link_down: false,
        v4,
        v6: Configured::Unsaid,
    };
    let config = Config { name: Some(name.to_owned()), nics: vec![nic], ..Config::default() };
    rounds.restore(listed, Some(config), Vec::new(), BTreeMap::new(), Moment::ZERO);
}

fn seen(vmid: u32, last: u8, now: Moment) -> Sighting {
    let mac = mac(u8::try_from(vmid % 100).unwrap());
    let address = [192, 0, 2, last].into();
    Sighting { mac, address, vmid: None, by: By::Neighbor, since: now, at: now }
}

fn shot(rounds: &Rounds, sightings: &[Sighting], before: Option<&Snapshot>, now: Moment) -> Snapshot {
    let policy = policy();
    let guests: Vec<Guest> = rounds.guests().filter_map(Known::guest).collect();
    let records = Records::new(&guests, sightings, &policy);
    let troubles = vec!["cannot write".to_owned()];
    let parts =
        Parts { records: &records, policy: &policy, rounds, dnsmasq: Dnsmasq::Answers, faults: Vec::new(), troubles };
    Snapshot::new(parts, before, now)
}

#[test]
fn a_record_keeps_its_age_until_it_is_another() {
    let mut rounds = Rounds::new(10 * SECOND);
    add(&mut rounds, 101, "web", true);
    add(&mut rounds, 102, "db", false);
    let first = shot(&rounds, &[seen(102, 50, SECOND)], None, SECOND);
    let second = shot(&rounds, &[seen(102, 51, 5 * SECOND)], Some(&first), 5 * SECOND);
    let ages: Vec<_> = second.rows.iter().map(|row| (row.name.as_str(), row.source, row.since)).collect();
    let expected =
        [("printer.lan", "extra", SECOND), ("web.lan", "config", SECOND), ("db.lan", "neighbor", 5 * SECOND)];
    assert_eq!(ages, expected);
    // Nothing is another: it is the same, whenever it is made.
    assert_eq!(shot(&rounds, &[seen(102, 51, 9 * SECOND)], Some(&second), 9 * SECOND), second);
}

#[test]
fn it_says_which_interface_has_an_address_and_who_has_none() {
    let mut rounds = Rounds::new(10 * SECOND);
    add(&mut rounds, 101, "web", true);
    add(&mut rounds, 102, "<script>alert(1)</script>", false);
    let shot = shot(&rounds, &[], None, SECOND);
    let nic = shot.rows[1].nic.unwrap();
    assert_eq!((nic.vmid, nic.index, nic.mac, shot.network(nic.network)), (101, 0, Some(mac(1)), "vmbr0.*"));
    let guest = shot.guest(102).unwrap();
    assert_eq!((guest.records, guest.names.len(), guest.name.as_deref()), (0, 1, Some("<script>alert(1)</script>")));
    assert_eq!(shot.guest(101).unwrap().records, 1);
    assert_eq!(shot.guest(103), None);
    assert_eq!((shot.reservations.len(), shot.warnings.len()), (1, 1));
    assert_eq!(shot.troubles, ["cannot write"]);
}

#[test]
fn what_cannot_be_looked_at_is_stale_and_says_why() {
    let mut rounds = Rounds::new(10 * SECOND);
    add(&mut rounds, 101, "web", true);
    let failure = Failure::new(Failed::Unreachable, "GET https://pve1:8006: no route");
    drop(rounds.next(SECOND));
    rounds.answered(Answer::Resources(Err(failure)), 2 * SECOND);
    let shot = shot(&rounds, &[], None, 62 * SECOND);
    assert_eq!(shot.failing_since, Some(2 * SECOND));
    assert_eq!(shot.troubles, ["GET https://pve1:8006: no route", "cannot write"]);
    let json = serde_json::to_value(shot.json(62 * SECOND)).unwrap();
    assert_eq!((&json["failing_for"], &json["guests"][0]["stale"]["age"]), (&60.into(), &62.into()));
    assert_eq!(json["guests"][0]["stale"]["why"], "not read since the start");
    assert_eq!((&json["records"][1]["age"], &json["records"][1]["mac"]), (&0.into(), &"02:00:00:00:00:01".into()));
    assert_eq!(json["dnsmasq"], serde_json::json!({ "state": "answers" }));
}
