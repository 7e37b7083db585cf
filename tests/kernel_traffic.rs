//! The policy under traffic, under reloads, and under other people's changes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]
#![allow(clippy::indexing_slicing, clippy::expect_used)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;

use frames::{BROADCAST, Wire, arp_reply, neighbor_advertisement};
use fs2::FileExt;
use instances::netlink::{Connection, DumpError, Writer};
use instances::plan::guard::Guard;
use instances::plan::layout::Layout;
use instances::plan::policy::{self, Hooking, Wishes};
use instances::registry::wire;
use instances::sink::nft_netlink::apply::{self, Failure};
use kernel::{DB, Host, WEB, bridge_with_guests};
use netns::{feed, in_new_netns, nft, on_stock_kernel, run};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const WEB_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const DB_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const WEB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const DB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// The policies that stop what these tests try, as options.
const POLICIES: [[&str; 4]; 4] = [
    ["--guard", "spec", "--layout", "rules"],
    ["--guard", "spec", "--layout", "sets"],
    ["--guard", "strict", "--layout", "rules"],
    ["--guard", "strict", "--layout", "sets"],
];

/// What a policy is put in force with.
fn with<'a>(policy: &[&'a str], hook: &[&'a str]) -> Vec<&'a str> {
    [policy, hook].concat()
}

/// A frame that no policy of ours stops, whoever sends it; it comes last: a router solicitation from `::` without option.
fn last_frame() -> Vec<u8> {
    let all_routers: Ipv6Addr = "ff02::2".parse().unwrap();
    let header = [&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 255][..], &[0; 16], &all_routers.octets()].concat();
    [&BROADCAST[..], &WEB, &header, &[133, 0, 0x7b, 0xb8, 0, 0, 0, 0]].concat()
}

/// Whether a frame sent by the guest behind `from` arrives at the guest behind `to`.
fn passes(from: &Wire, to: &Wire, frame: &[u8]) -> bool {
    from.send(frame);
    from.send(&last_frame());
    to.sees_before(frame, &last_frame())
}

fn claim_v4(ip: Ipv4Addr) -> Vec<u8> {
    arp_reply(WEB, ip, BROADCAST, ip)
}

#[test]
fn claims_of_others_addresses_are_dropped_on_every_bridge() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        let (web, db) = (Wire::open("web"), Wire::open("db"));
        for frame in [claim_v4(DB_V4), neighbor_advertisement(WEB, DB_V6)] {
            assert!(passes(&web, &db, &frame), "without a policy the attack works");
        }
        for policy in &POLICIES {
            nft("flush ruleset");
            host.apply(&with(policy, &["--hook", "*"]));
            for frame in [claim_v4(WEB_V4), neighbor_advertisement(WEB, WEB_V6)] {
                assert!(passes(&web, &db, &frame), "an honest claim passes {policy:?}");
            }
            for frame in [
                claim_v4(DB_V4),
                claim_v4(Ipv4Addr::new(10, 9, 9, 9)),
                neighbor_advertisement(WEB, DB_V6),
                neighbor_advertisement(WEB, "fd00::99".parse().unwrap()),
            ] {
                assert!(!passes(&web, &db, &frame), "{policy:?}: {frame:02x?}");
            }
            let (chain, counter) = match policy[1] {
                // Each broadcast passes the input hook and the forward hook.
                "spec" => ("instances_drop_arp", "counter packets 4 bytes 184 drop comment \"lockdown\""),
                _ => ("instances_block_arp", "counter packets 2 bytes 92 comment \"arp\""),
            };
            let listed = run("nft", &["list", "chain", "bridge", "instances", chain]);
            assert!(listed.contains(counter), "{policy:?}: {listed}");
        }
    });
}

