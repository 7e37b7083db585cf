//! A host with taps, and the guests behind them, in two network namespaces.
//!
//! A tap is one end of a veth pair; the other one is the guest's. Its interface has neither the guest's address nor its MAC:
//! what arrives there is seen by the client's packet socket and costs next to nothing besides, as a frame that a tap hands
//! to QEMU.

use crate::lane::{enter_new_namespace, ip};
use crate::registry::{ipv4, mac};
use instances::net::Mac;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use std::error::Error;
use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

/// Who answers, in 10.0.0.0/8, where the guests are.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 254);
/// Where perfdhcp sends from.
pub(super) const RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// The namespace that this thread is in.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// How a host connects its taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Routed,
    Bridged,
}

impl Way {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Bridged => "bridged",
        }
    }
}

/// A guest: who it is, and by which interface it sends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub(super) interface: u32,
    pub(super) mac: Mac,
    pub(super) address: Ipv4Addr,
}

/// Both namespaces.
pub(super) struct Site {
    pub(super) way: Way,
    /// Interfaces that a server serves: the taps, or their bridge.
    pub(super) interfaces: Vec<String>,
    pub(super) guests: Vec<Guest>,
    host: File,
    behind: File,
}

/// The address of a guest.
pub(super) fn address(index: usize) -> Ipv4Addr {
    // Not from the first on: perfdhcp is there.
    ipv4(index + 0x1_0000)
}

/// What a tap is called.
pub(super) fn tap(index: usize) -> String {
    format!("tap{index}")
}

impl Site {
    /// So many taps, with IPv6 or without. The thread stays in the host's namespace.
    pub(super) fn new(taps: usize, way: Way, ipv6: bool) -> Result<Self, Box<dyn Error>> {
        enter_new_namespace()?;
        let behind = File::open(NAMESPACE)?;
        without_ipv6()?;
        enter_new_namespace()?;
        let host = File::open(NAMESPACE)?;
        if !ipv6 {
            without_ipv6()?;
        }
        let guests = format!("/proc/{}/fd/{}", std::process::id(), behind.as_raw_fd());
        let mut batch = "link set lo up\n".to_owned();
        let interfaces = match way {
            Way::Routed => (0..taps).map(tap).collect::<Vec<_>>(),
            Way::Bridged => {
                writeln!(batch, "link add br0 type bridge mcast_snooping 0\nlink set br0 up")?;
                vec!["br0".to_owned()]
            }
        };
        for index in 0..taps {
            writeln!(batch, "link add tap{index} type veth peer name guest{index} netns {guests}")?;
            if way == Way::Bridged {
                // Guests do not hear each other's questions, as is usual where they belong to different people.
                writeln!(batch, "link set tap{index} master br0\nlink set tap{index} type bridge_slave isolated on")?;
            }
            writeln!(batch, "link set tap{index} up")?;
        }
        // Others than we need an address where they listen, Kea one for each interface.
        let length = if interfaces.len() == 1 { 8 } else { 32 };
        for (interface, number) in interfaces.iter().zip(0..) {
            writeln!(batch, "addr add {}/{length} dev {interface}", Ipv4Addr::from_bits(SERVER.to_bits() - number))?;
        }
        ip(&batch)?;
        let mut site = Self { way, interfaces, guests: Vec::new(), host, behind };
        site.guests = site.behind_taps(|| guests_up(taps))??;
        Ok(site)
    }

    /// Runs `work` in the guests' namespace.
    pub(super) fn behind_taps<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        setns(&self.behind, CloneFlags::CLONE_NEWNET)?;
        let done = work();
        setns(&self.host, CloneFlags::CLONE_NEWNET)?;
        Ok(done)
    }

    /// Runs `work` in the host's namespace, in which the thread stays.
    pub(super) fn on_host<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        setns(&self.host, CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    }
}

fn guests_up(taps: usize) -> Result<Vec<Guest>, Box<dyn Error>> {
    let mut batch = String::new();
    for index in 0..taps {
        writeln!(batch, "link set guest{index} up")?;
    }
    ip(&batch)?;
    let guest = |index: usize| {
        let interface = if_nametoindex(format!("guest{index}").as_str())?;
        Ok(Guest { interface, mac: mac(index), address: address(index) })
    };
    (0..taps).map(guest).collect()
}

fn without_ipv6() -> io::Result<()> {
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
}
