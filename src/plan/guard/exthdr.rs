//! `exthdr`: no neighbour discovery and no DHCPv6 in fragments or behind extension headers (RFC 6980, RFC 7113, RFC 7610).
//!
//! Where there are extension headers, the kernel walks them to the upper-layer header. What is found there is compared; what
//! is not found, since the headers do not end in the first fragment (RFC 7112), is dropped. Later fragments pass: without the
//! first nothing is put together.
//!
//! Limits: what is behind an authentication header is not looked at; nobody believes it without the sender's key. Fragments
//! that are not directly behind the IPv6 header, and later fragments among them, pass only if their upper layer is neither
//! ICMPv6 nor UDP.

use super::rules::{always, network, when};
use super::{Plan, Protection, block, rules};
use crate::plan::ruleset::{Bytes, Chain, Field, Icmpv6, Match, Operator, Rule, Value, Verdict};

/// IPv6 with extension headers.
pub(super) const CHAIN: &str = "instances_guard_exthdr";

/// Fragment, hop-by-hop options, routing, destination options: what nf_tables walks.
const HEADERS: [u8; 4] = [FRAGMENT, 0, 43, 60];
const FRAGMENT: u8 = 44;

const ICMPV6: u8 = 58;
const UDP: u8 = 17;
/// Reserved: no packet has it, so all that have a protocol differ from it.
const NONE: u8 = 255;
const DHCP6_CLIENT: u16 = 546;
const DHCP6_SERVER: u16 = 547;

/// What passes behind extension headers.
const HARMLESS: [Icmpv6; 9] = [
    Icmpv6::EchoRequest,
    Icmpv6::EchoReply,
    Icmpv6::ListenerReport2,
    Icmpv6::ListenerReport,
    Icmpv6::ListenerDone,
    Icmpv6::DestinationUnreachable,
    Icmpv6::PacketTooBig,
    Icmpv6::TimeExceeded,
    Icmpv6::ParameterProblem,
];

/// Sends packets with extension headers on.
pub(super) fn rules(plan: &Plan) -> Vec<Rule<'static>> {
    if !plan.has(Protection::ExtHdr) {
        return Vec::new();
    }
    HEADERS.map(|header| when(&[network(6, [header])], Verdict::Goto(CHAIN))).into()
}

pub(super) fn chain(plan: &Plan) -> Option<Chain<'static>> {
    if !plan.has(Protection::ExtHdr) {
        return None;
    }
    let blocked = block::of(Protection::ExtHdr);
    let message = |kind| Match::equal(Field::Icmpv6Type, Value::Icmpv6(kind));
    let protocol = |number| Match::equal(Field::L4Protocol, Value::Protocol(number));
    // Thirteen bits of offset, directly behind the IPv6 header (RFC 8200, section 4.5).
    let offset = Field::NetworkBits { offset: 42 * 8, length: 16 };
    let offset =
        Match { operator: Operator::NotEqual, ..Match::prefix(offset, 13, Value::Bits(Bytes::from(&[0, 0][..]))) };
    let mut own = vec![when(&[network(6, [FRAGMENT]), offset], Verdict::Return)];
    own.extend(HARMLESS.map(|kind| when(&[message(kind)], Verdict::Return)));
    if plan.has(Protection::Query) {
        own.push(when(&[message(Icmpv6::ListenerQuery)], block::of(Protection::Query)));
    }
    own.push(when(&[Match::equal(Field::UdpTarget, Value::Port(DHCP6_CLIENT))], blocked));
    own.push(when(&[Match::not_equal(Field::UdpTarget, Value::Port(DHCP6_SERVER))], Verdict::Return));
    own.push(when(&[protocol(ICMPV6)], blocked));
    own.push(when(&[protocol(UDP)], blocked));
    own.push(when(&[Match::not_equal(Field::L4Protocol, Value::Protocol(NONE))], Verdict::Return));
    own.push(always(blocked));
    Some(rules::chain(CHAIN, own))
}
