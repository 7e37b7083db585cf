//! A running `instances-nfdhcpd`, and guests behind taps, each in a network namespace of its own.
#![allow(dead_code, reason = "each test crate uses its part")]

#[path = "guest.rs"]
mod guest;

use crate::netns::run;
pub use crate::netns::wait::{PATIENCE, until};
pub use guest::Guest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with configuration and bindings.
pub struct Host {
    folder: TempDir,
}

pub const GENERAL: &str = "[dhcp]\nserver_ip = 192.0.2.1\nnameservers = 192.0.2.2, 192.0.2.3\ndomain = example.com\n\
                           [ipv6]\nra_period = 3600\nnameservers = 2001:db8:100::1\n";

impl Host {
    pub fn new() -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        // It becomes nobody.
        fs::set_permissions(host.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(host.path("bindings")).unwrap();
        host.configure("", GENERAL);
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn configure(&self, general: &str, rest: &str) {
        let [pidfile, datapath] = ["pid", "bindings"].map(|name| self.path(name).display().to_string());
        let text = format!("[general]\npidfile = {pidfile}\ndatapath = {datapath}\nuser = nobody\n{general}{rest}");
        fs::write(self.path("conf"), text).unwrap();
    }

    /// The n-th guest's binding, as gnt-networking writes it.
    pub fn bind(&self, tap: &str, indev: &str, number: u8) {
        let text = format!(
            "\nINDEV={indev}\nIP=192.0.2.{number}\nMAC={}\nHOSTNAME=vm{number}\nTAGS=\"\"\nGATEWAY=192.0.2.1\n\
             SUBNET=192.0.2.0/24\nGATEWAY6=2001:db8:1::1\nSUBNET6=2001:db8:1::/64\nEUI64=2001:db8:1::ff:fe00:{number:x}\n",
            mac(number)
        );
        fs::write(self.path("bindings").join(tap), text).unwrap();
    }

    pub fn unbind(&self, tap: &str) {
        fs::remove_file(self.path("bindings").join(tap)).unwrap();
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instances-nfdhcpd"));
        command.env_clear().arg("-c").arg(self.path("conf"));
        command
    }

    /// Has it put in its rules, in the way that it chooses or that is given.
    pub fn install_rules(&self, way: Option<&str>) {
        let by = way.map(|way| ["--rules-by", way]);
        let ended = self.command().arg("--install-rules").args(by.iter().flatten()).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    /// Starts it, saying what it does with each packet, and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Responder {
        self.start_with(&["-d"])
    }

    /// The same with these arguments.
    #[track_caller]
    pub fn start_with(&self, arguments: &[&str]) -> Responder {
        let socket = self.path("notify");
        let _ = fs::remove_file(&socket);
        let supervisor = UnixDatagram::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = self.path("log");
        let mut command = self.command();
        command.arg("-f").args(arguments).env("NOTIFY_SOCKET", &socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let responder = Responder { child: command.spawn().unwrap(), log, supervisor };
        responder.told("READY=1");
        responder
    }
}

/// The n-th guest's MAC.
pub fn mac(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

/// It is killed in the end.
pub struct Responder {
    child: Child,
    log: PathBuf,
    supervisor: UnixDatagram,
}

impl Responder {
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it says something.
    #[track_caller]
    pub fn says(&self, wanted: &str) {
        let start = Instant::now();
        while !self.said().contains(wanted) {
            assert!(start.elapsed() < PATIENCE, "never said {wanted}, but {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has a binding that says so.
    #[track_caller]
    pub fn knows(&self, text: &str) {
        until(text, || {
            self.signal(Signal::SIGUSR1);
            std::thread::sleep(Duration::from_millis(20));
            self.said().rsplit("clients:").next().is_some_and(|clients| clients.contains(text))
        });
    }

    /// Waits until systemd is told something.
    #[track_caller]
    pub fn told(&self, wanted: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = match self.supervisor.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("never told {wanted}: {error}; said: {}", self.said()),
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(start.elapsed() < PATIENCE, "it does not end: {}", self.said()),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            eprintln!("{}", said.get(said.len().saturating_sub(4000)..).unwrap_or(&said));
        }
    }
}

/// What Prometheus is told at this address.
pub fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Queues for what taps send, each with further matches.
pub fn queue_packets(program: &str, matches: &[&str]) {
    let all: &[(&[&str], &str)] = if program == "iptables" {
        &[(&["-p", "udp", "-m", "udp", "--dport", "67"], "42")]
    } else {
        &[
            (&["-p", "ipv6-icmp", "-m", "icmp6", "--icmpv6-type", "133"], "43"),
            (&["-p", "ipv6-icmp", "-m", "icmp6", "--icmpv6-type", "135"], "44"),
            (&["-p", "udp", "-m", "udp", "--dport", "547"], "45"),
        ]
    };
    for (what, queue) in all {
        let begin = ["-w", "-t", "mangle", "-A", "PREROUTING"];
        let rule = [&begin, matches, *what, &["-j", "NFQUEUE", "--queue-num", queue]].concat();
        run(program, &rule);
    }
}

/// The rules for routed taps, as the original's manual has them.
pub fn routed() {
    queue_packets("iptables", &["-i", "tap+"]);
    queue_packets("ip6tables", &["-i", "tap+"]);
}

/// The rules for bridged ones.
pub fn bridged() {
    for family in ["", "6"] {
        fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-ip{family}tables"), "1").unwrap();
    }
    queue_packets("iptables", &["-m", "physdev", "--physdev-in", "tap+"]);
    queue_packets("ip6tables", &["-m", "physdev", "--physdev-in", "tap+"]);
}
