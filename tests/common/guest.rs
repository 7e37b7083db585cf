//! A guest behind a tap, in namespaces of its own.
#![allow(dead_code, reason = "each test crate uses its part")]

use crate::netns::wait::{PATIENCE, until};
use crate::netns::{output, run};
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A guest behind a tap, for as long as this lives.
pub struct Guest {
    namespace: Child,
}

impl Guest {
    /// It has no interface yet.
    pub fn without_link() -> Self {
        // Ends with our end of its standard input.
        let spaces = ["--net", "--mount", "--uts", "cat"];
        let namespace = Command::new("unshare").args(spaces).stdin(Stdio::piped()).spawn().unwrap();
        let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let there = format!("/proc/{}/ns/net", namespace.id());
        until("a namespace", || fs::read_link(&there).is_ok_and(|there| there != here));
        let program = format!("/proc/{}/comm", namespace.id());
        until("all its namespaces", || fs::read_to_string(&program).is_ok_and(|name| name == "cat\n"));
        Self { namespace }
    }

    /// Its interface is `eth0`, and down; the tap is up.
    pub fn behind(tap: &str, mac: &str) -> Self {
        let guest = Self::without_link();
        run("ip", &["link", "add", tap, "type", "veth", "peer", "name", "eth0", "netns", &guest.process()]);
        run("ip", &["link", "set", tap, "up"]);
        guest.run("ip", &["link", "set", "eth0", "address", mac]);
        guest
    }

    /// Number of a process in its namespace.
    pub fn process(&self) -> String {
        self.namespace.id().to_string()
    }

    pub fn up(&self) {
        self.run("ip", &["link", "set", "eth0", "up"]);
    }

    pub fn try_run(&self, program: &str, arguments: &[&str]) -> Output {
        let process = self.process();
        output("nsenter", &[&["--target", &process, "--net", program], arguments].concat(), "")
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let process = self.process();
        run("nsenter", &[&["--target", &process, "--net", program], arguments].concat())
    }

    /// The address that a DHCP client is given; it asks again for a while, and is begun again, for it gives up after three requests.
    #[track_caller]
    pub fn lease(&self) -> String {
        let mut said = String::new();
        for _ in 0..3 {
            let ended = self.try_run("udhcpc", &["-n", "-q", "-f", "-t", "10", "-i", "eth0", "-s", "/bin/true"]);
            said += &String::from_utf8_lossy(&ended.stderr);
            if let Some(behind) = said.split("lease of ").nth(1) {
                return behind.split(' ').next().unwrap_or_default().to_owned();
            }
        }
        panic!("no lease: {said}");
    }

    /// Waits until an answer to an echo request comes. The kernel gives up after three solicitations in as many seconds, which
    /// who answers them may sleep through here.
    #[track_caller]
    pub fn reaches(&self, address: &str) {
        until(&format!("{address} answers"), || {
            self.try_run("ping", &["-c", "1", "-W", "5", address]).status.success()
        });
    }

    /// Whether one attempt gets a lease.
    pub fn gets_lease(&self) -> bool {
        let once = ["-n", "-q", "-f", "-t", "1", "-T", "1", "-i", "eth0", "-s", "/bin/true"];
        self.try_run("udhcpc", &once).status.success()
    }

    /// Waits until its addresses, or with `route` its routes, contain a text, or do not.
    #[track_caller]
    pub fn has(&self, object: &str, text: &str, wanted: bool) {
        let mut last = String::new();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            last = self.run("ip", &["-6", object, "show", "dev", "eth0"]);
            if last.contains(text) == wanted {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("never {wanted}: {text}; but {last}");
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
    }
}
