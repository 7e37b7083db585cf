//! A guest is a DHCP server, a relay agent, or a client in another's name.

use super::{broadcast, fragments4, frames, ipv4, unicast};
use crate::case::{Case, DHCP_SERVERS, Judge::Socket};
use crate::who::{ATTACKER, HOST, NEIGHBOUR, NOBODY, ROUTER, Who};
use instances::packet::dhcp4::{CLIENT, Dhcp4, SERVER, kind};
use instances::packet::{Ethernet, Ipv4, Udp, ether_type};
use std::net::Ipv4Addr;

fn served(kind: u8, to: &Who) -> Dhcp4 {
    Dhcp4::from_server(kind, ATTACKER.v4, Ipv4Addr::new(10, 0, 0, 200), to.mac)
}

/// To all, from the attacker's own address, so that nothing else is wrong about it.
fn to_all(message: &Dhcp4) -> Vec<Vec<u8>> {
    ipv4(&broadcast(), &Ipv4::new(ATTACKER.v4, Ipv4Addr::BROADCAST), &message.segment())
}

/// As a client that has no address yet.
fn ask(message: &Dhcp4) -> Vec<Vec<u8>> {
    ipv4(&broadcast(), &Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST), &message.segment())
}

pub fn cases() -> Vec<Case> {
    [servers(), clients()].into_iter().flatten().collect()
}

/// The offer with this octet of its IP header made wrong. Clients with raw sockets take it all the same.
fn malformed(to: &Who, octet: usize, value: u8) -> Vec<Vec<u8>> {
    let ip = Ipv4::new(ATTACKER.v4, Ipv4Addr::BROADCAST);
    let mut packet = ip.packet(&served(kind::OFFER, to).segment());
    packet[octet] = value;
    vec![broadcast().frame(ether_type::IPV4, &packet)]
}

fn servers() -> Vec<Case> {
    vec![
        Case::ignored("offer in a packet of IP version 0", "RFC 791, 3.1; dhclient", |to| malformed(to, 0, 0x05)),
        Case::ignored("offer in a packet of IP version 5", "RFC 791, 3.1; dhclient", |to| malformed(to, 0, 0x55)),
        Case::ignored("offer in a packet that says to be longer", "RFC 791, 3.1; dhclient", |to| {
            malformed(to, 2, 0x40)
        }),
        Case::attack("offer to all", "RFC 2131, 7; RFC 7610", Socket(CLIENT), |to| to_all(&served(kind::OFFER, to))),
        Case::attack("acknowledgement to all", "RFC 2131, 7", Socket(CLIENT), |to| to_all(&served(kind::ACK, to))),
        Case::attack("refusal to all", "RFC 2131, 7", Socket(CLIENT), |to| to_all(&served(kind::NAK, to))),
        Case::attack("offer to one machine", "RFC 2131, 7", Socket(CLIENT), |to| {
            ipv4(&unicast(to), &Ipv4::new(ATTACKER.v4, to.v4), &served(kind::OFFER, to).segment())
        }),
        Case::attack("acknowledgement from the router's address", "RFC 2131, 7", Socket(CLIENT), |to| {
            let message = Dhcp4::from_server(kind::ACK, ROUTER.v4, to.v4, to.mac);
            ipv4(&unicast(to), &Ipv4::new(ROUTER.v4, to.v4), &message.segment())
        }),
        Case::attack("acknowledgement from another port", "RFC 2131, 4.1", Socket(CLIENT), |to| {
            let segment = Udp::new(1067, CLIENT, served(kind::ACK, to).bytes()).segment();
            ipv4(&unicast(to), &Ipv4::new(ATTACKER.v4, to.v4), &segment)
        }),
        Case::attack("offer behind IPv4 options", "RFC 7126", Socket(CLIENT), |to| {
            let ip = Ipv4 { options: vec![1; 4], ..Ipv4::new(ATTACKER.v4, Ipv4Addr::BROADCAST) };
            ipv4(&broadcast(), &ip, &served(kind::OFFER, to).segment())
        }),
        Case::attack("offer in fragments", "RFC 1858", Socket(CLIENT), |to| {
            let packets = fragments4(&Ipv4::new(ATTACKER.v4, to.v4), &served(kind::OFFER, to).segment(), &[8, 64]);
            frames(&unicast(to), ether_type::IPV4, &packets)
        }),
        Case::attack("offer in fragments, last one first", "RFC 1858", Socket(CLIENT), |to| {
            let mut packets = fragments4(&Ipv4::new(ATTACKER.v4, to.v4), &served(kind::OFFER, to).segment(), &[8, 64]);
            packets.reverse();
            frames(&unicast(to), ether_type::IPV4, &packets)
        }),
        Case::attack("answer to a relay agent", "RFC 2131, 4.1", Socket(SERVER), |to| {
            let segment = Udp::new(SERVER, SERVER, served(kind::ACK, to).bytes()).segment();
            ipv4(&unicast(to), &Ipv4::new(ATTACKER.v4, to.v4), &segment)
        })
        .to(&[HOST, ROUTER]),
    ]
}

