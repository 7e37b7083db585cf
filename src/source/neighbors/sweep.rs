//! Whom to ask next, and when. A value: no I/O, no clock.
//!
//! What is to be asked soon comes first, as fast as the rate allows. A round asks for each address of the networks once, and for each
//! IPv6 address that is known, evenly spread over the interval; a few rounds later, when whoever is silent has been found, over ten
//! times the interval, until somebody is sought again. Who is known from better witnesses than the wire is spared. There are never more questions than the rate allows, even if nobody came to
//! ask for a while: what was missed is not made up for. So a round takes its time, or longer where there are more addresses than that
//! allows.

use crate::daemon::schedule::Moment;
use crate::error::{Error, Result};
use ipnet::Ipv4Net;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The shortest prefix that is swept: 65,534 addresses.
pub const SHORTEST_PREFIX: u8 = 16;
/// Questions a second, at most; more is a flood.
const MOST_PER_SECOND: u32 = 1000;
/// Rounds that take no longer than the interval, the one included in which somebody begins to be sought.
const EAGER: u8 = 2;
/// How much longer the others take.
const CALM: u32 = 10;
/// Questions that are asked at once in these, most of the time: to wake up costs more than to ask.
const BATCH: u32 = 10;
/// Addresses that wait to be asked for soon, at most.
const MOST_SOON: usize = 4096;

/// The schedule.
#[derive(Debug, Clone)]
pub struct Sweep {
    networks: Vec<Hosts>,
    also: Vec<Ipv6Addr>,
    /// Whom nobody needs to ask for, and how many of them are in the networks.
    spared: FxHashSet<Ipv4Addr>,
    spared_here: usize,
    /// With the interface by which to ask.
    soon: VecDeque<(u32, IpAddr)>,
    interval: Duration,
    shortest_pause: Duration,
    /// Which one of the round is next.
    next: usize,
    /// When the round began, if one has.
    began: Option<Moment>,
    due: Moment,
    /// When there may be another question, whatever it is for.
    free: Moment,
    rounds: u64,
    /// Rounds that are to begin yet at the interval's pace, and whether this one keeps it.
    eager: u8,
    is_eager: bool,
    /// Questions that are asked at once with the last one.
    batch: u32,
}

/// The addresses of a network that hosts can have.
#[derive(Debug, Clone, Copy)]
struct Hosts {
    first: u32,
    count: usize,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask who has this address.
    Ask(IpAddr),
    /// The same, by the interface with this index.
    AskBy(u32, IpAddr),
    /// Ask again at this moment; if there is none, when there are addresses.
    Wait(Option<Moment>),
}

impl Sweep {
    /// Asks for all of these networks within `interval`, but no more than `per_second` questions a second (1 to 1000). Somebody is sought.
    ///
    /// # Errors
    /// A network is larger than a /16, or a number out of range.
    pub fn new(networks: &[Ipv4Net], interval: Duration, per_second: u32) -> Result<Self> {
        if let Some(large) = networks.iter().find(|network| network.prefix_len() < SHORTEST_PREFIX) {
            return Err(Error::new(format!("{large} is too large to be swept: it has more than 65,536 addresses"))
                .remedy(format!("name the networks in it that guests are in, each a /{SHORTEST_PREFIX} or smaller")));
        }
        if per_second == 0 || per_second > MOST_PER_SECOND {
            return Err(Error::new(format!("a sweep of {per_second} questions a second"))
                .remedy(format!("choose 1 to {MOST_PER_SECOND}")));
        }
        if interval.is_zero() {
            return Err(Error::new("a sweep without an interval").remedy("choose a second or more"));
        }
        // The largest first: what is inside of another is asked for there.
        let mut outer: Vec<Ipv4Net> = Vec::new();
        let mut by_size = networks.to_vec();
        by_size.sort_by_key(Ipv4Net::prefix_len);
        for network in by_size {
            if !outer.iter().any(|larger| larger.contains(&network)) {
                outer.push(network);
            }
        }
        let networks = outer.into_iter().map(Hosts::of).collect();
        let shortest_pause = Duration::from_secs(1) / per_second;
        let (also, soon, began) = (Vec::new(), VecDeque::new(), None);
        let (due, free) = (Moment::ZERO, Moment::ZERO);
        let (eager, is_eager) = (EAGER, true);
        Ok(Self {
            networks,
            also,
            spared: FxHashSet::default(),
            spared_here: 0,
            soon,
            interval,
            shortest_pause,
            next: 0,
            began,
            due,
            free,
            rounds: 0,
            eager,
            is_eager,
            batch: 0,
        })
    }

