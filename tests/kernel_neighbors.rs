//! Who is on the wire, as a real kernel lets it be heard: a bridge, guests at its ports.
#![cfg(feature = "proxmox")]
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/netns.rs"]
mod netns;

use frames::Wire;
use instances::net::Mac;
use instances::packet::nd::{Nd, NdOption, multicast_mac, solicited_node};
use instances::packet::{Arp, Ethernet, Ipv6, Tag, ether_type};
use instances::source::neighbors::{How, Kernel, Lack, Neighbors, Places, Sighted, Sweeping};
use netns::wait::{PATIENCE, until};
use netns::{in_new_netns, run};
use rustix::thread::CapabilitySet;
use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const BROADCAST: Mac = Ethernet::BROADCAST;
const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

/// The n-th guest's.
fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

/// A guest's wire, without a guest: its end is in this namespace, as `wireN`.
fn plug(number: u8, bridge: &str) -> Wire {
    let (wire, port) = (format!("wire{number}"), format!("tap{number}"));
    run("ip", &["link", "add", &wire, "type", "veth", "peer", "name", &port]);
    for interface in [&wire, &port] {
        fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1").unwrap();
        run("ip", &["link", "set", interface, "up"]);
    }
    // Or the kernel at this end would hear, and believe, what the guests say.
    run("ip", &["link", "set", &wire, "arp", "off"]);
    run("ip", &["link", "set", &port, "master", bridge]);
    forwards(&port);
    Wire::open(&wire)
}

/// Waits until a port takes part.
fn forwards(port: &str) {
    until("a port that forwards", || run("ip", &["-d", "link", "show", "dev", port]).contains("state forwarding"));
}

fn add_bridge(name: &str) {
    // Of its own, or it takes that of a port and forgets its neighbours.
    let address = ["address", "02:00:00:00:00:fe"];
    run("ip", &[&["link", "add", name], &address[..], &["type", "bridge", "mcast_snooping", "1"]].concat());
    run("ip", &["link", "set", name, "up"]);
}

/// A guest with a kernel of its own to speak for it.
struct Guest(Child);

