//! What the policy did, as the kernel counted it: a value, and its renderings [`text`] for people, [`json`] for programs, and
//! [`prometheus`]. No I/O, no clock.
//!
//! `accepted` are rightful claims of an address, which the kernel counts where it looks them up: a neighbour advertisement
//! without link-layer option is two, of its source and of its target; and a packet with a rightful source may still be dropped
//! for something else.
//! Offenders are forgotten an hour after they were last seen, and each of their sets is bounded.

pub mod json;
pub mod prometheus;
pub mod text;

use crate::net::{Mac, Name};
use crate::registry::Registry;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::time::Duration;

/// What the kernel counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Why the policy is not in force, if so.
    pub idle: Option<String>,
    /// The packets by which each MAC rightfully claimed an address.
    pub accepted: FxHashMap<Mac, u64>,
    /// What each protection dropped.
    pub dropped: Vec<Dropped>,
    /// Who sent what was dropped.
    pub offenders: Vec<Offender>,
}

/// What one protection dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Its name; for the original's two chains `arp` and `ndp`.
    pub protection: &'static str,
    /// Packets since it was loaded.
    pub packets: u64,
}

/// One sender of packets that were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender {
    /// The Ethernet source, which may be forged.
    pub mac: Mac,
    /// The bridge port that the packets came in by.
    pub port: String,
    /// The address that was claimed, where the protection is about addresses.
    pub address: Option<IpAddr>,
    /// What dropped them.
    pub protection: &'static str,
    /// How many there were.
    pub packets: u64,
    /// The time since the last one.
    pub ago: Duration,
}

/// The counters of one table, with names.
#[derive(Debug)]
pub struct Status<'a> {
    /// The table in the bridge family.
    pub table: &'a str,
    /// When it was read, since 1970.
    pub time: Duration,
    /// Why the policy is not in force, if so.
    pub idle: Option<String>,
    /// All instances: those of the registry in its order, then others that the kernel knows.
    pub instances: Vec<Instance<'a>>,
    /// What each protection dropped.
    pub dropped: Vec<Dropped>,
    /// Who sent what was dropped, the newest first.
    pub offenders: Vec<(Offender, Option<&'a Name>)>,
}

/// The counters of one instance.
#[derive(Debug)]
pub struct Instance<'a> {
    /// Its MAC.
    pub mac: Mac,
    /// Its name in the registry.
    pub name: Option<&'a Name>,
    /// Rightful claims.
    pub accepted: u64,
    /// What is known to be dropped of it, by protection.
    pub dropped: Vec<Dropped>,
}

impl<'a> Status<'a> {
    /// Puts counters and names together. Without counters there is no such table.
    pub fn new(table: &'a str, counters: Option<Counters>, registry: &'a Registry, time: Duration) -> Self {
        let Some(Counters { idle, mut accepted, dropped, offenders }) = counters else {
            let idle = format!("there is no table bridge {table}; load it with: instances-process --force --apply");
            return Self {
                table,
                time,
                idle: Some(idle),
                instances: Vec::new(),
                dropped: Vec::new(),
                offenders: Vec::new(),
            };
        };
        let mut by_mac: FxHashMap<Mac, Vec<Dropped>> = FxHashMap::default();
        for Offender { mac, protection, packets, .. } in &offenders {
            let dropped = by_mac.entry(*mac).or_default();
            match dropped.iter_mut().find(|dropped| dropped.protection == *protection) {
                Some(dropped) => dropped.packets += packets,
                None => dropped.push(Dropped { protection, packets: *packets }),
            }
        }
        let mut instance = |mac, name, accepted| {
            let dropped = by_mac.remove(&mac).unwrap_or_default();
            Instance { mac, name, accepted, dropped }
        };
        let known = registry.iter().map(|(mac, known)| {
            let accepted = accepted.remove(&mac).unwrap_or_default();
            instance(mac, known.name(), accepted)
        });
        let mut instances: Vec<_> = known.collect();
        let mut others: Vec<_> = accepted.into_iter().collect();
        others.sort_unstable();
        instances.extend(others.into_iter().map(|(mac, accepted)| instance(mac, None, accepted)));
        let mut offenders = merged(offenders);
        offenders.sort_by_key(|offender| offender.ago);
        let name_of = |offender: &Offender| registry.get(offender.mac).and_then(|known| known.name());
        let offenders = offenders.into_iter().map(|offender| (name_of(&offender), offender));
        let offenders = offenders.map(|(name, offender)| (offender, name)).collect();
        Self { table, time, idle, instances, dropped, offenders }
    }

