//! Options (RFC 8415, section 21), as values and as octets.

use super::Duid;
use crate::net::DomainName;
use crate::packet::length16;
use std::net::Ipv6Addr;

/// Numbers of options.
pub mod number {
    /// Who the client is (section 21.2).
    pub const CLIENT: u16 = 1;
    /// Who the server is (21.3).
    pub const SERVER: u16 = 2;
    /// Addresses that stay: IA_NA (21.4).
    pub const ADDRESSES: u16 = 3;
    /// Temporary addresses: IA_TA (21.5).
    pub const TEMPORARY: u16 = 4;
    /// One address in an association (21.6).
    pub const ADDRESS: u16 = 5;
    /// What the client wants to know (21.7).
    pub const REQUESTED: u16 = 6;
    /// How much a server wants to be taken (21.8).
    pub const PREFERENCE: u16 = 7;
    /// For how long the client has tried (21.9).
    pub const ELAPSED: u16 = 8;
    /// A relayed message (21.10).
    pub const RELAY_MESSAGE: u16 = 9;
    /// How it went (21.13).
    pub const STATUS: u16 = 13;
    /// In two messages rather than four (21.14).
    pub const RAPID_COMMIT: u16 = 14;
    /// A relay agent's mark, which comes back to it (21.18).
    pub const INTERFACE: u16 = 18;
    /// Name servers (RFC 3646).
    pub const DNS_SERVERS: u16 = 23;
    /// Domains to search (RFC 3646).
    pub const SEARCH_LIST: u16 = 24;
    /// Delegated prefixes: IA_PD (21.21).
    pub const PREFIXES: u16 = 25;
    /// One prefix in an association (21.22).
    pub const PREFIX: u16 = 26;
    /// Time servers (RFC 5908).
    pub const NTP: u16 = 56;
    /// From which port a relay agent asks, if it is not 547 (RFC 8357).
    pub const RELAY_PORT: u16 = 135;
}

/// Status codes (section 21.13).
pub mod status {
    /// All is well.
    pub const SUCCESS: u16 = 0;
    /// There is no address to be had.
    pub const NO_ADDRESSES: u16 = 2;
    /// That is not leased.
    pub const NO_BINDING: u16 = 3;
    /// The address does not belong on this link.
    pub const NOT_ON_LINK: u16 = 4;
    /// To all servers, please, not to one address.
    pub const USE_MULTICAST: u16 = 5;
    /// There is no prefix to be had.
    pub const NO_PREFIXES: u16 = 6;
}

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dhcp6Option {
    /// Who the client is.
    Client(Duid),
    /// Who the server is.
    Server(Duid),
    /// Addresses that stay.
    Addresses(Association),
    /// Temporary addresses; without T1 and T2.
    Temporary(Association),
    /// Delegated prefixes.
    Prefixes(Association),
    /// What the client wants to know: numbers of options.
    Requested(Vec<u16>),
    /// 255: take this server at once.
    Preference(u8),
    /// For how long the client has tried, in hundredths of a second.
    Elapsed(u16),
    /// How it went: a number of [`status`], and words for people.
    Status(u16, String),
    /// In two messages rather than four.
    RapidCommit,
    /// Name servers.
    DnsServers(Vec<Ipv6Addr>),
    /// Domains to search.
    SearchList(Vec<DomainName>),
    /// Time servers, by address.
    TimeServers(Vec<Ipv6Addr>),
    /// Any other, and any content.
    Other(u16, Vec<u8>),
}

/// Addresses or prefixes for one use of the client's: IA_NA, IA_TA, IA_PD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// The client's number for it.
    pub id: u32,
    /// Seconds after which the client asks this server to renew, and any (T1, T2); 0: as it likes.
    pub timers: (u32, u32),
    /// What is in it.
    pub leases: Vec<Lease>,
    /// How it went, if it says so.
    pub status: Option<(u16, String)>,
}

/// An address, or a prefix of so many bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address or prefix.
    pub address: Ipv6Addr,
    /// Bits: 128 of an address.
    pub length: u8,
    /// Seconds for which it is preferred, and valid; all ones: for ever.
    pub lifetimes: (u32, u32),
}

impl Association {
    /// With nothing in it.
    pub const fn new(id: u32) -> Self {
        Self { id, timers: (0, 0), leases: Vec::new(), status: None }
    }

    fn bytes(&self, has_timers: bool, lease: fn(&Lease) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = self.id.to_be_bytes().to_vec();
        if has_timers {
            bytes.extend(self.timers.0.to_be_bytes());
            bytes.extend(self.timers.1.to_be_bytes());
        }
        bytes.extend(self.leases.iter().flat_map(lease));
        bytes
            .extend(self.status.iter().flat_map(|(code, words)| option(number::STATUS, &status_content(*code, words))));
        bytes
    }
}

impl Lease {
    /// Without lifetimes.
    pub const fn new(address: Ipv6Addr, length: u8) -> Self {
        Self { address, length, lifetimes: (0, 0) }
    }

    fn address_option(&self) -> Vec<u8> {
        option(number::ADDRESS, &[&self.address.octets()[..], &self.lifetime_octets()].concat())
    }

    fn prefix_option(&self) -> Vec<u8> {
        let content = [&self.lifetime_octets()[..], &[self.length], &self.address.octets()].concat();
        option(number::PREFIX, &content)
    }

