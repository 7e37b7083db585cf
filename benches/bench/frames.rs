//! The frames that are sent, as a guest's kernel makes them.

use crate::lane::DESTINATION;
use instances::net::Mac;
use instances::packet::nd::{Nd, NdOption};
use instances::packet::{Arp, Ethernet, Ipv4, Ipv6, Udp, ether_type};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A peer behind the bridge.
const PEER_V4: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 254);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0xff, 0xff, 0xff);

/// To the discard port, in the shortest frame there is over IPv4.
fn datagram() -> Udp {
    Udp::new(4096, 9, [0; 18])
}

/// UDP over IPv4.
pub(crate) fn udp4(mac: Mac, source: Ipv4Addr) -> Vec<u8> {
    let packet = Ipv4::new(source, PEER_V4).packet(&datagram().segment());
    Ethernet::new(DESTINATION, mac).frame(ether_type::IPV4, &packet)
}

/// A request for the peer's address, to all.
pub(crate) fn arp_request(mac: Mac, sender: Ipv4Addr) -> Vec<u8> {
    let packet = Arp::request((mac, sender), PEER_V4).packet();
    Ethernet::new(Ethernet::BROADCAST, mac).frame(ether_type::ARP, &packet)
}

/// UDP over IPv6.
pub(crate) fn udp6(mac: Mac, source: Ipv6Addr) -> Vec<u8> {
    let packet = Ipv6::new(source, PEER_V6).packet(&datagram().segment());
    Ethernet::new(DESTINATION, mac).frame(ether_type::IPV6, &packet)
}

/// An advertisement of `target` that the peer has asked for.
pub(crate) fn neighbor_advertisement(mac: Mac, target: Ipv6Addr) -> Vec<u8> {
    let answer = Nd::answer(target).segment(&[NdOption::TargetLinkLayer(mac)]);
    let packet = Ipv6::neighbor_discovery(target, PEER_V6).packet(&answer);
    Ethernet::new(DESTINATION, mac).frame(ether_type::IPV6, &packet)
}
