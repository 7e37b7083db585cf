//! A registry, the programs, and a bridge with guests to try them on.
#![allow(dead_code, reason = "each test crate uses its part")]

use crate::netns::run;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

pub const WEB: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
pub const DB: [u8; 6] = [0x02, 0, 0, 0, 0, 2];

/// A rule for each address, in the original's two chains.
pub const SPEC_RULES: [&str; 4] = ["--guard", "spec", "--layout", "rules"];
pub const SPEC: [&str; 2] = ["--guard", "spec"];

/// `--hook *` with further arguments.
pub fn hooked<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--hook", "*"], arguments].concat()
}

/// The listing of a chain of ours.
pub fn chain(name: &str) -> String {
    run("nft", &["list", "chain", "bridge", "instances", name])
}

/// A folder with a registry of two instances, web (10.0.0.1, fd00::1) and db (10.0.0.2, fd00::2).
pub struct Host {
    pub folder: tempfile::TempDir,
}

impl Host {
    pub fn new() -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        host.write(
            r#"{
  "02:00:00:00:00:01": {"name": "web", "ipv4": "10.0.0.1", "ipv6_ula": "fd00::1", "ipv6_lla": "fe80::ff:fe00:1"},
  "02:00:00:00:00:02": {"name": "db", "ipv4": "10.0.0.2", "ipv6_ula": "fd00::2", "ipv6_lla": "fe80::ff:fe00:2"}
}"#,
        );
        host
    }

    pub fn path(&self, extension: &str) -> PathBuf {
        self.folder.path().join("P").with_extension(extension)
    }

    pub fn write(&self, registry: &str) {
        // As everybody writes it: in one step.
        fs::write(self.path("new"), registry).unwrap();
        fs::rename(self.path("new"), self.path("json")).unwrap();
    }

    /// A command that runs instances-process on this registry.
    pub fn process(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instances-process"));
        command.env_clear().env("INSTANCES_BASE_PATH", self.folder.path().join("P")).args(arguments);
        command
    }

    /// `instances-process --force --apply` with further arguments, which must succeed; what it says.
    pub fn apply(&self, arguments: &[&str]) -> String {
        let output = self.try_apply(arguments);
        let news = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {news}");
        news
    }

    pub fn try_apply(&self, arguments: &[&str]) -> Output {
        self.process(&[&["--force", "--apply"], arguments].concat()).output().unwrap()
    }

    /// What `--check --apply` with further arguments prints.
    pub fn check_text(&self, arguments: &[&str]) -> String {
        let before = run("nft", &["list", "ruleset"]);
        let output = self.process(&[&["--check", "--apply"], arguments].concat()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!text.is_empty())), "{text}");
        assert_eq!(run("nft", &["list", "ruleset"]), before, "it changes nothing");
        text
    }

    /// `--check --apply` with further arguments prints exactly these lines.
    #[track_caller]
    pub fn check(&self, arguments: &[&str], expected: &[&str]) {
        let text = self.check_text(arguments);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{text}");
    }

    /// An apply that must fail and change nothing in the kernel; its message.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let before = run("nft", &["list", "ruleset"]);
        fs::write(self.path("updated"), "").unwrap();
        let output = self.process(&[&["--apply"], arguments].concat()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert_eq!(run("nft", &["list", "ruleset"]), before);
        assert!(self.path("updated").exists(), "the flag must stay when the update was not processed");
        message
    }
}

/// A bridge with two ports; each guest's end is in this namespace too, as an interface without addresses.
pub fn bridge_with_guests(bridge: &str, guests: [&str; 2]) {
    run("ip", &["link", "add", bridge, "type", "bridge"]);
    for guest in guests {
        let port = format!("{guest}p");
        run("ip", &["link", "add", guest, "type", "veth", "peer", "name", &port]);
        run("ip", &["link", "set", &port, "master", bridge]);
        for interface in [guest, &port] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1").unwrap();
            run("ip", &["link", "set", interface, "up"]);
        }
    }
    fs::write(format!("/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6"), "1").unwrap();
    run("ip", &["link", "set", bridge, "up"]);
}
