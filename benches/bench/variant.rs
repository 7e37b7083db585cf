//! The ways to guard a bridge that are compared.

use crate::measure::measure;
use crate::registry::Bench;
use std::error::Error;
use std::process::Command;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    /// One veth pair and no bridge.
    NoBridge,
    /// A bridge without any table.
    NoTable,
    /// The original's chains.
    Rules,
    /// The same protection over sets.
    Sets,
    /// Every protection, where it can in rules.
    RulesStrict,
    /// Every protection, over sets.
    SetsStrict,
}

impl Variant {
    pub(crate) const GUARDED: [Self; 4] = [Self::Rules, Self::Sets, Self::RulesStrict, Self::SetsStrict];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NoBridge => "no bridge",
            Self::NoTable => "no table",
            Self::Rules => "rules",
            Self::Sets => "sets",
            Self::RulesStrict => "rules strict",
            Self::SetsStrict => "sets strict",
        }
    }

    /// What `instances-process` is told.
    pub(crate) const fn options(self) -> Option<[&'static str; 4]> {
        match self {
            Self::NoBridge | Self::NoTable => None,
            Self::Rules => Some(["--layout", "rules", "--guard", "spec"]),
            Self::Sets => Some(["--layout", "sets", "--guard", "spec"]),
            Self::RulesStrict => Some(["--layout", "rules", "--guard", "strict"]),
            Self::SetsStrict => Some(["--layout", "sets", "--guard", "strict"]),
        }
    }

    pub(crate) const fn is_strict(self) -> bool {
        matches!(self, Self::RulesStrict | Self::SetsStrict)
    }

    /// The largest number of instances for which it is measured: a frame that walks 100,000 rules needs a millisecond.
    pub(crate) const fn most(self) -> usize {
        match self {
            Self::Rules => 10_000,
            Self::RulesStrict => 1000,
            _ => usize::MAX,
        }
    }

    /// `instances-process` with the options of this variant, for all bridges of the namespace.
    pub(crate) fn command(self, bench: &Bench, task: &[&str]) -> Command {
        let mut command = bench.process();
        command.args(task).args(["--apply", "--hook", "*"]).args(self.options().into_iter().flatten());
        command
    }

    /// Puts it in force in this thread's network namespace.
    pub(crate) fn put_in_force(self, bench: &Bench) -> Result<(), Box<dyn Error>> {
        if self.options().is_some() {
            measure(&mut self.command(bench, &["--force"]))?;
        }
        Ok(())
    }
}
