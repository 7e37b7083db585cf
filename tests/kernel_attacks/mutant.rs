//! Claims in any packaging: tags, extension headers, fragments, options in any order, truncated.

use crate::attacks::{ALL_NODES, fragments6, identification};
use crate::who::{ATTACKER, NEIGHBOUR, NOBODY, ROUTER, VICTIM, Who};
use instances::net::Mac;
use instances::packet::nd::{Nd, NdOption, multicast_mac, solicited_node};
use instances::packet::{Arp, Ethernet, Extension, Ipv6, Tag, ether_type};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A claim about an address, in its packaging.
#[derive(Debug, Clone)]
pub struct Mutant {
    source: Mac,
    destination: Mac,
    tags: Vec<Tag>,
    claim: Claim,
}

#[derive(Debug, Clone)]
enum Claim {
    Arp(Arp),
    Nd {
        ip: Ipv6,
        message: Nd,
        options: Vec<NdOption>,
        /// Octets that are missing at the end.
        truncated: usize,
        /// Where the packet is cut into fragments, if it is; behind how many of its extension headers.
        cuts: Option<(usize, Vec<usize>)>,
        last_first: bool,
    },
}

impl Mutant {
    /// Frames to be sent in this order; fragments are of a packet that is new each time.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let header = Ethernet { tags: self.tags.clone(), ..Ethernet::new(self.destination, self.source) };
        match &self.claim {
            Claim::Arp(arp) => vec![header.frame(ether_type::ARP, &arp.packet())],
            Claim::Nd { ip, message, options, truncated, cuts, last_first } => {
                let mut segment = message.segment(options);
                segment.bytes.truncate(segment.bytes.len() - truncated);
                let mut ip = ip.clone();
                for extension in &mut ip.extensions {
                    if let Extension::Fragment { identification: id, .. } = extension {
                        *id = identification();
                    }
                }
                let mut packets = match cuts {
                    None => vec![ip.packet(&segment)],
                    Some((unfragmentable, cuts)) => fragments6(&ip, *unfragmentable, &segment, cuts),
                };
                if *last_first {
                    packets.reverse();
                }
                packets.iter().map(|packet| header.frame(ether_type::IPV6, packet)).collect()
            }
        }
    }
}

pub fn mutant() -> impl Strategy<Value = Mutant> {
    // Mostly one thing is odd, so that most frames are believed where nothing is in force.
    let tags = prop_oneof![4 => Just(vec![]), 1 => vec(tag(), 1..=3)];
    let packaging = (weighted(0.1, mac()), any::<bool>(), tags);
    (packaging, prop_oneof![1 => arp(), 4 => nd()]).prop_map(|((source, to_all, tags), claim)| Mutant {
        source: source.unwrap_or(ATTACKER.mac),
        destination: destination(&claim, to_all),
        tags,
        claim,
    })
}

/// To the victim, or to those of whom it is one.
fn destination(claim: &Claim, to_all: bool) -> Mac {
    match claim {
        Claim::Nd { ip, .. } if ip.destination.is_multicast() => multicast_mac(ip.destination),
        Claim::Arp(_) if to_all => Ethernet::BROADCAST,
        _ => VICTIM.mac,
    }
}

fn mac() -> impl Strategy<Value = Mac> {
    prop_oneof![3 => Just(ATTACKER.mac), 1 => Just(NOBODY), 1 => Just(NEIGHBOUR.mac), 1 => Just(VICTIM.mac)]
}

fn tag() -> impl Strategy<Value = Tag> {
    let protocol = prop_oneof![4 => Just(ether_type::VLAN), 3 => Just(ether_type::SERVICE_VLAN), 1 => Just(0x9100)];
    (protocol, prop_oneof![5 => Just(0), 1 => select(vec![1, 5, 4095])], 0..8u8)
        .prop_map(|(protocol, vlan, priority)| Tag { protocol, vlan, priority })
}

fn about() -> impl Strategy<Value = Who> {
    let nobody = Who { v4: Ipv4Addr::new(10, 0, 0, 99), v6: "fd00::99".parse().unwrap(), ..NEIGHBOUR };
    prop_oneof![4 => Just(NEIGHBOUR), 2 => Just(ATTACKER), 1 => Just(ROUTER), 1 => Just(nobody), 1 => Just(VICTIM)]
}

fn arp() -> impl Strategy<Value = Claim> {
    let odd = (
        prop_oneof![6 => Just(1), 2 => Just(6), 1 => Just(15)],
        prop_oneof![8 => 1..=2_u16, 1 => select(vec![0, 3, 4, 8, 9])],
        weighted(0.1, (select(vec![6, 8, 0]), select(vec![4, 16, 0]))),
    );
    (about(), mac(), about(), mac(), odd).prop_map(
        |(sender, at, target, target_mac, (hardware, operation, lengths))| {
            let target = if target == ATTACKER { VICTIM } else { target };
            let arp = Arp::new(operation, (at, sender.v4), (target_mac, target.v4));
            Claim::Arp(Arp { hardware, lengths, ..arp })
        },
    )
}

