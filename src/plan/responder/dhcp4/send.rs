//! An answer as a frame, and to whom it goes (RFC 2131, section 4.1 and table 3).

use super::options::put_all;
use super::{Answer, Exchange};
use crate::net::Mac;
use crate::packet::dhcp4::{BROADCAST, CLIENT, COOKIE, FIXED, SERVER, SHORTEST};
use crate::packet::udp4::{self, HEADERS, Header};
use crate::packet::{Ethernet, put};
use std::net::Ipv4Addr;

/// The frame.
pub(super) fn frame(exchange: &Exchange<'_>, answer: Answer) -> Vec<u8> {
    let message = exchange.message;
    let (to_mac, to, port) = destination(exchange, answer);
    let mut frame = Vec::with_capacity(HEADERS + 576);
    frame.extend([0; HEADERS]);
    frame.extend([2, 1, 6, 0]);
    frame.extend(message.transaction.to_be_bytes());
    frame.extend([0, 0]);
    // A relay has to broadcast a refusal, since the client has no address for it.
    let flag = if answer == Answer::Nak && exchange.relayed() { BROADCAST } else { 0 };
    frame.extend((message.flags | flag).to_be_bytes());
    let none = Ipv4Addr::UNSPECIFIED;
    let (client, yours) = match answer {
        Answer::Offer => (none, exchange.address),
        Answer::Ack => (message.client, exchange.address),
        Answer::Information => (message.client, none),
        Answer::Nak => (none, none),
    };
    frame.extend(client.octets());
    frame.extend(yours.octets());
    let (next_server, name, file) = boot(exchange, answer);
    frame.extend(next_server.unwrap_or(none).octets());
    frame.extend(message.relay.octets());
    frame.extend(message.hardware.0);
    frame.resize(HEADERS + FIXED, 0);
    // Behind chaddr's 16 octets, and behind sname's 64.
    put(&mut frame, HEADERS + 44, name.as_bytes());
    put(&mut frame, HEADERS + 108, file.as_bytes());
    frame.extend(COOKIE);
    put_all(&mut frame, HEADERS, exchange, answer);
    frame.resize(frame.len().max(HEADERS + SHORTEST), 0);
    let addresses = (exchange.server, to);
    let macs = (exchange.client.responder, to_mac);
    udp4::put_headers(&mut frame, &Header { macs, addresses, ports: (SERVER, port), identification: 0 });
    frame
}

/// To whom: MAC, address, port.
fn destination(exchange: &Exchange<'_>, answer: Answer) -> (Mac, Ipv4Addr, u16) {
    let message = exchange.message;
    let held = Some(message.client).filter(|client| !client.is_unspecified());
    let asker = Some(exchange.from.1).filter(|source| !source.is_unspecified());
    if exchange.relayed() {
        // Through whom it came: the relay, or the router that leads to it.
        return (exchange.from.0, message.relay, SERVER);
    }
    let by_broadcast = (Ethernet::BROADCAST, Ipv4Addr::BROADCAST, CLIENT);
    match (answer, held) {
        (Answer::Nak, _) => by_broadcast,
        (_, Some(held)) => (message.hardware, held, CLIENT),
        // Clients that inform without ciaddr, as they must not, have an address nevertheless.
        (Answer::Information, None) if asker.is_some() => (message.hardware, asker.unwrap_or(exchange.address), CLIENT),
        _ if message.flags & BROADCAST != 0 => by_broadcast,
        _ => (message.hardware, exchange.address, CLIENT),
    }
}

/// What is booted: `siaddr` if the TFTP server is an address, otherwise `sname`; `file`. What does not fit is in options only.
fn boot<'a>(exchange: &'a Exchange<'_>, answer: Answer) -> (Option<Ipv4Addr>, &'a str, &'a str) {
    if answer == Answer::Nak {
        return (None, "", "");
    }
    let fitting = |text: Option<&'a str>, size: usize| text.filter(|text| text.len() < size).unwrap_or_default();
    let tftp = exchange.option(|own| own.tftp.as_deref());
    let file = fitting(exchange.option(|own| own.bootfile.as_deref()), 128);
    match tftp.and_then(|server| server.parse().ok()) {
        Some(address) => (Some(address), "", file),
        None => (None, fitting(tftp, 64), file),
    }
}
