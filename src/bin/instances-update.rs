//! dnsmasq's `dhcp-script`: registers leases. See `instances-update --help`.

use instances::cli::finish;
use instances::cli::update::{PROGRAM, lower};
use instances::source::host_iface::KernelInterfaces;
use std::ffi::OsString;
use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut out = BufWriter::new(stdout().lock());
    let ended = lower(&arguments, &|variable| std::env::var_os(variable))
        .and_then(|request| instances::update::run(request, &KernelInterfaces, &mut out, &mut stderr()));
    finish(PROGRAM, ended, &mut out)
}
