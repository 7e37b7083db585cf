//! From the sample answers of Proxmox VE's API to records: everything that tests/proxmox/samples/expected.json says, and every odd
//! answer that manifest.json knows.
#![cfg(feature = "proxmox")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use instances::plan::dns_records::{LeftOut, LinkDown, Network, Policy, Reason, Records, Vlan, Why};
use instances::plan::guest::{By, Guest, Kind, Sighting, State};
use instances::source::proxmox::{
    Config, Interface, Listed, Told, agent_interfaces, config, container_interfaces, guest, ipam, resources, sightings,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

const AT: Duration = Duration::from_secs(100);

fn sample(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/proxmox/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(file: &str) -> Value {
    serde_json::from_slice(&sample(file)).unwrap()
}

/// What the API answers with 200, by request.
fn answers() -> BTreeMap<String, Vec<u8>> {
    let manifest = json("manifest.json");
    let right = manifest.as_array().unwrap().iter().filter(|entry| entry["status"] == 200);
    right
        .map(|entry| (entry["request"].as_str().unwrap().to_owned(), sample(entry["file"].as_str().unwrap())))
        .collect()
}

/// The cluster as the samples have it.
struct Cluster {
    guests: Vec<Guest>,
    sightings: Vec<Sighting>,
}

fn listed(request: &str) -> Vec<Listed> {
    let read = resources(&answers()[request]).unwrap();
    assert_eq!(read.refused, []);
    read.value.guests
}

fn path(listed: &Listed) -> String {
    format!("GET /nodes/{}/{}/{}", listed.node, listed.kind, listed.vmid)
}

fn config_of(listed: &Listed, answers: &BTreeMap<String, Vec<u8>>) -> Option<Config> {
    let path = path(listed);
    let current = answers.get(&format!("{path}/config?current=1"));
    let read = config(listed.kind, listed.vmid, current.or_else(|| answers.get(&format!("{path}/config")))?).unwrap();
    assert_eq!(read.refused, [], "{path}");
    Some(read.value)
}

fn interfaces_of(listed: &Listed, answers: &BTreeMap<String, Vec<u8>>) -> (By, Vec<Interface>) {
    let path = path(listed);
    match listed.kind {
        Kind::Qemu => match answers.get(&format!("{path}/agent/network-get-interfaces")) {
            None => (By::Agent, vec![]),
            Some(body) => match agent_interfaces(body).unwrap() {
                Told::Interfaces(interfaces) => (By::Agent, interfaces),
                Told::Not(why) => panic!("{path}: {why}"),
            },
        },
        Kind::Lxc => match answers.get(&format!("{path}/interfaces")) {
            None => (By::Interfaces, vec![]),
            Some(body) => (By::Interfaces, container_interfaces(body).unwrap()),
        },
    }
}

/// What was known of the guests of pve3 when it was there; its configurations are no samples.
fn last_known(vmid: u32) -> Config {
    let data = match vmid {
        120 => {
            r#"{"data":{"hostname":"far-ct","net0":"name=eth0,hwaddr=BC:24:11:00:00:78,bridge=vmbr0,ip=192.0.2.42/24"}}"#
        }
        _ => r#"{"data":{"name":"far-vm","net0":"virtio=BC:24:11:00:00:79,bridge=vmbr0","tags":"dns"}}"#,
    };
    let kind = if vmid == 120 { Kind::Lxc } else { Kind::Qemu };
    config(kind, vmid, data.as_bytes()).unwrap().value
}

fn cluster(request: &str) -> Cluster {
    let answers = answers();
    let mut cluster =
        Cluster { guests: vec![], sightings: ipam(&answers["GET /cluster/sdn/ipams/pve/status"], AT).unwrap().value };
    for listed in listed(request) {
        let config = config_of(&listed, &answers).unwrap_or_else(|| last_known(listed.vmid));
        let guest = guest(&listed, &config);
        let (by, interfaces) = interfaces_of(&listed, &answers);
        cluster.sightings.extend(sightings(&guest, &interfaces, by, AT));
        cluster.guests.push(guest);
    }
    let far = Sighting {
        mac: "bc:24:11:00:00:79".parse().unwrap(),
        address: address("192.0.2.179"),
        vmid: None,
        by: By::Lease,
        since: AT,
        at: AT,
    };
    cluster.sightings.push(far);
    cluster
}

fn policy() -> Policy {
    let expected = json("expected.json");
    let network = |network: &Value| Network {
        bridge: Some(network["match"]["bridge"].as_str().unwrap().to_owned()),
        vlan: match network["match"]["tag"].as_u64() {
            Some(tag) => Vlan::Tag(tag.try_into().unwrap()),
            None => Vlan::Untagged,
        },
        prefixes: network["prefixes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|prefix| prefix.as_str().unwrap().parse().unwrap())
            .collect(),
        domain: network["domain"].as_str().unwrap().parse().unwrap(),
    };
    Policy { networks: expected["networks"].as_array().unwrap().iter().map(network).collect(), ..Policy::default() }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn addresses(value: &Value) -> BTreeSet<IpAddr> {
    value.as_array().unwrap().iter().map(|text| address(text.as_str().unwrap())).collect()
}

fn of(records: &Records, name: &str) -> BTreeSet<IpAddr> {
    records.records.iter().filter(|record| record.name.as_str() == name).map(|record| record.address).collect()
}

fn is_named(records: &Records, name: &str) -> bool {
    records.names.values().flatten().any(|other| other.as_str() == name)
}

#[test]
fn the_samples_give_the_records_that_are_expected() {
    let Cluster { guests, sightings } = cluster("GET /cluster/resources");
    let records = Records::new(&guests, &sightings, &policy());
    println!("{}", records.table(&policy()));
    let expected = json("expected.json");
    let mut expected_names = BTreeSet::new();
    for (name, entry) in expected["records"].as_object().unwrap() {
        match name.as_str() {
            "ct104" => {
                assert_eq!(of(&records, "ct104.lab.example"), BTreeSet::from([address("192.0.2.24")]));
                expected_names.insert("ct104.lab.example".to_owned());
            }
            "tpl-debian13" => {
                assert!(records.records.iter().all(|record| !record.name.as_str().contains("tpl")));
                let left = LeftOut { vmid: 9000, nic: None, address: None, why: Why::Template };
                assert!(records.left_out.contains(&left) && !records.names.contains_key(&9000));
            }
            "far-ct (120), far-vm (121)" => {
                assert_eq!(of(&records, "far-ct.lab.example"), BTreeSet::from([address("192.0.2.42")]));
                assert_eq!(of(&records, "far-vm.lab.example"), BTreeSet::from([address("192.0.2.179")]));
                expected_names.extend(["far-ct.lab.example".to_owned(), "far-vm.lab.example".to_owned()]);
            }
            _ => {
                expected_names.insert(name.clone());
                let fields = ["runtime", "addresses", "current", "ipam"];
                let wanted = match entry {
                    Value::Array(_) => addresses(entry),
                    Value::Object(object) => {
                        fields.iter().filter_map(|field| object.get(*field)).flat_map(addresses).collect()
                    }
                    _ => panic!("{name}: {entry}"),
                };
                assert_eq!(of(&records, name), wanted, "{name}");
                assert!(is_named(&records, name), "{name}");
                for excluded in entry["exclude"].as_array().into_iter().flatten() {
                    let excluded = excluded.as_str().unwrap().rsplit(' ').next().unwrap();
                    let excluded: ipnet::IpNet = excluded.parse().unwrap_or_else(|_| address(excluded).into());
                    assert!(records.records.iter().all(|record| !excluded.contains(&record.address)), "{excluded}");
                }
                if let Some(reservation) = entry["reservation"].as_str() {
                    assert!(records.dhcp_hostsfile().lines().any(|line| line == reservation), "{reservation}");
                }
                if let Some(loser) = entry["loser"].as_str() {
                    let (name, other) = loser.split_once(" -> ").unwrap();
                    assert_eq!(of(&records, name), BTreeSet::from([address(other)]), "{loser}");
                    expected_names.insert(name.to_owned());
                    let holder =
                        records.records.iter().find(|record| record.name.as_str().starts_with("db01.")).unwrap();
                    assert_eq!(u64::from(holder.reason.vmid().unwrap()), entry["winner"].as_u64().unwrap());
                    let said: Vec<_> = records.warnings.iter().map(ToString::to_string).collect();
                    assert!(
                        said.contains(&"guest 111: the name db01 is guest 110's; it is called db01-111".to_owned()),
                        "{said:?}"
                    );
                }
                if let Some(pending) = entry["pending"].as_str() {
                    for text in pending.split(' ') {
                        assert!(!records.table(&policy()).to_string().contains(text), "{text}");
                    }
                }
            }
        }
    }
    // `dual` has no address in the lab, `oci-app` does not run: they have names for when they do.
    expected_names.extend(["dual.lab.example".to_owned(), "oci-app.lab.example".to_owned()]);
    let names: BTreeSet<_> = records.names.values().flatten().map(ToString::to_string).collect();
    assert_eq!(names, expected_names);
    assert_eq!(records.warnings.len(), 1, "{:?}", records.warnings);
}

#[test]
fn all_dhcp_interfaces_of_the_samples_have_a_reservation() {
    let Cluster { guests, sightings } = cluster("GET /cluster/resources");
    let records = Records::new(&guests, &sightings, &policy());
    let lines = records.dhcp_hostsfile();
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(
        lines,
        [
            "bc:24:11:00:00:65,dhcp-ct",
            "bc:24:11:00:00:66,dual",
            "bc:24:11:00:00:67,oci-app",
            "bc:24:11:00:00:71,docker-host",
            "bc:24:11:00:00:72,multi",
            "bc:24:11:00:00:73,noagent",
            "bc:24:11:00:00:75,vm-117",
            "bc:24:11:00:00:77,custom-ci",
            "bc:24:11:00:00:79,far-vm",
            "bc:24:11:00:11:42,multi",
        ]
    );
}

#[test]
fn a_cable_that_is_out_is_published_or_not_as_the_policy_says() {
    let Cluster { guests, sightings } = cluster("GET /cluster/resources");
    let policy = Policy { link_down: LinkDown::LeftOut, ..policy() };
    let records = Records::new(&guests, &sightings, &policy);
    assert!(!is_named(&records, "ct104.lab.example"));
    assert!(records.left_out.contains(&LeftOut { vmid: 104, nic: None, address: None, why: Why::LinkDown }));
}

#[test]
fn what_is_pending_is_not_in_force() {
    let pending = config(Kind::Qemu, 118, &sample("nodes/pve1/qemu/118/config.json")).unwrap().value;
    let current = config(Kind::Qemu, 118, &sample("nodes/pve1/qemu/118/config_current.json")).unwrap().value;
    assert_eq!((pending.nics[0].tag, current.nics[0].tag), (Some(20), None));
    // The digest is the file's and does not change when it comes into force.
    assert_eq!(pending.digest, current.digest);
}

#[test]
fn a_node_that_was_just_lost_changes_nothing() {
    let lost = cluster("GET /cluster/resources");
    let there = cluster("GET /cluster/resources?type=vm#just-lost");
    assert!(lost.guests.iter().filter(|guest| guest.node == "pve3").all(|guest| guest.state == State::Unknown));
    let before = Records::new(&there.guests, &there.sightings, &policy());
    let after = Records::new(&lost.guests, &lost.sightings, &policy());
    assert_eq!(before, after);
}

#[test]
fn containers_of_pve_8_tell_what_those_of_pve_9_do_of_ipv4() {
    let of = |file: &str| container_interfaces(&sample(&format!("nodes/pve1/lxc/101/{file}"))).unwrap();
    let (nine, eight) = (of("interfaces.json"), of("interfaces_pve8.json"));
    assert_eq!((nine.len(), eight.len()), (2, 2));
    assert_eq!(nine[1].mac, eight[1].mac);
    let v4 = |interface: &Interface| {
        interface.addresses.iter().filter(|address| address.is_ipv4()).copied().collect::<Vec<_>>()
    };
    assert_eq!(v4(&nine[1]), v4(&eight[1]));
    // It has one IPv6 address of each interface, here the link-local one: what ND hears counts then.
    assert_eq!(eight[1].addresses, [address("192.0.2.151"), address("fe80::be24:11ff:fe00:65")]);
    let cluster = cluster("GET /cluster/resources");
    let guest = cluster.guests.iter().find(|guest| guest.vmid == 101).unwrap();
    let heard = Sighting {
        mac: guest.nics[0].mac,
        address: address("2001:db8:0:1:be24:11ff:fe00:65"),
        vmid: None,
        by: By::Neighbor,
        since: Duration::ZERO,
        at: Duration::from_secs(5),
    };
    let seen = [sightings(guest, &eight, By::Interfaces, AT), vec![heard]].concat();
    let records = Records::new(std::slice::from_ref(guest), &seen, &policy());
    assert_eq!(of_sorted(&records), ["192.0.2.151", "2001:db8:0:1:be24:11ff:fe00:65"]);
    assert_eq!(container_interfaces(&sample("nodes/pve2/lxc/103/interfaces.json")).unwrap(), []);
}

fn of_sorted(records: &Records) -> Vec<String> {
    records.records.iter().map(|record| record.address.to_string()).collect()
}

#[test]
fn odd_answers_are_what_the_manifest_says() {
    let Told::Interfaces(windows) =
        agent_interfaces(&sample("nodes/pve2/qemu/112/agent_network_get_interfaces.json")).unwrap()
    else {
        panic!()
    };
    assert_eq!(windows[1].addresses, [address("fe80::1c2d:3e4f:5061:7283"), address("192.0.2.32")]);
    assert_eq!((windows[2].mac, windows[2].addresses.len()), (None, 0));
    let Told::Not(why) = agent_interfaces(&sample("errors/agent_disabled_command.json")).unwrap() else { panic!() };
    assert_eq!(why, "Command guest-network-get-interfaces has been disabled");
    for (guest, why) in [("pve1/qemu/115", "no answer"), ("pve2/qemu/116", "no answer"), ("pve1/qemu/117", "no answer")]
    {
        let told = agent_interfaces(&sample(&format!("nodes/{guest}/agent_network_get_interfaces.json"))).unwrap();
        assert_eq!(told, Told::Not(why.to_owned()), "{guest}");
    }
    assert_eq!(ipam(&sample("sdn_ipams_pve_status_empty.json"), AT).unwrap().value, []);
    let custom = config(Kind::Qemu, 119, &sample("nodes/pve2/qemu/119/config.json")).unwrap().value;
    assert!(custom.has_custom_cloud_init && custom.agent_enabled);
    for (vmid, enabled) in [(110, true), (113, true), (117, false)] {
        let read = config(Kind::Qemu, vmid, &sample(&format!("nodes/pve1/qemu/{vmid}/config.json"))).unwrap().value;
        assert_eq!(read.agent_enabled, enabled, "{vmid}");
    }
    // Errors are no answers.
    for error in ["500_moved.json", "401_bad_token.txt", "403_perm.json", "595_timeout.txt", "400_param.json"] {
        let body = sample(&format!("errors/{error}"));
        assert!(resources(&body).is_err() && config(Kind::Qemu, 130, &body).is_err(), "{error}");
    }
}

#[test]
fn every_record_of_the_samples_says_why() {
    let Cluster { guests, sightings } = cluster("GET /cluster/resources");
    let policy = policy();
    let records = Records::new(&guests, &sightings, &policy);
    for record in &records.records {
        let Reason::Nic { vmid, nic, network, .. } = record.reason else { panic!() };
        let guest = guests.iter().find(|guest| guest.vmid == vmid).unwrap();
        let nic = guest.nics.iter().find(|other| other.index == nic).unwrap();
        assert!(policy.networks[network].has(nic) && policy.networks[network].holds(record.address));
        assert!(record.has_ptr);
    }
    let table = records.table(&policy).to_string();
    assert!(table.contains("guest 114 net2: ipam, in vnetsrv"), "{table}");
    assert!(
        table.contains("left out: guest 113 net0 2001:db8:0:1:1111:2222:3333:4444: a temporary address"),
        "{table}"
    );
    let json = records.json(&policy);
    assert_eq!(json["records"].as_array().unwrap().len(), records.records.len());
    assert_eq!(json["names"]["112"][0], "win-ad.corp");
}
