//! What a test needs and may not find. Not in CI: there it must be there.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::io::Write as _;
use std::process::Command;

/// Says past libtest's capture, which would hide it, that a test was skipped, and why. In CI that is a failure.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "must not be skipped in CI: {why}");
    told_skipped(why);
}

/// The same where it is none in CI either: for what others may take away any day.
pub fn told_skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let _ = std::io::stderr().write_all(format!("SKIPPED {name}: {why}\n").as_bytes());
}

/// Whether a command succeeds in a shell. If not, says that the test is skipped since there is no `what`.
pub fn can(what: &str, command: &str) -> bool {
    let script = format!("PATH=$PATH:/usr/sbin:/sbin; {command}");
    let can = Command::new("sh").args(["-c", &script]).output().is_ok_and(|output| output.status.success());
    if !can {
        skipped(&format!("no {what} here"));
    }
    can
}