impl Guest {
    fn at(bridge: &str, number: u8) -> Self {
        let child = Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let guest = Self(child);
        let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let there = format!("/proc/{}/ns/net", guest.0.id());
        until("a namespace", || fs::read_link(&there).is_ok_and(|there| there != here));
        let (port, process) = (format!("veth{number}"), guest.0.id().to_string());
        run("ip", &["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &process]);
        run("ip", &["link", "set", &port, "master", bridge, "up"]);
        guest.run("ip", &["link", "set", "eth0", "address", &mac(number).to_string()]);
        guest
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let process = self.0.id().to_string();
        run("nsenter", &[&["--target", &process, "--net", program], arguments].concat())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A test with a runtime, in a namespace of its own.
fn in_lan<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    in_new_netns(move || {
        run("ip", &["link", "set", "lo", "up"]);
        add_bridge("br0");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
}

fn all_bridges() -> Places {
    Places { named: Vec::new(), all_bridges: true }
}

fn named(name: &str) -> Places {
    Places { named: vec![name.parse().unwrap()], all_bridges: false }
}

fn no_sweep() -> Sweeping {
    Sweeping { networks: Vec::new(), interval: Duration::from_secs(1), per_second: 1000 }
}

/// Listens for the guests 1 to 9.
fn listen(places: Places, sweeping: Sweeping) -> Kernel {
    let mut kernel = Kernel::listen(places, sweeping, Instant::now()).unwrap();
    kernel.know((1..10).map(mac).collect(), Vec::new());
    kernel
}

/// What is told up to the first that is wanted; that is the last.
async fn until_told(neighbors: &mut impl Neighbors, wanted: impl Fn(&Sighted) -> bool) -> Vec<Sighted> {
    let mut told = Vec::new();
    let all = async {
        loop {
            let sighted = neighbors.next().await.unwrap();
            told.push(sighted);
            if wanted(&sighted) {
                break;
            }
        }
    };
    let came = timeout(PATIENCE, all).await;
    assert!(came.is_ok(), "never came; but {told:?}");
    told
}

async fn told(neighbors: &mut impl Neighbors, number: u8, address: impl Into<IpAddr>) -> Sighted {
    let address = address.into();
    let told = until_told(neighbors, |sighted| (sighted.mac, sighted.address) == (mac(number), address)).await;
    *told.last().unwrap()
}

fn announcement(from: Mac, says: Mac, address: Ipv4Addr) -> Vec<u8> {
    Ethernet::new(BROADCAST, from).frame(ether_type::ARP, &Arp::announcement((says, address)).packet())
}

fn announce(wire: &Wire, number: u8, address: Ipv4Addr) {
    wire.send(&announcement(mac(number), mac(number), address));
}

fn nd(from: Mac, source: Ipv6Addr, destination: Ipv6Addr, message: &Nd, options: &[NdOption]) -> Vec<u8> {
    let packet = Ipv6::neighbor_discovery(source, destination).packet(&message.segment(options));
    Ethernet::new(multicast_mac(destination), from).frame(ether_type::IPV6, &packet)
}

#[test]
fn a_guests_new_addresses_are_told_at_once() {
    in_lan(|| async {
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "br0"]);
        let guest = Guest::at("br0", 1);
        let mut neighbors = listen(all_bridges(), no_sweep());
        guest.run("ip", &["link", "set", "eth0", "up"]);
        forwards("veth1");
        let link_local: Ipv6Addr = "fe80::ff:fe00:1".parse().unwrap();
        let first = told(&mut neighbors, 1, link_local).await;
        assert_eq!(first.how, How::Tentative);
        for address in [v4(11), v4(12)] {
            guest.run("ip", &["addr", "replace", &format!("{address}/24"), "dev", "eth0"]);
            guest.run("ping", &["-c", "1", "-W", "20", "-I", &address.to_string(), "192.0.2.1"]);
            let since = Instant::now();
            assert_eq!(told(&mut neighbors, 1, address).await.how, How::Said);
            println!("{address} after {:?}", since.elapsed());
            run("ip", &["neigh", "flush", "all"]);
            guest.run("ip", &["neigh", "flush", "all"]);
        }
        guest.run("ip", &["addr", "add", "2001:db8::11/64", "dev", "eth0"]);
        told(&mut neighbors, 1, "2001:db8::11".parse::<Ipv6Addr>().unwrap()).await;
    });
}

#[test]
fn announcements_and_duplicate_address_detection_are_heard_even_if_they_are_for_another_guest() {
    in_lan(|| async {
        let wires = [plug(1, "br0"), plug(2, "br0")];
        let mut neighbors = listen(all_bridges(), no_sweep());
        assert_eq!((neighbors.lacking(), neighbors.counts().interfaces), (Vec::new(), 2));
        announce(&wires[0], 1, v4(1));
        announce(&wires[1], 2, v4(2));
        told(&mut neighbors, 2, v4(2)).await;
        // Unicast, between guests alone.
        let reply = Arp::reply((mac(1), v4(3)), (mac(2), v4(2))).packet();
        wires[0].send(&Ethernet::new(mac(2), mac(1)).frame(ether_type::ARP, &reply));
        told(&mut neighbors, 1, v4(3)).await;
        let target: Ipv6Addr = "2001:db8::7".parse().unwrap();
        wires[1].send(&nd(mac(2), NOBODY, solicited_node(target), &Nd::solicitation(target), &[]));
        assert_eq!(told(&mut neighbors, 2, target).await.how, How::Tentative);
        let options = [NdOption::TargetLinkLayer(mac(2))];
        wires[1].send(&nd(mac(2), target, "ff02::1".parse().unwrap(), &Nd::advertisement(target), &options));
        let said = until_told(&mut neighbors, |sighted| sighted.how == How::Said).await;
        assert_eq!(said.last().map(|said| (said.mac, said.address)), Some((mac(2), target.into())));
    });
}

#[test]
fn what_is_forged_or_of_no_known_guest_is_not_told() {
    in_lan(|| async {
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "br0"]);
        let wires = [plug(1, "br0"), plug(2, "br0")];
        let mut neighbors = listen(all_bridges(), no_sweep());
        // The second one says that the first has an address: the kernel believes it.
        let forged = Arp::request((mac(1), v4(66)), v4(1)).packet();
        wires[1].send(&Ethernet::new(BROADCAST, mac(2)).frame(ether_type::ARP, &forged));
        until("the kernel's belief", || {
            run("ip", &["neigh", "show", "192.0.2.66"]).contains("lladdr 02:00:00:00:00:01")
        });
        let target: Ipv6Addr = "2001:db8::66".parse().unwrap();
        let options = [NdOption::TargetLinkLayer(mac(1))];
        wires[1].send(&nd(mac(2), target, "ff02::1".parse().unwrap(), &Nd::advertisement(target), &options));
        wires[1].send(&announcement(mac(77), mac(77), v4(67)));
        announce(&wires[1], 2, v4(2));
        let mut all = until_told(&mut neighbors, |sighted| sighted.mac == mac(2)).await;
        // Whatever came in with it is told by then.
        announce(&wires[1], 2, v4(3));
        all.extend(until_told(&mut neighbors, |sighted| sighted.address == IpAddr::from(v4(3))).await);
        assert_eq!(all.iter().map(|told| told.address).collect::<Vec<_>>(), [v4(2), v4(3)].map(IpAddr::from));
        let counts = neighbors.counts();
        assert_eq!((counts.heard, counts.ignored, counts.unknown, counts.table), (2, 2, 1, 0), "{counts:?}");
    });
}

#[test]
fn whom_the_kernel_knows_already_is_asked() {
    in_lan(|| async {
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "br0"]);
        let guest = Guest::at("br0", 1);
        guest.run("ip", &["addr", "add", "192.0.2.11/24", "dev", "eth0"]);
        guest.run("ip", &["link", "set", "eth0", "up"]);
        forwards("veth1");
        run("ping", &["-c", "1", "-W", "20", "192.0.2.11"]);
        let lladdr = mac(1).to_string();
        run("ip", &["neigh", "replace", "192.0.2.66", "lladdr", &lladdr, "dev", "br0", "nud", "stale"]);
        let mut neighbors = listen(all_bridges(), no_sweep());
        let wire = plug(2, "br0");
        let all = until_told(&mut neighbors, |sighted| sighted.address == IpAddr::from(v4(11))).await;
        assert_eq!(all.last().map(|told| (told.mac, told.how)), Some((mac(1), How::Said)));
        // The other one nobody has.
        let since = Instant::now();
        while neighbors.counts().asked < 2 || neighbors.counts().interfaces < 2 {
            assert!(since.elapsed() < PATIENCE, "{:?}", neighbors.counts());
            let _ = timeout(Duration::from_millis(5), neighbors.next()).await;
        }
        announce(&wire, 2, v4(2));
        let rest = until_told(&mut neighbors, |sighted| sighted.mac == mac(2)).await;
        assert!([all, rest].concat().iter().all(|told| told.address != IpAddr::from(v4(66))));
        assert_eq!(neighbors.counts().table, 0);
    });
}

