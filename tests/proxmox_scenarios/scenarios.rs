//! What happens to guests, and what their names do.

use crate::lab::{HOST, Lab, in_lab};
use crate::netns::{needs, run};
use crate::proxmox::{Cluster, Reply};
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

/// A container with this address in its configuration.
fn fixed(cluster: &mut Cluster, vmid: u32, name: &str, address: &str) {
    let net = format!("name=eth0,bridge=vmbr0,hwaddr={},ip={address}/23,type=veth", Cluster::mac(vmid).to_uppercase());
    let guest = cluster.add(vmid, "lxc", "pve1", name);
    guest.config["net0"] = net.into();
    guest.interfaces = Reply::ok(&json!([]));
}

/// A virtual machine without an agent: nobody knows its addresses.
fn silent<'c>(cluster: &'c mut Cluster, vmid: u32, name: &str) -> &'c mut crate::proxmox::Guest {
    let guest = cluster.add(vmid, "qemu", "pve1", name);
    guest.config.as_object_mut().unwrap().remove("agent");
    guest.interfaces = Reply::no(500, "No QEMU guest agent configured");
    guest
}

#[test]
fn the_seeds_variables_alone_give_every_guest_its_name() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        cluster.add(101, "qemu", "pve2", "db");
        silent(&mut cluster, 102, "Client 7");
        let lab = Lab::started(cluster);
        let dns = lab.dns();
        dns.becomes("web.lab", &["10.0.0.10"]);
        // What its agent says.
        dns.becomes("db.lab", &["10.0.0.101"]);
        dns.is_called("10.0.0.10", &["web.lab"]);
        assert!(dns.addresses("client-7.lab").is_empty());
        // Its name is waiting for it at the DHCP server.
        let lease = lab.plug(102).lease();
        assert!(lease.starts_with("10.0.1."), "{lease}");
        dns.becomes("client-7.lab", &[&lease]);
        dns.is_called(&lease, &["client-7.lab"]);
    });
}

#[test]
fn dynamic_to_static_keeps_the_name() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        silent(&mut cluster, 100, "web");
        let lab = Lab::started(cluster);
        let guest = lab.plug(100);
        let lease = guest.lease();
        lab.dns().becomes("web.lab", &[&lease]);
        lab.simulator.cluster().configure(100, "ipconfig0", "ip=10.0.0.10/23,gw=10.0.0.1");
        // That leaves no trace in the list of guests, but the guest speaks.
        guest.run("ip", &["addr", "add", "10.0.0.10/23", "dev", "eth0"]);
        guest.run("ping", &["-c", "1", "-W", "5", HOST]);
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        lab.dns().is_called("10.0.0.10", &["web.lab"]);
        // And back: dnsmasq's lease is still in force.
        lab.simulator.cluster().configure(100, "ipconfig0", "ip=dhcp");
        guest.run("ip", &["addr", "del", "10.0.0.10/23", "dev", "eth0"]);
        // Twice in a second is once, for dnsmasq.
        let before = fs::read(lab.path("leases")).unwrap();
        until("the lease is renewed", || guest.lease() == lease && fs::read(lab.path("leases")).unwrap() != before);
        lab.dns().becomes("web.lab", &[&lease]);
        assert_eq!(lab.metric("instances_proxmox_dnsmasq_starts_total"), Some(1.0));
    });
}

#[test]
fn a_static_guest_that_nobody_tells_about_is_found_by_its_first_arp_and_a_move_is_known_within_two_seconds() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        silent(&mut cluster, 100, "nas");
        let lab = Lab::started(cluster);
        let guest = lab.plug(100);
        for (address, before) in [("10.0.0.50", None), ("10.0.0.51", Some("10.0.0.50"))] {
            if let Some(before) = before {
                guest.run("ip", &["addr", "del", &format!("{before}/23"), "dev", "eth0"]);
            }
            guest.run("ip", &["addr", "add", &format!("{address}/23"), "dev", "eth0"]);
            let begun = Instant::now();
            // Who sends anything asks who has the host's address first.
            guest.run("ping", &["-c", "1", "-W", "5", HOST]);
            lab.dns().becomes("nas.lab", &[address]);
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
        // Not outside of its network.
        guest.run("ip", &["addr", "add", "198.51.100.7/24", "dev", "eth0"]);
        guest.try_run("ping", &["-c", "1", "-W", "1", "-I", "198.51.100.7", HOST]);
        lab.rounds(2);
        assert_eq!(lab.names(), ["10.0.0.51 nas.lab"]);
    });
}

