//! Who may boot from the inspection network: from Ironic's ports and the nodes under inspection to an answer for each MAC
//! address, and one for all that nobody knows. [`inventory`] puts together what Ironic tells in pieces, [`changes`] is the
//! way from what a folder says to what it should say.
//!
//! The rules are those of the two filters that this one replaces, [`Semantics`]; docs/pxe-filter.md has them as a truth
//! table, which is also the test.

pub mod changes;
pub mod inventory;
#[cfg(test)]
mod truth_table;

use crate::net::Mac;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::SystemTime;
use uuid::Uuid;

/// Whether DHCP, and so PXE, is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// It is.
    Allow,
    /// It is not.
    Deny,
}

impl Access {
    /// Allowed if so.
    pub fn when(allowed: bool) -> Self {
        if allowed { Self::Allow } else { Self::Deny }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// Whom an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// One MAC address.
    Mac(Mac),
    /// Every MAC address that has no answer of its own: dnsmasq's `*:*:*:*:*:*`.
    Unknown,
}

/// A port as Ironic has it: a network interface of a bare metal node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the API.
    pub uuid: Uuid,
    /// The node that it belongs to.
    pub node: Uuid,
    /// Where it is on the network. For Ethernet over InfiniBand that is not what is written in Ironic; see [`InfiniBand`].
    pub address: Mac,
    /// Whether the node may boot from it.
    pub pxe_enabled: bool,
    /// Of an InfiniBand port, the last eight octets of `extra.client-id`.
    pub guid: Option<Guid>,
}

/// An InfiniBand port's globally unique identifier, EUI-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 8]);

/// What the host's Ethernet-over-InfiniBand interfaces know: the MAC address that a GUID has on them
/// (`/sys/class/net/IF/eth/neighs`).
pub type InfiniBand = HashMap<Guid, Mac>;

/// A node in the provision states `inspecting` or `inspect wait`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name in the API.
    pub uuid: Uuid,
    /// Its name for people, if it has one.
    pub name: Option<String>,
    /// Who inspects it: `agent`, `redfish`, ... Old versions of the API do not say.
    pub inspect_interface: Option<String>,
    /// When its provision state changed last, by Ironic's clock.
    pub since: Option<SystemTime>,
}

/// Whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Semantics {
    /// ironic-inspector's filter: whatever is under inspection may boot.
    Inspector,
    /// Ironic's own pxe_filter service: only what one of [`Settings::supported_inspect_interfaces`] inspects.
    Ironic,
}

/// What becomes of a MAC address that was a port's and is none's any more, for as long as its file stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is denied.
    Denied,
    /// It is treated as those that nobody knows, as both originals do.
    AsUnknown,
}

/// The rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose rules they are.
    pub semantics: Semantics,
    /// `[pxe_filter] supported_inspect_interfaces`.
    pub supported_inspect_interfaces: Vec<String>,
    /// `[pxe_filter] deny_unknown_macs`. Not together with [`Self::discovers`].
    pub deny_unknown_macs: bool,
    /// Whether unknown nodes are to be found: `[processing] node_not_found_hook` is set, or `[auto_discovery] enabled`.
    pub discovers: bool,
    /// Whether a port that is not for PXE boot is denied even while its node is inspected. The originals do not look.
    pub deny_pxe_disabled: bool,
    /// What becomes of MAC addresses that are no port's any more.
    pub removed: Removed,
}

impl Settings {
    /// Whether this node's ports are to be opened.
    pub fn opens(&self, node: &Node) -> bool {
        match self.semantics {
            Semantics::Inspector => true,
            Semantics::Ironic => {
                let supported = |interface| self.supported_inspect_interfaces.contains(interface);
                node.inspect_interface.as_ref().is_some_and(supported)
            }
        }
    }
}

/// All answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// For each port's MAC address.
    pub macs: BTreeMap<Mac, Access>,
    /// For all others.
    pub unknown: Access,
    /// MAC addresses of ports of several nodes that do not agree: denied.
    pub disputed: Vec<Mac>,
}

