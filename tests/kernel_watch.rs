//! `instances-process --watch`: what changes is followed, what others change is repaired, what is broken weakens nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::match_wild_err_arm, clippy::match_bool)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;
#[path = "common/watch.rs"]
mod watch;

use frames::{BROADCAST, Wire, arp_reply};
use kernel::{DB, Host, bridge_with_guests};
use netns::{in_new_netns, nft, on_stock_kernel, output, run};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use watch::{PATIENCE, Watch, until, update};

/// Removes a folder into which the watch may be writing at this very moment.
fn remove(folder: &std::path::Path) {
    until("removed", || fs::remove_dir_all(folder).is_ok() || !folder.exists());
}

/// What the kernel's table holds, without counters and handles; empty if there is none.
fn table() -> String {
    let listed = output("nft", &["--stateless", "list", "table", "bridge", "instances"], "");
    String::from_utf8(listed.stdout).unwrap()
}

fn generation() -> u32 {
    instances::sink::nft_netlink::apply::generation().unwrap()
}

/// The handle of the first rule with this text in a chain of ours.
fn rule_handle(chain: &str, text: &str) -> String {
    let chain = run("nft", &["-a", "list", "chain", "bridge", "instances", chain]);
    let rule = chain.lines().find(|line| line.contains(text)).unwrap();
    rule.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn an_update_reaches_kernel_and_files_and_takes_the_flag_down() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        watch.says("Loading: 2 instances");
        update(&host, &["add", "02:00:00:00:00:03", "10.0.0.3", "mail"]);
        until("the new address in the kernel", || table().contains("10.0.0.3"));
        watch.says("Loading: 3 instances");
        until("the flag is down", || !host.path("updated").exists());
        assert!(fs::read_to_string(host.path("hosts")).unwrap().contains("10.0.0.3 mail"));
        // What nobody raised a flag for counts, too.
        host.write(&fs::read_to_string(host.path("json")).unwrap().replace("10.0.0.3", "10.0.0.4"));
        until("the edited address in the kernel", || table().contains("10.0.0.4"));
        watch.told("STATUS=The policy of 3 instances is in force");
    });
}

#[test]
fn a_flag_that_is_touched_is_answered() {
    in_new_netns(|| {
        let host = Host::new();
        let _watch = Watch::ready(&host, &["--hook", "*"]);
        fs::write(host.path("updated"), "").unwrap();
        until("the flag is down", || !host.path("updated").exists());
    });
}

#[test]
fn what_others_change_is_restored() {
    let spec = ["--guard", "spec", "--layout", "rules"];
    restores(&spec, "instances_forward", ("instances_drop_arp", "10.0.0.1"), ("all_v4.instance", "10.0.0.1"));
    let web = "02:00:00:00:00:01";
    let element = format!("10.0.0.1 . {web} . {web}");
    restores(&[], "instances_prerouting", ("instances_guard_arp", "@instances_arp"), ("instances_arp", &element));
}

