//! A host with a bridge, guests on it, a cluster's API, and the program with a dnsmasq of its own; in a network namespace.

use crate::dns::Dns;
use crate::guest::Guest;
use crate::netns::{needs, run};
use crate::proxmox::{Cluster, SECRET, Simulator, TOKEN};
use crate::wait::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

/// The host's address on its bridge.
pub const HOST: &str = "10.0.0.2";
/// Where the program can be asked how it is.
pub const LISTEN: &str = "127.0.0.1:9109";
/// All that the program is told: PVE-Leazzard's variables.
const VARIABLES: [(&str, &str); 9] = [
    ("API_TOKEN_ID", TOKEN),
    ("API_TOKEN_SECRET", SECRET),
    ("NETWORK_CIDR", "10.0.0.0/23"),
    ("DHCP_RANGE", "10.0.1.1,10.0.1.254,255.255.254.0,12h"),
    ("DHCP_OPTION", "option:router,10.0.0.1"),
    ("DNS_DOMAIN", "lab"),
    ("SYNC_INTERVAL", "300"),
    ("ARP_CHECK_INTERVAL", "30"),
    ("LOG_LEVEL", "INFO"),
];

pub struct Lab {
    pub simulator: Simulator,
    folder: tempfile::TempDir,
    running: Option<Child>,
    /// The program's variables.
    pub variables: BTreeMap<&'static str, String>,
    /// Its flags.
    pub flags: Vec<String>,
    /// Where it is.
    pub program: PathBuf,
    /// What it is run with: flags of `setpriv`.
    pub privileges: Vec<String>,
}

#[allow(clippy::unused_self, reason = "a second lab would be another host")]
impl Lab {
    pub fn new(cluster: Cluster) -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "vmbr0", "type", "bridge"]);
        run("ip", &["addr", "add", &format!("{HOST}/23"), "dev", "vmbr0"]);
        run("ip", &["link", "set", "vmbr0", "up"]);
        let folder = tempfile::tempdir().unwrap();
        // Where anybody may look, as dnsmasq has to.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let simulator = Simulator::with(cluster, 1);
        let mut variables: BTreeMap<_, _> = VARIABLES.map(|(name, value)| (name, value.to_owned())).into();
        let here = folder.path().display().to_string();
        variables.extend([
            ("PROXMOX_HOST", simulator.url()),
            ("INSTANCES_PROXMOX_CA_FILE", simulator.ca_file().display().to_string()),
            // As systemd says it: the paths are the program's own.
            ("STATE_DIRECTORY", here.clone()),
            ("RUNTIME_DIRECTORY", here),
            ("INSTANCES_PROXMOX_POLL_INTERVAL", "1".to_owned()),
            ("INSTANCES_PROXMOX_LISTEN", LISTEN.to_owned()),
        ]);
        let program = env!("CARGO_BIN_EXE_instances-proxmox").into();
        Self { simulator, folder, running: None, variables, flags: Vec::new(), program, privileges: Vec::new() }
    }

    /// The program will run beside a dnsmasq that is there.
    pub fn beside(mut self) -> Self {
        self.variables.insert("INSTANCES_PROXMOX_DNSMASQ", "companion".to_owned());
        for (name, file) in
            [("INSTANCES_PROXMOX_PID_FILE", "dnsmasq.pid"), ("INSTANCES_PROXMOX_LEASES", "dnsmasq.leases")]
        {
            self.variables.insert(name, self.path(file).display().to_string());
        }
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files that are there, without the log.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "log").collect()
    }

    /// A guest of the cluster's on the bridge: its interface is up and has no address.
    pub fn plug(&self, vmid: u32) -> Guest {
        let tap = format!("tap{vmid}i0");
        let guest = Guest::behind(&tap, &Cluster::mac(vmid));
        run("ip", &["link", "set", &tap, "master", "vmbr0"]);
        guest.up();
        guest
    }

    /// The program, with these flags besides.
    pub fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(&self.privileges).arg(&self.program).args(&self.flags).args(flags);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(&self.variables).stdin(Stdio::null());
        command
    }

    /// Runs it until it ends by itself.
    pub fn output(&self, flags: &[&str]) -> Output {
        self.command(flags).output().unwrap()
    }

    /// Starts it. Its log is in a file, with dnsmasq's.
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command(&[]);
        command.stdout(Stdio::null()).stderr(log);
        self.running = Some(command.spawn().unwrap());
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
            let has_ended = self.running.as_mut().is_none_or(|program| program.try_wait().unwrap().is_some());
            assert!(!has_ended && start.elapsed() < PATIENCE, "{}", self.answers("/healthz"));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// What it says over HTTP, with its header; nothing: nobody answers.
    pub fn answers(&self, path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = std::net::TcpStream::connect(LISTEN) else { return String::new() };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut said = String::new();
        let _ =
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {LISTEN}\r\nConnection: close\r\n\r\n").as_bytes());
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

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.running.as_ref().unwrap().id().cast_signed())
    }

    /// dnsmasq as its file says, if it runs.
    pub fn dnsmasq(&self) -> Option<Pid> {
        let pid = Pid::from_raw(fs::read_to_string(self.path("dnsmasq.pid")).ok()?.trim().parse().ok()?);
        // Whose end nobody has asked for is still there (Z), but has ended.
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (!status.contains(") Z ")).then_some(pid)
    }

    /// SIGKILL: dnsmasq stays.
    pub fn kill(&mut self) {
        let mut program = self.running.take().unwrap();
        program.kill().unwrap();
        program.wait().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// SIGTERM: both end, in time. How it ended.
    #[track_caller]
    pub fn terminate(&mut self) -> Option<i32> {
        let begun = Instant::now();
        self.signal(Signal::SIGTERM);
        let code = self.running.take().unwrap().wait().unwrap().code();
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
        code
    }

    /// Waits for so many further rounds.
    pub fn rounds(&self, number: u64) {
        let calls = || self.simulator.counters().calls("resources");
        let wanted = calls() + number + 1;
        until("further rounds", || calls() >= wanted);
    }

    /// What dnsmasq calls who has this lease; `*`: nothing. When it has just given it, that is by a reservation, for what clients say is
    /// ignored; as soon as we give it a name, it is that one, too.
    pub fn leased_to(&self, address: &str) -> Option<String> {
        let leases = fs::read_to_string(self.path("dnsmasq.leases")).unwrap_or_default();
        let line = leases.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|words| words[2] == address)?;
        Some(line[3].to_owned())
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

    /// Waits until so many lines of names are there.
    #[track_caller]
    pub fn has_names(&self, number: usize) {
        until(&format!("{number} names"), || self.names().len() == number);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut program) = self.running.take() {
            let _ = kill(Pid::from_raw(program.id().cast_signed()), Signal::SIGTERM);
            let _ = program.wait();
        }
        // Killed, it has left its own.
        if let Some(pid) = self.dnsmasq() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

/// A test in a network namespace of its own.
pub fn in_lab(test: impl FnOnce() + Send + 'static) {
    if needs::can("dnsmasq", "dnsmasq --version") {
        crate::netns::in_new_netns(test);
    }
}
