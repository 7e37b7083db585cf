//! A packet socket (packet(7)) that hears one interface, behind the filter.

use super::filter;
use crate::sink::packet_socket::LinkLayer;
use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;

/// The socket.
pub(super) struct Ear(Socket);

/// What sockets read into, one after the other.
pub(super) struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; filter::LONGEST.into()])
    }
}

sockopt_impl!(
    /// Does not hear what goes out.
    IgnoreOutgoing, SetOnly, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, bool
);
sockopt_impl!(
    /// Has the interface's hardware let groups through that nobody here is in.
    Membership, SetOnly, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, libc::packet_mreq
);

impl Ear {
    /// Hears what comes in by the interface with this index. `is_port`: of a bridge, which lets all groups through anyway.
    ///
    /// # Errors
    /// EPERM: CAP_NET_RAW is missing. ENODEV: there is no such interface any more.
    pub fn open(interface: u32, is_port: bool) -> io::Result<Self> {
        // Of no protocol: it hears nothing before the filter is in place.
        let socket = Socket::new_raw(Domain::PACKET, Type::RAW.nonblocking(), None)?;
        socket.attach_filter(&filter::PROGRAM.map(|(what, so, not, with)| SockFilter::new(what, so, not, with)))?;
        setsockopt(&socket, IgnoreOutgoing, &true)?;
        if !is_port {
            let membership = libc::packet_mreq {
                mr_ifindex: interface.cast_signed(),
                mr_type: u16::try_from(libc::PACKET_MR_ALLMULTI).unwrap_or_default(),
                mr_alen: 0,
                mr_address: [0; 8],
            };
            setsockopt(&socket, Membership, &membership)?;
        }
        rustix::net::bind(&socket, &LinkLayer::everything(interface))?;
        Ok(Self(socket))
    }

    /// The next frame's content as `judge` sees it, the kernel has taken its outermost tag off; none if it is nothing to `judge`.
    ///
    /// # Errors
    /// EAGAIN: there is no frame. ENETDOWN: the interface went down, or is gone.
    pub fn hear<T>(&self, buffer: &mut Buffer, judge: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Errno> {
        let (length, _) = rustix::net::recv(&self.0, buffer.0.as_mut_slice(), RecvFlags::DONTWAIT)?;
        Ok(judge(buffer.0.get(..length).unwrap_or_default()))
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
