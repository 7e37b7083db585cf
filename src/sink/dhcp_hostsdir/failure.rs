//! Writes that fail: for one file, or for all.

use super::HostsDir;
use crate::error::Error;
use crate::sink::folder::unwritable;
use rustix::io::Errno;
use std::io;

/// What went wrong, and the system's number for it.
pub(super) struct Failure {
    errno: Option<Errno>,
    pub(super) error: Error,
}

impl Failure {
    /// Whether there is no space.
    pub(super) fn is_for_want_of_space(&self) -> bool {
        matches!(self.errno, Some(Errno::NOSPC | Errno::DQUOT))
    }

    /// Whether all other files will have the same.
    pub(super) fn is_of_all(&self) -> bool {
        self.is_for_want_of_space() || matches!(self.errno, Some(Errno::ROFS | Errno::IO | Errno::NFILE | Errno::MFILE))
    }
}

impl HostsDir {
    /// With the file that it was about; all of the folder: empty.
    pub(super) fn failure(&self, name: &str, error: &io::Error) -> Failure {
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        match Errno::from_io_error(error) {
            Some(errno) => Failure { errno: Some(errno), error: unwritable(&path, errno) },
            None => Failure { errno: None, error: Error::io("write", &path, error) },
        }
    }
}
