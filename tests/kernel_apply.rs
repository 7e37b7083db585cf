//! What `instances-process --apply` does to the kernel, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;

use instances::netlink::{CREATE, Connection, REQUEST, Writer};
use kernel::Host;
use netns::{feed, in_new_netns, nft, on_stock_kernel, output, run};
use std::fmt::Write as _;
use std::fs;

fn chain(name: &str) -> String {
    run("nft", &["list", "chain", "bridge", "instances", name])
}

#[test]
fn people_s_chains_jumps_and_sets_in_the_same_table_survive() {
    in_new_netns(|| {
        let host = Host::new();
        let foreign = "table bridge instances {
            set mine { type ether_addr; elements = { 02:00:00:00:00:09 } }
            map verdicts { type ifname : verdict; elements = { \"eth7\" : accept } }
            chain instances_drop_arp { }
            chain mine { type filter hook forward priority -300; policy accept; ether saddr @mine counter
                         ether type arp jump instances_drop_arp; }
        }";
        nft(foreign);
        let listed = || {
            let text = run("nft", &["list", "table", "bridge", "instances"]);
            let blocks = text.split("\n\n").filter(|block| block.contains("mine") || block.contains("verdicts"));
            blocks.map(|block| block.trim_end_matches(['}', '\n']).to_owned()).collect::<Vec<_>>()
        };
        let before = listed();
        for _ in 0..2 {
            host.apply(&[]);
            host.write(&fs::read_to_string(host.path("json")).unwrap().replace("10.0.0.2", "10.0.0.3"));
        }
        assert_eq!(listed(), before);
        assert!(chain("instances_drop_arp").contains("10.0.0.3"));
    });
}

#[test]
fn other_tables_are_not_touched() {
    in_new_netns(|| {
        let host = Host::new();
        nft("table inet filter { set keep { type ipv4_addr; elements = { 10.9.9.9 }; }
             chain input { type filter hook input priority 0; ip saddr @keep accept; }; }
             table bridge other { chain instances_drop_arp { counter; }; }");
        host.apply(&["--sets-into", "inet:filter", "--sets-into", "ip6:new"]);
        let inet = run("nft", &["list", "table", "inet", "filter"]);
        assert!(inet.contains("10.9.9.9") && inet.contains("ip saddr @keep accept"), "{inet}");
        assert!(inet.contains("set all_v6.instance"), "{inet}");
        assert!(run("nft", &["list", "table", "ip6", "new"]).contains("elements = { 10.0.0.1, 10.0.0.2 }"));
        let other = run("nft", &["list", "table", "bridge", "other"]);
        assert!(other.contains("counter packets") && !other.contains("10.0.0"), "{other}");
    });
}

#[test]
fn a_new_table_is_named_once() {
    in_new_netns(|| {
        let host = Host::new();
        let arguments = ["--sets-into", "inet:typo"];
        assert!(host.apply(&arguments).contains("table inet typo was not there and has been made"));
        assert!(!host.apply(&arguments).contains("was not there"));
    });
}

#[test]
fn each_base_id_has_a_table_of_its_own() {
    in_new_netns(|| {
        let host = Host::new();
        fs::copy(host.path("json"), host.folder.path().join("P-br1.json")).unwrap();
        host.apply(&[]);
        assert!(host.process(&["-f", "--apply"]).env("INSTANCES_BASE_ID", "br1").status().unwrap().success());
        assert!(host.process(&["-f", "--apply", "--table", "guard"]).status().unwrap().success());
        assert_eq!(
            run("nft", &["list", "tables"]),
            "table bridge instances\ntable bridge instances_br1\ntable bridge guard\n"
        );
    });
}

#[test]
fn an_unchanged_policy_keeps_its_counters() {
    in_new_netns(|| {
        let host = Host::new();
        assert!(host.apply(&[]).contains("loaded and read back"));
        let generation = || run("nft", &["-a", "list", "ruleset"]);
        let handles = generation();
        assert!(host.apply(&[]).contains("held already"));
        assert_eq!(generation(), handles);
    });
}

#[test]
fn a_policy_that_nothing_leads_to_is_said_to_be_idle() {
    in_new_netns(|| {
        let host = Host::new();
        let idle = "not in force: no base chain in table bridge instances leads to";
        assert!(host.apply(&[]).contains(&format!("{idle} instances_drop_arp, instances_drop_ndp")));
        nft(
            "add chain bridge instances middle; add rule bridge instances middle ether type arp jump instances_drop_arp",
        );
        assert!(host.apply(&[]).contains(&format!("{idle} instances_drop_arp, instances_drop_ndp")));
        nft("table bridge instances { chain forward { type filter hook forward priority 0; jump middle
             ether type ip6 goto instances_drop_ndp; }; }");
        assert!(!host.apply(&[]).contains("not in force"));
        nft("table bridge instances { flags dormant; }");
        let news = host.apply(&[]);
        assert!(news.contains("not in force: table bridge instances is dormant"), "{news}");
        host.apply(&["--hook", "*"]);
        let output = host.process(&["--check", "--apply", "--hook", "*"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "dormant is not in force");
        let remedy = news.split("wake it with: nft ").nth(1).unwrap().trim().split(' ');
        run("nft", &remedy.collect::<Vec<_>>());
        assert!(!host.apply(&[]).contains("not in force"));
    });
}

#[test]
fn a_verdict_map_may_lead_to_the_policy() {
    in_new_netns(|| {
        let host = Host::new();
        host.apply(&[]);
        nft("table bridge instances { map unused { type ether_type : verdict;
             elements = { arp : jump instances_drop_arp, ip6 : jump instances_drop_ndp }; }; }");
        assert!(host.apply(&[]).contains("not in force"));
        let output = host.process(&["--check", "--apply"]).output().unwrap();
        assert!(output.status.success() && String::from_utf8(output.stderr).unwrap().contains("not in force"));
        nft("table bridge instances { chain forward { type filter hook forward priority 0
             ether type vmap { arp : jump instances_drop_arp, ip6 : jump instances_drop_ndp }; }; }");
        assert!(!host.apply(&[]).contains("not in force"));
        // Also by way of another chain.
        nft("flush ruleset");
        host.apply(&[]);
        nft("table bridge instances { chain middle { ether type arp jump instances_drop_arp
             ether type ip6 jump instances_drop_ndp; }; chain forward { type filter hook forward priority 0
             ether type vmap { arp : jump middle, ip6 : jump middle }; }; }");
        assert!(!host.apply(&[]).contains("not in force"));
    });
}

