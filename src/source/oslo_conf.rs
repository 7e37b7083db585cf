//! Configuration files as oslo.config reads them, which all of OpenStack's services do. That is an INI dialect of its own, so no
//! crate for INI files reads it: a value is continued by indented lines, ends at a blank line and has no comments behind it; `:`
//! is as good as `=`; one pair of quotation marks around a value goes; sections and keys may be there again, and the last one
//! counts; sections but `[DEFAULT]` do not care for case, keys do; and `$name` stands for another option.
//!
//! What is read here is text and where it stands; what it means is up to [`crate::cli::pxe_filter`]. `tests/pxe_filter/oslo.json`
//! has what oslo.config itself makes of many texts.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// A value, and where it stands. It may be a secret: nothing here can be printed for debugging.
pub struct Entry {
    /// The section's name, without brackets, in lower case unless it is `DEFAULT`.
    pub section: String,
    /// The key's name.
    pub key: String,
    /// The value, its lines joined by newlines, with `$name` as written.
    pub value: String,
    /// The line of the key, from 1.
    pub line: usize,
}

/// A line that is none of a configuration's. What it says is not repeated, for it may be the rest of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
    /// What it is, and what it should be.
    pub why: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

/// Everything a file says, in its order.
///
/// # Errors
/// Each line that cannot be read.
pub fn read(text: &str) -> Result<Vec<Entry>, Vec<Malformed>> {
    let (mut entries, mut malformed): (Vec<Entry>, Vec<Malformed>) = (Vec::new(), Vec::new());
    let mut section: Option<String> = None;
    // Whether an indented line continues the last entry, or one that could not be read.
    let mut continues = Continues::Nothing;
    for (number, line) in lines(text.strip_prefix('\u{feff}').unwrap_or(text)).enumerate() {
        let number = number.saturating_add(1);
        let line = line.trim_end_matches(is_blank);
        if line.starts_with([' ', '\t']) {
            match (&continues, entries.last_mut()) {
                (Continues::Entry, Some(entry)) => {
                    entry.value.push('\n');
                    entry.value.push_str(line.trim_start_matches(is_blank));
                }
                (Continues::Malformed, _) => {}
                _ => malformed.push(Malformed { line: number, why: UNEXPECTED }),
            }
            continue;
        }
        continues = Continues::Nothing;
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let read = if line.starts_with('[') {
            heading(line).map(|name| section = Some(name))
        } else {
            entry(section.as_deref(), line, number).map(|entry| {
                continues = Continues::Entry;
                entries.push(entry);
            })
        };
        if let Err(why) = read {
            continues = Continues::Malformed;
            malformed.push(Malformed { line: number, why });
        }
    }
    if malformed.is_empty() { Ok(entries) } else { Err(malformed) }
}

enum Continues {
    Nothing,
    Entry,
    Malformed,
}

const UNEXPECTED: &str = "begins with a blank, but there is no value above that it could continue: remove the blank (or, \
                          between the lines of one value, the blank line or comment)";

/// Lines as Python tells them apart in a text file.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What Python strips.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn heading(line: &str) -> Result<String, &'static str> {
    match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some("DEFAULT") => Ok("DEFAULT".to_owned()),
        Some(name) if !name.is_empty() => Ok(name.to_lowercase()),
        _ => Err("is no section: [NAME] is expected, with nothing behind it, not even a comment"),
    }
}

fn entry(section: Option<&str>, line: &str, number: usize) -> Result<Entry, &'static str> {
    let (key, value) = line
        .split_once(['=', ':'])
        .ok_or("is neither [section] nor name = value nor # comment, and continues nothing")?;
    let key = key.trim_matches(is_blank);
    if key.is_empty() {
        return Err("has no name in front of the = or :");
    }
    let section = section.ok_or("stands in front of the first [section]: [DEFAULT] is what programs have in common")?;
    let value = unquoted(value.trim_matches(is_blank));
    Ok(Entry { section: section.to_owned(), key: key.to_owned(), value: value.to_owned(), line: number })
}

