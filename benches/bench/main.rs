//! What the programs cost, and what `nft -f` costs for the same: `make bench`, or `cargo bench`.
//!
//! Everything that is compared is measured in the same run, one after the other and again from the start, so that a busy
//! moment of the machine meets both sides. Medians; nothing here fails because something is slow.
//!
//! environment: BENCH_SIZES, numbers of instances, comma-separated (100,1000,10000,100000).

mod kernel;
mod measure;
mod registry;
mod report;

use measure::{Sample, measure};
use registry::Bench;
use report::{Results, Task};
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};

/// How often everything is measured.
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("bench: nothing to test here; measure with: cargo bench");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let sizes = std::env::var("BENCH_SIZES").unwrap_or_else(|_| "100,1000,10000,100000".to_owned());
    let sizes = sizes.split(',').map(|size| size.trim().parse()).collect::<Result<Vec<usize>, _>>()?;
    let machine = report::Machine::this();
    println!("{machine}");

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let benches = sizes.iter().map(|size| Bench::new(folder.path(), *size)).collect::<Result<Vec<_>, _>>()?;
    let mut results = Results::new(machine);
    for round in 0..ROUNDS {
        for bench in &benches {
            progress(&format!("files, round {} of {ROUNDS}, {} instances", round + 1, bench.size));
            for (task, sample) in measure_files(bench, round)? {
                results.add(task, bench.size, sample);
            }
        }
    }
    match kernel::unusable() {
        Some(why) => results.remark(&format!("SKIPPED what goes to the kernel: {why}")),
        None => measure_kernel(&benches, &mut results)?,
    }
    progress("");
    print!("{results}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.json");
    std::fs::write(&path, results.to_json())?;
    println!("\nThe same as JSON: {}", path.display());
    Ok(())
}

/// One round of everything that needs no kernel.
fn measure_files(bench: &Bench, round: usize) -> Result<Vec<(Task, Sample)>, Box<dyn Error>> {
    let version = measure(bench.update().arg("--version"))?;
    bench.touch_registry()?;
    let after_edit = measure(bench.update().args(bench.unchanged_lease()))?;
    let unchanged = measure(bench.update().args(bench.unchanged_lease()))?;
    let add = measure(bench.update().args(bench.new_lease(round)))?;
    let emit = measure(bench.process().arg("--force"))?;
    Ok(vec![
        (Task::Version, version),
        (Task::OldAfterEdit, after_edit),
        (Task::Old, unchanged),
        (Task::Add, add),
        (Task::Emit, emit),
    ])
}

fn measure_kernel(benches: &[Bench], results: &mut Results) -> Result<(), Box<dyn Error>> {
    for round in 0..ROUNDS {
        for bench in benches {
            progress(&format!("kernel, round {} of {ROUNDS}, {} instances", round + 1, bench.size));
            for (task, sample) in kernel::round(bench, round)? {
                results.add(task, bench.size, sample);
            }
        }
    }
    Ok(())
}

/// Says on a terminal how far it is.
fn progress(what: &str) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// `program` with nothing in its environment but the base path.
fn program(path: &str, base: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("INSTANCES_BASE_PATH", base);
    command
}
