//! What to ask Ironic next, and when: a value without clock or I/O.

use crate::daemon::schedule::Moment;
use crate::source::ironic::Backoff;
use std::time::Duration;

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Which nodes are under inspection.
    Nodes,
    /// What ports a node has that entered or left inspection.
    PortsOfNode,
    /// The next page of all ports.
    Page,
}

/// All of them, those first that somebody waits for.
const ALL: [Question; 3] = [Question::Nodes, Question::PortsOfNode, Question::Page];

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Ask.
    Ask(Question),
    /// Nothing before this.
    Wait(Moment),
}

/// A question's failures in a row.
#[derive(Debug, Clone)]
struct Line {
    backoff: Backoff,
    not_before: Moment,
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
    last: Option<Question>,
    lines: [Line; 3],
}

impl Agenda {
    /// Nodes every `poll_interval`, all ports every `sync_period`; both at once for a start.
    pub fn new(poll_interval: Duration, sync_period: Option<Duration>) -> Self {
        let line = || Line { backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), not_before: Moment::ZERO };
        Self {
            poll_interval,
            sync_period,
            next_nodes: Moment::ZERO,
            next_listing: Some(Moment::ZERO),
            is_listing: false,
            last: None,
            lines: [line(), line(), line()],
        }
    }

    /// What to do at this time. `asks`: there is a node to be asked for its ports.
    ///
    /// Nodes come first, also between the pages of a listing: who enters inspection waits for an answer to its DHCP. But not
    /// twice in a row while there is something else to do, however long Ironic takes; and a question that fails holds up no other.
    pub fn next(&self, now: Moment, asks: bool) -> Task {
        let due = |question: &Question| self.due(*question, asks).is_some_and(|at| at <= now);
        let others = || ALL.iter().filter(|question| self.last != Some(**question)).find(|question| due(question));
        let first = match self.last {
            Some(Question::Nodes) => others().or_else(|| ALL.iter().find(|question| due(question))),
            _ => ALL.iter().find(|question| due(question)),
        };
        match first {
            Some(question) => Task::Ask(*question),
            None => Task::Wait(ALL.iter().filter_map(|question| self.due(*question, asks)).min().unwrap_or(now)),
        }
    }

    /// When this is due.
    fn due(&self, question: Question, asks: bool) -> Option<Moment> {
        let at = match question {
            Question::Nodes => Some(self.next_nodes),
            Question::PortsOfNode => asks.then_some(Moment::ZERO),
            Question::Page if self.is_listing => Some(Moment::ZERO),
            Question::Page => self.next_listing,
        };
        at.map(|at| at.max(self.line(question).not_before))
    }

    /// Nodes were told; they had been asked for at `began`.
    pub fn told_nodes(&mut self, began: Moment) {
        self.succeeded(Question::Nodes);
        self.next_nodes = began + self.poll_interval;
    }

    /// A node's ports were told.
    pub fn told_ports(&mut self) {
        self.succeeded(Question::PortsOfNode);
    }

    /// A page was told. The first of a listing sets the time of the next listing: the period is from begin to begin. The
    /// failures of a listing are forgotten with its last page.
    pub fn told_page(&mut self, began: Moment, is_last: bool) {
        self.last = Some(Question::Page);
        if is_last {
            self.succeeded(Question::Page);
        }
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

    /// A question failed: it is not asked for a while, which grows with each failure in a row; `seed` is any number, see
    /// [`Backoff::next`]. What was missed meanwhile is listed.
    pub fn failed(&mut self, question: Question, now: Moment, seed: u64) {
        self.last = Some(question);
        let line = self.line_mut(question);
        line.not_before = now + line.backoff.next(seed);
        match question {
            Question::Page => self.begin_anew(),
            _ => self.doubt(),
        }
    }

    /// Whether a question was not answered the last time.
    pub fn is_failing(&self) -> bool {
        self.lines.iter().any(|line| line.backoff.failures() > 0)
    }

    fn succeeded(&mut self, question: Question) {
        self.last = Some(question);
        let line = self.line_mut(question);
        line.backoff.reset();
        line.not_before = Moment::ZERO;
    }

    fn line(&self, question: Question) -> &Line {
        let [nodes, ports, page] = &self.lines;
        match question {
            Question::Nodes => nodes,
            Question::PortsOfNode => ports,
            Question::Page => page,
        }
    }

    fn line_mut(&mut self, question: Question) -> &mut Line {
        let [nodes, ports, page] = &mut self.lines;
        match question {
            Question::Nodes => nodes,
            Question::PortsOfNode => ports,
            Question::Page => page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Question::{Nodes, Page, PortsOfNode};
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
        assert_eq!(agenda.next(seconds(0.0), false), Task::Ask(Nodes));
        agenda.told_nodes(seconds(0.0));
        assert_eq!(agenda.next(seconds(0.1), false), Task::Ask(Page));
        agenda.told_page(seconds(0.1), false);
        assert_eq!(agenda.next(seconds(1.4), true), Task::Ask(PortsOfNode));
        assert_eq!(agenda.next(seconds(1.5), true), Task::Ask(Nodes));
        agenda.told_nodes(seconds(1.5));
        assert_eq!(agenda.next(seconds(1.6), false), Task::Ask(Page));
        agenda.told_page(seconds(1.6), true);
        assert_eq!(agenda.next(seconds(1.7), false), Task::Wait(seconds(3.0)));
        agenda.told_nodes(seconds(15.0));
        assert_eq!(agenda.next(seconds(15.05), false), Task::Wait(seconds(15.1)));
        assert_eq!(agenda.next(seconds(15.1), false), Task::Ask(Page));
    }

    #[test]
    fn an_ironic_that_takes_longer_than_the_interval_is_asked_everything_in_turns() {
        let mut agenda = agenda();
        let mut now = seconds(0.0);
        let mut asked = Vec::new();
        for _ in 0..6 {
            let Task::Ask(question) = agenda.next(now, asked.len() < 4) else { panic!("it waits") };
            asked.push(question);
            let began = now;
            now += seconds(2.0);
            match question {
                Nodes => agenda.told_nodes(began),
                PortsOfNode => agenda.told_ports(),
                Page => agenda.told_page(began, false),
            }
        }
        assert_eq!(asked, [Nodes, PortsOfNode, Nodes, PortsOfNode, Nodes, Page]);
    }

    #[test]
    fn without_a_period_everything_is_listed_at_the_start_and_after_doubt() {
        let mut agenda = Agenda::new(seconds(1.0), None);
        agenda.told_nodes(seconds(0.0));
        agenda.told_page(seconds(0.0), true);
        assert_eq!(agenda.next(seconds(0.5), false), Task::Wait(seconds(1.0)));
        agenda.doubt();
        assert_eq!(agenda.next(seconds(0.5), false), Task::Ask(Page));
    }

    #[test]
    fn pauses_of_a_question_grow_to_a_bound_and_are_forgotten_with_its_first_success() {
        let mut agenda = agenda();
        let mut now = seconds(0.0);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            agenda.failed(Page, now, u64::MAX);
            agenda.told_nodes(now);
            agenda.next_nodes = seconds(1e6);
            // The others are asked meanwhile.
            assert_eq!(agenda.next(now, true), Task::Ask(PortsOfNode));
            let Task::Wait(until) = agenda.next(now, false) else { panic!("it does not wait") };
            pauses.push(until.abs_diff(now).as_secs());
            now = until;
        }
        assert_eq!(pauses[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pauses[39], 30);
        // Not with its first page.
        agenda.told_page(now, false);
        assert!(agenda.is_failing());
        agenda.told_page(now, true);
        assert!(!agenda.is_failing());
    }

    #[test]
    fn after_nodes_could_not_be_asked_everything_is_listed() {
        let mut agenda = agenda();
        agenda.told_nodes(seconds(0.0));
        agenda.told_page(seconds(0.0), true);
        agenda.failed(Nodes, seconds(1.5), 0);
        assert_eq!(agenda.next(seconds(1.6), false), Task::Ask(Page));
        assert_eq!(agenda.due(Nodes, false), Some(seconds(2.0)));
    }
}
