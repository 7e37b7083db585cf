//! DHCP for IPv4: each binding has one address, and whoever asks behind its tap gets that one (RFC 2131, section 4.3).
//!
//! Promiscuous, as the guest may have met another server before: a request is answered whatever address it was sent to,
//! unless it names another server.

mod compat;
mod options;
mod send;

use super::declined::Declined;
use super::settings::{Dhcp, Settings};
use super::{Client, Decision, Reason};
use crate::net::Mac;
use crate::packet::dhcp4::{Received, SERVER, kind, number};
use crate::packet::{Datagram, ipv4, protocol};
use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Instant;

/// What becomes of a packet, from its IP header on, that `source` (Ethernet) sent. What is declined goes to `declined`.
pub fn answer(
    packet: &[u8],
    source: Mac,
    client: &Client<'_>,
    settings: &Settings,
    declined: &mut Declined,
    now: Instant,
) -> Decision {
    match decide(packet, source, client, settings, declined, now) {
        Ok((frame, what)) => Decision::Reply { frame, what },
        Err(Refusal::Silence(reason)) => Decision::Silence(reason),
        Err(Refusal::Pass(reason)) => Decision::Pass(reason),
    }
}

/// Why there is no answer: as errors, to be handed on by `?`.
enum Refusal {
    Silence(Reason),
    Pass(Reason),
}

impl From<crate::packet::Malformed> for Refusal {
    fn from(malformed: crate::packet::Malformed) -> Self {
        Self::Silence(malformed.0)
    }
}

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Offer,
    Ack,
    Nak,
    /// To INFORM: an acknowledgement without a lease.
    Information,
}

impl Answer {
    /// Option 53.
    const fn kind(self) -> u8 {
        match self {
            Self::Offer => kind::OFFER,
            Self::Ack | Self::Information => kind::ACK,
            Self::Nak => kind::NAK,
        }
    }

    /// Whether it gives an address.
    const fn is_lease(self) -> bool {
        matches!(self, Self::Offer | Self::Ack)
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Ack | Self::Information => "ack",
            Self::Nak => "nak",
        }
    }
}

/// A message and all that its answer depends on.
struct Exchange<'a> {
    message: &'a Received<'a>,
    /// Source of the Ethernet frame and of the IP packet.
    from: (Mac, Ipv4Addr),
    client: &'a Client<'a>,
    settings: &'a Settings,
    dhcp: &'a Dhcp,
    /// The binding's address.
    address: Ipv4Addr,
    /// Who we are.
    server: Ipv4Addr,
}

fn decide(
    packet: &[u8],
    source: Mac,
    client: &Client<'_>,
    settings: &Settings,
    declined: &mut Declined,
    now: Instant,
) -> Result<(Vec<u8>, &'static str), Refusal> {
    let dhcp = settings.dhcp.as_ref().ok_or(Refusal::Pass("DHCPv4 is off"))?;
    let packet = ipv4::Received::parse(packet)?;
    if packet.protocol != protocol::UDP {
        return Err(Refusal::Pass("not UDP"));
    }
    let datagram = Datagram::parse(packet.payload, &packet.source.octets(), &packet.destination.octets())?;
    if datagram.destination != SERVER {
        return Err(Refusal::Pass("not to the port of DHCP servers"));
    }
    let binding = client.binding;
    let address = binding.ip.ok_or(Refusal::Silence("the binding has no IP"))?;
    let message = &Received::parse(datagram.data)?;
    let from = (source, packet.source);
    let server = server(client, dhcp, address).ok_or(Refusal::Silence("no server address"))?;
    let exchange = Exchange { message, from, client, settings, dhcp, address, server };
    exchange.check_sender()?;
    if settings.compat {
        let answer = compat::answer(message, address)?;
        return Ok((compat::frame(&exchange, answer), answer.what()));
    }
    if message.kind == Some(kind::DECLINE) {
        return Err(Refusal::Silence(exchange.decline(declined, now)));
    }
    let answer = exchange.answer(declined.contains(binding.mac, address, now))?;
    Ok((send::frame(&exchange, answer), answer.what()))
}

