//! Asking: the host's own addresses, and from which of them whom to ask; the frames.

use super::Lack;
use super::places::Links;
use crate::error::Result;
use crate::net::Mac;
use crate::packet::nd::{self, Nd, NdOption};
use crate::packet::{Arp, Ethernet, Ipv6, ether_type};
use crate::source::host_iface::own_addresses;
use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// An address of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    interface: u32,
    mac: Mac,
    /// The address with its prefix.
    net: IpNet,
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker {
    networks: Vec<Ipv4Net>,
    own: Vec<Own>,
}

impl Asker {
    /// Asks for addresses in these networks, once it has [`Self::own`] addresses.
    pub fn new(networks: Vec<Ipv4Net>) -> Self {
        Self { networks, own: Vec::new() }
    }

    /// Takes in which addresses the host has.
    pub fn own(&mut self, own: Vec<Own>) {
        self.own = own;
    }

    /// Takes in which MACs the host's interfaces have: a bridge's may be another with each port.
    pub fn macs(&mut self, links: &Links) {
        for own in &mut self.own {
            own.mac = links.get(&own.interface).and_then(|link| link.mac).unwrap_or(own.mac);
        }
    }

    /// The interfaces by which it asks for what is in its networks, and for these.
    pub fn interfaces(&self, also: &[Ipv6Addr]) -> BTreeSet<u32> {
        let v4 = self.networks.iter().filter_map(|network| self.own_in(*network)).map(|own| own.interface);
        let v6 = also.iter().filter_map(|address| self.own_near(*address)).map(|own| own.interface);
        v4.chain(v6).collect()
    }

    /// The networks in which the host has no address.
    pub fn lacking(&self) -> impl Iterator<Item = Lack> {
        self.networks.iter().filter(|network| self.own_in(**network).is_none()).map(|network| Lack::NoAddress(*network))
    }

    /// The question who has an address, by an interface that is known to lead there: the frame. None if the host has no
    /// address to ask from, or it is its own.
    pub fn question_by(&self, interface: u32, address: IpAddr) -> Option<Vec<u8>> {
        if self.is_own(address) {
            return None;
        }
        let own = self.own.iter().find(|own| own.interface == interface && own.net.contains(&address))?;
        question(own, address)
    }

    /// The question who has an address: the interface to send it by, and the frame. None if the host has no address to
    /// ask from, or it is its own.
    pub fn question(&self, address: IpAddr) -> Option<(u32, Vec<u8>)> {
        if self.is_own(address) {
            return None;
        }
        let own = match address {
            IpAddr::V4(address) => {
                let mut networks = self.networks.iter().filter(|network| network.contains(&address));
                networks.find_map(|network| self.own_in(*network))?
            }
            IpAddr::V6(address) => self.own_near(address)?,
        };
        question(own, address).map(|frame| (own.interface, frame))
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.own.iter().any(|own| own.net.addr() == address)
    }

    /// The host's first address in a network.
    fn own_in(&self, network: Ipv4Net) -> Option<&Own> {
        self.own.iter().find(|own| matches!(own.net.addr(), IpAddr::V4(address) if network.contains(&address)))
    }

    /// The host's first address in whose prefix another one is. Link-local ones are on every interface.
    fn own_near(&self, address: Ipv6Addr) -> Option<&Own> {
        let is_near = |own: &&Own| own.net.contains(&IpAddr::V6(address));
        self.own.iter().find(is_near).filter(|_| !address.is_unicast_link_local())
    }
}

/// The frame that asks, from one of the host's addresses, who has another of the same family.
fn question(own: &Own, address: IpAddr) -> Option<Vec<u8>> {
    match (own.net.addr(), address) {
        (IpAddr::V4(from), IpAddr::V4(address)) => {
            let packet = Arp::request((own.mac, from), address).packet();
            Some(Ethernet::new(Ethernet::BROADCAST, own.mac).frame(ether_type::ARP, &packet))
        }
        (IpAddr::V6(from), IpAddr::V6(address)) => {
            let group = nd::solicited_node(address);
            let segment = Nd::solicitation(address).segment(&[NdOption::SourceLinkLayer(own.mac)]);
            let packet = Ipv6::neighbor_discovery(from, group).packet(&segment);
            Some(Ethernet::new(nd::multicast_mac(group), own.mac).frame(ether_type::IPV6, &packet))
        }
        _ => None,
    }
}

