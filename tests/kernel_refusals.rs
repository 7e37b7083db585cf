//! What `instances-process --apply` refuses, by name and with the remedy, and that nothing has changed then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;

use instances::netlink::{CREATE, Connection, REQUEST, Writer};
use kernel::{Host, SPEC, SPEC_RULES, hooked};
use netns::{in_new_netns, nft, output, run};
use std::fmt::Write as _;
use std::fs;

#[test]
fn what_is_in_the_way_is_named_and_nothing_changes() {
    in_new_netns(|| {
        let host = Host::new();
        for (foreign, named) in [
            ("set all_v4.instance { type ipv6_addr; }", "has a set all_v4.instance already, of another type"),
            ("set all_v4.instance { type ipv4_addr; flags interval; }", "has a set all_v4.instance already"),
            ("set all_v4.instance { type ether_addr; }", "has a set all_v4.instance already"),
            (
                "chain instances_drop_arp { type filter hook output priority 7; }",
                "instances_drop_arp already, and it is a base chain (type filter, hook number 3, priority 7)",
            ),
            ("chain instances_input { }", "instances_input already, and it is a chain without hook"),
            (
                "chain instances_forward { type filter hook forward priority 5; }",
                "instances_forward already, and it is a base chain (type filter, hook number 2, priority 5)",
            ),
            ("chain instances_prerouting { }", "instances_prerouting already, and it is a chain without hook"),
            (
                "chain instances_prerouting { type filter hook prerouting priority -300; }",
                "instances_prerouting already, and it is a base chain (type filter, hook number 0, priority -300)",
            ),
        ] {
            nft(&format!("table bridge instances {{ {foreign}; }}"));
            for guard in [&[][..], &SPEC, &SPEC_RULES, &["--guard", "strict", "--layout", "rules"]] {
                let message = host.refused(&hooked(guard));
                assert!(message.contains("table bridge instances has") && message.contains(named), "{message}");
                assert!(message.contains("--table"), "no remedy: {message}");
            }
            nft("flush ruleset");
        }
    });
}

