//! A lease ends with its guest.

use crate::lab::{Lab, in_lab};
use crate::netns::{needs, run};
use crate::proxmox::Cluster;
use crate::scenarios::silent;
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

/// A guest with a lease is removed from the cluster, and one of its name takes its place.
fn the_lease_goes_with_its_guest(lab: &Lab) {
    let guest = lab.plug(102);
    let lease = guest.lease();
    lab.dns().becomes("client.lab", &[&lease]);
    lab.dns().is_called(&lease, &["client.lab"]);
    let stays = lab.plug(103).lease();
    lab.dns().becomes("other.lab", &[&stays]);
    lab.simulator.cluster().guest(103).row["status"] = "stopped".into();
    drop(guest);
    lab.simulator.cluster().remove(102);
    lab.dns().becomes("client.lab", &[]);
    lab.dns().is_called(&lease, &[]);
    until("the lease is out of the file", || !fs::read_to_string(lab.path("dnsmasq.leases")).unwrap().contains(&lease));
    // One that is stopped keeps its lease, as dnsmasq has it.
    assert!(fs::read_to_string(lab.path("dnsmasq.leases")).unwrap().contains(&stays));
    lab.dns().becomes("other.lab", &[&stays]);
    // Another of the same name.
    silent(&mut lab.simulator.cluster(), 104, "client");
    let reserved = || fs::read_to_string(lab.path("reservations")).unwrap();
    until("its name is reserved", || reserved().contains(&Cluster::mac(104)));
    let new = lab.plug(104).lease();
    lab.dns().becomes("client.lab", &[&new]);
    lab.dns().is_called(&new, &["client.lab"]);
}

#[test]
fn a_lease_ends_with_its_guest_and_its_name_is_free() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        silent(&mut cluster, 102, "client");
        silent(&mut cluster, 103, "other");
        let mut lab = Lab::new(cluster);
        lab.flags = ["--reload-interval", "1"].map(str::to_owned).to_vec();
        lab.start();
        lab.is_healthy();
        let dnsmasq = lab.dnsmasq();
        the_lease_goes_with_its_guest(&lab);
        assert_eq!(lab.dnsmasq(), dnsmasq);
        assert_eq!(lab.metric("instances_proxmox_dnsmasq_starts_total"), Some(1.0));
    });
}

/// Has dhclient get an address by DHCPv6, and end without giving it back.
fn dhclient6(lab: &Lab, guest: &crate::guest::Guest) {
    guest.has("address", "tentative", false);
    guest.has("address", "fe80::", true);
    // By its own path AppArmor would refuse it our files.
    let program = lab.path("dhclient").display().to_string();
    run("sh", &["-c", "cp \"$(command -v dhclient)\" \"$1\"", "sh", &program]);
    let [leases, pid] = ["dhclient.leases", "dhclient.pid"].map(|name| lab.path(name).display().to_string());
    guest.run(&program, &["-6", "-1", "-sf", "/bin/true", "-lf", &leases, "-pf", &pid, "eth0"]);
    // It goes on in the background, and says only there who it is.
    let pid = || fs::read_to_string(&pid).ok()?.strip_suffix('\n')?.parse().ok();
    until("dhclient's number", || pid().is_some());
    kill(Pid::from_raw(pid().unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn a_lease_of_dhcpv6_ends_with_its_guest_too() {
    in_lab(|| {
        if !needs::can("dhclient", "dhclient --version") {
            return;
        }
        let mut cluster = Cluster::default();
        for (vmid, name) in [(102, "client"), (103, "other")] {
            silent(&mut cluster, vmid, name).config["ipconfig0"] = "ip=dhcp,ip6=dhcp".into();
        }
        let mut lab = Lab::new(cluster);
        run("ip", &["addr", "add", "fd00::2/64", "dev", "vmbr0", "nodad"]);
        let ranges = "10.0.1.1,10.0.1.254,255.255.254.0,12h;fd00::1000,fd00::1fff,64,12h";
        lab.flags = ["--prefixes", "10.0.0.0/23,fd00::/64", "--dhcp-ranges", ranges].map(str::to_owned).to_vec();
        lab.start();
        lab.is_healthy();
        let guest = lab.plug(102);
        dhclient6(&lab, &guest);
        until("the name has an address", || !lab.dns().addresses("client.lab").is_empty());
        let leases = || fs::read_to_string(lab.path("dnsmasq.leases")).unwrap();
        assert_eq!(leases().matches("fd00::1").count(), 1, "{}", leases());
        drop(guest);
        lab.simulator.cluster().remove(102);
        lab.dns().becomes("client.lab", &[]);
        until("the lease is out of the file", || !leases().contains("fd00::1"));
    });
}
