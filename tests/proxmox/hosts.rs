//! Several hosts of a cluster: one that answers is found, and kept.

use super::simulator::{Asking, Cluster, Fault, Simulator, access};
use super::{is, lxc};
use instances::source::proxmox::{Access, Cluster as _, Kind};
use std::time::Duration;

fn two() -> Simulator {
    Simulator::with(Cluster::samples(), 2)
}

fn counts(simulator: &Simulator) -> [u64; 2] {
    [simulator.hosts[0].connections(), simulator.hosts[1].connections()]
}

#[test]
fn the_first_host_is_asked_as_long_as_it_answers() {
    let simulator = two();
    let asking = Asking::of(&simulator);
    for _ in 0..3 {
        asking.resources().unwrap();
    }
    assert_eq!(counts(&simulator), [1, 0]);
    assert!(asking.client.notices().is_empty());
}

#[test]
fn a_host_that_is_down_is_replaced_by_the_next_which_stays() {
    let mut simulator = two();
    let asking = Asking::of(&simulator);
    simulator.hosts[0].down();
    asking.resources().unwrap();
    let (first, second) = (simulator.hosts[0].url(), simulator.hosts[1].url());
    let notices = asking.client.notices();
    assert!(notices.len() == 1 && notices[0].starts_with(&format!("{second} is asked from now on: GET {first}/")));
    assert_eq!(asking.client.host(), second);
    simulator.hosts[0].up();
    let before = counts(&simulator);
    asking.config(&lxc("pve1", 100)).unwrap();
    assert_eq!(counts(&simulator)[0], before[0], "no way back without need");
    simulator.hosts[1].down();
    asking.config(&lxc("pve1", 100)).unwrap();
    assert_eq!(asking.client.host(), first);
}

#[test]
fn a_host_in_trouble_itself_is_replaced() {
    for fault in [
        Fault::No(595, "Connection refused"),
        Fault::No(596, "Broken pipe"),
        Fault::No(599, "Too many redirections"),
        Fault::Html(502),
        Fault::Close,
        Fault::CutOff,
        Fault::NoHttp,
    ] {
        let simulator = two();
        let asking = Asking::of(&simulator);
        simulator.fault_at(0, "/", fault.clone());
        assert!(asking.resources().is_ok(), "{fault:?}");
        assert_eq!(asking.client.host(), simulator.hosts[1].url(), "{fault:?}");
    }
}

#[test]
fn a_host_that_stalls_is_replaced() {
    let simulator = two();
    let asking = Asking::new(&Access { timeout: Duration::from_millis(1500), ..access(&simulator) });
    simulator.fault_at(0, "/", Fault::Stall);
    asking.resources().unwrap();
    assert_eq!(asking.client.host(), simulator.hosts[1].url());
}

#[test]
fn a_node_behind_the_host_that_is_dead_is_no_reason_to_ask_another_host() {
    let simulator = two();
    let asking = Asking::of(&simulator);
    is(&asking.config(&lxc("pve3", 120)).unwrap_err(), Kind::NodeDown, "595 No route to host");
    assert_eq!(simulator.paths().len(), 1);
    assert_eq!(counts(&simulator), [1, 0]);
    let hasty = Asking::new(&Access { timeout: Duration::from_millis(1500), ..access(&simulator) });
    simulator.fault("/nodes/pve1", Fault::Stall);
    is(&hasty.config(&lxc("pve1", 100)).unwrap_err(), Kind::Timeout, "no complete answer within 1500 ms");
    assert_eq!(simulator.paths().len(), 1);
}

#[test]
fn a_refusal_is_the_same_everywhere() {
    let simulator = two();
    let asking = Asking::of(&simulator);
    simulator.fault("/", Fault::No(403, "Permission check failed (/, Sys.Audit)"));
    is(&asking.resources().unwrap_err(), Kind::Forbidden, "403");
    assert_eq!(simulator.paths().len(), 1);
}

#[test]
fn when_no_host_answers_each_is_named() {
    let mut simulator = two();
    let asking = Asking::of(&simulator);
    let urls: Vec<_> = simulator.hosts.iter().map(super::simulator::Host::url).collect();
    simulator.hosts.iter_mut().for_each(super::simulator::Host::down);
    let failure = asking.resources().unwrap_err();
    is(&failure, Kind::Unreachable, "cannot connect: Connection refused");
    assert!(urls.iter().all(|url| failure.text.contains(url)), "{failure}");
    simulator.hosts[1].up();
    asking.resources().unwrap();
}

#[test]
fn a_host_nobody_knows_and_one_that_is_somebody_else_are_passed_over() {
    let simulator = two();
    let stranger = Simulator::start();
    let mut hosts = vec![
        instances::source::proxmox::host("pve.invalid").unwrap(),
        instances::source::proxmox::host(&stranger.url()).unwrap(),
    ];
    hosts.extend(access(&simulator).hosts);
    let asking = Asking::new(&Access { hosts, ..access(&simulator) });
    asking.resources().unwrap();
    assert_eq!(asking.client.host(), simulator.hosts[0].url());
    assert!(stranger.seen().is_empty(), "the token is not for strangers");
}