/// The addresses of the host's Ethernet interfaces, in the kernel's order.
///
/// # Errors
/// The kernel cannot be asked.
pub(super) fn read(links: &Links) -> Result<Vec<Own>> {
    let own = |(interface, net)| {
        let link = links.get(&interface).filter(|link| link.is_ethernet)?;
        Some(Own { interface, mac: link.mac?, net })
    };
    Ok(own_addresses()?.into_iter().filter_map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::neighbors::{Claim, How, claim};
    use rustc_hash::FxHashSet;
    use std::net::Ipv4Addr;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn asker() -> Asker {
        let networks = ["192.0.2.0/25", "10.0.0.0/24", "198.51.100.0/24"].map(|text| text.parse().unwrap());
        let mut asker = Asker::new(networks.to_vec());
        let own =
            [(3, "192.0.2.200/24"), (4, "192.0.2.1/32"), (5, "10.0.0.1/8"), (5, "2001:db8::1/64"), (5, "fe80::1/64")];
        asker.own(own.map(|(interface, net)| Own { interface, mac: MAC, net: net.parse().unwrap() }).to_vec());
        asker
    }

    #[test]
    fn questions_come_from_the_hosts_address_in_the_network() {
        for (address, interface, from) in [("192.0.2.7", 4, "192.0.2.1"), ("10.0.0.9", 5, "10.0.0.1")] {
            let (by, frame) = asker().question(address.parse().unwrap()).unwrap();
            let said = claim(&frame, &FxHashSet::from_iter([MAC]));
            assert_eq!((by, said), (interface, Ok(Claim { mac: MAC, address: from.parse().unwrap(), how: How::Said })));
            assert_eq!(frame[38..42], address.parse::<Ipv4Addr>().unwrap().octets());
        }
        let address: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let (by, frame) = asker().question(address.into()).unwrap();
        let said = claim(&frame, &FxHashSet::from_iter([MAC]));
        let from = "2001:db8::1".parse().unwrap();
        assert_eq!((by, said), (5, Ok(Claim { mac: MAC, address: from, how: How::Said })));
        assert_eq!((&frame[..6], &frame[62..78]), (&[0x33, 0x33, 0xff, 0, 0, 9][..], &address.octets()[..]));
    }

    #[test]
    fn what_the_host_cannot_ask_for_is_not_asked_for() {
        let own_and_foreign = ["192.0.2.1", "192.0.2.200", "198.51.100.7", "203.0.113.1", "10.0.1.1", "2001:db8::1"];
        for address in own_and_foreign.into_iter().chain(["2001:db8:1::1", "fe80::9"]) {
            assert_eq!(asker().question(address.parse().unwrap()), None, "{address}");
        }
        // Unless it is known where.
        assert!(asker().question_by(5, "fe80::9".parse().unwrap()).is_some());
        assert!(asker().question_by(5, "10.9.9.9".parse().unwrap()).is_some());
        for (interface, address) in [(4, "10.9.9.9"), (5, "10.0.0.1"), (5, "192.0.2.7"), (3, "fe80::9")] {
            assert_eq!(asker().question_by(interface, address.parse().unwrap()), None, "{address}");
        }
        let missing = "198.51.100.0/24".parse().unwrap();
        assert_eq!(asker().lacking().collect::<Vec<_>>(), [Lack::NoAddress(missing)]);
    }

    #[test]
    fn answers_are_heard_where_it_asks() {
        assert_eq!(asker().interfaces(&[]), BTreeSet::from([4, 5]));
        let also = ["2001:db8::7", "fe80::7", "2001:db8:9::7"].map(|text| text.parse().unwrap());
        let only_v6 = Asker { networks: Vec::new(), ..asker() };
        assert_eq!(only_v6.interfaces(&also), BTreeSet::from([5]));
    }
}
