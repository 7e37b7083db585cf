//! What somebody wrote about an option, and who.

use super::document::{Scalar, Value};
use super::options::Kind;
use super::values::NONE;
use std::fmt;

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A flag.
    Flag(&'static str),
    /// A variable.
    Variable(String),
    /// A file and its line.
    File(String, usize),
    /// systemd, which hands on a credential: its file.
    Credential(String),
    /// Nobody.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(path, line) => write!(f, "{path}:{line}"),
            Self::Credential(path) => write!(f, "credential {path}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is said: one text, or, of an option that may have several, any number.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub items: Vec<Item>,
    /// Who says it as a whole.
    pub source: Source,
}

/// One text.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub text: String,
    pub source: Source,
}

impl Written {
    /// By a variable, a flag or nobody.
    pub(super) fn text(kind: Kind, text: &str, source: Source) -> Self {
        let item = |text: &str| Item { text: canonical(kind, text), source: source.clone() };
        Self { items: parts(kind, text).into_iter().map(item).collect(), source }
    }

    /// By a file; or what is expected there instead.
    pub(super) fn of_kind(kind: Kind, value: &Value, path: &str, line: usize) -> Result<Self, String> {
        let source = Source::File(path.to_owned(), line);
        let item = |scalar: &Scalar| {
            let is_right = match kind {
                Kind::Number => scalar.kind != "boolean",
                Kind::Switch => matches!(scalar.kind, "boolean" | "string"),
                _ => scalar.kind == "string",
            };
            let text = canonical(kind, scalar.text.trim());
            let said = Item { text, source: Source::File(path.to_owned(), scalar.line) };
            is_right
                .then_some(said)
                .ok_or_else(|| format!("{} is expected, and this is of type {}", kind.expected(), scalar.kind))
        };
        let items = match value {
            // As a variable has it.
            Value::One(scalar) if kind.is_list() => {
                return item(scalar).map(|item| Self::text(kind, &item.text, source));
            }
            Value::One(scalar) => vec![item(scalar)?],
            Value::Many(scalars) if kind.is_list() => scalars.iter().map(item).collect::<Result<_, _>>()?,
            Value::Many(_) => return Err(format!("{} is expected, and this is a list", kind.expected())),
            Value::Odd(what) => return Err(format!("{} is expected, and this is {what}", kind.expected())),
        };
        Ok(Self { items, source })
    }
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string, in quotes,",
            Self::Path => "a path, in quotes,",
            Self::Number => "a number",
            Self::Switch => "true or false",
            Self::List | Self::Lines => "a list, [\"...\", \"...\"],",
        }
    }
}

/// The texts in one text.
pub(super) fn parts(kind: Kind, text: &str) -> Vec<&str> {
    let separators: &[char] = match kind {
        Kind::List => &[',', '\n'],
        Kind::Lines => &[';', '\n'],
        _ => return vec![text.trim()],
    };
    text.split(separators).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The same for everybody and wherever we are.
fn canonical(kind: Kind, text: &str) -> String {
    let from_root = |text: &str| Some(std::path::absolute(text).ok()?.to_str()?.to_owned());
    let canonical = match kind {
        Kind::Path if text != NONE => from_root(text),
        Kind::Switch => super::values::switch(text).ok().map(|switch| switch.to_string()),
        _ => None,
    };
    canonical.unwrap_or_else(|| text.to_owned())
}
