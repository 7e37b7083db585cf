//! The file that holds our number, locked as long as we live: who finds it locked is second.

use crate::error::{Error, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often we look again whether a locked file without a number stays so ...
const PATIENCE: u32 = 100;
/// ... and how long we wait in between.
const PAUSE: Duration = Duration::from_millis(10);

/// The file, as long as it is ours.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

/// Why it is not ours.
#[derive(Debug)]
pub enum NotOurs {
    /// Somebody else runs with it.
    Taken(Error),
    /// It cannot be written.
    Unwritable(Error),
}

impl From<NotOurs> for Error {
    fn from(why: NotOurs) -> Self {
        match why {
            NotOurs::Taken(error) | NotOurs::Unwritable(error) => error,
        }
    }
}

impl PidFile {
    /// Makes the file, and its folder: /var/run is empty after a boot.
    ///
    /// # Errors
    /// It is another's, or it cannot be written.
    pub fn claim(path: &Path) -> Result<Self, NotOurs> {
        let unwritable = |error: &io::Error| NotOurs::Unwritable(unwritable(path, error));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| unwritable(&error))?;
        }
        let mut patience = PATIENCE;
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
            let mut file = File::from(rustix::fs::open(path, flags, mode).map_err(|error| unwritable(&error.into()))?);
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                // Who has it is about to leave, or to write its number.
                Err(Errno::WOULDBLOCK) if patience > 0 && file.metadata().is_ok_and(|file| file.len() == 0) => {
                    patience -= 1;
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(Errno::WOULDBLOCK) => return Err(NotOurs::Taken(taken(path, &mut file))),
                Err(error) => return Err(unwritable(&error.into())),
            }
            // Whoever had it may have removed it in between.
            let ours = file.metadata().map_err(|error| unwritable(&error))?;
            if fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                written.map_err(|error| unwritable(&error))?;
                return Ok(Self { path: path.to_owned(), file });
            }
        }
    }
}

impl Drop for PidFile {
    /// Who gave up the right to remove it leaves it empty.
    fn drop(&mut self) {
        let _ = self.file.rewind().and_then(|()| self.file.set_len(0));
        let _ = fs::remove_file(&self.path);
    }
}

fn taken(path: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let _ = file.take(32).read_to_string(&mut text);
    let who = text.trim().parse::<u32>().map_or_else(|_| "another process".to_owned(), |pid| format!("process {pid}"));
    Error::new(format!("it runs already: {who} has locked {}", path.display()))
        .remedy("end that one first, or choose another pidfile, datapath and other queues")
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    let error = crate::error::in_words(error);
    Error::new(format!("cannot write the pid file {}: {error}", path.display()))
        .remedy("choose another: [general] pidfile, or --pidfile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_has_one_owner_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/nfdhcpd.pid");
        let first = PidFile::claim(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        let NotOurs::Taken(error) = PidFile::claim(&path).unwrap_err() else { panic!("taken") };
        assert!(
            error.to_string().starts_with(&format!("it runs already: process {} has", std::process::id())),
            "{error}"
        );
        drop(first);
        assert!(!path.exists());
        // What a crash left, longer than what is written.
        fs::write(&path, "12345678\n12345678\n").unwrap();
        drop(PidFile::claim(&path).unwrap());
        fs::create_dir(&path).unwrap();
        assert!(matches!(PidFile::claim(&path), Err(NotOurs::Unwritable(_))));
    }
}
