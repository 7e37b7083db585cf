//! `instances-process --explain`: what it says about frames, and about frames that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{Ended, PROCESS, Sandbox};
use serde_json::Value;
use std::fs;

const REGISTRY: &str = r#"{
  "02:00:00:00:00:01": {"name": "web", "ipv4": "10.0.0.1", "ipv6_ula": "fd00::1"},
  "02:00:00:00:00:02": {"name": "db", "ipv4": "10.0.0.2", "port": "dbp"}
}"#;

/// ARP requests: an honest one, a spoofed one, and the spoofed one in a priority tag.
const FRAMES: &str = "\
# honest
ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002

# not web's address
ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000002 000000000000 0a000001

ffffffffffff 020000000001 8100 0000 0806 0001080006040001 020000000001 0a000002 000000000000 0a000001
";

const HONEST: &str =
    "1 webp 02:00:00:00:00:01 (web) > ff:ff:ff:ff:ff:ff ARP request, 10.0.0.1 asks for 10.0.0.2: accepted; ";
const SPOOFED: &str = "2 webp 02:00:00:00:00:01 (web) > ff:ff:ff:ff:ff:ff ARP request, 10.0.0.2 asks for 10.0.0.1: ";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_registry(REGISTRY);
    fs::write(sandbox.path(".hex"), FRAMES).unwrap();
    sandbox
}

/// `--explain` of these frames with further arguments, all by port webp.
fn explain(sandbox: &Sandbox, arguments: &[&str]) -> Ended {
    let frames = sandbox.path(".hex");
    sandbox.process(&[&["--explain", frames.to_str().unwrap(), "--explain-port", "webp"], arguments].concat())
}

#[test]
fn each_frame_is_a_line_with_verdict_protection_rule_and_element() {
    let sandbox = sandbox();
    let ended = explain(&sandbox, &[]);
    assert_eq!(
        (ended.status, ended.err.as_str()),
        (Some(0), "3 frames: 1 accepted, 2 dropped, 0 not forwarded by any bridge\n")
    );
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with(HONEST), "{}", lines[0]);
    let element = "element of instances_arp: 10.0.0.1 . 02:00:00:00:00:01 . 02:00:00:00:00:01 comment \"web\"";
    assert!(lines[0].ends_with(element), "{}", lines[0]);
    let dropped = SPOOFED.to_owned() + "dropped by arp; 10.0.0.2 belongs to 02:00:00:00:00:02 (db); rule ";
    assert!(lines[1].starts_with(&dropped), "{}", lines[1]);
    assert!(lines[2].contains("VLAN 0 ARP request") && lines[2].contains("dropped by vlan; "), "{}", lines[2]);
    assert!(!sandbox.has(".hosts") && !sandbox.has(".lock"), "it changes nothing");
}

#[test]
fn guard_layout_trusted_ports_and_registry_are_those_that_are_asked_for() {
    let sandbox = sandbox();
    let spec = explain(&sandbox, &["--guard", "spec", "--layout", "rules"]);
    let lines: Vec<_> = spec.out.lines().collect();
    assert!(lines[1].ends_with("rule 3 of instances_drop_arp: counter drop comment \"lockdown\""), "{}", lines[1]);
    assert!(lines[2].ends_with(": accepted"), "the original does not look behind tags: {}", lines[2]);

    for hook in [&[][..], &["--hook", "br0"]] {
        let trusted = explain(&sandbox, &[&["--trusted-port", "webp"], hook].concat());
        assert_eq!(trusted.out.matches(": accepted; rule 1 of instances_prerouting").count(), 3, "{}", trusted.out);
    }

    let other = sandbox.folder().join("other.json");
    fs::write(&other, "{}").unwrap();
    let ended = explain(&sandbox, &["--registry", other.to_str().unwrap()]);
    assert_eq!(ended.out.matches("02:00:00:00:00:01 is not registered").count(), 3, "{}", ended.out);
    fs::remove_file(&other).unwrap();
    assert!(explain(&sandbox, &["--registry", other.to_str().unwrap()]).refused().contains("there is no such file"));
}

#[test]
fn whose_an_address_is_is_said_of_link_local_addresses_and_prefixes_too() {
    let registry = r#"{
      "02:00:00:00:00:01": {"name": "web", "ipv4": "10.0.0.1"},
      "02:00:00:00:00:02": {"name": "db", "allowed": ["10.7.0.0/16"]}
    }"#;
    let sandbox = Sandbox::with_registry(registry);
    // An echo request by IPv6 to all nodes, from a source.
    let echo = |source: &str| {
        format!(
            "333300000001 020000000001 86dd 60000000 0008 3aff {source} ff020000000000000000000000000001 8000000000000000"
        )
    };
    let arp = |sender: &str| {
        format!("ffffffffffff 020000000001 0806 0001080006040001 020000000001 {sender} 000000000000 0a000001")
    };
    // The sender's own link-local address in a tag; that of db; of nobody; an address in db's prefix.
    let own = echo("fe80000000000000000000fffe000001");
    let tagged = own.replacen("86dd", "8100 0000 86dd", 1);
    let frames = [
        own,
        tagged,
        echo("fe80000000000000000000fffe000002"),
        echo("fe80000000000000000000fffe000003"),
        arp("0a070001"),
    ];
    fs::write(sandbox.path(".hex"), frames.join("\n\n") + "\n").unwrap();
    let ended = explain(&sandbox, &[]);
    let lines: Vec<_> = ended.out.lines().collect();
    assert!(lines[0].contains(": accepted; "), "{}", lines[0]);
    assert!(lines[1].contains(": dropped by vlan; rule "), "nothing is wrong with its address: {}", lines[1]);
    assert!(lines[2].contains("; fe80::ff:fe00:2 belongs to 02:00:00:00:00:02 (db); "), "{}", lines[2]);
    assert!(lines[3].contains("; fe80::ff:fe00:3 belongs to no instance; "), "{}", lines[3]);
    assert!(lines[4].contains("; 10.7.0.1 belongs to 02:00:00:00:00:02 (db); "), "{}", lines[4]);
}

