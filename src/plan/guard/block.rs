//! Where frames end that a protection does not let pass: one chain for each.
//!
//! Its first rule counts, with the protection's name as comment. Then the offender is recorded, with the address that it
//! claimed where the packet has one, in a set that the kernel bounds in size and time. Last the frame is dropped, recorded
//! or not: a flood from many addresses costs its own record, never an open door.

use super::rules::{always, chain};
use super::{Guard, Protection};
use crate::plan::claims;
use crate::plan::ruleset::{Chain, Comment, Field, Recorded, Rule, Statement, Verdict};

/// Most offenders that are remembered by each set: at most 3 MiB.
pub const MOST: u32 = 16_384;
/// Seconds for which an offender is remembered that is not seen again.
pub const TIMEOUT: u32 = 3600;

const SENDER: &[Field] = &[Field::EtherSource, Field::InputPort];
const ARP_SENDER: &[Field] = &[Field::EtherSource, Field::InputPort, Field::ArpSourceIp];
const IP_SENDER: &[Field] = &[Field::EtherSource, Field::InputPort, Field::IpSource];
const IP6_SENDER: &[Field] = &[Field::EtherSource, Field::InputPort, Field::Ip6Source];
const ND_TARGET: &[Field] = &[Field::EtherSource, Field::InputPort, claims::ND_TARGET];

/// The chain of a protection.
pub fn of(protection: Protection) -> Verdict {
    Verdict::Goto(chain_name(protection))
}

/// The name of a protection's chain.
pub const fn chain_name(protection: Protection) -> &'static str {
    match protection {
        Protection::Arp => "instances_block_arp",
        Protection::Nd => "instances_block_nd",
        Protection::Source => "instances_block_source",
        Protection::BoundMac | Protection::Mac => "instances_block_mac",
        Protection::Ra => "instances_block_ra",
        Protection::Dhcp4 => "instances_block_dhcp4",
        Protection::Dhcp6 => "instances_block_dhcp6",
        Protection::Query => "instances_block_query",
        Protection::EtherType => "instances_block_ethertype",
        Protection::Vlan => "instances_block_vlan",
        Protection::ExtHdr => "instances_block_exthdr",
    }
}

/// The protection whose chain this is.
pub fn protection(chain: &str) -> Option<Protection> {
    Protection::ALL.into_iter().find(|protection| chain_name(*protection) == chain)
}

/// The sets into which a protection's offenders go, and what of them.
pub fn records(protection: Protection) -> &'static [(&'static str, &'static [Field])] {
    match protection {
        Protection::Arp => &[("instances_offenders_arp", ARP_SENDER)],
        Protection::Nd => &[("instances_offenders_nd", ND_TARGET), ("instances_offenders_nd_source", IP6_SENDER)],
        Protection::Source => &[("instances_offenders_ip", IP_SENDER), ("instances_offenders_ip6", IP6_SENDER)],
        Protection::BoundMac | Protection::Mac => &[("instances_offenders_mac", SENDER)],
        Protection::Ra => &[("instances_offenders_ra", IP6_SENDER)],
        Protection::Dhcp4 => &[("instances_offenders_dhcp4", IP_SENDER)],
        Protection::Dhcp6 => &[("instances_offenders_dhcp6", IP6_SENDER)],
        Protection::Query => &[("instances_offenders_query", SENDER)],
        Protection::EtherType => &[("instances_offenders_ethertype", SENDER)],
        Protection::Vlan => &[("instances_offenders_vlan", SENDER)],
        Protection::ExtHdr => &[("instances_offenders_exthdr", IP6_SENDER)],
    }
}

/// The protections of a guard which have a chain; `mac` in either form has one.
fn blocking(guard: Guard) -> impl Iterator<Item = Protection> {
    guard.protections().filter(|protection| *protection != Protection::Mac)
}

/// All protections that have a chain.
pub fn all() -> impl Iterator<Item = Protection> {
    blocking(Protection::ALL.into_iter().collect())
}

/// The chains.
pub(super) fn chains(guard: Guard) -> Vec<Chain<'static>> {
    blocking(guard).map(|protection| chain(chain_name(protection), rules(protection))).collect()
}

fn rules(protection: Protection) -> Vec<Rule<'static>> {
    let count = Rule { comment: Some(Comment::word(protection.as_str())), ..Rule::of([Statement::Counter]) };
    let record = |(set, fields): &(&'static str, &'static [Field])| {
        Rule::of([Statement::Record { fields, set }, Statement::Verdict(Verdict::Drop)])
    };
    let records = records(protection).iter().map(record);
    [count].into_iter().chain(records).chain([always(Verdict::Drop)]).collect()
}

/// The sets of offenders.
pub(super) fn offenders(guard: Guard) -> impl Iterator<Item = (&'static str, Recorded)> {
    let sets = blocking(guard).flat_map(|protection| records(protection).iter().copied());
    sets.map(|(name, fields)| (name, Recorded { fields, size: MOST, timeout: TIMEOUT }))
}

/// The names of all sets of offenders.
pub fn all_offenders() -> impl Iterator<Item = &'static str> {
    all().flat_map(records).map(|(name, _)| *name)
}
