//! A second opinion on our encoder: nftnl, the bindings of the library that nft itself encodes with, writes the same
//! transactions, and every message is compared attribute by attribute.
//!
//! [`INTENDED`] lists what we send otherwise than nftnl, and why. An entry that no longer makes a difference fails too.
#![allow(unsafe_code)] // raw.rs says what for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod arbitrary;
mod libnftnl;
mod raw;
mod tree;

use arbitrary::{any_instance, any_key, any_statement};
use instances::net::{Mac, Name};
use instances::plan::claims;
use instances::plan::diff::{ChainDelta, RuleEdit, SetDelta, TableDelta};
use instances::plan::guard::{Guard, Protection};
use instances::plan::hooks::Bridges;
use instances::plan::layout::Layout;
use instances::plan::policy::{self, Hooking, Wishes};
use instances::plan::responder::rules::{self, Traffic};
use instances::plan::ruleset::{
    Chain, Comment, Element, Elements, Family, Field, Hook, HookPoint, Key, Keyed, Match, Recorded, Rule, Ruleset, Set,
    Table, Value,
};
use instances::registry::{Registry, wire};
use instances::sink::nft_netlink::batch;
use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use tree::{Message, Padding, Value as Tree};

const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const EXCLUSIVE: u16 = 0x200;
const ACK: u16 = 0x4;

const NFTABLES: u16 = 10 << 8;
const NEW_TABLE: u16 = NFTABLES;
const NEW_CHAIN: u16 = NFTABLES | 0x03;
const NEW_RULE: u16 = NFTABLES | 0x06;
const NEW_SET: u16 = NFTABLES | 0x09;
const NEW_ELEMENTS: u16 = NFTABLES | 0x0c;
const DELETE_ELEMENTS: u16 = NFTABLES | 0x0e;
const BATCH_BEGIN: u16 = 0x10;
const SET_ID: u16 = 10;
const RULE_POSITION: u16 = 6;

const GENERATION: u32 = 0x0102_0304;

/// Something that we do otherwise than nftnl.
struct Intended {
    /// What and why.
    why: &'static str,
    /// Makes nftnl's message like ours; `false`: it was so already.
    rewrite: fn(&mut Message) -> bool,
}

const INTENDED: [Intended; 7] = [
    Intended {
        why: "nftnl wants an answer to every message, which overruns the receive buffer; we want one, to the last object",
        rewrite: |message| clear_flags(message, ACK),
    },
    Intended {
        why: "we tie the batch to a generation, so that it fails when others commit in between; nftnl cannot",
        rewrite: |message| {
            let begins = message.kind == BATCH_BEGIN;
            if begins {
                message.attributes.push((1, Tree::Bytes(GENERATION.to_be_bytes().to_vec())));
            }
            begins
        },
    },
    Intended {
        why: "we flag whatever may be new NLM_F_CREATE, tables too; the kernel does not ask for it there",
        rewrite: |message| {
            let unflagged = message.kind == NEW_TABLE && message.flags & CREATE == 0;
            if unflagged {
                message.flags |= CREATE;
            }
            unflagged
        },
    },
    Intended {
        why: "nftnl sets a table's flags to 0; we leave them out, since it may be dormant, which is for its owner to end",
        rewrite: |message| message.kind == NEW_TABLE && remove(message, 2),
    },
    Intended {
        why: "nftnl's NLM_F_EXCL on rules means nothing without a handle; nft and we leave it out",
        rewrite: |message| message.kind == NEW_RULE && clear_flags(message, EXCLUSIVE),
    },
    Intended {
        why: "nftnl appends, also behind the rule at a position; we insert in front of it",
        rewrite: |message| {
            let has_position = message.attributes.iter().any(|(kind, _)| *kind == RULE_POSITION);
            message.kind == NEW_RULE && has_position && clear_flags(message, APPEND)
        },
    },
    Intended {
        why: "libnftnl numbers elements by their place; we write NFTA_LIST_ELEM as the kernel does; it looks at neither",
        rewrite: |message| {
            let mut numbered = false;
            for (kind, _) in elements(message) {
                numbered |= *kind != 1;
                *kind = 1;
            }
            numbered
        },
    },
];

