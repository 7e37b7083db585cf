//! What goes wrong around a running `instances-nfdhcpd`, and what the original did wrong: each a test. Others of these are in
//! `kernel_nfdhcpd.rs` (queue taken, taps deleted with packets in hand, no binding, spoofed MAC, br_netfilter off),
//! `nfdhcpd_bindings.rs` (renames, overflow, hostile files), `nfdhcpd_start.rs` (no privileges), `responder_*` (packets).
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/netns.rs"]
mod netns;
#[path = "common/responder.rs"]
mod responder;

use frames::{BROADCAST, Wire};
use instances::net::{Mac, link_local_of};
use instances::packet::dhcp6::{self, Association, Dhcp6, Dhcp6Option, Duid, Message};
use instances::packet::ipv6::Ipv6;
use instances::packet::nd::{Nd, multicast_mac};
use instances::packet::{Ethernet, Ipv4, dhcp4, ether_type};
use instances::source::nfqueue::states;
use netns::{in_new_netns, on_stock_kernel, run};
use nix::sys::signal::Signal;
use responder::{GENERAL, Guest, Host, PATIENCE, mac, routed, until};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const GUEST: Mac = Mac([2, 0, 0, 0, 0, 2]);
const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

fn nothing_waits() {
    until("a verdict for each packet", || states().iter().all(|state| state.waiting == 0));
}

/// A tap, and who speaks behind it: nobody but the test.
fn tap(name: &str) -> Wire {
    let guest = format!("{name}g");
    run("ip", &["link", "add", name, "type", "veth", "peer", "name", &guest]);
    fs::write(format!("/proc/sys/net/ipv6/conf/{guest}/disable_ipv6"), "1").unwrap();
    for interface in [name, &guest] {
        run("ip", &["link", "set", interface, "up"]);
    }
    Wire::open(&guest)
}

fn frame4(message: &dhcp4::Dhcp4) -> Vec<u8> {
    let packet = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).packet(&message.segment());
    Ethernet::new(Mac(BROADCAST), GUEST).frame(ether_type::IPV4, &packet)
}

fn discover() -> Vec<u8> {
    frame4(&dhcp4::Dhcp4::from_client(dhcp4::kind::DISCOVER, GUEST))
}

fn frame6(to: Ipv6Addr, packet: &[u8]) -> Vec<u8> {
    Ethernet::new(multicast_mac(to), GUEST).frame(ether_type::IPV6, packet)
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The group that owners of this address listen to.
fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

fn solicitation(from: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let to = solicited_node(target);
    frame6(to, &Ipv6::neighbor_discovery(from, to).packet(&Nd::solicitation(target).segment(&[])))
}

fn dhcp6_frame(kind: u8) -> Vec<u8> {
    let to = v6("ff02::1:2");
    let mut options = vec![Dhcp6Option::Client(Duid::link_layer(GUEST))];
    if kind == dhcp6::kind::SOLICIT {
        options.push(Dhcp6Option::Addresses(Association::new(1)));
    }
    let segment = Dhcp6::Direct(Message { kind, transaction: 7, options }).segment(dhcp6::CLIENT, dhcp6::SERVER);
    frame6(to, &Ipv6::new(link_local_of(GUEST), to).packet(&segment))
}

/// Whether a frame answers a question: it is for the guest, and no advertisement to all.
fn is_answer(frame: &[u8]) -> bool {
    match frame[12..14] {
        [8, 0] => frame[6..12] != GUEST.0 && frame[23] == 17 && frame[34..36] == [0, 67],
        [0x86, 0xdd] => frame[..6] == GUEST.0,
        _ => false,
    }
}

#[track_caller]
fn answer(wire: &Wire, question: &[u8]) -> Vec<u8> {
    wire.send(question);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(frame) = wire.receive(1000).filter(|frame| is_answer(frame)) {
            return frame;
        }
    }
    panic!("no answer to {question:x?}");
}

