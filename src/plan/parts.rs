//! The few instances of two registries that decide what leads from the policy of one to that of the other.
//!
//! In the layout with sets an element belongs to one instance, whose MAC is in its key, or to all that have the same address
//! or port. Whether an optional set exists, and the rules that look it up, depends on whether anybody needs it. So policies
//! of these parts differ as those of the whole registries do: of who changed, of all who have something in common with
//! these, and for each optional set of one who needs it.

use super::claims;
use super::guard::Guard;
use super::layout::Layout;
use super::policy::Wishes;
use crate::net::{IfName, Mac};
use crate::registry::{Instance, Registry};
use rustc_hash::FxHashSet;
use std::net::IpAddr;

/// The parts of both; none in the layout with rules, where the order of all instances matters.
pub fn of(old: &Registry, new: &Registry, wishes: &Wishes) -> Option<[Registry; 2]> {
    if wishes.layout == Layout::Rules {
        return None;
    }
    let guard = wishes.guard;
    let mut chosen = changed(old, new);
    let both = [old, new];
    let of_changed = chosen.iter().flat_map(|mac| both.map(|registry| Some((*mac, registry.get(*mac)?)))).flatten();
    let touched: FxHashSet<Common> = of_changed.flat_map(|(mac, instance)| common(mac, instance, guard)).collect();
    let shares = |(mac, instance): &(Mac, &Instance)| common(*mac, instance, guard).any(|it| touched.contains(&it));
    // Who has not changed is the same in both.
    chosen.extend(new.iter().filter(shares).map(|(mac, _)| mac));
    for registry in both {
        chosen.extend(examples(registry, guard));
    }
    Some(both.map(|registry| registry.only(&chosen)))
}

/// Who is not the same in both.
fn changed(old: &Registry, new: &Registry) -> FxHashSet<Mac> {
    let is_same = |mac, instance: &Instance| old.get(mac).is_some_and(|old| old.means_the_same(instance));
    let come = new.iter().filter(|(mac, instance)| !is_same(*mac, instance));
    let gone = old.iter().filter(|(mac, _)| new.get(*mac).is_none());
    come.chain(gone).map(|(mac, _)| mac).collect()
}

/// What several instances may have, and then share the elements of.
#[derive(PartialEq, Eq, Hash)]
enum Common {
    Address(IpAddr),
    Port(IfName),
}

fn common(mac: Mac, instance: &Instance, guard: Guard) -> impl Iterator<Item = Common> {
    let port = instance.port().map(Common::Port);
    claims::addresses(mac, instance, guard).map(Common::Address).chain(port)
}

