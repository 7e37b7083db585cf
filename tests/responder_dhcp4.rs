//! DHCPv4 answers (`plan::responder::dhcp4`), each rule of RFC 2131 a test; against the recordings of the original:
//! `responder_dhcp4_recorded.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/dhcp4.rs"]
mod dhcp4;

use dhcp4::{
    ADDRESS, Answer, GUEST, OTHER, RESPONDER, US, answer, answer_to, binding, packet, reply, settings, silence,
};
use instances::net::Mac;
use instances::packet::dhcp4::{BROADCAST, Dhcp4, content, kind};
use instances::packet::{Ethernet, Ipv4, Segment, Udp};
use instances::plan::responder::binding::{Binding, Options};
use instances::plan::responder::declined::{Declined, HOLD};
use instances::plan::responder::settings::{Dhcp, Settings};
use instances::plan::responder::{Client, Decision};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// A message that asks for answers by unicast.
fn of(kind: u8) -> Dhcp4 {
    Dhcp4 { flags: 0, transaction: 0x0102_0304, ..Dhcp4::from_client(kind, GUEST) }
}

fn request(wanted: Ipv4Addr) -> Dhcp4 {
    of(kind::REQUEST).with(50, wanted.octets())
}

/// What the seed's binding and settings answer.
fn answered(message: &Dhcp4) -> Answer {
    reply(answer(message, &binding(), &settings()))
}

fn unanswered(message: &Dhcp4) -> &'static str {
    silence(answer(message, &binding(), &settings()))
}

fn offer(binding: &Binding, settings: &Settings, parameters: &[u8]) -> Answer {
    reply(answer(&of(kind::DISCOVER).with(55, parameters), binding, settings))
}

#[test]
fn an_offer_goes_to_the_offered_address_and_says_what_table_3_demands() {
    let offer = answered(&Dhcp4 { hops: 3, seconds: 9, client: ADDRESS, ..of(kind::DISCOVER) });
    assert_eq!((offer.what, offer.option(53)), ("offer", Some(&[kind::OFFER][..])));
    assert_eq!((offer.macs, offer.ip, offer.ports), ((GUEST, RESPONDER), (US, ADDRESS), (67, 68)));
    let message = &offer.message;
    assert_eq!((message.op, message.transaction, message.hops, message.seconds), (2, 0x0102_0304, 0, 0));
    let none = Ipv4Addr::UNSPECIFIED;
    assert_eq!((message.client, message.yours, message.next_server, message.relay), (none, ADDRESS, none, none));
    assert_eq!(message.hardware, GUEST);
    assert_eq!(offer.option(54), Some(&US.octets()[..]));
    assert_eq!(offer.option(51), Some(&604_800_u32.to_be_bytes()[..]));
    assert_eq!(offer.option(58), Some(&3600_u32.to_be_bytes()[..]));
    assert!(offer.length >= 28 + 300);
}

#[test]
fn without_a_parameter_list_there_is_all_that_is_known() {
    let offer = answered(&of(kind::DISCOVER));
    assert_eq!(offer.numbers(), [53, 54, 51, 58, 1, 3, 6, 12, 15, 28]);
    assert_eq!(offer.option(1), Some(&[255, 255, 255, 0][..]));
    assert_eq!(offer.option(3), Some(&[192, 0, 2, 1][..]));
    assert_eq!(offer.option(6), Some(&[192, 0, 2, 2, 192, 0, 2, 3][..]), "one option, all servers");
    assert_eq!(offer.option(12), Some(&b"testing-vm.example.com"[..]));
    assert_eq!(offer.option(15), Some(&b"example.com"[..]));
    assert_eq!(offer.option(28), Some(&[192, 0, 2, 255][..]));
}

#[test]
fn a_parameter_list_is_followed_in_its_order_each_once() {
    let offer = offer(&binding(), &settings(), &[6, 15, 6, 1, 54, 252, 3, 0, 255, 59, 6]);
    assert_eq!(offer.numbers(), [53, 54, 51, 58, 6, 15, 1, 3, 59]);
    assert_eq!(offer.option(59), Some(&529_200_u32.to_be_bytes()[..]));
}

