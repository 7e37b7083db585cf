//! The evaluator of the model against the kernel: for random registries, policies and frames, a bridge forwards exactly
//! those frames which the evaluator accepts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation)]

mod dice;
#[path = "../common/frames.rs"]
mod frames;
#[path = "../common/netns.rs"]
mod netns;
mod packets;
mod registries;

use dice::Dice;
use frames::Wire;
use instances::net::Mac;
use instances::plan::layout::Layout;
use instances::plan::policy::{self, Wishes};
use instances::plan::verdict::{Evaluator, Frame, Verdict};
use instances::registry::{Registry, wire};
use instances::sink::nft_netlink::apply::{self, Failure};
use netns::{in_new_netns, on_stock_kernel, run};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs;

const SEED: u64 = 3;
const FRAMES: usize = 48;

/// A bridge with two guests, a receiver that sends nothing, and a trusted port from which the last frame of each batch comes.
struct Lab {
    guests: [(&'static str, Wire); 2],
    receiver: Wire,
    trusted: Wire,
}

impl Lab {
    fn new() -> Self {
        // What one processor sends and receives stays in order.
        stay_on_one_processor();
        run("ip", &["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"]);
        for path in ["iptables", "ip6tables", "arptables"] {
            // Only there with br_netfilter.
            let _ = fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{path}"), "0");
        }
        for guest in ["web", "db", "tap", "eth"] {
            let port = format!("{guest}p");
            run("ip", &["link", "add", guest, "type", "veth", "peer", "name", &port]);
            run("ip", &["link", "set", &port, "master", "br0"]);
            for interface in [guest, &port] {
                quiet(interface);
                run("ip", &["link", "set", interface, "up"]);
            }
        }
        quiet("br0");
        run("ip", &["link", "set", "br0", "up"]);
        let guests = [("webp", Wire::open("web")), ("dbp", Wire::open("db"))];
        Self { guests, receiver: Wire::open("tap"), trusted: Wire::open("eth") }
    }

    /// The destinations of the frames that are forwarded.
    fn forwarded(&self, frames: &[(usize, Vec<u8>)]) -> HashSet<[u8; 6]> {
        for (guest, frame) in frames {
            self.guests[*guest].1.send(frame);
        }
        let last = [&[2, 0xdd, 0xff, 0xff, 0xff, 0xff, 2, 0xde, 0, 0, 0, 1, 0x88, 0xb5][..], &[0; 46]].concat();
        self.trusted.send(&last);
        let mut forwarded = HashSet::new();
        loop {
            let frame = self.receiver.receive(10_000).expect("the last frame never came");
            if frame.starts_with(&last) {
                return forwarded;
            }
            forwarded.insert(frame[..6].try_into().unwrap());
        }
    }
}

/// No address, so that the kernel sends nothing of its own.
fn quiet(interface: &str) {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    fs::write(&path, "1").unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn stay_on_one_processor() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap()).unwrap();
    let mut one = CpuSet::new();
    one.set(first).unwrap();
    sched_setaffinity(this, &one).unwrap();
}

/// Frames with a destination each, by which they are known again, and the guest that sends them.
fn frames(dice: &mut Dice) -> Vec<(usize, Vec<u8>)> {
    let mut groups = HashSet::new();
    let mut one = |number: usize| {
        let number = number as u8;
        let destination = match dice.below(20) {
            // Of groups of the link there are only sixteen.
            0 => {
                let last = dice.byte() & 0x0f;
                let is_new = groups.insert(last);
                if is_new { [1, 0x80, 0xc2, 0, 0, last] } else { [2, 0xdd, 0, 0, 0, number] }
            }
            1 => [0x33, 0x33, 0, 0, 0, number],
            2 => [1, 0, 0x5e, 0, 0, number],
            _ => [2, 0xdd, 0, 0, 0, number],
        };
        let guest = dice.below(2);
        (guest, packets::frame(dice, Mac(destination)))
    };
    (0..FRAMES).map(&mut one).collect()
}

fn apply(registry: &Registry, wishes: &Wishes) {
    let ruleset = policy::ruleset(registry, wishes);
    for _ in 0..20 {
        match apply::apply(&ruleset, apply::generation().unwrap()) {
            Ok(applied) => return assert_eq!(applied.idle, None),
            Err(Failure::Stale { .. }) => {}
            Err(Failure::Final(error)) => panic!("{error}"),
        }
    }
    panic!("never at rest");
}

/// How often each verdict came, to see that the test looks at all of them.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    dropped: usize,
    lost: usize,
    /// Policies whose counters were compared.
    counted: usize,
}

