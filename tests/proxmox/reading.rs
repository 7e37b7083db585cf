//! A whole cluster, read over TLS as [`Rounds`] say.

use super::simulator::{Asking, Cluster, Fault, Simulator, access};
use instances::source::proxmox::{Access, Answer, Call, Known, Note, Outcome, Reading, Rounds};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(10);

/// What is known of a simulator's cluster. Time passes when a test says so, apart from what answers take.
struct Following {
    asking: Asking,
    rounds: Rounds,
    now: Duration,
}

impl Following {
    fn of(simulator: &Simulator) -> Self {
        Self::new(&access(simulator))
    }

    fn new(access: &Access) -> Self {
        Self { asking: Asking::new(access), rounds: Rounds::new(INTERVAL), now: Duration::ZERO }
    }

    /// Asks until there is nothing to ask.
    fn settle(&mut self) -> Outcome {
        self.settle_until(|_| false)
    }

    /// The same, but no longer than until this is so.
    fn settle_until(&mut self, enough: impl Fn(&Rounds) -> bool) -> Outcome {
        let Self { asking, rounds, now } = self;
        let mut all = Outcome::default();
        asking.wait(async {
            let mut reading = Reading::new(&asking.client);
            loop {
                for call in rounds.next(*now) {
                    reading.ask(call, *now);
                }
                if reading.in_flight() == 0 || enough(rounds) {
                    return;
                }
                let outcome = rounds.answered(reading.done().await.answer, *now);
                all.is_changed |= outcome.is_changed;
                all.gone.extend(outcome.gone);
                all.notes.extend(outcome.notes);
            }
        });
        all
    }

    fn round(&mut self) -> Outcome {
        self.now += INTERVAL;
        self.settle()
    }
}

#[test]
fn the_samples_are_read_whole_and_pve3_stays_unknown() {
    let simulator = Simulator::start();
    let mut following = Following::of(&simulator);
    let outcome = following.settle();
    assert!(
        outcome.notes.iter().all(|note| !matches!(note, Note::Fault(text) if text.contains("GET"))),
        "{:?}",
        outcome.notes
    );
    let unread: Vec<_> = following.rounds.guests().filter(|known| known.config.is_none()).collect();
    let unread: Vec<_> = unread.iter().map(|known| (known.listed.vmid, known.listed.node.as_str())).collect();
    assert_eq!(unread, [(120, "pve3"), (121, "pve3"), (9000, "pve1")], "pve3 is offline, 9000 is a template");
    assert!(following.rounds.sightings().count() > 5);
}

#[test]
fn sixty_guests_are_read_two_at_a_time_on_each_node_and_then_cost_a_share_each_round() {
    let mut cluster = Cluster::populated(60, 3);
    cluster.delay = Duration::from_millis(5);
    let simulator = Simulator::with(cluster, 1);
    let mut following = Following::of(&simulator);
    following.settle();
    assert!(following.rounds.is_complete());
    let silent: Vec<_> = following.rounds.guests().filter(|known| known.sightings.is_empty()).collect();
    assert!(silent.is_empty(), "{:?} {:?}", silent[0], simulator.counters().lanes());
    let lanes = simulator.counters().lanes();
    assert!(lanes.len() == 3 && lanes.values().all(|lane| lane.most == 2 && lane.most_agents == 1), "{lanes:?}");
    assert_eq!(simulator.counters().calls("config"), 60);
    assert!(simulator.hosts[0].connections() <= 7, "{}", simulator.hosts[0].connections());
    for _ in 0..6 {
        simulator.counters().reset();
        let outcome = following.round();
        assert!(!outcome.is_changed && simulator.counters().all() <= 1 + 12 + 5, "{}", simulator.counters().all());
    }
}

/// Nanoseconds that this thread, on which the client runs, has been on a processor.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_thousand_guests_on_ten_nodes_cost_a_fifth_of_their_configs_each_round() {
    let mut cluster = Cluster::populated(1000, 10);
    cluster.delay = Duration::from_millis(5);
    let simulator = Simulator::with(cluster, 1);
    let mut following = Following::of(&simulator);
    let start = Instant::now();
    let is_first = std::cell::Cell::new(true);
    following.settle_until(|rounds| {
        if rounds.is_complete() && is_first.replace(false) {
            println!("1,000 configurations after {:?}, {} ms of CPU", start.elapsed(), cpu() / 1_000_000);
        }
        false
    });
    println!("all addresses after {:?}", start.elapsed());
    assert_eq!(following.rounds.sightings().count(), 1000);
    assert!(simulator.counters().lanes().values().all(|lane| lane.most <= 2 && lane.most_agents <= 1));
    for _ in 0..6 {
        simulator.counters().reset();
        let before = cpu();
        assert!(!following.round().is_changed);
        let calls = simulator.counters().all();
        println!("a round: {calls} calls, {} ms of CPU", (cpu() - before) / 1_000_000);
        assert!(calls <= 1 + 200 + 72, "{calls}");
    }
}

#[test]
fn twenty_five_guests_without_change_cost_eight_calls_a_round() {
    let simulator = Simulator::with(Cluster::populated(25, 3), 1);
    let mut following = Following::of(&simulator);
    following.settle();
    for _ in 0..20 {
        simulator.counters().reset();
        following.round();
        assert!(simulator.counters().all() <= 8, "{}", simulator.counters().all());
    }
}