/// Without the quotation marks around it. A single one is both the first and the last.
fn unquoted(value: &str) -> &str {
    let inside = |quote| match value.strip_prefix(quote) {
        Some("") => Some(""),
        Some(rest) => rest.strip_suffix(quote),
        None => None,
    };
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// The files of a command line; later ones override earlier ones.
#[derive(Default)]
pub struct Files {
    files: Vec<(PathBuf, Vec<Entry>)>,
}

/// An entry, and the file that it is in.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// The file.
    pub path: &'a Path,
    /// What it says.
    pub entry: &'a Entry,
}

impl fmt::Display for Found<'_> {
    /// `PATH:LINE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.entry.line)
    }
}

/// As long as a value may get when other options are put in.
const LONGEST: usize = 1 << 16;
/// As many options as may stand for one another.
const DEEPEST: usize = 16;

impl Files {
    /// Adds a file, which overrides those that are there.
    ///
    /// # Errors
    /// See [`read`].
    pub fn add(&mut self, path: PathBuf, text: &str) -> Result<(), Vec<Malformed>> {
        self.files.push((path, read(text)?));
        Ok(())
    }

    /// What is said about an option that has these names, each in its section: by the last file that says anything, under the
    /// first of the names that it uses, there at the end.
    pub fn get(&self, names: &[(&str, &str)]) -> Option<Found<'_>> {
        self.files.iter().rev().find_map(|(path, entries)| {
            names.iter().find_map(|(section, key)| {
                let entry = entries.iter().rev().find(|entry| entry.section == *section && entry.key == *key)?;
                Some(Found { path, entry })
            })
        })
    }

    /// Everything, file by file.
    pub fn entries(&self) -> impl Iterator<Item = Found<'_>> {
        self.files.iter().flat_map(|(path, entries)| entries.iter().map(move |entry| Found { path, entry }))
    }

    /// Whether any file says anything in this section.
    pub fn has_section(&self, section: &str) -> bool {
        self.entries().any(|found| found.entry.section == section)
    }

    /// `value` with what `$name`, `${name}` and `${section.name}` stand for: options of `section`, otherwise of `[DEFAULT]`.
    /// `$$` and `\$` are a dollar sign. oslo.config knows the defaults of options, too, which are not known here.
    ///
    /// # Errors
    /// Why it cannot be, as the end of a sentence.
    pub fn substituted(&self, section: &str, value: &str) -> Result<String, String> {
        self.substitute(section, value, 0)
    }

    fn substitute(&self, section: &str, value: &str, depth: usize) -> Result<String, String> {
        let mut result = String::new();
        let escaped: Cow<str> = if value.contains("\\$") { value.replace("\\$", "$$").into() } else { value.into() };
        let mut rest: &str = &escaped;
        while let Some((before, behind)) = rest.split_once('$') {
            result.push_str(before);
            if let Some(behind) = behind.strip_prefix('$') {
                result.push('$');
                rest = behind;
            } else if let Some((name, behind)) = reference(behind) {
                result.push_str(&self.referred(section, name, depth)?);
                rest = behind;
            } else {
                result.push('$');
                rest = behind;
            }
            if result.len() > LONGEST {
                return Err(format!("is longer than {LONGEST} bytes with what $... in it stands for"));
            }
        }
        result.push_str(rest);
        Ok(result)
    }

    fn referred(&self, section: &str, name: &str, depth: usize) -> Result<String, String> {
        let found = match name.split_once('.') {
            Some((section, name)) => self.get(&[(section, name)]),
            None => self.get(&[(section, name)]).or_else(|| self.get(&[("DEFAULT", name)])),
        };
        match found {
            None => Err(format!(
                "has ${name} in it, an option that no file sets: write its value instead, or $$ if a dollar sign is meant"
            )),
            Some(_) if depth == DEEPEST => Err(format!("has ${name} in it, which stands for itself in the end")),
            Some(Found { entry, .. }) => self.substitute(&entry.section, &entry.value, depth.saturating_add(1)),
        }
    }
}

