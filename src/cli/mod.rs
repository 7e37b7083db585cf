//! Command lines: one module per program, each lowered once into typed values; and what all main functions have in common.

#[cfg(feature = "nfdhcpd")]
pub mod nfdhcpd;
pub mod process;
#[cfg(feature = "pxe-filter")]
pub mod pxe_filter;
pub mod update;

use crate::error::{Error, Result};
use crate::exit::Exit;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The environment as a function, so that lowering a command line can be tested without changing it.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Writes a result.
///
/// # Errors
/// It cannot be written. A reader that went away (`| head`) is no failure.
pub fn print(out: &mut dyn Write, text: std::fmt::Arguments) -> Result<()> {
    written(out.write_fmt(text))
}

/// What became of writing to standard output.
pub(crate) fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let message = format!("cannot write to standard output: {}", crate::error::in_words(&error));
            Err(Error::new(message))
        }
        _ => Ok(()),
    }
}

/// The end of a main function: the last of `out`, and what went wrong, if so, as one line on standard error.
pub fn finish(program: &str, ended: Result<Exit>, out: &mut dyn Write) -> ExitCode {
    let flushed = written(out.flush());
    match ended.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let _ = io::stderr().write_all(format!("{program}: {error}\n").as_bytes());
            Exit::Failed.into()
        }
    }
}
