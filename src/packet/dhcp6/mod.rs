//! DHCP for IPv6 (RFC 8415), relayed messages included.

mod duid;
mod option;
mod received;

pub use duid::Duid;
pub use option::{Association, Dhcp6Option, Lease, number, status};
pub use received::parse;

use super::{Segment, Udp};
use crate::net::Mac;
use std::net::Ipv6Addr;

/// The client's UDP port.
pub const CLIENT: u16 = 546;
/// The port of servers and relay agents.
pub const SERVER: u16 = 547;

/// Message types (section 7.3).
pub mod kind {
    /// Is there a server?
    pub const SOLICIT: u8 = 1;
    /// A server's offer.
    pub const ADVERTISE: u8 = 2;
    /// Give me that address.
    pub const REQUEST: u8 = 3;
    /// Is that address still right here?
    pub const CONFIRM: u8 = 4;
    /// For longer, please.
    pub const RENEW: u8 = 5;
    /// The same to any server.
    pub const REBIND: u8 = 6;
    /// A server's answer.
    pub const REPLY: u8 = 7;
    /// I need it no more.
    pub const RELEASE: u8 = 8;
    /// That address is taken.
    pub const DECLINE: u8 = 9;
    /// A server asks to be asked anew.
    pub const RECONFIGURE: u8 = 10;
    /// Parameters only.
    pub const INFORMATION_REQUEST: u8 = 11;
    /// A relay agent passes on a client's message.
    pub const RELAY_FORWARD: u8 = 12;
    /// A server's answer to it.
    pub const RELAY_REPLY: u8 = 13;
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dhcp6 {
    /// Between client and server (section 8).
    Direct(Message),
    /// Between relay agent and server (section 9).
    Relayed {
        /// [`kind::RELAY_FORWARD`] or [`kind::RELAY_REPLY`].
        kind: u8,
        /// How many relay agents passed it on before.
        hops: u8,
        /// On whose link the client is.
        link: Ipv6Addr,
        /// The client, or the relay agent before.
        peer: Ipv6Addr,
        /// Options in order, without the relayed message.
        options: Vec<Dhcp6Option>,
        /// What is relayed, which may be relayed itself.
        message: Box<Dhcp6>,
    },
}

/// What client and server say to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`].
    pub kind: u8,
    /// What joins question and answer: 24 bits.
    pub transaction: u32,
    /// Options in order.
    pub options: Vec<Dhcp6Option>,
}

impl Message {
    /// Who the client says it is.
    pub fn client(&self) -> Option<&Duid> {
        self.options.iter().find_map(|option| match option {
            Dhcp6Option::Client(duid) => Some(duid),
            _ => None,
        })
    }

    /// Which server it is for, or from.
    pub fn server(&self) -> Option<&Duid> {
        self.options.iter().find_map(|option| match option {
            Dhcp6Option::Server(duid) => Some(duid),
            _ => None,
        })
    }

    /// What the client wants to know (option 6), if it says so.
    pub fn requested(&self) -> Option<&[u16]> {
        self.options.iter().find_map(|option| match option {
            Dhcp6Option::Requested(numbers) => Some(&numbers[..]),
            _ => None,
        })
    }

    /// The message's octets.
    pub fn bytes(&self) -> Vec<u8> {
        let [_, a, b, c] = self.transaction.to_be_bytes();
        let mut bytes = vec![self.kind, a, b, c];
        bytes.extend(self.options.iter().flat_map(Dhcp6Option::bytes));
        bytes
    }
}

impl Dhcp6 {
    /// A message of a client which is known by its MAC.
    pub fn from_client(kind: u8, client: Mac) -> Self {
        let association = Dhcp6Option::Addresses(Association::new(1));
        let options = vec![Dhcp6Option::Client(Duid::link_layer(client)), association];
        Self::Direct(Message { kind, transaction: 1, options })
    }

    /// A server's message which gives a client an address.
    pub fn from_server(kind: u8, server: Mac, client: Mac, address: Ipv6Addr) -> Self {
        let lease = Lease { lifetimes: (3600, 3600), ..Lease::new(address, 128) };
        let association = Association { leases: vec![lease], ..Association::new(1) };
        let options = vec![
            Dhcp6Option::Client(Duid::link_layer(client)),
            Dhcp6Option::Server(Duid::link_layer(server)),
            Dhcp6Option::Addresses(association),
        ];
        Self::Direct(Message { kind, transaction: 1, options })
    }

    /// This message as a relay agent passes it on.
    #[must_use]
    pub fn relayed(self, kind: u8, link: Ipv6Addr, peer: Ipv6Addr) -> Self {
        let hops = match &self {
            Self::Direct(_) => 0,
            Self::Relayed { hops, .. } => hops.saturating_add(1),
        };
        Self::Relayed { kind, hops, link, peer, options: Vec::new(), message: Box::new(self) }
    }

    /// The message's octets.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Direct(message) => message.bytes(),
            Self::Relayed { kind, hops, link, peer, options, message } => {
                let mut bytes = vec![*kind, *hops];
                bytes.extend(link.octets());
                bytes.extend(peer.octets());
                bytes.extend(options.iter().flat_map(Dhcp6Option::bytes));
                bytes.extend(Dhcp6Option::Other(number::RELAY_MESSAGE, message.bytes()).bytes());
                bytes
            }
        }
    }

    /// In UDP, between these ports.
    pub fn segment(&self, source: u16, destination: u16) -> Segment {
        Udp::new(source, destination, self.bytes()).segment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::length16;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn a_solicitation_octet_by_octet() {
        let expected = [
            &[1, 0, 0, 1, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1][..],
            &[0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(Dhcp6::from_client(kind::SOLICIT, MAC).bytes(), expected);
    }

    #[test]
    fn an_address_octet_by_octet() {
        let bytes = Dhcp6::from_server(kind::REPLY, MAC, MAC, Ipv6Addr::LOCALHOST).bytes();
        let expected = [
            &[0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24][..],
            &Ipv6Addr::LOCALHOST.octets(),
            &[0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10],
        ];
        assert_eq!(bytes[32..], expected.concat());
    }

    #[test]
    fn a_relay_wraps_the_whole_message() {
        let inner = Dhcp6::from_server(kind::REPLY, MAC, MAC, Ipv6Addr::LOCALHOST);
        let (link, peer) = (Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST);
        let relayed = inner.clone().relayed(kind::RELAY_REPLY, link, peer);
        let bytes = relayed.bytes();
        assert_eq!(bytes[..2], [13, 0]);
        assert_eq!(bytes[34..38], [&[0, 9][..], &length16(inner.bytes().len())].concat());
        assert_eq!(bytes[38..], inner.bytes());
        assert_eq!(relayed.relayed(kind::RELAY_REPLY, link, peer).bytes()[..2], [13, 1]);
    }
}
