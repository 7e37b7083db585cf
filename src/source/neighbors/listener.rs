//! The sources together, without waiting: sockets, the kernel's events, the sweep.

use super::ask::{self, Asker};
use super::places::{self, Chosen, Links, Places};
use super::socket::{Buffer, Ear};
use super::table::{self, Entry, Table};
use super::{Ignored, Lack, Sighted, Step, Sweep, Waiting, claim};
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result, in_words};
use crate::net::Mac;
use crate::netlink::Messages;
use crate::netlink::group::Came;
use crate::sink::packet_socket::PacketSocket;
use crate::source::rtnetlink::LinkGroup;
use ipnet::Ipv4Net;
use rustc_hash::FxHashSet;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What happened so far, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that told something of a known MAC.
    pub heard: u64,
    /// Frames of MACs that nobody asked for.
    pub unknown: u64,
    /// Frames of known MACs that told nothing, or were not believed.
    pub ignored: u64,
    /// Entries of the kernel's table that told something.
    pub table: u64,
    /// What was told too fast to be passed on.
    pub lost: u64,
    /// Questions of the sweep.
    pub asked: u64,
    /// Interfaces that are listened to now.
    pub interfaces: usize,
}

/// Frames that are read of an interface before the others get their turn.
const TURN: usize = 64;
/// Turns before whoever waits gets what there is.
const TURNS: usize = 16;
/// Interfaces that have something, looked at in one turn; others wait for the next.
const AT_ONCE: usize = 32;
/// What stands in for an index where it is no interface that has something.
const LINKS: u64 = u64::MAX;
const TABLE: u64 = u64::MAX - 1;

pub(super) struct Listener {
    epoll: OwnedFd,
    places: Places,
    group: LinkGroup,
    links: Links,
    table: Table,
    /// By the interface's index.
    ears: BTreeMap<u32, Ear>,
    chosen: Chosen,
    /// What there is against listening.
    deaf: Vec<Lack>,
    known: FxHashSet<Mac>,
    /// Of whom the table was not asked yet.
    unread: FxHashSet<Mac>,
    waiting: Waiting,
    buffer: Buffer,
    sweep: Sweep,
    asker: Asker,
    also: Vec<Ipv6Addr>,
    out: Option<PacketSocket>,
    round: u64,
    counts: Counts,
}

impl Listener {
    /// Begins. Without CAP_NET_RAW, with the table alone.
    pub fn new(places: Places, networks: Vec<Ipv4Net>, sweep: Sweep) -> Result<Self> {
        let opened = epoll::create(epoll::CreateFlags::CLOEXEC);
        let epoll = opened.map_err(|error| failed("make an epoll instance", error))?;
        // First to listen, then to read: so nothing is missed.
        let (group, table) = (LinkGroup::listen(1 << 20, 1 << 16)?, Table::listen()?);
        add(&epoll, &group, LINKS).map_err(|error| failed("wait for changes of interfaces", error))?;
        add(&epoll, &table, TABLE).map_err(|error| failed("wait for changes of the neighbour table", error))?;
        let mut listener = Self {
            epoll,
            places,
            group,
            links: places::read()?,
            table,
            ears: BTreeMap::new(),
            chosen: Chosen::default(),
            deaf: Vec::new(),
            known: FxHashSet::default(),
            unread: FxHashSet::default(),
            waiting: Waiting::default(),
            buffer: Buffer::default(),
            sweep,
            asker: Asker::new(networks),
            also: Vec::new(),
            out: PacketSocket::open().ok(),
            round: 0,
            counts: Counts::default(),
        };
        listener.asker.own(ask::read(&listener.links)?);
        listener.arrange();
        Ok(listener)
    }

