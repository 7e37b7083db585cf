//! Frames as an attacker makes them, sent and received by packet sockets (packet(7)).
#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(
    unsafe_code,
    reason = "packet sockets have no safe binding; each call is given live buffers of the sizes it is told"
)]

use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub const BROADCAST: [u8; 6] = [0xff; 6];

/// An ARP reply: `sender_ip` is at `source`.
pub fn arp_reply(source: [u8; 6], sender_ip: Ipv4Addr, target: [u8; 6], target_ip: Ipv4Addr) -> Vec<u8> {
    [
        &target[..],
        &source,
        &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2],
        &source,
        &sender_ip.octets(),
        &target,
        &target_ip.octets(),
        &[0; 18],
    ]
    .concat()
}

/// A neighbour advertisement to all nodes: `target` is at `source`.
pub fn neighbor_advertisement(source: [u8; 6], target: Ipv6Addr) -> Vec<u8> {
    let all_nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    let mut icmp = [&[136, 0, 0, 0, 0x20, 0, 0, 0][..], &target.octets(), &[2, 1], &source].concat();
    let pseudo = [&target.octets()[..], &all_nodes.octets(), &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
    let checksum = checksum(&[&pseudo[..], &icmp].concat());
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    [
        &[0x33, 0x33, 0, 0, 0, 1][..],
        &source,
        &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255],
        &target.octets(),
        &all_nodes.octets(),
        &icmp,
    ]
    .concat()
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// A packet socket on one interface.
pub struct Wire(OwnedFd);

impl Wire {
    pub fn open(interface: &str) -> Self {
        let all = u16::to_be(libc::ETH_P_ALL as u16);
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::c_int::from(all)) };
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let name = CString::new(interface).unwrap();
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        assert!(index > 0, "{interface}: {}", io::Error::last_os_error());
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all;
        address.sll_ifindex = index.cast_signed();
        let size = size_of_val(&address) as libc::socklen_t;
        let status = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(status, 0, "{}", io::Error::last_os_error());
        let buffer: libc::c_int = 32 << 20;
        let size = size_of_val(&buffer) as libc::socklen_t;
        unsafe {
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const buffer).cast(), size)
        };
        Self(fd)
    }

    pub fn send(&self, frame: &[u8]) {
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(sent, frame.len().cast_signed(), "{}", io::Error::last_os_error());
    }

    /// The next frame, waited for at most so long.
    pub fn receive(&self, milliseconds: i32) -> Option<Vec<u8>> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        if unsafe { libc::poll(&raw mut poll, 1, milliseconds) } < 1 {
            return None;
        }
        let mut buffer = vec![0; 2048];
        let length = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        assert!(length >= 0, "{}", io::Error::last_os_error());
        buffer.truncate(length.cast_unsigned());
        Some(buffer)
    }

    /// Whether `wanted` comes before `last`, which is known to come.
    pub fn sees_before(&self, wanted: &[u8], last: &[u8]) -> bool {
        let mut seen = false;
        while let Some(frame) = self.receive(10_000) {
            seen |= frame.starts_with(wanted);
            if frame.starts_with(last) {
                return seen;
            }
        }
        panic!("the last frame never came");
    }
}
