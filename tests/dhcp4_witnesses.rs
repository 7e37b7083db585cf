//! DHCPv4 messages as others see them: packets that scapy made (`tests/nfdhcpd/scapy_dhcp4.hex`, with what it reads), and
//! the crate `dhcproto`; round trips of our own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/dhcp4.rs"]
mod dhcp4;
#[path = "common/fuzz.rs"]
mod fuzz;

use dhcp4::{GUEST, answer, binding, reply, settings};
use dhcproto::v4::{DhcpOption, Message, MessageType, OptionCode};
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use instances::net::{DomainName, Mac};
use instances::packet::dhcp4::{BROADCAST, Dhcp4, Received, content, kind, number};
use instances::packet::{Datagram, Malformed, ipv4};
use instances::plan::responder::Decision;
use instances::plan::responder::binding::{Binding, Options};
use ipnet::Ipv4Net;
use proptest::prelude::*;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// What is read of a packet, as `scapy_dhcp4.py` writes it.
fn said(packet: &[u8]) -> Result<String, Malformed> {
    let ip = ipv4::Received::parse(packet)?;
    let udp = Datagram::parse(ip.payload, &ip.source.octets(), &ip.destination.octets())?;
    let d = Dhcp4::parse(udp.data)?;
    let text = |field: &[u8]| {
        let end = field.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if end == 0 { "-".to_owned() } else { fuzz::hex(&field[..end]) }
    };
    let mut said = format!(
        "{} {} {} {} {} {} {:08x} {} {:04x} {} {} {} {} {} {} {} |",
        ip.source,
        ip.destination,
        udp.source,
        udp.destination,
        d.op,
        d.hops,
        d.transaction,
        d.seconds,
        d.flags,
        d.client,
        d.yours,
        d.next_server,
        d.relay,
        fuzz::hex(&d.hardware.0),
        text(&d.server_name),
        text(&d.file)
    );
    for (number, content) in &d.options {
        write!(said, " {number}={}", fuzz::hex(content)).unwrap();
    }
    Ok(said)
}

