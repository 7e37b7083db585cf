//! The folder and a real dnsmasq that reads it: who is answered by what is in it, while it is written, and after whoever writes
//! it was killed.
#![cfg(feature = "pxe-filter")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod answers;
mod bulk;
mod faults;
mod lab;

#[path = "../common/frames.rs"]
mod frames;
#[path = "../common/netns.rs"]
mod netns;

use lab::Lab;
use netns::needs::can;

/// A network of its own for a test, with a dnsmasq.
fn on_a_network(test: impl FnOnce(&mut Lab) + Send + 'static) {
    if can("dnsmasq", "command -v dnsmasq") && can("ip", "command -v ip") {
        netns::in_new_netns(|| test(&mut Lab::new()));
    }
}
