//! nfnetlink_queue's messages (linux/netfilter/nfnetlink_queue.h): the configuration of queues, packets, verdicts. Pure.
//!
//! Numbers are in network order throughout. Packets of a queue have increasing identifiers, which wrap around.

use super::{ACK, Attributes, Message, REQUEST, Writer};
use crate::net::Mac;

const SUBSYSTEM: u16 = 3 << 8;
const MSG_PACKET: u16 = SUBSYSTEM;
const MSG_CONFIG: u16 = SUBSYSTEM | 2;
const MSG_VERDICT_BATCH: u16 = SUBSYSTEM | 3;

const CFG_CMD: u16 = 1;
const CFG_PARAMS: u16 = 2;
const CFG_QUEUE_MAXLEN: u16 = 3;
const CFG_MASK: u16 = 4;
const CFG_FLAGS: u16 = 5;
const CMD_BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
/// FAIL_OPEN, CONNTRACK, GSO, UID_GID, SECCTX.
const ALL_FLAGS: u32 = 0x1f;

const PACKET_HDR: u16 = 1;
const VERDICT_HDR: u16 = 2;
const INDEV: u16 = 5;
const PHYSINDEV: u16 = 7;
const HWADDR: u16 = 9;
const PAYLOAD: u16 = 10;
const CAP_LEN: u16 = 13;
const VLAN: u16 = 19;
const VLAN_PROTOCOL: u16 = 1;
const VLAN_TCI: u16 = 2;

/// struct nfgenmsg: family, version, and the queue's number.
const NFGENMSG: usize = 4;

const fn nfgenmsg(queue: u16) -> [u8; NFGENMSG] {
    let [high, low] = queue.to_be_bytes();
    [0, 0, high, low]
}

/// Has the kernel make a queue that is ours, in one message, so that no packet ever meets a queue that is half made: so
/// many bytes of each packet are copied, so many packets wait at most; what comes beyond that is dropped.
///
/// All flags are cleared. FAIL_OPEN would let packets through when the queue is full: past us, to a DHCP server that is
/// not ours. Without GSO, the kernel cuts what a guest sends as one large packet, and fills in the checksums that a guest
/// left to its network card.
pub fn bind(writer: &mut Writer, sequence: u32, queue: u16, copied: u32, longest: u32) {
    writer.message(MSG_CONFIG, REQUEST | ACK, sequence, &nfgenmsg(queue), |writer| {
        writer.attribute(CFG_CMD, &[CMD_BIND, 0, 0, 0]);
        let [a, b, c, d] = copied.to_be_bytes();
        writer.attribute(CFG_PARAMS, &[a, b, c, d, COPY_PACKET]);
        writer.number(CFG_QUEUE_MAXLEN, longest);
        writer.number(CFG_FLAGS, 0);
        writer.number(CFG_MASK, ALL_FLAGS);
    });
}

/// What becomes of a packet (NF_DROP, NF_ACCEPT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone.
    Drop = 0,
    /// It goes its way.
    Accept = 1,
}

/// The verdict for all packets of a queue up to this one that have none yet.
pub fn verdict(writer: &mut Writer, queue: u16, up_to: u32, verdict: Verdict) {
    writer.message(MSG_VERDICT_BATCH, REQUEST, 0, &nfgenmsg(queue), |writer| {
        let [a, b, c, d] = (verdict as u32).to_be_bytes();
        let [e, f, g, h] = up_to.to_be_bytes();
        writer.attribute(VERDICT_HDR, &[a, b, c, d, e, f, g, h]);
    });
}

/// A packet in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The queue's number.
    pub queue: u16,
    /// Its identifier there.
    pub id: u32,
    /// Index of the interface that it came in by; of a bridge for what a port of it brought. 0: none.
    pub indev: u32,
    /// Index of the bridge's port that it came in by, 0 if it came in by no bridge.
    pub physindev: u32,
    /// The Ethernet source.
    pub source: Option<Mac>,
    /// The VLAN tag that was taken off, protocol and control: known only where a bridge's own rules queue packets.
    pub tag: Option<(u16, u16)>,
    /// From the IP header on.
    pub payload: &'a [u8],
    /// Whether the packet is longer than what was copied.
    pub is_cut: bool,
}

impl<'a> Packet<'a> {
    /// Reads a message; `None` if it is not about a packet, or names none.
    pub fn of(message: &Message<'a>) -> Option<Self> {
        if message.kind != MSG_PACKET {
            return None;
        }
        let [_, _, high, low] = *message.body.first_chunk::<NFGENMSG>()?;
        let mut id = None;
        let mut packet = Packet {
            queue: u16::from_be_bytes([high, low]),
            id: 0,
            indev: 0,
            physindev: 0,
            source: None,
            tag: None,
            payload: &[],
            is_cut: false,
        };
        for (kind, value) in message.attributes(NFGENMSG) {
            match kind {
                // Behind it: the ether type, and the hook.
                PACKET_HDR => id = value.first_chunk().map(|id| u32::from_be_bytes(*id)),
                INDEV => packet.indev = number(value),
                PHYSINDEV => packet.physindev = number(value),
                HWADDR => packet.source = hardware_address(value),
                PAYLOAD => packet.payload = value,
                CAP_LEN => packet.is_cut = true,
                VLAN => packet.tag = tag(&Attributes(value)),
                _ => {}
            }
        }
        packet.id = id?;
        Some(packet)
    }

