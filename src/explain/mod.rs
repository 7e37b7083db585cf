//! `instances-process --explain`: why is my guest blocked? Each frame of a capture under the policy that is planned, and
//! with `--apply` that is in force: verdict, protection, rule, element.

mod capture;
mod hex;
mod input;
mod report;
mod summary;

use crate::cli::print;
use crate::cli::process::{PROGRAM, Request};
use crate::error::{Error, Result, in_words};
use crate::exit::Exit;
use crate::net::IfName;
use crate::plan::hooks::Bridges;
use crate::plan::policy::{self, Hooking};
use crate::plan::ruleset::Ruleset;
use crate::plan::verdict::{Evaluator, Frame, Verdict};
use crate::registry::store;
use crate::sink::nft_netlink::apply;
use crate::source::bridge_ports;
use input::Stopped;
use report::{Owners, Report};
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stdin};
use std::path::{Path, PathBuf};
use summary::Summary;

/// What is to be explained, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explain {
    /// A pcap or pcapng file or a hex dump; `-`: standard input.
    pub frames: PathBuf,
    /// The port of frames whose interface is not in the capture.
    pub port: Option<IfName>,
    /// The registry, if it is not the usual one.
    pub registry: Option<PathBuf>,
    /// Whether JSON is wanted.
    pub json: bool,
}

/// How many frames had which verdict.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    dropped: usize,
    lost: usize,
}

impl Tally {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Dropped(_) => self.dropped += 1,
            Verdict::Lost(_) => self.lost += 1,
        }
    }

    fn all(&self) -> usize {
        self.accepted + self.dropped + self.lost
    }
}

/// Explains each frame on `out`. Differences between kernel and plan, and a summary, go to `news`.
///
/// # Errors
/// The registry or the frames cannot be read; path and frame are named, and those before it were explained.
pub fn run(request: &Request, explain: &Explain, out: &mut dyn Write, news: &mut dyn Write) -> Result<Exit> {
    let registry = match &explain.registry {
        Some(path) => {
            let snapshot = store::read(path)?;
            if snapshot.layout.is_none() {
                return Err(Error::new(format!("--registry {}: there is no such file", path.display())));
            }
            snapshot.registry
        }
        None => store::read(&request.paths.registry())?.registry,
    };
    let ruleset = policy::ruleset(&registry, &request.wishes);
    let Some(table) = ruleset.tables.first() else { return Ok(Exit::Done) };
    let held = !request.apply || is_held(&ruleset, news)?;
    let bridges = BridgeNames::read(request)?;
    let (evaluator, owners) = (Evaluator::new(table), Owners::new(&registry, request.wishes.guard));

    let mut tally = Tally::default();
    let mut without_port = 0;
    let mut each = |frame: input::Captured| {
        let port = frame.port.or(explain.port);
        without_port += usize::from(port.is_none());
        let bridge = bridges.of(port);
        let judgement = evaluator.judge(&Frame { bytes: frame.bytes, missing: frame.missing, port, bridge });
        tally.add(judgement.verdict);
        let (number, summary) = (tally.all(), Summary::of(frame.bytes));
        let report = Report { number, port, summary, missing: frame.missing, judgement, owners: &owners };
        if explain.json {
            print(out, format_args!("{}\n", report.json()))
        } else {
            print(out, format_args!("{report}\n"))
        }
    };
    let ended = input::read(&mut *open(&explain.frames)?, &mut each);
    let all = tally.all();
    ended.map_err(|stopped| match stopped {
        Stopped::Taker(error) => error,
        Stopped::Malformed(why) => Error::new(format!("{}: frame {}: {why}", explain.frames.display(), all + 1)),
    })?;
    let Tally { accepted, dropped, lost } = tally;
    let _ = writeln!(news, "{all} frames: {accepted} accepted, {dropped} dropped, {lost} not forwarded by any bridge");
    if without_port > 0 {
        let _ = writeln!(
            news,
            "{PROGRAM}: the port of {without_port} frames is not known, so rules about ports did not match; name it with \
             --explain-port"
        );
    }
    Ok(if held { Exit::Done } else { Exit::Failed })
}

fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(stdin())));
    }
    let file = File::open(path);
    let file = file.map_err(|error| Error::new(format!("cannot open {}: {}", path.display(), in_words(&error))))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Whether the kernel holds the plan, and has it in force; says which, and what differs.
fn is_held(ruleset: &Ruleset, news: &mut dyn Write) -> Result<bool> {
    let checked = apply::check(ruleset)?;
    let mut held = true;
    for (table, differences) in ruleset.tables.iter().zip(checked.differences) {
        let name = format!("table {} {}", table.family, table.name);
        if differences.is_empty() {
            let _ = writeln!(news, "Kernel: {name}: holds what is explained here");
            continue;
        }
        held = false;
        let _ = writeln!(
            news,
            "{PROGRAM}: {name}: the kernel holds something else than is explained here (- held, + explained):"
        );
        for difference in differences {
            let _ = writeln!(news, "{difference}");
        }
    }
    if let Some(why) = checked.idle {
        held = false;
        let _ = writeln!(news, "{PROGRAM}: not in force: {why}");
    }
    Ok(held)
}

/// Which bridge a port belongs to.
#[derive(Debug, Default)]
struct BridgeNames {
    by_port: FxHashMap<String, Option<IfName>>,
    /// Of ports that are not known: the first bridge that is protected.
    otherwise: Option<IfName>,
}

impl BridgeNames {
    /// From the kernel, if that is asked about.
    fn read(request: &Request) -> Result<Self> {
        let otherwise = match &request.wishes.hook {
            Hooking::Protect { bridges: Bridges::These(names), .. } => names.first().copied(),
            _ => None,
        };
        let ports = if request.apply { bridge_ports::read()? } else { Vec::new() };
        let by_port = ports.into_iter().map(|port| (port.name, port.bridge.parse().ok())).collect();
        Ok(Self { by_port, otherwise })
    }

    fn of(&self, port: Option<IfName>) -> Option<IfName> {
        let known = port.and_then(|port| self.by_port.get(port.as_str()));
        known.copied().unwrap_or(self.otherwise)
    }
}
