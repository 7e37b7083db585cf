//! Which of the addresses that were seen on an interface it has now, and keeps.
//!
//! An agent or a node lists all addresses at once: what such a list does not have, is not there, unless it was leased, or heard for
//! the first time, after. That holds for a list in which nothing is for DNS, too. On the wire addresses are heard one by one: an IPv4
//! address that was last heard before another one appeared is gone, unless that is another interface's; both are there if both were heard
//! since. What the SDN has given out counts only if nothing else is known.
//!
//! Of IPv6 addresses, those for a while (RFC 8981) are left out. Neither the agent nor the wire tells which these are. An interface
//! identifier is taken for lasting if it is
//! - made of the MAC address (modified EUI-64, RFC 4291, appendix A),
//! - that of the interface's link-local address, too, as with Windows, whose identifiers are random but the same for all prefixes,
//! - one that a person or a DHCP server wrote: `::20`, `::192:168:1:20`, which chance makes once in 65,000 times,
//! - leased by DHCPv6 or given out by the SDN.
//!
//! If none in a /64 is, the only one there is may be one of RFC 7217, lasting and opaque; of several, it is the oldest, for those
//! for a while are replaced each day. If several are equally old, nobody can say, and none is published.

use crate::daemon::schedule::Moment;
use crate::net::{Mac, link_local_of};
use crate::plan::guest::{By, Sighting};
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};

/// An address that an interface has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Current {
    pub address: IpAddr,
    /// The best of those who say so.
    pub by: By,
    /// Whether somebody gave it out: a DHCP server, the SDN. All else is the guest's own word.
    pub is_given: bool,
    pub since: Moment,
    pub at: Moment,
}

/// Why an address that an interface has is not for DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Passing {
    /// There is a lasting one beside it.
    Temporary,
    /// There are several, and nobody knows which lasts.
    Ambiguous,
}

/// The addresses of one family that an interface has now, of those that were seen on it in its network; `listed`: when all that it
/// has were listed last, wherever they are. What only the wire says and `is_anothers` makes nothing else gone.
pub(super) fn current(
    seen: &[&Sighting],
    listed: Option<Moment>,
    is_anothers: impl Fn(IpAddr) -> bool,
) -> Vec<Current> {
    let is_list = |sighting: &&&Sighting| matches!(sighting.by, By::Agent | By::Interfaces);
    let listed_at = seen.iter().filter(is_list).map(|sighting| sighting.at).chain(listed).max();
    let is_listed = |address| {
        let lists = seen.iter().filter(is_list);
        lists.filter(|sighting| Some(sighting.at) == listed_at).any(|sighting| sighting.address == address)
    };
    let mut all: BTreeMap<IpAddr, Current> = BTreeMap::new();
    for sighting in seen {
        let Sighting { address, by, since, at, .. } = **sighting;
        let counts = match by {
            By::Agent | By::Interfaces => Some(at) == listed_at,
            // A lease says when it was granted or renewed; an address that a guest goes on to claim need not be its own (proxy ARP).
            By::Lease => listed_at.is_none_or(|listed_at| at > listed_at) || is_listed(address),
            By::Neighbor => listed_at.is_none_or(|listed_at| since > listed_at) || is_listed(address),
            By::Ipam => false,
        };
        if counts {
            let is_given = by == By::Lease;
            let merged = all.entry(address).or_insert(Current { address, by, is_given, since, at });
            merged.by = merged.by.min(by);
            merged.is_given |= is_given;
            merged.since = merged.since.min(since);
            merged.at = merged.at.max(at);
        }
    }
    if all.is_empty() && listed_at.is_none() {
        let given = seen.iter().filter(|sighting| sighting.by == By::Ipam);
        all.extend(given.map(|sighting| {
            let Sighting { address, by, at, .. } = **sighting;
            // Since ever: that the table was read anew makes nothing newer.
            (address, Current { address, by, is_given: true, since: Moment::ZERO, at })
        }));
    }
    let is_believed = |current: &&Current| current.by != By::Neighbor || !is_anothers(current.address);
    let newest = all.values().filter(|current| current.address.is_ipv4()).filter(is_believed);
    let newest = newest.map(|current| current.since).max();
    let is_gone = |current: &Current| current.address.is_ipv4() && newest.is_some_and(|newest| newest > current.at);
    all.into_values().filter(|current| !is_gone(current)).collect()
}

/// Of IPv6 addresses that an interface has now: those that last, and the others. `seen` are all sightings of its MAC address.
pub(super) fn lasting(mac: Mac, current: Vec<Current>, seen: &[&Sighting]) -> (Vec<Current>, Vec<(Current, Passing)>) {
    let v6 = |address: IpAddr| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    };
    let link_local = seen.iter().filter_map(|sighting| v6(sighting.address));
    let link_local = link_local.filter(Ipv6Addr::is_unicast_link_local).chain([link_local_of(mac)]);
    let stable: HashSet<u64> = link_local.map(identifier).collect();
    let is_given = |address| {
        let given = seen.iter().filter(|sighting| matches!(sighting.by, By::Lease | By::Ipam));
        given.into_iter().any(|sighting| sighting.address == address)
    };
    let mut subnets: BTreeMap<u64, Vec<Current>> = BTreeMap::new();
    let (mut last, mut pass) = (Vec::new(), Vec::new());
    for current in current {
        match v6(current.address) {
            Some(address) => subnets.entry(subnet(address)).or_default().push(current),
            None => last.push(current),
        }
    }
    for of_subnet in subnets.into_values() {
        let is_lasting = |current: &Current| {
            let identifier = v6(current.address).map(identifier);
            identifier.is_some_and(|identifier| stable.contains(&identifier) || is_written(identifier))
                || is_given(current.address)
        };
        let (lasting, opaque): (Vec<_>, Vec<_>) = of_subnet.into_iter().partition(is_lasting);
        let oldest = opaque.iter().map(|current| current.since).min();
        let is_oldest = |current: &Current| Some(current.since) == oldest;
        let is_one_oldest = opaque.iter().filter(|current| is_oldest(current)).count() == 1;
        for current in opaque {
            if lasting.is_empty() && is_oldest(&current) {
                if is_one_oldest {
                    last.push(current);
                } else {
                    pass.push((current, Passing::Ambiguous));
                }
            } else {
                pass.push((current, Passing::Temporary));
            }
        }
        last.extend(lasting);
    }
    (last, pass)
}

/// The upper half of an address.
fn subnet(address: Ipv6Addr) -> u64 {
    u64::try_from(u128::from(address) >> 64).unwrap_or_default()
}

/// The lower half of an address.
fn identifier(address: Ipv6Addr) -> u64 {
    u64::try_from(u128::from(address) & u128::from(u64::MAX)).unwrap_or_default()
}

/// Whether it looks like a person's or a DHCP server's: nothing in the upper half, or only small groups.
fn is_written(identifier: u64) -> bool {
    identifier >> 32 == 0 || identifier & 0xf000_f000_f000_f000 == 0
}
