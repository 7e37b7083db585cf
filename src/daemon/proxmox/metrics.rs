//! What is counted, for Prometheus, and whether all is well. The loop tells it what happens; the thread that answers HTTP reads it.

use super::published::Published;
use super::snapshot::{Dnsmasq, Snapshot};
use crate::daemon::schedule::Moment;
use crate::source::neighbors::Counts;
use crate::source::proxmox::{Done, Kind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    call: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    call: &'static str,
    kind: &'static str,
}

/// From 2 ms to 33 s: a node that asks a dead one waits for half a minute.
#[derive(Debug, Clone)]
struct Latency(Family<Asked, Histogram>);

impl Default for Latency {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(exponential_buckets(2e-3, 2.0, 15))))
    }
}

/// From 10 ms to 82 s.
#[derive(Debug, Clone)]
struct Delay(Histogram);

impl Default for Delay {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(1e-2, 2.0, 14)))
    }
}

/// The counters. A clone counts the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    started: Instant,
    /// Another number for another run of the program, to tell the page.
    run: u64,
    patience: Duration,
    requests: Latency,
    failures: Family<Failed, Counter>,
    rounds: Delay,
    last_round: Gauge,
    written: Counter,
    write_failures: Counter,
    reloads: Counter,
    starts: Counter,
    changed: Delay,
    now: Arc<Mutex<Now>>,
}

/// What is so now.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    /// What is known and published.
    pub snapshot: Arc<Snapshot>,
    /// Another number for another snapshot.
    pub version: u64,
    /// What was heard on the wire; none: nobody listens.
    pub heard: Option<Counts>,
    /// When a round succeeded last.
    pub last_round: Option<Moment>,
}

impl Metrics {
    /// Nothing has happened yet. [`Moment`]s are times since `started`. A round that succeeded is good for as long as `patience`: some of
    /// the loop's intervals, and what an answer may take.
    pub fn new(started: Instant, patience: Duration) -> Self {
        Self {
            started,
            run: u64::try_from(since_epoch().as_millis()).unwrap_or(0),
            patience,
            requests: Latency::default(),
            failures: Family::default(),
            rounds: Delay::default(),
            last_round: Gauge::default(),
            written: Counter::default(),
            write_failures: Counter::default(),
            reloads: Counter::default(),
            starts: Counter::default(),
            changed: Delay::default(),
            now: Arc::default(),
        }
    }

    /// Proxmox answered, or did not.
    pub fn asked(&self, done: &Done) {
        self.call(done.call.name(), done.answer.failure().map(|failure| failure.kind), done.took);
    }

    /// The same in parts: which question, how it failed if it did, how long that took.
    pub fn call(&self, call: &'static str, failure: Option<Kind>, took: Duration) {
        self.requests.0.get_or_create(&Asked { call }).observe(took.as_secs_f64());
        if let Some(kind) = failure {
            self.failures.get_or_create(&Failed { call, kind: kind.name() }).inc();
        }
    }

    /// A round has succeeded: the list came, and all that was to be read was, as far as it can be. It took so long.
    pub fn round(&self, took: Duration) {
        self.rounds.0.observe(took.as_secs_f64());
        self.last_round.set(i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX));
        let at = self.moment();
        self.lock().last_round = Some(at);
    }

    /// What is known and published from now on.
    pub fn snapshot(&self, snapshot: Snapshot) {
        let mut now = self.lock();
        if *now.snapshot != snapshot {
            now.snapshot = Arc::new(snapshot);
            now.version += 1;
        }
    }

    /// What is known and published now: what the next [`Snapshot::new`] wants to know about.
    pub fn shown(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().snapshot)
    }

    /// So many files for dnsmasq were written or removed.
    pub fn written(&self, files: usize) {
        self.written.inc_by(u64::try_from(files).unwrap_or(u64::MAX));
    }

    /// Files could not be written.
    pub fn not_written(&self) {
        self.write_failures.inc();
    }

    /// dnsmasq was told to read its files anew.
    pub fn reloaded(&self) {
        self.reloads.inc();
    }

    /// dnsmasq was started.
    pub fn dnsmasq_started(&self) {
        self.starts.inc();
    }

    /// From the first sign of a change, a packet or an answer, to its record: how long that took.
    pub fn changed(&self, took: Duration) {
        self.changed.0.observe(took.as_secs_f64());
    }

    /// What was heard on the wire so far, altogether.
    pub fn heard(&self, counts: Counts) {
        self.lock().heard = Some(counts);
    }

    /// Whether a round succeeded lately, dnsmasq answers, and files can be written; else why not, for a person.
    ///
    /// # Errors
    /// All is not well.
    pub fn health(&self) -> Result<(), String> {
        health(&self.now(), self.moment(), self.patience)
    }

    /// The time since the start.
    pub(super) fn moment(&self) -> Moment {
        self.started.elapsed()
    }

    /// Milliseconds since 1970 when the program was started.
    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// What is so now.
    pub(super) fn now(&self) -> Now {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // Whoever panicked holding it left a whole value.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, to be asked for.
    pub fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("instances_proxmox");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        all.register("build", "The program", build);
        let name = "api_request_duration";
        all.register_with_unit(name, "How long Proxmox took to answer", Unit::Seconds, self.requests.0.clone());
        all.register("api_failures", "Answers of Proxmox's that were none", self.failures.clone());
        let help = "From a round's first question to its last answer";
        all.register_with_unit("round_duration", help, Unit::Seconds, self.rounds.0.clone());
        let name = "last_round_timestamp";
        all.register_with_unit(name, "The last round that succeeded", Unit::Seconds, self.last_round.clone());
        all.register("files_written", "Files written or removed", self.written.clone());
        all.register("write_failures", "Times that files could not be written", self.write_failures.clone());
        all.register("dnsmasq_reloads", "Times that dnsmasq was told to read everything", self.reloads.clone());
        all.register("dnsmasq_starts", "Times that dnsmasq was started", self.starts.clone());
        let help = "From the first sign of a change to its record";
        all.register_with_unit("change_delay", help, Unit::Seconds, self.changed.0.clone());
        all.register_collector(Box::new(Published(self.clone())));
        all
    }

    /// The page that Prometheus gets, in OpenMetrics' text format.
    pub fn page(registry: &Registry) -> String {
        let mut text = String::new();
        // A String takes everything.
        let _ = encode(&mut text, registry);
        text
    }
}

fn since_epoch() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// Whether all is well; else why not.
fn health(now: &Now, at: Moment, patience: Duration) -> Result<(), String> {
    let trouble = now.snapshot.troubles.first().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    match now.last_round {
        None => return Err(format!("nothing was heard of Proxmox yet{trouble}")),
        Some(last) if last + patience < at => {
            let age = at.saturating_sub(last).as_secs();
            return Err(format!("no round has succeeded for {age} s{trouble}"));
        }
        Some(_) => {}
    }
    match &now.snapshot.dnsmasq {
        Dnsmasq::Answers | Dnsmasq::NotAsked => {}
        Dnsmasq::Starting => return Err("dnsmasq has not answered yet".to_owned()),
        Dnsmasq::Down(why) => return Err(format!("dnsmasq: {why}")),
    }
    now.snapshot.faults.first().map_or(Ok(()), |fault| Err(fault.clone()))
}
