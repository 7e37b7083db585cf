//! What reading links and addresses has in common (linux/rtnetlink.h, linux/if_link.h).

use crate::netlink::DumpError;

pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const IFLA_IFNAME: u16 = 3;
/// struct ifinfomsg.
pub(super) const IFINFOMSG: usize = 16;

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
