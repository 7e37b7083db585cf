//! How `P.json` is read and rewritten: what survives, and what the file system sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, B, C, Sandbox, UPDATE, can, can_be_root};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::Command;

/// Two instances full of things that we do not know, as we would write them.
const STRANGE: &str = r#"{
  "11:22:33:44:55:0b": {
    "comment": "jäger \u00e9 \"x\" 😀",
    "name": null,
    "weight": 1.0e5,
    "big": 123456789012345678901234567890.10,
    "ipv4": "",
    "nested": {"b": [1, 2,   {"a": null}], "a": {}},
    "ipv6_gua": null,
    "Name": "other case",
    "allowed": [],
    "port": "",
    "": false,
    "ipv6_lla": "fe80::b"
  },
  "11:22:33:44:55:0a": {}
}
"#;

#[test]
fn what_we_do_not_know_survives_a_rewrite_in_its_place() {
    let sandbox = Sandbox::with_registry(STRANGE);
    sandbox.update(&["add", C, "10.0.0.3", "c"]);
    let added = format!(
        "{C}\": {{\n    \"name\": \"c\",\n    \"ipv6_lla\": \"fe80::1322:33ff:fe44:550c\",\n    \"ipv4\": \"10.0.0.3\"\n  }}"
    );
    let expected = format!("{},\n  \"{added}\n}}\n", STRANGE.strip_suffix("\n}\n").unwrap());
    assert_eq!(sandbox.registry(), expected);
}

#[test]
fn a_field_that_said_none_is_filled_in_its_place() {
    let sandbox = Sandbox::with_registry(STRANGE);
    sandbox.update(&["old", B, "10.0.0.2"]);
    sandbox.add_v6(B, "2a00::2", "ignored");
    sandbox.update(&["--rename", B, "bee"]);
    sandbox.update(&["--allow", B, "10.0.0.9"]);
    sandbox.update(&["--port", B, "tap0"]);
    let expected = STRANGE
        .replace("\"ipv4\": \"\"", "\"ipv4\": \"10.0.0.2\"")
        .replace("\"ipv6_gua\": null", "\"ipv6_gua\": \"2a00::2\"")
        .replace("\"name\": null", "\"name\": \"bee\"")
        .replace("\"allowed\": []", "\"allowed\": [\n      \"10.0.0.9/32\"\n    ]")
        .replace("\"port\": \"\"", "\"port\": \"tap0\"");
    assert_eq!(sandbox.registry(), expected);
}

#[test]
fn an_instance_without_fields_gets_only_the_address() {
    let sandbox = Sandbox::with_registry(STRANGE);
    sandbox.update(&["old", A, "10.0.0.1", "a"]);
    assert!(sandbox.registry().ends_with("\"11:22:33:44:55:0a\": {\n    \"ipv4\": \"10.0.0.1\"\n  }\n}\n"));
}

#[test]
fn any_spelling_is_read_and_the_canonical_one_written() {
    let sandbox = Sandbox::with_registry(format!(
        r#" {{ "{A}":{{"name":"\u006fne","ipv6_lla":"fe80:0::0322:33FF:fe44:5501","ipv6_gua":"2001:0db8::0:1"}} }}"#
    ));
    // 2001:db8:: is documentation, but fine in `ipv6_gua` of an edited file.
    sandbox.update(&["add", A, "10.0.0.1", "x"]);
    let expected = r#"{
  "11:22:33:44:55:0a": {
    "name": "one",
    "ipv6_lla": "fe80::322:33ff:fe44:5501",
    "ipv6_gua": "2001:db8::1",
    "ipv4": "10.0.0.1"
  }
}
"#;
    assert_eq!(sandbox.registry(), expected);
}

#[test]
fn the_spelling_alone_is_no_reason_to_write() {
    let text = format!(r#"{{"{A}":{{"ipv4":"10.0.0.1","ipv6_ula":"fd00:0::01"}}}}"#);
    let sandbox = Sandbox::with_registry(&text);
    sandbox.update(&["old", A, "10.0.0.1"]).silent();
    sandbox.add_v6(A, "fd00::1", "x").silent();
    assert_eq!(sandbox.registry(), text);
}

#[test]
fn the_originals_registry_is_read() {
    // As Python's json writes it: no newline at the end, non-ASCII escaped, link-local with leading zeros.
    let text = format!(
        "{{\n  \"{A}\": {{\n    \"name\": \"a\",\n    \"ipv6_lla\": \"fe80::0322:33ff:fe44:5501\",\n    \"owner\": \"J\\u00f6rg\"\n  }}\n}}"
    );
    let sandbox = Sandbox::with_registry(&text);
    sandbox.update(&["add", A, "10.0.0.1", "a"]);
    let expected = text.replace("fe80::0322", "fe80::322").replace("rg\"\n", "rg\",\n    \"ipv4\": \"10.0.0.1\"\n");
    assert_eq!(sandbox.registry(), format!("{expected}\n"));
}

#[test]
fn a_reader_keeps_the_old_file_while_a_new_one_takes_its_place() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "a"]);
    let before = sandbox.registry();
    let reader = sandbox.path(".reader");
    fs::hard_link(sandbox.path(".json"), &reader).unwrap();
    sandbox.update(&["add", B, "10.0.0.2", "b"]);
    assert_eq!(fs::read_to_string(reader).unwrap(), before);
    assert_ne!(sandbox.registry(), before);
}

