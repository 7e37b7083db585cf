//! Looking up what a packet's fields are together.

use super::packet::Packet;
use crate::plan::ruleset::{Field, Key, Set, Value, parts};
use rustc_hash::FxHashMap;

/// A set made ready for looking up.
#[derive(Debug)]
pub(super) struct Index<'t> {
    pub(super) set: &'t Set<'t>,
    /// Indices of single elements by their key; of equal keys the first.
    singles: FxHashMap<Key, usize>,
    /// Ranges and their indices.
    ranges: Vec<(usize, Key, Key)>,
}

impl<'t> Index<'t> {
    pub(super) fn new(set: &'t Set<'t>) -> Self {
        let (mut singles, mut ranges) = (FxHashMap::default(), Vec::new());
        for (index, entry) in set.elements.entries().enumerate() {
            match entry.last {
                None => drop(singles.entry(entry.key).or_insert(index)),
                Some(last) => ranges.push((index, entry.key, last)),
            }
        }
        Self { set, singles, ranges }
    }

    /// The index of the element that has this key.
    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        let fields = self.set.elements.fields();
        let in_range = |(_, first, last): &&(usize, Key, Key)| is_in_range(fields, first, key, last);
        self.singles.get(key).copied().or_else(|| self.ranges.iter().find(in_range).map(|(index, ..)| *index))
    }
}

/// Whether each part of a key lies between those of a range's ends.
fn is_in_range(fields: &[Field], first: &Key, key: &Key, last: &Key) -> bool {
    let ends = parts(fields, first).zip(parts(fields, last));
    ends.zip(parts(fields, key)).all(|(((_, first), (_, last)), (_, part))| first <= part && part <= last)
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
    use crate::plan::ruleset::{Element, Elements, Identifier, Keyed};
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
