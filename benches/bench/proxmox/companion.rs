//! The program, started as PVE-Leazzard is.

use super::simulator::{SECRET, Simulator, TOKEN};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;
use nix::unistd::Pid;
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Where it shows itself.
const LISTEN: &str = "127.0.0.1:9469";

/// It runs, and dnsmasq with it. Both end with this.
pub(super) struct Companion {
    child: Child,
    cpu: ClockId,
    began: Instant,
    folder: PathBuf,
}

impl Drop for Companion {
    fn drop(&mut self) {
        // With dnsmasq, which would stay after a SIGKILL.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
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
        let log = File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let began = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let cpu = ClockId::pid_cpu_clock_id(Pid::from_raw(child.id().cast_signed()))?;
        Ok(Self { child, cpu, began, folder: folder.to_owned() })
    }

    /// Since it was started.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// CPU time of all its threads so far, user and system; without dnsmasq.
    pub(super) fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        Ok(TimeSpec::into(self.cpu.now()?))
    }

    /// Its largest resident set so far, MiB.
    pub(super) fn peak(&self) -> Result<f64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.ok_or("no VmHWM")?.parse::<f64>()? / 1024.0)
    }

    /// How often dnsmasq was started so far, and how often it was sent a SIGHUP.
    pub(super) fn dnsmasq(&self) -> Result<(usize, usize), Box<dyn Error>> {
        let log = fs::read_to_string(self.folder.join("log"))?;
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

    /// Waits until something holds.
    pub(super) fn until(&mut self, what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.folder.join("log"))?;
                return Err(format!("the program ended: {status}: {}", log.trim_end()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("waited in vain for {what}").into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}
