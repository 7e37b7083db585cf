//! Command lines: one module per program, each lowered once into typed values.

pub mod process;
pub mod update;

use std::ffi::OsString;

/// The environment as a function, so that lowering a command line can be tested without changing it.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;
