//! Everything that dnsmasq can pass on from a client that means harm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, B, Sandbox, UPDATE};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Arguments that a client chose to hurt, none of which is a name.
fn hostile() -> Vec<OsString> {
    let mut texts: Vec<OsString> = [
        "--help",
        "--version",
        "-f",
        "--",
        "--rename",
        "$(x)",
        "`x`",
        "\"; drop",
        "'; rm -rf /; '",
        "a b",
        "a\tb",
        "a\nb",
        "a\r",
        "\u{1b}[2J",
        "../../etc/passwd",
        "a/b",
        "a.b",
        "a_b",
        "{}",
        "\\",
        "%s%n",
        "*",
        "😀",
        "ａ",
        "a\u{200b}",
    ]
    .map(OsString::from)
    .into();
    texts.push(OsString::from_vec(b"a\xff\xfe".to_vec()));
    texts.push(OsString::from("a".repeat(65_536)));
    texts.push(OsString::from("-".repeat(65_536)));
    texts
}

/// A sandbox with one instance, and its registry.
fn one() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    sandbox.drop_flag();
    let registry = sandbox.registry();
    (sandbox, registry)
}

#[test]
fn a_hostile_hostname_registers_nothing() {
    let (sandbox, before) = one();
    for name in hostile() {
        for action in ["add", "old"] {
            for mac in [A, B] {
                let ended = sandbox.update(&[OsStr::new(action), mac.as_ref(), "10.0.0.2".as_ref(), &name]);
                assert!(ended.refused().starts_with("instances-update: invalid hostname \""), "{}", ended.err);
            }
        }
        assert_eq!(sandbox.registry(), before, "{name:?}");
    }
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock"]);
}

#[test]
fn a_hostile_value_in_any_place_is_refused_in_one_short_clean_line() {
    let (sandbox, before) = one();
    for value in hostile() {
        for place in 1..=3 {
            let mut arguments = ["add", A, "10.0.0.2", "two"].map(OsString::from);
            arguments[place].clone_from(&value);
            let ended = sandbox.update(&arguments);
            let line = ended.refused();
            assert!(line.len() < 1000 && !line.contains(char::is_control), "{line}");
        }
        for action in ["--rename", "--initialize", "--allow", "--disallow"] {
            sandbox.update(&[OsStr::new(action), A.as_ref(), &value]).refused();
        }
        // Many a hostile value is a fine interface name to the kernel, but none of them is a MAC.
        sandbox.update(&[OsStr::new("--port"), &value, "tap0".as_ref()]).refused();
        for action in ["--remove", "--no-port"] {
            sandbox.update(&[OsStr::new(action), &value]).refused();
        }
    }
    assert_eq!(sandbox.registry(), before);
    assert!(!sandbox.has(".updated"));
}

#[test]
fn a_hostile_action_is_none_of_ours() {
    let (sandbox, before) = one();
    for action in hostile().iter().filter(|action| !action.as_bytes().starts_with(b"--")) {
        sandbox.update(&[action.as_os_str(), A.as_ref(), "10.0.0.2".as_ref(), "two".as_ref()]).silent();
    }
    sandbox.update(&["--", "add", A, "10.0.0.2"]).silent();
    assert_eq!(sandbox.registry(), before);
}

#[test]
fn hostile_arguments_after_the_hostname_do_not_matter() {
    let sandbox = Sandbox::new();
    let fixed = ["add", A, "10.0.0.1", "one"].map(OsString::from);
    let arguments = [&fixed[..], &hostile()].concat();
    sandbox.update(&arguments).said(&format!("Instance updated: {A} [10.0.0.1] (one)\n"));
}

#[test]
fn hostile_variables_of_dnsmasqs_do_not_matter() {
    let sandbox = Sandbox::new();
    for value in hostile() {
        let mut command = sandbox.command(UPDATE, &["add", A, "10.0.0.1", "one"]);
        let variables = ["DNSMASQ_MAC", "DNSMASQ_SUPPLIED_HOSTNAME", "DNSMASQ_CLIENT_ID", "RUST_LOG", "HOME", "PATH"];
        command.envs(variables.map(|variable| (variable, &value)));
        assert!(command.output().unwrap().status.success(), "{value:?}");
    }
}

#[test]
fn a_hostile_mac_from_dnsmasq_is_refused() {
    let (sandbox, before) = one();
    for value in hostile() {
        let mut command = sandbox.command(UPDATE, &["add", A, "2a00::1", "one"]);
        let ended: common::Ended = command.env("DNSMASQ_MAC", &value).output().unwrap().into();
        assert!(ended.refused().contains("invalid MAC address"), "{}", ended.err);
    }
    assert_eq!(sandbox.registry(), before);
}

#[test]
fn the_longest_name_is_taken_and_comes_out_whole_in_dns() {
    let longest = "a".repeat(255);
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", &longest]).said(&format!("Instance updated: {A} [10.0.0.1] ({longest})\n"));
    assert!(sandbox.update(&["add", B, "10.0.0.2", &"a".repeat(256)]).refused().contains("at most 255"));
    sandbox.process(&[]);
    assert!(sandbox.read(".hosts").starts_with(&format!("10.0.0.1 {longest}.instance.internal ")));
}

#[test]
fn a_name_that_is_an_option_elsewhere_is_only_a_name() {
    let sandbox = Sandbox::new();
    for (n, name) in ["help", "add", "f", "drop", "all", "none"].into_iter().enumerate() {
        let mac = format!("11:22:33:44:55:{n:02x}");
        let news = format!("Instance updated: {mac} [10.0.0.{n}] ({name})\n");
        sandbox.update(&["add", &mac, &format!("10.0.0.{n}"), name]).said(&news);
    }
}

#[test]
fn what_a_watch_lacks_is_named_and_nothing_else() {
    for further in [&[][..], &["--hook", "br0"], &["--table", "guard", "--hook", "*", "--trusted-port", "eth0"]] {
        let ended = Sandbox::new().process(&[&["--watch"], further].concat());
        assert_eq!((ended.status, ended.out.as_str()), (Some(2), ""));
        let lacks = ended.err.split("\n\n").next().unwrap();
        assert!(lacks.ends_with("required arguments were not provided:\n  --apply"), "{}", ended.err);
    }
}
