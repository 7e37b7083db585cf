//! A guest, its host, and what they send each other.

use instances::net::{Mac, link_local_of};
use instances::packet::dhcp6::{self, Dhcp6, Dhcp6Option, Duid, Message};
use instances::packet::ipv6::{self, Ipv6};
use instances::packet::nd::{self, Nd, NdOption};
use instances::plan::responder::binding::{Binding, Options};
use instances::plan::responder::settings::{self, Mode};
use instances::plan::responder::{Client, Decision, Settings};
use std::net::Ipv6Addr;
use std::time::Duration;

pub const GUEST: Mac = Mac([0xaa, 0, 0, 0, 0, 1]);
pub const HOST: Mac = Mac([0xfe, 0, 0, 0, 0, 1]);
pub const STRANGER: Mac = Mac([0xaa, 0, 0, 0, 0, 9]);

pub const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

pub fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub fn guest() -> Ipv6Addr {
    link_local_of(GUEST)
}

pub fn host() -> Ipv6Addr {
    link_local_of(HOST)
}

/// As the recordings had it.
pub fn binding() -> Binding {
    Binding {
        indev: None,
        mac: GUEST,
        hostname: None,
        ip: None,
        subnet: None,
        gateway: None,
        ip6: None,
        eui64: Some(v6("2001:db8:a:b:a800:ff:fe00:1")),
        subnet6: Some("2001:db8:a:b::/64".parse().unwrap()),
        gateway6: Some(v6("2001:db8:a:b::1")),
        prefix6: None,
        private: false,
        mac_spoof: false,
        mtu: None,
        own: Options::default(),
    }
}

/// As the recordings had it, but for `compat`.
pub fn settings() -> Settings {
    let ipv6 = settings::Ipv6 {
        mode: Mode::Auto,
        ra_period: Duration::from_secs(300),
        proxy_all: false,
        lifetimes: (1000, 2000),
    };
    let options = Options {
        nameservers6: Some(vec![v6("2001:db8:100::1"), v6("2001:db8:200::2")]),
        search6: Some(vec!["example.com".parse().unwrap()]),
        ..Options::default()
    };
    Settings { compat: false, dhcp: None, ipv6: Some(ipv6), options }
}

pub fn with_mode(mode: Mode) -> Settings {
    let mut settings = settings();
    settings.ipv6.as_mut().unwrap().mode = mode;
    settings
}

pub fn compat() -> Settings {
    Settings { compat: true, ..settings() }
}

pub fn client(binding: &Binding) -> Client<'_> {
    Client { binding, responder: HOST }
}

/// A neighbour discovery packet, from the IPv6 header on.
pub fn nd_packet(source: Ipv6Addr, destination: Ipv6Addr, message: &Nd, options: &[NdOption]) -> Vec<u8> {
    Ipv6::neighbor_discovery(source, destination).packet(&message.segment(options))
}

/// A DHCPv6 packet from the guest to all servers, from the IPv6 header on.
pub fn dhcp6_packet(message: &Dhcp6) -> Vec<u8> {
    Ipv6::new(guest(), SERVERS).packet(&message.segment(dhcp6::CLIENT, dhcp6::SERVER))
}

/// A guest's message with its identifier and these options.
pub fn message(kind: u8, options: &[Dhcp6Option]) -> Message {
    let options = [&[Dhcp6Option::Client(Duid::link_layer(GUEST))], options].concat();
    Message { kind, transaction: 0x00ab_cdef, options }
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub what: &'static str,
    pub to: Mac,
    pub from: Mac,
    pub packet: Vec<u8>,
}

impl Answer {
    pub fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Reply { frame, what } => Self::of_frame(frame, what),
            other => panic!("{other:?}"),
        }
    }

    pub fn of_frame(frame: &[u8], what: &'static str) -> Self {
        let mac = |at: usize| Mac(frame[at..at + 6].try_into().unwrap());
        assert_eq!(frame[12..14], [0x86, 0xdd]);
        Self { what, to: mac(0), from: mac(6), packet: frame[14..].to_vec() }
    }

    pub fn ip(&self) -> ipv6::Received<'_> {
        ipv6::parse(&self.packet).unwrap()
    }

    /// What is in it by neighbour discovery, believed as a guest would.
    pub fn nd(&self) -> nd::Received {
        nd::receive(&self.ip()).unwrap()
    }

    pub fn dhcp6(&self) -> Dhcp6 {
        dhcp6::parse(self.ip().udp().unwrap().data).unwrap()
    }

    pub fn dhcp6_message(&self) -> Message {
        match self.dhcp6() {
            Dhcp6::Direct(message) => message,
            relayed @ Dhcp6::Relayed { .. } => panic!("{relayed:?}"),
        }
    }
}
