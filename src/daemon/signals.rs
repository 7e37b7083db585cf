//! Signals as something to be read: what a daemon is told by its administrator.

use crate::error::{Error, Result, in_words};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;

/// Those that are for us: SIGHUP, SIGINT, SIGTERM, SIGUSR1. Blocked from now on for this thread and those that it starts, so
/// call it first.
///
/// # Errors
/// The system has no descriptor left.
pub fn take() -> Result<SignalFd> {
    let signals: SigSet = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1].into_iter().collect();
    let taken = signals
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK));
    taken.map_err(|error| Error::new(format!("cannot take signals: {}", in_words(&io::Error::from(error)))))
}
