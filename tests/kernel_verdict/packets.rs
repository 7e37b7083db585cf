//! Random frames about the addresses of random registries, most of them nearly right.

use crate::dice::Dice;
use crate::registries::{GLOBAL, LINK_LOCAL, MACS, UNIQUE_LOCAL, V4};
use instances::net::Mac;
use instances::packet::dhcp4::Dhcp4;
use instances::packet::dhcp6::Dhcp6;
use instances::packet::igmp::Igmp;
use instances::packet::mld::Mld;
use instances::packet::nd::{Nd, NdOption};
use instances::packet::{Arp, Ethernet, Extension, Ipv4, Ipv6, Segment, Tag, Udp, ether_type};
use std::net::{Ipv4Addr, Ipv6Addr};

const TYPES: [u16; 9] = [
    ether_type::IPV4,
    ether_type::IPV6,
    ether_type::ARP,
    ether_type::RARP,
    ether_type::LLDP,
    ether_type::MPLS,
    ether_type::PPPOE_SESSION,
    0x9100,
    0x88e3,
];

/// A frame to this destination.
pub fn frame(dice: &mut Dice, destination: Mac) -> Vec<u8> {
    let source = if dice.percent(2) { dice.pick(&[Mac([3, 0, 0, 0, 0, 1]), Mac([0; 6])]) } else { mac(dice) };
    let mut ethernet = Ethernet::new(destination, source);
    if dice.percent(15) {
        for _ in 0..=dice.below(3) {
            let protocol = dice.pick(&[ether_type::VLAN, ether_type::VLAN, ether_type::SERVICE_VLAN, 0x9100]);
            let vlan = dice.pick(&[0, 0, 1, 5, 4095]);
            ethernet = ethernet.tagged(Tag { protocol, vlan, priority: dice.byte() & 7 });
        }
    }
    let (mut ether_type, packet) = match dice.below(20) {
        0..4 => (ether_type::ARP, arp(dice, source)),
        4..9 => (ether_type::IPV4, ipv4(dice, source)),
        9..18 => (ether_type::IPV6, ipv6(dice, source)),
        _ => {
            let count = dice.below(90);
            (dice.pick(&TYPES), dice.bytes(count))
        }
    };
    if dice.percent(3) {
        ether_type = dice.pick(&TYPES);
    }
    let mut frame = if dice.percent(2) { ethernet.length_frame(&packet) } else { ethernet.frame(ether_type, &packet) };
    if dice.percent(35) {
        mutate(dice, &mut frame);
    }
    // Where br_netfilter is loaded it drops, though switched off, what says to be PPPoE or a second tag and is shorter.
    if frame.len() < 26 && [ether_type::PPPOE_SESSION, ether_type::VLAN].iter().any(|kind| is_of(&frame, *kind)) {
        frame.resize(26, 0);
    }
    frame
}

/// Whether the frame is of this type, perhaps behind a tag.
fn is_of(frame: &[u8], ether_type: u16) -> bool {
    [12, 16].iter().any(|at| frame.get(*at..at + 2) == Some(&ether_type.to_be_bytes()))
}

/// Changes octets behind the addresses, cuts off, or adds.
fn mutate(dice: &mut Dice, frame: &mut Vec<u8>) {
    // Where headers are.
    let within = frame.len().min(90);
    match dice.below(10) {
        0..6 => {
            for _ in 0..=dice.below(3) {
                frame[12 + dice.below(within - 12)] = dice.odd_byte();
            }
        }
        6..9 => frame.truncate(14 + dice.below(frame.len() - 14)),
        _ => {
            let count = dice.below(40);
            frame.extend(dice.bytes(count));
        }
    }
}

fn mac(dice: &mut Dice) -> Mac {
    if dice.percent(90) { dice.pick(&MACS[..3]) } else { dice.pick(&[MACS[4], Mac([2, 9, 9, 9, 9, 9])]) }
}

