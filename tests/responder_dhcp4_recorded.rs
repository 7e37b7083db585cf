//! `--compat`: DHCPv4 answers are those that the original nfdhcpd gave to the same probes, to the octet.
//!
//! `tests/nfdhcpd/recorded` has the answers, each a summary and the options in hexadecimal. The probes are made again
//! here: what is echoed tells what they were. From a summary the whole frame is built, independently of the responder.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/dhcp4.rs"]
mod dhcp4;
#[path = "common/fuzz.rs"]
mod fuzz;

use dhcp4::{ADDRESS, GUEST, OTHER, US, answer_to, binding, packet, settings};
use instances::net::Mac;
use instances::packet::dhcp4::{BROADCAST, Dhcp4, kind};
use instances::packet::{Ethernet, Ipv4, Udp, ether_type};
use instances::plan::responder::binding::Binding;
use instances::plan::responder::settings::Settings;
use instances::plan::responder::{Client, Decision, Declined};
use std::net::Ipv4Addr;
use std::time::Instant;

/// The probes of each recording, by name. The transaction is not recorded: any will do, it is echoed.
fn probes(mac: Mac, address: Ipv4Addr) -> Vec<(&'static str, Vec<u8>)> {
    let of = |kind| Dhcp4 { transaction: 0x1234_5678, flags: 0, ..Dhcp4::from_client(kind, mac) };
    let request = |wanted: Ipv4Addr| of(kind::REQUEST).with(50, wanted.octets());
    let held = |client, message| Dhcp4 { client, ..message };
    let mut discover = Dhcp4 { flags: BROADCAST, seconds: 5, ..of(kind::DISCOVER) };
    discover.server_name[..3].copy_from_slice(b"srv");
    discover.file[..5].copy_from_slice(b"bootf");
    let hlen = |hlen: u8| {
        let mut bytes = of(kind::DISCOVER).bytes();
        bytes[2] = hlen;
        Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).packet(&Udp::new(68, 67, bytes).segment())
    };
    let short = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let short = short.packet(&Udp::new(68, 67, &of(kind::DISCOVER).bytes()[..100]).segment());
    let without = Dhcp4 { options: vec![(12, b"x".to_vec())], ..of(kind::DISCOVER) };
    let spoof = Dhcp4 { hardware: Mac([2, 9, 9, 9, 9, 9]), ..of(kind::DISCOVER) };
    let relayed = Dhcp4 { hops: 1, relay: Ipv4Addr::new(192, 0, 2, 77), ..of(kind::DISCOVER) };
    vec![
        ("disc", packet(&discover)),
        ("req", packet(&request(address).with(54, US.octets()))),
        ("reqbad", packet(&request(OTHER).with(54, US.octets()))),
        ("reqother", packet(&request(address).with(54, [10, 9, 9, 9]))),
        ("renew", packet(&held(address, of(kind::REQUEST)))),
        ("renewbad", packet(&held(OTHER, of(kind::REQUEST)))),
        // Of all recordings, the one address.
        ("inform", packet(&held(ADDRESS, of(kind::INFORM)))),
        ("release", packet(&held(address, of(kind::RELEASE)).with(54, US.octets()))),
        ("giaddr", packet(&relayed)),
        ("spoof", packet(&spoof)),
        ("bootp", packet(&Dhcp4 { options: vec![], ..of(kind::DISCOVER) })),
        ("nomt", packet(&without)),
        ("hlen16", hlen(16)),
        ("hlen0", hlen(0)),
        ("short", short),
    ]
}

/// What a recording says of a probe: the summary's line and the options; `None`: no answer.
fn recorded<'a>(recording: &'a str, name: &str) -> Option<(&'a str, Vec<u8>)> {
    let (_, block) = recording.split_once(&format!("===== {name}\n"))?;
    let block = block.split("=====").next().unwrap();
    let options = block.lines().find_map(|line| line.trim().strip_prefix("rawopts "))?;
    Some((block.lines().find(|line| line.trim_start().starts_with("IP "))?, fuzz::unhex(options).unwrap()))
}

