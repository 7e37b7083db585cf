//! What answers over IPv6 have in common.

use super::{Client, Decision, Reason};
use crate::net::Mac;
use crate::packet::ipv6::{self, Ipv6};
use crate::packet::{Ethernet, Malformed, Segment, ether_type, nd};
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

/// The IPv6 source and the content of a solicitation, of this ICMPv6 type, by who is served: `packet` from the IPv6 header on,
/// `source` of the frame.
///
/// # Errors
/// What becomes of anything else; of other types as `another` says.
pub(super) fn solicitation(
    packet: &[u8],
    kind: u8,
    source: Mac,
    client: &Client,
    another: Reason,
) -> Result<(Ipv6Addr, nd::Received), Decision> {
    let silence = |malformed: Malformed| Decision::Silence(malformed.0);
    let packet = ipv6::parse(packet).map_err(silence)?;
    if !packet.is_icmpv6(kind) {
        return Err(Decision::Pass(another));
    }
    let received = nd::receive(&packet).map_err(silence)?;
    ours(source, client).map_err(Decision::Silence)?;
    Ok((packet.source, received))
}

/// The frame from the responder to this MAC.
pub(super) fn frame(client: &Client, to: Mac, header: &Ipv6, segment: &Segment) -> Vec<u8> {
    Ethernet::new(to, client.responder).frame(ether_type::IPV6, &header.packet(segment))
}
