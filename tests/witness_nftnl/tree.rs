//! Netlink messages as trees, read without any code of ours: strictly, so that a wrong length fails.

use std::fmt;

/// A message, with its attributes sorted by type; those of one type keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// nlmsg_type.
    pub(crate) kind: u16,
    /// nlmsg_flags.
    pub(crate) flags: u16,
    /// nlmsg_seq.
    pub(crate) sequence: u32,
    /// struct nfgenmsg: family, version, resource id.
    pub(crate) nfgenmsg: [u8; 4],
    /// What follows.
    pub(crate) attributes: Vec<Attribute>,
}

/// An attribute: its type and what it holds.
pub(crate) type Attribute = (u16, Value);

/// What an attribute holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Attributes: the type was flagged NLA_F_NESTED.
    Nested(Vec<Attribute>),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nested(attributes) => f.debug_list().entries(attributes).finish(),
            Self::Bytes(bytes) => write!(f, "{bytes:02x?} ({})", bytes.escape_ascii()),
        }
    }
}

const NESTED: u16 = 0x8000;

/// What is between a length that is no multiple of four and the next thing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Must be zero.
    Zero,
    /// May be leftovers from memory, as libmnl before 1.0.5 leaves them there.
    Any,
}

/// Reads messages that stand one behind the other.
pub(crate) fn messages(mut bytes: &[u8], padding: Padding) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
        let message = take_padded(&mut bytes, usize::try_from(length).unwrap(), padding);
        messages.push(Message {
            kind: u16::from_ne_bytes(message[4..6].try_into().unwrap()),
            flags: u16::from_ne_bytes(message[6..8].try_into().unwrap()),
            sequence: u32::from_ne_bytes(message[8..12].try_into().unwrap()),
            nfgenmsg: message[16..20].try_into().unwrap(),
            attributes: attributes(&message[20..], padding),
        });
    }
    messages
}

fn attributes(mut bytes: &[u8], padding: Padding) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    while !bytes.is_empty() {
        let [length, kind] = [0, 2].map(|at| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap()));
        let value = &take_padded(&mut bytes, usize::from(length), padding)[4..];
        attributes.push(match kind & NESTED {
            0 => (kind, Value::Bytes(value.to_vec())),
            _ => (kind & !NESTED, Value::Nested(self::attributes(value, padding))),
        });
    }
    attributes.sort_by_key(|(kind, _)| *kind);
    attributes
}

/// Splits off `length` bytes and what pads them.
fn take_padded<'a>(bytes: &mut &'a [u8], length: usize, padding: Padding) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    let (pad, rest) = rest.split_at(length.next_multiple_of(4) - length);
    assert!(padding == Padding::Any || pad.iter().all(|byte| *byte == 0), "padding is not zero");
    *bytes = rest;
    taken
}
