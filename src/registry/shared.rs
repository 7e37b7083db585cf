//! Addresses that more than one instance may use. `add` takes an address from everybody else, but an edited file, two
//! `--allow` and `--initialize` leave it with two.

use super::model::{Instance, Registry};
use crate::net::{Mac, V6Class};
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::fmt;
use std::net::IpAddr;

/// An address that several instances may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The address.
    pub address: IpAddr,
    /// At least two, in the registry's order.
    pub holders: Vec<Holder>,
}

/// One who may use an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its MAC.
    pub mac: Mac,
    /// Whether only by its `allowed`, which may well be meant (VRRP).
    pub only_allowed: bool,
}

impl Registry {
    /// All addresses that several instances may use: those of their fields, and those that stand alone in `allowed`.
    /// First those that are somebody's own, then those that are only allowed, otherwise by their first holder.
    ///
    /// Prefixes in `allowed` are not looked into: who may use a whole network may well use what others lease.
    pub fn shared_addresses(&self) -> Vec<Shared> {
        let suspects = self.suspects();
        if suspects.is_empty() {
            return Vec::new();
        }
        let mut shared: IndexMap<IpAddr, Vec<Holder>, FxBuildHasher> = IndexMap::default();
        for (mac, instance) in self.iter() {
            // Its own before those that it is allowed.
            for (address, only_allowed) in usable(instance).filter(|(address, _)| suspects.contains(&bits(*address))) {
                let holders = shared.entry(address).or_default();
                if holders.last().is_none_or(|last| last.mac != mac) {
                    holders.push(Holder { mac, only_allowed });
                }
            }
        }
        let shared = shared.into_iter().map(|(address, holders)| Shared { address, holders });
        let mut shared: Vec<_> = shared.filter(|shared| shared.holders.len() > 1).collect();
        // Stable. What is only allowed is seldom a mistake, and shall not hide what is.
        shared.sort_by_key(|shared| shared.holders.iter().all(|holder| holder.only_allowed));
        shared
    }

    /// Whatever has been seen with two MACs, for nearly always that is nothing.
    fn suspects(&self) -> FxHashSet<u128> {
        let mut first = FxHashMap::with_capacity_and_hasher(3 * self.len(), FxBuildHasher);
        let mut suspects = FxHashSet::default();
        for (mac, instance) in self.iter() {
            for (address, _) in usable(instance) {
                if *first.entry(bits(address)).or_insert(mac) != mac {
                    suspects.insert(bits(address));
                }
            }
        }
        suspects
    }
}

/// The single addresses that an instance may use, and whether only by its `allowed`; one may come twice.
fn usable(instance: &Instance) -> impl Iterator<Item = (IpAddr, bool)> {
    let v6 = [V6Class::Global, V6Class::UniqueLocal, V6Class::LinkLocal].map(|class| instance.ipv6(class));
    let own = instance.ipv4().map(IpAddr::V4).into_iter().chain(v6.into_iter().flatten().map(IpAddr::V6));
    let allowed = instance.allowed().iter().filter(|net| net.prefix_len() == net.max_prefix_len());
    own.map(|address| (address, false)).chain(allowed.map(|net| (net.addr(), true)))
}

/// Several times faster to hash than `IpAddr`. A mapped IPv6 address has the same as its IPv4 address, which is good enough
/// for a suspicion.
pub(super) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Holders that a message names at most.
const NAMED: usize = 3;

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is registered for {} MACs: ", self.address, self.holders.len())?;
        for (index, holder) in self.holders.iter().take(NAMED).enumerate() {
            let (comma, how) =
                (if index == 0 { "" } else { ", " }, if holder.only_allowed { " (allowed)" } else { "" });
            write!(f, "{comma}{}{how}", holder.mac)?;
        }
        match self.holders.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::registry::wire;

    fn shared(registry: &str) -> Vec<String> {
        let (registry, _) = wire::parse(registry.as_bytes()).unwrap();
        registry.shared_addresses().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_shared_by_one_instance_with_itself() {
        let registry = r#"{"02:00:00:00:00:01": {"ipv4": "10.0.0.1", "allowed": ["10.0.0.1", "10.0.0.2", "10.0.0.2/32"],
            "ipv6_gua": "2a00::1", "ipv6_ula": "2a00::1"}, "02:00:00:00:00:02": {"ipv4": "10.0.0.3"}}"#;
        assert_eq!(shared(registry), [""; 0]);
        assert_eq!(shared("{}"), [""; 0]);
    }

    #[test]
    fn every_field_counts_also_across_fields() {
        for (one, two, address) in [
            (r#""ipv4": "10.0.0.1""#, r#""ipv4": "10.0.0.1""#, "10.0.0.1"),
            (r#""ipv6_gua": "2a00::1""#, r#""ipv6_gua": "2a00:0::1""#, "2a00::1"),
            (r#""ipv6_ula": "fd00::1""#, r#""ipv6_gua": "fd00::1""#, "fd00::1"),
            (r#""ipv6_lla": "fe80::1""#, r#""ipv6_lla": "fe80::1""#, "fe80::1"),
        ] {
            let registry = format!(r#"{{"02:00:00:00:00:0b": {{{one}}}, "02:00:00:00:00:0a": {{{two}}}}}"#);
            let line = format!("{address} is registered for 2 MACs: 02:00:00:00:00:0b, 02:00:00:00:00:0a");
            assert_eq!(shared(&registry), [line]);
        }
    }

    #[test]
    fn allowed_addresses_count_and_come_last_but_prefixes_do_not() {
        let registry = r#"{
            "02:00:00:00:00:01": {"allowed": ["10.0.0.200", "10.0.0.0/24", "10.0.0.2/32"]},
            "02:00:00:00:00:02": {"ipv4": "10.0.0.2", "allowed": ["10.0.0.2", "10.0.0.200/32", "10.0.0.0/24"]}}"#;
        let expected = [
            "10.0.0.2 is registered for 2 MACs: 02:00:00:00:00:01 (allowed), 02:00:00:00:00:02",
            "10.0.0.200 is registered for 2 MACs: 02:00:00:00:00:01 (allowed), 02:00:00:00:00:02 (allowed)",
        ];
        assert_eq!(shared(registry), expected);
    }

    #[test]
    fn an_address_of_many_names_three() {
        let instance = |n: usize| format!(r#""02:00:00:00:00:{n:02x}": {{"ipv4": "10.0.0.1"}}"#);
        let registry = format!("{{{}}}", (0..20).map(instance).collect::<Vec<_>>().join(","));
        let expected =
            "10.0.0.1 is registered for 20 MACs: 02:00:00:00:00:00, 02:00:00:00:00:01, 02:00:00:00:00:02 and 17 more";
        assert_eq!(shared(&registry), [expected]);
    }

    #[test]
    fn an_ipv6_address_that_maps_an_ipv4_address_is_another() {
        let registry =
            r#"{"02:00:00:00:00:01": {"ipv4": "10.0.0.1"}, "02:00:00:00:00:02": {"ipv6_gua": "::ffff:10.0.0.1"}}"#;
        assert_eq!(shared(registry), [""; 0]);
    }
}
