//! A second opinion on our encoder: nftnl, the bindings of the library that nft itself encodes with, writes the same
//! transactions, and every message is compared attribute by attribute.
//!
//! [`INTENDED`] lists what we send otherwise than nftnl, and why. An entry that no longer makes a difference fails too.
#![allow(unsafe_code)] // libnftnl.rs says what for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod libnftnl;
mod tree;

use instances::net::{Mac, Name};
use instances::plan::hooks::Bridges;
use instances::plan::policy::{self, Hooking, Wishes};
use instances::plan::ruleset::{
    Chain, Comment, Elements, EtherType, Family, Field, Hook, HookPoint, Icmpv6, Match, Rule, Ruleset, Set, Statement,
    Table, Value, Verdict,
};
use instances::registry::{Registry, wire};
use instances::sink::nft_netlink::batch;
use instances::sink::nft_netlink::readback::{ChainState, TableState};
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

const GENERATION: u32 = 0x0102_0304;

/// Something that we do otherwise than nftnl.
struct Intended {
    /// What and why.
    why: &'static str,
    /// Makes nftnl's message like ours; `false`: it was so already.
    rewrite: fn(&mut Message) -> bool,
}

const INTENDED: [Intended; 9] = [
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
        why: "nftnl's NLM_F_APPEND on sets means nothing, as they have no order; nft and we leave it out",
        rewrite: |message| message.kind == NEW_SET && clear_flags(message, APPEND),
    },
    Intended {
        why: "NLM_F_EXCL on elements fails the batch when two instances hold one address, which a registry may say",
        rewrite: |message| message.kind == NEW_ELEMENTS && clear_flags(message, EXCLUSIVE),
    },
    Intended {
        why: "nftnl names the set of elements also by its number in the batch; its name is enough",
        rewrite: |message| matches!(message.kind, NEW_ELEMENTS | DELETE_ELEMENTS) && remove(message, 4),
    },
    Intended {
        why: "libnftnl numbers elements by attribute type; we write NFTA_LIST_ELEM as the kernel does; it looks at neither",
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
        Some((_, Tree::Nested(list))) if message.kind == NEW_ELEMENTS => list,
        _ => &mut [],
    }
}

/// Compares both encodings; gives the intended differences that were met, and our messages.
/// An empty kernel, for as many tables as there are here.
const NOTHING: [TableState; 3] =
    [const { TableState { flags: None, chains: BTreeMap::new(), sets: BTreeMap::new() } }; 3];

const OURS: [&str; 4] = ["instances_drop_arp", "instances_drop_ndp", "instances_input", "instances_forward"];

/// A kernel that has these chains in each table.
fn with_chains(names: &[&str]) -> [TableState; 3] {
    let state = ChainState { base: None, policy: None, used: 0 };
    let chains: BTreeMap<_, _> = names.iter().map(|name| ((*name).to_owned(), state.clone())).collect();
    [(); 3].map(|()| TableState { flags: Some(0), chains: chains.clone(), ..TableState::default() })
}

fn assert_same(ruleset: &Ruleset, before: &[TableState]) -> (BTreeSet<&'static str>, Vec<Message>) {
    let batch = batch::replace(ruleset, GENERATION, before).unwrap();
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

    let mut theirs = tree::messages(&libnftnl::batch(ruleset, before), Padding::Any);
    let mut met = BTreeSet::new();
    for message in &mut theirs {
        met.extend(INTENDED.iter().filter(|intended| (intended.rewrite)(message)).map(|intended| intended.why));
    }
    let (ours, theirs) = (joined(ours), joined(theirs));
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        // nftnl's sequence numbers begin elsewhere on kernels before 6.10.
        let theirs = &Message { sequence: ours.sequence, ..theirs.clone() };
        assert!(ours == theirs, "message {number}\nours: {ours:#?}\nnftnl's: {theirs:#?}");
    }
    assert_eq!(ours.len(), theirs.len(), "number of messages");
    (met, ours)
}

