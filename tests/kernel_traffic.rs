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
use instances::netlink::{Connection, DumpError};
use instances::plan::policy::{self, Hooking, Wishes};
use instances::registry::wire;
use instances::sink::nft_netlink::apply::{self, Failure};
use kernel::{DB, Host, WEB, bridge_with_guests};
use netns::{in_new_netns, nft, on_stock_kernel, run};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const WEB_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const DB_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const WEB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const DB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// A frame that no policy of ours stops; it comes last.
fn last_frame() -> Vec<u8> {
    [&BROADCAST[..], &WEB, &[0x88, 0xb5], &[0; 46]].concat()
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
        host.apply(&["--hook", "*"]);
        for frame in [claim_v4(WEB_V4), neighbor_advertisement(WEB, WEB_V6)] {
            assert!(passes(&web, &db, &frame), "an honest claim passes");
        }
        for frame in [
            claim_v4(DB_V4),
            claim_v4(Ipv4Addr::new(10, 9, 9, 9)),
            neighbor_advertisement(WEB, DB_V6),
            neighbor_advertisement(WEB, "fd00::99".parse().unwrap()),
        ] {
            assert!(!passes(&web, &db, &frame), "{frame:02x?}");
        }
        let arp = run("nft", &["list", "chain", "bridge", "instances", "instances_drop_arp"]);
        // Each broadcast passes the input hook and the forward hook.
        assert!(arp.contains("counter packets 4 bytes 184 drop comment \"lockdown\""), "{arp}");
    });
}

#[test]
fn trusted_ports_and_allowed_addresses_pass() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        let (web, db) = (Wire::open("web"), Wire::open("db"));
        host.apply(&["--hook", "*", "--trusted-port", "webp"]);
        assert!(passes(&web, &db, &claim_v4(DB_V4)));
        host.apply(&["--hook", "*"]);
        assert!(!passes(&web, &db, &claim_v4(Ipv4Addr::new(10, 1, 255, 7))));

        host.write(
            r#"{"02:00:00:00:00:01": {"allowed": ["10.1.128.0/17", "10.3.3.3", "fd07::/57"]},
                "02:00:00:00:00:02": {"allowed": ["0.0.0.0/0", "::/0"]}}"#,
        );
        host.apply(&["--hook", "*"]);
        for (address, allowed) in [
            ("10.1.128.0", true),
            ("10.1.255.7", true),
            ("10.3.3.3", true),
            ("10.1.127.255", false),
            ("10.2.128.0", false),
            ("10.3.3.2", false),
        ] {
            assert_eq!(passes(&web, &db, &claim_v4(address.parse().unwrap())), allowed, "{address}");
        }
        for (address, allowed) in
            [("fd07::1", true), ("fd07:0:0:7f::", true), ("fd07:0:0:80::", false), ("fd08::", false)]
        {
            let claim = neighbor_advertisement(WEB, address.parse().unwrap());
            assert_eq!(passes(&web, &db, &claim), allowed, "{address}");
        }
        assert!(passes(&db, &web, &arp_reply(DB, WEB_V4, BROADCAST, WEB_V4)), "0.0.0.0/0 allows all");
        assert!(passes(&db, &web, &neighbor_advertisement(DB, WEB_V6)), "::/0 allows all");
    });
}

/// `meta ibrname` exists on Debian's kernel; elsewhere its absence must be explained.
#[test]
fn a_named_bridge_is_protected_alone_or_refused_with_the_remedy() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        bridge_with_guests("br1", ["web1", "db1"]);
        if !host.try_apply(&["--hook", "br0"]).status.success() {
            assert!(!on_stock_kernel(), "Debian's kernel has nft_meta_bridge");
            let message = host.refused(&["--hook", "br0"]);
            for part in ["meta ibrname \"br0\"", "nft_meta_bridge", "--hook '*'"] {
                assert!(message.contains(part), "{message}");
            }
            return;
        }
        let pair = |from, to| (Wire::open(from), Wire::open(to));
        let (web, db) = pair("web", "db");
        assert!(!passes(&web, &db, &claim_v4(DB_V4)));
        assert!(passes(&web, &db, &claim_v4(WEB_V4)));
        let (web1, db1) = pair("web1", "db1");
        assert!(passes(&web1, &db1, &claim_v4(DB_V4)), "br1 was not asked for");
        host.apply(&["--hook", "br0,br1"]);
        assert!(!passes(&web1, &db1, &claim_v4(DB_V4)));
    });
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
    Wishes { table: "instances".parse().unwrap(), guard, layout, set_names: vec![], hook, sets_into: vec![] }
}

