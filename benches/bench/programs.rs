//! The programs from start to end, and `nft -f`: time and peak memory.

use crate::measure::{Sample, measure};
use crate::registry::Bench;
use crate::report::{Results, Task};
use crate::{Setting, kernel, progress};
use std::error::Error;

/// How often everything is measured.
const ROUNDS: usize = 7;

pub(crate) fn run(setting: &Setting) -> Result<Results, Box<dyn Error>> {
    let sizes = setting.sizes.iter();
    let benches = sizes.map(|size| Bench::new(&setting.folder, *size)).collect::<Result<Vec<_>, _>>()?;
    let mut results = Results::new();
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
    if let Some(folder) = &setting.plots {
        std::fs::write(folder.join("bench-apply.svg"), results.plot().to_string())?;
    }
    Ok(results)
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
