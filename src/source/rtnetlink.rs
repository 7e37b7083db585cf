//! What reading links and addresses, and listening to changes of them, has in common (linux/rtnetlink.h, linux/if_link.h).

use crate::error::{Error, Result};
use crate::netlink::DumpError;
use crate::netlink::group::{Came, Group, Kind};
use rustix::fd::{AsFd, BorrowedFd};

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MASTER: u16 = 10;
/// struct ifinfomsg.
pub(crate) const IFINFOMSG: usize = 16;

/// Repeats a dump that was overtaken by changes, a few times.
pub(super) fn again<T>(mut dump: impl FnMut() -> Result<T, DumpError>) -> Result<T, DumpError> {
    for _ in 0..9 {
        match dump() {
            Err(DumpError::Interrupted) => {}
            ended => return ended,
        }
    }
    dump()
}

pub(super) fn in_words(error: DumpError) -> String {
    match error {
        DumpError::Interrupted => "it changes all the time".to_owned(),
        DumpError::Io(error) => crate::error::in_words(&error),
    }
}

/// A number in host order.
pub(super) fn host_number(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|number| u32::from_ne_bytes(*number))
}

/// RTNLGRP_LINK: what becomes of interfaces.
pub(crate) struct LinkGroup(Group);

impl LinkGroup {
    /// Joins the group, which needs no privilege. `queue` bytes of messages may wait, `longest` of each are read.
    ///
    /// # Errors
    /// No sockets can be had.
    pub(crate) fn listen(queue: usize, longest: usize) -> Result<Self> {
        Group::listen(&Kind { family: None, groups: 1, queue, longest }).map(Self).map_err(|error| {
            let error = crate::error::in_words(&error.into());
            Error::new(format!("cannot listen to changes of network interfaces: {error}"))
        })
    }

    /// Shows all that has come to `see`.
    ///
    /// # Errors
    /// The socket failed.
    pub(crate) fn drain(&mut self, see: impl FnMut(Came)) -> Result<()> {
        self.0.drain(see).map_err(|error| {
            let error = crate::error::in_words(&error.into());
            Error::new(format!("no more news of network interfaces: {error}")).remedy("start again")
        })
    }
}

impl AsFd for LinkGroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
