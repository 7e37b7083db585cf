//! `--print-config`: the configuration as a file that can be read back, with who says what. Without secrets.

use super::access::secret_in_words;
use super::lookup::{Said, SaidBlock};
use super::options::{ALL, Kind};
use super::written::Source;
use std::fmt::Write as _;

/// Longer lines have their comment where they end.
const WIDEST: usize = 60;

/// The file's text.
pub(super) fn text(mut said: Vec<Said>, blocks: &[SaidBlock], secret: &Source) -> String {
    let place = |section: &str, name: &str| {
        ALL.iter().position(|option| (option.about().section, option.about().name) == (section, name))
    };
    said.sort_by_key(|said| place(said.section, said.name));
    let mut text = "# Configuration of instances-proxmox(8); behind each value is who says it.\n".to_owned();
    let mut section = "";
    for about in ALL.iter().map(|option| option.about()) {
        if about.section != section {
            section = about.section;
            let _ = writeln!(text, "\n[{section}]");
        }
        if let Some(said) = said.iter().find(|said| (said.section, said.name) == (about.section, about.name)) {
            line(&mut text, said);
        } else if about.name == "token_file" {
            let _ = writeln!(text, "{}", one_line(&secret_in_words(secret)));
        }
    }
    for SaidBlock { section, keys } in blocks {
        let _ = writeln!(text, "\n[[{section}]]");
        for said in keys {
            line(&mut text, said);
        }
    }
    text
}

fn line(text: &mut String, Said { name, kind, items, source, .. }: &Said) {
    let value = if kind.is_list() {
        let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
        format!("[{}]", items.join(", "))
    } else {
        items.first().map_or_else(|| quoted(""), |item| scalar(*kind, item))
    };
    let key = format!("{name} = {value}");
    let _ = writeln!(text, "{key:WIDEST$}  # {}", one_line(&source.to_string()));
}

/// As bare as TOML allows it.
fn scalar(kind: Kind, text: &str) -> String {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_number =
        is_digits(whole) && is_digits(part) && (whole == "0" || !whole.starts_with('0')) && whole.len() < 10;
    let is_bare = match kind {
        Kind::Number => is_number,
        Kind::Switch => matches!(text, "true" | "false"),
        _ => false,
    };
    if is_bare { text.to_owned() } else { quoted(text) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// For a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["", "a", "a \"b\" \\ c", "\t\n\u{1b}\u{7f}\u{85}", "é 漢", "'"] {
            let toml = format!("a = {}", quoted(text));
            let (document, wrong) = super::super::document::Document::read("f", &toml);
            assert!(wrong.is_empty(), "{toml}: {wrong:?}");
            let super::super::document::Value::One(scalar) = &document.entries[0].value else { panic!("{toml}") };
            assert_eq!(scalar.text, text);
        }
        assert_eq!(scalar(Kind::Number, "1.5"), "1.5");
        for odd in ["007", "1e3", "1.", "any", "+1", "12345678901"] {
            assert_eq!(scalar(Kind::Number, odd), format!("\"{odd}\""));
        }
    }
}
