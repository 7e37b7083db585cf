//! Who says what about an option: its flag, a variable, a cloud, a file, nobody.

use super::flags::Flags;
use super::options::{About, Described, IRONIC, Opt};
use super::values;
use crate::cli::Environment;
use crate::cli::pxe_filter::Said;
use crate::net::Shown;
use crate::source::oslo_conf::{Files, Found};
use std::collections::HashMap;
use std::fmt;

/// How variables for options begin.
const VARIABLES: &str = "INSTANCES_PXE_FILTER_";

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A flag.
    Flag(&'static str),
    /// A variable.
    Variable(String),
    /// A file and its line.
    File(String),
    /// An entry of clouds.yaml.
    Cloud(String),
    /// Nobody.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(place) | Self::Cloud(place) => f.write_str(place),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What a cloud or OpenStack's variables say about Ironic and how to get in: texts by the option's name.
pub(super) type Credentials = HashMap<&'static str, (String, Source)>;

/// All sources together.
pub(super) struct Lookup<'a> {
    flags: &'a Flags,
    environment: Environment<'a>,
    files: &'a Files,
    /// The section that says where Ironic is.
    pub(super) ironic: &'a str,
    /// The section that says how one gets in there.
    pub(super) auth: String,
    credentials: Credentials,
    /// Whether files are not asked about Ironic: what they say belongs to other credentials.
    pub(super) elsewhere: bool,
    /// Every option that was asked for.
    pub(super) said: Vec<Said>,
    /// What is wrong with values.
    pub(super) wrong: Vec<String>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(flags: &'a Flags, environment: Environment<'a>, files: &'a Files) -> Self {
        Self {
            flags,
            environment,
            files,
            ironic: IRONIC,
            auth: IRONIC.to_owned(),
            credentials: Credentials::new(),
            elsewhere: false,
            said: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Adds credentials, which are stronger than files. Alone: files are not asked for what these do not say.
    pub(super) fn believe(&mut self, credentials: Credentials, alone: bool) {
        self.credentials = credentials;
        self.elsewhere = alone;
    }

    /// The value, if anybody gives it.
    pub(super) fn get<T>(&mut self, option: &Opt<T>) -> Option<T> {
        self.get_with_source(option).map(|(value, _)| value)
    }

    /// The value, or this one, which is written so.
    pub(super) fn get_or<T>(&mut self, option: &Opt<T>, default: T, written: &str) -> T {
        self.get(option).unwrap_or_else(|| {
            self.say(self.name(option.about()), written.to_owned(), &Source::Default);
            default
        })
    }

    /// The value, and who gives it.
    pub(super) fn get_with_source<T>(&mut self, option: &Opt<T>) -> Option<(T, Source)> {
        let about = option.about();
        let (text, source) = self.find(about)?;
        let name = self.name(about);
        let shown = if about.secret { "***".to_owned() } else { text.clone() };
        match (option.read)(&text) {
            Ok(value) => {
                if value.is_some() || matches!(source, Source::Flag(_)) {
                    self.say(name, shown, &source);
                }
                value.map(|value| (value, source))
            }
            Err(expected) => {
                self.wrong.push(format!(
                    "{source}: {name} = {} is wrong: {}",
                    Shown(&shown),
                    values::expected(&expected)
                ));
                None
            }
        }
    }

    /// Some are asked for more than once.
    fn say(&mut self, option: String, value: String, source: &Source) {
        if !self.said.iter().any(|said| said.option == option) {
            self.said.push(Said { option, value, source: source.to_string() });
        }
    }

    /// `[section] name`, as an operator would look for it.
    pub(super) fn name(&self, about: &About) -> String {
        format!("[{}] {}", self.section(about), about.name)
    }

    fn section(&self, about: &About) -> &str {
        match about.section {
            IRONIC if about.auth => &self.auth,
            IRONIC => self.ironic,
            section => section,
        }
    }

    fn find(&mut self, about: &About) -> Option<(String, Source)> {
        if let Some(text) = self.flags.get(about.flag) {
            return Some((text.to_owned(), Source::Flag(about.flag)));
        }
        let own = variable(about.flag);
        if let Some(text) = self.variable(&own) {
            return Some((text, Source::Variable(own)));
        }
        let section = self.section(about).to_owned();
        let oslo = oslo_variable(&section, about.name);
        if let Some(text) = self.variable(&oslo) {
            return self.substituted(&section, about, &text, Source::Variable(oslo));
        }
        if about.section == IRONIC {
            if let Some(found) = self.credentials.get(about.name) {
                return Some(found.clone());
            }
            if self.elsewhere && about.name != "timeout" {
                return None;
            }
        } else {
            for name in about.openrc {
                if let Some(text) = self.variable(name).filter(|text| !text.is_empty()) {
                    return Some((text, Source::Variable((*name).to_owned())));
                }
            }
        }
        let (section, text, place) = {
            let found = self.in_files(about)?;
            (found.entry.section.clone(), found.entry.value.clone(), found.to_string())
        };
        self.substituted(&section, about, &text, Source::File(place))
    }

    /// Whether its flag is given.
    pub(super) fn has_flag(&self, about: &About) -> bool {
        self.flags.get(about.flag).is_some()
    }

    /// What the files say, whoever is stronger.
    pub(super) fn in_files(&self, about: &About) -> Option<Found<'a>> {
        let section = self.section(about);
        let older = about.older.iter().map(|(older, name)| (if older.is_empty() { section } else { older }, *name));
        let names: Vec<_> = std::iter::once((section, about.name)).chain(older).collect();
        self.files.get(&names)
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        let value = (self.environment)(name)?;
        let value = value.into_string().map_err(|_| self.wrong.push(format!("variable {name} is not UTF-8")));
        value.ok()
    }

    fn substituted(&mut self, section: &str, about: &About, text: &str, source: Source) -> Option<(String, Source)> {
        match self.files.substituted(section, text) {
            Ok(text) => Some((text, source)),
            Err(why) => {
                self.wrong.push(format!("{source}: {} {why}", self.name(about)));
                None
            }
        }
    }
}

/// The variable for an option that has this flag.
pub(super) fn variable(flag: &str) -> String {
    format!("{VARIABLES}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The variable that oslo.config reads for an option.
fn oslo_variable(section: &str, name: &str) -> String {
    format!("OS_{}__{}", section.to_ascii_uppercase(), name.to_ascii_uppercase())
}
