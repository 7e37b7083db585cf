//! What `instances-process` writes, to the byte, and which names it writes it for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::format_push_string)]

mod common;

use common::{A, Sandbox};

/// One of everything, among it an instance without the field `name`, one with an empty name, one without addresses.
const REGISTRY: &str = r#"{
  "11:22:33:44:55:01": {"name": "host", "ipv6_lla": "fe80::1", "ipv6_ula": "fd00::1", "ipv4": "10.0.0.1", "ipv6_gua": "2001:db8:1234::823a"},
  "11:22:33:44:55:02": {"ipv4": "10.0.0.2", "ipv6_ula": "fd00::2", "ipv6_lla": "fe80::2"},
  "11:22:33:44:55:03": {"name": "", "ipv6_gua": "2a00::3"},
  "11:22:33:44:55:04": {"name": "no-addresses"},
  "11:22:33:44:55:05": {"name": "web-1", "ipv4": "10.0.0.1"}
}"#;

fn text_of(sandbox: &Sandbox, suffix: &str) -> String {
    assert_eq!(sandbox.process(&["-f"]).status, Some(0));
    sandbox.read(suffix)
}

#[test]
fn hosts_to_the_byte() {
    let expected = "\
10.0.0.1 host.instance.internal host.v4.instance.internal
2001:db8:1234::823a host.instance.internal host.v6.instance.internal host.g6.instance.internal
fd00::1 host.instance.internal host.v6.instance.internal host.u6.instance.internal
fe80::1 host.l6.instance.internal
10.0.0.1 web-1.instance.internal web-1.v4.instance.internal
";
    assert_eq!(text_of(&Sandbox::with_registry(REGISTRY), ".hosts"), expected);
}

#[test]
fn chains_to_the_byte() {
    let expected = r#"# Use: ether type arp jump instances_drop_arp
chain instances_drop_arp {
    arp saddr ip 10.0.0.1 counter ether saddr 11:22:33:44:55:01 counter return comment "host"
    arp saddr ip 10.0.0.2 counter ether saddr 11:22:33:44:55:02 counter return
    arp saddr ip 10.0.0.1 counter ether saddr 11:22:33:44:55:05 counter return comment "web-1"
    counter drop comment "lockdown" # prepend to log to dmesg: log prefix "[nftables] dropped ARP: "
}
# Use: ether type ip6 icmpv6 type nd-neighbor-advert jump instances_drop_ndp
chain instances_drop_ndp {
    @nh,384,128 0x20010db812340000000000000000823a counter ether saddr 11:22:33:44:55:01 counter return comment "host"
    @nh,384,128 0xfd000000000000000000000000000001 counter ether saddr 11:22:33:44:55:01 counter return comment "host"
    @nh,384,128 0xfe800000000000000000000000000001 counter ether saddr 11:22:33:44:55:01 counter return comment "host"
    @nh,384,128 0xfd000000000000000000000000000002 counter ether saddr 11:22:33:44:55:02 counter return
    @nh,384,128 0xfe800000000000000000000000000002 counter ether saddr 11:22:33:44:55:02 counter return
    @nh,384,128 0x2a000000000000000000000000000003 counter ether saddr 11:22:33:44:55:03 counter return
    counter drop comment "lockdown" # prepend to log to dmesg: log prefix "[nftables] dropped NDP: "
}
"#;
    assert_eq!(text_of(&Sandbox::with_registry(REGISTRY), ".nftables_chains"), expected);
}

/// Sets as the file has them: name, type, elements.
fn sets(list: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, elements) in list {
        let kind = if name.contains(".v4.") || name.starts_with("all_v4") { "ipv4_addr" } else { "ipv6_addr" };
        text += &format!("# Use: @{name}\nset {name} {{\n    type {kind}\n");
        if !elements.is_empty() {
            text += &format!("    elements = {{ {elements} }}\n");
        }
        text += "}\n";
    }
    text
}

#[test]
fn sets_to_the_byte() {
    let sandbox = Sandbox::with_registry(REGISTRY).set("INSTANCES_ADDRESS_SETS", "nobody,web-1,host");
    let expected = sets(&[
        // The address that two have stands twice; one without the field `name` has its addresses here once.
        ("all_v4.instance", "10.0.0.1, 10.0.0.2, 10.0.0.1,"),
        ("all_v6.instance", "2001:db8:1234::823a, fd00::1, fd00::2, 2a00::3,"),
        ("all_g6.instance", "2001:db8:1234::823a, 2a00::3,"),
        ("all_u6.instance", "fd00::1, fd00::2,"),
        ("all_l6.instance", "fe80::1, fe80::2,"),
        ("nobody.v4.instance", ""),
        ("nobody.v6.instance", ""),
        ("nobody.g6.instance", ""),
        ("nobody.u6.instance", ""),
        ("nobody.l6.instance", ""),
        ("web_1.v4.instance", "10.0.0.1,"),
        ("web_1.v6.instance", ""),
        ("web_1.g6.instance", ""),
        ("web_1.u6.instance", ""),
        ("web_1.l6.instance", ""),
        ("host.v4.instance", "10.0.0.1,"),
        ("host.v6.instance", "2001:db8:1234::823a, fd00::1,"),
        ("host.g6.instance", "2001:db8:1234::823a,"),
        ("host.u6.instance", "fd00::1,"),
        ("host.l6.instance", "fe80::1,"),
    ]);
    assert_eq!(text_of(&sandbox, ".nftables_sets"), expected);
}

#[test]
fn the_summary_counts_what_was_written() {
    let expected = "Loading: 5 instances; saving: 5 host addresses, 11 nftables rules, 10 nftables sets; done\n\
        instances-process: 10.0.0.1 is registered for 2 MACs: 11:22:33:44:55:01, 11:22:33:44:55:05\n";
    Sandbox::with_registry(REGISTRY).process(&["-f"]).said(expected);
}

