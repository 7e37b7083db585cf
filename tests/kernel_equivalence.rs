//! The text, loaded by nft, and the netlink transaction, loaded by us, are the same to the kernel; and nft can load again
//! what it lists.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/netns.rs"]
mod netns;

use fixtures::Case;
use instances::net::{IfName, Name};
use instances::plan::guard::{Guard, Protection};
use instances::plan::hooks::Bridges;
use instances::plan::layout::Layout;
use instances::plan::policy::{self, Hooking, Wishes};
use instances::plan::ruleset::{Family, Ruleset};
use instances::registry::{Registry, wire};
use instances::sink::nft_netlink::apply;
use instances::sink::nft_text;
use netns::{feed, in_new_netns, needs, on_stock_kernel, run};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use std::fmt::Write as _;
use std::process::Command;

/// An nft of some version.
struct Nft(String);

impl Nft {
    /// The one that is installed.
    fn here() -> Self {
        Self("nft".to_owned())
    }

    fn load(&self, script: &str) {
        feed(&self.0, &["-f", "-"], script);
    }

    fn list(&self) -> String {
        run(&self.0, &["list", "ruleset"])
    }
}

/// All that a family's table holds according to `nft -j list`, without handles, in an order that does not depend on
/// which chain or set was made first. Rules keep their order within their chain.
fn listing(nft: &Nft) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&run(&nft.0, &["-j", "list", "ruleset"])).unwrap();
    let mut objects = listed["nftables"].as_array().unwrap().clone();
    objects.retain(|object| object.get("metainfo").is_none());
    for object in &mut objects {
        for inner in object.as_object_mut().unwrap().values_mut() {
            inner.as_object_mut().unwrap().remove("handle");
        }
    }
    let place = |object: &Value| {
        let (kind, inner) = object.as_object().unwrap().iter().next().unwrap();
        let text = |key: &str| inner[key].as_str().unwrap_or_default().to_owned();
        (
            kind.clone(),
            text("family"),
            text("table"),
            text("chain"),
            if kind == "rule" { String::new() } else { text("name") },
        )
    };
    objects.sort_by_key(place);
    objects
}

/// The whole ruleset as an nft script.
fn script(ruleset: &Ruleset) -> String {
    let mut text = Vec::new();
    for table in &ruleset.tables {
        text.extend(format!("table {} {} {{\n", table.family, table.name).bytes());
        nft_text::write_sets(&mut text, &table.sets).unwrap();
        nft_text::write_chains(&mut text, &table.chains).unwrap();
        text.extend(b"}\n");
    }
    String::from_utf8(text).unwrap()
}

fn wishes(set_names: &[&str], hook: Hooking, (guard, layout): (Guard, Layout)) -> Wishes {
    let set_names = set_names.iter().map(|name| name.parse::<Name>().unwrap()).collect();
    Wishes {
        table: "instances".parse().unwrap(),
        guard,
        layout,
        log: false,
        set_names,
        hook,
        sets_into: vec![(Family::Inet, "filter".parse().unwrap())],
    }
}

/// Loads both ways into an empty kernel and compares; then loads again, which must change nothing.
fn assert_equal_both_ways(nft: &Nft, registry: &Registry, wishes: &Wishes) {
    let ruleset = policy::ruleset(registry, wishes);
    let text = script(&ruleset);
    nft.load("flush ruleset");
    nft.load(&text);
    let from_text = listing(nft);

    nft.load("flush ruleset");
    let applied = apply::apply(&ruleset, apply::generation().unwrap()).unwrap();
    assert!(applied.loaded);
    let from_netlink = listing(nft);
    assert_eq!(from_text, from_netlink);
    assert_same_when_reloaded(nft, &ruleset);

    let before = apply::generation().unwrap();
    let again = apply::apply(&ruleset, before).unwrap();
    assert!(!again.loaded, "loading what is there already must not touch it");
    assert_eq!(apply::generation().unwrap(), before);

    // Also where nft put it: our comparison must not depend on who loaded it.
    nft.load("flush ruleset");
    nft.load(&text);
    assert_held(&ruleset);
}

fn assert_held(ruleset: &Ruleset) {
    let differences = apply::check(ruleset).unwrap().differences;
    assert!(differences.iter().all(Vec::is_empty), "{differences:#?}");
}

