//! DHCP for IPv4 (RFC 2131, options: RFC 2132, RFC 3396).
//!
//! [`Received`] reads where the octets lie, [`Dhcp4`] owns what it says and may say anything. Contents of options that
//! have a form of their own: [`content`].

pub mod content;
mod options;
mod received;

pub use options::{Numbers, Options, number, option_length, put_option};
pub use received::Received;

use super::{Malformed, Segment, Udp};
use crate::net::Mac;
use std::net::Ipv4Addr;

/// The server's UDP port.
pub const SERVER: u16 = 67;
/// The client's UDP port.
pub const CLIENT: u16 = 68;

/// The flag that asks for answers by broadcast.
pub const BROADCAST: u16 = 0x8000;
/// Octets before the magic cookie.
pub const FIXED: usize = 236;
/// What options begin with.
pub const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
/// Octets of a message at least (BOOTP, RFC 951), since some clients and servers demand them.
pub const SHORTEST: usize = 300;

/// Message types (option 53).
pub mod kind {
    /// Is there a server?
    pub const DISCOVER: u8 = 1;
    /// A server's offer.
    pub const OFFER: u8 = 2;
    /// Give me that address.
    pub const REQUEST: u8 = 3;
    /// That address is taken.
    pub const DECLINE: u8 = 4;
    /// A server's consent.
    pub const ACK: u8 = 5;
    /// A server's refusal.
    pub const NAK: u8 = 6;
    /// I need it no more.
    pub const RELEASE: u8 = 7;
    /// Parameters only.
    pub const INFORM: u8 = 8;
}

/// A message (RFC 2131, section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dhcp4 {
    /// 1 from clients, 2 from servers.
    pub op: u8,
    /// Relays that it came by.
    pub hops: u8,
    /// `xid`: what joins question and answer.
    pub transaction: u32,
    /// `secs`: since the client began.
    pub seconds: u16,
    /// [`BROADCAST`]: answer by broadcast.
    pub flags: u16,
    /// `ciaddr`: the client's address, if it has one.
    pub client: Ipv4Addr,
    /// `yiaddr`: the address which a server gives.
    pub yours: Ipv4Addr,
    /// `siaddr`: the next server.
    pub next_server: Ipv4Addr,
    /// `giaddr`: the relay agent; servers answer to it.
    pub relay: Ipv4Addr,
    /// `chaddr`: the client's hardware address.
    pub hardware: Mac,
    /// `sname`: the server's name, or options.
    pub server_name: [u8; 64],
    /// `file`: the boot file's name, or options.
    pub file: [u8; 128],
    /// Options: number and content, without the end. What is longer than 255 octets goes in pieces.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Dhcp4 {
    /// A client's message of this [`kind`].
    pub fn from_client(kind: u8, hardware: Mac) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            op: 1,
            hops: 0,
            transaction: 1,
            seconds: 0,
            flags: BROADCAST,
            client: none,
            yours: none,
            next_server: none,
            relay: none,
            hardware,
            server_name: [0; 64],
            file: [0; 128],
            options: vec![(number::KIND, vec![kind])],
        }
    }

    /// A server's message of this [`kind`]: `yours` for `hardware`, says `server`.
    pub fn from_server(kind: u8, server: Ipv4Addr, yours: Ipv4Addr, hardware: Mac) -> Self {
        let lease = vec![
            (number::KIND, vec![kind]),
            (number::SERVER, server.octets().to_vec()),
            (number::LIFETIME, 3600_u32.to_be_bytes().to_vec()),
            (number::MASK, vec![255, 255, 255, 0]),
            (number::ROUTER, server.octets().to_vec()),
            (number::NAMESERVERS, server.octets().to_vec()),
        ];
        Self { op: 2, yours, next_server: server, options: lease, ..Self::from_client(kind, hardware) }
    }

    /// What came in, with options joined that were sent in pieces or in other fields.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        Received::parse(message).map(|message| Self::from(&message))
    }

    /// The first option of this number.
    pub fn option(&self, number: u8) -> Option<&[u8]> {
        self.options.iter().find(|(n, _)| *n == number).map(|(_, content)| &content[..])
    }

    /// With one more option.
    #[must_use]
    pub fn with(mut self, number: u8, content: impl Into<Vec<u8>>) -> Self {
        self.options.push((number, content.into()));
        self
    }

    /// The message, filled up to [`SHORTEST`].
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.op, 1, 6, self.hops];
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend(self.seconds.to_be_bytes());
        bytes.extend(self.flags.to_be_bytes());
        for address in [self.client, self.yours, self.next_server, self.relay] {
            bytes.extend(address.octets());
        }
        bytes.extend(self.hardware.0);
        // The rest of chaddr.
        bytes.extend([0; 10]);
        bytes.extend(self.server_name);
        bytes.extend(self.file);
        bytes.extend(COOKIE);
        for (number, content) in &self.options {
            put_option(&mut bytes, *number, content);
        }
        bytes.push(number::END);
        let shortest = bytes.len().max(SHORTEST);
        bytes.resize(shortest, 0);
        bytes
    }

    /// In UDP, between the ports of client and server as `op` says.
    pub fn segment(&self) -> Segment {
        match self.op {
            1 => Udp::new(CLIENT, SERVER, self.bytes()),
            _ => Udp::new(SERVER, CLIENT, self.bytes()),
        }
        .segment()
    }
}

