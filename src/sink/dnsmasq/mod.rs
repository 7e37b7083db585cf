//! A running dnsmasq: which process it is, what it was told at its start, and telling it to read everything anew.

pub mod asking;
mod configuration;

pub use configuration::{Configuration, Setting};

use crate::error::{Error, Result, in_words};
use crate::sink::atomic_file::open_regular;
use crate::sink::folder::Identity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to say its version.
const PATIENCE: Duration = Duration::from_secs(2);

/// Permission of group and others to write.
const OTHERS_WRITE: u32 = 0o022;

/// Those between these read many files in a time that grows with their square: 40,000 in 15 s of CPU.
const SLOW: std::ops::Range<Version> = Version(2, 87)..Version(2, 93);
/// Up to how many files that is no matter: 10,000 take 0.7 s.
const FEW: usize = 10_000;

/// A version of dnsmasq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// What a text begins with: `2.90`, `2.86-1.1`, `2.91rc2`.
    fn read(text: &str) -> Option<Self> {
        let (major, rest) = text.split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The process number in a pid-file, whose it may be; else what is wrong with it.
pub fn number_in(pid_file: &Path) -> Result<Pid, String> {
    let mut text = String::new();
    let read = open_regular(pid_file).and_then(|file| file.take(32).read_to_string(&mut text));
    read.map_err(|error| in_words(&error))?;
    let number = text.trim().parse().ok().filter(|number: &i32| *number > 0).and_then(Pid::from_raw);
    number.ok_or_else(|| "it holds no process number".to_owned())
}

/// A running dnsmasq.
#[derive(Debug)]
pub struct Dnsmasq {
    pid: Pid,
    /// It stays this process, also when its number is another's by then.
    fd: OwnedFd,
}

impl Dnsmasq {
    /// The one whose number is in this file.
    ///
    /// # Errors
    /// There is no such file, or no such process, or it is another program.
    pub fn find(pid_file: &Path) -> Result<Self> {
        number_in(pid_file).and_then(Self::of).map_err(|why| {
            Error::new(format!("no dnsmasq by {}: {why}", pid_file.display()))
                .remedy("see whether dnsmasq runs, and whether this is its pid-file")
        })
    }

    /// A process, if it is one; else what is wrong with it.
    fn of(pid: Pid) -> Result<Self, String> {
        let gone = |error: Errno| format!("process {pid} {}", in_words(&error.into()));
        let fd = pidfd_open(pid, PidfdFlags::empty()).map_err(gone)?;
        let dnsmasq = Self { pid, fd };
        let name = fs::read_to_string(dnsmasq.proc("comm")).unwrap_or_default();
        let is_dnsmasq = name.starts_with("dnsmasq")
            || fs::read_link(dnsmasq.proc("exe"))
                .is_ok_and(|exe| exe.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dnsmasq")));
        if is_dnsmasq { Ok(dnsmasq) } else { Err(format!("process {pid} is {}", name.trim().escape_debug())) }
    }

    /// All to which this was said on their command line, and for which this file is the same as for us: those in containers are
    /// others', whatever their files are called.
    pub fn all_with(argument: &str, file: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
        let identity = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let below: PathBuf = file.components().filter(|part| !matches!(part, Component::RootDir)).collect();
        let here = (identity(Path::new("/")), identity(file));
        let is_here = |dnsmasq: &Self| {
            let root = dnsmasq.proc("root");
            // Not a link's own identity: the folder that it leads to.
            let there = identity(&root.join("."));
            there.is_some() && (there, identity(&root.join(&below))) == here
        };
        let all = pids.filter_map(|pid| Self::of(pid).ok());
        all.filter(|dnsmasq| dnsmasq.has_argument(argument) && is_here(dnsmasq)).collect()
    }

    /// Whether it reads so many files anew without leaving everybody waiting.
    pub fn rereads_quickly(&self, files: usize) -> bool {
        files <= FEW || self.version().is_some_and(|version| !SLOW.contains(&version))
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether this was said to it on its command line, as one argument.
    pub fn has_argument(&self, argument: &str) -> bool {
        let command_line = fs::read(self.proc("cmdline")).unwrap_or_default();
        command_line.split(|byte| *byte == 0).any(|said| said == argument.as_bytes())
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        let mut ended = [PollFd::new(&self.fd, PollFlags::IN)];
        matches!(poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1))
    }

    /// Has it end, at once or when it has put its things in order. One that has ended already is no error.
    ///
    /// # Errors
    /// It is not ours to be told.
    pub fn end(&self, at_once: bool) -> Result<()> {
        let signal = if at_once { Signal::KILL } else { Signal::TERM };
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => {
                Err(Error::new(format!("cannot end dnsmasq, process {}: {}", self.pid, in_words(&error.into())))
                    .remedy("run as root or as dnsmasq's user"))
            }
        }
    }

    /// Has it read everything anew. It answers nobody meanwhile; see [`Self::rereads_quickly`].
    ///
    /// # Errors
    /// It is not ours to be told, or has ended.
    pub fn reload(&self) -> Result<()> {
        pidfd_send_signal(&self.fd, Signal::HUP).map_err(|error| {
            Error::new(format!("cannot send SIGHUP to dnsmasq, process {}: {}", self.pid, in_words(&error.into())))
                .remedy("run as root or as dnsmasq's user")
        })
    }

    /// What it was told at its start, if we may see that.
    pub fn configuration(&self) -> Option<Configuration> {
        Configuration::of(self.pid)
    }

    /// Its version, as the program says that it runs. Nothing if we may not see that, or if it is not the administrator's own
    /// program: anybody can call a process dnsmasq.
    pub fn version(&self) -> Option<Version> {
        let program = trusted(&self.proc("exe"))?;
        // By its descriptor, for the process may run another by now. It is nobody who needs to know our secrets.
        let mut child = Command::new(by_descriptor(&program))
            .arg("--version")
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().ok()?.is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut said = String::new();
        child.stdout.take()?.take(1 << 12).read_to_string(&mut said).ok()?;
        version_in(&said)
    }

    /// Whether it watches this folder; nothing if we may not see that.
    pub fn watches(&self, (_, inode): Identity) -> Option<bool> {
        let wanted = format!("ino:{inode:x}");
        for entry in fs::read_dir(self.proc("fdinfo")).ok()? {
            let text = fs::read_to_string(entry.ok()?.path()).unwrap_or_default();
            let mut watches = text.lines().filter(|line| line.starts_with("inotify "));
            if watches.any(|watch| watch.split(' ').any(|field| field == wanted)) {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// A program called dnsmasq that only root can have put there.
fn trusted(program: &Path) -> Option<fs::File> {
    let file = fs::File::open(program).ok()?;
    let metadata = file.metadata().ok()?;
    let path = fs::read_link(by_descriptor(&file)).ok()?;
    // After an upgrade it is another file's name.
    let name = path.file_name()?.to_str()?.trim_end_matches(" (deleted)");
    let is_roots = metadata.is_file() && metadata.uid() == 0 && metadata.mode() & OTHERS_WRITE == 0;
    (is_roots && name == "dnsmasq").then_some(file)
}

fn by_descriptor(file: &fs::File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The version in the first line of `dnsmasq --version`: `Dnsmasq version 2.90  Copyright (c) ...`, `2.86-1.1`, `2.91rc2`.
fn version_in(said: &str) -> Option<Version> {
    let text = said.lines().next()?.strip_prefix("Dnsmasq version ")?;
    Version::read(text)
}

/// Has the dnsmasq of this file read everything anew.
///
/// # Errors
/// There is none, or it is not ours to be told.
pub fn reload(pid_file: &Path) -> Result<()> {
    Dnsmasq::find(pid_file)?.reload()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let version =
            |text: &str| version_in(&format!("Dnsmasq version {text}  Copyright (c) 2000-2024 Simon Kelley\n"));
        assert_eq!(version("2.90"), Some(Version(2, 90)));
        assert_eq!(version("2.86-1.1ubuntu0.7"), Some(Version(2, 86)));
        assert_eq!(version("2.91rc2"), Some(Version(2, 91)));
        assert!(Version(2, 9) < Version(2, 73) && Version(2, 100) > Version(2, 73));
        for other in ["", "BusyBox v1.35", "Dnsmasq version", "Dnsmasq version UNKNOWN", "Dnsmasq version 2.x"] {
            assert_eq!(version_in(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_dnsmasq_is_told_to_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let said = |content: &str| {
            fs::write(&path, content).unwrap();
            reload(&path).unwrap_err().to_string()
        };
        assert!(said("").contains("it holds no process number; see whether dnsmasq runs"));
        for number in ["-1", "0", "x", "99999999999999999999"] {
            assert!(said(number).contains("it holds no process number"), "{number}");
        }
        assert!(said("2147483646\n").contains("process 2147483646 No such process"));
        // SIGHUP would end this one.
        assert!(said(&format!("{}\n", std::process::id())).contains(&format!("process {} is ", std::process::id())));
        fs::remove_file(&path).unwrap();
        assert!(reload(&path).unwrap_err().to_string().contains("No such file or directory"));
    }
}
