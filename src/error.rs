//! What went wrong, to what, and what to do about it: one line for a person.

use std::path::Path;
use std::{fmt, io};

/// A failure as a person should read it. The parts are joined into one line.
#[derive(Debug)]
pub struct Error {
    message: String,
    remedy: Option<String>,
}

/// Shorthand for results with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure that has no remedy but what the message says.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: None }
    }

    /// A failed system call on a file.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(format!("cannot {doing} {}: {}", path.display(), in_words(error)));
        match error.kind() {
            io::ErrorKind::StorageFull => failure.remedy("free some space; what was there before is untouched"),
            io::ErrorKind::PermissionDenied => {
                failure.remedy("run as the user who owns the folder (dnsmasq: dhcp-scriptuser)")
            }
            io::ErrorKind::NotFound => failure.remedy("make its folder first, or choose another path"),
            io::ErrorKind::ReadOnlyFilesystem => failure.remedy("choose a writable place"),
            _ => failure,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// The system's words without Rust's ` (os error N)`.
pub(crate) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().map_or_else(|| text.clone(), str::to_owned)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
