//! Keeps dnsmasq in step with a Proxmox VE cluster. See `instances-proxmox --help`.

use clap::Parser;
use instances::cli::finish;
use instances::cli::proxmox::{Arguments, PROGRAM};
use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = BufWriter::new(stdout());
    let ended = arguments
        .lower(&|variable| std::env::var_os(variable), std::env::vars_os().map(|(name, _)| name))
        .and_then(|request| instances::daemon::proxmox::run(&request, &mut out, &mut stderr()));
    finish(PROGRAM, ended, &mut out)
}
