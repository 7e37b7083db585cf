//! Rounds against a cluster in memory. Time passes when a test says so.

use super::*;
use crate::plan::guest::{Configured, Nic, State};
use crate::source::proxmox::{Cluster as _, Interface, Memory, Node, Read, Resources, Told};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

type ErrorKind = crate::source::proxmox::Kind;

const INTERVAL: Duration = Duration::from_secs(10);

fn mac(vmid: u32) -> Mac {
    let [a, b, c, d] = vmid.to_be_bytes();
    Mac([0x02, 0, a, b, c, d])
}

fn row(vmid: u32, kind: Kind, node: &str) -> Listed {
    Listed {
        vmid,
        kind,
        node: node.to_owned(),
        name: Some(format!("guest-{vmid}")),
        state: State::Running,
        is_template: false,
        tags: None,
        uptime: Some(100),
        lock: None,
    }
}

fn dhcp(vmid: u32) -> Config {
    let nic = Nic {
        index: 0,
        mac: mac(vmid),
        bridge: Some("vmbr0".to_owned()),
        tag: None,
        is_link_down: false,
        v4: Configured::Dhcp,
        v6: Configured::Unsaid,
    };
    Config { name: Some(format!("guest-{vmid}")), agent_enabled: true, nics: vec![nic], ..Config::default() }
}

fn has(vmid: u32, last: u8) -> Told {
    let addresses = vec![Ipv4Addr::new(192, 0, 2, last).into()];
    Told::Interfaces(vec![Interface { mac: Some(mac(vmid)), addresses, is_whole: true }])
}

/// A cluster, what is known of it, and what time it is.
struct World {
    memory: Memory,
    rounds: Rounds,
    now: Moment,
    notes: Vec<String>,
    gone: Vec<u32>,
    changes: usize,
}

