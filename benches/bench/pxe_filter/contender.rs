//! The filters that are compared, each told the same.

use super::ironic::Simulator;
use crate::process::Process;
use nix::sys::signal::Signal;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The period of all of them, seconds.
pub(super) const PERIOD: u32 = 3;
/// The file that says what becomes of MAC addresses that nobody knows. All of them write it after those of the ports.
pub(super) const WILDCARD: &str = "unknown_hosts_filter";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    /// The simplest that does the same, in Python.
    Reference,
    /// ironic-inspector's own, if it is here.
    Inspector,
}

impl Kind {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Ours => "instances-pxe-filter",
            Self::Reference => "reference.py",
            Self::Inspector => "ironic-inspector's filter",
        }
    }
}

/// A filter that runs.
pub(super) struct Contender {
    kind: Kind,
    folder: PathBuf,
    pub(super) process: Process,
}

impl Contender {
    /// Starts it with files in `folder`, which may be there already, and an empty folder for dnsmasq; `further` lines of
    /// configuration are for ours.
    pub(super) fn start(kind: Kind, ironic: &Simulator, folder: &Path, further: &str) -> Result<Self, Box<dyn Error>> {
        let hostsdir = hostsdir(folder);
        fs::create_dir_all(&hostsdir)?;
        for file in fs::read_dir(&hostsdir)? {
            fs::remove_file(file?.path())?;
        }
        fs::write(config(folder), configuration(ironic, folder, further))?;
        let mut command = match kind {
            Kind::Ours => ours(folder),
            Kind::Reference => reference(ironic, folder),
            Kind::Inspector => {
                prepare_inspector(folder)?;
                inspector(folder)?
            }
        };
        let process = Process::start(&mut command, &folder.join("said"), Signal::SIGKILL)?;
        Ok(Self { kind, folder: folder.to_owned(), process })
    }

    /// The time from its start until the folder has a file for each of so many ports, and the one for all others.
    pub(super) fn first_sync(&mut self, ports: usize) -> Result<Duration, Box<dyn Error>> {
        let hostsdir = hostsdir(&self.folder);
        let wildcard = hostsdir.join(WILDCARD);
        self.until("the file for all others", || wildcard.exists())?;
        self.until("a file for each port", || {
            let entries = fs::read_dir(&hostsdir).into_iter().flatten().flatten();
            entries.filter(|entry| entry.file_name().len() == "52:54:00:00:00:00".len()).count() >= ports
        })?;
        Ok(self.process.age())
    }

    /// Waits until all these MAC addresses are allowed, or denied.
    pub(super) fn until_all(&mut self, macs: &[String], allowed: bool) -> Result<(), Box<dyn Error>> {
        let says = |mac: &String| fs::read_to_string(hostsdir(&self.folder).join(mac)).unwrap_or_default();
        let wanted = |mac: &String| if allowed { format!("{mac}\n") } else { format!("{mac},ignore\n") };
        let left: Vec<_> = macs.iter().map(|mac| (says(mac), wanted(mac), hostsdir(&self.folder).join(mac))).collect();
        let mut left = left.into_iter().filter(|(said, wanted, _)| said != wanted).collect::<Vec<_>>();
        self.until("changed files", || {
            left.retain(|(_, wanted, path)| !fs::read_to_string(path).is_ok_and(|said| said == *wanted));
            left.is_empty()
        })
    }

    fn until(&mut self, what: &str, holds: impl FnMut() -> bool) -> Result<(), Box<dyn Error>> {
        self.process.until(what, holds).map_err(|error| format!("{}: {error}", self.kind.label()).into())
    }
}

/// The folder that dnsmasq reads.
pub(super) fn hostsdir(folder: &Path) -> PathBuf {
    folder.join("dhcp-hostsdir")
}

fn config(folder: &Path) -> PathBuf {
    folder.join("inspector.conf")
}

/// An inspector.conf, for ironic-inspector and for ours.
fn configuration(ironic: &Simulator, folder: &Path, further: &str) -> String {
    format!(
        "[database]\nconnection = sqlite:///{}\n[ironic]\nauth_type = none\nendpoint_override = {}\n\
         [dnsmasq_pxe_filter]\ndhcp_hostsdir = {}\n\
         [pxe_filter]\ndriver = dnsmasq\nsync_period = {PERIOD}\n{further}",
        folder.join("inspector.sqlite").display(),
        ironic.url(),
        hostsdir(folder).display()
    )
}

fn ours(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_instances-pxe-filter"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("--config-file").arg(config(folder));
    command
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bench/pxe_filter").join(name)
}

fn reference(ironic: &Simulator, folder: &Path) -> Command {
    let (ip, port) = (ironic.address().ip().to_string(), ironic.address().port().to_string());
    let mut command = Command::new("python3");
    command.arg(script("reference.py")).args([ip, port]).arg(hostsdir(folder)).arg(PERIOD.to_string());
    command
}

/// The virtual environment that tests/openstack/install.sh made.
fn environment() -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::var_os("OPENSTACK")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("openstack"), PathBuf::from);
    if folder.join("ready").exists() {
        return Ok(folder.join("venv/bin"));
    }
    let why = fs::read_to_string(folder.join("why"));
    Err(why.unwrap_or_else(|_| "tests/openstack/install.sh was not run".to_owned()).into())
}

fn prepare_inspector(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(environment()?.join("ironic-inspector-dbsync"));
    succeeds(command.arg("--config-file").arg(config(folder)).arg("upgrade"))
}

fn inspector(folder: &Path) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(environment()?.join("python"));
    command.env("PYTHONWARNINGS", "ignore").arg(script("inspector.py")).arg(config(folder));
    Ok(command)
}

/// Has ironic-inspector begin an introspection of these, as far as its filter sees.
pub(super) fn introspect(folder: &Path, macs: &[String]) -> Result<(), Box<dyn Error>> {
    succeeds(inspector(folder)?.args(macs))
}

fn succeeds(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}
