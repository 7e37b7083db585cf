//! A guest floods the bridge with spoofed frames: what is left for an honest one on the other core, and how much the
//! kernel remembers of the offenders.

use crate::frames::{arp_request, udp4};
use crate::lane::{Cost, Frames, Lane, on_core};
use crate::promise::{At, Promise};
use crate::registry::{Bench, ipv4, mac};
use crate::section::{Section, median};
use crate::variant::Variant;
use crate::{Failure, Setting, progress};
use instances::net::Mac;
use serde_json::{Value, json};
use std::error::Error;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
/// At how many instances, if there are so many.
const SIZE: usize = 10_000;
/// Source addresses of the flood: half of them of instances, half of nobody.
const SOURCES: usize = 64;
/// Honest frames of a slice.
const HONEST: usize = 40_000;
/// Frames that the flood sends between two looks at the clock.
const BURST: usize = 500;
/// How long a flood takes to begin, at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a slice found.
struct Slice {
    calm: Cost,
    flooded: Cost,
    /// Spoofed frames per second.
    flood: f64,
}

pub(crate) fn run(setting: &Setting) -> Result<Section, Box<dyn Error>> {
    let size = setting.sizes.iter().copied().filter(|size| *size <= SIZE).max().ok_or("no size for a flood")?;
    let title = format!("A flood from {SOURCES} addresses that claim each of {size} addresses, on the other core");
    let columns = ["spoofed", "honest without", "honest with it", "rate", "rate by CPU time", "offenders in a set"];
    let mut section = Section::new("flood", title, columns.map(str::to_owned).to_vec());
    let bench = Bench::new(&setting.folder, size)?;
    let (honest, spoofed) = (Frames::new([udp4(mac(size - 1), ipv4(size - 1))]), spoofed(size));
    let mut lanes = Vec::new();
    for variant in [Variant::NoTable, Variant::Sets, Variant::SetsStrict] {
        let lane = Lane::new(&["honest", "attacker"])?;
        match variant.put_in_force(&bench) {
            Ok(()) => lanes.push((variant, lane, Vec::new(), 0)),
            Err(error) => section.skip(variant.label(), &*error),
        }
    }
    if std::thread::available_parallelism()?.get() < 2 {
        section.remarks.push("SKIPPED: a flood needs a core of its own".to_owned());
        return Ok(section);
    }
    for round in 0..ROUNDS {
        progress(&format!("flood, round {} of {ROUNDS}", round + 1));
        for (_, lane, slices, position) in &mut lanes {
            slices.push(slice(lane, &honest, &spoofed, position).map_err(|error| error as Box<dyn Error>)?);
        }
    }
    for (variant, lane, slices, _) in &lanes {
        report(&mut section, *variant, slices, lane)?;
    }
    Ok(section)
}

/// A source that no instance has.
fn nobody(number: usize) -> Mac {
    let [.., high, low] = number.to_be_bytes();
    Mac([0x02, 0, 0, 1, high, low])
}

fn spoofed(size: usize) -> Frames {
    let source = |number: usize| if number < SOURCES / 2 { mac(number) } else { nobody(number) };
    let claims = (0..size).flat_map(|claimed| (0..SOURCES).map(move |number| (claimed, number)));
    let lies = claims.filter(|(claimed, number)| claimed != number);
    Frames::new(lies.map(|(claimed, number)| match (claimed + number) % 2 {
        0 => arp_request(source(number), ipv4(claimed)),
        _ => udp4(source(number), ipv4(claimed)),
    }))
}