/// Joins the messages with the elements of one set: we begin a new one after 1500, libnftnl when an attribute is full.
fn joined(messages: Vec<Message>) -> Vec<Message> {
    let mut joined: Vec<Message> = Vec::new();
    for mut message in messages {
        let more = elements(&mut message).to_vec();
        let last = joined.last_mut().filter(|last| !more.is_empty() && last.kind == NEW_ELEMENTS);
        match last.map(|last| &mut last.attributes[..]) {
            Some([table, set, (_, Tree::Nested(list))]) => {
                assert_eq!(message.attributes[..2], [table.clone(), set.clone()]);
                list.extend(more);
            }
            _ => joined.push(message),
        }
    }
    joined
}

fn registry(json: &str) -> Registry {
    wire::parse(json.as_bytes()).unwrap().0
}

fn wishes(hook: Hooking) -> Wishes {
    let set_names = ["web-1", "absent"].map(|name| name.parse().unwrap()).to_vec();
    let sets_into = vec![(Family::Inet, "filter".parse().unwrap()), (Family::Arp, "arp.table".parse().unwrap())];
    Wishes { table: "instances".parse().unwrap(), set_names, hook, sets_into }
}

fn hooked() -> Hooking {
    let bridges = Bridges::These(["br0", "a23456789012345"].map(|name| name.parse().unwrap()).to_vec());
    Hooking::Protect { bridges, trusted_ports: vec!["eth0".parse().unwrap()] }
}

/// Every kind of rule that the plan makes.
const EVERY_KIND: &str = r#"{
    "02:00:00:00:00:01": {"name": "web-1", "ipv4": "192.0.2.1", "ipv6_gua": "2001:db8::1", "ipv6_ula": "fd00::1",
        "ipv6_lla": "fe80::1", "allowed": ["198.51.100.0/25", "203.0.113.7/32", "2001:db8:1::/61", "fd00::7/128"]},
    "02:00:00:00:00:02": {"ipv4": "192.0.2.2", "allowed": ["0.0.0.0/0", "::/0"]},
    "02:00:00:00:00:03": {"name": "bare"}
}"#;

#[test]
fn nftnl_encodes_every_kind_of_rule_as_we_do_but_for_what_is_intended() {
    let registry = registry(EVERY_KIND);
    let (met, ours) = assert_same(&policy::ruleset(&registry, &wishes(hooked())), &NOTHING);
    let unmet: Vec<_> = INTENDED.iter().map(|intended| intended.why).filter(|why| !met.contains(why)).collect();
    assert!(unmet.is_empty(), "no longer different: {unmet:#?}");
    // That the comparison compares something: 3 tables, 4 chains, and the rules in them.
    let count = |kind| ours.iter().filter(|message| message.kind == kind).count();
    assert_eq!((count(NEW_TABLE), count(NEW_CHAIN), count(NEW_RULE)), (3, 4, 6 + 7 + 2 * 5));
    assert_eq!((count(NEW_SET), count(DELETE_ELEMENTS)), (3 * 15, 3 * 15));
}

#[test]
fn nftnl_replaces_and_removes_chains_as_we_do() {
    let registry = registry(EVERY_KIND);
    for hook in [hooked(), Hooking::Remove, Hooking::LeaveAsIs] {
        assert_same(&policy::ruleset(&registry, &wishes(hook.clone())), &with_chains(&OURS));
        assert_same(&policy::ruleset(&registry, &wishes(hook)), &with_chains(&["instances_input"]));
    }
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
            assert_same(&policy::ruleset(&registry, &wishes(hooked())), &NOTHING);
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} fixtures");
}