impl Table {
    /// The answers for these ports while these nodes are under inspection.
    ///
    /// A MAC address that several nodes have is open only while all of them may boot: whose machine it is, nobody can know.
    pub fn new<'a>(
        ports: impl IntoIterator<Item = &'a Port>,
        nodes: &HashMap<Uuid, Node>,
        settings: &Settings,
        infiniband: &InfiniBand,
    ) -> Self {
        let mut macs: BTreeMap<Mac, Access> = BTreeMap::new();
        let mut disputed = Vec::new();
        for port in ports {
            let opens = nodes.get(&port.node).is_some_and(|node| settings.opens(node));
            let access = Access::when(opens && (port.pxe_enabled || !settings.deny_pxe_disabled));
            let address = port.guid.and_then(|guid| infiniband.get(&guid)).copied().unwrap_or(port.address);
            let answer = macs.entry(address).or_insert(access);
            if *answer != access {
                *answer = Access::Deny;
                disputed.push(address);
            }
        }
        disputed.sort_unstable();
        disputed.dedup();
        let is_any_open = nodes.values().any(|node| settings.opens(node));
        let unknown = Access::when(!settings.deny_unknown_macs && (settings.discovers || is_any_open));
        Self { macs, unknown, disputed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn mac(number: u8) -> Mac {
        Mac([0x52, 0x54, 0, 0, 0, number])
    }

    /// A port of a node.
    pub(super) fn port(number: u8, node: u128) -> Port {
        let uuid = Uuid::from_u128(number.into());
        Port { uuid, node: Uuid::from_u128(node), address: mac(number), pxe_enabled: true, guid: None }
    }

    pub(super) fn node(number: u128) -> Node {
        let inspect_interface = Some("agent".to_owned());
        Node { uuid: Uuid::from_u128(number), name: None, inspect_interface, since: None }
    }

    pub(super) fn settings() -> Settings {
        Settings {
            semantics: Semantics::Ironic,
            supported_inspect_interfaces: vec!["agent".to_owned()],
            deny_unknown_macs: false,
            discovers: false,
            deny_pxe_disabled: false,
            removed: Removed::Denied,
        }
    }

    fn nodes(nodes: impl IntoIterator<Item = Node>) -> HashMap<Uuid, Node> {
        nodes.into_iter().map(|node| (node.uuid, node)).collect()
    }

    #[test]
    fn a_mac_of_two_nodes_is_open_only_if_both_may_boot() {
        let ports = [port(1, 1), Port { node: Uuid::from_u128(2), ..port(1, 1) }];
        let table = |inspected: &[u128]| {
            let nodes = nodes(inspected.iter().map(|number| node(*number)));
            let table = Table::new(&ports, &nodes, &settings(), &InfiniBand::default());
            (table.macs[&mac(1)], table.disputed)
        };
        assert_eq!(table(&[1, 2]), (Access::Allow, vec![]));
        assert_eq!(table(&[1]), (Access::Deny, vec![mac(1)]));
        assert_eq!(table(&[2]), (Access::Deny, vec![mac(1)]));
        assert_eq!(table(&[]), (Access::Deny, vec![]));
    }

    #[test]
    fn an_infiniband_port_is_where_the_host_sees_it() {
        let guid = Guid([0x7c, 0xfe, 0x90, 3, 0, 0x29, 0x24, 0x4f]);
        let ports = [Port { guid: Some(guid), ..port(1, 1) }];
        let seen = InfiniBand::from([(guid, mac(9))]);
        let macs = |infiniband| Table::new(&ports, &nodes([node(1)]), &settings(), infiniband).macs;
        assert_eq!(macs(&seen), BTreeMap::from([(mac(9), Access::Allow)]));
        assert_eq!(macs(&InfiniBand::default()), BTreeMap::from([(mac(1), Access::Allow)]));
    }
}
