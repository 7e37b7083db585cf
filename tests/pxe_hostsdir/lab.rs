//! dnsmasq at one end of a cable, those who ask at the other.

use crate::frames::{BROADCAST, Wire};
use crate::netns::wait::{PATIENCE, until};
use crate::netns::{install, run};
use instances::error::Error;
use instances::net::Mac;
use instances::plan::pxe_access::changes::Changes;
use instances::plan::pxe_access::{Access, Removed, Semantics, Settings, Table, Who};
use instances::sink::dhcp_hostsdir::{Contents, FileNames, HostsDir};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// One that is always allowed: by its answer one knows that those before it have none.
pub const WITNESS: u32 = 0x00ff_ffff;
/// One that nobody writes about.
pub const STRANGER: u32 = 0x00ff_fffe;

pub struct Lab {
    folder: TempDir,
    /// The program.
    pub program: PathBuf,
    dnsmasq: Option<Child>,
    wire: Wire,
    asked: u32,
}

pub fn mac(number: u32) -> Mac {
    let [_, a, b, c] = number.to_be_bytes();
    Mac([0x52, 0x54, 0, a, b, c])
}

pub fn answer(number: u32, access: Access) -> (Who, Access) {
    (Who::Mac(mac(number)), access)
}

pub fn all(numbers: std::ops::Range<u32>, access: Access) -> Vec<(Who, Access)> {
    numbers.map(|number| answer(number, access)).collect()
}

/// Whoever keeps a folder in step.
pub struct Filter {
    pub dir: HostsDir,
    runtime: Runtime,
}

impl Filter {
    pub fn of(hostsdir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = runtime.block_on(async { HostsDir::open(hostsdir, FileNames::Colons).unwrap() });
        Self { dir, runtime }
    }

    pub fn write(&mut self, writes: &[(Who, Access)]) -> Result<(), Error> {
        self.runtime.block_on(self.dir.write(writes))
    }

    /// Has the folder say this and nothing else; who is not in it is denied.
    pub fn bring_in_step(&mut self, wanted: &[(Who, Access)]) {
        let Contents { found, .. } = self.dir.look().unwrap();
        let mut table = Table { macs: BTreeMap::new(), unknown: Access::Deny, disputed: Vec::new() };
        for (who, access) in wanted {
            match who {
                Who::Mac(mac) => {
                    table.macs.insert(*mac, *access);
                }
                Who::Unknown => table.unknown = *access,
            }
        }
        let settings = Settings {
            semantics: Semantics::Inspector,
            supported_inspect_interfaces: Vec::new(),
            deny_unknown_macs: true,
            discovers: false,
            deny_pxe_disabled: false,
            removed: Removed::Denied,
        };
        let changes = Changes::new(&table, &found, &settings, |_| true);
        self.write(&changes.writes).unwrap();
    }
}