#[test]
fn packets_of_scapy_are_read_as_scapy_reads_them_and_broken_ones_refused() {
    let lines: Vec<&str> = include_str!("nfdhcpd/scapy_dhcp4.hex").lines().skip(1).collect();
    assert_eq!(lines.len(), 2 * (17 + 29));
    for pair in lines.chunks(2) {
        let (name, expected) = pair[0].trim_start_matches("# ").split_once(" | ").unwrap();
        let read = said(&fuzz::unhex(pair[1]).unwrap());
        if name.starts_with("bad ") {
            assert_eq!(read.map_err(|malformed| malformed.0), Err(expected), "{name}");
        } else {
            assert_eq!(read.as_deref(), Ok(expected), "{name}");
        }
    }
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

/// Any message that can be told again: each option once, those with a meaning of their own as they must be.
fn message() -> impl Strategy<Value = Dhcp4> {
    let plain = (1..=254_u8).prop_filter("has a form", |number| ![50, 52, 53, 54, 57].contains(number));
    let options = prop::collection::btree_map(plain, prop::collection::vec(any::<u8>(), 0..600), 0..8);
    let special = (prop::option::of(any::<u8>()), prop::option::of(address()), prop::option::of(any::<u16>()));
    let numbers = (1..=2_u8, any::<u8>(), any::<u32>(), any::<u16>(), any::<u16>());
    let addresses = [address(), address(), address(), address()];
    let texts = (any::<[u8; 32]>(), any::<[u8; 6]>());
    (numbers, addresses, texts, options, special).prop_map(|(numbers, addresses, texts, options, special)| {
        let (op, hops, transaction, seconds, flags) = numbers;
        let [client, yours, next_server, relay] = addresses;
        let (text, mac) = texts;
        let (mut server_name, mut file) = ([0; 64], [0; 128]);
        server_name[..32].copy_from_slice(&text);
        file[96..].copy_from_slice(&text);
        let mut options: Vec<(u8, Vec<u8>)> = options.into_iter().collect();
        options.extend(special.0.map(|kind| (53, vec![kind])));
        options.extend(special.1.map(|wanted| (50, wanted.octets().to_vec())));
        options.extend(special.2.map(|size| (57, size.to_be_bytes().to_vec())));
        let base = Dhcp4::from_client(1, Mac(mac));
        let fixed = Dhcp4 { op, hops, transaction, seconds, flags, client, yours, next_server, relay, ..base };
        Dhcp4 { server_name, file, options, ..fixed }
    })
}

fn names() -> impl Strategy<Value = Vec<DomainName>> {
    // Few labels, so that names have ends in common; and long ones.
    let label = prop_oneof![Just("a".to_owned()), Just("example".to_owned()), Just("B".to_owned()), "[a-z0-9_-]{1,63}"];
    let name = prop::collection::vec(label, 1..5).prop_filter_map("too long", |labels| labels.join(".").parse().ok());
    prop::collection::vec(name, 0..12)
}

fn routes() -> impl Strategy<Value = Vec<(Ipv4Net, Ipv4Addr)>> {
    let net = (address(), 0..=32_u8).prop_map(|(address, width)| Ipv4Net::new(address, width).unwrap().trunc());
    prop::collection::vec((net, address()), 0..12)
}

fn decoded(bytes: &[u8]) -> Message {
    Message::decode(&mut Decoder::new(bytes)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_are_read_as_they_were_written(message in message()) {
        prop_assert_eq!(Dhcp4::parse(&message.bytes()), Ok(message));
    }

    #[test]
    fn options_are_joined_over_all_fields(content in prop::collection::vec(any::<u8>(), 3..60), cut in 0..60_usize) {
        let (first, rest) = content.split_at(cut % content.len());
        let (second, third) = rest.split_at(rest.len() / 2);
        let mut message = Dhcp4::from_client(1, GUEST).with(52, [3]).with(77, first);
        let overloaded = |piece: &[u8]| [&[0, 77, u8::try_from(piece.len()).unwrap()], piece, &[255]].concat();
        let (file, name) = (overloaded(second), overloaded(third));
        message.file[..file.len()].copy_from_slice(&file);
        message.server_name[..name.len()].copy_from_slice(&name);
        let bytes = message.bytes();
        let read = Received::parse(&bytes).unwrap();
        let joined = read.options.get(77).map(Cow::into_owned);
        prop_assert_eq!(joined.as_ref(), Some(&content));
        prop_assert_eq!(Dhcp4::from(&read).options, vec![(53, vec![1]), (77, content)]);
    }

    #[test]
    fn search_lists_are_read_as_they_were_written_by_us_and_by_dhcproto(names in names()) {
        let mut written = Vec::new();
        content::put_search(&mut written, &names);
        let plain: usize = names.iter().map(|name| name.wire().len()).sum();
        prop_assert!(written.len() <= plain);
        let read = content::search(&written).unwrap();
        let text = |names: &[DomainName]| names.iter().map(|n| n.as_str().to_ascii_lowercase()).collect::<Vec<_>>();
        prop_assert_eq!(text(&read), text(&names));
        if !names.is_empty() && written.len() <= 255 {
            let bytes = Dhcp4::from_client(1, GUEST).with(119, written).bytes();
            let read = decoded(&bytes);
            let Some(DhcpOption::DomainSearch(theirs)) = read.opts().get(OptionCode::DomainSearch) else { panic!() };
            // It escapes a leading hyphen.
            let plain = |name: String| name.trim_end_matches('.').replace('\\', "").to_ascii_lowercase();
            let theirs: Vec<_> = theirs.iter().map(|name| plain(name.to_string())).collect();
            prop_assert_eq!(theirs, text(&names));
        }
    }

    #[test]
    fn routes_are_read_as_they_were_written_by_us_and_by_dhcproto(routes in routes()) {
        let mut written = Vec::new();
        for (net, router) in &routes {
            content::put_route(&mut written, *net, *router);
        }
        prop_assert_eq!(&content::routes(&written), &Ok(routes.clone()));
        if !routes.is_empty() {
            let bytes = Dhcp4::from_client(1, GUEST).with(121, written).bytes();
            let read = decoded(&bytes);
            let Some(DhcpOption::ClasslessStaticRoute(theirs)) = read.opts().get(OptionCode::ClasslessStaticRoute) else { panic!() };
            prop_assert_eq!(theirs, &routes);
        }
    }

    #[test]
    fn no_octets_make_the_readers_of_contents_fail(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        // What is read can be written, and means the same.
        if let Ok(names) = content::search(&octets) {
            let mut again = Vec::new();
            content::put_search(&mut again, &names);
            prop_assert!(content::search(&again).is_ok());
        }
        if let Ok(routes) = content::routes(&octets) {
            let mut again = Vec::new();
            for (net, router) in &routes {
                content::put_route(&mut again, *net, *router);
            }
            prop_assert_eq!(again, octets);
        }
    }

    #[test]
    fn what_dhcproto_writes_is_read_and_its_answers_are_what_it_asked_for(
        transaction in any::<u32>(), broadcast in any::<bool>(), id in prop::collection::vec(any::<u8>(), 2..300),
        size in any::<u16>(), parameters in prop::collection::vec(prop::sample::select(vec![1_u8, 3, 6, 12, 15, 28, 119, 121]), 1..20),
    ) {
        let none = Ipv4Addr::UNSPECIFIED;
        let mut theirs = Message::new_with_id(transaction, none, none, none, none, &GUEST.0);
        if broadcast {
            theirs.set_flags(dhcproto::v4::Flags::default().set_broadcast());
        }
        let options = theirs.opts_mut();
        options.insert(DhcpOption::MessageType(MessageType::Discover));
        options.insert(DhcpOption::ClientIdentifier(id.clone()));
        options.insert(DhcpOption::MaxMessageSize(size));
        options.insert(DhcpOption::ParameterRequestList(parameters.iter().map(|n| OptionCode::from(*n)).collect()));
        let ours = Dhcp4::parse(&theirs.to_vec().unwrap()).unwrap();
        prop_assert_eq!((ours.transaction, ours.flags), (transaction, if broadcast { BROADCAST } else { 0 }));
        prop_assert_eq!(ours.option(number::CLIENT_ID), Some(&id[..]));
        prop_assert_eq!(ours.option(number::PARAMETERS), Some(&parameters[..]));

        let decision = answer(&ours, &rich(), &settings());
        let Decision::Reply { frame, .. } = &decision else { panic!("{decision:?}") };
        let read = decoded(&frame[42..]);
        prop_assert_eq!((read.xid(), read.yiaddr(), read.chaddr()), (transaction, dhcp4::ADDRESS, &GUEST.0[..]));
        prop_assert_eq!(read.opts().msg_type(), Some(MessageType::Offer));
        if parameters.contains(&6) && id.len() < 100 {
            let expected = DhcpOption::DomainNameServer(vec![Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 3)]);
            prop_assert_eq!(read.opts().get(OptionCode::DomainNameServer), Some(&expected));
        }
        prop_assert!(reply(decision).length <= usize::from(size.clamp(576, 1500)));
    }
}

/// A binding with something for every option.
fn rich() -> Binding {
    let own = Options {
        search: Some(vec!["a.example.com".parse().unwrap(), "b.example.com".parse().unwrap()]),
        routes: Some(vec![("10.0.0.0/8".parse().unwrap(), dhcp4::OTHER)]),
        ..Options::default()
    };
    Binding { own, ..binding() }
}

/// RFC 3397, section 3: the example.
#[test]
fn the_example_of_rfc_3397() {
    let names: Vec<DomainName> = ["eng.apple.com", "marketing.apple.com"].map(|name| name.parse().unwrap()).to_vec();
    let mut written = Vec::new();
    content::put_search(&mut written, &names);
    assert_eq!(written, *b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04");
    assert_eq!(content::search(&written), Ok(names));
}

#[test]
fn pointers_that_loop_or_lead_forward_are_refused() {
    for (octets, reason) in [
        (&b"\xc0\0"[..], "DHCP: pointer in a domain name leads forward"),
        (b"\x01a\xc0\0", "DHCP: pointer in a domain name leads forward"),
        (b"\xc0\x02\x01a\0", "DHCP: pointer in a domain name leads forward"),
        (b"\x01a\0\xc0\x03", "DHCP: pointer in a domain name leads forward"),
        (b"\x01a\0\x01b\xc0", "DHCP: domain name cut off"),
        (b"\x05ab", "DHCP: domain name cut off"),
        (b"\x01a", "DHCP: domain name cut off"),
        (b"\x41a\0", "DHCP: unknown kind of label"),
        (b"\0", "DHCP: not a host's domain in option 119"),
        (b"\x01\xff\0", "DHCP: not a host's domain in option 119"),
    ] {
        assert_eq!(content::search(octets), Err(Malformed(reason)), "{octets:?}");
    }
    let long = b"\x3f".iter().chain([b'a'; 63].iter()).copied().collect::<Vec<u8>>().repeat(5);
    assert_eq!(content::search(&long), Err(Malformed("DHCP: domain name too long")));
}

/// RFC 3442: the examples of its section "Classless Route Option Format".
#[test]
fn the_examples_of_rfc_3442() {
    let router = Ipv4Addr::new(9, 9, 9, 9);
    for (net, octets) in [
        ("0.0.0.0/0", &[0_u8][..]),
        ("10.0.0.0/8", &[8, 10]),
        ("10.0.0.0/24", &[24, 10, 0, 0]),
        ("10.17.0.0/16", &[16, 10, 17]),
        ("10.27.129.0/24", &[24, 10, 27, 129]),
        ("10.229.0.128/25", &[25, 10, 229, 0, 128]),
        ("10.198.122.47/32", &[32, 10, 198, 122, 47]),
    ] {
        let mut written = Vec::new();
        content::put_route(&mut written, net.parse().unwrap(), router);
        assert_eq!(written, [octets, &[9; 4]].concat());
    }
    for (octets, reason) in [
        (&[33, 1, 2, 3, 4, 5, 9, 9, 9, 9][..], "DHCP: route wider than 32 bits"),
        (&[24, 1, 2], "DHCP: route cut off"),
        (&[8, 1, 9, 9, 9], "DHCP: route cut off"),
        (&[4, 0x1f, 9, 9, 9, 9], "DHCP: route with host bits"),
    ] {
        assert_eq!(content::routes(octets), Err(Malformed(reason)));
    }
    assert_eq!(kind::DISCOVER, 1);
}
