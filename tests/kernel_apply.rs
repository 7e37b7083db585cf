//! What `instances-process --apply` does to the kernel, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;

use instances::netlink::{Connection, Writer};
use kernel::{Host, SPEC, SPEC_RULES, chain, hooked};
use netns::{feed, in_new_netns, nft, on_stock_kernel, run};
use std::fmt::Write as _;
use std::fs;

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
        for (number, arguments) in [&[][..], &SPEC_RULES, &hooked(&[]), &hooked(&SPEC), &[]].into_iter().enumerate() {
            host.write(&format!(r#"{{"02:00:00:00:00:01": {{"ipv4": "10.0.3.{number}"}}}}"#));
            host.apply(arguments);
            assert_eq!(listed(), before, "{arguments:?}");
            let all = run("nft", &["list", "table", "bridge", "instances"]);
            assert!(all.contains(&format!("10.0.3.{number}")), "{all}");
            host.apply(&["--hook", "none"]);
            assert_eq!(listed(), before, "{arguments:?}");
        }
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
        let remedy = news.split("wake it with: nft ").nth(1).unwrap().trim().split(' ');
        run("nft", &remedy.collect::<Vec<_>>());
        assert!(!host.apply(&[]).contains("not in force"));
    });
}

#[test]
fn who_asks_for_hooks_has_a_dormant_table_woken() {
    in_new_netns(|| {
        let host = Host::new();
        let ours = hooked(&SPEC);
        let is_dormant = || run("nft", &["list", "ruleset"]).contains("flags dormant");
        // Whether our base chains are there already or come with it, and others go.
        for before in [&ours[..], &["--hook", "*"], &[]] {
            nft("flush ruleset");
            host.apply(before);
            nft("table bridge instances { flags dormant; }");
            let check = host.process(&[&["--check", "--apply"], &ours[..]].concat()).output().unwrap();
            assert_eq!(check.status.code(), Some(1), "dormant is not in force");
            assert!(String::from_utf8(check.stdout).unwrap().contains("-flags dormant\n"));
            assert!(is_dormant());
            assert!(!host.apply(&ours).contains("not in force"));
            assert!(!is_dormant());
            host.check(&ours, &[]);
        }
        // Nor is it woken by who asks for none.
        nft("table bridge instances { flags dormant; }");
        host.apply(&["--hook", "none"]);
        assert!(is_dormant());
    });
}

#[test]
fn a_guard_that_nothing_leads_to_is_said_to_be_idle() {
    in_new_netns(|| {
        let host = Host::new();
        let idle = "not in force: no base chain in table bridge instances leads to instances_guard;";
        for layout in ["sets", "rules"] {
            nft("flush ruleset");
            let guard = ["--guard", "strict", "--layout", layout];
            assert!(host.apply(&guard).contains(idle));
            // Nor does a chain of the guard lead to itself.
            nft("table bridge instances { chain forward { type filter hook forward priority 0
                 ether type arp jump instances_drop_arp; }; }");
            assert!(host.apply(&guard).contains(idle));
            nft(
                "table bridge instances { chain mine { type filter hook prerouting priority 0; goto instances_guard; }; }",
            );
            assert!(!host.apply(&guard).contains("not in force"));
        }
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
        for (guard, bases, jumps) in [
            ("spec", &["forward", "input"][..], &["jump instances_drop_arp", "jump instances_drop_ndp"][..]),
            ("strict", &["prerouting"], &["jump instances_guard"]),
            ("nd,ra", &["prerouting"], &["jump instances_guard"]),
        ] {
            let guard = ["--guard", guard];
            let trusted = hooked(&["--trusted-port", "eth0,eth1", guard[0], guard[1]]);
            assert!(!host.apply(&trusted).contains("not in force"), "{guard:?}");
            let listed = || bases.iter().map(|base| chain(&format!("instances_{base}"))).collect::<Vec<_>>();
            for (base, listed) in bases.iter().zip(listed()) {
                let hook = format!("type filter hook {base} priority filter; policy accept;");
                let ports = ["iifname \"eth0\" accept", "iifname \"eth1\" accept"];
                let mut wanted = [&hook].into_iter().map(String::as_str).chain(ports).chain(jumps.iter().copied());
                assert!(wanted.all(|line| listed.contains(line)), "{guard:?}: {listed}");
            }
            let before = listed();
            host.apply(&guard);
            assert_eq!(listed(), before, "a run without --hook must not take protection away");
            host.apply(&hooked(&guard));
            assert!(listed().iter().all(|listed| !listed.contains("eth0")));
            host.apply(&["--hook", "none"]);
            assert!(!run("nft", &["list", "ruleset"]).contains("hook"));
            host.apply(&["--hook", "none"]);
        }
    });
}

