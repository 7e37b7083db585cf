//! An inspection network: a bridge with a real dnsmasq, which says what to boot, and machines that ask it as their firmware
//! would.
#![allow(dead_code, reason = "each test crate uses its part")]

#[path = "guest.rs"]
mod guest;

use crate::netns::wait::until;
use crate::netns::{install, run};
use guest::Guest;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What dnsmasq has machines boot.
pub const BOOT_FILE: &str = "inspector.ipxe";

/// Tells what a machine was told. It configures nothing: a machine that boots has no more than its network card.
const TOLD: &str = "#!/bin/sh\n[ \"$1\" != bound ] || echo \"told $ip $boot_file\"\n";

/// A bridge with dnsmasq's files, in this thread's network namespace.
pub struct Network {
    folder: PathBuf,
}

impl Network {
    /// In a folder that everybody may enter, as dnsmasq does once it is nobody.
    pub fn new(folder: &Path) -> Self {
        let network = Self { folder: folder.to_owned() };
        for path in [folder.to_owned(), network.hostsdir()] {
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        install(&network.path("told"), TOLD);
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "br0", "type", "bridge"]);
        run("ip", &["link", "set", "br0", "up"]);
        run("ip", &["address", "add", "10.77.0.1/16", "dev", "br0"]);
        network.configure("");
        network
    }

    /// What dnsmasq reads when it starts, with these further lines.
    pub fn configure(&self, further: &str) {
        let [hostsdir, pid_file, leases] =
            [self.hostsdir(), self.pid_file(), self.path("leases")].map(|path| path.display().to_string());
        let text = format!(
            "port=0\ninterface=br0\nexcept-interface=lo\nbind-interfaces\nno-ping\nuser=nobody\n\
             dhcp-range=10.77.1.1,10.77.254.254,255.255.0.0,1h\ndhcp-boot={BOOT_FILE}\n\
             dhcp-hostsdir={hostsdir}\npid-file={pid_file}\ndhcp-leasefile={leases}\n{further}"
        );
        fs::write(self.config(), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("dnsmasq.conf")
    }

    pub fn hostsdir(&self) -> PathBuf {
        self.path("dhcp-hostsdir")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.path("dnsmasq.pid")
    }

    /// Starts dnsmasq and waits until it listens.
    #[track_caller]
    pub fn start_dnsmasq(&self) -> Dnsmasq {
        let log = self.path("dnsmasq.log");
        let mut command = Command::new("dnsmasq");
        command.arg("--keep-in-foreground").arg(format!("--conf-file={}", self.config().display()));
        command.arg("--log-facility=-").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let dnsmasq = Dnsmasq { child: command.spawn().unwrap(), log };
        until("dnsmasq's socket", listens);
        dnsmasq
    }

    /// A machine in this network, whose card has this MAC.
    pub fn machine(&self, mac: &str) -> Machine {
        let tap = format!("m{}", mac.replace(':', ""));
        let guest = Guest::behind(&tap, mac);
        run("ip", &["link", "set", &tap, "master", "br0"]);
        guest.up();
        Machine { guest, told: self.path("told").display().to_string() }
    }
}

/// Whether a DHCP server listens in this network namespace.
pub fn listens() -> bool {
    fs::read_to_string("/proc/thread-self/net/udp").is_ok_and(|sockets| sockets.contains(":0043 "))
}

/// It is killed in the end.
pub struct Dnsmasq {
    child: Child,
    log: PathBuf,
}

impl Dnsmasq {
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A machine that can be switched on.
pub struct Machine {
    guest: Guest,
    told: String,
}

/// What a machine was told.
#[derive(Debug, PartialEq, Eq)]
pub struct Boot {
    pub address: String,
    /// Its name, of the boot file.
    pub file: String,
}

impl Machine {
    /// Switches it on: it asks three times, a second apart, as udhcpc does.
    pub fn boots(&self) -> Option<Boot> {
        let ended =
            self.guest.try_run("udhcpc", &["-n", "-q", "-f", "-t", "3", "-T", "1", "-i", "eth0", "-s", &self.told]);
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        let mut words = said.lines().find_map(|line| line.strip_prefix("told "))?.split(' ').map(str::to_owned);
        Some(Boot { address: words.next()?, file: words.next()? })
    }

    /// Waits until it boots what dnsmasq offers.
    #[track_caller]
    pub fn comes_up(&self) -> Boot {
        let mut boot = None;
        until("it boots", || {
            boot = self.boots();
            boot.is_some()
        });
        boot.unwrap()
    }

    /// Waits until nobody answers it any more.
    #[track_caller]
    pub fn meets_silence(&self) {
        until("silence", || self.boots().is_none());
    }
}
