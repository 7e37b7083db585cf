//! Whatever is built is read back as it was.

use instances::net::{DomainName, Mac};
use instances::packet::dhcp6::{self, Association, Dhcp6, Dhcp6Option, Duid, Lease, Message};
use instances::packet::ipv6::{self, Ipv6};
use instances::packet::nd::{self, Nd, NdOption};
use instances::packet::{Extension, Udp};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv6Addr;

fn address() -> impl Strategy<Value = Ipv6Addr> {
    any::<[u8; 16]>().prop_map(Ipv6Addr::from)
}

fn unicast() -> impl Strategy<Value = Ipv6Addr> {
    address().prop_map(|address| if address.is_multicast() { Ipv6Addr::LOCALHOST } else { address })
}

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn domain() -> impl Strategy<Value = DomainName> {
    vec("[a-z0-9_-]{1,20}", 1..4).prop_map(|labels| labels.join(".").parse().unwrap())
}

fn nd_message() -> impl Strategy<Value = Nd> {
    prop_oneof![
        Just(Nd::RouterSolicitation),
        any::<(u8, u8, u16, (u32, u32))>().prop_map(|(hop_limit, flags, lifetime, timers)| {
            Nd::RouterAdvertisement { hop_limit, flags, lifetime, timers }
        }),
        unicast().prop_map(Nd::solicitation),
        (unicast(), any::<[bool; 3]>()).prop_map(|(target, [router, solicited, replace])| {
            Nd::NeighborAdvertisement { target, router, solicited, replace }
        }),
        (unicast(), unicast()).prop_map(|(target, destination)| Nd::Redirect { target, destination }),
    ]
}

fn nd_option() -> impl Strategy<Value = NdOption> {
    prop_oneof![
        mac().prop_map(NdOption::SourceLinkLayer),
        mac().prop_map(NdOption::TargetLinkLayer),
        (address(), 0..=128_u8, any::<u8>(), any::<(u32, u32)>()).prop_map(|(prefix, length, flags, lifetimes)| {
            NdOption::PrefixInformation { prefix, length, flags, lifetimes }
        }),
        (1..9_usize).prop_map(|units| NdOption::RedirectedHeader(vec![7; units * 8])),
        any::<u32>().prop_map(NdOption::Mtu),
        any::<[u8; 6]>().prop_map(NdOption::Nonce),
        (address(), 0..=128_u8, any::<(u8, u32)>()).prop_map(|(prefix, length, (preference, lifetime))| {
            // What is not sent is not read.
            let octets = prefix.octets();
            let mut sent = [0; 16];
            let kept = usize::from(length.div_ceil(64)) * 8;
            sent[..kept].copy_from_slice(&octets[..kept]);
            NdOption::RouteInformation { prefix: sent.into(), length, preference, lifetime }
        }),
        (any::<u32>(), vec(address(), 1..5)).prop_map(|(lifetime, servers)| NdOption::RecursiveDns(lifetime, servers)),
        (any::<u32>(), vec(domain(), 1..5)).prop_map(|(lifetime, names)| NdOption::SearchList(lifetime, names)),
        (100..=255_u8, 1..5_u8).prop_map(|(kind, units)| NdOption::Raw(
            kind,
            units,
            vec![9; usize::from(units) * 8 - 2]
        )),
    ]
}

fn lease(length: impl Strategy<Value = u8>) -> impl Strategy<Value = Lease> {
    (address(), length, any::<(u32, u32)>()).prop_map(|(address, length, lifetimes)| Lease {
        address,
        length,
        lifetimes,
    })
}

fn association(length: impl Strategy<Value = u8>, has_timers: bool) -> impl Strategy<Value = Association> {
    let status = proptest::option::of((any::<u16>(), "[ -~é]{0,20}"));
    (any::<u32>(), any::<(u32, u32)>(), vec(lease(length), 0..4), status).prop_map(
        move |(id, timers, leases, status)| Association {
            id,
            timers: if has_timers { timers } else { (0, 0) },
            leases,
            status,
        },
    )
}

fn duid() -> impl Strategy<Value = Duid> {
    vec(any::<u8>(), 3..=130).prop_map(|octets| Duid::parse(&octets).unwrap())
}

