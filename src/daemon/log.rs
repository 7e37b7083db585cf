//! Where a daemon's log goes: to its standard error, in colours on a terminal, without the time for the journal, which writes that.

use crate::daemon::stderr::stderr;
use crate::error::{Error, Result};
use std::io::IsTerminal as _;
use tracing::level_filters::LevelFilter;

/// Begins to log what is not worth less than this. Once a process.
///
/// # Errors
/// It was done before.
pub fn begin(level: LevelFilter) -> Result<()> {
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_ansi(is_terminal);
    let set = if std::env::var_os("JOURNAL_STREAM").is_some() {
        tracing::subscriber::set_global_default(lines.with_writer(stderr).without_time().finish())
    } else {
        tracing::subscriber::set_global_default(lines.with_writer(stderr).finish())
    };
    set.map_err(|error| Error::new(format!("cannot log: {error}")))
}