#[test]
fn answers_keep_within_the_size_that_the_client_names() {
    let servers = |n: u8| Some((1..=n).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect::<Vec<_>>());
    // 4 * 200 octets in four pieces, and 4 * 20.
    let options = Options { nameservers: servers(200), ntp: servers(20), ..Options::default() };
    let many = Settings { options, ..settings() };
    let sized = |size: &[u8], binding: &Binding| {
        let mut ask = of(kind::DISCOVER).with(55, [6, 42, 1]);
        if !size.is_empty() {
            ask = ask.with(57, size);
        }
        reply(answer(&ask, binding, &many))
    };
    // 576 is the least whatever a client says.
    for small in [&[][..], &[0, 0], &[1, 0], &[2, 0x40]] {
        let offer = sized(small, &binding());
        assert_eq!(offer.numbers(), [53, 54, 51, 58, 42, 1], "what does not fit is left out, the rest is there");
        assert!(offer.length <= 576);
    }
    let large = sized(&[5, 0xdc], &binding());
    assert_eq!(large.numbers(), [53, 54, 51, 58, 6, 42, 1]);
    assert_eq!(large.option(6).map(<[u8]>::len), Some(800), "in pieces (RFC 3396)");
    assert!(sized(&[0xff, 0xff], &binding()).length <= 1500);
    let narrow = Binding { mtu: Some(1000), ..binding() };
    assert!(sized(&[0xff, 0xff], &narrow).length <= 1000);
}

#[test]
fn selecting_gets_the_offered_address_and_no_other() {
    let ours = |wanted| request(wanted).with(54, US.octets());
    let ack = answered(&ours(ADDRESS));
    assert_eq!((ack.what, ack.option(53), ack.message.yours), ("ack", Some(&[kind::ACK][..]), ADDRESS));
    assert_eq!(ack.ip.1, ADDRESS);
    assert_eq!(answered(&ours(OTHER)).what, "nak");
    assert_eq!(unanswered(&request(ADDRESS).with(54, [10, 9, 9, 9])), "requested from another server");
    assert_eq!(unanswered(&request(OTHER).with(54, [10, 9, 9, 9])), "requested from another server");
    assert_eq!(unanswered(&of(kind::REQUEST).with(54, US.octets())), "requested without an address");
}

#[test]
fn init_reboot_with_a_wrong_address_is_refused() {
    assert_eq!(answered(&request(ADDRESS)).what, "ack");
    let nak = answered(&request(OTHER).with(61, *b"\x01client"));
    assert_eq!(nak.numbers(), [53, 54, 61, 56], "table 3: nothing of a lease");
    assert_eq!((nak.macs.0, nak.ip.1), (Ethernet::BROADCAST, Ipv4Addr::BROADCAST), "the client may have no address");
    let none = Ipv4Addr::UNSPECIFIED;
    assert_eq!((nak.message.yours, nak.message.client), (none, none));
}

#[test]
fn renewing_and_rebinding_ask_by_ciaddr() {
    let renew = |client| Dhcp4 { client, ..of(kind::REQUEST) };
    let ack = answered(&renew(ADDRESS));
    assert_eq!((ack.what, ack.message.client, ack.message.yours), ("ack", ADDRESS, ADDRESS));
    assert_eq!((ack.macs.0, ack.ip.1, ack.ports.1), (GUEST, ADDRESS, 68));
    let broadcast = answered(&Dhcp4 { flags: BROADCAST, ..renew(ADDRESS) });
    assert_eq!((broadcast.macs.0, broadcast.ip.1), (GUEST, ADDRESS), "who has an address is reached by it");
    let nak = answered(&renew(OTHER));
    assert_eq!((nak.what, nak.macs.0, nak.ip.1), ("nak", Ethernet::BROADCAST, Ipv4Addr::BROADCAST));
    // Both said, and they differ.
    assert_eq!(answered(&Dhcp4 { client: OTHER, ..request(ADDRESS) }).what, "nak");
    assert_eq!(unanswered(&of(kind::REQUEST)), "requested without an address");
}

#[test]
fn the_broadcast_flag_is_followed() {
    let offer = answered(&Dhcp4 { flags: BROADCAST | 1, ..of(kind::DISCOVER) });
    assert_eq!((offer.macs.0, offer.ip.1, offer.ports.1), (Ethernet::BROADCAST, Ipv4Addr::BROADCAST, 68));
    assert_eq!((offer.message.yours, offer.message.flags), (ADDRESS, BROADCAST | 1));
}

