//! Neighbour discovery names an address that is not the sender's, or a MAC.

use super::{ALL_NODES, ipv6_to};
use crate::case::{Case, FAR_AWAY, Judge::Neighbours, Judge::Redirect};
use crate::who::{ATTACKER, HOST, NEIGHBOUR, NOBODY, ROUTER, VICTIM, Who};
use instances::packet::nd::{Nd, NdOption, solicited_node};
use instances::packet::{Ipv6, Segment};
use std::net::Ipv6Addr;

const MINE: NdOption = NdOption::SourceLinkLayer(ATTACKER.mac);
const MINE_TARGET: NdOption = NdOption::TargetLinkLayer(ATTACKER.mac);
const LIE: NdOption = NdOption::SourceLinkLayer(NOBODY);
const LIE_TARGET: NdOption = NdOption::TargetLinkLayer(NOBODY);

fn send(to: &Who, source: Ipv6Addr, destination: Ipv6Addr, message: &Nd, options: &[NdOption]) -> Vec<Vec<u8>> {
    ipv6_to(to, &Ipv6::neighbor_discovery(source, destination), &message.segment(options))
}

/// A solicitation for the target's address.
fn solicit(to: &Who, source: Ipv6Addr, options: &[NdOption]) -> Vec<Vec<u8>> {
    send(to, source, to.v6, &Nd::solicitation(to.v6), options)
}

/// An answer of the attacker.
fn answer(to: &Who, target: Ipv6Addr, options: &[NdOption]) -> Vec<Vec<u8>> {
    send(to, ATTACKER.v6, to.v6, &Nd::answer(target), options)
}

fn redirect(to: &Who, source: Ipv6Addr, target: Ipv6Addr, options: &[NdOption]) -> Vec<Vec<u8>> {
    let destination = FAR_AWAY.parse().unwrap();
    send(to, source, to.lla, &Nd::Redirect { target, destination }, options)
}

pub fn cases() -> Vec<Case> {
    [advertisements(), solicitations(), routers(), option_order(), malformed()].into_iter().flatten().collect()
}

fn advertisements() -> Vec<Case> {
    vec![
        Case::attack(
            "solicited NA claims the neighbour's address",
            "RFC 4861, 7.2.5; RFC 3756, 4.1.1",
            Neighbours,
            |to| answer(to, NEIGHBOUR.v6, &[MINE_TARGET]),
        ),
        Case::attack("the same from the neighbour's address", "RFC 3756, 4.1.1", Neighbours, |to| {
            send(to, NEIGHBOUR.v6, to.v6, &Nd::answer(NEIGHBOUR.v6), &[MINE_TARGET])
        }),
        Case::attack("unsolicited NA to all nodes", "RFC 4861, 7.2.6; RFC 3756, 4.1.1", Neighbours, |to| {
            send(to, ATTACKER.lla, ALL_NODES, &Nd::advertisement(NEIGHBOUR.v6), &[MINE_TARGET])
        }),
        Case::attack("NA claims the neighbour's link-local address", "RFC 3756, 4.1.1", Neighbours, |to| {
            answer(to, NEIGHBOUR.lla, &[MINE_TARGET])
        }),
        Case::attack("NA claims the router's address, as a router", "RFC 3756, 4.2.1", Neighbours, |to| {
            let claim = Nd::NeighborAdvertisement { target: ROUTER.lla, router: true, solicited: true, replace: true };
            send(to, ATTACKER.lla, to.lla, &claim, &[MINE_TARGET])
        }),
        Case::ignored("NA claims an address of nobody", "RFC 3756, 4.1.3", |to| {
            answer(to, "fd00::99".parse().unwrap(), &[MINE_TARGET])
        }),
        Case::ignored("NA says that the victim's address is taken", "RFC 3756, 4.1.3; RFC 4862, 5.4.4", |to| {
            send(to, ATTACKER.lla, ALL_NODES, &Nd::advertisement(to.v6), &[MINE_TARGET])
        }),
        Case::ignored("NA without override", "RFC 4861, 7.2.5", |to| {
            let claim =
                Nd::NeighborAdvertisement { target: NEIGHBOUR.v6, router: false, solicited: true, replace: false };
            send(to, ATTACKER.v6, to.v6, &claim, &[MINE_TARGET])
        }),
        Case::ignored("NA for an own address from the neighbour's", "RFC 4861, 4.4", |to| {
            send(to, NEIGHBOUR.v6, to.v6, &Nd::answer(ATTACKER.v6), &[MINE_TARGET])
        }),
        Case::attack("NA puts an own address at a MAC of nobody", "OVN port security", Neighbours, |to| {
            let mut frames = solicit(to, ATTACKER.v6, &[MINE]);
            frames.extend(answer(to, ATTACKER.v6, &[LIE_TARGET]));
            frames
        }),
    ]
}

