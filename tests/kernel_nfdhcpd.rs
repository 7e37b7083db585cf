//! `instances-nfdhcpd` with this kernel's queues, bridges and clients: what guests get, and what happens to them when
//! something goes wrong.
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/netns.rs"]
mod netns;
#[path = "common/responder.rs"]
mod responder;

use frames::{BROADCAST, Wire};
use instances::net::Mac;
use instances::packet::{Ethernet, Ipv4, dhcp4, ether_type};
use instances::source::nfqueue::states;
use netns::{in_new_netns, install, run};
use nix::sys::signal::Signal;
use responder::{GENERAL, Guest, Host, bridged, mac, metrics, routed, until};
use std::fs;
use std::net::Ipv4Addr;

/// A client's first message.
fn discover(number: u8) -> Vec<u8> {
    let hardware = Mac([2, 0, 0, 0, 0, number]);
    let message = dhcp4::Dhcp4::from_client(dhcp4::kind::DISCOVER, hardware);
    let packet = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).packet(&message.segment());
    Ethernet::new(Mac(BROADCAST), hardware).frame(ether_type::IPV4, &packet)
}

fn nothing_waits() {
    until("a verdict for each packet", || states().iter().all(|state| state.waiting == 0));
}

#[test]
fn guests_behind_routed_taps_get_all_their_addresses_and_reach_the_gateway() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let guests = [1, 2].map(|number| {
            host.bind(&format!("tap{number}"), &format!("tap{number}"), number);
            Guest::behind(&format!("tap{number}"), &mac(number))
        });
        let mut responder = host.start();
        run("ip", &["addr", "add", "2001:db8:1::1/128", "dev", "lo"]);
        run("ip", &["link", "set", "lo", "up"]);
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        for (number, guest) in (1..).zip(&guests) {
            guest.up();
            assert_eq!(guest.lease(), format!("192.0.2.{number}"));
            // By the kernel's own solicitation, after DAD of its link-local address, which nobody must answer.
            guest.has("addr", &format!("2001:db8:1::ff:fe00:{number}/64 scope global dynamic"), true);
            guest.has("addr", "tentative", false);
            guest.has("route", "default via fe80::", true);
            let route = format!("2001:db8:1::ff:fe00:{number}/128");
            run("ip", &["-6", "route", "add", &route, "dev", &format!("tap{number}")]);
            guest.reaches("2001:db8:1::1");
        }
        // And each other: our answer stands for who is behind another tap.
        guests[0].reaches("2001:db8:1::ff:fe00:2");
        nothing_waits();
        responder.signal(Signal::SIGTERM);
        assert_eq!(responder.ended().code(), Some(0));
        assert_eq!(states(), []);
    });
}

#[test]
fn guests_in_a_bridge_are_served_and_others_there_hear_nothing_of_it() {
    in_new_netns(|| {
        let host = Host::new();
        run("ip", &["link", "add", "br0", "type", "bridge"]);
        run("ip", &["link", "set", "br0", "up"]);
        let (guest, other) = (Guest::behind("tap1", &mac(1)), Guest::behind("other", &mac(9)));
        for port in ["tap1", "other"] {
            run("ip", &["link", "set", port, "master", "br0"]);
        }
        bridged();
        host.bind("tap1", "br0", 1);
        let _responder = host.start();
        other.up();
        guest.up();
        assert_eq!(guest.lease(), "192.0.2.1");
        guest.has("route", "default via fe80::", true);
        assert!(!other.run("ip", &["-6", "route"]).contains("default"));
        nothing_waits();
    });
}

