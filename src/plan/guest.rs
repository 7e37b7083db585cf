//! Guests as Proxmox VE knows them, and where they were seen. Values only: what comes from the API or from the wire is checked
//! at the edge ([`crate::source`]), so every address and MAC address here is a legal one, though names may be anything.

use crate::daemon::schedule::Moment;
use crate::net::Mac;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A virtual machine or a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guest {
    /// Its number, unique in the cluster.
    pub vmid: u32,
    /// What it is.
    pub kind: Kind,
    /// The node that it is on now.
    pub node: String,
    /// Its name as somebody wrote it: not yet a DNS label. None if it has none: Proxmox then says `VM 117`, `CT104` or nothing.
    pub name: Option<String>,
    /// Whether it runs.
    pub state: State,
    /// Whether it is only there to be cloned.
    pub is_template: bool,
    /// Its tags, in lower case, as Proxmox compares them.
    pub tags: BTreeSet<String>,
    /// Whether the guest agent may be asked (`agent`; QEMU only).
    pub agent_enabled: bool,
    /// Whether cloud-init takes its network from a snippet (`cicustom: network=`): what `ipconfigN` says is not in force then, and
    /// the API does not show what is.
    pub has_custom_cloud_init: bool,
    /// Its network interfaces, by index.
    pub nics: Vec<Nic>,
    /// The lists of addresses that its agent or its node gave.
    pub lists: Lists,
}

/// When all addresses of an interface were listed last, by its MAC address. There may have been none, and so no [`Sighting`] either:
/// what such a list lacks is not there.
pub type Lists = BTreeMap<Mac, Moment>;

/// What a guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl Kind {
    /// As the API has it in paths and in `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It does; paused or suspended to RAM counts.
    Running,
    /// It does not.
    Stopped,
    /// Nobody knows: its node is offline. All else in [`Guest`] is what was known last.
    Unknown,
}

impl State {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Guest {
    /// The addresses that an interface of its is configured to have, IPv4 and IPv6. Custom cloud-init hides which it has.
    pub fn configured(&self, nic: &Nic) -> [Option<IpAddr>; 2] {
        if self.has_custom_cloud_init {
            return [None, None];
        }
        [nic.v4.address().map(IpAddr::V4), nic.v6.address().map(IpAddr::V6)]
    }
}

/// A network interface of a guest: `netN`, and for virtual machines `ipconfigN`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nic {
    /// The N, 0 to 31.
    pub index: u8,
    /// Its address on the link.
    pub mac: Mac,
    /// The bridge, or the SDN's vnet, that it is plugged into. None: QEMU's user-mode network.
    pub bridge: Option<String>,
    /// The VLAN, 1 to 4094; none if untagged.
    pub tag: Option<u16>,
    /// Whether its cable is out.
    pub is_link_down: bool,
    /// What is configured for IPv4.
    pub v4: Configured<Ipv4Addr>,
    /// What is configured for IPv6.
    pub v6: Configured<Ipv6Addr>,
}

/// How an interface is to come to its addresses of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Configured<A> {
    /// It has this one.
    Static(A),
    /// By DHCP.
    Dhcp,
    /// By SLAAC; IPv6 only.
    Auto,
    /// The guest's own affair, says a container's configuration.
    Manual,
    /// The configuration does not say: no `ipconfigN`, or nothing in it about this family.
    Unsaid,
}

impl<A: Copy> Configured<A> {
    /// The address, if there is one.
    pub fn address(self) -> Option<A> {
        match self {
            Self::Static(address) => Some(address),
            Self::Dhcp | Self::Auto | Self::Manual | Self::Unsaid => None,
        }
    }
}

/// A MAC address had an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sighting {
    /// Whose it is on the link.
    pub mac: Mac,
    /// The address. Any, link-local ones too: they help to tell stable addresses from temporary ones.
    pub address: IpAddr,
    /// The guest that was asked, or that a table names. None from the wire and from leases, which know only MAC addresses. A guest
    /// that says something about another's MAC address is not believed.
    pub vmid: Option<u32>,
    /// Who says so.
    pub by: By,
    /// Since when it has been said or heard without a break. Equal to [`Self::at`] when it is new.
    pub since: Moment,
    /// When it was said or heard last. Of a lease, when it was granted or renewed, not when the file was read.
    pub at: Moment,
}

impl Sighting {
    /// These, with [`Self::since`] of what they were before: the same said by the same about the same.
    pub fn continued(mut now: Vec<Self>, before: &[Self]) -> Vec<Self> {
        let what = |sighting: &Self| (sighting.mac, sighting.address, sighting.vmid, sighting.by);
        let before: HashMap<_, _> = before.iter().map(|sighting| (what(sighting), sighting.since)).collect();
        for sighting in &mut now {
            sighting.since = before.get(&what(sighting)).copied().unwrap_or(sighting.since).min(sighting.since);
        }
        now
    }
}

/// Who saw an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// The guest agent; one answer lists all addresses, all with the same [`Sighting::at`].
    Agent,
    /// The node, of a container (`interfaces`); likewise one list.
    Interfaces,
    /// dnsmasq's lease file.
    Lease,
    /// ARP or ND on the wire, or the kernel's neighbour table.
    Neighbor,
    /// The SDN's address management: allocated, which does not mean used.
    Ipam,
}

impl By {
    /// One word, for people and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Interfaces => "interfaces",
            Self::Lease => "lease",
            Self::Neighbor => "neighbor",
            Self::Ipam => "ipam",
        }
    }

    /// Whether what is said so about a guest in this state is better than the wire's word: by frames alone nobody else gets the address.
    pub fn outweighs_the_wire(self, state: State) -> bool {
        match self {
            Self::Agent | Self::Interfaces => state == State::Running,
            Self::Lease => state != State::Stopped,
            Self::Neighbor => false,
            Self::Ipam => true,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
