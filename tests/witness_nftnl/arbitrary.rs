//! Rules, keys and instances of every kind, at random.

use instances::net::Mac;
use instances::plan::claims;
use instances::plan::guard::{Protection, block};
use instances::plan::ruleset::{Bytes, EtherType, Field, Icmpv6, Match, Operator, Statement, Value, Verdict};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn any_match() -> impl Strategy<Value = Match> {
    let target = Field::NetworkBits { offset: 384, length: 128 };
    let sender = Field::NetworkBits { offset: 112, length: 32 };
    let ether_types = [
        EtherType::Ip,
        EtherType::Arp,
        EtherType::Vlan,
        EtherType::Ip6,
        EtherType::ProviderVlan,
        EtherType::OldProviderVlan,
    ];
    let messages = [Icmpv6::EchoRequest, Icmpv6::ListenerQuery, Icmpv6::NeighborAdvertisement, Icmpv6::ListenerReport2];
    let macs = prop_oneof![Just(Field::EtherSource), Just(Field::ArpSourceMac)];
    let v4 = prop_oneof![Just(Field::ArpSourceIp), Just(Field::ArpTargetIp), Just(Field::IpSource)];
    let interface = ("[a-z][a-z0-9]{0,14}", prop_oneof![Just(Field::InputBridge), Just(Field::InputPort)]);
    let all = prop_oneof![
        (any::<[u8; 6]>(), macs).prop_map(|(mac, field)| Match::equal(field, Value::Mac(Mac(mac)))),
        proptest::sample::select(ether_types.to_vec())
            .prop_map(|it| Match::equal(Field::EtherType, Value::EtherType(it)))
            .boxed(),
        (any::<Ipv4Addr>(), v4).prop_map(|(it, field)| Match::equal(field, Value::Ipv4(it))),
        any::<Ipv6Addr>().prop_map(|it| Match::equal(Field::Ip6Source, Value::Ipv6(it))),
        (any::<Ipv4Addr>(), proptest::option::of(0..=32_u8)).prop_map(move |(it, prefix)| any_prefix(
            sender,
            prefix,
            Value::Ipv4(it)
        )),
        (any::<Ipv6Addr>(), proptest::option::of(0..=128_u8)).prop_map(move |(it, prefix)| any_prefix(
            target,
            prefix,
            Value::Ipv6(it)
        )),
        proptest::sample::select(messages.to_vec()).prop_map(|it| Match::equal(Field::Icmpv6Type, Value::Icmpv6(it))),
        proptest::sample::select(messages.to_vec())
            .prop_map(|it| Match::equal(Field::RoutedIcmpv6Type, Value::Icmpv6(it))),
        any::<u16>().prop_map(|port| Match::equal(Field::UdpTarget, Value::Port(port))),
        any::<u8>().prop_map(|number| Match::equal(Field::L4Protocol, Value::Protocol(number))),
        interface.prop_map(|(name, field)| Match::equal(field, Value::Interface(name.parse().unwrap()))),
        "[a-z][a-z0-9]{0,13}".prop_map(|name| Match::equal(Field::InputPort, Value::Interfaces(name.parse().unwrap()))),
        any_bits(false),
        any_bits(true),
    ];
    let operator = prop_oneof![Just(Operator::Equal), Just(Operator::NotEqual)];
    (all, operator).prop_map(|(matched, operator)| Match { operator, ..matched })
}

/// Keys of up to three fields that ours do not have.
const OTHER_KEYS: [&[Field]; 6] = [
    &[Field::IpSource],
    &[Field::Ip6Source, Field::Ip6Source],
    &[Field::L4Protocol, Field::UdpTarget, Field::EtherType],
    &[Field::TransportBits { offset: 8, length: 24 }, Field::InputBridge],
    &[Field::ArpSourceIp, Field::IpSource, Field::Icmpv6Type],
    &[Field::NetworkBits { offset: 80, length: 128 }],
];

