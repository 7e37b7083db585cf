//! Named sets.

use super::{Comment, Field, Identifier, Value};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set<'a> {
    /// Its name.
    pub name: Identifier,
    /// Its type and its elements.
    pub elements: Elements<'a>,
}

/// The elements of a set, all of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements<'a> {
    /// `type ipv4_addr`, for people's own rules; as in the registry, so an address may come twice.
    Ipv4(Vec<Ipv4Addr>),
    /// `type ipv6_addr`, likewise.
    Ipv6(Vec<Ipv6Addr>),
    /// Of several fields, for our own rules.
    Keyed(Keyed<'a>),
    /// Filled by the kernel.
    Recorded(Recorded),
}

/// Elements of a set whose key is a list of fields; each key comes once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed<'a> {
    /// The fields of a key.
    pub fields: &'static [Field],
    /// Whether elements are ranges of keys.
    pub interval: bool,
    /// Whether each element counts what matches it.
    pub counted: bool,
    /// The elements.
    pub elements: Vec<Element<'a>>,
}

/// What the kernel puts into a set by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The fields of a key.
    pub fields: &'static [Field],
    /// Most elements that it takes.
    pub size: u32,
    /// Seconds after which an element goes that was not seen again.
    pub timeout: u32,
}

/// An element of several fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element<'a> {
    /// The first, or only, key.
    pub key: Key,
    /// How many bits of the first field count, in a set of ranges.
    pub prefix: Option<u8>,
    /// Whose it is.
    pub comment: Option<Comment<'a>>,
}

impl Keyed<'_> {
    /// The last key of an element's range.
    fn last(&self, element: &Element) -> Option<Key> {
        let prefix = usize::from(element.prefix?);
        let first_field = self.fields.first().map_or(0, |field| field.length());
        let mut last = element.key;
        for (index, byte) in last.bytes.iter_mut().take(first_field).enumerate() {
            let bits = prefix.saturating_sub(8 * index).min(8);
            *byte |= u8::MAX.checked_shr(u32::try_from(bits).unwrap_or(8)).unwrap_or_default();
        }
        Some(last)
    }
}

/// An element of any set, as it is in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its key.
    pub key: Key,
    /// The last key of its range.
    pub last: Option<Key>,
    /// Its comment.
    pub comment: Option<&'a str>,
}

/// A key: one field, or several, each padded with zeroes to four bytes. At most 64 bytes in the kernel, 40 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    length: u8,
    bytes: [u8; Self::LONGEST],
}

impl Key {
    /// The longest key: IPv6 address, MAC and interface.
    pub const LONGEST: usize = 40;

    /// The values as one key. One that does not fit within [`Self::LONGEST`] is left out; no key of ours has such.
    pub fn of(values: &[Value]) -> Self {
        let mut key = Self { length: 0, bytes: [0; Self::LONGEST] };
        for value in values {
            let value = value.bytes();
            let start = usize::from(key.length);
            if let Some(place) = key.bytes.get_mut(start..start + value.len()) {
                place.copy_from_slice(&value);
            }
            // Both are at most LONGEST and 16.
            let length = if values.len() == 1 { value.len() } else { value.len().next_multiple_of(4) };
            key.length = u8::try_from((start + length).min(Self::LONGEST)).unwrap_or(0);
        }
        key
    }

    /// The key of these bytes. What is longer than [`Self::LONGEST`] is cut off.
    pub fn of_bytes(from: &[u8]) -> Self {
        let mut key = Self { length: 0, bytes: [0; Self::LONGEST] };
        let from = from.get(..Self::LONGEST).unwrap_or(from);
        if let Some(place) = key.bytes.get_mut(..from.len()) {
            place.copy_from_slice(from);
        }
        key.length = u8::try_from(from.len()).unwrap_or_default();
        key
    }
}

impl std::ops::Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The parts of a key, one for each field.
pub(crate) fn parts<'k>(fields: &[Field], key: &'k [u8]) -> impl Iterator<Item = (Field, &'k [u8])> {
    let mut rest = key;
    fields.iter().map(move |field| {
        let length = field.length();
        let part = rest.get(..length).unwrap_or_default();
        // A key of one field alone is not padded.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        (*field, part)
    })
}

impl Elements<'_> {
    /// The fields of a key.
    pub fn fields(&self) -> &'static [Field] {
        match self {
            Self::Ipv4(_) => &[Field::IpSource],
            Self::Ipv6(_) => &[Field::Ip6Source],
            Self::Keyed(keyed) => keyed.fields,
            Self::Recorded(recorded) => recorded.fields,
        }
    }

    /// The element of this index as it is in the kernel.
    pub fn entry(&self, index: usize) -> Option<Entry<'_>> {
        let plain = |value| Entry { key: Key::of(&[value]), last: None, comment: None };
        match self {
            Self::Ipv4(addresses) => addresses.get(index).map(|address| plain(Value::Ipv4(*address))),
            Self::Ipv6(addresses) => addresses.get(index).map(|address| plain(Value::Ipv6(*address))),
            Self::Keyed(keyed) => keyed.elements.get(index).map(|element| Entry {
                key: element.key,
                last: keyed.last(element),
                comment: element.comment.as_ref().map(Comment::as_str),
            }),
            Self::Recorded(_) => None,
        }
    }

    /// Whether an element here and one there are the same, of sets that are alike.
    pub(crate) fn is_same_at(&self, index: usize, other: &Elements<'_>, other_index: usize) -> bool {
        match (self, other) {
            (Self::Ipv4(here), Elements::Ipv4(there)) => here.get(index) == there.get(other_index),
            (Self::Ipv6(here), Elements::Ipv6(there)) => here.get(index) == there.get(other_index),
            (Self::Keyed(here), Elements::Keyed(there)) => here.elements.get(index) == there.elements.get(other_index),
            _ => false,
        }
    }

    /// The elements in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).filter_map(|index| self.entry(index))
    }

    /// Number of elements that are planned.
    pub fn len(&self) -> usize {
        match self {
            Self::Ipv4(elements) => elements.len(),
            Self::Ipv6(elements) => elements.len(),
            Self::Keyed(keyed) => keyed.elements.len(),
            Self::Recorded(_) => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