#[test]
fn inform_gets_parameters_without_a_lease() {
    let ack = answered(&Dhcp4 { client: OTHER, ..of(kind::INFORM) });
    assert_eq!((ack.what, ack.option(53)), ("ack", Some(&[kind::ACK][..])));
    assert_eq!(ack.numbers(), [53, 54, 1, 3, 6, 12, 15, 28]);
    assert_eq!((ack.message.yours, ack.message.client, ack.ip.1), (Ipv4Addr::UNSPECIFIED, OTHER, OTHER));
    let asks = Dhcp4 { client: OTHER, ..of(kind::INFORM).with(55, [51, 58, 59, 6]) };
    assert_eq!(answered(&asks).numbers(), [53, 54, 6]);
    // Without ciaddr, which is wrong, it has the address that it sends from.
    let udp = Udp::new(68, 67, of(kind::INFORM).bytes()).segment();
    let ack = reply(answer_to(&Ipv4::new(OTHER, US).packet(&udp), &binding(), &settings()));
    assert_eq!((ack.macs.0, ack.ip.1), (GUEST, OTHER));
    let ack = reply(answer_to(&Ipv4::new(Ipv4Addr::UNSPECIFIED, US).packet(&udp), &binding(), &settings()));
    assert_eq!((ack.macs.0, ack.ip.1), (GUEST, ADDRESS));
}

#[test]
fn relays_are_answered_at_port_67_and_get_their_information_back() {
    let relay = Ipv4Addr::new(192, 0, 2, 77);
    let router = Mac([2, 0, 0, 0, 0, 0x77]);
    let ask = |message: Dhcp4| {
        let message = Dhcp4 { relay, ..message.with(82, *b"\x01\x02ab") };
        let client = Client { binding: &binding(), responder: RESPONDER };
        let (declined, now) = (&mut Declined::default(), Instant::now());
        reply(instances::plan::responder::dhcp4::answer(&packet(&message), router, &client, &settings(), declined, now))
    };
    let offer = ask(Dhcp4 { flags: BROADCAST, ..of(kind::DISCOVER) });
    assert_eq!((offer.macs.0, offer.ip, offer.ports), (router, (US, relay), (67, 67)));
    assert_eq!((offer.message.relay, offer.message.hardware), (relay, GUEST));
    assert_eq!(offer.message.options.last(), Some(&(82, b"\x01\x02ab".to_vec())));
    let nak = ask(request(OTHER));
    assert_eq!((nak.what, nak.ip.1, nak.ports.1, nak.message.flags), ("nak", relay, 67, BROADCAST));
    assert_eq!(nak.numbers().last(), Some(&82));
    let direct = answered(&of(kind::DISCOVER).with(82, *b"\x01\x02ab"));
    assert_eq!(direct.option(82), None, "a guest is no relay");
}

#[test]
fn relay_information_has_its_place_unless_it_is_absurdly_long() {
    for (length, echoed) in [(1, true), (200, true), (255, true), (256, false), (600, false)] {
        let message = Dhcp4 { relay: OTHER, ..of(kind::DISCOVER).with(82, vec![7; length]) };
        let offer = answered(&message);
        assert_eq!(offer.option(82).map(<[u8]>::len), Some(length).filter(|_| echoed));
        assert!(offer.numbers().starts_with(&[53, 54, 51, 58]) && offer.length <= 576, "{length}");
    }
}

#[test]
fn the_client_id_is_echoed() {
    let id = [&[0xff][..], &[7; 300]].concat();
    for id in [&b"\x01\xaa\0\0\0\0\x01"[..], &[0], &id[..50]] {
        for kind in [kind::DISCOVER, kind::INFORM] {
            assert_eq!(answered(&of(kind).with(61, id)).option(61), Some(id));
        }
    }
    assert_eq!(answered(&of(kind::DISCOVER)).option(61), None);
}