fn mostly(dice: &mut Dice, own: Mac) -> Mac {
    if dice.percent(80) { own } else { mac(dice) }
}

fn v4(dice: &mut Dice) -> Ipv4Addr {
    match dice.below(8) {
        0 => Ipv4Addr::UNSPECIFIED,
        1 => Ipv4Addr::from([10, 1, dice.byte(), dice.byte()]),
        _ => dice.pick(&V4).parse().unwrap(),
    }
}

fn v6(dice: &mut Dice, of: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = of.0;
    let usual = Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    match dice.below(9) {
        0 => Ipv6Addr::UNSPECIFIED,
        1..3 => usual,
        3 => dice.pick(&LINK_LOCAL).parse().unwrap(),
        4 => format!("fd07:0:0:{:x}::5", dice.byte()).parse().unwrap(),
        5 => dice.pick(&GLOBAL).parse().unwrap(),
        6 => dice.pick(&["ff02::1", "::1", "ff02::1:ff00:1"]).parse().unwrap(),
        _ => dice.pick(&UNIQUE_LOCAL).parse().unwrap(),
    }
}

fn arp(dice: &mut Dice, source: Mac) -> Vec<u8> {
    let operation = if dice.percent(90) { dice.pick(&[1, 2]) } else { dice.pick(&[0, 3, 8, 0x0101]) };
    let mut arp = Arp::new(operation, (mostly(dice, source), v4(dice)), (mac(dice), v4(dice)));
    if dice.percent(5) {
        arp.hardware = dice.pick(&[6, 15, 0]);
    }
    if dice.percent(5) {
        arp.lengths = Some((dice.pick(&[6, 8, 0]), dice.pick(&[4, 16, 0])));
    }
    arp.packet()
}

fn ipv4(dice: &mut Dice, source: Mac) -> Vec<u8> {
    let mut ip = Ipv4::new(v4(dice), dice.pick(&[Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 2)]));
    if dice.percent(15) {
        let count = dice.below(12);
        ip.options = dice.bytes(count);
    }
    let segment = match dice.below(6) {
        0..2 => dhcp4(dice, source),
        2 => igmp(dice),
        3 => Udp::new(dice.pick(&[53, 67, 68]), dice.pick(&[53, 67, 68]), dice.bytes(9)).segment(),
        _ => {
            let count = dice.below(24);
            Segment::raw(dice.pick(&[1, 2, 6, 17, 41, 58, 103, 112]), dice.bytes(count))
        }
    };
    if dice.percent(12) {
        let offset = dice.pick(&[0, 8, 16, 8 * 0x1fff]);
        return ip.part(segment.protocol, offset, dice.percent(50), &segment.bytes);
    }
    ip.packet(&segment)
}

fn dhcp4(dice: &mut Dice, source: Mac) -> Segment {
    let mut message = Dhcp4::from_client(dice.pick(&[1, 3, 7]), mostly(dice, source));
    if dice.percent(15) {
        message.relay = v4(dice);
    }
    if dice.percent(15) {
        message.op = dice.pick(&[0, 2]);
    }
    let segment = message.segment();
    if dice.percent(20) { Udp::new(67, 68, segment.bytes[8..].to_vec()).segment() } else { segment }
}

fn igmp(dice: &mut Dice) -> Segment {
    let group = Ipv4Addr::new(224, 0, 1, 5);
    match dice.below(6) {
        0 => Igmp::QueryV1.segment(),
        1 => Igmp::QueryV3(group).segment(),
        2 => Igmp::ReportV2(group).segment(),
        3 => Igmp::ReportV3(vec![group]).segment(),
        _ => Segment::raw(2, [dice.pick(&[0x11, 0x13, 0x30, 0x31, 0x32, 0x17]), 0, 0, 0, 224, 0, 1, 5]),
    }
}

