//! A program that is measured while it runs.

use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;
use nix::unistd::Pid;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(2);

/// It runs, and ends with this.
pub(crate) struct Process {
    child: Child,
    cpu: ClockId,
    began: Instant,
    said: PathBuf,
    end: Signal,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), self.end);
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts it. What it says goes to a file; in the end it is sent this signal.
    pub(crate) fn start(command: &mut Command, said: &Path, end: Signal) -> Result<Self, Box<dyn Error>> {
        let file = File::create(said)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let began = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let cpu = ClockId::pid_cpu_clock_id(Pid::from_raw(child.id().cast_signed()))?;
        Ok(Self { child, cpu, began, said: said.to_owned(), end })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Since it was started.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// CPU time of all its threads so far, user and system; without processes of its own.
    pub(crate) fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        Ok(TimeSpec::into(self.cpu.now()?))
    }

    /// Its largest resident set so far, MiB.
    pub(crate) fn peak(&self) -> Result<f64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.ok_or("no VmHWM")?.parse::<f64>()? / 1024.0)
    }

    /// What it has said.
    pub(crate) fn said(&self) -> Result<String, Box<dyn Error>> {
        Ok(fs::read_to_string(&self.said)?)
    }

    /// Why it has ended, if it has.
    pub(crate) fn failed(&mut self) -> Result<(), Box<dyn Error>> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("it ended: {status}: {}", self.said()?.trim_end()).into()),
            None => Ok(()),
        }
    }

    /// Waits until something holds.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            self.failed()?;
            if Instant::now() > deadline {
                return Err(format!("waited in vain for {what}").into());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}
