//! The keeper with a cluster and files in memory. Time passes when a test says so.

use super::*;
use crate::cli::proxmox::{self as cli, Config};
use crate::plan::dns_records::{Network, Vlan};
use crate::plan::guest::{Configured, Kind, Nic, State};
use crate::sink::dnsmasq_dir::{Memory, Places};
use crate::source::neighbors::How;
use crate::source::proxmox::{self, Interface, Listed, Token, Told, Trust};
use futures_util::FutureExt as _;
use std::net::Ipv4Addr;
use std::path::Path;

const POLL: Duration = Duration::from_secs(10);

fn config(folder: &Path) -> Config {
    let network = Network {
        bridge: None,
        vlan: Vlan::Any,
        prefixes: vec!["192.0.2.0/24".parse().unwrap()],
        domain: "lab".parse().unwrap(),
    };
    let places = Places { hostsdir: folder.join("hosts"), dhcp_hostsfile: folder.join("reservations"), pid_file: None };
    let token = Token { id: "root@pam!x".to_owned(), secret: "5ecre7".to_owned() };
    Config {
        access: proxmox::Access {
            hosts: Vec::new(),
            token,
            trust: Trust::default(),
            connect_timeout: POLL,
            timeout: POLL,
        },
        policy: Policy { networks: vec![network], ..Policy::default() },
        poll_interval: POLL,
        sync_interval: Duration::from_secs(300),
        neighbors: None,
        dnsmasq: cli::Dnsmasq::Companion,
        places,
        leases: None,
        reload_interval: Duration::from_secs(30),
        state_file: folder.join("state.json"),
        registry: None,
        listen: None,
        log_level: tracing::level_filters::LevelFilter::INFO,
    }
}

fn mac(vmid: u32) -> Mac {
    let [a, b, c, d] = vmid.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

/// A keeper in a world that it is told of.
struct World {
    folder: tempfile::TempDir,
    cluster: proxmox::Memory,
    sink: Memory,
    keeper: Keeper<Memory>,
    now: Now,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, sink) = (proxmox::Memory::new(), Memory::default());
        let keeper = Keeper::new(&config(folder.path()), sink.clone(), Instant::now()).unwrap();
        let now = Now { moment: Moment::from_secs(1_000_000), time: Duration::from_secs(1_800_000_000) };
        Self { folder, cluster, sink, keeper, now }
    }

    /// The program is killed and started again.
    fn restart(&mut self) {
        self.keeper = Keeper::new(&config(self.folder.path()), self.sink.clone(), Instant::now()).unwrap();
        self.keeper.restore(self.now);
    }

    fn guest(&self, vmid: u32, v4: Configured<Ipv4Addr>) {
        let listed = Listed {
            vmid,
            kind: Kind::Qemu,
            node: format!("pve{}", vmid % 2),
            name: Some(format!("guest-{vmid}")),
            state: State::Running,
            is_template: false,
            tags: None,
            uptime: Some(100),
            lock: None,
        };
        let nic = Nic {
            index: 0,
            mac: mac(vmid),
            bridge: Some("vmbr0".to_owned()),
            tag: None,
            is_link_down: false,
            v4,
            v6: Configured::Unsaid,
        };
        self.cluster
            .put(listed, proxmox::Config { agent_enabled: true, nics: vec![nic], ..proxmox::Config::default() });
    }

    /// Everything that is asked is answered, and everything that is due is done, for as long.
    fn pass(&mut self, time: Duration) {
        let end = self.now.moment + time;
        loop {
            self.keeper.work(self.now);
            let calls = self.keeper.calls(self.now.moment);
            if calls.is_empty() {
                let next = self.keeper.wake().unwrap_or(end);
                if next >= end {
                    break;
                }
                assert!(next > self.now.moment, "something is due again and again");
                self.sleep(next.saturating_sub(self.now.moment));
            }
            for call in calls {
                let answer = call.put_to(&self.cluster, self.now.moment).now_or_never().unwrap();
                self.keeper.answered(Done { call, answer, took: Duration::ZERO }, self.now.moment);
            }
        }
        self.sleep(end.saturating_sub(self.now.moment));
    }

    fn sleep(&mut self, time: Duration) {
        self.now.moment += time;
        self.now.time += time;
    }

    fn hear(&mut self, vmid: u32, address: &str) {
        let sighted =
            Sighted { mac: mac(vmid), address: address.parse().unwrap(), how: How::Said, at: self.now.moment };
        self.keeper.heard(&sighted, self.now.moment);
    }

    /// What its agent says from now on.
    fn lists(&self, vmid: u32, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let interface = Interface { mac: Some(mac(vmid)), addresses, is_whole: true };
        self.cluster.tell(vmid, Told::Interfaces(vec![interface]));
    }

    #[track_caller]
    fn has(&self, lines: &[&str]) {
        assert_eq!(self.sink.lines(), lines);
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn names_follow_the_cluster_and_dnsmasq_is_told_only_of_reservations() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.guest(101, Configured::Dhcp);
    world.pass(SECOND);
    world.has(&["192.0.2.10 guest-100.lab"]);
    assert_eq!(world.sink.reservations(), "02:00:00:00:00:65,guest-101\n");
    assert_eq!(world.sink.reloads(), 1);
    world.lists(101, &["192.0.2.11"]);
    world.guest(100, Configured::Static([192, 0, 2, 12].into()));
    world.pass(70 * SECOND);
    world.has(&["192.0.2.11 guest-101.lab", "192.0.2.12 guest-100.lab"]);
    assert_eq!(world.sink.reloads(), 1);
}

