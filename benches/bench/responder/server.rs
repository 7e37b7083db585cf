//! The servers that are compared, each told the same: who is to get which address.

use super::site::{SERVER, Site, Way, address, tap};
use crate::process::Process;
use crate::registry::mac;
use nix::sys::signal::Signal;
use serde_json::json;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Ours,
    Kea,
    Dnsmasq,
}

impl Kind {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Ours => "instances-nfdhcpd",
            Self::Kea => "Kea",
            Self::Dnsmasq => "dnsmasq",
        }
    }
}

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Served {
    /// So many guests that are known by MAC, or here by tap.
    Bindings(usize),
    /// Whoever asks by a relay: from a pool, or here all by one binding with MACSPOOF.
    Anybody,
}

/// A server that runs.
pub(super) struct Server {
    pub(super) process: Process,
    /// From before it was started until it said that it is ready, if it says so.
    pub(super) load: Option<Duration>,
}

impl Server {
    fn spawn(command: &mut Command, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let process = Process::start(command, &folder.join("said"), Signal::SIGKILL)?;
        Ok(Self { process, load: None })
    }
}

/// Starts a server on the host of `site`, with files in `folder`. Others than ours may not be ready yet.
pub(super) fn start(kind: Kind, site: &Site, served: Served, folder: &Path) -> Result<Server, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    site.on_host(|| match kind {
        Kind::Ours => {
            let conf = write_bindings(folder, served, site.way, "")?;
            install_rules(&conf)?;
            ours(&conf, folder)
        }
        Kind::Kea => kea(site, served, folder),
        Kind::Dnsmasq => dnsmasq(site, served, folder),
    })?
}

/// Configuration, and bindings as gnt-networking writes them. No limit by tap: no guest asks as often as these do.
pub(super) fn write_bindings(folder: &Path, served: Served, way: Way, ipv6: &str) -> Result<PathBuf, Box<dyn Error>> {
    let bindings = folder.join("bindings");
    fs::create_dir(&bindings)?;
    let (count, spoof) = match served {
        Served::Bindings(count) => (count, ""),
        Served::Anybody => (1, "MACSPOOF=yes\n"),
    };
    for index in 0..count {
        let name = tap(index);
        let indev = if way == Way::Bridged { "br0" } else { &name };
        let (ip, mac) = (address(index), mac(index));
        let text = format!(
            "\nINDEV={indev}\nIP={ip}\nMAC={mac}\nHOSTNAME=vm{index}.example.com\nTAGS=\"\"\nGATEWAY={SERVER}\n\
             SUBNET=10.0.0.0/8\nGATEWAY6=2001:db8:1::1\nSUBNET6=2001:db8:1::/64\nEUI64=2001:db8:1::{index:x}\n{spoof}"
        );
        fs::write(bindings.join(name), text)?;
    }
    let conf = folder.join("conf");
    let [pidfile, datapath] = [&folder.join("pid"), &bindings].map(|path| path.display().to_string());
    let text = format!(
        "[general]\npidfile = {pidfile}\ndatapath = {datapath}\nuser = root\nrate_limit = 0\n[dhcp]\nserver_ip = {SERVER}\n\
         nameservers = 10.0.0.53, 10.0.1.53\ndomain = example.com\n[ipv6]\nnameservers = 2001:db8::53\n{ipv6}"
    );
    fs::write(&conf, text)?;
    Ok(conf)
}

fn program(conf: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_instances-nfdhcpd"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-c").arg(conf);
    command
}

