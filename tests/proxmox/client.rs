//! What is asked, and what is made of the answers.

use super::simulator::{Asking, SECRET, Simulator, TOKEN, access};
use super::{is, lxc, place, qemu};
use instances::plan::guest::{Configured, Kind as GuestKind};
use instances::source::proxmox::{Access, Client, Cluster as _, Kind, Token, Told};
use std::time::Duration;

#[test]
fn the_list_has_guests_and_nodes_in_one_request() {
    let simulator = Simulator::start();
    let read = Asking::of(&simulator).resources().unwrap();
    assert_eq!((read.value.guests.len(), read.refused), (simulator.cluster().guests.len(), vec![]));
    let online: Vec<_> = read.value.nodes.iter().map(|node| (node.name.as_str(), node.is_online)).collect();
    assert_eq!(online, [("pve1", true), ("pve2", true), ("pve3", false)]);
    assert_eq!(simulator.paths(), ["/cluster/resources"]);
}

#[test]
fn configurations_are_read_as_they_run_not_as_they_will_be() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    let config = asking.config(&lxc("pve1", 100)).unwrap().value;
    assert_eq!(config.name.as_deref(), Some("web"));
    let running = asking.config(&qemu("pve1", 118)).unwrap().value;
    assert_eq!(simulator.paths(), ["/nodes/pve1/lxc/100/config", "/nodes/pve1/qemu/118/config?current=1"]);
    let guest = simulator.cluster().guest(118).clone();
    assert_ne!(Some(&guest.config), guest.pending.as_ref(), "the sample has something pending");
    simulator.cluster().guest(118).pending = None;
    assert_eq!(asking.config(&qemu("pve1", 118)).unwrap().value, running);
}

#[test]
fn every_guest_of_the_samples_can_be_read() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    for guest in asking.resources().unwrap().value.guests {
        let read = asking.config(&place(&guest.node, guest.kind, guest.vmid));
        if guest.node == "pve3" {
            is(&read.unwrap_err(), Kind::NodeDown, "595 No route to host");
        } else {
            assert!(!read.unwrap().value.nics.is_empty(), "{}", guest.vmid);
        }
    }
}

#[test]
fn nodes_tell_the_addresses_of_containers_and_agents_those_of_machines() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    for place in [lxc("pve1", 101), qemu("pve1", 110)] {
        match asking.interfaces(&place).unwrap() {
            Told::Interfaces(all) => assert!(all.iter().any(|one| !one.addresses.is_empty()), "{place:?}"),
            told @ Told::Not(_) => panic!("{told:?}"),
        }
    }
    assert_eq!(asking.interfaces(&lxc("pve2", 103)).unwrap(), Told::Interfaces(vec![]), "it does not run");
    let asked = ["/nodes/pve1/lxc/101/interfaces", "/nodes/pve1/qemu/110/agent/network-get-interfaces"];
    assert_eq!(simulator.paths()[..2], asked);
}

#[test]
fn the_sdn_tells_what_it_gave_out() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    let now = Duration::from_secs(7);
    let read = asking.wait(asking.client.ipam(now)).unwrap();
    assert_eq!(read.value.len(), 2);
    assert!(read.value.iter().all(|sighting| sighting.vmid == Some(114) && sighting.at == now));
}

#[test]
fn the_token_is_in_the_header_and_nowhere_else() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    asking.resources().unwrap();
    asking.config(&qemu("pve1", 110)).unwrap();
    for seen in simulator.seen() {
        assert_eq!(seen.header("authorization"), Some(&*format!("PVEAPIToken={TOKEN}={SECRET}")));
        assert!(!seen.path.contains(SECRET) && seen.body.is_empty());
        let others = seen.headers.iter().filter(|(name, _)| name != "authorization");
        assert!(others.into_iter().all(|(_, value)| !value.contains(SECRET)));
    }
    let shown = format!("{:?} {:#?}", access(&simulator), access(&simulator).token);
    assert!(!shown.contains(SECRET) && shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_token_that_no_header_can_hold_is_refused_without_showing_it() {
    let simulator = Simulator::start();
    let token = Token { id: TOKEN.to_owned(), secret: format!("{SECRET}\n") };
    let error = Client::new(&Access { token, ..access(&simulator) }).err().unwrap().to_string();
    assert!(error.contains("characters that no token has") && !error.contains(SECRET), "{error}");
    let error = Client::new(&Access { hosts: vec![], ..access(&simulator) }).err().unwrap().to_string();
    assert!(error.contains("PROXMOX_HOST"), "{error}");
}

#[test]
fn a_connection_is_kept_and_made_anew_when_it_was_closed_meanwhile() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    for _ in 0..10 {
        asking.resources().unwrap();
    }
    assert_eq!(simulator.hosts[0].connections(), 1);
    simulator.hosts[0].break_connections();
    asking.resources().unwrap();
    assert_eq!(simulator.hosts[0].connections(), 2);
}

#[test]
fn changes_of_the_cluster_are_seen() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    simulator.cluster().rename(100, "other");
    simulator.cluster().configure(100, "net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=192.0.2.9/24");
    let config = asking.config(&lxc("pve1", 100)).unwrap().value;
    assert_eq!(config.name.as_deref(), Some("other"));
    assert_eq!(config.nics[0].v4, Configured::Static("192.0.2.9".parse().unwrap()));
    simulator.cluster().migrate(100, "pve2");
    is(&asking.config(&lxc("pve1", 100)).unwrap_err(), Kind::Moved, "'nodes/pve1/lxc/100.conf' does not exist");
    asking.config(&lxc("pve2", 100)).unwrap();
    simulator.cluster().node("pve2", false);
    let read = asking.resources().unwrap().value;
    let row = read.guests.into_iter().find(|guest| guest.vmid == 100).unwrap();
    assert_eq!((row.node.as_str(), row.kind, row.name), ("pve2", GuestKind::Lxc, None));
}

#[test]
fn what_is_no_nodes_name_does_not_become_part_of_a_path() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    for node in ["", "..", "pve1/../..", "pve1?x", "pve1#", "p ve", "pvé", &"x".repeat(64)] {
        is(&asking.config(&lxc(node, 100)).unwrap_err(), Kind::Nonsense, "which is no name");
        is(&asking.interfaces(&qemu(node, 100)).unwrap_err(), Kind::Nonsense, "which is no name");
    }
    assert!(simulator.seen().is_empty());
}
