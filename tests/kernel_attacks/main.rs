//! Every attack that we know of, and every legitimate flow, against every policy: a lab per column, a row per case.
//!
//! `ONLY=text` runs the cases whose section and name contain it; `BLESS=1` rewrites docs/attack-matrix.md.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod alone;
mod attacks;
mod case;
mod column;
mod flows;
#[path = "../common/frames.rs"]
mod frames;
mod generator;
#[path = "../common/kernel.rs"]
mod kernel;
mod lab;
mod leases;
mod legit;
mod matrix;
mod mutant;
#[path = "../common/netns.rs"]
mod netns;
#[path = "../common/ports.rs"]
mod ports;
mod rtnl;
mod space;
mod who;

use column::Column;
use netns::on_stock_kernel;

const NO_TABLE: Column = Column { name: "no table", policy: None, ports: false, vlan_aware: false };
const SPEC: Column = Column { name: "spec", policy: Some(&["--guard", "spec", "--layout", "rules"]), ..NO_TABLE };
/// Every instance is bound to its port.
const BOUND: Column = Column { ports: true, ..NO_TABLE };
const SETS: Column = Column { name: "strict sets", policy: Some(&["--guard", "strict", "--layout", "sets"]), ..BOUND };
/// As most registries are: MACs can be stolen, and nothing else.
const UNBOUND: Column = Column { name: "no ports", ports: false, ..SETS };
const RULES: Column =
    Column { name: "strict rules", policy: Some(&["--guard", "strict", "--layout", "rules"]), ..BOUND };
const MAC_NAMED: Column =
    Column { name: "mac named", policy: Some(&["--guard", ALL_BY_NAME, "--layout", "sets"]), ..BOUND };
const ALL_BY_NAME: &str = "arp,nd,source,mac,ra,dhcp4,dhcp6,query,ethertype,vlan,exthdr";

/// On Debian's kernel, where everything takes its time, only what is special there.
fn unless_emulated(test: impl FnOnce()) {
    if !on_stock_kernel() {
        test();
    }
}

#[test]
fn without_a_table_attacks_work() {
    unless_emulated(|| NO_TABLE.check(|_| true));
}

#[test]
fn the_original_rules_stop_what_they_are_said_to_stop() {
    unless_emulated(|| SPEC.check(|_| true));
}

#[test]
fn strict_sets_stop_every_attack_and_nothing_else() {
    SETS.check(column::Outcome::is_as_it_should_be);
}

#[test]
fn strict_rules_stop_every_attack_and_nothing_else() {
    unless_emulated(|| RULES.check(column::Outcome::is_as_it_should_be));
}

#[test]
fn without_ports_only_macs_can_be_stolen() {
    unless_emulated(|| UNBOUND.check(|outcome| outcome.section == "attack: mac" || outcome.is_as_it_should_be()));
}

/// Named, `mac` also stops whoever is not registered, even its first DHCP request.
#[test]
fn all_protections_by_name_stop_strangers_too() {
    unless_emulated(|| {
        MAC_NAMED.check(|outcome| match &*outcome.case {
            case if case.contains("stranger") => outcome.reached.is_empty(),
            _ => outcome.is_as_it_should_be(),
        });
    });
}

/// With `--guard X` alone, X stops what it is for, and lets pass what must pass.
#[test]
fn each_protection_alone_stops_its_attacks_and_nothing_else() {
    unless_emulated(|| {
        let outcomes = alone::outcomes();
        column::assert_right("alone", &outcomes, |outcome| match &*outcome.case {
            // Of those who are not registered, `mac` lets pass nothing.
            case if case.contains("stranger") && !outcome.is_attack() => outcome.reached.is_empty(),
            _ => outcome.is_as_it_should_be(),
        });
    });
}

/// VLAN-aware bridges exist only on Debian's kernel.
fn if_emulated(test: impl FnOnce()) {
    if on_stock_kernel() {
        test();
    }
}

#[test]
fn without_a_table_attacks_work_on_a_vlan_aware_bridge() {
    if_emulated(|| NO_TABLE.vlan_aware("VLAN: no table").check(|_| true));
}

#[test]
fn the_original_rules_on_a_vlan_aware_bridge() {
    if_emulated(|| SPEC.vlan_aware("VLAN: spec").check(|_| true));
}

#[test]
fn strict_sets_on_a_vlan_aware_bridge() {
    if_emulated(|| SETS.vlan_aware("VLAN: sets").check(column::Outcome::is_as_it_should_be));
}

#[test]
fn strict_rules_on_a_vlan_aware_bridge() {
    if_emulated(|| RULES.vlan_aware("VLAN: rules").check(column::Outcome::is_as_it_should_be));
}

#[test]
fn the_readme_has_the_numbers_of_the_matrix() {
    if std::env::var_os("BLESS").is_none() {
        matrix::check_readme();
    }
}

#[test]
fn the_generator_finds_what_there_is_to_find() {
    unless_emulated(|| {
        let (unprotected, original) = (generator::finds(NO_TABLE, 300), generator::finds(SPEC, 300));
        assert!(unprotected >= 30 && original >= 12, "{unprotected} and {original} of 300 frames were believed");
    });
}

#[test]
fn the_generator_finds_nothing_in_strict_policies() {
    generator::finds_nothing(SETS, if on_stock_kernel() { 100 } else { 1000 });
    unless_emulated(|| {
        generator::finds_nothing(UNBOUND, 1000);
        generator::finds_nothing(RULES, 300);
    });
}