fn solicitations() -> Vec<Case> {
    vec![
        Case::attack("NS from the neighbour's address", "RFC 4861, 7.2.3; RFC 3756, 4.1.1", Neighbours, |to| {
            solicit(to, NEIGHBOUR.v6, &[MINE])
        }),
        Case::attack("NS from the neighbour's address, to the group", "RFC 4861, 4.3", Neighbours, |to| {
            send(to, NEIGHBOUR.v6, solicited_node(to.v6), &Nd::solicitation(to.v6), &[MINE])
        }),
        Case::attack("NS from the router's link-local address", "RFC 3756, 4.1.1", Neighbours, |to| {
            solicit(to, ROUTER.lla, &[MINE])
        }),
        Case::attack("NS from an address of nobody", "RFC 3756, 4.1.1", Neighbours, |to| {
            solicit(to, "fd00::99".parse().unwrap(), &[MINE])
        }),
        Case::attack("NS puts an own address at a MAC of nobody", "OVN port security", Neighbours, |to| {
            solicit(to, ATTACKER.v6, &[LIE])
        }),
        Case::attack("NS puts an own address at the neighbour's MAC", "OVN port security", Neighbours, |to| {
            solicit(to, ATTACKER.v6, &[NdOption::SourceLinkLayer(NEIGHBOUR.mac)])
        }),
        Case::ignored("NS from the neighbour's address, no option", "RFC 4861, 4.3", |to| {
            solicit(to, NEIGHBOUR.v6, &[])
        }),
        Case::ignored("NS from :: with a link-layer address", "RFC 4861, 7.1.1", |to| {
            send(to, Ipv6Addr::UNSPECIFIED, solicited_node(to.v6), &Nd::solicitation(to.v6), &[MINE])
        }),
        Case::ignored("NS from :: probes for the neighbour's address", "RFC 3756, 4.1.3; RFC 4862, 5.4.3", |to| {
            let group = solicited_node(NEIGHBOUR.v6);
            send(to, Ipv6Addr::UNSPECIFIED, group, &Nd::solicitation(NEIGHBOUR.v6), &[])
        }),
        Case::ignored("NS from :: to one machine", "RFC 4861, 7.1.1", |to| solicit(to, Ipv6Addr::UNSPECIFIED, &[])),
    ]
}

fn routers() -> Vec<Case> {
    vec![
        Case::attack("RS from the neighbour's address", "RFC 4861, 6.2.6", Neighbours, |to| {
            send(to, NEIGHBOUR.lla, to.lla, &Nd::RouterSolicitation, &[MINE])
        })
        .to(&[HOST]),
        Case::attack("RS puts an own address at a MAC of nobody", "RFC 4861, 6.2.6", Neighbours, |to| {
            send(to, ATTACKER.lla, to.lla, &Nd::RouterSolicitation, &[LIE])
        })
        .to(&[HOST]),
        Case::attack("RA from the neighbour's address", "RFC 4861, 6.3.4; RFC 6104", Neighbours, |to| {
            send(to, NEIGHBOUR.lla, ALL_NODES, &Nd::router_advertisement(0), &[MINE])
        }),
        Case::attack("RA puts an own address at a MAC of nobody", "RFC 4861, 6.3.4", Neighbours, |to| {
            send(to, ATTACKER.lla, ALL_NODES, &Nd::router_advertisement(0), &[LIE])
        }),
        Case::attack("redirect gives the neighbour another MAC", "RFC 4861, 8.3; RFC 3756, 4.2.4", Neighbours, |to| {
            redirect(to, ROUTER.lla, NEIGHBOUR.lla, &[MINE_TARGET])
        })
        .to(&[VICTIM]),
        Case::attack("redirect to the attacker", "RFC 4861, 8.3; RFC 3756, 4.2.4", Redirect, |to| {
            redirect(to, ROUTER.lla, ATTACKER.lla, &[MINE_TARGET])
        })
        .to(&[VICTIM]),
        Case::ignored("redirect from an own address", "RFC 4861, 8.1", |to| {
            redirect(to, ATTACKER.lla, ATTACKER.lla, &[MINE_TARGET])
        }),
    ]
}

