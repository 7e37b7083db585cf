//! Which options an answer has: what it must say, then what the client asked for, in its order and as far as there is room.

use super::{Answer, Exchange};
use crate::net::DomainName;
use crate::packet::dhcp4::{Numbers, content, number, option_length, put_option};
use crate::plan::responder::binding::Options;
use crate::plan::responder::settings::Dhcp;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// What clients get that do not say what they want, most needed first.
const ALL: [u8; 12] = [
    number::MASK,
    number::ROUTER,
    number::NAMESERVERS,
    number::HOSTNAME,
    number::DOMAIN,
    number::BROADCAST,
    number::MTU,
    number::ROUTES,
    number::SEARCH,
    number::NTP,
    number::TFTP,
    number::BOOTFILE,
];

/// Appends the answer's options and their end to the message which begins at `start`.
pub(super) fn put_all(message: &mut Vec<u8>, start: usize, exchange: &Exchange<'_>, answer: Answer) {
    let relay = exchange.relay_information();
    let relay_length = relay.as_ref().map_or(0, |content| option_length(content.len()));
    // What the relay needs and the end always have their place.
    let end = start + exchange.room().saturating_sub(relay_length + 1);
    let mut writer = Writer { message, end, written: Numbers::default() };
    writer.put(number::KIND, &[answer.kind()]);
    writer.put(number::SERVER, &exchange.server.octets());
    if answer.is_lease() {
        let dhcp = exchange.dhcp;
        writer.put(number::LIFETIME, &dhcp.lease_lifetime.to_be_bytes());
        // Clients follow them though they do not ask for them.
        if let Some((renewal, rebinding)) = timers(dhcp) {
            writer.put(number::RENEWAL, &renewal.to_be_bytes());
            if rebinding != usual_rebinding(dhcp) {
                writer.put(number::REBINDING, &rebinding.to_be_bytes());
            }
        }
    }
    if let Some(id) = exchange.asked(number::CLIENT_ID) {
        writer.put(number::CLIENT_ID, &id);
    }
    if answer == Answer::Nak {
        writer.put(number::MESSAGE, b"not your address here");
    } else {
        writer.put_wanted(exchange, answer);
    }
    if let Some(content) = relay {
        put_option(message, number::RELAY, &content);
    }
    message.push(number::END);
}

/// Options that go into a message as long as they fit, each once.
struct Writer<'a> {
    message: &'a mut Vec<u8>,
    /// How long the message may become.
    end: usize,
    written: Numbers,
}

impl Writer<'_> {
    fn put(&mut self, number: u8, content: &[u8]) {
        if self.message.len() + option_length(content.len()) <= self.end && self.written.insert(number) {
            put_option(self.message, number, content);
        }
    }

    fn put_wanted(&mut self, exchange: &Exchange<'_>, answer: Answer) {
        let asked = exchange.asked(number::PARAMETERS);
        let mut content = Vec::with_capacity(64);
        for number in asked.as_deref().unwrap_or(&ALL) {
            if !self.written.contains(*number) {
                content.clear();
                exchange.put_content(&mut content, *number, answer);
                if !content.is_empty() {
                    self.put(*number, &content);
                }
            }
        }
    }
}

