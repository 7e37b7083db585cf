//! What is bound to a tap: one instance's interface, as its binding file says it.

use crate::net::{DomainName, IfName, Mac};
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A tap's binding. Fields are named after the keys of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// INDEV: the interface whose MAC answers come from: the tap itself where it is routed, otherwise its bridge.
    pub indev: Option<IfName>,
    /// MAC of the instance.
    pub mac: Mac,
    /// HOSTNAME as it is written: a host name, or with its domain; `None` where it is no name that could be sent.
    pub hostname: Option<DomainName>,
    /// IP: without it there is no DHCPv4.
    pub ip: Option<Ipv4Addr>,
    /// SUBNET, without host bits.
    pub subnet: Option<Ipv4Net>,
    /// GATEWAY: the instance's IPv4 router.
    pub gateway: Option<Ipv4Addr>,
    /// IP6: the address for stateful DHCPv6; without it, in mode `dhcpv6`, [`Self::eui64`] is.
    pub ip6: Option<Ipv6Addr>,
    /// EUI64: the address that the instance gets by autoconfiguration.
    pub eui64: Option<Ipv6Addr>,
    /// SUBNET6, without host bits: without it there are no router advertisements and no neighbour advertisements.
    pub subnet6: Option<Ipv6Net>,
    /// GATEWAY6: the IPv6 router's address in SUBNET6.
    pub gateway6: Option<Ipv6Addr>,
    /// PREFIX6: what is delegated to the instance (DHCPv6 IA_PD), without host bits.
    pub prefix6: Option<Ipv6Net>,
    /// PRIVATE: no way out by our router, whatever GATEWAY and GATEWAY6 say.
    pub private: bool,
    /// MACSPOOF: other hardware addresses than [`Self::mac`] are served too.
    pub mac_spoof: bool,
    /// MTU of the link, octets.
    pub mtu: Option<u16>,
    /// NAMESERVERS and further keys, in place of those in the configuration.
    pub own: Options,
}

impl Binding {
    /// What this binding says itself, otherwise what the configuration says.
    pub fn option<'a, T>(&'a self, configured: &'a Options, get: impl Fn(&'a Options) -> Option<T>) -> Option<T> {
        get(&self.own).or_else(|| get(configured))
    }
}

/// What is served besides addresses, by the configuration or instead of it by a binding; `None`: not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// NAMESERVERS with IPv4 addresses, in order: option 6.
    pub nameservers: Option<Vec<Ipv4Addr>>,
    /// NAMESERVERS with IPv6 addresses, in order: RDNSS, DHCPv6 option 23.
    pub nameservers6: Option<Vec<Ipv6Addr>>,
    /// DOMAIN: option 15 in place of what follows the host's name.
    pub domain: Option<DomainName>,
    /// SEARCH: domain search lists: option 119.
    pub search: Option<Vec<DomainName>>,
    /// DHCPv6 option 24, and DNSSL: in the configuration `domains` of `[ipv6]`, in a binding SEARCH.
    pub search6: Option<Vec<DomainName>>,
    /// ROUTES, `PREFIX via ROUTER`: option 121 (RFC 3442).
    pub routes: Option<Vec<(Ipv4Net, Ipv4Addr)>>,
    /// NTP with IPv4 addresses: option 42.
    pub ntp: Option<Vec<Ipv4Addr>>,
    /// NTP with IPv6 addresses: DHCPv6 option 56 (RFC 5908).
    pub ntp6: Option<Vec<Ipv6Addr>>,
    /// TFTP: option 66, and `sname` or `siaddr` where it fits.
    pub tftp: Option<Box<str>>,
    /// BOOTFILE: option 67; printable ASCII, at most 127 octets.
    pub bootfile: Option<Box<str>>,
}
