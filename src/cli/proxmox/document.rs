//! A TOML file taken apart: every value with its line, and all that is wrong with the file as TOML.

use crate::net::Shown;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What stands in a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    /// The file, for people.
    pub path: String,
    /// Keys of the file itself, whose section is empty, and of its sections.
    pub entries: Vec<Entry>,
    /// Tables of which there may be many, `[[network]]`, in their order.
    pub blocks: Vec<Block>,
}

/// One of many tables.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub section: String,
    pub line: usize,
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub section: String,
    pub name: String,
    pub line: usize,
    pub value: Value,
}

/// What is behind the equals sign.
#[derive(Debug, Clone)]
pub(super) enum Value {
    One(Scalar),
    Many(Vec<Scalar>),
    /// Something that no key of ours has.
    Odd(&'static str),
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    pub text: String,
    /// As TOML calls it: string, integer, float, boolean.
    pub kind: &'static str,
    pub line: usize,
}

/// Where lines begin, to know a place's line.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place).collect())
    }

    fn at(&self, place: usize) -> usize {
        self.0.partition_point(|end| *end < place) + 1
    }

    fn line<T>(&self, spanned: &Spanned<T>) -> usize {
        self.at(spanned.span().start)
    }
}

impl Document {
    /// Reads a file's text; with what is wrong, a line each. What stands in the file is not repeated there: it may be a secret.
    pub(super) fn read(path: &str, text: &str) -> (Self, Vec<String>) {
        let lines = Lines::of(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        let wrong = errors.iter().map(|error| {
            let line = lines.at(error.span().map_or(0, |span| span.start));
            // In a few words of TOML's own; of more lines the first is what is wrong.
            let why = error.message().lines().next().unwrap_or_default();
            format!("{path}:{line}: this is no TOML: {}", Shown(why))
        });
        let wrong = wrong.collect();
        let mut document = Self { path: path.to_owned(), ..Self::default() };
        for (key, value) in table.get_ref() {
            let name = key.get_ref().to_string();
            let line = lines.line(key);
            match tables(value.get_ref()) {
                Some(Tables::One(table)) => document.entries.extend(entries(&name, table, &lines)),
                Some(Tables::Many(tables)) => {
                    for (table, line) in tables.iter().map(|table| (table.0, lines.at(table.1))) {
                        let entries = entries(&name, table, &lines);
                        document.blocks.push(Block { section: name.clone(), line, entries });
                    }
                }
                None => {
                    let value = taken(value, &lines);
                    document.entries.push(Entry { section: String::new(), name, line, value });
                }
            }
        }
        document.entries.sort_by_key(|entry| entry.line);
        (document, wrong)
    }
}

enum Tables<'a, 'i> {
    One(&'a DeTable<'i>),
    /// With where each begins.
    Many(Vec<(&'a DeTable<'i>, usize)>),
}

fn tables<'a, 'i>(value: &'a DeValue<'i>) -> Option<Tables<'a, 'i>> {
    match value {
        DeValue::Table(table) => Some(Tables::One(table)),
        DeValue::Array(array) if !array.is_empty() => {
            let tables = array.iter().map(|value| value.get_ref().as_table().map(|table| (table, value.span().start)));
            tables.collect::<Option<_>>().map(Tables::Many)
        }
        _ => None,
    }
}

fn entries(section: &str, table: &DeTable, lines: &Lines) -> Vec<Entry> {
    let entry = |(key, value): (&Spanned<_>, &Spanned<_>)| Entry {
        section: section.to_owned(),
        name: std::borrow::Cow::to_string(key.get_ref()),
        line: lines.line(key),
        value: taken(value, lines),
    };
    let mut entries: Vec<Entry> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.line);
    entries
}

fn taken(value: &Spanned<DeValue>, lines: &Lines) -> Value {
    match value.get_ref() {
        DeValue::Array(array) => {
            let scalars: Option<_> = array.iter().map(|value| scalar(value, lines)).collect();
            scalars.map_or(Value::Odd("a list of something else than strings and numbers"), Value::Many)
        }
        DeValue::Table(_) => Value::Odd("a table"),
        DeValue::Datetime(_) => Value::Odd("a date or a time"),
        _ => scalar(value, lines).map_or(Value::Odd("a number that is not decimal"), Value::One),
    }
}

fn scalar(value: &Spanned<DeValue>, lines: &Lines) -> Option<Scalar> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(switch) => switch.to_string(),
        _ => return None,
    };
    Some(Scalar { text, kind: value.get_ref().type_str(), line: lines.line(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_line_and_all_mistakes_are_told_without_what_stands_there() {
        let text = "a = 1\n[s]\nb = [\"x\",\n  2]\n\n[[n]]\nc = true\n[[n]]\nd = {e = 1}\n";
        let (document, wrong) = Document::read("f", text);
        assert!(wrong.is_empty(), "{wrong:?}");
        let lines: Vec<_> = document.entries.iter().map(|e| (e.section.as_str(), e.name.as_str(), e.line)).collect();
        assert_eq!(lines, [("", "a", 1), ("s", "b", 3)]);
        let Value::Many(scalars) = &document.entries[1].value else { panic!("{document:?}") };
        let scalars: Vec<_> = scalars.iter().map(|s| (s.text.as_str(), s.kind, s.line)).collect();
        assert_eq!(scalars, [("x", "string", 3), ("2", "integer", 4)]);
        let blocks: Vec<_> = document.blocks.iter().map(|block| (block.line, block.entries.len())).collect();
        assert_eq!(blocks, [(6, 1), (8, 1)]);

        let (_, wrong) = Document::read("f", "a = 5ecre7\n\nb = \"5ecre7\nc = 5ecre7 5ecre7\nd = 1\nd = 2\n");
        assert!(wrong.len() > 2, "{wrong:?}");
        assert!(wrong[0].starts_with("f:1: this is no TOML: "), "{wrong:?}");
        assert!(wrong.iter().all(|line| !line.contains("5ecre7")), "{wrong:?}");
    }
}
