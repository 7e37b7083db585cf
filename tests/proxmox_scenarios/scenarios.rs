//! What happens to guests, and what their names do.

use crate::lab::{HOST, Lab, in_lab};
use crate::netns::run;
use crate::proxmox::{Cluster, Reply};
use crate::wait::until;
use serde_json::json;
use std::fs;

/// A container with this address in its configuration.
pub fn fixed(cluster: &mut Cluster, vmid: u32, name: &str, address: &str) {
    let net = format!("name=eth0,bridge=vmbr0,hwaddr={},ip={address}/23,type=veth", Cluster::mac(vmid).to_uppercase());
    let guest = cluster.add(vmid, "lxc", "pve1", name);
    guest.config["net0"] = net.into();
    guest.interfaces = Reply::ok(&json!([]));
}

/// A virtual machine without an agent: nobody knows its addresses.
pub fn silent<'c>(cluster: &'c mut Cluster, vmid: u32, name: &str) -> &'c mut crate::proxmox::Guest {
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
        assert_eq!(lab.leased_to(&lease).as_deref(), Some("client-7"), "it was reserved");
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
        let before = fs::read(lab.path("dnsmasq.leases")).unwrap();
        until("the lease is renewed", || {
            guest.lease() == lease && fs::read(lab.path("dnsmasq.leases")).unwrap() != before
        });
        lab.dns().becomes("web.lab", &[&lease]);
        assert_eq!(lab.metric("instances_proxmox_dnsmasq_starts_total"), Some(1.0));
    });
}

#[test]
fn a_static_guest_that_nobody_tells_about_is_found_by_its_first_arp_and_a_move_is_known_without_a_poll() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        silent(&mut cluster, 100, "nas");
        let mut lab = Lab::new(cluster);
        lab.variables.insert("INSTANCES_PROXMOX_POLL_INTERVAL", "300".to_owned());
        lab.start();
        lab.is_healthy();
        let guest = lab.plug(100);
        let address = |what: &str, address: &str| guest.run("ip", &["addr", what, address, "dev", "eth0"]);
        for (host, before) in [(50, None), (51, Some(50)), (52, Some(51))] {
            if let Some(before) = before {
                address("del", &format!("10.0.0.{before}/23"));
            }
            address("add", &format!("10.0.0.{host}/23"));
            // Who sends anything asks who has the host's address first.
            guest.run("ping", &["-c", "1", "-W", "5", HOST]);
            lab.dns().becomes("nas.lab", &[&format!("10.0.0.{host}")]);
            // Before the next: not outside of its network.
            if host == 51 {
                address("add", "198.51.100.7/24");
                guest.try_run("ping", &["-c", "1", "-W", "1", "-I", "198.51.100.7", HOST]);
            }
        }
        assert_eq!(lab.names(), ["10.0.0.52 nas.lab"]);
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
fn not_one_start_reload_or_write_while_nothing_changes() {
    in_lab(|| {
        let lab = Lab::started(Cluster::populated(25, 3));
        lab.has_names(25);
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

/// Of a guest in the registry: its addresses, its name.
fn registered(lab: &Lab, vmid: u32) -> Option<(Vec<String>, String)> {
    let registry: serde_json::Value = serde_json::from_slice(&fs::read(lab.path("instances.json")).ok()?).unwrap();
    let instance = registry.get(Cluster::mac(vmid))?;
    let addresses = ["ipv4", "ipv6"].iter().filter_map(|family| instance.get(*family)?.as_str());
    Some((addresses.map(str::to_owned).collect(), instance["name"].as_str()?.to_owned()))
}

#[test]
fn guests_are_in_the_registry_for_the_guard_whoever_gives_them_their_addresses() {
    in_lab(|| {
        let mut cluster = Cluster::default();
        fixed(&mut cluster, 100, "web", "10.0.0.10");
        silent(&mut cluster, 101, "client");
        let mut lab = Lab::new(cluster);
        lab.flags = vec!["--registry".to_owned(), lab.path("instances.json").display().to_string()];
        lab.start();
        let is = |vmid, name: &str, address: &str| {
            let wanted = (vec![address.to_owned()], name.to_owned());
            until(&format!("{name} has {address} in the registry"), || {
                registered(&lab, vmid).as_ref() == Some(&wanted)
            });
        };
        is(100, "web", "10.0.0.10");
        // What shows in the list has it read at once.
        let configure = |field: &str, value: &str, lock: &str| {
            let mut cluster = lab.simulator.cluster();
            cluster.configure(100, field, value);
            cluster.guest(100).row["lock"] = lock.into();
        };
        let net = |mac: &str| format!("name=eth0,bridge=vmbr0,hwaddr={mac},ip=10.0.0.11/23,type=veth");
        configure("net0", &net(&Cluster::mac(100)), "backup");
        is(100, "web", "10.0.0.11");
        // Nobody tells of it but the DHCP server; then the wire.
        let client = lab.plug(101);
        let lease = client.lease();
        is(101, "client", &lease);
        client.run("ip", &["addr", "add", "10.0.0.51/23", "dev", "eth0"]);
        client.run("ping", &["-c", "1", "-W", "5", HOST]);
        is(101, "client", "10.0.0.51");
        is(100, "web", "10.0.0.11");
        // Neither name nor address is another, but who has them.
        let text = || fs::read_to_string(lab.path("instances.json")).unwrap();
        configure("net0", &net("BC:24:11:00:0F:0F"), "snapshot");
        until("another interface has them", || {
            text().contains("bc:24:11:00:0f:0f") && !text().contains(&Cluster::mac(100))
        });
        // Nor does one that has no name of its own change any.
        configure("net1", "name=eth1,bridge=vmbr9,hwaddr=BC:24:11:00:0E:0E,type=veth", "backup");
        until("another interface is known", || text().contains("bc:24:11:00:0e:0e"));
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
        lab.variables.remove("NETWORK_CIDR");
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
        lab.privileges = ["--bounding-set=-net_raw", "--inh-caps=-net_raw"].map(str::to_owned).to_vec();
        // A DHCP server needs it itself.
        lab.variables.retain(|name, _| !name.starts_with("DHCP_"));
        lab.start();
        lab.dns().becomes("web.lab", &["10.0.0.10"]);
        lab.says("without CAP_NET_RAW");
        lab.simulator.cluster().rename(100, "other");
        lab.dns().becomes("other.lab", &["10.0.0.10"]);
    });
}