#[test]
fn dhclient_gets_leases_of_both_families() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let guest = Guest::behind("tap1", &mac(1));
        host.bind("tap1", "tap1", 1);
        let _responder = host.start();
        guest.up();
        guest.has("addr", "tentative", false);
        let [lease, pid, script] = ["lease", "pid4", "script"].map(|name| host.path(name).display().to_string());
        // What it would configure is in the script's environment.
        let environment = host.path("environment");
        install(script.as_ref(), format!("#!/bin/sh\nenv >>{}\n", environment.display()));
        let files = ["-1", "-d", "-sf", &script, "-lf", &lease, "-pf", &pid];
        for (family, expected) in [
            (&["-4"][..], "new_ip_address=192.0.2.1\n"),
            (&["-4"], "new_domain_name_servers=192.0.2.2 192.0.2.3\n"),
            (&["-6", "-S"], "new_dhcp6_name_servers=2001:db8:100::1\n"),
        ] {
            let begin = || {
                let mut client = std::process::Command::new("nsenter");
                client.args(["--target", &guest.process(), "--net", "dhclient"]).args(family).args(files).arg("eth0");
                client.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
                client.spawn().unwrap()
            };
            let mut client = begin();
            until(expected, || {
                // It tries once, and may give up on a machine that is slow.
                if client.try_wait().unwrap().is_some() {
                    client = begin();
                }
                fs::read_to_string(&environment).is_ok_and(|text| text.contains(expected))
            });
            let _ = client.kill();
            client.wait().unwrap();
        }
    });
}

#[test]
fn bindings_that_come_change_and_go_are_told_at_once() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let guest = Guest::behind("tap1", &mac(1));
        let responder = host.start();
        // It never asks.
        guest.run("sysctl", &["-qw", "net.ipv6.conf.eth0.router_solicitations=0"]);
        guest.up();
        assert!(!guest.gets_lease());
        host.bind("tap1", "tap1", 1);
        guest.has("route", "default via fe80::", true);
        assert_eq!(guest.lease(), "192.0.2.1");
        host.bind("tap1", "tap1", 7);
        host.bind("tap1", "tap1", 1);
        host.unbind("tap1");
        guest.has("route", "default via fe80::", false);
        assert!(!guest.gets_lease());
        // The tap is made again, as when a virtual machine is restarted.
        host.bind("tap1", "tap1", 1);
        drop(guest);
        until("the tap is gone", || !fs::read_to_string("/proc/thread-self/net/dev").unwrap().contains("tap1:"));
        let guest = Guest::behind("tap1", &mac(1));
        guest.up();
        assert_eq!(guest.lease(), "192.0.2.1");
        responder.told("STATUS=1 bindings, 1 of them with a tap");
    });
}

#[test]
fn who_has_no_binding_is_let_through() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        run("iptables", &["-w", "-t", "mangle", "-A", "INPUT", "-p", "udp", "--dport", "67"]);
        let let_through = || {
            let listed = run("iptables", &["-w", "-t", "mangle", "-L", "INPUT", "-v", "-x", "-n"]);
            let line = listed.lines().find(|line| line.contains("dpt:67")).unwrap();
            line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let taps = ["tap1", "tap2"].map(|tap| {
            let guest = format!("{tap}g");
            run("ip", &["link", "add", tap, "type", "veth", "peer", "name", &guest]);
            run("ip", &["link", "set", tap, "up"]);
            run("ip", &["link", "set", &guest, "up"]);
            Wire::open(&guest)
        });
        host.bind("tap1", "tap1", 1);
        let _responder = host.start();
        // A spoofed MAC, behind a tap that has a binding: neither answered nor let through.
        taps[0].send(&discover(2));
        taps[1].send(&discover(2));
        until("it is let through", || let_through() == 1);
        nothing_waits();
        assert_eq!(let_through(), 1);
    });
}

#[test]
fn a_second_one_says_who_has_the_queue_and_after_a_kill_nothing_is_lost() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let guest = Guest::behind("tap1", &mac(1));
        host.bind("tap1", "tap1", 1);
        let mut first = host.start();
        guest.up();
        assert_eq!(guest.lease(), "192.0.2.1");
        let second = host.command().args(["-f", "--pidfile"]).arg(host.path("pid2")).output().unwrap();
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(1), "{said}");
        let expected = format!("cannot take packets of dhcp_queue = 42: process {} (instances-nfdhc", first.id());
        assert!(said.contains(&expected), "{said}");
        first.signal(Signal::SIGKILL);
        first.ended();
        let _again = host.start();
        assert_eq!(guest.lease(), "192.0.2.1");
        guest.has("route", "default via fe80::", true);
    });
}