#[test]
fn hooks_come_and_go_only_when_asked_for() {
    in_new_netns(|| {
        let host = Host::new();
        assert!(!host.apply(&["--hook", "*", "--trusted-port", "eth0,eth1"]).contains("not in force"));
        let forward = chain("instances_forward");
        let wanted = [
            "type filter hook forward priority filter; policy accept;",
            "iifname \"eth0\" accept",
            "iifname \"eth1\" accept",
            "jump instances_drop_arp",
            "jump instances_drop_ndp",
        ];
        assert!(wanted.iter().all(|line| forward.contains(line)), "{forward}");
        assert!(chain("instances_input").contains("hook input"));

        host.apply(&[]);
        assert_eq!(chain("instances_forward"), forward, "a run without --hook must not take protection away");
        host.apply(&["--hook", "*"]);
        assert!(!chain("instances_forward").contains("eth0"));
        host.apply(&["--hook", "none"]);
        assert!(!run("nft", &["list", "ruleset"]).contains("hook"));
        host.apply(&["--hook", "none"]);
    });
}

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
        ] {
            nft(&format!("table bridge instances {{ {foreign}; }}"));
            let message = host.refused(&["--hook", "*"]);
            assert!(message.contains("table bridge instances has") && message.contains(named), "{message}");
            assert!(message.contains("--table"), "no remedy: {message}");
            nft("flush ruleset");
        }
    });
}

#[test]
fn hook_none_removes_our_base_chains_only() {
    in_new_netns(|| {
        let host = Host::new();
        for foreign in [
            "chain instances_input { type filter hook output priority 7; policy drop; counter; }",
            "chain instances_forward { counter; }",
            "chain instances_forward { type filter hook forward priority 0; }",
        ] {
            nft(&format!("table bridge instances {{ {foreign}; }}"));
            let message = host.refused(&["--hook", "none"]);
            assert!(message.contains("that is not ours"), "{message}");
            nft("flush ruleset");
        }
    });
}

#[test]
fn a_changed_policy_of_a_base_chain_is_noticed_and_mended() {
    in_new_netns(|| {
        let host = Host::new();
        host.apply(&["--hook", "*"]);
        nft("add chain bridge instances instances_forward { policy drop; }");
        let output = host.process(&["--check", "--apply", "--hook", "*"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stdout).unwrap().contains("+chain instances_forward"));
        assert!(host.apply(&["--hook", "*"]).contains("loaded and read back"));
        assert!(chain("instances_forward").contains("policy accept"));
    });
}