#[test]
fn agents_that_hang_keep_no_configuration_waiting() {
    let simulator = Simulator::with(Cluster::populated(40, 2), 1);
    let mut following = Following::of(&simulator);
    for vmid in (101..140).step_by(2) {
        simulator.fault(&format!("/nodes/pve{}/qemu/{vmid}/agent", vmid % 2 + 1), Fault::Delay(Duration::from_secs(2)));
    }
    let start = Instant::now();
    following.settle_until(Rounds::is_complete);
    assert!(following.rounds.guests().all(|known| known.config.is_some()));
    let took = start.elapsed();
    // Two of them answered at most.
    assert!(simulator.counters().calls("agent") <= 3, "{} agents in {took:?}", simulator.counters().calls("agent"));
}

#[test]
fn a_guest_that_migrates_and_a_node_that_dies_lose_no_guest() {
    let simulator = Simulator::with(Cluster::populated(12, 3), 1);
    let mut following = Following::of(&simulator);
    following.settle();
    let before: Vec<_> = following.rounds.guests().filter_map(Known::guest).map(|guest| guest.nics).collect();
    simulator.cluster().migrate(100, "pve2");
    simulator.cluster().node("pve3", false);
    for _ in 0..3 {
        let outcome = following.round();
        assert!(outcome.gone.is_empty());
        let now: Vec<_> = following.rounds.guests().filter_map(Known::guest).map(|guest| guest.nics).collect();
        assert_eq!(now, before);
    }
    assert_eq!(following.rounds.guest(100).unwrap().listed.node, "pve2");
    let stale = following.rounds.guests().filter(|known| following.rounds.stale(known.listed.vmid).is_some()).count();
    assert_eq!(stale, 4);
    simulator.cluster().node("pve3", true);
    following.round();
    assert!(following.rounds.guests().all(|known| following.rounds.stale(known.listed.vmid).is_none()));
}

#[test]
fn a_host_that_dies_in_the_middle_of_a_round_is_replaced_and_the_round_goes_on() {
    let mut simulator = Simulator::with(Cluster::populated(30, 2), 2);
    let mut following = Following::of(&simulator);
    following.settle_until(|rounds| rounds.guests().filter(|known| known.config.is_some()).count() > 5);
    simulator.hosts[0].down();
    following = Following { rounds: Rounds::new(INTERVAL), ..following };
    let outcome = following.settle();
    assert!(following.rounds.is_complete() && outcome.notes.is_empty(), "{:?}", outcome.notes);
    assert_eq!(following.asking.client.host(), simulator.hosts[1].url());
}

#[test]
fn every_failure_of_the_api_leaves_what_was_known_and_ends() {
    let mut simulator = Simulator::with(Cluster::populated(12, 3), 1);
    simulator.cluster().refusal_delay = Duration::from_millis(50);
    let mut following = Following::new(&Access { timeout: Duration::from_secs(1), ..access(&simulator) });
    following.settle();
    let known = |following: &Following| following.rounds.guests().filter_map(Known::guest).count();
    for fault in [
        Fault::No(595, "No route to host"),
        Fault::No(500, "whatever"),
        Fault::No(403, "Permission check failed (/vms, VM.Audit)"),
        Fault::HalfJson,
        Fault::Close,
        Fault::Stall,
        Fault::Answer(200, "OK", br#"{"data":[]}"#.to_vec()),
    ] {
        for path in ["/cluster", "/nodes", "/nodes/pve2"] {
            simulator.fault(path, fault.clone());
            following.round();
            following.round();
            assert_eq!(known(&following), 12, "{fault:?} at {path}");
            simulator.heal();
        }
    }
    simulator.cluster().token.1 = "another".to_owned();
    following.round();
    simulator.cluster().token.1 = super::simulator::SECRET.to_owned();
    simulator.hosts[0].down();
    following.round();
    simulator.hosts[0].up();
    for _ in 0..10 {
        following.round();
    }
    assert_eq!(known(&following), 12);
    assert!(following.rounds.is_complete());
    assert!(following.rounds.guests().all(|known| following.rounds.stale(known.listed.vmid).is_none()));
}

#[test]
fn a_guest_heard_on_the_wire_is_read_without_waiting_for_the_round() {
    let simulator = Simulator::with(Cluster::populated(25, 3), 1);
    let mut following = Following::of(&simulator);
    following.settle();
    simulator.cluster().configure(100, "net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:64,ip=10.9.9.9/8");
    simulator.counters().reset();
    following.now += Duration::from_secs(2);
    assert!(following.rounds.heard("bc:24:11:00:00:64".parse().unwrap(), following.now));
    assert!(following.settle().is_changed);
    assert_eq!((simulator.counters().calls("resources"), simulator.counters().calls("config")), (0, 1));
    let guest = following.rounds.guest(100).unwrap().guest().unwrap();
    assert_eq!(guest.nics[0].v4.address(), Some("10.9.9.9".parse().unwrap()));
}

#[test]
fn answers_know_what_they_answer_and_how_long_it_took() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    asking.wait(async {
        let mut reading = Reading::new(&asking.client);
        reading.ask(Call::Resources, Duration::ZERO);
        reading.ask(Call::Ipam, Duration::ZERO);
        let (first, second) = (reading.done().await, reading.done().await);
        for done in [first, second] {
            let is_right = match done.call {
                Call::Resources => matches!(done.answer, Answer::Resources(Ok(_))),
                _ => matches!(done.answer, Answer::Ipam(Ok(_))),
            };
            assert!(is_right && done.took > Duration::ZERO && done.answer.failure().is_none());
        }
    });
}
