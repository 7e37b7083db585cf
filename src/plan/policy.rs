//! The whole plan for the kernel, put together from its parts.

use super::address_sets::{self, ENDINGS};
use super::hooks::{self, Bridges};
use super::ruleset::{Family, Identifier, Ruleset, Table};
use super::{arp, ndp};
use crate::net::{IfName, Name};
use crate::registry::Registry;

/// What is wanted besides what the registry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The bridge table.
    pub table: Identifier,
    /// Names whose sets are made.
    pub set_names: Vec<Name>,
    /// Our own base chains.
    pub hook: Hooking,
    /// Other tables that get the sets too.
    pub sets_into: Vec<(Family, Identifier)>,
}

/// What is done about our own base chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hooking {
    /// They stay as they are: taking protection away must be asked for.
    LeaveAsIs,
    /// `none`: they are removed.
    Remove,
    /// They protect these bridges.
    Protect {
        /// The bridges.
        bridges: Bridges,
        /// Ports whose frames pass.
        trusted_ports: Vec<IfName>,
    },
}

/// The ruleset for this registry. The first table is the bridge table.
pub fn ruleset<'a>(registry: &'a Registry, wishes: &Wishes) -> Ruleset<'a> {
    let mut chains = vec![arp::chain(registry), ndp::chain(registry)];
    let mut absent_chains = Vec::new();
    match &wishes.hook {
        Hooking::LeaveAsIs => {}
        Hooking::Remove => absent_chains.extend(hooks::BASE_CHAINS),
        Hooking::Protect { bridges, trusted_ports } => {
            let base_chains = hooks::chains(bridges, trusted_ports, &chains);
            chains.extend(base_chains);
        }
    }
    let sets = address_sets::sets(registry, &wishes.set_names);
    let mut tables = vec![Table {
        family: Family::Bridge,
        name: wishes.table.clone(),
        chains,
        absent_chains,
        sets,
        set_endings: ENDINGS,
    }];
    for (family, name) in &wishes.sets_into {
        let Some(ours) = tables.first() else { continue };
        if tables.iter().any(|table| (table.family, &table.name) == (*family, name)) {
            continue;
        }
        let sets = ours.sets.clone();
        tables.push(Table {
            family: *family,
            name: name.clone(),
            chains: vec![],
            absent_chains: vec![],
            sets,
            set_endings: ENDINGS,
        });
    }
    Ruleset { tables }
}