#[test]
fn what_an_agent_does_not_list_is_not_there_also_if_it_lists_nothing_for_dns() {
    let mut world = World::new();
    world.guest(100, Configured::Dhcp);
    world.pass(SECOND);
    world.hear(100, "192.0.2.44");
    world.pass(SECOND);
    world.has(&["192.0.2.44 guest-100.lab"]);
    world.lists(100, &["fe80::1", "172.17.0.1"]);
    world.pass(160 * SECOND);
    world.has(&[]);
    // The same before and after: the list is newer than what was heard.
    world.hear(100, "192.0.2.45");
    world.pass(2 * SECOND);
    world.has(&[]);
    // A start knows no more, and no less.
    world.keeper.remember(world.now);
    world.restart();
    world.keeper.work(world.now);
    world.pass(Duration::from_millis(200));
    world.has(&[]);
}

#[test]
fn a_guest_that_is_starting_goes_on_to_have_what_it_had() {
    let mut world = World::new();
    world.guest(100, Configured::Dhcp);
    world.lists(100, &["192.0.2.11"]);
    world.pass(20 * SECOND);
    world.lists(100, &["fe80::1"]);
    world.cluster.change(100, |listed, _| listed.uptime = Some(5));
    world.pass(30 * SECOND);
    world.has(&["192.0.2.11 guest-100.lab"]);
    world.cluster.change(100, |listed, _| listed.uptime = Some(65));
    world.pass(160 * SECOND);
    world.has(&[]);
}

/// dnsmasq's leases: these guests', each `192.0.2.VMID`.
fn lease(world: &World, vmids: &[u32]) {
    let line = |vmid: &u32| format!("1800043200 {0} 192.0.2.{vmid} guest-{vmid} 01:{0}\n", mac(*vmid));
    let path = world.folder.path().join("leases");
    std::fs::write(&path, vmids.iter().map(line).collect::<String>()).unwrap();
    let written = std::time::SystemTime::now() - 10 * SECOND;
    std::fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
}

fn with_leases(vmids: &[u32]) -> World {
    let mut world = World::new();
    world.keeper.leases = Some(LeaseFile::new(world.folder.path().join("leases")));
    for vmid in vmids {
        world.guest(*vmid, Configured::Dhcp);
    }
    lease(&world, vmids);
    world.pass(30 * SECOND);
    world
}

fn released(world: &World, vmids: &[u8]) -> bool {
    world.sink.released() == vmids.iter().map(|vmid| IpAddr::from([192, 0, 2, *vmid])).collect::<Vec<_>>()
}

