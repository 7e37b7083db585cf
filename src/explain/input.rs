//! Frames from a capture or a hex dump, one after the other: however long the input, memory is bounded.

use super::{capture, hex};
use crate::error::{Error, in_words};
use crate::net::IfName;
use std::io::{self, BufRead, Cursor, Read};

/// Octets of the largest frame that is taken.
pub(super) const LARGEST_FRAME: usize = 256 << 10;

/// A frame as it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured<'c> {
    /// Its octets.
    pub bytes: &'c [u8],
    /// How many octets are missing at the end.
    pub missing: usize,
    /// The interface, if the capture names it.
    pub port: Option<IfName>,
}

/// Why no further frame comes.
#[derive(Debug)]
pub enum Stopped {
    /// The input is not what it should be: why.
    Malformed(String),
    /// Whoever was given a frame failed.
    Taker(Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Malformed(in_words(&error))
    }
}

/// Takes one frame.
pub type Taker<'t> = &'t mut dyn FnMut(Captured) -> Result<(), Error>;

/// Hands each frame of a pcap file, a pcapng file or a hex dump to `taker`.
///
/// # Errors
/// [`Stopped`], at the first frame that cannot be read.
pub fn read(input: &mut dyn BufRead, taker: Taker) -> Result<(), Stopped> {
    let mut start = Vec::new();
    (&mut *input).take(capture::START).read_to_end(&mut start)?;
    match capture::Kind::of(&start) {
        Some(kind) => capture::read(kind, &mut Cursor::new(start).chain(input), taker),
        None => hex::read(&mut Cursor::new(start).chain(input), taker),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame's octets, how many are missing, and its port.
    type Owned = (Vec<u8>, usize, Option<IfName>);

    /// The frames, and why there are no more of them.
    pub(in super::super) fn all(input: &[u8]) -> (Vec<Owned>, Option<String>) {
        let mut frames = Vec::new();
        let ended = read(&mut &*input, &mut |frame| {
            frames.push((frame.bytes.to_vec(), frame.missing, frame.port));
            Ok(())
        });
        let why = match ended {
            Ok(()) => None,
            Err(Stopped::Malformed(why)) => Some(why),
            Err(Stopped::Taker(error)) => Some(error.to_string()),
        };
        (frames, why)
    }

    /// Starts of each kind, so that chance gets further.
    fn start() -> impl Strategy<Value = Vec<u8>> {
        let pcap = capture::tests::pcap(1, &[(&[7; 20], 20)]);
        let pcapng = capture::tests::pcapng(&["webp"], &[(0, &[7; 20], 20)]);
        let whole = prop_oneof![Just(pcap), Just(pcapng), Just(b"0000: 0102\n".to_vec()), Just(vec![])];
        (whole, any::<prop::sample::Index>()).prop_map(|(mut bytes, cut)| {
            bytes.truncate(cut.index(bytes.len() + 1));
            bytes
        })
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(start in start(), rest in prop::collection::vec(any::<u8>(), 0..300)) {
            all(&[start, rest].concat());
        }

        #[test]
        fn a_damaged_capture_is_read_or_refused(
            is_pcapng: bool,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut bytes = if is_pcapng {
                capture::tests::pcapng(&["webp", "dbp"], &[(0, &[1; 60], 60), (1, &[2; 61], 1500)])
            } else {
                capture::tests::pcap(1, &[(&[1; 60], 60), (&[2; 61], 1500)])
            };
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let (frames, _) = all(&bytes);
            prop_assert!(frames.len() <= 2);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "([ -~]|\n){0,200}") {
            all(text.as_bytes());
        }
    }
}