    /// How many offenders a protection has recorded.
    pub fn offenders_of(&self, protection: &str) -> usize {
        self.offenders.iter().filter(|(offender, _)| offender.protection == protection).count()
    }
}

/// Offenders in a fixed order, each once: a protection may record in several sets.
fn merged(mut offenders: Vec<Offender>) -> Vec<Offender> {
    let order = |a: &Offender, b: &Offender| {
        (a.mac, a.protection, a.address, &a.port).cmp(&(b.mac, b.protection, b.address, &b.port))
    };
    offenders.sort_unstable_by(order);
    offenders.dedup_by(|next, first| {
        let is_same = order(next, first).is_eq();
        if is_same {
            first.packets += next.packets;
            first.ago = first.ago.min(next.ago);
        }
        is_same
    });
    offenders
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::registry::wire;

    /// A status of what nobody would do: names of the kernel's with every kind of character.
    pub(crate) fn with_hostile_offender(check: impl FnOnce(&Status)) {
        let registry = br#"{"02:00:00:00:00:01": {"name": "web"}, "02:00:00:00:00:02": {}}"#;
        let (registry, _) = wire::parse(registry).unwrap();
        let offender = |mac: u8, port: &str, address: Option<&str>, protection, packets, ago| Offender {
            mac: Mac([2, 0, 0, 0, 0, mac]),
            port: port.to_owned(),
            address: address.map(|address| address.parse().unwrap()),
            protection,
            packets,
            ago: Duration::from_millis(ago),
        };
        let counters = Counters {
            idle: None,
            accepted: [(Mac([2, 0, 0, 0, 0, 1]), 7), (Mac([2, 0, 0, 0, 0, 3]), 1)].into_iter().collect(),
            dropped: vec![
                Dropped { protection: "arp", packets: 5 },
                Dropped { protection: "source", packets: 9 },
                Dropped { protection: "mac", packets: 0 },
            ],
            offenders: vec![
                offender(1, "webp", Some("10.0.0.2"), "arp", 3, 61_000),
                offender(1, "webp", Some("10.0.0.3"), "arp", 2, 7_200_000),
                offender(1, "webp", Some("fd00::2"), "source", 4, 90),
                offender(9, "a\"\\\n\u{1b}[31m", None, "source", 5, 1_500),
            ],
        };
        check(&Status::new("instances", Some(counters), &registry, Duration::from_millis(1_700_000_000_250)));
    }

    #[test]
    fn offenders_are_summed_up_for_each_mac_and_the_newest_comes_first() {
        with_hostile_offender(|status| {
            let instances: Vec<_> = status.instances.iter().map(|one| (one.mac.0[5], one.accepted)).collect();
            assert_eq!(instances, [(1, 7), (2, 0), (3, 1)]);
            let arp = Dropped { protection: "arp", packets: 5 };
            let source = Dropped { protection: "source", packets: 4 };
            assert_eq!(status.instances[0].dropped, [arp, source]);
            let packets: Vec<_> = status.offenders.iter().map(|(offender, _)| offender.packets).collect();
            assert_eq!(packets, [4, 5, 3, 2]);
            assert_eq!(status.offenders[0].1.unwrap().as_str(), "web");
            assert_eq!(status.offenders[1].1, None);
        });
    }
}
