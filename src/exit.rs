//! Every exit status of the programs, in one place.

use std::process::ExitCode;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing had to be done and that is a success (`instances-update`).
    Done = 0,
    /// Failed, with a message; or `--check` found a difference.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// `instances-process`: no update was detected, so nothing was done.
    NothingToDo = 10,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