/// In either layout it shows who claimed how often: the element's or the rule's counter.
#[test]
fn who_is_let_pass_is_counted_by_name() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        let (web, db) = (Wire::open("web"), Wire::open("db"));
        for (policy, place, counter) in [
            (POLICIES[0], ["chain", "instances_drop_arp"], "counter packets 2 bytes 92 return comment \"web\""),
            (POLICIES[1], ["set", "instances_ip"], "02:00:00:00:00:01 counter packets 2 bytes 92 comment \"web\""),
            (POLICIES[2], ["chain", "instances_guard_arp"], "counter packets 1 bytes 46 goto"),
            (POLICIES[3], ["set", "instances_arp"], "02:00:00:00:00:01 counter packets 1 bytes 46 comment \"web\""),
        ] {
            nft("flush ruleset");
            host.apply(&with(&policy, &["--hook", "*"]));
            assert!(passes(&web, &db, &claim_v4(WEB_V4)));
            let listed = run("nft", &["list", place[0], "bridge", "instances", place[1]]);
            assert!(listed.lines().any(|line| line.contains(counter) && line.contains("\"web\"")), "{listed}");
        }
    });
}

#[test]
fn trusted_ports_and_allowed_addresses_pass() {
    in_new_netns(|| {
        bridge_with_guests("br0", ["web", "db"]);
        for policy in &POLICIES {
            trusted_and_allowed_pass(policy);
        }
    });
}

fn trusted_and_allowed_pass(policy: &[&str]) {
    let host = Host::new();
    let (web, db) = (Wire::open("web"), Wire::open("db"));
    nft("flush ruleset");
    host.apply(&with(policy, &["--hook", "*", "--trusted-port", "webp"]));
    assert!(passes(&web, &db, &claim_v4(DB_V4)), "{policy:?}");
    host.apply(&with(policy, &["--hook", "*"]));
    assert!(!passes(&web, &db, &claim_v4(Ipv4Addr::new(10, 1, 255, 7))), "{policy:?}");

    host.write(
        r#"{"02:00:00:00:00:01": {"allowed": ["10.1.128.0/17", "10.3.3.3", "fd07::/57"]},
            "02:00:00:00:00:02": {"allowed": ["0.0.0.0/0", "::/0"]}}"#,
    );
    host.apply(&with(policy, &["--hook", "*"]));
    for (address, allowed) in [
        ("10.1.128.0", true),
        ("10.1.255.7", true),
        ("10.3.3.3", true),
        ("10.1.127.255", false),
        ("10.2.128.0", false),
        ("10.3.3.2", false),
    ] {
        assert_eq!(passes(&web, &db, &claim_v4(address.parse().unwrap())), allowed, "{policy:?}: {address}");
    }
    for (address, allowed) in [("fd07::1", true), ("fd07:0:0:7f::", true), ("fd07:0:0:80::", false), ("fd08::", false)]
    {
        let claim = neighbor_advertisement(WEB, address.parse().unwrap());
        assert_eq!(passes(&web, &db, &claim), allowed, "{policy:?}: {address}");
    }
    assert!(passes(&db, &web, &arp_reply(DB, WEB_V4, BROADCAST, WEB_V4)), "{policy:?}: 0.0.0.0/0 allows all");
    assert!(passes(&db, &web, &neighbor_advertisement(DB, WEB_V6)), "{policy:?}: ::/0 allows all");
}

/// `meta ibrname` exists on Debian's kernel; elsewhere its absence must be explained.
#[test]
fn a_named_bridge_is_protected_alone_or_refused_with_the_remedy() {
    in_new_netns(|| {
        bridge_with_guests("br0", ["web", "db"]);
        bridge_with_guests("br1", ["web1", "db1"]);
        for policy in &POLICIES {
            nft("flush ruleset");
            named_bridge_alone(policy);
        }
    });
}

fn named_bridge_alone(policy: &[&str]) {
    let host = Host::new();
    let br0 = with(policy, &["--hook", "br0"]);
    if !host.try_apply(&br0).status.success() {
        assert!(!on_stock_kernel(), "Debian's kernel has nft_meta_bridge");
        let message = host.refused(&br0);
        for part in ["meta ibrname \"br0\"", "nft_meta_bridge", "--hook '*'"] {
            assert!(message.contains(part), "{policy:?}: {message}");
        }
        return;
    }
    let pair = |from, to| (Wire::open(from), Wire::open(to));
    let (web, db) = pair("web", "db");
    assert!(!passes(&web, &db, &claim_v4(DB_V4)), "{policy:?}");
    assert!(passes(&web, &db, &claim_v4(WEB_V4)), "{policy:?}");
    let (web1, db1) = pair("web1", "db1");
    assert!(passes(&web1, &db1, &claim_v4(DB_V4)), "br1 was not asked for {policy:?}");
    host.apply(&with(policy, &["--hook", "br0,br1"]));
    assert!(!passes(&web1, &db1, &claim_v4(DB_V4)), "{policy:?}");
}

