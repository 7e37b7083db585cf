//! Neighbour discovery (RFC 4861): five ICMPv6 messages with any options in any order.

mod received;

pub use received::{Received, parse, receive};

use super::{Segment, length8, pad};
use crate::net::{DomainName, Mac};
use std::net::Ipv6Addr;

/// The ICMPv6 type of [`Nd::RouterSolicitation`].
pub const ROUTER_SOLICITATION: u8 = 133;
/// The ICMPv6 type of [`Nd::RouterAdvertisement`].
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// The ICMPv6 type of [`Nd::NeighborSolicitation`].
pub const NEIGHBOR_SOLICITATION: u8 = 135;
/// The ICMPv6 type of [`Nd::NeighborAdvertisement`].
pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// The ICMPv6 type of [`Nd::Redirect`].
pub const REDIRECT: u8 = 137;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nd {
    /// Is there a router? (section 4.1)
    RouterSolicitation,
    /// I am one. (section 4.2)
    RouterAdvertisement {
        /// The hop limit that hosts are to send with; 0: not said.
        hop_limit: u8,
        /// M, O, H, preference (RFC 4191), P as they stand in the sixth octet: [`flag`].
        flags: u8,
        /// Seconds for which it is a default router; 0: it is none.
        lifetime: u16,
        /// Milliseconds for which a neighbour counts as reachable, and between two solicitations; 0: not said.
        timers: (u32, u32),
    },
    /// Who has that address? (section 4.3)
    NeighborSolicitation {
        /// The address.
        target: Ipv6Addr,
    },
    /// I have. (section 4.4)
    NeighborAdvertisement {
        /// The address.
        target: Ipv6Addr,
        /// It is a router.
        router: bool,
        /// It was asked.
        solicited: bool,
        /// What is known otherwise is to be forgotten.
        replace: bool,
    },
    /// Go by there. (section 4.5)
    Redirect {
        /// By where: the next hop.
        target: Ipv6Addr,
        /// On the way to whom.
        destination: Ipv6Addr,
    },
}

/// Flags of router advertisements and of the prefixes in them.
pub mod flag {
    /// M: addresses are to be had by DHCPv6 (RFC 4861, section 4.2).
    pub const MANAGED: u8 = 0x80;
    /// O: other configuration is to be had by DHCPv6.
    pub const OTHER: u8 = 0x40;
    /// The router is preferred to others (RFC 4191, section 2.1).
    pub const PREFERENCE_HIGH: u8 = 0x08;
    /// L: the prefix is on the link (RFC 4861, section 4.6.2).
    pub const ON_LINK: u8 = 0x80;
    /// A: the prefix is for autoconfiguration.
    pub const AUTONOMOUS: u8 = 0x40;
    /// R: the prefix is the router's whole address (RFC 6275, section 7.2).
    pub const ROUTER_ADDRESS: u8 = 0x20;
}

/// An option (section 4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NdOption {
    /// The sender's link-layer address (1).
    SourceLinkLayer(Mac),
    /// The target's link-layer address (2).
    TargetLinkLayer(Mac),
    /// A prefix that is on the link, or for autoconfiguration (3).
    PrefixInformation {
        /// The prefix.
        prefix: Ipv6Addr,
        /// Its bits.
        length: u8,
        /// [`flag::ON_LINK`] and others.
        flags: u8,
        /// Seconds for which it is preferred, and valid; all ones: for ever.
        lifetimes: (u32, u32),
    },
    /// The packet which caused a redirect (4).
    RedirectedHeader(Vec<u8>),
    /// Octets of the largest packet (5).
    Mtu(u32),
    /// What tells one's own looped-back solicitation from another's (14; RFC 3971, RFC 7527).
    Nonce([u8; 6]),
    /// A route by this router (24; RFC 4191).
    RouteInformation {
        /// Whereto.
        prefix: Ipv6Addr,
        /// The prefix's bits.
        length: u8,
        /// The preference as it stands in the fourth octet: 0, 0x08 high, 0x18 low.
        preference: u8,
        /// Seconds for which it holds.
        lifetime: u32,
    },
    /// Name servers, and for how many seconds (25; RFC 8106).
    RecursiveDns(u32, Vec<Ipv6Addr>),
    /// Domains to search, and for how many seconds (31; RFC 8106).
    SearchList(u32, Vec<DomainName>),
    /// Anything: type, what is said to be the length in units of 8 octets, and what follows.
    Raw(u8, u8, Vec<u8>),
}

