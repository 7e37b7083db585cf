//! A running `instances-pxe-filter`, its folder and its Ironic.
#![allow(dead_code, reason = "each test crate uses its part")]

use crate::simulator::Simulator;
use crate::wait::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_instances-pxe-filter");

/// An Ironic, and a folder that a filter may keep.
pub struct Lab {
    pub ironic: Simulator,
    folder: TempDir,
}

impl Lab {
    /// Two nodes with two ports each, 52:54:00:00:00:00 to :03.
    pub fn new() -> (Self, Vec<Uuid>) {
        let lab = Self { ironic: Simulator::start(), folder: tempfile::tempdir().unwrap() };
        let nodes = lab.ironic.state().populate(2, 2);
        fs::create_dir(lab.hostsdir()).unwrap();
        (lab, nodes)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn hostsdir(&self) -> PathBuf {
        self.folder.path().join("hostsdir")
    }

    /// A configuration file with these lines in `[pxe_filter]`, and others.
    pub fn configure(&self, lines: &str) -> PathBuf {
        let path = self.folder.path().join("pxe-filter.conf");
        let (url, hostsdir) = (self.ironic.url(), self.hostsdir());
        let text = format!(
            "[ironic]\nauth_type = none\nendpoint_override = {url}\n\
             [pxe_filter]\ndhcp_hostsdir = {}\npoll_interval = 0.1\n{lines}\n",
            hostsdir.display()
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// The program with this configuration and these arguments.
    pub fn command(&self, lines: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config-file").arg(self.configure(lines)).args(arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// What it does until it ends by itself.
    pub fn output(&self, lines: &str, arguments: &[&str]) -> Output {
        self.command(lines, arguments).output().unwrap()
    }

    /// A running filter.
    pub fn run(&self, lines: &str) -> Filter {
        Filter::start(self.command(lines, &[]))
    }

    /// What the folder says, by file.
    pub fn files(&self) -> BTreeMap<String, String> {
        files(&self.hostsdir())
    }

    /// What it says of the n-th port.
    pub fn of(&self, number: u8) -> String {
        fs::read_to_string(self.hostsdir().join(mac(number))).unwrap_or_default()
    }

    pub fn unknown(&self) -> String {
        fs::read_to_string(self.hostsdir().join("unknown_hosts_filter")).unwrap_or_default()
    }

    #[track_caller]
    pub fn allows(&self, number: u8) {
        until("the port is allowed", || self.of(number) == format!("{}\n", mac(number)));
    }

    #[track_caller]
    pub fn denies(&self, number: u8) {
        until("the port is denied", || self.of(number) == format!("{},ignore\n", mac(number)));
    }
}

/// All files of a folder that dnsmasq would read, but for the one that stays until somebody reads it.
pub fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let seen = entries.filter(|path| path.is_file()).filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        (!name.starts_with('.') && name != "instances_bulk")
            .then(|| (name, fs::read_to_string(&path).unwrap_or_default()))
    });
    seen.collect()
}

pub fn mac(number: u8) -> String {
    format!("52:54:00:00:00:{number:02x}")
}

/// A running filter; it is killed in the end.
pub struct Filter {
    pub process: Child,
    log: Arc<Mutex<String>>,
    /// Whoever reads what it says, to the end.
    reader: JoinHandle<()>,
}

impl Filter {
    pub fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(process.stderr.take().unwrap()), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in lines.lines() {
                let Ok(line) = line else { return };
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { process, log, reader }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            let has_ended = self.reader.is_finished();
            assert!(!has_ended || self.log().contains(text), "ended without {text:?}:\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "never said {text:?}, but:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let mut ended = None;
        until("it ends", || {
            ended = self.process.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// Ends it as a service manager does.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ends()
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
