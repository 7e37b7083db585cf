//! What answers over IPv6 have in common.

use super::{Client, Reason};
use crate::net::Mac;
use crate::packet::ipv6::Ipv6;
use crate::packet::{Ethernet, Segment, ether_type};
use std::net::Ipv6Addr;

/// All nodes on the link (RFC 4291, section 2.7.1).
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Whether the frame comes from whom it is served: the binding's MAC, or any with MACSPOOF.
pub(super) fn ours(source: Mac, client: &Client) -> Result<(), Reason> {
    if source == client.binding.mac || client.binding.mac_spoof {
        return Ok(());
    }
    Err("a MAC that is not the binding's")
}

/// The frame from the responder to this MAC.
pub(super) fn frame(client: &Client, to: Mac, header: &Ipv6, segment: &Segment) -> Vec<u8> {
    Ethernet::new(to, client.responder).frame(ether_type::IPV6, &header.packet(segment))
}