#[test]
fn sets_of_several_messages_hold_the_same_elements() {
    let v4 = (0..4000_u32).map(Ipv4Addr::from).collect();
    let v6 = (0..4000_u128).map(Ipv6Addr::from).collect();
    let sets = [("v4", Elements::Ipv4(v4)), ("v6", Elements::Ipv6(v6))];
    let sets = sets.map(|(name, elements)| Set { name: name.parse().unwrap(), elements }).to_vec();
    let (_, mut ours) = assert_same(&ruleset(vec![], sets), &NOTHING);
    let numbers: Vec<_> = ours.iter_mut().map(|message| elements(message).len()).filter(|number| *number > 0).collect();
    assert_eq!(numbers, [4000, 4000]);
}

fn ruleset(chains: Vec<Chain<'_>>, sets: Vec<Set>) -> Ruleset<'_> {
    let name = "table".parse().unwrap();
    Ruleset {
        tables: vec![Table { family: Family::Bridge, name, chains, absent_chains: vec![], sets, set_endings: &[] }],
    }
}

fn any_match() -> impl Strategy<Value = Match> {
    let target = Field::NetworkBits { offset: 384, length: 128 };
    let sender = Field::NetworkBits { offset: 112, length: 32 };
    let ether_type = prop_oneof![Just(EtherType::Arp), Just(EtherType::Ip6)];
    let interface = ("[a-z][a-z0-9]{0,14}", prop_oneof![Just(Field::InputBridge), Just(Field::InputPort)]);
    let icmpv6 = Value::Icmpv6(Icmpv6::NeighborAdvertisement);
    prop_oneof![
        any::<[u8; 6]>().prop_map(|mac| Match::equal(Field::EtherSource, Value::Mac(Mac(mac)))),
        ether_type.prop_map(|it| Match::equal(Field::EtherType, Value::EtherType(it))),
        any::<Ipv4Addr>().prop_map(|it| Match::equal(Field::ArpSourceIp, Value::Ipv4(it))),
        (any::<Ipv4Addr>(), proptest::option::of(0..=32_u8)).prop_map(move |(it, prefix)| Match {
            field: sender,
            prefix,
            value: Value::Ipv4(it)
        }),
        (any::<Ipv6Addr>(), proptest::option::of(0..=128_u8)).prop_map(move |(it, prefix)| Match {
            field: target,
            prefix,
            value: Value::Ipv6(it)
        }),
        Just(Match::equal(Field::Icmpv6Type, icmpv6)),
        interface.prop_map(|(name, field)| Match::equal(field, Value::Interface(name.parse().unwrap()))),
    ]
}

fn any_statement() -> impl Strategy<Value = Statement> {
    const VERDICTS: &[Verdict] = &[Verdict::Accept, Verdict::Drop, Verdict::Return, Verdict::Jump("other")];
    prop_oneof![
        any_match().prop_map(Statement::Match),
        Just(Statement::Counter),
        proptest::sample::select(VERDICTS).prop_map(Statement::Verdict),
    ]
}

proptest! {
    #[test]
    fn nftnl_encodes_random_rules_as_we_do(
        rules in proptest::collection::vec(
            (proptest::collection::vec(any_statement(), 1..8), proptest::option::of("[a-zA-Z][a-zA-Z0-9-]{0,124}")),
            0..6,
        ),
        hook in proptest::option::of((any::<bool>(), any::<i32>())),
    ) {
        let comments: Vec<Option<Name>> = rules.iter().map(|(_, it)| it.as_ref().map(|it| it.parse().unwrap())).collect();
        let rules = rules.iter().zip(&comments).map(|((statements, _), comment)| Rule {
            statements: statements.as_slice().into(),
            comment: comment.as_ref().map(Comment::name),
            remark: None,
        });
        let hook = hook.map(|(input, priority)| {
            Hook { point: if input { HookPoint::Input } else { HookPoint::Forward }, priority }
        });
        let chain = Chain { name: "chain", meant_for: vec![], hook, rules: rules.collect() };
        assert_same(&ruleset(vec![chain], vec![]), &NOTHING);
    }
}