/// Number of rules of the ARP chain, as one consistent dump shows it.
fn rules_in_force(connection: &mut Connection) -> Option<usize> {
    let mut rules = 0;
    let getrule = (10 << 8) | 7;
    let in_chain = |writer: &mut instances::netlink::Writer| {
        writer.text(1, "instances");
        writer.text(2, "instances_drop_arp");
    };
    match connection.dump(getrule, &[7, 0, 0, 0], in_chain, |_| rules += 1) {
        Ok(()) => Some(rules),
        Err(DumpError::Interrupted) => None,
        Err(DumpError::Io(error)) => panic!("{error}"),
    }
}

#[test]
fn a_thousand_reloads_never_let_a_spoof_through_nor_show_an_empty_chain() {
    in_new_netns(|| {
        bridge_with_guests("br0", ["web", "db"]);
        let registries = two_registries();
        let rulesets = registries.each_ref().map(|registry| policy::ruleset(registry, &wishes()));
        assert!(apply::apply(&rulesets[0], apply::generation().unwrap()).unwrap().loaded);
        let reloads = if on_stock_kernel() { 100 } else { 1000 };
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
                    if let Some(rules) = rules_in_force(&mut connection) {
                        assert_eq!(rules, 4, "two others' rules, db's and the lockdown");
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
        let ruleset = policy::ruleset(&registries[0], &wishes());
        let generation = apply::generation().unwrap();
        nft("add table ip somebody");
        let stale = apply::apply(&ruleset, generation);
        assert!(matches!(stale, Err(Failure::Stale)), "{stale:?}");
        assert_eq!(run("nft", &["list", "ruleset"]), "table ip somebody {\n}\n");
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
            let processes = [(); 3].map(|()| host.process(&["-f", "--apply"]).stderr(Stdio::piped()).spawn());
            for process in processes {
                let output = process.unwrap().wait_with_output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            let output = host.process(&["--check", "--apply"]).output().unwrap();
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

/// One run has read the old registry and is held up; another puts the new one in force; then the first goes on.
#[test]
fn a_run_that_was_held_up_does_not_put_the_older_policy_in_force() {
    in_new_netns(|| {
        let held_up = |_| {
            let host = Host::new();
            nft("flush ruleset");
            host.write(&registry_of(3000, 1));
            let lock = fs::File::create(host.path("lock")).unwrap();
            let mut old = host.process(&["-f", "--apply"]).stderr(Stdio::null()).spawn().unwrap();
            // It has read the registry when the hosts file is there, and left the lock soon after.
            while !host.path("hosts").exists() || FileExt::try_lock_shared(&lock).is_err() {
                std::thread::yield_now();
            }
            let pid = Pid::from_raw(old.id().cast_signed());
            kill(pid, Signal::SIGSTOP).unwrap();
            waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
            FileExt::unlock(&lock).unwrap();
            let in_time = run("nft", &["list", "tables"]).is_empty();

            host.write(&registry_of(3000, 2));
            host.apply(&[]);
            kill(pid, Signal::SIGCONT).unwrap();
            assert!(old.wait().unwrap().success());
            let listed = run("nft", &["list", "chain", "bridge", "instances", "instances_drop_arp"]);
            assert_eq!(listed.matches("arp saddr ip 10.2.").count(), 3000);
            in_time
        };
        assert!((0..20).any(held_up), "never held up before its transaction");
    });
}

#[test]
fn killed_at_any_moment_the_kernel_holds_the_old_policy_or_the_new_one() {
    in_new_netns(|| {
        let host = Host::new();
        let with = |number: usize| host.write(&registry_of(500, number));
        let rules_of = |number: usize| {
            let listed = run("nft", &["list", "chain", "bridge", "instances", "instances_drop_arp"]);
            let all = listed.matches("arp saddr ip").count();
            (all, listed.matches(&format!("arp saddr ip 10.{number}.")).count())
        };
        with(0);
        host.apply(&[]);
        let mut in_force = 0;
        let mut landed = [0, 0];
        let runs = if on_stock_kernel() { 10 } else { 100 };
        for number in 1..=runs {
            with(number);
            let mut process = host.process(&["-f", "--apply"]).stderr(Stdio::null()).spawn().unwrap();
            // Not waiting for anything, but choosing the moment: from at once over the whole run to not at all.
            if number % 10 > 0 {
                std::thread::sleep(Duration::from_millis(u64::try_from(number % 10 - 1).unwrap() * 4));
                process.kill().unwrap();
            }
            process.wait().unwrap();
            let (all, new) = rules_of(number);
            assert_eq!(all, 500);
            assert!(new == 0 || new == 500, "{new} of 500 rules are new");
            if new == 500 {
                in_force = number;
            } else {
                assert_eq!(rules_of(in_force), (500, 500));
            }
            landed[usize::from(new == 500)] += 1;
        }
        assert!(landed[0] > 0 && landed[1] > 0, "{landed:?}");
    });
}
