//! The frames that are sent, as a guest's kernel makes them.

use crate::lane::DESTINATION;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A peer behind the bridge.
const PEER_V4: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 254);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0xff, 0xff, 0xff);

const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// UDP from port 4096 to the discard port, 18 bytes: the shortest frame there is.
pub(crate) fn udp4(mac: [u8; 6], source: Ipv4Addr) -> Vec<u8> {
    let mut header = [
        &[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, UDP, 0, 0][..], //
        &source.octets(),
        &PEER_V4.octets(),
    ]
    .concat();
    let sum = checksum(&header);
    header.splice(10..12, sum);
    let datagram = [&[0x10, 0, 0, 9, 0, 26, 0, 0][..], &[0; 18]].concat();
    [&DESTINATION[..], &mac, &[8, 0], &header, &datagram].concat()
}

/// A request for the peer's address, to all.
pub(crate) fn arp_request(mac: [u8; 6], sender: Ipv4Addr) -> Vec<u8> {
    let head = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6][..], &mac, &head, &mac, &sender.octets(), &[0; 6], &PEER_V4.octets(), &[0; 18]].concat()
}

/// The same as [`udp4`] over IPv6.
pub(crate) fn udp6(mac: [u8; 6], source: Ipv6Addr) -> Vec<u8> {
    let mut datagram = [&[0x10, 0, 0, 9, 0, 26, 0, 0][..], &[0; 18]].concat();
    let sum = checksum6(source, UDP, &datagram);
    datagram.splice(6..8, sum);
    ip6(mac, source, UDP, 64, &datagram)
}

/// A solicited advertisement of `target` to the peer.
pub(crate) fn neighbor_advertisement(mac: [u8; 6], target: Ipv6Addr) -> Vec<u8> {
    let mut message = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &target.octets(), &[2, 1], &mac].concat();
    let sum = checksum6(target, ICMPV6, &message);
    message.splice(2..4, sum);
    ip6(mac, target, ICMPV6, 255, &message)
}

fn ip6(mac: [u8; 6], source: Ipv6Addr, protocol: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let [.., high, low] = payload.len().to_be_bytes();
    let header = [0x60, 0, 0, 0, high, low, protocol, hops];
    [&DESTINATION[..], &mac, &[0x86, 0xdd], &header, &source.octets(), &PEER_V6.octets(), payload].concat()
}

fn checksum6(source: Ipv6Addr, protocol: u8, payload: &[u8]) -> [u8; 2] {
    let [.., high, low] = payload.len().to_be_bytes();
    let pseudo = [0, 0, high, low, 0, 0, 0, protocol];
    checksum(&[&source.octets()[..], &PEER_V6.octets(), &pseudo, payload].concat())
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
        [high] => u64::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or_default()).to_be_bytes()
}