pub(super) fn any_key() -> impl Strategy<Value = &'static [Field]> {
    let of_offenders = Protection::ALL.into_iter().flat_map(block::records).map(|(_, fields)| *fields);
    let ours = [
        claims::IP_KEY,
        claims::IP6_KEY,
        claims::ARP_KEY,
        claims::NA_KEY,
        claims::IP_AT_PORT_KEY,
        claims::IP6_AT_PORT_KEY,
        claims::OWN_MAC_KEY,
        claims::BOUND_KEY,
    ];
    proptest::sample::select(ours.into_iter().chain(of_offenders).chain(OTHER_KEYS).collect::<Vec<_>>())
}

pub(super) fn any_statement() -> impl Strategy<Value = Statement> {
    const VERDICTS: &[Verdict] =
        &[Verdict::Accept, Verdict::Drop, Verdict::Return, Verdict::Jump("other"), Verdict::Goto("another")];
    prop_oneof![
        3 => any_match().prop_map(Statement::Match),
        1 => any_key().prop_map(|fields| Statement::Lookup { fields, set: "a.set" }),
        1 => any_key().prop_map(|fields| Statement::Record { fields, set: "another_set" }),
        1 => Just(Statement::Counter),
        1 => (1..u32::MAX, any::<u32>()).prop_map(|(per_second, burst)| Statement::Limit { per_second, burst }),
        1 => any::<(u16, bool)>().prop_map(|(number, bypass)| Statement::Queue { number, bypass }),
        1 => Just(Statement::Log { prefix: "[what] was dropped: " }),
        1 => proptest::sample::select(VERDICTS).prop_map(Statement::Verdict),
    ]
}

/// An instance as the registry has it, of many small variations.
pub(super) fn any_instance() -> impl Strategy<Value = String> {
    let allowed = ["10.1.0.0/16", "10.1.2.0/24", "10.2.0.7", "0.0.0.0/0", "fd07::/57", "fd07::7", "::/0"];
    let field = |name: &'static str, value: String| format!("\"{name}\": \"{value}\"");
    (
        proptest::option::of("[a-z][a-z0-9-]{0,20}[a-z0-9]"),
        proptest::option::of(any::<u8>()),
        proptest::option::of(any::<u16>()),
        proptest::option::of(any::<u16>()),
        proptest::option::of(0..4_u8),
        proptest::sample::subsequence(allowed.to_vec(), 0..4),
    )
        .prop_map(move |(name, v4, ula, lla, port, allowed)| {
            let allowed = allowed.iter().map(|net| format!("\"{net}\"")).collect::<Vec<_>>().join(", ");
            let fields = [
                name.map(|name| field("name", name)),
                v4.map(|low| field("ipv4", format!("10.0.0.{low}"))),
                ula.map(|low| field("ipv6_ula", format!("fd00::{low:x}"))),
                lla.map(|low| field("ipv6_lla", format!("fe80::{low:x}"))),
                port.map(|port| field("port", format!("tap{port}"))),
                (!allowed.is_empty()).then(|| format!("\"allowed\": [{allowed}]")),
            ];
            format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(", "))
        })
}

fn any_bits(transport: bool) -> impl Strategy<Value = Match> {
    (0..400_u16, proptest::collection::vec(any::<(u8, u8)>(), 1..=16), any::<bool>()).prop_map(
        move |(octet, octets, is_masked)| {
            let (bits, mask): (Vec<_>, Vec<_>) = octets.into_iter().unzip();
            let (offset, length) = (octet * 8, u16::try_from(bits.len() * 8).unwrap());
            let field =
                if transport { Field::TransportBits { offset, length } } else { Field::NetworkBits { offset, length } };
            let mask = is_masked.then(|| Bytes::from(mask.as_slice()));
            Match { mask, ..Match::equal(field, Value::Bits(Bytes::from(bits.as_slice()))) }
        },
    )
}

/// A comparison of all bits, or of the first.
fn any_prefix(field: Field, prefix: Option<u8>, value: Value) -> Match {
    prefix.map_or_else(|| Match::equal(field, value), |bits| Match::prefix(field, bits, value))
}