#[test]
fn a_lease_ends_with_its_guest_and_with_nothing_less() {
    let mut world = with_leases(&[100, 101, 102]);
    world.has(&["192.0.2.100 guest-100.lab", "192.0.2.101 guest-101.lab", "192.0.2.102 guest-102.lab"]);
    world.cluster.change(101, |listed, _| listed.state = State::Stopped);
    world.cluster.change(102, |listed, _| listed.is_template = true);
    world.pass(150 * SECOND);
    world.has(&["192.0.2.100 guest-100.lab"]);
    assert!(released(&world, &[]));
    world.cluster.remove(100);
    world.pass(POLL);
    assert!(released(&world, &[]), "one list is not enough");
    world.pass(POLL + SECOND);
    let once = world.sink.released();
    // dnsmasq was just starting.
    world.pass(30 * SECOND);
    assert!(!once.is_empty() && once.len() < world.sink.released().len());
    lease(&world, &[101, 102]);
    world.pass(2 * SECOND);
    let ended = world.sink.released();
    world.pass(600 * SECOND);
    assert!(released(&world, &[100].repeat(ended.len())));
}

#[test]
fn a_lease_that_does_not_end_is_not_tried_for_ever() {
    let mut world = with_leases(&[100, 101]);
    world.cluster.remove(100);
    world.pass(1000 * SECOND);
    assert!(released(&world, &[100; 6]) && world.keeper.releases.is_empty());
}

#[test]
fn whose_guest_is_hidden_and_who_is_heard_keeps_its_lease() {
    let mut world = with_leases(&[100, 101]);
    world.cluster.remove(100);
    world.pass(POLL);
    world.hear(100, "192.0.2.100");
    world.pass(60 * SECOND);
    assert!(released(&world, &[]));
}

#[test]
fn an_interface_that_is_replaced_ends_its_lease_unless_it_is_anothers_now() {
    let mut world = with_leases(&[100, 101, 102]);
    world.cluster.change(100, |_, config| config.nics[0].mac = mac(200));
    world.cluster.change(101, |_, config| config.nics[0].mac = mac(201));
    world.cluster.change(102, |_, config| config.nics[0].mac = mac(101));
    world.pass(200 * SECOND);
    let mut addresses = world.sink.released();
    addresses.dedup();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses, [100, 102].map(|last| IpAddr::from([192, 0, 2, last])));
}

#[test]
fn nothing_is_done_while_nothing_changes() {
    let mut world = World::new();
    for vmid in 100..125 {
        let address = Ipv4Addr::new(192, 0, 2, u8::try_from(vmid).unwrap());
        world.guest(vmid, Configured::Static(address));
        world.lists(vmid, &[&address.to_string()]);
    }
    // Guests that have just started are asked for their addresses in each round for a minute.
    world.pass(120 * SECOND);
    let files = world.sink.lines();
    world.cluster.asked();
    for _ in 0..60 {
        world.pass(POLL);
        assert!(world.cluster.asked().len() <= 8);
    }
    assert_eq!((world.sink.lines(), world.sink.reloads()), (files, 0));
}

#[test]
fn who_is_heard_somewhere_else_is_there_at_once() {
    let mut world = World::new();
    world.guest(100, Configured::Unsaid);
    world.pass(POLL);
    world.has(&[]);
    let interests = world.keeper.interests(false).unwrap();
    assert!(interests.macs.contains(&mac(100)) && interests.are_sought);
    world.hear(100, "192.0.2.50");
    world.pass(SECOND);
    world.has(&["192.0.2.50 guest-100.lab"]);
    world.sleep(SECOND);
    world.hear(100, "192.0.2.51");
    world.pass(SECOND);
    world.has(&["192.0.2.51 guest-100.lab"]);
    // Not one of its networks.
    world.hear(100, "198.51.100.1");
    world.pass(SECOND);
    world.has(&["192.0.2.51 guest-100.lab"]);
}