impl World {
    fn new(guests: impl IntoIterator<Item = (u32, Kind, &'static str)>) -> Self {
        let memory = Memory::new();
        for (vmid, kind, node) in guests {
            memory.put(row(vmid, kind, node), dhcp(vmid));
            memory.tell(vmid, has(vmid, u8::try_from(vmid % 250).unwrap()));
        }
        let rounds = Rounds::new(INTERVAL);
        Self { memory, rounds, now: Moment::ZERO, notes: Vec::new(), gone: Vec::new(), changes: 0 }
    }

    #[allow(clippy::needless_pass_by_value, reason = "a question is answered once")]
    fn answer(&mut self, call: Call) {
        let answer = call.put_to(&self.memory, self.now).now_or_never().unwrap();
        let outcome = self.rounds.answered(answer, self.now);
        self.notes.extend(outcome.notes.into_iter().map(text));
        self.gone.extend(outcome.gone);
        self.changes += usize::from(outcome.is_changed);
    }

    /// Asks and answers until there is nothing to ask; all at once.
    fn settle(&mut self) -> Vec<Call> {
        let mut all = Vec::new();
        loop {
            let calls = self.rounds.next(self.now);
            if calls.is_empty() {
                return all;
            }
            for call in calls {
                all.push(call.clone());
                self.answer(call);
            }
            assert!(all.len() < 100_000, "no end");
        }
    }

    /// The same while time passes.
    fn after(&mut self, time: Duration) -> Vec<Call> {
        let end = self.now + time;
        let mut all = self.settle();
        while let Some(due) = self.rounds.wake().filter(|due| *due < end) {
            assert!(due > self.now, "no end");
            self.now = due;
            all.extend(self.settle());
        }
        self.now = end;
        all.extend(self.settle());
        all
    }

    fn round(&mut self) -> Vec<Call> {
        self.after(INTERVAL)
    }

    /// Until nothing is new to anybody.
    fn calm(mut self) -> Self {
        for _ in 0..20 {
            self.round();
        }
        self.memory.asked();
        self.notes.clear();
        self.changes = 0;
        self
    }

    fn known(&self, vmid: u32) -> &Known {
        self.rounds.guest(vmid).unwrap()
    }
}

fn configs(calls: &[Call]) -> Vec<u32> {
    let config = |call: &Call| match call {
        Call::Config(place) => Some(place.vmid),
        _ => None,
    };
    calls.iter().filter_map(config).collect()
}

fn is_about(vmid: u32) -> impl Fn(&&Call) -> bool {
    move |call| matches!(call, Call::Config(place) | Call::Addresses(place) if place.vmid == vmid)
}

fn many(count: u32) -> World {
    let node = ["pve1", "pve2", "pve3"];
    World::new((100..100 + count).map(|vmid| {
        let kind = if vmid.is_multiple_of(2) { Kind::Lxc } else { Kind::Qemu };
        (vmid, kind, node[vmid as usize % node.len()])
    }))
}

#[test]
fn the_first_round_reads_the_list_then_every_config_then_addresses() {
    let mut world = many(10);
    let calls = world.settle();
    assert_eq!(calls[0], Call::Resources);
    assert_eq!(configs(&calls).len(), 10);
    assert_eq!(calls.iter().filter(|call| matches!(call, Call::Addresses(_))).count(), 10);
    assert!(world.rounds.is_complete() && world.notes.is_empty(), "{:?}", world.notes);
    assert_eq!(world.rounds.sightings().count(), 10);
    assert_eq!(world.rounds.guests().filter_map(Known::guest).count(), 10);
}

#[test]
fn a_round_without_change_costs_8_calls_for_25_guests_and_each_config_is_seen_within_a_minute() {
    for count in [1, 2, 5, 24, 25, 26, 60] {
        let mut world = many(count).calm();
        let mut seen: BTreeMap<u32, Moment> = world.rounds.guests().map(|k| (k.listed.vmid, world.now)).collect();
        let mut addresses = seen.clone();
        for _ in 0..60 {
            let calls = world.round();
            // The list, the SDN, configurations, addresses.
            let most = 2 + count.div_ceil(5) + count.div_ceil(29);
            assert!(calls.len() <= most as usize, "{count} guests: {} calls", calls.len());
            assert!(count != 25 || calls.len() <= 8);
            for call in &calls {
                match call {
                    Call::Config(place) => drop(seen.insert(place.vmid, world.now)),
                    Call::Addresses(place) => drop(addresses.insert(place.vmid, world.now)),
                    Call::Resources | Call::Ipam => {}
                }
            }
            let oldest = |all: &BTreeMap<u32, Moment>| world.now.saturating_sub(*all.values().min().unwrap());
            assert!(oldest(&seen) < CONFIGS, "{count} guests: {:?}", oldest(&seen));
            assert!(oldest(&addresses) <= ADDRESSES + INTERVAL, "{count} guests: {:?}", oldest(&addresses));
        }
        assert_eq!(world.changes, 0);
    }
}

#[test]
fn what_may_have_changed_is_read_in_the_same_round() {
    type Change = fn(&mut Listed);
    let changes: [(&str, Change); 7] = [
        ("name", |listed| listed.name = Some("other".to_owned())),
        ("node", |listed| listed.node = "pve3".to_owned()),
        ("state", |listed| listed.state = State::Stopped),
        ("tags", |listed| listed.tags = Some(["dns".to_owned()].into())),
        ("lock", |listed| listed.lock = Some("backup".to_owned())),
        ("restart", |listed| listed.uptime = Some(1)),
        ("name lost", |listed| listed.name = None),
    ];
    for (what, change) in changes {
        let mut world = many(60).calm();
        let last = world.rounds.guests().max_by_key(|known| known.config_pace.begun).unwrap().listed.vmid;
        world.memory.change(last, |listed, _| change(listed));
        assert!(configs(&world.round()).contains(&last), "{what}");
    }
    let mut world = many(60).calm();
    world.memory.put(row(900, Kind::Lxc, "pve2"), dhcp(900));
    world.memory.tell(900, has(900, 9));
    let calls = world.round();
    assert_eq!(calls.iter().filter(is_about(900)).count(), 2, "a new one, and its addresses");
    assert!(world.rounds.sightings().any(|sighting| sighting.mac == mac(900)));
}

#[test]
fn a_change_without_a_trace_is_found_within_a_minute() {
    let mut world = many(25).calm();
    let vmid = world.rounds.guests().max_by_key(|known| known.config_pace.begun).unwrap().listed.vmid;
    world.memory.change(vmid, |_, config| config.nics[0].v4 = Configured::Static(Ipv4Addr::new(192, 0, 2, 77)));
    let rounds = (1..7).find(|_| {
        world.round();
        world.known(vmid).config.as_ref().unwrap().nics[0].v4.address().is_some()
    });
    assert!(rounds.is_some_and(|rounds| rounds <= 6), "{rounds:?}");
}

#[test]
fn whoever_asks_for_it_has_everything_read_at_once() {
    let mut world = many(10).calm();
    world.rounds.hurry(world.now);
    let calls = world.settle();
    assert_eq!((calls.len(), configs(&calls).len()), (21, 10), "{calls:?}");
    // Not again and again, but once more.
    world.now += Duration::from_millis(1);
    for _ in 0..3000 {
        world.rounds.hurry(world.now);
        assert!(world.rounds.next(world.now).is_empty());
    }
    world.now += Duration::from_secs(1);
    assert_eq!(configs(&world.settle()).len(), 10);
    world.now += Duration::from_secs(1);
    world.rounds.hurry(world.now);
    assert_eq!(configs(&world.settle()).len(), 10);
}

#[test]
fn a_guest_is_not_gone_while_a_question_about_it_is_on_its_way() {
    let mut world = many(3).calm();
    world.rounds.hurry(world.now);
    let (mut calls, mut open) = (world.rounds.next(world.now), Vec::new());
    while let Some(call) = calls.pop() {
        match &call {
            Call::Config(place) if place.vmid == 100 => open.push(call),
            _ => world.answer(call),
        }
        calls.extend(world.rounds.next(world.now));
    }
    world.memory.remove(100);
    for _ in 0..4 {
        world.round();
    }
    assert!(open.len() == 1 && world.rounds.guest(100).is_some());
    world.answer(open.remove(0));
    world.round();
    assert!(world.rounds.guest(100).is_none() && world.rounds.guests().count() == 2);
}

#[test]
fn two_questions_at_most_are_on_their_way_to_a_node_and_one_for_agents() {
    let mut world = many(30);
    world.answer(Call::Resources);
    let first = world.rounds.next(world.now);
    assert_eq!(configs(&first).len(), 6, "two for each of three nodes: {first:?}");
    assert_eq!(world.rounds.next(world.now).iter().filter(|call| **call != Call::Resources).count(), 0);
    // Agents hang; everything else goes on.
    let (mut hung, mut open, mut read) = (Vec::new(), first, 0);
    while let Some(call) = open.pop() {
        match &call {
            Call::Addresses(place) if place.kind == Kind::Qemu => hung.push(place.node.clone()),
            _ => {
                read += usize::from(matches!(call, Call::Config(_)));
                world.answer(call);
            }
        }
        open.extend(world.rounds.next(world.now));
    }
    hung.sort_unstable();
    assert_eq!((read, hung), (30, ["pve1", "pve2", "pve3"].map(str::to_owned).to_vec()));
    assert!(world.rounds.is_complete());
    world.now += INTERVAL;
    let calls = world.rounds.next(world.now);
    assert!(calls.contains(&Call::Resources), "{calls:?}");
}

#[test]
fn an_agent_that_does_not_answer_is_asked_ever_more_rarely_until_its_guest_starts_anew() {
    let mut world = World::new([(101, Kind::Qemu, "pve1")]);
    world.memory.tell(101, Told::Not("not running".to_owned()));
    let asked = |calls: &[Call]| calls.iter().any(|call| matches!(call, Call::Addresses(_)));
    let mut times = Vec::new();
    if asked(&world.settle()) {
        times.push(world.now);
    }
    for _ in 0..360 {
        if asked(&world.round()) {
            times.push(world.now);
        }
    }
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_secs()).collect();
    assert!(gaps.len() < 12 && gaps[0] >= 15 && *gaps.last().unwrap() >= 450, "{gaps:?}");
    assert!(world.notes.is_empty(), "{:?}", world.notes);
    world.memory.tell(101, has(101, 1));
    world.memory.change(101, |listed, _| listed.uptime = Some(1));
    assert!(asked(&world.round()));
    assert_eq!(world.rounds.sightings().count(), 1);
    // What it said stays when it is silent again.
    world.memory.tell(101, Told::Not("not running".to_owned()));
    world = world.calm();
    assert_eq!(world.rounds.sightings().count(), 1);
}