#[test]
fn a_declined_address_is_not_offered_for_a_while() {
    let (mut declined, start) = (Declined::default(), Instant::now());
    let binding = binding();
    let mut at = |seconds: u64, message: &Dhcp4| {
        let client = Client { binding: &binding, responder: RESPONDER };
        let now = start + Duration::from_secs(seconds);
        let packet = packet(message);
        instances::plan::responder::dhcp4::answer(&packet, GUEST, &client, &settings(), &mut declined, now)
    };
    let decline = |server: [u8; 4], address: Ipv4Addr| of(kind::DECLINE).with(54, server).with(50, address.octets());
    assert_eq!(silence(at(0, &decline([10, 0, 0, 1], ADDRESS))), "declined to another server");
    assert_eq!(silence(at(0, &of(kind::DECLINE).with(50, ADDRESS.octets()))), "declined to another server");
    assert_eq!(silence(at(0, &decline(US.octets(), OTHER))), "declined another address");
    assert_eq!(reply(at(0, &of(kind::DISCOVER))).what, "offer");
    assert_eq!(silence(at(1, &decline(US.octets(), ADDRESS))), "declined");
    assert_eq!(silence(at(HOLD.as_secs(), &of(kind::DISCOVER))), "the address was declined");
    assert_eq!(reply(at(HOLD.as_secs(), &request(ADDRESS))).what, "nak");
    assert_eq!(reply(at(HOLD.as_secs(), &Dhcp4 { client: OTHER, ..of(kind::INFORM) })).what, "ack");
    assert_eq!(reply(at(HOLD.as_secs() + 1, &of(kind::DISCOVER))).what, "offer");
}

#[test]
fn release_bootp_and_what_is_no_clients_get_no_answer() {
    assert_eq!(unanswered(&Dhcp4 { client: ADDRESS, ..of(kind::RELEASE).with(54, US.octets()) }), "released");
    assert_eq!(unanswered(&Dhcp4 { options: vec![], ..of(kind::DISCOVER) }), "BOOTP, without a message type");
    assert_eq!(unanswered(&Dhcp4 { op: 2, ..of(kind::DISCOVER) }), "not a request");
    assert_eq!(unanswered(&of(kind::OFFER)), "a server's message type");
    assert_eq!(unanswered(&of(10)), "unknown message type");
    assert_eq!(unanswered(&of(0)), "unknown message type");
    assert_eq!(unanswered(&of(kind::DISCOVER).with(53, [1])), "DHCP: option 53 is not one octet");
}

#[test]
fn another_mac_is_answered_only_with_macspoof() {
    let stranger = Mac([2, 9, 9, 9, 9, 9]);
    let spoofed = packet(&Dhcp4 { hardware: stranger, ..of(kind::DISCOVER) });
    let honest = packet(&of(kind::DISCOVER));
    let from = |source: Mac, packet: &[u8], binding: &Binding| {
        let client = Client { binding, responder: RESPONDER };
        let (declined, now) = (&mut Declined::default(), Instant::now());
        instances::plan::responder::dhcp4::answer(packet, source, &client, &settings(), declined, now)
    };
    assert_eq!(silence(from(GUEST, &spoofed, &binding())), "chaddr is not the binding's MAC");
    assert_eq!(silence(from(stranger, &honest, &binding())), "the Ethernet source is not the binding's MAC");
    let open = Binding { mac_spoof: true, ..binding() };
    assert_eq!(reply(from(stranger, &spoofed, &open)).macs.0, stranger);
    assert_eq!(reply(from(stranger, &honest, &open)).macs.0, GUEST);
}

#[test]
fn private_hides_the_gateway_and_routes_through_it() {
    let aside: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
    let net = |text: &str| text.parse().unwrap();
    let routes = Some(vec![(net("10.0.0.0/8"), US), (net("172.16.0.0/12"), aside)]);
    let own = Options { routes, ..Options::default() };
    let open = Binding { own, ..binding() };
    let routes = |answer: &Answer| content::routes(answer.option(121).unwrap()).unwrap();
    let all = offer(&open, &settings(), &[3, 121, 249]);
    assert_eq!(all.option(3), Some(&US.octets()[..]));
    let default = (net("0.0.0.0/0"), US);
    assert_eq!(routes(&all), [(net("10.0.0.0/8"), US), (net("172.16.0.0/12"), aside), default]);
    assert_eq!(all.option(249), all.option(121));
    let private = offer(&Binding { private: true, ..open }, &settings(), &[3, 121]);
    assert_eq!(private.option(3), None);
    assert_eq!(routes(&private), [(net("172.16.0.0/12"), aside)]);
    assert_eq!(offer(&binding(), &settings(), &[121, 3]).numbers(), [53, 54, 51, 58, 3], "no routes, no option");
}

