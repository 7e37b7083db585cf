//! Which files there are to be in `hostsdir`, and in which steps they get there.
//!
//! dnsmasq reads a file that was moved in at once, and forgets what the file said before. That costs it twice:
//! - for each line, a walk through all names that it knows: with 10,000 guests in one file, 0.7 s for any change;
//! - for each file, leases times reservations: with 5,000 and 500 of them a tenth of a second, which 10,000 files would take each.
//!
//! So guests share a fixed number of files by their number. Up to so many of them have one each.
//!
//! Of names with the same address only the first that it reads answers reverse lookups, and none if that one goes. An address
//! that moves from one file to another is therefore taken out of the first before it is put into the second.

use crate::plan::dns_records::Records;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

/// How many files the guests have.
const CHUNKS: u32 = 32;
/// How our files begin.
const PREFIX: &str = "instances-";
/// That of records that no guest has.
const EXTRA: &str = "instances-extra";

/// Content by file name.
pub type Files = BTreeMap<String, String>;

/// The files for these records; none of them is empty.
pub fn files(records: &Records) -> Files {
    let mut files = Files::new();
    for line in records.lines() {
        let name = line.vmid.map_or_else(|| EXTRA.to_owned(), |vmid| format!("{PREFIX}guests-{:03}", vmid % CHUNKS));
        let _ = writeln!(files.entry(name).or_default(), "{line}");
    }
    files
}

/// Whether a file is one of ours, of this version or another.
pub fn is_ours(name: &str) -> bool {
    let of_guests = |number: &str| number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    name == EXTRA || name.strip_prefix("instances-guests-").is_some_and(of_guests)
}

/// Whether dnsmasq reads a file of this name.
pub fn is_read(name: &str) -> bool {
    !(name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#')))
}

/// What is to be written, in two steps, and whether anything is taken away. `None` in place of a content: delete it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Steps {
    pub first: BTreeMap<String, Option<String>>,
    pub second: BTreeMap<String, Option<String>>,
    pub takes_away: bool,
}

impl Steps {
    /// How many files are written or deleted.
    pub fn written(&self) -> usize {
        let again = self.second.keys().filter(|name| self.first.contains_key(*name)).count();
        self.first.len() + self.second.len() - again
    }
}

/// From what is there to what is wanted. A file that is there but cannot be read as text is there as an empty one.
pub fn steps(there: &Files, wanted: &Files) -> Steps {
    let places: BTreeMap<IpAddr, &str> = places(there).collect();
    let lines_there: BTreeSet<&str> = there.values().flat_map(|content| content.lines()).collect();
    let lines_wanted: BTreeSet<&str> = wanted.values().flat_map(|content| content.lines()).collect();
    let mut steps = Steps { takes_away: !lines_there.is_subset(&lines_wanted), ..Steps::default() };
    for (name, content) in wanted {
        let is_elsewhere = |line: &&str| {
            let place = address(line).and_then(|address| places.get(&address));
            place.is_some_and(|place| *place != name)
        };
        let stays: String = content.split_inclusive('\n').filter(|line| !is_elsewhere(line)).collect();
        let is_moving = stays != *content;
        if there.get(name) != Some(&stays) && !(is_moving && stays.is_empty() && !there.contains_key(name)) {
            steps.first.insert(name.clone(), Some(stays));
        }
        if is_moving {
            steps.second.insert(name.clone(), Some(content.clone()));
        }
    }
    steps.first.extend(there.keys().filter(|name| !wanted.contains_key(*name)).map(|name| (name.clone(), None)));
    steps
}

/// Which file an address is in.
fn places(files: &Files) -> impl Iterator<Item = (IpAddr, &str)> {
    files
        .iter()
        .flat_map(|(name, content)| content.lines().filter_map(move |line| Some((address(line)?, name.as_str()))))
}

fn address(line: &str) -> Option<IpAddr> {
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(name, content)| ((*name).to_owned(), content.replace(';', "\n"))).collect()
    }

    /// What dnsmasq knows after these writes: which address is whose. Like it, the first that has an address keeps it, and
    /// nobody has it once that one is gone.
    fn known(there: &Files, steps: &Steps) -> (Files, BTreeMap<IpAddr, String>) {
        let mut files = there.clone();
        let mut owners: BTreeMap<IpAddr, String> =
            places(there).map(|(address, name)| (address, name.to_owned())).collect();
        for (name, content) in steps.first.iter().chain(&steps.second) {
            owners.retain(|_, owner| owner != name);
            let content = content.clone().unwrap_or_default();
            for address in content.lines().filter_map(address) {
                let is_elsewhere = files.iter().any(|(other, content)| {
                    other != name && content.lines().filter_map(super::address).any(|there| there == address)
                });
                if !is_elsewhere {
                    owners.insert(address, name.clone());
                }
            }
            files.insert(name.clone(), content);
        }
        files.retain(|_, content| !content.is_empty());
        (files, owners)
    }

    #[test]
    fn what_is_as_it_should_be_is_not_written() {
        let there = of(&[("a", "192.0.2.1 x;"), ("b", "192.0.2.2 y;")]);
        assert_eq!(steps(&there, &there), Steps::default());
        let wanted = of(&[("a", "192.0.2.1 x;"), ("b", "192.0.2.2 y;192.0.2.3 z;")]);
        let found = steps(&there, &wanted);
        assert_eq!((found.first.len(), found.second.len(), found.takes_away), (1, 0, false));
        assert!(steps(&wanted, &there).takes_away);
    }

    #[test]
    fn names_of_files_are_ours_or_not() {
        for name in ["instances-extra", "instances-guests-000", "instances-guests-127"] {
            assert!(is_ours(name) && is_read(name), "{name}");
        }
        for name in ["instances-guests-1", "instances-guests-0x0", "instances-guests-0000", "hosts", "instances-"] {
            assert!(!is_ours(name) && is_read(name), "{name}");
        }
        for name in [".x", "x~", "#x#"] {
            assert!(!is_read(name), "{name}");
        }
        assert!(is_read("#x") && is_read("x.tmp"));
    }

    proptest! {
        /// From anything to anything, swaps too: each address is known in the end, as that of the file that it is in.
        #[test]
        fn an_address_that_moves_keeps_its_reverse_lookup(
            before in proptest::collection::btree_map(0_u8..8, 0_u8..4, 0..8),
            after in proptest::collection::btree_map(0_u8..8, 0_u8..4, 0..8),
        ) {
            let files = |places: BTreeMap<u8, u8>| {
                let mut files = Files::new();
                for (address, file) in places {
                    let _ = writeln!(files.entry(format!("f{file}")).or_default(), "192.0.2.{address} n{address}");
                }
                files
            };
            let (there, wanted) = (files(before), files(after));
            let (now, owners) = known(&there, &steps(&there, &wanted));
            prop_assert_eq!(&now, &wanted);
            let expected: BTreeMap<_, _> = places(&wanted).map(|(address, name)| (address, name.to_owned())).collect();
            prop_assert_eq!(owners, expected);
        }
    }
}
