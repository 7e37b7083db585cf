//! From guests and sightings to DNS: which names with which addresses, which names for DHCP, and why. No I/O, no clock; the order of
//! guests and sightings makes no difference.
//!
//! - A guest has one label, made legal ([`name`]), in the domains of the networks that its interfaces are plugged into; a name with a dot
//!   keeps its own domain. Of guests that want the same name, the lowest number has it ([`naming`]).
//! - What is configured (a container's `ip`, cloud-init's `ipconfigN`) counts for its family, whatever was seen. Other interfaces have
//!   the addresses that were seen on their MAC address and in their network ([`addresses`]); never others.
//! - An address is one guest's: who has it configured, before whom a
//!   DHCP server gave it, before who was seen with it; then the lowest number ([`claims`]).
//! - A guest that does not run keeps what is configured and what the SDN has given it. Of one whose node is offline, the caller hands
//!   in what was known last. Templates have no names.
//! - An interface whose address is not configured has its name reserved at the DHCP server, too ([`reservations`]).
//!
//! [`text`] is how dnsmasq and people read it.

mod addresses;
mod claims;
mod name;
mod naming;
mod network;
mod reservations;
mod subjects;
#[cfg(test)]
mod tests;
pub mod text;
mod warning;

pub use network::{Network, Vlan};
pub use warning::{Holder, LeftOut, Warning, Why};

use crate::net::{DomainName, Mac};
use crate::plan::guest::{By, Guest, Sighting};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// What the administrator wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The networks. An address is in the first that its interface is plugged into and that holds it.
    pub networks: Vec<Network>,
    /// Only guests with one of these tags are published, if there are any. In lower case.
    pub only_tags: BTreeSet<String>,
    /// Guests with one of these tags are not published. In lower case.
    pub without_tags: BTreeSet<String>,
    /// What guests without a name are called.
    pub unnamed: Unnamed,
    /// What becomes of a guest whose name is another's.
    pub duplicates: Duplicates,
    /// Names with dots.
    pub dotted: Dotted,
    /// Interfaces whose cable is out.
    pub link_down: LinkDown,
    /// Names that no guest can have: a label in any domain of [`Self::networks`], or a whole name. `localhost` is always one.
    pub reserved_names: BTreeSet<DomainName>,
    /// Addresses that no guest can have: the gateway's, the DNS server's.
    pub reserved_addresses: BTreeSet<IpAddr>,
    /// Further records. Their names are no guest's.
    pub extra: Vec<Extra>,
}

/// What guests without a name are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unnamed {
    /// `vm-117`, `ct104`.
    #[default]
    Numbered,
    /// Nothing: they are not published.
    LeftOut,
}

/// What becomes of a guest whose name is another's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// It is called `name-VMID`.
    #[default]
    Numbered,
    /// It is not published.
    LeftOut,
}

/// What a dot in a guest's name means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dotted {
    /// The name is whole: no domain is put behind it. Whoever may name a guest can then name it `www.example.com`.
    #[default]
    AsIs,
    /// Nothing: it becomes a hyphen, as all else that no label can have.
    Hyphens,
}

/// Whether an interface is published whose cable is out (`link_down`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkDown {
    /// Like any other; a guest that does not run is published, too.
    #[default]
    Published,
    /// Not while it is out.
    LeftOut,
}

/// A record of the administrator's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extra {
    /// The whole name.
    pub name: DomainName,
    /// The address.
    pub address: IpAddr,
}

/// A name has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The whole name.
    pub name: DomainName,
    /// The address.
    pub address: IpAddr,
    /// Whether the address has this name, too (PTR). One of its names does: the first guest's, else the first.
    pub has_ptr: bool,
    /// Why it is so.
    pub reason: Reason,
}

/// Why there is a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The administrator wrote it.
    Extra,
    /// An interface has it.
    Nic {
        /// The guest.
        vmid: u32,
        /// The interface's index.
        nic: u8,
        /// The network, as an index of [`Policy::networks`].
        network: usize,
        /// Who says that it has it.
        source: Source,
    },
}

