//! Sets of addresses for people's own rules: of all instances, and of some by name.
//!
//! A requested name that no instance has gets empty sets, so that rules which use them load. Link-local addresses are
//! not in the `v6` sets; `allowed` prefixes are in none.

use super::ruleset::{Elements, Identifier, Set};
use crate::net::{Name, V6Class};
use crate::registry::{Instance, Registry};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name of an instance whose sets have names that nf_tables can hold.
pub const LONGEST_NAME: usize = Identifier::LONGEST - ".v4.instance".len();

/// How the names of our sets end.
pub const ENDINGS: &[&str] = &["v4.instance", "v6.instance", "g6.instance", "u6.instance", "l6.instance"];

/// The sets: five for all, then five for each of `names`, in order.
pub fn sets(registry: &Registry, names: &[Name]) -> Vec<Set<'static>> {
    let mut sets = Vec::new();
    add_sets(&mut sets, "all_", registry.iter().map(|(_, instance)| instance));
    for name in names {
        let prefix = name.as_str().replace('-', "_") + ".";
        let named = |instance: &&Instance| instance.name() == Some(name);
        add_sets(&mut sets, &prefix, registry.iter().map(|(_, instance)| instance).filter(named));
    }
    sets
}

fn add_sets<'a>(sets: &mut Vec<Set<'static>>, prefix: &str, instances: impl Iterator<Item = &'a Instance>) {
    let mut v4: Vec<Ipv4Addr> = Vec::new();
    let [mut v6, mut global, mut unique_local, mut link_local]: [Vec<Ipv6Addr>; 4] = Default::default();
    for instance in instances {
        v4.extend(instance.ipv4());
        v6.extend(instance.ipv6(V6Class::Global));
        v6.extend(instance.ipv6(V6Class::UniqueLocal));
        global.extend(instance.ipv6(V6Class::Global));
        unique_local.extend(instance.ipv6(V6Class::UniqueLocal));
        link_local.extend(instance.ipv6(V6Class::LinkLocal));
    }
    let kinds = [
        ("v4", Elements::Ipv4(v4)),
        ("v6", Elements::Ipv6(v6)),
        ("g6", Elements::Ipv6(global)),
        ("u6", Elements::Ipv6(unique_local)),
        ("l6", Elements::Ipv6(link_local)),
    ];
    for (kind, elements) in kinds {
        // A name begins with a letter and is no longer than LONGEST_NAME, so this is an identifier.
        let Ok(name) = format!("{prefix}{kind}.instance").parse::<Identifier>() else { continue };
        // Two requested names may come to one set.
        if sets.iter().all(|set| set.name != name) {
            sets.push(Set { name, elements });
        }
    }
}
