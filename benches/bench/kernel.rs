//! Into the kernel: `instances-process --apply`, and `nft -f` of what `instances-process --emit` wrote.
//!
//! Every load begins with an empty ruleset, in a network namespace of its own. The old namespaces stay until the round is
//! over: their rules are released in the background, which should not happen while something else is measured.

use crate::measure::{Sample, measure};
use crate::registry::Bench;
use crate::report::Task;
use nix::sched::{CloneFlags, unshare};
use std::error::Error;
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
    unshare(CloneFlags::CLONE_NEWNET).err().map(|error| format!("needs root for network namespaces: {}", error.desc()))
}

/// One round: all three ways, in an order that changes from round to round.
pub(crate) fn round(bench: &Bench, round: usize) -> Samples {
    write_nft_files(bench)?;
    let mut ways: [fn(&Bench) -> Samples; 3] = [apply, nft_chains, nft_chains_and_sets];
    ways.rotate_left(round % 3);
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

/// What a user's `/etc/nftables.conf` would say.
fn write_nft_files(bench: &Bench) -> std::io::Result<()> {
    let include = |what: &str| format!("include \"{}\"\n", bench.path(what).display());
    let (chains, sets) = (include("nftables_chains"), include("nftables_sets"));
    let table = |content: &str| format!("table bridge instances {{\n{content}}}\n");
    fs::write(bench.path("chains.nft"), table(&chains))?;
    fs::write(bench.path("all.nft"), table(&format!("{chains}{sets}")))?;
    // Without deleting it, nft would append every rule once more.
    let replace =
        format!("table bridge instances\ndelete table bridge instances\n{}", table(&format!("{chains}{sets}")));
    fs::write(bench.path("replace.nft"), replace)
}

fn apply(bench: &Bench) -> Samples {
    let mut command = bench.process();
    command.args(["--force", "--apply", "--layout", "rules"]);
    Ok(vec![(Task::Apply, measure(&mut command)?), (Task::ApplyAgain, measure(&mut command)?)])
}

fn nft_chains(bench: &Bench) -> Samples {
    Ok(vec![(Task::NftChains, nft(bench, "chains.nft")?)])
}

fn nft_chains_and_sets(bench: &Bench) -> Samples {
    Ok(vec![(Task::NftAll, nft(bench, "all.nft")?), (Task::NftAgain, nft(bench, "replace.nft")?)])
}

fn nft(bench: &Bench, file: &str) -> Result<Sample, Box<dyn Error>> {
    measure(Command::new(NFT).arg("-f").arg(bench.path(file)))
}