    /// What becomes readable when there is something to take.
    pub fn ready(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    pub fn know(&mut self, macs: FxHashSet<Mac>, asked: Vec<Ipv6Addr>) {
        self.unread.retain(|mac| macs.contains(mac));
        self.unread.extend(macs.difference(&self.known));
        self.waiting.retain(&macs);
        self.known = macs;
        self.also.clone_from(&asked);
        self.sweep.also(asked);
        self.arrange();
    }

    pub fn spare(&mut self, addresses: FxHashSet<Ipv4Addr>) {
        self.sweep.spare(addresses);
    }

    pub fn seek(&mut self) {
        self.sweep.seek();
    }

    pub fn pop(&mut self) -> Option<Sighted> {
        self.waiting.pop()
    }

    pub fn is_silent(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn lacking(&self) -> Vec<Lack> {
        let asker = self.asker.lacking().filter(|_| self.out.is_some());
        self.deaf.iter().chain(&self.chosen.lacking).cloned().chain(asker).collect()
    }

    pub fn counts(&self) -> Counts {
        Counts { lost: self.waiting.lost, interfaces: self.ears.len(), ..self.counts }
    }

    /// Reads of the table what it says of MACs that are new. Where we hear ourselves, it is not believed but asked: what is true is
    /// heard in a moment.
    pub fn catch_up(&mut self, now: Moment) -> Result<()> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let unread = std::mem::take(&mut self.unread);
        let mut entries = Vec::new();
        let read = table::read(|entry| entries.extend(unread.contains(&entry.mac).then_some(entry)));
        for entry in entries {
            if self.chosen.covered.contains(&entry.interface) && self.out.is_some() {
                self.sweep.soon(entry.interface, entry.address);
            } else {
                self.note(&entry, now);
            }
        }
        read.inspect_err(|_| self.unread = unread)
    }

    /// Takes in some of what has come, without waiting; whether that was all.
    pub fn take(&mut self, now: Moment) -> Result<bool> {
        let mut events = Vec::with_capacity(AT_ONCE);
        for _ in 0..TURNS {
            events.clear();
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&at_once)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(failed("wait for frames", error)),
            }
            if events.is_empty() {
                return Ok(true);
            }
            for event in &events {
                match event.data.u64() {
                    LINKS => self.take_links()?,
                    TABLE => self.take_table(now)?,
                    index => self.hear(u32::try_from(index).unwrap_or_default(), now),
                }
            }
        }
        Ok(false)
    }

    fn take_links(&mut self) -> Result<()> {
        let (links, mut changed, mut complete) = (&mut self.links, false, true);
        self.group.drain(|came| match came {
            Came::Datagram(datagram, is_cut) => {
                complete &= !is_cut;
                for event in Messages(datagram).filter_map(|message| places::event(&message)) {
                    changed |= places::apply(links, event);
                }
            }
            Came::Loss => complete = false,
        })?;
        if !complete {
            self.links = places::read()?;
        }
        if changed || !complete {
            self.asker.macs(&self.links);
            self.arrange();
        }
        Ok(())
    }

    /// What we hear ourselves, the table does not know better: the kernel believes more than we do.
    fn take_table(&mut self, now: Moment) -> Result<()> {
        let (known, covered, mut entries) = (&self.known, &self.chosen.covered, Vec::new());
        let is_wanted = |entry: &Entry| known.contains(&entry.mac) && !covered.contains(&entry.interface);
        let complete = self.table.take(|entry| entries.extend(is_wanted(&entry).then_some(entry)))?;
        if !complete {
            entries.clear();
            table::read(|entry| entries.extend(is_wanted(&entry).then_some(entry)))?;
        }
        for entry in entries {
            self.note(&entry, now);
        }
        Ok(())
    }

    fn note(&mut self, entry: &Entry, now: Moment) {
        self.counts.table += 1;
        let Entry { mac, address, how, .. } = *entry;
        self.waiting.push(Sighted { mac, address, how, at: now });
    }

    fn hear(&mut self, index: u32, now: Moment) {
        // It may have been closed since.
        let Some(ear) = self.ears.get(&index) else { return };
        let (known, counts) = (&self.known, &mut self.counts);
        let mut judge = |frame: &[u8]| {
            let claimed = claim(frame, known);
            match claimed {
                Ok(_) => counts.heard += 1,
                Err(Ignored::Unknown) => counts.unknown += 1,
                Err(Ignored::Because(_)) => counts.ignored += 1,
            }
            claimed.ok()
        };
        for _ in 0..TURN {
            match ear.hear(&mut self.buffer, &mut judge) {
                Ok(None) | Err(Errno::INTR) => {}
                Ok(Some(claim)) => {
                    let super::Claim { mac, address, how } = claim;
                    self.waiting.push(Sighted { mac, address, how, at: now });
                }
                // ENETDOWN is said once; whether the interface comes up again or goes, we are told.
                Err(_) => return,
            }
        }
    }

    /// Opens and closes sockets, so that they are where they should be.
    fn arrange(&mut self) {
        let asking = if self.out.is_some() { self.asker.interfaces(&self.also) } else { BTreeSet::new() };
        self.chosen = self.places.among(&self.links, &asking);
        let Chosen { ears, covered, .. } = &mut self.chosen;
        self.ears.retain(|index, _| ears.contains(index));
        self.deaf.clear();
        for index in ears.iter().copied() {
            let Some(link) = self.links.get(&index).filter(|_| !self.ears.contains_key(&index)) else { continue };
            let opened = Ear::open(index, link.master.is_some());
            match opened.and_then(|ear| add(&self.epoll, &ear, index.into()).map(|()| ear).map_err(Into::into)) {
                Ok(ear) => _ = self.ears.insert(index, ear),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.deaf = vec![Lack::NotPermitted];
                    break;
                }
                Err(error) => self.deaf.push(Lack::Deaf(link.name, in_words(&error))),
            }
        }
        if !self.deaf.is_empty() {
            // Then the table's word is better than none.
            covered.clear();
        }
        if self.out.is_none() && self.deaf.is_empty() {
            self.deaf = vec![Lack::NotPermitted];
        }
    }

    /// Asks whom it is time to ask; when to do so again.
    pub fn ask(&mut self, now: Moment) -> Result<Option<Moment>> {
        let Some(out) = &self.out else { return Ok(None) };
        loop {
            let question = match self.sweep.next(now) {
                Step::Ask(address) => self.asker.question(address),
                Step::AskBy(interface, address) => {
                    self.asker.question_by(interface, address).map(|frame| (interface, frame))
                }
                Step::Wait(until) => return Ok(until),
            };
            if let Some((interface, frame)) = question {
                // Whatever goes wrong, a down or full interface: it is asked again in the next round.
                self.counts.asked += u64::from(out.send(interface, &frame).is_ok());
            }
            if self.sweep.rounds() != self.round {
                self.round = self.sweep.rounds();
                // The host may have other addresses by now.
                self.asker.own(ask::read(&self.links)?);
                self.arrange();
                return Ok(Some(now));
            }
        }
    }
}

fn add(epoll: &OwnedFd, source: &impl AsFd, data: u64) -> Result<(), Errno> {
    epoll::add(epoll, source, epoll::EventData::new_u64(data), epoll::EventFlags::IN)
}

fn failed(doing: &str, error: Errno) -> Error {
    Error::new(format!("cannot {doing}: {}", in_words(&error.into())))
}
