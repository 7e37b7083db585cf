//! perfdhcp, which plays a relay behind which are 2,000 clients, at a pace of its own: 8,000 exchanges begin each second,
//! whatever becomes of those before.
//!
//! Both sides run in the real-time class: otherwise, on a busy machine, perfdhcp loses what its own socket has no room for
//! while others have its core, whoever answers. So the packets that were not answered at all are counted, too.

use super::server::{self, Kind, Served, Server};
use super::site::{RELAY, SERVER, Site, Way};
use crate::lane::ip;
use crate::progress;
use crate::promise::{At, Promise};
use crate::section::{Section, median};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PERFDHCP: &str = "perfdhcp";
const ROUNDS: usize = 5;
/// Exchanges a second.
const RATE: u32 = 8000;
/// How long they begin.
const PERIOD: u32 = 3;
/// How long latecomers are waited for, microseconds.
const LATECOMERS: &str = "1000000";
/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with the relay.
struct Lane {
    kind: Kind,
    site: Site,
    server: Server,
    runs: Vec<Run>,
}

/// What one run of perfdhcp says.
struct Run {
    begun: u32,
    ended: u32,
    /// Hundredths of its packets to which no answer came to its host, be it read there or not.
    unanswered: f64,
    /// Microseconds of the server's CPU time for each exchange that ended.
    cpu: f64,
}

impl Run {
    fn lost(&self) -> f64 {
        100.0 * f64::from(self.begun.saturating_sub(self.ended)) / f64::from(self.begun.max(1))
    }
}

pub(super) fn run(folder: &Path, section: &mut Section) -> Result<(), Box<dyn Error>> {
    if let Err(error) = Command::new(PERFDHCP).arg("-v").output() {
        section.skip(PERFDHCP, &error);
        return Ok(());
    }
    let mut lanes = Vec::new();
    for kind in [Kind::Ours, Kind::Kea, Kind::Dnsmasq] {
        progress(&format!("responder, {PERFDHCP}, {}", kind.label()));
        match Lane::new(kind, &folder.join(format!("{}-relay", kind.label()))) {
            Ok(lane) => lanes.push(lane),
            Err(error) => section.skip(&format!("{PERFDHCP}, {}", kind.label()), &*error),
        }
    }
    for round in 0..ROUNDS {
        progress(&format!("responder, {PERFDHCP}, round {} of {ROUNDS}", round + 1));
        for lane in &mut lanes {
            let before = lane.server.process.cpu()?;
            let options = ["-r", &RATE.to_string(), "-R", "2000", "-p", &PERIOD.to_string()];
            let mut run = lane.site.behind_taps(|| perfdhcp(&options))??;
            run.cpu =
                lane.server.process.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(run.ended.max(1));
            lane.runs.push(run);
        }
    }
    for Lane { kind, runs, .. } in &lanes {
        let middle = |of: &dyn Fn(&Run) -> f64| median(runs.iter().map(of)).unwrap_or_default();
        let (cpu, lost, unanswered) = (middle(&|run| run.cpu), middle(&Run::lost), middle(&|run| run.unanswered));
        let rate = middle(&|run| f64::from(run.ended) / f64::from(PERIOD));
        let cells = [
            format!("{rate:.0}"),
            format!("{cpu:.1} us"),
            "-".into(),
            format!("{lost:.2} %; packets unanswered: {unanswered:.2} %"),
        ];
        section.row(format!("{PERFDHCP} at {RATE}/s, {}", kind.label()), cells.to_vec());
        section.results.push(json!({
            "what": PERFDHCP, "server": kind.label(), "rate": RATE, "exchanges_per_s": rate, "server_cpu_us": cpu,
            "lost_percent": lost, "unanswered_percent": unanswered,
        }));
        if *kind == Kind::Ours {
            let what = format!("{PERFDHCP} at {RATE}/s, exchanges lost");
            section.promises.push(Promise::new(what, lost, At::Most(1.0), " %"));
            let what = format!("{PERFDHCP} at {RATE}/s, packets unanswered");
            section.promises.push(Promise::new(what, unanswered, At::Most(1.0), " %"));
        }
    }
    Ok(())
}

impl Lane {
    fn new(kind: Kind, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let site = Site::new(1, Way::Routed, false)?;
        site.behind_taps(|| ip(&format!("addr add {RELAY}/8 dev guest0\n")))??;
        let mut server = server::start(kind, &site, Served::Anybody, folder)?;
        let start = Instant::now();
        while site.behind_taps(|| perfdhcp(&["-r", "100", "-R", "10", "-p", "1"]))??.ended == 0 {
            server.process.failed()?;
            if start.elapsed() > PATIENCE {
                return Err("no answers".into());
            }
        }
        put_before_others(server.process.id());
        Ok(Self { kind, site, server, runs: Vec::new() })
    }
}

/// Where that is not allowed, more is lost.
fn put_before_others(process: u32) {
    let _ = Command::new("chrt").args(["--all-tasks", "--rr", "--pid", "10", &process.to_string()]).output();
}

/// Runs it in the guests' namespace.
fn perfdhcp(options: &[&str]) -> Result<Run, Box<dyn Error>> {
    let mut command = Command::new(PERFDHCP);
    command.args(["-4", "-l", "guest0", "-W", LATECOMERS, "-g", "multi"]).args(options).arg(SERVER.to_string());
    let (sent_before, came_before) = datagrams()?;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    put_before_others(child.id());
    let output = child.wait_with_output()?;
    let (sent_after, came_after) = datagrams()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Of each of the two halves of an exchange. It fails when something is lost, but says what.
    let numbers = |what: &str| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(what)?.trim().parse::<u32>().ok());
        lines.collect::<Vec<_>>()
    };
    let (sent, received) = (numbers("sent packets:"), numbers("received packets:"));
    let (Some(begun), Some(ended)) = (sent.first(), received.get(1)) else {
        return Err(format!("{PERFDHCP}: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let (sent, came) = (sent_after - sent_before, came_after - came_before);
    let unanswered = 100.0 * (sent - came).max(0.0) / sent.max(1.0);
    Ok(Run { begun: *begun, ended: *ended, unanswered, cpu: 0.0 })
}

/// UDP datagrams that this namespace has sent so far, and those that came to it: also those for which perfdhcp's buffer
/// had no room, or that came when it had ended.
fn datagrams() -> Result<(f64, f64), Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = lines.next().zip(lines.next()).ok_or("no counters of UDP")?;
    let fields = || names.split(' ').zip(values.split(' '));
    let number = |name| {
        fields()
            .find(|(field, _)| *field == name)
            .ok_or("no such counter of UDP")?
            .1
            .parse::<f64>()
            .map_err(|_| "no number")
    };
    Ok((number("OutDatagrams")?, number("InDatagrams")? + number("NoPorts")? + number("RcvbufErrors")?))
}
