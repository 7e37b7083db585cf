//! A case: frames, from whom to whom, and what decides whether they did what they were sent for.

use crate::flows::within;
use crate::lab::{Lab, Machine};
use crate::netns::run;
use crate::who::{self, ATTACKER, HOST, NEIGHBOUR, ROUTER, VICTIM, Who};
use instances::net::Mac;
use std::fs;
use std::time::Duration;

pub struct Case {
    /// What happens, in words.
    pub name: &'static str,
    /// Who says that this exists, or must work: RFC, CVE, issue, product.
    pub reference: &'static str,
    pub from: Who,
    /// Each of them is tried.
    pub to: &'static [Who],
    /// The frames, given to whom.
    pub frames: fn(&Who) -> Vec<Vec<u8>>,
    pub judge: Judge,
    /// Whether this kernel believes none of it anyway, others might: then arriving is enough.
    pub ignored_by_linux: bool,
}

/// What the kernel of the target is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Whether its neighbour table says something false.
    Neighbours,
    /// Whether a datagram came to its socket on this UDP port.
    Socket(u16),
    /// Whether the frame, or all fragments of it, arrive at its interface.
    Arrival,
    /// Whether the bridge has learned this MAC on the sender's port.
    Learned(Mac),
    /// Whether the bridge takes the sender's port for one with a multicast router.
    MulticastRouter,
    /// Whether it has a route from a router advertisement.
    AdvertisedRoute,
    /// Whether it has an address in [`EVIL_PREFIX`].
    AdvertisedAddress,
    /// Whether packets to [`FAR_AWAY`] go by the attacker.
    Redirect,
    /// Whether this file under /proc/sys/net/ipv6 says this.
    Sysctl(&'static str, &'static str),
}

/// What does not get through is tried again: an honest machine's kernel may have said something of its own accord in between,
/// and the truth was learned again.
pub const TRIES: usize = 3;

/// A prefix by which advertisements of the attacker can be told.
pub const EVIL_PREFIX: &str = "2d00:bad:0:1::";
/// Behind the router.
pub const FAR_AWAY: &str = "2d00:feed::1";

impl Case {
    /// An attack on the victim and on the host.
    pub const fn attack(
        name: &'static str,
        reference: &'static str,
        judge: Judge,
        frames: fn(&Who) -> Vec<Vec<u8>>,
    ) -> Self {
        Self { name, reference, from: ATTACKER, to: &[VICTIM, HOST], frames, judge, ignored_by_linux: false }
    }

    /// An attack which Linux withstands.
    pub const fn ignored(name: &'static str, reference: &'static str, frames: fn(&Who) -> Vec<Vec<u8>>) -> Self {
        Self { ignored_by_linux: true, ..Self::attack(name, reference, Judge::Arrival, frames) }
    }

    /// The same, to others.
    pub const fn to(self, to: &'static [Who]) -> Self {
        Self { to, ..self }
    }

    /// The same, from somebody else.
    pub const fn from(self, from: Who) -> Self {
        Self { from, ..self }
    }

    /// Runs it; says to whom of its targets it got through in so many tries.
    pub fn run(&self, lab: &Lab, tries: usize) -> Vec<Who> {
        self.to.iter().copied().filter(|to| (0..tries).any(|_| self.reaches(lab, *to))).collect()
    }

    fn reaches(&self, lab: &Lab, to: Who) -> bool {
        lab.reset(to);
        self.judge.prepare(lab, lab.machine(to), self.from);
        let frames = (self.frames)(&to);
        // Not from whom was robbed: the bridge would learn where it is.
        let robbed_router = self.judge == Judge::Learned(ROUTER.mac);
        let marker = if to == ROUTER || robbed_router { NEIGHBOUR } else { ROUTER };
        let arrived = lab.deliver(self.from, &frames, to, marker);
        let machine = lab.machine(to);
        let reached = match self.judge {
            Judge::Arrival => frames.iter().all(|frame| has_arrived(frame, &arrived)),
            Judge::Neighbours => lies(machine).is_some(),
            Judge::Socket(port) => {
                let sockets = machine.sockets.borrow();
                sockets.iter().any(|(at, socket)| *at == port && socket.recv(&mut [0; 2048]).is_ok())
            }
            Judge::Learned(mac) => {
                let host = lab.machine(HOST);
                let port = host.space.enter(|| nix::net::if_::if_nametoindex(self.from.port).unwrap());
                host.rtnl.borrow_mut().ports_of(mac).contains(&port)
            }
            Judge::MulticastRouter => run("bridge", &["-d", "mdb", "show"])
                .lines()
                .any(|line| line.starts_with("router ports") && line.contains(self.from.port)),
            Judge::AdvertisedRoute => machine.rtnl.borrow_mut().has_advertised_route(),
            Judge::AdvertisedAddress => machine.run("ip", &["-6", "address", "show"]).contains("2d00:bad:0:1:"),
            Judge::Redirect => {
                machine.run("ip", &["-6", "route", "get", FAR_AWAY]).contains(&format!("via {} ", ATTACKER.lla))
            }
            Judge::Sysctl(name, value) => machine.sysctl(name) == value,
        };
        self.judge.clean_up(lab, machine, self.from);
        reached
    }
}