/// One registry, one policy, many frames; what the kernel and the evaluator do not agree on.
fn disagreements(lab: &Lab, dice: &mut Dice, tally: &mut Tally) -> String {
    let text = registries::registry(dice);
    let registry = wire::parse(text.as_bytes()).unwrap().0;
    let wishes = registries::wishes(dice, "ethp");
    apply(&registry, &wishes);
    let frames = frames(dice);
    // A program takes longer than all these frames, so not each time; `spec` counts at each port that a frame leaves by.
    let mut is_counted = dice.percent(4) && !wishes.guard.is_spec();
    tally.counted += usize::from(is_counted);
    let before = if is_counted { counters() } else { Counters::new() };
    let forwarded = lab.forwarded(&frames);
    let after = if is_counted { counters() } else { Counters::new() };

    let other = if wishes.layout == Layout::Sets { Layout::Rules } else { Layout::Sets };
    let rulesets =
        [wishes.clone(), Wishes { layout: other, ..wishes.clone() }].map(|wishes| policy::ruleset(&registry, &wishes));
    let [evaluator, other] = rulesets.each_ref().map(|ruleset| Evaluator::new(&ruleset.tables[0]));
    let mut found = String::new();
    let mut counted = before;
    for (guest, bytes) in &frames {
        // The host's own copy of what is forwarded all the same is dropped on input.
        is_counted &= !bytes.starts_with(&[0x01, 0x80, 0xc2, 0, 0, 0]);
        let port = Some(lab.guests[*guest].0.parse().unwrap());
        let frame = Frame { port, ..Frame::new(bytes) };
        let judgement = evaluator.judge(&frame);
        match judgement.verdict {
            Verdict::Accepted => tally.accepted += 1,
            Verdict::Dropped(_) => {
                tally.dropped += 1;
                let chain = judgement.trace.last().map(|step| step.chain.to_owned()).unwrap_or_default();
                counted.entry(chain).and_modify(|count| *count += 1);
            }
            Verdict::Lost(_) => tally.lost += 1,
        }
        let in_kernel = forwarded.contains(&bytes[..6]);
        let in_other = other.judge(&frame).verdict;
        // Of a rule for everything (0.0.0.0/0) only a set needs the address to be there at all.
        if judgement.is_ambiguous && on_stock_kernel() {
            is_counted = false;
            continue;
        }
        let is_same = in_other == judgement.verdict || text.contains("/0\"");
        if in_kernel == (judgement.verdict == Verdict::Accepted) && is_same {
            continue;
        }
        writeln!(found, "{text}\nguard {}, layout {:?}, from {:?}", wishes.guard, wishes.layout, frame.port).unwrap();
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(found, "{}\nforwarded: {in_kernel}; evaluator: {:?}", hex.join(""), judgement.verdict).unwrap();
        writeln!(found, "in the other layout: {in_other:?}").unwrap();
        for step in &judgement.trace {
            writeln!(found, "  {} {}: {:?}", step.chain, step.number, step.rule.statements).unwrap();
        }
    }
    if is_counted && counted != after {
        writeln!(found, "{text}\nguard {}: counted {after:?}, evaluator: {counted:?}", wishes.guard).unwrap();
    }
    found
}

/// Packets that each chain for blocked frames has counted.
type Counters = BTreeMap<String, u64>;

fn counters() -> Counters {
    let listed = run("nft", &["list", "table", "bridge", "instances"]);
    let mut counters = Counters::new();
    let mut chain = String::new();
    for line in listed.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ") {
            name.trim_end_matches(" {").clone_into(&mut chain);
        } else if let Some(count) =
            line.strip_prefix("counter packets ").filter(|_| chain.starts_with("instances_block_"))
        {
            counters.insert(chain.clone(), count.split(' ').next().unwrap().parse().unwrap());
        }
    }
    counters
}

#[test]
fn the_kernel_forwards_what_the_evaluator_accepts_and_nothing_else() {
    in_new_netns(|| {
        let lab = Lab::new();
        // More, or others, if somebody asks for them as of proptest.
        let asked = |variable: &str| std::env::var(variable).ok().and_then(|value| value.parse::<u64>().ok());
        let mut dice = Dice(asked("PROPTEST_RNG_SEED").unwrap_or(SEED));
        let mut tally = Tally::default();
        let mut found = String::new();
        let registries = asked("PROPTEST_CASES").unwrap_or(if on_stock_kernel() { 60 } else { 1000 }) as usize;
        for _ in 0..registries {
            found += &disagreements(&lab, &mut dice, &mut tally);
            assert!(found.len() < 10_000, "{found}");
        }
        assert!(found.is_empty(), "{found}");
        let all = registries * FRAMES;
        let share = |count: usize| count * 100 / all;
        assert!(share(tally.accepted) >= 20 && share(tally.dropped) >= 20 && tally.lost > 0, "{tally:?}");
        assert!(tally.counted > 0, "{tally:?}");
    });
}