fn option_order() -> Vec<Case> {
    vec![
        Case::attack("NA: the second option is the lie", "RFC 4861, 4.6", Neighbours, |to| {
            let mut frames = solicit(to, ATTACKER.v6, &[MINE]);
            frames.extend(answer(to, ATTACKER.v6, &[MINE, LIE_TARGET]));
            frames
        }),
        Case::attack("NS: nonce first, then the lie", "RFC 3971, 5.3.2", Neighbours, |to| {
            solicit(to, ATTACKER.v6, &[NdOption::Nonce([1; 6]), LIE])
        }),
        Case::attack("NS: target option first, then the lie", "RFC 4861, 4.6", Neighbours, |to| {
            solicit(to, ATTACKER.v6, &[MINE_TARGET, LIE])
        }),
        Case::attack("NS: unknown option first, then the lie", "RFC 4861, 4.6", Neighbours, |to| {
            solicit(to, ATTACKER.v6, &[NdOption::Raw(253, 1, vec![0; 6]), LIE])
        }),
        Case::attack("NS: a nonce like an option with the own MAC, then the lie", "RFC 7527", Neighbours, |to| {
            solicit(to, ATTACKER.v6, &[NdOption::Nonce(ATTACKER.mac.0), LIE])
        }),
        Case::attack("RS: MTU first, then the lie", "RFC 4861, 4.6", Neighbours, |to| {
            send(to, ATTACKER.lla, to.lla, &Nd::RouterSolicitation, &[NdOption::Mtu(1500), LIE])
        })
        .to(&[HOST]),
        Case::ignored("NA: the same option twice, the second lies", "RFC 4861, 4.6", |to| {
            answer(to, ATTACKER.v6, &[MINE_TARGET, LIE_TARGET])
        }),
        Case::ignored("NS from ::, with nonce and link-layer address", "RFC 7527", |to| {
            let options = [NdOption::Nonce([1; 6]), MINE];
            send(to, Ipv6Addr::UNSPECIFIED, solicited_node(to.v6), &Nd::solicitation(to.v6), &options)
        }),
    ]
}

/// A solicitation from the neighbour's address, in a packet that is changed.
fn changed(to: &Who, change: impl FnOnce(&mut Ipv6, &mut Segment)) -> Vec<Vec<u8>> {
    let mut ip = Ipv6::neighbor_discovery(NEIGHBOUR.v6, to.v6);
    let mut segment = Nd::solicitation(to.v6).segment(&[MINE]);
    change(&mut ip, &mut segment);
    ipv6_to(to, &ip, &segment)
}

fn malformed() -> Vec<Case> {
    vec![
        Case::ignored("hop limit 254: it came through a router", "RFC 4861, 7.1.1", |to| {
            changed(to, |ip, _| ip.hop_limit = 254)
        }),
        Case::ignored("own address, hop limit 64", "RFC 4861, 7.1.1", |to| {
            changed(to, |ip, _| (ip.source, ip.hop_limit) = (ATTACKER.v6, 64))
        }),
        Case::ignored("code 1", "RFC 4861, 7.1.1", |to| {
            changed(to, |ip, segment| (ip.source, segment.bytes[1]) = (ATTACKER.v6, 1))
        }),
        Case::ignored("an option of length 0", "RFC 4861, 4.6", |to| {
            solicit(to, ATTACKER.v6, &[NdOption::Raw(1, 0, ATTACKER.mac.0.to_vec())])
        }),
        Case::ignored("a link-layer address of 14 octets", "RFC 4861, 4.6.1", |to| {
            solicit(to, ATTACKER.v6, &[NdOption::Raw(1, 2, [&ATTACKER.mac.0[..], &[0; 8]].concat())])
        }),
        Case::ignored("an option that is longer than the packet", "RFC 4861, 4.6", |to| {
            solicit(to, ATTACKER.v6, &[NdOption::Raw(1, 9, ATTACKER.mac.0.to_vec())])
        }),
        Case::ignored("an inverse advertisement", "RFC 3122", |to| {
            let body = [&[0; 4][..], &MINE.bytes(), &MINE_TARGET.bytes()].concat();
            let ip = Ipv6::neighbor_discovery(ATTACKER.v6, to.v6);
            ipv6_to(to, &ip, &Segment::icmpv6(142, 0, &body))
        }),
    ]
}
