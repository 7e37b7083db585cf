//! Ironic's API as the client sees it: pages, nodes, versions, ways in; against a simulator that is held against recordings of a
//! real Ironic.
#![cfg(feature = "pxe-filter")]

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
