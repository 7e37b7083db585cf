//! DHCP for IPv6 (RFC 8415), relayed messages included.

use super::{Segment, Udp, length16};
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

/// An option: its number and content (section 21).
pub type Dhcp6Option = (u16, Vec<u8>);

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dhcp6 {
    /// Between client and server (section 8).
    Direct {
        /// One of [`kind`].
        kind: u8,
        /// What joins question and answer: 24 bits.
        transaction: u32,
        /// Options in order.
        options: Vec<Dhcp6Option>,
    },
    /// Between relay agent and server (section 9).
    Relayed {
        /// [`kind::RELAY_FORWARD`] or [`kind::RELAY_REPLY`].
        kind: u8,
        /// On whose link the client is.
        link: Ipv6Addr,
        /// The client.
        peer: Ipv6Addr,
        /// What is relayed, which may be relayed itself.
        message: Box<Dhcp6>,
    },
}

impl Dhcp6 {
    /// A message of a client which is known by its MAC.
    pub fn from_client(kind: u8, client: Mac) -> Self {
        let association = [&1_u32.to_be_bytes()[..], &[0; 8]].concat();
        Self::Direct { kind, transaction: 1, options: vec![(1, link_layer_duid(client)), (3, association)] }
    }

    /// A server's message which gives a client an address.
    pub fn from_server(kind: u8, server: Mac, client: Mac, address: Ipv6Addr) -> Self {
        let lifetime = 3600_u32.to_be_bytes();
        let lease = [&5_u16.to_be_bytes()[..], &length16(24), &address.octets(), &lifetime, &lifetime].concat();
        let association = [&1_u32.to_be_bytes()[..], &[0; 8], &lease].concat();
        let options = vec![(1, link_layer_duid(client)), (2, link_layer_duid(server)), (3, association)];
        Self::Direct { kind, transaction: 1, options }
    }

    /// This message as a relay agent passes it on.
    #[must_use]
    pub fn relayed(self, kind: u8, link: Ipv6Addr, peer: Ipv6Addr) -> Self {
        Self::Relayed { kind, link, peer, message: Box::new(self) }
    }

    /// The message.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Direct { kind, transaction, options } => {
                let [_, a, b, c] = transaction.to_be_bytes();
                let mut bytes = vec![*kind, a, b, c];
                for (number, content) in options {
                    bytes.extend(option(*number, content));
                }
                bytes
            }
            Self::Relayed { kind, link, peer, message } => {
                let mut bytes = vec![*kind, 0];
                bytes.extend(link.octets());
                bytes.extend(peer.octets());
                // Relay message (section 21.10).
                bytes.extend(option(9, &message.bytes()));
                bytes
            }
        }
    }

    /// In UDP, between these ports.
    pub fn segment(&self, source: u16, destination: u16) -> Segment {
        Udp::new(source, destination, self.bytes()).segment()
    }
}

fn option(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &length16(content.len()), content].concat()
}

/// A DUID of a link-layer address (section 11.4).
fn link_layer_duid(mac: Mac) -> Vec<u8> {
    [&[0, 3, 0, 1][..], &mac.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_relay_wraps_the_whole_message() {
        let inner = Dhcp6::from_server(kind::REPLY, MAC, MAC, Ipv6Addr::LOCALHOST);
        let (link, peer) = (Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST);
        let bytes = inner.clone().relayed(kind::RELAY_REPLY, link, peer).bytes();
        assert_eq!(bytes[..2], [13, 0]);
        assert_eq!(bytes[34..38], [&[0, 9][..], &length16(inner.bytes().len())].concat());
        assert_eq!(bytes[38..], inner.bytes());
    }
}
