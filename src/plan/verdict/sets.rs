//! Looking up what a packet's fields are together.

use super::packet::Packet;
use crate::plan::ruleset::{Elements, Field, Key, Keyed, Set, Value, parts};
use rustc_hash::FxHashMap;

/// A set made ready for looking up.
#[derive(Debug)]
pub(super) struct Index<'t> {
    pub(super) set: &'t Set<'t>,
    /// Indices of elements by their key; of ranges nothing.
    by_key: FxHashMap<Key, usize>,
}

impl<'t> Index<'t> {
    pub(super) fn new(set: &'t Set<'t>) -> Self {
        let by_key = match &set.elements {
            Elements::Keyed(keyed) if !keyed.interval => numbered(keyed.elements.iter().map(|element| element.key)),
            Elements::Ipv4(addresses) => numbered(addresses.iter().map(|address| Key::of(&[Value::Ipv4(*address)]))),
            Elements::Ipv6(addresses) => numbered(addresses.iter().map(|address| Key::of(&[Value::Ipv6(*address)]))),
            Elements::Keyed(_) | Elements::Recorded(_) => FxHashMap::default(),
        };
        Self { set, by_key }
    }

    /// The index of the element that has this key.
    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        match &self.set.elements {
            Elements::Keyed(keyed) if keyed.interval => find_range(keyed, key),
            _ => self.by_key.get(key).copied(),
        }
    }
}

/// Of equal keys the first.
fn numbered(keys: impl Iterator<Item = Key>) -> FxHashMap<Key, usize> {
    let mut numbered = FxHashMap::default();
    for (index, key) in keys.enumerate() {
        numbered.entry(key).or_insert(index);
    }
    numbered
}

/// Each part of the key lies between those of the element's ends.
fn find_range(keyed: &Keyed, key: &Key) -> Option<usize> {
    keyed.elements.iter().position(|element| {
        let last = keyed.last(element).unwrap_or(element.key);
        let [mut first, mut last, mut wanted] = [&element.key, &last, key].map(|key| parts(keyed.fields, key));
        wanted.all(|(_, part)| {
            first.next().is_some_and(|(_, first)| first <= part) && last.next().is_some_and(|(_, last)| part <= last)
        })
    })
}

/// The fields of a packet as a key, unless one is not there.
pub(super) fn key(packet: &Packet, fields: &[Field]) -> Option<Key> {
    let values: Option<Vec<_>> = fields.iter().map(|field| packet.field(*field).map(Value::Bits)).collect();
    values.map(|values| Key::of(&values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Mac;
    use crate::plan::ruleset::{Element, Identifier};
    use std::net::Ipv4Addr;

    const FIELDS: &[Field] = &[Field::IpSource, Field::EtherSource];

    fn value(address: [u8; 4], mac: u8) -> [Value; 2] {
        [Value::Ipv4(Ipv4Addr::from(address)), Value::Mac(Mac([2, 0, 0, 0, 0, mac]))]
    }

    #[test]
    fn ranges_are_of_the_first_field_and_the_rest_must_be_equal() {
        let element =
            |address, mac, bits| Element { key: Key::of(&value(address, mac)), prefix: Some(bits), comment: None };
        let elements = vec![element([10, 1, 128, 0], 1, 17), element([0; 4], 2, 0)];
        let keyed = Keyed { fields: FIELDS, interval: true, counted: true, elements };
        let set = Set { name: Identifier::ours("s"), elements: Elements::Keyed(keyed) };
        let index = Index::new(&set);
        for (address, mac, found) in [
            ([10, 1, 128, 0], 1, Some(0)),
            ([10, 1, 255, 255], 1, Some(0)),
            ([10, 1, 127, 255], 1, None),
            ([10, 2, 0, 0], 1, None),
            ([10, 1, 128, 0], 3, None),
            ([255; 4], 2, Some(1)),
            ([0; 4], 2, Some(1)),
        ] {
            assert_eq!(index.find(&Key::of(&value(address, mac))), found, "{address:?} {mac}");
        }
    }
}