/// Two registries, told apart by one address.
fn two_registries() -> [instances::registry::Registry; 2] {
    ["10.0.0.7", "10.0.0.8"].map(|extra| {
        let text = format!(
            r#"{{"02:00:00:00:00:02": {{"name": "db", "ipv4": "10.0.0.2", "ipv6_ula": "fd00::2"}},
                 "02:00:00:00:00:03": {{"ipv4": "{extra}"}}, "02:00:00:00:00:04": {{"ipv4": "10.0.0.4"}}}}"#
        );
        wire::parse(text.as_bytes()).unwrap().0
    })
}

fn wishes(guard: Guard, layout: Layout) -> Wishes {
    let hook = Hooking::Protect { bridges: instances::plan::hooks::Bridges::All, trusted_ports: vec![] };
    Wishes {
        table: "instances".parse().unwrap(),
        guard,
        layout,
        log: false,
        set_names: vec![],
        hook,
        sets_into: vec![],
    }
}

/// Number of objects, as one consistent dump shows them: of rules of a chain (`NFT_MSG_GETRULE`) or elements of a set
/// (`_GETSETELEM`). The kernel does not notice each commit that happens during a dump; the generation does. Rules of a
/// transaction that is being made shift the others, of which the last are then shown twice.
fn in_force(connection: &mut Connection, (kind, name): (u16, &str)) -> Option<usize> {
    let generation = apply::generation().unwrap();
    let mut elements = 0;
    let mut rules = HashSet::new();
    let in_it = |writer: &mut Writer| {
        writer.text(1, "instances");
        writer.text(2, name);
    };
    let dumped = connection.dump(10 << 8 | kind, &[7, 0, 0, 0], in_it, |message| {
        let attributes = message.attributes(4);
        match kind {
            GET_RULES => _ = rules.insert(attributes.get(3).unwrap().to_vec()),
            _ => elements += attributes.nested(3).count(),
        }
    });
    match dumped {
        Ok(()) => (apply::generation().unwrap() == generation).then_some(elements + rules.len()),
        Err(DumpError::Interrupted) => None,
        Err(DumpError::Io(error)) => panic!("{error}"),
    }
}

const GET_RULES: u16 = 7;
const GET_ELEMENTS: u16 = 13;

#[test]
fn a_thousand_reloads_never_let_a_spoof_through_nor_show_an_empty_chain() {
    // Two others' rules, db's and the lockdown.
    reload(1000, (Guard::SPEC, Layout::Rules), (GET_RULES, "instances_drop_arp"), 4);
}

#[test]
fn hundreds_of_deltas_never_let_a_spoof_through_nor_show_less_than_all_elements() {
    reload(300, (Guard::strict(), Layout::Sets), (GET_ELEMENTS, "instances_arp"), 3);
}

