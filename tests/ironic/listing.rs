//! Ports, page by page.

use crate::simulator::{Asking, Fault, Simulator, access};
use instances::plan::pxe_access::Guid;
use instances::source::ironic::{Failure, Kind};
use uuid::Uuid;

fn failure_of(asking: &mut Asking) -> Failure {
    asking.ports().expect_err("a failure")
}

#[test]
fn every_port_comes_once_whatever_the_size_of_pages() {
    let ironic = Simulator::start();
    let nodes = ironic.state().populate(5, 5);
    for limit in [1, 2, 7, 24, 25, 26, 1000] {
        ironic.state().max_limit = limit;
        let (listed, pages) = Asking::at(&ironic.url()).listing().unwrap();
        assert_eq!(pages, 25_usize.div_ceil(limit) + 1, "pages of {limit}, and an empty one");
        let addresses: Vec<_> = listed.ports.iter().map(|port| port.address.to_string()).collect();
        let expected: Vec<_> = (0..25).map(|number| format!("52:54:00:00:00:{number:02x}")).collect();
        assert_eq!(addresses, expected);
        assert!(listed.refused.is_empty());
        assert_eq!(listed.ports.iter().map(|port| port.node).step_by(5).collect::<Vec<_>>(), nodes);
    }
}

#[test]
fn an_ironic_without_ports_has_none() {
    let ironic = Simulator::start();
    let (listed, pages) = Asking::at(&ironic.url()).listing().unwrap();
    assert_eq!((listed.ports.len(), pages), (0, 1));
}

