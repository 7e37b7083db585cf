//! Signals, awaited: what a daemon is asked by its administrator.

use crate::error::{Error, Result, in_words};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are for us.
pub struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT.
    ToLeave,
    /// SIGHUP.
    ToLookAtEverything,
}

impl Signals {
    /// From now on they are taken.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn take() -> Result<Self> {
        let take =
            |kind| signal(kind).map_err(|error| Error::new(format!("cannot take signals: {}", in_words(&error))));
        let (hangup, interrupt) = (take(SignalKind::hangup())?, take(SignalKind::interrupt())?);
        Ok(Self { hangup, interrupt, terminate: take(SignalKind::terminate())? })
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Asked::ToLeave,
            _ = self.interrupt.recv() => Asked::ToLeave,
            _ = self.hangup.recv() => Asked::ToLookAtEverything,
        }
    }
}
