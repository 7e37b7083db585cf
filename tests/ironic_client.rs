//! Ironic's API as the client sees it: pages, nodes, versions, ways in; against a simulator that is held against recordings of a
//! real Ironic.
#![cfg(feature = "pxe-filter")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "ironic/access.rs"]
mod access;
#[path = "ironic/listing.rs"]
mod listing;
#[path = "ironic/nodes.rs"]
mod nodes;
#[path = "ironic/recordings.rs"]
mod recordings;
#[path = "common/ironic/mod.rs"]
mod simulator;
#[path = "ironic/versions.rs"]
mod versions;
