//! A netlink multicast group: what the kernel tells everybody who listens.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, sockopt};

/// A socket that listens, and what it reads into.
pub struct Group {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What a group is listened to with.
pub struct Kind {
    /// The netlink family; `None`: NETLINK_ROUTE, which is 0.
    pub family: Option<Protocol>,
    /// The groups, a bit each.
    pub groups: u32,
    /// Bytes of messages that may wait while we work. What is more gets lost.
    pub queue: usize,
    /// Bytes of a datagram that are read.
    pub longest: usize,
}

/// One thing that came.
pub enum Came<'a> {
    /// A datagram, and whether it was longer than what was read of it.
    Datagram(&'a [u8], bool),
    /// Some were lost.
    Loss,
}

impl Group {
    /// Joins the group.
    ///
    /// # Errors
    /// No sockets can be had, or no permission.
    pub fn listen(kind: &Kind) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, kind.family)?;
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, kind.queue);
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, kind.groups))?;
        Ok(Self { socket, buffer: vec![0; kind.longest] })
    }

    /// Shows all that has come to `see`.
    ///
    /// # Errors
    /// The socket failed.
    pub fn drain(&mut self, mut see: impl FnMut(Came)) -> Result<(), Errno> {
        loop {
            match rustix::net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((read, length)) => {
                    see(Came::Datagram(self.buffer.get(..read).unwrap_or_default(), length > read));
                }
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => see(Came::Loss),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
