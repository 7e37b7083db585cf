//! The program, started as PVE-Leazzard is.

use super::simulator::{SECRET, Simulator, TOKEN};
use crate::lane::stay_on;
use crate::process::Process;
use nix::sys::signal::Signal;
use rustix::process::Pid;
use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Where it runs, and its dnsmasq, and nothing else: in life the API is on other hosts, and does not turn our caches over.
const CORE: usize = 0;
/// Where it shows itself.
const LISTEN: &str = "127.0.0.1:9469";

/// It runs, and dnsmasq with it.
pub(super) struct Companion {
    pub(super) process: Process,
}

impl Companion {
    /// Starts it for this cluster, in a network `10.0.0.0/prefix`.
    pub(super) fn start(cluster: &Simulator, prefix: u8, folder: &Path) -> Result<Self, Box<dyn Error>> {
        // dnsmasq is nobody, and has to read what is below.
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(env!("CARGO_TARGET_TMPDIR"))) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        let mask = Ipv4Addr::from(u32::MAX << (32 - u32::from(prefix)));
        let last = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) | !u32::from(mask));
        let [a, b, c, _] = last.octets();
        let range = format!("{a}.{b}.{c}.1,{a}.{b}.{c}.250,{mask},12h");
        let mut command = Command::new(env!("CARGO_BIN_EXE_instances-proxmox"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(["--listen", LISTEN]);
        for (name, value) in [
            ("PROXMOX_HOST", cluster.url().as_str()),
            ("API_TOKEN_ID", TOKEN),
            ("API_TOKEN_SECRET", SECRET),
            ("NETWORK_CIDR", &format!("10.0.0.0/{prefix}")),
            ("DHCP_RANGE", &range),
            ("DHCP_OPTION", "option:router,10.0.0.1"),
            ("DNS_DOMAIN", "lab"),
            ("LOG_LEVEL", "INFO"),
        ] {
            command.env(name, value);
        }
        command.arg("--ca-file").arg(cluster.ca_file());
        command.env("STATE_DIRECTORY", folder.join("state")).env("RUNTIME_DIRECTORY", folder.join("run"));
        // dnsmasq would stay after a SIGKILL.
        let process = Process::start(&mut command, &folder.join("log"), Signal::SIGTERM)?;
        stay_on(Pid::from_raw(process.id().cast_signed()), CORE);
        Ok(Self { process })
    }

    /// How often dnsmasq was started so far, and how often it was sent a SIGHUP.
    pub(super) fn dnsmasq(&self) -> Result<(usize, usize), Box<dyn Error>> {
        let log = self.process.said()?;
        Ok((log.matches("dnsmasq runs as process").count(), log.matches("dnsmasq reads the reservations anew").count()))
    }

    /// What Prometheus reads, octets.
    pub(super) fn scrape() -> Result<usize, Box<dyn Error>> {
        let mut stream = TcpStream::connect(LISTEN.parse::<SocketAddr>()?)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if answer.starts_with(b"HTTP/1.1 200 ") { Ok(answer.len()) } else { Err("no metrics".into()) }
    }
}
