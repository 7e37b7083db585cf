//! What becomes a port of a bridge, or ceases to be one, from rtnetlink's multicast group for links.
//!
//! An uplink that nobody named may join a bridge at any time, at boot usually after we have loaded the policy. Only that
//! something changed is taken from the messages: who asks reads all ports anew.

use crate::error::{Error, Result, in_words};
use crate::netlink::Messages;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};

/// RTNLGRP_LINK, as a bit.
const GROUP: u32 = 1;
/// Bytes of messages that may wait while we work. A lost one counts as a change.
const QUEUE: usize = 1 << 20;
/// Longer than any message's part that is looked at: the kernel writes an interface's master before what can be long.
const LONGEST: usize = 1 << 14;

const RTM_NEWLINK: u16 = 16;
/// Also sent, with the family of bridges, when a port leaves its bridge.
const RTM_DELLINK: u16 = 17;
/// struct ifinfomsg.
const IFINFOMSG: usize = 16;
const IFLA_MASTER: u16 = 10;

/// The socket.
pub struct Links {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Links {
    /// Joins the group, which needs no privilege. Do so before ports are read for the first time.
    ///
    /// # Errors
    /// No sockets can be had.
    pub fn listen() -> Result<Self> {
        let socket = Self::open().map_err(|error| {
            Error::new(format!("cannot listen to changes of network interfaces: {}", in_words(&error.into())))
        })?;
        Ok(Self { socket, buffer: vec![0; LONGEST] })
    }

    fn open() -> Result<OwnedFd, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // NETLINK_ROUTE is 0, which is what no protocol means.
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE);
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        Ok(socket)
    }

    /// Takes in all that has come; whether the ports of bridges may have changed.
    ///
    /// # Errors
    /// The socket failed.
    pub fn changed(&mut self) -> Result<bool> {
        let mut changed = false;
        loop {
            match rustix::net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((read, length)) => {
                    changed |= length > read || concerns_ports(self.buffer.get(..read).unwrap_or_default());
                }
                Err(Errno::WOULDBLOCK) => return Ok(changed),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => changed = true,
                Err(error) => {
                    let message = format!("no more news of network interfaces: {}", in_words(&error.into()));
                    return Err(Error::new(message).remedy("start again"));
                }
            }
        }
    }
}

/// Whether a datagram is about something that belongs to something else, or about something that goes.
fn concerns_ports(datagram: &[u8]) -> bool {
    Messages(datagram).any(|message| match message.kind {
        RTM_NEWLINK => message.attributes(IFINFOMSG).get(IFLA_MASTER).is_some(),
        RTM_DELLINK => true,
        _ => false,
    })
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
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