/// The name behind a `$`, in braces or not, and what follows.
fn reference(behind: &str) -> Option<(&str, &str)> {
    let inside = behind.strip_prefix('{');
    let text = inside.unwrap_or(behind);
    let name = |c: char| c == '_' || c.is_ascii_alphabetic();
    if !text.starts_with(name) {
        return None;
    }
    let end = text.find(|c: char| !(name(c) || c == '.' || c.is_ascii_digit())).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if inside.is_some() { Some((name, rest.strip_prefix('}')?)) } else { Some((name, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn files(texts: &[&str]) -> Result<Files, Vec<Malformed>> {
        let mut files = Files::default();
        for (number, text) in texts.iter().enumerate() {
            files.add(format!("{number}.conf").into(), text)?;
        }
        Ok(files)
    }

    /// The option as oslo.config gives it; null if nobody sets it, an object if that is an error.
    fn option(files: &Files, section: &str, key: &str) -> Value {
        let Some(found) = files.get(&[(section, key)]) else { return Value::Null };
        match files.substituted(section, &found.entry.value) {
            Ok(value) => value.into(),
            Err(why) => serde_json::json!({ "error": why }),
        }
    }

    #[test]
    fn every_text_is_read_as_oslo_config_reads_it() {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/pxe_filter/oslo.json")).unwrap();
        assert!(cases.len() > 60);
        for case in cases {
            let texts: Vec<_> = case["files"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
            let read = files(&texts);
            if let Some(line) = case["malformed"].as_u64() {
                let first = read.err().unwrap_or_else(|| panic!("{case}"))[0].line;
                assert_eq!(u64::try_from(first), Ok(line), "{case}");
                continue;
            }
            let read = read.unwrap_or_else(|malformed| panic!("{case}: {malformed:?}"));
            for (name, expected) in case["options"].as_object().unwrap() {
                let (section, key) = name.split_once('.').unwrap();
                let value = option(&read, section, key);
                if expected.is_object() {
                    assert!(value.is_object(), "{case}: {name} = {value}");
                } else {
                    assert_eq!(value, *expected, "{case}: {name}");
                }
            }
        }
    }

    #[test]
    fn every_line_that_cannot_be_read_is_named_and_not_repeated() {
        let malformed = read("a = 1\n[b\n\n secret\n[]\nsecret\n  more\n: secret\n[a]\nx = 1\n").err().unwrap();
        let lines: Vec<_> = malformed.iter().map(|one| one.line).collect();
        assert_eq!(lines, [1, 2, 4, 5, 6, 8]);
        assert!(malformed.iter().all(|one| !one.to_string().contains("secret")));
    }

    #[test]
    fn names_are_asked_in_order_within_a_file_and_files_from_the_last() {
        let files = files(&["[a]\nnew = 1\nold = 2\n", "[b]\nx = 3\n[a]\nold = 4\n"]).unwrap();
        let of = |names: &[(&str, &str)]| files.get(names).map(|found| format!("{found} {}", found.entry.value));
        assert_eq!(of(&[("a", "new"), ("a", "old")]).unwrap(), "1.conf:4 4");
        assert_eq!(of(&[("a", "new")]).unwrap(), "0.conf:2 1");
        assert_eq!(of(&[("c", "new")]), None);
    }

    #[test]
    fn options_that_stand_for_many_others_end_somewhere() {
        let doubled: Vec<_> = (0..15).map(|n| format!("x{n} = $x{0}$x{0}\n", n + 1)).collect();
        let files = files(&[&format!("[a]\n{}x15 = {}\n", doubled.concat(), "y".repeat(100))]).unwrap();
        assert!(option(&files, "a", "x0").is_object());
        assert_eq!(option(&files, "a", "x6").as_str().map(str::len), Some(100 << 9));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[\\[\\]a-c=:,'\"$.{}\\\\# ;\\n\\t\\r\u{feff}é]{0,80}") {
            let count = lines(&text).count();
            match files(&[&text]) {
                Ok(files) => for found in files.entries() {
                    prop_assert!((1..=count).contains(&found.entry.line));
                    let _ = files.substituted(&found.entry.section, &found.entry.value);
                },
                Err(malformed) => prop_assert!(malformed.iter().all(|one| (1..=count).contains(&one.line))),
            }
        }

        #[test]
        fn what_is_escaped_is_what_is_read(value in "[a-z$#;= \"']{1,20}") {
            prop_assume!(value == value.trim());
            let text = format!("[a]\nx = \"{}\"\n", value.replace('$', "$$"));
            prop_assert_eq!(option(&files(&[&text]).unwrap(), "a", "x"), Value::from(value));
        }
    }
}
