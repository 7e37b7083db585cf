//! Frames for answers: Ethernet, IPv4 and UDP headers written in front of data that are there already, without a copy.

use super::checksum::internet_checksum_of_both;
use super::{ether_type, internet_checksum, length16, protocol, put};
use crate::net::Mac;
use std::net::Ipv4Addr;

/// Octets of the three headers.
pub const HEADERS: usize = ETHERNET + IPV4 + UDP;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;

/// What the headers say; each pair is source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Ethernet addresses.
    pub macs: (Mac, Mac),
    /// IP addresses.
    pub addresses: (Ipv4Addr, Ipv4Addr),
    /// UDP ports.
    pub ports: (u16, u16),
    /// What fragments would have in common.
    pub identification: u16,
}

/// Writes the headers over the first [`HEADERS`] octets of `frame`, for all that is behind them. TTL 64, no flags.
pub fn put_headers(frame: &mut [u8], header: &Header) {
    let Some((headers, data)) = frame.split_first_chunk_mut::<HEADERS>() else { return };
    let (source, destination) = (header.addresses.0.octets(), header.addresses.1.octets());
    put(headers, 0, &header.macs.1.0);
    put(headers, 6, &header.macs.0.0);
    put(headers, 12, &ether_type::IPV4.to_be_bytes());

    let mut ip = [0; IPV4];
    put(&mut ip, 0, &[0x45, 0]);
    put(&mut ip, 2, &length16(IPV4 + UDP + data.len()));
    put(&mut ip, 4, &header.identification.to_be_bytes());
    put(&mut ip, 8, &[64, protocol::UDP]);
    put(&mut ip, 12, &source);
    put(&mut ip, 16, &destination);
    let sum = internet_checksum(&ip);
    put(&mut ip, 10, &sum.to_be_bytes());
    put(headers, ETHERNET, &ip);

    let length = length16(UDP + data.len());
    let mut udp = [0; UDP];
    put(&mut udp, 0, &header.ports.0.to_be_bytes());
    put(&mut udp, 2, &header.ports.1.to_be_bytes());
    put(&mut udp, 4, &length);
    // The pseudo header, and the header behind it.
    let mut covered = [0; 12 + UDP];
    put(&mut covered, 0, &source);
    put(&mut covered, 4, &destination);
    put(&mut covered, 8, &[0, protocol::UDP]);
    put(&mut covered, 10, &length);
    put(&mut covered, 12, &udp);
    let sum = match internet_checksum_of_both(&covered, data) {
        0 => 0xffff,
        sum => sum,
    };
    put(&mut udp, 6, &sum.to_be_bytes());
    put(headers, ETHERNET + IPV4, &udp);
}

#[cfg(test)]
mod tests {
    use super::super::{Ethernet, Ipv4, Udp};
    use super::*;

    #[test]
    fn frames_are_those_of_the_builders() {
        let header = Header {
            macs: (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])),
            addresses: (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 200)),
            ports: (67, 68),
            identification: 0xabcd,
        };
        for length in [32, 33, 300, 1400] {
            let data: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0] ^ 0xa5).collect();
            let mut frame = [&[9; HEADERS][..], &data].concat();
            put_headers(&mut frame, &header);
            let ip = Ipv4 { identification: 0xabcd, ..Ipv4::new(header.addresses.0, header.addresses.1) };
            let packet = ip.packet(&Udp::new(67, 68, data).segment());
            assert_eq!(frame, Ethernet::new(header.macs.1, header.macs.0).frame(ether_type::IPV4, &packet));
        }
    }
}
