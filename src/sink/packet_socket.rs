//! Frames to interfaces, all by one packet socket (packet(7)), which is bound to none and receives nothing.
//!
//! One of the crate's two `unsafe`: that an address of the link layer is one, which no crate that we use says for us.

use crate::error::{Error, Result, in_words};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::ptr;

/// The socket.
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens it. Its protocol is 0: the kernel hands it no frame.
    ///
    /// # Errors
    /// No permission (CAP_NET_RAW), or no packet sockets.
    pub fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None) {
            Ok(socket) => Ok(Self(socket)),
            Err(error) => {
                let failure = Error::new(format!("cannot open a packet socket: {}", in_words(&error.into())));
                Err(match error {
                    Errno::PERM | Errno::ACCESS => failure.remedy("run as root, or with CAP_NET_RAW"),
                    _ => failure,
                })
            }
        }
    }

    /// Sends a frame, from its Ethernet destination on, by the interface with this index.
    ///
    /// # Errors
    /// ENXIO, ENODEV: there is no such interface any more. ENETDOWN: it is down. ENOBUFS, EAGAIN: it has no room. EMSGSIZE: the
    /// frame is longer than its MTU allows.
    pub fn send(&self, interface: u32, frame: &[u8]) -> Result<(), Errno> {
        let address = LinkLayer::of(interface, frame);
        loop {
            match rustix::net::sendto(&self.0, frame, SendFlags::empty(), &address) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A link layer's address that names an interface, and what the frame carries; the frame says the rest.
pub(crate) struct LinkLayer(libc::sockaddr_ll);

impl LinkLayer {
    fn of(interface: u32, frame: &[u8]) -> Self {
        let ether_type = frame.get(12..).and_then(|behind| behind.first_chunk()).copied().unwrap_or_default();
        Self::new(interface, ether_type)
    }

    /// Whatever frames carry (ETH_P_ALL): what a socket is bound to that hears all of an interface.
    #[cfg(feature = "proxmox")]
    pub(crate) fn everything(interface: u32) -> Self {
        Self::new(interface, u16::try_from(libc::ETH_P_ALL).unwrap_or_default().to_be_bytes())
    }

    fn new(interface: u32, ether_type: [u8; 2]) -> Self {
        Self(libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
            sll_protocol: u16::from_ne_bytes(ether_type),
            sll_ifindex: interface.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        })
    }
}

// SAFETY: `f` gets a pointer to a whole sockaddr_ll, which lives as long as `self`, and its size.
#[allow(unsafe_code)]
unsafe impl SocketAddrArg for LinkLayer {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        let size = SocketAddrLen::try_from(size_of_val(&self.0)).unwrap_or_default();
        f(ptr::from_ref(&self.0).cast(), size)
    }
}
