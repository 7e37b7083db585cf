//! What is counted, and where Prometheus asks for it (`metrics_listen`): a thread that serves what the loop counts.

use crate::error::in_words;
use crate::plan::responder::Reason;
use crate::plan::responder::rules::Traffic;
use crate::source::nfqueue;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What happened to packets of a kind, for a reason or with a result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Packets {
    kind: &'static str,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    error: String,
}

/// The counters. Counting costs some tens of nanoseconds.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    received: Family<OfKind, Counter>,
    over: Family<OfKind, Counter>,
    answered: Family<Packets, Counter>,
    dropped: Family<Packets, Counter>,
    passed: Family<Packets, Counter>,
    unsent: Family<Failure, Counter>,
    /// Router advertisements that nobody asked for.
    pub advertised: Counter,
    /// Binding files that are in force.
    pub bindings: Gauge,
    /// Taps that have one.
    pub taps: Gauge,
    overruns: Counter,
    malformed: Counter,
    refused: Counter,
    waiting: Family<Queue, Gauge>,
    queue_dropped: Family<Queue, Counter>,
    buffer_dropped: Family<Queue, Counter>,
    took: Latency,
}

#[derive(Debug, Clone)]
struct Latency(Histogram);

impl Default for Latency {
    /// From 2 us to 65 ms.
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(2e-6, 2.0, 16)))
    }
}

impl Metrics {
    /// A packet came.
    pub fn received(&self, kind: Traffic) {
        self.received.get_or_create(&OfKind { kind: kind.word() }).inc();
    }

    /// It was over the rate limit.
    pub fn over(&self, kind: Traffic) {
        self.over.get_or_create(&OfKind { kind: kind.word() }).inc();
    }

    /// It was answered so, after so many seconds.
    pub fn answered(&self, kind: Traffic, what: &'static str, seconds: f64) {
        self.answered.get_or_create(&Packets { kind: kind.word(), what }).inc();
        self.took.0.observe(seconds);
    }

    /// It was dropped.
    pub fn dropped(&self, kind: Traffic, what: Reason) {
        self.dropped.get_or_create(&Packets { kind: kind.word(), what }).inc();
    }

    /// It went its way.
    pub fn passed(&self, kind: Traffic, what: Reason) {
        self.passed.get_or_create(&Packets { kind: kind.word(), what }).inc();
    }

    /// A frame could not be sent.
    pub fn unsent(&self, error: rustix::io::Errno) {
        self.unsent.get_or_create(&Failure { error: in_words(&error.into()) }).inc();
    }

    /// What went wrong at the queues' socket, from the start until now.
    pub fn losses(&self, losses: &nfqueue::Losses) {
        up_to(&self.overruns, losses.overruns);
        up_to(&self.malformed, losses.malformed);
        up_to(&self.refused, losses.refused);
    }

    /// All of it, to be asked for.
    fn registry(&self, queues: &[u16]) -> Registry {
        let mut all = Registry::with_prefix("nfdhcpd");
        all.register("packets_received", "Packets from guests", self.received.clone());
        all.register("packets_answered", "Packets that were answered, and with what", self.answered.clone());
        all.register("packets_dropped", "Packets without an answer, and why", self.dropped.clone());
        all.register("packets_passed", "Packets that went their way, and why", self.passed.clone());
        all.register("packets_over_limit", "Packets over the rate limit of their tap", self.over.clone());
        all.register("frames_unsent", "Frames that could not be sent, and why", self.unsent.clone());
        all.register("advertisements", "Router advertisements that nobody asked for", self.advertised.clone());
        all.register("bindings", "Binding files in force", self.bindings.clone());
        all.register("taps", "Taps that have a binding", self.taps.clone());
        all.register("receive_overruns", "Times that packets did not fit the receive buffer", self.overruns.clone());
        all.register("messages_malformed", "Messages of the kernel that were not understood", self.malformed.clone());
        all.register("verdicts_refused", "Verdicts that the kernel refused", self.refused.clone());
        all.register("queue_waiting", "Packets that wait for a verdict", self.waiting.clone());
        all.register("queue_dropped", "Packets dropped by the kernel: queue full", self.queue_dropped.clone());
        all.register("queue_user_dropped", "Packets dropped by the kernel: not received", self.buffer_dropped.clone());
        all.register("answer_seconds", "Time from taking a packet to its answer", self.took.0.clone());
        for queue in queues {
            let _ = self.waiting.get_or_create(&Queue { queue: *queue });
        }
        all
    }

    /// Asks the kernel how its queues are.
    fn look_at_queues(&self, queues: &[u16]) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for state in nfqueue::states().into_iter().filter(|state| queues.contains(&state.queue)) {
            let queue = Queue { queue: state.queue };
            self.waiting.get_or_create(&queue).set(number(state.waiting));
            up_to(&self.queue_dropped.get_or_create(&queue), state.dropped);
            up_to(&self.buffer_dropped.get_or_create(&queue), state.user_dropped);
        }
    }
}

/// Has a counter say what somebody else has counted so far.
fn up_to(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// What the endpoint serves.
pub struct Page {
    metrics: Metrics,
    registry: Registry,
    queues: Vec<u16>,
}

impl Page {
    /// The metrics, and the kernel's of these queues.
    pub fn new(metrics: &Metrics, queues: Vec<u16>) -> Self {
        Self { metrics: metrics.clone(), registry: metrics.registry(&queues), queues }
    }

    /// The page as it is now, in OpenMetrics' text format.
    pub fn text(&self) -> String {
        self.metrics.look_at_queues(&self.queues);
        let mut text = String::new();
        // A String takes everything.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
