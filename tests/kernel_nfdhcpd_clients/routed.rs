//! Routed taps: each an interface of the host's own.

use super::clients::{Child, Machine, gnt_networking, route};
use super::netns::run;
use super::responder::{Guest, Host, mac, until};
use super::{by_each_way, nothing_waits, on_a_host, reach_each_other_and_the_gateway};
use std::fs;
use std::process::{Command, Stdio};

/// What a guest has by now that either client configured.
fn is_configured(machine: &Machine, number: u8) {
    machine.ip("-4 addr show dev eth0", &format!("inet 192.0.2.{number}/24 brd 192.0.2.255"), true);
    machine.ip("-4 route", "default via 192.0.2.1 dev eth0", true);
    let resolv_conf = machine.resolv_conf();
    for expected in ["domain example.com\n", "nameserver 192.0.2.2\nnameserver 192.0.2.3\n"] {
        assert!(resolv_conf.contains(expected), "{resolv_conf}");
    }
    // The kernel's own autoconfiguration.
    let address = format!("inet6 2001:db8:1::ff:fe00:{number}/64 scope global dynamic");
    machine.ip("-6 addr show dev eth0 -tentative", &address, true);
    machine.ip("-6 route", "default via fe80::", true);
}

#[test]
fn guests_configure_themselves_and_reach_each_other_and_the_gateway() {
    by_each_way(|host| {
        let machines = [2, 3].map(|number| Machine::behind(host, &format!("tap{number}"), number));
        // All routed taps have one MAC, as gnt-networking makes them.
        for tap in ["tap2", "tap3"] {
            run("ip", &["link", "set", tap, "address", "fe:00:00:00:00:01"]);
        }
        route(&["tap2", "tap3"]);
        let responder = host.start();
        gnt_networking(host, "tap2", "tap2", 2, "");
        gnt_networking(host, "tap3", "tap3", 3, "UPLINK=eth0");
        responder.told("STATUS=2 bindings, 2 of them with a tap");
        machines[0].udhcpc(&[]);
        let client = machines[1].dhclient(&["-4", "-1"]);
        let told = client.does("BOUND", 1);
        for (number, machine) in (2..).zip(&machines) {
            is_configured(machine, number);
        }
        assert!(told.contains("\nnew_dhcp_server_identifier=192.0.2.1\n"), "{told}");
        assert_eq!(machines[1].inside("hostname", &[]), "vm3.example.org\n");
        reach_each_other_and_the_gateway(&machines);
        nothing_waits();
    });
}

#[test]
fn options_of_the_binding_arrive_in_the_guests_configuration() {
    on_a_host(|host| {
        let machines = [2, 3].map(|number| Machine::behind(host, &format!("tap{number}"), number));
        let further = "MTU=1400\nROUTES=198.51.100.0/24 via 192.0.2.254, 203.0.113.128/25 via 192.0.2.253\n\
                       NAMESERVERS=192.0.2.53, 2001:db8::53\nDOMAIN=dom.example\nSEARCH=one.example, two.example\n\
                       NTP=192.0.2.123\nTFTP=boot.example\nBOOTFILE=pxe.0";
        for (number, tap) in [(2, "tap2"), (3, "tap3")] {
            gnt_networking(host, tap, tap, number, further);
        }
        let _responder = host.start();
        let client = machines[0].dhclient(&["-4", "-1"]);
        let told = client.does("BOUND", 1);
        for expected in [
            "new_interface_mtu=1400",
            "new_ntp_servers=192.0.2.123",
            "new_domain_search=dom.example one.example. two.example.",
        ] {
            assert!(told.contains(&format!("\n{expected}\n")), "{expected}: {told}");
        }
        let resolv_conf = machines[0].resolv_conf();
        for expected in
            ["domain dom.example\n", "search dom.example one.example. two.example.\n", "nameserver 192.0.2.53\n"]
        {
            assert!(resolv_conf.contains(expected), "{resolv_conf}");
        }
        assert_eq!(resolv_conf.matches("nameserver").count(), 1, "not the configured ones: {resolv_conf}");
        for expected in ["198.51.100.0/24 via 192.0.2.254", "203.0.113.128/25 via 192.0.2.253", "default via 192.0.2.1"]
        {
            machines[0].ip("-4 route", expected, true);
        }
        machines[0].ip("link show eth0", "mtu 1400", true);
        // udhcpc has MTU, routes and boot server if it asks for them.
        let script = "#!/bin/sh\nenv >>/etc/told\nexec /etc/udhcpc/default.script \"$@\"\n";
        machines[1].inside("sh", &["-euc", "printf %s \"$1\" >/etc/script; chmod 755 /etc/script", "sh", script]);
        machines[1].udhcpc(&[
            "-O",
            "mtu",
            "-O",
            "staticroutes",
            "-O",
            "search",
            "-O",
            "tftp",
            "-O",
            "bootfile",
            "-s",
            "/etc/script",
        ]);
        machines[1].ip("link show eth0", "mtu 1400", true);
        let told = machines[1].inside("cat", &["/etc/told"]);
        for expected in [
            "staticroutes=198.51.100.0/24 192.0.2.254 203.0.113.128/25 192.0.2.253 0.0.0.0/0 192.0.2.1",
            "search=one.example two.example",
            "tftp=boot.example",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    });
}

#[test]
fn private_guests_have_addresses_and_no_way_out() {
    on_a_host(|host| {
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "PRIVATE=yes");
        let _responder = host.start();
        machine.udhcpc(&[]);
        machine.ip("-4 addr show dev eth0", "inet 192.0.2.2/24", true);
        machine.ip("-6 addr show dev eth0", "inet6 2001:db8:1::ff:fe00:2/64", true);
        machine.ip("-6 route", "2001:db8:1::/64 dev eth0", true);
        for family in ["-4", "-6"] {
            let routes = machine.run("ip", &[family, "route"]);
            assert!(!routes.contains("default"), "{routes}");
        }
    });
}

