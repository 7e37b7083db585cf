//! Frames that nobody thought of. Whatever makes the victim's neighbour table say something false is a find, and becomes a
//! named case in attacks/.

use crate::case::lies;
use crate::column::Column;
use crate::lab::Lab;
use crate::mutant::{Mutant, mutant};
use crate::netns::in_new_netns;
use crate::who::{ATTACKER, ROUTER, VICTIM};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestCaseError, TestRng, TestRunner};

/// Always the same frames; `SEED=any` makes others, `PROPTEST_CASES` says how many.
fn runner(cases: u32) -> TestRunner {
    let config = Config { failure_persistence: None, ..Config::default() };
    // PROPTEST_CASES is in the default.
    let config = if std::env::var_os("PROPTEST_CASES").is_some() { config } else { Config { cases, ..config } };
    if std::env::var("SEED").is_ok_and(|seed| seed == "any") {
        return TestRunner::new(config);
    }
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    TestRunner::new_with_rng(config, rng)
}

/// The lie that the victim believes after the frames of a mutant, and these.
fn believed(lab: &Lab, mutant: &Mutant) -> Option<String> {
    lab.reset(VICTIM);
    let frames = mutant.frames();
    lab.deliver(ATTACKER, &frames, VICTIM, ROUTER);
    let lie = lies(lab.machine(VICTIM)).map(|lie| format!("{lie}, believes the victim after {}", hex(&frames)));
    // A stolen MAC must not stay stolen.
    lab.announce();
    lie
}

/// No frame makes the victim believe a lie.
pub fn finds_nothing(column: Column, cases: u32) {
    in_new_netns(move || {
        let lab = Lab::new(column.vlan_aware, column.ports);
        column.apply(&lab);
        let result = runner(cases).run(&mutant(), |mutant| match believed(&lab, &mutant) {
            None => Ok(()),
            Some(lie) => Err(TestCaseError::fail(lie)),
        });
        result.unwrap_or_else(|found| panic!("{}: {found}", column.name));
    });
}

/// How many of so many frames make the victim believe a lie.
pub fn finds(column: Column, cases: u32) -> usize {
    let (sender, receiver) = std::sync::mpsc::channel();
    in_new_netns(move || {
        let lab = Lab::new(column.vlan_aware, column.ports);
        column.apply(&lab);
        let mut runner = runner(cases);
        let mutants = (0..cases).map(|_| mutant().new_tree(&mut runner).unwrap().current());
        sender.send(mutants.filter(|mutant| believed(&lab, mutant).is_some()).count()).unwrap();
    });
    receiver.recv().unwrap()
}

/// To be sent again, by whatever can.
fn hex(frames: &[Vec<u8>]) -> String {
    let frame = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    frames.iter().map(frame).collect::<Vec<_>>().join(" ")
}
