//! `dhcp4`: guests are DHCP clients (RFC 2131), neither servers nor relays, and ask only in their own name.
//!
//! Dropped: what goes to a client's port; what goes to the server's port unless it is a request over Ethernet, not relayed
//! (`giaddr` 0), whose `chaddr` is the sender's own MAC: another's would have that one's lease released or registered anew,
//! and made-up ones would use up the pool.
//!
//! Limits: a MAC that is not registered may ask with any `chaddr` that is not registered, since the kernel cannot compare
//! two fields. A guest that is a DHCP server belongs on a trusted port.

use super::rules::{
    always, chain, first_fragment, goto, later_fragment, look_up, network, not_transport, transport, when,
};
use super::{Plan, Protection, block};
use crate::plan::claims;
use crate::plan::ruleset::{Chain, Field, Match, Rule, Verdict};

/// UDP whose source is the sender's.
pub(super) const UDP: &str = "instances_guard_udp";
/// What goes to a DHCP server.
pub(super) const CHAIN: &str = "instances_guard_dhcp4";

/// UDP.
const PROTOCOL: u8 = 17;
/// The ports, as octets at offset 2 of a UDP header.
const SERVER: [u8; 2] = [0, 67];
const CLIENT: [u8; 2] = [0, 68];
/// `op` BOOTREQUEST, `htype` Ethernet, `hlen`.
const REQUEST: [u8; 3] = [1, 1, 6];
/// Offsets in the message, behind 8 octets of UDP.
const OP: u16 = 8;
const GIADDR: u16 = 8 + 24;
const CHADDR: u16 = 8 + 28;

const BLOCK: Protection = Protection::Dhcp4;

pub(super) fn chains(plan: &Plan) -> Vec<Chain<'static>> {
    if !plan.has(BLOCK) {
        return Vec::new();
    }
    let blocked = block::of(BLOCK);
    let request = vec![
        when(&[not_transport(OP, REQUEST)], blocked),
        when(&[not_transport(GIADDR, [0; 4])], blocked),
        look_up(claims::OWN_MAC_KEY, claims::OWN_MAC, Verdict::Return),
        look_up(&[Field::EtherSource], claims::MAC, blocked),
        look_up(&[claims::DHCP_CHADDR], claims::CLIENT, blocked),
        // It must be there to be anybody's.
        when(&[not_transport(CHADDR, [0; 6])], Verdict::Return),
        always(blocked),
    ];
    let udp = vec![
        when(&[transport(2, SERVER), first_fragment()], goto(CHAIN)),
        when(&[transport(2, CLIENT), first_fragment()], blocked),
        when(&[not_transport(2, [0, 0])], Verdict::Return),
        when(&[later_fragment()], Verdict::Return),
        // Nor what has no UDP header for the kernel, of a wrong version or length: clients with raw sockets are less strict.
        always(blocked),
    ];
    vec![chain(CHAIN, request), chain(UDP, udp)]
}

/// Sends UDP on.
pub(super) fn rule(plan: &Plan) -> Option<Rule<'static>> {
    plan.has(BLOCK).then(|| when(&[network(9, [PROTOCOL])], goto(UDP)))
}

/// What a host without address sends to a DHCP server, as a rule of its own.
pub(super) fn from_unspecified(plan: &Plan, unspecified: Match) -> Rule<'static> {
    let verdict = if plan.has(BLOCK) { goto(CHAIN) } else { Verdict::Return };
    when(&[unspecified, network(9, [PROTOCOL]), transport(2, SERVER)], verdict)
}
