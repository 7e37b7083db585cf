//! The fast path: a lease that changes nothing is recognised without reading the registry, and never wrongly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{A, B, C, Sandbox, UPDATE, can};
use instances::registry::lock::Lock;
use instances::registry::store::{self, Layout, Version};
use instances::registry::{probe, wire};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

/// Two instances, registered by the program.
fn two() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.update(&["add", A, "10.0.0.1", "one"]);
    sandbox.add_v6(A, "2a00::1", "one");
    sandbox.update(&["add", B, "10.0.0.2", "two"]);
    sandbox
}

/// What the fast path says about a lease.
fn certain(sandbox: &Sandbox, mac: &str, address: &str) -> bool {
    let lock = Lock::acquire(&sandbox.path(".lock")).unwrap();
    probe::changes_nothing(&lock, &sandbox.path(".json"), mac.parse().unwrap(), address.parse().unwrap())
}

/// Changes a file in place, without changing its size or time of modification.
fn edit_in_place(path: &Path, edit: impl Fn(&File)) {
    let file = File::options().write(true).open(path).unwrap();
    let before = file.metadata().unwrap();
    let changed = |metadata: &fs::Metadata| (metadata.ctime(), metadata.ctime_nsec());
    // Once more if the kernel's clock has not ticked since the file was made.
    while changed(&file.metadata().unwrap()) == changed(&before) {
        edit(&file);
        file.set_modified(before.modified().unwrap()).unwrap();
    }
    assert_eq!(file.metadata().unwrap().len(), before.len());
}

#[test]
fn what_is_registered_is_known_without_reading() {
    let sandbox = two();
    assert!(certain(&sandbox, A, "10.0.0.1"));
    assert!(certain(&sandbox, A, "2a00::1"));
    assert!(certain(&sandbox, B, "10.0.0.2"));
}

#[test]
fn an_address_that_is_stored_nowhere_changes_nothing_of_a_known_instance() {
    let sandbox = two();
    for address in ["fe80::1", "2001:db8::1", "ff02::1", "::1"] {
        assert!(certain(&sandbox, A, address), "{address}");
        assert!(!certain(&sandbox, C, address), "{address}");
    }
}

#[test]
fn what_is_new_is_not_known() {
    let sandbox = two();
    assert!(!certain(&sandbox, A, "10.0.0.9"));
    assert!(!certain(&sandbox, A, "10.0.0.2"));
    assert!(!certain(&sandbox, A, "2a00::2"));
    assert!(!certain(&sandbox, B, "2a00::1"));
    assert!(!certain(&sandbox, A, "fd00::1"));
    assert!(!certain(&sandbox, C, "10.0.0.1"));
}

#[test]
fn every_action_leaves_the_fast_path_open() {
    let sandbox = two();
    for arguments in
        [&["--rename", A, "x"][..], &["--allow", A, "10.0.0.9"], &["--remove", B], &["--initialize", "lo", "host"]]
    {
        sandbox.update(arguments);
        assert!(certain(&sandbox, A, "10.0.0.1"), "{arguments:?}");
    }
}

#[test]
fn without_an_index_the_next_event_leaves_one() {
    let sandbox = Sandbox::with_registry(two().registry());
    assert!(!certain(&sandbox, A, "10.0.0.1"));
    sandbox.update(&["old", A, "10.0.0.1"]).silent();
    assert!(certain(&sandbox, B, "10.0.0.2"));
    // The original opens the lock file for writing, which empties it.
    File::create(sandbox.path(".lock")).unwrap();
    assert!(!certain(&sandbox, B, "10.0.0.2"));
    sandbox.update(&["old", B, "10.0.0.2"]).silent();
    assert!(certain(&sandbox, B, "10.0.0.2"));
}

#[test]
fn a_torn_index_is_not_believed() {
    let sandbox = two();
    let whole = fs::read(sandbox.path(".lock")).unwrap();
    for length in 0..whole.len() {
        fs::write(sandbox.path(".lock"), &whole[..length]).unwrap();
        assert!(!certain(&sandbox, C, "10.0.0.1"), "{length}");
        assert!(!certain(&sandbox, A, "10.0.0.2"), "{length}");
    }
    for byte in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0x11;
        fs::write(sandbox.path(".lock"), damaged).unwrap();
        assert!(!certain(&sandbox, A, "10.0.0.2"), "{byte}");
        assert!(!certain(&sandbox, B, "10.0.0.1"), "{byte}");
    }
}

#[test]
fn a_registry_that_somebody_replaced_is_read_again() {
    let sandbox = two();
    let other = sandbox.registry().replace("10.0.0.1", "10.0.0.7");
    fs::write(sandbox.path(".new"), &other).unwrap();
    fs::rename(sandbox.path(".new"), sandbox.path(".json")).unwrap();
    assert!(!certain(&sandbox, A, "10.0.0.1"));
    assert!(!certain(&sandbox, A, "10.0.0.7"));
    sandbox.update(&["old", A, "10.0.0.7"]).silent();
    assert!(certain(&sandbox, A, "10.0.0.7"));
}

#[test]
fn an_edit_that_keeps_size_and_time_is_noticed() {
    let sandbox = two();
    let path = sandbox.path(".json");
    let place = sandbox.registry().rfind("10.0.0.2").unwrap() as u64;
    // B claims A's address now, in a place that an event of A does not look at.
    edit_in_place(&path, |file| file.write_all_at(b"10.0.0.1", place).unwrap());
    assert!(!certain(&sandbox, A, "10.0.0.1"));
    sandbox.update(&["old", A, "10.0.0.1", "one"]).said(&format!("Instance updated: {A} [10.0.0.1] (one)\n"));
    assert_eq!(sandbox.registry().matches("10.0.0.1").count(), 1);
}