#[test]
fn a_guest_that_was_started_is_asked_in_each_round_until_it_has_an_address() {
    let mut world = World::new([(100, Kind::Lxc, "pve1")]).calm();
    let addresses = vec!["fe80::1".parse().unwrap()];
    let none = Told::Interfaces(vec![Interface { mac: Some(mac(100)), addresses, is_whole: true }]);
    world.memory.tell(100, none);
    world.memory.change(100, |listed, _| listed.uptime = Some(1));
    for _ in 0..3 {
        assert!(world.round().iter().any(|call| matches!(call, Call::Addresses(_))));
    }
    // It goes on to have what it had before.
    assert_eq!(world.rounds.sightings().next().unwrap().address, IpAddr::from([192, 0, 2, 100]));
    world.memory.tell(100, has(100, 5));
    world.round();
    assert_eq!(world.rounds.sightings().count(), 1);
    assert!(!world.round().iter().any(|call| matches!(call, Call::Addresses(_))));
}

#[test]
fn a_node_that_is_offline_keeps_its_guests_as_they_were_and_is_not_asked() {
    let mut world = many(12).calm();
    let before = world.known(102).guest().unwrap();
    let node = before.node.clone();
    world.memory.node(&node, false);
    world.rounds.hurry(world.now);
    world.settle();
    let since = world.now;
    let calls = world.round();
    assert!(calls.iter().all(|call| !matches!(call, Call::Config(p) | Call::Addresses(p) if p.node == node)));
    let now = world.known(102).guest().unwrap();
    let now = crate::plan::guest::Guest { lists: before.lists.clone(), ..now };
    assert_eq!(now, crate::plan::guest::Guest { state: State::Unknown, ..before.clone() });
    let stale = world.rounds.stale(102).unwrap();
    assert_eq!((stale.since, stale.why), (since, format!("the node {node} is offline")));
    assert_eq!(world.rounds.guests().count(), 12);
    world.memory.node(&node, true);
    world.round();
    let now = crate::plan::guest::Guest { lists: before.lists.clone(), ..world.known(102).guest().unwrap() };
    assert_eq!((world.rounds.stale(102), now), (None, before));
}

