//! Who is on the wire: which MAC has which address, heard from ARP and IPv6's neighbour discovery, from the kernel's neighbour
//! table, and, where nobody speaks by itself, by asking.
//!
//! [`Neighbors`] is what a daemon awaits; [`Kernel`] asks this host's kernel, [`Memory`] is its twin for tests. Three sources
//! meet in it:
//! - packet sockets hear what comes in by the ports of bridges and by other interfaces (`places` says by which), behind a
//!   filter in the kernel (`filter`); [`claim`] reads the frames. Who changes its address is heard at once: by its gratuitous ARP or its
//!   duplicate address detection.
//! - the kernel's neighbour table (`table`), read at the start and whenever other MACs are asked for; for interfaces that
//!   are not listened to, its changes too. It needs no privilege. The kernel believes forged ARP; so where frames are heard, what the
//!   table says is asked for and not told.
//! - a slow sweep ([`Sweep`], `ask`): requests from the host's own address, so that even a silent guest answers.
//!
//! Only MACs that the caller knows are told of. Nothing but (MAC, address) is taken from the wire, never a name. That an
//! address is one that the guest may have is for the caller to judge. A guest that has gone silent is not gone: of that nothing
//! is said, and RTM_DELNEIGH, by which the kernel forgets a neighbour, means nothing here.
//!
//! Not heard: frames with two tags (802.1ad), what one guest tells another on a port of Open vSwitch unless that is named,
//! and frames that hardware switches past the host.

mod ask;
mod claim;
mod filter;
mod kernel;
mod listener;
mod memory;
mod places;
mod socket;
mod sweep;
mod table;
mod waiting;

pub use claim::{Claim, Ignored, claim};
pub use kernel::{Kernel, Sweeping};
pub use listener::Counts;
pub use memory::Memory;
pub use places::Places;
pub use sweep::{Step, Sweep};
pub use waiting::{MOST, Waiting};

use crate::daemon::schedule::Moment;
use crate::error::Result;
use crate::net::{IfName, Mac};
use ipnet::Ipv4Net;
use rustc_hash::FxHashSet;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A MAC with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighted {
    /// Who.
    pub mac: Mac,
    /// With which address: one that a host can have, neither a group nor loopback.
    pub address: IpAddr,
    /// How sure that is.
    pub how: How,
    /// When. Of two with the same address the later one has it by now.
    pub at: Moment,
}

/// How something is known, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// It said so itself.
    Said,
    /// The kernel talked to it lately (NUD_REACHABLE), or somebody wrote it down for good (NUD_PERMANENT).
    Reachable,
    /// It says that it is about to take the address, if nobody else has it: duplicate address detection (RFC 4862, section 5.4).
    Tentative,
    /// The kernel heard of it some time ago.
    Remembered,
}

/// What cannot be known, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// There may be no packet socket: CAP_NET_RAW is missing.
    NotPermitted,
    /// There is no interface of this name, at present.
    Absent(IfName),
    /// That interface has no Ethernet frames.
    NotEthernet(IfName),
    /// That interface cannot be listened to.
    Deaf(IfName, String),
    /// That network is not asked: the host has no address in it.
    NoAddress(Ipv4Net),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str(
                "without CAP_NET_RAW guests' ARP and neighbour discovery are not heard and networks not swept: a change of \
                 address is known when the API, a lease or the kernel's neighbour table tells of it; \
                 start as root, or with AmbientCapabilities=CAP_NET_RAW in the unit",
            ),
            Self::Absent(name) => write!(f, "there is no interface {name}: nothing is heard there until it comes"),
            Self::NotEthernet(name) => write!(f, "interface {name} is not of Ethernet: nothing is heard there"),
            Self::Deaf(name, why) => write!(f, "cannot listen to interface {name}: {why}"),
            Self::NoAddress(network) => {
                write!(f, "the host has no address in {network}: it is not swept, and silent guests there stay unknown")
            }
        }
    }
}

/// What a daemon awaits.
pub trait Neighbors {
    /// From now on these MACs are told of, and no others. With `asked`, IPv6 addresses that the sweep is to ask for as well (link-local
    /// ones are left out: they do not say where). What the kernel's table knows of MACs that are new is told soon.
    fn know(&mut self, macs: FxHashSet<Mac>, asked: Vec<Ipv6Addr>);

    /// The sweep need not ask for these from now on: who has them is known from better witnesses than the wire.
    fn spare(&mut self, addresses: FxHashSet<Ipv4Addr>);

    /// Somebody's address is sought: the sweep looks more often for a while, as it does at its beginning.
    fn seek(&mut self);

    /// The next one. The same again is told again, for it proves that it is still so; but of what waits, only the newest of a
    /// (MAC, address), and of a MAC no more than [`MOST`] addresses.
    ///
    /// Cancel-safe: what is not returned is told by the next call. The sweep goes on only while this is awaited.
    ///
    /// # Errors
    /// The kernel can be heard no more; call it again, or begin anew.
    fn next(&mut self) -> impl Future<Output = Result<Sighted>>;

    /// What cannot be known at present.
    fn lacking(&self) -> Vec<Lack>;

    /// What happened so far, for metrics.
    fn counts(&self) -> Counts;
}
