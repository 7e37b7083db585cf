//! The loop: the filter's next step, and meanwhile signals, the service manager, and whoever else changes the folder.

use super::commands;
use super::filter::Filter;
use super::hosts::{Hosts, deny_all};
use super::status::Board;
use crate::cli::pxe_filter::Config;
use crate::daemon::asked::{Asked, Signals};
use crate::daemon::schedule::Moment;
use crate::daemon::supervisor::Supervisor;
use crate::error::{Error, Result};
use crate::source::ironic::Baremetal;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tracing::{debug, error, info};

/// How long the end may take: whoever sent SIGTERM waits.
const FAREWELL: Duration = Duration::from_secs(4);
/// How often the folder is looked at for what inotify does not tell.
const LOOK: Duration = Duration::from_secs(30);

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
    /// There was a SIGHUP that nobody has done anything about.
    pub is_hung_up: bool,
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
        first(ended, farewell(config, self.filter.hosts()).await)
    }

    async fn serve(&mut self, config: &Config) -> Result<()> {
        let mut start_command = config.start_command.as_deref();
        let mut next = Moment::ZERO;
        loop {
            self.tell();
            match self.until(next).await {
                Some(Asked::ToLeave) => return Ok(()),
                Some(Asked::ToLookAtEverything) => self.look_at_everything(),
                None => {}
            }
            let Self { filter, supervisor, signals, is_hung_up, .. } = self;
            match through(filter.now(), supervisor, signals, is_hung_up, filter.step()).await {
                Some(then) => next = then,
                None => return Ok(()),
            }
            if std::mem::take(&mut self.is_hung_up) {
                self.look_at_everything();
                next = Moment::ZERO;
            }
            if self.filter.is_in_step()
                && let Some(command) = start_command.take()
            {
                info!(command, "dnsmasq_start_command is run");
                let Self { filter, supervisor, signals, is_hung_up, .. } = self;
                let run = commands::run("dnsmasq_start_command", command, config.command_timeout);
                match through(filter.now(), supervisor, signals, is_hung_up, run).await {
                    Some(done) => done?,
                    None => return Ok(()),
                }
            }
        }
    }

    fn look_at_everything(&mut self) {
        info!("SIGHUP: everything is compared");
        self.filter.doubt();
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

/// What a filter does at its end: the stop command, or everybody is denied.
///
/// # Errors
/// It fails, or takes too long.
pub async fn farewell(config: &Config, hosts: &mut impl Hosts) -> Result<()> {
    match &config.stop_command {
        Some(command) => run_stop_command(config, command).await,
        None => match tokio::time::timeout(FAREWELL, deny_all(hosts)).await {
            Ok(denied) => {
                hosts.settle().await;
                denied.map(|_| info!("nobody may boot any more"))
            }
            Err(_) => Err(Error::new("the folder could not be made to deny everybody in time")),
        },
    }
}

/// # Errors
/// It fails, or takes too long.
pub async fn run_stop_command(config: &Config, command: &str) -> Result<()> {
    commands::run("dnsmasq_stop_command", command, FAREWELL.min(config.command_timeout)).await
}

/// The first failure is the one to be told; a second one is logged.
///
/// # Errors
/// There was one.
pub fn first(ended: Result<()>, farewell: Result<()>) -> Result<()> {
    if let (Err(_), Err(second)) = (&ended, &farewell) {
        error!("{second}");
    }
    ended.and(farewell)
}

/// The same, but a SIGHUP is for later; nothing if a signal ended it.
async fn through<T>(
    began: Moment,
    supervisor: &mut Supervisor,
    signals: &mut Signals,
    is_hung_up: &mut bool,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let start = tokio::time::Instant::now();
    loop {
        match beside(began + start.elapsed(), supervisor, signals, &mut work).await {
            Ok(done) => return Some(done),
            Err(Asked::ToLeave) => return None,
            Err(Asked::ToLookAtEverything) => *is_hung_up = true,
        }
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
