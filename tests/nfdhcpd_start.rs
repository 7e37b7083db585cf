//! How the responder starts: in the background or not, as whom, with which files; and what it does on signals.
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "common/netns.rs"]
mod netns;

use netns::in_new_netns;
use netns::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder with everything that it needs, and what runs in the background.
struct Lab {
    folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(lab.path("bindings")).unwrap();
        fs::write(lab.path("bindings/tap0"), "MAC=aa:00:00:00:00:01\nHOSTNAME=vm\n").unwrap();
        let [pidfile, datapath, logdir] =
            ["run/pid", "bindings", "log"].map(|path| lab.path(path).display().to_string());
        let text = format!(
            "[general]\npidfile = {pidfile}\ndatapath = {datapath}\nlogdir = {logdir}\nuser = nobody\n\
             [dhcp]\nserver_ip = 192.0.2.1\n"
        );
        fs::write(lab.path("conf"), text).unwrap();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instances-nfdhcpd"));
        command.env_clear().arg("-c").arg(self.path("conf")).args(arguments);
        command
    }

    /// Starts it in the background; returns as soon as that has succeeded, or not.
    fn start(&self) -> Output {
        self.command(&[]).output().unwrap()
    }

    fn pid(&self) -> Option<Pid> {
        fs::read_to_string(self.path("run/pid")).ok()?.trim().parse().ok().map(Pid::from_raw)
    }

    fn status(&self, key: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log/nfdhcpd.log")).unwrap_or_default()
    }

    #[track_caller]
    fn logs(&self, text: &str) {
        until(text, || self.log().contains(text));
    }

    #[track_caller]
    fn end(&self) {
        let pid = self.pid().unwrap();
        kill(pid, Signal::SIGTERM).unwrap();
        until("its end", || self.pid().is_none());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

#[test]
fn in_the_background_it_is_nobody_with_two_capabilities() {
    in_new_netns(|| {
        let lab = Lab::new();
        let started = lab.start();
        assert_eq!((started.status.code(), started.stderr.as_slice()), (Some(0), &b""[..]));
        // It returned when all was ready.
        assert_eq!(lab.status("Uid:"), "65534 65534 65534 65534");
        assert_eq!(lab.status("Gid:"), "65534 65534 65534 65534");
        // CAP_NET_ADMIN is 12, CAP_NET_RAW 13.
        for (set, expected) in [("CapPrm:", 0x3000), ("CapEff:", 0x3000), ("CapInh:", 0), ("CapAmb:", 0)] {
            assert_eq!(u64::from_str_radix(&lab.status(set), 16).unwrap(), expected, "{set}");
        }
        assert_eq!(lab.status("NoNewPrivs:"), "1");
        let process = format!("/proc/{}", lab.pid().unwrap());
        assert_eq!(nix::unistd::getsid(lab.pid()).unwrap(), lab.pid().unwrap(), "a session of its own");
        for descriptor in 0..=2 {
            let target = rustix::fs::readlink(format!("{process}/fd/{descriptor}"), Vec::new()).unwrap();
            assert_eq!(target.as_bytes(), b"/dev/null", "{descriptor}");
        }
        assert_eq!(fs::metadata(lab.path("log/nfdhcpd.log")).unwrap().uid(), 65534);
        // A second one is refused, and leaves the first alone.
        let second = lab.start();
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(1));
        assert!(said.contains("it runs already: process") && said.lines().count() == 1, "{said}");
        lab.end();
        let again = lab.start();
        assert_eq!((again.status.code(), String::from_utf8_lossy(&again.stderr)), (Some(0), "".into()));
        lab.end();
    });
}

#[test]
fn signals_dump_the_clients_open_the_log_anew_and_read_the_bindings() {
    in_new_netns(|| {
        let lab = Lab::new();
        assert_eq!(lab.start().status.code(), Some(0));
        let pid = lab.pid().unwrap();
        kill(pid, Signal::SIGUSR1).unwrap();
        lab.logs("1 clients, 0 of them with a tap");
        fs::rename(lab.path("log/nfdhcpd.log"), lab.path("log/nfdhcpd.log.1")).unwrap();
        fs::write(lab.path("bindings/tap1"), "MAC=x\nHOSTNAME=vm\n").unwrap();
        kill(pid, Signal::SIGHUP).unwrap();
        until("the old log is let go of", || lab.path("log/nfdhcpd.log").exists());
        kill(pid, Signal::SIGUSR1).unwrap();
        lab.logs("1 clients, 0 of them with a tap");
        let old = fs::read_to_string(lab.path("log/nfdhcpd.log.1")).unwrap();
        assert!((lab.log() + &old).contains("tap1:1: MAC=x is wrong"), "{old}");
        lab.end();
    });
}

#[test]
fn a_start_that_fails_says_why_and_has_a_status() {
    in_new_netns(|| {
        let lab = Lab::new();
        let refused = |arguments: &[&str], expected: &str| {
            let output = lab.command(arguments).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            assert!(said.starts_with("instances-nfdhcpd: ") && said.contains(expected), "{arguments:?}: {said}");
        };
        refused(&["--user", "no-such-user"], "there is no user no-such-user; choose another");
        refused(&["--pidfile", "/proc/none/pid"], "cannot write the pid file /proc/none/pid");
        refused(&["--logdir", "/proc/none"], "cannot write the log /proc/none");
        assert!(lab.pid().is_none());
        let output = lab.command(&["-f"]).uid(65534).gid(65534).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("CAP_NET_ADMIN and CAP_NET_RAW are needed; start as root"), "{said}");
    });
}
