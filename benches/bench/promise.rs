//! What is promised, and how it turned out.

use serde_json::{Value, json};
use std::fmt;

/// A bound.
#[derive(Clone, Copy)]
pub(crate) enum At {
    Most(f64),
    Least(f64),
}

/// What the README promises, and how it turned out: words, never a failure.
pub(crate) struct Promise {
    what: String,
    value: f64,
    bound: At,
    unit: &'static str,
}

impl Promise {
    pub(crate) fn new(what: impl Into<String>, value: f64, bound: At, unit: &'static str) -> Self {
        Self { what: what.into(), value, bound, unit }
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let (limit, bound) = match self.bound {
            At::Most(bound) => ("at_most", bound),
            At::Least(bound) => ("at_least", bound),
        };
        let unit = self.unit.trim_start();
        json!({"what": self.what, "value": self.value, "unit": unit, limit: bound, "kept": self.is_kept()})
    }

    fn is_kept(&self) -> bool {
        match self.bound {
            At::Most(bound) => self.value <= bound,
            At::Least(bound) => self.value >= bound,
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, bound, unit } = self;
        let (limit, bound) = match bound {
            At::Most(bound) => ("at most", bound),
            At::Least(bound) => ("at least", bound),
        };
        let verdict = if self.is_kept() { "kept" } else { "NOT KEPT" };
        write!(f, "{what:<70} {value:8.2}{unit:<4}  ({limit} {bound}{unit}: {verdict})")
    }
}
