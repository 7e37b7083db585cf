//! What one part of the benchmark found: a table for people, JSON for programs.

use crate::promise::Promise;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt;

/// What a part found, for people (`Display`) and programs.
pub(crate) trait Table: fmt::Display {
    fn to_json(&self) -> Value;
}

/// A table with its promises.
pub(crate) struct Section {
    /// As in `cargo bench -- PART`.
    pub(crate) part: &'static str,
    /// What the numbers are.
    pub(crate) title: String,
    /// Heads of the columns.
    pub(crate) columns: Vec<String>,
    /// Labels and cells.
    pub(crate) rows: Vec<(String, Vec<String>)>,
    pub(crate) promises: Vec<Promise>,
    pub(crate) remarks: Vec<String>,
    /// All numbers.
    pub(crate) results: Vec<Value>,
}

impl Section {
    pub(crate) fn new(part: &'static str, title: impl Into<String>, columns: Vec<String>) -> Self {
        let (rows, promises, remarks, results) = Default::default();
        Self { part, title: title.into(), columns, rows, promises, remarks, results }
    }

    pub(crate) fn row(&mut self, label: impl Into<String>, cells: Vec<String>) {
        self.rows.push((label.into(), cells));
    }

    /// Remarks that something could not be measured, with the first line of why.
    pub(crate) fn skip(&mut self, what: &str, why: &dyn Error) {
        let why = why.to_string();
        let why = why.lines().next().unwrap_or_default();
        // What a program said, without how it was called.
        let why = why.split_once("): ").map_or(why, |(_, said)| said);
        self.remarks.push(format!("SKIPPED {what}: {why}"));
    }
}

impl Table for Section {
    fn to_json(&self) -> Value {
        json!({
            "part": self.part,
            "results": self.results,
            "promises": self.promises.iter().map(Promise::to_json).collect::<Vec<_>>(),
            "remarks": self.remarks,
        })
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(column));
            cells.chain(self.columns.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.columns.len()).map(widest).collect();
        let first = self.rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
        let line = |f: &mut fmt::Formatter, label: &str, cells: &[String]| {
            write!(f, "{label:first$}")?;
            for (cell, width) in cells.iter().zip(&widths) {
                write!(f, "   {cell:>width$}")?;
            }
            writeln!(f)
        };
        writeln!(f, "\n{}", self.title)?;
        line(f, "", &self.columns)?;
        for (label, cells) in &self.rows {
            line(f, label, cells)?;
        }
        if !self.promises.is_empty() {
            writeln!(f)?;
        }
        for promise in &self.promises {
            writeln!(f, "{promise}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "\n{remark}")?;
        }
        Ok(())
    }
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    percentile(values, 50)
}

/// The value that so many of a hundred do not exceed.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, hundredths: usize) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get((values.len() * hundredths / 100).min(values.len().saturating_sub(1))).copied()
}