#[test]
fn an_empty_list_where_guests_were_is_a_permission_problem_and_changes_nothing() {
    let mut world = many(5).calm();
    for vmid in 100..105 {
        world.memory.remove(vmid);
    }
    world = World { changes: 0, ..world };
    for _ in 0..10 {
        world.round();
    }
    assert_eq!((world.rounds.guests().count(), world.gone.len(), world.changes), (5, 0, 0));
    assert_eq!(world.notes.len(), 1, "said once");
    assert!(world.notes[0].contains("lists no guests where there were 5") && world.notes[0].contains("VM.Audit"));
    assert!(world.rounds.failing_since().is_some() && world.rounds.stale(100).unwrap().why.contains("VM.Audit"));
    world.memory.put(row(100, Kind::Lxc, "pve1"), dhcp(100));
    for _ in 0..9 {
        world.round();
    }
    assert!(world.rounds.failing_since().is_none());
    assert_eq!((world.rounds.guests().count(), world.gone.len()), (1, 4));
}

#[test]
fn a_guest_that_moved_between_list_and_reading_is_looked_for_at_once() {
    let mut world = many(6).calm();
    let before = world.known(100).listed.node.clone();
    let to = if before == "pve1" { "pve2" } else { "pve1" };
    world.memory.migrate(100, to);
    assert!(world.rounds.heard(mac(100), world.now + Duration::from_secs(2)));
    let calls = world.after(Duration::from_secs(2));
    let about: Vec<_> = calls.iter().filter(is_about(100)).collect();
    assert!(calls.contains(&Call::Resources) && about.len() >= 2, "{calls:?}");
    assert_eq!((world.known(100).listed.node.as_str(), world.rounds.stale(100)), (to, None));
    assert!(world.notes.is_empty() && world.gone.is_empty());
}

#[test]
fn a_list_that_does_not_know_where_a_guest_is_is_not_asked_for_without_end() {
    let mut world = many(6).calm();
    // Every reading says that it has moved; the list never does.
    world.memory.fail_once(ErrorKind::Moved, "Configuration file does not exist");
    let mut lists = 0;
    for step in 0..30 {
        if step % 10 != 9 {
            world.rounds.heard(mac(100), world.now);
            world.memory.fail_once(ErrorKind::Moved, "Configuration file does not exist");
        }
        lists += world.after(Duration::from_secs(1)).iter().filter(|call| **call == Call::Resources).count();
    }
    assert!(lists <= 8, "{lists} lists in 30 s");
    assert_eq!(world.rounds.guests().count(), 6);
}