#[test]
fn every_domain_of_the_list_gets_all_names() {
    let registry =
        format!(r#"{{"{A}":{{"name":"a","ipv4":"10.0.0.1"}},"11:22:33:44:55:0b":{{"name":"b","ipv4":"10.0.0.2"}}}}"#);
    let sandbox = Sandbox::with_registry(registry).set("INSTANCES_HOSTS_DOMAIN", ".one.test,,-2");
    let expected = "\
10.0.0.1 a.one.test a.v4.one.test
10.0.0.2 b.one.test b.v4.one.test
10.0.0.1 a a.v4
10.0.0.2 b b.v4
10.0.0.1 a-2 a.v4-2
10.0.0.2 b-2 b.v4-2
";
    assert_eq!(text_of(&sandbox, ".hosts"), expected);
}

#[test]
fn an_empty_domain_variable_is_one_empty_domain() {
    let sandbox = Sandbox::with_registry(format!(r#"{{"{A}":{{"name":"a","ipv4":"10.0.0.1"}}}}"#));
    assert_eq!(text_of(&sandbox.set("INSTANCES_HOSTS_DOMAIN", ""), ".hosts"), "10.0.0.1 a a.v4\n");
}

#[test]
fn an_invalid_domain_is_named_and_skipped() {
    let sandbox = Sandbox::with_registry(format!(r#"{{"{A}":{{"name":"a","ipv4":"10.0.0.1"}}}}"#));
    let sandbox = sandbox.set("INSTANCES_HOSTS_DOMAIN", ".a_b,.ok, .blank,.x\ny");
    let ended = sandbox.process(&["-f"]);
    let lines: Vec<_> = ended.err.lines().collect();
    assert_eq!(ended.status, Some(0));
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("Invalid hosts domain: .a_b ") && lines[0].ends_with("skipped"), "{lines:?}");
    assert!(lines[1].starts_with("Invalid hosts domain:  .blank "), "{lines:?}");
    assert!(lines[2].starts_with("Invalid hosts domain: .x\\ny "), "{lines:?}");
    assert_eq!(lines[3], "Loading: 1 instances; saving: 1 host addresses, 3 nftables rules, 10 nftables sets; done");
    assert_eq!(sandbox.read(".hosts"), "10.0.0.1 a.ok a.v4.ok\n");
}

/// Names of the sets that are written for this list, without the `all_` ones and without kinds, and what was said.
fn set_names(list: &str) -> (Vec<String>, String) {
    let sandbox = Sandbox::with_registry(r#"{"11:22:33:44:55:06":{"name":"a-b","ipv4":"10.0.0.6"}}"#);
    let sandbox = sandbox.set("INSTANCES_ADDRESS_SETS", list);
    let ended = sandbox.process(&["-f"]);
    assert_eq!(ended.status, Some(0));
    let text = sandbox.read(".nftables_sets");
    let names = text.lines().filter_map(|line| line.strip_prefix("set ")?.strip_suffix(".v4.instance {"));
    (names.map(str::to_owned).collect(), ended.err)
}

#[test]
fn blanks_around_names_of_sets_are_trimmed() {
    assert_eq!(set_names(" one ,two\t, three").0, ["one", "two", "three"]);
}

#[test]
fn host_is_the_set_that_is_made_unasked() {
    let text = text_of(&Sandbox::with_registry("{}"), ".nftables_sets");
    assert!(text.contains("set host.v4.instance {"), "{text}");
}

#[test]
fn an_invalid_name_of_a_set_is_named_and_skipped() {
    let (names, said) = set_names("one,two_2,a.b,1st,x y,three");
    assert_eq!(names, ["one", "three"]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    for (line, name) in lines.iter().zip(["two_2", "a.b", "1st", "x y"]) {
        assert!(line.starts_with(&format!("Invalid hostname for address set: {name} ")), "{line}");
    }
}

#[test]
fn a_name_too_long_for_nftables_is_named_and_skipped() {
    let long = "x".repeat(244);
    let (names, said) = set_names(&format!("one,{long}"));
    assert_eq!(names, ["one"]);
    assert!(said.starts_with("Invalid hostname for address set: xxx"), "{said}");
    assert_eq!(set_names(&long[..243]).0, [&long[..243]]);
}

#[test]
fn a_name_that_is_asked_for_twice_gets_its_sets_once_and_filled() {
    let sandbox = Sandbox::with_registry(r#"{"11:22:33:44:55:06":{"name":"a-b","ipv4":"10.0.0.6"}}"#);
    let text = text_of(&sandbox.set("INSTANCES_ADDRESS_SETS", "a-b,a-b"), ".nftables_sets");
    assert_eq!(text.matches("set a_b.v4.instance {\n    type ipv4_addr\n    elements = { 10.0.0.6, }\n}\n").count(), 1);
    assert_eq!(text.matches("set a_b.").count(), 5);
}

#[test]
fn a_comment_is_cut_where_nft_refuses_longer_ones() {
    let (fits, too_long) = ("a".repeat(128), "b".repeat(129));
    let sandbox = Sandbox::with_registry(format!(
        r#"{{"{A}":{{"name":"{fits}","ipv4":"10.0.0.1"}},"11:22:33:44:55:06":{{"name":"{too_long}","ipv4":"10.0.0.2"}}}}"#
    ));
    let text = text_of(&sandbox, ".nftables_chains");
    assert!(text.contains(&format!("comment \"{fits}\"\n")));
    assert!(text.contains(&format!("comment \"{}\"\n", &too_long[..128])));
}
