//! A registry that is none: refused by everybody, with its place, and left as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{A, B, Ended, Sandbox};
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;

/// Every way of using a registry, with what makes it necessary to know all of it.
fn uses(sandbox: &Sandbox) -> Vec<Ended> {
    let by_update = [
        &["add", B, "10.0.0.9", "two"][..],
        &["old", A, "10.0.0.1", "one"],
        &["--initialize", "lo", "host"],
        &["--rename", B, "two"],
        &["--remove", B],
        &["--allow", B, "10.0.0.9"],
        &["--disallow", B, "10.0.0.9"],
        &["--port", B, "tap9"],
        &["--no-port", B],
        &["--list"],
        &["--list", "--json"],
    ];
    let by_process = [&["--force"][..], &["--check"], &["--force", "--emit"]];
    let updates = by_update.map(|arguments| sandbox.update(arguments));
    updates.into_iter().chain(by_process.map(|arguments| sandbox.process(arguments))).collect()
}

/// Everybody refuses the registry for this reason; nothing appears and nothing is lost.
#[track_caller]
fn refused_by_all(sandbox: &Sandbox, reason: &str) {
    for ended in uses(sandbox) {
        assert!(ended.refused().contains(reason), "expected {reason}: {}", ended.err);
    }
    assert!(sandbox.files().iter().all(|file| file == "instances.json" || file == "instances.lock"));
}

/// This text is refused at this line and column for this reason; `A` in it stands for a MAC.
#[track_caller]
fn malformed(text: impl AsRef<[u8]>, place: &str, reason: &str) {
    let sandbox = Sandbox::with_registry(&text);
    refused_by_all(&sandbox, &format!("{}:{place}: {reason}", sandbox.path(".json").display()));
    assert_eq!(fs::read(sandbox.path(".json")).unwrap(), text.as_ref());
}

/// An instance with these fields, in the second line.
fn with_fields(fields: &str) -> String {
    format!("{{\n  \"{A}\": {{{fields}}}\n}}\n")
}

#[test]
fn a_truncated_registry() {
    malformed("", "1:1", "EOF");
    malformed("{", "1:1", "EOF");
    malformed(format!("{{\n  \"{A}\": {{\n    \"name\": \"on"), "3:15", "EOF while parsing a string");
    malformed(format!("{{\n  \"{A}\": {{\n    \"name\": \"one\"\n  }}\n"), "5:1", "EOF while parsing an object");
}

#[test]
fn a_registry_cut_anywhere() {
    let whole = with_fields("\"name\": \"one\", \"ipv4\": \"10.0.0.1\", \"allowed\": [\"10.0.0.9/32\"], \"x\": [1.5]");
    let whole = whole.trim_end();
    assert!(instances::registry::wire::parse(whole.as_bytes()).is_ok());
    for length in 0..whole.len() {
        assert!(instances::registry::wire::parse(&whole.as_bytes()[..length]).is_err(), "{}", &whole[..length]);
    }
}

#[test]
fn no_json() {
    malformed("garbage", "1:1", "expected value");
    malformed([0; 4096], "1:1", "expected value");
    malformed("\u{feff}{}", "1:1", "expected value");
    malformed("{}\n{}\n", "2:1", "trailing characters");
    malformed(format!("{{\"{A}\": {{}},}}"), "1:26", "trailing comma");
    malformed(b"{\"11:22:33:44:55:0a\": {\"note\": \"\xff\"}}", "1:33", "not UTF-8");
    malformed(with_fields("\"note\": NaN"), "2:33", "expected value");
}

#[test]
fn no_object() {
    malformed("[]", "1:1", "invalid type: sequence, expected an object of instances by MAC address");
    malformed("null", "1:4", "invalid type: null, expected an object of instances by MAC address");
    malformed("\n\"at line 5\"", "2:11", "invalid type: string \"at line 5\", expected an object of instances by MAC");
}

#[test]
fn a_message_is_short_however_long_what_it_quotes() {
    let sandbox = Sandbox::with_registry(format!("\"{}\"", "x".repeat(1 << 20)));
    assert!(sandbox.update(&["--list"]).refused().len() < 500);
    let sandbox = Sandbox::with_registry(with_fields(&format!("\"ipv4\": \"{}\"", "x".repeat(1 << 20))));
    assert!(sandbox.update(&["--list"]).refused().len() < 500);
}

