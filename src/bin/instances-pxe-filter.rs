//! Keeps dnsmasq's dhcp-hostsdir in step with OpenStack Ironic. See `instances-pxe-filter --help`.

use clap::Parser;
use instances::cli::finish;
use instances::cli::pxe_filter::{Arguments, PROGRAM};
use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = BufWriter::new(stdout());
    let ended = arguments
        .lower(&|variable| std::env::var_os(variable))
        .and_then(|request| instances::daemon::pxe_filter::run(&request, &mut out, &mut stderr()));
    finish(PROGRAM, ended, &mut out)
}
