//! Captures: pcap and pcapng files (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng) with Ethernet frames.

use super::input::{Captured, LARGEST_FRAME, Stopped, Taker};
use crate::net::IfName;
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{
    Block, LegacyPcapReader, Linktype, PcapBlockOwned, PcapError, PcapNGReader, traits::PcapNGPacketBlock,
};
use std::cell::RefCell;
use std::io::{self, Read};

/// Octets that tell what a file is, and how long the first thing in it.
pub(super) const START: u64 = 12;

/// Octets of the largest block: a frame, headers, options.
const CAPACITY: usize = 2 * LARGEST_FRAME;
/// Most interfaces that a section may describe.
const MOST_INTERFACES: usize = 65_536;

/// What kind of capture, and how long its header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pcap,
    PcapNg { header: usize },
}

impl Kind {
    /// By how a file starts.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let number = |at: usize| start.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        match number(0)? {
            // Microseconds, nanoseconds, "modified"; in either order of octets.
            0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 | 0xa1b2_cd34 | 0x34cd_b2a1 => Some(Self::Pcap),
            0x0a0d_0d0a => {
                let length = number(4)?;
                let length = if number(8)? == 0x1a2b_3c4d { length } else { length.swap_bytes() };
                Some(Self::PcapNg { header: usize::try_from(length).unwrap_or(usize::MAX) })
            }
            _ => None,
        }
    }

    /// Octets of the header.
    fn header(self) -> usize {
        match self {
            Self::Pcap => 24,
            Self::PcapNg { header } => header.min(CAPACITY),
        }
    }
}

/// An interface of a capture.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link: Linktype,
    name: Option<IfName>,
}

/// Hands each frame to `taker`.
pub(super) fn read(kind: Kind, input: &mut dyn Read, taker: Taker) -> Result<(), Stopped> {
    let failed = RefCell::new(None);
    let with_failure = |error: PcapError<&[u8]>| why(&error, failed.borrow_mut().take());
    let input = Input { from: input, at_once: kind.header(), failed: &failed };
    let mut reader: Box<dyn PcapReaderIterator + '_> = match kind {
        Kind::Pcap => Box::new(LegacyPcapReader::new(CAPACITY, input).map_err(with_failure)?),
        Kind::PcapNg { .. } => Box::new(PcapNGReader::new(CAPACITY, input).map_err(with_failure)?),
    };
    let mut interfaces = Vec::new();
    loop {
        let consumed = match reader.next() {
            Ok((consumed, block)) => {
                block_read(&block, &mut interfaces, taker)?;
                consumed
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => 0,
            Err(error) => {
                let stopped = with_failure(error);
                return if reader.data().is_empty() && reader.reader_exhausted() { Ok(()) } else { Err(stopped) };
            }
        };
        if consumed > 0 {
            reader.consume(consumed);
            continue;
        }
        let before = reader.data().len();
        reader.refill().map_err(with_failure)?;
        if reader.data().len() == before && !reader.reader_exhausted() {
            return Err(Stopped::Malformed("a block is too large".to_owned()));
        }
    }
}

fn block_read(block: &PcapBlockOwned, interfaces: &mut Vec<Interface>, taker: Taker) -> Result<(), Stopped> {
    let mut frame = |interface: usize, bytes: &[u8], length: u32| {
        let Some(Interface { link, name }) = interfaces.get(interface) else {
            return Err(Stopped::Malformed(format!("it is of interface {interface}, which was not described")));
        };
        refuse_other_links(*link)?;
        let missing = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(bytes.len());
        taker(Captured { bytes, missing, port: *name }).map_err(Stopped::Taker)
    };
    match block {
        PcapBlockOwned::LegacyHeader(header) => interfaces.push(Interface { link: header.network, name: None }),
        PcapBlockOwned::Legacy(block) => frame(0, block.data, block.origlen)?,
        PcapBlockOwned::NG(Block::SectionHeader(_)) => interfaces.clear(),
        PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
            if interfaces.len() >= MOST_INTERFACES {
                return Err(Stopped::Malformed(format!("more than {MOST_INTERFACES} interfaces")));
            }
            let name = block.if_name().and_then(Result::ok).and_then(|name| name.parse().ok());
            interfaces.push(Interface { link: block.linktype, name });
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
            let interface = usize::try_from(block.if_id).unwrap_or(usize::MAX);
            frame(interface, block.packet_data(), block.origlen)?;
        }
        PcapBlockOwned::NG(Block::SimplePacket(block)) => frame(0, block.packet_data(), block.origlen)?,
        PcapBlockOwned::NG(_) => {}
    }
    Ok(())
}

