//! Messages from octets to values, and the checks that RFC 4861 demands before one is believed.

use super::{Nd, NdOption};
use crate::net::{DomainName, Mac};
use crate::packet::{Malformed, Reader, domain, ipv6, protocol, put};
use std::net::Ipv6Addr;

/// A message and its options in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The message.
    pub message: Nd,
    /// All options; of a type or a form that is not known here: [`NdOption::Raw`].
    pub options: Vec<NdOption>,
}

impl Received {
    /// What the sender says its link-layer address is.
    pub fn source_link_layer(&self) -> Option<Mac> {
        self.options.iter().find_map(|option| match option {
            NdOption::SourceLinkLayer(mac) => Some(*mac),
            _ => None,
        })
    }

    /// What it says the target's link-layer address is.
    pub fn target_link_layer(&self) -> Option<Mac> {
        self.options.iter().find_map(|option| match option {
            NdOption::TargetLinkLayer(mac) => Some(*mac),
            _ => None,
        })
    }
}

/// The neighbour discovery message in a packet, after all checks of sections 6.1, 7.1 and 8.1: hop limit 255, so that it
/// comes from the link itself; checksum; code 0; lengths; who may send what to whom. Behind an extension header it is
/// refused: of those only an atomic fragment is forbidden (RFC 6980), but no host has a use for the others.
///
/// # Errors
/// What is wrong.
pub fn receive(packet: &ipv6::Received) -> Result<Received, Malformed> {
    if packet.protocol != protocol::ICMPV6 {
        return Err(Malformed("no ICMPv6"));
    }
    if packet.extended {
        return Err(Malformed("ND: behind an extension header"));
    }
    if packet.hop_limit != 255 {
        return Err(Malformed("ND: hop limit is not 255"));
    }
    if !packet.verifies() {
        return Err(Malformed("ICMPv6: wrong checksum"));
    }
    let received = parse(packet.payload)?;
    let from_nobody = packet.source.is_unspecified();
    let link_local = packet.source.is_unicast_link_local();
    match &received.message {
        Nd::RouterSolicitation | Nd::NeighborSolicitation { .. }
            if from_nobody && received.source_link_layer().is_some() =>
        {
            Err(Malformed("ND: from nobody, with a source link-layer address"))
        }
        Nd::NeighborSolicitation { .. } if from_nobody && !is_solicited_node(packet.destination) => {
            Err(Malformed("NS: from nobody, not to a solicited-node group"))
        }
        Nd::NeighborAdvertisement { solicited: true, .. } if packet.destination.is_multicast() => {
            Err(Malformed("NA: solicited, to a group"))
        }
        Nd::RouterAdvertisement { .. } | Nd::Redirect { .. } if !link_local => {
            Err(Malformed("ND: a router's message, not from a link-local address"))
        }
        _ => Ok(received),
    }
}

/// Whether this is the group of some address, ff02::1:ff00:0/104.
fn is_solicited_node(group: Ipv6Addr) -> bool {
    group == super::solicited_node(group)
}

/// The message in these octets from the ICMPv6 header on. Neither the checksum nor anything of the IPv6 header is
/// looked at.
///
/// # Errors
/// It is another message, or lengths or values are not as RFC 4861 has them.
pub fn parse(icmpv6: &[u8]) -> Result<Received, Malformed> {
    let mut reader = Reader::new(icmpv6, "ND: cut short");
    let (kind, code) = (reader.u8()?, reader.u8()?);
    reader.u16()?;
    if code != 0 {
        return Err(Malformed("ND: code is not 0"));
    }
    let message = match kind {
        super::ROUTER_SOLICITATION => {
            reader.u32()?;
            Nd::RouterSolicitation
        }
        super::ROUTER_ADVERTISEMENT => Nd::RouterAdvertisement {
            hop_limit: reader.u8()?,
            flags: reader.u8()?,
            lifetime: reader.u16()?,
            timers: (reader.u32()?, reader.u32()?),
        },
        super::NEIGHBOR_SOLICITATION => {
            reader.u32()?;
            Nd::NeighborSolicitation { target: target(&mut reader)? }
        }
        super::NEIGHBOR_ADVERTISEMENT => {
            let [flags, ..] = reader.array::<4>()?;
            let [router, solicited, replace] = [0x80, 0x40, 0x20].map(|bit| flags & bit != 0);
            Nd::NeighborAdvertisement { target: target(&mut reader)?, router, solicited, replace }
        }
        super::REDIRECT => {
            reader.u32()?;
            Nd::Redirect { target: target(&mut reader)?, destination: target(&mut reader)? }
        }
        _ => return Err(Malformed("no ND")),
    };
    let mut options = Vec::new();
    while !reader.is_empty() {
        options.push(option(&mut reader)?);
    }
    Ok(Received { message, options })
}

