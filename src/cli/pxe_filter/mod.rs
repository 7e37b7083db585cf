//! `instances-pxe-filter`: the originals' configuration files and a command line that can say all the same, lowered to one
//! [`Config`].

mod access;
mod clouds;
mod config;
mod describe;
mod flags;
mod help;
mod lookup;
mod lower;
mod options;
mod unknown;
mod values;

pub use config::{Config, FileNames, Mode, Request, Said};

use clap::{ArgGroup, Parser};
use flags::Flags;

/// The program's name, in messages.
pub const PROGRAM: &str = "instances-pxe-filter";

/// The configuration file that is read if none is named.
pub const CONFIGURATION: &str = "/etc/instances/pxe-filter.conf";

/// Keeps dnsmasq's dhcp-hostsdir in step with the ports of OpenStack Ironic: who is under inspection may boot from the inspection
/// network, nobody else.
#[allow(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = help::AFTER_HELP, max_term_width = 120)]
#[command(group = ArgGroup::new("task").args(["check_config", "once", "dry_run", "status", "stop"]))]
pub struct Arguments {
    /// Change nothing: print the configuration, who says what of it, and who may boot; exits 1 if anything is wrong
    #[arg(long)]
    check_config: bool,

    /// Bring the folder in step once, then leave
    #[arg(long)]
    once: bool,

    /// Change nothing: print what --once would change
    #[arg(long)]
    dry_run: bool,

    /// Change nothing: print how the filter of this folder is, if one runs
    #[arg(long)]
    status: bool,

    /// Do what the end of a filter does: run the stop command, or else deny everybody; for one that was killed
    #[arg(long)]
    stop: bool,

    /// With --status: JSON
    #[arg(long, requires = "status")]
    json: bool,

    #[command(flatten)]
    flags: Flags,
}

impl Arguments {
    fn mode(&self) -> Mode {
        match (self.check_config, self.once, self.dry_run, self.status, self.stop) {
            (true, ..) => Mode::CheckConfig,
            (_, true, ..) => Mode::Once,
            (_, _, true, ..) => Mode::DryRun,
            (_, _, _, true, _) => Mode::Status { json: self.json },
            (.., true) => Mode::Stop,
            _ => Mode::Run,
        }
    }
}
