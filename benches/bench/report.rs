//! The results for people and for programs.

use crate::measure::Sample;
use crate::plot::{Line, Plot};
use crate::promise::{At, Promise};
use crate::section::Table;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Command;

/// What is measured, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// What it costs to start a program at all.
    Version,
    Old,
    OldAfterEdit,
    Add,
    Emit,
    Apply,
    NftChains,
    NftAll,
    ApplySets,
    NftSets,
    ApplyAgain,
    NftAgain,
    ApplySetsAgain,
    NftSetsAgain,
}

impl Task {
    const fn label(self) -> &'static str {
        match self {
            Self::Version => "instances-update --version",
            Self::Old => "old, nothing new",
            Self::OldAfterEdit => "old, nothing new, first after an edit",
            Self::Add => "add, a new instance",
            Self::Emit => "instances-process -f",
            Self::Apply => "--apply, rules",
            Self::NftChains => "nft -f, rules without sets of addresses",
            Self::NftAll => "nft -f, rules",
            Self::ApplySets => "--apply, sets",
            Self::NftSets => "nft -f, sets",
            Self::ApplyAgain => "--apply again, rules, nothing changed",
            Self::NftAgain => "nft -f again, rules, in place of the old table",
            Self::ApplySetsAgain => "--apply again, sets, nothing changed",
            Self::NftSetsAgain => "nft -f again, sets, in place of the old table",
        }
    }
}

/// Medians, and the largest peak.
#[derive(Debug, Clone, Copy)]
struct Summary {
    runs: usize,
    millis: f64,
    fastest: f64,
    slowest: f64,
    mib: f64,
}

/// All samples of a run.
pub(crate) struct Results {
    samples: BTreeMap<(Task, usize), Vec<Sample>>,
    remarks: Vec<String>,
}

impl Results {
    pub(crate) fn new() -> Self {
        Self { samples: BTreeMap::new(), remarks: Vec::new() }
    }

    pub(crate) fn add(&mut self, task: Task, size: usize, sample: Sample) {
        self.samples.entry((task, size)).or_default().push(sample);
    }

    pub(crate) fn remark(&mut self, text: &str) {
        self.remarks.push(text.to_owned());
    }

    fn summary(&self, task: Task, size: usize) -> Option<Summary> {
        let samples = self.samples.get(&(task, size))?;
        let mut times: Vec<f64> = samples.iter().map(|sample| sample.time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let peak = u32::try_from(samples.iter().map(|sample| sample.peak).max()?).unwrap_or(u32::MAX);
        Some(Summary {
            runs: times.len(),
            millis: *times.get(times.len() / 2)?,
            fastest: *times.first()?,
            slowest: *times.last()?,
            mib: f64::from(peak) / 1024.0,
        })
    }

    fn sizes(&self) -> Vec<usize> {
        let sizes = self.samples.keys().filter(|(task, _)| *task == Task::Version);
        sizes.map(|(_, size)| *size).collect()
    }

    fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.samples.keys().map(|(task, _)| *task).collect();
        tasks.dedup();
        tasks
    }

    /// The promises that can be judged with the sizes that were measured.
    fn promises(&self) -> Vec<Promise> {
        let time = |task, size| self.summary(task, size).map(|all| all.millis);
        let memory = |task, size| self.summary(task, size).map(|all| all.mib);
        let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        let (old, add, emit, apply, nft) = (Task::Old, Task::Add, Task::Emit, Task::Apply, Task::NftChains);
        let (ten_k, many) = (10_000, 100_000);
        let sets =
            |of: &dyn Fn(Task, usize) -> Option<f64>, size| ratio(of(Task::NftSets, size), of(Task::ApplySets, size));
        let judged = [
            ("old, nothing new: 100000 instances / 100", ratio(time(old, many), time(old, 100)), At::Most(3.0), "x"),
            (
                "add / --version, 10000 instances",
                ratio(time(add, ten_k), time(Task::Version, ten_k)),
                At::Most(12.0),
                "x",
            ),
            ("instances-process -f, 100000 instances", time(emit, many), At::Most(500.0), " ms"),
            ("instances-process -f, 100000 instances", memory(emit, many), At::Most(150.0), " MiB"),
            (
                "nft -f its chains / --apply, 10000 instances",
                ratio(time(nft, ten_k), time(apply, ten_k)),
                At::Least(1.7),
                "x",
            ),
            ("the same, memory", ratio(memory(nft, ten_k), memory(apply, ten_k)), At::Least(4.0), "x"),
            ("nft -f / --apply, sets, 10000 instances", sets(&time, ten_k), At::Least(2.0), "x"),
            ("the same, memory", sets(&memory, ten_k), At::Least(5.0), "x"),
            ("nft -f / --apply, sets, 100000 instances", sets(&time, many), At::Least(2.0), "x"),
            ("the same, memory", sets(&memory, many), At::Least(5.0), "x"),
        ];
        let promise = |(what, value, bound, unit)| Some(Promise::new(what, value?, bound, unit));
        judged.into_iter().filter_map(promise).collect()
    }

