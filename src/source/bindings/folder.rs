//! The folder of binding files: which of its files count, what happens to them, and reading one without ever waiting for it.

use super::file::{self, Parsed, Problem};
use crate::error::{Error, Result, in_words};
use crate::source::folder_watch::{FolderWatch, Told};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::inotify::{ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The folder.
pub struct Folder {
    path: PathBuf,
    watch: FolderWatch,
}

/// Which files may be others than before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// These, in the names' order; they may be gone.
    pub files: BTreeSet<Box<str>>,
    /// Whether others may be, too.
    pub all: bool,
}

/// A file, read.
#[derive(Debug)]
pub enum Content {
    /// It is not there, or none that counts.
    None,
    /// It is a binding.
    Binding(Box<Parsed>, Version),
    /// It should be one.
    Wrong(Problem, Version),
}

/// Device, inode, size and time of the last change: which version of a file was read.
pub type Version = (u64, u64, i64, i64, u64);

/// Hard links are only ever created; what is created otherwise is empty until it is closed.
const EVENTS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB);

/// Many times what a binding with everything has, bytes.
pub const LONGEST: u64 = 1 << 16;

/// What editors, package managers and atomic writers leave beside the files that they write.
const LEFT_ALONE: [&str; 9] = ["~", ".new", ".tmp", ".bak", ".swp", ".swx", ".dpkg-old", ".dpkg-new", ".dpkg-dist"];

/// Whether a file of this name is a binding file.
pub fn counts(name: &str) -> bool {
    !name.starts_with(['.', '#']) && !LEFT_ALONE.iter().any(|ending| name.ends_with(ending))
}

fn counting(name: &OsStr) -> Option<&str> {
    name.to_str().filter(|name| counts(name))
}

impl Folder {
    /// Watches the folder, which need not exist.
    ///
    /// # Errors
    /// The system has no inotify instance or watch left.
    pub fn watch(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), watch: FolderWatch::new(path, EVENTS)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes in what happened.
    ///
    /// # Errors
    /// The folder can be watched no more.
    pub fn changes(&mut self) -> Result<Changes> {
        let mut changes = Changes::default();
        let path = &self.path;
        let told = self.watch.take(|what, name| {
            let is_dir = what.contains(ReadFlags::ISDIR) && !what.contains(ReadFlags::MOVED_TO);
            if let Some(name) = counting(name).filter(|_| !is_dir)
                && (what != ReadFlags::CREATE || is_linked(&path.join(name)))
            {
                changes.files.insert(name.into());
            }
        })?;
        changes.all = told == Told::NotAll;
        Ok(changes)
    }

    /// Whether what is watched is what is at the path by now, and puts that right; see [`FolderWatch::is_still_there`].
    ///
    /// # Errors
    /// The folder can be watched no more.
    pub fn is_still_there(&mut self) -> Result<bool> {
        self.watch.is_still_there()
    }

    /// The names of all files that count; `None` if there is no folder.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> Result<Option<Vec<Box<str>>>> {
        let unread = |error: &std::io::Error| {
            let message = format!("cannot read the bindings in {}: {}", self.path.display(), in_words(error));
            Error::new(message).remedy("give the user that is configured the right to read the folder and its files")
        };
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unread(&error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unread(&error))?;
            names.extend(counting(&entry.file_name()).map(Box::from));
        }
        Ok(Some(names))
    }

    /// Reads one file.
    pub fn read(&self, name: &str) -> Content {
        let path = self.path.join(name);
        let stat = match rustix::fs::statat(CWD, &path, AtFlags::empty()) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return Content::None,
            Err(error) => return Content::Wrong(unread(error), Version::default()),
        };
        let version = version(&stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Content::None,
            FileType::RegularFile => match text(&path) {
                Ok(text) => match file::parse(&text) {
                    Ok(parsed) => Content::Binding(Box::new(parsed), version),
                    Err(problem) => Content::Wrong(problem, version),
                },
                Err(Errno::NOENT) => Content::None,
                Err(Errno::FBIG) => Content::Wrong(whole(format!("longer than {LONGEST} bytes: no binding")), version),
                Err(error) => Content::Wrong(unread(error), version),
            },
            // Opening a FIFO or a device may have effects, and reading one may never end.
            _ => Content::Wrong(whole("not a regular file".to_owned()), version),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// Whether it came into being with its content: as another name of a file, or a symbolic one.
fn is_linked(path: &Path) -> bool {
    rustix::fs::lstat(path)
        .is_ok_and(|stat| stat.st_nlink > 1 || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile)
}

/// Its content, unless that is too long. Not blocking: what is there may be another file by now.
fn text(path: &Path) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut text = Vec::with_capacity(512);
    let read = file.take(LONGEST + 1).read_to_end(&mut text);
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if text.len() as u64 > LONGEST { Err(Errno::FBIG) } else { Ok(text) }
}

fn version(stat: &Stat) -> Version {
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap, reason = "the types differ between architectures")]
    (stat.st_dev as u64, stat.st_ino as u64, stat.st_size as i64, stat.st_ctime as i64, stat.st_ctime_nsec as u64)
}

fn whole(why: String) -> Problem {
    Problem { line: None, why }
}

fn unread(error: Errno) -> Problem {
    whole(format!("cannot be read: {}", in_words(&error.into())))
}
