//! systemd, or whoever else set NOTIFY_SOCKET: is told how we are, see sd_notify(3).
//!
//! Not the usual crate, for it waits when the other side does not read, and a guard must not stand still for that. What
//! cannot be sent is sent later; of several states of health only the last.

use super::schedule::Moment;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// When what could not be sent is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Whom we tell.
#[derive(Default)]
pub struct Supervisor {
    socket: Option<(OwnedFd, SocketAddrUnix)>,
    /// How long we may be silent.
    patience: Option<Duration>,
    next_beat: Moment,
    is_ready: bool,
    is_reloading: bool,
    status: String,
    /// What is still to be told.
    changes: VecDeque<String>,
    is_status_told: bool,
}

impl Supervisor {
    /// The one that the environment names, if any.
    pub fn from_environment() -> Self {
        let number = |variable| std::env::var(variable).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|_| is_ours).map(Duration::from_micros);
        Self { socket: Self::connect(), patience, is_status_told: true, ..Self::default() }
    }

    fn connect() -> Option<(OwnedFd, SocketAddrUnix)> {
        let path = std::env::var_os("NOTIFY_SOCKET")?;
        let address = match path.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
            path => SocketAddrUnix::new(path),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        Some((socket.ok()?, address.ok()?))
    }

    /// Tells what there is to tell, and that we live.
    pub fn tell(&mut self, now: Moment) {
        while let Some(change) = self.changes.pop_front() {
            if !self.send(&change) {
                self.changes.push_front(change);
                return;
            }
        }
        if !self.is_status_told {
            self.is_status_told = self.send(&format!("STATUS={}", self.status));
        }
        if let Some(patience) = self.patience
            && self.next_beat <= now
            && self.send("WATCHDOG=1")
        {
            self.next_beat = now + patience / 2;
        }
    }

    /// When [`Self::tell`] is to be called next.
    pub fn next(&self, now: Moment) -> Option<Moment> {
        let late =
            !self.changes.is_empty() || !self.is_status_told || (self.patience.is_some() && self.next_beat <= now);
        if late { Some(now + AGAIN) } else { self.patience.map(|_| self.next_beat) }
    }

    /// Whether it was sent, or nobody will ever hear it.
    fn send(&self, text: &str) -> bool {
        let Some((socket, address)) = &self.socket else { return true };
        loop {
            match rustix::net::sendto(socket, text.as_bytes(), SendFlags::NOSIGNAL, address) {
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK | Errno::NOBUFS) => return false,
                _ => return true,
            }
        }
    }

    /// How we are, and whether a policy is in force.
    pub fn status(&mut self, status: String, is_ready: bool) {
        if status != self.status {
            self.status = status;
            self.is_status_told = false;
        }
        if is_ready && !self.is_ready {
            self.is_ready = true;
            self.changes.push_back("READY=1".to_owned());
        }
    }

    /// Everything is being read anew.
    pub fn reloading(&mut self) {
        if self.is_ready && !std::mem::replace(&mut self.is_reloading, true) {
            let now = clock_gettime(ClockId::Monotonic);
            let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
            self.changes.push_back(format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
        }
    }

    /// It was read.
    pub fn reloaded(&mut self) {
        if std::mem::take(&mut self.is_reloading) {
            self.changes.push_back("READY=1".to_owned());
        }
    }

    /// We leave.
    pub fn stopping(&mut self) {
        self.changes.push_back("STOPPING=1".to_owned());
    }
}