fn target(reader: &mut Reader) -> Result<Ipv6Addr, Malformed> {
    match Ipv6Addr::from(reader.array::<16>()?) {
        target if target.is_multicast() => Err(Malformed("ND: a group as target")),
        target => Ok(target),
    }
}

/// The option at the start of what is left (section 4.6). Each takes eight octets at least.
fn option(reader: &mut Reader) -> Result<NdOption, Malformed> {
    let (kind, units) = (reader.u8()?, reader.u8()?);
    // "Nodes MUST silently discard an ND packet that contains an option with length zero."
    let length = (usize::from(units) * 8).checked_sub(2).ok_or(Malformed("ND: an option of no length"))?;
    let content = reader.take(length)?;
    let mut reader = Reader::new(content, "ND: an option cut short");
    let option = match (kind, units) {
        (1, 1) => NdOption::SourceLinkLayer(Mac(reader.array()?)),
        (2, 1) => NdOption::TargetLinkLayer(Mac(reader.array()?)),
        // On Ethernet these have one length (RFC 2464, section 6).
        (1 | 2, _) => return Err(Malformed("ND: a link-layer address that is none of Ethernet")),
        (3, 4) => {
            let (length, flags) = (bits(&mut reader)?, reader.u8()?);
            let (valid, preferred) = (reader.u32()?, reader.u32()?);
            reader.u32()?;
            let prefix = Ipv6Addr::from(reader.array::<16>()?);
            NdOption::PrefixInformation { prefix, length, flags, lifetimes: (preferred, valid) }
        }
        (4, 2..) => NdOption::RedirectedHeader(reader.rest().get(6..).unwrap_or_default().to_vec()),
        (5, 1) => {
            reader.u16()?;
            NdOption::Mtu(reader.u32()?)
        }
        (14, 1) => NdOption::Nonce(reader.array()?),
        (24, 1..=3) => route(&mut reader)?,
        (25, 3..) if units % 2 == 1 => {
            reader.u16()?;
            let lifetime = reader.u32()?;
            NdOption::RecursiveDns(lifetime, reader.arrays::<16>()?.into_iter().map(Ipv6Addr::from).collect())
        }
        (31, 2..) => {
            reader.u16()?;
            let lifetime = reader.u32()?;
            NdOption::SearchList(lifetime, search_list(reader)?)
        }
        (3 | 4 | 5 | 24 | 25 | 31, _) => return Err(Malformed("ND: an option of a wrong length")),
        _ => NdOption::Raw(kind, units, content.to_vec()),
    };
    Ok(option)
}

fn bits(reader: &mut Reader) -> Result<u8, Malformed> {
    reader.u8().and_then(|bits| if bits <= 128 { Ok(bits) } else { Err(Malformed("ND: a prefix of over 128 bits")) })
}

/// A route (RFC 4191, section 2.3): as many octets of the prefix as its length needs by eights; more say nothing.
fn route(reader: &mut Reader) -> Result<NdOption, Malformed> {
    let (length, preference, lifetime) = (bits(reader)?, reader.u8()?, reader.u32()?);
    let said = reader.rest().get(..usize::from(length.div_ceil(64)) * 8);
    let mut octets = [0; 16];
    put(&mut octets, 0, said.ok_or(Malformed("ND: an option of a wrong length"))?);
    Ok(NdOption::RouteInformation { prefix: Ipv6Addr::from(octets), length, preference, lifetime })
}

