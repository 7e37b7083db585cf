//! A protection by itself, `--guard X`: each in a lab of its own, where the attacks that it exists for are tried, and every
//! legitimate flow. Together they are one column of the matrix.

use crate::column::{Column, Outcome};
use crate::{BOUND, attacks};

/// One for each section of attacks, in the default layout.
const POLICIES: [&[&str]; 11] = [
    &["--guard", "arp"],
    &["--guard", "nd"],
    &["--guard", "source"],
    &["--guard", "mac"],
    &["--guard", "ra"],
    &["--guard", "dhcp4"],
    &["--guard", "dhcp6"],
    &["--guard", "query"],
    &["--guard", "ethertype"],
    &["--guard", "vlan"],
    &["--guard", "exthdr"],
];

/// So many labs at once: most of the time is spent waiting for leases.
const AT_ONCE: usize = 4;

/// Of attacks, what comes of them with the protection of their section alone; of legitimate flows, whom they reach whichever
/// it is.
pub fn outcomes() -> Vec<Outcome> {
    let names: Vec<_> = attacks::all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, POLICIES.map(|policy| policy[1]));
    let (mut attacks, mut flows) = (Vec::new(), Vec::new());
    for some in POLICIES.chunks(AT_ONCE) {
        let of_each = std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|policy| scope.spawn(|| with(policy))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        for outcomes in of_each {
            let (attacks_now, flows_now): (Vec<_>, _) = outcomes.into_iter().partition(Outcome::is_attack);
            attacks.extend(attacks_now);
            flows = if flows.is_empty() { flows_now } else { in_both(flows, &flows_now) };
        }
    }
    attacks.into_iter().chain(flows).collect()
}

/// What comes of the attacks on what one protection is for, and of all legitimate flows.
fn with(policy: &'static [&'static str]) -> Vec<Outcome> {
    let of_attacks = format!("attack: {}", policy[1]);
    let column = Column { name: policy[1], policy: Some(policy), ..BOUND };
    column.outcomes(move |section| section.starts_with("legit") || section == of_attacks)
}

/// What gets through in two columns of the same cases.
fn in_both(mut first: Vec<Outcome>, second: &[Outcome]) -> Vec<Outcome> {
    for (outcome, other) in first.iter_mut().zip(second) {
        outcome.reached.retain(|who| other.reached.contains(who));
    }
    first
}