#[test]
fn whom_a_better_word_than_the_wires_tells_of_is_not_asked_for() {
    let mut world = World::new();
    world.guest(100, Configured::Static(Ipv4Addr::new(192, 0, 2, 9)));
    world.guest(101, Configured::Unsaid);
    world.guest(102, Configured::Unsaid);
    world.lists(101, &["192.0.2.11"]);
    world.pass(POLL);
    world.hear(102, "192.0.2.12");
    world.pass(POLL);
    world.has(&["192.0.2.11 guest-101.lab", "192.0.2.12 guest-102.lab", "192.0.2.9 guest-100.lab"]);
    let spared = |world: &mut World| {
        let mut spared: Vec<_> = world.keeper.interests(true).unwrap().spared.into_iter().collect();
        spared.sort_unstable();
        spared
    };
    assert_eq!(spared(&mut world), [Ipv4Addr::new(192, 0, 2, 9), Ipv4Addr::new(192, 0, 2, 11)]);
    // In two networks it may be two guests'.
    let other = Network { vlan: Vlan::Tag(20), ..world.keeper.policy.networks[0].clone() };
    world.keeper.policy.networks.push(other);
    assert!(spared(&mut world).is_empty());
}

#[test]
fn a_kill_and_a_start_lose_nothing_though_the_cluster_is_down() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.guest(101, Configured::Unsaid);
    world.pass(SECOND);
    world.hear(101, "192.0.2.50");
    world.pass(SECOND);
    let lines = ["192.0.2.10 guest-100.lab", "192.0.2.50 guest-101.lab"];
    world.has(&lines);
    world.cluster.down(proxmox::Kind::Unreachable, "no route to host");
    world.restart();
    world.pass(600 * SECOND);
    world.has(&lines);
    assert!(world.keeper.trouble().unwrap().contains("no route to host"));
    // Nor if somebody has removed the files meanwhile.
    world.sink = Memory::default();
    world.restart();
    world.pass(SECOND);
    world.has(&lines);
    world.cluster.up();
    world.cluster.node("pve1", false);
    world.pass(600 * SECOND);
    world.has(&lines);
}

#[test]
fn who_speaks_from_another_address_has_its_configuration_read_at_once() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.pass(61 * SECOND);
    world.guest(100, Configured::Static([192, 0, 2, 11].into()));
    world.hear(100, "192.0.2.11");
    world.pass(SECOND);
    world.has(&["192.0.2.11 guest-100.lab"]);
}

#[test]
fn without_a_state_file_nothing_is_written_before_all_was_read() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.pass(SECOND);
    std::fs::write(world.folder.path().join("state.json"), "{\"version\":1,").unwrap();
    world.guest(101, Configured::Static([192, 0, 2, 11].into()));
    world.cluster.down(proxmox::Kind::Unreachable, "no route to host");
    world.restart();
    world.pass(600 * SECOND);
    world.has(&["192.0.2.10 guest-100.lab"]);
    assert!(!world.keeper.has_published() && world.folder.path().join("state.json.unusable").exists());
    world.cluster.up();
    world.pass(120 * SECOND);
    world.has(&["192.0.2.10 guest-100.lab", "192.0.2.11 guest-101.lab"]);
}

#[test]
fn a_guest_that_is_removed_goes_after_two_confirmations() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.guest(101, Configured::Static([192, 0, 2, 11].into()));
    world.pass(POLL);
    world.cluster.remove(101);
    world.pass(9 * SECOND);
    world.has(&["192.0.2.10 guest-100.lab", "192.0.2.11 guest-101.lab"]);
    world.pass(POLL + SECOND);
    world.has(&["192.0.2.10 guest-100.lab"]);
}

#[test]
fn what_cannot_be_written_is_written_when_it_can() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.sink.fail(true);
    world.pass(300 * SECOND);
    world.has(&[]);
    assert_eq!(world.keeper.failure(), Some("the disk is full"));
    world.sink.fail(false);
    world.pass(LONGEST_WAIT);
    world.has(&["192.0.2.10 guest-100.lab"]);
    assert_eq!((world.keeper.failure(), world.sink.reloads()), (None, 0));
}

