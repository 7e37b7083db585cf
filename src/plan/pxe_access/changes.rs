//! From what a folder says to what it should say.

use super::{Access, Removed, Settings, Table, Who};
use crate::net::Mac;
use std::collections::BTreeMap;

/// What the folder says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// About each MAC address that has a file; nothing that is understood, or in a way that must not stay: none.
    pub macs: BTreeMap<Mac, Option<Access>>,
    /// About all others.
    pub unknown: Option<Access>,
}

impl Found {
    /// About this one, if it is understood.
    pub fn of(&self, who: Who) -> Option<Access> {
        match who {
            Who::Mac(mac) => self.macs.get(&mac).copied().flatten(),
            Who::Unknown => self.unknown,
        }
    }
}

/// What to write, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// First who may boot, for somebody waits for that; then who must not; then all that nobody knows; then what was removed.
    pub writes: Vec<(Who, Access)>,
    /// MAC addresses that have a file and are no port's (any more).
    pub removed: Vec<Mac>,
}

impl Changes {
    /// What makes `found` say what `table` says. Those that are no port's, but perhaps only by a listing that was cut short, are
    /// denied whatever the settings say.
    pub fn new(table: &Table, found: &Found, settings: &Settings, is_sure: impl Fn(Mac) -> bool) -> Self {
        let differing = |wanted: Access| {
            table
                .macs
                .iter()
                .filter(move |(_, access)| **access == wanted)
                .filter(|(mac, access)| found.macs.get(mac) != Some(&Some(**access)))
                .map(|(mac, access)| (Who::Mac(*mac), *access))
        };
        let unknown = (found.unknown != Some(table.unknown)).then_some((Who::Unknown, table.unknown));
        let removed: Vec<Mac> = found.macs.keys().filter(|mac| !table.macs.contains_key(mac)).copied().collect();
        let fate = |mac: &Mac| match settings.removed {
            Removed::AsUnknown if is_sure(*mac) => table.unknown,
            Removed::AsUnknown | Removed::Denied => Access::Deny,
        };
        let removals = removed.iter().map(|mac| (Who::Mac(*mac), fate(mac)));
        let removals = removals.filter(|(who, fate)| found.of(*who) != Some(*fate));
        let writes = differing(Access::Allow).chain(differing(Access::Deny)).chain(unknown).chain(removals).collect();
        Self { writes, removed }
    }

    /// What makes `found` deny everybody. That it says so of all others comes first: it concerns most.
    pub fn to_deny_all(found: &Found) -> Self {
        let unknown = (found.unknown != Some(Access::Deny)).then_some((Who::Unknown, Access::Deny));
        let open = found.macs.iter().filter(|(_, access)| **access != Some(Access::Deny));
        let writes = unknown.into_iter().chain(open.map(|(mac, _)| (Who::Mac(*mac), Access::Deny))).collect();
        Self { writes, removed: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mac, settings};
    use super::*;
    use proptest::prelude::*;

    fn found(macs: &[(u8, Option<Access>)], unknown: Option<Access>) -> Found {
        Found { macs: macs.iter().map(|(number, access)| (mac(*number), *access)).collect(), unknown }
    }

    fn table(macs: &[(u8, Access)], unknown: Access) -> Table {
        Table { macs: macs.iter().map(|(number, access)| (mac(*number), *access)).collect(), unknown, disputed: vec![] }
    }

    #[test]
    fn the_order_is_allow_deny_all_others_removed() {
        use Access::{Allow, Deny};
        let found = found(&[(1, Some(Deny)), (2, Some(Allow)), (3, None), (4, Some(Allow)), (5, Some(Deny))], None);
        let table = table(&[(1, Allow), (2, Deny), (3, Deny), (5, Deny), (6, Allow)], Allow);
        let changes = Changes::new(&table, &found, &settings(), |_| true);
        let written = |number: u8, access| (Who::Mac(mac(number)), access);
        let first = [written(1, Allow), written(6, Allow), written(2, Deny), written(3, Deny), (Who::Unknown, Allow)];
        assert_eq!(changes.writes, [&first[..], &[written(4, Deny)]].concat());
        assert_eq!(changes.removed, [mac(4)]);
        // As the originals have it: what was removed follows all others, and here they may.
        let as_unknown = Settings { removed: Removed::AsUnknown, ..settings() };
        assert_eq!(Changes::new(&table, &found, &as_unknown, |_| true).writes, first);
        // Unless it may have been a listing that was cut short.
        assert_eq!(Changes::new(&table, &found, &as_unknown, |_| false).writes, changes.writes);
    }

    #[test]
    fn a_folder_that_nobody_understands_is_denied_too() {
        let changes = Changes::to_deny_all(&found(&[(1, None), (2, Some(Access::Deny))], Some(Access::Allow)));
        assert_eq!(changes.writes, [(Who::Unknown, Access::Deny), (Who::Mac(mac(1)), Access::Deny)]);
    }

    fn any_access() -> impl Strategy<Value = Access> {
        any::<bool>().prop_map(Access::when)
    }

    proptest! {
        /// Written, the changes leave nothing to change, and what is right already is not written.
        #[test]
        fn changes_lead_to_the_table_and_no_further(
            has in proptest::collection::vec((0..20_u8, proptest::option::of(any_access())), 0..20),
            says in proptest::option::of(any_access()),
            wants in proptest::collection::vec((0..20_u8, any_access()), 0..20),
            unknown in any_access(),
        ) {
            let (mut found, table) = (found(&has, says), table(&wants, unknown));
            let before = found.clone();
            for (who, access) in Changes::new(&table, &found, &settings(), |_| true).writes {
                match who {
                    Who::Unknown => prop_assert_ne!(found.unknown.replace(access), Some(access)),
                    Who::Mac(mac) => prop_assert_ne!(found.macs.insert(mac, Some(access)), Some(Some(access))),
                }
            }
            prop_assert!(Changes::new(&table, &found, &settings(), |_| true).writes.is_empty());
            for (mac, access) in &found.macs {
                prop_assert_eq!(access.unwrap(), table.macs.get(mac).copied().unwrap_or(Access::Deny));
            }
            prop_assert!(before.macs.keys().all(|mac| found.macs.contains_key(mac)));
        }
    }
}
