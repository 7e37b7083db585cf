//! Several questions at a time.

use super::Cluster;
use super::rounds::{Answer, Call};
use crate::daemon::schedule::Moment;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// Questions that are on their way to a cluster. Dropping it ends them, and [`super::Rounds`] would wait for their answers: it lives
/// as long as they do.
pub struct Reading<'a, C> {
    cluster: &'a C,
    in_flight: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + 'a>>>,
}

/// A question that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What was asked.
    pub call: Call,
    /// What came.
    pub answer: Answer,
    /// How long that took.
    pub took: Duration,
}

impl Call {
    /// Asks a cluster this; what it answers.
    pub async fn put_to(&self, cluster: &impl Cluster, now: Moment) -> Answer {
        match self {
            Self::Resources => Answer::Resources(cluster.resources().await),
            Self::Config(place) => Answer::Config(place.clone(), cluster.config(place).await),
            Self::Addresses(place) => Answer::Addresses(place.clone(), cluster.interfaces(place).await),
            Self::Ipam => Answer::Ipam(cluster.ipam(now).await),
        }
    }
}

impl<'a, C: Cluster> Reading<'a, C> {
    /// Of this cluster; nothing is asked yet.
    pub fn new(cluster: &'a C) -> Self {
        Self { cluster, in_flight: FuturesUnordered::new() }
    }

    /// Asks; it begins when [`Self::done`] is awaited.
    pub fn ask(&mut self, call: Call, now: Moment) {
        let cluster = self.cluster;
        self.in_flight.push(Box::pin(async move {
            let begun = Instant::now();
            let answer = call.put_to(cluster, now).await;
            Done { call, answer, took: begun.elapsed() }
        }));
    }

    /// The next answer; never one while nothing is asked. It may be dropped and called again: nothing is lost.
    pub async fn done(&mut self) -> Done {
        match self.in_flight.next().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// The next answer, if it is there already.
    pub fn done_already(&mut self) -> Option<Done> {
        self.in_flight.next().now_or_never().flatten()
    }

    /// How many questions are on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}
