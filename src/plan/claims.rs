//! Who may claim what, as sets: addresses with the MACs that they belong to, and MACs with their ports.
//!
//! Each address is there once, whatever looks it up: an instance's own addresses and its `allowed` single addresses in hash
//! sets, its `allowed` prefixes in interval sets, which exist only if there are prefixes.

use super::guard::{Guard, Protection};
use super::ruleset::{Bytes, Comment, Element, Elements, Field, Identifier, Key, Keyed, Set, Value};
use crate::net::{IfName, Mac, V6Class, link_local_of};
use crate::registry::{Instance, Registry};
use ipnet::IpNet;
use rustc_hash::FxHashSet;
use std::net::{IpAddr, Ipv6Addr};

/// IPv4 address and Ethernet source.
pub const IP: &str = "instances_ip";
/// IPv4 prefix and Ethernet source.
pub const IP_NETS: &str = "instances_ip_nets";
/// IPv6 address and Ethernet source.
pub const IP6: &str = "instances_ip6";
/// IPv6 prefix and Ethernet source.
pub const IP6_NETS: &str = "instances_ip6_nets";
/// ARP sender address, sender hardware address and Ethernet source.
pub const ARP: &str = "instances_arp";
/// The same with prefixes.
pub const ARP_NETS: &str = "instances_arp_nets";
/// Target address of a neighbour advertisement, its link-layer option and Ethernet source.
pub const NA: &str = "instances_na";
/// The same with prefixes.
pub const NA_NETS: &str = "instances_na_nets";
/// IPv4 address, Ethernet source and port, of instances that have a port.
pub const IP_AT_PORT: &str = "instances_ip_at_port";
/// IPv6 address, Ethernet source and port, of instances that have a port.
pub const IP6_AT_PORT: &str = "instances_ip6_at_port";
/// Each MAC twice: what a packet says about its sender, and the Ethernet source.
pub const OWN_MAC: &str = "instances_own_mac";
/// The MACs.
pub const MAC: &str = "instances_mac";
/// The MACs, to be looked up as a DHCP client's hardware address.
pub const CLIENT: &str = "instances_client";
/// The link-local addresses that belong to somebody.
pub const LINK_LOCAL: &str = "instances_link_local";
/// Port and Ethernet source of instances that have a port.
pub const BOUND: &str = "instances_bound";
/// The MACs of instances that have a port.
pub const BOUND_MAC: &str = "instances_bound_mac";
/// Their ports.
pub const BOUND_PORT: &str = "instances_bound_port";

/// All of these sets.
pub const SETS: [&str; 17] = [
    IP,
    IP_NETS,
    IP6,
    IP6_NETS,
    ARP,
    ARP_NETS,
    NA,
    NA_NETS,
    IP_AT_PORT,
    IP6_AT_PORT,
    LINK_LOCAL,
    OWN_MAC,
    MAC,
    CLIENT,
    BOUND,
    BOUND_MAC,
    BOUND_PORT,
];

/// Target address of a neighbour message: behind 40 octets of IPv6 header and 8 octets of ICMPv6 (RFC 4861, section 4.3).
pub const ND_TARGET: Field = Field::NetworkBits { offset: 48 * 8, length: 128 };
/// The option behind it, of 8 octets.
const ND_OPTION: Field = Field::NetworkBits { offset: 64 * 8, length: 64 };
/// `chaddr` of a DHCP message: behind 8 octets of UDP header and 28 octets (RFC 2131, section 2).
pub const DHCP_CHADDR: Field = Field::TransportBits { offset: (8 + 28) * 8, length: 48 };

/// IPv6 source, looked up as the bits that it is.
pub const IP6_SOURCE: Field = Field::NetworkBits { offset: 8 * 8, length: 128 };