fn ipv6(dice: &mut Dice, source: Mac) -> Vec<u8> {
    let of = mostly(dice, source);
    let (from, to) = (v6(dice, of), "ff02::1".parse().unwrap());
    let mut ip = match dice.below(10) {
        0 => Ipv6::new(from, to),
        1 => Ipv6::mld(from, to),
        _ => Ipv6::neighbor_discovery(from, to),
    };
    if dice.percent(25) {
        for _ in 0..=dice.below(3) {
            ip = ip.with(extension(dice));
        }
    }
    let segment = match dice.below(12) {
        0..6 => nd(dice, source),
        6..8 => mld(dice),
        8..10 => dhcp6(dice, source),
        _ => {
            let count = dice.below(30);
            Segment::raw(dice.pick(&[6, 17, 58, 59, 41, 103, 50, 135, 139]), dice.bytes(count))
        }
    };
    if dice.percent(10) {
        let cuts = [dice.pick(&[8, 16, 24])];
        let fragments = ip.fragments(dice.below(2), &segment, 7, &cuts);
        return fragments[dice.below(fragments.len())].clone();
    }
    ip.packet(&segment)
}

fn extension(dice: &mut Dice) -> Extension {
    let offset = dice.pick(&[0, 0, 8, 64]);
    match dice.below(8) {
        0 => Extension::router_alert(),
        1 => Extension::HopByHop(vec![]),
        2 => Extension::empty_destination_options(),
        3 => Extension::DestinationOptions(vec![1, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        4 => Extension::Routing { kind: dice.pick(&[0, 2, 4]), segments_left: dice.byte() & 1, data: vec![0; 4] },
        5 => Extension::Authentication,
        6 => Extension::Fragment { offset, more: dice.percent(50), identification: 7 },
        _ => Extension::Other(dice.pick(&[135, 139, 140, 253]), vec![0; 6]),
    }
}

fn nd(dice: &mut Dice, source: Mac) -> Segment {
    let of = mostly(dice, source);
    let target = v6(dice, of);
    let kind = dice.below(9);
    let message = match kind {
        0..3 => Nd::solicitation(target),
        3..6 => Nd::advertisement(target),
        6 => Nd::RouterSolicitation,
        7 => Nd::router_advertisement(1800),
        _ => Nd::Redirect { target, destination: v6(dice, source) },
    };
    let option = |dice: &mut Dice| match dice.below(6) {
        0 => NdOption::Nonce([1; 6]),
        1 => NdOption::Raw(dice.odd_byte(), dice.byte() & 3, vec![0; 6]),
        2..4 => NdOption::SourceLinkLayer(mostly(dice, source)),
        _ => NdOption::TargetLinkLayer(mostly(dice, source)),
    };
    let count = dice.pick(&[0, 1, 1, 1, 2]);
    let options: Vec<_> = (0..count).map(|_| option(dice)).collect();
    let mut segment = message.segment(&options);
    if dice.percent(5) {
        segment.bytes[1] = dice.odd_byte();
    }
    segment
}

fn mld(dice: &mut Dice) -> Segment {
    let group = "ff02::1:ff00:1".parse().unwrap();
    match dice.below(5) {
        0 => Mld::QueryV1(group).segment(),
        1 => Mld::QueryV2(group).segment(),
        2 => Mld::ReportV1(group).segment(),
        3 => Mld::ReportV2(vec![group]).segment(),
        _ => Segment::icmpv6(dice.pick(&[1, 2, 3, 4, 128, 129, 132, 138, 141, 142, 151, 152, 153]), 0, &[0; 20]),
    }
}

fn dhcp6(dice: &mut Dice, source: Mac) -> Segment {
    let message = Dhcp6::from_client(dice.pick(&[1, 2, 3, 5, 7, 9, 11, 12]), source);
    let ports = dice.pick(&[(546, 547), (546, 547), (547, 546), (547, 547), (546, 53)]);
    message.segment(ports.0, ports.1)
}
