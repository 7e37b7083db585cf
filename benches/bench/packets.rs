//! Frames through a bridge: what each costs, by guard and number of instances.
//!
//! All bridges exist at once, and each round sends a slice of every traffic through each of them, so that what else the
//! machine does meets all alike. Ratios are taken within a round; what is printed is their median.

use crate::lane::{Cost, Frames, Lane, on_core};
use crate::promise::{At, Promise};
use crate::registry::Bench;
use crate::section::{Section, median};
use crate::traffic::Traffic;
use crate::variant::Variant;
use crate::{Failure, Setting, plot, progress};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

const ROUNDS: usize = 21;
/// How long a slice takes, about.
const SLICE: Duration = Duration::from_millis(8);
/// Frames of a slice, at most and at least.
const MOST: usize = 10_000;
const LEAST: usize = 20;
/// Instances from which on taking turns is worth a look.
const TURNS_FROM: usize = 10_000;

type Key = (Traffic, Variant, usize);

/// Something that is sent again in each round.
struct Slice {
    key: Key,
    lane: usize,
    frames: usize,
    count: usize,
}

/// The costs of each round.
struct Costs(BTreeMap<Key, Vec<Cost>>);

impl Costs {
    /// The median over the rounds of what `of` makes of the costs of several things in the same round.
    fn median<const N: usize>(&self, keys: [Key; N], of: impl Fn([Cost; N]) -> f64) -> Option<f64> {
        let costs = keys.map(|key| self.0.get(&key).map(Vec::as_slice).unwrap_or_default());
        let rounds = costs.iter().map(|costs| costs.len()).min()?;
        let round = |round: usize| {
            let mut same = [Cost { cpu_ns: 0.0, wall_ns: 0.0 }; N];
            for (to, from) in same.iter_mut().zip(costs) {
                *to = *from.get(round)?;
            }
            Some(of(same))
        };
        median((0..rounds).filter_map(round))
    }

    fn cpu(&self, key: Key) -> Option<f64> {
        self.median([key], |[cost]| cost.cpu_ns)
    }

    /// CPU time of the first by that of the second.
    fn ratio(&self, key: Key, base: Key) -> Option<f64> {
        self.median([key, base], |[cost, base]| cost.cpu_ns / base.cpu_ns)
    }
}

pub(crate) fn run(setting: &Setting) -> Result<Section, Box<dyn Error>> {
    let sizes = setting.sizes.as_slice();
    let mut section = Section::new("packets", TITLE, sizes.iter().map(ToString::to_string).collect());
    let (lanes, mut slices, frames) = prepare(&setting.folder, sizes, &mut section)?;
    let costs = on_core(0, || measure_all(&lanes, &mut slices, &frames)).map_err(|error| error as Box<dyn Error>)?;
    report(&costs, sizes, &mut section);
    if let Some(folder) = &setting.plots {
        plot_packets(&costs, sizes, &folder.join("bench-packets.svg"))?;
    }
    Ok(section)
}

const TITLE: &str = "Frames through a bridge: ns of CPU for each, sender and receiver included; frames/s without a \
                     table = 100 %;\nin parentheses the CPU time of the forwarding alone; instances:";

type Prepared = (Vec<Lane>, Vec<Slice>, Vec<Frames>);

/// The bridges, what is sent, and its frames.
fn prepare(folder: &Path, sizes: &[usize], section: &mut Section) -> Result<Prepared, Box<dyn Error>> {
    let (mut lanes, mut slices, mut frames) = (vec![Lane::without_bridge()?], Vec::new(), Vec::new());
    for &size in sizes {
        let bench = Bench::new(folder, size)?;
        let first_frames = frames.len();
        frames.extend(Traffic::ALL.map(|traffic| traffic.frames(size)));
        let unguarded = [Variant::NoBridge, Variant::NoTable];
        for variant in unguarded.into_iter().chain(Variant::GUARDED).filter(|variant| size <= variant.most()) {
            progress(&format!("packets, {size} instances, {}", variant.label()));
            let lane = if variant == Variant::NoBridge {
                0
            } else {
                lanes.push(Lane::new(&["sender"])?);
                if let Err(error) = variant.put_in_force(&bench) {
                    section.skip(&format!("{} at {size}", variant.label()), &*error);
                    continue;
                }
                lanes.len() - 1
            };
            for (index, traffic) in Traffic::ALL.into_iter().enumerate() {
                if !traffic.is_in_turn() || size >= TURNS_FROM {
                    let key = (traffic, variant, size);
                    slices.push(Slice { key, lane, frames: first_frames + index, count: LEAST });
                }
            }
        }
    }
    Ok((lanes, slices, frames))
}