fn restores(policy: &[&str], base: &str, (chain, rule): (&str, &str), (set, element): (&str, &str)) {
    let policy = [&["--hook", "*", "--sets-into", "inet:filter"], policy].concat();
    let policy: Vec<_> = policy.iter().map(|option| (*option).to_owned()).collect();
    let [base, chain, rule, set, element] = [base, chain, rule, set, element].map(str::to_owned);
    in_new_netns(move || {
        let host = Host::new();
        let policy: Vec<_> = policy.iter().map(String::as_str).collect();
        let mut watch = Watch::ready(&host, &policy);
        let filter = || String::from_utf8(output("nft", &["list", "table", "inet", "filter"], "").stdout).unwrap();
        // A chain that comes back is listed last.
        let lines = || {
            let mut lines: Vec<_> = table().lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (ours, sets) = (lines(), filter());
        // No more of them: after each the watch waits twice as long.
        let deeds: [&dyn Fn() -> String; 7] = [
            &|| "flush ruleset".to_owned(),
            &|| format!("delete rule bridge instances {chain} handle {}", rule_handle(&chain, &rule)),
            &|| {
                format!(
                    "insert rule bridge instances {chain} accept; add chain bridge instances {base} {{ policy drop; }}"
                )
            },
            &|| format!("delete element bridge instances {set} {{ {element} }}"),
            &|| format!("add element inet filter all_v4.instance {{ 10.9.9.9 }}; flush set bridge instances {set}"),
            &|| format!("flush chain bridge instances {base}; delete chain bridge instances {base}"),
            &|| "delete table bridge instances".to_owned(),
        ];
        for deed in deeds {
            let deed = deed();
            nft(&deed);
            until(&deed, || lines() == ours && filter() == sets);
        }
        assert!(watch.said().iter().any(|line| line.contains("was changed by nft (process ")), "{:?}", watch.said());
        assert_eq!(watch.ends(Signal::SIGTERM).code(), Some(0));
        assert_eq!(lines(), ours);
    });
}

#[test]
fn other_people_s_commits_are_left_alone_and_cost_nothing() {
    in_new_netns(|| {
        let host = Host::new();
        nft("table bridge instances { chain theirs { }; set theirs { type ipv4_addr; }; }; table inet filter { }");
        let watch = Watch::ready(&host, &[]);
        let (before, said) = (generation(), watch.said().len());
        for n in 0..50 {
            nft(&format!(
                "add element bridge instances theirs {{ 10.1.0.{n} }}; add rule bridge instances theirs accept;
                          add chain inet filter c{n}"
            ));
        }
        // An update is behind them in the same queue.
        update(&host, &["add", "02:00:00:00:00:03", "10.0.0.3"]);
        watch.says("Loading: 3 instances");
        assert_eq!(generation(), before + 51, "50 of theirs, one of ours");
        assert!(watch.said().iter().skip(said).all(|line| !line.contains("was changed")), "{:?}", watch.said());
    });
}

#[test]
fn a_registry_that_is_broken_emptied_or_gone_takes_nothing_away() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        let ours = table();
        let good = fs::read_to_string(host.path("json")).unwrap();
        let deeds: [(&dyn Fn(), &str); 4] = [
            (&|| host.write(""), "EOF while parsing"),
            (&|| host.write("{\"02:00:00:00:00:01\": 7}"), "expected an instance"),
            (&|| host.write("{}"), "has lost all of its 2 instances; the policy stays as it is"),
            (&|| fs::remove_file(host.path("json")).unwrap(), "is not there; the policy stays as it is"),
        ];
        for (break_it, error) in deeds {
            break_it();
            watch.says(error);
            // Again and again: events that bring nothing new. That they have come shows what comes behind them.
            for _ in 0..5 {
                break_it_again(&host, break_it);
            }
            nft("flush ruleset");
            until("restored while the registry is broken", || table() == ours);
            host.write(&good);
            watch.says("Loading: 2 instances");
            assert_eq!(watch.times(error), 1, "{:?}", watch.said());
            assert_eq!(table(), ours);
        }
        // An emptied registry is believed when its flag is up.
        host.write("{}");
        fs::write(host.path("updated"), "").unwrap();
        watch.says("Loading: 0 instances");
        assert!(!table().contains("10.0.0.1"));
    });
}

#[test]
fn an_emptied_registry_is_not_believed_after_a_restart_or_sighup() {
    in_new_netns(|| {
        for layout in ["sets", "rules"] {
            nft("flush ruleset");
            let host = Host::new();
            let policy = ["--hook", "*", "--layout", layout];
            drop(Watch::ready(&host, &policy));
            let ours = table();
            let good = fs::read_to_string(host.path("json")).unwrap();
            host.write("{}");
            let watch = Watch::spawn(&host, &policy, &[]);
            watch.says("has lost all of its instances; the policy stays as it is");
            assert_eq!(table(), ours);
            host.write(&good);
            watch.told("READY=1");
            host.write("{}");
            watch.says("has lost all of its 2 instances");
            watch.signal(Signal::SIGHUP);
            watch.told("RELOADING=1");
            watch.told("READY=1");
            assert_eq!(table(), ours);
            // What the message says.
            fs::write(host.path("updated"), "").unwrap();
            watch.says("Loading: 0 instances");
        }
    });
}

#[test]
fn a_table_that_is_switched_off_is_switched_on_where_hooks_are_asked_for() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        let ours = table();
        nft("add table bridge instances { flags dormant; }");
        watch.says("table bridge instances was changed by nft");
        until("awake", || table() == ours);
        assert_eq!(watch.times("not in force"), 0, "{:?}", watch.said());
    });
}

