//! What reading links and addresses, and listening to changes of them, has in common (linux/rtnetlink.h, linux/if_link.h).

use crate::netlink::DumpError;

pub(crate) const RTM_NEWLINK: u16 = 16;
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