#[test]
fn json_has_an_object_for_each_frame_with_its_trace() {
    let ended = explain(&sandbox(), &["--json"]);
    let objects: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let field = |name: &str| objects.iter().map(|object| object[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("schema"), [1, 1, 1]);
    // The page lists them all.
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let mut listed: Vec<_> = rows.flat_map(|(names, _)| names.split(", ")).map(|name| name.trim_matches('`')).collect();
    listed.retain(|name| !name.starts_with('.'));
    listed.sort_unstable();
    for object in &objects {
        let fields = object.as_object().unwrap().keys();
        let fields: Vec<_> = fields.map(|name| if name == "trace" { "trace[]" } else { name }).collect();
        assert_eq!(fields, listed);
    }
    assert_eq!(field("frame"), [1, 2, 3]);
    assert_eq!(field("verdict"), ["accepted", "dropped", "dropped"]);
    assert_eq!(field("protection"), [Value::Null, "arp".into(), "vlan".into()]);
    assert_eq!(field("port"), ["webp"; 3]);
    let trace = objects[1]["trace"].as_array().unwrap();
    assert_eq!(trace[0]["chain"], "instances_prerouting");
    assert_eq!(trace.last().unwrap()["chain"], "instances_block_arp");
    assert_eq!(objects[0]["element"]["set"], "instances_arp");
}

#[test]
fn a_port_that_is_not_known_is_said() {
    let sandbox = sandbox();
    let ended = sandbox.process(&["--explain", sandbox.path(".hex").to_str().unwrap()]);
    assert_eq!(ended.status, Some(0));
    assert!(ended.out.starts_with("1 - 02:00"), "{}", ended.out);
    assert!(ended.err.contains("the port of 3 frames is not known"), "{}", ended.err);
}

#[test]
fn what_cannot_be_read_names_file_and_frame() {
    let sandbox = sandbox();
    let path = sandbox.path(".hex").to_str().unwrap().to_owned();
    fs::write(&path, FRAMES.to_owned() + "\nnonsense\n").unwrap();
    let ended = explain(&sandbox, &[]);
    assert_eq!(
        (ended.status, ended.out.lines().count()),
        (Some(1), 3),
        "those before it were explained: {}",
        ended.err
    );
    let expected = format!("{path}: frame 4: line 9 is no hex dump, nor is this a pcap or pcapng file\n");
    assert!(ended.err.ends_with(&expected), "{}", ended.err);
    fs::remove_file(&path).unwrap();
    assert!(explain(&sandbox, &[]).refused().ends_with(&format!("cannot open {path}: No such file or directory")));
    assert!(sandbox.process(&["--explain", "/"]).refused().contains("/: frame 1: Is a directory"));
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let sandbox = sandbox();
    for arguments in
        [&["--check"][..], &["--force"], &["--hosts-to", "/x"], &["--emit"], &["--apply", "--registry", "/x"]]
    {
        assert_eq!(explain(&sandbox, arguments).status, Some(2), "{arguments:?}");
    }
    for arguments in [&["--json"][..], &["--explain-port", "a"], &["--registry", "a"], &["--trusted-port", "a"]] {
        assert_eq!(sandbox.process(arguments).status, Some(2), "{arguments:?}");
    }
    assert!(explain(&sandbox, &["--hook", "none"]).refused().contains("nothing is in force"));
}

#[test]
fn a_capture_comes_by_standard_input() {
    let mut capture = Vec::new();
    for number in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1, 1, 2, 42, 60] {
        capture.extend(number.to_le_bytes());
    }
    let request = "ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002";
    capture.extend((0..request.len()).step_by(2).map(|at| u8::from_str_radix(&request[at..at + 2], 16).unwrap()));
    let sandbox = sandbox();
    let path = sandbox.path(".pcap");
    fs::write(&path, &capture).unwrap();
    let mut command = sandbox.command(PROCESS, &["--explain", "-", "--explain-port", "webp"]);
    let output = command.stdin(fs::File::open(&path).unwrap()).output().unwrap();
    let ended = Ended::from(output);
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(
        ended.out.starts_with(HONEST) && ended.out.contains("; 18 octets were not captured; rule "),
        "{}",
        ended.out
    );
}
