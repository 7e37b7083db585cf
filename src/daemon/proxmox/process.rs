//! A dnsmasq that runs: our child, or one that was there. How it ended, and having it end.

use crate::error::{Error, Result, in_words};
use crate::sink::dnsmasq::Dnsmasq;
use rustix::process::{Pid, Signal, kill_process};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// How long dnsmasq has to end when we do.
const STOP: Duration = Duration::from_secs(5);
/// How long it takes to be killed.
const KILLED: Duration = Duration::from_secs(2);
/// How often it is looked whether one that is not our child has ended.
const LOOK: Duration = Duration::from_millis(200);

/// A running one.
#[derive(Debug)]
pub(super) enum Process {
    Ours(Child),
    Found(Dnsmasq),
}

impl Process {
    pub fn pid(&self) -> u32 {
        match self {
            Self::Ours(child) => child.id().unwrap_or_default(),
            Self::Found(dnsmasq) => dnsmasq.pid().as_raw_nonzero().get().unsigned_abs(),
        }
    }

    /// Waits for its end; how it ended. Given up, nothing is lost.
    pub async fn ended(&mut self) -> String {
        match self {
            Self::Ours(child) => match child.wait().await {
                Ok(status) => describe(status),
                Err(error) => in_words(&error),
            },
            Self::Found(dnsmasq) => {
                while !dnsmasq.has_ended() {
                    sleep(LOOK).await;
                }
                // That only its parent is told.
                "nobody knows how".to_owned()
            }
        }
    }

    pub fn signal(&self, at_once: bool) -> Result<()> {
        match self {
            Self::Ours(child) => {
                // Until it was waited for, its number is nobody else's.
                let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                let signal = if at_once { Signal::KILL } else { Signal::TERM };
                pid.map_or(Ok(()), |pid| kill_process(pid, signal))
                    .map_err(|error| Error::new(format!("cannot end dnsmasq: {}", in_words(&error.into()))))
            }
            Self::Found(dnsmasq) => dnsmasq.end(at_once),
        }
    }

    /// Has it end, in a few seconds at most.
    pub async fn stop(mut self) -> Result<()> {
        self.signal(false)?;
        if timeout(STOP, self.ended()).await.is_err() {
            self.signal(true)?;
            if timeout(KILLED, self.ended()).await.is_err() {
                return Err(Error::new(format!("dnsmasq, process {}, does not end even when killed", self.pid())));
            }
        }
        Ok(())
    }
}

fn describe(status: ExitStatus) -> String {
    // dnsmasq(8), EXIT CODES.
    let meaning = match status.code() {
        Some(1) => " (its configuration)",
        Some(2) => " (the network: is another server on its port?)",
        Some(3) => " (a file or folder)",
        Some(4) => " (memory)",
        _ => "",
    };
    format!("{status}{meaning}")
}