/// The keys of the sets. Raw bits of one length may stand for each other.
pub const IP_KEY: &[Field] = &[Field::IpSource, Field::EtherSource];
/// See [`IP6`].
pub const IP6_KEY: &[Field] = &[ND_TARGET, Field::EtherSource];
/// See [`ARP`].
pub const ARP_KEY: &[Field] = &[Field::ArpSourceIp, Field::ArpSourceMac, Field::EtherSource];
/// See [`NA`].
pub const NA_KEY: &[Field] = &[ND_TARGET, ND_OPTION, Field::EtherSource];
/// See [`IP_AT_PORT`].
pub const IP_AT_PORT_KEY: &[Field] = &[Field::IpSource, Field::EtherSource, Field::InputPort];
/// See [`IP6_AT_PORT`].
pub const IP6_AT_PORT_KEY: &[Field] = &[Field::Ip6Source, Field::EtherSource, Field::InputPort];
/// See [`OWN_MAC`].
pub const OWN_MAC_KEY: &[Field] = &[DHCP_CHADDR, Field::EtherSource];
/// See [`BOUND`].
pub const BOUND_KEY: &[Field] = &[Field::InputPort, Field::EtherSource];

/// The sets whose elements count, with their keys.
pub const COUNTED: [(&str, &[Field]); 8] = [
    (IP, IP_KEY),
    (IP_NETS, IP_KEY),
    (IP6, IP6_KEY),
    (IP6_NETS, IP6_KEY),
    (ARP, ARP_KEY),
    (ARP_NETS, ARP_KEY),
    (IP_AT_PORT, IP_AT_PORT_KEY),
    (IP6_AT_PORT, IP6_AT_PORT_KEY),
];

/// The sets that a guard looks up, those of the original's two chains among them.
pub fn sets(registry: &Registry, guard: Guard) -> Vec<Set<'_>> {
    let mut sets = of_addresses(registry, guard);
    sets.extend(macs(registry, guard));
    // Only a hash set of addresses is there whatever it holds.
    sets.retain(|(name, keyed)| !keyed.elements.is_empty() || !is_optional(name));
    let set = |(name, keyed)| Set { name: Identifier::ours(name), elements: Elements::Keyed(keyed) };
    sets.into_iter().map(set).collect()
}

/// The sets of addresses with who may claim them.
fn of_addresses(registry: &Registry, guard: Guard) -> Vec<(&'static str, Keyed<'_>)> {
    let has = |protection| guard.has(protection);
    let many = |fields, each: usize| Keyed { elements: Vec::with_capacity(each * registry.len()), ..hash(fields) };
    let (mut ip, mut ip_nets, mut ip6, mut ip6_nets) = (many(IP_KEY, 1), nets(IP_KEY), many(IP6_KEY, 3), nets(IP6_KEY));
    // Room for those only that are filled.
    let if_has = |protection, each| if has(protection) { each } else { 0 };
    let (mut arp, mut arp_nets) = (many(ARP_KEY, if_has(Protection::Arp, 1)), nets(ARP_KEY));
    // An advertisement has been counted by its source.
    let (mut na, mut na_nets) = (uncounted(many(NA_KEY, if_has(Protection::Nd, 3))), uncounted(nets(NA_KEY)));
    let (mut ip_at_port, mut ip6_at_port) = (hash(IP_AT_PORT_KEY), hash(IP6_AT_PORT_KEY));
    let mut link_local = uncounted(many(&[IP6_SOURCE], if_has(Protection::Source, 1)));
    // Each comes once, whoever has it.
    let mut seen: FxHashSet<Ipv6Addr> = FxHashSet::default();
    for (mac, instance) in registry.iter() {
        let comment = instance.name().map(Comment::name);
        let comment = comment.as_ref();
        let ether = Value::Mac(mac);
        let option = target_link_layer(mac);
        let port = if has(Protection::BoundMac) { instance.port().map(Value::Interface) } else { None };
        for address in addresses(mac, instance, guard) {
            let (value, by_mac, at_port) = match address {
                IpAddr::V4(address) => (Value::Ipv4(address), &mut ip, &mut ip_at_port),
                IpAddr::V6(address) => (Value::Ipv6(address), &mut ip6, &mut ip6_at_port),
            };
            by_mac.add(&[value, ether], comment);
            if let Some(port) = port {
                at_port.add(&[value, ether, port], comment);
            }
            match address {
                IpAddr::V4(_) if has(Protection::Arp) => arp.add(&[value, ether, ether], comment),
                IpAddr::V6(_) if has(Protection::Nd) => na.add(&[value, option, ether], comment),
                _ => {}
            }
            match address {
                IpAddr::V6(address)
                    if has(Protection::Source) && address.is_unicast_link_local() && seen.insert(address) =>
                {
                    link_local.add(&[value], None);
                }
                _ => {}
            }
        }
        for net in prefixes(instance) {
            match net {
                IpNet::V4(net) => {
                    ip_nets.add_net(&[Value::Ipv4(net.addr()), ether], net.prefix_len(), comment);
                    arp_nets.add_net(&[Value::Ipv4(net.addr()), ether, ether], net.prefix_len(), comment);
                }
                IpNet::V6(net) => {
                    ip6_nets.add_net(&[Value::Ipv6(net.addr()), ether], net.prefix_len(), comment);
                    na_nets.add_net(&[Value::Ipv6(net.addr()), option, ether], net.prefix_len(), comment);
                }
            }
        }
    }
    let mut sets = vec![(IP, ip), (IP_NETS, ip_nets), (IP6, ip6), (IP6_NETS, ip6_nets)];
    if has(Protection::Arp) {
        sets.extend([(ARP, arp), (ARP_NETS, arp_nets)]);
    }
    if has(Protection::Nd) {
        sets.extend([(NA, na), (NA_NETS, na_nets)]);
    }
    if has(Protection::Source) {
        sets.extend([(IP_AT_PORT, ip_at_port), (IP6_AT_PORT, ip6_at_port), (LINK_LOCAL, link_local)]);
    }
    sets
}

