//! The fuzzer of `tests/common/fuzz.rs`, against parsers that are known to be wrong.
#![allow(clippy::indexing_slicing)]

#[path = "common/fuzz.rs"]
mod fuzz;

use std::panic::catch_unwind;

/// A type, a length, a value; the mistake: a length that it believes.
fn believes_lengths(input: &[u8]) -> &'static str {
    match input {
        [7, length, rest @ ..] if *length > 0 => {
            assert_ne!(rest[usize::from(*length) - 1], 0xee);
            "seven"
        }
        [_, ..] => "another",
        [] => "empty",
    }
}

#[test]
fn a_length_that_is_believed_is_found() {
    let seeds = [vec![1, 4, 1, 2, 3, 4]];
    assert!(catch_unwind(|| fuzz::fuzz(&seeds, |_| (), believes_lengths)).is_err());
}

#[test]
fn hexadecimal_octets_are_read_as_they_are_written() {
    assert_eq!(fuzz::seeds("# one\n\n 00ff7f \n\n01\n"), [vec![0, 0xff, 0x7f], vec![1]]);
    assert_eq!((fuzz::unhex("0"), fuzz::unhex("0g")), (None, None));
    assert_eq!(fuzz::hex(&[0, 0xff, 0x7f]), "00ff7f");
}
