//! Metrics as a strict reader of OpenMetrics' text format (1.0.0) takes them: not a line may be other than it says.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test crate uses its part")]

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample.
pub type Labels = BTreeMap<String, String>;

/// What was exposed: samples by their names.
pub struct Exposition(pub BTreeMap<String, Vec<(Labels, f64)>>);

impl Exposition {
    /// Reads all of it.
    ///
    /// # Panics
    /// It is not as it should be; says where.
    pub fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("it does not end with # EOF"));
        let mut families: BTreeMap<String, String> = BTreeMap::new();
        let (mut family, mut kind) = (String::new(), String::new());
        let (mut all, mut series) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
        for line in body.strip_suffix('\n').unwrap_or(body).split('\n') {
            if let Some(meta) = line.strip_prefix("# ") {
                let mut words = meta.splitn(3, ' ');
                let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""));
                match what {
                    "HELP" => {
                        assert!(!families.contains_key(name), "a family twice: {line}");
                        name.clone_into(&mut family);
                    }
                    "TYPE" => {
                        assert_eq!(name, family, "{line}");
                        rest.clone_into(&mut kind);
                        families.insert(family.clone(), kind.clone());
                    }
                    "UNIT" => assert!(name == family && family.ends_with(&format!("_{rest}")), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, labels, value) = sample(line);
            let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} amid {family}"));
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "gauge" | "unknown" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => panic!("a type {kind}"),
            };
            assert!(suffixes.contains(&suffix), "{line} in a {kind}");
            assert!(kind != "info" || (value - 1.0).abs() < f64::EPSILON, "{line}");
            assert!(series.insert((name.clone(), labels.clone())), "twice: {line}");
            all.entry(name).or_default().push((labels, value));
        }
        Self(all)
    }

    /// The samples of this name that have these labels, among others.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&(Labels, f64)> {
        let has = |sample: &&(Labels, f64)| {
            labels.iter().all(|(name, value)| sample.0.get(*name).is_some_and(|there| there == value))
        };
        self.0.get(name).into_iter().flatten().filter(has).collect()
    }

    /// The only one of these; none: there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.find(name, labels);
        assert!(found.len() < 2, "{name} {labels:?}: {found:?}");
        found.first().map(|sample| sample.1)
    }
}

/// `name{label="value",...} 1.5`.
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            inside = inside.strip_prefix(',').unwrap_or(inside);
            let (label, quoted) = inside.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label), "{line}");
            let (value, after) = unquoted(quoted).unwrap_or_else(|| panic!("a quote is open: {line}"));
            assert!(labels.insert(label.to_owned(), value).is_none(), "a label twice: {line}");
            inside = after;
        }
        rest = inside.strip_prefix('}').unwrap();
    }
    let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok());
    (name.to_owned(), labels, value.unwrap_or_else(|| panic!("no number: {line}")))
}

fn is_name(text: &str) -> bool {
    let is_first = |first: char| first.is_ascii_alphabetic() || first == '_';
    text.starts_with(is_first) && text.chars().all(|character| is_first(character) || character.is_ascii_digit())
}

/// What is before the closing quote, and what is behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return text.get(index + 1..).map(|rest| (value, rest)),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            _ => value.push(character),
        }
    }
    None
}
