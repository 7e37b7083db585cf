//! No packet, however broken, makes the DHCPv4 responder fail or answer what it must not. See `tests/common/fuzz.rs` for
//! `FUZZ_SECONDS`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/dhcp4.rs"]
mod dhcp4;
#[path = "common/fuzz.rs"]
mod fuzz;

use dhcp4::{ADDRESS, GUEST, OTHER, RESPONDER, US, binding, packet, settings, taken_apart};
use instances::net::Mac;
use instances::packet::dhcp4::{Dhcp4, Received, content, kind};
use instances::packet::{Datagram, Ethernet, internet_checksum, ipv4};
use instances::plan::responder::binding::{Binding, Options};
use instances::plan::responder::settings::Settings;
use instances::plan::responder::{Client, Decision, Declined, dhcp4::answer};
use std::net::Ipv4Addr;
use std::time::Instant;

/// What scapy made, right and wrong; each of our own messages; messages with every option, short and long.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = fuzz::seeds(include_str!("nfdhcpd/scapy_dhcp4.hex"));
    let of = |kind| Dhcp4::from_client(kind, GUEST);
    for kind in 0..=9 {
        let asks = of(kind).with(54, US.octets()).with(50, ADDRESS.octets());
        seeds.push(packet(&asks));
        seeds.push(packet(&Dhcp4 { client: ADDRESS, flags: 0, ..of(kind) }));
    }
    seeds.push(packet(&of(kind::REQUEST).with(50, OTHER.octets())));
    seeds.push(packet(&of(kind::REQUEST).with(54, [1, 2, 3, 4])));
    seeds.push(packet(&of(kind::REQUEST)));
    seeds.push(packet(&of(kind::DISCOVER).with(55, (0..=255).collect::<Vec<u8>>()).with(57, [5, 220])));
    seeds.push(packet(&Dhcp4 { relay: OTHER, ..of(kind::DISCOVER).with(82, vec![1; 255]).with(61, vec![2; 300]) }));
    seeds.push(packet(&Dhcp4 { op: 2, ..of(kind::DISCOVER) }));
    seeds.push(packet(&Dhcp4 { hardware: Mac([2; 6]), ..of(kind::DISCOVER) }));
    for length in [0, 1, 4] {
        // 52 to 54, 50 and 57 have a form.
        let numbers = (1..=254).filter(|number| ![50, 52, 53, 54, 57].contains(number));
        let every = numbers.fold(of(kind::DISCOVER), |message, number| message.with(number, vec![number; length]));
        seeds.push(packet(&every));
    }
    seeds
}

/// Makes lengths and checksums right, as if the packet had been sent so.
fn repair(packet: &mut Vec<u8>) {
    if packet.len() < 28 {
        packet.resize(28, 0);
    }
    let length = u16::try_from(packet.len()).unwrap();
    // No options, and the right port: IP's part is soon tried out.
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[6..8].copy_from_slice(&[0, 0]);
    packet[9..12].copy_from_slice(&[17, 0, 0]);
    let sum = internet_checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[22..24].copy_from_slice(&[0, 67]);
    packet[24..26].copy_from_slice(&(length - 20).to_be_bytes());
    packet[26..28].copy_from_slice(&[0, 0]);
    // Of four, three have the fields and the cookie that all else stands behind.
    if !sum.is_multiple_of(4) && packet.len() >= 268 {
        packet[28..31].copy_from_slice(&[1, 1, 6]);
        packet[56..62].copy_from_slice(&GUEST.0);
        packet[264..268].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    }
}

/// The bindings and settings that are tried with each packet.
fn configurations() -> Vec<(Binding, Settings)> {
    let own = Options {
        search: Some((0..40).map(|n| format!("{n}.some.example.com").parse().unwrap()).collect()),
        routes: Some(vec![("10.0.0.0/8".parse().unwrap(), OTHER); 40]),
        nameservers: Some(vec![OTHER; 80]),
        tftp: Some("boot.example.com".into()),
        bootfile: Some("b".repeat(127).into()),
        ..Options::default()
    };
    let rich = Binding { own, mtu: Some(1280), mac_spoof: true, ..binding() };
    let bare = Binding { hostname: None, subnet: None, gateway: None, ..binding() };
    let compat = Settings { compat: true, ..settings() };
    vec![(binding(), settings()), (rich.clone(), settings()), (bare, settings()), (rich, compat)]
}