/// Reloads a policy, while a guest attacks and somebody looks at `what`, of which there must always be so many.
fn reload(reloads: usize, (guard, layout): (Guard, Layout), what: (u16, &'static str), expected: usize) {
    in_new_netns(move || {
        bridge_with_guests("br0", ["web", "db"]);
        let registries = two_registries();
        let rulesets = registries.each_ref().map(|registry| policy::ruleset(registry, &wishes(guard, layout)));
        assert!(apply::apply(&rulesets[0], apply::generation().unwrap()).unwrap().loaded);
        let reloads = if on_stock_kernel() { reloads / 10 } else { reloads };
        let done = AtomicBool::new(false);
        let (sent, observed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (web, db) = (Wire::open("web"), Wire::open("db"));
        let attack = claim_v4(DB_V4);
        // A thread's network namespace is its creator's.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    web.send(&attack);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
            scope.spawn(|| {
                let mut connection = Connection::open(mnl::Bus::Netfilter).unwrap();
                while !done.load(Ordering::Relaxed) {
                    if let Some(found) = in_force(&mut connection, what) {
                        assert_eq!(found, expected);
                        observed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            // Whatever fails below must end the threads too.
            let ended = std::panic::catch_unwind(|| {
                for number in 1..=reloads {
                    let applied = apply::apply(&rulesets[number % 2], apply::generation().unwrap()).unwrap();
                    assert!(applied.loaded);
                }
            });
            done.store(true, Ordering::Relaxed);
            ended.unwrap();
        });
        web.send(&last_frame());
        assert!(!db.sees_before(&attack, &last_frame()), "a spoofed frame got through");
        let (sent, observed) = (sent.into_inner(), observed.into_inner());
        assert!(sent >= reloads && observed >= reloads / 10, "{sent} frames and {observed} looks prove little");
    });
}

#[test]
fn a_plan_for_an_older_generation_is_stale() {
    in_new_netns(|| {
        let registries = two_registries();
        let ruleset = policy::ruleset(&registries[0], &wishes(Guard::strict(), Layout::Sets));
        let generation = apply::generation().unwrap();
        nft("add table ip somebody");
        let stale = apply::apply(&ruleset, generation);
        assert!(matches!(stale, Err(Failure::Stale { loaded: false })), "{stale:?}");
        assert_eq!(run("nft", &["list", "ruleset"]), "table ip somebody {\n}\n");
    });
}

/// `nft --check` has the kernel make a transaction and drop it. Its rules are in the chain meanwhile, inactive, and shift
/// those that a dump has still to show.
#[test]
fn what_others_only_try_makes_no_difference() {
    in_new_netns(|| {
        let registries = two_registries();
        let ruleset = policy::ruleset(&registries[0], &wishes(Guard::SPEC, Layout::Rules));
        assert!(apply::apply(&ruleset, apply::generation().unwrap()).unwrap().loaded);
        let generation = apply::generation().unwrap();
        let tried = "insert rule bridge instances instances_drop_arp counter accept\n".repeat(2000);
        let (done, tries) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    feed("nft", &["--check", "-f", "-"], &tried);
                    tries.fetch_add(1, Ordering::Relaxed);
                }
            });
            let ended = std::panic::catch_unwind(|| {
                while tries.load(Ordering::Relaxed) < if on_stock_kernel() { 3 } else { 20 } {
                    assert_eq!(apply::check(&ruleset).unwrap().differences, [vec![""; 0]]);
                    assert!(!apply::apply(&ruleset, apply::generation().unwrap()).unwrap().loaded);
                }
            });
            done.store(true, Ordering::Relaxed);
            ended.unwrap();
        });
        assert_eq!(apply::generation().unwrap(), generation, "they only tried");
    });
}

#[test]
fn others_who_change_the_ruleset_all_the_time_are_outlasted_or_named() {
    in_new_netns(|| {
        let host = Host::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    nft("add table ip somebody; delete table ip somebody");
                    nft("flush ruleset");
                }
            });
            for _ in 0..10 {
                let output = host.try_apply(&["--hook", "*"]);
                let message = String::from_utf8(output.stderr).unwrap();
                match output.status.code() {
                    Some(0) => assert!(message.contains("Kernel: table bridge instances:"), "{message}"),
                    _ => assert!(message.contains("changed by others"), "{message}"),
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        host.apply(&["--hook", "*"]);
    });
}

