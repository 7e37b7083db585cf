//! Router advertisements (RFC 4861, section 6.2): what an instance learns of its link, its prefix and its router.
//!
//! A solicitation is answered to who asked: section 6.2.6 allows it, there is one guest behind a tap anyway, and a
//! multicast answer would have to wait until 3 seconds after the last one. Who has no address yet is answered at ff02::1, but
//! in a frame to its own MAC on its own tap (RFC 6085 allows that), which nobody else hears: so there is nothing to wait for.
//! With `compat` everybody is answered at ff02::1 at once, as the original did. Where the original was silent because a solicitation has no
//! source link-layer option, there is an answer with `compat` too: the frame's source says where to.

use super::binding::Binding;
use super::over_ipv6::{ALL_NODES, frame, solicitation};
use super::settings::{Ipv6 as Settings6, Mode};
use super::{Client, Decision, Settings};
use crate::packet::ipv6::Ipv6;
use crate::packet::nd::{self, Nd, NdOption, flag};
use crate::{net, net::Mac};
use std::net::Ipv6Addr;

/// Seconds for which we are a default router, as the original said; more where advertisements are rarer than that. RFC
/// 8319 allows more than the 9000 of RFC 4861, section 6.2.1.
const ROUTER_LIFETIME: u32 = 14_400;

/// What the prefix's lifetimes are: for ever, as the original said.
const FOREVER: (u32, u32) = (u32::MAX, u32::MAX);

/// Octets of options with lists, at most: all must fit into a packet of 1280, as an advertisement cannot be in fragments
/// (RFC 6980).
const MOST_SERVERS: usize = 16;
const MOST_SEARCHED: usize = 512;

/// What becomes of a router solicitation: `packet` from the IPv6 header on, `source` of the frame.
pub fn answer(packet: &[u8], source: Mac, client: &Client, settings: &Settings) -> Decision {
    let Some(ipv6) = &settings.ipv6 else { return Decision::Pass("IPv6 is off") };
    let solicitor = match solicitation(packet, nd::ROUTER_SOLICITATION, source, client, "no router solicitation") {
        Ok((solicitor, _)) => solicitor,
        Err(decision) => return decision,
    };
    let Some(message) = Advertisement::new(client, settings, ipv6) else {
        return Decision::Silence("no SUBNET6");
    };
    let to = match solicitor {
        _ if settings.compat => (ALL_NODES, nd::multicast_mac(ALL_NODES)),
        Ipv6Addr::UNSPECIFIED => (ALL_NODES, source),
        _ => (solicitor, source),
    };
    Decision::Reply { frame: message.frame(client, to), what: "router advertisement" }
}

/// An unsolicited advertisement for all that is behind the tap, a whole frame, as it is sent every `ra_period`; `None` if
/// there is nothing to advertise.
pub fn advertisement(client: &Client, settings: &Settings) -> Option<Vec<u8>> {
    let ipv6 = settings.ipv6.as_ref()?;
    let message = Advertisement::new(client, settings, ipv6)?;
    Some(message.frame(client, (ALL_NODES, nd::multicast_mac(ALL_NODES))))
}

/// The last advertisement when a binding goes: we are no router any more (RFC 4861, section 6.2.5), the prefix is no longer
/// preferred, and name servers are forgotten. Hosts keep addresses for two hours more (RFC 4862, section 5.5.3), for what
/// is connected; new connections they make by others.
pub fn goodbye(client: &Client, settings: &Settings) -> Option<Vec<u8>> {
    let ipv6 = settings.ipv6.as_ref()?;
    let message = Advertisement::new(client, settings, ipv6)?.last();
    Some(message.frame(client, (ALL_NODES, nd::multicast_mac(ALL_NODES))))
}

/// A router advertisement with its options in order.
struct Advertisement {
    message: Nd,
    options: Vec<NdOption>,
}

