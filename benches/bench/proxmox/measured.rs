//! What one cluster shows.

use super::companion::Companion;
use super::network::Network;
use super::simulator::{Cluster, Reply, Simulator};
use crate::dns::Dns;
use instances::net::Mac;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The API's time for an answer.
const DELAY: Duration = Duration::from_millis(5);
const CYCLE: Duration = Duration::from_secs(10);
/// The first guest's number.
const FIRST: u32 = 100;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) guests: u32,
    pub(super) nodes: u32,
    /// Of the network that all are in, and that is swept.
    pub(super) prefix: u8,
    /// Cycles without change.
    pub(super) cycles: u32,
    /// Guests that get another name, which only a poll tells.
    pub(super) polls: u32,
    /// Guests that get another address, and say so.
    pub(super) moves: u32,
    /// Whether one gets a name that cannot be one.
    pub(super) has_illegal: bool,
}

/// What it showed.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Seconds until the first name, and until all of them.
    pub(super) first: f64,
    pub(super) all: f64,
    pub(super) minute_calls: u64,
    pub(super) minute_starts: usize,
    /// Calls of each cycle without change.
    pub(super) calls: Vec<u64>,
    /// Configurations that were read again within 60 s, if so long was waited.
    pub(super) again: usize,
    /// Milliseconds of each cycle.
    pub(super) cpu: Vec<f64>,
    /// Starts and SIGHUPs of dnsmasq in these cycles.
    pub(super) disturbed: usize,
    /// Seconds from a change to DNS.
    pub(super) by_poll: Vec<f64>,
    pub(super) by_arp: Vec<f64>,
    /// Whether dnsmasq goes on, undisturbed, and all others are there.
    pub(super) outlives_illegal: Option<bool>,
    pub(super) peak: f64,
    /// Octets of the metrics.
    pub(super) metrics: usize,
}

/// Guest `number` of the simulator's: its number in Proxmox, and its address.
fn guest(number: u32) -> (u32, Ipv4Addr) {
    let vmid = FIRST + number;
    (vmid, Ipv4Addr::from(10 << 24 | vmid))
}

fn mac(vmid: u32) -> Result<Mac, Box<dyn Error>> {
    Cluster::mac(vmid).parse().map_err(|_| "no MAC address".into())
}

/// One that is being measured.
struct Lab {
    plan: Plan,
    companion: Companion,
    cluster: Simulator,
    network: Network,
    dns: Dns,
}

impl Measured {
    pub(super) fn of(plan: Plan, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let addresses = (0..plan.guests).map(guest).map(|(vmid, address)| Ok((address, mac(vmid)?)));
        let network = Network::new(plan.prefix, addresses.collect::<Result<HashMap<_, _>, Box<dyn Error>>>()?)?;
        let cluster = Cluster { delay: DELAY, ..Cluster::populated(plan.guests, plan.nodes) };
        let cluster = Simulator::with(cluster, 1);
        let companion = Companion::start(&cluster, plan.prefix, folder)?;
        let dns = Dns(([127, 0, 0, 1], 53).into());
        let mut lab = Lab { plan, companion, cluster, network, dns };
        let mut measured = Self::default();
        lab.start(&mut measured)?;
        lab.rest(&mut measured)?;
        for number in 0..plan.polls {
            // At another moment of its cycle each time.
            sleep(CYCLE / plan.polls * number);
            measured.by_poll.push(lab.rename(number, &format!("renamed-{number}"))?);
        }
        for number in 0..plan.moves {
            measured.by_arp.push(lab.readdress(number)?);
        }
        if plan.has_illegal {
            measured.outlives_illegal = Some(lab.illegal()?);
        }
        measured.metrics = Companion::scrape()?;
        measured.peak = lab.companion.process.peak()?;
        Ok(measured)
    }
}

impl Lab {
    fn has(&self, name: &str, address: Ipv4Addr) -> bool {
        self.dns.addresses(&format!("{name}.lab")) == [IpAddr::V4(address)]
    }

