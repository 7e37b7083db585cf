//! Guests that ask for IPv4 addresses, and what they are answered: for the tests of `plan/responder/dhcp4`.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use instances::net::Mac;
use instances::packet::dhcp4::{CLIENT, Dhcp4, SERVER};
use instances::packet::{Datagram, Ipv4, Udp, ipv4};
use instances::plan::responder::binding::{Binding, Options};
use instances::plan::responder::declined::Declined;
use instances::plan::responder::settings::{Dhcp, Settings};
use instances::plan::responder::{Client, Decision, dhcp4};
use std::net::Ipv4Addr;
use std::time::Instant;

/// MAC of the guest, and of the interface that answers.
pub const GUEST: Mac = Mac([0xaa, 0, 0, 0, 0, 1]);
pub const RESPONDER: Mac = Mac([0xfe, 0, 0, 0, 0, 1]);
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
pub const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 55);
pub const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The binding and the settings of the seed, which the original's answers in `golden_routed.txt` are of.
pub fn binding() -> Binding {
    Binding {
        indev: None,
        mac: GUEST,
        hostname: Some("testing-vm.example.com".parse().unwrap()),
        ip: Some(ADDRESS),
        subnet: Some("192.0.2.0/24".parse().unwrap()),
        gateway: Some(US),
        ip6: None,
        eui64: None,
        subnet6: None,
        gateway6: None,
        prefix6: None,
        private: false,
        mac_spoof: false,
        mtu: None,
        own: Options::default(),
    }
}

pub fn settings() -> Settings {
    let dhcp = Dhcp { lease_lifetime: 604_800, lease_renewal: 3600, server_ip: US, server_on_link: false };
    let nameservers = Some(vec![Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 3)]);
    let options = Options { nameservers, ..Options::default() };
    Settings { compat: false, dhcp: Some(dhcp), ipv6: None, options }
}

/// A client's message as a packet, from the IP header on. Clients that have an address send from it.
pub fn packet(message: &Dhcp4) -> Vec<u8> {
    let to = if message.client.is_unspecified() { Ipv4Addr::BROADCAST } else { US };
    Ipv4::new(message.client, to).packet(&Udp::new(CLIENT, SERVER, message.bytes()).segment())
}

/// What becomes of a message that `binding`'s own MAC sends.
pub fn answer(message: &Dhcp4, binding: &Binding, settings: &Settings) -> Decision {
    answer_to(&packet(message), binding, settings)
}

pub fn answer_to(packet: &[u8], binding: &Binding, settings: &Settings) -> Decision {
    let client = Client { binding, responder: RESPONDER };
    dhcp4::answer(packet, binding.mac, &client, settings, &mut Declined::default(), Instant::now())
}

/// A frame taken apart.
pub struct Answer {
    pub what: &'static str,
    /// Ethernet destination and source.
    pub macs: (Mac, Mac),
    pub ip: (Ipv4Addr, Ipv4Addr),
    pub ports: (u16, u16),
    /// The IP packet's length.
    pub length: usize,
    pub message: Dhcp4,
}

/// The reply; anything else, and a reply that a strict reader refuses, ends the test.
pub fn reply(decision: Decision) -> Answer {
    match decision {
        Decision::Reply { frame, what } => taken_apart(&frame, what),
        none => panic!("no reply but {none:?}"),
    }
}

pub fn taken_apart(frame: &[u8], what: &'static str) -> Answer {
    let (ethernet, packet) = frame.split_at(14);
    assert_eq!(ethernet.get(12..), Some(&[8, 0][..]));
    let mac = |at: usize| Mac(*ethernet.get(at..).and_then(|rest| rest.first_chunk()).unwrap());
    let ip = ipv4::Received::parse(packet).unwrap();
    let udp = Datagram::parse(ip.payload, &ip.source.octets(), &ip.destination.octets()).unwrap();
    Answer {
        what,
        macs: (mac(0), mac(6)),
        ip: (ip.source, ip.destination),
        ports: (udp.source, udp.destination),
        length: packet.len(),
        message: Dhcp4::parse(udp.data).unwrap(),
    }
}

impl Answer {
    /// Numbers of the options, in order.
    pub fn numbers(&self) -> Vec<u8> {
        self.message.options.iter().map(|(number, _)| *number).collect()
    }

    pub fn option(&self, number: u8) -> Option<&[u8]> {
        self.message.option(number)
    }
}

/// The reason of silence.
pub fn silence(decision: Decision) -> &'static str {
    match decision {
        Decision::Silence(reason) => reason,
        other => panic!("no silence but {other:?}"),
    }
}