#[test]
fn a_policy_that_others_switch_off_is_said_not_to_be_in_force() {
    in_new_netns(|| {
        let host = Host::new();
        let guard = ["--guard", "spec"];
        let watch = Watch::spawn(&host, &guard, &[]);
        let no_jump = "no base chain in table bridge instances leads to instances_drop_arp";
        watch.says(&format!("loaded but not in force: {no_jump}"));
        watch.told(&format!("STATUS=The policy of 2 instances is loaded but not in force: {no_jump}"));
        let theirs = "table bridge instances { chain theirs { type filter hook forward priority 0
                        ether type arp jump instances_drop_arp; ether type ip6 jump instances_drop_ndp; }; }";
        nft(theirs);
        watch.told("STATUS=The policy of 2 instances is in force");
        nft("flush chain bridge instances theirs");
        watch.says(&format!("loaded but not in force: {no_jump}"));
        watch.told(&format!("loaded but not in force: {no_jump}"));
        nft(theirs);
        watch.told("STATUS=The policy of 2 instances is in force");
        nft("add table bridge instances { flags dormant; }");
        watch.says("loaded but not in force: table bridge instances is dormant");
        watch.told("loaded but not in force: table bridge instances is dormant");
        // Once, and it is left to who did it.
        update(&host, &["add", "02:00:00:00:00:03", "10.0.0.3"]);
        watch.says("Loading: 3 instances");
        watch.told("STATUS=The policy of 3 instances is loaded but not in force: table bridge instances is dormant");
        assert!(table().contains("flags dormant"));
        assert_eq!(watch.times("is dormant"), 1, "{:?}", watch.said());
        nft("add table bridge instances");
        watch.told("STATUS=The policy of 3 instances is in force");
    });
}

#[test]
fn an_address_of_two_instances_is_said_once() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        let shared = "10.0.0.1 is registered for 2 MACs";
        let good = fs::read_to_string(host.path("json")).unwrap();
        host.write(&good.replace("10.0.0.2", "10.0.0.1"));
        watch.says(shared);
        update(&host, &["add", "02:00:00:00:00:03", "10.0.0.3"]);
        watch.says("Loading: 3 instances");
        // What is said about a registry is said before the next one is read.
        host.write(&good);
        watch.says("Loading: 2 instances");
        assert_eq!(watch.times(shared), 1, "{:?}", watch.said());
        host.write(&good.replace("10.0.0.2", "10.0.0.1"));
        watch.says(shared);
    });
}

fn break_it_again(host: &Host, break_it: &dyn Fn()) {
    match host.path("json").exists() {
        true => break_it(),
        // Something must happen to a file that is gone.
        false => fs::write(host.path("json.other"), "").unwrap(),
    }
}

#[test]
fn a_registry_that_never_was_is_empty_and_one_that_went_is_not() {
    in_new_netns(|| {
        let host = Host::new();
        let good = fs::read_to_string(host.path("json")).unwrap();
        fs::remove_file(host.path("json")).unwrap();
        for _ in 0..2 {
            // Also the second time, with the table of the first.
            let watch = Watch::ready(&host, &["--hook", "*"]);
            assert!(table().contains("chain instances_drop_arp"));
            drop(watch);
            // Strangers offend where nobody is registered yet.
            nft("add element bridge instances instances_offenders_mac { 02:00:00:00:00:07 . \"eth7\" }");
        }
        let watch = Watch::ready(&host, &["--hook", "*"]);
        host.write(&good);
        watch.says("Loading: 2 instances");
        drop(watch);
        let ours = table();
        fs::remove_file(host.path("json")).unwrap();
        let watch = Watch::spawn(&host, &["--hook", "*"], &[]);
        watch.says("P.json is not there; the policy stays as it is");
        assert_eq!(table(), ours);
        host.write(&good);
        watch.told("READY=1");
        assert_eq!(table(), ours);
    });
}

#[test]
fn a_registry_that_cannot_be_read_at_first_closes_the_bridge_until_it_can() {
    in_new_netns(|| {
        let host = Host::new();
        let good = fs::read_to_string(host.path("json")).unwrap();
        host.write("{ no JSON");
        let watch = Watch::spawn(&host, &["--hook", "*"], &[]);
        watch.says("P.json");
        until("closed", || table().contains("chain instances_prerouting"));
        assert!(!table().contains("10.0.0.1"));
        host.write(&good);
        watch.told("READY=1");
        assert!(table().contains("10.0.0.1"));
    });
}

