//! This host's kernel, waited for with tokio.

use super::listener::Listener;
use super::{Counts, Lack, Neighbors, Places, Sighted, Sweep};
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result, in_words};
use crate::net::Mac;
use ipnet::Ipv4Net;
use rustc_hash::FxHashSet;
use rustix::fd::OwnedFd;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// This host's kernel.
pub struct Kernel {
    listener: Listener,
    /// The listener's own, once more.
    ready: AsyncFd<OwnedFd>,
    began: Instant,
}

/// What is swept, and how fast.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweeping {
    /// The networks, none larger than a /16. None of them: only IPv6 addresses that are known are asked for.
    pub networks: Vec<Ipv4Net>,
    /// How long a round takes, if the rate allows it.
    pub interval: Duration,
    /// Questions a second, at most (1 to 1000).
    pub per_second: u32,
}

impl Kernel {
    /// Begins to listen. Needs a tokio runtime; CAP_NET_RAW if it can be had ([`Neighbors::lacking`] says what is lost without). `began`
    /// is when the program did: [`Sighted::at`] counts from there.
    ///
    /// # Errors
    /// The kernel cannot be asked, or [`Sweep::new`] refuses.
    pub fn listen(places: Places, sweeping: Sweeping, began: Instant) -> Result<Self> {
        let Sweeping { networks, interval, per_second } = sweeping;
        let sweep = Sweep::new(&networks, interval, per_second)?;
        let listener = Listener::new(places, networks, sweep)?;
        let ready = listener.ready().and_then(awaited).map_err(|error| unawaited(&error))?;
        Ok(Self { listener, ready, began })
    }

    fn now(&self) -> Moment {
        self.began.elapsed()
    }
}

/// Has tokio watch it.
#[allow(
    deprecated,
    reason = "unsound only for what is not an OwnedFd: that may say another number each time; what replaces it is unsafe"
)]
fn awaited(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

fn unawaited(error: &io::Error) -> Error {
    Error::new(format!("cannot wait for neighbours: {}", in_words(error)))
}

impl Neighbors for Kernel {
    fn know(&mut self, macs: FxHashSet<Mac>, asked: Vec<Ipv6Addr>) {
        self.listener.know(macs, asked);
    }

    fn spare(&mut self, addresses: FxHashSet<Ipv4Addr>) {
        self.listener.spare(addresses);
    }

    fn seek(&mut self) {
        self.listener.seek();
    }

    async fn next(&mut self) -> Result<Sighted> {
        loop {
            let now = self.now();
            if let Some(sighted) = self.listener.pop() {
                return Ok(sighted);
            }
            self.listener.catch_up(now)?;
            if !self.listener.is_silent() {
                continue;
            }
            let due = self.listener.ask(now)?.map(|moment| self.began + moment);
            tokio::select! {
                ready = self.ready.readable() => {
                    let mut ready = ready.map_err(|error| unawaited(&error))?;
                    if self.listener.take(self.began.elapsed())? {
                        ready.clear_ready();
                    } else if self.listener.is_silent() {
                        // A flood of what nobody asked for: others get their turn.
                        tokio::task::yield_now().await;
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or(self.began)), if due.is_some() => {}
            }
        }
    }

    fn lacking(&self) -> Vec<Lack> {
        self.listener.lacking()
    }

    fn counts(&self) -> Counts {
        self.listener.counts()
    }
}