    /// Somebody is sought: this round goes on at the interval's pace, and so does the next one.
    pub fn seek(&mut self) {
        if !self.is_eager {
            self.due = Moment::ZERO;
        }
        (self.eager, self.is_eager) = (EAGER - 1, true);
    }

    /// Asks for these IPv6 addresses too, from the next time on that their turn comes.
    pub fn also(&mut self, addresses: Vec<Ipv6Addr>) {
        self.also = addresses;
    }

    /// Does not ask for these in its rounds.
    pub fn spare(&mut self, addresses: FxHashSet<Ipv4Addr>) {
        let is_here = |address: &&Ipv4Addr| self.networks.iter().any(|hosts| hosts.has(**address));
        self.spared_here = addresses.iter().filter(is_here).count();
        self.spared = addresses;
    }

    /// Asks for this address as soon as it may be. Of very many, the last are left to the rounds.
    pub fn soon(&mut self, interface: u32, address: IpAddr) {
        if self.soon.len() < MOST_SOON {
            self.soon.push_back((interface, address));
        }
    }

    /// How many rounds have begun.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// How long a round takes now.
    pub fn round(&self) -> Duration {
        self.time().max(self.shortest_pause.saturating_mul(self.asked_for()))
    }

    /// For how many addresses a round asks.
    fn asked_for(&self) -> u32 {
        u32::try_from(self.count() - self.spared_here).unwrap_or(u32::MAX)
    }

    /// How long it is to take.
    fn time(&self) -> Duration {
        if self.is_eager { self.interval } else { self.interval.saturating_mul(CALM) }
    }

    /// What to do now. Time does not go back.
    pub fn next(&mut self, now: Moment) -> Step {
        if self.batch == 0
            && let Some((interface, address)) = self.soon.front().copied()
        {
            if now < self.free {
                return Step::Wait(Some(self.free));
            }
            self.soon.pop_front();
            self.free = now + self.shortest_pause;
            return Step::AskBy(interface, address);
        }
        let count = self.count();
        if self.asked_for() == 0 {
            return Step::Wait(None);
        }
        let due = self.due.max(self.free);
        if now < due && self.batch == 0 {
            return Step::Wait(Some(due));
        }
        self.pass_spared();
        if self.next >= count {
            (self.next, self.batch) = (0, 0);
            // The round's end, if it was not reached yet.
            let end = self.began.take().map_or(now, |began| began + self.time()).max(due);
            if now < end {
                self.due = end;
                return Step::Wait(Some(end));
            }
            self.pass_spared();
        }
        if self.began.is_none() {
            self.began = Some(now);
            self.rounds += 1;
            self.is_eager = self.eager > 0;
            self.eager = self.eager.saturating_sub(1);
        }
        if self.batch == 0 {
            let most = if self.is_eager { 1 } else { BATCH };
            self.batch = u32::try_from(count - self.next).map_or(most, |left| left.min(most));
            self.due = now + self.pause() * self.batch;
            self.free = now + self.shortest_pause * self.batch;
        }
        let address = self.address(self.next);
        (self.next, self.batch) = (self.next + 1, self.batch - 1);
        address.map_or(Step::Wait(Some(self.due)), Step::Ask)
    }

    fn pass_spared(&mut self) {
        while let Some(IpAddr::V4(address)) = self.address(self.next)
            && self.spared.contains(&address)
        {
            self.next += 1;
        }
    }

    fn pause(&self) -> Duration {
        self.shortest_pause.max(self.time() / self.asked_for().max(1))
    }

    fn count(&self) -> usize {
        self.networks.iter().map(|hosts| hosts.count).sum::<usize>() + self.also.len()
    }

    fn address(&self, mut number: usize) -> Option<IpAddr> {
        for hosts in &self.networks {
            if number < hosts.count {
                let offset = u32::try_from(number).ok()?;
                return Some(Ipv4Addr::from(hosts.first.checked_add(offset)?).into());
            }
            number -= hosts.count;
        }
        self.also.get(number).copied().map(IpAddr::V6)
    }
}