impl Judge {
    /// Before it starts, nothing of it may be there already.
    fn prepare(self, lab: &Lab, machine: &Machine, from: Who) {
        match self {
            Self::Learned(_) => lab.announce(),
            Self::MulticastRouter => {
                // Off, then as it was: if a query comes. Not by switching snooping off and on, for then a timer runs for a
                // moment, and the bridge takes only queries from lower addresses than its own.
                for router in ["0", "1"] {
                    run("bridge", &["link", "set", "dev", from.port, "mcast_router", router]);
                }
            }
            // What an attack on somebody else may have done here as well.
            _ => self.clean_up(lab, machine, from),
        }
    }

    fn clean_up(self, lab: &Lab, machine: &Machine, from: Who) {
        let ip = |arguments: &[&str]| drop(machine.run("ip", &[&["-6"], arguments].concat()));
        match self {
            Self::Learned(_) | Self::MulticastRouter => self.prepare(lab, machine, from),
            Self::AdvertisedRoute | Self::AdvertisedAddress => {
                ip(&["route", "flush", "proto", "ra"]);
                // Linux leaves an address's group when the address goes, even if it has not yet joined; other addresses
                // share that group, and would not be found any more.
                let joined = || !machine.run("ip", &["-6", "address", "show", "dynamic"]).contains("tentative");
                within(Duration::from_secs(5), || joined().then_some(())).expect("detection of duplicates ends");
                ip(&["address", "flush", "dynamic"]);
            }
            Self::Redirect => ip(&["route", "flush", "cache"]),
            Self::Sysctl(name, _) => machine.set_sysctl(name),
            _ => {}
        }
    }
}

/// What the target's neighbour table says that is false: an address that is not at this MAC.
pub fn lies(machine: &Machine) -> Option<String> {
    let neighbours = machine.rtnl.borrow_mut().neighbours(machine.index);
    neighbours.into_iter().find_map(|entry| {
        let mac = entry.mac?;
        (!who::is_true(entry.address, mac)).then(|| format!("{} is at {mac}", entry.address))
    })
}

/// Whether a frame is among those that came. The receiver's kernel takes the outermost tag off.
pub fn has_arrived(frame: &[u8], arrived: &[Vec<u8>]) -> bool {
    let untagged = [&frame[..12], &frame[16..]].concat();
    let tagged = matches!(frame[12..14], [0x81, 0] | [0x88, 0xa8]);
    arrived.iter().any(|came| came.starts_with(frame) || tagged && came.starts_with(&untagged))
}

impl Machine {
    fn sysctl_path(&self, name: &str) -> String {
        format!("/proc/sys/net/ipv6/conf/{}/{name}", self.interface)
    }

    fn sysctl(&self, name: &str) -> String {
        let path = self.sysctl_path(name);
        self.space.enter(|| fs::read_to_string(path).unwrap()).trim().to_owned()
    }

    /// Back to the default.
    fn set_sysctl(&self, name: &str) {
        let default = match name {
            "mtu" => "1500",
            "hop_limit" => "64",
            _ => panic!("{name}"),
        };
        let path = self.sysctl_path(name);
        self.space.enter(|| fs::write(path, default).unwrap());
    }
}

/// Those that are asked for leases.
pub const DHCP_SERVERS: &[Who] = &[HOST, ROUTER];
