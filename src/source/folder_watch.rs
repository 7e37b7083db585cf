//! A folder watched by inotify(7): for what happens to its files, while it is there; and it may be removed and made again, so
//! its nearest ancestor is watched while it is not.

use crate::error::{Error, Result, in_words};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode.
type Identity = (u64, u64);

/// The watch.
pub struct FolderWatch {
    inotify: OwnedFd,
    path: PathBuf,
    events: WatchFlags,
    watched: Option<(i32, Identity)>,
    ancestor: Option<(i32, PathBuf)>,
}

const IN_FOLDER: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF).union(WatchFlags::ONLYDIR);
const IN_ANCESTOR: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// The watch itself is of no use any more.
const LOST: ReadFlags = ReadFlags::DELETE_SELF.union(ReadFlags::MOVE_SELF).union(ReadFlags::IGNORED);

/// What the events do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing: they are all.
    All,
    /// Some were lost, or the folder is another than before: look at everything.
    NotAll,
}

impl FolderWatch {
    /// Watches the folder, which need not exist, for these events of its files.
    ///
    /// # Errors
    /// The system has no inotify instance or watch left.
    pub fn new(path: &Path, events: WatchFlags) -> Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(|error| unwatched(path, error, "raise fs.inotify.max_user_instances"))?;
        let mut watch = Self { inotify, path: path.to_owned(), events, watched: None, ancestor: None };
        watch.establish()?;
        Ok(watch)
    }

    /// Shows what happened to the files of the folder, and their names.
    ///
    /// # Errors
    /// The folder can be watched no more.
    pub fn take(&mut self, mut see: impl FnMut(ReadFlags, &OsStr)) -> Result<Told> {
        let (mut told, mut lost) = (Told::All, false);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => break,
                Err(error) => return Err(unwatched(&self.path, error, "start again")),
            };
            let (what, watch) = (event.events(), event.wd());
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                told = Told::NotAll;
            } else if self.watched.is_some_and(|(folder, _)| folder == watch) {
                if let Some(name) = event.file_name().map(CStr::to_bytes) {
                    see(what, OsStr::from_bytes(name));
                }
                lost |= what.intersects(LOST);
            } else {
                lost |= self.ancestor.as_ref().is_some_and(|(ancestor, _)| *ancestor == watch);
            }
        }
        if lost {
            self.establish()?;
        }
        Ok(if lost { Told::NotAll } else { told })
    }

    /// Whether what is watched is what is at the path by now, and puts that right. A folder further up may have been
    /// renamed, or something mounted: of that, inotify says nothing.
    ///
    /// # Errors
    /// The folder can be watched no more.
    pub fn is_still_there(&mut self) -> Result<bool> {
        if self.watched.map(|(_, identity)| identity) == identity(&self.path) {
            return Ok(true);
        }
        self.establish()?;
        Ok(false)
    }

    fn establish(&mut self) -> Result<()> {
        self.forget();
        loop {
            match inotify::add_watch(&self.inotify, &self.path, self.events | IN_FOLDER) {
                Ok(watch) => {
                    // Before the identity is asked for the folder may have been exchanged again; that shows later.
                    self.watched = Some((watch, identity(&self.path).unwrap_or_default()));
                    if let Some((ancestor, _)) = self.ancestor.take() {
                        let _ = inotify::remove_watch(&self.inotify, ancestor);
                    }
                    return Ok(());
                }
                Err(Errno::NOSPC) => {
                    return Err(unwatched(&self.path, Errno::NOSPC, "raise fs.inotify.max_user_watches"));
                }
                Err(_) => {}
            }
            // In between the folder may be made, or more of what is above it: until nothing new is found.
            let absolute = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
            let Some(above) = absolute.ancestors().skip(1).find(|above| above.is_dir()) else { return Ok(()) };
            if self.ancestor.as_ref().is_some_and(|(_, watched)| watched == above) {
                return Ok(());
            }
            let watch = match inotify::add_watch(&self.inotify, above, IN_ANCESTOR) {
                Ok(watch) => watch,
                // Removed since we looked: what is above that will do.
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                Err(Errno::ACCESS) => return Err(unwatched(above, Errno::ACCESS, "let us read it")),
                Err(error) => return Err(unwatched(above, error, "raise fs.inotify.max_user_watches")),
            };
            if let Some((before, _)) = self.ancestor.replace((watch, above.to_owned())) {
                let _ = inotify::remove_watch(&self.inotify, before);
            }
        }
    }

    fn forget(&mut self) {
        let watches = self.watched.take().map(|(watch, _)| watch).into_iter();
        for watch in watches.chain(self.ancestor.take().map(|(watch, _)| watch)) {
            // It may be gone already.
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }
}

impl AsFd for FolderWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn unwatched(path: &Path, error: Errno, remedy: &str) -> Error {
    Error::new(format!("cannot watch {}: {}", path.display(), in_words(&error.into()))).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Between the look for an ancestor and its watch the ancestor may be removed: the watch ended there, and the guard with it.
    #[test]
    fn folders_that_come_and_go_all_the_time_end_no_watch() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b/c");
        let mut watch = FolderWatch::new(&folder, WatchFlags::MOVED_TO).unwrap();
        thread::scope(|scope| {
            let comes_and_goes = scope.spawn(|| {
                for _ in 0..5_000 {
                    let _ = fs::create_dir_all(&folder);
                    let _ = fs::remove_dir_all(root.path().join("a"));
                }
            });
            while !comes_and_goes.is_finished() {
                watch.is_still_there().unwrap();
                watch.take(|_, _| {}).unwrap();
            }
        });
        fs::create_dir_all(&folder).unwrap();
        watch.take(|_, _| {}).unwrap();
        fs::write(folder.join("new"), "").unwrap();
        fs::rename(folder.join("new"), folder.join("file")).unwrap();
        let mut seen = Vec::new();
        watch.take(|_, name| seen.push(name.to_owned())).unwrap();
        assert_eq!(seen, ["file"]);
    }
}
