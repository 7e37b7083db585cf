//! Bindings that change and go while clients have their leases.

use super::clients::{Child, Machine, gnt_networking, route};
use super::on_a_host;
use super::responder::Host;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::Stdio;

/// Gives the binding another address while the clients are not asking.
fn change_address(host: &Host, to: &str) {
    let path = host.path("bindings/tap2");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("IP=192.0.2.2\n", &format!("IP={to}\n"))).unwrap();
}

#[test]
fn a_renewal_after_a_change_is_refused_and_the_client_takes_the_new_address() {
    on_a_host(|host| {
        let machine = Machine::behind(host, "tap2", 2);
        route(&["tap2"]);
        gnt_networking(host, "tap2", "tap2", 2, "");
        let responder = host.start();
        let mut client = machine.command("udhcpc", &["-f", "-i", "eth0", "-s", "/etc/udhcpc/default.script"]);
        let client = Child(client.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        machine.ip("-4 addr show dev eth0", "inet 192.0.2.2/24", true);
        machine.ip("-4 route", "default via 192.0.2.1", true);
        change_address(host, "192.0.2.77");
        responder.knows("192.0.2.77");
        // It renews by unicast, to who gave it its lease.
        kill(Pid::from_raw(client.0.id().cast_signed()), Signal::SIGUSR1).unwrap();
        machine.ip("-4 addr show dev eth0", "inet 192.0.2.77/24", true);
        machine.ip("-4 addr show dev eth0", "inet 192.0.2.2/24", false);
        responder.says("tap2: dhcp4: nak");
    });
}

#[test]
fn a_client_that_comes_back_with_an_old_lease_is_refused_and_takes_the_new_address() {
    on_a_host(|host| {
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "");
        let responder = host.start();
        let client = machine.dhclient(&["-4", "-1"]);
        client.does("BOUND", 1);
        client.keeps("fixed-address 192.0.2.2;");
        drop(client);
        machine.ip("-4 addr show dev eth0", "inet 192.0.2.2/24", true);
        change_address(host, "192.0.2.77");
        responder.knows("192.0.2.77");
        let client = machine.dhclient_again(&["-4", "-1"]);
        let told = client.does("BOUND", 1);
        assert!(told.contains("\nnew_ip_address=192.0.2.77\n"), "{told}");
        machine.ip("-4 addr show dev eth0", "inet 192.0.2.77/24", true);
        responder.says("tap2: dhcp4: nak");
    });
}

#[test]
fn when_a_binding_goes_the_guest_loses_router_and_prefix_at_once() {
    on_a_host(|host| {
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "");
        let _responder = host.start();
        machine.ip("-6 addr show dev eth0 -tentative", "inet6 2001:db8:1::ff:fe00:2/64", true);
        machine.ip("-6 route", "default via fe80::", true);
        machine.ip("-6 route", "2001:db8:1::/64 dev eth0", true);
        host.unbind("tap2");
        machine.ip("-6 route", "default via fe80::", false);
        machine.ip("-6 route", "2001:db8:1::/64 dev eth0", false);
        // What is connected may go on for a while (RFC 4862, section 5.5.3); what is new takes another address.
        machine.ip("-6 addr show dev eth0", "deprecated", true);
        assert!(!machine.gets_lease());
    });
}

#[test]
fn another_prefix_takes_the_place_of_the_old_one() {
    on_a_host(|host| {
        let machine = Machine::behind(host, "tap2", 2);
        gnt_networking(host, "tap2", "tap2", 2, "");
        let _responder = host.start();
        machine.ip("-6 route", "2001:db8:1::/64 dev eth0", true);
        let path = host.path("bindings/tap2");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("2001:db8:1:", "2001:db8:2:")).unwrap();
        machine.ip("-6 addr show dev eth0 -tentative -deprecated", "inet6 2001:db8:2::ff:fe00:2/64", true);
        machine.ip("-6 route", "2001:db8:1::/64 dev eth0", false);
        machine.ip("-6 addr show dev eth0 deprecated", "inet6 2001:db8:1::ff:fe00:2/64", true);
        machine.ip("-6 route", "default via fe80::", true);
    });
}
