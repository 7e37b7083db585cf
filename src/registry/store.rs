//! Reading and replacing `P.json`.

use super::model::Registry;
use super::wire::{self, Offsets};
use crate::error::{Error, Result};
use crate::sink::atomic_file::{Pending, open_existing, unopened};
use rustix::fs::{CWD, Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Largest file that is taken for a registry, in bytes: about a million instances.
const LARGEST: u64 = 256 << 20;

/// Which content of which file: changes whenever somebody writes to the file or replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Device and inode.
    pub file: (u64, u64),
    /// Size in bytes.
    pub size: u64,
    /// Time of last modification, seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Time of last status change; nobody can set it back.
    pub changed: (i64, i64),
}

impl Version {
    /// All of it as numbers.
    pub fn numbers(&self) -> [u64; 7] {
        let times = [self.modified.0, self.modified.1, self.changed.0, self.changed.1].map(i64::cast_unsigned);
        let [modified, modified_nsec, changed, changed_nsec] = times;
        [self.file.0, self.file.1, self.size, modified, modified_nsec, changed, changed_nsec]
    }

    /// The version that an open or looked-up file has.
    pub fn of(metadata: &fs::Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The version of the file at `path`, if there is one.
    pub fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

/// Where each instance stands in which version of the file.
#[derive(Debug)]
pub struct Layout {
    /// The version.
    pub version: Version,
    /// The places.
    pub offsets: Offsets,
}

/// A registry as it was read.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What it says.
    pub registry: Registry,
    /// How the file is laid out; `None` if there is none, which counts as an empty registry.
    pub layout: Option<Layout>,
}

/// Opens the registry; `None` if there is none.
///
/// # Errors
/// It cannot be opened, is no regular file, or is too large.
pub fn open(path: &Path) -> Result<Option<(File, fs::Metadata)>> {
    let opened = open_existing(path)?;
    if let Some((_, metadata)) = &opened {
        refuse_size(path, metadata.len())?;
    }
    Ok(opened)
}

fn refuse_size(path: &Path, size: u64) -> Result<()> {
    if size <= LARGEST {
        return Ok(());
    }
    let message = format!("{}: {size} bytes are too many for a registry", path.display());
    Err(Error::new(message)
        .remedy(format!("the largest that is read has {LARGEST} bytes; move it away or make it smaller")))
}

/// Reads the registry; a missing one is empty.
///
/// # Errors
/// As [`open`], or it is malformed: path, line and column are named.
pub fn read(path: &Path) -> Result<Snapshot> {
    let Some((file, metadata)) = open(path)? else { return Ok(Snapshot::default()) };
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1);
    // It may grow while we read, but not without end.
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| Error::io("read", path, &error))?;
    match wire::parse(&text) {
        Ok((registry, offsets)) => {
            Ok(Snapshot { registry, layout: Some(Layout { version: Version::of(&metadata), offsets }) })
        }
        Err(wire::Malformed { line, column, message }) => {
            let message = format!("{}:{line}:{column}: {message}", path.display());
            Err(Error::new(message).remedy("mend the file or move it away; it was left as it is"))
        }
    }
}

/// Replaces the registry and raises the flag, in this order: the new content is safe on disk, the flag is up, the new
/// content is in force. A crash in between costs a needless processing, never a missed one.
///
/// # Errors
/// Something cannot be written; then the registry is as it was, but for a failing disk after the rename.
pub fn replace(path: &Path, flag: &Path, registry: &Registry) -> Result<Layout> {
    let mut pending = Pending::new(path)?;
    let printed = wire::print(registry, &mut pending).map_err(|error| Error::io("write", path, &error))?;
    refuse_size(path, printed.size)?;
    let pending = pending.sync()?;
    raise(flag)?;
    let metadata = pending.commit()?;
    Ok(Layout { version: Version::of(&metadata), offsets: printed.offsets })
}

/// Creates or touches the flag. The time is set by us: the kernel's own has only the timer's resolution, and whoever
/// processes the registry must see that the flag was raised again.
fn raise(flag: &Path) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, flag, flags, Mode::from_raw_mode(0o644))
        .map_err(io::Error::from)
        .and_then(|fd| File::from(fd).set_modified(std::time::SystemTime::now()))
        .map_err(|error| unopened("touch", flag, &error))
}