fn clear_flags(message: &mut Message, flags: u16) -> bool {
    let had = message.flags & flags != 0;
    message.flags &= !flags;
    had
}

fn remove(message: &mut Message, kind: u16) -> bool {
    let before = message.attributes.len();
    message.attributes.retain(|(found, _)| *found != kind);
    message.attributes.len() < before
}

fn elements(message: &mut Message) -> &mut [tree::Attribute] {
    let list = message.attributes.iter_mut().find(|(kind, _)| *kind == 3);
    match list {
        Some((_, Tree::Nested(list))) if matches!(message.kind, NEW_ELEMENTS | DELETE_ELEMENTS) => list,
        _ => &mut [],
    }
}

/// What has to change where nothing is held.
fn from_nothing(ruleset: &Ruleset) -> Vec<TableDelta> {
    let delta = |table: &Table| TableDelta {
        chains: vec![ChainDelta::New; table.chains.len()],
        sets: vec![SetDelta::New; table.sets.len()],
        ..TableDelta::default()
    };
    ruleset.tables.iter().map(delta).collect()
}

/// Compares both encodings; gives the intended differences that were met, and our messages.
fn assert_same(ruleset: &Ruleset, deltas: &[TableDelta]) -> (BTreeSet<&'static str>, Vec<Message>) {
    let batch = batch::build(ruleset, Some(GENERATION), deltas).unwrap().unwrap();
    let mut ours = tree::messages(&batch.bytes, Padding::Zero);
    for (message, sequence) in ours.iter_mut().zip(batch::FIRST..) {
        assert_eq!(message.sequence, sequence, "sequence numbers count on");
        assert_eq!(clear_flags(message, ACK), sequence == batch.acknowledged, "flags of message {sequence}");
    }
    // Ours are numbered as the messages are, nftnl's from 1. It only matters that no two in a batch are the same.
    for (message, number) in ours.iter_mut().filter(|message| message.kind == NEW_SET).zip(1_u32..) {
        let (_, id) = message.attributes.iter_mut().find(|(kind, _)| *kind == SET_ID).unwrap();
        assert_eq!(*id, Tree::Bytes(message.sequence.to_be_bytes().to_vec()));
        *id = Tree::Bytes(number.to_be_bytes().to_vec());
    }
    assert_eq!(ours.len(), usize::try_from(batch.acknowledged + 1).unwrap(), "the last object is acknowledged");

    let mut theirs = tree::messages(&libnftnl::batch(ruleset, deltas), Padding::Any);
    let mut met = BTreeSet::new();
    for message in &mut theirs {
        met.extend(INTENDED.iter().filter(|intended| (intended.rewrite)(message)).map(|intended| intended.why));
    }
    let (ours, theirs) = (joined(ours), joined(theirs));
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        // nftnl's sequence numbers begin elsewhere on kernels before 6.10.
        let theirs = &Message { sequence: ours.sequence, ..theirs.clone() };
        assert!(ours == theirs, "message {number}\nours:    {ours:?}\nnftnl's: {theirs:?}");
    }
    assert_eq!(ours.len(), theirs.len(), "number of messages");
    (met, ours)
}

/// Joins the messages with the elements of one set, of which each side puts another number into one, and puts them behind the
/// others: nftnl is given one set after the other, we fill them side by side.
fn joined(messages: Vec<Message>) -> Vec<Message> {
    let mut others: Vec<Message> = Vec::new();
    let mut of_sets: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for mut message in messages {
        let more = elements(&mut message).to_vec();
        if more.is_empty() {
            others.push(message);
            continue;
        }
        let of_set = of_sets.entry(format!("{:?}", &message.attributes[..2])).or_default();
        match of_set.last_mut().filter(|last| last.kind == message.kind) {
            Some(last) => match last.attributes.last_mut() {
                Some((_, Tree::Nested(list))) => list.extend(more),
                _ => panic!("elements are the last attribute: {last:?}"),
            },
            None => of_set.push(message),
        }
    }
    others.extend(of_sets.into_values().flatten());
    others
}

fn registry(json: &str) -> Registry {
    wire::parse(json.as_bytes()).unwrap().0
}

