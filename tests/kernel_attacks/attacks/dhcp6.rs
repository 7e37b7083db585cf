//! A guest is a DHCPv6 server, a relay agent, or a client in another's name.

use super::{ALL_NODES, fragments6, frames, ipv6_to, unicast};
use crate::case::{Case, DHCP_SERVERS, Judge::Socket};
use crate::who::{ATTACKER, NEIGHBOUR, Who};
use instances::packet::dhcp6::{CLIENT, Dhcp6, SERVER, kind};
use instances::packet::{Extension, Ipv6, ether_type};

fn served(kind: u8, to: &Who) -> Dhcp6 {
    Dhcp6::from_server(kind, ATTACKER.mac, to.mac, "fd00::200".parse().unwrap())
}

/// An answer to a client, behind extension headers.
fn reply_behind(to: &Who, extensions: Vec<Extension>) -> Vec<Vec<u8>> {
    let ip = Ipv6 { extensions, ..Ipv6::new(ATTACKER.lla, to.lla) };
    ipv6_to(to, &ip, &served(kind::REPLY, to).segment(SERVER, CLIENT))
}

pub fn cases() -> Vec<Case> {
    [servers(), hidden(), relays()].into_iter().flatten().collect()
}

fn servers() -> Vec<Case> {
    vec![
        Case::attack("advertisement", "RFC 8415, 22; RFC 7610", Socket(CLIENT), |to| {
            let segment = served(kind::ADVERTISE, to).segment(SERVER, CLIENT);
            ipv6_to(to, &Ipv6::new(ATTACKER.lla, to.lla), &segment)
        }),
        Case::attack("reply", "RFC 8415, 22", Socket(CLIENT), |to| reply_behind(to, vec![])),
        Case::attack("reply from another address of its own", "RFC 8415, 22", Socket(CLIENT), |to| {
            ipv6_to(to, &Ipv6::new(ATTACKER.v6, to.v6), &served(kind::REPLY, to).segment(SERVER, CLIENT))
        }),
        Case::attack("reply from another port", "RFC 8415, 7.2", Socket(CLIENT), |to| {
            ipv6_to(to, &Ipv6::new(ATTACKER.lla, to.lla), &served(kind::REPLY, to).segment(1547, CLIENT))
        }),
        Case::attack("reply to all nodes", "RFC 8415, 22", Socket(CLIENT), |to| {
            ipv6_to(to, &Ipv6::new(ATTACKER.lla, ALL_NODES), &served(kind::REPLY, to).segment(SERVER, CLIENT))
        }),
        Case::attack("reconfigure", "RFC 8415, 18.3.11", Socket(CLIENT), |to| {
            let segment = served(kind::RECONFIGURE, to).segment(SERVER, CLIENT);
            ipv6_to(to, &Ipv6::new(ATTACKER.lla, to.lla), &segment)
        }),
    ]
}

fn hidden() -> Vec<Case> {
    vec![
        Case::attack("reply behind destination options", "RFC 7610, 5", Socket(CLIENT), |to| {
            reply_behind(to, vec![Extension::empty_destination_options()])
        }),
        Case::attack("reply behind a hop-by-hop header", "RFC 7610, 5", Socket(CLIENT), |to| {
            reply_behind(to, vec![Extension::HopByHop(vec![])])
        }),
        Case::attack("reply in an atomic fragment", "RFC 7610, 5; RFC 6946", Socket(CLIENT), |to| {
            reply_behind(to, vec![Extension::atomic_fragment()])
        }),
        Case::attack("reply in fragments", "RFC 7610, 5", Socket(CLIENT), |to| {
            let segment = served(kind::REPLY, to).segment(SERVER, CLIENT);
            let packets = fragments6(&Ipv6::new(ATTACKER.lla, to.lla), 0, &segment, &[8, 40]);
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
        Case::attack("reply in fragments, last one first", "RFC 7610, 5", Socket(CLIENT), |to| {
            let segment = served(kind::REPLY, to).segment(SERVER, CLIENT);
            let mut packets = fragments6(&Ipv6::new(ATTACKER.lla, to.lla), 0, &segment, &[8, 40]);
            packets.reverse();
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
        Case::attack("reply in fragments, a hop-by-hop header before each", "RFC 7610, 5", Socket(CLIENT), |to| {
            let segment = served(kind::REPLY, to).segment(SERVER, CLIENT);
            let ip = Ipv6::new(ATTACKER.lla, to.lla).with(Extension::HopByHop(vec![]));
            frames(&unicast(to), ether_type::IPV6, &fragments6(&ip, 1, &segment, &[8, 40]))
        }),
        Case::ignored("reply, its ports not in the first fragment", "RFC 7112", |to| {
            let segment = served(kind::REPLY, to).segment(SERVER, CLIENT);
            let ip = Ipv6::new(ATTACKER.lla, to.lla)
                .with(Extension::DestinationOptions([&[0x1e, 20][..], &[0; 20]].concat()));
            frames(&unicast(to), ether_type::IPV6, &fragments6(&ip, 0, &segment, &[8]))
        }),
    ]
}

fn relays() -> Vec<Case> {
    let cases = vec![
        Case::attack("relayed by the attacker", "RFC 8415, 22", Socket(SERVER), |to| {
            let message = Dhcp6::from_client(kind::SOLICIT, NEIGHBOUR.mac);
            let message = message.relayed(kind::RELAY_FORWARD, ATTACKER.v6, NEIGHBOUR.lla);
            ipv6_to(to, &Ipv6::new(ATTACKER.v6, to.v6), &message.segment(SERVER, SERVER))
        }),
        Case::attack("relayed by the attacker, from the client's port", "RFC 8415, 22", Socket(SERVER), |to| {
            let message = Dhcp6::from_client(kind::SOLICIT, NEIGHBOUR.mac);
            let message = message.relayed(kind::RELAY_FORWARD, ATTACKER.v6, NEIGHBOUR.lla);
            ipv6_to(to, &Ipv6::new(ATTACKER.lla, to.lla), &message.segment(CLIENT, SERVER))
        }),
        Case::attack("a server's answer to a relay agent", "RFC 8415, 22", Socket(SERVER), |to| {
            let message = served(kind::REPLY, to).relayed(kind::RELAY_REPLY, to.v6, NEIGHBOUR.lla);
            ipv6_to(to, &Ipv6::new(ATTACKER.v6, to.v6), &message.segment(SERVER, SERVER))
        }),
        Case::attack("relayed, behind destination options", "RFC 7610, 5", Socket(SERVER), |to| {
            let message = Dhcp6::from_client(kind::SOLICIT, NEIGHBOUR.mac);
            let segment = message.relayed(kind::RELAY_FORWARD, ATTACKER.v6, NEIGHBOUR.lla).segment(SERVER, SERVER);
            ipv6_to(to, &Ipv6::new(ATTACKER.v6, to.v6).with(Extension::empty_destination_options()), &segment)
        }),
        Case::attack("relayed, in fragments", "RFC 7610, 5", Socket(SERVER), |to| {
            let message = Dhcp6::from_client(kind::SOLICIT, NEIGHBOUR.mac);
            let segment = message.relayed(kind::RELAY_FORWARD, ATTACKER.v6, NEIGHBOUR.lla).segment(SERVER, SERVER);
            let packets = fragments6(&Ipv6::new(ATTACKER.v6, to.v6), 0, &segment, &[8, 40]);
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
    ];
    cases.into_iter().map(|case| case.to(DHCP_SERVERS)).collect()
}
