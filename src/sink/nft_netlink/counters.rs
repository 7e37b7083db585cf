//! What the kernel counted in a table of ours, whichever way that is laid out.
//!
//! Nothing is remembered about what was loaded: chains and sets that are there under our names are read.
//!
//! A dump of a large set takes long, and each new lease changes it. The kernel does not say (as it does of rules) that a dump of
//! elements was overtaken by a change: then some come twice, which must not count twice, and some are left out, which would look
//! as if their counters began anew. So elements are taken by their keys, from several dumps if need be.

use super::apply::{self, Failure};
use super::elements;
use super::found::{FoundElement, dump_rules};
use super::reach::Reach;
use super::set_type::SetType;
use super::socket::Socket;
use super::state::{SetState, TableState};
use crate::error::Result;
use crate::net::{Mac, until_nul};
use crate::netlink::{Connection, DumpError};
use crate::plan::guard::{self, block};
use crate::plan::ruleset::{Elements, Family, Field, Identifier, Key, Recorded, Set, Table, parts};
use crate::plan::{claims, spec};
use crate::status::{Counters, Dropped, Offender};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::time::Duration;

/// Most dumps of a set that is changed meanwhile: what one leaves out another shows.
const DUMPS: usize = 32;
/// Dumps in a row that show nothing new, after which there is nothing new.
const QUIET: usize = 4;

/// Reads the counters of our bridge table; `None`: there is no such table.
///
/// # Errors
/// The kernel cannot be asked, or does not come to rest.
pub fn read(name: &Identifier) -> Result<Option<Counters>> {
    let table = Table::named(Family::Bridge, name.clone());
    for _ in 0..apply::TRIES {
        let counters = read_chains(&table).and_then(|read| {
            let Some((state, mut counters)) = read else { return Ok(None) };
            read_accepted(&table, &state, &mut counters)?;
            read_offenders(&table, &state, &mut counters)?;
            Ok(Some(counters))
        });
        match counters.map_err(|error| Failure::of_dump(&table, error)) {
            Ok(counters) => return Ok(counters),
            Err(Failure::Stale { .. }) => {}
            Err(Failure::Final(error)) => return Err(error),
        }
    }
    Err(apply::changes_all_the_time())
}

/// Reads what chains say: whether the policy is in force, what was dropped, and what rules let pass.
fn read_chains(table: &Table) -> Result<Option<(TableState, Counters)>, DumpError> {
    let mut connection = Connection::open(mnl::Bus::Netfilter)?;
    let state = TableState::read(&mut connection, table)?;
    if state.flags.is_none() {
        return Ok(None);
    }
    let mut counters = Counters::default();
    let mut reach = Reach::default();
    let mut blocked = BTreeMap::new();
    for chain in state.chains.keys() {
        let packets = read_rules(&mut connection, table, chain, &mut reach, &mut counters)?;
        blocked.insert(chain.as_str(), packets);
    }
    let has_guard = reach.rules.get(guard::CHAIN).is_some_and(|rules| *rules > 0);
    let protections: &[&str] = if has_guard { &[guard::CHAIN] } else { &spec::CHAINS };
    counters.idle = reach.idle(table, protections, &state);
    let blocked = |chain: &str| blocked.get(chain).copied().flatten();
    for protection in block::all() {
        let packets = blocked(block::chain_name(protection));
        counters.dropped.extend(packets.map(|packets| Dropped { protection: protection.as_str(), packets }));
    }
    for (chain, protection) in spec::CHAINS.into_iter().zip(spec::PROTECTIONS) {
        // Beside the guard they are there for people's own jumps, if there are any.
        let Some(packets) = blocked(chain).filter(|packets| *packets > 0 || !has_guard) else { continue };
        // The guard's `arp` may be there, too; nobody shall see one protection twice.
        match counters.dropped.iter_mut().find(|dropped| dropped.protection == protection) {
            Some(dropped) => dropped.packets += packets,
            None => counters.dropped.push(Dropped { protection, packets }),
        }
    }
    Ok(Some((state, counters)))
}

/// Reads what elements let pass.
fn read_accepted(table: &Table, state: &TableState, counters: &mut Counters) -> Result<(), DumpError> {
    for (set, fields) in claims::COUNTED {
        if state.sets.get(set).is_some_and(|found| has_key(found, fields)) {
            let claims = by_key(table, set, |element| Some((sender(fields, element)?, element.packets)))?;
            for (mac, packets) in claims.into_values() {
                *counters.accepted.entry(mac).or_default() += packets;
            }
        }
    }
    Ok(())
}