    fn start(&mut self, measured: &mut Measured) -> Result<(), Box<dyn Error>> {
        let Self { plan, companion, dns, cluster, .. } = self;
        let mut left: Vec<u32> = (0..plan.guests).collect();
        let (mut first, mut last) = (None, Duration::ZERO);
        let began = Instant::now().checked_sub(companion.process.age()).ok_or("no such time")?;
        companion.process.until("all names", || {
            while let Some(number) = left.last() {
                let address = IpAddr::V4(guest(*number).1);
                if dns.addresses(&format!("guest-{number}.lab")) != [address] {
                    return false;
                }
                last = began.elapsed();
                first.get_or_insert(last);
                left.pop();
            }
            true
        })?;
        (measured.first, measured.all) = (first.unwrap_or_default().as_secs_f64(), last.as_secs_f64());
        sleep(Duration::from_secs(60).saturating_sub(companion.process.age()));
        measured.minute_calls = cluster.counters().all();
        measured.minute_starts = companion.dnsmasq()?.0;
        Ok(())
    }

    /// Nothing changes.
    fn rest(&mut self, measured: &mut Measured) -> Result<(), Box<dyn Error>> {
        let Self { plan, companion, cluster, .. } = self;
        // Between two polls.
        let lists = cluster.counters().calls("resources");
        companion.process.until("a poll", || cluster.counters().calls("resources") > lists)?;
        sleep(CYCLE / 2);
        drop(cluster.paths());
        let before = companion.dnsmasq()?;
        for _ in 0..plan.cycles {
            let (calls, cpu) = (cluster.counters().all(), companion.process.cpu()?);
            sleep(CYCLE);
            measured.calls.push(cluster.counters().all() - calls);
            measured.cpu.push(companion.process.cpu()?.saturating_sub(cpu).as_secs_f64() * 1e3);
        }
        let after = companion.dnsmasq()?;
        measured.disturbed = after.0 - before.0 + after.1 - before.1;
        let path = |path: String| path.split('?').next().unwrap_or_default().to_owned();
        let configs = cluster.paths().into_iter().map(path).filter(|path| path.ends_with("/config"));
        measured.again = configs.collect::<HashSet<_>>().len();
        Ok(())
    }

    /// The time from when a guest gets another name until it has it.
    fn rename(&mut self, number: u32, name: &str) -> Result<f64, Box<dyn Error>> {
        let (vmid, address) = guest(number);
        self.cluster.cluster().rename(vmid, name);
        self.published(name, address)
    }

    /// The time from when a guest says its new address until it is published. The API tells, too, to whom asks.
    fn readdress(&mut self, number: u32) -> Result<f64, Box<dyn Error>> {
        // A container that was not renamed.
        let number = self.plan.guests / 2 / 2 * 2 + number * 2;
        let vmid = guest(number).0;
        let size = 1_u32 << (32 - self.plan.prefix);
        let address = Ipv4Addr::from(10 << 24 | (size - 512 + number % 256));
        sleep(Duration::from_millis(1700));
        let mac = mac(vmid)?;
        let told = json!([{
            "name": "eth0", "hwaddr": mac.to_string(),
            "ip-addresses": [{ "ip-address": address.to_string(), "prefix": 8, "ip-address-type": "inet" }],
        }]);
        self.cluster.cluster().guest(vmid).interfaces = Reply::ok(&told);
        self.network.moves(mac, address);
        self.published(&format!("guest-{number}"), address)
    }

    fn published(&mut self, name: &str, address: Ipv4Addr) -> Result<f64, Box<dyn Error>> {
        let begun = Instant::now();
        while !self.has(name, address) {
            self.companion.process.until(name, || true)?;
            if begun.elapsed() > CYCLE * 6 {
                return Err(format!("{name} never has {address}").into());
            }
            sleep(Duration::from_millis(2));
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Whether a name that cannot be one troubles nobody else.
    fn illegal(&mut self) -> Result<bool, Box<dyn Error>> {
        let starts = self.companion.dnsmasq()?.0;
        self.cluster.cluster().rename(guest(0).0, "-*bad name\n");
        self.rename(1, "another")?;
        let is_there = (2..self.plan.guests).all(|number| self.has(&format!("guest-{number}"), guest(number).1));
        Ok(is_there && self.companion.dnsmasq()?.0 == starts)
    }
}