/// What every reply must be, whatever was asked.
fn check_reply(request: &[u8], frame: &[u8], what: &'static str, settings: &Settings) {
    let reply = taken_apart(frame, what);
    let ip = ipv4::Received::parse(request).unwrap();
    let udp = Datagram::parse(ip.payload, &ip.source.octets(), &ip.destination.octets()).unwrap();
    let request = Received::parse(udp.data).unwrap();
    let message = &reply.message;
    assert!(reply.length <= 1500, "{}", reply.length);
    assert_eq!((message.op, message.transaction, message.hardware), (2, request.transaction, request.hardware));
    assert_eq!((reply.macs.1, reply.ip.0), (RESPONDER, US));
    assert!([request.hardware, GUEST, Ethernet::BROADCAST].contains(&reply.macs.0));
    let expected: &[u8] = match what {
        "offer" => &[kind::OFFER],
        "ack" => &[kind::ACK],
        _ => &[kind::NAK],
    };
    assert_eq!((reply.option(53), reply.option(54)), (Some(expected), Some(&US.octets()[..])));
    // A lease is of the binding's address, and there is none in a refusal.
    let leased = reply.option(51).is_some();
    assert_eq!(message.yours, if leased { ADDRESS } else { Ipv4Addr::UNSPECIFIED });
    assert!(!leased || what != "nak");
    let size = usize::from(request.largest.unwrap_or_default().clamp(576, 1500));
    assert!(settings.compat || reply.length <= size, "{} of {size}", reply.length);
}

/// What is read can be written and is read again as the same.
fn check_reading(packet: &[u8]) {
    let Ok(ip) = ipv4::Received::parse(packet) else { return };
    let Ok(udp) = Datagram::parse(ip.payload, &ip.source.octets(), &ip.destination.octets()) else { return };
    if let Ok(message) = Dhcp4::parse(udp.data) {
        let _ = message.option(119).map(content::search);
        let _ = message.option(121).map(content::routes);
        assert_eq!(Dhcp4::parse(&message.bytes()), Ok(message));
    }
}

#[test]
fn no_packet_makes_it_fail_and_every_reply_is_right() {
    let configurations = configurations();
    let now = Instant::now();
    let mut declined = Declined::default();
    let mut turn = 0;
    let outcomes = fuzz::fuzz(&seeds(), repair, |packet| {
        check_reading(packet);
        let mut outcome = "";
        // The outcome is the first one's; one of the others takes turns.
        turn = turn % (configurations.len() - 1) + 1;
        for (binding, settings) in [&configurations[turn], &configurations[0]] {
            let client = Client { binding, responder: RESPONDER };
            outcome = match answer(packet, GUEST, &client, settings, &mut declined, now) {
                Decision::Reply { frame, what } => {
                    check_reply(packet, &frame, what, settings);
                    what
                }
                Decision::Silence(reason) | Decision::Pass(reason) => reason,
            };
            // Later packets shall not all meet a declined address.
            declined = Declined::default();
        }
        outcome
    });
    // The corpus alone leads to each of these.
    for outcome in [
        "offer",
        "ack",
        "nak",
        "declined",
        "released",
        "requested from another server",
        "requested without an address",
        "BOOTP, without a message type",
        "a server's message type",
        "chaddr is not the binding's MAC",
        "DHCP: option longer than its field",
        "DHCP: option 52 in an overloaded field",
        "IPv4: fragment",
        "UDP: wrong checksum",
    ] {
        assert!(outcomes.contains_key(outcome), "{outcome} never came: {outcomes:?}");
    }
}
