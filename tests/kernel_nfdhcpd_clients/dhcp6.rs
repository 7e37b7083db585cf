//! IPv6 of every mode: what advertisements say, and what dhclient gets.

use super::clients::{Machine, gnt_networking};
use super::{general, nothing_waits, on_a_host};

#[test]
fn rdisc6_is_told_what_the_binding_and_the_configuration_say() {
    on_a_host(|host| {
        host.configure("", &general("", "domains = example.com\n"));
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "MTU=1400");
        let _responder = host.start();
        machine.has_link_local();
        let said = machine.run("rdisc6", &["-1", "-w", "20000", "eth0"]);
        let lines: Vec<_> = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expected in [
            "Stateful address conf. : No",
            "Stateful other conf. : Yes",
            "Router lifetime : 14400 (0x00003840) seconds",
            "Prefix : 2001:db8:1::1/64",
            "Autonomous address conf.: Yes",
            "MTU : 1400 bytes (valid)",
            "Recursive DNS server : 2001:db8:100::1",
            "DNS search list : example.com",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected}: {said}");
        }
    });
}

#[test]
fn who_has_its_address_by_slaac_gets_the_rest_by_dhcpv6() {
    on_a_host(|host| {
        host.configure("", &general("", "mode = slaac+dhcpv6\ndomains = example.com, example.net\n"));
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "");
        let _responder = host.start();
        machine.ip("-6 addr show dev eth0 -tentative", "inet6 2001:db8:1::ff:fe00:2/64", true);
        let client = machine.dhclient(&["-6", "-S", "-1"]);
        client.does("RENEW6", 1);
        let resolv_conf = machine.resolv_conf();
        for expected in ["search example.com. example.net.\n", "nameserver 2001:db8:100::1\n"] {
            assert!(resolv_conf.contains(expected), "{resolv_conf}");
        }
        nothing_waits();
    });
}

#[test]
fn in_mode_dhcpv6_the_address_is_leased_and_none_is_made() {
    on_a_host(|host| {
        let lifetimes = "preferred_lifetime = 8\nvalid_lifetime = 3600\n";
        host.configure("", &general("", &format!("mode = dhcpv6\n{lifetimes}")));
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "IP6=2001:db8:1::cafe");
        let _responder = host.start();
        machine.has_link_local();
        let said = machine.run("rdisc6", &["-1", "-w", "20000", "eth0"]);
        assert!(said.lines().any(|line| line.starts_with("Stateful address conf.") && line.ends_with("Yes")), "{said}");
        let client = machine.dhclient(&["-6", "-1"]);
        let told = client.does("BOUND6", 1);
        assert!(told.contains("\nnew_ip6_address=2001:db8:1::cafe\n"), "{told}");
        machine.ip("-6 addr show dev eth0 -tentative", "inet6 2001:db8:1::cafe/128", true);
        machine.ip("-6 route", "2001:db8:1::/64 dev eth0", true);
        machine.ip("-6 route", "default via fe80::", true);
        let addresses = machine.run("ip", &["-6", "addr", "show", "dev", "eth0"]);
        assert_eq!(addresses.matches("2001:db8:1:").count(), 1, "{addresses}");
        assert!(machine.resolv_conf().contains("nameserver 2001:db8:100::1\n"));
        client.does("RENEW6", 1);
    });
}

#[test]
fn a_prefix_is_delegated_alone_or_with_an_address() {
    on_a_host(|host| {
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "IP6=2001:db8:1::cafe\nPREFIX6=2001:db8:7700::/56");
        let _responder = host.start();
        machine.has_link_local();
        let prefix = "\nnew_ip6_prefix=2001:db8:7700::/56\n";
        let told = machine.dhclient(&["-6", "-P", "-1"]).does("BOUND6", 1);
        assert!(told.contains(prefix), "{told}");
        let client = machine.dhclient(&["-6", "-N", "-P", "-1"]);
        // The script is run for each of them.
        client.does("BOUND6", 2);
        let told = client.told();
        assert!(told.contains(prefix) && told.contains("\nnew_ip6_address=2001:db8:1::cafe\n"), "{told}");
    });
}
