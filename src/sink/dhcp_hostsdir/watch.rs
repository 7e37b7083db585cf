//! Our own watch of the folder: who else writes to it, and what dnsmasq has opened, that is, read.

use crate::error::{Error, Result, in_words};
use crate::sink::folder::Folder;
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use tokio::io::unix::AsyncFd;

/// What is told.
const EVENTS: WatchFlags = WatchFlags::OPEN
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
const GONE: ReadFlags = ReadFlags::DELETE_SELF.union(ReadFlags::MOVE_SELF).union(ReadFlags::IGNORED);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Somebody opened the folder, to list it.
    Listed,
    /// Somebody opened this file.
    Opened(&'a [u8]),
    /// This file may be another than before.
    Changed(&'a [u8]),
    /// The folder was moved or deleted.
    Gone,
    /// More than could be told.
    Lost,
}

/// The watch.
pub struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    /// The system has no inotify instance or watch left.
    pub fn new(folder: &Folder) -> Result<Self> {
        let path = folder.path();
        let unwatched = |error: Errno, remedy: &str| {
            Error::new(format!("cannot watch {}: {}", path.display(), in_words(&error.into()))).remedy(remedy)
        };
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(|error| unwatched(error, "raise fs.inotify.max_user_instances"))?;
        // By the descriptor: whatever is at the path by now.
        let by_descriptor =
            format!("/proc/self/fd/{}/.", std::os::fd::AsRawFd::as_raw_fd(&rustix::fd::AsFd::as_fd(folder)));
        inotify::add_watch(&inotify, by_descriptor, EVENTS)
            .map_err(|error| unwatched(error, "raise fs.inotify.max_user_watches"))?;
        #[allow(deprecated, reason = "its successor is unsafe for descriptors that are not owned; this one is")]
        let watch = AsyncFd::new(inotify);
        let watch =
            watch.map_err(|error| Error::new(format!("cannot watch {}: {}", path.display(), in_words(&error))))?;
        Ok(Self(watch))
    }

    /// Shows what happened since the last time.
    pub fn take(&self, mut see: impl FnMut(Event)) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = Reader::new(self.0.get_ref(), &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let (what, name) = (event.events(), event.file_name().map(std::ffi::CStr::to_bytes).unwrap_or_default());
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                see(Event::Lost);
            } else if what.intersects(GONE) {
                see(Event::Gone);
            } else if what.contains(ReadFlags::OPEN) {
                see(if name.is_empty() { Event::Listed } else { Event::Opened(name) });
            } else if !name.is_empty() {
                see(Event::Changed(name));
            }
        }
    }

    /// Waits until something happened.
    pub async fn wait(&self) {
        match self.0.readable().await {
            // First, so that nothing is missed that happens while events are taken.
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }
}
