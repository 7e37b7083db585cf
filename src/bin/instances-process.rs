//! Writes hosts and nftables files from the registry, or loads them into the kernel. See `instances-process --help`.

use clap::Parser;
use instances::cli::finish;
use instances::cli::process::{Arguments, PROGRAM};
use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = BufWriter::new(stdout().lock());
    let ended = arguments
        .lower(&|variable| std::env::var_os(variable))
        .and_then(|request| instances::process::run(&request, &mut out, &mut stderr()));
    finish(PROGRAM, ended, &mut out)
}
