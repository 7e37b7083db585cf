//! 10,000 bindings: how long they take to load, and how much memory; and the periodic router advertisements of as many taps.

use super::server::{self, Served};
use super::site::{Site, Way};
use crate::progress;
use crate::promise::{At, Promise};
use crate::section::{Section, median};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const BINDINGS: usize = 10_000;
/// Taps of them that are there when they are loaded.
const TAPS: usize = 64;
const ROUNDS: usize = 7;
/// How often each tap is advertised to, seconds: as by default, and 30 times as often.
const PERIODS: [u32; 2] = [300, 10];
/// How long advertisements are counted.
const WHILE: Duration = Duration::from_secs(20);

/// `peak`: MiB of such a server that has served guests.
pub(super) fn run(folder: &Path, peak: Option<f64>, section: &mut Section) -> Result<(), Box<dyn Error>> {
    load(folder, peak, section)?;
    if let Err(error) = advertise(folder, section) {
        section.skip("router advertisements", &*error);
    }
    Ok(())
}

fn load(folder: &Path, peak: Option<f64>, section: &mut Section) -> Result<(), Box<dyn Error>> {
    let folder = folder.join("load");
    fs::create_dir(&folder)?;
    let site = Site::new(TAPS, Way::Routed, false)?;
    let (mut times, mut peaks) = (Vec::new(), Vec::from_iter(peak));
    site.on_host(|| {
        let conf = server::write_bindings(&folder, Served::Bindings(BINDINGS), Way::Routed, "")?;
        for round in 0..ROUNDS {
            progress(&format!("responder, load, round {} of {ROUNDS}", round + 1));
            let server = server::ours(&conf, &folder)?;
            times.extend(server.load.map(|time| time.as_secs_f64()));
            peaks.push(server.process.peak()?);
        }
        Ok::<_, Box<dyn Error>>(())
    })??;
    let (time, peak) = (median(times).unwrap_or_default(), peaks.into_iter().fold(0.0, f64::max));
    let text = format!(
        "{BINDINGS} bindings, {TAPS} taps: ready after {:.0} ms, {peak:.1} MiB at most (VmHWM, after its load and after serving)",
        time * 1e3
    );
    section.remarks.push(text);
    section.results.push(json!({"what": "load", "bindings": BINDINGS, "ready_ms": time * 1e3, "peak_mib": peak}));
    section.promises.push(Promise::new(format!("{BINDINGS} bindings, memory"), peak, At::Most(30.0), " MiB"));
    section.promises.push(Promise::new(format!("{BINDINGS} bindings, start to ready"), time, At::Most(0.5), " s"));
    Ok(())
}

fn advertise(folder: &Path, section: &mut Section) -> Result<(), Box<dyn Error>> {
    progress(&format!("responder, {BINDINGS} taps"));
    let start = Instant::now();
    let site = Site::new(BINDINGS, Way::Routed, false)?;
    let made = start.elapsed().as_secs_f64();
    for period in PERIODS {
        progress(&format!("responder, advertisements every {period} s"));
        let folder = folder.join(format!("advertise-{period}"));
        fs::create_dir(&folder)?;
        let configuration = format!("ra_period = {period}\n");
        let server = site.on_host(|| {
            let conf = server::write_bindings(&folder, Served::Bindings(BINDINGS), Way::Routed, &configuration)?;
            server::ours(&conf, &folder)
        })??;
        let (start, cpu, frames) = (Instant::now(), server.process.cpu()?, site.behind_taps(received)??);
        std::thread::sleep(WHILE);
        let (time, cpu) = (start.elapsed().as_secs_f64(), server.process.cpu()?.saturating_sub(cpu).as_secs_f64());
        let frames = f64::from(u32::try_from(site.behind_taps(received)?? - frames)?);
        let (share, each, peak) = (cpu / time * 100.0, cpu / frames.max(1.0) * 1e6, server.process.peak()?);
        section.remarks.push(format!(
            "Router advertisements, {BINDINGS} taps (veth pairs), every {period} s: {:.0}/s, {share:.3} % of a core, \
             {each:.1} us each, {peak:.1} MiB",
            frames / time
        ));
        section.results.push(json!({
            "what": "router advertisements", "taps": BINDINGS, "period_s": period, "per_s": frames / time,
            "core_percent": share, "cpu_us": each, "peak_mib": peak, "taps_made_in_s": made,
        }));
        let what = format!("{BINDINGS} taps' router advertisements every {period} s, of a core");
        section.promises.push(Promise::new(what, share, At::Most(2.0), " %"));
    }
    Ok(())
}

/// Frames that guests have had so far.
fn received() -> Result<u64, Box<dyn Error>> {
    let devices = fs::read_to_string("/proc/thread-self/net/dev")?;
    let guests = devices.lines().filter_map(|line| line.trim_start().strip_prefix("guest")?.split_once(':'));
    let packets = guests.map(|(_, counters)| counters.split_whitespace().nth(1).unwrap_or_default().parse::<u64>());
    Ok(packets.sum::<Result<u64, _>>()?)
}