/// A rule may still refer to the set of a name that is no longer asked for: it must not go on admitting an address that
/// belongs to somebody else by now.
#[test]
fn sets_that_are_no_longer_asked_for_are_emptied() {
    in_new_netns(|| {
        let host = Host::new();
        let apply = |names: &str| {
            let mut process = host.process(&["-f", "--apply", "--sets-into", "inet:filter"]);
            assert!(process.env("INSTANCES_ADDRESS_SETS", names).status().unwrap().success());
        };
        let members = |table: &str| {
            run("nft", &["list", "ruleset"])
                .split("table ")
                .find(|text| text.starts_with(table))
                .unwrap()
                .split("set web.v4.instance")
                .nth(1)
                .unwrap()
                .split('}')
                .next()
                .unwrap()
                .contains("10.0.0.1")
        };
        apply("web");
        nft(
            "table inet filter { set mine.v4 { type ipv4_addr; elements = { 10.9.9.9 }; }; chain c { ip saddr @web.v4.instance accept; }; }",
        );
        assert!(members("bridge") && members("inet"));
        let output = host.process(&["--check", "--apply", "--sets-into", "inet:filter"]).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("-@web.v4.instance: 10.0.0.1"));
        apply("db");
        assert!(!members("bridge") && !members("inet"));
        assert!(run("nft", &["list", "ruleset"]).contains("10.9.9.9"), "a set of somebody else's");
        let before = run("nft", &["-a", "list", "ruleset"]);
        apply("db");
        assert_eq!(run("nft", &["-a", "list", "ruleset"]), before);
    });
}

#[test]
fn the_element_that_the_kernel_refuses_is_named() {
    in_new_netns(|| {
        let host = Host::new();
        nft("table bridge instances { set all_v4.instance { type ipv4_addr; size 1; }; }");
        let message = host.refused(&[]);
        let named =
            "refused element 10.0.0.2 of set all_v4.instance in table bridge instances: Too many open files in system";
        assert!(message.contains(named), "{message}");
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
fn check_names_each_difference_and_changes_nothing() {
    in_new_netns(|| {
        let host = Host::new();
        let check = |expected: &[&str]| {
            let before = run("nft", &["list", "ruleset"]);
            let output = host.process(&["--check", "--apply", "--hook", "*"]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(i32::from(!expected.is_empty())), "{text}");
            for line in expected {
                assert!(text.lines().any(|found| found == *line), "{line}\nnot in\n{text}");
            }
            assert_eq!(run("nft", &["list", "ruleset"]), before);
        };
        host.apply(&["--hook", "*"]);
        check(&[]);
        nft(
            "delete element bridge instances all_v4.instance { 10.0.0.1 }; add element bridge instances all_v4.instance { 10.7.7.7 }",
        );
        check(&[
            "--- table bridge instances (in the kernel)",
            "+@all_v4.instance: 10.0.0.1",
            "-@all_v4.instance: 10.7.7.7",
        ]);
        nft("flush chain bridge instances instances_forward");
        check(&["+instances_forward: ether type arp jump instances_drop_arp"]);
        nft("insert rule bridge instances instances_drop_arp ether saddr 02:00:00:00:00:05 accept comment \"mine\"");
        check(&["-instances_drop_arp: [load 6 bytes @ Link + 6] [== 0x020000000005] [accept] comment \"mine\""]);
        host.apply(&["--hook", "*"]);
        check(&[]);
        nft("flush ruleset");
        check(&["+chain instances_drop_arp", "+set all_v4.instance of 2 elements", "+chain instances_input"]);
    });
}

#[test]
fn a_batch_larger_than_any_buffer_loads_in_one_piece() {
    in_new_netns(|| {
        let host = Host::new();
        let count: u32 = if on_stock_kernel() { 2_000 } else { 100_000 };
        let mut registry = String::from("{");
        for number in 0..count {
            let [_, b, c, d] = number.to_be_bytes();
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(
                registry,
                "{comma}\"02:00:00:{b:02x}:{c:02x}:{d:02x}\":{{\"name\":\"n{number}\",\"ipv4\":\"10.{b}.{c}.{d}\"}}"
            );
        }
        registry.push('}');
        host.write(&registry);
        assert!(host.apply(&[]).contains("loaded and read back"));
        let rules = chain("instances_drop_arp").lines().filter(|line| line.contains("comment")).count();
        assert_eq!(rules, count as usize + 1);
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
        let output = output("unshare", &["-rn", "env", &base, program, "-f", "--apply"], "");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("transaction of") && message.contains("net.core.wmem_max"), "{message}");
    });
}

#[test]
fn a_small_policy_loads_in_a_user_namespace() {
    in_new_netns(|| {
        let host = Host::new();
        let base = format!("INSTANCES_BASE_PATH={}", host.folder.path().join("P").display());
        let program = env!("CARGO_BIN_EXE_instances-process");
        let script = format!("{program} -f --apply && nft list ruleset");
        let listed = feed("unshare", &["-rn", "env", &base, "sh", "-c", &script], "");
        assert!(listed.contains("arp saddr ip 10.0.0.2"), "{listed}");
    });
}