/// What nft lists, nft loads; it is the same afterwards, to nft and to us. Gives the listing.
fn assert_same_when_reloaded(nft: &Nft, ruleset: &Ruleset) -> String {
    let listed = nft.list();
    nft.load(&format!("flush ruleset\n{listed}"));
    assert_eq!(nft.list(), listed);
    assert_held(ruleset);
    listed
}

const LAYOUTS: [Layout; 2] = [Layout::Rules, Layout::Sets];

/// The listings that are kept, and the guard and layout of each.
fn listings() -> [(&'static str, Guard, Layout); 2] {
    [("listed.nft", Guard::SPEC, Layout::Rules), ("listed-sets.nft", Guard::SPEC, Layout::Sets)]
}

/// A case of each kind, where all would take minutes.
fn is_among_few(case: &Case) -> bool {
    case.name().starts_with("guard-") || case.name() == "one-of-everything"
}

/// A fixture's registry, and what its environment and arguments wish.
fn wishes_of(case: &Case, layout: Layout) -> (Registry, Wishes) {
    let text = std::fs::read(case.folder.join("registry.json")).unwrap();
    let (registry, _) = wire::parse(&text).unwrap();
    let sets = case.environment.iter().find(|(name, _)| name == "INSTANCES_ADDRESS_SETS");
    let sets = sets.map_or("host", |(_, list)| list).split(',').map(str::trim);
    let sets: Vec<_> = sets.filter(|name| name.parse::<Name>().is_ok()).collect();
    let guard = case.arguments.iter().skip_while(|argument| *argument != "--guard").nth(1);
    let guard = guard.map_or(Guard::strict(), |guard| guard.parse().unwrap());
    let log = case.arguments.iter().any(|argument| argument == "--log");
    (registry, Wishes { log, ..wishes(&sets, Hooking::LeaveAsIs, (guard, layout)) })
}

#[test]
fn each_fixture_loads_both_ways_and_is_listed_as_its_golden_files_say() {
    in_new_netns(|| {
        let nft = &Nft::here();
        let mut differences = String::new();
        for case in Case::all().into_iter().filter(|case| !on_stock_kernel() || is_among_few(case)) {
            for layout in LAYOUTS {
                let (registry, wishes) = wishes_of(&case, layout);
                assert_equal_both_ways(nft, &registry, &wishes);
            }
            if !case.arguments.is_empty() {
                continue;
            }
            for (golden, guard, layout) in listings() {
                let (registry, wishes) = wishes_of(&case, layout);
                let wishes = Wishes { sets_into: vec![], guard, ..wishes };
                nft.load("flush ruleset");
                let folder = tempfile::tempdir().unwrap();
                let layout = if layout == Layout::Rules { "rules" } else { "sets" };
                let output = case.process(&folder.path().join("P"), &["--force", "--apply", "--layout", layout]);
                assert!(output.status.success(), "{}: {}", case.name(), String::from_utf8_lossy(&output.stderr));
                let listed = assert_same_when_reloaded(nft, &policy::ruleset(&registry, &wishes));
                differences.extend(case.compare(golden, &listed));
            }
        }
        assert!(differences.is_empty(), "to accept: make bless\n{differences}");
    });
}

/// nft as a later Debian has it; nothing where it cannot be had.
fn nft_of(suite: &str) -> Option<Nft> {
    let fetch = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other-nft/fetch.sh");
    let fetched = Command::new(fetch).arg(suite).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    if !fetched.status.success() {
        let why = String::from_utf8_lossy(&fetched.stderr);
        needs::told_skipped(&format!("no nft of {suite}: {}", why.lines().last().unwrap_or_default()));
        return None;
    }
    Some(Nft(String::from_utf8(fetched.stdout).unwrap().trim().to_owned()))
}

/// What each fixture writes, and what another nft has listed, is loaded, listed, and loaded again by the nft of a suite.
fn assert_each_fixture_loads_by(suite: &str) {
    // Emulated, it would take minutes, and there is no network to fetch it by.
    if on_stock_kernel() {
        return;
    }
    let Some(nft) = nft_of(suite) else { return };
    in_new_netns(move || {
        for case in Case::all() {
            let golden = |name| std::fs::read_to_string(case.folder.join(name)).unwrap_or_default();
            let written = format!("table bridge instances {{\n{}{}}}\n", golden("sets.nft"), golden("chains.nft"));
            for text in [written, golden("listed.nft"), golden("listed-sets.nft")] {
                nft.load(&format!("flush ruleset\n{text}"));
                let listed = nft.list();
                assert_eq!(listed.is_empty(), text.is_empty(), "{}", case.name());
                nft.load(&format!("flush ruleset\n{listed}"));
                assert_eq!(nft.list(), listed, "{}", case.name());
            }
            for layout in LAYOUTS.into_iter().filter(|_| is_among_few(&case)) {
                let (registry, wishes) = wishes_of(&case, layout);
                assert_equal_both_ways(&nft, &registry, &wishes);
            }
        }
    });
}

#[test]
fn each_fixture_loads_by_the_nft_of_debian_13() {
    assert_each_fixture_loads_by("trixie");
}

#[test]
fn each_fixture_loads_by_the_newest_nft() {
    assert_each_fixture_loads_by("sid");
}

/// A registry as it could come about, and as nobody would make it.
fn any_registry() -> impl Strategy<Value = Registry> {
    let v4 = any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from(bits).to_string());
    let v6 = any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from(bits).to_string());
    let net4 = (any::<u32>(), 0u8..=32)
        .prop_map(|(bits, length)| ipnet::Ipv4Net::new(bits.into(), length).unwrap().trunc().to_string());
    let net6 = (any::<u128>(), 0u8..=128)
        .prop_map(|(bits, length)| ipnet::Ipv6Net::new(bits.into(), length).unwrap().trunc().to_string());
    let instance = (
        proptest::option::of("[a-zA-Z][a-zA-Z0-9-]{0,140}"),
        proptest::option::of(v4),
        proptest::array::uniform3(proptest::option::of(v6)),
        proptest::collection::vec(prop_oneof![net4, net6], 0..4),
        proptest::option::weighted(0.3, "[a-z][a-z0-9.]{0,14}"),
    );
    proptest::collection::btree_map(any::<[u8; 6]>(), instance, 0..12).prop_map(|instances| {
        let mut text = String::from("{");
        for (index, (mac, (name, v4, v6, allowed, port))) in instances.into_iter().enumerate() {
            let mac = instances::net::Mac(mac);
            let [gua, ula, lla] = v6;
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                text,
                "{comma}\"{mac}\":{}",
                serde_json::json!({
                    "name": name, "ipv4": v4, "ipv6_gua": gua, "ipv6_ula": ula, "ipv6_lla": lla, "allowed": allowed,
                    "port": port.unwrap_or_default(),
                })
            );
        }
        text.push('}');
        wire::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}: {text}")).0
    })
}

