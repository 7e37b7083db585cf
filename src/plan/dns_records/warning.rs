//! What is not published, and what somebody should put in order.

use crate::net::{Mac, Shown};
use std::fmt;
use std::net::IpAddr;

/// Something that is not published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The guest.
    pub vmid: u32,
    /// The interface, if it is not the whole guest.
    pub nic: Option<u8>,
    /// The address, if it is not the whole interface.
    pub address: Option<IpAddr>,
    /// Why.
    pub why: Why,
}

/// Why something is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The guest is a template.
    Template,
    /// It has a tag that opts out.
    OptedOut,
    /// It has none of the tags that opt in.
    NotOptedIn,
    /// It has no name, and the policy has none for it.
    Unnamed,
    /// Its name is another's, and there is no other for it.
    NameTaken,
    /// It is in no network of ours: the guest, or the interface.
    NoNetwork,
    /// The interface's cable is out.
    LinkDown,
    /// The address is in no prefix of the interface's networks.
    Outside,
    /// The address is no guest's to have.
    Reserved,
    /// The address is another guest's.
    Claimed(u32),
    /// The interface has many others.
    TooMany,
    /// An IPv6 address for a while, beside a lasting one.
    Temporary,
    /// One of several IPv6 addresses of which nobody can say which is the lasting one.
    Ambiguous,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Template => "a template",
            Self::OptedOut => "a tag opts out",
            Self::NotOptedIn => "no tag opts in",
            Self::Unnamed => "it has no name",
            Self::NameTaken => "its name is another's",
            Self::NoNetwork => "in no network of ours",
            Self::LinkDown => "its cable is out",
            Self::Outside => "outside of the interface's network",
            Self::Reserved => "a reserved address",
            Self::Claimed(vmid) => return write!(f, "guest {vmid} has it"),
            Self::TooMany => "one of too many addresses",
            Self::Temporary => "a temporary address",
            Self::Ambiguous => "perhaps a temporary address",
        })
    }
}

/// Who has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Another guest.
    Guest(u32),
    /// Nobody can have it, or it is an extra record's.
    Reserved,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest(vmid) => write!(f, "guest {vmid}'s"),
            Self::Reserved => f.write_str("reserved"),
        }
    }
}

/// Something that somebody should put in order. The same each time, for as long as nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// Several guests have this number; one of them counts.
    ListedTwice {
        /// The number.
        vmid: u32,
    },
    /// A name was made legal.
    NameMadeLegal {
        /// The guest.
        vmid: u32,
        /// Its name.
        name: String,
        /// What it is called; none if that is nothing.
        now: Option<String>,
    },
    /// A name is another's.
    NameTaken {
        /// The guest.
        vmid: u32,
        /// Its name.
        label: String,
        /// Whose it is.
        holder: Holder,
        /// What it is called; none if that is nothing.
        now: Option<String>,
    },
    /// A name is too long with its domain.
    NameTooLong {
        /// The guest.
        vmid: u32,
        /// Its name.
        label: String,
    },
    /// An address is configured that is in no prefix of the interface's networks.
    Outside {
        /// The guest.
        vmid: u32,
        /// The interface.
        nic: u8,
        /// The address.
        address: IpAddr,
    },
    /// An address is configured that is no guest's to have.
    ReservedAddress {
        /// The guest.
        vmid: u32,
        /// The interface.
        nic: u8,
        /// The address.
        address: IpAddr,
    },
    /// Two guests have one address.
    AddressTwice {
        /// The address.
        address: IpAddr,
        /// The guest that has its name.
        winner: u32,
        /// The other.
        loser: u32,
    },
    /// An address that only the wire tells of has gone over to another guest, and both run.
    AddressMoved {
        /// The address.
        address: IpAddr,
        /// The guest that had it.
        from: u32,
        /// The guest that has its name.
        to: u32,
    },
    /// Guests in one network have one MAC address.
    MacTwice {
        /// The address.
        mac: Mac,
        /// The guests.
        vmids: Vec<u32>,
    },
    /// Nobody can say which of an interface's IPv6 addresses last.
    Ambiguous {
        /// The guest.
        vmid: u32,
        /// The interface.
        nic: u8,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let called = |now: &Option<String>| match now {
            Some(now) => format!("it is called {now}"),
            None => "it is not published".to_owned(),
        };
        match self {
            Self::ListedTwice { vmid } => write!(f, "guest {vmid} is listed twice; one of them counts"),
            Self::NameMadeLegal { vmid, name, now } => {
                write!(f, "guest {vmid}: {} is no name for DNS; {}", Shown(name), called(now))
            }
            Self::NameTaken { vmid, label, holder, now } => {
                write!(f, "guest {vmid}: the name {label} is {holder}; {}", called(now))
            }
            Self::NameTooLong { vmid, label } => {
                write!(f, "guest {vmid}: {label} is too long with its domain; it is not published")
            }
            Self::Outside { vmid, nic, address } => {
                write!(
                    f,
                    "guest {vmid}: net{nic}: {address} is configured, which is outside of its network; not published"
                )
            }
            Self::ReservedAddress { vmid, nic, address } => {
                write!(f, "guest {vmid}: net{nic}: {address} is configured, which is reserved; not published")
            }
            Self::AddressTwice { address, winner, loser } => {
                write!(f, "{address} is guest {winner}'s and guest {loser}'s; guest {winner} has it in DNS")
            }
            Self::AddressMoved { address, from, to } => write!(
                f,
                "{address} was guest {from}'s, and guest {to} was heard with it last and has it in DNS; nobody but the wire says so"
            ),
            Self::MacTwice { mac, vmids } => {
                let vmids: Vec<_> = vmids.iter().map(u32::to_string).collect();
                write!(f, "guests {} have one MAC address in one network, {mac}", vmids.join(", "))
            }
            Self::Ambiguous { vmid, nic } => write!(
                f,
                "guest {vmid}: net{nic}: nobody can tell which of its IPv6 addresses are temporary; none is published until one \
                 is older than the others (or without use_tempaddr, or with DHCPv6)"
            ),
        }
    }
}