impl From<&Received<'_>> for Dhcp4 {
    fn from(message: &Received<'_>) -> Self {
        Self {
            op: message.op,
            hops: message.hops,
            transaction: message.transaction,
            seconds: message.seconds,
            flags: message.flags,
            client: message.client,
            yours: message.yours,
            next_server: message.next_server,
            relay: message.relay,
            hardware: message.hardware,
            server_name: message.server_name(),
            file: message.file(),
            options: message.options.all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn fields_are_where_the_rfc_has_them() {
        let address = |last| Ipv4Addr::new(10, 0, 0, last);
        let message = Dhcp4 { client: address(1), relay: address(4), ..Dhcp4::from_client(kind::DISCOVER, MAC) };
        let bytes = message.with(12, *b"web").bytes();
        assert_eq!(bytes[..4], [1, 1, 6, 0]);
        assert_eq!(bytes[12..16], [10, 0, 0, 1]);
        assert_eq!(bytes[24..34], [10, 0, 0, 4, 2, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[236..249], [0x63, 0x82, 0x53, 0x63, 53, 1, 1, 12, 3, b'w', b'e', b'b', 255]);
        assert_eq!(bytes.len(), 300);
    }

    #[test]
    fn options_may_end_with_their_field() {
        let mut message = Dhcp4::from_client(kind::DISCOVER, MAC).with(number::OVERLOAD, [1]);
        message.file[..3].copy_from_slice(&[12, 1, b'a']);
        let mut bytes = message.bytes();
        let end = bytes.iter().rposition(|octet| *octet == number::END).unwrap();
        bytes.truncate(end);
        let read = Dhcp4::parse(&bytes).unwrap();
        assert_eq!(read.options, [(number::KIND, vec![kind::DISCOVER]), (number::HOSTNAME, b"a".to_vec())]);
        bytes.truncate(240);
        assert_eq!(Dhcp4::parse(&bytes).unwrap().options, []);
        bytes.push(number::KIND);
        assert_eq!(Dhcp4::parse(&bytes), Err(Malformed("DHCP: option without a length")));
        bytes.push(1);
        assert_eq!(Dhcp4::parse(&bytes), Err(Malformed("DHCP: option longer than its field")));
    }

    #[test]
    fn ports_follow_the_direction() {
        let offer = Dhcp4::from_server(kind::OFFER, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, MAC).segment();
        assert_eq!(offer.bytes[..4], [0, 67, 0, 68]);
        let discover = Dhcp4::from_client(kind::DISCOVER, MAC).segment();
        assert_eq!(discover.bytes[..4], [0, 68, 0, 67]);
        // In nft's words: giaddr is @th,256,32 and chaddr @th,288,48.
        assert_eq!(discover.bytes[36..42], MAC.0);
    }
}