#[test]
fn without_hook_nothing_is_taken_from_under_our_base_chains() {
    in_new_netns(|| {
        let host = Host::new();
        host.apply(&hooked(&[]));
        for arguments in [&[][..], &SPEC, &SPEC_RULES] {
            let message = host.refused(arguments);
            let why = "has our base chain instances_prerouting, which leads to instances_guard; that would be gone";
            let remedy = "say --guard strict or --hook BRIDGE again, or --hook none to remove it";
            assert!(message.contains(why) && message.contains(remedy), "{message}");
        }
        // Weaker, but asked for, and the chain that the base chain leads to stays.
        host.apply(&["--guard", "arp"]);
        assert!(chain("instances_prerouting").contains("jump instances_guard"));
        // What the remedy says.
        host.apply(&["--hook", "none"]);
        host.apply(&[]);
        host.apply(&hooked(&SPEC));
        host.apply(&["--guard", "strict"]);
        assert!(chain("instances_forward").contains("jump instances_drop_arp"), "it still leads to what is there");
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
            "chain instances_prerouting { type filter hook prerouting priority 0; }",
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
        for (guard, base) in [(&SPEC[..], "instances_forward"), (&[], "instances_prerouting")] {
            let hooked = hooked(guard);
            host.apply(&hooked);
            let before = run("nft", &["-a", "list", "ruleset"]);
            nft(&format!("add chain bridge instances {base} {{ policy drop; }}"));
            let output = host.process(&[&["--check", "--apply"], &*hooked].concat()).output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            let table = "table bridge instances";
            let expected = format!("--- {table} (in the kernel)\n+++ {table} (planned)\n+chain {base}\n");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
            assert!(host.apply(&hooked).contains("loaded and read back"));
            assert_eq!(run("nft", &["-a", "list", "ruleset"]), before, "its rules are not touched");
        }
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
        assert!(host.apply(&SPEC_RULES).contains("loaded and read back"));
        // Which takes nft a minute.
        let (mut rules, get_rules) = (0, 10 << 8 | 7);
        let in_chain = |writer: &mut Writer| {
            writer.text(1, "instances");
            writer.text(2, "instances_drop_arp");
        };
        let mut connection = Connection::open(mnl::Bus::Netfilter).unwrap();
        connection.dump(get_rules, &[7, 0, 0, 0], in_chain, |_| rules += 1).unwrap();
        assert_eq!(rules, count + 1);
        // From one layout to the other in one piece, too: all rules go, all elements come.
        assert!(host.apply(&hooked(&[])).contains("loaded and read back"));
        let elements = run("nft", &["list", "set", "bridge", "instances", "instances_arp"]).matches("comment").count();
        assert_eq!(elements, count as usize);
    });
}

#[test]
fn a_small_policy_loads_in_a_user_namespace() {
    in_new_netns(|| {
        let host = Host::new();
        let base = format!("INSTANCES_BASE_PATH={}", host.folder.path().join("P").display());
        let program = env!("CARGO_BIN_EXE_instances-process");
        for (arguments, holds) in
            [("--layout rules", "arp saddr ip 10.0.0.2"), ("--hook '*'", "10.0.0.2 . 02:00:00:00:00:02")]
        {
            let script = format!("{program} -f --apply {arguments} && nft list ruleset");
            let listed = feed("unshare", &["-rn", "env", &base, "sh", "-c", &script], "");
            assert!(listed.contains(holds), "{listed}");
        }
    });
}
