//! Taps that are ports of a bridge.

use super::clients::{Machine, forward, gnt_networking};
use super::netns::run;
use super::responder::mac;
use super::{by_each_way, nothing_waits, on_a_host, reach_each_other_and_the_gateway};
use std::fs;

/// A bridge with the gateway's addresses, and the taps in it. Nobody else answers there.
fn bridge(taps: &[&str]) {
    run("ip", &["link", "add", "br0", "type", "bridge"]);
    run("ip", &["link", "set", "br0", "up"]);
    forward();
    for address in ["192.0.2.1/24", "2001:db8:1::1/64"] {
        run("ip", &["addr", "add", address, "dev", "br0"]);
    }
    for family in ["", "6"] {
        let path = format!("/proc/sys/net/bridge/bridge-nf-call-ip{family}tables");
        assert!(fs::read_to_string(&path).is_ok_and(|value| value == "1\n"), "{path}");
    }
    for tap in taps {
        run("ip", &["link", "set", tap, "master", "br0"]);
    }
}

#[test]
fn guests_configure_themselves_and_reach_each_other_and_the_gateway() {
    by_each_way(|host| {
        let machines = [2, 3].map(|number| Machine::behind(host, &format!("tap{number}"), number));
        bridge(&["tap2", "tap3"]);
        for (number, tap) in [(2, "tap2"), (3, "tap3")] {
            gnt_networking(host, tap, "br0", number, "");
        }
        let _responder = host.start();
        machines[0].udhcpc(&[]);
        let client = machines[1].dhclient(&["-4", "-1"]);
        client.does("BOUND", 1);
        for (number, machine) in (2..).zip(&machines) {
            machine.ip("-4 addr show dev eth0", &format!("inet 192.0.2.{number}/24"), true);
            machine.ip("-4 route", "default via 192.0.2.1 dev eth0", true);
            let address = format!("inet6 2001:db8:1::ff:fe00:{number}/64 scope global dynamic");
            machine.ip("-6 addr show dev eth0 -tentative", &address, true);
            machine.ip("-6 route", "default via fe80::", true);
            assert!(machine.resolv_conf().contains("nameserver 192.0.2.2\n"));
        }
        reach_each_other_and_the_gateway(&machines);
        nothing_waits();
    });
}

/// As a fork of the original's has it, for OpenNebula: the file is called after machine and interface, INDEV is the tap,
/// SUBNET the address with its mask, and each network has its own name servers.
#[test]
fn opennebulas_files_are_served() {
    on_a_host(|host| {
        let machine = Machine::behind(host, "tap7", 7);
        bridge(&["tap7"]);
        let _responder = host.start();
        let text = format!(
            "INDEV=tap7\nIP=192.0.2.7\nMAC={}\nHOSTNAME=one-5\nTAGS=\nGATEWAY=192.0.2.1\nSUBNET=192.0.2.7/255.255.255.0\n\
             GATEWAY6=2001:db8:1::1\nSUBNET6=2001:db8:1::/64\nEUI64=2001:db8:1::ff:fe00:7\nNAMESERVERS=192.0.2.53,192.0.2.54\n\
             MTU=1400\n",
            mac(7)
        );
        fs::write(host.path("bindings/one-5-0"), text).unwrap();
        let client = machine.dhclient(&["-4", "-1"]);
        client.does("BOUND", 1);
        machine.ip("-4 addr show dev eth0", "inet 192.0.2.7/24 brd 192.0.2.255", true);
        machine.ip("link show eth0", "mtu 1400", true);
        assert_eq!(machine.inside("hostname", &[]), "one-5\n");
        let resolv_conf = machine.resolv_conf();
        assert!(resolv_conf.ends_with("nameserver 192.0.2.53\nnameserver 192.0.2.54\n"), "{resolv_conf}");
        machine.ip("-6 addr show dev eth0 -tentative", "inet6 2001:db8:1::ff:fe00:7/64", true);
        machine.reaches("192.0.2.1");
        machine.reaches("2001:db8:1::1");
    });
}