/// Who we are. With `server_on_link` it is somebody in the client's subnet, as some clients want it: the gateway, or the
/// first address, unless that is the client's own; `server_ip` where there is none, if that is configured.
fn server(client: &Client<'_>, dhcp: &Dhcp, address: Ipv4Addr) -> Option<Ipv4Addr> {
    let first = || client.binding.subnet.and_then(|subnet| subnet.hosts().next());
    let on_link = if dhcp.server_on_link { client.binding.gateway.or_else(first) } else { None };
    let usable = |server: &Ipv4Addr| *server != address && !server.is_unspecified();
    on_link.filter(usable).or_else(|| Some(dhcp.server_ip).filter(|server| !server.is_unspecified()))
}

impl Exchange<'_> {
    /// Whether the binding's instance asks.
    fn check_sender(&self) -> Result<(), Refusal> {
        let binding = self.client.binding;
        if self.message.op != 1 {
            return Err(Refusal::Silence("not a request"));
        }
        if binding.mac_spoof {
            return Ok(());
        }
        if self.message.hardware != binding.mac {
            return Err(Refusal::Silence("chaddr is not the binding's MAC"));
        }
        // What came by a relay has the relay's address; the original looked at chaddr only.
        if self.from.0 != binding.mac && self.message.relay.is_unspecified() && !self.settings.compat {
            return Err(Refusal::Silence("the Ethernet source is not the binding's MAC"));
        }
        Ok(())
    }

    /// Remembers what is declined, if it is ours (RFC 2131, section 4.3.3 and table 5).
    fn decline(&self, declined: &mut Declined, now: Instant) -> Reason {
        if self.message.server != Some(self.server) {
            "declined to another server"
        } else if self.message.requested != Some(self.address) {
            "declined another address"
        } else if declined.insert(self.client.binding.mac, self.address, now) {
            "declined"
        } else {
            "declined, too many to remember"
        }
    }

    /// What is answered; `declined`: the address is held back.
    fn answer(&self, declined: bool) -> Result<Answer, Refusal> {
        let silence = |reason| Err(Refusal::Silence(reason));
        match self.message.kind {
            None => silence("BOOTP, without a message type"),
            Some(kind::DISCOVER) if declined => silence("the address was declined"),
            Some(kind::DISCOVER) => Ok(Answer::Offer),
            Some(kind::REQUEST) => self.answer_to_request(declined),
            Some(kind::INFORM) => Ok(Answer::Information),
            Some(kind::RELEASE) => silence("released"),
            Some(kind::OFFER | kind::ACK | kind::NAK) => silence("a server's message type"),
            Some(_) => silence("unknown message type"),
        }
    }

    /// RFC 2131, section 4.3.2. The client wants option 50 (SELECTING, INIT-REBOOT) or `ciaddr` (RENEWING, REBINDING); some
    /// say both. Names it a server, it has to be us.
    fn answer_to_request(&self, declined: bool) -> Result<Answer, Refusal> {
        if self.message.server.is_some_and(|server| server != self.server) {
            return Err(Refusal::Silence("requested from another server"));
        }
        let held = Some(self.message.client).filter(|held| !held.is_unspecified());
        match (self.message.requested, held) {
            (None, None) => Err(Refusal::Silence("requested without an address")),
            (requested, held) => {
                let right = |wanted: Option<Ipv4Addr>| wanted.is_none_or(|wanted| wanted == self.address);
                Ok(if right(requested) && right(held) && !declined { Answer::Ack } else { Answer::Nak })
            }
        }
    }

    /// The option's content, joined.
    fn asked(&self, number: u8) -> Option<Cow<'_, [u8]>> {
        self.message.options.get(number)
    }

    /// Octets that the answer's message may have: what option 57 says of the IP packet, 576 at least (RFC 2131, section 2),
    /// and no more than goes through the link in one piece.
    fn room(&self) -> usize {
        const HEADERS: u16 = 28;
        let link = self.client.binding.mtu.unwrap_or(1500).clamp(576, 1500);
        usize::from(self.message.largest.unwrap_or(576).clamp(576, link) - HEADERS)
    }

    /// Whether the client came by a relay.
    fn relayed(&self) -> bool {
        !self.message.relay.is_unspecified()
    }

    /// What a relay added, which goes back to it (RFC 3046, section 2.2). It has one option for that; more than fits into
    /// one would leave no room for an answer.
    fn relay_information(&self) -> Option<Cow<'_, [u8]>> {
        if self.relayed() { self.asked(number::RELAY).filter(|content| content.len() <= 255) } else { None }
    }
}