#[test]
fn frames_with_one_tag_are_heard_and_those_with_two_are_not() {
    in_lan(|| async {
        let wire = plug(1, "br0");
        let mut neighbors = listen(all_bridges(), no_sweep());
        let tagged = |tags: &[Tag], address| {
            let header = tags.iter().fold(Ethernet::new(BROADCAST, mac(1)), |header, tag| header.tagged(*tag));
            wire.send(&header.frame(ether_type::ARP, &Arp::announcement((mac(1), address)).packet()));
        };
        tagged(&[Tag::service(7), Tag::vlan(8)], v4(9));
        tagged(&[Tag { priority: 5, ..Tag::vlan(4094) }], v4(1));
        tagged(&[Tag::vlan(0)], v4(2));
        tagged(&[Tag::service(20)], v4(3));
        let target: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let solicitation = Nd::solicitation(target).segment(&[]);
        let packet = Ipv6::neighbor_discovery(NOBODY, solicited_node(target)).packet(&solicitation);
        let header = Ethernet::new(multicast_mac(solicited_node(target)), mac(1)).tagged(Tag::vlan(20));
        wire.send(&header.frame(ether_type::IPV6, &packet));
        let all = until_told(&mut neighbors, |sighted| sighted.address == IpAddr::from(target)).await;
        let all: Vec<_> = all.iter().map(|told| told.address).collect();
        assert_eq!(all, [v4(1).into(), v4(2).into(), v4(3).into(), IpAddr::from(target)]);
    });
}