    /// Time of loading against number of instances.
    pub(crate) fn plot(&self) -> Plot {
        let tools = [Task::NftAll, Task::Apply, Task::NftSets, Task::ApplySets];
        let lines = tools.map(|task| {
            let time = |size: usize| Some((size, self.summary(task, size)?.millis));
            Line { label: task.label().to_owned(), points: self.sizes().into_iter().filter_map(time).collect() }
        });
        let (title, x, y) = ("Loading the policy into an empty kernel", "instances", "milliseconds");
        Plot { title, x, y, lines: lines.into() }
    }
}

impl Table for Results {
    fn to_json(&self) -> Value {
        let results = self.samples.keys().filter_map(|(task, size)| {
            let all = self.summary(*task, *size)?;
            Some(json!({
                "task": task.label(), "instances": size, "runs": all.runs, "median_ms": all.millis,
                "fastest_ms": all.fastest, "slowest_ms": all.slowest, "peak_mib": all.mib,
            }))
        });
        json!({
            "part": "programs",
            "results": results.collect::<Vec<_>>(),
            "promises": self.promises().iter().map(Promise::to_json).collect::<Vec<_>>(),
            "remarks": self.remarks,
        })
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sizes, tasks) = (self.sizes(), self.tasks());
        let width = tasks.iter().map(|task| task.label().len()).max().unwrap_or_default();
        write!(f, "\n{:width$}", "Median time, peak memory; instances:")?;
        for size in &sizes {
            write!(f, "  {size:>23}")?;
        }
        writeln!(f)?;
        for task in tasks {
            write!(f, "{:width$}", task.label())?;
            for size in &sizes {
                match self.summary(task, *size) {
                    Some(all) => write!(f, "  {:9.2} ms {:6.1} MiB", all.millis, all.mib)?,
                    None => write!(f, "  {:>23}", "-")?,
                }
            }
            writeln!(f)?;
        }
        let promises = self.promises();
        if !promises.is_empty() {
            writeln!(f)?;
        }
        for promise in promises {
            writeln!(f, "{promise}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "\n{remark}")?;
        }
        Ok(())
    }
}

/// On what it was measured.
pub(crate) struct Machine([(&'static str, String); 5]);

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let models = || processors.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = models().next().map_or("unknown processor", |(_, model)| model);
        let nft = Command::new("nft").arg("--version").output();
        let nft = nft.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let load = read("/proc/loadavg");
        Self([
            ("cpu", model.to_owned()),
            ("cores", std::thread::available_parallelism().map_or(1, usize::from).to_string()),
            ("kernel", format!("Linux {}", read("/proc/sys/kernel/osrelease").trim())),
            ("nft", nft.unwrap_or_else(|_| "no nft".to_owned())),
            ("load", load.split(' ').next().unwrap_or_default().to_owned()),
        ])
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let members = self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into()));
        Value::Object(members.collect())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(_, cpu), (_, cores), (_, kernel), (_, nft), (_, load)] = &self.0;
        write!(f, "{cpu}, {cores} cores; {kernel}; {nft}; load when started: {load}")
    }
}
