//! `add` and `old`: what a lease does to the registry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, B, C, Sandbox, UPDATE};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A field of an instance; `None` if it is absent.
fn field(sandbox: &Sandbox, mac: &str, field: &str) -> Option<Value> {
    let registry: Value = serde_json::from_str(&sandbox.registry()).unwrap();
    registry[mac].get(field).cloned()
}

/// What tells one version of a file from another.
fn version(sandbox: &Sandbox) -> (u64, i64, i64, i64) {
    let metadata = fs::metadata(sandbox.path(".json")).unwrap();
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime_nsec())
}

#[test]
fn a_registry_grows_field_by_field_in_order_of_arrival() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", B, "10.0.0.2", "two"]).said(&format!("Instance updated: {B} [10.0.0.2] (two)\n"));
    sandbox.add_v6(A, "2a00::1", "one").said(&format!("Instance updated: {A} [2a00::1] (one)\n"));
    sandbox.add_v6(A, "fd00::1", "one").said(&format!("Instance updated: {A} [fd00::1] (one)\n"));
    sandbox.update(&["old", A, "10.0.0.1"]).said(&format!("Instance updated: {A} [10.0.0.1]\n"));
    let expected = r#"{
  "11:22:33:44:55:0b": {
    "name": "two",
    "ipv6_lla": "fe80::1322:33ff:fe44:550b",
    "ipv4": "10.0.0.2"
  },
  "11:22:33:44:55:0a": {
    "name": "one",
    "ipv6_lla": "fe80::1322:33ff:fe44:550a",
    "ipv6_gua": "2a00::1",
    "ipv6_ula": "fd00::1",
    "ipv4": "10.0.0.1"
  }
}
"#;
    assert_eq!(sandbox.registry(), expected);
}

#[test]
fn a_changed_address_replaces_the_old_one_in_its_place() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    sandbox.add_v6(A, "fd00::1", "one");
    let before = sandbox.registry();
    sandbox.update(&["old", A, "10.0.0.9", "one"]);
    sandbox.add_v6(A, "fd00::9", "one");
    assert_eq!(sandbox.registry(), before.replace("10.0.0.1", "10.0.0.9").replace("fd00::1", "fd00::9"));
}

#[test]
fn every_change_raises_the_flag() {
    let sandbox = Sandbox::new();
    for arguments in [["add", A, "10.0.0.1", "one"], ["old", A, "10.0.0.2", "one"]] {
        sandbox.update(&arguments);
        assert!(sandbox.drop_flag(), "{arguments:?}");
    }
}

#[test]
fn a_flag_that_is_up_is_touched() {
    let sandbox = Sandbox::new();
    sandbox.raise_flag();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::open(sandbox.path(".updated")).unwrap().set_modified(long_ago).unwrap();
    sandbox.update(&["add", A, "10.0.0.1"]);
    assert!(fs::metadata(sandbox.path(".updated")).unwrap().modified().unwrap() > long_ago);
}

#[test]
fn nothing_is_written_or_said_when_nothing_changed() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    sandbox.add_v6(A, "fd00::1", "one");
    sandbox.drop_flag();
    let before = version(&sandbox);
    sandbox.update(&["old", A, "10.0.0.1", "one"]).silent();
    sandbox.update(&["add", A, "10.0.0.1", "another"]).silent();
    sandbox.add_v6(A, "fd00:0:0:0::1", "one").silent();
    // Also when that takes a reading of the whole registry.
    fs::write(sandbox.path(".lock"), "").unwrap();
    sandbox.update(&["old", A, "10.0.0.1", "one"]).silent();
    assert_eq!(version(&sandbox), before);
    assert!(!sandbox.has(".updated"));
}

