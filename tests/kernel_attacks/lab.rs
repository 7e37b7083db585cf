//! The lab: a bridge on the host, and machines in namespaces of their own behind its ports.
//!
//! Everything that a test sends goes out from one thread on one processor. The kernel keeps such frames in order on their
//! way over veths and the bridge, so whoever has seen a marker has seen, and judged, all that was sent before it.

use crate::frames::Wire;
use crate::kernel::Host;
use crate::netns::run;
use crate::ports::once_free;
use crate::rtnl::Rtnl;
use crate::space::Space;
use crate::who::{self, ATTACKER, HOST, NEIGHBOUR, NEWCOMER, ROUTER, STRANGER, VICTIM, Who};
use instances::packet::{Ethernet, Ipv4, Udp, ether_type, igmp};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::cell::{Cell, RefCell};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

/// UDP ports on which every machine listens: one that means nothing, DHCP, DHCPv6, VXLAN's.
pub const LISTENING: [u16; 5] = [APPLICATION, 67, 68, 546, 547];
pub const APPLICATION: u16 = 4000;
/// Where markers go.
const MARKER: u16 = 4001;

pub struct Machine {
    pub who: Who,
    pub space: Space,
    /// Its interface: eth0, or the host's bridge.
    pub interface: &'static str,
    pub index: u32,
    pub wire: Wire,
    pub rtnl: RefCell<Rtnl>,
    /// By port; of IPv4 and IPv6. Gone while real programs need the ports.
    pub sockets: RefCell<Vec<(u16, UdpSocket)>>,
}

pub struct Lab {
    machines: Vec<Machine>,
    pub registry: Host,
    markers: Cell<u16>,
}

impl Lab {
    /// In the calling thread's namespace, which becomes the host. `ports`: instances are bound to their ports.
    pub fn new(vlan_aware: bool, ports: bool) -> Self {
        stay_on_one_processor();
        let host = Space::here();
        run("ip", &["link", "set", "lo", "up"]);
        let mut bridge = vec!["link", "add", HOST.port, "address"];
        let mac = HOST.mac.to_string();
        bridge.extend([&*mac, "type", "bridge", "mcast_snooping", "1", "forward_delay", "0"]);
        // As docs/guard.md says: else no rule sees frames to the nearest bridge.
        bridge.extend(["group_fwd_mask", "0x4000"]);
        // Not every kernel has VLAN-aware bridges.
        bridge.extend(if vlan_aware { &["vlan_filtering", "1"][..] } else { &[] });
        run("ip", &bridge);
        for path in ["iptables", "ip6tables", "arptables"] {
            // Bridged frames are the bridge's business alone.
            let _ = fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{path}"), "0");
        }
        let mut machines = vec![Machine::new(HOST, host)];
        for who in [ATTACKER, VICTIM, NEIGHBOUR, NEWCOMER, STRANGER, ROUTER] {
            let space = Space::new();
            let (mac, path) = (who.mac.to_string(), space.path());
            run(
                "ip",
                &["link", "add", who.port, "type", "veth", "peer", "name", "eth0", "address", &mac, "netns", &path],
            );
            fs::write(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", who.port), "1").unwrap();
            run("ip", &["link", "set", who.port, "master", HOST.port, "up"]);
            machines.push(Machine::new(who, space));
        }
        let registry = Host::new();
        registry.write(&who::registry(ports));
        let lab = Self { machines, registry, markers: Cell::new(0) };
        lab.machine(HOST).await_reachable(&lab);
        lab
    }

    pub fn machine(&self, who: Who) -> &Machine {
        self.machines.iter().find(|machine| machine.who == who).unwrap()
    }

    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter()
    }

    /// Sends frames from one machine, then a marker from an honest one, and waits for it at a third; all that arrived there
    /// meanwhile.
    pub fn deliver(&self, from: Who, frames: &[Vec<u8>], to: Who, marker_from: Who) -> Vec<Vec<u8>> {
        let at = self.machine(to);
        while at.wire.receive(0).is_some() {}
        let from = &self.machine(from).wire;
        for frame in frames {
            from.send(frame);
        }
        let marker = self.marker(marker_from);
        let mut arrived = Vec::new();
        while let Some(frame) = at.wire.receive(10_000) {
            if frame.starts_with(&marker) {
                return arrived;
            }
            arrived.push(frame);
        }
        panic!("no marker came to {}", to.name);
    }

    /// Sends a marker that no policy stops, to all, since some attacks turn aside what is for one.
    fn marker(&self, from: Who) -> Vec<u8> {
        self.markers.set(self.markers.get().wrapping_add(1));
        let header = Ipv4 { identification: self.markers.get(), ..Ipv4::new(from.v4, Ipv4Addr::BROADCAST) };
        let packet = header.packet(&Udp::new(MARKER, MARKER, *b"marker").segment());
        let frame = Ethernet::new(Ethernet::BROADCAST, from.mac).frame(ether_type::IPV4, &packet);
        self.machine(from).wire.send(&frame);
        frame
    }