fn clients() -> Vec<Case> {
    vec![
        Case::attack("the neighbour's chaddr asks for its lease", "RFC 2131, 7", Socket(SERVER), |_| {
            ask(&Dhcp4::from_client(kind::REQUEST, NEIGHBOUR.mac).with(50, NEIGHBOUR.v4.octets()))
        }),
        Case::attack("a chaddr of nobody: starvation", "RFC 2131, 7; dhcpstarv", Socket(SERVER), |_| {
            ask(&Dhcp4::from_client(kind::DISCOVER, NOBODY))
        }),
        Case::attack("the neighbour's lease is released", "RFC 2131, 4.4.6", Socket(SERVER), |to| {
            let message = Dhcp4 { client: NEIGHBOUR.v4, ..Dhcp4::from_client(kind::RELEASE, NEIGHBOUR.mac) };
            let message = message.with(54, to.v4.octets());
            ipv4(&unicast(to), &Ipv4::new(ATTACKER.v4, to.v4), &message.segment())
        }),
        Case::attack("the same, from the neighbour's address", "RFC 2131, 4.4.6", Socket(SERVER), |to| {
            let message = Dhcp4 { client: NEIGHBOUR.v4, ..Dhcp4::from_client(kind::RELEASE, NEIGHBOUR.mac) };
            ipv4(&unicast(to), &Ipv4::new(NEIGHBOUR.v4, to.v4), &message.segment())
        }),
        Case::attack("the neighbour's chaddr from another port", "RFC 2131, 4.1", Socket(SERVER), |to| {
            let message = Dhcp4::from_client(kind::DISCOVER, NEIGHBOUR.mac);
            let segment = Udp::new(1068, SERVER, message.bytes()).segment();
            ipv4(&unicast(to), &Ipv4::new(ATTACKER.v4, to.v4), &segment)
        }),
        Case::attack("relayed by the attacker", "RFC 2131, 4.1; RFC 3046, 5", Socket(SERVER), |to| {
            let message = Dhcp4 { relay: ATTACKER.v4, ..Dhcp4::from_client(kind::DISCOVER, ATTACKER.mac) };
            ipv4(&unicast(to), &Ipv4::new(ATTACKER.v4, to.v4), &message.segment())
        }),
        Case::attack("the neighbour's chaddr in a second fragment", "RFC 1858", Socket(SERVER), |to| {
            let message = Dhcp4::from_client(kind::DISCOVER, NEIGHBOUR.mac);
            let packets = fragments4(&Ipv4::new(ATTACKER.v4, to.v4), &message.segment(), &[24]);
            frames(&unicast(to), ether_type::IPV4, &packets)
        }),
        Case::attack("the neighbour's chaddr, behind IPv4 options", "RFC 7126", Socket(SERVER), |to| {
            let ip = Ipv4 { options: vec![1; 12], ..Ipv4::new(ATTACKER.v4, to.v4) };
            ipv4(&unicast(to), &ip, &Dhcp4::from_client(kind::DISCOVER, NEIGHBOUR.mac).segment())
        }),
        Case::attack("own chaddr, the neighbour's MAC in Ethernet", "RFC 2131, 7", Socket(SERVER), |_| {
            let ip = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
            let header = Ethernet { source: NEIGHBOUR.mac, ..broadcast() };
            ipv4(&header, &ip, &Dhcp4::from_client(kind::DISCOVER, ATTACKER.mac).segment())
        }),
    ]
    .into_iter()
    .map(|case| case.to(DHCP_SERVERS))
    .collect()
}