    /// Index of the interface behind which the sender is.
    pub fn port(&self) -> u32 {
        if self.physindev == 0 { self.indev } else { self.physindev }
    }
}

fn number(value: &[u8]) -> u32 {
    value.try_into().map(u32::from_be_bytes).unwrap_or_default()
}

/// struct nfqnl_msg_packet_hw: length, padding, eight octets.
fn hardware_address(value: &[u8]) -> Option<Mac> {
    match *value {
        [0, 6, _, _, a, b, c, d, e, f, ..] => Some(Mac([a, b, c, d, e, f])),
        _ => None,
    }
}

fn tag(attributes: &Attributes) -> Option<(u16, u16)> {
    let half = |kind| attributes.get(kind)?.try_into().ok().map(u16::from_be_bytes);
    Some((half(VLAN_PROTOCOL)?, half(VLAN_TCI)?))
}

#[cfg(test)]
mod tests {
    use super::super::Messages;
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.finish().expect("fits")
    }

    fn packet(attributes: impl FnOnce(&mut Writer)) -> Vec<u8> {
        written(|writer| writer.message(MSG_PACKET, 0, 0, &nfgenmsg(42), attributes))
    }

    fn read(bytes: &[u8]) -> Option<Packet<'_>> {
        Packet::of(&Messages(bytes).next()?)
    }

    #[test]
    fn a_packet_of_a_bridge_is_read_as_the_kernel_writes_it() {
        let bytes = packet(|writer| {
            writer.attribute(PACKET_HDR, &[0, 0, 1, 2, 8, 0, 0]);
            writer.number(INDEV, 7);
            writer.number(PHYSINDEV, 9);
            writer.attribute(HWADDR, &[0, 6, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0xff, 0xff]);
            writer.nested(VLAN, |writer| {
                writer.attribute(VLAN_PROTOCOL, &[0x81, 0]);
                writer.attribute(VLAN_TCI, &[0x20, 5]);
            });
            writer.number(CAP_LEN, 5000);
            writer.attribute(PAYLOAD, &[0x45, 0, 0]);
        });
        let source = Some(Mac([2, 0, 0, 0, 0, 1]));
        let tag = Some((0x8100, 0x2005));
        let payload = &[0x45, 0, 0][..];
        let expected = Packet { queue: 42, id: 258, indev: 7, physindev: 9, source, tag, payload, is_cut: true };
        assert_eq!(read(&bytes), Some(expected));
        assert_eq!(expected.port(), 9);
        assert_eq!(Packet { physindev: 0, ..expected }.port(), 7);
    }

    #[test]
    fn a_packet_without_identifier_is_none_and_one_without_anything_else_is() {
        assert_eq!(read(&packet(|writer| writer.number(INDEV, 7))), None);
        assert_eq!(read(&packet(|writer| writer.attribute(PACKET_HDR, &[1, 2, 3]))), None);
        let bytes = packet(|writer| {
            writer.attribute(PACKET_HDR, &[0, 0, 0, 1]);
            writer.attribute(HWADDR, &[0, 20, 0, 0, 1, 2, 3, 4]);
            writer.attribute(INDEV, &[1]);
        });
        let packet = read(&bytes).expect("a packet");
        assert_eq!((packet.id, packet.port(), packet.source, packet.payload), (1, 0, None, &[][..]));
    }

    #[test]
    fn verdicts_and_configuration_are_as_long_as_the_kernel_expects() {
        let bytes = written(|writer| verdict(writer, 0x0102, 0x0a0b_0c0d, Verdict::Accept));
        assert_eq!(bytes[..8], [32, 0, 0, 0, 3, 3, 1, 0]);
        assert_eq!(bytes[16..], [0, 0, 1, 2, 12, 0, 2, 0, 0, 0, 0, 1, 0x0a, 0x0b, 0x0c, 0x0d]);
        let bytes = written(|writer| bind(writer, 1, 42, 0x1000, 1024));
        let message = Messages(&bytes).next().expect("a message");
        let attributes = message.attributes(NFGENMSG);
        assert_eq!(attributes.get(CFG_PARAMS), Some(&[0, 0, 0x10, 0, 2][..]));
        assert_eq!(attributes.number(CFG_MASK), Some(0x1f));
    }

    proptest! {
        #[test]
        fn hostile_bytes_make_no_panic(noise in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..120_usize) {
            read(&packet(|writer| {
                writer.attribute(PACKET_HDR, noise.get(..7).unwrap_or_default());
                writer.attribute(HWADDR, &noise);
                writer.attribute(VLAN, &noise);
            }));
            for message in Messages(&noise) {
                Packet::of(&message);
            }
            let whole = packet(|writer| writer.attribute(PAYLOAD, &noise));
            read(whole.get(..cut).unwrap_or_default());
            let message = Message { kind: MSG_PACKET, flags: 0, sequence: 0, body: &noise };
            Packet::of(&message);
        }
    }
}