impl Nd {
    /// A router advertisement with this lifetime in seconds.
    pub const fn router_advertisement(lifetime: u16) -> Self {
        Self::RouterAdvertisement { hop_limit: 64, flags: 0, lifetime, timers: (0, 0) }
    }

    /// A solicitation.
    pub const fn solicitation(target: Ipv6Addr) -> Self {
        Self::NeighborSolicitation { target }
    }

    /// An unsolicited advertisement with the override flag, as hosts send it for a new address.
    pub const fn advertisement(target: Ipv6Addr) -> Self {
        Self::NeighborAdvertisement { target, router: false, solicited: false, replace: true }
    }

    /// An answer to a solicitation.
    pub const fn answer(target: Ipv6Addr) -> Self {
        Self::NeighborAdvertisement { target, router: false, solicited: true, replace: true }
    }

    /// The message's ICMPv6 type.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::RouterSolicitation => ROUTER_SOLICITATION,
            Self::RouterAdvertisement { .. } => ROUTER_ADVERTISEMENT,
            Self::NeighborSolicitation { .. } => NEIGHBOR_SOLICITATION,
            Self::NeighborAdvertisement { .. } => NEIGHBOR_ADVERTISEMENT,
            Self::Redirect { .. } => REDIRECT,
        }
    }

    /// For IPv6 to carry.
    pub fn segment(&self, options: &[NdOption]) -> Segment {
        let mut body = self.body();
        body.extend(options.iter().flat_map(NdOption::bytes));
        Segment::icmpv6(self.kind(), 0, &body)
    }

    fn body(&self) -> Vec<u8> {
        match self {
            Self::RouterSolicitation => vec![0; 4],
            Self::RouterAdvertisement { hop_limit, flags, lifetime, timers: (reachable, retransmission) } => {
                let timers = [reachable.to_be_bytes(), retransmission.to_be_bytes()].concat();
                [&[*hop_limit, *flags][..], &lifetime.to_be_bytes(), &timers].concat()
            }
            Self::NeighborSolicitation { target } => [&[0; 4][..], &target.octets()].concat(),
            Self::NeighborAdvertisement { target, router, solicited, replace } => {
                let flags = u8::from(*router) << 7 | u8::from(*solicited) << 6 | u8::from(*replace) << 5;
                [&[flags, 0, 0, 0][..], &target.octets()].concat()
            }
            Self::Redirect { target, destination } => [&[0; 4][..], &target.octets(), &destination.octets()].concat(),
        }
    }
}

impl NdOption {
    /// Type, length, content, filled up to a multiple of 8 octets.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::SourceLinkLayer(mac) => option(1, &mac.0),
            Self::TargetLinkLayer(mac) => option(2, &mac.0),
            Self::PrefixInformation { prefix, length, flags, lifetimes: (preferred, valid) } => {
                let lifetimes = [valid.to_be_bytes(), preferred.to_be_bytes(), [0; 4]].concat();
                option(3, &[&[*length, *flags][..], &lifetimes, &prefix.octets()].concat())
            }
            Self::RedirectedHeader(packet) => option(4, &[&[0; 6][..], packet].concat()),
            Self::Mtu(octets) => option(5, &[&[0; 2][..], &octets.to_be_bytes()].concat()),
            Self::Nonce(nonce) => option(14, nonce),
            Self::RouteInformation { prefix, length, preference, lifetime } => {
                // Octets behind the prefix are left out by eights.
                let octets = usize::from(length.div_ceil(64)) * 8;
                let prefix: Vec<u8> = prefix.octets().into_iter().take(octets).collect();
                option(24, &[&[*length, *preference][..], &lifetime.to_be_bytes(), &prefix].concat())
            }
            Self::RecursiveDns(lifetime, servers) => {
                let mut body = [&[0; 2][..], &lifetime.to_be_bytes()].concat();
                body.extend(servers.iter().flat_map(Ipv6Addr::octets));
                option(25, &body)
            }
            Self::SearchList(lifetime, domains) => {
                let mut body = [&[0; 2][..], &lifetime.to_be_bytes()].concat();
                body.extend(domains.iter().flat_map(DomainName::wire));
                option(31, &body)
            }
            Self::Raw(kind, length, content) => [&[*kind, *length], &content[..]].concat(),
        }
    }
}