#[test]
fn who_gives_up_waiting_misses_nothing() {
    in_lan(|| async {
        let wire = plug(1, "br0");
        let mut neighbors = listen(all_bridges(), no_sweep());
        let mut missing: BTreeSet<IpAddr> = (1..=12).map(|last| v4(last).into()).collect();
        (1..=12).for_each(|last| announce(&wire, 1, v4(last)));
        let since = Instant::now();
        while !missing.is_empty() {
            if let Ok(told) = timeout(Duration::ZERO, neighbors.next()).await {
                assert!(missing.remove(&told.unwrap().address));
            }
            assert!(since.elapsed() < PATIENCE, "{missing:?}");
        }
    });
}

/// Kilobytes of this process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_flood_neither_grows_memory_nor_keeps_others_from_being_heard() {
    let rounds: u32 = if netns::on_stock_kernel() { 5_000 } else { 200_000 };
    in_lan(move || async move {
        let (flooder, other) = (plug(1, "br0"), plug(2, "br0"));
        let mut neighbors = listen(all_bridges(), no_sweep());
        let flood = std::thread::spawn(move || {
            for round in 0..rounds {
                let address = Ipv4Addr::from(0x0a00_0000 + round);
                flooder.send(&announcement(mac(1), mac(1), address));
                let [.., b, c, d] = round.to_be_bytes();
                let stranger = Mac([6, 0, 0, b, c, d]);
                flooder.send(&announcement(stranger, stranger, address));
            }
            announce(&flooder, 1, v4(1));
        });
        let (before, since) = (resident(), Instant::now());
        announce(&other, 2, v4(2));
        told(&mut neighbors, 2, v4(2)).await;
        let heard_after = since.elapsed();
        while !flood.is_finished() {
            let _ = timeout(Duration::from_millis(10), neighbors.next()).await;
        }
        let frames_per_second = f64::from(rounds) * 2.0 / since.elapsed().as_secs_f64();
        let grown = resident().saturating_sub(before);
        let counts = neighbors.counts();
        println!("{frames_per_second:.0} frames/s, other after {heard_after:?}, grown {grown} kB, {counts:?}");
        assert!(counts.unknown > 0 && counts.heard > 1, "{counts:?}");
        // Every frame that is kept would be more.
        assert!(grown < 8 << 10, "{grown} kB");
    });
}

#[test]
fn without_cap_net_raw_the_kernels_table_still_tells() {
    in_lan(|| async {
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "br0"]);
        let wire = plug(1, "br0");
        let neigh = |address: &str, number: u8, state: &str| {
            let mac = mac(number).to_string();
            run("ip", &["neigh", "replace", address, "lladdr", &mac, "dev", "br0", "nud", state]);
        };
        neigh("192.0.2.7", 1, "permanent");
        neigh("192.0.2.99", 77, "permanent");
        let mut own = rustix::thread::capabilities(None).unwrap();
        own.effective.remove(CapabilitySet::NET_RAW);
        own.permitted.remove(CapabilitySet::NET_RAW);
        rustix::thread::set_capabilities(None, own).unwrap();
        let sweeping = Sweeping { networks: vec!["192.0.2.0/24".parse().unwrap()], ..no_sweep() };
        let mut neighbors = listen(all_bridges(), sweeping);
        assert_eq!(neighbors.lacking(), [Lack::NotPermitted]);
        assert!(neighbors.lacking()[0].to_string().starts_with("without CAP_NET_RAW guests' ARP"));
        let first = told(&mut neighbors, 1, v4(7)).await;
        assert_eq!(first.how, How::Reachable);
        neigh("192.0.2.8", 2, "stale");
        assert_eq!(told(&mut neighbors, 2, v4(8)).await.how, How::Remembered);
        neigh("2001:db8::7", 3, "reachable");
        told(&mut neighbors, 3, "2001:db8::7".parse::<Ipv6Addr>().unwrap()).await;
        // What the kernel hears itself.
        let asks = Arp::request((mac(1), v4(9)), v4(1)).packet();
        wire.send(&Ethernet::new(BROADCAST, mac(1)).frame(ether_type::ARP, &asks));
        told(&mut neighbors, 1, v4(9)).await;
        // Another guest becomes known, and what the table knows of it is told.
        neighbors.know([mac(77)].into_iter().collect(), Vec::new());
        told(&mut neighbors, 77, v4(99)).await;
        assert_eq!(neighbors.counts().asked, 0);
    });
}

