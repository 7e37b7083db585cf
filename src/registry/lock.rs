//! `P.lock`: one flock for everybody who touches the registry, the Python original included.

use crate::error::{Error, Result};
use crate::sink::atomic_file::unopened;
use fs2::FileExt;
use rustix::fs::{CWD, Mode, OFlags};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a lock is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The lock, held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, waiting at most [`PATIENCE`].
    ///
    /// # Errors
    /// The file cannot be opened, or somebody holds it for longer.
    pub fn acquire(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(1);
        loop {
            let file = open(path).map_err(|error| unopened("lock", path, &error))?;
            match file.try_lock_exclusive() {
                // Somebody may have removed the file between open and lock: then this lock excludes nobody.
                Ok(()) if is_still_at(&file, path) => return Ok(Self { file }),
                Ok(()) => {}
                Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {}
                Err(error) => return Err(Error::io("lock", path, &error)),
            }
            if Instant::now() >= deadline {
                let message = format!("{} is held by another program for more than 10 s", path.display());
                let remedy = format!("see who holds it with: fuser -v {}", path.display());
                return Err(Error::new(message).remedy(remedy));
            }
            // flock has no time limit of its own, and signals are not for libraries.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The locked file, in which [`super::probe`] keeps its index.
    pub fn file(&self) -> &File {
        &self.file
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o644))?))
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let ours = file.metadata().map(inode).ok();
    ours.is_some() && ours == fs::symlink_metadata(path).map(inode).ok()
}
