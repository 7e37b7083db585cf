//! What the kernel lets through to a socket that listens: a program of its classic packet filter (linux/filter.h).
//!
//! It sees a frame from its Ethernet destination on, as the kernel delivers it to packet sockets: the outermost VLAN tag is taken off, and
//! told beside the frame (PACKET_AUXDATA). So tagged frames need nothing of their own.

/// An instruction: what, where to go on if it is so and if not (so many further), with what.
pub(super) type Instruction = (u16, u8, u8, u32);

/// BPF_LD | BPF_H | BPF_ABS: the two octets at.
const LOAD_TWO: u16 = 0x28;
/// BPF_LD | BPF_B | BPF_ABS: the octet at. What is behind the frame's end ends the program: nothing is let through.
const LOAD_ONE: u16 = 0x30;
/// BPF_JMP | BPF_JEQ | BPF_K: whether it is.
const IS: u16 = 0x15;
/// BPF_RET | BPF_K: so many octets of the frame are let through.
const LET_THROUGH: u16 = 0x06;

/// Octets that are read of a frame: no message that is asked for has more.
pub(super) const LONGEST: u16 = 1514;

/// ARP; and ICMPv6 with hop limit 255 directly behind the IPv6 header: router and neighbour solicitations and neighbour advertisements.
pub(super) const PROGRAM: [Instruction; 11] = [
    (LOAD_TWO, 0, 0, 12),
    (IS, 7, 0, 0x0806),
    (IS, 0, 7, 0x86dd),
    // Next header and hop limit.
    (LOAD_TWO, 0, 0, 20),
    (IS, 0, 5, 0x3aff),
    (LOAD_ONE, 0, 0, 54),
    (IS, 2, 0, 133),
    (IS, 1, 0, 135),
    (IS, 0, 1, 136),
    (LET_THROUGH, 0, 0, LONGEST as u32),
    (LET_THROUGH, 0, 0, 0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Mac;
    use crate::packet::nd::{Nd, NdOption};
    use crate::packet::{Arp, Ethernet, Extension, Ipv6, Tag, Udp, ether_type};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// The kernel's machine, as far as the program needs it.
    fn lets_through(frame: &[u8]) -> usize {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let (what, so, not, with) = PROGRAM[at];
            let place = with as usize;
            at += 1;
            match what {
                LOAD_TWO => match frame.get(place..place + 2) {
                    Some(two) => accumulator = u32::from(two[0]) << 8 | u32::from(two[1]),
                    None => return 0,
                },
                LOAD_ONE => match frame.get(place) {
                    Some(one) => accumulator = u32::from(*one),
                    None => return 0,
                },
                IS => at += usize::from(if accumulator == with { so } else { not }),
                LET_THROUGH => return place.min(frame.len()),
                other => panic!("{other}"),
            }
        }
    }

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
        Ethernet::new(Ethernet::BROADCAST, MAC).frame(kind, payload)
    }

    #[test]
    fn what_tells_of_neighbours_comes_through_whole() {
        let arp = ethernet(ether_type::ARP, &Arp::announcement((MAC, Ipv4Addr::LOCALHOST)).packet());
        assert_eq!(lets_through(&arp), arp.len());
        for message in [Nd::RouterSolicitation, Nd::solicitation(V6), Nd::answer(V6)] {
            let segment = message.segment(&[NdOption::SourceLinkLayer(MAC)]);
            let frame = ethernet(ether_type::IPV6, &Ipv6::neighbor_discovery(V6, V6).packet(&segment));
            assert_eq!(lets_through(&frame), frame.len(), "{message:?}");
        }
    }

    #[test]
    fn everything_else_stays_in_the_kernel() {
        let header = Ipv6::neighbor_discovery(V6, V6);
        let advertisement = Nd::router_advertisement(9).segment(&[]);
        let solicitation = Nd::solicitation(V6).segment(&[]);
        for packet in [
            header.packet(&advertisement),
            Ipv6 { hop_limit: 64, ..header.clone() }.packet(&solicitation),
            header.clone().with(Extension::empty_destination_options()).packet(&solicitation),
            header.packet(&Udp::new(546, 547, [135; 32]).segment()),
        ] {
            assert_eq!(lets_through(&ethernet(ether_type::IPV6, &packet)), 0, "{packet:?}");
        }
        for kind in [ether_type::IPV4, ether_type::RARP, ether_type::LLDP] {
            assert_eq!(lets_through(&ethernet(kind, &[0x3a; 100])), 0, "{kind:#x}");
        }
        let arp = Arp::announcement((MAC, Ipv4Addr::LOCALHOST)).packet();
        let inner = Ethernet::new(Ethernet::BROADCAST, MAC).tagged(Tag::vlan(7)).frame(ether_type::ARP, &arp);
        assert_eq!(lets_through(&inner), 0);
    }

    proptest! {
        #[test]
        fn the_program_ends_on_any_octets(frame in vec(any::<u8>(), 0..80)) {
            prop_assert!(lets_through(&frame) <= frame.len());
        }
    }
}