/// One question of each kind.
fn questions() -> Vec<Vec<u8>> {
    let of = |kind| dhcp4::Dhcp4 { flags: 0, transaction: 99, ..dhcp4::Dhcp4::from_client(kind, GUEST) };
    let own = link_local_of(GUEST);
    let routers = v6("ff02::2");
    vec![
        frame4(&of(dhcp4::kind::DISCOVER)),
        frame4(&of(dhcp4::kind::REQUEST).with(50, [192, 0, 2, 2]).with(54, [192, 0, 2, 1])),
        frame4(&of(dhcp4::kind::REQUEST).with(50, [192, 0, 2, 99])),
        frame4(&of(dhcp4::kind::INFORM)),
        frame6(routers, &Ipv6::neighbor_discovery(own, routers).packet(&Nd::RouterSolicitation.segment(&[]))),
        solicitation(own, v6("2001:db8:1::1")),
        dhcp6_frame(dhcp6::kind::SOLICIT),
        dhcp6_frame(dhcp6::kind::INFORMATION_REQUEST),
    ]
}

/// All that is in a folder: sizes and times of the last change.
fn all_files(folder: &Path, seen: &mut BTreeMap<String, (u64, std::time::SystemTime)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            all_files(&path, seen);
        } else {
            seen.insert(path.display().to_string(), (about.len(), about.modified().unwrap()));
        }
    }
}

#[test]
fn after_a_kill_every_answer_is_the_same_to_the_octet_and_nothing_was_on_disk() {
    in_new_netns(|| {
        let host = Host::new();
        host.configure("", &GENERAL.replace("[ipv6]\n", "[ipv6]\nmode = dhcpv6\n"));
        routed();
        let wire = tap("tap2");
        host.bind("tap2", "tap2", 2);
        let mut first = host.start();
        let before: Vec<_> = questions().iter().map(|question| answer(&wire, question)).collect();
        // All that it ever writes: its number, and here its log.
        let mut written = Vec::new();
        for descriptor in fs::read_dir(format!("/proc/{}/fd", first.id())).unwrap() {
            let path = fs::read_link(descriptor.unwrap().path()).unwrap();
            if path.is_file() && !path.starts_with("/proc") {
                written.push(path);
            }
        }
        written.sort();
        written.dedup();
        assert_eq!(written, [host.path("log"), host.path("pid")]);
        let mut files = BTreeMap::new();
        all_files(&host.path("bindings"), &mut files);
        first.signal(Signal::SIGKILL);
        first.ended();
        // What is asked meanwhile is lost, and nothing else.
        wire.send(&discover());
        let _second = host.start();
        let after: Vec<_> = questions().iter().map(|question| answer(&wire, question)).collect();
        assert_eq!(after, before);
        let mut files_after = BTreeMap::new();
        all_files(&host.path("bindings"), &mut files_after);
        assert_eq!(files_after, files);
        nothing_waits();
    });
}

/// By default; what is counted and said: `kernel_nfdhcpd.rs`.
#[test]
fn sixty_four_thousand_packets_a_second_of_one_guest_do_not_keep_another_from_booting() {
    // Where the processor is emulated, what is as much to it, and a limit that it bears.
    let (a_second, limit) = if on_stock_kernel() { (1000, "rate_limit = 100\n") } else { (64_000, "") };
    let gap = Duration::from_secs(1) / a_second;
    in_new_netns(move || {
        let host = Host::new();
        host.configure(limit, GENERAL);
        routed();
        let flood = tap("tap2");
        let guest = Guest::behind("tap3", &mac(3));
        host.bind("tap2", "tap2", 2);
        host.bind("tap3", "tap3", 3);
        let _responder = host.start_with(&[]);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let (frame, start, mut sent) = (discover(), Instant::now(), 0_u32);
                let (mut due, latest) = (start, Duration::from_millis(10));
                while !over.load(Ordering::Relaxed) {
                    let now = Instant::now();
                    if now < due {
                        std::thread::yield_now();
                        continue;
                    }
                    flood.send(&frame);
                    sent += 1;
                    // Where the machine has not the time it is slower, and never faster to make up for it.
                    due = if now.duration_since(due) > latest { now } else { due } + gap;
                }
                eprintln!("{:.0} packets a second", f64::from(sent) / start.elapsed().as_secs_f64());
                sent
            });
            let boots = std::panic::catch_unwind(|| {
                guest.up();
                let lease = guest.lease();
                guest.has("addr", "2001:db8:1::ff:fe00:3/64 scope global dynamic", true);
                lease
            });
            over.store(true, Ordering::Relaxed);
            assert!(sender.join().unwrap() > 1000);
            assert_eq!(boots.unwrap(), "192.0.2.3");
        });
        nothing_waits();
    });
}