#[test]
fn server_on_link_is_the_gateway_or_the_first_address() {
    let dhcp = Dhcp { server_on_link: true, server_ip: Ipv4Addr::new(203, 0, 113, 1), ..settings().dhcp.unwrap() };
    let on_link = Settings { dhcp: Some(dhcp), ..settings() };
    let server = |binding: &Binding| {
        let offer = reply(answer(&of(kind::DISCOVER), binding, &on_link));
        assert_eq!(offer.option(54), Some(&offer.ip.0.octets()[..]));
        offer.ip.0.to_string()
    };
    let gateway = Some(Ipv4Addr::new(192, 0, 2, 254));
    assert_eq!(server(&Binding { gateway, ..binding() }), "192.0.2.254");
    assert_eq!(server(&Binding { gateway, private: true, ..binding() }), "192.0.2.254");
    assert_eq!(server(&Binding { gateway: None, ..binding() }), "192.0.2.1");
    assert_eq!(server(&Binding { gateway: None, subnet: None, ..binding() }), "203.0.113.1");
    assert_eq!(server(&Binding { gateway: None, ip: Some(US), ..binding() }), "203.0.113.1", "never the client's own");
    let nobody = Dhcp { server_ip: Ipv4Addr::UNSPECIFIED, ..on_link.dhcp.clone().unwrap() };
    for compat in [false, true] {
        let only = Settings { dhcp: Some(nobody.clone()), compat, ..settings() };
        let alone = Some("192.0.2.100/32".parse().unwrap());
        for without in [
            Binding { gateway: None, subnet: None, ..binding() },
            Binding { gateway: None, subnet: alone, ..binding() },
            Binding { gateway: None, ip: Some(US), ..binding() },
            Binding { gateway: Some(Ipv4Addr::UNSPECIFIED), ..binding() },
        ] {
            assert_eq!(silence(answer(&of(kind::DISCOVER), &without, &only)), "no server address");
        }
        assert_eq!(reply(answer(&of(kind::DISCOVER), &binding(), &only)).ip.0, US);
    }
}

#[test]
fn without_a_subnet_there_is_an_answer_without_mask() {
    let bare = Binding { subnet: None, ..binding() };
    assert_eq!(offer(&bare, &settings(), &[1, 28, 3]).numbers(), [53, 54, 51, 58, 3]);
    let alone = Binding { subnet: Some("192.0.2.100/32".parse().unwrap()), ..binding() };
    assert_eq!(offer(&alone, &settings(), &[1, 28]).numbers(), [53, 54, 51, 58, 1], "one address, no broadcast");
}

#[test]
fn a_binding_says_more_and_goes_before_the_configuration() {
    let search = Some(vec!["a.example.com".parse().unwrap(), "b.example.com".parse().unwrap()]);
    let tftp = |text: &str| Some(text.to_owned().into_boxed_str());
    let own = Options {
        nameservers: Some(vec![OTHER]),
        domain: Some("own.example".parse().unwrap()),
        search: search.clone(),
        ntp: Some(vec![US, OTHER]),
        tftp: tftp("boot.example.com"),
        bootfile: tftp("pxelinux.0"),
        ..Options::default()
    };
    let rich = Binding { own: own.clone(), mtu: Some(1400), ..binding() };
    let all = reply(answer(&of(kind::DISCOVER), &rich, &settings()));
    assert_eq!(all.numbers(), [53, 54, 51, 58, 1, 3, 6, 12, 15, 28, 26, 119, 42, 66, 67]);
    assert_eq!(all.option(6), Some(&OTHER.octets()[..]));
    assert_eq!(all.option(15), Some(&b"own.example"[..]));
    assert_eq!(all.option(26), Some(&[5, 120][..]));
    assert_eq!(content::search(all.option(119).unwrap()).ok(), search);
    assert_eq!(all.option(42), Some(&[192, 0, 2, 1, 192, 0, 2, 55][..]));
    assert_eq!((all.option(66), all.option(67)), (Some(&b"boot.example.com"[..]), Some(&b"pxelinux.0"[..])));
    assert!(
        all.message.server_name.starts_with(b"boot.example.com\0") && all.message.file.starts_with(b"pxelinux.0\0")
    );
    let by_address = Binding { own: Options { tftp: tftp("192.0.2.55"), ..own.clone() }, ..binding() };
    let next = offer(&by_address, &settings(), &[66]);
    assert_eq!((next.message.next_server, next.message.server_name[0]), (OTHER, 0));
    let emptied = Binding { own: Options { nameservers: Some(vec![]), ..own }, ..binding() };
    assert_eq!(offer(&emptied, &settings(), &[6, 26]).numbers(), [53, 54, 51, 58], "none is none");
}

