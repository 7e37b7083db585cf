//! What others make of the same octets: scapy (packets of `tests/nfdhcpd/scapy`), dhcproto.

use super::round_trips::dhcp6_options;
use super::setting::{GUEST, HOST, guest, v6};
use dhcproto::{Decodable, Decoder, Encodable, v6 as other};
use instances::packet::dhcp6::{self, Association, Dhcp6, Dhcp6Option, Duid, Lease, Message, kind};
use instances::packet::ipv6::{self, Ipv6};
use instances::packet::nd::{self, Nd, NdOption};
use instances::packet::protocol;
use proptest::prelude::*;
use std::collections::HashSet;

const SCAPY: &str = include_str!("../nfdhcpd/scapy/ipv6.txt");

fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let lines: Vec<_> = SCAPY.lines().collect();
    let packet = |lines: &[&'static str]| {
        let hex = lines[1];
        let octets = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap());
        (lines[0].strip_prefix("# ").unwrap(), octets.collect())
    };
    lines.chunks(2).map(packet).collect()
}

fn scapys(name: &str) -> Vec<u8> {
    packets().into_iter().find(|(other, _)| *other == name).unwrap().1
}

#[test]
fn scapys_packets_are_read_and_built_again_to_the_octet() {
    for (name, packet) in packets().into_iter().filter(|(name, _)| *name != "rs-behind-options") {
        let received = ipv6::parse(&packet).unwrap();
        let ipv6::Received { source, destination, traffic_class, hop_limit, .. } = received;
        let header = Ipv6 { traffic_class, hop_limit, ..Ipv6::new(source, destination) };
        let segment = if received.protocol == protocol::ICMPV6 {
            let nd::Received { message, options } = nd::receive(&received).unwrap();
            message.segment(&options)
        } else {
            let udp = received.udp().unwrap();
            dhcp6::parse(udp.data).unwrap().segment(udp.source, udp.destination)
        };
        assert_eq!(header.packet(&segment), packet, "{name}");
    }
    let hidden = scapys("rs-behind-options");
    assert_eq!(nd::receive(&ipv6::parse(&hidden).unwrap()).unwrap_err().0, "ND: behind an extension header");
}

#[test]
fn scapys_router_advertisement_says_what_scapy_was_told() {
    let packet = scapys("ra");
    let received = nd::receive(&ipv6::parse(&packet).unwrap()).unwrap();
    let expected = Nd::RouterAdvertisement { hop_limit: 64, flags: 0xc8, lifetime: 1800, timers: (5, 6) };
    assert_eq!(received.message, expected);
    let options = [
        NdOption::SourceLinkLayer(HOST),
        NdOption::PrefixInformation { prefix: v6("2001:db8:a:b::"), length: 64, flags: 0xc0, lifetimes: (1000, 2000) },
        NdOption::Mtu(1400),
        NdOption::RouteInformation { prefix: v6("2001:db8:77::"), length: 56, preference: 8, lifetime: 600 },
        NdOption::RecursiveDns(900, vec![v6("2001:db8:100::1"), v6("2001:db8:200::2")]),
        NdOption::SearchList(900, vec!["example.com".parse().unwrap(), "a.example".parse().unwrap()]),
    ];
    assert_eq!(received.options, options);
}

fn solicit() -> Dhcp6 {
    let options = vec![
        Dhcp6Option::Client(Duid::link_layer(GUEST)),
        Dhcp6Option::Elapsed(7),
        Dhcp6Option::RapidCommit,
        Dhcp6Option::Requested(vec![23, 24, 56]),
        Dhcp6Option::Addresses(Association::new(1)),
        Dhcp6Option::Prefixes(Association::new(2)),
    ];
    Dhcp6::Direct(Message { kind: kind::SOLICIT, transaction: 0x00ab_cdef, options })
}

#[test]
fn scapys_dhcpv6_says_what_scapy_was_told() {
    let read = |name: &str| dhcp6::parse(ipv6::parse(&scapys(name)).unwrap().udp().unwrap().data).unwrap();
    assert_eq!(read("solicit"), solicit());
    let mark = Dhcp6Option::Other(18, b"eth7".to_vec());
    let (link, peer) = (v6("2001:db8::9"), guest());
    let message = Box::new(solicit());
    let relayed = Dhcp6::Relayed { kind: kind::RELAY_FORWARD, hops: 1, link, peer, options: vec![mark], message };
    assert_eq!(read("relayed"), relayed);
    let address = Lease { lifetimes: (1000, 2000), ..Lease::new(v6("2001:db8:a:b::5"), 128) };
    let association = Association {
        timers: (500, 800),
        leases: vec![address],
        status: Some((0, "ok".to_owned())),
        ..Association::new(1)
    };
    let options = vec![
        Dhcp6Option::Client(Duid::link_layer(GUEST)),
        Dhcp6Option::Server(Duid::link_layer_and_time(HOST, 0x0102_0304)),
        Dhcp6Option::Addresses(association),
        Dhcp6Option::DnsServers(vec![v6("2001:db8:100::1")]),
        Dhcp6Option::SearchList(vec!["example.com".parse().unwrap()]),
    ];
    assert_eq!(read("reply"), Dhcp6::Direct(Message { kind: kind::REPLY, transaction: 3, options }));
}

/// As dhcproto has it: options by number, also inside of associations, groups among time servers are something else, and
/// names that end alike are compressed, which RFC 8415 section 10 forbids: no two do.
fn in_its_order(mut options: Vec<Dhcp6Option>) -> Vec<Dhcp6Option> {
    options.sort_by_key(Dhcp6Option::number);
    for option in &mut options {
        match option {
            Dhcp6Option::Prefixes(association) => association.status = None,
            Dhcp6Option::TimeServers(servers) => servers.retain(|server| !server.is_multicast()),
            Dhcp6Option::SearchList(names) => {
                let mut ends = HashSet::new();
                names.retain(|name| ends.insert(name.labels().last().map(str::to_owned)));
            }
            // Of what it knows, the content would have to be right.
            Dhcp6Option::Other(number, _) => *number |= 0xf000,
            _ => {}
        }
    }
    options.sort_by_key(Dhcp6Option::number);
    options
}

proptest! {
    #[test]
    fn dhcproto_reads_what_we_build_and_we_read_what_it_builds(options in dhcp6_options()) {
        let options = in_its_order(options);
        let ours = Message { kind: kind::REPLY, transaction: 0x0012_3456, options };
        let theirs = other::Message::decode(&mut Decoder::new(&ours.bytes())).unwrap();
        prop_assert_eq!(theirs.xid_num(), 0x0012_3456);
        prop_assert_eq!(theirs.msg_type(), other::MessageType::Reply);
        prop_assert_eq!(theirs.opts().iter().count(), ours.options.len());
        prop_assert_eq!(dhcp6::parse(&theirs.to_vec().unwrap()), Ok(Dhcp6::Direct(ours)));
    }
}

#[test]
fn dhcproto_sees_the_lease_that_we_give() {
    let bytes = Dhcp6::from_server(kind::REPLY, HOST, GUEST, v6("2001:db8::5")).bytes();
    let theirs = other::Message::decode(&mut Decoder::new(&bytes)).unwrap();
    let Some(other::DhcpOption::IANA(association)) = theirs.opts().get(other::OptionCode::IANA) else {
        panic!("{theirs:?}");
    };
    let Some(other::DhcpOption::IAAddr(lease)) = association.opts.get(other::OptionCode::IAAddr) else {
        panic!("{association:?}");
    };
    assert_eq!((lease.addr, lease.preferred_life, lease.valid_life), (v6("2001:db8::5"), 3600, 3600));
}
