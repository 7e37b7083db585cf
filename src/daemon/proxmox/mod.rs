//! `instances-proxmox`: keeps dnsmasq in step with a Proxmox VE cluster. [`keeper`] is what it does, without knowing where the cluster,
//! dnsmasq and the wire are; [`serve`] is the loop. [`seen`] is what is known beside the API, [`state`] what outlives a start,
//! [`registry`] has the guard know the guests. [`snapshot`] is what is known and published, for [`metrics`] and the [`page`]. [`child`] is
//! a dnsmasq of its own, and [`tending`] decides when it begins, is asked and has to go. [`beside`] asks
//! another's. [`folders`] are made before all that.

mod asker;
pub mod beside;
pub mod child;
pub mod folders;
pub mod keeper;
pub mod metrics;
pub mod page;
mod process;
mod published;
pub mod registry;
pub mod seen;
pub mod serve;
pub mod snapshot;
#[cfg(test)]
mod snapshot_tests;
pub mod state;
pub mod tending;

use crate::cli::print;
use crate::cli::proxmox::{Config, Dnsmasq, Mode, Request};
use crate::daemon::asked::Signals;
use crate::daemon::endpoint::Listener;
use crate::daemon::log;
use crate::daemon::one_thread::{complete, complete_gathering};
use crate::daemon::schedule::Moment;
use crate::daemon::supervisor::Supervisor;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::sink::dnsmasq_dir::{DnsmasqDir, Memory, Sink};
use crate::source::proxmox::{Answer, Client, Cluster as _, Reading};
use beside::Beside;
use child::Managed;
use keeper::Keeper;
use serde_json::Value;
use serve::{Clock, Ears, Server};
use snapshot::Dnsmasq as Health;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// For how long `--once` waits for slow agents.
const AGENTS: Duration = Duration::from_secs(20);
/// For how long it waits altogether.
const ALL: Duration = Duration::from_secs(120);

/// Does what is requested. Results go to `out`, what the user should know to `err` or the log.
///
/// # Errors
/// It cannot be done.
pub fn run(request: &Request, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
    let config = &request.config;
    match request.mode {
        Mode::CheckConfig => return request.check(out, err),
        Mode::PrintConfig => return request.print(out, err),
        Mode::Run | Mode::Once | Mode::DryRun { .. } => {}
    }
    log::begin(config.log_level)?;
    for notice in &request.notices {
        warn!("{notice}");
    }
    match request.mode {
        Mode::Once => complete(once(config))??,
        Mode::DryRun { json } => complete(dry_run(config, json, out))??,
        _ => {
            let gathers = Arc::new(AtomicBool::new(false));
            complete_gathering(Arc::clone(&gathers), serve(config, gathers))??;
        }
    }
    Ok(Exit::Done)
}

async fn once(config: &Config) -> Result<()> {
    folders::make(config)?;
    let clock = Clock::start();
    let mut keeper = Keeper::new(config, sink(config)?, clock.began())?;
    read_once(config, &mut keeper, clock).await
}

async fn dry_run(config: &Config, json: bool, out: &mut dyn Write) -> Result<()> {
    let clock = Clock::start();
    let mut keeper = Keeper::rehearse(config, Memory::default(), clock.began());
    read_once(config, &mut keeper, clock).await?;
    let records = keeper.records();
    if json {
        let value: Value = records.json(&config.policy);
        print(out, format_args!("{value:#}\n"))
    } else {
        print(out, format_args!("{}", records.table(&config.policy)))
    }
}

async fn serve(config: &Config, gathers: Arc<AtomicBool>) -> Result<()> {
    let signals = Signals::take()?;
    folders::make(config)?;
    let clock = Clock::start();
    // First: while it is another's, dnsmasq is, too.
    let sink = sink(config)?;
    let client = Client::new(&config.access)?;
    let mut keeper = Keeper::new(config, sink, clock.began())?;
    if let Some(address) = config.listen {
        let domains = config.policy.networks.iter().map(|network| network.domain.clone()).collect();
        page::serve(Listener::bind_as("listen", address)?, keeper.metrics.clone(), domains)?;
    }
    keeper.restore(clock.now());
    let dnsmasq = match &config.dnsmasq {
        Dnsmasq::Managed(settings) => Some(Managed::prepare(settings.as_ref().clone()).await?),
        Dnsmasq::Companion => None,
    };
    let ears = Ears::new(config.neighbors.clone(), clock);
    let supervisor = Supervisor::from_environment();
    let reading = Reading::new(&client);
    for notice in client.notices() {
        warn!("{notice}");
    }
    let beside = config.places.pid_file.clone().filter(|_| dnsmasq.is_none()).map(Beside::new);
    let health = if dnsmasq.is_some() { Health::Starting } else { Health::NotAsked };
    let (down, show) = (None, Moment::ZERO);
    Server { keeper, reading, gathers, ears, dnsmasq, beside, signals, supervisor, clock, health, down, show }
        .run()
        .await
}

fn sink(config: &Config) -> Result<DnsmasqDir> {
    let sink = DnsmasqDir::open(config.places.clone())?;
    Ok(match config.dnsmasq {
        Dnsmasq::Managed(_) => sink,
        Dnsmasq::Companion => sink.of_another(),
    })
}

/// Asks until all is known that can be, and has the files say it.
async fn read_once<S: Sink>(config: &Config, keeper: &mut Keeper<S>, clock: Clock) -> Result<()> {
    keeper.restore(clock.now());
    let client = Client::new(&config.access)?;
    let mut reading = Reading::new(&client);
    let begun = Instant::now();
    let mut until = begun + ALL;
    loop {
        let now = clock.now().moment;
        for call in keeper.calls(now) {
            reading.ask(call, now);
        }
        if reading.in_flight() == 0 {
            break;
        }
        if keeper.rounds().is_complete() {
            until = until.min(begun + AGENTS);
        }
        let Ok(done) = timeout_at(until, reading.done()).await else { break };
        if let Answer::Resources(Err(failure)) = &done.answer {
            return Err(Error::new(failure.text.clone()));
        }
        keeper.answered(done, clock.now().moment);
        // An empty list, where there were guests.
        if let Some(why) = keeper.trouble().filter(|_| keeper.rounds().failing_since().is_some()) {
            return Err(Error::new(why));
        }
    }
    keeper.finish(clock.now())
}
