//! nfdhcpd's configuration file, as ConfigObj reads it: `[section]`, `key = value # comment`, values in quotes, lists with
//! commas. Only what is written is read here, with the lines; what it means is up to [`crate::cli::nfdhcpd`].

use crate::net::Shown;
use std::fmt;

/// `key = value`, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The section's name, without brackets; empty in front of the first.
    pub section: &'a str,
    /// The key's name.
    pub key: &'a str,
    /// The value, or several if commas separate them; none if there is nothing behind `=`.
    pub values: Vec<&'a str>,
    /// As it is written, without the comment.
    pub written: &'a str,
    /// The line, from 1.
    pub line: usize,
}

/// A line that is none of a configuration's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
    /// What it is, and what it should be.
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

/// Everything a file says, in its order.
///
/// # Errors
/// Each line that cannot be read, and each key that is there twice: ConfigObj does not take those either.
pub fn read(text: &str) -> Result<Vec<Entry<'_>>, Vec<Malformed>> {
    let (mut entries, mut malformed): (Vec<Entry>, Vec<Malformed>) = (Vec::new(), Vec::new());
    let mut section = "";
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let number = number.saturating_add(1);
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let read = if content.starts_with('[') {
            heading(content).map(|name| section = name)
        } else {
            entry(section, content, number).and_then(|entry| {
                let same = |other: &&Entry| (other.section, other.key) == (entry.section, entry.key);
                if let Some(first) = entries.iter().find(same) {
                    return Err(format!("{} is there already, in line {}", Shown(entry.key), first.line));
                }
                entries.push(entry);
                Ok(())
            })
        };
        malformed.extend(read.err().map(|why| Malformed { line: number, why }));
    }
    if malformed.is_empty() { Ok(entries) } else { Err(malformed) }
}

fn heading(content: &str) -> Result<&str, String> {
    let wrong = || format!("{} is no section: [NAME] is expected", Shown(content));
    let (name, rest) = content.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
    let name = unquoted(name.trim());
    let rest = rest.trim_start();
    let right = !name.is_empty() && !name.starts_with('[') && (rest.is_empty() || rest.starts_with('#'));
    if right { Ok(name) } else { Err(wrong()) }
}

fn entry<'a>(section: &'a str, content: &'a str, line: usize) -> Result<Entry<'a>, String> {
    let wrong = || format!("{} is neither [section] nor key = value nor # comment", Shown(content));
    let (key, rest) = content.split_once('=').ok_or_else(wrong)?;
    let key = unquoted(key.trim());
    if key.is_empty() {
        return Err(wrong());
    }
    let (values, written) = values(rest).map_err(|why| format!("{}: {why}", Shown(key)))?;
    Ok(Entry { section, key, values, written, line })
}

/// The values behind `=`, and what is written there without the comment.
fn values(text: &str) -> Result<(Vec<&str>, &str), &'static str> {
    let mut values = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (value, behind) = match rest.chars().next() {
            None | Some('#') => break,
            Some(quote @ ('"' | '\'')) => {
                let inner = rest.strip_prefix(quote).unwrap_or_default();
                inner.split_once(quote).ok_or("a quotation mark is never closed")?
            }
            Some(_) => {
                let end = rest.find([',', '#']).unwrap_or(rest.len());
                let (value, behind) = rest.split_at(end);
                (value.trim_end(), behind)
            }
        };
        let behind = behind.trim_start();
        match behind.chars().next() {
            // A lonely comma is ConfigObj's empty list.
            Some(',') if value.is_empty() && !rest.starts_with(['"', '\'']) && !values.is_empty() => {
                return Err("there is nothing between two commas");
            }
            None | Some('#' | ',') => {}
            Some(_) => return Err("something follows the closing quotation mark"),
        }
        if !value.is_empty() {
            values.push(value);
        }
        rest = behind;
        let Some(next) = behind.strip_prefix(',') else { break };
        rest = next.trim_start();
    }
    let written = text.get(..text.len().saturating_sub(rest.len())).unwrap_or(text).trim();
    Ok((values, written))
}

fn unquoted(name: &str) -> &str {
    let inside = |quote| name.strip_prefix(quote).and_then(|name: &str| name.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(line: &str) -> Vec<String> {
        let entries = read(line).unwrap_or_else(|why| panic!("{line}: {why:?}"));
        entries[0].values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn values_are_read_as_configobj_reads_them() {
        for (line, values) in [
            ("k = 192.0.2.1", vec!["192.0.2.1"]),
            ("k=192.0.2.1#comment", vec!["192.0.2.1"]),
            ("\tk\t=\t3600 \t# 1 hour", vec!["3600"]),
            ("k = a, b,c", vec!["a", "b", "c"]),
            ("k = a,", vec!["a"]),
            ("k = ,", vec![]),
            ("k =", vec![]),
            ("k = # nothing", vec![]),
            ("k = \"a # b, c\" # d", vec!["a # b, c"]),
            ("k = 'a', \"b\",  c", vec!["a", "b", "c"]),
            ("\"k\" = x=y", vec!["x=y"]),
            ("k = two words", vec!["two words"]),
        ] {
            assert_eq!(of(line), values, "{line}");
        }
    }

    #[test]
    fn sections_comments_and_lines_are_told_apart() {
        let text = "\u{feff}# a\n## b\n\n[general] # c\r\nuser = nobody # d\r\n  [ 'ipv6' ]\n  mode = auto\n[general]\nx = 1\n";
        let entries = read(text).unwrap();
        let seen: Vec<_> = entries.iter().map(|entry| (entry.section, entry.key, entry.written, entry.line)).collect();
        assert_eq!(seen, [("general", "user", "nobody", 5), ("ipv6", "mode", "auto", 7), ("general", "x", "1", 9)]);
    }

    #[test]
    fn every_line_that_cannot_be_read_is_named() {
        let text = "nonsense\n[a\n[[b]]\n[]\n= 1\nk = \"x\nk = 'x' y\nk = a,,b\n[s] x\nk = 1\nk = 2\n";
        let lines: Vec<_> = read(text).unwrap_err().iter().map(|malformed| malformed.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
        assert_eq!(read("[a]\nk = 1\nk = 2").unwrap_err()[0].to_string(), "3: k is there already, in line 2");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[\\[\\]a-c=,'\"# \\n\\t\\r\u{feff}é]{0,80}") {
            let lines = text.lines().count();
            match read(&text) {
                Ok(entries) => prop_assert!(entries.iter().all(|entry| (1..=lines).contains(&entry.line))),
                Err(malformed) => prop_assert!(malformed.iter().all(|one| (1..=lines).contains(&one.line))),
            }
        }

        #[test]
        fn what_is_written_in_quotes_is_what_is_read(values in proptest::collection::vec("[a-z #,=']{1,9}", 1..5)) {
            let line = format!("k = {} # comment", values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(" , "));
            prop_assert_eq!(of(&line), values);
        }
    }
}
