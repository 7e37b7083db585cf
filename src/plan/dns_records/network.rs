//! The networks that are ours, and which of them an interface is in.

use crate::net::DomainName;
use crate::plan::guest::Nic;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// A network: where it is, its prefixes, its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The bridge or vnet; none: any.
    pub bridge: Option<String>,
    /// The VLAN on it.
    pub vlan: Vlan,
    /// Its prefixes. An interface's address counts only if it is in one of them.
    pub prefixes: Vec<IpNet>,
    /// The domain of the names in it.
    pub domain: DomainName,
}

/// Which VLANs of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vlan {
    /// All, and untagged.
    Any,
    /// None.
    Untagged,
    /// This one.
    Tag(u16),
}

impl Network {
    /// Whether an interface is plugged into it.
    pub fn has(&self, nic: &Nic) -> bool {
        let is_bridge = self.bridge.is_none() || self.bridge == nic.bridge;
        is_bridge
            && match self.vlan {
                Vlan::Any => true,
                Vlan::Untagged => nic.tag.is_none(),
                Vlan::Tag(tag) => nic.tag == Some(tag),
            }
    }

    /// Whether a host in it can have this address: it is in a prefix, and neither the prefix's own address (of IPv6, the routers'
    /// anycast address, RFC 4291, section 2.6.1), nor its broadcast address, nor of no use elsewhere.
    pub fn holds(&self, address: IpAddr) -> bool {
        let is_usable = match address {
            IpAddr::V4(address) => !(address.is_loopback() || address.is_multicast() || address.is_link_local()),
            IpAddr::V6(address) => {
                !(address.is_loopback() || address.is_multicast() || address.is_unicast_link_local())
            }
        };
        let in_prefix = |prefix: &IpNet| {
            let has_ends = prefix.max_prefix_len() - prefix.prefix_len() > 1;
            let is_end = address == prefix.network() || (address.is_ipv4() && address == prefix.broadcast());
            prefix.contains(&address) && !(has_ends && is_end)
        };
        is_usable && !address.is_unspecified() && self.prefixes.iter().any(in_prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.bridge.as_deref().unwrap_or("*"))?;
        match self.vlan {
            Vlan::Any if self.bridge.is_none() => Ok(()),
            Vlan::Any => f.write_str(".*"),
            Vlan::Untagged => Ok(()),
            Vlan::Tag(tag) => write!(f, ".{tag}"),
        }
    }
}
