//! Into the kernel: `instances-process --apply`, and `nft -f` of what `instances-process --emit` wrote.
//!
//! Every load begins with an empty ruleset, in a network namespace of its own. The old namespaces stay until the round is
//! over: their rules are released in the background, which should not happen while something else is measured.

use crate::measure::{Sample, measure};
use crate::registry::Bench;
use crate::report::Task;
use nix::sched::{CloneFlags, unshare};
use std::error::Error;
use std::fmt::Write;
use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

type Samples = Result<Vec<(Task, Sample)>, Box<dyn Error>>;

const NFT: &str = "nft";

/// Why nothing can be loaded here.
pub(crate) fn unusable() -> Option<String> {
    if let Err(error) = Command::new(NFT).arg("--version").output() {
        return Some(format!("cannot run nft: {error}"));
    }
    no_namespaces()
}

/// Why there are no network namespaces here.
pub(crate) fn no_namespaces() -> Option<String> {
    unshare(CloneFlags::CLONE_NEWNET).err().map(|error| format!("needs root for network namespaces: {}", error.desc()))
}

/// One round: all ways, in an order that changes from round to round.
pub(crate) fn round(bench: &Bench, round: usize) -> Samples {
    write_nft_files(bench)?;
    let mut ways: [fn(&Bench) -> Samples; 5] = [apply, nft_chains, nft_chains_and_sets, apply_sets, nft_sets];
    ways.rotate_left(round % 5);
    let (mut samples, mut namespaces) = (Vec::new(), Vec::new());
    for way in ways {
        unshare(CloneFlags::CLONE_NEWNET)?;
        namespaces.push(File::open("/proc/thread-self/ns/net")?);
        samples.extend(way(bench)?);
    }
    unshare(CloneFlags::CLONE_NEWNET)?;
    drop(namespaces);
    // 0.1 s, and 3 s for 100,000 instances.
    std::thread::sleep(Duration::from_millis(100) + Duration::from_micros(30) * u32::try_from(bench.size)?);
    Ok(samples)
}

/// What a user's `/etc/nftables.conf` would say, for both layouts.
fn write_nft_files(bench: &Bench) -> Result<(), Box<dyn Error>> {
    for layout in ["sets", "rules"] {
        measure(bench.process().args(["--force", "--emit", "--layout", layout, "--guard", "spec"]))?;
        let mut table = "table bridge instances {\n".to_owned();
        for what in ["nftables_chains", "nftables_sets"] {
            let kept = bench.path(&format!("{layout}.{what}"));
            fs::rename(bench.path(what), &kept)?;
            writeln!(table, "include \"{}\"", kept.display())?;
            if what == "nftables_chains" && layout == "rules" {
                fs::write(bench.path("chains.nft"), format!("{table}}}\n"))?;
            }
        }
        table += "}\n";
        fs::write(bench.path(&format!("{layout}.nft")), &table)?;
        // Without deleting it, nft would append every rule once more.
        let replace = format!("table bridge instances\ndelete table bridge instances\n{table}");
        fs::write(bench.path(&format!("replace-{layout}.nft")), replace)?;
    }
    Ok(())
}

fn apply(bench: &Bench) -> Samples {
    let mut command = loader(bench, "rules");
    Ok(vec![(Task::Apply, measure(&mut command)?), (Task::ApplyAgain, measure(&mut command)?)])
}

fn apply_sets(bench: &Bench) -> Samples {
    let mut command = loader(bench, "sets");
    Ok(vec![(Task::ApplySets, measure(&mut command)?), (Task::ApplySetsAgain, measure(&mut command)?)])
}

/// The same protection as in the files.
fn loader(bench: &Bench, layout: &str) -> Command {
    let mut command = bench.process();
    command.args(["--force", "--apply", "--layout", layout, "--guard", "spec"]);
    command
}

fn nft_sets(bench: &Bench) -> Samples {
    Ok(vec![(Task::NftSets, nft(bench, "sets.nft")?), (Task::NftSetsAgain, nft(bench, "replace-sets.nft")?)])
}

fn nft_chains(bench: &Bench) -> Samples {
    Ok(vec![(Task::NftChains, nft(bench, "chains.nft")?)])
}

fn nft_chains_and_sets(bench: &Bench) -> Samples {
    Ok(vec![(Task::NftAll, nft(bench, "rules.nft")?), (Task::NftAgain, nft(bench, "replace-rules.nft")?)])
}

fn nft(bench: &Bench, file: &str) -> Result<Sample, Box<dyn Error>> {
    measure(Command::new(NFT).arg("-f").arg(bench.path(file)))
}
