//! Packets by NFQUEUE and frames by a packet socket, with this kernel: what is in a packet, what a verdict does, and what
//! happens to packets when things go wrong.
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/netns.rs"]
mod netns;

use frames::{BROADCAST, Wire};
use instances::net::Mac;
use instances::netlink::nfqueue::{Packet, Verdict};
use instances::packet::{Ethernet, Ipv4, Udp, dhcp4, ether_type};
use instances::sink::packet_socket::PacketSocket;
use instances::source::nfqueue::{LONGEST, Refused, Socket, State, states};
use netns::{in_new_netns, run};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs;
use std::net::Ipv4Addr;

const QUEUE: u16 = 42;
const GUEST: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A tap, and the guest's end of it.
fn tap(name: &str) -> String {
    let guest = format!("{name}g");
    run("ip", &["link", "add", name, "type", "veth", "peer", "name", &guest]);
    for interface in [name, &guest] {
        fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1").unwrap();
        run("ip", &["link", "set", interface, "up"]);
    }
    guest
}

fn index(interface: &str) -> u32 {
    fs::read_to_string(format!("/sys/class/net/{interface}/ifindex"))
        .ok()
        .or_else(|| run("ip", &["-o", "link", "show", interface]).split(':').next().map(str::to_owned))
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

fn queue_packets(arguments: &[&str]) {
    let rule =
        [&["-w", "-t", "mangle", "-A", "PREROUTING"], arguments, &["-j", "NFQUEUE", "--queue-num", "42"]].concat();
    run("iptables", &rule);
}

/// A datagram to port 67 of everybody.
fn payload(data: &[u8]) -> Vec<u8> {
    let udp = Udp::new(dhcp4::CLIENT, dhcp4::SERVER, data).segment();
    Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).packet(&udp)
}

fn frame(data: &[u8]) -> Vec<u8> {
    Ethernet::new(Mac(BROADCAST), Mac(GUEST)).frame(ether_type::IPV4, &payload(data))
}

fn bound() -> Socket {
    let mut socket = Socket::open().unwrap();
    socket.bind(QUEUE).unwrap_or_else(|refused| panic!("{refused:?}"));
    socket
}