/// `spec`, `strict`, or a list.
fn any_guard() -> impl Strategy<Value = Guard> {
    let list = proptest::sample::subsequence(Protection::ALL.to_vec(), 0..=Protection::ALL.len());
    prop_oneof![1 => Just(Guard::SPEC), 2 => Just(Guard::strict()), 3 => list.prop_map(Guard::from_iter)]
}

#[test]
fn random_registries_load_both_ways() {
    in_new_netns(|| {
        let cases = if on_stock_kernel() { 6 } else { 100 };
        let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(Config { cases, ..Config::default() }, seed);
        // Where the kernel can match a bridge's name, half of the cases do.
        let named = ["br0", "br1"].map(|name| name.parse::<IfName>().unwrap()).to_vec();
        let named = if on_stock_kernel() { Bridges::These(named) } else { Bridges::All };
        let hook = prop_oneof![
            2 => Just(Hooking::Protect { bridges: named, trusted_ports: vec![] }),
            1 => Just(Hooking::LeaveAsIs),
            1 => Just(Hooking::Protect { bridges: Bridges::All, trusted_ports: vec![] }),
            1 => Just(Hooking::Protect {
                bridges: Bridges::All,
                trusted_ports: ["eth0", "bond0.7"].map(|name| name.parse::<IfName>().unwrap()).to_vec(),
            }),
        ];
        runner
            .run(&(any_registry(), hook, any_guard(), proptest::sample::select(&LAYOUTS[..]), any::<bool>()), |drawn| {
                let (registry, hook, guard, layout, log) = drawn;
                let named = registry.iter().filter_map(|(_, instance)| instance.name());
                let names: Vec<_> = named.map(Name::as_str).take(2).chain(["host"]).collect();
                assert_equal_both_ways(
                    &Nft::here(),
                    &registry,
                    &Wishes { log, ..wishes(&names, hook, (guard, layout)) },
                );
                Ok(())
            })
            .unwrap();
    });
}