#[test]
fn two_at_once_leave_the_newest_policy() {
    in_new_netns(|| {
        let host = Host::new();
        for number in 0..20 {
            host.write(&format!(r#"{{"02:00:00:00:00:01": {{"name": "web", "ipv4": "10.0.1.{number}"}}}}"#));
            let processes =
                [(); 3].map(|()| host.process(&["-f", "--apply", "--hook", "*"]).stderr(Stdio::piped()).spawn());
            for process in processes {
                let output = process.unwrap().wait_with_output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            let output = host.process(&["--check", "--apply", "--hook", "*"]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    });
}

/// A registry of so many instances, with 10.`number`.x.y.
fn registry_of(count: usize, number: usize) -> String {
    let one = |index: usize| {
        let [high, low] = u16::try_from(index).unwrap().to_be_bytes();
        format!(r#""02:00:00:00:{high:02x}:{low:02x}": {{"ipv4": "10.{number}.{high}.{low}"}}"#)
    };
    format!("{{{}}}", (0..count).map(one).collect::<Vec<_>>().join(","))
}

/// How many claims of addresses 10.`number`.x.y are in an element list.
fn claims_of(number: usize, listed: &str) -> usize {
    listed.matches(&format!(" 10.{number}.")).count()
}

/// One run has read the old registry and is held up; another puts the new one in force; then the first goes on.
#[test]
fn a_run_that_was_held_up_does_not_put_the_older_policy_in_force() {
    in_new_netns(|| {
        let held_up = |_| {
            let host = Host::new();
            nft("flush ruleset");
            host.write(&registry_of(3000, 1));
            let lock = fs::File::create(host.path("lock")).unwrap();
            FileExt::lock_exclusive(&lock).unwrap();
            let mut old = host.process(&["-f", "--apply", "--hook", "*"]).stderr(Stdio::null()).spawn().unwrap();
            // It waits for the lock, has it, and has read the registry when it gives it back.
            let waits = format!("/proc/{}/fd", old.id());
            let links = || fs::read_dir(&waits).into_iter().flatten().flatten();
            while links().all(|link| fs::read_link(link.path()).ok() != Some(host.path("lock"))) {
                assert!(old.try_wait().unwrap().is_none());
            }
            FileExt::unlock(&lock).unwrap();
            while FileExt::try_lock_shared(&lock).is_ok() && old.try_wait().unwrap().is_none() {
                FileExt::unlock(&lock).unwrap();
                std::thread::yield_now();
            }
            while FileExt::try_lock_shared(&lock).is_err() {
                std::thread::yield_now();
            }
            let pid = Pid::from_raw(old.id().cast_signed());
            kill(pid, Signal::SIGSTOP).unwrap();
            waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
            FileExt::unlock(&lock).unwrap();
            let in_time = run("nft", &["list", "tables"]).is_empty();

            host.write(&registry_of(3000, 2));
            host.apply(&["--hook", "*"]);
            kill(pid, Signal::SIGCONT).unwrap();
            assert!(old.wait().unwrap().success());
            let listed = run("nft", &["list", "set", "bridge", "instances", "instances_arp"]);
            assert_eq!((claims_of(1, &listed), claims_of(2, &listed)), (0, 3000));
            in_time
        };
        assert!((0..20).any(held_up), "never held up before its transaction");
    });
}

#[test]
fn killed_at_any_moment_the_kernel_holds_the_old_policy_or_the_new_one() {
    in_new_netns(|| {
        for policy in [&[][..], &["--guard", "spec", "--layout", "rules"]] {
            let hook = with(policy, &["--hook", "*"]);
            let place = if policy.is_empty() { ["set", "instances_arp"] } else { ["chain", "instances_drop_arp"] };
            nft("flush ruleset");
            kill_at_any_moment(&hook, place);
        }
    });
}

fn kill_at_any_moment(hook: &[&str], [kind, name]: [&str; 2]) {
    let host = Host::new();
    let with = |number: usize| host.write(&registry_of(500, number));
    let claims_of = |number: usize| {
        let listed = run("nft", &["list", kind, "bridge", "instances", name]);
        (listed.matches(" 10.").count(), claims_of(number, &listed))
    };
    with(0);
    host.apply(hook);
    let mut in_force = 0;
    let mut landed = [0, 0];
    let runs = if on_stock_kernel() { 10 } else { 100 };
    for number in 1..=runs {
        with(number);
        let mut process = host.process(&[&["-f", "--apply"], hook].concat()).stderr(Stdio::null()).spawn().unwrap();
        // Not waiting for anything, but choosing the moment: from at once over the whole run to not at all.
        if number % 10 > 0 {
            std::thread::sleep(Duration::from_millis(u64::try_from(number % 10 - 1).unwrap() * 4));
            process.kill().unwrap();
        }
        process.wait().unwrap();
        let (all, new) = claims_of(number);
        assert_eq!(all, 500);
        assert!(new == 0 || new == 500, "{new} of 500 claims are new");
        if new == 500 {
            in_force = number;
        } else {
            assert_eq!(claims_of(in_force), (500, 500));
        }
        landed[usize::from(new == 500)] += 1;
    }
    assert!(landed[0] > 0 && landed[1] > 0, "{landed:?}");
}