#[test]
fn a_known_mac_never_changes_its_name() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1"]);
    sandbox.update(&["add", B, "10.0.0.2", "two"]);
    sandbox.update(&["old", A, "10.0.1.1", "one"]);
    sandbox.update(&["old", B, "10.0.1.2", "zwei"]);
    assert_eq!(field(&sandbox, A, "name"), Some("".into()));
    assert_eq!(field(&sandbox, B, "name"), Some("two".into()));
}

#[test]
fn a_taken_name_is_not_given_again_in_whatever_case() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "host"]);
    let news = format!("Instance updated: {B} [10.0.0.2] (HOST)\n");
    sandbox.update(&["add", B, "10.0.0.2", "HOST"]).said(&news);
    sandbox.update(&["add", C, "10.0.0.3", "host"]);
    assert_eq!(field(&sandbox, A, "name"), Some("host".into()));
    assert_eq!(field(&sandbox, B, "name"), Some("".into()));
    assert_eq!(field(&sandbox, C, "name"), Some("".into()));
}

#[test]
fn ipv6_addresses_go_where_the_iana_registry_says() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1"]);
    let global = [
        "2000::1",
        "3ffe::1",
        "2a00::1",
        "2001:200::1",
        "2001:1::1",
        "2001:1::2",
        "2001:3::1",
        "2001:4:112::1",
        "2001:20::1",
        "2001:2f::1",
        "2001:30::1",
        "2001:3f::1",
        "3fff:1000::1",
    ];
    for address in global {
        sandbox.add_v6(A, address, "a").said(&format!("Instance updated: {A} [{address}] (a)\n"));
        assert_eq!(field(&sandbox, A, "ipv6_gua"), Some(address.into()), "{address}");
    }
    for address in ["fc00::1", "fdff::1"] {
        sandbox.add_v6(A, address, "a");
        assert_eq!(field(&sandbox, A, "ipv6_ula"), Some(address.into()), "{address}");
    }
    let before = version(&sandbox);
    for nowhere in [
        "2001:db8::1",
        "2001:1::3",
        "2001::1",
        "2001:2::1",
        "2001:4:111::1",
        "2001:10::1",
        "2001:40::1",
        "2002::1",
        "3fff::1",
        "4000::1",
        "fe80::1",
        "ff02::1",
        "::",
        "::1",
        "::5",
        "::ffff:8.8.8.8",
        "64:ff9b::1",
    ] {
        sandbox.add_v6(A, nowhere, "a").silent();
        assert_eq!(version(&sandbox), before, "{nowhere}");
    }
}

#[test]
fn an_address_that_is_stored_nowhere_still_makes_an_instance() {
    let sandbox = Sandbox::new();
    sandbox.add_v6(A, "2001:db8::1", "one").said(&format!("Instance updated: {A} [2001:db8::1] (one)\n"));
    let expected = format!(
        "{{\n  \"{A}\": {{\n    \"name\": \"one\",\n    \"ipv6_lla\": \"fe80::1322:33ff:fe44:550a\"\n  }}\n}}\n"
    );
    assert_eq!(sandbox.registry(), expected);
    assert!(sandbox.has(".updated"));
}

/// The original takes them all, and its own tests register 11:22:33:44:55:01, which is a group's (IEEE 802).
#[test]
fn every_mac_is_taken() {
    let sandbox = Sandbox::new();
    for mac in ["11:22:33:44:55:01", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
        sandbox.update(&["add", mac, "10.0.0.1"]).said(&format!("Instance updated: {mac} [10.0.0.1]\n"));
    }
}

/// As the original does; dnsmasq leases none that nobody can have.
#[test]
fn every_ipv4_address_is_taken() {
    let sandbox = Sandbox::new();
    for address in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1", "8.8.8.8", "192.168.0.1"] {
        sandbox.update(&["add", A, address]).said(&format!("Instance updated: {A} [{address}]\n"));
        assert_eq!(field(&sandbox, A, "ipv4"), Some(address.into()));
    }
}