fn measure_all(lanes: &[Lane], slices: &mut [Slice], frames: &[Frames]) -> Result<Costs, Failure> {
    let mut costs = Costs(BTreeMap::new());
    for round in 0..=ROUNDS {
        progress(&format!("packets, round {round} of {ROUNDS}"));
        for slice in &mut *slices {
            let (lane, frames) = lanes.get(slice.lane).zip(frames.get(slice.frames)).ok_or("no such lane")?;
            let (traffic, variant, size) = slice.key;
            let send = |start, count| {
                let cost = lane.send_all(frames, start, count, traffic.passes(variant));
                cost.map_err(|error| format!("{}, {}, {size} instances: {error}", traffic.label(), variant.label()))
            };
            if round == 0 {
                // How many frames make a slice.
                send(0, LEAST)?;
                let cost = send(0, LEAST)?;
                let each = Duration::from_secs_f64(cost.wall_ns.max(1.0) / 1e9);
                let fitting = SLICE.as_nanos() / each.as_nanos().max(1);
                slice.count = usize::try_from(fitting)?.clamp(LEAST, MOST);
                if traffic.is_in_turn() {
                    // The bridge learns the sources, which is work of its own.
                    send(0, frames.len())?;
                }
                continue;
            }
            // Each lane has to get back into the caches first, except where just this is measured.
            if !traffic.is_in_turn() {
                send(0, slice.count / 8)?;
            }
            let cost = send(round * slice.count, slice.count)?;
            costs.0.entry(slice.key).or_default().push(cost);
        }
    }
    Ok(costs)
}

fn report(costs: &Costs, sizes: &[usize], section: &mut Section) {
    for traffic in Traffic::ALL {
        for variant in [Variant::NoBridge, Variant::NoTable].into_iter().chain(Variant::GUARDED) {
            let cells: Vec<_> = sizes.iter().map(|size| cell(costs, (traffic, variant, *size))).collect();
            if cells.iter().any(|cell| cell != "-") {
                section.row(format!("{}: {}", traffic.label(), variant.label()), cells);
            }
        }
    }
    for &(traffic, variant, size) in costs.0.keys() {
        let (key, base) = ((traffic, variant, size), (traffic, Variant::NoTable, size));
        section.results.push(json!({
            "traffic": traffic.label(), "variant": variant.label(), "instances": size,
            "cpu_ns": costs.cpu(key), "wall_ns": costs.median([key], |[cost]| cost.wall_ns),
            "cpu_to_no_table": costs.ratio(key, base), "forwarding_to_no_table": forwarding(costs, key),
            "arrives": traffic.passes(variant),
        }));
    }
    promise(costs, sizes, section);
}

fn cell(costs: &Costs, key: Key) -> String {
    let (traffic, _, size) = key;
    let base = (traffic, Variant::NoTable, size);
    match (costs.cpu(key), costs.ratio(base, key), forwarding(costs, key)) {
        (Some(cpu), Some(rate), Some(forwarding)) => format!("{cpu:.0} ns {:3.0} % ({forwarding:4.2}x)", rate * 100.0),
        _ => "-".to_owned(),
    }
}

/// CPU time without the sender's and the receiver's own, by that without a table.
fn forwarding(costs: &Costs, key: Key) -> Option<f64> {
    let (traffic, _, size) = key;
    let others = [Variant::NoTable, Variant::NoBridge].map(|variant| (traffic, variant, size));
    let [no_table, no_bridge] = others;
    costs.median([key, no_table, no_bridge], |[cost, no_table, no_bridge]| {
        (cost.cpu_ns - no_bridge.cpu_ns) / (no_table.cpu_ns - no_bridge.cpu_ns)
    })
}

fn promise(costs: &Costs, sizes: &[usize], section: &mut Section) {
    for variant in [Variant::Sets, Variant::SetsStrict] {
        for (size, bound) in [(10_000, 90.0), (100_000, 80.0)] {
            let rates = Traffic::HONEST.iter().filter_map(|traffic| {
                costs.ratio((*traffic, variant, 1000), (*traffic, variant, size)).map(|ratio| ratio * 100.0)
            });
            if let Some(slowest) = rates.min_by(f64::total_cmp) {
                let what = format!("{}, frames/s at {size} by those at 1000, slowest traffic", variant.label());
                section.promises.push(Promise::new(what, slowest, At::Least(bound), " %"));
            }
        }
    }
    for &size in sizes {
        let more = Traffic::HONEST.iter().filter_map(|traffic| {
            let [strict, none] = [Variant::SetsStrict, Variant::NoTable].map(|variant| (*traffic, variant, size));
            costs.ratio(strict, none).map(|ratio| (ratio - 1.0) * 100.0)
        });
        if let Some(worst) = more.max_by(f64::total_cmp) {
            let what = format!("sets strict, CPU per frame above no table, {size} instances, worst traffic");
            section.promises.push(Promise::new(what, worst, At::Most(30.0), " %"));
        }
    }
}

fn plot_packets(costs: &Costs, sizes: &[usize], path: &Path) -> std::io::Result<()> {
    let variants = [Variant::NoTable].into_iter().chain(Variant::GUARDED);
    let lines = variants.map(|variant| {
        let rate = |size: &usize| Some((*size, 1e9 / costs.cpu((Traffic::Arp, variant, *size))?));
        plot::Line { label: variant.label().to_owned(), points: sizes.iter().filter_map(rate).collect() }
    });
    let plot = plot::Plot {
        title: "ARP requests of the last instance through a bridge",
        x: "instances",
        y: "frames per second of one core",
        lines: lines.collect(),
    };
    std::fs::write(path, plot.to_string())
}
