//! `dhcp6`: guests are DHCPv6 clients (RFC 8415), neither servers nor relays (DHCPv6-Shield, RFC 7610).
//!
//! Dropped: what goes to a client's port; what goes to a server's port unless it is a message that clients send.
//!
//! Limits: the client's identifier (DUID) is not tied to anything, and whose address it asks from is what `source` is for.
//! A guest that is a server belongs on a trusted port.

use super::rules::{always, chain, goto, network, when};
use super::{Plan, Protection, block};
use crate::plan::ruleset::{Chain, Rule, Verdict};

/// UDP without extension headers.
pub(super) const UDP: &str = "instances_guard_udp6";
/// What goes to a DHCPv6 server.
pub(super) const CHAIN: &str = "instances_guard_dhcp6";

const PROTOCOL: u8 = 17;
/// The ports, as octets of the packet: behind 40 octets of IPv6 header, 2 of UDP.
const SERVER: [u8; 2] = [0x02, 0x23];
const CLIENT: [u8; 2] = [0x02, 0x22];
const PORT: u16 = 42;
/// The message's type.
const KIND: u16 = 48;
/// Solicit, Request, Confirm, Renew, Rebind, Release, Decline, Information-request.
const OF_CLIENTS: [u8; 8] = [1, 3, 4, 5, 6, 8, 9, 11];

pub(super) fn chains(plan: &Plan) -> Vec<Chain<'static>> {
    if !plan.has(Protection::Dhcp6) {
        return Vec::new();
    }
    let blocked = block::of(Protection::Dhcp6);
    let of_clients = OF_CLIENTS.map(|kind| when(&[network(KIND, [kind])], Verdict::Return));
    let messages = of_clients.into_iter().chain([always(blocked)]).collect();
    let udp = vec![when(&[network(PORT, SERVER)], goto(CHAIN)), when(&[network(PORT, CLIENT)], blocked)];
    vec![chain(CHAIN, messages), chain(UDP, udp)]
}

/// Sends UDP on.
pub(super) fn rule(plan: &Plan) -> Option<Rule<'static>> {
    plan.has(Protection::Dhcp6).then(|| when(&[network(6, [PROTOCOL])], goto(UDP)))
}

/// What a client sends from a link-local address that nobody has registered.
pub(super) fn from_link_local(plan: &Plan) -> Rule<'static> {
    let verdict = if plan.has(Protection::Dhcp6) { goto(CHAIN) } else { Verdict::Return };
    when(&[network(6, [PROTOCOL]), network(PORT, SERVER)], verdict)
}