/// What each element of a set says, by its key.
fn by_key<T>(
    table: &Table,
    set: &str,
    says: impl Fn(&FoundElement) -> Option<T>,
) -> Result<FxHashMap<Key, T>, DumpError> {
    let mut socket = Socket::open()?;
    let mut all = FxHashMap::default();
    let mut quiet = 0;
    for _ in 0..DUMPS {
        let before = socket.generation()?;
        let known = all.len();
        elements::dump(socket.connection(), table, set, |element| {
            all.extend(says(&element).map(|says| (element.key, says)));
        })?;
        quiet = if all.len() == known { quiet + 1 } else { 0 };
        // Undisturbed, or several have shown nothing new: what one leaves out, the next may leave out too.
        if socket.generation()? == before || quiet == QUIET {
            break;
        }
    }
    Ok(all)
}

/// Reads a chain's rules: where they lead and, if the chain is ours, what they let pass. Returns what it dropped, if it is a
/// chain that drops.
fn read_rules(
    connection: &mut Connection,
    table: &Table,
    chain: &str,
    reach: &mut Reach,
    counters: &mut Counters,
) -> Result<Option<u64>, DumpError> {
    let is_spec = spec::CHAINS.contains(&chain);
    let is_block = block::all().any(|protection| block::chain_name(protection) == chain);
    let is_ours = is_spec || guard::CHAINS.contains(&chain);
    let mut rules = 0;
    let mut blocked = None;
    dump_rules(connection, table, chain, |rule| {
        reach.see(chain, &rule);
        if is_block && rules == 0 || is_spec && rule.comment() == Some(spec::LOCKDOWN) {
            blocked = blocked.or(rule.packets().next());
        } else if is_ours && let (Some(mac), Some(packets)) = (rule.sender(), rule.packets().last()) {
            *counters.accepted.entry(mac).or_default() += packets;
        }
        rules += 1;
        ControlFlow::Continue(())
    })?;
    reach.rules.insert(chain.to_owned(), rules);
    Ok(blocked)
}

/// Whether a set of the kernel's has keys of these fields.
fn has_key(found: &SetState, fields: &'static [Field]) -> bool {
    let planned = SetType::of(&recorded("", fields).elements);
    (found.key_type, found.key_length) == (planned.key_type, planned.key_length)
}

fn recorded(name: &'static str, fields: &'static [Field]) -> Set<'static> {
    let elements = Elements::Recorded(Recorded { fields, size: block::MOST, timeout: block::TIMEOUT });
    Set { name: Identifier::ours(name), elements }
}

fn read_offenders(table: &Table, state: &TableState, counters: &mut Counters) -> Result<(), DumpError> {
    for protection in block::all() {
        for (set, fields) in block::records(protection) {
            if let Some(found) = state.sets.get(*set).filter(|found| found.is_of_type(&recorded(set, fields))) {
                let timeout = found.timeout.unwrap_or_default();
                let offenders = by_key(table, set, |element| offender(protection.as_str(), fields, element, timeout))?;
                counters.offenders.extend(offenders.into_values());
            }
        }
    }
    Ok(())
}

fn offender(
    protection: &'static str,
    fields: &'static [Field],
    element: &FoundElement,
    timeout: u64,
) -> Option<Offender> {
    let mut port = String::new();
    let mut address = None;
    for (field, part) in parts(fields, &element.key) {
        match field {
            Field::EtherSource => {}
            Field::InputPort => {
                port = String::from_utf8_lossy(until_nul(part)).into_owned();
            }
            _ => address = address_of(part),
        }
    }
    let timeout = element.timeout.unwrap_or(timeout);
    let ago = timeout.saturating_sub(element.expires.unwrap_or(timeout));
    Some(Offender {
        mac: sender(fields, element)?,
        port,
        address,
        protection,
        packets: element.packets,
        ago: Duration::from_millis(ago),
    })
}

fn sender(fields: &'static [Field], element: &FoundElement) -> Option<Mac> {
    let (_, part) = parts(fields, &element.key).find(|(field, _)| *field == Field::EtherSource)?;
    part.try_into().ok().map(Mac)
}

fn address_of(part: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(part).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(part).map(|octets| Ipv6Addr::from(octets).into())).ok()
}
