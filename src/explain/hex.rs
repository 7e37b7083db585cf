//! Hex dumps, as tcpdump -xx, xxd, hexdump -C, od and Wireshark write them, and plain ones.
//!
//! A line is an offset, if there is one, then octets in hexadecimal, then, behind an offset, perhaps the same as text. Offset
//! zero or an empty line begins a frame; `#` begins a remark.

use super::input::{Captured, LARGEST_FRAME, Stopped, Taker};
use std::io::{BufRead, Read};

/// Characters of the longest line.
const LONGEST_LINE: u64 = 1 << 20;

/// Hands each frame to `taker`.
pub(super) fn read(input: &mut dyn BufRead, taker: Taker) -> Result<(), Stopped> {
    let mut frame: Vec<u8> = Vec::new();
    let mut line = Vec::new();
    for number in 1_usize.. {
        line.clear();
        let length = (&mut *input).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let malformed = |why: &str| Stopped::Malformed(format!("line {number} {why}"));
        if length as u64 == LONGEST_LINE {
            return Err(malformed("is too long"));
        }
        let text = str::from_utf8(&line).ok().and_then(|text| text.split('#').next());
        let text = text.ok_or_else(|| malformed(NEITHER))?.trim_end();
        let parsed = Line::of(text, frame.len()).ok_or_else(|| malformed(NEITHER))?;
        let begins = text.trim_start().is_empty() && (length == 0 || !line.starts_with(b"#"));
        if (begins || parsed.offset == Some(0)) && !frame.is_empty() {
            taker(Captured { bytes: &frame, missing: 0, port: None }).map_err(Stopped::Taker)?;
            frame.clear();
        }
        if length == 0 {
            return Ok(());
        }
        if let Some(offset) = parsed.offset.filter(|offset| *offset != frame.len()) {
            return Err(malformed(&format!("has offset {offset}, but {} octets came before it", frame.len())));
        }
        frame.extend(parsed.octets);
        if frame.len() > LARGEST_FRAME {
            return Err(malformed("makes it larger than any frame"));
        }
    }
    Ok(())
}

const NEITHER: &str = "is no hex dump, nor is this a pcap or pcapng file";

/// What a line says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    offset: Option<usize>,
    octets: Vec<u8>,
}

impl Line {
    /// A line behind so many octets of its frame; `None` if it makes no sense.
    fn of(text: &str, before: usize) -> Option<Self> {
        let text = text.trim();
        let mut words = words(text);
        let mut line = Self::default();
        let Some((_, first)) = words.next() else { return Some(line) };
        let rest = text.get(first.len()..).unwrap_or_default();
        let second = rest.trim_start();
        let has_colon = first.ends_with(':');
        let is_bare = (4..=8).contains(&first.len()) && second.split(' ').next().is_some_and(|word| word.len() == 2);
        // hexdump and od end with the length.
        let is_length = second.is_empty() && before > 0 && first.len() > 4 && offset(first) == Some(before);
        if !has_colon && !is_bare && !is_length {
            for (_, word) in self::words(text) {
                octets(word, &mut line.octets)?;
            }
            return Some(line);
        }
        line.offset = Some(offset(first.trim_end_matches(':'))?);
        for (index, (gap, word)) in words.enumerate() {
            // Behind two blanks comes the text, but for the middle of a line of single octets.
            let is_middle = line.octets.len() == 8 && word.len() == 2;
            if (index > 0 && gap > 1 && !is_middle) || octets(word, &mut line.octets).is_none() {
                break;
            }
        }
        (is_length || !line.octets.is_empty()).then_some(line)
    }
}

/// The words of a line, and how many blanks are before each.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let trimmed = rest.trim_start();
        let gap = rest.len() - trimmed.len();
        let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
        let (word, after) = trimmed.split_at_checked(end)?;
        rest = after;
        (!word.is_empty()).then_some((gap, word))
    })
}

fn offset(word: &str) -> Option<usize> {
    usize::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

/// Appends the octets of a word, with colons between them or without; nothing if it is not all of octets.
fn octets(word: &str, to: &mut Vec<u8>) -> Option<()> {
    let digits: Option<Vec<u8>> = word
        .bytes()
        .filter(|byte| *byte != b':')
        .map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    to.extend(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::input::tests::all;

    fn frames(text: &str) -> Vec<Vec<u8>> {
        let (frames, why) = all(text.as_bytes());
        assert_eq!(why, None, "{text}");
        frames.into_iter().map(|(bytes, ..)| bytes).collect()
    }

    /// 0, 1, 2, ...
    fn count(end: u8) -> Vec<u8> {
        (0..end).collect()
    }

    #[test]
    fn dumps_of_every_tool_are_read() {
        let tcpdump = "\t0x0000:  0001 0203 0405 0607 0809 0a0b 0c0d 0e0f\n\t0x0010:  1011\n\t0x0000:  0001 02\n";
        assert_eq!(frames(tcpdump), [count(18), count(3)]);
        let tcpdump_with_text = "\t0x0000:  6061 6263 6465 6667 6869 6a6b 6c6d 6e6f  `abcdefghijklmno\n";
        assert_eq!(frames(tcpdump_with_text), [(0x60..0x70).collect::<Vec<u8>>()]);
        let xxd = "00000000: 0001 0203 0405 0607 0809 0a0b 0c0d 0e0f  abcdefghijklmnop\n\
                   00000010: 1011                                     ab\n";
        assert_eq!(frames(xxd), [count(18)]);
        let hexdump = "00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|\n\
                       00000010  10 11                                             |..|\n00000012\n";
        assert_eq!(frames(hexdump), [count(18)]);
        let od = "000000 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f\n000010 10 11\n000012\n";
        assert_eq!(frames(od), [count(18)]);
        let wireshark =
            "0000   00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f   ................\n0010   10 11   ..\n";
        assert_eq!(frames(wireshark), [count(18)]);
    }

    #[test]
    fn plain_octets_go_on_to_an_empty_line() {
        assert_eq!(
            frames("# a remark\n000102\n03 04\n\n\n00:01:02 # another\n# and another\n03"),
            [count(5), count(4)]
        );
        assert!(frames("").is_empty() && frames("\n \n").is_empty());
    }

    #[test]
    fn what_is_no_dump_is_refused_with_its_line() {
        for (text, wanted) in [
            ("hello", "line 1 is no hex dump"),
            ("0001\n000", "line 2 is no hex dump"),
            ("0000: 0001\n0010: 00", "line 2 has offset 16, but 2 octets came before it"),
            ("0000: zz", "line 1 is no hex dump"),
        ] {
            let (_, why) = all(text.as_bytes());
            assert!(why.as_ref().is_some_and(|why| why.starts_with(wanted)), "{text}: {why:?}");
        }
        let (_, why) = all(&[0xff, 0xfe, b'\n']);
        assert!(why.is_some_and(|why| why.contains("no hex dump")));
        let (frames, why) = all("00".repeat(2 << 20).as_bytes());
        assert!(frames.is_empty() && why.is_some_and(|why| why.contains("too long")));
        let (frames, why) = all(("00".repeat(1000) + "\n").repeat(400).as_bytes());
        assert!(frames.is_empty() && why.is_some_and(|why| why.contains("larger than any frame")));
    }
}