#[test]
fn whatever_one_guest_sends_another_is_served() {
    in_new_netns(|| {
        let host = Host::new();
        host.configure("rate_limit = 0\n", GENERAL);
        routed();
        let wire = tap("tap2");
        let guest = Guest::behind("tap3", &mac(3));
        host.bind("tap2", "tap2", 2);
        host.bind("tap3", "tap3", 3);
        let responder = host.start();
        let mut number = 0_u32;
        for question in questions() {
            // Each octet behind the Ethernet header wrong, and the end anywhere.
            for at in 14..question.len().min(330) {
                for octet in [0, 0xff, question[at] ^ 1] {
                    let mut wrong = question.clone();
                    wrong[at] = octet;
                    wire.send(&wrong);
                    number += 1;
                }
                wire.send(&question[..at]);
            }
        }
        assert!(number > 1000);
        guest.up();
        assert_eq!(guest.lease(), "192.0.2.3");
        nothing_waits();
        answer(&wire, &discover());
        let said = responder.said();
        assert!(!said.contains("panicked") && !said.contains("ERROR"), "{said}");
    });
}

/// The original never gave these a verdict: its queue was full after a few.
#[test]
fn duplicate_address_detection_leaves_nothing_in_the_queue() {
    in_new_netns(|| {
        let host = Host::new();
        host.configure("rate_limit = 0\n", GENERAL);
        routed();
        let wire = tap("tap2");
        host.bind("tap2", "tap2", 2);
        let responder = host.start();
        for number in 0..2000_u16 {
            let target = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0xbeef, number);
            wire.send(&solicitation(NOBODY, target));
        }
        for own in [link_local_of(GUEST), v6("2001:db8:1::ff:fe00:2")] {
            wire.send(&solicitation(NOBODY, own));
        }
        // Behind all of them, in the same queue.
        let found = answer(&wire, &solicitation(link_local_of(GUEST), v6("2001:db8:1::1")));
        assert_eq!(found[54], 136);
        nothing_waits();
        assert!(states().iter().all(|state| state.dropped == 0), "{:?}", states());
        responder.says("ns: let through: an address of its own");
    });
}

/// The original's round of advertisements ended at the first tap that was not there.
#[test]
fn taps_that_vanish_do_not_end_the_advertisements_to_others() {
    in_new_netns(|| {
        let host = Host::new();
        host.configure("", &GENERAL.replace("ra_period = 3600", "ra_period = 1"));
        routed();
        let wires: Vec<_> = (2..8).map(|number| tap(&format!("tap{number}"))).collect();
        for number in 2..60 {
            host.bind(&format!("tap{number}"), &format!("tap{number}"), number);
        }
        let responder = host.start();
        for number in [3, 4, 5, 6] {
            run("ip", &["link", "del", &format!("tap{number}")]);
        }
        run("ip", &["link", "set", "tap7", "down"]);
        responder.knows("58 clients, 2 of them with a tap");
        while wires[0].receive(0).is_some() {}
        let start = Instant::now();
        let mut advertised = 0;
        while advertised < 4 {
            assert!(start.elapsed() < PATIENCE, "only {advertised} advertisements");
            let frame = wires[0].receive(1000).unwrap_or_default();
            let is_ipv6 = frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(20) == Some(&58);
            advertised += u32::from(is_ipv6 && frame.get(54) == Some(&134));
        }
        // Four periods, not all at once.
        assert!(start.elapsed().as_millis() > 2000, "{:?}", start.elapsed());
    });
}

