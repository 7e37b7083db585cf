//! Answers virtual machines' DHCP, DHCPv6, router and neighbour solicitations. See `instances-nfdhcpd --help`.

use clap::Parser;
use instances::cli::finish;
use instances::cli::nfdhcpd::{Arguments, PROGRAM};
use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = BufWriter::new(stdout());
    let ended = arguments
        .lower(&|variable| std::env::var_os(variable))
        .and_then(|request| instances::daemon::nfdhcpd::run(&request, &mut out, &mut stderr()));
    finish(PROGRAM, ended, &mut out)
}