/// Each at most once, in any order.
pub fn dhcp6_options() -> impl Strategy<Value = Vec<Dhcp6Option>> {
    let once = (
        duid().prop_map(Dhcp6Option::Client),
        duid().prop_map(Dhcp6Option::Server),
        vec(any::<u16>(), 0..9).prop_map(Dhcp6Option::Requested),
        any::<u8>().prop_map(Dhcp6Option::Preference),
        any::<u16>().prop_map(Dhcp6Option::Elapsed),
        (any::<u16>(), "[ -~é]{0,20}").prop_map(|(code, words)| Dhcp6Option::Status(code, words)),
        vec(address(), 0..4).prop_map(Dhcp6Option::DnsServers),
        vec(domain(), 0..4).prop_map(Dhcp6Option::SearchList),
        vec(address(), 0..4).prop_map(Dhcp6Option::TimeServers),
    );
    let often = prop_oneof![
        association(Just(128), true).prop_map(Dhcp6Option::Addresses),
        association(Just(128), false).prop_map(Dhcp6Option::Temporary),
        association(0..=128_u8, true).prop_map(Dhcp6Option::Prefixes),
        (57..u16::MAX, vec(any::<u8>(), 0..20)).prop_map(|(number, content)| Dhcp6Option::Other(number, content)),
    ];
    (once, vec(often, 0..4)).prop_flat_map(|((a, b, c, d, e, f, g, h, i), often)| {
        let all = [vec![a, b, c, d, e, f, g, h, i, Dhcp6Option::RapidCommit], often].concat();
        let length = all.len();
        proptest::sample::subsequence(all, 0..=length).prop_shuffle()
    })
}

fn dhcp6_message() -> impl Strategy<Value = Dhcp6> {
    let kind = (0..=255_u8).prop_filter("not relayed", |kind| ![12, 13].contains(kind));
    let direct = (kind, 0..1_u32 << 24, dhcp6_options())
        .prop_map(|(kind, transaction, options)| Dhcp6::Direct(Message { kind, transaction, options }));
    direct.prop_recursive(3, 8, 1, |inner| {
        (12..=13_u8, any::<u8>(), address(), address(), dhcp6_options(), inner).prop_map(
            |(kind, hops, link, peer, options, message)| Dhcp6::Relayed {
                kind,
                hops,
                link,
                peer,
                options,
                message: Box::new(message),
            },
        )
    })
}

proptest! {
    #[test]
    fn neighbor_discovery(message in nd_message(), options in vec(nd_option(), 0..6)) {
        let read = nd::parse(&message.segment(&options).bytes);
        prop_assert_eq!(read, Ok(nd::Received { message, options }));
    }

    #[test]
    fn dhcpv6(message in dhcp6_message()) {
        prop_assert_eq!(dhcp6::parse(&message.bytes()), Ok(message));
    }

    #[test]
    fn ipv6_and_udp(
        (source, destination, traffic_class, hop_limit) in (unicast(), address(), any::<u8>(), any::<u8>()),
        (from, to, data) in (any::<u16>(), any::<u16>(), vec(any::<u8>(), 0..300)),
        extensions in vec(proptest::sample::select(vec![
            Extension::empty_destination_options(),
            Extension::Routing { kind: 4, segments_left: 0, data: vec![0; 20] },
            Extension::Authentication,
            Extension::atomic_fragment(),
        ]), 0..4),
        filling in 0..20_usize,
    ) {
        let header = Ipv6 { source, destination, traffic_class, hop_limit, extensions };
        let mut packet = header.packet(&Udp::new(from, to, data.clone()).segment());
        packet.extend(vec![0; filling]);
        let read = ipv6::parse(&packet).unwrap();
        prop_assert_eq!((read.source, read.destination), (source, destination));
        prop_assert_eq!((read.traffic_class, read.hop_limit), (traffic_class, hop_limit));
        prop_assert_eq!(read.extended, !header.extensions.is_empty());
        let udp = read.udp().unwrap();
        prop_assert_eq!((udp.source, udp.destination, udp.data), (from, to, &data[..]));
    }
}
