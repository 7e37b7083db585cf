//! Every attack that we know of, and every legitimate flow, against every policy: a lab per column, a row per case.
//!
//! `ONLY=text` runs the cases whose section and name contain it; `BLESS=1` rewrites docs/attack-matrix.md.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

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
mod rtnl;
mod space;
mod who;

use column::Column;

const NO_TABLE: Column = Column { name: "no table", policy: None, ports: false, vlan_aware: false };
const SPEC: Column = Column { name: "spec", policy: Some(&[]), ..NO_TABLE };

#[test]
fn without_a_table_attacks_work() {
    NO_TABLE.check(false);
}

#[test]
fn the_original_rules_stop_what_they_are_said_to_stop() {
    SPEC.check(false);
}

#[test]
fn the_generator_finds_what_there_is_to_find() {
    let (unprotected, original) = (generator::finds(NO_TABLE, 300), generator::finds(SPEC, 300));
    assert!(unprotected >= 30 && original >= 12, "{unprotected} and {original} of 300 frames were believed");
}
