//! What an admin does with `instances-update` by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, B, C, Ended, Sandbox, UPDATE, can_be_root};
use std::fs;

/// Three named instances; the flag is down.
fn three() -> Sandbox {
    let sandbox = Sandbox::new();
    for (mac, address, name) in [(A, "10.0.0.1", "one"), (B, "10.0.0.2", "two"), (C, "10.0.0.3", "three")] {
        sandbox.update(&["add", mac, address, name]);
    }
    sandbox.drop_flag();
    sandbox
}

/// Nothing was written: the registry is byte for byte what it was, the flag is down.
#[track_caller]
fn unchanged(sandbox: &Sandbox, before: &str) {
    assert_eq!(sandbox.registry(), before);
    assert!(!sandbox.has(".updated"));
}

#[test]
fn rename_clears_the_name_elsewhere_in_whatever_case() {
    let sandbox = three();
    let before = sandbox.registry();
    sandbox.update(&["--rename", B, "ONE"]).said(&format!("Instance updated: {B} (ONE)\n"));
    assert_eq!(sandbox.registry(), before.replace("\"one\"", "\"\"").replace("\"two\"", "\"ONE\""));
    assert!(sandbox.has(".updated"));
}

#[test]
fn rename_may_change_the_case_alone() {
    let sandbox = three();
    let before = sandbox.registry();
    sandbox.update(&["--rename", B, "Two"]).said(&format!("Instance updated: {B} (Two)\n"));
    assert_eq!(sandbox.registry(), before.replace("\"two\"", "\"Two\""));
}