/// The original forgot what went while events were lost, and was deaf to renames.
#[test]
fn what_happens_to_files_while_it_sleeps_is_caught_up_with() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let wires = ["tap2", "tap3"].map(tap);
        host.bind("tap2", "tap2", 2);
        let responder = host.start();
        answer(&wires[0], &discover());
        responder.signal(Signal::SIGSTOP);
        host.unbind("tap2");
        let limit: usize =
            fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        for _ in 0..=limit / 3 {
            for name in ["churn", "tap9"] {
                fs::write(host.path("bindings").join(name), "").unwrap();
                host.unbind(name);
            }
        }
        host.bind(".tap3", "tap3", 2);
        fs::rename(host.path("bindings/.tap3"), host.path("bindings/tap3")).unwrap();
        responder.signal(Signal::SIGCONT);
        responder.knows("1 clients, 1 of them with a tap");
        answer(&wires[1], &discover());
        nothing_waits();
    });
}

#[test]
fn a_folder_of_a_hundred_thousand_files_is_served() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let wire = tap("tap2");
        // It takes that long there.
        let files = if on_stock_kernel() { 5000 } else { 100_000 };
        host.bind("tap2", "tap2", 2);
        let folder = host.path("bindings");
        let mut model = folder.join("tap2");
        for number in 0..files {
            let file = folder.join(format!("vm{number}"));
            // A file system has an end of links to one file.
            if number % 20_000 == 0 {
                fs::copy(&model, &file).unwrap();
                model = file;
            } else {
                fs::hard_link(&model, &file).unwrap();
            }
        }
        let start = Instant::now();
        let responder = host.start();
        answer(&wire, &discover());
        eprintln!("{files} files: an answer {:?} after the start", start.elapsed());
        host.bind("tap2", "tap2", 7);
        responder.knows("192.0.2.7 ");
    });
}

#[test]
fn a_folder_that_is_gone_or_unreadable_is_said_and_served_when_it_is_back() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let wire = tap("tap2");
        let folder = host.path("bindings");
        fs::remove_dir(&folder).unwrap();
        let responder = host.start();
        responder.says("waiting for it");
        fs::create_dir(&folder).unwrap();
        host.bind("tap2", "tap2", 2);
        responder.told("STATUS=1 bindings, 1 of them with a tap");
        answer(&wire, &discover());
        // It is nobody by now.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        responder.signal(Signal::SIGHUP);
        responder.says("the bindings stay as they were");
        answer(&wire, &discover());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        host.bind("tap2", "tap2", 7);
        responder.knows("192.0.2.7 ");
        fs::remove_dir_all(&folder).unwrap();
        responder.knows("0 clients");
    });
}

#[test]
fn a_tap_without_ipv6_gets_its_lease_all_the_same() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let wire = tap("tap2");
        fs::write("/proc/sys/net/ipv6/conf/tap2/disable_ipv6", "1").unwrap();
        host.bind("tap2", "tap2", 2);
        let responder = host.start();
        responder.says("tap2: IPv6 is disabled");
        answer(&wire, &discover());
        nothing_waits();
    });
}

/// On Debian's kernel alone, in a virtual machine of our own: elsewhere the clock is everybody's.
#[test]
fn a_clock_that_jumps_changes_nothing() {
    if !on_stock_kernel() {
        return;
    }
    in_new_netns(|| {
        let host = Host::new();
        host.configure("", &GENERAL.replace("ra_period = 3600", "ra_period = 1\nmode = dhcpv6"));
        routed();
        let wire = tap("tap2");
        host.bind("tap2", "tap2", 2);
        let responder = host.start();
        let before: Vec<_> = questions().iter().map(|question| answer(&wire, question)).collect();
        let now: u64 = run("date", &["+%s"]).trim().parse().unwrap();
        for offset in [400_000_000, 1_000] {
            for clock in [now + offset, now - offset] {
                run("date", &["-s", &format!("@{clock}")]);
                let after: Vec<_> = questions().iter().map(|question| answer(&wire, question)).collect();
                assert_eq!(after, before, "at {clock}");
                host.bind("tap2", "tap2", 7);
                responder.knows("192.0.2.7 ");
                host.bind("tap2", "tap2", 2);
                responder.knows("192.0.2.2 ");
                // Advertisements to all go on.
                let start = Instant::now();
                while wire.receive(1000).is_none_or(|frame| frame.get(54) != Some(&134) || is_answer(&frame)) {
                    assert!(start.elapsed() < PATIENCE, "no advertisement at {clock}");
                }
            }
        }
        run("date", &["-s", &format!("@{now}")]);
    });
}
