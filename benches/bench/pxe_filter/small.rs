//! 10,000 ports: all filters, with no dnsmasq behind them.

use super::contender::{Contender, Kind, PERIOD, introspect};
use super::ironic::Simulator;
use crate::progress;
use crate::promise::{At, Promise};
use crate::section::{Section, median};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const PORTS: usize = 10_000;
/// How often each is started; ironic-inspector's takes minutes each time.
const ROUNDS: usize = 3;
/// Periods without change that are measured.
const PERIODS: u32 = 10;
/// How often ten nodes change, for each start.
const CHANGES: usize = 4;

/// What one start showed.
#[derive(Default)]
struct Measured {
    first_sync: Vec<f64>,
    /// Milliseconds for each period.
    cpu: Vec<f64>,
    changes: Vec<f64>,
    peak: f64,
}

pub(super) fn run(folder: &Path, section: &mut Section) -> Result<(), Box<dyn Error>> {
    let all = [Kind::Ours, Kind::Reference, Kind::Inspector];
    let mut measured = all.map(|kind| (kind, Some(Measured::default())));
    for round in 0..ROUNDS {
        for (kind, measured) in &mut measured {
            if round > 0 && *kind == Kind::Inspector {
                continue;
            }
            progress(&format!("pxe-filter, {}, round {} of {ROUNDS}", kind.label(), round + 1));
            let folder = folder.join(format!("{kind:?}-{round}"));
            fs::create_dir(&folder)?;
            if let Some(seen) = measured
                && let Err(error) = measure(*kind, &folder, seen)
            {
                section.skip(kind.label(), &*error);
                *measured = None;
            }
        }
    }
    for (kind, measured) in measured {
        if let Some(measured) = measured {
            tell(kind, &measured, section);
        }
    }
    Ok(())
}

fn measure(kind: Kind, folder: &Path, seen: &mut Measured) -> Result<(), Box<dyn Error>> {
    let ironic = Simulator::start();
    let nodes = ironic.state().populate(PORTS, 1);
    let mut filter = Contender::start(kind, &ironic, folder, "")?;
    seen.first_sync.push(filter.first_sync(PORTS)?.as_secs_f64());

    // What comes after the start is none of the measurement.
    let period = Duration::from_secs(PERIOD.into());
    std::thread::sleep(period);
    let (start, before) = (Instant::now(), filter.process.cpu()?);
    std::thread::sleep(period * PERIODS);
    let (time, cpu) = (start.elapsed(), filter.process.cpu()?.saturating_sub(before));
    seen.cpu.push(cpu.as_secs_f64() / time.as_secs_f64() * f64::from(PERIOD) * 1e3);

    let changes = if kind == Kind::Inspector { 1 } else { CHANGES };
    for (change, ten) in nodes.chunks(10).take(changes).enumerate() {
        // At another moment of its period each time.
        std::thread::sleep(period + period * u32::try_from(change)? / u32::try_from(CHANGES)?);
        seen.changes.push(change_ten(&ironic, &mut filter, folder, kind, ten)?.as_secs_f64());
    }
    seen.peak = seen.peak.max(filter.process.peak()?);
    Ok(())
}

/// The time from when ten nodes enter inspection until the last of them may boot.
fn change_ten(
    ironic: &Simulator,
    filter: &mut Contender,
    folder: &Path,
    kind: Kind,
    ten: &[Uuid],
) -> Result<Duration, Box<dyn Error>> {
    let macs = {
        let state = ironic.state();
        let ports = ten.iter().flat_map(|node| state.ports_of(*node)).filter_map(|port| state.ports.get(port));
        ports.map(|port| port.address.clone()).collect::<Vec<_>>()
    };
    if kind == Kind::Inspector {
        introspect(folder, &macs)?;
    } else {
        let mut state = ironic.state();
        for node in ten {
            state.set_state(*node, "inspect wait");
        }
    }
    let start = Instant::now();
    filter.until_all(&macs, true)?;
    Ok(start.elapsed())
}

fn tell(kind: Kind, measured: &Measured, section: &mut Section) {
    let middle = |values: &Vec<f64>| median(values.iter().copied()).unwrap_or_default();
    let (first_sync, cpu, changes) = (middle(&measured.first_sync), middle(&measured.cpu), middle(&measured.changes));
    let slowest = measured.changes.iter().copied().fold(0.0, f64::max);
    let cells = [
        format!("{first_sync:.2} s"),
        format!("{cpu:.1} ms"),
        format!("{changes:.2} s"),
        format!("{slowest:.2} s"),
        format!("{:.1} MiB", measured.peak),
    ];
    section.row(format!("{}, {PORTS} ports", kind.label()), cells.to_vec());
    section.results.push(json!({
        "filter": kind.label(), "ports": PORTS, "first_sync_s": first_sync, "cpu_per_period_ms": cpu,
        "ten_changes_s": changes, "ten_changes_slowest_s": slowest, "peak_mib": measured.peak,
        "starts": measured.first_sync.len(),
    }));
    if kind == Kind::Ours {
        section.promises.extend([
            Promise::new(format!("{PORTS} ports, first sync"), first_sync, At::Most(1.5), " s"),
            Promise::new(format!("{PORTS} ports, CPU per period without change"), cpu, At::Most(30.0), " ms"),
            Promise::new(format!("{PORTS} ports, ten changes, the slowest"), slowest, At::Most(2.5), " s"),
            Promise::new(format!("{PORTS} ports, memory"), measured.peak, At::Most(25.0), " MiB"),
        ]);
    }
}
