//! The loop: the filter's next step, and meanwhile signals, the service manager, and whoever else changes the folder.

use super::commands;
use super::filter::{Filter, Hosts, deny_all};
use super::status::Board;
use crate::cli::pxe_filter::Config;
use crate::daemon::schedule::Moment;
use crate::daemon::supervisor::Supervisor;
use crate::error::{Error, Result, in_words};
use crate::source::ironic::Baremetal;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, error, info};

/// How long the end may take: whoever sent SIGTERM waits.
const FAREWELL: Duration = Duration::from_secs(4);
/// How often the folder is looked at for what inotify does not tell.
const LOOK: Duration = Duration::from_secs(30);

/// The signals that are for us.
pub struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ToLeave,
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

    async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Asked::ToLeave,
            _ = self.interrupt.recv() => Asked::ToLeave,
            _ = self.hangup.recv() => Asked::ToLookAtEverything,
        }
    }
}

/// A running filter.
pub struct Server<B, H> {
    /// What is served.
    pub filter: Filter<B, H>,
    /// Where `--status` asks.
    pub board: Board,
    /// Whom we tell how we are.
    pub supervisor: Supervisor,
    /// When to leave.
    pub signals: Signals,
}

impl<B: Baremetal, H: Hosts> Server<B, H> {
    /// Keeps the folder in step until a signal ends it. Then, and when it fails, nobody may boot any more: that is the stop
    /// command's task, or the folder says so.
    ///
    /// # Errors
    /// The start command failed, or the end did.
    pub async fn run(mut self, config: &Config) -> Result<()> {
        let ended = self.serve(config).await;
        self.supervisor.stopping();
        self.supervisor.tell(self.filter.now());
        let limit = FAREWELL.min(config.command_timeout);
        let farewell = match &config.stop_command {
            Some(command) => commands::run("dnsmasq_stop_command", command, limit).await,
            None => match tokio::time::timeout(FAREWELL, deny_all(self.filter.hosts())).await {
                Ok(denied) => denied.map(drop),
                Err(_) => Err(Error::new("the folder could not be made to deny everybody in time")),
            },
        };
        match (ended, farewell) {
            (Ok(()), farewell) => farewell,
            (Err(failure), farewell) => {
                // The first failure is the one to be told.
                if let Err(farewell) = farewell {
                    error!("{farewell}");
                }
                Err(failure)
            }
        }
    }

    async fn serve(&mut self, config: &Config) -> Result<()> {
        let mut is_begun = false;
        let mut next = Moment::ZERO;
        loop {
            self.tell();
            match self.until(next).await {
                Some(Asked::ToLeave) => return Ok(()),
                Some(Asked::ToLookAtEverything) => {
                    info!("SIGHUP: everything is compared");
                    self.filter.doubt();
                }
                None => {}
            }
            let Self { filter, supervisor, signals, .. } = self;
            match beside(filter.now(), supervisor, signals, filter.step()).await {
                Ok(then) => next = then,
                Err(Asked::ToLeave) => return Ok(()),
                Err(Asked::ToLookAtEverything) => {
                    filter.doubt();
                    next = Moment::ZERO;
                }
            }
            if self.filter.is_in_step() && !std::mem::replace(&mut is_begun, true) {
                if let Some(command) = config.start_command.as_deref()
                    && !self.start(command, config.command_timeout).await?
                {
                    return Ok(());
                }
                for finding in self.filter.hosts().findings() {
                    error!("{finding}");
                }
            }
        }
    }

    /// Runs the start command; false if a signal ended it.
    async fn start(&mut self, command: &str, limit: Duration) -> Result<bool> {
        info!(command, "dnsmasq_start_command is run");
        let Self { filter, supervisor, signals, .. } = self;
        let mut run = pin!(commands::run("dnsmasq_start_command", command, limit));
        loop {
            match beside(filter.now(), supervisor, signals, &mut run).await {
                Ok(done) => return done.map(|()| true),
                Err(Asked::ToLeave) => return Ok(false),
                Err(Asked::ToLookAtEverything) => filter.doubt(),
            }
        }
    }

    /// Waits for that time, a signal, or somebody else's change of the folder.
    async fn until(&mut self, next: Moment) -> Option<Asked> {
        let now = self.filter.now();
        let look = self.filter.looked() + LOOK;
        let wait = next.min(look).saturating_sub(now);
        let Self { filter, supervisor, signals, .. } = self;
        let changed = async {
            tokio::select! {
                () = tokio::time::sleep(wait) => false,
                () = filter.hosts().changed() => true,
            }
        };
        match beside(now, supervisor, signals, changed).await {
            Ok(is_changed) => {
                if is_changed {
                    debug!("somebody else changed the folder");
                }
                if is_changed || look <= self.filter.now() {
                    self.filter.folder_changed();
                }
                None
            }
            Err(asked) => Some(asked),
        }
    }

    fn tell(&mut self) {
        let status = &self.filter.told.status;
        self.board.put(status);
        let text = match (&status.failure, &status.folder_failure) {
            (Some(failure), _) | (None, Some(failure)) => failure.clone(),
            (None, None) if self.filter.is_in_step() => {
                format!("{} ports, {} nodes under inspection", status.ports, status.inspected.len())
            }
            (None, None) => "Asking Ironic for all ports".to_owned(),
        };
        self.supervisor.status(text, self.filter.is_safe());
    }
}

/// Does something that may take its time, while the service manager hears that we live. A signal ends it.
async fn beside<T>(
    began: Moment,
    supervisor: &mut Supervisor,
    signals: &mut Signals,
    work: impl Future<Output = T>,
) -> Result<T, Asked> {
    let mut work = pin!(work);
    let start = tokio::time::Instant::now();
    loop {
        let now = began + start.elapsed();
        supervisor.tell(now);
        let beat = supervisor.next(now).map(|at| start + at.saturating_sub(began));
        tokio::select! {
            biased;
            asked = signals.next() => return Err(asked),
            done = &mut work => return Ok(done),
            () = tokio::time::sleep_until(beat.unwrap_or(start)), if beat.is_some() => {}
        }
    }
}
