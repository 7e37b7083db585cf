//! Sends a batch in one piece and understands what the kernel says to it.
//!
//! One of the crate's two `unsafe`: setsockopt(2) for netlink's own options, which no crate that we use offers.

use super::batch::{self, Batch};
use super::kernel;
use crate::netlink::{ACK_TLVS, Attributes, CAPPED, Connection, ERROR, Message, Messages, REQUEST, Writer};
use std::ffi::c_int;
use std::io;
use std::os::fd::AsRawFd;

/// A netlink connection to nf_tables.
pub struct Socket {
    connection: Connection,
}

/// Why a batch was not committed.
#[derive(Debug)]
pub enum Refusal {
    /// Somebody else committed meanwhile: read again, plan again.
    Stale,
    /// The kernel refused a message.
    Kernel(KernelError),
    /// The batch could not be sent.
    Unsent(io::Error),
    /// The answer did not come: perhaps it was committed.
    NoAnswer(io::Error),
}

/// What the kernel says about a message that it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// errno.
    pub code: i32,
    /// Which message, by its sequence number.
    pub sequence: u32,
    /// The kernel's own words (NLMSGERR_ATTR_MSG).
    pub words: Option<String>,
    /// Where in the message, in bytes from its start (NLMSGERR_ATTR_OFFS).
    pub offset: Option<u32>,
}

/// ERESTART: the generation is not the current one. Not among the errors that a system call may return.
const ERESTART: i32 = 85;
/// NLMSGERR_ATTR_MSG and NLMSGERR_ATTR_OFFS.
const ERROR_WORDS: u16 = 1;
const ERROR_OFFSET: u16 = 2;
/// The sequence number of the question after the batch; no batch has so many messages.
const AFTER_BATCH: u32 = u32::MAX;
/// Bytes of the receive buffer that an error takes, with the kernel's own.
const ANSWER: usize = 2048;

impl Socket {
    /// Connects to nf_tables.
    ///
    /// # Errors
    /// The kernel has no netfilter netlink.
    pub fn open() -> io::Result<Self> {
        let socket = Self { connection: Connection::open(mnl::Bus::Netfilter)? };
        // Since Linux 4.12; without them errors are less well explained.
        let _ = socket.set_option(libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1);
        let _ = socket.set_option(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1);
        Ok(socket)
    }

    /// The connection, for dumps.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The kernel's generation: it changes with every commit of anybody's. What is read from now on is not older.
    ///
    /// # Errors
    /// The kernel has no nf_tables, or refuses.
    pub fn generation(&mut self) -> io::Result<u32> {
        let mut generation = None;
        self.connection.get(
            kernel::GETGEN,
            &[0; kernel::NFGENMSG],
            |_| {},
            |answer| {
                generation = answer.attributes(kernel::NFGENMSG).number(kernel::GEN_ID);
            },
        )?;
        let generation = generation.ok_or_else(|| io::Error::other("the kernel names no generation"))?;
        // The kernel counts a commit a moment before dumps show it. A batch waits for its end, also an empty one, which
        // commits nothing.
        self.connection.socket().send(&batch::empty().map_err(|error| io::Error::other(error.to_string()))?)?;
        Ok(generation)
    }

    /// Sends the batch in one piece and reads all that the kernel says to it.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing of the batch is in force.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), Refusal> {
        self.make_room(batch);
        let sent = self.connection.socket().send(&batch.bytes).map_err(Refusal::Unsent)?;
        if sent != batch.bytes.len() {
            return Err(Refusal::Unsent(io::Error::other("the kernel took only part of it")));
        }
        // The kernel answers in order, so the answer to one more question ends the answers to the batch.
        self.ask_generation(AFTER_BATCH).map_err(Refusal::NoAnswer)?;
        let mut acknowledged = false;
        let mut first_error = None;
        let mut at_end = false;
        while !at_end {
            for message in Messages(self.connection.receive().map_err(Refusal::NoAnswer)?) {
                at_end |= message.sequence == AFTER_BATCH;
                if message.kind == ERROR && message.sequence != AFTER_BATCH {
                    match message.error_code() {
                        0 => acknowledged |= message.sequence == batch.acknowledged,
                        _ => first_error = first_error.or_else(|| Some(kernel_error(&message))),
                    }
                }
            }
        }
        match first_error {
            Some(KernelError { code: ERESTART, .. }) => Err(Refusal::Stale),
            Some(error) => Err(Refusal::Kernel(error)),
            None if acknowledged => Ok(()),
            None => Err(Refusal::NoAnswer(io::Error::other("it did not acknowledge"))),
        }
    }

    fn ask_generation(&self, sequence: u32) -> io::Result<()> {
        let mut request = Writer::default();
        request.message(kernel::GETGEN, REQUEST, sequence, &[0; kernel::NFGENMSG], |_| {});
        let request = request.finish().map_err(|error| io::Error::other(error.to_string()))?;
        self.connection.socket().send(&request).map(drop)
    }

    /// Raises the socket's buffers, above the system's limit where CAP_NET_ADMIN allows it. Where neither is allowed,
    /// sending says so.
    fn make_room(&self, batch: &Batch) {
        let size = batch.bytes.len();
        let _ = self
            .set_option(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, size)
            .or_else(|_| self.set_option(libc::SOL_SOCKET, libc::SO_SNDBUF, size));
        // In the worst case every message is refused.
        self.make_room_for_answers(ANSWER * usize::try_from(batch.acknowledged).unwrap_or_default());
    }

    /// Raises the receive buffer to so many bytes, or as far as is allowed.
    pub fn make_room_for_answers(&self, bytes: usize) {
        let _ = self
            .set_option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
            .or_else(|_| self.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, bytes));
    }

    #[allow(unsafe_code)]
    fn set_option(&self, level: c_int, name: c_int, value: usize) -> io::Result<()> {
        let value = c_int::try_from(value).unwrap_or(c_int::MAX);
        let size = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
        // SAFETY: the descriptor is open for as long as `self.connection` lives, and the kernel reads `size` bytes of
        // `value`, which outlives the call.
        let status = unsafe {
            libc::setsockopt(self.connection.socket().as_raw_fd(), level, name, (&raw const value).cast(), size)
        };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// struct nlmsgerr: code, header of the failed message, the rest of it unless capped, attributes.
fn kernel_error(message: &Message) -> KernelError {
    let quoted = message.body.get(4..).unwrap_or_default();
    let quoted_length = match quoted.first_chunk() {
        Some(length) if message.flags & CAPPED == 0 => usize::try_from(u32::from_ne_bytes(*length)).unwrap_or_default(),
        _ => Message::HEADER,
    };
    let behind = quoted.get(quoted_length.next_multiple_of(4)..).unwrap_or_default();
    let attributes = Attributes(if message.flags & ACK_TLVS == 0 { &[] } else { behind });
    let offset = attributes.get(ERROR_OFFSET).and_then(|offset| offset.try_into().ok()).map(u32::from_ne_bytes);
    KernelError {
        code: message.error_code(),
        sequence: message.sequence,
        words: attributes.text(ERROR_WORDS).map(str::to_owned),
        offset,
    }
}