#[test]
fn a_guest_is_gone_when_two_lists_lack_it_and_not_before() {
    let mut world = many(6).calm();
    world.memory.remove(101);
    let calls = world.round();
    assert!(!calls.iter().any(|call| is_about(101)(&call)), "{calls:?}");
    assert!(world.gone.is_empty() && world.known(101).guest().is_some());
    // A list between two rounds is no confirmation.
    world.rounds.hurry(world.now + Duration::from_secs(1));
    world.after(Duration::from_secs(1));
    assert!(world.gone.is_empty());
    world.round();
    assert_eq!((world.gone.as_slice(), world.rounds.guest(101).is_none()), ([101].as_slice(), true));
    assert!(!world.rounds.heard(mac(101), world.now), "its MAC address is nobody's now");
    // One that is back in the next list was never away.
    world.memory.remove(102);
    world.round();
    world.memory.put(row(102, Kind::Lxc, "pve1"), dhcp(102));
    world.round();
    world.memory.remove(102);
    world.round();
    assert_eq!(world.gone, [101]);
}

#[test]
fn who_is_heard_on_the_wire_is_read_at_once_but_not_twice_within_a_second() {
    let mut world = many(60).calm();
    let vmid = 101;
    world.after(Duration::from_secs(1));
    assert!(world.rounds.heard(mac(vmid), world.now));
    let calls = world.settle();
    assert_eq!(calls.len(), 2, "config, then addresses: {calls:?}");
    assert!(calls.iter().all(|call| is_about(vmid)(&call)));
    for _ in 0..50 {
        assert!(world.rounds.heard(mac(vmid), world.now));
    }
    assert!(world.settle().is_empty());
    let due = world.rounds.wake().unwrap();
    assert_eq!(due, world.now + APART);
    assert_eq!(world.after(APART).len(), 2);
    assert!(!world.rounds.heard(Mac([2; 6]), world.now), "nobody's");
}

#[test]
fn who_is_heard_while_it_is_being_read_is_read_once_more_at_once() {
    let mut world = many(60).calm();
    world.after(Duration::from_secs(1));
    world.rounds.heard(mac(101), world.now);
    let calls = world.rounds.next(world.now);
    assert_eq!(configs(&calls), [101]);
    world.now += APART;
    world.rounds.heard(mac(101), world.now);
    assert!(world.rounds.next(world.now).is_empty(), "one at a time");
    world.answer(calls[0].clone());
    assert_eq!(configs(&world.settle()), [101]);
}

#[test]
fn an_agent_that_outlasts_everybodys_patience_is_no_reason_to_leave_its_node_alone() {
    for kind in [ErrorKind::NodeDown, ErrorKind::Timeout] {
        let (mut world, mut asked) = (many(30).calm(), 0);
        for _ in 0..20 * ROLLS {
            world.now += INTERVAL / ROLLS;
            loop {
                let calls = world.rounds.next(world.now);
                if calls.is_empty() {
                    break;
                }
                for call in calls {
                    if call.name() == "agent" {
                        asked += 1;
                        world.memory.fail_once(kind, "too long");
                    }
                    world.answer(call);
                }
            }
        }
        assert!(asked > 0 && world.notes.is_empty(), "{asked} {:?}", world.notes);
        assert!(world.rounds.guests().all(|known| known.config_pace.begun > Some(world.now.saturating_sub(CONFIGS))));
    }
}

#[test]
fn a_node_that_does_not_answer_is_left_alone_for_a_while_and_holds_up_nobody() {
    let mut world = many(30);
    world.answer(Call::Resources);
    let calls = world.rounds.next(world.now);
    let mut dead = 0;
    for call in calls {
        answer_dead(&mut world, call, &mut dead);
    }
    loop {
        let calls = world.rounds.next(world.now);
        if calls.is_empty() {
            break;
        }
        for call in calls {
            answer_dead(&mut world, call, &mut dead);
        }
    }
    assert_eq!(dead, 2, "two were on their way, nothing followed");
    assert_eq!(world.rounds.guests().filter(|known| known.config.is_some()).count(), 20);
    assert_eq!(world.notes, ["dead"]);
    // Later one question finds out that it is back; then all are read.
    for _ in 0..3 {
        world.round();
    }
    assert_eq!(world.rounds.guests().filter(|known| known.config.is_some()).count(), 30);
    assert_eq!(world.notes, ["dead", "the node pve1 answers again"]);
}