fn install_rules(conf: &Path) -> Result<(), Box<dyn Error>> {
    let output = program(conf).arg("--install-rules").output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("--install-rules: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Starts it, and waits until it is ready.
pub(super) fn ours(conf: &Path, folder: &Path) -> Result<Server, Box<dyn Error>> {
    let notify = folder.join("notify");
    let _ = fs::remove_file(&notify);
    let supervisor = UnixDatagram::bind(&notify)?;
    supervisor.set_read_timeout(Some(PATIENCE))?;
    let start = Instant::now();
    let mut server = Server::spawn(program(conf).arg("-f").env("NOTIFY_SOCKET", &notify), folder)?;
    let mut buffer = [0; 4096];
    while start.elapsed() < PATIENCE {
        supervisor.set_read_timeout(Some(Duration::from_millis(200)))?;
        let length = supervisor.recv(&mut buffer).unwrap_or_default();
        if String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).contains("READY=1") {
            server.load = Some(start.elapsed());
            return Ok(server);
        }
        server.process.failed()?;
    }
    Err("it is not ready".into())
}

/// Reservations by MAC, and its lease file as by default; without what costs it time and is not needed: log, clean-up of
/// the lease file, look-ups by other identifiers.
fn kea(site: &Site, served: Served, folder: &Path) -> Result<Server, Box<dyn Error>> {
    let reservation = |index| json!({"hw-address": mac(index).to_string(), "ip-address": address(index), "hostname": format!("vm{index}")});
    let (reservations, pools) = match served {
        Served::Bindings(count) => ((0..count).map(reservation).collect(), Vec::new()),
        Served::Anybody => (Vec::new(), vec![json!({"pool": "10.1.0.0 - 10.1.255.255"})]),
    };
    let options = [
        ("routers", SERVER.to_string()),
        ("domain-name-servers", "10.0.0.53, 10.0.1.53".to_owned()),
        ("domain-name", "example.com".to_owned()),
        ("dhcp-server-identifier", SERVER.to_string()),
    ];
    let config = json!({"Dhcp4": {
        "interfaces-config": {"interfaces": site.interfaces},
        "lease-database": {"type": "memfile", "name": folder.join("leases").display().to_string(), "lfc-interval": 0},
        "host-reservation-identifiers": ["hw-address"],
        "valid-lifetime": 604_800, "renew-timer": 3600,
        "option-data": options.map(|(name, data)| json!({"name": name, "data": data})),
        "subnet4": [{"subnet": "10.0.0.0/8", "pools": pools, "reservations": reservations}],
        "loggers": [{"name": "kea-dhcp4", "severity": "ERROR",
            "output_options": [{"output": folder.join("log").display().to_string()}]}],
    }});
    let path = folder.join("kea.json");
    fs::write(&path, config.to_string())?;
    let mut command = Command::new("kea-dhcp4");
    command.arg("-c").arg(path).env("KEA_PIDFILE_DIR", folder).env("KEA_LOCKFILE_DIR", folder);
    Server::spawn(&mut command, folder)
}

/// Without DNS, log and lease file.
fn dnsmasq(site: &Site, served: Served, folder: &Path) -> Result<Server, Box<dyn Error>> {
    let mut config = "port=0\nuser=root\npid-file=\nlog-facility=/dev/null\nquiet-dhcp\nno-ping\ndhcp-authoritative\n\
                      leasefile-ro\nno-resolv\nno-hosts\ndhcp-option=option:dns-server,10.0.0.53,10.0.1.53\n\
                      domain=example.com\ndhcp-lease-max=65536\n"
        .to_owned();
    for interface in &site.interfaces {
        writeln!(config, "interface={interface}")?;
    }
    writeln!(config, "except-interface=lo\nbind-interfaces")?;
    match served {
        Served::Bindings(count) => {
            writeln!(config, "dhcp-range=10.0.0.0,static,255.0.0.0,7d")?;
            for index in 0..count {
                writeln!(config, "dhcp-host={},{},vm{index}", mac(index), address(index))?;
            }
        }
        Served::Anybody => writeln!(config, "dhcp-range=10.1.0.0,10.1.255.255,255.0.0.0,7d")?,
    }
    let path = folder.join("dnsmasq.conf");
    fs::write(&path, config)?;
    let mut command = Command::new("dnsmasq");
    command.arg("--keep-in-foreground").arg(format!("--conf-file={}", path.display()));
    Server::spawn(&mut command, folder)
}
