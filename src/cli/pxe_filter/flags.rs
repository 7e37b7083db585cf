//! The options as flags, and `--config-file` and `--config-dir`, whose order counts.

use super::options::{ALL, Described};
use super::values;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::collections::HashMap;
use std::path::PathBuf;

/// What the command line says about options and files.
#[derive(Default)]
pub struct Flags {
    /// Values by flag.
    values: HashMap<&'static str, String>,
    /// Files and folders of files, in their order.
    pub(super) places: Vec<Place>,
}

/// Where configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `--config-file`.
    File(PathBuf),
    /// `--config-dir`.
    Folder(PathBuf),
}

impl std::fmt::Debug for Flags {
    /// Without the values, for some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flags").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Flags {
    /// What the flag says.
    pub(super) fn get(&self, flag: &str) -> Option<&str> {
        self.values.get(flag).map(String::as_str)
    }
}

const FILE: &str = "config-file";
const FOLDER: &str = "config-dir";

fn argument(option: &'static dyn Described) -> Arg {
    let about = option.about();
    let parser = move |text: &str| option.check(text).map(|()| text.to_owned()).map_err(|what| values::expected(&what));
    let argument = Arg::new(about.flag)
        .long(about.flag)
        .help(format!("[{}] {}", about.section, about.help))
        .help_heading(heading(about.section))
        .value_parser(parser);
    match about.metavar {
        Some(metavar) => argument.value_name(metavar).allow_hyphen_values(about.secret),
        None => argument.value_name("yes|no").num_args(0..=1).require_equals(true).default_missing_value("yes"),
    }
}

fn heading(section: &str) -> &'static str {
    match section {
        "pxe_filter" => "Options of section [pxe_filter]",
        "ironic" => "Options of section [ironic]",
        _ => "Options of other sections",
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .action(ArgAction::Append)
            .value_parser(clap::value_parser!(PathBuf))
            .help("A configuration file; may be there again, later files override earlier ones [default: /etc/instances/pxe-filter.conf, if it is there]");
        let folder = Arg::new(FOLDER)
            .long(FOLDER)
            .value_name("FOLDER")
            .action(ArgAction::Append)
            .value_parser(clap::value_parser!(PathBuf))
            .help("A folder of configuration files *.conf, taken in the order of their names");
        command.arg(file).arg(folder).args(ALL.iter().map(|option| argument(*option)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let said = |name: &'static str| matches.get_one::<String>(name).map(|value| (name, value.clone()));
        let values = ALL.iter().filter_map(|option| said(option.about().flag)).collect();
        let mut places = Vec::new();
        for (name, place) in [(FILE, Place::File as fn(PathBuf) -> Place), (FOLDER, Place::Folder)] {
            let paths = matches.get_many::<PathBuf>(name).into_iter().flatten();
            let indices = matches.indices_of(name).into_iter().flatten();
            places.extend(indices.zip(paths.map(|path| place(path.clone()))));
        }
        places.sort_by_key(|(index, _)| *index);
        Ok(Self { values, places: places.into_iter().map(|(_, place)| place).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
