//! ARP packets (RFC 826), with fields that may say anything.

use super::{Malformed, Reader, length8};
use crate::net::Mac;
use std::net::Ipv4Addr;

/// Operations (RFC 5494, IANA's registry).
pub mod operation {
    /// Who has that address?
    pub const REQUEST: u16 = 1;
    /// I have.
    pub const REPLY: u16 = 2;
    /// RARP: which address have I? (RFC 903)
    pub const REVERSE_REQUEST: u16 = 3;
    /// RARP's answer.
    pub const REVERSE_REPLY: u16 = 4;
    /// InARP: which address has that circuit? (RFC 2390)
    pub const INVERSE_REQUEST: u16 = 8;
    /// InARP's answer.
    pub const INVERSE_REPLY: u16 = 9;
}

/// An ARP packet. Lengths of addresses are those of the fields, unless [`Arp::lengths`] lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arp {
    /// Hardware type: 1 Ethernet, 6 IEEE 802, ...
    pub hardware: u16,
    /// Protocol type: an ether type.
    pub protocol: u16,
    /// What `hlen` and `plen` say.
    pub lengths: Option<(u8, u8)>,
    /// One of [`operation`].
    pub operation: u16,
    /// Sender hardware address: whoever believes the packet sends there.
    pub sender_mac: Vec<u8>,
    /// Sender protocol address: what is claimed.
    pub sender_ip: Vec<u8>,
    /// Target hardware address.
    pub target_mac: Vec<u8>,
    /// Target protocol address.
    pub target_ip: Vec<u8>,
}

impl Arp {
    /// A packet as Ethernet and IPv4 have it.
    pub fn new(operation: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Self {
        Self {
            hardware: 1,
            protocol: super::ether_type::IPV4,
            lengths: None,
            operation,
            sender_mac: sender.0.0.to_vec(),
            sender_ip: sender.1.octets().to_vec(),
            target_mac: target.0.0.to_vec(),
            target_ip: target.1.octets().to_vec(),
        }
    }

    /// `sender` asks who has `target`.
    pub fn request(sender: (Mac, Ipv4Addr), target: Ipv4Addr) -> Self {
        Self::new(operation::REQUEST, sender, (Mac([0; 6]), target))
    }

    /// `sender` answers `target`.
    pub fn reply(sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Self {
        Self::new(operation::REPLY, sender, target)
    }

    /// A probe whether an address is free (RFC 5227, section 2.1.1): from 0.0.0.0.
    pub fn probe(sender: Mac, wanted: Ipv4Addr) -> Self {
        Self::request((sender, Ipv4Addr::UNSPECIFIED), wanted)
    }

    /// An announcement, also called gratuitous request (RFC 5227, section 2.3).
    pub fn announcement(sender: (Mac, Ipv4Addr)) -> Self {
        Self::request(sender, sender.1)
    }

    /// The packet.
    pub fn packet(&self) -> Vec<u8> {
        let true_lengths = (length8(self.sender_mac.len()), length8(self.sender_ip.len()));
        let (hardware_length, protocol_length) = self.lengths.unwrap_or(true_lengths);
        let mut packet = [self.hardware.to_be_bytes(), self.protocol.to_be_bytes()].concat();
        packet.extend([hardware_length, protocol_length]);
        packet.extend(self.operation.to_be_bytes());
        for field in [&self.sender_mac, &self.sender_ip, &self.target_mac, &self.target_ip] {
            packet.extend(field);
        }
        packet
    }
}

/// What a packet says, as Ethernet and IPv4 have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// [`operation::REQUEST`] or [`operation::REPLY`].
    pub operation: u16,
    /// Who it says it is from.
    pub sender: (Mac, Ipv4Addr),
    /// Who is asked for, or answered; the MAC of a request says nothing.
    pub target: (Mac, Ipv4Addr),
}

/// The packet in these octets; what is behind it fills up a frame.
///
/// # Errors
/// It is cut short, not of Ethernet and IPv4, or neither request nor reply.
pub fn parse(packet: &[u8]) -> Result<Received, Malformed> {
    let mut reader = Reader::new(packet, "ARP: cut short");
    let (hardware, protocol, lengths) = (reader.u16()?, reader.u16()?, reader.array()?);
    if (hardware, protocol, lengths) != (1, super::ether_type::IPV4, [6, 4]) {
        return Err(Malformed("ARP: not of Ethernet and IPv4"));
    }
    let operation = reader.u16()?;
    if !matches!(operation, operation::REQUEST | operation::REPLY) {
        return Err(Malformed("ARP: neither request nor reply"));
    }
    let mut party = || Ok((Mac(reader.array()?), Ipv4Addr::from(reader.array::<4>()?)));
    Ok(Received { operation, sender: party()?, target: party()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: (Mac, Ipv4Addr) = (Mac([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 1));
    const TARGET: (Mac, Ipv4Addr) = (Mac([2, 0, 0, 0, 0, 2]), Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn a_reply_octet_by_octet() {
        let expected = [0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2];
        assert_eq!(Arp::reply(SENDER, TARGET).packet(), expected);
    }

    #[test]
    fn probe_and_announcement_differ_in_the_sender() {
        let (probe, announcement) = (Arp::probe(SENDER.0, SENDER.1).packet(), Arp::announcement(SENDER).packet());
        assert_eq!((&probe[14..18], &announcement[14..18]), (&[0; 4][..], &[10, 0, 0, 1][..]));
        assert_eq!((&probe[..14], &probe[18..]), (&announcement[..14], &announcement[18..]));
        assert_eq!(probe[18..24], [0; 6]);
    }

    #[test]
    fn lengths_are_those_of_the_fields_unless_they_lie() {
        let long = Arp { sender_ip: vec![0; 16], ..Arp::announcement(SENDER) };
        assert_eq!(long.packet()[4..6], [6, 16]);
        assert_eq!(Arp { lengths: Some((8, 4)), ..long }.packet()[4..6], [8, 4]);
    }

    #[test]
    fn what_was_built_is_read_again_and_filling_is_cut_off() {
        for operation in [operation::REQUEST, operation::REPLY] {
            let mut packet = Arp::new(operation, SENDER, TARGET).packet();
            packet.extend([0; 18]);
            assert_eq!(parse(&packet), Ok(Received { operation, sender: SENDER, target: TARGET }));
        }
    }

    #[test]
    fn what_is_cut_or_of_another_kind_is_refused() {
        let packet = Arp::reply(SENDER, TARGET).packet();
        for length in 0..packet.len() {
            assert_eq!(parse(&packet[..length]), Err(Malformed("ARP: cut short")), "{length}");
        }
        for operation in [0, 3, 4, 8, 9, 0x0100, 0xffff] {
            let other = Arp::new(operation, SENDER, TARGET).packet();
            assert_eq!(parse(&other), Err(Malformed("ARP: neither request nor reply")), "{operation}");
        }
        let arp = Arp::reply(SENDER, TARGET);
        let long = Arp { sender_ip: vec![0; 16], target_ip: vec![0; 16], ..arp.clone() };
        for other in [
            Arp { hardware: 6, ..arp.clone() },
            Arp { protocol: 0x86dd, ..arp.clone() },
            Arp { lengths: Some((4, 6)), ..arp.clone() },
            Arp { lengths: Some((0, 0)), ..arp },
            long,
        ] {
            assert_eq!(parse(&other.packet()), Err(Malformed("ARP: not of Ethernet and IPv4")), "{other:?}");
        }
    }
}
