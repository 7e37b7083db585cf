//! What to ask Ironic next, and when: a value without clock or I/O.

use crate::daemon::schedule::Moment;
use crate::source::ironic::Backoff;
use std::time::Duration;

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Which nodes are under inspection.
    Nodes,
    /// What ports a node has that entered or left inspection.
    PortsOfNode,
    /// The next page of all ports.
    Page,
    /// Nothing before this.
    Wait(Moment),
}

/// When things are due.
#[derive(Debug, Clone)]
pub struct Agenda {
    poll_interval: Duration,
    sync_period: Option<Duration>,
    next_nodes: Moment,
    /// None: only when there is doubt.
    next_listing: Option<Moment>,
    is_listing: bool,
    backoff: Backoff,
    not_before: Moment,
}

impl Agenda {
    /// Nodes every `poll_interval`, all ports every `sync_period`; both at once for a start.
    pub fn new(poll_interval: Duration, sync_period: Option<Duration>) -> Self {
        let (next_nodes, next_listing) = (Moment::ZERO, Some(Moment::ZERO));
        let (is_listing, not_before) = (false, Moment::ZERO);
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { poll_interval, sync_period, next_nodes, next_listing, is_listing, backoff, not_before }
    }

    /// What to do at this time. `asks`: there is a node to be asked for its ports.
    ///
    /// Nodes come first, also between the pages of a listing: who enters inspection waits for an answer to its DHCP.
    pub fn next(&self, now: Moment, asks: bool) -> Task {
        if now < self.not_before {
            Task::Wait(self.not_before)
        } else if self.next_nodes <= now {
            Task::Nodes
        } else if asks {
            Task::PortsOfNode
        } else if self.is_listing || self.next_listing.is_some_and(|at| at <= now) {
            Task::Page
        } else {
            Task::Wait(self.next_listing.map_or(self.next_nodes, |at| at.min(self.next_nodes)))
        }
    }

    /// Nodes were told; they had been asked for at `began`.
    pub fn told_nodes(&mut self, began: Moment) {
        self.succeeded(began);
        self.next_nodes = began + self.poll_interval;
    }

    /// A node's ports were told.
    pub fn told_ports(&mut self, now: Moment) {
        self.succeeded(now);
    }

    /// A page was told. The first of a listing sets the time of the next listing: the period is from begin to begin.
    pub fn told_page(&mut self, began: Moment, is_last: bool) {
        self.succeeded(began);
        if !self.is_listing {
            self.next_listing = self.sync_period.map(|period| began + period);
        }
        self.is_listing = !is_last;
    }

    /// What is known may be wrong: everything is listed as soon as possible.
    pub fn doubt(&mut self) {
        self.next_listing = Some(Moment::ZERO);
    }

    /// A listing has to begin anew.
    pub fn begin_anew(&mut self) {
        self.is_listing = false;
        self.doubt();
    }

    /// A question failed: nothing is asked for a while, which grows with each failure in a row; `seed` is any number, see
    /// [`Backoff::next`].
    pub fn failed(&mut self, now: Moment, seed: u64) {
        self.not_before = now + self.backoff.next(seed);
        self.begin_anew();
    }

    /// How often in a row a question failed.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// After failures, the next answers are taken as they are, and all ports are listed.
    fn succeeded(&mut self, now: Moment) {
        self.backoff.reset();
        self.not_before = self.not_before.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Moment {
        Moment::from_secs_f64(seconds)
    }

    fn agenda() -> Agenda {
        Agenda::new(seconds(1.5), Some(seconds(15.0)))
    }

    #[test]
    fn nodes_are_asked_between_pages_and_everything_is_listed_once_a_period() {
        let mut agenda = agenda();
        assert_eq!(agenda.next(seconds(0.0), false), Task::Nodes);
        agenda.told_nodes(seconds(0.0));
        assert_eq!(agenda.next(seconds(0.1), false), Task::Page);
        agenda.told_page(seconds(0.1), false);
        assert_eq!(agenda.next(seconds(1.4), true), Task::PortsOfNode);
        assert_eq!(agenda.next(seconds(1.5), true), Task::Nodes);
        agenda.told_nodes(seconds(1.5));
        assert_eq!(agenda.next(seconds(1.6), false), Task::Page);
        agenda.told_page(seconds(1.6), true);
        assert_eq!(agenda.next(seconds(1.7), false), Task::Wait(seconds(3.0)));
        agenda.told_nodes(seconds(15.0));
        assert_eq!(agenda.next(seconds(15.05), false), Task::Wait(seconds(15.1)));
        assert_eq!(agenda.next(seconds(15.1), false), Task::Page);
    }

    #[test]
    fn without_a_period_everything_is_listed_at_the_start_and_after_doubt() {
        let mut agenda = Agenda::new(seconds(1.0), None);
        agenda.told_nodes(seconds(0.0));
        agenda.told_page(seconds(0.0), true);
        assert_eq!(agenda.next(seconds(0.5), false), Task::Wait(seconds(1.0)));
        agenda.doubt();
        assert_eq!(agenda.next(seconds(0.5), false), Task::Page);
    }

    #[test]
    fn pauses_after_failures_grow_to_a_bound_and_are_forgotten_with_the_first_success() {
        let mut agenda = agenda();
        let mut now = seconds(0.0);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            agenda.failed(now, u64::MAX);
            let Task::Wait(until) = agenda.next(now, true) else { panic!("it does not wait") };
            pauses.push(until.abs_diff(now).as_secs());
            now = until;
        }
        assert_eq!(pauses[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pauses[39], 30);
        agenda.told_nodes(now);
        assert_eq!(agenda.failures(), 0);
        // And what was missed meanwhile is listed.
        assert_eq!(agenda.next(now, false), Task::Page);
        agenda.failed(now, 0);
        assert_eq!(agenda.next(now, false), Task::Wait(now + seconds(0.5)));
    }
}
