//! The folder of the registry, watched: files in it are replaced by rename, so they cannot be watched themselves.

use crate::error::Result;
use crate::source::folder_watch::{FolderWatch, Told};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::inotify::{ReadFlags, WatchFlags};
use std::ffi::OsString;
use std::path::Path;

/// The folder, and which files in it count.
pub struct Folder {
    watch: FolderWatch,
    registry: OsString,
    flag: OsString,
}

/// Written by whoever does not replace it, replaced, gone, given other rights. Not created: it is empty then.
const EVENTS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB);
/// Our taking it down is no reason to wake up.
const FLAG_RAISED: ReadFlags = ReadFlags::CLOSE_WRITE.union(ReadFlags::MOVED_TO).union(ReadFlags::ATTRIB);

impl Folder {
    /// Watches the folder of `registry` and `flag`, which need not exist.
    ///
    /// # Errors
    /// The system has no inotify instance or watch left.
    pub fn watch(registry: &Path, flag: &Path) -> Result<Self> {
        let path = match registry.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = |path: &Path| path.file_name().map(ToOwned::to_owned).unwrap_or_default();
        Ok(Self { watch: FolderWatch::new(path, EVENTS)?, registry: name(registry), flag: name(flag) })
    }

    /// Takes in what happened; whether the registry may have changed.
    ///
    /// # Errors
    /// The folder can be watched no more.
    pub fn changed(&mut self) -> Result<bool> {
        let mut changed = false;
        let told = self.watch.take(|what, name| {
            changed |= name == self.registry;
            changed |= name == self.flag && what.intersects(FLAG_RAISED);
        })?;
        Ok(changed || told == Told::NotAll)
    }

    /// Whether what is watched is what is at the path by now, and puts that right. A folder further up may have been
    /// renamed, or something mounted: of that, inotify says nothing.
    ///
    /// # Errors
    /// The folder can be watched no more.
    pub fn is_still_there(&mut self) -> Result<bool> {
        self.watch.is_still_there()
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}