#[test]
fn a_silent_guest_is_found_by_the_sweep() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        silent(&mut cluster, 100, "nas");
        let mut lab = Lab::new(cluster);
        lab.flags = ["--sweep-interval", "5", "--sweep-rate", "500"].map(str::to_owned).to_vec();
        let guest = lab.plug(100);
        guest.run("ip", &["addr", "add", "10.0.0.60/23", "dev", "eth0"]);
        // It has said all that it had to say before anybody listens.
        run("ip", &["neigh", "flush", "dev", "vmbr0"]);
        lab.start();
        lab.dns().becomes("nas.lab", &["10.0.0.60"]);
    });
}

#[test]
fn node_down_keeps_records() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        cluster.add(101, "qemu", "pve2", "db");
        let mut lab = Lab::started(cluster);
        lab.dns().becomes("db.lab", &["10.0.0.101"]);
        lab.simulator.cluster().node("pve2", false);
        lab.rounds(3);
        lab.dns().becomes("db.lab", &["10.0.0.101"]);
        until("it is stale", || {
            lab.answers("/metrics").lines().any(|line| line.contains("stale") && line.contains("vmid=\"101\""))
        });
        // Nor does a start forget it, though nobody can be asked.
        assert_eq!(lab.terminate(), Some(0));
        lab.start();
        lab.is_healthy();
        lab.rounds(3);
        lab.dns().becomes("db.lab", &["10.0.0.101"]);
        lab.simulator.cluster().node("pve2", true);
        lab.rounds(2);
        lab.dns().becomes("db.lab", &["10.0.0.101"]);
    });
}

#[test]
fn restart_of_the_companion_changes_nothing() {
    in_lab(|| {
        let mut cluster = Cluster::populated(25, 2);
        silent(&mut cluster, 150, "nas");
        let mut lab = Lab::started(cluster);
        until("all names", || lab.names().len() == 25);
        let guest = lab.plug(150);
        guest.run("ip", &["addr", "add", "10.0.0.50/23", "dev", "eth0"]);
        guest.run("ping", &["-c", "1", "-W", "5", HOST]);
        lab.dns().becomes("nas.lab", &["10.0.0.50"]);
        let files = |lab: &Lab| {
            let times = fs::read_dir(lab.path("hosts")).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), entry.metadata().unwrap().modified().unwrap())
            });
            let mut times: Vec<_> = times.collect();
            times.sort();
            times
        };
        let (before, dnsmasq) = (files(&lab), lab.dnsmasq());
        let asked = std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let begun = Instant::now();
                let mut asked = 0;
                while begun.elapsed() < Duration::from_secs(4) {
                    assert_eq!(lab.names().len(), 26, "a name is gone");
                    asked += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                asked
            });
            watching.join().unwrap()
        });
        assert!(asked > 10);
        lab.kill();
        lab.start();
        lab.says("is taken over");
        lab.is_healthy();
        lab.rounds(3);
        assert_eq!((files(&lab), lab.dnsmasq()), (before, dnsmasq));
        lab.dns().becomes("nas.lab", &["10.0.0.50"]);
    });
}

#[test]
fn not_one_start_reload_or_write_while_nothing_changes() {
    in_lab(|| {
        let lab = Lab::started(Cluster::populated(25, 3));
        until("all names", || lab.names().len() == 25);
        lab.rounds(2);
        let read = format!("read {}", lab.path("reservations").display());
        let counters = || {
            let metrics = ["dnsmasq_starts_total", "dnsmasq_reloads_total", "files_written_total"];
            metrics.map(|metric| lab.metric(&format!("instances_proxmox_{metric}")).unwrap().to_string())
        };
        let (before, reads) = (counters(), lab.said(&read));
        lab.rounds(10);
        assert_eq!((counters(), lab.said(&read)), (before.clone(), reads));
        assert!(before[0] == "1" && ["0", "1"].contains(&before[1].as_str()), "{before:?}");
    });
}

#[test]
fn guest_removed_goes_after_two_confirmations() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        fixed(&mut cluster, 101, "db", "10.0.0.11");
        let lab = Lab::started(cluster);
        lab.dns().becomes("db.lab", &["10.0.0.11"]);
        lab.simulator.cluster().remove(101);
        lab.dns().becomes("db.lab", &[]);
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        lab.says("db.lab is 10.0.0.11 no longer");
    });
}

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
    until("the lease is out of the file", || !fs::read_to_string(lab.path("leases")).unwrap().contains(&lease));
    // One that is stopped keeps its lease, as dnsmasq has it.
    assert!(fs::read_to_string(lab.path("leases")).unwrap().contains(&stays));
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
        let leases = || fs::read_to_string(lab.path("leases")).unwrap();
        assert_eq!(leases().matches("fd00::1").count(), 1, "{}", leases());
        drop(guest);
        lab.simulator.cluster().remove(102);
        lab.dns().becomes("client.lab", &[]);
        until("the lease is out of the file", || !leases().contains("fd00::1"));
    });
}