#[test]
fn a_bridge_may_go_and_come_again() {
    in_lan(|| async {
        let wire = plug(1, "br0");
        let mut neighbors = listen(named("br0"), no_sweep());
        announce(&wire, 1, v4(1));
        told(&mut neighbors, 1, v4(1)).await;
        for round in 2..4 {
            run("ip", &["link", "del", "br0"]);
            let gone = [Lack::Absent("br0".parse().unwrap())];
            let since = Instant::now();
            while neighbors.lacking() != gone {
                assert!(since.elapsed() < PATIENCE);
                let _ = timeout(Duration::from_millis(5), neighbors.next()).await;
            }
            assert_eq!(neighbors.counts().interfaces, 0);
            add_bridge("br0");
            run("ip", &["link", "set", "tap1", "master", "br0"]);
            forwards("tap1");
            let since = Instant::now();
            while neighbors.counts().interfaces == 0 {
                assert!(since.elapsed() < PATIENCE);
                let _ = timeout(Duration::from_millis(5), neighbors.next()).await;
            }
            assert_eq!(neighbors.lacking(), []);
            announce(&wire, 1, v4(round));
            told(&mut neighbors, 1, v4(round)).await;
        }
        // The port goes, with its guest; another comes.
        run("ip", &["link", "del", "tap1"]);
        let wire = plug(2, "br0");
        let since = Instant::now();
        while neighbors.counts().interfaces == 0 {
            assert!(since.elapsed() < PATIENCE);
            let _ = timeout(Duration::from_millis(5), neighbors.next()).await;
        }
        let _ = timeout(Duration::from_millis(5), neighbors.next()).await;
        announce(&wire, 2, v4(9));
        told(&mut neighbors, 2, v4(9)).await;
    });
}

#[test]
fn silent_guests_answer_the_sweep() {
    in_lan(|| async {
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "br0"]);
        run("ip", &["addr", "add", "2001:db8::1/64", "dev", "br0", "nodad"]);
        let guest = Guest::at("br0", 1);
        for address in ["192.0.2.77/24", "2001:db8::77/64"] {
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            guest.run("ip", &[&["addr", "add", address, "dev", "eth0"], nodad].concat());
        }
        guest.run("ip", &["link", "set", "eth0", "up"]);
        forwards("veth1");
        let networks = ["192.0.2.0/24", "198.51.100.0/24"].map(|network| network.parse().unwrap()).to_vec();
        // It listens where it asks, whatever it is told.
        let places = Places::default();
        let mut neighbors = listen(places, Sweeping { networks, ..no_sweep() });
        assert_eq!(neighbors.lacking(), [Lack::NoAddress("198.51.100.0/24".parse().unwrap())]);
        let v6: Ipv6Addr = "2001:db8::77".parse().unwrap();
        neighbors.know([mac(1)].into_iter().collect(), vec![v6]);
        assert_eq!(told(&mut neighbors, 1, v4(77)).await.how, How::Said);
        assert_eq!(told(&mut neighbors, 1, v6).await.how, How::Said);
        assert!(neighbors.counts().asked >= 77);
        // An address that the host gets while the sweep goes on.
        run("ip", &["addr", "add", "198.51.100.1/24", "dev", "br0"]);
        let since = Instant::now();
        while !neighbors.lacking().is_empty() {
            assert!(since.elapsed() < PATIENCE);
            let _ = timeout(Duration::from_millis(50), neighbors.next()).await;
        }
    });
}