#[test]
fn a_zone_makes_an_address_invalid() {
    let sandbox = Sandbox::new();
    for address in ["2001:1234::1%eth0", "fe80::1%1", "10.0.0.1%eth0"] {
        assert!(sandbox.add_v6(A, address, "one").refused().contains("invalid IP address"), "{address}");
    }
    assert_eq!(sandbox.files(), [""; 0]);
}

#[test]
fn an_ipv6_lease_goes_by_dnsmasq_mac_alone() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "2a00::1", "one"]).silent();
    sandbox.add_v6("", "2a00::1", "not.a.name").silent();
    assert_eq!(sandbox.files(), [""; 0]);
    let mut for_b = sandbox.command(UPDATE, &["add", A, "2a00::1", "one"]);
    for_b.env("DNSMASQ_MAC", B).output().unwrap();
    assert!(sandbox.registry().contains(B) && !sandbox.registry().contains(A));
    // An IPv4 lease does not care.
    let mut for_a = sandbox.command(UPDATE, &["add", A, "10.0.0.1", "one"]);
    for_a.env("DNSMASQ_MAC", "not a MAC").output().unwrap();
    assert!(sandbox.registry().contains(A));
}

#[test]
fn addresses_are_written_in_canonical_form() {
    let sandbox = Sandbox::new();
    let news = format!("Instance updated: {A} [2a00::1:0:0:ab] (one)\n");
    sandbox.add_v6(A, "2A00:0000:0:0:1::00AB", "one").said(&news);
    assert_eq!(field(&sandbox, A, "ipv6_gua"), Some("2a00::1:0:0:ab".into()));
}

#[test]
fn an_address_moves_to_whoever_has_it_now() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    sandbox.update(&["add", B, "10.0.0.1", "two"]);
    assert_eq!(field(&sandbox, A, "ipv4"), None);
    assert_eq!(field(&sandbox, B, "ipv4"), Some("10.0.0.1".into()));
    sandbox.add_v6(A, "2a00::1", "one");
    sandbox.add_v6(A, "fd00::1", "one");
    sandbox.add_v6(B, "2a00::1", "two");
    sandbox.add_v6(B, "fd00::1", "two");
    assert_eq!([field(&sandbox, A, "ipv6_gua"), field(&sandbox, A, "ipv6_ula")], [None, None]);
}

#[test]
fn any_address_of_the_instance_is_taken_from_all_others() {
    // Not only the address of this call: A also has fd00::1, which B and C claim; the link-local address is left alone.
    let registry = format!(
        r#"{{"{B}": {{"ipv6_lla": "fe80::1", "ipv6_ula": "fd00::1"}},
            "{A}": {{"name": "a", "ipv6_lla": "fe80::1", "ipv4": "10.0.0.1", "ipv6_ula": "fd00:0::1"}},
            "{C}": {{"ipv6_ula": "fd00::1", "ipv6_gua": "2a00::1"}}}}"#
    );
    let sandbox = Sandbox::with_registry(registry);
    sandbox.update(&["old", A, "10.0.0.1"]).said(&format!("Instance updated: {A} [10.0.0.1]\n"));
    let after: Value = serde_json::from_str(&sandbox.registry()).unwrap();
    let expected: Value = serde_json::from_str(&format!(
        r#"{{"{B}": {{"ipv6_lla": "fe80::1"}},
            "{A}": {{"name": "a", "ipv6_lla": "fe80::1", "ipv4": "10.0.0.1", "ipv6_ula": "fd00::1"}},
            "{C}": {{"ipv6_gua": "2a00::1"}}}}"#
    ))
    .unwrap();
    assert_eq!(after, expected);
}

#[test]
fn what_dnsmasq_adds_after_the_hostname_is_ignored() {
    let sandbox = Sandbox::new();
    let news = format!("Instance updated: {A} [10.0.0.1] (one)\n");
    sandbox.update(&["add", A, "10.0.0.1", "one", "-x", "--help", "", "$(x)"]).said(&news);
}