#[test]
fn name_collision_is_stable() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 200, "web", "10.0.0.20");
        let mut lab = Lab::started(cluster);
        lab.dns().becomes("web.lab", &["10.0.0.20"]);
        // Who comes later has another name, however often everything is read.
        fixed(&mut lab.simulator.cluster(), 201, "WEB", "10.0.0.21");
        lab.dns().becomes("web-201.lab", &["10.0.0.21"]);
        lab.rounds(2);
        lab.dns().becomes("web.lab", &["10.0.0.20"]);
        lab.says("web");
        assert_eq!(lab.terminate(), Some(0));
        lab.start();
        lab.is_healthy();
        assert_eq!(lab.names(), ["10.0.0.20 web.lab", "10.0.0.21 web-201.lab"]);
    });
}

#[test]
fn a_guest_that_moves_keeps_its_name() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        cluster.add(101, "qemu", "pve2", "db");
        let lab = Lab::started(cluster);
        lab.dns().becomes("db.lab", &["10.0.0.101"]);
        lab.simulator.cluster().migrate(101, "pve1");
        lab.rounds(3);
        lab.simulator.cluster().migrate(101, "pve3");
        lab.rounds(3);
        lab.dns().becomes("db.lab", &["10.0.0.101"]);
        assert_eq!(lab.said("no longer"), 0, "{}", lab.log());
    });
}

#[test]
fn guests_are_in_the_registry_for_the_guard() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        let mut lab = Lab::new(cluster);
        let registry = lab.path("instances.json");
        lab.flags = vec!["--registry".to_owned(), registry.display().to_string()];
        lab.start();
        until("the guest is in the registry", || {
            let text = fs::read_to_string(&registry).unwrap_or_default();
            text.contains(&Cluster::mac(100)) && text.contains("\"10.0.0.10\"") && text.contains("\"web\"")
        });
        // What shows in the list has it read at once.
        let stir = |lock: &str| lab.simulator.cluster().guest(100).row["lock"] = lock.into();
        lab.simulator.cluster().configure(
            100,
            "net0",
            &format!("name=eth0,bridge=vmbr0,hwaddr={},ip=10.0.0.11/23,type=veth", Cluster::mac(100).to_uppercase()),
        );
        until("it has moved", || {
            let text = fs::read_to_string(&registry).unwrap();
            text.contains("\"10.0.0.11\"") && !text.contains("\"10.0.0.10\"")
        });
        // Neither name nor address is another, but who has them.
        let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:0F:0F,ip=10.0.0.11/23,type=veth";
        lab.simulator.cluster().configure(100, "net0", net);
        stir("backup");
        until("another interface has them", || {
            let text = fs::read_to_string(&registry).unwrap();
            text.contains("bc:24:11:00:0f:0f") && !text.contains(&Cluster::mac(100))
        });
        // Nor does one that has no name of its own change any.
        lab.simulator.cluster().configure(100, "net1", "name=eth1,bridge=vmbr9,hwaddr=BC:24:11:00:0E:0E,type=veth");
        stir("snapshot");
        until("another interface is known", || fs::read_to_string(&registry).unwrap().contains("bc:24:11:00:0e:0e"));
    });
}