/// Answers, but for pve1, which is dead.
fn answer_dead(world: &mut World, call: Call, dead: &mut usize) {
    match call {
        Call::Config(place) if place.node == "pve1" => {
            *dead += 1;
            let failure = Failure::new(ErrorKind::NodeDown, "dead");
            let outcome = world.rounds.answered(Answer::Config(place, Err(failure)), world.now);
            world.notes.extend(outcome.notes.into_iter().map(text));
        }
        call => world.answer(call),
    }
}

#[test]
fn a_refused_token_is_not_tried_more_than_once_a_minute() {
    let mut world = many(6).calm();
    world.memory.down(ErrorKind::Unauthorized, "401 Authentication failed!");
    let lists: usize = (0..60).map(|_| world.round().len()).sum();
    assert!((5..=11).contains(&lists), "{lists} questions in 10 min");
    assert_eq!((world.notes.len(), world.rounds.guests().count()), (1, 6));
    world.memory.up();
    (0..7).for_each(|_| drop(world.round()));
    assert_eq!(world.notes.last().unwrap(), "the list of guests comes again");
}

#[test]
fn a_token_that_is_refused_in_the_middle_of_a_round_ends_it() {
    let mut world = many(60);
    world.answer(Call::Resources);
    world.memory.down(ErrorKind::Unauthorized, "401 Authentication failed!");
    assert!(world.settle().len() <= 7);
}

#[test]
fn what_was_known_before_the_start_counts_and_is_stale_until_it_is_read() {
    let mut world = many(2);
    for vmid in [100, 101] {
        let row = row(vmid, world_kind(vmid), "pve1");
        world.rounds.restore(row, Some(dhcp(vmid)), Vec::new(), BTreeMap::new(), Moment::ZERO);
    }
    assert!(world.rounds.stale(100).is_some() && !world.rounds.is_complete());
    assert_eq!(world.rounds.guests().filter_map(Known::guest).count(), 2);
    world.memory.down(ErrorKind::Unreachable, "no route");
    world.round();
    assert_eq!(world.rounds.guests().filter_map(Known::guest).count(), 2);
    world.memory.up();
    world.memory.remove(100);
    for _ in 0..4 {
        world.round();
    }
    assert_eq!((world.gone.as_slice(), world.rounds.stale(101)), ([100].as_slice(), None));
}

fn world_kind(vmid: u32) -> Kind {
    if vmid.is_multiple_of(2) { Kind::Lxc } else { Kind::Qemu }
}

#[test]
fn templates_are_not_read() {
    let mut world = many(3);
    world.memory.change(101, |listed, _| listed.is_template = true);
    let calls = world.settle();
    assert!(!calls.iter().any(|call| is_about(101)(&call)), "{calls:?}");
    assert!(world.rounds.is_complete());
}

#[test]
fn a_number_that_is_given_to_another_guest_inherits_nothing() {
    let mut world = World::new([(100, Kind::Lxc, "pve1")]).calm();
    assert_eq!(world.rounds.sightings().count(), 1);
    world.memory.put(row(100, Kind::Qemu, "pve1"), Config { agent_enabled: false, ..dhcp(100) });
    world.round();
    assert_eq!(world.known(100).guest().unwrap().kind, Kind::Qemu);
    assert_eq!(world.rounds.sightings().count(), 0);
}

#[test]
fn one_guest_that_cannot_be_read_is_told_once_and_costs_the_others_nothing() {
    let mut world = many(3);
    world.memory.change(101, |listed, _| listed.node = "pve1".to_owned());
    world.settle();
    world.memory.change(101, |listed, _| listed.name = Some("new".to_owned()));
    world.now += INTERVAL;
    let calls = world.rounds.next(world.now);
    for call in calls {
        world.answer(call);
    }
    world.memory.fail_once(ErrorKind::Forbidden, "403 Permission check failed (/vms/101, VM.Audit)");
    world.settle();
    assert_eq!(world.notes.len(), 1);
    assert!(world.rounds.guests().all(|known| known.config.is_some()));
    world.round();
    world.round();
    assert!(world.rounds.guests().all(|known| world.rounds.stale(known.listed.vmid).is_none()));
}