/// The honest guest alone, and during the flood.
fn slice(lane: &Lane, honest: &Frames, spoofed: &Frames, position: &mut usize) -> Result<Slice, Failure> {
    let send = || on_core(0, || lane.send(0, honest, 0, HONEST));
    send()?;
    let calm = send()?;
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let start = Instant::now();
    let (flooded, time) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            on_core(1, || -> std::io::Result<()> {
                while !stop.load(Ordering::Relaxed) {
                    lane.send(1, spoofed, *position + sent.fetch_add(BURST, Ordering::Relaxed), BURST)?;
                }
                Ok(())
            })
        });
        while sent.load(Ordering::Relaxed) < 2 * BURST && start.elapsed() < PATIENCE && !flood.is_finished() {
            std::thread::yield_now();
        }
        let flooded = send();
        let time = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        let flood = flood.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        flood.and(flooded).map(|flooded| (flooded, time))
    })?;
    let sent = sent.into_inner();
    *position += sent;
    let flood = f64::from(u32::try_from(sent)?) / time.as_secs_f64();
    Ok(Slice { calm, flooded, flood })
}

fn report(section: &mut Section, variant: Variant, slices: &[Slice], lane: &Lane) -> Result<(), Box<dyn Error>> {
    let middle = |of: &dyn Fn(&Slice) -> f64| median(slices.iter().map(of)).unwrap_or_default();
    let rate = middle(&|slice| slice.calm.wall_ns / slice.flooded.wall_ns * 100.0);
    // Other programs on the machine cost the former, but not this.
    let core_rate = middle(&|slice| slice.calm.cpu_ns / slice.flooded.cpu_ns * 100.0);
    let (calm, flooded) = (middle(&|slice| 1e9 / slice.calm.wall_ns), middle(&|slice| 1e9 / slice.flooded.wall_ns));
    let flood = middle(&|slice| slice.flood);
    let held = lane.inside(offenders)??;
    let largest = held.iter().max_by_key(|held| held.elements);
    let cells = [
        format!("{flood:.0}/s"),
        format!("{calm:.0}/s"),
        format!("{flooded:.0}/s"),
        format!("{rate:.0} %"),
        format!("{core_rate:.0} %"),
        largest.map_or_else(|| "-".to_owned(), |held| format!("{} of {}", held.elements, held.size)),
    ];
    section.row(variant.label(), cells.to_vec());
    section.results.push(json!({
        "variant": variant.label(), "spoofed_per_s": flood, "honest_calm_per_s": calm, "honest_flooded_per_s": flooded,
        "rate": rate / 100.0, "rate_by_cpu_time": core_rate / 100.0,
        "offenders": held.iter().map(|held| json!({"set": held.set, "held": held.elements, "size": held.size}))
            .collect::<Vec<_>>(),
    }));
    if variant == Variant::SetsStrict {
        let what = "an honest guest's frames per CPU second under a flood, of those without";
        section.promises.push(Promise::new(what, core_rate, At::Least(90.0), " %"));
        let over = held.iter().filter(|held| held.elements as u64 > held.size).count();
        let over = f64::from(u32::try_from(over)?);
        section.promises.push(Promise::new("sets of offenders beyond their size", over, At::Most(0.0), ""));
    }
    Ok(())
}

/// A set that packets fill.
struct Held {
    set: String,
    elements: usize,
    size: u64,
}

/// All of them in this namespace.
fn offenders() -> Result<Vec<Held>, Box<dyn Error>> {
    let list = |arguments: &[&str]| -> Result<Value, Box<dyn Error>> {
        let output = Command::new("nft").arg("-j").args(arguments).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let mut held = Vec::new();
    for set in objects(&list(&["-t", "list", "sets"])?) {
        // nft 1.0.6 does not say `dynamic` in JSON; of our sets only these have a timeout.
        let dynamic = set["timeout"].is_number();
        if let ([Some(family), Some(table), Some(name)], true) =
            (["family", "table", "name"].map(|key| set[key].as_str()), dynamic)
        {
            let whole = list(&["list", "set", family, table, name])?;
            let elements = objects(&whole).next().and_then(|set| Some(set["elem"].as_array()?.len()));
            let size = set["size"].as_u64().unwrap_or_default();
            held.push(Held { set: name.to_owned(), elements: elements.unwrap_or_default(), size });
        }
    }
    Ok(held)
}

fn objects(listing: &Value) -> impl Iterator<Item = &Value> {
    listing["nftables"].as_array().into_iter().flatten().filter_map(|object| object.get("set"))
}