fn wishes(guard: Guard, layout: Layout, hook: Hooking) -> Wishes {
    let set_names = ["web-1", "absent"].map(|name| name.parse().unwrap()).to_vec();
    let sets_into = vec![(Family::Inet, "filter".parse().unwrap()), (Family::Arp, "arp.table".parse().unwrap())];
    Wishes { table: "instances".parse().unwrap(), guard, layout, log: true, set_names, hook, sets_into }
}

fn hooked() -> Hooking {
    let bridges = Bridges::These(["br0", "a23456789012345"].map(|name| name.parse().unwrap()).to_vec());
    Hooking::Protect { bridges, trusted_ports: vec!["eth0".parse().unwrap()] }
}

/// Every kind of rule, set and element that the plan makes.
const EVERY_KIND: &str = r#"{
    "02:00:00:00:00:01": {"name": "web-1", "ipv4": "192.0.2.1", "ipv6_gua": "2001:db8::1", "ipv6_ula": "fd00::1",
        "ipv6_lla": "fe80::1", "allowed": ["198.51.100.0/25", "203.0.113.7/32", "2001:db8:1::/61", "fd00::7/128"]},
    "02:00:00:00:00:02": {"ipv4": "192.0.2.2", "allowed": ["0.0.0.0/0", "::/0"]},
    "02:00:00:00:00:03": {"name": "bare", "port": "tap3"},
    "02:00:00:00:00:04": {"name": "bound", "port": "tap4", "ipv4": "192.0.2.4", "ipv6_ula": "fd00::4"}
}"#;

fn all_protections() -> Guard {
    Protection::ALL.into_iter().collect()
}

#[test]
fn nftnl_encodes_every_kind_of_rule_as_we_do_but_for_what_is_intended() {
    let registry = registry(EVERY_KIND);
    let mut met = BTreeSet::new();
    for guard in [Guard::SPEC, Guard::strict(), all_protections()] {
        for layout in [Layout::Rules, Layout::Sets] {
            let ruleset = policy::ruleset(&registry, &wishes(guard, layout, hooked()));
            let (differences, ours) = assert_same(&ruleset, &from_nothing(&ruleset));
            met.extend(differences);
            // That the comparison compares something.
            let count = |kind| ours.iter().filter(|message| message.kind == kind).count();
            let rules: usize = ruleset.tables[0].chains.iter().map(|chain| chain.rules.len()).sum();
            let chains = ruleset.tables[0].chains.len();
            let sets: usize = ruleset.tables.iter().map(|table| table.sets.len()).sum();
            assert_eq!((count(NEW_TABLE), count(NEW_CHAIN), count(NEW_RULE)), (3, chains, rules));
            let filled = ruleset.tables.iter().flat_map(|table| &table.sets).filter(|set| !set.elements.is_empty());
            assert_eq!((count(NEW_SET), count(NEW_ELEMENTS)), (sets, filled.count()));
            assert!(guard.is_spec() || (chains > 30 && sets > 40), "{chains} chains, {sets} sets");
        }
    }
    met.extend(edit_everything(&registry));
    let unmet: Vec<_> = INTENDED.iter().map(|intended| intended.why).filter(|why| !met.contains(why)).collect();
    assert!(unmet.is_empty(), "no longer different: {unmet:#?}");
}

/// Deltas with every kind of step.
fn edit_everything(registry: &Registry) -> BTreeSet<&'static str> {
    let ruleset = policy::ruleset(registry, &wishes(all_protections(), Layout::Sets, hooked()));
    let mut met = BTreeSet::new();
    for turn in 0..4 {
        let mut deltas = from_nothing(&ruleset);
        for (index, (chain, delta)) in ruleset.tables[0].chains.iter().zip(&mut deltas[0].chains).enumerate() {
            let edits = [
                RuleEdit::Delete { handle: 0x0102_0304_0506_0708 },
                RuleEdit::Insert { rule: 0, before: Some(7) },
                RuleEdit::Insert { rule: chain.rules.len() - 1, before: None },
            ];
            *delta = [ChainDelta::Same, ChainDelta::New, ChainDelta::Replaced, ChainDelta::Edited(edits.into())]
                [(index + turn) % 4]
                .clone();
        }
        for (index, (set, delta)) in ruleset.tables[0].sets.iter().zip(&mut deltas[0].sets).enumerate() {
            let all = set.elements.entries();
            let remove = all.map(|element| (element.key, element.last)).collect();
            let add = (0..set.elements.len()).step_by(2).collect();
            *delta = [SetDelta::NOTHING, SetDelta::New, SetDelta::Edited { remove, add }][(index + turn) % 3].clone();
        }
        let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        deltas[0].emptied_chains = names(["instances_input", "instances_forward"]);
        deltas[0].removed_chains = names(["instances_input", "instances_forward"]);
        deltas[turn % 3].emptied_sets = names(["instances_ip_nets", "retired.v4.instance"]);
        met.extend(assert_same(&ruleset, &deltas).0);
    }
    met
}

