//! What an instance is answered over IPv6: by neighbour discovery and by DHCPv6, against the original's recorded answers,
//! against other implementations of the protocols, and case by case.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod bad_input;
mod dhcp6;
mod neighbor;
mod other_codecs;
mod recorded;
mod round_trips;
mod router;
mod setting;
