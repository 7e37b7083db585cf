//! Neighbour advertisements (RFC 4861, section 7.2): for whom an instance looks, and whether it finds us in their place.
//!
//! Never for the instance's own addresses: it would find them taken (RFC 4862, section 5.4); with `compat`, only where it
//! does not look for that. For itself and its router, and for what is bound to other taps, since on a routed tap nobody else
//! can answer (as proxies do, section 7.2.8). Without source link-layer option there is an answer as well, to the frame's
//! source; the original hung.
//!
//! Solicitations for other targets go their way: the host's kernel has addresses of its own, and on a bridge there are
//! neighbours that no binding knows. The original dropped them, and with `compat` we do.

use super::over_ipv6::{ALL_NODES, frame, solicitation};
use super::{Client, Decision, Settings};
use crate::net::{Mac, link_local_of};
use crate::packet::ipv6::Ipv6;
use crate::packet::nd::{self, Nd, NdOption};
use std::net::Ipv6Addr;

/// In whose place an advertisement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The responder itself.
    Responder,
    /// GATEWAY6.
    Gateway,
    /// An instance behind another tap; with `proxy_all` anybody.
    Neighbor,
}

/// What becomes of a neighbour solicitation: `packet` from the IPv6 header on, `source` of the frame; `bound_elsewhere`
/// says whether an address belongs to another tap.
pub fn answer(
    packet: &[u8],
    source: Mac,
    client: &Client,
    settings: &Settings,
    bound_elsewhere: &dyn Fn(Ipv6Addr) -> bool,
) -> Decision {
    const ANOTHER: &str = "no neighbour solicitation";
    let Some(ipv6) = &settings.ipv6 else { return Decision::Pass("IPv6 is off") };
    let (solicitor, received) = match solicitation(packet, nd::NEIGHBOR_SOLICITATION, source, client, ANOTHER) {
        Ok(asked) => asked,
        Err(decision) => return decision,
    };
    let Nd::NeighborSolicitation { target } = received.message else { return Decision::Pass(ANOTHER) };
    // The original answered for all of SUBNET6.
    let for_all = ipv6.proxy_all || settings.compat;
    let others = |reason| if settings.compat { Decision::Silence(reason) } else { Decision::Pass(reason) };
    // So it did for the instance's own addresses there, but not without the option, as in duplicate address detection.
    let spares_own = !settings.compat || received.source_link_layer().is_none();
    let owner = match owner(target, client, spares_own, &|target| for_all || bound_elsewhere(target)) {
        Ok(Owner::Gateway) if client.binding.private && !settings.compat => {
            return Decision::Silence("PRIVATE: no router");
        }
        Ok(owner) => owner,
        Err(reason) => return others(reason),
    };
    match solicitor {
        // Duplicate address detection. An instance which takes another one's address is stopped by filters; and during
        // a migration an address is bound twice.
        Ipv6Addr::UNSPECIFIED if owner == Owner::Neighbor => others("a new address of its own"),
        Ipv6Addr::UNSPECIFIED => {
            // To all, and not solicited (section 7.2.4).
            let to = (ALL_NODES, nd::multicast_mac(ALL_NODES));
            advertised(target, owner, client, settings.compat, false, to)
        }
        _ => advertised(target, owner, client, settings.compat, true, (solicitor, source)),
    }
}

/// Whose address the target is, as far as we answer for it; `spares_own`: not for the instance's own.
fn owner(
    target: Ipv6Addr,
    client: &Client,
    spares_own: bool,
    neighbor: &dyn Fn(Ipv6Addr) -> bool,
) -> Result<Owner, &'static str> {
    let binding = client.binding;
    let own = [binding.ip6, binding.eui64, Some(link_local_of(binding.mac))];
    if spares_own && own.contains(&Some(target)) {
        return Err("an address of its own");
    }
    if target == link_local_of(client.responder) {
        return Ok(Owner::Responder);
    }
    if binding.gateway6 == Some(target) {
        return Ok(Owner::Gateway);
    }
    if !binding.subnet6.is_some_and(|subnet| subnet.contains(&target)) {
        return Err("a target outside of SUBNET6");
    }
    if neighbor(target) { Ok(Owner::Neighbor) } else { Err("nobody has that address") }
}

fn advertised(
    target: Ipv6Addr,
    owner: Owner,
    client: &Client,
    compat: bool,
    solicited: bool,
    (destination, mac): (Ipv6Addr, Mac),
) -> Decision {
    let message = Nd::NeighborAdvertisement {
        target,
        // To the original everybody was a router.
        router: compat || owner != Owner::Neighbor && !client.binding.private,
        solicited,
        // Who answers for others gives way to them (section 7.2.8).
        replace: !compat && owner == Owner::Responder,
    };
    let header = Ipv6::neighbor_discovery(link_local_of(client.responder), destination);
    let segment = message.segment(&[NdOption::TargetLinkLayer(client.responder)]);
    Decision::Reply { frame: frame(client, mac, &header, &segment), what: "neighbour advertisement" }
}