impl Advertisement {
    fn new(client: &Client, settings: &Settings, ipv6: &Settings6) -> Option<Self> {
        let binding = client.binding;
        let mode = settings.mode(ipv6);
        let prefix = prefix(binding, settings.compat, mode)?;
        let period = u32::try_from(ipv6.ra_period.as_secs()).unwrap_or(u32::MAX);
        let until_missed = period.saturating_mul(3);
        // The original did not heed PRIVATE here.
        let lifetime = match binding.private && !settings.compat {
            true => 0,
            false if settings.compat => ROUTER_LIFETIME,
            false => ROUTER_LIFETIME.max(until_missed),
        };
        let lifetime = u16::try_from(lifetime).unwrap_or(u16::MAX);
        let own_address = (!settings.compat).then_some(NdOption::SourceLinkLayer(client.responder));
        let options = own_address
            .into_iter()
            .chain([prefix])
            .chain(name_servers(binding, settings, until_missed))
            .chain(search_list(binding, settings, until_missed))
            .chain(mtu(binding, settings.compat))
            .collect();
        let hop_limit = if settings.compat { 0 } else { 64 };
        let flags = flags(mode, lifetime);
        Some(Self { message: Nd::RouterAdvertisement { hop_limit, flags, lifetime, timers: (0, 0) }, options })
    }

    /// The same, but nothing in it lasts.
    fn last(mut self) -> Self {
        if let Nd::RouterAdvertisement { flags, lifetime, .. } = &mut self.message {
            (*flags, *lifetime) = (*flags & !flag::PREFERENCE_HIGH, 0);
        }
        self.options.retain(|option| !matches!(option, NdOption::Mtu(_)));
        for option in &mut self.options {
            match option {
                NdOption::PrefixInformation { lifetimes, .. } => *lifetimes = (0, 0),
                NdOption::RecursiveDns(lifetime, _) | NdOption::SearchList(lifetime, _) => *lifetime = 0,
                _ => {}
            }
        }
        self
    }

    fn frame(&self, client: &Client, (destination, mac): (Ipv6Addr, Mac)) -> Vec<u8> {
        let header = Ipv6::neighbor_discovery(net::link_local_of(client.responder), destination);
        frame(client, mac, &header, &self.message.segment(&self.options))
    }
}

/// M and O by mode. Who is no router says nothing of a preference (RFC 4191, section 2.2).
const fn flags(mode: Mode, lifetime: u16) -> u8 {
    let by_mode = match mode {
        Mode::Slaac => 0,
        Mode::Auto | Mode::SlaacAndDhcp => flag::OTHER,
        Mode::Dhcp => flag::MANAGED | flag::OTHER,
    };
    if lifetime == 0 { by_mode } else { by_mode | flag::PREFERENCE_HIGH }
}

/// SUBNET6: on the link, for autoconfiguration if the mode and its length allow it (RFC 4862, section 5.5.3: with
/// Ethernet's interface identifiers, 64 bits). With GATEWAY6 in it, the field says the whole of that address, of which
/// hosts that are not mobile take the prefix.
fn prefix(binding: &Binding, compat: bool, mode: Mode) -> Option<NdOption> {
    let subnet = binding.subnet6?;
    let gateway = binding.gateway6.filter(|gateway| compat || subnet.contains(gateway) && !binding.private);
    let autonomous = mode != Mode::Dhcp && (compat || subnet.prefix_len() == 64);
    let flags = flag::ON_LINK
        | if autonomous { flag::AUTONOMOUS } else { 0 }
        | if gateway.is_some() { flag::ROUTER_ADDRESS } else { 0 };
    let prefix = gateway.unwrap_or_else(|| subnet.network());
    Some(NdOption::PrefixInformation { prefix, length: subnet.prefix_len(), flags, lifetimes: FOREVER })
}

fn name_servers(binding: &Binding, settings: &Settings, lifetime: u32) -> Option<NdOption> {
    let servers = binding.option(&settings.options, |options| options.nameservers6.as_deref())?;
    let servers: Vec<_> = servers.iter().copied().take(MOST_SERVERS).collect();
    (!servers.is_empty()).then_some(NdOption::RecursiveDns(lifetime, servers))
}

/// The domains to search, as many as fit; the original told them by DHCPv6 alone.
fn search_list(binding: &Binding, settings: &Settings, lifetime: u32) -> Option<NdOption> {
    if settings.compat {
        return None;
    }
    let mut left = MOST_SEARCHED;
    let fits = |domain: &&net::DomainName| {
        left = left.saturating_sub(domain.wire().len());
        left > 0
    };
    let domains = binding.option(&settings.options, |options| options.search6.as_deref())?;
    let domains: Vec<_> = domains.iter().take_while(fits).cloned().collect();
    (!domains.is_empty()).then_some(NdOption::SearchList(lifetime, domains))
}

/// The MTU, if IPv6 can have it (RFC 8200, section 5).
fn mtu(binding: &Binding, compat: bool) -> Option<NdOption> {
    binding.mtu.filter(|mtu| compat || *mtu >= 1280).map(|mtu| NdOption::Mtu(mtu.into()))
}
