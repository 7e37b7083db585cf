//! A bridge with an uplink is protected only by somebody who says what to do about the uplink.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::match_wild_err_arm)]

#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;
#[path = "common/watch.rs"]
mod watch;

use instances::plan::uplinks::BridgePort;
use instances::source::bridge_ports;
use kernel::{Host, bridge_with_guests};
use netns::{feed, in_new_netns, nft, output, run};
use std::time::{Duration, Instant};
use watch::{Watch, until, update};

/// A bridge with two guests and a port to somewhere else. Network cards cannot be made, tunnels can.
fn bridge_with_uplink(bridge: &str, guests: [&str; 2], uplink: &str) {
    bridge_with_guests(bridge, guests);
    let id = uplink.trim_start_matches(char::is_alphabetic);
    run("ip", &["link", "add", uplink, "type", "vxlan", "id", id, "dstport", "4789"]);
    run("ip", &["link", "set", uplink, "master", bridge]);
}

fn port(name: &str, bridge: &str, kind: &str) -> BridgePort {
    BridgePort { name: name.to_owned(), bridge: bridge.to_owned(), kind: Some(kind.to_owned()) }
}

#[test]
fn ports_are_read_with_bridge_and_kind() {
    in_new_netns(|| {
        assert_eq!(bridge_ports::read().unwrap(), []);
        bridge_with_uplink("br0", ["web", "db"], "up7");
        run("ip", &["tuntap", "add", "mode", "tap", "name", "tap0"]);
        run("ip", &["link", "add", "br1", "type", "bridge"]);
        run("ip", &["link", "set", "tap0", "master", "br1"]);
        let expected = [
            port("webp", "br0", "veth"),
            port("dbp", "br0", "veth"),
            port("up7", "br0", "vxlan"),
            port("tap0", "br1", "tun"),
        ];
        let mut found = bridge_ports::read().unwrap();
        found.sort_by_key(|port| expected.iter().position(|other| other == port));
        assert_eq!(found, expected);
    });
}

#[test]
fn more_ports_than_one_answer_holds_are_all_read() {
    in_new_netns(|| {
        bridge_with_guests("br0", ["web", "db"]);
        let line = |number: u32| format!("link add v{number} master br0 type veth peer name p{number}\n");
        feed("ip", &["-batch", "-"], (0..60).map(line).collect::<String>());
        assert_eq!(bridge_ports::read().unwrap().len(), 62);
    });
}

#[test]
fn an_uplink_that_is_not_trusted_is_named_and_nothing_changes() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_uplink("br0", ["web", "db"], "up7");
        for arguments in [&["--hook", "*"][..], &["--hook", "br0"], &["--hook", "*", "--trusted-port", "webp"]] {
            let message = host.refused(arguments);
            assert!(message.contains("bridge br0 has the port up7 (vxlan): it looks like an uplink"), "{message}");
            assert!(message.contains("up7, or have it checked too with --trusted-port none"), "{message}");
            assert!(!host.path("hosts").exists(), "not even the hosts file is written");
        }
        // What the remedy says.
        assert!(host.apply(&["--hook", "*", "--trusted-port", "webp,up7"]).contains("loaded and read back"));
        assert!(run("nft", &["list", "ruleset"]).contains("iifname \"up7\" accept"));
    });
}

#[test]
fn trusted_port_none_protects_from_the_uplink_too() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_uplink("br0", ["web", "db"], "up7");
        for (guard, hook) in [("strict", "hook prerouting"), ("spec", "hook forward")] {
            host.apply(&["--hook", "*", "--trusted-port", "none", "--guard", guard]);
            let listed = run("nft", &["list", "ruleset"]);
            assert!(listed.contains(hook) && !listed.contains("accept\n"), "{listed}");
        }
    });
}

#[test]
fn only_an_uplink_of_a_bridge_that_is_to_be_protected_matters() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_uplink("br0", ["web", "db"], "up7");
        bridge_with_guests("br1", ["web1", "db1"]);
        // Neither a run that protects nothing, nor another bridge, nor one that is still to come.
        host.apply(&[]);
        host.apply(&["--hook", "none"]);
        for bridges in ["br1", "br2", "up7"] {
            let output = host.try_apply(&["--hook", bridges]);
            let news = String::from_utf8(output.stderr).unwrap();
            // Where nft_meta_bridge is missing, the kernel refuses the rule.
            assert!(output.status.success() || news.contains("nft_meta_bridge"), "{news}");
        }
        let message = host.refused(&["--hook", "br1,br0"]);
        assert!(message.contains("bridge br0 has the port up7 (vxlan)"), "{message}");
    });
}

