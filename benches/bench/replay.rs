//! dnsmasq restarts: it replays each of its leases, one after the other, as a run of its dhcp-script.

use crate::promise::{At, Promise};
use crate::registry::{Bench, lease};
use crate::section::{Section, median};
use crate::{Setting, progress};
use serde_json::json;
use std::error::Error;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// More take minutes, and tell nothing new.
const MOST: usize = 10_000;
/// All sizes are gone through in so many portions, alternately.
const PORTIONS: usize = 10;

pub(crate) fn run(setting: &Setting) -> Result<Section, Box<dyn Error>> {
    let sizes: Vec<_> = setting.sizes.iter().copied().filter(|size| *size <= MOST).collect();
    let title = "dnsmasq restarts: instances-update old for every lease; instances:";
    let mut section = Section::new("replay", title, sizes.iter().map(ToString::to_string).collect());
    let benches = sizes.iter().map(|size| Bench::new(&setting.folder, *size)).collect::<Result<Vec<_>, _>>()?;
    for bench in &benches {
        // The worst case: somebody has edited the registry, nobody has read it since.
        bench.touch_registry()?;
    }
    let mut calls: Vec<Vec<f64>> = vec![Vec::new(); benches.len()];
    for portion in 0..PORTIONS {
        progress(&format!("replay, portion {} of {PORTIONS}", portion + 1));
        for (bench, calls) in benches.iter().zip(&mut calls) {
            for index in (portion..bench.size).step_by(PORTIONS) {
                calls.push(old(bench, index)?.as_secs_f64() * 1e3);
            }
        }
    }
    let medians: Vec<_> = calls.iter().map(|calls| median(calls.iter().copied()).unwrap_or_default()).collect();
    section.row("a lease, median", medians.iter().map(|call| format!("{call:.2} ms")).collect());
    let wholes: Vec<f64> = calls.iter().map(|calls| calls.iter().sum()).collect();
    section.row("all leases", wholes.iter().map(|whole| format!("{:.2} s", whole / 1e3)).collect());
    for ((size, call), whole) in sizes.iter().zip(&medians).zip(&wholes) {
        section.results.push(json!({"instances": size, "lease_ms": call, "all_ms": whole}));
    }
    let each = |at: usize| {
        let whole = sizes.iter().zip(&wholes).find(|(size, _)| **size == at);
        whole.map(|(size, whole)| whole / f64::from(u32::try_from(*size).unwrap_or(u32::MAX)))
    };
    if let (Some(few), Some(many)) = (each(100), each(MOST)) {
        let what = "a lease of a restart, 10000 instances / 100";
        section.promises.push(Promise::new(what, many / few, At::Most(2.0), "x"));
    }
    Ok(section)
}

fn old(bench: &Bench, index: usize) -> Result<Duration, Box<dyn Error>> {
    let mut command = bench.update();
    command.args(lease("old", index)).stdin(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let time = start.elapsed();
    if status.success() { Ok(time) } else { Err(format!("{command:?} failed: {status}").into()) }
}
