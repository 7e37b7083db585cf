//! The truth table of docs/pxe-filter.md, line by line.

use super::tests::{mac, node, port, settings};
use super::*;

const DOCUMENT: &str = include_str!("../../../docs/pxe-filter.md");

/// The cells of the table between these marks.
fn rows(name: &str) -> Vec<Vec<&'static str>> {
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let text = DOCUMENT.split(&begin).nth(1).and_then(|rest| rest.split(&end).next()).expect("the document has it");
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn yes(cell: &str) -> bool {
    match cell {
        "yes" => true,
        "no" => false,
        other => panic!("{other} is neither yes nor no"),
    }
}

fn semantics(cell: &str) -> Semantics {
    match cell {
        "inspector" => Semantics::Inspector,
        "ironic" => Semantics::Ironic,
        other => panic!("whose semantics are {other}?"),
    }
}

/// A node with this interface, if it is under inspection.
fn inspected(cell: &str) -> HashMap<Uuid, Node> {
    let inspect_interface = match cell {
        "no" => return HashMap::new(),
        "by agent" => Some("agent".to_owned()),
        "by redfish" => Some("redfish".to_owned()),
        "by whom is not said" => None,
        other => panic!("inspected {other}?"),
    };
    HashMap::from([(Uuid::from_u128(1), Node { inspect_interface, ..node(1) })])
}

#[test]
fn a_port_is_answered_as_the_table_says() {
    let rows = rows("ports");
    assert_eq!(rows.len(), 18);
    for row in rows {
        let [whose, under_inspection, pxe_enabled, deny_disabled, answer] = row[..] else { panic!("{row:?}") };
        let settings = Settings { semantics: semantics(whose), deny_pxe_disabled: yes(deny_disabled), ..settings() };
        let ports = [Port { pxe_enabled: yes(pxe_enabled), ..port(1, 1) }];
        let table = Table::new(&ports, &inspected(under_inspection), &settings, &InfiniBand::default());
        assert_eq!(table.macs[&mac(1)].to_string(), answer, "{row:?}");
    }
}

#[test]
fn whoever_nobody_knows_is_answered_as_the_table_says() {
    let rows = rows("unknown");
    assert_eq!(rows.len(), 16);
    for row in rows {
        let [whose, under_inspection, discovers, deny_unknown, answer] = row[..] else { panic!("{row:?}") };
        let settings = Settings {
            semantics: semantics(whose),
            discovers: yes(discovers),
            deny_unknown_macs: yes(deny_unknown),
            ..settings()
        };
        let table = Table::new(&[], &inspected(under_inspection), &settings, &InfiniBand::default());
        assert_eq!(table.unknown.to_string(), answer, "{row:?}");
    }
}
