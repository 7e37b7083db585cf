//! The elements of sets that the kernel holds, compared with the plan.
//!
//! The kernel dumps a set in pages and walks from its start to each page, so a dump costs the square of the number of
//! elements: 5 s for 300,000. Asking for single keys costs the same for each. So large sets are asked for the planned keys;
//! that nothing else is there follows from the number of elements where the kernel says it, else only from a dump.

use super::compare::Depth;
use super::encode;
use super::found::FoundElement;
use super::socket::Socket;
use super::{kernel, nfgenmsg};
use crate::netlink::{Connection, DumpError, Writer};
use crate::plan::diff::{SetDelta, TableDelta};
use crate::plan::ruleset::{Elements, Entry, Field, Key, Set, Table};
use crate::sink::nft_text::ElementText;
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;

/// Elements up to which a dump is no slower.
const FEW: usize = 4096;
/// Elements that are asked for at once. The kernel answers each with a message of its own, before we read any.
const AT_ONCE: usize = 512;
/// Bytes of the receive buffer for so many, with what the kernel adds to each.
const BUFFER: usize = AT_ONCE * (8 << 10);
/// Elements of a set that are read back after it was filled, where the kernel says how many there are.
const SAMPLE: usize = 2048;

/// A difference: `-` for what the kernel has too much, `+` for what it lacks, and what it is.
pub(super) type Difference = (char, String);

/// What leads from the elements that the kernel holds to the planned ones.
///
/// # Errors
/// [`DumpError`].
pub(super) fn compare(
    socket: &mut Socket,
    table: &Table,
    set: &Set,
    count: Option<usize>,
    depth: Depth,
) -> Result<(SetDelta, Vec<Difference>), DumpError> {
    // What the kernel puts there is its own affair.
    if matches!(set.elements, Elements::Recorded(_)) {
        return Ok((SetDelta::NOTHING, Vec::new()));
    }
    let planned = distinct(set);
    if let Some(count) = count.filter(|_| depth == Depth::Bounded && planned.len() > FEW) {
        let missing = lacking(socket, table, set, &planned)?;
        if count == planned.len() - missing.len() {
            let differences = missing.iter().filter_map(|index| lacks(set, *index)).collect();
            return Ok((SetDelta::Edited { remove: Vec::new(), add: missing }, differences));
        }
    }
    compare_dump(socket, table, set, &planned)
}

/// The planned elements by their indices, of those with the same key the first.
fn distinct(set: &Set) -> Vec<usize> {
    fn first_of_each(keys: impl ExactSizeIterator<Item = u128>) -> Vec<usize> {
        let mut seen = FxHashSet::with_capacity_and_hasher(keys.len(), rustc_hash::FxBuildHasher);
        keys.enumerate().filter(|(_, key)| seen.insert(*key)).map(|(index, _)| index).collect()
    }
    match &set.elements {
        Elements::Ipv4(addresses) => first_of_each(addresses.iter().map(|address| u128::from(address.to_bits()))),
        Elements::Ipv6(addresses) => first_of_each(addresses.iter().map(|address| address.to_bits())),
        Elements::Keyed(_) | Elements::Recorded(_) => (0..set.elements.len()).collect(),
    }
}

fn compare_dump(
    socket: &mut Socket,
    table: &Table,
    set: &Set,
    planned: &[usize],
) -> Result<(SetDelta, Vec<Difference>), DumpError> {
    let planned = planned.iter().filter_map(|index| Some((set.elements.entry(*index)?.key, *index)));
    let mut missing: FxHashMap<Key, usize> = planned.collect();
    let mut remove = Vec::new();
    let mut differences = Vec::new();
    dump(socket.connection(), table, set.name.as_str(), |element| {
        let planned = missing.get(&element.key).and_then(|index| set.elements.entry(*index));
        if planned.is_some_and(|planned| element.is(&planned)) {
            missing.remove(&element.key);
        } else {
            differences.push(('-', format!("@{}: {}", set.name, element.text(set.elements.fields()))));
            remove.push((element.key, element.last));
        }
    })?;
    let mut add: Vec<_> = missing.into_values().collect();
    add.sort_unstable();
    differences.extend(add.iter().filter_map(|index| lacks(set, *index)));
    Ok((SetDelta::Edited { remove, add }, differences))
}

fn lacks(set: &Set, index: usize) -> Option<Difference> {
    let element = set.elements.entry(index)?;
    Some(('+', format!("@{}: {}", set.name, ElementText { fields: set.elements.fields(), element })))
}

