//! Neighbour discovery (RFC 4861): five ICMPv6 messages with any options in any order.

use super::{Segment, length8, pad};
use crate::net::Mac;
use std::net::Ipv6Addr;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nd {
    /// Is there a router? (section 4.1)
    RouterSolicitation,
    /// I am one. (section 4.2)
    RouterAdvertisement {
        /// Seconds for which it is a default router; 0: it is none.
        lifetime: u16,
        /// M, O, H, preference (RFC 4191), P as they stand in the sixth octet.
        flags: u8,
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
        /// 0x80 on the link, 0x40 for autoconfiguration.
        flags: u8,
        /// Seconds for which it is valid, and preferred.
        lifetime: u32,
    },
    /// The packet which caused a redirect (4).
    RedirectedHeader(Vec<u8>),
    /// Octets of the largest packet (5).
    Mtu(u32),
    /// What tells one's own looped-back solicitation from another's (14; RFC 3971, RFC 7527).
    Nonce([u8; 6]),
    /// A route by this router (24; RFC 4191): prefix of at most 64 bits, its length, seconds.
    RouteInformation(Ipv6Addr, u8, u32),
    /// Name servers, and for how many seconds (25; RFC 8106).
    RecursiveDns(u32, Vec<Ipv6Addr>),
    /// Anything: type, what is said to be the length in units of 8 octets, and what follows.
    Raw(u8, u8, Vec<u8>),
}

impl Nd {
    /// A router advertisement with this lifetime in seconds.
    pub const fn router_advertisement(lifetime: u16) -> Self {
        Self::RouterAdvertisement { lifetime, flags: 0 }
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
            Self::RouterSolicitation => 133,
            Self::RouterAdvertisement { .. } => 134,
            Self::NeighborSolicitation { .. } => 135,
            Self::NeighborAdvertisement { .. } => 136,
            Self::Redirect { .. } => 137,
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
            Self::RouterAdvertisement { lifetime, flags } => {
                // Hop limit 64; reachable and retransmission times are left to the hosts.
                [&[64, *flags][..], &lifetime.to_be_bytes(), &[0; 8]].concat()
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
            Self::PrefixInformation { prefix, length, flags, lifetime } => {
                let lifetime = lifetime.to_be_bytes();
                option(3, &[&[*length, *flags][..], &lifetime, &lifetime, &[0; 4], &prefix.octets()].concat())
            }
            Self::RedirectedHeader(packet) => option(4, &[&[0; 6][..], packet].concat()),
            Self::Mtu(octets) => option(5, &[&[0; 2][..], &octets.to_be_bytes()].concat()),
            Self::Nonce(nonce) => option(14, nonce),
            Self::RouteInformation(prefix, length, lifetime) => {
                let prefix: Vec<u8> = prefix.octets().into_iter().take(8).collect();
                option(24, &[&[*length, 0][..], &lifetime.to_be_bytes(), &prefix].concat())
            }
            Self::RecursiveDns(lifetime, servers) => {
                let mut body = [&[0; 2][..], &lifetime.to_be_bytes()].concat();
                body.extend(servers.iter().flat_map(Ipv6Addr::octets));
                option(25, &body)
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
        let prefix = NdOption::PrefixInformation { prefix: target, length: 64, flags: 0xc0, lifetime: 60 };
        for (option, units) in [
            (NdOption::SourceLinkLayer(MAC), 1),
            (NdOption::Nonce([1; 6]), 1),
            (prefix, 4),
            (NdOption::Mtu(1500), 1),
            (NdOption::RedirectedHeader(vec![0; 40]), 6),
            (NdOption::RouteInformation(target, 64, 60), 2),
            (NdOption::RecursiveDns(60, vec![target]), 3),
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
    fn groups_and_their_ethernet_addresses() {
        let group = solicited_node("fe80::2aa:ff:fe28:9c5a".parse().unwrap());
        assert_eq!(group, "ff02::1:ff28:9c5a".parse::<Ipv6Addr>().unwrap());
        assert_eq!(multicast_mac(group), Mac([0x33, 0x33, 0xff, 0x28, 0x9c, 0x5a]));
    }
}
