//! DHCPv6 (RFC 8415, section 18.3): what a server answers that has one address and one prefix for whoever is behind the
//! tap, and remembers nothing: all follows from the binding, so any answer is the same after a restart.
//!
//! Information-Requests are answered always. Addresses are leased from IP6, in `mode = dhcpv6` otherwise from EUI64;
//! prefixes from PREFIX6 in any mode. Who asks for a lease where there is nothing of either kind hears nothing, as from a
//! host without DHCPv6 server.

mod lease;

use super::binding::Options;
use super::over_ipv6::{frame, ours};
use super::settings::{Ipv6 as Settings6, Mode};
use super::{Client, Decision, Declined, Reason, Settings};
use crate::net::{Mac, link_local_of};
use crate::packet::dhcp6::{self, Dhcp6, Dhcp6Option, Duid, Message, kind, number, status};
use crate::packet::ipv6::{self, Ipv6};
use crate::packet::protocol;
use std::net::Ipv6Addr;
use std::time::Instant;

/// All relay agents and servers on the link, and all servers of the site (RFC 8415, section 7.1).
const SERVERS: [Ipv6Addr; 2] = [Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2), Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3)];

/// What the original marked its answers with: network control (RFC 2474). Others may as well.
const TRAFFIC_CLASS: u8 = 0xc0;

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;

/// What stands as time in the server's DUID with `compat`. The original put the clock there, in seconds since 1970 where
/// 2000 should be, so that it was a new server each second; better is what stays.
const DUID_TIME: u32 = 0;

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// To a Solicit, an offer.
    Advertise,
    /// To a Solicit with Rapid Commit, a lease.
    Solicit,
    Request,
    Renew,
    Rebind,
    Confirm,
    Release,
    /// To who found its address taken.
    Decline,
    /// To who found another address taken.
    WrongDecline,
    InformationRequest,
    /// To a message that was to go to all servers.
    UseMulticast,
}

impl What {
    /// For logs and metrics.
    const fn words(self) -> &'static str {
        match self {
            Self::Advertise => "advertise",
            Self::Solicit => "reply to solicit",
            Self::Request => "reply to request",
            Self::Renew => "reply to renew",
            Self::Rebind => "reply to rebind",
            Self::Confirm => "reply to confirm",
            Self::Release => "reply to release",
            Self::Decline => "reply to decline",
            Self::WrongDecline => "reply to a wrong decline",
            Self::InformationRequest => "reply to information-request",
            Self::UseMulticast => "reply: use multicast",
        }
    }
}

/// The address that this binding's instance can lease.
pub fn leased_address(client: &Client, settings: &Settings) -> Option<Ipv6Addr> {
    match settings.mode(settings.ipv6.as_ref()?) {
        Mode::Auto => client.binding.ip6,
        Mode::Dhcp => client.binding.ip6.or(client.binding.eui64),
        Mode::Slaac | Mode::SlaacAndDhcp => None,
    }
}