/// That another guest boots meanwhile: `kernel_nfdhcpd_faults.rs`.
#[test]
fn what_is_over_the_rate_limit_is_counted_and_said_once_and_other_taps_have_their_own() {
    in_new_netns(|| {
        let host = Host::new();
        host.configure("metrics_listen = 127.0.0.1:9547\nrate_limit = 10\n", GENERAL);
        run("ip", &["link", "set", "lo", "up"]);
        routed();
        run("ip", &["link", "add", "tap9", "type", "veth", "peer", "name", "flood"]);
        for interface in ["tap9", "flood"] {
            run("ip", &["link", "set", interface, "up"]);
        }
        let flood = Wire::open("flood");
        let guest = Guest::behind("tap1", &mac(1));
        host.bind("tap1", "tap1", 1);
        host.bind("tap9", "tap9", 9);
        let responder = host.start();
        let (frame, sent) = (discover(9), 3000);
        (0..sent).for_each(|_| flood.send(&frame));
        responder.says("tap9: over the rate limit");
        guest.up();
        assert_eq!(guest.lease(), "192.0.2.1");
        nothing_waits();
        let text = metrics("127.0.0.1:9547");
        let value = |metric: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(metric));
            line.unwrap_or_else(|| panic!("{metric}: {text}")).trim().parse().unwrap()
        };
        let received = value("nfdhcpd_packets_received_total{kind=\"dhcp4\"}");
        let limited = value("nfdhcpd_packets_over_limit_total{kind=\"dhcp4\"}");
        assert!(limited > received / 2, "{sent} sent, {received} received, {limited} over the limit");
        // Once at first, then every ten seconds.
        let said = responder.said().matches("over the rate limit").count();
        assert!(said <= 7, "{said}");
    });
}

#[test]
fn taps_that_go_with_their_packets_in_hand_hold_up_nobody() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let guest = Guest::behind("tap1", &mac(1));
        host.bind("tap1", "tap1", 1);
        host.bind("tap9", "tap9", 9);
        let _responder = host.start();
        guest.up();
        for _ in 0..20 {
            run("ip", &["link", "add", "tap9", "type", "veth", "peer", "name", "tap9g"]);
            run("ip", &["link", "set", "tap9", "up"]);
            run("ip", &["link", "set", "tap9g", "up"]);
            let wire = Wire::open("tap9g");
            for _ in 0..50 {
                wire.send(&discover(9));
            }
            run("ip", &["link", "del", "tap9"]);
        }
        assert_eq!(guest.lease(), "192.0.2.1");
        nothing_waits();
    });
}

#[test]
fn a_configuration_that_is_wrong_leaves_the_old_one_in_force() {
    in_new_netns(|| {
        let host = Host::new();
        routed();
        let guest = Guest::behind("tap1", &mac(1));
        host.bind("tap1", "tap1", 1);
        let responder = host.start();
        guest.up();
        host.configure("", "[dhcp]\nserver_ip = 192.0.2.300\n");
        responder.signal(Signal::SIGHUP);
        responder.says("the configuration stays as it was");
        responder.told("READY=1");
        assert_eq!(guest.lease(), "192.0.2.1");
        host.configure("", "[dhcp]\nserver_ip = 192.0.2.1\nlease_lifetime = 1234\ndhcp_queue = 142\n");
        responder.signal(Signal::SIGHUP);
        responder.says("queues: changed, which takes a restart");
        responder.told("READY=1");
        let ended = guest.try_run("udhcpc", &["-n", "-q", "-f", "-i", "eth0", "-s", "/bin/true"]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("lease time 1234"), "{said}");
    });
}

#[test]
fn what_keeps_packets_from_us_is_said() {
    in_new_netns(|| {
        let host = Host::new();
        run("ip", &["link", "add", "br0", "type", "bridge"]);
        let _guests = [1, 2].map(|number| Guest::behind(&format!("tap{number}"), &mac(number)));
        run("ip", &["link", "set", "tap1", "master", "br0"]);
        host.bind("tap1", "br0", 1);
        host.bind("tap2", "tap2", 2);
        for family in ["", "6"] {
            fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-ip{family}tables"), "0").unwrap();
        }
        fs::write("/proc/sys/net/ipv6/conf/tap2/disable_ipv6", "1").unwrap();
        let responder = host.start();
        for expected in
            ["net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1", "tap2: IPv6 is disabled"]
        {
            responder.says(expected);
        }
    });
}