#[test]
fn with_compat_real_clients_are_content_too() {
    on_a_host(|host| {
        host.configure("compat = yes\n", super::GENERAL);
        let machines = [2, 3].map(|number| Machine::behind(host, &format!("tap{number}"), number));
        route(&["tap2", "tap3"]);
        for (number, tap) in [(2, "tap2"), (3, "tap3")] {
            gnt_networking(host, tap, tap, number, "");
        }
        let _responder = host.start();
        machines[0].udhcpc(&[]);
        is_configured(&machines[0], 2);
        {
            let client = machines[1].dhclient(&["-4", "-1"]);
            client.does("BOUND", 1);
            is_configured(&machines[1], 3);
        }
        machines[1].has_link_local();
        let client = machines[1].dhclient(&["-6", "-S", "-1"]);
        let told = client.does("RENEW6", 1);
        assert!(told.contains("\nnew_dhcp6_name_servers=2001:db8:100::1\n"), "{told}");
        machines[0].reaches("2001:db8:1::1");
        machines[0].reaches("2001:db8:1::ff:fe00:3");
        nothing_waits();
    });
}

/// Carries frames between a tap and a guest's interface, which is another one, as a virtual machine's program does. It ends
/// when there is a frame for one that is down.
fn carrier(tap: &str, inner: &str) -> Child {
    let of = |name| format!("TUN,tun-type=tap,iff-no-pi,tun-name={name}");
    let carrier = Command::new("socat").args([of(tap), of(inner)]).stdin(Stdio::null()).spawn().unwrap();
    for name in [tap, inner] {
        until(name, || fs::read_to_string("/proc/thread-self/net/dev").unwrap().contains(&format!("{name}:")));
    }
    Child(carrier)
}

fn behind_a_real_tap(host: &Host, tap: &str, number: u8) -> (Child, Machine) {
    let inner = format!("inner{number}");
    let carrier = carrier(tap, &inner);
    let guest = Guest::without_link();
    run("ip", &["link", "set", &inner, "netns", &guest.process(), "name", "eth0"]);
    guest.run("ip", &["link", "set", "eth0", "address", &mac(number)]);
    let machine = Machine::of(guest, host, tap);
    let has_ipv6 = |no| machine.run("sysctl", &["-qw", &format!("net.ipv6.conf.eth0.disable_ipv6={no}")]);
    // Nobody says a word until both are up.
    has_ipv6(1);
    machine.up();
    run("ip", &["link", "set", tap, "up"]);
    has_ipv6(0);
    (carrier, machine)
}

#[test]
fn taps_of_the_tun_driver_do_as_well() {
    if !super::can("socat", "command -v socat && test -c /dev/net/tun") {
        return;
    }
    on_a_host(|host| {
        gnt_networking(host, "tap2", "tap2", 2, "");
        let responder = host.start();
        let (carrier, machine) = behind_a_real_tap(host, "tap2", 2);
        responder.told("STATUS=1 bindings, 1 of them with a tap");
        route(&["tap2"]);
        machine.udhcpc(&[]);
        is_configured(&machine, 2);
        for address in ["192.0.2.1", "2001:db8:1::1"] {
            machine.reaches(address);
        }
        // The virtual machine ends, and its tap with it; then it is started again.
        drop(carrier);
        responder.told("STATUS=1 bindings, 0 of them with a tap");
        drop(machine);
        let (_carrier, machine) = behind_a_real_tap(host, "tap2", 2);
        responder.told("STATUS=1 bindings, 1 of them with a tap");
        machine.udhcpc(&[]);
        is_configured(&machine, 2);
        nothing_waits();
    });
}