/// Whether a set, and the rules that look it up, exist only if it has elements.
fn is_optional(set: &str) -> bool {
    [IP_NETS, IP6_NETS, ARP_NETS, NA_NETS, IP_AT_PORT, IP6_AT_PORT, BOUND, BOUND_MAC, BOUND_PORT].contains(&set)
}

/// Which optional sets are needed because of an instance, as a bit for each kind of them.
pub(super) fn optional_sets(mac: Mac, instance: &Instance, guard: Guard) -> u8 {
    let is_prefix = |net: &&IpNet| net.prefix_len() < net.max_prefix_len();
    let nets = instance.allowed().iter().filter(is_prefix).map(|net| if net.addr().is_ipv4() { 1 } else { 2 });
    // Each has an IPv6 address where ports are looked at, if only the one that comes of its MAC.
    let at_port = instance.port().into_iter().flat_map(|_| addresses(mac, instance, guard));
    let at_port = at_port.map(|address| if address.is_ipv4() { 4 } else { 8 });
    nets.chain(at_port).fold(0, |needed, kind| needed | kind)
}

/// The sets of MACs and ports.
fn macs(registry: &Registry, guard: Guard) -> Vec<(&'static str, Keyed<'_>)> {
    let has = |protection| guard.has(protection);
    let mut sets = Vec::new();
    if has(Protection::Nd) || has(Protection::Dhcp4) {
        sets.push((OWN_MAC, of_each_mac(registry, OWN_MAC_KEY)));
    }
    if has(Protection::Mac) || has(Protection::Dhcp4) {
        sets.push((MAC, of_each_mac(registry, &[Field::EtherSource])));
    }
    if has(Protection::Dhcp4) {
        sets.push((CLIENT, of_each_mac(registry, &[DHCP_CHADDR])));
    }
    if has(Protection::BoundMac) {
        sets.extend(ports(registry));
    }
    sets
}

/// Each MAC, in every field of the key.
fn of_each_mac<'a>(registry: &'a Registry, fields: &'static [Field]) -> Keyed<'a> {
    let mut keyed = Keyed { elements: Vec::with_capacity(registry.len()), ..uncounted(hash(fields)) };
    for (mac, instance) in registry.iter() {
        let values = [Value::Mac(mac); 2];
        let comment = instance.name().map(Comment::name);
        keyed.add(values.get(..fields.len()).unwrap_or(&values), comment.as_ref());
    }
    keyed
}