impl Hosts {
    fn has(&self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).checked_sub(self.first).and_then(|offset| usize::try_from(offset).ok());
        offset.is_some_and(|offset| offset < self.count)
    }

    /// All but network and broadcast address, which networks of 31 and 32 bits do not have (RFC 3021).
    fn of(network: Ipv4Net) -> Self {
        let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
        let (first, last) = if network.prefix_len() < 31 { (first + 1, last - 1) } else { (first, last) };
        Self { first, count: usize::try_from(last - first + 1).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SECOND: Duration = Duration::from_secs(1);

    fn networks(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What is asked, and when, if time stands still only to wait, until a moment.
    fn asked(sweep: &mut Sweep, until: Moment) -> Vec<(Moment, IpAddr)> {
        let (mut now, mut asked) = (Moment::ZERO, Vec::new());
        loop {
            match sweep.next(now) {
                Step::Ask(address) | Step::AskBy(_, address) => asked.push((now, address)),
                Step::Wait(Some(later)) if later < until => now = later,
                Step::Wait(_) => return asked,
            }
        }
    }

    #[test]
    fn a_round_is_spread_over_the_interval_and_the_next_follows() {
        let mut sweep = Sweep::new(&networks(&["192.0.2.0/30", "192.0.2.9/32"]), 30 * SECOND, 100).unwrap();
        sweep.also(vec!["2001:db8::1".parse().unwrap()]);
        let times: Vec<_> = asked(&mut sweep, 60 * SECOND).iter().map(|(at, who)| format!("{at:?} {who}")).collect();
        assert_eq!(times[..4], ["0ns 192.0.2.1", "7.5s 192.0.2.2", "15s 192.0.2.9", "22.5s 2001:db8::1"]);
        assert_eq!((times.len(), &times[4][..]), (8, "30s 192.0.2.1"));
        assert_eq!(sweep.rounds(), 2);
    }

    #[test]
    fn rounds_take_longer_once_all_had_their_chance_until_somebody_is_sought() {
        let mut sweep = Sweep::new(&networks(&["192.0.2.0/30"]), 10 * SECOND, 100).unwrap();
        let seconds = |asked: &[(Moment, IpAddr)]| asked.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(&asked(&mut sweep, 200 * SECOND)), [0, 5, 10, 15, 20, 20, 120, 120]);
        sweep.seek();
        let mut found = Vec::new();
        let mut now = 200 * SECOND;
        while now < 240 * SECOND {
            match sweep.next(now) {
                Step::Ask(_) => found.push(now.as_secs()),
                Step::Wait(Some(later)) => now = later,
                step => panic!("{step:?}"),
            }
        }
        // One round, and then the pace is slow again.
        assert_eq!(found, [200, 205, 210, 210]);
    }

    #[test]
    fn a_network_that_the_rate_does_not_allow_in_time_takes_longer() {
        let mut sweep = Sweep::new(&networks(&["10.0.0.0/16"]), 30 * SECOND, 1000).unwrap();
        assert_eq!(sweep.round(), Duration::from_millis(65_534));
        let round = sweep.round();
        let asked = asked(&mut sweep, round);
        assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), 65_534);
        assert_eq!(asked.last().unwrap().1, Ipv4Addr::new(10, 0, 255, 254));
    }

    #[test]
    fn a_network_of_more_than_a_16_is_refused() {
        let refused = |texts: &[&str]| Sweep::new(&networks(texts), SECOND, 9).unwrap_err().to_string();
        assert_eq!(
            refused(&["192.0.2.0/24", "10.0.0.0/15"]),
            "10.0.0.0/15 is too large to be swept: it has more than 65,536 addresses; \
             name the networks in it that guests are in, each a /16 or smaller"
        );
        for rate in [0, 1001] {
            assert!(Sweep::new(&[], SECOND, rate).is_err());
        }
        assert!(Sweep::new(&[], Duration::ZERO, 9).is_err());
    }

    #[test]
    fn who_is_spared_is_not_asked_and_the_others_share_the_time() {
        let mut sweep = Sweep::new(&["192.0.2.0/29".parse().unwrap()], 6 * SECOND, 100).unwrap();
        let last = |numbers: &[u8]| numbers.iter().map(|number| Ipv4Addr::new(192, 0, 2, *number)).collect();
        // One of them is nowhere here.
        sweep.spare(last(&[1, 2, 5, 6, 77]));
        let times: Vec<_> = asked(&mut sweep, 7 * SECOND).iter().map(|(at, who)| format!("{at:?} {who}")).collect();
        assert_eq!(times, ["0ns 192.0.2.3", "3s 192.0.2.4", "6s 192.0.2.3"]);
        sweep.spare(last(&[1, 2, 3, 4, 5, 6]));
        assert_eq!(sweep.next(600 * SECOND), Step::Wait(None));
        sweep.spare(last(&[]));
        assert!(matches!(sweep.next(600 * SECOND), Step::Ask(_)));
    }

    #[test]
    fn what_is_inside_of_another_network_is_asked_for_once() {
        let twice = networks(&["192.0.2.4/31", "192.0.2.0/29", "192.0.2.0/29", "192.0.2.3/29"]);
        let mut sweep = Sweep::new(&twice, SECOND, 100).unwrap();
        let hosts: Vec<_> = asked(&mut sweep, SECOND).into_iter().map(|(_, address)| address.to_string()).collect();
        assert_eq!(hosts, (1..7).map(|host| format!("192.0.2.{host}")).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_asked_for_soon_comes_first_at_the_rate_and_the_round_goes_on() {
        let mut sweep = Sweep::new(&networks(&["192.0.2.0/30"]), 2 * SECOND, 10).unwrap();
        assert_eq!(sweep.next(Moment::ZERO), Step::Ask(Ipv4Addr::new(192, 0, 2, 1).into()));
        for last in [7, 8] {
            sweep.soon(3, Ipv4Addr::new(10, 0, 0, last).into());
        }
        let times: Vec<_> = asked(&mut sweep, 2 * SECOND).iter().map(|(at, who)| format!("{at:?} {who}")).collect();
        assert_eq!(times, ["100ms 10.0.0.7", "200ms 10.0.0.8", "1s 192.0.2.2"]);
        let mut idle = Sweep::new(&[], SECOND, 10).unwrap();
        (0..10_000).for_each(|_| idle.soon(3, Ipv4Addr::LOCALHOST.into()));
        assert_eq!((idle.soon.len(), idle.next(SECOND)), (MOST_SOON, Step::AskBy(3, Ipv4Addr::LOCALHOST.into())));
    }

    #[test]
    fn without_addresses_there_is_nothing_to_wait_for() {
        let mut sweep = Sweep::new(&[], SECOND, 100).unwrap();
        assert_eq!(sweep.next(SECOND), Step::Wait(None));
        sweep.also(vec![Ipv6Addr::LOCALHOST]);
        assert_eq!(sweep.next(SECOND), Step::Ask(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn the_greatest_and_the_smallest_addresses_are_right() {
        let hosts = |text: &str| {
            let hosts = Hosts::of(text.parse().unwrap());
            (Ipv4Addr::from(hosts.first).to_string(), hosts.count)
        };
        assert_eq!(hosts("255.255.0.0/16"), ("255.255.0.1".to_owned(), 65_534));
        assert_eq!(hosts("255.255.255.255/32"), ("255.255.255.255".to_owned(), 1));
        assert_eq!(hosts("0.0.0.0/31"), ("0.0.0.0".to_owned(), 2));
    }

    proptest! {
        #[test]
        fn never_more_questions_than_the_rate_allows_but_for_what_is_asked_at_once(
            prefixes in vec((any::<u32>(), 22u8..=32), 0..4), also in 0usize..5, interval in 1u64..90, rate in 1u32..=1000,
            soon in 0u8..20, delays in vec(0u64..3_000, 1..300)
        ) {
            let networks: Vec<_> = prefixes.into_iter()
                .map(|(address, length)| Ipv4Net::new(address.into(), length).unwrap()).collect();
            let mut sweep = Sweep::new(&networks, Duration::from_secs(interval), rate).unwrap();
            sweep.also(vec![Ipv6Addr::LOCALHOST; also]);
            (0..soon).for_each(|last| sweep.soon(1, Ipv4Addr::new(10, 0, 0, last).into()));
            let (mut now, mut asked, batch) = (Moment::ZERO, Vec::new(), BATCH as usize);
            for delay in delays {
                match sweep.next(now) {
                    Step::Ask(_) | Step::AskBy(..) => {
                        asked.push(now);
                        if let Some(before) = asked.len().checked_sub(2 * batch).map(|index| asked[index]) {
                            prop_assert!(now >= before + Duration::from_secs(1) / rate * BATCH);
                        }
                    }
                    Step::Wait(None) => prop_assert!(sweep.count() == 0),
                    Step::Wait(Some(later)) => {
                        prop_assert!(later > now);
                        prop_assert!(later <= now + sweep.round());
                        now = later;
                    }
                }
                now += Duration::from_millis(delay);
            }
        }
    }
}