#[test]
fn what_a_port_says_arrives() {
    let ironic = Simulator::start();
    let node = ironic.state().add_node();
    let port = ironic.state().add_port(node, "52:54:00:aa:bb:cc");
    ironic.state().port(port).pxe_enabled = false;
    ironic.state().port(port).extra =
        Some(r#"{"client-id": "ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:24:4f", "x": {"y": [1]}}"#.into());
    let listed = Asking::at(&ironic.url()).ports().unwrap();
    let [got] = listed.ports.as_slice() else { panic!("{listed:?}") };
    assert_eq!((got.uuid, got.node, got.pxe_enabled), (port, node, false));
    assert_eq!(got.address.to_string(), "52:54:00:aa:bb:cc");
    assert_eq!(got.guid, Some(Guid([0x7c, 0xfe, 0x90, 0x03, 0x00, 0x29, 0x24, 0x4f])));
}

#[test]
fn where_next_leads_does_not_matter() {
    let ironic = Simulator::start();
    ironic.state().populate(5, 2);
    ironic.state().max_limit = 3;
    let elsewhere = Simulator::start();
    let first = format!("{}/v1/ports?limit=3", ironic.url());
    for next in [format!("{}/v1/ports?marker=x", elsewhere.url()), first, "http://[".to_owned(), String::new()] {
        ironic.heal();
        ironic.fault("/v1/ports", Fault::Next(next.clone()));
        assert_eq!(Asking::at(&ironic.url()).ports().unwrap().ports.len(), 10, "{next:?}");
    }
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn a_listing_goes_on_where_ironic_says_that_it_ends_too_early() {
    // Its node was deleted while the page was made: Ironic leaves the port out and takes the page for the last one.
    let ironic = Simulator::start();
    let nodes = ironic.state().populate(5, 2);
    ironic.state().max_limit = 4;
    let gone = {
        let state = ironic.state();
        let id = state.ports_of(nodes[0])[0];
        state.ports[&id].uuid
    };
    ironic.state().skipped.insert(gone);
    assert_eq!(Asking::at(&ironic.url()).ports().unwrap().ports.len(), 9);
    ironic.fault("/v1/ports", Fault::NoNext);
    assert_eq!(Asking::at(&ironic.url()).ports().unwrap().ports.len(), 9);
}

#[test]
fn a_marker_that_was_deleted_is_told_from_everything_else_that_is_not_found() {
    let ironic = Simulator::start();
    ironic.state().populate(5, 2);
    ironic.state().max_limit = 4;
    let mut asking = Asking::at(&ironic.url());
    let marker = asking.page(None).unwrap().next.unwrap();
    ironic.state().remove_port(marker);
    let failure = asking.page(Some(marker)).unwrap_err();
    assert_eq!(failure.kind, Kind::MarkerGone);
    assert!(failure.text.contains("deleted meanwhile"), "{failure}");
    // And then from the start.
    assert_eq!(asking.ports().unwrap().ports.len(), 9);

    ironic.fault("/v1/ports", Fault::Html(404));
    let failure = asking.page(Some(Uuid::nil())).unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound, "{failure}");
    ironic.heal();
    ironic.fault("/v1/ports", Fault::Status(404));
    assert_eq!(failure_of(&mut asking).kind, Kind::NotFound);
}

#[test]
fn a_listing_in_circles_is_noticed_and_ends() {
    let ironic = Simulator::start();
    ironic.state().populate(5, 2);
    ironic.state().max_limit = 4;
    ironic.fault("/v1/ports", Fault::IgnoreMarker);
    let mut asking = Asking::at(&ironic.url());
    let failure = failure_of(&mut asking);
    assert_eq!(failure.kind, Kind::Nonsense);
    assert!(failure.text.contains("goes in circles") && failure.text.contains("cache or proxy"), "{failure}");
    // The page after the next one is the first one again.
    ironic.heal();
    let first = asking.page(None).unwrap().next;
    let second = asking.page(first).unwrap().next;
    ironic.fault("/v1/ports", Fault::IgnoreMarker);
    assert_eq!(asking.page(second).unwrap_err().kind, Kind::Nonsense);
    ironic.heal();
    assert_eq!(asking.ports().unwrap().ports.len(), 10);
}

#[test]
fn one_odd_port_is_named_and_the_others_count() {
    let ironic = Simulator::start();
    let node = ironic.state().add_node();
    ironic.state().add_port(node, "52:54:00:00:00:01");
    let upper = ironic.state().add_port(node, "52:54:00:00:00:AB");
    let why = |address: &str| {
        let uuid = ironic.state().add_port(node, address);
        format!("port {uuid}: its address is no MAC address: {address}")
    };
    let mut expected: Vec<String> =
        ["", "52-54-00-00-00-02", "52:54:00:00:00", "00:00:00:02:00:02:c9:00:7c:fe:90:03:00:29:24:4f", "*:*:*:*:*:*"]
            .into_iter()
            .map(why)
            .collect();
    let hostile = ironic.state().add_port(node, "52:54:00:00:00:03\n\u{1b}[2J");
    expected.push(format!(r"port {hostile}: its address is no MAC address: 52:54:00:00:00:03\n\u{{1b}}[2J"));
    let raw = |raw: &str| ironic.state().add_raw_port(raw);
    let address = r#""address": "52:54:00:00:00:04""#;
    for (json, why) in [
        (r#"{"uuid": "UUID"}"#.to_owned(), "it has no address"),
        (format!(r#"{{"uuid": "UUID", {address}}}"#), "it has no node_uuid"),
        (format!(r#"{{"uuid": "UUID", {address}, "node_uuid": null}}"#), "it has no node_uuid"),
        (format!(r#"{{"uuid": "UUID", {address}, "node_uuid": "x"}}"#), "its node_uuid is no UUID: x"),
        (r#"{"uuid": "UUID", "address": 5}"#.to_owned(), "not a port: invalid type: integer `5`, expected a string"),
        (r#"{"uuid": "UUID", "address": "\ud800"}"#.to_owned(), "not a port: "),
    ] {
        expected.push(format!("port {}: {why}", raw(&json)));
    }
    raw(r#"{"note": "UUID"}"#);
    raw("[1, {}]");
    raw("null");
    let last = ironic.state().add_port(node, "52:54:00:00:00:05");
    let listed = Asking::at(&ironic.url()).ports().unwrap();
    let addresses: Vec<_> = listed.ports.iter().map(|port| port.address.to_string()).collect();
    assert_eq!(addresses, ["52:54:00:00:00:01", "52:54:00:00:00:ab", "52:54:00:00:00:05"]);
    assert_eq!((listed.ports[1].uuid, listed.ports[2].uuid), (upper, last));
    assert_eq!(listed.refused.len(), expected.len() + 3, "{:#?}", listed.refused);
    for (refused, expected) in listed.refused.iter().zip(&expected) {
        assert!(refused.starts_with(expected), "{refused} is not {expected}");
    }
    assert!(listed.refused[expected.len() + 2].starts_with("port null: not a port"), "{:#?}", listed.refused);
}

#[test]
fn a_page_whose_last_port_nobody_can_name_is_refused_since_nobody_knows_what_follows() {
    let ironic = Simulator::start();
    ironic.state().populate(1, 2);
    ironic.state().add_raw_port(r#"{"address": "52:54:00:00:00:04"}"#);
    let failure = failure_of(&mut Asking::at(&ironic.url()));
    assert_eq!(failure.kind, Kind::Nonsense);
    assert!(failure.text.contains("the last entry has no UUID"), "{failure}");
}

#[test]
fn extra_may_hold_anything() {
    let ironic = Simulator::start();
    let node = ironic.state().add_node();
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for extra in [
        "null",
        "[]",
        "\"x\"",
        r#"{"client-id": null}"#,
        r#"{"client-id": ["ff:00"]}"#,
        r#"{"client-id": "ff:00:00"}"#,
        r#"{"client-id": "ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:24:zz"}"#,
        r#"{"client-id": "+f:00:00:00:00:00:02:00"}"#,
        deep.as_str(),
    ] {
        let port = ironic.state().add_port(node, "52:54:00:00:00:01");
        ironic.state().port(port).extra = Some(extra.into());
    }
    let listed = Asking::at(&ironic.url()).ports().unwrap();
    assert_eq!((listed.ports.len(), listed.refused.len()), (9, 0), "{:?}", listed.refused);
    assert!(listed.ports.iter().all(|port| port.guid.is_none()));
}

#[test]
fn a_nodes_ports_come_all_and_a_node_that_is_gone_has_none() {
    let ironic = Simulator::start();
    let nodes = ironic.state().populate(3, 10);
    ironic.state().max_limit = 4;
    let mut asking = Asking::at(&ironic.url());
    let ports = asking.ports_of(nodes[1]).unwrap().ports;
    assert_eq!(ports.len(), 10);
    assert!(ports.iter().all(|port| port.node == nodes[1]));
    let bare = ironic.state().add_node();
    assert!(asking.ports_of(bare).unwrap().ports.is_empty());
    ironic.state().remove_node(nodes[1]);
    assert!(asking.ports_of(nodes[1]).unwrap().ports.is_empty());
    // Who is asked for one node and tells of all has not understood.
    ironic.fault_once("/v1/ports", Fault::IgnoreFilters);
    let failure = asking.ports_of(nodes[2]).unwrap_err();
    assert!(failure.text.contains("ignores node_uuid="), "{failure}");
    // But what a proxy does not find may well be there.
    ironic.fault("/v1/ports", Fault::Html(404));
    assert_eq!(asking.ports_of(nodes[2]).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn a_page_is_no_larger_than_was_configured_and_asks_for_five_fields() {
    let ironic = Simulator::start();
    ironic.state().populate(2, 2);
    let mut asking = Asking::new(&instances::source::ironic::Access { page_size: 3, ..access(&ironic.url()) });
    asking.ports().unwrap();
    let paths = ironic.paths();
    assert_eq!(paths[0], "GET /v1");
    assert_eq!(paths[1], "GET /v1/ports?limit=3&fields=uuid,address,node_uuid,extra,pxe_enabled");
    assert!(paths[2].starts_with(&format!("{}&marker=", paths[1])), "{paths:#?}");
    assert_eq!(paths.len(), 4);
}

#[test]
fn answers_are_packed_and_connections_kept() {
    let ironic = Simulator::start();
    ironic.state().populate(200, 5);
    let plain = {
        Asking::at(&ironic.url()).ports().unwrap();
        ironic.bytes()
    };
    ironic.state().gzip = true;
    let before = ironic.connections();
    let mut asking = Asking::at(&ironic.url());
    assert_eq!(asking.ports().unwrap().ports.len(), 1000);
    asking.nodes().unwrap();
    assert_eq!(ironic.connections(), before + 1);
    assert!((ironic.bytes() - plain) * 3 < plain, "{} is not much less than {plain}", ironic.bytes() - plain);
    // A server may break an idle connection whenever it likes.
    ironic.break_connections();
    assert_eq!(asking.ports().unwrap().ports.len(), 1000);
}
