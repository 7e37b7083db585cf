use super::{ACK, DONE, DUMP, DUMP_INTERRUPTED, ERROR, Message, Messages, REQUEST, Writer};
use std::io;
use std::ops::ControlFlow;

/// A netlink socket.
pub struct Connection {
    socket: mnl::Socket,
    buffer: Vec<u8>,
    sequence: u32,
    takes_interrupted: bool,
}

/// Why a dump failed.
#[derive(Debug)]
pub enum DumpError {
    /// The objects changed while they were dumped: ask again.
    Interrupted,
    /// The kernel said no, or the socket failed.
    Io(io::Error),
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The kernel sends no more than 32 KiB at once in answer to reads of this size or more.
const BUFFER: usize = 1 << 16;

impl Connection {
    /// Connects to one of the kernel's netlink families.
    pub fn open(bus: mnl::Bus) -> io::Result<Self> {
        let socket = mnl::Socket::new(bus)?;
        Ok(Self { socket, buffer: vec![0; BUFFER], sequence: 0, takes_interrupted: false })
    }

    /// From now on dumps that others' changes have cut into are taken as they are: what is in them was there at some time
    /// meanwhile, and what is not need not be missing.
    pub fn take_interrupted(&mut self) {
        self.takes_interrupted = true;
    }

    /// The socket.
    pub fn socket(&self) -> &mnl::Socket {
        &self.socket
    }

    /// Asks for all objects of a kind and shows each answer to `see`.
    ///
    /// # Errors
    /// [`DumpError`]; what was seen until then is incomplete.
    pub fn dump(
        &mut self,
        kind: u16,
        header: &[u8],
        filter: impl FnOnce(&mut Writer),
        mut see: impl FnMut(Message),
    ) -> Result<(), DumpError> {
        self.dump_while(kind, header, filter, |message| {
            see(message);
            ControlFlow::Continue(())
        })
    }

    /// The same, but ends when `see` breaks off. Then the rest is still to be received: close the connection.
    ///
    /// # Errors
    /// [`DumpError`]; what was seen until then is incomplete.
    pub fn dump_while(
        &mut self,
        kind: u16,
        header: &[u8],
        filter: impl FnOnce(&mut Writer),
        mut see: impl FnMut(Message) -> ControlFlow<()>,
    ) -> Result<(), DumpError> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut request = Writer::default();
        request.message(kind, REQUEST | DUMP, sequence, header, filter);
        let request = request.finish().map_err(|error| io::Error::other(error.to_string()))?;
        self.socket.send(&request)?;
        let mut interrupted = false;
        loop {
            let bytes = self.receive()?;
            for message in Messages(bytes).filter(|message| message.sequence == sequence) {
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    ERROR | DONE => {
                        return match message.error_code() {
                            0 if interrupted && !self.takes_interrupted => Err(DumpError::Interrupted),
                            0 => Ok(()),
                            code => Err(io::Error::from_raw_os_error(code).into()),
                        };
                    }
                    _ if see(message).is_break() => return Ok(()),
                    _ => {}
                }
            }
        }
    }

    /// Asks for single objects and shows each answer to `see`.
    ///
    /// # Errors
    /// The kernel said no (ENOENT: there is no such object), or the socket failed.
    pub fn get(
        &mut self,
        kind: u16,
        header: &[u8],
        which: impl FnOnce(&mut Writer),
        mut see: impl FnMut(Message),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut request = Writer::default();
        request.message(kind, REQUEST | ACK, sequence, header, which);
        let request = request.finish().map_err(|error| io::Error::other(error.to_string()))?;
        self.socket.send(&request)?;
        loop {
            for message in Messages(self.receive()?).filter(|message| message.sequence == sequence) {
                if message.kind == ERROR {
                    return match message.error_code() {
                        0 => Ok(()),
                        code => Err(io::Error::from_raw_os_error(code)),
                    };
                }
                see(message);
            }
        }
    }

    /// Receives what the kernel has to say; waits for it unless the socket is non-blocking.
    pub fn receive(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.socket.recv_raw(&mut self.buffer) {
                Ok(length) => return Ok(self.buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