/// Waits for packets, and gives so many their verdicts.
fn decide(socket: &mut Socket, packets: usize, mut verdict: impl FnMut(&Packet) -> Verdict) {
    let mut seen = 0;
    while seen < packets {
        let mut fds = [PollFd::new(&*socket, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).unwrap();
        assert!(ready > 0, "{seen} of {packets} packets came");
        socket
            .round(64, |packet| {
                seen += 1;
                verdict(packet)
            })
            .unwrap();
    }
    assert_eq!(seen, packets);
}

fn state() -> State {
    states().into_iter().find(|state| state.queue == QUEUE).unwrap()
}

#[test]
fn a_packet_of_a_routed_tap_names_it_and_its_sender() {
    in_new_netns(|| {
        let guest = Wire::open(&tap("tap1"));
        queue_packets(&["-i", "tap+", "-p", "udp", "--dport", "67"]);
        let mut socket = bound();
        guest.send(&frame(b"hello"));
        let tap = index("tap1");
        decide(&mut socket, 1, |packet| {
            assert_eq!((packet.queue, packet.indev, packet.physindev, packet.port()), (QUEUE, tap, 0, tap));
            assert_eq!((packet.source, packet.is_cut), (Some(Mac(GUEST)), false));
            assert_eq!(packet.payload, payload(b"hello"));
            Verdict::Drop
        });
        assert_eq!(state().waiting, 0);
    });
}

#[test]
fn a_packet_of_a_bridged_tap_names_the_bridge_too() {
    in_new_netns(|| {
        let guest = Wire::open(&tap("tap1"));
        run("ip", &["link", "add", "br0", "type", "bridge"]);
        run("ip", &["link", "set", "tap1", "master", "br0"]);
        run("ip", &["link", "set", "br0", "up"]);
        for family in ["", "6"] {
            fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-ip{family}tables"), "1").unwrap();
        }
        queue_packets(&["-p", "udp", "-m", "physdev", "--physdev-in", "tap+", "-m", "udp", "--dport", "67"]);
        let mut socket = bound();
        let (bridge, tap) = (index("br0"), index("tap1"));
        guest.send(&frame(b"hello"));
        decide(&mut socket, 1, |packet| {
            assert_eq!((packet.indev, packet.physindev, packet.port()), (bridge, tap, tap));
            assert_eq!((packet.source, packet.payload), (Some(Mac(GUEST)), &*payload(b"hello")));
            Verdict::Drop
        });
    });
}

/// Packets that went on.
fn let_through() -> u64 {
    let listed = run("iptables", &["-w", "-t", "mangle", "-L", "INPUT", "-v", "-x", "-n"]);
    let line = listed.lines().find(|line| line.contains("dpt:67")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn each_packet_gets_its_own_verdict_also_when_they_alternate() {
    in_new_netns(|| {
        let guest = Wire::open(&tap("tap1"));
        queue_packets(&["-i", "tap+", "-p", "udp", "--dport", "67"]);
        run("iptables", &["-w", "-t", "mangle", "-A", "INPUT", "-p", "udp", "--dport", "67"]);
        let mut socket = bound();
        // Every third goes its way; what runs there are depends on how many come at once.
        for number in 0..150_u8 {
            guest.send(&frame(&[number]));
        }
        decide(&mut socket, 150, |packet| match packet.payload.get(28) {
            Some(number) if number % 3 == 0 => Verdict::Accept,
            _ => Verdict::Drop,
        });
        assert_eq!((let_through(), state().waiting), (50, 0));
        assert_eq!(socket.losses, instances::source::nfqueue::Losses::default());
    });
}

#[test]
fn a_queue_that_is_taken_says_by_whom() {
    in_new_netns(|| {
        let _first = bound();
        match Socket::open().unwrap().bind(QUEUE) {
            Err(Refused::Taken(holder)) => {
                let (shown, port) = (holder.to_string(), state().port);
                assert!(shown.contains(&port.to_string()), "{shown}");
                assert!(port < 0 || shown.contains("kernel_nfqueue"), "{shown}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn what_is_longer_than_is_copied_is_marked() {
    in_new_netns(|| {
        let guest = tap("tap1");
        for interface in ["tap1", &guest] {
            run("ip", &["link", "set", interface, "mtu", "9000"]);
        }
        let guest = Wire::open(&guest);
        queue_packets(&["-i", "tap+", "-p", "udp", "--dport", "67"]);
        let mut socket = bound();
        guest.send(&frame(&[0; 8000]));
        guest.send(&frame(&[0; 4000]));
        let mut seen = Vec::new();
        decide(&mut socket, 2, |packet| {
            seen.push((packet.is_cut, packet.payload.len()));
            Verdict::Drop
        });
        assert_eq!(seen, [(true, 4096), (false, 4028)]);
    });
}

#[test]
fn a_flood_fills_the_queue_not_the_socket_and_leaves_nothing_behind() {
    in_new_netns(|| {
        let guest = Wire::open(&tap("tap1"));
        queue_packets(&["-i", "tap+", "-p", "udp", "--dport", "67"]);
        let mut socket = bound();
        let flood = frame(&[0; 1400]);
        let sent = u64::from(LONGEST) + 500;
        for _ in 0..sent {
            guest.send(&flood);
        }
        let before = state();
        assert_eq!((before.waiting, before.dropped, before.user_dropped), (LONGEST.into(), 500, 0));
        decide(&mut socket, LONGEST as usize, |_| Verdict::Drop);
        assert_eq!((state().waiting, socket.losses.overruns), (0, 0));
        guest.send(&flood);
        decide(&mut socket, 1, |_| Verdict::Drop);
    });
}

#[test]
fn frames_reach_the_guest_and_a_tap_that_is_gone_is_an_error_that_says_so() {
    in_new_netns(|| {
        let guest = Wire::open(&tap("tap1"));
        queue_packets(&["-i", "tap+", "-p", "udp", "--dport", "67"]);
        let (mut socket, out) = (bound(), PacketSocket::open().unwrap());
        let tap = index("tap1");
        let answer = Ethernet::new(Mac(GUEST), Mac([2, 0, 0, 0, 0, 9])).frame(ether_type::EXPERIMENT, b"answer");
        out.send(tap, &answer).unwrap();
        assert_eq!(guest.receive(10_000).as_deref(), Some(&*answer));

        // With a packet of it in hand.
        guest.send(&frame(b"hello"));
        decide(&mut socket, 1, |packet| {
            run("ip", &["link", "del", "tap1"]);
            let ended = out.send(packet.port(), &answer);
            assert!(matches!(ended, Err(Errno::NXIO | Errno::NODEV)), "{ended:?}");
            Verdict::Accept
        });
        assert_eq!(state().waiting, 0);
    });
}
