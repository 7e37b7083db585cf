//! What is counted, for Prometheus (`metrics_listen`).

use crate::plan::pxe_access::{Access, Table};
use crate::source::ironic::Failure;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::{Duration, SystemTime};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    access: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    kind: &'static str,
}

/// From 2 ms to 30 s.
#[derive(Debug, Clone)]
struct Latency(Family<Request, Histogram>);

impl Default for Latency {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(exponential_buckets(2e-3, 2.0, 15))))
    }
}

/// From 0.1 s to 100 s.
#[derive(Debug, Clone)]
struct Delay(Histogram);

impl Default for Delay {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.1, 2.0, 11)))
    }
}

/// The counters.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    ports: Family<Answer, Gauge>,
    unknown: Gauge,
    disputed: Gauge,
    /// Nodes under inspection.
    pub inspected: Gauge,
    /// Ports that Ironic has and that make no sense.
    pub refused: Gauge,
    /// Files in the folder that are not ours.
    pub foreign: Gauge,
    is_up: Gauge,
    last_sync: Gauge,
    last_answer: Gauge,
    requests: Latency,
    failures: Family<Failed, Counter>,
    /// Files that were written or replaced.
    pub written: Counter,
    /// Times that the folder could not be brought in step.
    pub folder_failures: Counter,
    /// Times that dnsmasq was told to read everything anew.
    pub reloads: Counter,
    /// Files that nobody has read for a while after they were written.
    pub unread: Gauge,
    changed: Delay,
}

impl Metrics {
    /// Ironic answered.
    pub fn answered(&self, what: &'static str, took: Duration) {
        self.requests.0.get_or_create(&Request { what }).observe(took.as_secs_f64());
        self.last_answer.set(now());
    }

    /// It did not, or not well.
    pub fn failed(&self, failure: &Failure) {
        self.failures.get_or_create(&Failed { kind: failure.kind.name() }).inc();
        self.is_up.set(0);
    }

    /// Whether every question was answered the last time.
    pub fn is_up(&self, is_up: bool) {
        self.is_up.set(is_up.into());
    }

    /// The folder says what this table says.
    pub fn in_step(&self, table: &Table) {
        for wanted in [Access::Allow, Access::Deny] {
            let access = match wanted {
                Access::Allow => "allow",
                Access::Deny => "deny",
            };
            let number = table.macs.values().filter(|access| **access == wanted).count();
            self.ports.get_or_create(&Answer { access }).set(signed(number));
        }
        self.unknown.set((table.unknown == Access::Allow).into());
        self.disputed.set(signed(table.disputed.len()));
    }

    /// All ports were listed and compared.
    pub fn synchronized(&self) {
        self.last_sync.set(now());
    }

    /// A node's state had changed so long ago when its files said so.
    pub fn changed(&self, since: SystemTime) {
        // The clocks are two.
        self.changed.0.observe(since.elapsed().unwrap_or_default().as_secs_f64());
    }

    /// All of it, to be asked for.
    pub fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("pxe_filter");
        all.register("ports", "MAC addresses of ports, by what they are answered", self.ports.clone());
        all.register("unknown_allowed", "Whether MAC addresses of no port may boot", self.unknown.clone());
        all.register("ports_disputed", "MAC addresses that nodes do not agree about", self.disputed.clone());
        all.register("ports_refused", "Ports of Ironic's that make no sense", self.refused.clone());
        all.register("nodes_inspected", "Nodes under inspection", self.inspected.clone());
        all.register("foreign_files", "Files in the folder that are not the filter's", self.foreign.clone());
        all.register("api_up", "Whether Ironic answers all that it is asked", self.is_up.clone());
        let name = "last_sync_timestamp";
        all.register_with_unit(name, "The last complete comparison", Unit::Seconds, self.last_sync.clone());
        let name = "last_answer_timestamp";
        all.register_with_unit(name, "Ironic's last answer", Unit::Seconds, self.last_answer.clone());
        let name = "api_request_duration";
        all.register_with_unit(name, "How long Ironic took to answer", Unit::Seconds, self.requests.0.clone());
        all.register("api_failures", "Answers of Ironic's that were none", self.failures.clone());
        all.register("files_written", "Files written", self.written.clone());
        all.register("folder_failures", "Times that the folder could not be written", self.folder_failures.clone());
        all.register("files_unread", "Files that nobody has read since they were written", self.unread.clone());
        all.register("dnsmasq_reloads", "Times that dnsmasq was told to read everything", self.reloads.clone());
        let name = "change_delay";
        let help = "From a node's change of state to its files";
        all.register_with_unit(name, help, Unit::Seconds, self.changed.0.clone());
        all
    }
}

/// The page that Prometheus gets, in OpenMetrics' text format.
pub fn page(registry: &Registry) -> String {
    let mut text = String::new();
    // A String takes everything.
    let _ = encode(&mut text, registry);
    text
}

/// A number as gauges have them.
pub fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
