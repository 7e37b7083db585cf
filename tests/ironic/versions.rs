//! Which version of the API is spoken.

use crate::simulator::{Asking, Fault, Simulator};
use instances::source::ironic::{Baremetal as _, Kind};

fn spoken(ironic: &Simulator) -> Vec<String> {
    let version = |seen: &crate::simulator::Seen| seen.header("x-openstack-ironic-api-version").map(str::to_owned);
    ironic.seen().iter().filter_map(version).collect()
}

#[test]
fn the_newest_version_that_both_know_is_spoken() {
    for (newest, version) in [(115, "1.81"), (81, "1.81"), (46, "1.46"), (9, "1.9")] {
        let ironic = Simulator::start();
        ironic.state().versions = (1, newest);
        ironic.state().populate(1, 2);
        let mut asking = Asking::at(&ironic.url());
        assert_eq!(asking.ports().unwrap().ports.len(), 2);
        assert_eq!(spoken(&ironic), [version, version]);
        assert_eq!(asking.client.version().unwrap().to_string(), version);
    }
}

#[test]
fn an_old_ironic_is_enough_for_most_and_it_is_said_what_is_not() {
    let ironic = Simulator::start();
    ironic.state().versions = (1, 9);
    let node = ironic.state().add_inspected();
    ironic.state().add_port(node, "52:54:00:00:00:01");
    let mut asking = Asking::at(&ironic.url());
    // Without pxe_enabled every port is for PXE, without inspect_interface nobody knows who inspects.
    assert!(asking.ports().unwrap().ports[0].pxe_enabled);
    let nodes = asking.nodes().unwrap();
    assert_eq!((nodes.len(), nodes[0].inspect_interface.as_deref()), (1, None));
    let notices = asking.client.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("version 1.9") && notices[0].contains("pxe_enabled (1.19)"), "{notices:?}");
    assert!(asking.client.notices().is_empty());
}

#[test]
fn an_ironic_that_does_not_know_the_state_inspect_wait_has_no_nodes_in_it() {
    let ironic = Simulator::start();
    ironic.state().versions = (1, 38);
    ironic.state().knows_inspect_wait = false;
    let node = ironic.state().add_node();
    ironic.state().set_state(node, "inspecting");
    assert_eq!(Asking::at(&ironic.url()).inspected(), [node]);
    // A newer one that refuses it means something else.
    ironic.state().versions = (1, 39);
    let failure = Asking::at(&ironic.url()).nodes().unwrap_err();
    assert_eq!(failure.kind, Kind::Nonsense);
    assert!(failure.text.contains("Provision state \"inspect wait\" is not valid"), "{failure}");
}

#[test]
fn an_ironic_that_is_too_old_or_too_new_is_told_so() {
    for versions in [(1, 8), (82, 200)] {
        let ironic = Simulator::start();
        ironic.state().versions = versions;
        let failure = Asking::at(&ironic.url()).ports().unwrap_err();
        assert_eq!(failure.kind, Kind::Version);
        let (oldest, newest) = versions;
        let text = format!("Ironic knows versions 1.{oldest} to 1.{newest} of the API, and we 1.9 to 1.81; upgrade");
        assert!(failure.text.contains(&text), "{failure}");
    }
}

#[test]
fn versions_are_negotiated_anew_when_ironic_goes_back_to_an_older_release() {
    let ironic = Simulator::start();
    ironic.state().populate(1, 2);
    let mut asking = Asking::at(&ironic.url());
    asking.ports().unwrap();
    ironic.seen();
    ironic.state().versions = (1, 50);
    assert_eq!(asking.ports().unwrap().ports.len(), 2);
    assert_eq!(spoken(&ironic), ["1.81", "1.50", "1.50"]);
}

#[test]
fn versions_are_negotiated_anew_when_ironic_was_upgraded() {
    let ironic = Simulator::start();
    ironic.state().versions = (1, 15);
    let mut asking = Asking::at(&ironic.url());
    asking.ports().unwrap();
    ironic.seen();
    ironic.state().versions = (1, 90);
    asking.ports().unwrap();
    asking.ports().unwrap();
    assert_eq!(spoken(&ironic), ["1.15", "1.81"]);
}

#[test]
fn a_proxy_that_takes_the_version_away_is_suspected() {
    let ironic = Simulator::start();
    ironic.fault("/v1/ports", Fault::NoVersion);
    let failure = Asking::at(&ironic.url()).ports().unwrap_err();
    assert_eq!(failure.kind, Kind::Version);
    assert!(failure.text.contains("406 Not Acceptable: Request not acceptable."), "{failure}");
    assert!(failure.text.contains("takes away the header X-OpenStack-Ironic-API-Version"), "{failure}");
    // Not for ever: one negotiation for one question.
    assert_eq!(ironic.paths().len(), 4);
}

#[test]
fn versions_in_the_document_are_enough() {
    let ironic = Simulator::start();
    ironic.state().populate(1, 1);
    let document = br#"{"id": "v1", "version": {"id": "v1", "min_version": "1.1", "version": "1.34"}}"#;
    ironic.fault_once("/v1", Fault::Answer(200, "application/json", document.to_vec()));
    let mut asking = Asking::at(&ironic.url());
    asking.page(None).unwrap();
    assert_eq!(spoken(&ironic), ["1.34"]);
}
