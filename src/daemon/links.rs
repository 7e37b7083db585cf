//! What becomes a port of a bridge, or ceases to be one, from rtnetlink's multicast group for links.
//!
//! An uplink that nobody named may join a bridge at any time, at boot usually after we have loaded the policy. Only that
//! something changed is taken from the messages: who asks reads all ports anew.

use crate::error::Result;
use crate::netlink::Messages;
use crate::netlink::group::Came;
use crate::source::rtnetlink::{IFINFOMSG, IFLA_MASTER, LinkGroup, RTM_DELLINK, RTM_NEWLINK};
use rustix::fd::{AsFd, BorrowedFd};

/// The listener.
pub struct Links(LinkGroup);

impl Links {
    /// Joins the group, which needs no privilege. Do so before ports are read for the first time.
    ///
    /// # Errors
    /// No sockets can be had.
    pub fn listen() -> Result<Self> {
        // Messages are read as far as is looked at: the kernel writes an interface's master before what can be long. A lost
        // one counts as a change.
        LinkGroup::listen(1 << 20, 1 << 14).map(Self)
    }

    /// Takes in all that has come; whether the ports of bridges may have changed.
    ///
    /// # Errors
    /// The socket failed.
    pub fn changed(&mut self) -> Result<bool> {
        let mut changed = false;
        self.0.drain(|came| {
            changed |= match came {
                Came::Datagram(datagram, is_cut) => is_cut || concerns_ports(datagram),
                Came::Loss => true,
            };
        })?;
        Ok(changed)
    }
}

/// Whether a datagram is about something that belongs to something else, or about something that goes.
fn concerns_ports(datagram: &[u8]) -> bool {
    Messages(datagram).any(|message| match message.kind {
        RTM_NEWLINK => message.attributes(IFINFOMSG).get(IFLA_MASTER).is_some(),
        // Also sent, with the family of bridges, when a port leaves its bridge.
        RTM_DELLINK => true,
        _ => false,
    })
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Writer;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn link(kind: u16, master: Option<u32>) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.message(kind, 0, 0, &[0; IFINFOMSG], |writer| {
            writer.text(3, "eth0");
            if let Some(master) = master {
                writer.attribute(IFLA_MASTER, &master.to_ne_bytes());
            }
        });
        writer.finish().expect("fits")
    }

    #[test]
    fn ports_that_come_and_go_concern_us_and_single_interfaces_do_not() {
        assert!(concerns_ports(&link(RTM_NEWLINK, Some(4))));
        assert!(!concerns_ports(&link(RTM_NEWLINK, None)));
        assert!(concerns_ports(&link(RTM_DELLINK, None)));
        assert!(concerns_ports(&[link(RTM_NEWLINK, None), link(RTM_NEWLINK, Some(4))].concat()));
    }

    proptest! {
        #[test]
        fn hostile_bytes_make_no_panic(noise in vec(any::<u8>(), 0..200)) {
            concerns_ports(&noise);
        }
    }
}
