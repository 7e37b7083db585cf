//! A packet socket (packet(7)) that hears one interface, behind the filter.

use super::filter;
use crate::sink::packet_socket::LinkLayer;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::{setsockopt_impl, sockopt_impl};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;
use socket2::{Domain, SockFilter, Socket, Type};
use std::io::{self, IoSliceMut};

/// The socket.
pub(super) struct Ear(Socket);

/// What sockets read into, one after the other.
pub(super) struct Buffers {
    frame: Vec<u8>,
    control: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { frame: vec![0; filter::LONGEST.into()], control: vec![0; 128] }
    }
}

sockopt_impl!(
    /// Tells of the tag that was taken off.
    AuxiliaryData, SetOnly, libc::SOL_PACKET, libc::PACKET_AUXDATA, bool
);
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
        setsockopt(&socket, AuxiliaryData, &true)?;
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

    /// The next frame's content as `judge` sees it, and the VLAN of its outermost tag; none if it is nothing to `judge`.
    ///
    /// # Errors
    /// EAGAIN: there is no frame. ENETDOWN: the interface went down, or is gone.
    pub fn hear<T>(
        &self,
        buffers: &mut Buffers,
        judge: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<(T, Option<u16>)>, Errno> {
        let mut pieces = [IoSliceMut::new(&mut buffers.frame)];
        let control = Some(buffers.control.as_mut_slice());
        let heard = recvmsg::<()>(self.0.as_raw_fd(), &mut pieces, control, MsgFlags::MSG_DONTWAIT)
            .map_err(|error| Errno::from_raw_os_error(error as i32))?;
        let frame = heard.iovs().next().unwrap_or_default();
        let Some(content) = judge(frame) else { return Ok(None) };
        // Only now, for nix copies it.
        let tag = heard.cmsgs().ok().and_then(|mut messages| messages.find_map(|message| tag(&message)));
        Ok(Some((content, tag)))
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The VLAN in a struct tpacket_auxdata (linux/if_packet.h); 0 is none, but a priority.
fn tag(message: &ControlMessageOwned) -> Option<u16> {
    /// TP_STATUS_VLAN_VALID: there was a tag.
    const HAD_TAG: u32 = 0x10;
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let header = &message.cmsg_header;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    let data = &message.data_bytes;
    let status = u32::from_ne_bytes(*data.first_chunk()?);
    let control = u16::from_ne_bytes(*data.get(16..)?.first_chunk()?);
    let vlan = control & 0xfff;
    (status & HAD_TAG != 0 && vlan != 0).then_some(vlan)
}