#[test]
fn damage_that_keeps_size_and_time_is_refused() {
    let sandbox = two();
    let path = sandbox.path(".json");
    let end = fs::metadata(&path).unwrap().len();
    edit_in_place(&path, |file| file.write_all_at(b"]\n", end - 2).unwrap());
    let damaged = sandbox.registry();
    let refused = sandbox.update(&["old", A, "10.0.0.1", "one"]);
    assert!(refused.refused().contains(path.to_str().unwrap()), "{}", refused.err);
    assert_eq!(sandbox.registry(), damaged);
}

#[test]
fn no_index_is_made_of_a_registry_in_which_two_have_an_address() {
    let text =
        format!(r#"{{"{A}":{{"ipv6_gua":"2a00::1"}},"{B}":{{"ipv6_gua":"2a00:0::1"}},"{C}":{{"ipv4":"10.0.0.3"}}}}"#);
    let sandbox = Sandbox::with_registry(&text);
    sandbox.update(&["old", C, "10.0.0.3"]).silent();
    assert!(!certain(&sandbox, A, "2a00::1"));
    sandbox.add_v6(A, "2a00::1", "a").said(&format!("Instance updated: {A} [2a00::1] (a)\n"));
    assert!(certain(&sandbox, A, "2a00::1"));
    assert!(!certain(&sandbox, B, "2a00::1"));
}

#[test]
fn an_instance_too_long_for_the_fast_path_takes_the_other() {
    let long = "x".repeat(5000);
    let text = format!(r#"{{"{A}":{{"note":"{long}","ipv4":"10.0.0.1"}},"{B}":{{"ipv4":"10.0.0.2"}}}}"#);
    let sandbox = Sandbox::with_registry(&text);
    sandbox.update(&["old", A, "10.0.0.1"]).silent();
    assert!(!certain(&sandbox, A, "10.0.0.1"));
    assert!(certain(&sandbox, B, "10.0.0.2"));
    sandbox.update(&["old", A, "10.0.0.1"]).silent();
    sandbox.update(&["old", A, "10.0.0.9"]);
    assert_eq!(sandbox.registry().matches(&long).count(), 1);
}

#[test]
fn a_key_in_an_unusual_spelling_takes_the_other_path() {
    // The escaped key is A, too.
    let text =
        format!("{{\"1\\u0031:22:33:44:55:0a\":{{\"ipv4\":\"10.0.0.1\"}},\"{B}\"\t:\n{{\"ipv4\":\"10.0.0.2\"}}}}");
    let sandbox = Sandbox::with_registry(&text);
    sandbox.update(&["old", A, "10.0.0.1"]).silent();
    assert!(!certain(&sandbox, A, "10.0.0.1"));
    assert!(certain(&sandbox, B, "10.0.0.2"));
}

#[test]
fn a_missing_registry_is_known_to_be_missing() {
    let sandbox = two();
    fs::remove_file(sandbox.path(".json")).unwrap();
    assert!(!certain(&sandbox, A, "10.0.0.1"));
    sandbox.update(&["old", A, "10.0.0.1", "one"]).said(&format!("Instance updated: {A} [10.0.0.1] (one)\n"));
}

#[test]
fn the_program_takes_the_fast_path() {
    // A registry that can only be taken for unchanged by somebody who does not read it.
    let sandbox = two();
    let path = sandbox.path(".json");
    let good = store::read(&path).unwrap();
    File::options().append(true).open(&path).unwrap().write_all(b"garbage").unwrap();
    {
        let lock = Lock::acquire(&sandbox.path(".lock")).unwrap();
        let offsets = wire::parse(wire::to_text(&good.registry).as_bytes()).unwrap().1;
        probe::remember(&lock, Layout { version: Version::at(&path).unwrap(), offsets });
    }
    sandbox.update(&["old", A, "10.0.0.1", "one"]).silent();
    sandbox.add_v6(A, "2a00::1", "one").silent();
    assert!(sandbox.update(&["old", A, "10.0.0.9", "one"]).refused().contains("trailing characters"));
}

#[test]
fn an_unchanged_lease_reads_a_few_kilobytes_of_any_registry() {
    if !can("strace", "strace true") {
        return;
    }
    let instance = |n: usize| {
        let mac = format!("02:00:00:{:02x}:{:02x}:{:02x}", n >> 16, n >> 8 & 255, n & 255);
        format!("\"{mac}\":{{\"name\":\"n{n}\",\"ipv4\":\"10.{}.{}.{}\"}}", n >> 16, n >> 8 & 255, n & 255)
    };
    let text = (0..20_000).map(instance).collect::<Vec<_>>().join(",");
    let sandbox = Sandbox::with_registry(format!("{{{text}}}"));
    let unchanged = ["old", "02:00:00:00:27:10", "10.0.39.16"];
    sandbox.update(&unchanged).silent();

    let log = sandbox.path(".strace");
    let arguments = ["-y", "-e", "trace=read,pread64,readv,mmap", "-o", log.to_str().unwrap(), UPDATE];
    let mut traced = sandbox.command("/usr/bin/env", &[&["strace"], &arguments[..], &unchanged].concat());
    assert!(traced.env("PATH", "/usr/local/bin:/usr/bin:/bin").status().unwrap().success());
    let calls = fs::read_to_string(log).unwrap();
    let of_ours = calls.lines().filter(|call| call.contains(sandbox.folder().to_str().unwrap()));
    let bytes: Vec<usize> = of_ours.map(|call| call.rsplit("= ").next().unwrap().parse().unwrap()).collect();
    assert!(bytes.len() > 2 && bytes.iter().sum::<usize>() < 8192, "{bytes:?}");
}
