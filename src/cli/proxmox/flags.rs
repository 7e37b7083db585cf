//! The options as flags, and `--config`.

use super::options::{ALL, Described, Kind};
use super::written::parts;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::collections::HashMap;
use std::path::PathBuf;

/// What the command line says about options and the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// Values by flag.
    values: HashMap<&'static str, String>,
    /// The file, if one is named.
    pub(super) config: Option<PathBuf>,
}

impl Flags {
    /// What the flag says.
    pub(super) fn get(&self, flag: &str) -> Option<&str> {
        self.values.get(flag).map(String::as_str)
    }
}

const CONFIG: &str = "config";

fn argument(option: &'static dyn Described) -> Arg {
    let about = option.about();
    let parser = move |text: &str| {
        if about.is_hidden {
            // By us, who do not repeat it.
            return Ok(text.to_owned());
        }
        parts(about.kind, text).iter().try_for_each(|part| option.check(part)).map(|()| text.to_owned())
    };
    let section = if about.section.is_empty() { String::new() } else { format!("{}.", about.section) };
    let mut places = format!("file: {section}{}", about.name);
    if !about.variables.is_empty() {
        places.push_str("; variable: ");
        places.push_str(&about.variables.join(", "));
    }
    if let Some(default) = about.default.filter(|default| !default.is_empty()) {
        places.push_str("; default: ");
        places.push_str(default);
    }
    let argument = Arg::new(about.flag)
        .long(about.flag)
        .help(format!("{} [{places}]", about.help))
        .help_heading(heading(about.section))
        .value_name(about.metavar)
        .value_parser(parser);
    if about.kind == Kind::Switch {
        argument.num_args(0..=1).require_equals(true).default_missing_value("yes")
    } else {
        argument
    }
}

fn heading(section: &str) -> &'static str {
    match section {
        "proxmox" => "Proxmox VE's API",
        "names" => "Who is called what",
        "neighbors" => "Guests on the wire",
        "dnsmasq" => "dnsmasq",
        _ => "This program",
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration file [default: /etc/instances/proxmox.toml, if it is there]");
        command.arg(config).args(ALL.iter().map(|option| argument(*option)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let said = |name: &'static str| matches.get_one::<String>(name).map(|value| (name, value.clone()));
        let values = ALL.iter().filter_map(|option| said(option.about().flag)).collect();
        Ok(Self { values, config: matches.get_one::<PathBuf>(CONFIG).cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