impl Lab {
    pub fn new() -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "server", "type", "veth", "peer", "name", "client"]);
        run("ip", &["addr", "add", "10.0.0.1/8", "dev", "server"]);
        run("ip", &["link", "set", "server", "up"]);
        run("ip", &["link", "set", "client", "up"]);
        let folder = tempfile::tempdir().unwrap();
        // dnsmasq has given up being root by the time that it reads.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("hosts")).unwrap();
        fs::set_permissions(folder.path().join("hosts"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, program: "dnsmasq".into(), dnsmasq: None, wire: Wire::open("client"), asked: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn hostsdir(&self) -> PathBuf {
        self.path("hosts")
    }

    pub fn filter(&self) -> Filter {
        Filter::of(&self.hostsdir())
    }

    /// Starts dnsmasq, which answers nobody of whom the folder says nothing.
    pub fn start(&mut self) {
        self.start_with(&["--dhcp-ignore=tag:!known"]);
    }

    pub fn start_with(&mut self, further: &[&str]) {
        let file = |option: &str, name: &str| format!("--{option}={}", self.path(name).display());
        fs::write(self.path("leases"), "").unwrap();
        fs::set_permissions(self.path("leases"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(self.path("conf"), "").unwrap();
        let _ = fs::remove_file(self.path("pid"));
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = Command::new(&self.program);
        command
            .args(["--keep-in-foreground", "--log-facility=-", "--quiet-dhcp", "--port=0", "--no-ping"])
            .args(["--bind-interfaces", "--interface=server", "--dhcp-boot=pxelinux.0", "--dhcp-lease-max=100000"])
            .args([file("conf-file", "conf"), file("dhcp-leasefile", "leases"), file("pid-file", "pid")])
            .args([file("dhcp-hostsdir", "hosts")])
            .args(further)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stderr(log);
        if !further.iter().any(|option| option.starts_with("--dhcp-range")) {
            command.arg("--dhcp-range=10.1.0.0,10.255.255.250,1h");
        }
        self.dnsmasq = Some(command.spawn().unwrap());
        let pid = self.path("pid");
        until("dnsmasq has started", || fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')));
    }

    pub fn restart(&mut self) {
        self.kill();
        self.start();
    }

    pub fn kill(&mut self) {
        if let Some(mut dnsmasq) = self.dnsmasq.take() {
            dnsmasq.kill().unwrap();
            dnsmasq.wait().unwrap();
        }
    }

    pub fn pid_file(&self) -> PathBuf {
        self.path("pid")
    }

    /// Who of these is offered an address. [`WITNESS`] must be allowed.
    pub fn who_is_answered(&mut self, numbers: &[u32]) -> Vec<u32> {
        let mut answered = Vec::new();
        // As many as dnsmasq's socket holds.
        for some in numbers.chunks(64) {
            let before = self.asked;
            for number in some.iter().chain([&WITNESS]) {
                self.asked += 1;
                self.wire.send(&discover(mac(*number), self.asked));
            }
            loop {
                let frame =
                    self.wire.receive(PATIENCE.as_millis().try_into().unwrap()).expect("the witness is answered");
                match offer(&frame).and_then(|transaction| transaction.checked_sub(before + 1)) {
                    Some(index) if index as usize == some.len() => break,
                    // Others may ask, too.
                    index => answered.extend(index.and_then(|index| some.get(index as usize))),
                }
            }
        }
        answered
    }

    /// Waits until everybody is answered as said here.
    #[track_caller]
    pub fn answers(&mut self, wanted: &[(Who, Access)]) {
        let wanted: Vec<(u32, Access)> = wanted
            .iter()
            .filter_map(|(who, access)| match who {
                Who::Mac(Mac([.., a, b, c])) => Some((u32::from_be_bytes([0, *a, *b, *c]), *access)),
                Who::Unknown => None,
            })
            .collect();
        let numbers: Vec<_> = wanted.iter().map(|(number, _)| *number).collect();
        let start = Instant::now();
        loop {
            let answered = self.who_is_answered(&numbers);
            let wrong: Vec<_> = wanted
                .iter()
                .filter(|(number, access)| answered.contains(number) != (*access == Access::Allow))
                .collect();
            if wrong.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not answered so: {wrong:?}");
        }
    }

    /// What a real client gets: its environment when it has a lease.
    pub fn lease(&self, number: u32) -> Option<String> {
        let (script, told) = (self.path("script"), self.path("told"));
        let _ = fs::remove_file(&told);
        install(&script, format!("#!/bin/sh\n[ $1 != bound ] || env >{}\n", told.display()));
        run("ip", &["link", "set", "client", "address", &mac(number).to_string()]);
        let status = Command::new("udhcpc")
            .args(["-i", "client", "-n", "-q", "-f", "-t", "3", "-T", "1", "-O", "bootfile", "-s"])
            .arg(&script)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert_eq!(status.unwrap().success(), told.exists());
        fs::read_to_string(told).ok()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            eprintln!("{}", log.lines().filter(|line| !line.contains(" read ")).collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Asks for an answer all the time, and says how long the longest took, until it is told to end.
pub fn longest_wait(end: &AtomicBool) -> Duration {
    let wire = Wire::open("client");
    let mut longest = Duration::ZERO;
    // None of theirs.
    for transaction in 0x8000_0000.. {
        if end.load(Ordering::Relaxed) {
            break;
        }
        let asked = Instant::now();
        wire.send(&discover(mac(WITNESS), transaction));
        while offer(&wire.receive(PATIENCE.as_millis().try_into().unwrap()).expect("an answer")) != Some(transaction) {}
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

/// A DHCPDISCOVER as firmware broadcasts it (RFC 2131), in UDP, IPv4 and Ethernet.
fn discover(mac: Mac, transaction: u32) -> Vec<u8> {
    let Mac(mac) = mac;
    let mut bootp =
        [&[1, 1, 6, 0][..], &transaction.to_be_bytes(), &[0, 0, 0x80, 0], &[0; 16], &mac, &[0; 202]].concat();
    bootp.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 60, 9]);
    bootp.extend(b"PXEClient");
    bootp.extend([55, 3, 1, 66, 67, 255]);
    bootp.resize(300, 0);
    let length = |more: usize| u16::try_from(bootp.len() + more).unwrap().to_be_bytes();
    let mut ip = [&[0x45, 0][..], &length(28), &[0, 0, 0, 0, 64, 17, 0, 0], &[0; 4], &[255; 4]].concat();
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    [&BROADCAST[..], &mac, &[8, 0], &ip, &[0, 68, 0, 67], &length(8), &[0, 0], &bootp].concat()
}

/// The transaction that a frame offers an address in.
fn offer(frame: &[u8]) -> Option<u32> {
    let is_from_a_server = frame.get(34..38)? == [0, 67, 0, 68] && *frame.get(42)? == 2;
    is_from_a_server.then(|| u32::from_be_bytes(frame[46..50].try_into().unwrap()))
}

/// The files in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
