//! `instances-proxmox`: the variables that PVE-Leazzard has, a TOML file for what they cannot say, and flags, lowered to one [`Config`].

mod access;
mod config;
mod describe;
mod document;
mod flags;
mod help;
mod lookup;
mod lower;
mod networks;
mod options;
mod print;
mod unknown;
mod values;
mod written;

pub use config::{Config, Dnsmasq, Hearing, Mode, Request};

use clap::{ArgGroup, Parser};
use flags::Flags;

/// The program's name, in messages.
pub const PROGRAM: &str = "instances-proxmox";

/// The configuration file that is read if none is named.
pub const CONFIGURATION: &str = "/etc/instances/proxmox.toml";

/// Keeps dnsmasq in step with a Proxmox VE cluster: every guest has its name, whatever gives it its address. With the variables of
/// PVE-Leazzard and nothing else it runs in the foreground, with a dnsmasq of its own.
#[allow(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = help::AFTER_HELP, max_term_width = 120)]
#[command(group = ArgGroup::new("task").args(["check_config", "print_config", "once", "dry_run"]))]
pub struct Arguments {
    /// Change nothing, ask nobody: say what is wrong with the configuration, all of it, and what it means; exits 1 if anything is
    #[arg(long)]
    check_config: bool,

    /// Change nothing: print the configuration as a file that can be read back, and who says what; without secrets
    #[arg(long)]
    print_config: bool,

    /// Bring the files in step once, then leave
    #[arg(long)]
    once: bool,

    /// Change nothing: ask the cluster, and print which names there are and why
    #[arg(long)]
    dry_run: bool,

    /// With --dry-run: JSON
    #[arg(long, requires = "dry_run")]
    json: bool,

    #[command(flatten)]
    flags: Flags,
}

impl Arguments {
    fn mode(&self) -> Mode {
        match (self.check_config, self.print_config, self.once, self.dry_run) {
            (true, ..) => Mode::CheckConfig,
            (_, true, ..) => Mode::PrintConfig,
            (_, _, true, _) => Mode::Once,
            (.., true) => Mode::DryRun { json: self.json },
            _ => Mode::Run,
        }
    }
}