/// Names go on, for they matter more than what the next start knows.
#[test]
fn a_state_file_that_cannot_be_written_stops_nothing_and_is_a_fault_until_it_can() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.pass(POLL);
    let file = world.folder.path().join("state.json");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("in the way")).unwrap();
    world.guest(100, Configured::Static([192, 0, 2, 11].into()));
    world.pass(70 * SECOND);
    world.has(&["192.0.2.11 guest-100.lab"]);
    let failure = world.keeper.failure().unwrap();
    assert!(failure.contains("state.json") && failure.contains("names go on"), "{failure}");
    world.keeper.show(Dnsmasq::Answers, Vec::new(), world.now.moment);
    assert!(world.keeper.metrics.shown().faults[0].contains("state.json"));
    std::fs::remove_dir_all(&file).unwrap();
    world.pass(STATE + SECOND);
    assert!(world.keeper.failure().is_none() && file.is_file());
}

#[test]
fn the_registry_follows_whatever_is_said_of_an_instance() {
    let mut world = World::new();
    let paths = Paths::new(Some(world.folder.path().join("registry").into()), None).unwrap();
    world.keeper = Keeper::with(
        &config(world.folder.path()),
        world.sink.clone(),
        Some(Bridge::new(paths.clone())),
        Instant::now(),
    );
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    world.pass(POLL);
    let registry = || std::fs::read_to_string(paths.registry()).unwrap();
    assert!(registry().contains(&mac(100).to_string()), "{}", registry());
    // Another interface with the same address, and one more in no network.
    let nic = |index, mac, bridge: &str, v4| Nic {
        index,
        mac,
        bridge: Some(bridge.to_owned()),
        tag: None,
        is_link_down: false,
        v4,
        v6: Configured::Unsaid,
    };
    let (first, second) = (Mac([2, 1, 1, 1, 1, 1]), Mac([2, 1, 1, 1, 1, 2]));
    let nics = vec![
        nic(0, first, "vmbr0", Configured::Static([192, 0, 2, 10].into())),
        nic(1, second, "vmbr9", Configured::Unsaid),
    ];
    let listed = world.keeper.rounds().guest(100).unwrap().listed.clone();
    world.cluster.put(listed, proxmox::Config { agent_enabled: true, nics, ..proxmox::Config::default() });
    world.pass(70 * SECOND);
    world.has(&["192.0.2.10 guest-100.lab"]);
    let said = registry();
    assert!(said.contains(&first.to_string()) && said.contains(&second.to_string()), "{said}");
    assert!(!said.contains(&mac(100).to_string()), "{said}");
}

#[test]
fn a_dnsmasq_that_begins_need_not_be_told() {
    let mut world = World::new();
    world.guest(100, Configured::Dhcp);
    world.pass(POLL);
    assert_eq!(world.sink.reloads(), 1);
    world.guest(101, Configured::Dhcp);
    // Not before the interval has passed.
    world.pass(POLL);
    assert_eq!(world.sink.reloads(), 1);
    world.keeper.dnsmasq_began();
    world.pass(60 * SECOND);
    assert_eq!(world.sink.reloads(), 1);
    world.keeper.dnsmasq_found();
    world.pass(SECOND);
    assert_eq!(world.sink.reloads(), 2);
}

#[test]
fn a_rehearsal_writes_nothing() {
    let mut world = World::new();
    world.guest(100, Configured::Static([192, 0, 2, 10].into()));
    std::fs::write(world.folder.path().join("state.json"), "?").unwrap();
    world.keeper = Keeper::rehearse(&config(world.folder.path()), world.sink.clone(), Instant::now());
    world.keeper.restore(world.now);
    assert!(world.keeper.finish(world.now).unwrap_err().to_string().contains("nothing was written"));
    world.pass(SECOND);
    world.keeper.finish(world.now).unwrap();
    world.keeper.remember(world.now);
    world.has(&["192.0.2.10 guest-100.lab"]);
    let there: Vec<_> =
        std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((there.len(), std::fs::read(world.folder.path().join("state.json")).unwrap()), (1, b"?".to_vec()));
}