#[test]
fn what_the_kernel_refuses_leaves_the_old_policy_and_is_tried_again() {
    in_new_netns(|| {
        let host = Host::new();
        let in_the_way = "table inet other { set all_v4.instance { type ether_addr; }; }";
        nft(in_the_way);
        let watch = Watch::spawn(&host, &["--hook", "*", "--sets-into", "inet:other"], &[]);
        watch.says("has a set all_v4.instance already");
        watch.told("Not in force yet");
        assert_eq!(table(), "");
        run("nft", &["delete", "table", "inet", "other"]);
        watch.told("READY=1");
        let ours = table();
        nft(&format!("delete table inet other; {in_the_way}"));
        watch.says("has a set all_v4.instance already");
        host.write(&fs::read_to_string(host.path("json")).unwrap().replace("10.0.0.1", "10.0.0.9"));
        watch.told("stays in force: table inet other has a set");
        assert_eq!(table(), ours);
        run("nft", &["delete", "table", "inet", "other"]);
        watch.says("Loading: 2 instances");
        assert!(table().contains("10.0.0.9"));
        assert_eq!(watch.times("has a set all_v4.instance already"), 2, "{:?}", watch.said());
    });
}

#[test]
fn a_fighter_costs_little_and_does_not_win() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        let ours = table();
        let (start, before) = (Instant::now(), generation());
        let mut fights = 0;
        let mut repairs = 0;
        while start.elapsed() < Duration::from_secs(4) || repairs < 2 {
            assert!(start.elapsed() < PATIENCE, "{repairs} repairs, {fights} fights");
            // Flushing a chain that is empty would be no commit.
            let fight = "insert rule bridge instances instances_drop_arp accept";
            fights += u32::from(output("nft", &[fight], "").status.success());
            repairs = generation() - before - fights;
            // Some time to read what it fights about, also on a machine that does other things too.
            std::thread::sleep(Duration::from_millis(5));
        }
        // 10, 20, 40 ... ms: the ninth pause ends after 5 s, each further one after twice the time.
        let most = 9 + (start.elapsed().as_secs() / 5).checked_ilog2().map_or(0, |doublings| doublings + 1);
        assert!(repairs <= most, "{repairs} repairs, {fights} fights");
        until("peace", || table() == ours);
        // Once per step, and of the repair that made peace.
        until("it says who", || watch.times("was changed by nft") > 0);
        assert!(watch.times("was changed by nft") <= most as usize + 1, "{:?}", watch.said());
    });
}

/// Of its dumps, each is cut into by some commit: that kept it from repairing for a minute on a busy machine.
#[test]
fn who_commits_all_the_time_elsewhere_keeps_nothing_from_being_restored() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        let mut other = Command::new("nft").arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut commands = other.stdin.take().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        // Not waited for where something is never said.
        let commits = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    writeln!(commands, "add table ip theirs; delete table ip theirs").unwrap();
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
        });
        nft("insert rule bridge instances instances_drop_arp accept");
        watch.says("was changed by");
        update(&host, &["add", "02:00:00:00:00:03", "10.0.0.3"]);
        watch.says("Loading: 3 instances");
        is_over.store(true, Ordering::Relaxed);
        commits.join().unwrap();
        assert!(other.wait().unwrap().success());
        until("all is as it should be", || {
            host.process(&["--check", "--apply", "--hook", "*"]).output().unwrap().status.success()
        });
        assert!(table().contains("10.0.0.3"));
    });
}

#[test]
fn sighup_reads_anew_and_sigterm_leaves_the_policy_in_force() {
    in_new_netns(|| {
        let host = Host::new();
        let mut watch = Watch::ready(&host, &["--hook", "*"]);
        fs::remove_file(host.path("hosts")).unwrap();
        // It is taken, and means nothing: a signal that was meant for others does not end the watch.
        watch.signal(Signal::SIGUSR1);
        watch.signal(Signal::SIGHUP);
        let reloading = watch.told("RELOADING=1");
        assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        watch.told("READY=1");
        assert!(host.path("hosts").exists());
        let ours = table();
        assert_eq!(watch.ends(Signal::SIGTERM).code(), Some(0));
        watch.told("STOPPING=1");
        assert_eq!(table(), ours);

        let mut watch = Watch::ready(&host, &["--hook", "*"]);
        until("held already", || watch.times("held already") > 0);
        assert_eq!(watch.ends(Signal::SIGINT).code(), Some(0));
    });
}

#[test]
fn the_watchdog_is_fed() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::spawn(&host, &[], &[("WATCHDOG_USEC", "100000")]);
        for _ in 0..4 {
            watch.told("WATCHDOG=1");
        }
    });
}

