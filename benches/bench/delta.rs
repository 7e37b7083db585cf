//! One instance of many has a new address: what the kernel's transaction takes, what `--apply` takes as a whole, and what
//! `nft add element` takes for a single element.

use crate::lane::{enter_new_namespace, on_core};
use crate::measure::measure;
use crate::promise::{At, Promise};
use crate::registry::Bench;
use crate::section::{Section, median};
use crate::variant::Variant;
use crate::{Failure, Setting, progress};
use clap::Parser;
use instances::cli::process::Arguments;
use instances::plan::ruleset::Ruleset;
use instances::plan::{diff, policy};
use instances::registry::store;
use instances::sink::nft_netlink::batch;
use instances::sink::nft_netlink::socket::Socket;
use serde_json::json;
use std::error::Error;
use std::iter;
use std::process::Command;
use std::time::Instant;

const ROUNDS: usize = 9;
/// How often whole programs are run, which read what the kernel holds.
const PROGRAMS: usize = 3;
/// Instances from which on it is worth a look.
const FROM: usize = 10_000;
const VARIANTS: [Variant; 2] = [Variant::Sets, Variant::SetsStrict];

/// Milliseconds of each round.
#[derive(Default)]
struct Times {
    transaction: Vec<f64>,
    /// Until the socket is closed: the kernel first frees what was removed, after an RCU grace period.
    close: Vec<f64>,
    /// Size of the last transaction.
    bytes: usize,
    apply: Vec<f64>,
    nft: Vec<f64>,
}

pub(crate) fn run(setting: &Setting) -> Result<Section, Box<dyn Error>> {
    let columns = ["transaction", "fastest", "bytes", "close(2) after it", "--apply, whole", "nft add element"]
        .map(str::to_owned);
    let mut section = Section::new("delta", "One instance of many has changed", columns.to_vec());
    for size in setting.sizes.iter().copied().filter(|size| *size >= FROM) {
        for variant in VARIANTS {
            let folder = setting.folder.join(variant.label());
            std::fs::create_dir_all(&folder)?;
            let times = match measure_all(&Bench::new(&folder, size)?, variant) {
                Ok(times) => times,
                Err(error) => {
                    section.skip(&format!("{} at {size}", variant.label()), &*error);
                    continue;
                }
            };
            let bytes = times.bytes;
            let fastest = times.transaction.iter().copied().fold(f64::INFINITY, f64::min);
            let middles =
                [times.transaction, times.close, times.apply, times.nft].map(|times| median(times).unwrap_or_default());
            let [transaction, close, apply, nft] = middles;
            let cells = [
                format!("{transaction:.3} ms"),
                format!("{fastest:.3} ms"),
                bytes.to_string(),
                format!("{close:.1} ms"),
                format!("{apply:.0} ms"),
                format!("{nft:.1} ms"),
            ];
            section.row(format!("{}, {size} instances", variant.label()), cells.to_vec());
            section.results.push(json!({
                "variant": variant.label(), "instances": size, "transaction_ms": transaction, "fastest_ms": fastest, "close_ms": close, "bytes": bytes,
                "apply_ms": apply, "nft_add_element_ms": nft,
            }));
            let what = format!("one changed instance of {size}, {}: the kernel's transaction", variant.label());
            section.promises.push(Promise::new(what, transaction, At::Most(1.0), " ms"));
        }
    }
    Ok(section)
}

fn measure_all(bench: &Bench, variant: Variant) -> Result<Times, Box<dyn Error>> {
    enter_new_namespace()?;
    variant.put_in_force(bench)?;
    let options = ["--apply", "--hook", "*"].into_iter().chain(variant.options().into_iter().flatten());
    let wishes = Arguments::try_parse_from(iter::once("bench").chain(options))?.lower(&|_| None)?.wishes;
    let mut held = store::read(&bench.path("json"))?.registry;
    let mut times = Times::default();
    for round in 0..ROUNDS {
        progress(&format!("delta, {}, {} instances, round {} of {ROUNDS}", variant.label(), bench.size, round + 1));
        measure(bench.update().args(bench.changed_lease(round)))?;
        let registry = store::read(&bench.path("json"))?.registry;
        let (before, planned) = (policy::ruleset(&held, &wishes), policy::ruleset(&registry, &wishes));
        let (transaction, close, bytes) =
            on_core(0, || commit(&before, &planned)).map_err(|error| error as Box<dyn Error>)?;
        times.transaction.push(transaction);
        times.close.push(close);
        times.bytes = bytes;
        held = registry;
    }
    for round in ROUNDS..ROUNDS + PROGRAMS {
        times.nft.push(nft_element("add")?);
        nft_element("delete")?;
        measure(bench.update().args(bench.changed_lease(round)))?;
        times.apply.push(measure(&mut variant.command(bench, &["--force"]))?.time.as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// Milliseconds of nft for one element, also where no instance is concerned.
fn nft_element(action: &str) -> Result<f64, Box<dyn Error>> {
    let mut nft = Command::new("nft");
    nft.args([action, "element", "bridge", "instances", "all_v4.instance", "{ 192.0.2.1 }"]);
    Ok(measure(&mut nft)?.time.as_secs_f64() * 1e3)
}

/// What `--watch` does, with a clock at the transaction: its milliseconds, those of closing the socket, and its size.
fn commit(held: &Ruleset, planned: &Ruleset) -> Result<(f64, f64, usize), Failure> {
    let mut socket = Socket::open()?;
    let generation = socket.generation()?;
    let deltas = diff::between(held, planned).ok_or("more has changed than elements")?;
    let batch = batch::build(planned, Some(generation), &deltas).map_err(|error| error.to_string())?;
    let batch = batch.ok_or("nothing has changed")?;
    // The kernel does all of it in the system call that sends it.
    let start = Instant::now();
    socket.connection().socket().send(&batch.bytes)?;
    let transaction = start.elapsed();
    let start = Instant::now();
    drop(socket);
    let close = start.elapsed();
    if Socket::open()?.generation()? != generation.wrapping_add(1) {
        return Err("the kernel did not take the transaction".into());
    }
    Ok((transaction.as_secs_f64() * 1e3, close.as_secs_f64() * 1e3, batch.bytes.len()))
}
