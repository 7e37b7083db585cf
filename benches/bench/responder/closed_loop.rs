//! Guests in a closed loop, by server, way and number of bindings.

use super::client::{Client, Outcome};
use super::server::{self, Kind, Served, Server};
use super::site::{Site, Way};
use crate::progress;
use crate::promise::{At, Promise};
use crate::section::{Section, median};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
/// How long each is measured in a round.
const SLICE: Duration = Duration::from_secs(1);
/// Exchanges before that, for the caches.
const WARM_UP: u32 = 400;
/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Exchanges are not counted to that.
const MANY: u32 = u32::MAX;

/// What is measured: bindings, taps of which guests ask, and by whom they are answered.
const SETTINGS: [(usize, usize, &[Kind]); 2] =
    [(1, 1, &[Kind::Ours, Kind::Kea, Kind::Dnsmasq]), (10_000, 64, &[Kind::Ours, Kind::Kea])];

/// A server with its guests.
struct Lane {
    kind: Kind,
    way: Way,
    bindings: usize,
    site: Site,
    client: Client,
    server: Server,
    slices: Vec<Slice>,
}

/// What a round found. CPU time is in microseconds for each exchange.
#[derive(Clone, Copy)]
struct Slice {
    outcome: Outcome,
    server: f64,
    client: f64,
    machine: f64,
}

/// Measures; what the servers with most bindings had as their largest resident set, MiB, ours first.
pub(super) fn run(folder: &Path, section: &mut Section) -> Result<Option<f64>, Box<dyn Error>> {
    let mut lanes = Vec::new();
    for (bindings, taps, kinds) in SETTINGS {
        for way in [Way::Routed, Way::Bridged] {
            for kind in kinds {
                progress(&format!("responder, {}, {}, {bindings} bindings", kind.label(), way.word()));
                let folder = folder.join(format!("{}-{}-{bindings}", kind.label(), way.word()));
                match Lane::new(*kind, way, (bindings, taps), &folder) {
                    Ok(lane) => lanes.push(lane),
                    Err(error) => section.skip(&format!("{}, {}", kind.label(), way.word()), &*error),
                }
            }
        }
    }
    for round in 0..ROUNDS {
        progress(&format!("responder, closed loop, round {} of {ROUNDS}", round + 1));
        for lane in &mut lanes {
            let slice = lane.slice().map_err(|error| format!("{}, {}: {error}", lane.kind.label(), lane.way.word()))?;
            lane.slices.push(slice);
        }
    }
    for lane in &lanes {
        lane.report(section);
    }
    promise(&lanes, section);
    let most = lanes.iter().filter(|lane| lane.kind == Kind::Ours).max_by_key(|lane| lane.bindings);
    most.map(|lane| lane.server.process.peak()).transpose()
}

impl Lane {
    fn new(kind: Kind, way: Way, (bindings, taps): (usize, usize), folder: &Path) -> Result<Self, Box<dyn Error>> {
        let site = Site::new(taps, way, false)?;
        let mut client = Client::new(&site)?;
        let mut server = server::start(kind, &site, Served::Bindings(bindings), folder)?;
        let start = Instant::now();
        while client.exchange(1, PATIENCE)?.exchanges == 0 {
            server.process.failed()?;
            if start.elapsed() > PATIENCE {
                return Err("no answers".into());
            }
        }
        Ok(Self { kind, way, bindings, site, client, server, slices: Vec::new() })
    }

    fn slice(&mut self) -> Result<Slice, Box<dyn Error>> {
        let Self { site, client, server, .. } = self;
        site.on_host(|| ())?;
        client.exchange(WARM_UP, PATIENCE)?;
        let before = (server.process.cpu()?, cpu_time(ClockId::ThreadCPUTime), machine()?);
        let outcome = client.exchange(MANY, SLICE)?;
        let after = (server.process.cpu()?, cpu_time(ClockId::ThreadCPUTime), machine()?);
        let each = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(outcome.exchanges.max(1))
        };
        let (server, client) = (each(before.0, after.0), each(before.1, after.1));
        Ok(Slice { outcome, server, client, machine: each(before.2, after.2) })
    }

    fn median(&self, of: impl Fn(&Slice) -> f64) -> f64 {
        median(self.slices.iter().map(of)).unwrap_or_default()
    }

    fn lost(&self) -> u32 {
        self.slices.iter().map(|slice| slice.outcome.lost).sum()
    }

    fn report(&self, section: &mut Section) {
        let rate = self.median(|slice| f64::from(slice.outcome.exchanges) / slice.outcome.time.as_secs_f64());
        let cpu = self.median(|slice| slice.server);
        let both = self.median(|slice| slice.server + slice.client);
        let machine = self.median(|slice| slice.machine);
        let exchanges: u32 = self.slices.iter().map(|slice| slice.outcome.exchanges).sum();
        let taps = self.site.guests.len();
        section.row(
            format!("{}, {}, {}", self.way.word(), bindings(self.bindings), self.kind.label()),
            vec![
                format!("{rate:.0}"),
                format!("{cpu:.1} us"),
                format!("{both:.1} us"),
                format!("{} of {exchanges}", self.lost()),
            ],
        );
        section.results.push(json!({
            "what": "closed loop", "server": self.kind.label(), "way": self.way.word(), "bindings": self.bindings,
            "taps": taps, "exchanges_per_s": rate, "server_cpu_us": cpu, "server_and_client_cpu_us": both,
            "machine_cpu_us": machine, "exchanges": exchanges, "lost": self.lost(),
        }));
    }
}

fn promise(lanes: &[Lane], section: &mut Section) {
    let bounds = [(1, Kind::Kea, 0.25), (1, Kind::Dnsmasq, 0.5), (10_000, Kind::Kea, 1.0 / 3.0)];
    for way in [Way::Routed, Way::Bridged] {
        let find = |kind, bindings| {
            lanes.iter().find(|lane| lane.kind == kind && lane.way == way && lane.bindings == bindings)
        };
        for (bindings, other, bound) in bounds {
            let Some((ours, theirs)) = find(Kind::Ours, bindings).zip(find(other, bindings)) else { continue };
            let rounds = ours.slices.iter().zip(&theirs.slices);
            let ratio = median(rounds.map(|(ours, theirs)| ours.server / theirs.server)).unwrap_or_default();
            let number = self::bindings(bindings);
            let what = format!("CPU per exchange by that of {}, {}, {number}", other.label(), way.word());
            // A third is not to be printed with all its digits.
            let bound = (bound * 1000.0_f64).round() / 10.0;
            section.promises.push(Promise::new(what, ratio * 100.0, At::Most(bound), " %"));
        }
    }
    let ours = lanes.iter().filter(|lane| lane.kind == Kind::Ours);
    let lost: u32 = ours.map(Lane::lost).sum();
    section.promises.push(Promise::new("exchanges lost in a closed loop", lost.into(), At::Most(0.0), ""));
}

fn bindings(number: usize) -> String {
    if number == 1 { "1 binding".to_owned() } else { format!("{number} bindings") }
}

fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What all processors have done so far but wait, everybody's programs included (proc_stat(5): hundredths of a second).
fn machine() -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().ok_or("no /proc/stat")?;
    let ticks = line.split_whitespace().skip(1).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy: u64 = ticks.iter().take(3).chain(ticks.iter().skip(5).take(2)).sum();
    Ok(Duration::from_millis(10 * busy))
}