/// What becomes of a DHCPv6 message: `packet` from the IPv6 header on, `source` of the frame. What is declined goes to
/// `declined`.
pub fn answer(
    packet: &[u8],
    source: Mac,
    client: &Client,
    settings: &Settings,
    declined: &mut Declined,
    now: Instant,
) -> Decision {
    let Some(ipv6) = &settings.ipv6 else { return Decision::Pass("IPv6 is off") };
    let packet = match ipv6::parse(packet) {
        Ok(packet) if packet.protocol != protocol::UDP => return Decision::Pass("no DHCPv6"),
        Ok(packet) => packet,
        Err(malformed) => return Decision::Silence(malformed.0),
    };
    let data = match packet.udp() {
        Ok(datagram) if datagram.destination == dhcp6::SERVER => datagram.data,
        Ok(_) => return Decision::Pass("no DHCPv6"),
        Err(malformed) => return Decision::Silence(malformed.0),
    };
    let own_address = link_local_of(client.responder);
    let is_multicast = SERVERS.contains(&packet.destination);
    if !is_multicast && packet.destination != own_address && Some(packet.destination) != client.binding.gateway6 {
        return Decision::Pass("DHCPv6 to somebody else");
    }
    if packet.source.is_unspecified() {
        return Decision::Silence("DHCPv6 from nobody");
    }
    let asked = match dhcp6::parse(data) {
        Ok(asked) => asked,
        Err(malformed) => return Decision::Silence(malformed.0),
    };
    // What came by a relay agent has that one's address.
    if let (Dhcp6::Direct(_), Err(reason)) = (&asked, ours(source, client)) {
        return Decision::Silence(reason);
    }
    let address = leased_address(client, settings);
    let is_declined = address.is_some_and(|address| declined.contains(client.binding.mac, address, now));
    let server = Server { client, settings, ipv6, is_declined };
    let answered = match &asked {
        Dhcp6::Direct(message) => {
            server.direct(message, is_multicast).map(|(answer, what)| (Dhcp6::Direct(answer), what, dhcp6::CLIENT))
        }
        relayed @ Dhcp6::Relayed { .. } => {
            server.relayed(relayed).map(|(answer, what)| (answer, what, relay_port(relayed, &packet)))
        }
    };
    match answered {
        Ok((answer, what, port)) => {
            if let (What::Decline, Some(address)) = (what, address) {
                // If there is no room for it, it will be offered again.
                declined.insert(client.binding.mac, address, now);
            }
            let header = Ipv6 { traffic_class: TRAFFIC_CLASS, ..Ipv6::new(own_address, packet.source) };
            let frame = frame(client, source, &header, &answer.segment(dhcp6::SERVER, port));
            // We make no fragments.
            if frame.len() > ETHERNET + usize::from(client.binding.mtu.unwrap_or(1500).max(1280)) {
                return Decision::Silence("DHCPv6: an answer longer than the MTU");
            }
            Decision::Reply { frame, what: what.words() }
        }
        Err(reason) => Decision::Silence(reason),
    }
}

/// Where a relay agent hears answers: at port 547, or if it says so at the port that it asks from (RFC 8357, section 5).
fn relay_port(relayed: &Dhcp6, packet: &ipv6::Received) -> u16 {
    let says_so = match relayed {
        Dhcp6::Relayed { options, .. } => options.iter().any(|option| option.number() == number::RELAY_PORT),
        Dhcp6::Direct(_) => false,
    };
    match packet.udp() {
        Ok(datagram) if says_so => datagram.source,
        _ => dhcp6::SERVER,
    }
}

/// The server as one instance sees it.
#[derive(Clone, Copy)]
struct Server<'a> {
    client: &'a Client<'a>,
    settings: &'a Settings,
    ipv6: &'a Settings6,
    /// Its address is not offered.
    is_declined: bool,
}

/// A message and what it is, or why there is none.
type Answered<T> = Result<(T, What), Reason>;

