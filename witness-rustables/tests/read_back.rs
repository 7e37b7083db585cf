//! Loads rulesets with `instances` into a network namespace of its own and reads them back with `rustables`.
//!
//! What is expected is written out with rustables' own types; nothing of `instances` that encodes or decodes has a part
//! in it. What rustables 0.9.0 cannot witness:
//! - the policy of a base chain: it reads drop as accept;
//! - `meta ibrname`: it fails on metadata that it does not know (so `--hook '*'` is loaded here);
//! - the operation of a bitwise expression: it ignores it;
//! - elements of sets: it has no way to list them.
#![allow(clippy::unwrap_used)]

use instances::net::IfName;
use instances::plan::guard::Guard;
use instances::plan::hooks::Bridges;
use instances::plan::layout::Layout;
use instances::plan::policy::{self, Hooking, Wishes};
use instances::registry::{Registry, wire};
use instances::sink::nft_netlink::apply;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use rustables::expr::{
    Bitwise, Cmp, CmpOp, Counter, HighLevelPayload, ICMPv6HeaderField, Immediate, LLHeaderField, Meta, MetaType,
    Payload, RawExpression, Register, TransportHeaderField, VerdictKind,
};
use rustables::{
    Chain, ChainType, Hook, HookClass, ProtocolFamily, Rule, Table, list_chains_for_table, list_rules_for_chain,
    list_tables,
};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::{env, slice, thread};