impl Reason {
    /// The guest, unless it is the administrator's.
    pub fn vmid(&self) -> Option<u32> {
        match self {
            Self::Extra => None,
            Self::Nic { vmid, .. } => Some(*vmid),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extra => f.write_str("extra record"),
            Self::Nic { vmid, nic, source, .. } => write!(f, "guest {vmid} net{nic}: {source}"),
        }
    }
}

/// Who says that an interface has an address. What comes first, counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The guest's configuration: the address is static.
    Config,
    /// Who saw it: the address is dynamic.
    Seen(By),
}

impl Source {
    /// One word, for people and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Seen(by) => by.name(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name for a DHCP client: `MAC,name` in dnsmasq's `dhcp-hostsfile`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reservation {
    /// The client.
    pub mac: Mac,
    /// Its name: a label, or with its domain where dnsmasq would take the label for something else.
    pub name: DomainName,
    /// The guest.
    pub vmid: u32,
    /// The interface's index.
    pub nic: u8,
}

/// All that follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// By guest, interface and address; extra ones first.
    pub records: Vec<Record>,
    /// By MAC address; each once.
    pub reservations: Vec<Reservation>,
    /// What each guest that is published is called, with or without addresses now.
    pub names: BTreeMap<u32, BTreeSet<DomainName>>,
    /// What is not published, and why; sorted. It changes with what guests say and need not be logged.
    pub left_out: Vec<LeftOut>,
    /// What somebody should put in order; sorted. To be logged once each.
    pub warnings: Vec<Warning>,
}

impl Records {
    /// What follows for these guests.
    pub fn new(guests: &[Guest], sightings: &[Sighting], policy: &Policy) -> Self {
        let mut records = Self::default();
        let guests = subjects::in_order(guests, &mut records.warnings);
        let subjects = subjects::published(&guests, policy, &mut records);
        let claims = claims::all(&guests, &subjects, sightings, policy, &mut records);
        let owned = claims::settled(claims, &mut records);
        let by_vmid: BTreeMap<u32, &subjects::Subject> =
            subjects.iter().map(|subject| (subject.guest.vmid, subject)).collect();
        for claim in owned {
            let network = policy.networks.get(claim.network);
            let subject = by_vmid.get(&claim.vmid);
            let Some(name) = network.zip(subject).and_then(|(network, subject)| subject.name.under(&network.domain))
            else {
                continue;
            };
            let (vmid, nic, network, source) = (claim.vmid, claim.nic, claim.network, claim.source);
            let reason = Reason::Nic { vmid, nic, network, source };
            records.records.push(Record { name, address: claim.address, has_ptr: false, reason });
        }
        let extra = policy.extra.iter().map(|extra| {
            let Extra { name, address } = extra.clone();
            Record { name, address, has_ptr: false, reason: Reason::Extra }
        });
        records.records.extend(extra);
        records.reservations = reservations::all(&guests, &subjects, policy);
        records.put_in_order();
        records
    }

    /// Sorts everything, and gives each address one name for reverse lookups.
    fn put_in_order(&mut self) {
        let place = |record: &Record| match record.reason {
            Reason::Extra => (0, 0),
            Reason::Nic { vmid, nic, .. } => (vmid, nic),
        };
        self.records.sort_by(|one, other| {
            let by_place = (place(one), one.address).cmp(&(place(other), other.address));
            by_place.then_with(|| one.name.cmp(&other.name))
        });
        self.records.dedup_by(|one, other| {
            (&one.name, one.address, one.reason.vmid()) == (&other.name, other.address, other.reason.vmid())
        });
        let mut seen = BTreeSet::new();
        let guests_first = |is_guest: bool| move |record: &&mut Record| record.reason.vmid().is_some() == is_guest;
        for is_guest in [true, false] {
            for record in self.records.iter_mut().filter(guests_first(is_guest)) {
                record.has_ptr = seen.insert(record.address);
            }
        }
        self.left_out.sort();
        self.left_out.dedup();
        self.warnings.sort();
        self.warnings.dedup();
    }
}