fn option(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = [&[kind, 0], content].concat();
    pad(&mut bytes, 8);
    let units = length8(bytes.len() / 8);
    super::put(&mut bytes, 1, &[units]);
    bytes
}

/// The multicast group in which the owner of `address` hears solicitations (RFC 4291, section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The Ethernet address of an IPv6 multicast group (RFC 2464, section 7).
pub fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn lengths_of_messages_and_options_are_those_of_the_rfc() {
        let target = Ipv6Addr::LOCALHOST;
        for (message, length) in [
            (Nd::RouterSolicitation, 8),
            (Nd::router_advertisement(1800), 16),
            (Nd::solicitation(target), 24),
            (Nd::answer(target), 24),
            (Nd::Redirect { target, destination: target }, 40),
        ] {
            assert_eq!(message.segment(&[]).bytes.len(), length, "{message:?}");
        }
        let prefix = NdOption::PrefixInformation { prefix: target, length: 64, flags: 0xc0, lifetimes: (60, 60) };
        for (option, units) in [
            (NdOption::SourceLinkLayer(MAC), 1),
            (NdOption::Nonce([1; 6]), 1),
            (prefix, 4),
            (NdOption::Mtu(1500), 1),
            (NdOption::RedirectedHeader(vec![0; 40]), 6),
            (NdOption::RouteInformation { prefix: target, length: 0, preference: 0, lifetime: 60 }, 1),
            (NdOption::RouteInformation { prefix: target, length: 64, preference: 0, lifetime: 60 }, 2),
            (NdOption::RouteInformation { prefix: target, length: 65, preference: 0, lifetime: 60 }, 3),
            (NdOption::RecursiveDns(60, vec![target]), 3),
            (NdOption::SearchList(60, vec!["example.com".parse().unwrap()]), 3),
        ] {
            let bytes = option.bytes();
            assert_eq!((bytes[1], bytes.len()), (units, usize::from(units) * 8), "{option:?}");
        }
    }

    #[test]
    fn an_advertisement_octet_by_octet() {
        let segment = Nd::answer(Ipv6Addr::LOCALHOST).segment(&[NdOption::TargetLinkLayer(MAC)]);
        let target = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let expected = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &target, &[2, 1, 2, 0, 0, 0, 0, 1]].concat();
        assert_eq!(segment.bytes, expected);
    }

    #[test]
    fn a_router_advertisement_octet_by_octet() {
        let message =
            Nd::RouterAdvertisement { hop_limit: 9, flags: 0xc8, lifetime: 0x1234, timers: (0x0102_0304, 0x0506_0708) };
        let prefix = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let options = [
            NdOption::PrefixInformation { prefix, length: 64, flags: 0xe0, lifetimes: (0x0a0b_0c0d, 0x0e0f_1011) },
            NdOption::Mtu(1400),
            NdOption::RouteInformation { prefix, length: 48, preference: 8, lifetime: 7 },
            NdOption::RecursiveDns(5, vec![prefix]),
            NdOption::SearchList(6, vec!["a.bc".parse().unwrap()]),
        ];
        let octets = [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6];
        let expected = [
            &[134, 0, 0, 0, 9, 0xc8, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8][..],
            &[3, 4, 64, 0xe0, 0x0e, 0x0f, 0x10, 0x11, 0x0a, 0x0b, 0x0c, 0x0d, 0, 0, 0, 0],
            &octets,
            &[5, 1, 0, 0, 0, 0, 0x05, 0x78],
            &[24, 2, 48, 8, 0, 0, 0, 7],
            &octets[..8],
            &[25, 3, 0, 0, 0, 0, 0, 5],
            &octets,
            &[31, 2, 0, 0, 0, 0, 0, 6, 1, b'a', 2, b'b', b'c', 0, 0, 0],
        ];
        assert_eq!(message.segment(&options).bytes, expected.concat());
    }

    #[test]
    fn groups_and_their_ethernet_addresses() {
        let group = solicited_node("fe80::2aa:ff:fe28:9c5a".parse().unwrap());
        assert_eq!(group, "ff02::1:ff28:9c5a".parse::<Ipv6Addr>().unwrap());
        assert_eq!(multicast_mac(group), Mac([0x33, 0x33, 0xff, 0x28, 0x9c, 0x5a]));
    }
}