#[test]
fn killed_and_started_again_it_is_never_open_and_misses_nothing() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        let mut watch = Watch::ready(&host, &["--hook", "*"]);
        let (web, db) = (Wire::open("web"), Wire::open("db"));
        let spoofed = arp_reply(DB, "10.0.0.1".parse().unwrap(), BROADCAST, "10.0.0.9".parse().unwrap());
        let last = arp_reply(DB, "10.0.0.2".parse().unwrap(), BROADCAST, "10.0.0.9".parse().unwrap());
        let stop = AtomicBool::new(false);
        let rounds = if on_stock_kernel() { 3 } else { 15 };
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut sent = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    db.send(&spoofed);
                    sent += 1;
                    std::thread::sleep(Duration::from_micros(200));
                }
                db.send(&last);
                sent
            });
            for round in 0..rounds {
                let address = format!("10.0.1.{round}");
                if round % 2 == 0 {
                    // Killed while it works, if possible.
                    update(&host, &["add", "02:00:00:00:00:03", &address]);
                    watch.child.kill().unwrap();
                    watch.child.wait().unwrap();
                } else {
                    watch.child.kill().unwrap();
                    watch.child.wait().unwrap();
                    update(&host, &["add", "02:00:00:00:00:03", &address]);
                }
                watch = Watch::ready(&host, &["--hook", "*"]);
                assert!(table().contains(&address));
                assert!(!host.path("updated").exists());
            }
            stop.store(true, Ordering::Relaxed);
            assert!(sender.join().unwrap() > 100);
        });
        assert!(!web.sees_before(&spoofed, &last), "a spoofed frame has passed");
    });
}

#[test]
fn a_folder_that_is_removed_and_made_again_is_watched_again() {
    in_new_netns(|| {
        let host = Host::new();
        let folder = host.folder.path().join("a/b");
        let base = folder.join("P");
        let put = |address: &str| {
            fs::create_dir_all(&folder).unwrap();
            let text = format!("{{\"02:00:00:00:00:01\": {{\"name\": \"web\", \"ipv4\": \"{address}\"}}}}");
            fs::write(base.with_extension("new"), text).unwrap();
            fs::rename(base.with_extension("new"), base.with_extension("json")).unwrap();
        };
        put("10.0.0.1");
        let watch = Watch::spawn(&host, &["--hook", "*"], &[("INSTANCES_BASE_PATH", base.to_str().unwrap())]);
        watch.told("READY=1");
        let ours = table();
        let moved = host.folder.path().join("moved");
        for (n, what) in ["b", "a", "b renamed", "a"].into_iter().enumerate() {
            match what {
                "b" => remove(&folder),
                "a" => remove(&host.folder.path().join("a")),
                _ => fs::rename(&folder, &moved).unwrap(),
            }
            watch.told("stays in force");
            nft("flush ruleset");
            until("restored without the folder", || table().contains("chain instances_drop_arp"));
            let address = format!("10.0.2.{n}");
            put(&address);
            until(what, || table().contains(&address));
            watch.told("The policy of 1 instances is in force");
            watch.says("Loading: 1 instances");
            put(&format!("10.0.3.{n}"));
            until(what, || table().contains(&format!("10.0.3.{n}")));
        }
        put("10.0.0.1");
        until("as at first", || table() == ours);
    });
}

#[test]
fn a_thousand_updates_end_in_the_right_state() {
    in_new_netns(|| {
        let host = Host::new();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        let before = generation();
        let many: u32 = if on_stock_kernel() { 50 } else { 1000 };
        for n in 0..many {
            let mac = format!("06:00:00:00:{:02x}:{:02x}", n >> 8 & 3, n & 127);
            update(&host, &["add", &mac, &format!("10.7.{}.{}", n >> 8, n & 255)]);
        }
        until("the flag is down", || !host.path("updated").exists());
        let checked = host.process(&["--check", "--apply", "--hook", "*"]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        assert!(generation() - before <= many, "no more transactions than updates");
        assert_eq!(watch.times("was changed"), 0, "{:?}", watch.said());
    });
}

#[test]
fn a_watch_needs_the_kernel_and_does_not_check() {
    let host = Host::new();
    for arguments in [&["--watch"][..], &["--watch", "--emit"], &["--watch", "--apply", "--check"]] {
        assert_eq!(host.process(arguments).output().unwrap().status.code(), Some(2));
    }
}
