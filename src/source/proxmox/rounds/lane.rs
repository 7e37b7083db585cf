//! A node, and what is on its way to it.

use super::super::Place;
use super::Call;
use super::known::{Known, seed};
use crate::daemon::schedule::Moment;
use crate::plan::guest::Kind;
use crate::source::backoff::Backoff;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Questions on their way to a node: each keeps one of its few workers busy.
const MOST: u8 = 2;
/// A node that does not answer is asked again after this time at first, ...
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// ... and after this time at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What about a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Config(u32),
    /// Which its node tells.
    Interfaces(u32),
    /// Which its agent tells.
    Agent(u32),
}

impl What {
    pub fn addresses(place: &Place) -> Self {
        match place.kind {
            Kind::Qemu => Self::Agent(place.vmid),
            Kind::Lxc => Self::Interfaces(place.vmid),
        }
    }
}

/// A node.
#[derive(Debug)]
pub(super) struct Lane {
    /// Whether the list has it.
    pub is_listed: bool,
    pub is_online: bool,
    in_flight: u8,
    /// One of them is for an agent.
    agent_in_flight: bool,
    queue: VecDeque<What>,
    agents: VecDeque<u32>,
    backoff: Backoff,
    until: Moment,
}

impl Lane {
    pub fn new() -> Self {
        Self {
            is_listed: true,
            is_online: true,
            in_flight: 0,
            agent_in_flight: false,
            queue: VecDeque::new(),
            agents: VecDeque::new(),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            until: Moment::ZERO,
        }
    }

    /// Whether it may be asked something.
    pub fn is_ready(&self, now: Moment) -> bool {
        self.is_online && self.until <= now
    }

    /// Whether nothing is on its way or waits, but for agents.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight == u8::from(self.agent_in_flight)
    }

    pub fn is_unused(&self) -> bool {
        !self.is_listed && self.in_flight == 0
    }

    pub fn is_failing(&self) -> bool {
        self.backoff.failures() > 0
    }

    pub fn push(&mut self, what: What) {
        match what {
            What::Agent(vmid) => self.agents.push_back(vmid),
            what => self.queue.push_back(what),
        }
    }

    pub fn push_first(&mut self, what: What) {
        match what {
            What::Agent(vmid) => self.agents.push_front(vmid),
            what => self.queue.push_front(what),
        }
    }

    pub fn clear(&mut self) {
        self.queue.clear();
        self.agents.clear();
    }

    /// The next question, which is on its way from now on. What waits is a hint only: the guest says whether it is still wanted.
    pub fn next(&mut self, node: &str, guests: &mut BTreeMap<u32, Known>, now: Moment) -> Option<Call> {
        let most = if self.is_failing() { 1 } else { MOST };
        if self.in_flight >= most || !self.is_ready(now) {
            return None;
        }
        while let Some(what) = self.queue.pop_front() {
            let (What::Config(vmid) | What::Interfaces(vmid) | What::Agent(vmid)) = what;
            let Some(known) = guests.get_mut(&vmid).filter(|known| known.listed.node == node) else { continue };
            let (pace, call): (_, fn(Place) -> Call) = match what {
                What::Config(_) => (&mut known.config_pace, Call::Config),
                What::Interfaces(_) | What::Agent(_) => (&mut known.addresses_pace, Call::Addresses),
            };
            if pace.is_wanted(now) {
                pace.begin(now);
                self.in_flight += 1;
                return Some(call(known.place()));
            }
        }
        // An agent may take its time: never more than one, and nothing waits for it.
        while !self.agent_in_flight
            && !self.is_failing()
            && let Some(vmid) = self.agents.pop_front()
        {
            let Some(known) = guests.get_mut(&vmid).filter(|known| known.listed.node == node) else { continue };
            if known.addresses_pace.is_wanted(now) && known.asks_for_addresses() {
                known.addresses_pace.begin(now);
                self.in_flight += 1;
                self.agent_in_flight = true;
                return Some(Call::Addresses(known.place()));
            }
        }
        None
    }

    /// An answer came, whatever it says.
    pub fn answered(&mut self, is_agents: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if is_agents {
            self.agent_in_flight = false;
        }
    }

    /// It is there.
    pub fn succeed(&mut self) {
        self.backoff.reset();
        self.until = Moment::ZERO;
    }

    /// It does not answer: it is left alone for a while. What else was on its way when it went makes that no longer.
    pub fn fail(&mut self, now: Moment) {
        self.clear();
        if self.until <= now {
            self.until = now + self.backoff.next(seed(now, 0));
        }
    }
}
