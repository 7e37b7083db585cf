//! What the programs cost, and what `nft -f` costs for the same: `make bench`, or `cargo bench`; one part of it:
//! `cargo bench -- PART`.
//!
//! Everything that is compared is measured in the same run, one after the other and again from the start, so that a busy
//! moment of the machine meets both sides. Medians; nothing here fails because something is slow.
//!
//! environment: BENCH_SIZES, numbers of instances, comma-separated (100,1000,10000,100000); BENCH_PLOTS, a folder for
//! the plots.

#![allow(clippy::duplicate_mod, reason = "simulators share what they are made of")]

mod delta;
#[cfg(feature = "proxmox")]
#[path = "../../tests/common/dns.rs"]
#[allow(unreachable_pub, clippy::indexing_slicing, clippy::unwrap_used)]
mod dns;
mod flood;
mod frames;
mod kernel;
mod lane;
mod measure;
mod packets;
mod plot;
#[allow(dead_code, reason = "each part uses some of it")]
mod process;
mod programs;
mod promise;
#[cfg(feature = "proxmox")]
mod proxmox;
#[cfg(feature = "pxe-filter")]
mod pxe_filter;
mod registry;
mod replay;
mod report;
#[cfg(feature = "nfdhcpd")]
mod responder;
mod section;
mod traffic;
mod variant;
#[cfg(feature = "proxmox")]
#[path = "../../tests/common/wait.rs"]
#[allow(unreachable_pub)]
mod wait;
mod watch;

use section::Table;
use serde_json::json;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What a part is given.
struct Setting {
    /// For its files.
    folder: PathBuf,
    sizes: Vec<usize>,
    /// Where plots go, if they are wanted.
    plots: Option<PathBuf>,
}

/// Can leave a thread.
type Failure = Box<dyn Error + Send + Sync>;

/// Measures, and gives its table to people and programs.
type Part = fn(&Setting) -> Result<Box<dyn Table>, Box<dyn Error>>;

const PARTS: &[(&str, Part)] = &[
    ("programs", |setting| Ok(Box::new(programs::run(setting)?))),
    ("replay", |setting| Ok(Box::new(replay::run(setting)?))),
    ("delta", |setting| Ok(Box::new(delta::run(setting)?))),
    ("packets", |setting| Ok(Box::new(packets::run(setting)?))),
    ("flood", |setting| Ok(Box::new(flood::run(setting)?))),
    ("watch", |setting| Ok(Box::new(watch::run(setting)?))),
    #[cfg(feature = "nfdhcpd")]
    ("responder", |setting| Ok(Box::new(responder::run(setting)?))),
    #[cfg(feature = "pxe-filter")]
    ("pxe-filter", |setting| Ok(Box::new(pxe_filter::run(setting)?))),
    #[cfg(feature = "proxmox")]
    ("proxmox", |setting| Ok(Box::new(proxmox::run(setting)))),
];

fn main() -> ExitCode {
    let (options, wanted): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    if !options.iter().any(|option| option == "--bench") {
        println!("bench: nothing to test here; measure with: cargo bench");
        return ExitCode::SUCCESS;
    }
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &[String]) -> Result<(), Box<dyn Error>> {
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        let parts = PARTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        return Err(format!("there is no part {unknown}; the parts: {parts}").into());
    }
    let sizes = std::env::var("BENCH_SIZES").unwrap_or_else(|_| "100,1000,10000,100000".to_owned());
    let sizes = sizes.split(',').map(|size| size.trim().parse()).collect::<Result<Vec<usize>, _>>()?;
    let plots = std::env::var_os("BENCH_PLOTS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let machine = report::Machine::this();
    println!("{machine}");

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut parts = Vec::new();
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder)?;
            let table = part(&Setting { folder, sizes: sizes.clone(), plots: plots.clone() })?;
            progress("");
            print!("{table}");
            parts.push(table.to_json());
        }
    }
    let whole = json!({"machine": machine.to_json(), "parts": parts});
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.json");
    std::fs::write(&path, format!("{whole:#}\n"))?;
    println!("\nThe same as JSON: {}", path.display());
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
