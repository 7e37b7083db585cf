//! DHCP for IPv4 (RFC 2131, options: RFC 2132).

use super::{Segment, Udp, length8};
use crate::net::Mac;
use std::net::Ipv4Addr;

/// The server's UDP port.
pub const SERVER: u16 = 67;
/// The client's UDP port.
pub const CLIENT: u16 = 68;

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
    /// What joins question and answer.
    pub transaction: u32,
    /// 0x8000: answer by broadcast.
    pub flags: u16,
    /// The client's address, if it has one.
    pub client: Ipv4Addr,
    /// The address which a server gives.
    pub yours: Ipv4Addr,
    /// The next server.
    pub next_server: Ipv4Addr,
    /// The relay agent; servers answer to it.
    pub relay: Ipv4Addr,
    /// The client's hardware address (`chaddr`).
    pub hardware: Mac,
    /// Options: number and content, without the end.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Dhcp4 {
    /// A client's message of this [`kind`].
    pub fn from_client(kind: u8, hardware: Mac) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        let options = vec![(53, vec![kind])];
        Self {
            op: 1,
            transaction: 1,
            flags: 0x8000,
            client: none,
            yours: none,
            next_server: none,
            relay: none,
            hardware,
            options,
        }
    }

    /// A server's message of this [`kind`]: `yours` for `hardware`, says `server`.
    pub fn from_server(kind: u8, server: Ipv4Addr, yours: Ipv4Addr, hardware: Mac) -> Self {
        let lease = vec![
            (53, vec![kind]),
            (54, server.octets().to_vec()),
            (51, 3600_u32.to_be_bytes().to_vec()),
            (1, vec![255, 255, 255, 0]),
            (3, server.octets().to_vec()),
            (6, server.octets().to_vec()),
        ];
        Self { op: 2, yours, next_server: server, options: lease, ..Self::from_client(kind, hardware) }
    }

    /// With one more option.
    #[must_use]
    pub fn with(mut self, number: u8, content: impl Into<Vec<u8>>) -> Self {
        self.options.push((number, content.into()));
        self
    }

    /// The message, filled up to the 300 octets of BOOTP (RFC 951), since some servers demand them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.op, 1, 6, 0];
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.flags.to_be_bytes());
        for address in [self.client, self.yours, self.next_server, self.relay] {
            bytes.extend(address.octets());
        }
        bytes.extend(self.hardware.0);
        // The rest of chaddr, sname, file.
        bytes.resize(236, 0);
        bytes.extend([0x63, 0x82, 0x53, 0x63]);
        for (number, content) in &self.options {
            bytes.extend([*number, length8(content.len())]);
            bytes.extend(content);
        }
        bytes.push(255);
        let shortest = bytes.len().max(300);
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
    fn ports_follow_the_direction() {
        let offer = Dhcp4::from_server(kind::OFFER, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, MAC).segment();
        assert_eq!(offer.bytes[..4], [0, 67, 0, 68]);
        let discover = Dhcp4::from_client(kind::DISCOVER, MAC).segment();
        assert_eq!(discover.bytes[..4], [0, 68, 0, 67]);
        // In nft's words: giaddr is @th,256,32 and chaddr @th,288,48.
        assert_eq!(discover.bytes[36..42], MAC.0);
    }
}