/// The frame that a summary is of.
fn frame(summary: &str, options: &[u8]) -> Vec<u8> {
    let words: Vec<&str> = summary.split_whitespace().collect();
    let after = |name: &str, skip: usize| {
        let at = words.iter().position(|word| *word == name).unwrap_or_else(|| panic!("no {name}: {summary}"));
        words[at + skip]
    };
    let address = |name| after(name, 1).parse::<Ipv4Addr>().unwrap();
    // The first octets, as Python writes them.
    let text = |name| after(name, 1).trim_start_matches("b'").trim_end_matches('\'').replace("\\x00", "");
    let [op, hops, ttl, id] = ["op", "hops", "ttl", "id"].map(|name| after(name, 1).parse::<u16>().unwrap());
    // Without a flag, the next word follows after two spaces.
    let (flags, seconds) = if after("flags", 1) == "B" { (BROADCAST, after("secs", 1)) } else { (0, after("secs", 1)) };

    let mut message = vec![u8::try_from(op).unwrap(), 1, 6, u8::try_from(hops).unwrap()];
    message.extend(0x1234_5678_u32.to_be_bytes());
    message.extend(seconds.parse::<u16>().unwrap().to_be_bytes());
    message.extend(flags.to_be_bytes());
    for name in ["ciaddr", "yi", "si", "gi"] {
        message.extend(address(name).octets());
    }
    message.extend(after("dst", 1).parse::<Mac>().unwrap().0);
    message.resize(44, 0);
    message.extend(text("sname").bytes());
    message.resize(108, 0);
    message.extend(text("file").bytes());
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63]);
    message.extend(options);
    let (from, to) = (address("IP"), after("IP", 2).parse().unwrap());
    let header = Ipv4 { identification: id, ttl: u8::try_from(ttl).unwrap(), ..Ipv4::new(from, to) };
    assert_eq!((after("ports", 1), after("ports", 2)), ("67", "68"));
    let packet = header.packet(&Udp::new(67, 68, message).segment());
    let ethernet = Ethernet::new(after("dst", 1).parse().unwrap(), after("src", 1).parse().unwrap());
    let frame = ethernet.frame(ether_type::IPV4, &packet);
    assert_eq!(after("len", 1), frame.len().to_string());
    frame
}

/// Names of the probes whose answer differs from the recording.
fn differing(recording: &str, binding: &Binding, responder: Mac, settings: &Settings) -> Vec<&'static str> {
    let client = Client { binding, responder };
    let mut differing = Vec::new();
    for (name, probe) in probes(binding.mac, binding.ip.unwrap()) {
        if !recording.contains(&format!("===== {name}\n")) {
            continue;
        }
        let (declined, now) = (&mut Declined::default(), Instant::now());
        let answer = instances::plan::responder::dhcp4::answer(&probe, binding.mac, &client, settings, declined, now);
        let same = match (recorded(recording, name), &answer) {
            (Some((summary, options)), Decision::Reply { frame: ours, .. }) => *ours == frame(summary, &options),
            (None, Decision::Silence(_)) => true,
            _ => false,
        };
        if !same {
            differing.push(name);
        }
    }
    differing
}

fn compat() -> Settings {
    Settings { compat: true, ..settings() }
}

const ROUTED: &str = include_str!("nfdhcpd/recorded/golden_routed.txt");

#[test]
fn a_routed_tap_gets_the_recorded_answers() {
    let none: [&str; 0] = [];
    assert_eq!(differing(ROUTED, &binding(), Mac([0xfe, 0, 0, 0, 0, 1]), &compat()), none);
}

#[test]
fn a_private_bridged_tap_with_an_mtu_gets_the_recorded_answers() {
    let recording = include_str!("nfdhcpd/recorded/golden_bridged_private_mtu.txt");
    let bridged = Binding {
        mac: Mac([0xaa, 0, 0, 0, 0, 2]),
        hostname: Some("bridged".parse().unwrap()),
        ip: Some(Ipv4Addr::new(198, 51, 100, 7)),
        subnet: Some("198.51.100.0/24".parse().unwrap()),
        gateway: Some(Ipv4Addr::new(198, 51, 100, 1)),
        private: true,
        mtu: Some(1400),
        ..binding()
    };
    let none: [&str; 0] = [];
    assert_eq!(differing(recording, &bridged, Mac([0xfe, 0, 0, 0, 0, 0xff]), &compat()), none);
}

/// The original failed on DISCOVER and gave no answer.
#[test]
fn without_a_subnet_there_is_an_answer_and_the_rest_is_as_recorded() {
    let recording = include_str!("nfdhcpd/recorded/golden_nosubnet.txt");
    let bare = Binding {
        mac: Mac([0xaa, 0, 0, 0, 0, 3]),
        hostname: Some("nosub.example.net".parse().unwrap()),
        ip: Some(Ipv4Addr::new(198, 51, 100, 8)),
        subnet: None,
        gateway: None,
        ..binding()
    };
    assert_eq!(differing(recording, &bare, Mac([0xfe, 0, 0, 0, 0, 0xff]), &compat()), ["disc"]);
    let (_, discover) = probes(bare.mac, ADDRESS).swap_remove(0);
    let offer = dhcp4::reply(answer_to(&discover, &bare, &compat()));
    assert_eq!(offer.numbers(), [12, 15, 58, 51, 6, 53, 54]);
}

/// The test above can fail: without `--compat`, what is answered is not what was recorded.
#[test]
fn without_compat_every_answer_differs_and_silence_stays() {
    let ours = differing(ROUTED, &binding(), Mac([0xfe, 0, 0, 0, 0, 1]), &settings());
    let expected = ["disc", "req", "reqbad", "reqother", "renew", "renewbad", "inform", "giaddr"];
    assert_eq!(ours, expected);
    assert_eq!(binding().mac, GUEST);
}
