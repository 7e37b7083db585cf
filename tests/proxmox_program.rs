//! The program itself, as PVE-Leazzard's image is started: with its variables and nothing else but where to write, against a simulated
//! cluster, with a real dnsmasq.
#![cfg(feature = "proxmox")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/dns.rs"]
mod dns;
#[path = "common/netns.rs"]
mod netns;
#[path = "common/proxmox/mod.rs"]
mod proxmox;

use dns::Dns;
use netns::{in_new_netns, needs, run, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proxmox::{Cluster, SECRET, Simulator, TOKEN};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use wait::{PATIENCE, until};

/// A cluster and a folder for everything, in a network of its own.
struct Lab {
    cluster: Simulator,
    folder: tempfile::TempDir,
    dns: Dns,
}

/// The program, which ends with the test.
struct Running(Child);

impl Lab {
    fn new() -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        // A network for DHCP.
        run("ip", &["link", "add", "vmbr0", "type", "bridge"]);
        run("ip", &["address", "add", "10.0.0.2/23", "dev", "vmbr0"]);
        run("ip", &["link", "set", "vmbr0", "up"]);
        let cluster = Simulator::with(Cluster::populated(4, 2), 1);
        Self { cluster, folder: tempfile::tempdir().unwrap(), dns: Dns(([127, 0, 0, 1], 53).into()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // Where anybody may look, as dnsmasq has to.
        fs::set_permissions(self.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_instances-proxmox"));
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stderr(log);
        for (name, value) in [
            ("PROXMOX_HOST", self.cluster.url().as_str()),
            ("API_TOKEN_ID", TOKEN),
            ("API_TOKEN_SECRET", SECRET),
            ("VERIFY_SSL", "false"),
            ("NETWORK_CIDR", "10.0.0.0/23"),
            ("DHCP_RANGE", "10.0.1.1,10.0.1.254,255.255.254.0,12h"),
            ("DHCP_OPTION", "option:router,10.0.0.1"),
            ("DNS_DOMAIN", "lab"),
            ("SYNC_INTERVAL", "300"),
            ("ARP_CHECK_INTERVAL", "15"),
            ("LOG_LEVEL", "INFO"),
        ] {
            command.env(name, value);
        }
        command.env("STATE_DIRECTORY", self.path("state")).env("RUNTIME_DIRECTORY", self.path("run"));
        command
    }

    fn start(&self) -> Running {
        Running(self.command(&[]).stdout(Stdio::null()).spawn().unwrap())
    }

    /// What it prints, and whether it succeeded.
    fn output(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let output = self.command(arguments).stdout(Stdio::piped()).output().unwrap();
        (output.status, String::from_utf8(output.stdout).unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn dnsmasq(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.path("run/dnsmasq.pid")).ok()?.trim().parse().ok().map(Pid::from_raw)?;
        // Whose end nobody has asked for is still there (Z), but has ended.
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (!status.contains(") Z ")).then_some(pid)
    }
}

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }

    /// Ends it, and says how long that took.
    fn end(&mut self, signal: Signal) -> Duration {
        let begun = Instant::now();
        kill(self.pid(), signal).unwrap();
        until("the program ends", || self.0.try_wait().unwrap().is_some());
        begun.elapsed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(pid) = self.dnsmasq() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

/// Runs a test where there is a dnsmasq.
fn with_lab(test: impl FnOnce(Lab) + Send + 'static) {
    if needs::can("dnsmasq", "test -x /usr/sbin/dnsmasq") {
        in_new_netns(move || test(Lab::new()));
    }
}

#[test]
fn with_the_seeds_variables_alone_it_runs_in_the_foreground_with_a_dnsmasq_of_its_own() {
    with_lab(|lab| {
        let mut program = lab.start();
        lab.dns.becomes("guest-0.lab", &["10.0.0.100"]);
        lab.dns.becomes("guest-3.lab", &["10.0.0.103"]);
        lab.dns.is_called("10.0.0.101", &["guest-1.lab"]);
        let conf = fs::read_to_string(lab.path("run/dnsmasq.conf")).unwrap();
        assert!(conf.contains("dhcp-range=10.0.1.1,10.0.1.254,255.255.254.0,12h\n"), "{conf}");
        let first = lab.dnsmasq().unwrap();
        // Killed, it leaves DNS behind, and the next one goes on with it.
        program.end(Signal::SIGKILL);
        lab.dns.becomes("guest-0.lab", &["10.0.0.100"]);
        lab.cluster.cluster().rename(100, "web");
        let mut program = lab.start();
        lab.dns.becomes("web.lab", &["10.0.0.100"]);
        assert_eq!(lab.dnsmasq(), Some(first), "{}", lab.log());
        // Told to, it ends, and dnsmasq with it.
        let took = program.end(Signal::SIGTERM);
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert!(program.0.wait().unwrap().success(), "{}", lab.log());
        assert_eq!(lab.dnsmasq(), None);
        let state = fs::read_to_string(lab.path("state/state.json")).unwrap();
        assert!(state.contains("web"), "{state}");
    });
}

#[test]
fn the_secret_is_nowhere_to_be_seen() {
    with_lab(|lab| {
        let program = lab.start();
        lab.dns.becomes("guest-0.lab", &["10.0.0.100"]);
        let dnsmasq = lab.dnsmasq().unwrap();
        let of = |pid: Pid, what: &str| {
            String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{what}")).unwrap()).into_owned()
        };
        assert!(of(program.pid(), "environ").contains(SECRET), "the test would find it");
        for seen in [of(program.pid(), "cmdline"), of(dnsmasq, "cmdline"), of(dnsmasq, "environ"), lab.log()] {
            assert!(!seen.contains(SECRET), "{seen}");
        }
        for folder in ["state", "run"] {
            let found = Command::new("grep").args(["-r", "-l", "-F", SECRET]).arg(lab.path(folder)).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&found.stdout), "");
        }
    });
}

#[test]
fn a_rehearsal_changes_nothing_and_once_leaves_the_files() {
    with_lab(|lab| {
        let (status, table) = lab.output(&["--dry-run"]);
        assert!(
            status.success() && table.contains("guest-0.lab") && table.contains("10.0.0.100"),
            "{table}{}",
            lab.log()
        );
        let (status, json) = lab.output(&["--dry-run", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(status.success() && json.to_string().contains("guest-3.lab"), "{json}");
        for arguments in [["--check-config"], ["--print-config"]] {
            let (status, text) = lab.output(&arguments);
            assert!(status.success() && text.contains("10.0.0.0/23"), "{text}{}", lab.log());
        }
        assert!(!lab.path("state").exists() && !lab.path("run").exists());
        let (status, _) = lab.output(&["--once"]);
        assert!(status.success(), "{}", lab.log());
        let mut names = String::new();
        for file in fs::read_dir(lab.path("state/hosts")).unwrap() {
            names.push_str(&fs::read_to_string(file.unwrap().path()).unwrap_or_default());
        }
        assert!((0..4).all(|number| names.contains(&format!("guest-{number}.lab"))), "{names}");
        assert_eq!(lab.dnsmasq(), None);
        let reservations = fs::read_to_string(lab.path("state/reservations")).unwrap();
        assert!(reservations.contains(&format!("{},guest-0", Cluster::mac(100))), "{reservations}");
    });
}

#[test]
fn the_service_manager_hears_when_dnsmasq_answers_and_that_the_program_lives() {
    with_lab(|lab| {
        let socket = UnixDatagram::bind(lab.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = lab.command(&[]);
        command.env("NOTIFY_SOCKET", lab.path("notify")).env("WATCHDOG_USEC", "400000");
        let mut program = Running(command.stdout(Stdio::null()).spawn().unwrap());
        let hear = || {
            let mut text = [0; 4096];
            let length = socket.recv(&mut text).unwrap();
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        while hear() != "READY=1" {}
        assert!(lab.dnsmasq().is_some());
        until("it says what it has", || hear().contains("4 names"));
        for _ in 0..3 {
            while hear() != "WATCHDOG=1" {}
        }
        lab.cluster.cluster().token.1 = "another".to_owned();
        kill(program.pid(), Signal::SIGHUP).unwrap();
        until("it says what is wrong", || hear().contains("token"));
        lab.dns.becomes("guest-0.lab", &["10.0.0.100"]);
        kill(program.pid(), Signal::SIGTERM).unwrap();
        while hear() != "STOPPING=1" {}
        until("the program ends", || program.0.try_wait().unwrap().is_some());
    });
}

#[test]
fn a_dnsmasq_that_is_there_needs_the_two_lines_that_the_check_prints() {
    with_lab(|lab| {
        let companion = |arguments: &[&str]| {
            let mut command = lab.command(arguments);
            let pid_file = lab.path("dnsmasq.pid");
            command.env("INSTANCES_PROXMOX_DNSMASQ", "companion").env("INSTANCES_PROXMOX_PID_FILE", pid_file);
            command.env_remove("DHCP_RANGE");
            command
        };
        let check = || {
            let output = companion(&["--check-config"]).stdout(Stdio::piped()).output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        };
        let (is_right, text) = check();
        let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(!is_right && lines.len() == 2, "without dnsmasq: {text}");
        let mut program = Running(companion(&[]).stdout(Stdio::null()).spawn().unwrap());
        until("there are names", || lab.path("state/reservations").exists());
        let start = |lines: &str| {
            let range = "port=53\nno-resolv\nno-hosts\nuser=root\ndhcp-range=10.0.1.1,10.0.1.254,1h";
            let places = format!("pid-file={0}/dnsmasq.pid\ndhcp-leasefile={0}/leases", lab.folder.path().display());
            fs::write(lab.path("conf"), format!("{range}\n{places}\n{lines}\n")).unwrap();
            let conf = format!("--conf-file={}", lab.path("conf").display());
            let log = fs::File::create(lab.path("log-of-dnsmasq")).unwrap();
            let child =
                Command::new("dnsmasq").args(["--keep-in-foreground", "--log-facility=-", &conf]).stderr(log).spawn();
            let running = Running(child.unwrap());
            let is_its = |text: String| text.trim() == running.0.id().to_string();
            until("dnsmasq runs", || fs::read_to_string(lab.path("dnsmasq.pid")).is_ok_and(is_its));
            running
        };
        let mut without = start("");
        let (is_right, text) = check();
        assert!(!is_right && text.matches("dnsmasq does not read").count() == 2, "{text}");
        without.end(Signal::SIGTERM);
        let _with = start(&lines.join("\n"));
        let (is_right, text) = check();
        assert!(is_right, "{text}");
        lab.dns.becomes("guest-0.lab", &["10.0.0.100"]);
        lab.cluster.cluster().rename(100, "web");
        kill(program.pid(), Signal::SIGHUP).unwrap();
        lab.dns.becomes("web.lab", &["10.0.0.100"]);
        // It is somebody else's: it stays.
        program.end(Signal::SIGTERM);
        lab.dns.becomes("web.lab", &["10.0.0.100"]);
    });
}

/// Nobody in particular, as the unit has it: with these capabilities, which its dnsmasq has, too.
#[test]
fn without_root_the_units_capabilities_are_enough() {
    const NOBODY: u32 = 65534;
    with_lab(|lab| {
        let unit = include_str!("../packaging/systemd/instances-proxmox.service");
        let capabilities = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).unwrap();
        let names: Vec<_> =
            capabilities.split(' ').map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect();
        let capabilities = format!("-all,+{}", names.join(",+"));
        // Where anybody can run it.
        fs::copy(env!("CARGO_BIN_EXE_instances-proxmox"), lab.path("program")).unwrap();
        for folder in ["state", "run"] {
            fs::create_dir(lab.path(folder)).unwrap();
            std::os::unix::fs::chown(lab.path(folder), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let of_root = lab.command(&[]);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
        for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
            command.arg(format!("{set}={capabilities}"));
        }
        command.arg(lab.path("program")).env_clear();
        command.envs(of_root.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = fs::File::options().append(true).open(lab.path("log")).unwrap();
        let mut program = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        lab.dns.becomes("guest-0.lab", &["10.0.0.100"]);
        lab.dns.is_called("10.0.0.103", &["guest-3.lab"]);
        let status = fs::read_to_string(format!("/proc/{}/status", lab.dnsmasq().unwrap())).unwrap();
        assert!(status.contains("Uid:\t65534\t65534"), "{status}");
        // It may send DHCP answers and hear guests: nothing is said to be missing.
        let log = lab.log();
        assert!(!log.contains("CAP_NET_RAW") && !log.contains("denied") && !log.contains("not permitted"), "{log}");
        program.end(Signal::SIGTERM);
        assert!(program.0.wait().unwrap().success() && lab.dnsmasq().is_none(), "{}", lab.log());
    });
}

/// A mistake is told at once, all of it, and nothing is begun.
#[test]
fn what_is_wrong_is_told_and_nothing_begins() {
    with_lab(|lab| {
        let begun = Instant::now();
        for (name, value) in [("NETWORK_CIDR", "10.0.0/23"), ("VERIFY_SSL", "perhaps")] {
            let status = lab.command(&[]).env(name, value).status().unwrap();
            assert_eq!(status.code(), Some(1), "{name}");
            assert!(lab.log().contains(name), "{}", lab.log());
        }
        let status = lab.command(&["--poll-interval", "soon"]).status().unwrap();
        assert_eq!(status.code(), Some(2));
        assert!(begun.elapsed() < PATIENCE && !lab.path("state").exists());
    });
}