fn address() -> impl Strategy<Value = Ipv6Addr> {
    (about(), any::<bool>()).prop_map(|(who, local)| if local { who.lla } else { who.v6 })
}

fn nd() -> impl Strategy<Value = Claim> {
    let extensions =
        prop_oneof![3 => Just(vec![]), 1 => extension().prop_map(|one| vec![one]), 1 => vec(extension(), 2..4)];
    let source = prop_oneof![8 => address(), 1 => Just(Ipv6Addr::UNSPECIFIED)];
    let to = select(vec![VICTIM.v6, VICTIM.v6, VICTIM.lla, ALL_NODES, solicited_node(VICTIM.v6)]);
    let hop_limit = prop_oneof![19 => Just(255), 1 => any::<u8>()];
    let ip = (source, to, hop_limit, extensions).prop_map(|(source, destination, hop_limit, extensions)| Ipv6 {
        traffic_class: 0,
        source,
        destination,
        hop_limit,
        extensions,
    });
    let truncated = prop_oneof![14 => Just(0), 1 => 1..=8_usize];
    let cuts = vec(select(vec![8, 16, 24, 32, 40, 64]), 0..3);
    let cuts = weighted(0.2, (0..3_usize, cuts));
    (ip, message(), options(), truncated, cuts, any::<bool>()).prop_map(
        |(ip, message, options, truncated, cuts, last_first)| Claim::Nd {
            ip,
            message,
            truncated: if options.is_empty() { 0 } else { truncated },
            options,
            cuts: cuts.map(|(unfragmentable, mut cuts)| {
                cuts.sort_unstable();
                (unfragmentable, cuts)
            }),
            last_first,
        },
    )
}

fn message() -> impl Strategy<Value = Nd> {
    let target = || prop_oneof![1 => Just(VICTIM.v6), 2 => address()];
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.8));
    prop_oneof![
        4 => target().prop_map(Nd::solicitation),
        4 => (target(), flags).prop_map(|(target, (router, solicited, replace))| {
            Nd::NeighborAdvertisement { target, router, solicited, replace }
        }),
        1 => Just(Nd::RouterSolicitation),
        // No router that would stay.
        1 => Just(Nd::router_advertisement(0)),
        1 => (target(), address()).prop_map(|(target, destination)| Nd::Redirect { target, destination }),
    ]
}

/// One that counts, in some place among others.
fn options() -> impl Strategy<Value = Vec<NdOption>> {
    let lie = prop_oneof![
        1 => mac().prop_map(|mac| vec![NdOption::SourceLinkLayer(mac)]),
        1 => mac().prop_map(|mac| vec![NdOption::TargetLinkLayer(mac)]),
        3 => mac().prop_map(|mac| vec![NdOption::SourceLinkLayer(mac), NdOption::TargetLinkLayer(mac)]),
        1 => Just(vec![]),
    ];
    let others = prop_oneof![3 => Just(vec![]), 2 => vec(option(), 1..3)];
    (lie, others, any::<bool>()).prop_map(
        |(lie, others, first)| {
            if first { [lie, others].concat() } else { [others, lie].concat() }
        },
    )
}

fn option() -> impl Strategy<Value = NdOption> {
    prop_oneof![
        4 => mac().prop_map(NdOption::SourceLinkLayer),
        4 => mac().prop_map(NdOption::TargetLinkLayer),
        1 => mac().prop_map(|mac| NdOption::Nonce(mac.0)),
        1 => Just(NdOption::Mtu(1500)),
        1 => (select(vec![0, 1, 2, 14, 253]), 0..3u8, mac()).prop_map(|(kind, units, mac)| {
            NdOption::Raw(kind, units, [&mac.0[..], &[0; 8]].concat()[..(usize::from(units) * 8).clamp(8, 14) - 2].to_vec())
        }),
    ]
}

fn extension() -> impl Strategy<Value = Extension> {
    let options = prop_oneof![2 => Just(vec![]), 1 => (0..40_u8).prop_map(|length| [&[0x1e, length][..], &vec![0; length.into()]].concat())];
    prop_oneof![
        3 => options.clone().prop_map(Extension::DestinationOptions),
        2 => options.prop_map(Extension::HopByHop),
        1 => Just(Extension::router_alert()),
        2 => select(vec![0, 4, 253])
            .prop_map(|kind| Extension::Routing { kind, segments_left: 0, data: vec![0; 20] }),
        2 => (select(vec![0, 8]), prop::bool::weighted(0.2))
            .prop_map(|(offset, more)| Extension::Fragment { offset, more, identification: 1 }),
        1 => Just(Extension::Authentication),
        1 => select(vec![135, 139, 140, 253]).prop_map(|number| Extension::Other(number, vec![0; 6])),
    ]
}