#[test]
fn what_is_in_the_guard_s_way_is_named_and_nothing_changes() {
    in_new_netns(|| {
        let host = Host::new();
        host.write(r#"{"02:00:00:00:00:01": {"ipv4": "10.0.0.1", "allowed": ["10.1.0.0/16"], "port": "tap1"}}"#);
        for (foreign, named) in [
            ("set instances_arp { type ipv4_addr; }", "a set instances_arp already, of another type or with flags"),
            ("set instances_arp { type ipv4_addr . ether_addr; }", "a set instances_arp already"),
            (
                "set instances_arp_nets { type ipv4_addr . ether_addr . ether_addr; }",
                "a set instances_arp_nets already",
            ),
            ("set instances_bound { type ifname . ether_addr; flags timeout; }", "a set instances_bound already"),
            ("map instances_mac { type ether_addr : verdict; }", "a set instances_mac already"),
            ("set instances_offenders_mac { type ether_addr . ifname; }", "a set instances_offenders_mac already"),
            (
                "set instances_arp { type ipv4_addr . ether_addr . ether_addr; }",
                "a set instances_arp already, without counter",
            ),
            (
                "set instances_arp { type ipv4_addr . ether_addr . ether_addr; quota 1 mbytes; }",
                "a set instances_arp already, with something else than a counter",
            ),
            (
                "set instances_bound_mac { type ether_addr; counter; }",
                "a set instances_bound_mac already, with a counter",
            ),
            (
                "chain instances_guard { type filter hook forward priority 0; }",
                "instances_guard already, and it is a base chain (type filter, hook number 2, priority 0)",
            ),
        ] {
            nft(&format!("table bridge instances {{ {foreign}; }}"));
            let message = host.refused(&hooked(&[]));
            assert!(message.contains("table bridge instances has") && message.contains(named), "{message}");
            assert!(message.contains("--table"), "no remedy: {message}");
            nft("flush ruleset");
        }
    });
}

/// One that takes any number, or keeps them for ever, could be filled by whoever sends frames.
#[test]
fn a_foreign_set_of_offenders_is_refused_by_what_differs() {
    in_new_netns(|| {
        let host = Host::new();
        for (foreign, deviation) in [
            ("size 10; flags dynamic,timeout; timeout 1h", "of another size or timeout"),
            ("flags dynamic,timeout; timeout 1h", "of another size or timeout"),
            ("size 16384; flags dynamic,timeout; timeout 60s", "of another size or timeout"),
            ("size 16384; flags dynamic,timeout", "of another size or timeout"),
            ("size 16384; flags dynamic", "of another type or with flags"),
            ("size 16384; flags dynamic,timeout; timeout 1h; counter", "with a counter"),
        ] {
            let name = "instances_offenders_arp";
            nft(&format!(
                "table bridge instances {{ set {name} {{ type ether_addr . ifname . ipv4_addr; {foreign}; }}; }}"
            ));
            let named = format!("set {name} already, {deviation}; rename or delete that one, or choose another table");
            let message = host.refused(&hooked(&[]));
            assert!(message.contains(&named), "{message}");
            let check = host.check_text(&hooked(&[]));
            assert!(check.contains(&format!("-set {name} {deviation}\n+set {name} of 0 elements\n")), "{check}");
            // What the remedy says.
            nft(&format!("delete set bridge instances {name}"));
            host.apply(&hooked(&[]));
            nft("flush ruleset");
        }
    });
}

#[test]
fn the_element_that_the_kernel_refuses_is_named() {
    in_new_netns(|| {
        let host = Host::new();
        for (set, arguments, element) in [
            ("all_v4.instance { type ipv4_addr; size 1; }", &[][..], "10.0.0.2 of set all_v4.instance"),
            (
                "instances_ip { type ipv4_addr . ether_addr; size 1; counter; }",
                &[],
                "10.0.0.2 . 02:00:00:00:00:02 comment \"db\" of set instances_ip",
            ),
            (
                "instances_arp { type ipv4_addr . ether_addr . ether_addr; size 1; counter; }",
                &["--hook", "*"],
                "10.0.0.2 . 02:00:00:00:00:02 . 02:00:00:00:00:02 comment \"db\" of set instances_arp",
            ),
        ] {
            nft(&format!("table bridge instances {{ set {set}; }}"));
            let message = host.refused(arguments);
            let named = format!("refused element {element} in table bridge instances: Too many open files in system");
            assert!(message.contains(&named) && message.contains("with a size, and that is too small"), "{message}");
            nft("flush ruleset");
        }
    });
}

#[test]
fn a_conflict_in_one_table_leaves_all_as_they_were() {
    in_new_netns(|| {
        let host = Host::new();
        nft("table inet filter { set all_l6.instance { type ipv4_addr; }; }");
        let message = host.refused(&["--sets-into", "inet:filter"]);
        assert!(message.contains("table inet filter has a set all_l6.instance already"), "{message}");
    });
}

#[test]
fn a_table_that_belongs_to_another_program_is_left_to_it() {
    in_new_netns(|| {
        let host = Host::new();
        // NFT_MSG_NEWTABLE with NFT_TABLE_F_OWNER, in a batch; the table lives as long as this socket.
        let mut owner = Connection::open(mnl::Bus::Netfilter).unwrap();
        let mut batch = Writer::default();
        batch.message(0x10, REQUEST, 1, &[0, 0, 0, 10], |_| {});
        batch.message(10 << 8, REQUEST | CREATE | 4, 2, &[7, 0, 0, 0], |writer| {
            writer.text(1, "instances");
            writer.number(2, 2);
        });
        batch.message(0x11, REQUEST, 3, &[0, 0, 0, 10], |_| {});
        owner.socket().send(&batch.finish().unwrap()).unwrap();
        owner.receive().unwrap();
        let message = host.refused(&[]);
        assert!(message.contains("belongs to another program (flag owner)"), "{message}");
    });
}

#[test]
fn without_the_capability_the_kernel_s_refusal_is_explained() {
    in_new_netns(|| {
        let host = Host::new();
        for path in [host.folder.path().to_owned(), host.path("json")] {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let program = env!("CARGO_BIN_EXE_instances-process");
        let base = format!("INSTANCES_BASE_PATH={}", host.folder.path().join("P").display());
        let drop = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "env", &base, program, "-f", "--apply"];
        let output = output("setpriv", &drop, "");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("CAP_NET_ADMIN") && message.contains("ermitted"), "{message}");
        assert_eq!(run("nft", &["list", "ruleset"]), "");
    });
}

#[test]
fn a_batch_larger_than_the_buffer_may_be_is_refused_with_the_remedy() {
    // Older kernels show it in the first network namespace only.
    let limit: u32 = fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap().trim().parse().unwrap();
    in_new_netns(move || {
        let host = Host::new();
        let mut registry = String::from("{");
        // About 430 bytes a rule; the kernel doubles the limit.
        for number in 0..limit / 100 {
            let [_, b, c, d] = number.to_be_bytes();
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(registry, "{comma}\"02:00:00:{b:02x}:{c:02x}:{d:02x}\":{{\"ipv4\":\"10.{b}.{c}.{d}\"}}");
        }
        registry.push('}');
        host.write(&registry);
        // In a user namespace root may change its own ruleset, but not exceed the host's limits.
        let base = format!("INSTANCES_BASE_PATH={}", host.folder.path().join("P").display());
        let program = env!("CARGO_BIN_EXE_instances-process");
        let output = output("unshare", &["-rn", "env", &base, program, "-f", "--apply", "--layout", "rules"], "");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("transaction of") && message.contains("net.core.wmem_max"), "{message}");
    });
}