#[test]
fn taps_and_veths_are_guests() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        run("ip", &["tuntap", "add", "mode", "tap", "name", "tap0"]);
        run("ip", &["link", "set", "tap0", "master", "br0"]);
        host.apply(&["--hook", "*"]);
    });
}

#[test]
fn check_only_notes_an_uplink() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        host.apply(&["--hook", "*"]);
        let check = |arguments: &[&str]| {
            let output = host.process(&[&["--check", "--apply", "--hook", "*"], arguments].concat()).output().unwrap();
            assert_eq!((output.status.code(), output.stdout), (Some(0), vec![]));
            String::from_utf8(output.stderr).unwrap()
        };
        let see_all = |bridge| run("ip", &["link", "set", bridge, "type", "bridge", "group_fwd_mask", "0x4000"]);
        assert!(check(&[]).starts_with("instances-process: bridge br0 gives frames to 01:80:c2:00:00:0e to this host"));
        see_all("br0");
        assert_eq!(check(&[]), "");
        bridge_with_uplink("br1", ["web1", "db1"], "up7");
        see_all("br1");
        let note = check(&[]);
        assert!(note.starts_with("instances-process: bridge br1 has the port up7 (vxlan)"), "{note}");
        assert_eq!(check(&["--trusted-port", "none"]), "");
    });
}

#[test]
fn without_privileges_the_uplink_is_still_seen() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_uplink("br0", ["web", "db"], "up7");
        for path in [host.folder.path().to_owned(), host.path("json")] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let program = env!("CARGO_BIN_EXE_instances-process");
        let base = format!("INSTANCES_BASE_PATH={}", host.folder.path().join("P").display());
        let drop = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "env", &base, program];
        let output = output("setpriv", &[&drop[..], &["-f", "--apply", "--hook", "*"]].concat(), "");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && message.contains("up7 (vxlan)"), "{message}");
    });
}

#[test]
fn a_watch_does_not_protect_from_an_uplink_by_mistake_and_does_so_when_it_has_gone() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_uplink("br0", ["web", "db"], "up7");
        let watch = Watch::spawn(&host, &["--hook", "*"], &[]);
        let refusal = "bridge br0 has the port up7 (vxlan): it looks like an uplink";
        watch.says(refusal);
        watch.told(&format!("STATUS=Not in force yet: {refusal}"));
        assert_eq!(run("nft", &["list", "ruleset"]), "");
        run("ip", &["link", "set", "up7", "nomaster"]);
        watch.told("READY=1");
        watch.told("STATUS=The policy of 2 instances is in force");
        assert_eq!(watch.times("--trusted-port"), 1, "{:?}", watch.said());
        drop(watch);
        nft("flush ruleset");
        run("ip", &["link", "set", "up7", "master", "br0"]);
        let watch = Watch::ready(&host, &["--hook", "*", "--trusted-port", "up7"]);
        assert_eq!(watch.times("uplink"), 0, "{:?}", watch.said());
    });
}

#[test]
fn an_uplink_that_joins_later_is_said_once_and_takes_no_protection_away() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_uplink("br0", ["web", "db"], "up7");
        run("ip", &["link", "set", "up7", "nomaster"]);
        let start = Instant::now();
        let watch = Watch::ready(&host, &["--hook", "*"]);
        let table = || String::from_utf8(output("nft", &["-s", "list", "ruleset"], "").stdout).unwrap();
        let ours = table();
        run("ip", &["link", "set", "up7", "master", "br0"]);
        let refusal = "bridge br0 has the port up7 (vxlan): it looks like an uplink";
        watch.says(refusal);
        assert!(start.elapsed() < Duration::from_secs(30), "seen by the look around only");
        watch.told(&format!("STATUS=The policy of 2 instances stays in force: {refusal}"));
        assert_eq!(table(), ours);
        nft("flush ruleset");
        until("restored", || table() == ours);
        // No new policy, as with a single run.
        update(&host, &["add", "02:00:00:00:00:03", "10.0.0.3"]);
        run("ip", &["link", "add", "up8", "master", "br0", "type", "vxlan", "id", "8", "dstport", "4790"]);
        watch.says("up8 (vxlan): they look like uplinks");
        assert_eq!(table(), ours);
        assert_eq!(watch.times(refusal), 1, "{:?}", watch.said());
        for uplink in ["up7", "up8"] {
            run("ip", &["link", "del", uplink]);
        }
        watch.says("Loading: 3 instances");
        watch.told("STATUS=The policy of 3 instances is in force");
    });
}
