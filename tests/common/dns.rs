//! Asking a DNS server, with as much of DNS as it takes.
#![allow(dead_code, reason = "each test crate uses its part")]

use crate::wait::until;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

/// A server.
#[derive(Clone, Copy)]
pub struct Dns(pub SocketAddr);

impl Dns {
    /// The addresses of a name, of both families; none if nobody answers.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.try_addresses(name).unwrap_or_default()
    }

    pub fn try_addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let all = [self.ask(name, A)?, self.ask(name, AAAA)?].concat();
        let address = |(kind, data): (u16, Vec<u8>)| match kind {
            A => Some(IpAddr::from(<[u8; 4]>::try_from(data).unwrap())),
            AAAA => Some(IpAddr::from(<[u8; 16]>::try_from(data).unwrap())),
            _ => None,
        };
        Ok(all.into_iter().filter_map(address).collect())
    }

    /// The names of an address; none if nobody answers.
    pub fn names(&self, address: &str) -> Vec<String> {
        self.try_names(address).unwrap_or_default()
    }

    pub fn try_names(&self, address: &str) -> io::Result<Vec<String>> {
        let name = match address.parse().unwrap() {
            IpAddr::V4(address) => reverse_v4(address),
            IpAddr::V6(address) => reverse_v6(address),
        };
        Ok(self.ask(&name, PTR)?.into_iter().map(|(_, data)| labels(&data)).collect())
    }

    /// Waits until a name has just these addresses.
    #[track_caller]
    pub fn becomes(&self, name: &str, addresses: &[&str]) {
        let mut wanted: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        wanted.sort();
        until(&format!("{name} has {addresses:?}"), || {
            let mut now = self.addresses(name);
            now.sort();
            now == wanted
        });
    }

    /// Waits until an address has just these names.
    #[track_caller]
    pub fn is_called(&self, address: &str, names: &[&str]) {
        until(&format!("{address} is {names:?}"), || self.names(address) == names);
    }

    /// Kinds and data of the answers.
    fn ask(&self, name: &str, kind: u16) -> io::Result<Vec<(u16, Vec<u8>)>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.0).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in name.split('.') {
            question.push(u8::try_from(label.len()).unwrap());
            question.extend(label.as_bytes());
        }
        question.push(0);
        question.extend(kind.to_be_bytes());
        question.extend([0, 1]);
        let mut answer = [0; 4096];
        let length = socket.send(&question).and_then(|_| socket.recv(&mut answer))?;
        let answer = &answer[..length];
        let count = u16::from_be_bytes([answer[6], answer[7]]);
        let mut at = question.len();
        let mut answers = Vec::new();
        for _ in 0..count {
            while answer[at] != 0 && answer[at] < 0xc0 {
                at += usize::from(answer[at]) + 1;
            }
            at += if answer[at] == 0 { 1 } else { 2 };
            let number = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
            let (kind, length) = (number(at), usize::from(number(at + 8)));
            answers.push((kind, answer[at + 10..at + 10 + length].to_vec()));
            at += 10 + length;
        }
        Ok(answers)
    }
}

fn reverse_v4(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa")
}

fn reverse_v6(address: Ipv6Addr) -> String {
    let nibbles = address.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]).rev();
    let nibbles: Vec<_> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
    nibbles.join(".") + ".ip6.arpa"
}

/// A name without compression, which dnsmasq does not use in data of its own.
fn labels(mut data: &[u8]) -> String {
    let mut labels = Vec::new();
    while let [length @ 1..=63, rest @ ..] = data {
        let (label, rest) = rest.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).into_owned());
        data = rest;
    }
    labels.join(".")
}