#[test]
fn a_key_that_is_no_mac_in_lower_case() {
    malformed("{\n\"AA:22:33:44:55:0a\": {}}", "2:19", "key \"AA:22:33:44:55:0a\": not a MAC address in lower case");
    malformed("{\"11-22-33-44-55-0a\": {}}", "1:20", "key \"11-22-33-44-55-0a\"");
    malformed("{\"\": {}}", "1:3", "key \"\"");
    malformed("{\"\\u001b[31m\": {}}", "1:13", "key \"\\u{1b}[31m\"");
}

#[test]
fn a_mac_twice() {
    malformed(format!("{{\"{A}\": {{}},\n\"{A}\": {{}}}}"), "2:19", &format!("instance {A} stands twice"));
    malformed(
        format!("{{\"{A}\": {{}},\n\"1\\u0031{}\": {{}}}}", &A[2..]),
        "2:24",
        &format!("instance {A} stands twice"),
    );
}

#[test]
fn an_instance_that_is_no_object() {
    for (value, place, kind) in [("[]", "1:22", "sequence"), ("null", "1:26", "null"), ("1", "1:23", "integer")] {
        malformed(format!("{{\"{A}\": {value}}}"), place, &format!("invalid type: {kind}"));
    }
}

#[test]
fn an_address_that_is_none_or_of_the_wrong_family() {
    malformed(with_fields(r#""ipv4": "fd00::1""#), "2:41", "field \"ipv4\": \"fd00::1\" is no IPv4 address");
    malformed(with_fields(r#""ipv4": "10.0.0.256""#), "2:44", "field \"ipv4\": \"10.0.0.256\" is no IPv4 address");
    malformed(with_fields(r#""ipv4": "10.0.0.1/24""#), "2:45", "field \"ipv4\"");
    for field in ["ipv6_gua", "ipv6_ula", "ipv6_lla"] {
        let fields = format!("\n\"{field}\": \"10.0.0.1\"");
        malformed(with_fields(&fields), "3:22", &format!("field \"{field}\": \"10.0.0.1\" is no IPv6 address"));
    }
    malformed(with_fields("\n\"ipv6_lla\": \"fe80::1%eth0\""), "3:26", "field \"ipv6_lla\": \"fe80::1%eth0\"");
}

#[test]
fn a_name_that_could_hurt_somebody() {
    malformed(with_fields(r#""name": "a\"; drop""#), "2:43", r#"field "name": "a\"; drop" is no name"#);
    malformed(with_fields(r#""name": "a\nb""#), "2:38", r#"field "name": "a\nb" is no name"#);
    malformed(with_fields(r#""name": "$(x)""#), "2:38", "field \"name\": \"$(x)\" is no name");
    malformed(with_fields(r#""name": "a.b""#), "2:37", "field \"name\"");
    malformed(with_fields("\"name\": \"a\nb\""), "3:1", "control character");
}

#[test]
fn a_port_that_is_no_interface_name() {
    for (port, place) in [("a/b", "2:37"), ("tap*", "2:38"), ("a234567890123456", "2:50"), ("..", "2:36")] {
        let reason = format!("field \"port\": \"{port}\" is no interface name: an interface's name has 1 to 15");
        malformed(with_fields(&format!("\"port\": \"{port}\"")), place, &reason);
    }
    malformed(with_fields(r#""port": 7"#), "2:33", "invalid type: integer `7`, expected an interface name in \"port\"");
    malformed(with_fields(r#""port": ["tap0"]"#), "2:33", "invalid type: sequence, expected an interface name");
    malformed(with_fields(r#""port": null, "port": "tap0""#), "2:44", "field \"port\" stands twice");
}

#[test]
fn a_value_of_the_wrong_kind() {
    malformed(with_fields(r#""name": 7"#), "2:33", "invalid type: integer `7`, expected a name in \"name\"");
    malformed(with_fields(r#""name": ["a"]"#), "2:33", "invalid type: sequence, expected a name in \"name\"");
    malformed(
        with_fields(r#""ipv4": 167772161"#),
        "2:41",
        "invalid type: integer `167772161`, expected an IPv4 address",
    );
    malformed(with_fields(r#""ipv6_gua": {}"#), "2:38", "invalid type: map, expected an IPv6 address in \"ipv6_gua\"");
    malformed(with_fields(r#""ipv6_ula": false"#), "2:41", "invalid type: boolean `false`, expected an IPv6 address");
    malformed(
        with_fields(r#""allowed": "10.0.0.1""#),
        "2:45",
        "invalid type: string \"10.0.0.1\", expected a list of addresses and prefixes in \"allowed\"",
    );
    malformed(with_fields(r#""allowed": [1]"#), "2:37", "invalid type: integer `1`, expected an address or prefix");
    malformed(
        with_fields(r#""allowed": ["10.0.0.1/24"]"#),
        "2:49",
        "field \"allowed\": \"10.0.0.1/24\" has host bits set",
    );
}

#[test]
fn a_field_of_ours_twice() {
    malformed(with_fields(r#""name": "a", "name": "a""#), "2:43", "field \"name\" stands twice");
    malformed(with_fields(r#""ipv4": null, "ipv4": "10.0.0.1""#), "2:44", "field \"ipv4\" stands twice");
}

#[test]
fn endless_nesting() {
    for open in ["[", "{\"a\":"] {
        let sandbox = Sandbox::with_registry(with_fields(&format!("\"x\": {}", open.repeat(200_000))));
        refused_by_all(&sandbox, &format!("{}:", sandbox.path(".json").display()));
    }
}

/// What is in the place of the registry is refused with its path and this reason.
#[track_caller]
fn out_of_place(put: impl Fn(&Path), reason: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    put(&sandbox.path(".json"));
    refused_by_all(&sandbox, &format!("{}: {reason}", sandbox.path(".json").display()));
    sandbox
}

#[test]
fn a_gigabyte_of_garbage() {
    let sandbox =
        out_of_place(|path| File::create(path).unwrap().set_len(1 << 30).unwrap(), "1073741824 bytes are too many");
    assert_eq!(fs::metadata(sandbox.path(".json")).unwrap().len(), 1 << 30);
}

#[test]
fn a_symlink() {
    let elsewhere = Sandbox::with_registry(with_fields(r#""ipv4": "10.0.0.1""#));
    let before = elsewhere.registry();
    let sandbox = out_of_place(|path| symlink(elsewhere.path(".json"), path).unwrap(), "it is a symbolic link");
    assert_eq!(fs::read_link(sandbox.path(".json")).unwrap(), elsewhere.path(".json"));
    assert_eq!(elsewhere.registry(), before);
    out_of_place(|path| symlink("/nonexistent", path).unwrap(), "it is a symbolic link");
    out_of_place(|path| symlink("/dev/zero", path).unwrap(), "it is a symbolic link");
}

#[test]
fn a_folder() {
    let sandbox = out_of_place(|path| fs::create_dir(path).unwrap(), "it is a folder");
    assert!(sandbox.path(".json").is_dir());
}

#[test]
fn a_fifo_that_nobody_writes_to() {
    let make = |path: &Path| {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::from_raw_mode(0o644), 0).unwrap();
    };
    let sandbox = out_of_place(make, "it is not a regular file");
    assert!(fs::metadata(sandbox.path(".json")).unwrap().file_type().is_fifo());
}

#[test]
fn what_is_in_the_place_of_the_flag_stops_the_change() {
    let sandbox = Sandbox::with_registry(with_fields(""));
    let before = sandbox.registry();
    fs::create_dir(sandbox.path(".updated")).unwrap();
    let refused = sandbox.update(&["add", B, "10.0.0.9"]);
    assert!(refused.refused().contains(sandbox.path(".updated").to_str().unwrap()), "{}", refused.err);
    assert_eq!(sandbox.registry(), before);
}

#[test]
fn a_flag_or_lock_that_is_a_symlink_is_not_followed() {
    for (doing, suffix) in [("touch", ".updated"), ("lock", ".lock")] {
        let sandbox = Sandbox::with_registry(with_fields(""));
        let before = sandbox.registry();
        let precious = sandbox.path(".precious");
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, sandbox.path(suffix)).unwrap();
        let refused = sandbox.update(&["add", B, "10.0.0.9"]);
        let expected = format!("cannot {doing} {}", sandbox.path(suffix).display());
        assert!(refused.refused().contains(&expected), "{}", refused.err);
        assert_eq!((sandbox.registry(), fs::read_to_string(precious).unwrap()), (before, "precious".to_owned()));
    }
}