fn refuse_other_links(link: Linktype) -> Result<(), Stopped> {
    // Above are the length of the check sequence and reserved bits.
    match link.0 & 0xffff {
        1 => Ok(()),
        other => Err(Stopped::Malformed(format!(
            "it is no Ethernet frame (link type {other}); capture at the guest's port: tcpdump -i PORT -w FILE"
        ))),
    }
}

/// The input, which remembers why it failed and gives so many octets, if it has them, in the first piece: a header whole.
struct Input<'i> {
    from: &'i mut dyn Read,
    at_once: usize,
    failed: &'i RefCell<Option<io::Error>>,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = std::mem::take(&mut self.at_once).clamp(1, buffer.len().max(1));
        let mut filled = 0;
        while filled < wanted {
            match self.from.read(buffer.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    *self.failed.borrow_mut() = Some(error);
                    return Err(kind.into());
                }
            }
        }
        Ok(filled)
    }
}

fn why(error: &PcapError<&[u8]>, failed: Option<io::Error>) -> Stopped {
    if let Some(failed) = failed {
        return failed.into();
    }
    Stopped::Malformed(
        match error {
            PcapError::Eof | PcapError::UnexpectedEof | PcapError::Incomplete(_) => "the capture ends within it",
            PcapError::BufferTooSmall => "it is larger than any frame",
            _ => "the capture is malformed",
        }
        .to_owned(),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::input::tests::all;

    /// A pcap file of this link type.
    pub fn pcap(link: u32, frames: &[(&[u8], u32)]) -> Vec<u8> {
        let mut file = Vec::new();
        for number in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link] {
            file.extend(number.to_le_bytes());
        }
        for (bytes, length) in frames {
            for number in [1, 2, u32::try_from(bytes.len()).unwrap(), *length] {
                file.extend(number.to_le_bytes());
            }
            file.extend(*bytes);
        }
        file
    }

    /// A pcapng file, big-endian, with these interfaces; frames with interface and length.
    pub fn pcapng(interfaces: &[&str], frames: &[(u32, &[u8], u32)]) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let mut body = body.to_vec();
            body.resize(body.len().next_multiple_of(4), 0);
            let length = (u32::try_from(body.len()).unwrap() + 12).to_be_bytes();
            [&kind.to_be_bytes()[..], &length, &body, &length].concat()
        };
        let mut file =
            block(0x0a0d_0d0a, &[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        for name in interfaces {
            let mut option = [&[0, 2, 0][..], &[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
            option.resize(option.len().next_multiple_of(4), 0);
            file.extend(block(1, &[&[0, 1, 0, 0, 0, 0, 0, 0][..], &option, &[0; 4]].concat()));
        }
        for (interface, bytes, length) in frames {
            let captured = u32::try_from(bytes.len()).unwrap();
            let numbers = [*interface, 0, 0, captured, *length].map(u32::to_be_bytes).concat();
            file.extend(block(6, &[&numbers, *bytes].concat()));
        }
        file
    }

    #[test]
    fn frames_come_whole_and_in_order_with_what_is_missing() {
        let file = pcap(1, &[(&[1; 60], 60), (&[2; 61], 1500), (&[], 0)]);
        let expected = vec![(vec![1; 60], 0, None), (vec![2; 61], 1439, None), (vec![], 0, None)];
        assert_eq!(all(&file), (expected, None));
    }

    #[test]
    fn pcapng_names_the_port() {
        let file = pcapng(&["webp", "no port / of ours"], &[(1, &[1; 61], 61), (0, &[2; 62], 62)]);
        let expected = vec![(vec![1; 61], 0, None), (vec![2; 62], 0, Some("webp".parse().unwrap()))];
        assert_eq!(all(&file), (expected, None));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let whole = pcap(1, &[(&[1; 60], 60), (&[2; 60], 60)]);
        let (frames, why) = all(&whole[..whole.len() - 1]);
        assert_eq!((frames.len(), why.unwrap().as_str()), (1, "the capture ends within it"));
        let (_, why) = all(&pcap(113, &[(&[1; 60], 60)]));
        assert!(why.unwrap().starts_with("it is no Ethernet frame (link type 113); capture at"));
        let (_, why) = all(&pcapng(&["a"], &[(1, &[1; 60], 60)]));
        assert_eq!(why.unwrap(), "it is of interface 1, which was not described");
        let mut huge = pcap(1, &[(&[1; 60], 60)]);
        huge[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(all(&huge).1.is_some());
    }
}
