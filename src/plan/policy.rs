//! The whole plan for the kernel, put together from its parts.

use super::address_sets;
use super::guard::{self, Guard};
use super::hooks::{self, Bridges};
use super::layout::{self, Layout};
use super::ruleset::{Family, Identifier, Ruleset, Set, Table};
use super::{claims, log, spec};
use crate::net::{IfName, Name};
use crate::registry::Registry;
use std::iter;

/// What is wanted besides what the registry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The bridge table.
    pub table: Identifier,
    /// Which protections, besides the original's two chains.
    pub guard: Guard,
    /// How they are laid out.
    pub layout: Layout,
    /// Whether what is dropped is logged.
    pub log: bool,
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
    let address_sets = address_sets::sets(registry, &wishes.set_names);
    let mut others: Vec<Table> = Vec::new();
    for (family, name) in &wishes.sets_into {
        let is_table = |table: (Family, &Identifier)| table == (*family, name);
        let is_there = others.iter().any(|table| is_table((table.family, &table.name)));
        if !is_there && !is_table((Family::Bridge, &wishes.table)) {
            others.push(Table { sets: address_sets.clone(), ..Table::named(*family, name.clone()) });
        }
    }
    let tables = iter::once(bridge_table(registry, wishes, address_sets)).chain(others);
    Ruleset { tables: tables.collect() }
}

fn bridge_table<'a>(registry: &'a Registry, wishes: &Wishes, address_sets: Vec<Set<'a>>) -> Table<'a> {
    let (guard, layout) = (wishes.guard, wishes.layout);
    let claims = claims::sets(registry, guard);
    let mut chains: Vec<_> = spec::chains(registry, layout, &claims).into();
    let mut sets = Vec::new();
    let of_guard = guard::chains(guard, &claims);
    match layout {
        Layout::Sets => {
            chains.extend(of_guard);
            sets.extend(claims);
        }
        Layout::Rules => chains.extend(layout::spell_out(of_guard, &claims)),
    }
    if wishes.log {
        log::add(&mut chains);
    }
    sets.extend(guard::offender_sets(guard));
    sets.extend(address_sets);

    let mut table = Table::named(Family::Bridge, wishes.table.clone());
    table.protections = hooks::protections(guard).into();
    let base_chains = hooks::BASE_CHAINS.into_iter();
    match &wishes.hook {
        Hooking::LeaveAsIs => table.kept_hooks = base_chains.map(|(name, _, protection)| (name, protection)).collect(),
        Hooking::Remove => table.absent_chains = base_chains.map(|(name, hook, _)| (name, Some(hook))).collect(),
        Hooking::Protect { bridges, trusted_ports } => {
            let others = base_chains.filter(|(_, hook, _)| !hooks::belongs_to(hook.point, guard));
            table.absent_chains = others.map(|(name, hook, _)| (name, Some(hook))).collect();
            let base_chains = hooks::chains(guard, bridges, trusted_ports, &chains);
            chains.extend(base_chains);
        }
    }
    let is_planned = |name: &&str| chains.iter().any(|chain| chain.name == *name);
    // Who goes to a chain goes first.
    let absent = guard::CHAINS.into_iter().rev().filter(|name| !is_planned(name));
    table.absent_chains.extend(absent.map(|name| (name, None)));
    let is_planned = |name: &&str| sets.iter().any(|set| set.name.as_str() == *name);
    let all_sets = claims::SETS.into_iter().chain(guard::block::all_offenders());
    table.absent_sets = all_sets.filter(|name| !is_planned(name)).collect();
    Table { chains, sets, ..table }
}
