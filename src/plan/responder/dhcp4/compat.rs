//! Answers as the original nfdhcpd gives them, to the octet: what it echoes, its order of options, one option 6 for each
//! server; always to the binding's address, and it hardly ever refuses.

use super::{Answer, Exchange, Refusal};
use crate::packet::dhcp4::{CLIENT, COOKIE, Received, SERVER, kind, number, put_option};
use crate::packet::put;
use crate::packet::udp4::{self, HEADERS, Header};
use std::net::Ipv4Addr;

/// What is answered to a message.
pub(super) fn answer(message: &Received<'_>, address: Ipv4Addr) -> Result<Answer, Refusal> {
    match message.kind {
        None => Err(Refusal::Silence("BOOTP, without a message type")),
        Some(kind::DISCOVER) => Ok(Answer::Offer),
        Some(kind::REQUEST) if message.requested.is_some_and(|wanted| wanted != address) => Ok(Answer::Nak),
        Some(kind::REQUEST) => Ok(Answer::Ack),
        Some(kind::INFORM) => Ok(Answer::Information),
        Some(kind::RELEASE) => Err(Refusal::Silence("released")),
        Some(kind::DECLINE) => Err(Refusal::Silence("declined")),
        Some(_) => Err(Refusal::Silence("unknown message type")),
    }
}

/// The frame.
pub(super) fn frame(exchange: &Exchange<'_>, answer: Answer) -> Vec<u8> {
    let yours = if answer.is_lease() { exchange.address } else { Ipv4Addr::UNSPECIFIED };
    let mut frame = Vec::with_capacity(HEADERS + 576);
    frame.extend([0; HEADERS]);
    frame.extend(exchange.message.fixed);
    put(&mut frame, HEADERS, &[2]);
    // yiaddr, and siaddr.
    put(&mut frame, HEADERS + 16, &yours.octets());
    put(&mut frame, HEADERS + 20, &[0; 4]);
    frame.extend(COOKIE);
    put_options(&mut frame, exchange, answer);
    let macs = (exchange.client.responder, exchange.message.hardware);
    let addresses = (exchange.server, exchange.address);
    udp4::put_headers(&mut frame, &Header { macs, addresses, ports: (SERVER, CLIENT), identification: 1 });
    frame
}

fn put_options(frame: &mut Vec<u8>, exchange: &Exchange<'_>, answer: Answer) {
    let binding = exchange.client.binding;
    if answer != Answer::Nak {
        if let Some(name) = &binding.hostname {
            put_option(frame, number::HOSTNAME, name.as_str().as_bytes());
        }
        if let Some(domain) = exchange.domain() {
            put_option(frame, number::DOMAIN, domain.as_bytes());
        }
    }
    if answer.is_lease() {
        // Without SUBNET, the original fails.
        if let Some(subnet) = binding.subnet {
            put_option(frame, number::BROADCAST, &subnet.broadcast().octets());
            put_option(frame, number::MASK, &subnet.netmask().octets());
        }
        put_option(frame, number::RENEWAL, &exchange.dhcp.lease_renewal.to_be_bytes());
        put_option(frame, number::LIFETIME, &exchange.dhcp.lease_lifetime.to_be_bytes());
        if let Some(router) = exchange.router() {
            put_option(frame, number::ROUTER, &router.octets());
        }
        if let Some(mtu) = binding.mtu {
            put_option(frame, number::MTU, &mtu.to_be_bytes());
        }
    }
    if answer != Answer::Nak {
        for server in exchange.option(|own| own.nameservers.as_deref()).unwrap_or_default() {
            put_option(frame, number::NAMESERVERS, &server.octets());
        }
    }
    put_option(frame, number::KIND, &[answer.kind()]);
    put_option(frame, number::SERVER, &exchange.server.octets());
    frame.push(number::END);
}
