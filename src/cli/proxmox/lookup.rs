//! Who says what about an option: its flag, a variable, the file, nobody.

use super::document::Document;
use super::flags::Flags;
use super::options::{About, Described, Kind, Opt};
use super::written::{Item, Source, Written};
use crate::cli::Environment;
use crate::net::Shown;

/// How variables for options begin.
pub(super) const VARIABLES: &str = "INSTANCES_PROXMOX_";

/// A key as it stands, for `--print-config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub section: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub items: Vec<String>,
    pub source: Source,
}

/// One of many tables as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SaidBlock {
    pub section: &'static str,
    pub keys: Vec<Said>,
}

/// All sources together.
pub(super) struct Lookup<'a> {
    flags: &'a Flags,
    environment: Environment<'a>,
    pub(super) document: &'a Document,
    /// Every option that was asked for and has a value.
    pub(super) said: Vec<Said>,
    /// Tables of which there may be many.
    pub(super) blocks: Vec<SaidBlock>,
    /// What is wrong.
    pub(super) wrong: Vec<String>,
    /// What has no effect or may not be meant so.
    pub(super) notices: Vec<String>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(flags: &'a Flags, environment: Environment<'a>, document: &'a Document) -> Self {
        let (said, blocks, wrong, notices) = Default::default();
        Self { flags, environment, document, said, blocks, wrong, notices }
    }

    /// The value, if anybody gives it or it has a default; none also if it is wrong.
    pub(super) fn one<T>(&mut self, option: &Opt<T>) -> Option<T> {
        self.values(option, None).and_then(|(values, _)| values.into_iter().next())
    }

    /// The value, or what this text says.
    pub(super) fn one_or<T>(&mut self, option: &Opt<T>, default: &str) -> Option<T> {
        self.values(option, Some(default)).and_then(|(values, _)| values.into_iter().next())
    }

    /// The values of an option that may have several.
    pub(super) fn many<T>(&mut self, option: &Opt<T>) -> Vec<T> {
        self.values(option, None).map(|(values, _)| values).unwrap_or_default()
    }

    /// The values, or what this text says.
    pub(super) fn many_or<T>(&mut self, option: &Opt<T>, default: &str) -> Vec<T> {
        self.values(option, Some(default)).map(|(values, _)| values).unwrap_or_default()
    }

    /// The values that are right, and who gives them.
    pub(super) fn values<T>(&mut self, option: &Opt<T>, default: Option<&str>) -> Option<(Vec<T>, Source)> {
        let about = option.about();
        let written = self.find(about).or_else(|| {
            let default = default.or(about.default)?;
            Some(Written::text(about.kind, default, Source::Default))
        })?;
        let values = self.read(&about.key(), about.is_hidden, &written, option.read);
        let items = written.items.iter().map(|item| item.text.clone()).collect();
        self.say(Said {
            section: about.section,
            name: about.name,
            kind: about.kind,
            items,
            source: written.source.clone(),
        });
        Some((values, written.source))
    }

    /// Reads what is written; what is wrong is noted under this key.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        is_hidden: bool,
        written: &Written,
        read: fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(written.items.len());
        for Item { text, source } in &written.items {
            match read(text) {
                Ok(value) => values.push(value),
                Err(why) if is_hidden => self.wrong.push(format!("{source}: {key} is wrong: {why}")),
                Err(why) => self.wrong.push(format!("{source}: {key} = {} is wrong: {why}", Shown(text))),
            }
        }
        values
    }

    /// As it stands after all.
    pub(super) fn say(&mut self, said: Said) {
        self.said.retain(|before| (before.section, before.name) != (said.section, said.name));
        self.said.push(said);
    }

    /// Whether anybody says anything; the default is nobody's.
    pub(super) fn is_said(&mut self, about: &About) -> Option<Source> {
        self.find(about).map(|written| written.source)
    }

    /// Notes that something has to be said.
    pub(super) fn missing(&mut self, about: &About, what: &str) {
        let how = about.variables.first().map_or_else(|| format!("--{}", about.flag), |name| (*name).to_owned());
        self.wrong
            .push(format!("{} is missing: {what}; set {how}, or write it into the configuration file", about.key()));
    }

    pub(super) fn find(&mut self, about: &About) -> Option<Written> {
        if let Some(text) = self.flags.get(about.flag) {
            return Some(Written::text(about.kind, text, Source::Flag(about.flag)));
        }
        if let Some((text, name)) = self.variables(about) {
            return Some(Written::text(about.kind, &text, Source::Variable(name)));
        }
        self.in_file(about)
    }

    /// What the file says, whoever is stronger.
    pub(super) fn in_file(&mut self, about: &About) -> Option<Written> {
        let is_it = |entry: &&super::document::Entry| entry.section == about.section && entry.name == about.name;
        let entry = self.document.entries.iter().find(is_it)?;
        let path = &self.document.path;
        match Written::of_kind(about.kind, &entry.value, path, entry.line) {
            Ok(written) => Some(written),
            Err(why) => {
                let wrong = format!("{path}:{}: {} is wrong: {why}", entry.line, about.key());
                if !self.wrong.contains(&wrong) {
                    self.wrong.push(wrong);
                }
                None
            }
        }
    }

    /// The strongest variable that says something.
    pub(super) fn variables(&mut self, about: &About) -> Option<(String, String)> {
        let own = variable(about.flag);
        let names = std::iter::once(own.as_str()).chain(about.variables.iter().copied());
        let said: Vec<_> = names.filter_map(|name| Some((self.variable(name)?, name.to_owned()))).collect();
        for (other, name) in said.iter().skip(1) {
            if let Some((text, strongest)) = said.first().filter(|(text, _)| text != other && !about.is_hidden) {
                let (other, text) = (Shown(other), Shown(text));
                let notice = format!("variable {name} = {other} has no effect: {strongest} = {text} is stronger");
                if !self.notices.contains(&notice) {
                    self.notices.push(notice);
                }
            }
        }
        said.into_iter().next()
    }

    /// A variable that is not empty.
    pub(super) fn variable(&mut self, name: &str) -> Option<String> {
        if let Ok(text) = (self.environment)(name)?.into_string() {
            return Some(text).filter(|text| !text.trim().is_empty());
        }
        let wrong = format!("variable {name} is not UTF-8");
        if !self.wrong.contains(&wrong) {
            self.wrong.push(wrong);
        }
        None
    }
}

/// The variable for an option that has this flag.
pub(super) fn variable(flag: &str) -> String {
    format!("{VARIABLES}{}", flag.to_ascii_uppercase().replace('-', "_"))
}
