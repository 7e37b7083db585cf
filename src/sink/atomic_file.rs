//! Files that are replaced as a whole: a reader sees the old content or the new one, also after a crash.

use crate::error::{Error, Result, in_words};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Permissions of a new file. dnsmasq reads hosts files as its own user, so not less.
const NEW_FILE: Mode = Mode::from_raw_mode(0o644);

/// New content for `path`, not in force before [`Synced::commit`]. Dropped without it, nothing has happened.
///
/// The temporary file is `.NAME.new` beside the target: on the same file system, ignored by dnsmasq, and always the
/// same, so that a killed writer leaves at most one. Writers of one path must exclude each other.
pub struct Pending<'a> {
    path: &'a Path,
    temporary: PathBuf,
    file: io::BufWriter<File>,
    /// Opened beforehand: after the rename nothing but the disk may fail any more.
    folder: File,
}

impl<'a> Pending<'a> {
    /// Starts a replacement. Mode and owner are those of the file that is there, else 0644 and our own.
    ///
    /// # Errors
    /// The folder is missing or not writable, or something that is no regular file is in the way.
    pub fn new(path: &'a Path) -> Result<Self> {
        let file_name = path.file_name().ok_or_else(|| Error::new(format!("{}: not a file", path.display())))?;
        let mut temporary_name = OsString::from(".");
        temporary_name.push(file_name);
        temporary_name.push(".new");
        let temporary = path.with_file_name(temporary_name);

        let existing = match fs::symlink_metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("write", path, &error)),
        };
        if let Some(metadata) = existing.as_ref().filter(|metadata| !metadata.is_file()) {
            return Err(not_a_file("write", path, metadata));
        }

        let failed = |error: io::Error| Error::io("write", path, &error);
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = File::open(folder).map_err(failed)?;
        // O_EXCL after unlink: a planted symlink or hard link is never written through.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, &temporary, flags, NEW_FILE).map_err(|error| failed(error.into()))?;
        let file = File::from(fd);
        let pending = Self { path, temporary, file: io::BufWriter::with_capacity(1 << 16, file), folder };
        pending.take_over(existing.as_ref())?;
        Ok(pending)
    }

    fn take_over(&self, existing: Option<&fs::Metadata>) -> Result<()> {
        let file = self.file.get_ref();
        let failed = |error: io::Error| Error::io("write", self.path, &error);
        if let Some(old) = existing {
            let new = file.metadata().map_err(failed)?;
            let (user, group) = (old.uid(), old.gid());
            if (user, group) != (new.uid(), new.gid()) {
                rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group))).map_err(|error| {
                    let why = in_words(&error.into());
                    let message = format!("cannot write {}: its owner cannot be kept: {why}", self.path.display());
                    Error::new(message).remedy(format!("run as its owner (uid {user}, gid {group}) or as root"))
                })?;
            }
        }
        // Not left to the umask.
        let mode = existing.map_or(NEW_FILE, |old| Mode::from_raw_mode(old.mode() & 0o7777));
        rustix::fs::fchmod(file, mode).map_err(|error| failed(error.into()))
    }

    /// Writes everything out to the disk; what can fail for want of space fails here.
    pub fn sync(mut self) -> Result<Synced<'a>> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|error| Error::io("write", self.path, &error))?;
        Ok(Synced(self))
    }
}

/// New content that is safe on the disk, not in force before [`Synced::commit`].
pub struct Synced<'a>(Pending<'a>);

impl Synced<'_> {
    /// Puts the new content in force: rename, then sync of the folder. Returns what the file is now.
    ///
    /// # Errors
    /// The rename failed, and nothing has changed; or the disk failed, and the new content may be gone after a crash.
    pub fn commit(self) -> Result<fs::Metadata> {
        let Self(pending) = self;
        let failed = |error: io::Error| Error::io("write", pending.path, &error);
        fs::rename(&pending.temporary, pending.path).map_err(failed)?;
        pending.folder.sync_all().map_err(failed)?;
        pending.file.get_ref().metadata().map_err(failed)
    }
}

impl Write for Pending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        // After a commit there is none.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Replaces a file by what `write` writes.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut pending = Pending::new(path)?;
    write(&mut pending).map_err(|error| Error::io("write", path, &error))?;
    pending.sync()?.commit().map(drop)
}

/// Opens a regular file for reading; `None` if there is none.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open_existing(path: &Path) -> Result<Option<(File, fs::Metadata)>> {
    let failed = |error: io::Error| Error::io("read", path, &error);
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_file() {
        return Err(not_a_file("read", path, &metadata));
    }
    // It may have been exchanged meanwhile: neither follow a link nor wait for a FIFO's writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd =
        rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| unopened("read", path, &error.into()))?;
    let file = File::from(fd);
    let metadata = file.metadata().map_err(failed)?;
    Ok(Some((file, metadata)))
}

/// Opens a regular file for reading, wherever a link may lead. It does not wait for a FIFO's writer.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// The error for a path that could not be opened without following links: what is there, if that is the reason.
pub fn unopened(doing: &str, path: &Path, error: &io::Error) -> Error {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => not_a_file(doing, path, &metadata),
        _ => Error::io(doing, path, error),
    }
}

/// The error for something that is in the place of a regular file.
pub fn not_a_file(doing: &str, path: &Path, metadata: &fs::Metadata) -> Error {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        let remedy = "name the place it points to instead, so that it can be replaced in one step";
        return Error::new(format!("cannot {doing} {}: it is a symbolic link", path.display())).remedy(remedy);
    }
    let what = if kind.is_dir() { "a folder" } else { "not a regular file" };
    Error::new(format!("cannot {doing} {}: it is {what}", path.display())).remedy("move it out of the way")
}
