//! Other people's changes of the kernel's ruleset, from nf_tables' multicast group.
//!
//! For each commit the kernel sends what was changed and then, as NEWGEN, the new generation and whose commit it was.
//! We know the generation that holds our policy, verified: commits up to it are our own or older, the next one is
//! somebody else's. If it names nothing of ours, the policy is verified for its generation, too, and nothing has to be
//! read. Whatever is not sure (a gap, a lost message) is.

use crate::error::{Error, Result, in_words};
use crate::netlink::{Message, Messages};
use crate::plan::ruleset::Ruleset;
use crate::sink::nft_netlink::{kernel, nfgenmsg};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};
use std::collections::HashSet;
use std::fmt;

/// NFNLGRP_NFTABLES, as a bit.
const GROUP: u32 = 1 << (7 - 1);
/// Bytes of events that may wait while we work. What is more gets lost, which costs a comparison.
const QUEUE: usize = 4 << 20;
/// Longer than any event.
const LONGEST: usize = 1 << 16;

const DELTABLE: u16 = kernel::SUBSYSTEM | 2;
const DELSET: u16 = kernel::SUBSYSTEM | 0xb;
const NEWGEN: u16 = kernel::SUBSYSTEM | 0xf;
const GEN_PROC_PID: u16 = 2;
const GEN_PROC_NAME: u16 = 3;
/// In all kinds of messages.
const TABLE: u16 = 1;

/// The names in the kernel that are ours.
#[derive(Debug, Default)]
pub struct Ours(Vec<Place>);

#[derive(Debug)]
struct Place {
    family: u8,
    table: String,
    chains: HashSet<String>,
    sets: HashSet<String>,
    set_endings: &'static [&'static str],
}

impl Ours {
    /// What is ours in this ruleset.
    pub fn of(ruleset: &Ruleset) -> Self {
        let places = ruleset.tables.iter().map(|table| {
            let absent = table.absent_chains.iter().map(|(name, _)| *name);
            Place {
                family: nfgenmsg(table.family)[0],
                table: table.name.as_str().to_owned(),
                chains: table.chains.iter().map(|chain| chain.name).chain(absent).map(str::to_owned).collect(),
                sets: table.sets.iter().map(|set| set.name.as_str().to_owned()).collect(),
                set_endings: table.set_endings,
            }
        });
        Self(places.collect())
    }

    fn include(&self, message: &Message) -> bool {
        let attributes = message.attributes(kernel::NFGENMSG);
        let family = message.body.first().copied().unwrap_or_default();
        let table = attributes.text(TABLE).unwrap_or_default();
        let mut places = self.0.iter().filter(|place| place.family == family && place.table == table);
        places.any(|place| match message.kind {
            kernel::NEWTABLE | DELTABLE => true,
            kernel::NEWCHAIN | kernel::DELCHAIN => place.has_chain(attributes.text(kernel::CHAIN_NAME)),
            kernel::NEWRULE | kernel::DELRULE => place.has_chain(attributes.text(kernel::RULE_CHAIN)),
            kernel::NEWSET | DELSET => place.has_set(attributes.text(kernel::SET_NAME)),
            kernel::NEWSETELEM | kernel::DELSETELEM => place.has_set(attributes.text(kernel::SET_ELEM_LIST_SET)),
            // Stateful objects, flow tables: we have none.
            _ => false,
        })
    }
}

impl Place {
    fn has_chain(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| self.chains.contains(name))
    }

    fn has_set(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| self.sets.contains(name) || self.set_endings.iter().any(|ending| name.ends_with(ending)))
    }
}

/// Who changed the ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    name: String,
    id: u32,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", crate::net::Shown(&self.name), self.id)
    }
}

/// Which generation holds our policy, and what became of it since.
#[derive(Debug, Default)]
pub struct Follower {
    ours: Ours,
    held: Option<u32>,
    /// The commit whose messages come in touches what is ours, or messages of it may be lost.
    touched: bool,
    by: Option<Process>,
}

impl Follower {
    /// From now on the policy of which this is the part that is ours is known to be held since `generation`.
    pub fn hold(&mut self, ours: Ours, generation: u32) {
        self.ours = ours;
        self.held = Some(generation);
        self.by = None;
    }

    /// The generation for which the policy is known to be in the kernel.
    pub fn held(&self) -> Option<u32> {
        self.held
    }

    /// Whose commit was the last that may have changed what is ours.
    pub fn by(&self) -> Option<&Process> {
        self.by.as_ref()
    }

    /// Takes in a datagram; whether what is ours may have been changed.
    pub fn see(&mut self, datagram: &[u8]) -> bool {
        let mut changed = false;
        for message in Messages(datagram) {
            if message.kind == NEWGEN {
                changed |= self.see_generation(&message);
            } else {
                self.touched = self.touched || self.ours.include(&message);
            }
        }
        changed
    }

    fn see_generation(&mut self, message: &Message) -> bool {
        let attributes = message.attributes(kernel::NFGENMSG);
        let touched = std::mem::take(&mut self.touched);
        let Some(generation) = attributes.number(kernel::GEN_ID) else { return true };
        if let Some(held) = self.held {
            match generation.wrapping_sub(held).cast_signed() {
                // Our own, or one that we have seen when we compared.
                ..=0 => return false,
                1 if !touched => {
                    self.held = Some(generation);
                    return false;
                }
                _ => {}
            }
        }
        let name = attributes.text(GEN_PROC_NAME).unwrap_or("?").to_owned();
        self.by = attributes.number(GEN_PROC_PID).map(|id| Process { name, id });
        true
    }

    /// Messages were lost; perhaps some of a commit whose last one is still to come.
    fn lose(&mut self) {
        self.touched = true;
    }
}

/// The socket.
pub struct Commits {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What the socket brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that concerns us.
    Nothing,
    /// What is ours may have been changed.
    Change,
    /// Messages were lost: compare generations.
    Loss,
}

impl Commits {
    /// Joins the group. Do so before the ruleset is read for the first time.
    ///
    /// # Errors
    /// No permission, or no nf_tables.
    pub fn listen() -> Result<Self> {
        let socket = Self::open().map_err(|error| {
            let message = format!("cannot listen to changes of the kernel's ruleset: {}", in_words(&error.into()));
            Error::new(message).remedy("run as root, or with CAP_NET_ADMIN")
        })?;
        Ok(Self { socket, buffer: vec![0; LONGEST] })
    }

    fn open() -> Result<OwnedFd, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE);
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        Ok(socket)
    }

    /// Takes in all that has come.
    ///
    /// # Errors
    /// The socket failed.
    pub fn drain(&mut self, follower: &mut Follower) -> Result<Seen> {
        let mut seen = Seen::Nothing;
        loop {
            match rustix::net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((read, length)) => {
                    let datagram = self.buffer.get(..read).unwrap_or_default();
                    if length > read {
                        follower.lose();
                    }
                    if follower.see(datagram) && seen == Seen::Nothing {
                        seen = Seen::Change;
                    }
                }
                Err(Errno::WOULDBLOCK) => return Ok(seen),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => {
                    follower.lose();
                    seen = Seen::Loss;
                }
                Err(error) => {
                    let message = format!("no more news of the kernel's ruleset: {}", in_words(&error.into()));
                    return Err(Error::new(message).remedy("start again"));
                }
            }
        }
    }
}

impl AsFd for Commits {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
