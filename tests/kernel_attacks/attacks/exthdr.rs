//! Neighbour discovery behind extension headers and in fragments: filters look at a fixed place, hosts follow the chain.

use super::{ALL_NODES, fragments6, frames, identification, ipv6_to, unicast};
use crate::case::Judge::{AdvertisedRoute, Neighbours, Redirect};
use crate::case::{Case, FAR_AWAY};
use crate::who::{ATTACKER, HOST, NEIGHBOUR, ROUTER, VICTIM, Who};
use instances::packet::nd::{Nd, NdOption, multicast_mac};
use instances::packet::{Ethernet, Extension, Ipv6, Segment, ether_type};

const MINE: NdOption = NdOption::SourceLinkLayer(ATTACKER.mac);
const MINE_TARGET: NdOption = NdOption::TargetLinkLayer(ATTACKER.mac);

fn claim() -> Segment {
    Nd::answer(NEIGHBOUR.v6).segment(&[MINE_TARGET])
}

/// "The neighbour's address is at my MAC", behind these headers.
fn lie(to: &Who, extensions: &[Extension]) -> Vec<Vec<u8>> {
    let ip = Ipv6 { extensions: extensions.to_vec(), ..Ipv6::neighbor_discovery(ATTACKER.v6, to.v6) };
    ipv6_to(to, &ip, &claim())
}

/// The same in fragments. Its headers are in the part that is cut.
fn cut(to: &Who, extensions: &[Extension], segment: &Segment, cuts: &[usize]) -> Vec<Vec<u8>> {
    let ip = Ipv6 { extensions: extensions.to_vec(), ..Ipv6::neighbor_discovery(ATTACKER.v6, to.v6) };
    frames(&unicast(to), ether_type::IPV6, &fragments6(&ip, 0, segment, cuts))
}

/// Destination options of so many octets: one that whoever does not know it skips, for hosts take little padding (RFC 8504,
/// section 5.3). 0x1e is for experiments (RFC 4727).
fn options(octets: usize) -> Extension {
    let data = u8::try_from(octets.saturating_sub(2)).unwrap();
    let option = [&[0x1e, data][..], &vec![0; data.into()]].concat();
    Extension::DestinationOptions(if octets == 0 { vec![] } else { option })
}

fn routing(kind: u8) -> Extension {
    Extension::Routing { kind, segments_left: 0, data: vec![0; 20] }
}

fn advertise(to: &Who, extension: Extension) -> Vec<Vec<u8>> {
    let ip = Ipv6::neighbor_discovery(ATTACKER.lla, ALL_NODES).with(extension);
    ipv6_to(to, &ip, &Nd::router_advertisement(1800).segment(&[MINE]))
}

pub fn cases() -> Vec<Case> {
    [one_header(), several(), fragments(), routers()].into_iter().flatten().collect()
}

fn one_header() -> Vec<Case> {
    vec![
        Case::attack("NA behind destination options", "RFC 7113; RFC 6980", Neighbours, |to| lie(to, &[options(0)])),
        Case::attack("NA behind a hop-by-hop header", "RFC 7113", Neighbours, |to| {
            lie(to, &[Extension::HopByHop(vec![])])
        }),
        Case::attack("NA behind a router alert, like MLD", "RFC 2711", Neighbours, |to| {
            lie(to, &[Extension::router_alert()])
        }),
        Case::attack("NA behind a routing header of type 0", "RFC 5095", Neighbours, |to| lie(to, &[routing(0)])),
        Case::attack("NA behind a routing header of type 253", "RFC 4727", Neighbours, |to| lie(to, &[routing(253)])),
        Case::attack("NA behind 256 octets of options", "RFC 8504, 5.3", Neighbours, |to| lie(to, &[options(254)])),
        Case::attack("NA behind options which look like an honest NA", "RFC 7113", Neighbours, |to| {
            // What a filter finds that takes them for ICMPv6: the target where it would be, and its own.
            let mut forged = vec![0; 22];
            forged[6..].copy_from_slice(&ATTACKER.v6.octets());
            forged[0..2].copy_from_slice(&[0x1e, 20]);
            lie(to, &[Extension::DestinationOptions(forged)])
        }),
        Case::attack("NS behind destination options", "RFC 6980", Neighbours, |to| {
            let ip = Ipv6::neighbor_discovery(NEIGHBOUR.v6, to.v6).with(options(0));
            ipv6_to(to, &ip, &Nd::solicitation(to.v6).segment(&[MINE]))
        }),
    ]
}

fn several() -> Vec<Case> {
    vec![
        Case::attack("NA behind hop-by-hop and destination options", "RFC 7113", Neighbours, |to| {
            lie(to, &[Extension::HopByHop(vec![]), options(0)])
        }),
        Case::attack("NA behind two destination options", "RFC 8200, 4.1", Neighbours, |to| {
            lie(to, &[options(0), options(8)])
        }),
        Case::attack("NA behind eight destination options", "RFC 8504, 5.3", Neighbours, |to| {
            lie(to, &[const { Extension::empty_destination_options() }; 8])
        }),
        Case::attack("NA behind options, routing and a fragment header", "RFC 7113", Neighbours, |to| {
            lie(to, &[options(0), routing(0), Extension::atomic_fragment()])
        }),
        Case::attack("NA behind an atomic fragment and options", "RFC 6946; RFC 7113", Neighbours, |to| {
            lie(to, &[Extension::atomic_fragment(), options(0)])
        }),
        Case::ignored("NA behind a hop-by-hop header that is not first", "RFC 8200, 4.1", |to| {
            lie(to, &[options(0), Extension::HopByHop(vec![])])
        }),
    ]
}