/// Names up to the zeros that fill the option up (RFC 8106, section 5.2).
fn search_list(mut reader: Reader) -> Result<Vec<DomainName>, Malformed> {
    let mut names = Vec::new();
    while reader.rest().first().is_some_and(|octet| *octet != 0) {
        names.push(domain::name(&mut reader)?);
    }
    if reader.rest().iter().any(|octet| *octet != 0) {
        return Err(Malformed("ND: names behind the last one"));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::super::{multicast_mac, solicited_node};
    use super::*;
    use crate::packet::{Extension, Ipv6};

    const NONE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
    const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    const MINE: NdOption = NdOption::SourceLinkLayer(Mac([2, 0, 0, 0, 0, 1]));

    fn received(header: &Ipv6, message: &Nd, options: &[NdOption]) -> Result<Received, Malformed> {
        ipv6::parse(&header.packet(&message.segment(options))).and_then(|packet| receive(&packet))
    }

    fn refused(source: Ipv6Addr, destination: Ipv6Addr, message: &Nd, options: &[NdOption]) -> &'static str {
        received(&Ipv6::neighbor_discovery(source, destination), message, options).unwrap_err().0
    }

    #[test]
    fn all_messages_and_options_come_back() {
        let prefix = "2001:db8:1:2::".parse().unwrap();
        let options = [
            MINE,
            NdOption::TargetLinkLayer(Mac([2, 0, 0, 0, 0, 9])),
            NdOption::PrefixInformation { prefix, length: 64, flags: 0xc0, lifetimes: (1, 2) },
            NdOption::RedirectedHeader(vec![7; 40]),
            NdOption::Mtu(1400),
            NdOption::Nonce([1; 6]),
            NdOption::RouteInformation { prefix: NONE, length: 0, preference: 0x18, lifetime: 4 },
            NdOption::RouteInformation { prefix, length: 64, preference: 8, lifetime: 4 },
            NdOption::RecursiveDns(5, vec![HOST, prefix]),
            NdOption::SearchList(6, vec!["example.com".parse().unwrap(), "a".parse().unwrap()]),
            NdOption::Raw(200, 2, vec![3; 14]),
        ];
        for message in [
            Nd::RouterSolicitation,
            Nd::RouterAdvertisement { hop_limit: 3, flags: 0xc8, lifetime: 4, timers: (5, 6) },
            Nd::solicitation(prefix),
            Nd::NeighborAdvertisement { target: prefix, router: true, solicited: false, replace: false },
            Nd::NeighborAdvertisement { target: prefix, router: false, solicited: true, replace: true },
            Nd::Redirect { target: HOST, destination: prefix },
        ] {
            let back = received(&Ipv6::neighbor_discovery(HOST, prefix), &message, &options).unwrap();
            assert_eq!((back.message, &back.options[..]), (message, &options[..]));
        }
    }

    #[test]
    fn only_what_comes_from_the_link_unchanged_is_believed() {
        let good = Ipv6::neighbor_discovery(HOST, ROUTERS);
        let refused = |header: &Ipv6| received(header, &Nd::RouterSolicitation, &[]).unwrap_err().0;
        assert!(received(&good, &Nd::RouterSolicitation, &[]).is_ok());
        for hop_limit in [0, 1, 64, 254] {
            assert_eq!(refused(&Ipv6 { hop_limit, ..good.clone() }), "ND: hop limit is not 255");
        }
        for extension in [Extension::empty_destination_options(), Extension::atomic_fragment()] {
            assert_eq!(refused(&good.clone().with(extension)), "ND: behind an extension header");
        }
        let mut packet = good.packet(&Nd::RouterSolicitation.segment(&[]));
        packet[23] ^= 1;
        let parsed = ipv6::parse(&packet).unwrap();
        assert_eq!(receive(&parsed), Err(Malformed("ICMPv6: wrong checksum")));
        assert_eq!(receive(&ipv6::Received { protocol: 17, ..parsed }), Err(Malformed("no ICMPv6")));
    }

    #[test]
    fn who_may_send_what_to_whom() {
        let target = "2001:db8::5".parse().unwrap();
        let (solicitation, group) = (Nd::solicitation(target), solicited_node(target));
        let nobody = "ND: from nobody, with a source link-layer address";
        assert_eq!(refused(NONE, ROUTERS, &Nd::RouterSolicitation, &[MINE]), nobody);
        assert_eq!(refused(NONE, group, &solicitation, &[MINE]), nobody);
        assert!(received(&Ipv6::neighbor_discovery(NONE, group), &solicitation, &[]).is_ok());
        for destination in [target, ROUTERS, "ff02::1:fe00:5".parse().unwrap(), "ff05::1:ff00:5".parse().unwrap()] {
            let reason = "NS: from nobody, not to a solicited-node group";
            assert_eq!(refused(NONE, destination, &solicitation, &[]), reason, "{destination}");
        }
        assert_eq!(refused(HOST, group, &Nd::answer(target), &[]), "NA: solicited, to a group");
        let router = "ND: a router's message, not from a link-local address";
        assert_eq!(refused(target, ROUTERS, &Nd::router_advertisement(9), &[]), router);
        assert_eq!(refused(NONE, ROUTERS, &Nd::Redirect { target, destination: target }, &[]), router);
        assert_eq!(refused(HOST, group, &Nd::solicitation(group), &[]), "ND: a group as target");
        assert_eq!(multicast_mac(group).0[2], 0xff);
    }

    #[test]
    fn lengths_are_those_that_the_types_have() {
        let refused = |kind: u8, units: u8, content: &[u8]| {
            let segment = Nd::RouterSolicitation.segment(&[NdOption::Raw(kind, units, content.to_vec())]);
            parse(&segment.bytes).unwrap_err().0
        };
        assert_eq!(refused(1, 0, &[0; 6]), "ND: an option of no length");
        assert_eq!(refused(99, 0, &[]), "ND: an option of no length");
        assert_eq!(refused(99, 2, &[0; 6]), "ND: cut short");
        assert_eq!(refused(99, 1, &[0; 3]), "ND: cut short");
        assert_eq!(refused(1, 2, &[0; 14]), "ND: a link-layer address that is none of Ethernet");
        for (kind, units) in [(3, 3), (3, 5), (4, 1), (5, 2), (24, 4), (25, 1), (25, 2), (25, 4), (31, 1)] {
            let content = vec![0; usize::from(units) * 8 - 2];
            assert_eq!(refused(kind, units, &content), "ND: an option of a wrong length", "{kind} {units}");
        }
        assert_eq!(refused(24, 2, &[[65, 0].as_slice(), &[0; 12]].concat()), "ND: an option of a wrong length");
        for (kind, units) in [(3, 4), (24, 3)] {
            let content = [vec![129], vec![0; units * 8 - 3]].concat();
            assert_eq!(refused(kind, u8::try_from(units).unwrap(), &content), "ND: a prefix of over 128 bits");
        }
        let names = |names: &[u8]| [&[0; 6][..], names].concat();
        assert_eq!(refused(31, 2, &names(b"\x01a\0\0\0\x01a\0")), "ND: names behind the last one");
        assert_eq!(refused(31, 2, &names(b"\x09a\0\0\0\x01a\0")), "ND: an option cut short");
    }

    #[test]
    fn a_message_cut_anywhere_is_refused() {
        for message in [Nd::RouterSolicitation, Nd::router_advertisement(1), Nd::solicitation(HOST), Nd::answer(HOST)] {
            let bytes = message.segment(&[MINE]).bytes;
            for length in (0..bytes.len()).filter(|length| length + 8 != bytes.len()) {
                assert_eq!(parse(&bytes[..length]), Err(Malformed("ND: cut short")), "{message:?} {length}");
            }
        }
        assert_eq!(parse(&[133, 1, 0, 0, 0, 0, 0, 0]), Err(Malformed("ND: code is not 0")));
        assert_eq!(parse(&[132, 0, 0, 0, 0, 0, 0, 0]), Err(Malformed("no ND")));
    }
}
