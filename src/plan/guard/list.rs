//! Which protections there are, and what `--guard` asks for.

use std::fmt;
use std::str::FromStr;

/// One protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protection {
    /// See [`super::arp`].
    Arp,
    /// See [`super::nd`].
    Nd,
    /// See [`super::source`].
    Source,
    /// See [`super::mac`]: of instances that have a port.
    BoundMac,
    /// See [`super::mac`]: of all.
    Mac,
    /// See [`super::ra`].
    Ra,
    /// See [`super::dhcp4`].
    Dhcp4,
    /// See [`super::dhcp6`].
    Dhcp6,
    /// See [`super::query`].
    Query,
    /// See [`super::ethertype`].
    EtherType,
    /// See [`super::vlan`].
    Vlan,
    /// See [`super::exthdr`].
    ExtHdr,
}

impl Protection {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Arp,
        Self::Nd,
        Self::Source,
        Self::BoundMac,
        Self::Mac,
        Self::Ra,
        Self::Dhcp4,
        Self::Dhcp6,
        Self::Query,
        Self::EtherType,
        Self::Vlan,
        Self::ExtHdr,
    ];

    /// Its name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Nd => "nd",
            Self::Source => "source",
            Self::BoundMac | Self::Mac => "mac",
            Self::Ra => "ra",
            Self::Dhcp4 => "dhcp4",
            Self::Dhcp6 => "dhcp6",
            Self::Query => "query",
            Self::EtherType => "ethertype",
            Self::Vlan => "vlan",
            Self::ExtHdr => "exthdr",
        }
    }

    /// What it cannot do without: nobody can look behind tags of any depth, nor behind all headers.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Arp | Self::Source | Self::Dhcp4 | Self::ExtHdr => &[Self::Vlan],
            Self::Nd | Self::Ra | Self::Dhcp6 | Self::Query => &[Self::Vlan, Self::ExtHdr],
            Self::Mac => &[Self::BoundMac],
            Self::BoundMac | Self::EtherType | Self::Vlan => &[],
        }
    }
}

/// What `--guard` asks for: a set of protections. Without any it is the original's two chains alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard(u16);

impl Guard {
    /// `spec`: the original's two chains, nothing else.
    pub const SPEC: Self = Self(0);

    /// `strict`: every protection, `mac` only of instances that have a port.
    pub fn strict() -> Self {
        Protection::ALL.into_iter().filter(|protection| *protection != Protection::Mac).collect()
    }

    /// Whether it is the original's two chains alone.
    pub fn is_spec(self) -> bool {
        self == Self::SPEC
    }

    /// Whether a protection is asked for, or needed by one that is.
    pub fn has(self, protection: Protection) -> bool {
        self.0 & 1 << protection as u16 != 0
    }

    /// The protections.
    pub fn protections(self) -> impl Iterator<Item = Protection> {
        Protection::ALL.into_iter().filter(move |protection| self.has(*protection))
    }
}

impl FromIterator<Protection> for Guard {
    /// With what they need.
    fn from_iter<T: IntoIterator<Item = Protection>>(protections: T) -> Self {
        let with_needs = |protection: Protection| [protection].into_iter().chain(protection.needs().iter().copied());
        Self(protections.into_iter().flat_map(with_needs).fold(0, |bits, protection| bits | 1 << protection as u16))
    }
}

impl FromStr for Guard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "spec" => return Ok(Self::SPEC),
            "strict" => return Ok(Self::strict()),
            _ => {}
        }
        // The first of a name is the weaker.
        let named = |name: &str| Protection::ALL.into_iter().rfind(|protection| protection.as_str() == name);
        let all: Option<Self> = text.split(',').map(|name| named(name.trim())).collect();
        all.ok_or_else(|| {
            let mut names: Vec<_> = Protection::ALL.iter().map(|protection| protection.as_str()).collect();
            names.dedup();
            format!("expected spec, strict, or a list of {}", names.join(", "))
        })
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_spec() {
            return f.write_str("spec");
        }
        if *self == Self::strict() {
            return f.write_str("strict");
        }
        let mut names: Vec<_> = self.protections().map(Protection::as_str).collect();
        names.dedup();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_brings_what_it_needs() {
        let guard: Guard = "nd".parse().unwrap();
        let all: Vec<_> = guard.protections().collect();
        assert_eq!(all, [Protection::Nd, Protection::Vlan, Protection::ExtHdr]);
        let guard: Guard = "mac, ethertype".parse().unwrap();
        let all: Vec<_> = guard.protections().collect();
        assert_eq!(all, [Protection::BoundMac, Protection::Mac, Protection::EtherType]);
    }

    #[test]
    fn a_guard_reads_what_it_prints() {
        for text in ["spec", "strict", "arp,vlan", "mac", "nd,dhcp4,vlan,exthdr"] {
            assert_eq!(text.parse::<Guard>().unwrap().to_string(), text);
        }
        assert!("strict".parse::<Guard>().unwrap().has(Protection::BoundMac));
        assert!(!"strict".parse::<Guard>().unwrap().has(Protection::Mac));
        for wrong in ["", "arp,", "strict,arp", "ARP", "none"] {
            assert!(wrong.parse::<Guard>().is_err(), "{wrong}");
        }
    }
}
