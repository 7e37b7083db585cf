//! What the configuration says to all answers.

use super::binding::Options;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The settings, by protocol; `None`: it is not spoken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Answers are the original's, to the byte, and `mode` has no meaning.
    pub compat: bool,
    /// `[dhcp]`.
    pub dhcp: Option<Dhcp>,
    /// `[ipv6]`.
    pub ipv6: Option<Ipv6>,
    /// What is served where a binding says nothing else.
    pub options: Options,
}

impl Settings {
    /// How instances come to their IPv6 addresses. The original had one way, whatever `mode` said.
    pub const fn mode(&self, ipv6: &Ipv6) -> Mode {
        if self.compat { Mode::Auto } else { ipv6.mode }
    }
}

/// DHCP for IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhcp {
    /// `lease_lifetime`, whole seconds: option 51.
    pub lease_lifetime: u32,
    /// `lease_renewal`, whole seconds: option 58.
    pub lease_renewal: u32,
    /// `server_ip`: who we are; 0.0.0.0: not said.
    pub server_ip: Ipv4Addr,
    /// `server_on_link`: we are the binding's gateway instead, or the first address of its subnet.
    pub server_on_link: bool,
}

/// Router advertisements, neighbour advertisements, DHCPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6 {
    /// `mode`.
    pub mode: Mode,
    /// `ra_period`: between two unsolicited router advertisements to a tap.
    pub ra_period: Duration,
    /// `proxy_all`: neighbour advertisements for any target in SUBNET6, as the original did.
    pub proxy_all: bool,
    /// `preferred_lifetime`, `valid_lifetime` of what DHCPv6 leases, whole seconds.
    pub lifetimes: (u32, u32),
}

/// How instances come to their IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As [`Self::SlaacAndDhcp`]; stateful DHCPv6 for who asks and whose binding has IP6.
    Auto,
    /// From the prefix alone; nothing else is to be had by DHCPv6 (flags M and O clear).
    Slaac,
    /// Addresses from the prefix, the rest by DHCPv6 (O set).
    SlaacAndDhcp,
    /// All by DHCPv6 (M and O set, prefix without A).
    Dhcp,
}