#[derive(Debug, Clone)]
enum Event {
    Pass(u16),
    Answer(prop::sample::Index),
    Fail(prop::sample::Index, ErrorKind),
    Migrate(u32, u8),
    Remove(u32),
    Put(u32, u8),
    Node(u8, bool),
    Heard(u32),
    Restart(u32),
}

fn event() -> impl Strategy<Value = Event> {
    use ErrorKind as E;
    let vmid = || 100..112_u32;
    let kind = prop::sample::select(vec![
        E::Unreachable,
        E::Timeout,
        E::Unauthorized,
        E::Forbidden,
        E::Moved,
        E::NodeDown,
        E::NoAgent,
        E::Server,
        E::Nonsense,
    ]);
    prop_oneof![
        3 => (0..12_000_u16).prop_map(Event::Pass),
        8 => any::<prop::sample::Index>().prop_map(Event::Answer),
        1 => (any::<prop::sample::Index>(), kind).prop_map(|(index, kind)| Event::Fail(index, kind)),
        1 => (vmid(), 0..3_u8).prop_map(|(vmid, node)| Event::Migrate(vmid, node)),
        1 => vmid().prop_map(Event::Remove),
        1 => (vmid(), 0..3_u8).prop_map(|(vmid, node)| Event::Put(vmid, node)),
        1 => (0..3_u8, any::<bool>()).prop_map(|(node, is_online)| Event::Node(node, is_online)),
        1 => vmid().prop_map(Event::Heard),
        1 => vmid().prop_map(Event::Restart),
    ]
}

fn node(number: u8) -> String {
    format!("pve{}", number + 1)
}

/// What is on its way is within bounds.
fn bounded(open: &[Call]) {
    let mut lanes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for call in open {
        if let Call::Config(place) | Call::Addresses(place) = call {
            let (all, agents) = lanes.entry(&place.node).or_default();
            *all += 1;
            *agents += usize::from(call.name() == "agent");
        }
    }
    assert!(lanes.values().all(|(all, agents)| *all <= 2 && *agents <= 1), "{open:?}");
    let unique: BTreeSet<_> = open.iter().collect();
    assert_eq!(unique.len(), open.len(), "asked twice at a time: {open:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_happens_bounds_hold_and_all_is_known_in_the_end(events in prop::collection::vec(event(), 0..120)) {
        let mut world = many(8);
        let mut open = Vec::new();
        for event in events {
            match event {
                Event::Pass(millis) => world.now += Duration::from_millis(millis.into()),
                Event::Answer(index) if !open.is_empty() => {
                    let call = open.swap_remove(index.index(open.len()));
                    world.answer(call);
                }
                Event::Fail(index, kind) if !open.is_empty() => {
                    let call: Call = open.swap_remove(index.index(open.len()));
                    world.memory.fail_once(kind, "failed");
                    world.answer(call);
                }
                Event::Migrate(vmid, to) => world.memory.migrate(vmid, &node(to)),
                Event::Remove(vmid) => world.memory.remove(vmid),
                Event::Put(vmid, at) => world.memory.put(row(vmid, world_kind(vmid), &node(at)), dhcp(vmid)),
                Event::Node(number, is_online) => world.memory.node(&node(number), is_online),
                Event::Heard(vmid) => drop(world.rounds.heard(mac(vmid), world.now)),
                Event::Restart(vmid) => world.memory.change(vmid, |listed, _| listed.uptime = Some(0)),
                Event::Answer(_) | Event::Fail(..) => {}
            }
            open.extend(world.rounds.next(world.now));
            bounded(&open);
        }
        for number in 0..3 {
            world.memory.node(&node(number), true);
        }
        world.memory.put(row(100, Kind::Lxc, "pve1"), dhcp(100));
        for call in std::mem::take(&mut open) {
            world.answer(call);
        }
        let listed = world.memory.resources().now_or_never().unwrap().unwrap().value.guests;
        for _ in 0..40 {
            world.round();
        }
        let known: Vec<_> = world.rounds.guests().map(|known| known.listed.clone()).collect();
        prop_assert_eq!(known, listed);
        prop_assert!(world.rounds.is_complete());
        prop_assert!(world.rounds.guests().all(|k| k.config.is_some() && world.rounds.stale(k.listed.vmid).is_none()));
    }
}

