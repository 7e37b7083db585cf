//! A small fuzzer for the stable toolchain: seeds, mutations, and a corpus that grows with every new outcome. Without
//! the compiler's coverage, outcomes stand in for it: what a parser or an answer says is its label, and an input that
//! brings a label for the first time is mutated further.
//!
//! `FUZZ_SECONDS` (2 without it) is how long a target runs, `FUZZ_SEED` repeats a run: each failure names both its seed
//! and the input, to become a fixture.
// A test fails by panicking.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// What a run has found: how often each outcome came.
pub type Outcomes = BTreeMap<&'static str, u64>;

/// Mutates `seeds` until the time is over and gives each input to `judge`, which panics where something is wrong and
/// otherwise names the outcome. `repair` makes lengths and checksums fit again: 7 of 8 inputs go through it, since hardly
/// any other gets past the first layer. Each seed is judged as it is, too.
pub fn fuzz(
    seeds: &[Vec<u8>],
    mut repair: impl FnMut(&mut Vec<u8>),
    mut judge: impl FnMut(&[u8]) -> &'static str,
) -> Outcomes {
    let seconds = number("FUZZ_SECONDS").unwrap_or(2);
    let seed = number("FUZZ_SEED").unwrap_or_else(|| if seconds > 2 { from_clock() } else { 1 });
    let mut random = Random(seed);
    let mut corpus = seeds.to_vec();
    let mut outcomes = Outcomes::new();
    let mut judged = |input: &[u8], outcomes: &mut Outcomes| {
        let outcome = catch_unwind(AssertUnwindSafe(|| judge(input))).unwrap_or_else(|panic| {
            eprintln!("FUZZ_SEED={seed}: the input that failed: {}", hex(input));
            resume_unwind(panic)
        });
        let count = outcomes.entry(outcome).or_default();
        *count += 1;
        *count == 1
    };
    for seed in seeds {
        judged(seed, &mut outcomes);
    }
    let (started, limit) = (Instant::now(), Duration::from_secs(seconds));
    while started.elapsed() < limit {
        // A look at the clock costs about as much as a packet.
        for _ in 0..256 {
            let mut input = random.one_of(&corpus).clone();
            for _ in 0..=random.below(4) {
                mutate(&mut input, &corpus, &mut random);
            }
            if random.below(8) != 0 {
                repair(&mut input);
            }
            if judged(&input, &mut outcomes) {
                corpus.push(input);
            }
        }
    }
    let runs: u64 = outcomes.values().sum();
    println!("{runs} inputs in {seconds} s, seed {seed}, {} outcomes: {outcomes:#?}", outcomes.len());
    outcomes
}

/// Inputs grow no longer than this: a frame of the usual MTU, and some.
const LONGEST: usize = 2048;

/// What lengths, counts and types go wrong at.
const INTERESTING: [u8; 14] = [0, 1, 2, 3, 4, 6, 7, 16, 63, 64, 127, 128, 254, 255];

/// One change.
fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    // Short runs are where options and their lengths are; long ones come, too.
    let length = if random.below(4) == 0 { random.below(300) } else { random.below(8) + 1 };
    let end = (at + length).min(input.len());
    match random.below(11) {
        0 => change(input, at, |byte| byte ^ 1 << random.below(8)),
        1 => change(input, at, |_| *random.one_of(&INTERESTING)),
        2 => change(input, at, |_| random.byte()),
        3 => change(input, at, |byte| byte.wrapping_add(1)),
        4 => change(input, at, |byte| byte.wrapping_sub(1)),
        5 => input.truncate(at),
        6 => drop(input.drain(at..end)),
        7 => {
            let piece: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            insert(input, at, &piece);
        }
        8 => {
            let piece = input[at.min(end)..end].to_vec();
            let to = random.below(input.len());
            insert(input, to, &piece);
        }
        9 => {
            let other = random.one_of(corpus);
            let from = random.below(other.len());
            let piece = &other[from..(from + length).min(other.len())];
            insert(input, at, piece);
        }
        // Over what is there: types and lengths of another message where it has them.
        _ => {
            let other = random.one_of(corpus);
            let piece = other.get(at..(at + length).min(other.len())).unwrap_or_default();
            for (byte, new) in input.iter_mut().skip(at).zip(piece) {
                *byte = *new;
            }
        }
    }
    input.truncate(LONGEST);
}

fn change(input: &mut [u8], at: usize, to: impl FnOnce(u8) -> u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = to(*byte);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, piece.iter().copied());
}

/// SplitMix64: enough for this, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0 to `limit - 1`; 0 where there is nothing to choose from.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

/// Fixtures: hexadecimal octets, one input in each line that is neither empty nor a comment (`#`).
pub fn seeds(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| unhex(line).unwrap_or_else(|| panic!("no hexadecimal octets: {line}"))).collect()
}

/// Octets from hexadecimal digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    if text.len().is_multiple_of(2) { pairs.collect() } else { None }
}

/// Octets as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn from_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) | since.as_secs() << 32
}