#[test]
fn rename_to_the_same_name_still_takes_it_from_others() {
    let sandbox = Sandbox::with_registry(format!(r#"{{"{A}":{{"name":"one"}},"{B}":{{"name":"One"}}}}"#));
    sandbox.update(&["--rename", A, "one"]).said(&format!("Instance updated: {A} (one)\n"));
    assert!(!sandbox.registry().contains("One"));
    sandbox.drop_flag();
    let before = sandbox.registry();
    sandbox.update(&["--rename", A, "one"]).silent();
    unchanged(&sandbox, &before);
}

#[test]
fn rename_of_an_unknown_mac_does_nothing_even_if_the_name_is_anothers() {
    let sandbox = three();
    let before = sandbox.registry();
    sandbox.update(&["--rename", "11:22:33:44:55:ff", "one"]).silent();
    unchanged(&sandbox, &before);
}

#[test]
fn remove_forgets_one_instance_and_keeps_the_order_of_the_others() {
    let sandbox = three();
    sandbox.update(&["--remove", A]).said(&format!("Instance updated: {A}\n"));
    let registry = sandbox.registry();
    assert!(!registry.contains(A) && registry.find(B) < registry.find(C), "{registry}");
    assert!(sandbox.drop_flag());
    sandbox.update(&["--remove", A]).silent();
    unchanged(&sandbox, &registry);
}

#[test]
fn removing_the_last_instance_leaves_an_empty_object() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1"]);
    sandbox.update(&["--remove", A]);
    assert_eq!(sandbox.registry(), "{}\n");
}

#[test]
fn delete_only_hints_at_remove() {
    let sandbox = three();
    let before = sandbox.registry();
    for arguments in [&["--delete"][..], &["--delete", A], &["--delete", A, "b", "c"]] {
        sandbox.update(arguments).said("instances-update: to delete an instance use --remove MAC\n");
    }
    unchanged(&sandbox, &before);
}

#[test]
fn help_is_printed_for_each_of_its_spellings() {
    let sandbox = Sandbox::new();
    for arguments in [&["--help"][..], &["-h"], &["help"], &["--help", "add", "x"]] {
        let ended = sandbox.update(arguments);
        assert!(ended.printed().contains("Usage: instances-update <ACTION> [MAC] [IP] [HOSTNAME] [IGNORED]..."));
        for action in
            ["add", "--initialize", "--rename", "--remove", "--allow", "--disallow", "--port", "--list", "--version"]
        {
            assert!(ended.out.contains(action), "{action}");
        }
    }
    assert_eq!(sandbox.files(), [""; 0]);
}

#[test]
fn version_is_printed() {
    let version = concat!("instances-update ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(Sandbox::new().update(&["--version"]).printed(), version);
}

#[test]
fn no_action_is_a_usage_error() {
    let ended = Sandbox::new().update(&[""; 0]);
    assert_eq!((ended.status, ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.contains("no action given") && ended.err.contains("Usage:"), "{}", ended.err);
}

#[test]
fn other_actions_are_ignored_without_a_word() {
    let sandbox = Sandbox::new();
    for action in ["del", "init", "tftp", "arp-add", "arp-del", "relay-snoop", "ADD", "--Help", "--rename=x", ""] {
        sandbox.update(&[action]).silent();
        sandbox.update(&[action, A, "10.0.0.1", "one", "more"]).silent();
    }
    assert_eq!(sandbox.files(), [""; 0]);
}

#[test]
fn a_wrong_count_is_refused_with_the_right_usage() {
    let sandbox = three();
    let before = sandbox.registry();
    for (arguments, usage) in [
        (&["add", A][..], "add|old MAC IP [HOSTNAME]"),
        (&["old"], "add|old MAC IP [HOSTNAME]"),
        (&["--initialize", "lo"], "--initialize INTERFACE NAME"),
        (&["--initialize", "lo", "host", "x"], "--initialize INTERFACE NAME"),
        (&["--rename", A], "--rename MAC NAME"),
        (&["--rename", A, "four", "x"], "--rename MAC NAME"),
        (&["--remove"], "--remove MAC"),
        (&["--remove", A, "x"], "--remove MAC"),
        (&["--allow", A], "--allow MAC PREFIX"),
        (&["--disallow", A, "10.0.0.9", "x"], "--disallow MAC PREFIX"),
        (&["--port", A], "--port MAC IFNAME"),
        (&["--no-port", A, "tap0"], "--no-port MAC"),
        (&["--list", "--xml"], "--list [--json]"),
    ] {
        let ended = sandbox.update(arguments);
        assert!(ended.refused().ends_with(usage), "{}", ended.err);
    }
    unchanged(&sandbox, &before);
}

#[test]
fn list_is_a_table_for_people() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    sandbox.add_v6(B, "2a00::1", "one");
    sandbox.update(&["--allow", B, "10.0.0.128/25"]);
    sandbox.update(&["--port", B, "tap100i0"]);
    let expected = "\
NAME  MAC                IPV4      IPV6                               ALLOWED        PORT
one   11:22:33:44:55:0a  10.0.0.1  fe80::1322:33ff:fe44:550a          -              -
-     11:22:33:44:55:0b  -         2a00::1 fe80::1322:33ff:fe44:550b  10.0.0.128/25  tap100i0
";
    assert_eq!(sandbox.update(&["--list"]).printed(), expected);
}

#[test]
fn list_as_json_is_the_registry() {
    let sandbox = three();
    assert_eq!(sandbox.update(&["--list", "--json"]).printed(), sandbox.registry());
    assert_eq!(Sandbox::new().update(&["--list", "--json"]).printed(), "{}\n");
}

#[test]
fn list_writes_nothing_and_waits_for_nobody() {
    let sandbox = Sandbox::with_registry("{}");
    sandbox.update(&["--list"]).printed();
    assert_eq!(sandbox.files(), ["instances.json"]);
    let lock = fs::File::create(sandbox.path(".lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    sandbox.update(&["--list"]).printed();
}

#[test]
fn allow_collects_prefixes_and_disallow_takes_them_back() {
    let sandbox = three();
    let before = sandbox.registry();
    sandbox.update(&["--allow", A, "10.0.0.200"]).said(&format!("Instance updated: {A} allowed 10.0.0.200/32\n"));
    assert!(sandbox.drop_flag());
    sandbox.update(&["--allow", A, "fd00:0::/64"]).said(&format!("Instance updated: {A} allowed fd00::/64\n"));
    let list = "\"ipv4\": \"10.0.0.1\",\n    \"allowed\": [\n      \"10.0.0.200/32\",\n      \"fd00::/64\"\n    ]\n";
    let both = sandbox.registry();
    assert_eq!(both, before.replace("\"ipv4\": \"10.0.0.1\"\n", list));
    sandbox.drop_flag();

    sandbox.update(&["--allow", A, "10.0.0.200/32"]).silent();
    sandbox.update(&["--disallow", A, "10.0.0.201"]).silent();
    unchanged(&sandbox, &both);

    let gone = format!("Instance updated: {A} no longer allowed 10.0.0.200/32\n");
    sandbox.update(&["--disallow", A, "10.0.0.200"]).said(&gone);
    assert!(sandbox.drop_flag());
    sandbox.update(&["--disallow", A, "fd00::/64"]);
    assert_eq!(sandbox.registry(), before);
}

#[test]
fn allow_refuses_what_is_no_prefix_and_nobodys_mac() {
    let sandbox = three();
    let before = sandbox.registry();
    for action in ["--allow", "--disallow"] {
        assert!(sandbox.update(&[action, A, "10.0.0.5/24"]).refused().contains("write 10.0.0.0/24 or 10.0.0.5/32"));
        assert!(sandbox.update(&[action, A, "ten"]).refused().contains("invalid address or prefix \"ten\""));
        let nobody = sandbox.update(&[action, "11:22:33:44:55:ff", "10.0.0.5"]);
        assert!(nobody.refused().contains("no instance has the MAC address 11:22:33:44:55:ff"));
    }
    unchanged(&sandbox, &before);
}

#[test]
fn allow_refuses_what_nobody_sends_from_and_disallow_takes_it_back() {
    let sandbox = three();
    let before = sandbox.registry();
    for net in ["0.0.0.0", "127.0.0.1", "127.0.0.0/8", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"] {
        let answer = sandbox.update(&["--allow", A, net]);
        assert!(answer.refused().contains(&format!("cannot allow {net}")), "{net}");
        sandbox.update(&["--disallow", A, net]).silent();
    }
    unchanged(&sandbox, &before);
    // What others have written there is read, and can be taken away.
    let sandbox = Sandbox::with_registry(format!(r#"{{"{A}": {{"allowed": ["127.0.0.1"]}}}}"#));
    let gone = format!("Instance updated: {A} no longer allowed 127.0.0.1/32\n");
    sandbox.update(&["--disallow", A, "127.0.0.1"]).said(&gone);
}

#[test]
fn an_allowed_prefix_is_taken_from_nobody() {
    let sandbox = three();
    sandbox.update(&["--allow", A, "10.0.0.200"]);
    sandbox.update(&["--allow", B, "10.0.0.200"]);
    sandbox.update(&["add", C, "10.0.0.200"]);
    assert_eq!(sandbox.registry().matches("\"10.0.0.200/32\"").count(), 2);
}

#[test]
fn port_is_set_changed_and_taken_away() {
    let sandbox = three();
    let before = sandbox.registry();
    sandbox.update(&["--port", A, "tap100i0"]).said(&format!("Instance updated: {A} port tap100i0\n"));
    assert!(sandbox.drop_flag());
    let with_port = before.replace("\"10.0.0.1\"", "\"10.0.0.1\",\n    \"port\": \"tap100i0\"");
    assert_eq!(sandbox.registry(), with_port);
    sandbox.update(&["--port", A, "tap100i0"]).silent();
    unchanged(&sandbox, &with_port);

    sandbox.update(&["--port", A, "veth1"]).said(&format!("Instance updated: {A} port veth1\n"));
    assert_eq!(sandbox.registry(), with_port.replace("tap100i0", "veth1"));
    sandbox.update(&["--no-port", A]).said(&format!("Instance updated: {A} no port\n"));
    assert!(sandbox.drop_flag());
    assert_eq!(sandbox.registry(), before);
    sandbox.update(&["--no-port", A]).silent();
    unchanged(&sandbox, &before);
}

#[test]
fn port_refuses_what_is_no_interface_and_nobodys_mac() {
    let sandbox = three();
    let before = sandbox.registry();
    for interface in ["a/b", "tap*", "", "a234567890123456"] {
        let refused = sandbox.update(&["--port", A, interface]);
        assert!(refused.refused().contains(&format!("invalid interface name \"{interface}\"")), "{}", refused.err);
    }
    for arguments in [&["--port", "11:22:33:44:55:ff", "tap0"][..], &["--no-port", "11:22:33:44:55:ff"]] {
        let nobody = sandbox.update(arguments);
        assert!(nobody.refused().contains("no instance has the MAC address 11:22:33:44:55:ff"), "{}", nobody.err);
    }
    unchanged(&sandbox, &before);
}

/// Containers on a bridge inside a virtual machine all come in by its tap.
#[test]
fn several_instances_sit_behind_one_port_and_keep_it_through_leases_and_names() {
    let sandbox = three();
    for mac in [A, B] {
        sandbox.update(&["--port", mac, "tap100i0"]);
    }
    sandbox.update(&["old", A, "10.0.0.9"]);
    sandbox.update(&["--rename", A, "two"]);
    sandbox.update(&["--allow", B, "10.0.0.200"]);
    sandbox.update(&["add", C, "10.0.0.2"]);
    assert_eq!(sandbox.registry().matches("\"port\": \"tap100i0\"").count(), 2, "{}", sandbox.registry());
    sandbox.update(&["--remove", A]);
    sandbox.update(&["add", A, "10.0.0.9"]);
    assert_eq!(sandbox.registry().matches("\"port\"").count(), 1, "a new instance has none");
}

/// Runs `--initialize INTERFACE host` in a network namespace that a script has furnished.
fn initialize_among(sandbox: &Sandbox, interfaces: &str, interface: &str) -> Ended {
    let script = format!("set -e; PATH=$PATH:/usr/sbin:/sbin; {interfaces}\nexec \"$0\" --initialize {interface} host");
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut command = sandbox.command("/usr/bin/env", &["unshare", "--net", "sh", "-c", &script, UPDATE]);
    command.env("PATH", path).output().unwrap().into()
}

const BRIDGE: &str = "
    ip link add other type bridge && ip addr add 192.168.9.9/24 dev other
    ip link add br7 type bridge && ip link set br7 address 02:00:00:00:00:07
    ip addr add 10.0.0.1/24 dev br7 && ip addr add 10.0.0.2/24 dev br7 && ip addr add 10.1.0.1/16 dev br7
    ip -6 addr add fd00::1/64 dev br7 nodad
    ip -6 addr add 2001:db8::7/64 dev br7 nodad
    ip -6 addr add 2a00::7/64 dev br7 nodad
    ip -6 addr add fe80::7/64 dev br7 nodad";

#[test]
fn initialize_records_the_interface_as_one_instance() {
    if !can_be_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let ended = initialize_among(&sandbox, BRIDGE, "br7");
    ended.said("Instance updated: 02:00:00:00:00:07 (host)\n");
    let registry = sandbox.registry();
    let head = "{\n  \"02:00:00:00:00:07\": {\n    \"name\": \"host\",\n    \"ipv4\": \"10.0.0.1\",\n    \"ipv6_";
    assert!(registry.starts_with(head), "{registry}");
    let instance = &serde_json::from_str::<serde_json::Value>(&registry).unwrap()["02:00:00:00:00:07"];
    assert_eq!(instance["ipv6_gua"], "2a00::7");
    assert_eq!(instance["ipv6_ula"], "fd00::1");
    assert_eq!(instance["ipv6_lla"], "fe80::7");
    assert_eq!(instance.as_object().unwrap().len(), 5);
    assert!(sandbox.has(".updated"));
}

#[test]
fn initialize_lets_the_last_address_of_a_class_win() {
    if !can_be_root() {
        return;
    }
    let sandbox = Sandbox::new();
    // The kernel lists IPv6 addresses of one scope newest first.
    let two = format!("{BRIDGE}\nip -6 addr add fd00::2/64 dev br7 nodad");
    let listed = format!(
        "{two}\nip -6 -o addr show dev br7 scope global -deprecated | grep -o 'fd00::[0-9a-f]*' | tail -n 1 >&2"
    );
    let ended = initialize_among(&sandbox, &listed, "br7");
    let last = ended.err.lines().next().unwrap();
    assert!(last.starts_with("fd00::"), "{last}");
    assert!(sandbox.registry().contains(&format!("\"ipv6_ula\": \"{last}\"")), "{last}: {}", sandbox.registry());
}

#[test]
fn initialize_passes_over_a_deprecated_address() {
    if !can_be_root() {
        return;
    }
    let interface = "
        ip link add br7 address 02:00:00:00:00:07 type bridge
        ip -6 addr add fd00::7/64 dev br7 nodad preferred_lft 0";
    let sandbox = Sandbox::new();
    initialize_among(&sandbox, interface, "br7").said("Instance updated: 02:00:00:00:00:07 (host)\n");
    assert_eq!(sandbox.registry(), "{\n  \"02:00:00:00:00:07\": {\n    \"name\": \"host\"\n  }\n}\n");
}

#[test]
fn initialize_replaces_an_instance_as_a_whole_but_for_what_it_is_allowed() {
    if !can_be_root() {
        return;
    }
    let sandbox = Sandbox::with_registry(format!(
        r#"{{"02:00:00:00:00:07": {{"ipv4": "10.9.9.9", "note": 1, "allowed": ["10.0.0.200"], "ipv6_gua": "2a00::9", "port": "tap0"}},
            "{A}": {{"name": "HOST"}}}}"#
    ));
    initialize_among(&sandbox, "ip link add br7 address 02:00:00:00:00:07 type bridge", "br7");
    let expected = r#"{
  "02:00:00:00:00:07": {
    "name": "host",
    "allowed": [
      "10.0.0.200/32"
    ]
  },
  "11:22:33:44:55:0a": {
    "name": ""
  }
}
"#;
    assert_eq!(sandbox.registry(), expected);
}

#[test]
fn initialize_works_on_every_machine_with_the_loopback_interface() {
    let sandbox = Sandbox::new();
    sandbox.update(&["--initialize", "lo", "host"]).said("Instance updated: 00:00:00:00:00:00 (host)\n");
    let registry = sandbox.registry();
    assert!(registry.contains("\"name\": \"host\"") && !registry.contains("ipv6_lla"), "{registry}");
}

#[test]
fn initialize_names_what_it_cannot_get() {
    let sandbox = three();
    let before = sandbox.registry();
    assert!(sandbox.update(&["--initialize", "nosuch0", "host"]).refused().contains("there is no interface nosuch0"));
    assert!(sandbox.update(&["--initialize", "a/b", "host"]).refused().contains("invalid interface name \"a/b\""));
    assert!(sandbox.update(&["--initialize", "lo", "a.b"]).refused().contains("invalid hostname \"a.b\""));
    unchanged(&sandbox, &before);

    let lock = sandbox.path(".lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let refused = sandbox.update(&["--initialize", "lo", "host"]);
    assert!(refused.refused().contains(lock.to_str().unwrap()), "{}", refused.err);
    unchanged(&sandbox, &before);
}

#[test]
fn names_longer_than_dns_allows_are_not_given_but_kept() {
    let long = "n".repeat(100_000);
    let sandbox = Sandbox::with_registry(format!("{{\"{A}\": {{\"name\": \"{long}\"}}}}"));
    assert!(sandbox.update(&["--rename", A, &"m".repeat(256)]).refused().contains("DNS has at most 255"));
    assert!(sandbox.update(&["--list"]).printed().contains(&long));
    sandbox.update(&["add", B, "10.0.0.2", "two"]);
    assert!(sandbox.registry().contains(&long));
    assert!(sandbox.update(&["add", C, "10.0.0.3", &long]).refused().len() < 300);
}