fn text(note: Note) -> String {
    match note {
        Note::Fault(text) | Note::Over(text) | Note::Odd(text) => text,
    }
}

fn list(listed: Vec<Listed>, refused: &[Refused]) -> Answer {
    let nodes = vec![Node { name: "pve1".to_owned(), is_online: true }];
    Answer::Resources(Ok(Read { value: Resources { guests: listed, nodes }, refused: refused.to_vec() }))
}

#[test]
fn a_guest_whose_row_makes_no_sense_is_still_listed() {
    let mut world = World::new([(100, Kind::Lxc, "pve1"), (105, Kind::Lxc, "pve1")]).calm();
    let refused = [Refused::new(105, "node", "it has none")];
    for round in 0..4 {
        world.now += INTERVAL;
        assert!(world.rounds.next(world.now).contains(&Call::Resources));
        let outcome = world.rounds.answered(list(vec![row(100, Kind::Lxc, "pve1")], &refused), world.now);
        let said = outcome.notes;
        assert!(outcome.gone.is_empty() && said.len() == usize::from(round == 0), "{round}: {said:?}");
        assert!(said.iter().all(|note| *note == Note::Odd("list of guests: guest 105: node: it has none".to_owned())));
        world.settle();
        assert!(world.rounds.stale(105).unwrap().why.contains("makes no sense"), "{:?}", world.rounds.stale(105));
        assert!(world.rounds.guest(105).unwrap().config.is_some() && world.rounds.stale(100).is_none());
    }
    // Nor is a list with such rows alone an empty one.
    world.now += INTERVAL;
    world.rounds.next(world.now);
    let outcome = world.rounds.answered(list(Vec::new(), &refused), world.now);
    assert!(outcome.gone.is_empty() && world.rounds.failing_since().is_none());
    // It makes sense again; 100 lacks it for the first time now, and is back.
    for _ in 0..8 {
        world.round();
    }
    assert!(world.rounds.stale(105).is_none() && world.gone.is_empty());
}

#[test]
fn an_empty_list_is_said_though_nobody_is_known_and_is_over_with_the_first_guest() {
    let mut world = World::new([]);
    world.round();
    world.round();
    assert!(
        world.notes.len() == 1 && world.notes[0].contains("lacks the privilege VM.Audit on /vms"),
        "{:?}",
        world.notes
    );
    assert!(world.rounds.nobody().is_some() && world.rounds.is_complete());
    world.memory.put(row(100, Kind::Lxc, "pve1"), dhcp(100));
    world.round();
    assert_eq!(world.notes.last().unwrap(), "there are guests in the list");
    assert!(world.rounds.nobody().is_none());
}

#[test]
fn a_privilege_that_is_missing_for_many_is_a_fault_once() {
    let mut world = World::new((100..110).map(|vmid| (vmid, Kind::Lxc, "pve1")));
    world.round();
    let refuse = |world: &mut World, vmid| {
        let place = Place { vmid, kind: Kind::Lxc, node: "pve1".to_owned() };
        let failure = Failure::new(ErrorKind::Forbidden, format!("403 for {vmid}"));
        world.rounds.answered(Answer::Addresses(place, Err(failure)), world.now).notes
    };
    assert_eq!(refuse(&mut world, 100), [Note::Fault("403 for 100".to_owned())]);
    assert_eq!(refuse(&mut world, 101), [Note::Odd("403 for 101".to_owned())]);
    assert_eq!(refuse(&mut world, 100), []);
    let mut allow = |vmid| {
        let place = Place { vmid, kind: Kind::Lxc, node: "pve1".to_owned() };
        world.rounds.answered(Answer::Addresses(place, Ok(has(vmid, 1))), world.now).notes
    };
    assert_eq!(allow(100), []);
    assert_eq!(allow(101), [Note::Over("all guests' addresses may be read".to_owned())]);
}
