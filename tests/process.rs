//! `instances-process` without `--apply`: when it works, what it writes where, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, B, C, PROCESS, Sandbox, UPDATE, can_be_root};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::time::{Duration, SystemTime};

const OUTPUTS: [&str; 3] = [".hosts", ".nftables_chains", ".nftables_sets"];

/// What is said about one instance with a name and an IPv4 address.
const ONE: &str = "Loading: 1 instances; saving: 2 host addresses, 4 nftables rules, 10 nftables sets; done\n";

/// One instance with an IPv4 address; the flag is up.
fn one() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    sandbox
}

fn written(sandbox: &Sandbox) -> usize {
    OUTPUTS.iter().filter(|suffix| sandbox.has(suffix)).count()
}

#[test]
fn the_public_suites_numbers_come_out() {
    let sandbox =
        Sandbox::new().set("INSTANCES_BASE_ID", "process").set("INSTANCES_ADDRESS_SETS", "radish,potato,test");
    sandbox.update(&["add", "aa:bb:cc:dd:ee:ff", "111.112.113.114", "radish"]);
    sandbox.update(&["add", "aa:bb:cc:11:22:33", "111.112.113.115", "potato"]);
    sandbox.add_v6("aa:bb:cc:11:22:33", "2001:1234:5678::9abc", "potato");
    sandbox.add_v6("aa:bb:cc:11:22:33", "fdb8:7a32:ffb5::1234", "potato");
    sandbox
        .process(&[])
        .said("Loading: 2 instances; saving: 6 host addresses, 8 nftables rules, 20 nftables sets; done\n");
    let size = |suffix: &str| {
        let text = sandbox.read(&format!("-process{suffix}"));
        (text.lines().count(), text.len())
    };
    assert_eq!(OUTPUTS.map(size), [(6, 450), (14, 1073), (92, 1990)]);
}

#[test]
fn without_a_flag_nothing_is_done() {
    let sandbox = Sandbox::with_registry("{}");
    let ended = sandbox.process(&[]);
    assert_eq!((ended.status, ended.out.as_str(), ended.err.as_str()), (Some(10), "", ""));
    assert_eq!(sandbox.files(), ["instances.json"], "not even a lock file");
}

#[test]
fn without_a_flag_a_broken_registry_is_not_even_read() {
    assert_eq!(Sandbox::with_registry("broken").process(&[]).status, Some(10));
}

#[test]
fn a_flag_is_processed_once() {
    let sandbox = one();
    sandbox.process(&[]).said(ONE);
    assert!(!sandbox.has(".updated"));
    assert_eq!(sandbox.process(&[]).status, Some(10));
}

#[test]
fn force_works_without_a_flag_and_as_often_as_it_is_given() {
    let sandbox = one();
    for arguments in [&["-f"][..], &["--force"], &["-f", "-f"], &["-ff"], &["--force", "-f", "--force"]] {
        sandbox.drop_flag();
        sandbox.process(arguments).said(ONE);
    }
}

#[test]
fn force_drops_the_flag_too() {
    let sandbox = one();
    sandbox.process(&["-f"]).said(ONE);
    assert!(!sandbox.has(".updated"));
}

#[test]
fn a_missing_registry_is_an_empty_one() {
    let sandbox = Sandbox::new();
    sandbox.raise_flag();
    sandbox
        .process(&[])
        .said("Loading: 0 instances; saving: 0 host addresses, 2 nftables rules, 10 nftables sets; done\n");
    assert_eq!(sandbox.read(".hosts"), "");
    assert!(!sandbox.has(".json"));
}

