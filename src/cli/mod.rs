//! Command lines: one module per program, each lowered once into typed values; and what all main functions have in common.

#[cfg(feature = "nfdhcpd")]
pub mod nfdhcpd;
pub mod process;
#[cfg(feature = "proxmox")]
pub mod proxmox;
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

/// Far more than any configuration has.
#[cfg(any(feature = "nfdhcpd", feature = "proxmox", feature = "pxe-filter"))]
const LONGEST_CONFIGURATION: u64 = 1 << 20;

/// The text of a configuration file; `None` if it need not be there and is not.
#[cfg(any(feature = "nfdhcpd", feature = "proxmox", feature = "pxe-filter"))]
fn configuration_text(path: &std::path::Path, required: bool) -> Result<Option<String>> {
    let read = || {
        let mut text = Vec::new();
        let file = std::fs::File::open(path)?;
        io::Read::read_to_end(&mut io::Read::take(file, LONGEST_CONFIGURATION), &mut text)?;
        Ok::<_, io::Error>(text)
    };
    match read() {
        Ok(text) if u64::try_from(text.len()).is_ok_and(|length| length == LONGEST_CONFIGURATION) => {
            Err(Error::new(format!("the configuration {} is larger than 1 MiB", path.display())))
        }
        Ok(text) => Ok(Some(String::from_utf8(text).map_err(|error| {
            let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n');
            let line = line.count().saturating_add(1);
            Error::new(format!("{}:{line}: not UTF-8", path.display())).remedy("write it in UTF-8")
        })?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => Ok(None),
        Err(error) => {
            let why = crate::error::in_words(&error);
            let failure = Error::new(format!("cannot read the configuration {}: {why}", path.display()));
            let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
            Err(if is_denied { failure.remedy("run as root, or as somebody who may read it") } else { failure })
        }
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