#[test]
fn beside_a_dnsmasq_that_is_there_already() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        silent(&mut cluster, 101, "client");
        let mut lab = Lab::new(cluster);
        fs::create_dir(lab.path("hosts")).unwrap();
        fs::write(lab.path("reservations"), "").unwrap();
        let path = |name: &str| lab.path(name).display().to_string();
        let mut command = std::process::Command::new("/usr/sbin/dnsmasq");
        command.args(["--keep-in-foreground", "--no-hosts", "--no-resolv", "--user=root", "--conf-file=/dev/null"]);
        command.args(["--domain=lab", "--local=/lab/", "--dhcp-ignore-names", "--log-facility=/dev/null"]);
        command.arg("--dhcp-range=10.0.1.1,10.0.1.254,255.255.254.0,12h");
        for (option, file) in [
            ("hostsdir", "hosts"),
            ("dhcp-hostsfile", "reservations"),
            ("pid-file", "pid"),
            ("dhcp-leasefile", "leases"),
        ] {
            command.arg(format!("--{option}={}", path(file)));
        }
        let mut dnsmasq = command.spawn().unwrap();
        until("dnsmasq runs", || fs::read_to_string(lab.path("pid")).is_ok_and(|pid| !pid.is_empty()));
        lab.flags = ["--dnsmasq", "companion"].map(str::to_owned).to_vec();
        // Giving a lease back takes none of these.
        lab.without = vec!["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"];
        lab.start();
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        until("dnsmasq was told of the reservation", || {
            lab.metric("instances_proxmox_dnsmasq_reloads_total") == Some(1.0)
        });
        until("it was asked, too", || lab.metric("instances_proxmox_dnsmasq_up") == Some(1.0));
        let lease = lab.plug(101).lease();
        lab.dns().becomes("client.lab", &[&lease]);
        // Its lease ends with its guest.
        lab.simulator.cluster().remove(101);
        lab.dns().becomes("client.lab", &[]);
        until("the lease is out of the file", || fs::read_to_string(lab.path("leases")).unwrap().is_empty());
        // It is not ours to be ended.
        assert_eq!(lab.terminate(), Some(0));
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        // Somebody moves the folder that it watches while nobody looks.
        fs::rename(lab.path("hosts"), lab.path("aside")).unwrap();
        lab.start();
        lab.says("so names stand still: restart dnsmasq");
        until("all is not well", || lab.answers("/healthz").contains("names stand still"));
        dnsmasq.kill().unwrap();
        dnsmasq.wait().unwrap();
        let mut dnsmasq = command.spawn().unwrap();
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        // SIGHUP has it look at once.
        kill(Pid::from_raw(lab.pid().cast_signed()), Signal::SIGHUP).unwrap();
        lab.is_healthy();
        dnsmasq.kill().unwrap();
        dnsmasq.wait().unwrap();
        fs::remove_file(lab.path("pid")).unwrap();
    });
}

#[test]
fn each_network_has_its_domain_in_both_families_and_what_is_in_none_has_no_name() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        let nets = |cluster: &mut Cluster, vmid, name: &str, nets: &[&str]| {
            let guest = cluster.add(vmid, "lxc", "pve1", name);
            guest.interfaces = Reply::ok(&json!([]));
            for (index, net) in nets.iter().enumerate() {
                let mac = format!("BC:24:11:00:{index:02X}:{vmid:02X}");
                guest.config[format!("net{index}")] = format!("name=eth{index},hwaddr={mac},type=veth,{net}").into();
            }
        };
        let both = ["bridge=vmbr0,ip=10.0.0.10/23,ip6=2001:db8::10/64", "bridge=vmbr0,tag=20,ip=192.0.2.10/24"];
        nets(&mut cluster, 100, "web", &both);
        nets(&mut cluster, 101, "stray", &["bridge=vmbr0,tag=30,ip=192.0.2.11/24", "bridge=vmbr0,ip=203.0.113.1/24"]);
        let mut lab = Lab::new(cluster);
        let file = lab.path("proxmox.toml");
        let text = "[[network]]\nprefixes = [\"10.0.0.0/23\", \"2001:db8::/64\"]\nbridge = \"vmbr0\"\ntag = \"untagged\"\n\
                    [[network]]\nprefixes = [\"192.0.2.0/24\"]\ntag = 20\ndomain = \"dmz.lab\"\n\
                    [[record]]\nname = \"gw.lab\"\naddress = \"10.0.0.1\"\n";
        fs::write(&file, text).unwrap();
        lab.flags = vec!["--config".to_owned(), file.display().to_string()];
        lab.without = vec!["NETWORK_CIDR"];
        lab.start();
        let dns = lab.dns();
        dns.becomes("web.lab", &["10.0.0.10", "2001:db8::10"]);
        dns.becomes("web.dmz.lab", &["192.0.2.10"]);
        dns.becomes("gw.lab", &["10.0.0.1"]);
        dns.is_called("2001:db8::10", &["web.lab"]);
        dns.is_called("192.0.2.10", &["web.dmz.lab"]);
        assert!(!lab.names().iter().any(|line| line.contains("stray")), "{:?}", lab.names());
    });
}

#[test]
fn without_packet_sockets_it_says_what_is_lost_and_does_the_rest() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        let mut lab = Lab::new(cluster);
        // A DHCP server needs it itself.
        lab.without = vec!["CAP_NET_RAW", "DHCP_RANGE", "DHCP_OPTION"];
        lab.start();
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        lab.says("without CAP_NET_RAW");
        lab.simulator.cluster().rename(100, "other");
        lab.dns().becomes("other.lab", &["10.0.0.10"]);
    });
}