#[test]
fn new_files_are_readable_by_all_whatever_the_umask() {
    let sandbox = Sandbox::new();
    let script = format!("umask 077; \"$0\" add {A} 10.0.0.1 a");
    assert!(sandbox.command("/bin/sh", &["-c", &script, UPDATE]).output().unwrap().status.success());
    assert_eq!(fs::metadata(sandbox.path(".json")).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn mode_and_owner_of_the_registry_are_kept() {
    let sandbox = Sandbox::with_registry("{}");
    let path = sandbox.path(".json");
    fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
    if can_be_root() {
        chown(&path, Some(4321), Some(1234)).unwrap();
    }
    let facts = || fs::metadata(&path).map(|metadata| (metadata.mode(), metadata.uid(), metadata.gid())).unwrap();
    let before = facts();
    sandbox.update(&["add", A, "10.0.0.1"]);
    assert!(sandbox.registry().contains(A));
    assert_eq!(facts(), before);
}

#[test]
fn a_writer_leaves_nothing_beside_its_files() {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1"]);
    sandbox.update(&["--rename", A, "a"]);
    assert_eq!(sandbox.files(), ["instances.json", "instances.lock", "instances.updated"]);
}

#[test]
fn the_temporary_file_of_a_dead_writer_is_cleared_away_and_never_written_through() {
    let sandbox = Sandbox::new();
    let precious = sandbox.path(".precious");
    fs::write(&precious, "precious").unwrap();
    std::os::unix::fs::symlink(&precious, sandbox.folder().join(".instances.json.new")).unwrap();
    sandbox.update(&["add", A, "10.0.0.1"]);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(!sandbox.files().contains(&".instances.json.new".to_owned()));
    assert!(sandbox.path(".json").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_writer_waits_for_whoever_holds_the_lock() {
    let sandbox = Sandbox::new();
    let lock = fs::File::create(sandbox.path(".lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let mut waiting = sandbox.command(UPDATE, &["add", A, "10.0.0.1"]).spawn().unwrap();
    let descriptors = format!("/proc/{}/fd", waiting.id());
    let wants_it = || {
        let open = fs::read_dir(&descriptors).unwrap().flatten();
        open.flat_map(|entry| fs::read_link(entry.path())).any(|path| path == sandbox.path(".lock"))
    };
    while !wants_it() {
        assert!(waiting.try_wait().unwrap().is_none(), "it did not wait");
        std::thread::yield_now();
    }
    assert!(waiting.try_wait().unwrap().is_none());
    assert!(!sandbox.has(".json"));
    fs2::FileExt::unlock(&lock).unwrap();
    assert!(waiting.wait().unwrap().success());
    assert!(sandbox.registry().contains(A));
}

/// The system calls that a run makes, one per line, and how it ended.
fn system_calls(sandbox: &Sandbox, calls: &str, program: &str, arguments: &[&str]) -> Vec<String> {
    let log = sandbox.folder().join("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-e", &format!("trace={calls}"), "-o"]).arg(&log).arg(program).args(arguments);
    command.env("INSTANCES_BASE_PATH", sandbox.path(""));
    assert!(command.output().unwrap().status.success());
    let lines = fs::read_to_string(log).unwrap();
    // Without the process id.
    lines.lines().map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned()).collect()
}

#[test]
fn content_reaches_the_disk_before_its_name_and_the_folder_after_it() {
    if !can("strace", "strace true") {
        return;
    }
    let sandbox = Sandbox::new();
    let calls =
        system_calls(&sandbox, "fsync,fdatasync,rename,renameat,renameat2,utimensat", UPDATE, &["add", A, "10.0.0.1"]);
    let position = |what: &str, of: &str| {
        calls
            .iter()
            .position(|call| call.starts_with(what) && call.contains(of))
            .unwrap_or_else(|| panic!("{what}: {calls:#?}"))
    };
    let content = position("fsync", ".instances.json.new");
    let flag = position("utimensat", "instances.updated");
    let renaming = position("rename", ".instances.json.new");
    let folder = calls
        .iter()
        .rposition(|call| call.starts_with("fsync") && call.contains(&format!("<{}>", sandbox.folder().display())));
    assert!(content < flag && flag < renaming && Some(renaming) < folder, "{calls:#?}");
}

#[test]
fn no_other_program_is_ever_run() {
    if !can("strace", "strace true") {
        return;
    }
    let sandbox = Sandbox::new();
    let started = |program, arguments: &[&str]| {
        system_calls(&sandbox, "execve,execveat,fork,vfork,clone,clone3", program, arguments).len()
    };
    assert_eq!(started(UPDATE, &["--initialize", "lo", "host"]), 1);
    assert_eq!(started(UPDATE, &["add", A, "10.0.0.1"]), 1);
    assert_eq!(started(common::PROCESS, &["-f"]), 1);
}