/// What a set that is to be empty holds; of a set for ourselves, how much.
pub(super) fn retired(
    socket: &mut Socket,
    table: &Table,
    set: &str,
    fields: Option<&'static [Field]>,
) -> Result<Vec<Difference>, DumpError> {
    let mut number = 0;
    let mut differences = Vec::new();
    dump(socket.connection(), table, set, |element| {
        number += 1;
        differences.extend(fields.map(|fields| ('-', format!("@{set}: {}", element.text(fields)))));
    })?;
    if fields.is_none() && number > 0 {
        differences.push(('-', format!("@{set}: {number} elements")));
    }
    Ok(differences)
}

/// Shows all elements of a set to `see`, once each: the kernel shows some twice where it moves them meanwhile, to a larger
/// table.
///
/// # Errors
/// [`DumpError`].
pub fn dump(
    connection: &mut Connection,
    table: &Table,
    set: &str,
    mut see: impl FnMut(FoundElement),
) -> Result<(), DumpError> {
    let in_set = |writer: &mut Writer| {
        writer.text(kernel::SET_ELEM_LIST_TABLE, table.name.as_str());
        writer.text(kernel::SET_ELEM_LIST_SET, set);
    };
    let mut seen = FxHashSet::default();
    connection.dump(kernel::GETSETELEM, &nfgenmsg(table.family), in_set, |message| {
        FoundElement::all(&message).filter(|element| seen.insert(element.key)).for_each(&mut see);
    })
}

/// Those among some planned elements that the kernel does not hold as they are planned.
fn lacking(socket: &mut Socket, table: &Table, set: &Set, indices: &[usize]) -> io::Result<Vec<usize>> {
    socket.make_room_for_answers(BUFFER);
    let mut at_once = AT_ONCE;
    let mut lacking = Vec::new();
    let mut rest = indices;
    while !rest.is_empty() {
        let asked = rest.get(..at_once.min(rest.len())).unwrap_or_default();
        let entries = || asked.iter().filter_map(|index| set.elements.entry(*index));
        let keys = entries().map(|entry| Entry { comment: None, ..entry });
        let mut answered = 0;
        let mut lacking_here = Vec::new();
        let which = |writer: &mut Writer| encode::element_list(writer, table, set.name.as_str(), keys);
        let end = socket.connection().get(kernel::GETSETELEM, &nfgenmsg(table.family), which, |message| {
            for found in FoundElement::all(&message) {
                if let Some(index) = asked.get(answered)
                    && set.elements.entry(*index).is_none_or(|planned| !found.is(&planned))
                {
                    lacking_here.push(*index);
                }
                answered += 1;
            }
        });
        match end {
            Ok(()) => {}
            // It answers up to the first that is not there.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                lacking_here.extend(asked.get(answered));
                answered += 1;
            }
            // Where the buffer may not be raised, less is asked for at once.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && at_once > 1 => {
                at_once /= 4;
                // What is left of the answers is nobody's.
                *socket = Socket::open()?;
                socket.make_room_for_answers(BUFFER);
                continue;
            }
            Err(error) => return Err(error),
        }
        lacking.append(&mut lacking_here);
        rest = rest.get(answered.max(1)..).unwrap_or_default();
    }
    Ok(lacking)
}

/// What a delta has put into sets but the kernel does not hold: of sets that were filled as a whole, some are read back and
/// all are counted, where the kernel counts them.
///
/// # Errors
/// The kernel cannot be asked.
pub fn not_loaded(
    socket: &mut Socket,
    table: &Table,
    delta: &TableDelta,
    count: impl Fn(&str) -> Option<usize>,
) -> io::Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for (set, delta) in table.sets.iter().zip(&delta.sets) {
        let indices = match delta {
            SetDelta::Edited { add, .. } => add.clone(),
            SetDelta::New => {
                let planned = distinct(set);
                let count = count(set.name.as_str());
                if let Some(count) = count.filter(|count| *count != planned.len()) {
                    differences.push(('-', format!("@{}: {count} of {} elements", set.name, planned.len())));
                }
                let every = if count.is_some() { planned.len().div_ceil(SAMPLE).max(1) } else { 1 };
                planned.into_iter().step_by(every).collect()
            }
        };
        differences.extend(lacking(socket, table, set, &indices)?.into_iter().filter_map(|index| lacks(set, index)));
    }
    Ok(differences)
}