#[test]
fn a_wrong_hostname_registers_nothing() {
    let sandbox = Sandbox::new();
    for name in ["a_b", "a.b", "1a", "", "-a", "a\nb", "é"] {
        assert!(sandbox.update(&["add", A, "10.0.0.1", name]).refused().contains("invalid hostname"), "{name}");
    }
    assert_eq!(sandbox.files(), [""; 0]);
}

#[test]
fn only_a_mac_in_lower_case_is_one() {
    let sandbox = Sandbox::new();
    for mac in ["11:22:33:44:55:0A", "11-22-33-44-55-0a", "06-11:22:33:44:55:0a", "11:22:33:44:55", ""] {
        assert!(sandbox.update(&["add", mac, "10.0.0.1", "one"]).refused().contains("invalid MAC address"), "{mac}");
    }
    assert!(sandbox.add_v6("11:22:33:44:55:0A", "2a00::1", "one").refused().contains("invalid MAC address"));
    assert_eq!(sandbox.files(), [""; 0]);
}

#[test]
fn the_registry_only_grows_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    let before = version(&sandbox);
    sandbox.update(&["del", A, "10.0.0.1", "one"]).silent();
    assert_eq!(version(&sandbox), before);
}

#[test]
fn a_relative_base_path_is_relative_to_the_folder_one_is_in() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(UPDATE, &["add", A, "10.0.0.1"]);
    let ended = command.env("INSTANCES_BASE_PATH", "mine").current_dir(sandbox.folder()).output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(sandbox.files(), ["mine.json", "mine.lock", "mine.updated"]);
}

#[test]
fn an_id_makes_a_registry_of_its_own() {
    let sandbox = Sandbox::new().set("INSTANCES_BASE_ID", "br_0X");
    sandbox.update(&["add", A, "10.0.0.1"]);
    assert_eq!(sandbox.files(), ["instances-br_0X.json", "instances-br_0X.lock", "instances-br_0X.updated"]);
    let sandbox = Sandbox::new().set("INSTANCES_BASE_ID", "");
    sandbox.update(&["add", A, "10.0.0.1"]);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock", "instances.updated"]);
}

#[test]
fn an_invalid_id_is_refused_by_both_programs() {
    for id in ["a-b", "../x", "a b", "é"] {
        let sandbox = Sandbox::new().set("INSTANCES_BASE_ID", id);
        let expected = format!("Invalid instances base id: {id}");
        assert!(sandbox.update(&["add", A, "10.0.0.1"]).refused().contains(&expected));
        assert!(sandbox.process(&["-f"]).refused().contains(&expected));
        assert_eq!(sandbox.files(), [""; 0]);
    }
}

#[test]
fn the_base_path_is_where_the_original_has_it_unless_told_otherwise() {
    let default = instances::registry::paths::Paths::new(None, None).unwrap();
    assert_eq!(default.registry().to_str(), Some("/var/lib/misc/instances.json"));
    let empty = instances::registry::paths::Paths::new(Some("".into()), None).unwrap();
    assert_eq!(empty, default);
}

#[test]
fn eight_at_once_all_get_in() {
    let sandbox = Sandbox::new();
    let start = |n: usize| {
        let mac = format!("11:22:33:44:55:{n:02x}");
        sandbox.command(UPDATE, &["add", &mac, &format!("10.0.0.{n}"), "same"]).spawn().unwrap()
    };
    let programs: Vec<_> = (0..8).map(start).collect();
    for mut program in programs {
        assert!(program.wait().unwrap().success());
    }
    let registry: Value = serde_json::from_str(&sandbox.registry()).unwrap();
    let names: Vec<_> = registry.as_object().unwrap().values().map(|instance| instance["name"].as_str()).collect();
    assert_eq!(names.len(), 8);
    assert_eq!(names.iter().filter(|name| **name == Some("same")).count(), 1);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock", "instances.updated"]);
}