#[test]
fn nftnl_encodes_every_fixture_as_we_do() {
    let mut compared = 0;
    for case in fs::read_dir("nft-fixtures").unwrap() {
        let path = case.unwrap().path().join("registry.json");
        let text = fs::read(&path).unwrap();
        let Ok((registry, _)) = wire::parse(&text) else { panic!("{} is malformed", path.display()) };
        if registry.iter().filter_map(|(_, it)| it.name()).all(|name| name.as_str().len() <= libnftnl::LONGEST_COMMENT)
        {
            for (guard, layout) in [(Guard::SPEC, Layout::Rules), (Guard::strict(), Layout::Sets)] {
                let ruleset = policy::ruleset(&registry, &wishes(guard, layout, hooked()));
                assert_same(&ruleset, &from_nothing(&ruleset));
            }
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} fixtures");
}

#[test]
fn sets_of_several_messages_hold_the_same_elements() {
    let v4: Vec<_> = (0..4000_u32).map(Ipv4Addr::from).collect();
    let v6 = (0..4000_u128).map(Ipv6Addr::from).collect();
    let name: Name = "a".repeat(Comment::LONGEST).parse().unwrap();
    let ranges = v4.iter().map(|address| Element {
        key: Key::of(&[Value::Ipv4(*address), Value::Mac(Mac([2; 6]))]),
        prefix: Some(31),
        comment: Some(Comment::name(&name)),
    });
    let (fields, elements_of_ranges) = (claims::IP_KEY, ranges.collect());
    let keyed = Keyed { fields, interval: true, counted: true, elements: elements_of_ranges };
    let sets = [("v4", Elements::Ipv4(v4)), ("v6", Elements::Ipv6(v6)), ("nets", Elements::Keyed(keyed))];
    let sets = sets.map(|(name, elements)| Set { name: name.parse().unwrap(), elements }).to_vec();
    let ruleset = ruleset(vec![], sets);
    let numbers = |deltas: &[TableDelta]| {
        let (_, mut ours) = assert_same(&ruleset, deltas);
        let numbers = ours.iter_mut().map(|message| elements(message).len()).filter(|number| *number > 0);
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(numbers(&from_nothing(&ruleset)), [4000; 3]);
    let edited = |set: &Set| {
        let all = set.elements.entries();
        let remove = all.map(|element| (element.key, element.last)).collect();
        SetDelta::Edited { remove, add: (0..4000).rev().collect() }
    };
    let sets = ruleset.tables[0].sets.iter().map(edited).collect();
    assert_eq!(numbers(&[TableDelta { sets, ..TableDelta::default() }]), [4000; 6]);
}

fn ruleset<'a>(chains: Vec<Chain<'a>>, sets: Vec<Set<'a>>) -> Ruleset<'a> {
    let name = "table".parse().unwrap();
    let table = Table {
        family: Family::Bridge,
        name,
        chains,
        protections: vec![],
        absent_chains: vec![],
        kept_hooks: vec![],
        sets,
        absent_sets: vec![],
        set_endings: &[],
    };
    Ruleset { tables: vec![table] }
}

/// What the model makes a mask of.
#[test]
fn a_prefix_is_a_netmask() {
    let target = Field::Ip6Source;
    for bits in 0..=128 {
        let expected = Ipv6Net::new(Ipv6Addr::UNSPECIFIED, bits).unwrap().netmask().octets();
        let matched = Match::prefix(target, bits, Value::Ipv6(Ipv6Addr::LOCALHOST));
        assert_eq!(matched.mask.unwrap()[..], expected);
    }
    for bits in 0..=32 {
        let expected = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, bits).unwrap().netmask().octets();
        let matched = Match::prefix(Field::IpSource, bits, Value::Ipv4(Ipv4Addr::LOCALHOST));
        assert_eq!(matched.mask.unwrap()[..], expected);
    }
}

#[test]
fn nftnl_encodes_the_responders_rules_as_we_do() {
    let traffic =
        [Traffic::Dhcp4, Traffic::RouterSolicitations, Traffic::NeighborSolicitations, Traffic::Dhcp6].into_iter();
    let queues: Vec<_> = traffic.zip(42..).collect();
    for bypass in [false, true] {
        let taps = ["tap+", "vnet0"].map(|taps| taps.parse().unwrap()).to_vec();
        let ruleset = rules::ruleset(&rules::Wishes { taps, queues: queues.clone(), bypass });
        assert_same(&ruleset, &from_nothing(&ruleset));
    }
}

proptest! {
    #[test]
    fn nftnl_encodes_random_rules_as_we_do(
        rules in proptest::collection::vec(
            (proptest::collection::vec(any_statement(), 1..8), proptest::option::of("[a-zA-Z][a-zA-Z0-9-]{0,124}")),
            0..6,
        ),
        hook in proptest::option::of((0..3_usize, any::<i32>())),
        key in any_key(),
        (interval, counted, prefix) in any::<(bool, bool, u8)>(),
        bytes in any::<[u8; Key::LONGEST]>(),
    ) {
        let comments: Vec<Option<Name>> = rules.iter().map(|(_, it)| it.as_ref().map(|it| it.parse().unwrap())).collect();
        let rules = rules.iter().zip(&comments).map(|((statements, _), comment)| Rule {
            statements: statements.as_slice().into(),
            comment: comment.as_ref().map(Comment::name),
            remark: None,
        });
        let points = [HookPoint::Prerouting, HookPoint::Input, HookPoint::Forward];
        let hook = hook.map(|(point, priority)| Hook { point: points[point], priority });
        let chain = Chain { name: "chain", meant_for: None, hook, rules: rules.collect() };
        // The bytes need not make sense; of the first field, those behind the prefix come in the end of the range.
        let length: usize = key.iter().map(|field| field.length().next_multiple_of(4)).sum();
        let first = u8::try_from(8 * key[0].length()).unwrap();
        let prefix = interval.then_some(prefix % (first + 1));
        let element = Element { key: Key::of_bytes(&bytes[..length.min(Key::LONGEST)]), prefix, comment: None };
        let keyed = Keyed { fields: key, interval, counted, elements: vec![element] };
        let recorded = Recorded { fields: key, size: 7, timeout: u32::from(bytes[0]) };
        let set = |name: &str, elements| Set { name: name.parse().unwrap(), elements };
        let sets = vec![set("keyed", Elements::Keyed(keyed)), set("recorded", Elements::Recorded(recorded))];
        let ruleset = ruleset(vec![chain], sets);
        assert_same(&ruleset, &from_nothing(&ruleset));
    }

    #[test]
    fn nftnl_encodes_random_registries_under_any_guard_in_any_layout_as_we_do(
        instances in proptest::collection::vec(any_instance(), 0..8),
        protections in proptest::sample::subsequence(Protection::ALL.to_vec(), 0..=Protection::ALL.len()),
        (sets, hooks) in any::<(bool, bool)>(),
    ) {
        let one = |(index, instance): (usize, &String)| format!("\"02:00:00:00:00:{index:02x}\": {instance}");
        let all = instances.iter().enumerate().map(one).collect::<Vec<_>>().join(", ");
        let registry = registry(&format!("{{{all}}}"));
        let layout = if sets { Layout::Sets } else { Layout::Rules };
        let hook = if hooks { hooked() } else { Hooking::Remove };
        let ruleset = policy::ruleset(&registry, &wishes(protections.into_iter().collect(), layout, hook));
        assert_same(&ruleset, &from_nothing(&ruleset));
    }
}
