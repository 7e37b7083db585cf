//! A host with a bridge, guests on it, a cluster's API, and the program with a dnsmasq of its own; in a network namespace.

use crate::dns::Dns;
use crate::guest::Guest;
use crate::netns::{needs, run};
use crate::proxmox::{Cluster, SECRET, Simulator, TOKEN};
use crate::wait::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The host's address on its bridge.
pub const HOST: &str = "10.0.0.2";

pub struct Lab {
    pub simulator: Simulator,
    folder: tempfile::TempDir,
    program: Option<Child>,
    /// Further flags of the program's.
    pub flags: Vec<String>,
    /// Variables and capabilities that it has not.
    pub without: Vec<&'static str>,
}

#[allow(clippy::unused_self, reason = "a second lab would be another host")]
impl Lab {
    pub fn new(cluster: Cluster) -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "vmbr0", "type", "bridge"]);
        run("ip", &["addr", "add", &format!("{HOST}/23"), "dev", "vmbr0"]);
        run("ip", &["link", "set", "vmbr0", "up"]);
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { simulator: Simulator::with(cluster, 1), folder, program: None, flags: Vec::new(), without: Vec::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A guest of the cluster's on the bridge: its interface is up and has no address.
    pub fn plug(&self, vmid: u32) -> Guest {
        let tap = format!("tap{vmid}i0");
        let guest = Guest::behind(&tap, &Cluster::mac(vmid));
        run("ip", &["link", "set", &tap, "master", "vmbr0"]);
        guest.up();
        guest
    }

    /// The program with PVE-Leazzard's variables, and flags that say where this lab has its files.
    pub fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        let dropped = self.without.iter().filter_map(|what| what.strip_prefix("CAP_"));
        let dropped: Vec<_> = dropped.map(|what| format!("-{}", what.to_lowercase())).collect();
        if !dropped.is_empty() {
            command.args(["--bounding-set", &dropped.join(","), "--inh-caps", &dropped.join(",")]);
        }
        command.arg(env!("CARGO_BIN_EXE_instances-proxmox"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command.envs([
            ("PROXMOX_HOST", self.simulator.url().as_str()),
            ("API_TOKEN_ID", TOKEN),
            ("API_TOKEN_SECRET", SECRET),
            ("DNS_DOMAIN", "lab"),
            ("NETWORK_CIDR", "10.0.0.0/23"),
            ("DHCP_RANGE", "10.0.1.1,10.0.1.254,255.255.254.0,12h"),
            ("DHCP_OPTION", "option:router,10.0.0.1"),
            ("LOG_LEVEL", "INFO"),
        ]);
        for variable in &self.without {
            command.env_remove(variable);
        }
        let ca = self.simulator.ca_file();
        for (flag, path) in [
            ("--ca-file", ca),
            ("--state-file", self.path("state/state.json")),
            ("--hostsdir", self.path("hosts")),
            ("--dhcp-hostsfile", self.path("reservations")),
            ("--pid-file", self.path("pid")),
            ("--leases", self.path("leases")),
            ("--dnsmasq-conf", self.path("dnsmasq.conf")),
        ] {
            command.arg(flag).arg(path);
        }
        command.args(["--poll-interval", "1", "--dnsmasq-user", "root", "--listen", "127.0.0.1:9109"]);
        command.args(&self.flags).args(flags);
        command
    }

    /// Starts it. Its log is in a file, with dnsmasq's.
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command(&[]);
        command.stdout(Stdio::null()).stderr(log);
        self.program = Some(command.spawn().unwrap());
    }

    /// Starts it, and waits until it has read everything.
    pub fn started(cluster: Cluster) -> Self {
        let mut lab = Self::new(cluster);
        lab.start();
        lab.is_healthy();
        lab
    }

    #[track_caller]
    pub fn is_healthy(&mut self) {
        let start = Instant::now();
        while !self.answers("/healthz").starts_with("HTTP/1.1 200") {
            let has_ended = self.program.as_mut().is_none_or(|program| program.try_wait().unwrap().is_some());
            assert!(!has_ended && start.elapsed() < PATIENCE, "{}\n{}", self.answers("/healthz"), self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// What it says over HTTP.
    pub fn answers(&self, path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = std::net::TcpStream::connect("127.0.0.1:9109") else { return String::new() };
        let mut said = String::new();
        let _ =
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").as_bytes());
        let _ = stream.read_to_string(&mut said);
        said
    }

    /// A metric's value, by its line's beginning.
    pub fn metric(&self, line: &str) -> Option<f64> {
        let said = self.answers("/metrics");
        let value = said.lines().find_map(|there| there.strip_prefix(line)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How often the log says something.
    pub fn said(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    #[track_caller]
    pub fn says(&self, text: &str) {
        until(&format!("{text:?} in the log"), || self.said(text) > 0);
    }

    pub fn dns(&self) -> Dns {
        Dns("127.0.0.1:53".parse().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.program.as_ref().unwrap().id()
    }

    pub fn dnsmasq(&self) -> i32 {
        fs::read_to_string(self.path("pid")).unwrap().trim().parse().unwrap()
    }

    /// SIGKILL: dnsmasq stays.
    pub fn kill(&mut self) {
        let mut program = self.program.take().unwrap();
        program.kill().unwrap();
        program.wait().unwrap();
    }

    /// SIGTERM: both end. How it ended.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut program = self.program.take().unwrap();
        kill(Pid::from_raw(program.id().cast_signed()), Signal::SIGTERM).unwrap();
        program.wait().unwrap().code()
    }

    /// Waits for so many further rounds.
    pub fn rounds(&self, number: u64) {
        let calls = || self.simulator.counters().calls("resources");
        let wanted = calls() + number + 1;
        until("further rounds", || calls() >= wanted);
    }

    /// All lines of names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(self.path("hosts")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            lines.extend(text.lines().map(str::to_owned));
        }
        lines.sort();
        lines
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut program) = self.program.take() {
            let _ = kill(Pid::from_raw(program.id().cast_signed()), Signal::SIGTERM);
            let _ = program.wait();
        } else if let Ok(pid) = fs::read_to_string(self.path("pid")).unwrap_or_default().trim().parse() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A test in a network namespace of its own.
pub fn in_lab(test: impl FnOnce() + Send + 'static) {
    if needs::can("dnsmasq", "dnsmasq --version") {
        crate::netns::in_new_netns(test);
    }
}