    /// Everything is as it was: each target knows the truth and nothing more, the bridge where everybody is.
    pub fn reset(&self, target: Who) {
        let machine = self.machine(target);
        let mut rtnl = machine.rtnl.borrow_mut();
        for entry in rtnl.neighbours(machine.index) {
            rtnl.forget(machine.index, entry.address);
        }
        for who in [NEIGHBOUR, ROUTER, HOST, VICTIM].iter().filter(|who| **who != target) {
            for address in who.addresses() {
                rtnl.learn(machine.index, address, who.mac);
            }
        }
        for (_, socket) in machine.sockets.borrow().iter() {
            while socket.recv(&mut [0; 2048]).is_ok() {}
        }
    }

    /// All honest machines say something, so that the bridge learns (again) where they are.
    pub fn announce(&self) {
        let group = Ipv4Addr::new(224, 0, 0, 1);
        for who in [VICTIM, NEIGHBOUR, ROUTER, ATTACKER] {
            let packet = Ipv4::new(who.v4, group).packet(&Udp::new(MARKER, MARKER, []).segment());
            let frame = Ethernet::new(igmp::multicast_mac(group), who.mac).frame(ether_type::IPV4, &packet);
            self.machine(who).wire.send(&frame);
        }
        self.deliver(ROUTER, &[], HOST, ROUTER);
    }
}

impl Machine {
    fn new(who: Who, space: Space) -> Self {
        let interface = if who == HOST { HOST.port } else { "eth0" };
        let (index, wire, rtnl, sockets) = space.enter(|| {
            configure(who, interface);
            let index = nix::net::if_::if_nametoindex(interface).unwrap();
            (index, Wire::open(interface), Rtnl::open(), listen())
        });
        Self { who, space, interface, index, wire, rtnl: rtnl.into(), sockets: sockets.into() }
    }

    /// Waits until frames of all other machines come here: a port is open a moment after its link is up.
    fn await_reachable(&self, lab: &Lab) {
        for machine in lab.machines().filter(|machine| machine.who != self.who) {
            let hello = Ethernet::new(Ethernet::BROADCAST, machine.who.mac).frame(ether_type::EXPERIMENT, b"hello");
            let came = |_| {
                machine.wire.send(&hello);
                while let Some(frame) = self.wire.receive(100) {
                    if frame.starts_with(&hello) {
                        return true;
                    }
                }
                false
            };
            assert!((0..100).any(came), "{} is not reachable", machine.who.name);
        }
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.space.enter(|| run(program, arguments))
    }

    /// Leaves the UDP ports to real programs for as long as `action` takes.
    pub fn without_listening<T>(&self, action: impl FnOnce() -> T) -> T {
        self.sockets.borrow_mut().clear();
        let result = action();
        *self.sockets.borrow_mut() = self.space.enter(listen);
        result
    }
}

/// In the namespace of a machine: addresses, and no defence of the kernel's own but those that every system has.
fn configure(who: Who, interface: &str) {
    let set = |path: &str, value: &str| {
        fs::write(format!("/proc/sys/net/{path}"), value).unwrap_or_else(|error| panic!("{path}: {error}"));
    };
    let of_interface = |family: &str, name: &str, value: &str| {
        set(&format!("{family}/conf/all/{name}"), value);
        set(&format!("{family}/conf/{interface}/{name}"), value);
    };
    of_interface("ipv4", "rp_filter", "0");
    // A neighbour that was learned just now may be replaced as well.
    set(&format!("ipv4/neigh/{interface}/locktime"), "-1");
    // RFC 6980 is not everybody's.
    of_interface("ipv6", "suppress_frag_ndisc", "0");
    set("ipv6/bindv6only", "1");
    // No wait of a second for each address.
    of_interface("ipv6", "accept_dad", "0");
    if who == HOST || who == ROUTER {
        of_interface("ipv6", "forwarding", "1");
        set("ipv4/ip_forward", "1");
    }
    let advertisements = if who == HOST { "2" } else { "1" };
    of_interface("ipv6", "accept_ra", if who == ROUTER { "0" } else { advertisements });
    run("ip", &["link", "set", interface, "addrgenmode", "eui64", "up"]);
    if who != NEWCOMER && who != STRANGER {
        run("ip", &["address", "add", &format!("{}/16", who.v4), "dev", interface]);
        run("ip", &["address", "add", &format!("{}/16", who.v6), "dev", interface, "nodad"]);
    }
    if who == VICTIM {
        // Metric: better than what an advertisement can give, for redirects must come from the router in use.
        run("ip", &["-6", "route", "add", "2d00:feed::/32", "via", &ROUTER.lla.to_string(), "dev", interface]);
    }
}

fn listen() -> Vec<(u16, UdpSocket)> {
    let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let places = any.into_iter().flat_map(|address| LISTENING.map(|port| (address, port)));
    let sockets: Vec<_> = places.map(|place| (place.1, once_free(|| UdpSocket::bind(place)).unwrap())).collect();
    for (_, socket) in &sockets {
        socket.set_nonblocking(true).unwrap();
    }
    sockets
}

/// The calling thread, and what it starts, stays on one processor; several labs at once on several.
fn stay_on_one_processor() {
    static LABS: AtomicUsize = AtomicUsize::new(0);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(LABS.fetch_add(1, Ordering::Relaxed) % processors).unwrap();
    // Without, frames might overtake each other now and then; where processors are numbered otherwise, so be it.
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}