fn fragments() -> Vec<Case> {
    vec![
        Case::attack("NA in an atomic fragment", "RFC 6980; RFC 6946", Neighbours, |to| cut(to, &[], &claim(), &[])),
        Case::attack("NA in two fragments", "RFC 6980", Neighbours, |to| cut(to, &[], &claim(), &[24])),
        Case::attack("NA in fragments of eight octets", "RFC 6980", Neighbours, |to| {
            cut(to, &[], &claim(), &[8, 16, 24])
        }),
        Case::attack("NA in fragments, last one first", "RFC 6980", Neighbours, |to| {
            let mut frames = cut(to, &[], &claim(), &[8, 24]);
            frames.reverse();
            frames
        }),
        Case::attack("NS in fragments", "RFC 6980", Neighbours, |to| {
            let ip = Ipv6::neighbor_discovery(NEIGHBOUR.v6, to.v6);
            let packets = fragments6(&ip, 0, &Nd::solicitation(to.v6).segment(&[MINE]), &[8, 24]);
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
        Case::attack("NA in fragments, a hop-by-hop header before each", "RFC 6980; RFC 8200, 4.5", Neighbours, |to| {
            let ip = Ipv6::neighbor_discovery(ATTACKER.v6, to.v6).with(Extension::HopByHop(vec![]));
            let packets = fragments6(&ip, 1, &claim(), &[8, 24]);
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
        Case::attack("NA in fragments, destination options before each", "RFC 6980; RFC 8200, 4.5", Neighbours, |to| {
            let ip = Ipv6::neighbor_discovery(ATTACKER.v6, to.v6).with(options(0));
            let packets = fragments6(&ip, 1, &claim(), &[24]);
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
        Case::ignored("NA in an atomic fragment in fragments", "RFC 6946", |to| {
            cut(to, &[Extension::atomic_fragment()], &claim(), &[8, 16])
        }),
        Case::attack("NA in fragments behind destination options", "RFC 7113", Neighbours, |to| {
            cut(to, &[options(6)], &claim(), &[32])
        }),
        Case::ignored("NA, all of it in the second fragment", "RFC 7112; RFC 7113", |to| {
            cut(to, &[options(14)], &claim(), &[16])
        }),
        Case::ignored("NA, options longer than the first fragment", "RFC 7112", |to| {
            cut(to, &[options(94)], &claim(), &[8, 48])
        }),
        Case::ignored("NA in fragments that overlap", "RFC 5722", |to| {
            let ip = Ipv6::neighbor_discovery(ATTACKER.v6, to.v6);
            let id = identification();
            let [one, other] = [16, 8].map(|cut| ip.fragments(0, &claim(), id, &[cut]));
            frames(&unicast(to), ether_type::IPV6, &[&one[..1], &other[1..], &one[1..]].concat())
        }),
    ]
}

fn routers() -> Vec<Case> {
    vec![
        Case::attack("RA behind destination options", "RFC 7113", AdvertisedRoute, |to| advertise(to, options(0))),
        Case::attack("RA behind a hop-by-hop header", "RFC 7113", AdvertisedRoute, |to| {
            advertise(to, Extension::HopByHop(vec![]))
        }),
        Case::attack("RA in an atomic fragment", "RFC 7113; RFC 6980", AdvertisedRoute, |to| {
            advertise(to, Extension::atomic_fragment())
        }),
        Case::attack("RA in fragments", "RFC 7113; RFC 6980", AdvertisedRoute, |_| {
            let ip = Ipv6::neighbor_discovery(ATTACKER.lla, ALL_NODES);
            let packets = fragments6(&ip, 0, &Nd::router_advertisement(1800).segment(&[MINE]), &[8]);
            frames(&Ethernet::new(multicast_mac(ALL_NODES), ATTACKER.mac), ether_type::IPV6, &packets)
        }),
        Case::attack("RA in fragments, a hop-by-hop header before each", "RFC 7113; RFC 6980", AdvertisedRoute, |to| {
            let ip = Ipv6::neighbor_discovery(ATTACKER.lla, to.lla).with(Extension::HopByHop(vec![]));
            let packets = fragments6(&ip, 1, &Nd::router_advertisement(1800).segment(&[MINE]), &[8]);
            frames(&unicast(to), ether_type::IPV6, &packets)
        }),
        Case::attack("RS behind destination options", "RFC 6980", Neighbours, |to| {
            let ip = Ipv6::neighbor_discovery(NEIGHBOUR.lla, to.lla).with(options(0));
            ipv6_to(to, &ip, &Nd::RouterSolicitation.segment(&[MINE]))
        })
        .to(&[HOST]),
        Case::attack("redirect behind destination options", "RFC 6980", Redirect, |to| {
            let ip = Ipv6::neighbor_discovery(ROUTER.lla, to.lla).with(options(0));
            let message = Nd::Redirect { target: ATTACKER.lla, destination: FAR_AWAY.parse().unwrap() };
            ipv6_to(to, &ip, &message.segment(&[MINE_TARGET]))
        })
        .to(&[VICTIM]),
    ]
}