/// Who sits behind which port.
fn ports(registry: &Registry) -> [(&'static str, Keyed<'_>); 3] {
    let plain = |fields| uncounted(hash(fields));
    let (mut bound, mut bound_mac, mut bound_port) =
        (plain(BOUND_KEY), plain(&[Field::EtherSource]), plain(&[Field::InputPort]));
    let mut ports: FxHashSet<IfName> = FxHashSet::default();
    for (mac, instance) in registry.iter() {
        let Some(port) = instance.port() else { continue };
        let comment = instance.name().map(Comment::name);
        let (ether, at) = (Value::Mac(mac), Value::Interface(port));
        bound.add(&[at, ether], comment.as_ref());
        bound_mac.add(&[ether], comment.as_ref());
        if ports.insert(port) {
            bound_port.add(&[at], None);
        }
    }
    [(BOUND, bound), (BOUND_MAC, bound_mac), (BOUND_PORT, bound_port)]
}

/// The single addresses that an instance may claim, without duplicates.
pub fn addresses(mac: Mac, instance: &Instance, guard: Guard) -> impl Iterator<Item = IpAddr> {
    let classes = [V6Class::Global, V6Class::UniqueLocal, V6Class::LinkLocal];
    let v6 = classes.into_iter().filter_map(|class| instance.ipv6(class)).map(IpAddr::V6);
    // Of instances with no known link-local address it is the usual one; the original knows no such rule.
    let link_local = instance.ipv6(V6Class::LinkLocal).is_none() && !guard.is_spec();
    let link_local = link_local.then(|| IpAddr::V6(link_local_of(mac)));
    let single = |net: &&IpNet| net.prefix_len() == net.max_prefix_len();
    let allowed = instance.allowed().iter().filter(single).map(IpNet::addr);
    let all = instance.ipv4().map(IpAddr::V4).into_iter().chain(v6).chain(link_local).chain(allowed);
    let mut seen: Vec<IpAddr> = Vec::new();
    all.filter(move |address| {
        let is_new = !seen.contains(address);
        seen.push(*address);
        is_new
    })
}

/// The link-layer option of an advertisement: type, length in units of 8 octets, address (RFC 4861, section 4.6.1).
fn target_link_layer(mac: Mac) -> Value {
    let [a, b, c, d, e, f] = mac.0;
    Value::Bits(Bytes::from(&[2, 1, a, b, c, d, e, f][..]))
}

/// The prefixes that an instance may use, without those that lie in another: the kernel's ranges must not overlap.
pub fn prefixes(instance: &Instance) -> Vec<IpNet> {
    let nets = instance.allowed().iter().filter(|net| net.prefix_len() < net.max_prefix_len());
    let mut nets: Vec<_> = nets.map(IpNet::trunc).collect();
    // The wider of two that begin alike is in front.
    nets.sort_by_key(|net| (net.network(), net.prefix_len()));
    nets.dedup_by(|net, before| before.contains(&*net));
    nets
}

fn hash(fields: &'static [Field]) -> Keyed<'static> {
    Keyed { fields, interval: false, counted: true, elements: Vec::new() }
}

fn uncounted(keyed: Keyed) -> Keyed {
    Keyed { counted: false, ..keyed }
}

fn nets(fields: &'static [Field]) -> Keyed<'static> {
    Keyed { interval: true, ..hash(fields) }
}

impl<'a> Keyed<'a> {
    fn add(&mut self, values: &[Value], comment: Option<&Comment<'a>>) {
        self.elements.push(Element { key: Key::of(values), prefix: None, comment: comment.cloned() });
    }

    fn add_net(&mut self, values: &[Value], bits: u8, comment: Option<&Comment<'a>>) {
        self.elements.push(Element { key: Key::of(values), prefix: Some(bits), comment: comment.cloned() });
    }
}
