//! Nodes under inspection.

use crate::simulator::{Asking, Fault, Simulator};
use instances::source::ironic::Kind;
use std::time::{Duration, SystemTime};

#[test]
fn both_states_of_inspection_count_and_no_other() {
    let ironic = Simulator::start();
    let mut expected = Vec::new();
    for state in ["enroll", "manageable", "inspecting", "inspect wait", "inspect failed", "available"] {
        let node = ironic.state().add_node();
        ironic.state().set_state(node, state);
        if matches!(state, "inspecting" | "inspect wait") {
            expected.push(node);
        }
    }
    expected.sort_unstable();
    let mut asking = Asking::at(&ironic.url());
    assert_eq!(asking.inspected(), expected);
    let paths = ironic.paths();
    let fields = "limit=1000&fields=uuid,name,provision_state,provision_updated_at,inspect_interface";
    assert_eq!(paths[1], format!("GET /v1/nodes?provision_state=inspecting&{fields}"));
    assert_eq!(paths[2], format!("GET /v1/nodes?provision_state=inspect%20wait&{fields}"));
    assert_eq!(paths.len(), 3);
}

#[test]
fn what_a_node_says_arrives() {
    let ironic = Simulator::start();
    let node = ironic.state().add_inspected();
    ironic.state().node(node).name = Some("rack1\n-03".to_owned());
    ironic.state().node(node).inspect_interface = "redfish".to_owned();
    let nodes = Asking::at(&ironic.url()).nodes().unwrap();
    let [got] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert_eq!((got.uuid, got.name.as_deref()), (node, Some("rack1\\n-03")));
    assert_eq!(got.inspect_interface.as_deref(), Some("redfish"));
    assert_eq!(got.since, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_160_986)));
    ironic.state().node(node).name = None;
    ironic.state().node(node).updated_at = "yesterday".to_owned();
    let got = Asking::at(&ironic.url()).nodes().unwrap().remove(0);
    assert_eq!((got.name, got.since), (None, None));
}

#[test]
fn more_nodes_than_a_page_holds_come_all() {
    let ironic = Simulator::start();
    ironic.state().max_limit = 10;
    let mut expected: Vec<_> = (0..35).map(|_| ironic.state().add_inspected()).collect();
    expected.sort_unstable();
    assert_eq!(Asking::at(&ironic.url()).inspected(), expected);
}

#[test]
fn a_node_that_goes_back_to_inspecting_between_two_questions_is_not_lost() {
    // Having reported, it goes from `inspect wait` to `inspecting`: behind the back of whoever has just asked for the latter.
    let ironic = Simulator::start();
    let node = ironic.state().add_inspected();
    let mut asking = Asking::at(&ironic.url());
    assert_eq!(asking.inspected(), [node]);
    ironic.paths();
    let wait = "/v1/nodes?provision_state=inspect%20wait";
    // As the second question finds it: nowhere.
    ironic.state().set_state(node, "inspecting");
    ironic.fault_once("/v1/nodes", Fault::Answer(200, "application/json", br#"{"nodes": []}"#.to_vec()));
    assert_eq!(asking.inspected(), [node]);
    let paths = ironic.paths();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert!(paths[1].contains(wait) && paths[2].contains("=inspecting"), "{paths:?}");
    // Who is gone is asked for once more and then no more.
    ironic.state().set_state(node, "manageable");
    assert!(asking.inspected().is_empty());
    assert!(asking.inspected().is_empty());
    assert_eq!(ironic.paths().len(), 3 + 2);
}

#[test]
fn a_node_that_is_deleted_between_two_pages_is_no_failure_unless_it_never_ends() {
    let ironic = Simulator::start();
    ironic.state().max_limit = 2;
    let mut expected: Vec<_> = (0..5).map(|_| ironic.state().add_inspected()).collect();
    expected.sort_unstable();
    let gone = br#"{"error_message": "{\"faultcode\": \"Client\", \"faultstring\": \"Node x could not be found.\"}"}"#;
    let mut asking = Asking::at(&ironic.url());
    asking.nodes().unwrap();
    let node = format!(r#"{{"uuid": "{}", "provision_state": "inspecting"}}"#, uuid::Uuid::from_u128(1));
    let page = format!(r#"{{"nodes": [{node}], "next": "http://x/v1/nodes?marker=y"}}"#);
    for _ in 0..4 {
        ironic.fault_once("/v1/nodes", Fault::Answer(200, "application/json", page.clone().into_bytes()));
        ironic.fault_once("/v1/nodes", Fault::Answer(404, "application/json", gone.to_vec()));
    }
    let failure = asking.nodes().unwrap_err();
    assert_eq!(failure.kind, Kind::MarkerGone);
    assert_eq!(asking.inspected(), expected);
}

#[test]
fn a_node_that_makes_no_sense_is_no_failure() {
    let ironic = Simulator::start();
    let odd = br#"{"nodes": [null, 5, {}, {"uuid": 7}, {"uuid": "x"}, {"uuid": "00000000-0000-0000-0000-000000000001", "name": [], "provision_state": "inspecting", "inspect_interface": 3, "provision_updated_at": {}}]}"#;
    ironic.fault("/v1/nodes", Fault::Answer(200, "application/json", odd.to_vec()));
    let nodes = Asking::at(&ironic.url()).nodes().unwrap();
    let [node] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert_eq!((&node.name, &node.inspect_interface, node.since), (&None, &None, None));
}

#[test]
fn a_node_in_a_state_that_was_not_asked_for_is_a_failure() {
    // As of a cache that takes all paths for the same, whatever is asked: everybody would boot.
    let ironic = Simulator::start();
    ironic.state().add_node();
    ironic.state().add_inspected();
    ironic.fault("/v1/nodes", Fault::IgnoreFilters);
    let failure = Asking::at(&ironic.url()).nodes().unwrap_err();
    assert_eq!(failure.kind, Kind::Nonsense);
    assert!(failure.text.contains("provision_state= was ignored"), "{failure}");
    let silent = br#"{"nodes": [{"uuid": "00000000-0000-0000-0000-000000000001"}]}"#;
    ironic.heal();
    ironic.fault("/v1/nodes", Fault::Answer(200, "application/json", silent.to_vec()));
    assert_eq!(Asking::at(&ironic.url()).nodes().unwrap_err().kind, Kind::Nonsense);
}