    fn lifetime_octets(&self) -> [u8; 8] {
        (u64::from(self.lifetimes.0) << 32 | u64::from(self.lifetimes.1)).to_be_bytes()
    }
}

impl Dhcp6Option {
    /// Its number.
    pub const fn number(&self) -> u16 {
        match self {
            Self::Client(_) => number::CLIENT,
            Self::Server(_) => number::SERVER,
            Self::Addresses(_) => number::ADDRESSES,
            Self::Temporary(_) => number::TEMPORARY,
            Self::Prefixes(_) => number::PREFIXES,
            Self::Requested(_) => number::REQUESTED,
            Self::Preference(_) => number::PREFERENCE,
            Self::Elapsed(_) => number::ELAPSED,
            Self::Status(..) => number::STATUS,
            Self::RapidCommit => number::RAPID_COMMIT,
            Self::DnsServers(_) => number::DNS_SERVERS,
            Self::SearchList(_) => number::SEARCH_LIST,
            Self::TimeServers(_) => number::NTP,
            Self::Other(number, _) => *number,
        }
    }

    /// Number, length, content.
    pub fn bytes(&self) -> Vec<u8> {
        option(self.number(), &self.content())
    }

    fn content(&self) -> Vec<u8> {
        match self {
            Self::Client(duid) | Self::Server(duid) => duid.octets().to_vec(),
            Self::Addresses(association) => association.bytes(true, Lease::address_option),
            Self::Temporary(association) => association.bytes(false, Lease::address_option),
            Self::Prefixes(association) => association.bytes(true, Lease::prefix_option),
            Self::Requested(numbers) => numbers.iter().flat_map(|number| number.to_be_bytes()).collect(),
            Self::Preference(value) => vec![*value],
            Self::Elapsed(hundredths) => hundredths.to_be_bytes().to_vec(),
            Self::Status(code, words) => status_content(*code, words),
            Self::RapidCommit => Vec::new(),
            Self::DnsServers(servers) => servers.iter().flat_map(Ipv6Addr::octets).collect(),
            Self::SearchList(domains) => domains.iter().flat_map(DomainName::wire).collect(),
            // Each is a suboption (RFC 5908, section 4.1).
            Self::TimeServers(servers) => servers.iter().flat_map(|server| option(1, &server.octets())).collect(),
            Self::Other(_, content) => content.clone(),
        }
    }
}

fn option(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &length16(content.len()), content].concat()
}

fn status_content(code: u16, words: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], words.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_octet_by_octet() {
        let address = Ipv6Addr::LOCALHOST;
        let octets = address.octets();
        let name = || "a.bc".parse().unwrap();
        for (option, expected) in [
            (Dhcp6Option::Requested(vec![23, 0x0102]), [&[0, 6, 0, 4, 0, 23, 1, 2][..], &[]]),
            (Dhcp6Option::Preference(255), [&[0, 7, 0, 1, 255], &[]]),
            (Dhcp6Option::Elapsed(0x0304), [&[0, 8, 0, 2, 3, 4], &[]]),
            (Dhcp6Option::Status(4, "no".into()), [&[0, 13, 0, 4, 0, 4, b'n', b'o'], &[]]),
            (Dhcp6Option::RapidCommit, [&[0, 14, 0, 0], &[]]),
            (Dhcp6Option::DnsServers(vec![address]), [&[0, 23, 0, 16], &octets]),
            (Dhcp6Option::SearchList(vec![name()]), [&[0, 24, 0, 6, 1, b'a', 2, b'b', b'c', 0], &[]]),
            (Dhcp6Option::TimeServers(vec![address]), [&[0, 56, 0, 20, 0, 1, 0, 16], &octets]),
            (Dhcp6Option::Other(0x1234, vec![9]), [&[0x12, 0x34, 0, 1, 9], &[]]),
        ] {
            assert_eq!(option.bytes(), expected.concat(), "{option:?}");
        }
    }

    #[test]
    fn associations_octet_by_octet() {
        let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let lease = |length| Lease { lifetimes: (0x0102_0304, 0x0506_0708), ..Lease::new(address, length) };
        let with = |length| Association {
            timers: (5, 6),
            leases: vec![lease(length)],
            status: Some((3, "x".into())),
            ..Association::new(0x0a0b_0c0d)
        };
        let (octets, id, timers) = (address.octets(), [10, 11, 12, 13], [0, 0, 0, 5, 0, 0, 0, 6]);
        let (lifetimes, status) = ([1, 2, 3, 4, 5, 6, 7, 8], [0, 13, 0, 3, 0, 3, b'x']);
        let address_option = [&[0, 5, 0, 24][..], &octets, &lifetimes].concat();
        let prefix_option = [&[0, 26, 0, 25][..], &lifetimes, &[56], &octets].concat();
        for (option, expected) in [
            (Dhcp6Option::Addresses(with(128)), [&[0, 3, 0, 47][..], &id, &timers, &address_option, &status]),
            (Dhcp6Option::Temporary(with(128)), [&[0, 4, 0, 39], &id, &[], &address_option, &status]),
            (Dhcp6Option::Prefixes(with(56)), [&[0, 25, 0, 48], &id, &timers, &prefix_option, &status]),
        ] {
            assert_eq!(option.bytes(), expected.concat());
        }
    }
}