#[test]
fn the_registry_is_only_read() {
    let sandbox = Sandbox::with_registry(format!(r#"{{"{A}":{{"ipv6_gua":"2a00:0::1"}}}}"#));
    let before = fs::metadata(sandbox.path(".json")).unwrap();
    sandbox.process(&["-f"]);
    let after = fs::metadata(sandbox.path(".json")).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_the_flag_stays() {
    for blocked in OUTPUTS {
        let sandbox = one();
        fs::create_dir(sandbox.path(blocked)).unwrap();
        let ended = sandbox.process(&[]);
        assert!(ended.refused().contains(sandbox.path(blocked).to_str().unwrap()), "{}", ended.err);
        assert!(sandbox.has(".updated"));
        fs::remove_dir(sandbox.path(blocked)).unwrap();
        sandbox.process(&[]).said(ONE);
    }
}

#[test]
fn a_flag_touched_meanwhile_stays() {
    // Large enough for the program to be caught between its first and its last file.
    let instance =
        |n: usize| format!(r#""02:00:00:00:{:02x}:{:02x}":{{"name":"n{n}","ipv4":"10.0.0.1"}}"#, n >> 8, n & 255);
    let text = format!("{{{}}}", (0..20_000).map(instance).collect::<Vec<_>>().join(","));
    let caught = |_| {
        let sandbox = Sandbox::with_registry(&text);
        sandbox.raise_flag();
        let mut running = sandbox.command(PROCESS, &["--emit"]).stderr(std::process::Stdio::null()).spawn().unwrap();
        let pid = Pid::from_child(&running);
        while !sandbox.has(".hosts") {
            assert!(running.try_wait().unwrap().is_none(), "it wrote nothing");
            std::thread::yield_now();
        }
        kill_process(pid, Signal::STOP).unwrap();
        let in_between = !sandbox.has(".nftables_sets");
        let now = SystemTime::now() + Duration::from_secs(1);
        let touched = fs::File::open(sandbox.path(".updated")).and_then(|flag| flag.set_modified(now));
        kill_process(pid, Signal::CONT).unwrap();
        assert!(running.wait().unwrap().success());
        in_between.then(|| {
            touched.unwrap();
            assert!(sandbox.has(".updated"));
            assert_eq!(sandbox.process(&[]).status, Some(0));
            assert!(!sandbox.has(".updated"));
        })
    };
    assert!((0..20).find_map(caught).is_some(), "never caught in between");
}

#[test]
fn no_update_is_lost_between_both_programs() {
    let sandbox = Sandbox::new();
    for n in 0..60 {
        let mac = format!("11:22:33:44:55:{n:02x}");
        let mut update = sandbox.command(UPDATE, &["add", &mac, &format!("10.0.0.{n}"), &format!("n{n}")]);
        let mut process = sandbox.command(PROCESS, &[""; 0]);
        let running =
            [&mut process, &mut update].map(|command| command.stderr(std::process::Stdio::null()).spawn().unwrap());
        for mut program in running {
            program.wait().unwrap();
        }
        assert!(sandbox.has(".updated") || sandbox.read(".hosts").contains(&format!("10.0.0.{n} ")), "{n}");
    }
}

#[test]
fn the_hosts_file_goes_where_it_is_told() {
    let sandbox = one();
    let file = sandbox.path(".elsewhere");
    sandbox.process(&["--hosts-to", file.to_str().unwrap()]).said(ONE);
    let lines = fs::read_to_string(file).unwrap();
    assert!(lines.starts_with("10.0.0.1 one.instance.internal one.v4.instance.internal\n"), "{lines}");
    assert!(!sandbox.has(".hosts"));

    let folder = sandbox.path(".d");
    fs::create_dir(&folder).unwrap();
    sandbox.process(&["-f", "--hosts-to", folder.to_str().unwrap()]).said(ONE);
    assert_eq!(fs::read_to_string(folder.join("instances.hosts")).unwrap(), lines);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.folder().join("nowhere/instances");
    let mut command = sandbox.command(PROCESS, &["-f"]);
    let ended: common::Ended = command.env("INSTANCES_BASE_PATH", &nowhere).output().unwrap().into();
    assert!(ended.refused().contains(nowhere.to_str().unwrap()), "{}", ended.err);

    let sandbox = one();
    let refused = sandbox.process(&["--hosts-to", nowhere.to_str().unwrap()]);
    assert!(refused.refused().contains(nowhere.to_str().unwrap()), "{}", refused.err);
    assert!(sandbox.has(".updated"));
}

#[test]
fn check_finds_no_difference_after_processing() {
    let sandbox = one();
    sandbox.process(&[]);
    assert_eq!(sandbox.process(&["--check"]).printed(), "");
}

#[test]
fn check_prints_a_unified_diff_and_changes_nothing() {
    let sandbox = one();
    sandbox.process(&[]);
    fs::write(sandbox.path(".hosts"), "10.0.0.1 one.instance.internal one.v4.instance.internal\nours\n").unwrap();
    let path = sandbox.path(".hosts").display().to_string();
    let ended = sandbox.process(&["--check"]);
    let expected = format!(
        "--- {path} (there)\n+++ {path} (planned)\n@@ -1,2 +1,2 @@\n \
         10.0.0.1 one.instance.internal one.v4.instance.internal\n\
         -ours\n+fe80::1322:33ff:fe44:550a one.l6.instance.internal\n"
    );
    assert_eq!((ended.status, ended.out, ended.err), (Some(1), expected, String::new()));
    assert!(sandbox.read(".hosts").ends_with("ours\n"));
}

#[test]
fn check_compares_every_file_and_takes_a_missing_one_for_empty() {
    for suffix in OUTPUTS {
        let sandbox = one();
        sandbox.process(&[]);
        fs::remove_file(sandbox.path(suffix)).unwrap();
        let ended = sandbox.process(&["--check"]);
        assert_eq!(ended.status, Some(1));
        let headers: Vec<_> = ended.out.lines().filter(|line| line.starts_with("+++ ")).collect();
        assert_eq!(headers, [format!("+++ {} (planned)", sandbox.path(suffix).display())]);
        assert!(!sandbox.has(suffix));
    }
}

#[test]
fn check_does_not_care_about_the_flag() {
    let sandbox = one();
    assert_eq!(sandbox.process(&["--check"]).status, Some(1));
    assert!(sandbox.has(".updated"));
    assert_eq!(written(&sandbox), 0);
    sandbox.process(&[]);
    sandbox.raise_flag();
    assert_eq!(sandbox.process(&["--check"]).status, Some(0));
    assert!(sandbox.has(".updated"));
}

#[test]
fn outputs_are_readable_by_all_whatever_the_umask() {
    let sandbox = one();
    assert!(sandbox.command("/bin/sh", &["-c", "umask 077; \"$0\"", PROCESS]).output().unwrap().status.success());
    for suffix in OUTPUTS {
        assert_eq!(fs::metadata(sandbox.path(suffix)).unwrap().mode() & 0o7777, 0o644, "{suffix}");
    }
}

#[test]
fn mode_and_owner_of_existing_outputs_are_kept() {
    let sandbox = one();
    sandbox.process(&[]);
    let root = can_be_root();
    let facts = |suffix: &str| {
        let metadata = fs::metadata(sandbox.path(suffix)).unwrap();
        (metadata.mode(), metadata.uid(), metadata.gid())
    };
    for suffix in OUTPUTS {
        fs::set_permissions(sandbox.path(suffix), Permissions::from_mode(0o640)).unwrap();
        if root {
            chown(sandbox.path(suffix), Some(4321), Some(1234)).unwrap();
        }
    }
    let before = OUTPUTS.map(facts);
    sandbox.update(&["add", B, "10.0.0.2", "two"]);
    sandbox.process(&[]);
    assert!(sandbox.read(".hosts").contains("two"));
    assert_eq!(OUTPUTS.map(facts), before);
}

#[test]
fn outputs_are_replaced_not_overwritten_and_nothing_is_left_beside_them() {
    let sandbox = one();
    sandbox.process(&[]);
    let inodes = || OUTPUTS.map(|suffix| fs::metadata(sandbox.path(suffix)).unwrap().ino());
    let reader = fs::File::open(sandbox.path(".hosts")).unwrap();
    let before = inodes();
    sandbox.update(&["--remove", A]);
    sandbox.process(&[]);
    assert!(inodes().iter().zip(before).all(|(new, old)| *new != old));
    assert!(std::io::read_to_string(reader).unwrap().contains("10.0.0.1"));
    let files =
        ["instances.hosts", "instances.json", "instances.lock", "instances.nftables_chains", "instances.nftables_sets"];
    assert_eq!(sandbox.files(), files);
}

#[test]
fn help_and_usage_errors_have_their_own_exits() {
    let sandbox = one();
    for help in ["-h", "--help"] {
        assert!(sandbox.process(&[help]).printed().contains("Usage: instances-process"));
    }
    let version = concat!("instances-process ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(sandbox.process(&["--version"]).printed(), version);
    for wrong in [&["--unknown"][..], &["extra"], &["--layout", "foo"], &["--sets-into", "filter"], &["--table", "1"]] {
        let ended = sandbox.process(wrong);
        assert_eq!((ended.status, ended.out.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(!ended.err.is_empty());
    }
    assert!(sandbox.has(".updated"));
    assert_eq!(written(&sandbox), 0);
}

#[test]
fn layout_and_guard_are_for_the_files_too() {
    let sandbox = one();
    let chains = |arguments: &[&str]| {
        sandbox.raise_flag();
        assert_eq!(sandbox.process(arguments).status, Some(0));
        assert_eq!(sandbox.process(&[&["--check", "--emit"], arguments].concat()).status, Some(0));
        sandbox.read(".nftables_chains")
    };
    let (rule, lookup) = ("arp saddr ip 10.0.0.1 counter", "arp saddr ip . ether saddr @instances_ip return");
    let text = chains(&[]);
    assert!(text.contains(rule) && !text.contains("instances_ip"), "{text}");
    assert_eq!(chains(&["--guard", "spec", "--layout", "rules"]), text, "they are the defaults");
    let text = chains(&["--layout", "sets"]);
    assert!(
        text.contains(lookup) && text.contains("set instances_ip {") && !text.contains("instances_guard"),
        "{text}"
    );
    let text = chains(&["--guard", "strict"]);
    assert!(
        text.contains(rule) && text.contains("chain instances_guard {") && !text.contains("instances_ip {"),
        "{text}"
    );
    for wrong in [&["--guard", "all"][..], &["--guard", ""], &["--layout", "set"], &["--guard", "spec,nd"]] {
        assert_eq!(sandbox.process(wrong).status, Some(2), "{wrong:?}");
    }
}

#[test]
fn output_is_in_registry_order() {
    let sandbox = Sandbox::new();
    for (mac, name) in [(C, "sea"), (A, "eh"), (B, "bee")] {
        sandbox.update(&["add", mac, "10.0.0.1", name]);
    }
    sandbox.process(&[]);
    let text = sandbox.read(".hosts");
    let names: Vec<_> =
        text.lines().filter(|line| line.starts_with("fe80")).map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(names, ["sea.l6.instance.internal", "eh.l6.instance.internal", "bee.l6.instance.internal"]);
}

#[test]
fn the_hosts_file_never_goes_where_another_file_of_ours_is() {
    let sandbox = one();
    let before = sandbox.registry();
    let folder = sandbox.folder();
    for suffix in [".json", ".updated", ".lock", ".nftables_chains", ".nftables_sets"] {
        let plain = sandbox.path(suffix);
        let roundabout = folder.join("..").join(folder.file_name().unwrap()).join(plain.file_name().unwrap());
        for path in [plain, roundabout] {
            for task in ["--force", "--check"] {
                let ended = sandbox.process(&[task, "--hosts-to", path.to_str().unwrap()]);
                assert!(ended.refused().contains("a file of ours"), "{}", ended.err);
            }
        }
    }
    assert_eq!(sandbox.registry(), before);
}

#[test]
fn what_only_the_kernel_understands_needs_apply() {
    for option in [["--hook", "br0"], ["--table", "guard"], ["--sets-into", "inet:filter"]] {
        let ended = one().process(&[&["--force"], &option[..]].concat());
        assert!(ended.status == Some(2) && ended.err.contains("--apply"), "{option:?}: {}", ended.err);
    }
    let ended = one().process(&["--force", "--apply", "--trusted-port", "eth0"]);
    assert!(ended.status == Some(2) && ended.err.contains("--hook"), "{}", ended.err);
    for hook in ["*,br0", "none,br0", "br0,", "", "br*", "a b", "a/b"] {
        let ended = one().process(&["--force", "--apply", "--hook", hook]);
        assert_eq!(ended.status, Some(2), "{hook:?}: {}", ended.err);
    }
}

#[test]
fn an_address_of_two_macs_is_named_and_processed_all_the_same() {
    let sandbox = one();
    sandbox.update(&["add", B, "10.0.0.2", "two"]);
    sandbox.update(&["--allow", B, "10.0.0.1"]);
    let warning = format!("instances-process: 10.0.0.1 is registered for 2 MACs: {A}, {B} (allowed)\n");
    let ended = sandbox.process(&[]);
    assert_eq!((ended.status, ended.err.split_once('\n').unwrap().1), (Some(0), &*warning));
    assert!(sandbox.read(".nftables_chains").matches("10.0.0.1 ").count() == 2);
    let checked = sandbox.process(&["--check"]);
    assert_eq!((checked.status, checked.out, checked.err), (Some(0), String::new(), warning), "it does not differ");
}

#[test]
fn of_many_addresses_of_two_macs_a_few_are_named_and_the_rest_is_counted() {
    let half = |n: u8| (0..9).map(move |m| format!(r#""02:00:00:00:{n:02x}:{m:02x}": {{"ipv4": "10.0.0.{m}"}}"#));
    let sandbox = Sandbox::with_registry(format!("{{{}}}", half(0).chain(half(1)).collect::<Vec<_>>().join(",")));
    let ended = sandbox.process(&["-f"]);
    let lines: Vec<_> = ended.err.lines().skip(1).collect();
    let mut expected: Vec<_> = (0..3)
        .map(|m| {
            format!("instances-process: 10.0.0.{m} is registered for 2 MACs: 02:00:00:00:00:0{m}, 02:00:00:00:01:0{m}")
        })
        .collect();
    expected.push("instances-process: and 6 more addresses of several MACs; see instances-update --list".to_owned());
    assert_eq!(lines, expected);
}

#[test]
fn no_trusted_port_is_said_alone() {
    for (arguments, why) in [
        (&["--hook", "*", "--trusted-port", "none,eth0"][..], "none stands alone"),
        (&["--hook", "*", "--trusted-port", "eth0", "--trusted-port", "none"], "none stands alone"),
        (&["--hook", "*", "--trusted-port", "none,none"], "none stands alone"),
        (&["--hook", "none", "--trusted-port", "none"], "no meaning with --hook none"),
        (&["--hook", "none", "--trusted-port", "eth0"], "no meaning with --hook none"),
    ] {
        let ended = one().process(&[&["--force", "--apply"], arguments].concat());
        assert!(ended.refused().contains(why), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn check_reads_no_pipes_and_no_devices() {
    for path in ["/dev/zero", "/dev/stdin"] {
        one().process(&["--check", "--hosts-to", path]).refused();
    }
    let sandbox = one();
    let pipe = sandbox.path(".pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert!(
        sandbox.process(&["--check", "--hosts-to", pipe.to_str().unwrap()]).refused().contains("not a regular file")
    );
}
