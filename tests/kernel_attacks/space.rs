//! Network namespaces by handle: leftovers are impossible, and no name can clash.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::os::fd::AsRawFd;

/// A network namespace. It goes when the last handle, socket and process in it are gone.
pub struct Space(File);

impl Space {
    /// A new one, with its loopback up.
    pub fn new() -> Self {
        let outside = Self::here();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let space = Self::here();
        crate::netns::run("ip", &["link", "set", "lo", "up"]);
        setns(&outside.0, CloneFlags::CLONE_NEWNET).unwrap();
        space
    }

    /// That of the calling thread.
    pub fn here() -> Self {
        Self(File::open("/proc/thread-self/ns/net").unwrap())
    }

    /// Where `ip` finds it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Does something inside, in the calling thread. Sockets that it opens and processes that it starts stay inside.
    pub fn enter<T>(&self, action: impl FnOnce() -> T) -> T {
        let outside = Self::here();
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
        let result = action();
        setns(&outside.0, CloneFlags::CLONE_NEWNET).unwrap();
        result
    }
}
