//! Recognises an `add` or `old` that changes nothing without reading the registry.
//!
//! dnsmasq replays every lease as `old` when it starts; parsing a registry of N instances for each of N leases is
//! quadratic. So whoever holds the lock and knows the whole registry leaves an index in the lock file: which version of
//! `P.json` it is about, and where each MAC stands in it. The next event reads one record and one object, whatever the
//! size of the registry.
//!
//! The index is a cache and not believed on its word (whoever may write the lock file may write the registry): it must
//! name the very version that is there now, and the object must be found at its place. It is only written for a registry
//! that was read in full, is well-formed, and in which no two instances share an address, so that the object alone
//! decides. Whenever anything is in doubt (the original truncates the lock file, an editor changes the registry, a crash
//! tears the index), the answer is "unknown" and the full parse decides. What stays unnoticed is somebody who, without
//! the lock, writes into the file in the same tick of the clock (4 ms on older kernels) in which we replaced it, at the
//! same size; what is then believed is an object read from their file.

use super::lock::Lock;
use super::store::{self, Layout, Version};
use super::wire;
use crate::net::Mac;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: [u8; 8] = *b"INSTIDX1";
/// Magic and version. All numbers are in host order: the file never leaves the host.
const STAMP: usize = 8 + 7 * 8;
/// Stamp and number of records.
const HEADER: usize = STAMP + 8;
/// A MAC and an offset.
const RECORD: usize = 6 + 4;
/// Bytes that hold any usual instance with its key; a longer one is left to the full parse.
const OBJECT: usize = 4096;

/// Whether this event is certain to change nothing.
pub fn changes_nothing(lock: &Lock, registry: &Path, mac: Mac, address: IpAddr) -> bool {
    object(lock.file(), registry, mac)
        .and_then(|object| wire::parse_instance(&object))
        .is_some_and(|instance| instance.has_or_ignores(address))
}

/// The text of an instance's object, starting at its brace, if the index is about the file as it is.
fn object(index: &File, registry: &Path, mac: Mac) -> Option<Vec<u8>> {
    let mut header = [0; HEADER];
    index.read_exact_at(&mut header, 0).ok()?;
    let (file, metadata) = store::open(registry).ok()??;
    let (expected, count) = header.split_at(STAMP);
    if expected != stamp(&Version::of(&metadata)) {
        return None;
    }
    let offset = find(index, u64::from_ne_bytes(count.try_into().ok()?), mac)?;

    let mut text = vec![0; OBJECT];
    let length = file.read_at(&mut text, u64::from(offset)).ok()?;
    text.truncate(length);
    let rest = text.strip_prefix(mac.to_string().as_bytes())?.strip_prefix(b"\"")?.trim_ascii_start();
    rest.strip_prefix(b":").map(<[u8]>::to_vec)
}

/// Binary search in the records, which are sorted by MAC.
fn find(index: &File, count: u64, mac: Mac) -> Option<u32> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        let mut record = [0; RECORD];
        index.read_exact_at(&mut record, HEADER as u64 + middle * RECORD as u64).ok()?;
        let [a, b, c, d, e, f, offset @ ..] = record;
        match Mac([a, b, c, d, e, f]).cmp(&mac) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(u32::from_ne_bytes(offset)),
        }
    }
    None
}

/// Whether the index is about this version; then no two instances in it share an address.
pub fn describes(lock: &Lock, version: &Version) -> bool {
    let mut found = [0; STAMP];
    lock.file().read_exact_at(&mut found, 0).is_ok() && found == stamp(version)
}

/// Leaves an index of what is known now, which must include that no two instances share an address, for the next event.
/// Failing is harmless: an index that is torn names places at which the object is not found.
pub fn remember(lock: &Lock, layout: Layout) {
    let Layout { version, mut offsets } = layout;
    offsets.sort_unstable_by_key(|(mac, _)| *mac);
    let mut index = Vec::with_capacity(HEADER + offsets.len() * RECORD);
    index.extend(stamp(&version));
    index.extend((offsets.len() as u64).to_ne_bytes());
    for (mac, offset) in offsets {
        index.extend(mac.0);
        index.extend(offset.to_ne_bytes());
    }
    // In place: cutting the file to nothing first would cost the file system more than the writing does.
    let _ = lock.file().write_all_at(&index, 0).and_then(|()| lock.file().set_len(index.len() as u64));
}

fn stamp(version: &Version) -> [u8; STAMP] {
    let mut bytes = [0; STAMP];
    let parts = std::iter::once(MAGIC).chain(version.numbers().map(u64::to_ne_bytes));
    for (place, part) in bytes.chunks_mut(8).zip(parts) {
        place.copy_from_slice(&part);
    }
    bytes
}