impl Exchange<'_> {
    /// Appends what an option says; nothing where there is nothing to say.
    fn put_content(&self, content: &mut Vec<u8>, number: u8, answer: Answer) {
        let binding = self.client.binding;
        match number {
            number::MASK => content.extend(binding.subnet.iter().flat_map(|subnet| subnet.netmask().octets())),
            number::BROADCAST => content.extend(self.broadcast().iter().flat_map(Ipv4Addr::octets)),
            number::ROUTER => content.extend(self.router().iter().flat_map(Ipv4Addr::octets)),
            number::HOSTNAME => put_text(content, binding.hostname.as_ref().map(DomainName::as_str)),
            number::DOMAIN => put_text(content, self.domain()),
            number::MTU => content.extend(binding.mtu.into_iter().flat_map(u16::to_be_bytes)),
            number::NAMESERVERS => put_addresses(content, self.option(|own| own.nameservers.as_deref())),
            number::NTP => put_addresses(content, self.option(|own| own.ntp.as_deref())),
            number::SEARCH => {
                content::put_search(content, self.option(|own| own.search.as_deref()).unwrap_or_default());
            }
            number::ROUTES | number::MICROSOFT_ROUTES => self.put_routes(content),
            number::TFTP => put_text(content, self.option(|own| own.tftp.as_deref())),
            number::BOOTFILE => put_text(content, self.option(|own| own.bootfile.as_deref())),
            number::REBINDING if answer != Answer::Information => {
                let rebinding =
                    timers(self.dhcp).map_or_else(|| usual_rebinding(self.dhcp), |(_, rebinding)| rebinding);
                content.extend(rebinding.to_be_bytes());
            }
            _ => {}
        }
    }

    /// What the binding says, otherwise the configuration.
    pub(super) fn option<'s, T>(&'s self, get: impl Fn(&'s Options) -> Option<T>) -> Option<T> {
        self.client.binding.option(&self.settings.options, get)
    }

    /// The way out, unless the binding shall have none.
    pub(super) fn router(&self) -> Option<Ipv4Addr> {
        self.client.binding.gateway.filter(|_| !self.client.binding.private)
    }

    /// Subnets of one or two addresses have no broadcast address (RFC 3021).
    fn broadcast(&self) -> Option<Ipv4Addr> {
        self.client.binding.subnet.filter(|subnet| subnet.prefix_len() < 31).map(|subnet| subnet.broadcast())
    }

    /// Option 15: what is configured, what follows the first dot of the host's name, or that name.
    pub(super) fn domain(&self) -> Option<&str> {
        let of_host = || self.client.binding.hostname.as_ref().map(|name| name.parent().unwrap_or(name.as_str()));
        self.option(|own| own.domain.as_ref()).map(DomainName::as_str).or_else(of_host)
    }

    /// Clients that know this option ignore option 3, hence the default route is here, too (RFC 3442); without any
    /// further route there is no need of it.
    fn put_routes(&self, content: &mut Vec<u8>) {
        let routes = self.option(|own| own.routes.as_deref()).unwrap_or_default();
        let gateway = self.client.binding.gateway;
        let hidden = |router: &Ipv4Addr| self.client.binding.private && gateway == Some(*router);
        let mut default = false;
        for (prefix, router) in routes.iter().filter(|(_, router)| !hidden(router)) {
            content::put_route(content, *prefix, *router);
            default |= prefix.prefix_len() == 0;
        }
        if let Some(router) = self.router().filter(|_| !default && !content.is_empty()) {
            content::put_route(content, Ipv4Net::default(), router);
        }
    }
}

/// T1 and T2, as T1 < T2 < lease (RFC 2131, section 4.4.5); `None` where the lease has no room for both.
fn timers(dhcp: &Dhcp) -> Option<(u32, u32)> {
    let (lifetime, renewal) = (dhcp.lease_lifetime, dhcp.lease_renewal);
    let left = lifetime.checked_sub(renewal).filter(|left| *left >= 2)?;
    let usual = usual_rebinding(dhcp);
    Some((renewal, if renewal < usual { usual } else { renewal + left / 2 }))
}

/// What clients take for T2 if nobody says it: 7/8 of the lease.
const fn usual_rebinding(dhcp: &Dhcp) -> u32 {
    dhcp.lease_lifetime - dhcp.lease_lifetime.div_ceil(8)
}

fn put_text(content: &mut Vec<u8>, text: Option<&str>) {
    content.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn put_addresses(content: &mut Vec<u8>, addresses: Option<&[Ipv4Addr]>) {
    content.extend(addresses.unwrap_or_default().iter().flat_map(Ipv4Addr::octets));
}