/// One instance, or a few, for each of the optional sets that this registry needs.
fn examples(registry: &Registry, guard: Guard) -> impl Iterator<Item = Mac> {
    let mut there = 0;
    let is_first = move |(mac, instance): &(Mac, &Instance)| {
        let needs = claims::optional_sets(*mac, instance, guard);
        let is_first = needs & !there != 0;
        there |= needs;
        is_first
    };
    registry.iter().filter(is_first).map(|(mac, _)| mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::diff::{self, SetDelta, TableDelta};
    use crate::plan::guard::Protection;
    use crate::plan::policy::{self, Hooking};
    use crate::plan::ruleset::{Elements, Family, Key, Ruleset};
    use crate::registry::wire;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use std::collections::BTreeSet;

    fn wishes(guard: Guard) -> Wishes {
        Wishes {
            table: "instances".parse().unwrap(),
            guard,
            layout: Layout::Sets,
            log: false,
            set_names: ["web", "db"].map(|name| name.parse().unwrap()).to_vec(),
            hook: Hooking::Remove,
            sets_into: vec![(Family::Inet, "filter".parse().unwrap())],
        }
    }

    /// The fields of an instance. There are few values of each, so that many have the same.
    fn fields() -> impl Strategy<Value = String> {
        let field = |name: &'static str, values: &'static [&'static str]| {
            option::of(select(values)).prop_map(move |value| value.map(|value| format!("\"{name}\": \"{value}\"")))
        };
        let single = (
            field("name", &["web", "WEB", "db"]),
            field("ipv4", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
            field("ipv6_gua", &["2a00::1", "2a00::2"]),
            field("ipv6_ula", &["fd00::1", "fd00::2"]),
            // The second and third come of MACs.
            field("ipv6_lla", &["fe80::1", "fe80::ff:fe00:0", "fe80::ff:fe00:1"]),
            field("port", &["tap1", "tap2"]),
        );
        let allowed = [
            "10.0.0.1/32",
            "10.0.0.9/32",
            "10.0.0.0/24",
            "10.0.0.0/30",
            "2a00::1/128",
            "fd00::/64",
            "fe80::ff:fe00:1/128",
        ];
        let allowed = prop_oneof![2 => Just(vec![]), 1 => subsequence(allowed.to_vec(), 1..3)];
        (single, allowed).prop_map(|((a, b, c, d, e, f), allowed)| {
            let quoted: Vec<_> = allowed.iter().map(|net| format!("\"{net}\"")).collect();
            let allowed = (!allowed.is_empty()).then(|| format!("\"allowed\": [{}]", quoted.join(", ")));
            [a, b, c, d, e, f, allowed].into_iter().flatten().collect::<Vec<_>>().join(", ")
        })
    }

    fn registry<'a>(instances: impl IntoIterator<Item = (usize, &'a String)>) -> Registry {
        let instance =
            |(index, fields)| format!("\"02:00:00:00:{:02x}:{:02x}\": {{{fields}}}", index >> 8, index & 0xff);
        let instances: Vec<_> = instances.into_iter().map(instance).collect();
        wire::parse(format!("{{{}}}", instances.join(", ")).as_bytes()).unwrap().0
    }

    /// A registry and what became of it: some instances changed, came, went, and perhaps all in another order.
    fn registries() -> impl Strategy<Value = [Registry; 2]> {
        let changed = prop_oneof![3 => Just(None), 1 => option::of(fields()).prop_map(Some)];
        (vec((option::of(fields()), changed), 0..10), any::<bool>()).prop_map(|(all, turn)| {
            let old = all.iter().enumerate().filter_map(|(index, (old, _))| Some((index, old.as_ref()?)));
            let new = |(old, changed): &'_ _| -> Option<String> {
                Option::clone(changed).unwrap_or_else(|| Option::clone(old))
            };
            let new: Vec<_> = all.iter().map(new).collect();
            let new = new.iter().enumerate().filter_map(|(index, new)| Some((index, new.as_ref()?)));
            let mut new: Vec<_> = new.collect();
            if turn {
                new.reverse();
            }
            [registry(old), registry(new)]
        })
    }

    type Touched = BTreeSet<(usize, String, Key, Option<String>)>;

    /// What goes and what comes, with what stays as it is left out.
    fn touched(held: &Ruleset, planned: &Ruleset, deltas: &[TableDelta]) -> [Touched; 2] {
        let [mut gone, mut come, mut there]: [Touched; 3] = Default::default();
        for (table, (held, (planned, delta))) in held.tables.iter().zip(planned.tables.iter().zip(deltas)).enumerate() {
            for (held, (planned, delta)) in held.sets.iter().zip(planned.sets.iter().zip(&delta.sets)) {
                let SetDelta::Edited { remove, add } = delta else { panic!("a set is new") };
                let name = || planned.name.to_string();
                let removed: BTreeSet<_> = remove.iter().map(|(key, _)| *key).collect();
                gone.extend(
                    remove.iter().map(|(key, last)| (table, name(), *key, last.map(|last| format!("{last:?}")))),
                );
                let element = |entry: crate::plan::ruleset::Entry<'_>| {
                    (table, name(), entry.key, Some(format!("{:?} {:?}", entry.last, entry.comment)))
                };
                come.extend(add.iter().map(|index| element(planned.elements.entry(*index).unwrap())));
                there.extend(held.elements.entries().filter(|entry| !removed.contains(&entry.key)).map(element));
            }
        }
        [gone, &come - &there]
    }

    fn assert_differ_as_the_whole(old: &Registry, new: &Registry, guard: Guard) {
        let wishes = wishes(guard);
        let [all_old, all_new] = [old, new].map(|registry| policy::ruleset(registry, &wishes));
        // What is counted and asked for after a load takes that for granted.
        for set in all_new.tables.iter().flat_map(|table| &table.sets) {
            let keys: BTreeSet<_> = set.elements.entries().map(|entry| entry.key).collect();
            assert!(keys.len() == set.elements.len() || !matches!(set.elements, Elements::Keyed(_)), "{}", set.name);
        }
        let parts = of(old, new, &wishes).unwrap();
        let [old, new] = parts.each_ref().map(|part| policy::ruleset(part, &wishes));
        let (all, short) = (diff::between(&all_old, &all_new), diff::between(&old, &new));
        assert_eq!(all.is_some(), short.is_some());
        if let Some((all, short)) = all.zip(short) {
            assert_eq!(touched(&all_old, &all_new, &all), touched(&old, &new, &short));
            for (all, part) in all_new.tables.iter().zip(&new.tables) {
                assert_eq!((&all.chains, &all.absent_sets), (&part.chains, &part.absent_sets));
                assert!(all.sets.iter().map(|set| &set.name).eq(part.sets.iter().map(|set| &set.name)));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn policies_of_the_parts_differ_as_those_of_the_whole(
            [old, new] in registries(),
            guard in prop_oneof![
                Just(Guard::strict()),
                Just(Guard::SPEC),
                subsequence(Protection::ALL.to_vec(), 0..12).prop_map(|some| some.into_iter().collect()),
            ],
        ) {
            assert_differ_as_the_whole(&old, &new, guard);
        }
    }

    #[test]
    fn a_change_takes_who_shares_something_and_an_example_of_each_optional_set() {
        let fields = |index: usize| match index {
            300..320 => format!(r#""ipv4": "10.1.0.{}", "port": "tap{index}""#, index - 300),
            7 | 8 => r#""ipv4": "10.9.9.9", "allowed": ["10.9.0.0/24"]"#.to_owned(),
            _ => format!(r#""ipv4": "10.0.{}.{}""#, index >> 8, index & 0xff),
        };
        let mut instances: Vec<_> = (0..1000).map(fields).collect();
        let old = registry(instances.iter().enumerate());
        instances[500] = r#""ipv4": "10.9.9.9""#.to_owned();
        instances.push(r#""ipv4": "10.2.0.0""#.to_owned());
        let new = registry(instances.iter().enumerate());
        let parts = of(&old, &new, &wishes(Guard::strict())).unwrap();
        // Three of 10.9.9.9, one with a port, and who is new.
        assert_eq!(parts.each_ref().map(Registry::len), [4, 5]);
        assert_differ_as_the_whole(&old, &new, Guard::strict());
        let same = of(&new, &new, &wishes(Guard::strict())).unwrap();
        assert_eq!(same.each_ref().map(Registry::len), [2, 2]);
    }
}