#[test]
fn a_host_without_a_name_gets_none() {
    let nameless = Binding { hostname: None, ..binding() };
    assert_eq!(offer(&nameless, &settings(), &[12, 15]).numbers(), [53, 54, 51, 58]);
}

#[test]
fn a_renewal_behind_the_lease_is_not_sent() {
    let dhcp = Dhcp { lease_lifetime: 600, lease_renewal: 600, ..settings().dhcp.unwrap() };
    let short = Settings { dhcp: Some(dhcp), ..settings() };
    assert_eq!(offer(&binding(), &short, &[58, 59]).numbers(), [53, 54, 51, 59]);
    let dhcp = Dhcp { lease_lifetime: u32::MAX, lease_renewal: u32::MAX - 1, ..short.dhcp.unwrap() };
    let endless = Settings { dhcp: Some(dhcp), ..settings() };
    assert_eq!(offer(&binding(), &endless, &[58]).numbers(), [53, 54, 51], "no room for a rebinding before the end");
}

#[test]
fn who_is_told_to_renew_late_is_told_to_rebind_later() {
    for (lifetime, renewal, asked, rebinding) in [
        (1000, 500, &[58][..], None),
        (1000, 874, &[58], None),
        (1000, 874, &[59], Some(875)),
        (1000, 875, &[58], Some(937)),
        (1000, 998, &[58], Some(999)),
        (7, 3, &[59], Some(6)),
        (3, 1, &[59], Some(2)),
    ] {
        let dhcp = Dhcp { lease_lifetime: lifetime, lease_renewal: renewal, ..settings().dhcp.unwrap() };
        let offer = offer(&binding(), &Settings { dhcp: Some(dhcp), ..settings() }, asked);
        assert_eq!(offer.option(58), Some(&renewal.to_be_bytes()[..]));
        assert_eq!(offer.option(59), rebinding.map(u32::to_be_bytes).as_ref().map(|octets| &octets[..]), "{renewal}");
    }
}

#[test]
fn what_is_not_ours_passes_and_what_is_broken_is_dropped() {
    let pass = |packet: &[u8], settings: &Settings| match answer_to(packet, &binding(), settings) {
        Decision::Pass(reason) => reason,
        other => panic!("{other:?}"),
    };
    let none = Ipv4Addr::UNSPECIFIED;
    let to = |port| Ipv4::new(none, Ipv4Addr::BROADCAST).packet(&Udp::new(68, port, of(1).bytes()).segment());
    assert_eq!(pass(&to(68), &settings()), "not to the port of DHCP servers");
    assert_eq!(pass(&Ipv4::new(none, none).packet(&Segment::raw(6, [0; 20])), &settings()), "not UDP");
    assert_eq!(pass(&to(67), &Settings { dhcp: None, ..settings() }), "DHCPv4 is off");
    let unbound = Binding { ip: None, ..binding() };
    assert_eq!(silence(answer_to(&to(67), &unbound, &settings())), "the binding has no IP");
    let broken = |change: fn(&mut Vec<u8>)| {
        let mut packet = to(67);
        change(&mut packet);
        silence(answer_to(&packet, &binding(), &settings()))
    };
    assert_eq!(broken(|packet| packet.truncate(200)), "IPv4: packet cut off");
    assert_eq!(broken(|packet| packet[8] ^= 1), "IPv4: wrong header checksum");
    assert_eq!(broken(|packet| packet[60] ^= 1), "UDP: wrong checksum");
    assert_eq!(broken(Vec::clear), "IPv4: header cut off");
}