impl Server<'_> {
    /// The same answer, wrapped as often as the question (section 19.3); relay agents' marks go back to them.
    fn relayed(&self, asked: &Dhcp6) -> Answered<Dhcp6> {
        match asked {
            // Relay agents may ask one server: to this one, the client did not.
            Dhcp6::Direct(message) => self.direct(message, true).map(|(answer, what)| (Dhcp6::Direct(answer), what)),
            Dhcp6::Relayed { kind: kind::RELAY_FORWARD, hops, link, peer, options, message } => {
                let (answer, what) = self.relayed(message)?;
                let goes_back =
                    |option: &&Dhcp6Option| matches!(option.number(), number::INTERFACE | number::RELAY_PORT);
                let answer = Dhcp6::Relayed {
                    kind: kind::RELAY_REPLY,
                    hops: *hops,
                    link: *link,
                    peer: *peer,
                    options: options.iter().filter(goes_back).cloned().collect(),
                    message: Box::new(answer),
                };
                Ok((answer, what))
            }
            Dhcp6::Relayed { .. } => Err("DHCPv6: a server's message"),
        }
    }

    fn direct(&self, asked: &Message, is_multicast: bool) -> Answered<Message> {
        self.is_for_us(asked)?;
        lease::is_modest(asked)?;
        if !is_multicast {
            return match asked.kind {
                // We never said that one may (section 18.4).
                kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE => {
                    Ok((self.status(asked, status::USE_MULTICAST), What::UseMulticast))
                }
                _ => Err("DHCPv6: to us alone"),
            };
        }
        match asked.kind {
            kind::INFORMATION_REQUEST => {
                Ok((self.message(kind::REPLY, asked, self.configuration(asked)), What::InformationRequest))
            }
            kind::SOLICIT => self.offer(asked),
            kind::REQUEST => Ok((self.assign(asked), What::Request)),
            kind::RENEW => Ok((self.renew(asked), What::Renew)),
            kind::REBIND => self.leases_anything().map(|()| (self.renew(asked), What::Rebind)),
            kind::CONFIRM => self.confirm(asked),
            kind::RELEASE => Ok((self.give_back(asked), What::Release)),
            _ if self.declines_ours(asked) => Ok((self.give_back(asked), What::Decline)),
            _ => Ok((self.give_back(asked), What::WrongDecline)),
        }
    }

    /// What section 16 demands of each message, by which server it is for.
    fn is_for_us(&self, asked: &Message) -> Result<(), Reason> {
        let (with_client, for_server) = match asked.kind {
            kind::SOLICIT | kind::CONFIRM | kind::REBIND => (true, Some(false)),
            kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE => (true, Some(true)),
            kind::INFORMATION_REQUEST => (false, None),
            kind::ADVERTISE | kind::REPLY | kind::RECONFIGURE => return Err("DHCPv6: a server's message"),
            _ => return Err("DHCPv6: an unknown message"),
        };
        if with_client && asked.client().is_none() {
            return Err("DHCPv6: no client identifier");
        }
        let has_association = asked.options.iter().any(|option| lease::association(option).is_some());
        if asked.kind == kind::INFORMATION_REQUEST && has_association {
            return Err("DHCPv6: an information-request for a lease");
        }
        match (asked.server(), for_server) {
            (None, Some(true)) => Err("DHCPv6: no server identifier"),
            (Some(_), Some(false)) => Err("DHCPv6: a server identifier where none may be"),
            (Some(server), _) if !self.is(server) => Err("DHCPv6: for another server"),
            _ => Ok(()),
        }
    }

    /// Whether this is us; with `compat`, at any time.
    fn is(&self, server: &Duid) -> bool {
        // Type, hardware type, time, MAC (section 11.2).
        let timeless = |duid: &Duid| match duid.octets() {
            [a, b, c, d, _, _, _, _, mac @ ..] => Some(([*a, *b, *c, *d], mac.to_vec())),
            _ => None,
        };
        let own = self.duid();
        own == *server || self.settings.compat && timeless(&own) == timeless(server)
    }

    /// Who we are: the same as long as the interface's MAC is.
    fn duid(&self) -> Duid {
        if self.settings.compat {
            Duid::link_layer_and_time(self.client.responder, DUID_TIME)
        } else {
            Duid::link_layer(self.client.responder)
        }
    }

    /// A message for the asker: both identifiers, then these options.
    fn message(&self, kind: u8, asked: &Message, options: Vec<Dhcp6Option>) -> Message {
        let client = asked.client().cloned().map(Dhcp6Option::Client);
        let options = client.into_iter().chain([Dhcp6Option::Server(self.duid())]).chain(options).collect();
        Message { kind, transaction: asked.transaction, options }
    }

    /// A reply with nothing but how it went.
    fn status(&self, asked: &Message, code: u16) -> Message {
        self.message(kind::REPLY, asked, vec![Dhcp6Option::Status(code, String::new())])
    }

    /// What is served besides leases: what the client asks for, in its order; all of it if it does not say.
    fn configuration(&self, asked: &Message) -> Vec<Dhcp6Option> {
        let order = match asked.requested() {
            // The original served these two, whatever was asked for.
            _ if self.settings.compat => &[number::SEARCH_LIST, number::DNS_SERVERS][..],
            None => &[number::DNS_SERVERS, number::SEARCH_LIST, number::NTP],
            Some(numbers) => numbers,
        };
        let mut options: Vec<Dhcp6Option> = Vec::new();
        for number in order {
            let option = match *number {
                number if options.iter().any(|option| option.number() == number) => None,
                number::DNS_SERVERS => self.list(Dhcp6Option::DnsServers, |options| options.nameservers6.as_ref()),
                number::SEARCH_LIST => self.list(Dhcp6Option::SearchList, |options| options.search6.as_ref()),
                number::NTP => self.list(Dhcp6Option::TimeServers, |options| options.ntp6.as_ref()),
                _ => None,
            };
            options.extend(option);
        }
        options
    }

    /// An option with a list, unless that is empty.
    fn list<T: Clone>(
        &self,
        option: fn(Vec<T>) -> Dhcp6Option,
        get: impl Fn(&Options) -> Option<&Vec<T>>,
    ) -> Option<Dhcp6Option> {
        let values = self.client.binding.option(&self.settings.options, get)?;
        (!values.is_empty()).then(|| option(values.clone()))
    }
}