/// Runs the test in a network namespace that ends with it.
fn in_namespace(test: fn()) {
    let unshared = thread::spawn(move || {
        let unshared = unshare(CloneFlags::CLONE_NEWNET);
        if unshared.is_ok() {
            test();
        }
        unshared
    });
    match unshared.join() {
        Ok(Ok(())) => {}
        Ok(Err(Errno::EPERM)) => {
            // Past the capture of libtest, which would hide it.
            let _ = writeln!(io::stderr(), "SKIPPED: only root may make a network namespace");
            assert!(env::var_os("CI").is_none(), "in CI this must run, as root");
        }
        Ok(Err(error)) => panic!("cannot make a network namespace: {error}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn load(registry: &Registry, hook: Hooking) {
    let table = "instances".parse().unwrap();
    let (guard, layout) = (Guard::SPEC, Layout::Rules);
    let wishes = Wishes { table, guard, layout, log: false, set_names: vec![], hook, sets_into: vec![] };
    let ruleset = policy::ruleset(registry, &wishes);
    let applied = apply::apply(&ruleset, apply::generation().unwrap());
    assert!(applied.unwrap().loaded);
}

fn registry(json: &str) -> Registry {
    wire::parse(json.as_bytes()).unwrap().0
}

/// The chains in table `bridge instances`, the only table.
fn chains() -> Vec<Chain> {
    let table = Table::new(ProtocolFamily::Bridge).with_name("instances").with_flags(0_u32);
    assert_eq!(list_tables().unwrap(), slice::from_ref(&table));
    list_chains_for_table(&table).unwrap()
}

fn rules_of(chains: &[Chain], name: &str) -> Vec<Rule> {
    list_rules_for_chain(chains.iter().find(|chain| chain.get_name().is_some_and(|found| found == name)).unwrap())
        .unwrap()
}

/// Expressions and comment.
type Meaning = (Vec<RawExpression>, Option<Vec<u8>>);

fn meaning(rule: &Rule) -> Meaning {
    (rule.get_expressions().unwrap().iter().cloned().collect(), rule.get_userdata().cloned())
}

/// A comment as nft keeps it: type 0, length, text and NUL.
fn comment(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap();
    [&[0, length], text.as_bytes(), &[0]].concat()
}

fn equals(value: &[u8]) -> RawExpression {
    Cmp::new(CmpOp::Eq, value).into()
}

fn counter() -> RawExpression {
    Counter::default().with_nb_packets(0_u64).with_nb_bytes(0_u64).into()
}

fn verdict(kind: VerdictKind) -> RawExpression {
    Immediate::new_verdict(kind).into()
}

fn jump(chain: &str) -> RawExpression {
    verdict(VerdictKind::Jump { chain: chain.into() })
}

fn ether_type() -> RawExpression {
    HighLevelPayload::LinkLayer(LLHeaderField::EtherType).build().into()
}

fn network(offset: u32, length: u32) -> RawExpression {
    const NETWORK_HEADER: u32 = 1;
    Payload::default().with_dreg(Register::Reg1).with_base(NETWORK_HEADER).with_offset(offset).with_len(length).into()
}

fn masked(mask: &[u8]) -> RawExpression {
    Bitwise::new(mask, vec![0; mask.len()]).unwrap().into()
}

/// What follows the claim of an address: `counter ether saddr 02:00:00:00:00:01 counter return`.
fn if_from_the_first() -> [RawExpression; 5] {
    let sender = HighLevelPayload::LinkLayer(LLHeaderField::Saddr).build().into();
    [counter(), sender, equals(&[2, 0, 0, 0, 0, 1]), counter(), verdict(VerdictKind::Return)]
}

fn lockdown() -> Meaning {
    (vec![counter(), verdict(VerdictKind::Drop)], Some(comment("lockdown")))
}

const ARP: &str = "instances_drop_arp";
const NDP: &str = "instances_drop_ndp";

#[test]
fn rustables_reads_back_every_kind_of_rule() {
    in_namespace(|| {
        let registry = registry(
            r#"{"02:00:00:00:00:01": {"name": "web-1", "ipv4": "192.0.2.1", "ipv6_gua": "2001:db8::1",
                "allowed": ["198.51.100.0/25", "2001:db8:1::/61"]}}"#,
        );
        let trusted_ports = vec!["eth0".parse::<IfName>().unwrap()];
        load(&registry, Hooking::Protect { bridges: Bridges::All, trusted_ports });
        let chains = chains();

        let meanings = |chain| rules_of(&chains, chain).iter().map(meaning).collect::<Vec<_>>();
        let claims = |claims: [Vec<RawExpression>; 2]| {
            let rules = claims.map(|claim| ([claim, if_from_the_first().to_vec()].concat(), Some(comment("web-1"))));
            rules.into_iter().chain([lockdown()]).collect::<Vec<_>>()
        };
        let (arp, sender) = (equals(&[0x08, 0x06]), network(14, 4));
        let address = vec![ether_type(), arp.clone(), sender.clone(), equals(&[192, 0, 2, 1])];
        let net = vec![sender, masked(&[255, 255, 255, 128]), equals(&[198, 51, 100, 0])];
        assert_eq!(meanings(ARP), claims([address, net]));

        let octets = |address: &str| address.parse::<Ipv6Addr>().unwrap().octets();
        let address = vec![network(48, 16), equals(&octets("2001:db8::1"))];
        let mask = masked(&octets("ffff:ffff:ffff:fff8::"));
        let net = vec![network(48, 16), mask, equals(&octets("2001:db8:1::"))];
        assert_eq!(meanings(NDP), claims([address, net]));

        let name = Meta::new(MetaType::IifName).into();
        let trusted = vec![name, equals(b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"), verdict(VerdictKind::Accept)];
        let icmpv6_type = HighLevelPayload::Transport(TransportHeaderField::ICMPv6(ICMPv6HeaderField::Type)).build();
        let advertisement =
            [Meta::new(MetaType::L4Proto).into(), equals(&[58]), icmpv6_type.into(), equals(&[136]), jump(NDP)];
        let base = [
            trusted,
            vec![ether_type(), arp, jump(ARP)],
            [vec![ether_type(), equals(&[0x86, 0xdd])], advertisement.to_vec()].concat(),
        ];
        let base = base.map(|expressions| (expressions, None));
        assert_eq!(meanings("instances_input"), base);
        assert_eq!(meanings("instances_forward"), base);
    });
}

#[test]
fn rustables_reads_back_the_chains_and_their_hooks() {
    in_namespace(|| {
        load(&registry("{}"), Hooking::Protect { bridges: Bridges::All, trusted_ports: vec![] });
        let mut chains: Vec<_> = chains();
        chains.sort_by_key(|chain| chain.get_name().cloned());
        let found: Vec<_> = chains
            .iter()
            .map(|chain| (chain.get_name().unwrap().as_str(), chain.get_hook(), chain.get_type()))
            .collect();
        let [input, forward] = [HookClass::In, HookClass::Forward].map(|class| Hook::new(class, -200));
        assert_eq!(
            found,
            [
                (ARP, None, None),
                (NDP, None, None),
                ("instances_forward", Some(&forward), Some(&ChainType::Filter)),
                ("instances_input", Some(&input), Some(&ChainType::Filter)),
            ]
        );
    });
}

/// A thousand instances are several messages of the kernel's, and more than one page of a batch.
#[test]
fn rustables_reads_back_every_one_of_many_rules_in_order() {
    const INSTANCES: u16 = 1000;
    fn address(number: u16) -> Ipv4Addr {
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(10, 0, high, low)
    }
    in_namespace(|| {
        let mut json = String::new();
        for number in 0..INSTANCES {
            let [high, low] = number.to_be_bytes();
            let comma = if number == 0 { '{' } else { ',' };
            let address = address(number);
            write!(
                json,
                "{comma}\"02:00:00:00:{high:02x}:{low:02x}\": {{\"name\": \"n{number}\", \"ipv4\": \"{address}\"}}"
            )
            .unwrap();
        }
        load(&registry(&(json + "}")), Hooking::LeaveAsIs);
        let chains = chains();
        assert_eq!(chains.len(), 2);
        let rules = rules_of(&chains, ARP);
        assert_eq!(rules.len(), usize::from(INSTANCES) + 1);
        for (number, rule) in (0..INSTANCES).zip(&rules) {
            let (expressions, userdata) = meaning(rule);
            assert_eq!(expressions.get(3), Some(&equals(&address(number).octets())));
            assert_eq!(userdata, Some(comment(&format!("n{number}"))));
        }
        assert_eq!(rules.last().map(meaning), Some(lockdown()));
        assert_eq!(rules_of(&chains, NDP).iter().map(meaning).collect::<Vec<_>>(), [lockdown()]);
    });
}
