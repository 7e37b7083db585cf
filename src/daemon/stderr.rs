//! Standard error as a log's place.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write};

/// Standard error, for as long as somebody reads it.
pub struct Stderr(io::Stderr);

/// Octets that a pipe which is ready takes without waiting (PIPE_BUF), and a socket.
const READY: usize = 4096;

impl Write for Stderr {
    /// A formatted line comes in one piece. What does not fit is lost: nobody's work waits for it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for piece in line.chunks(READY) {
            let mut ready = [PollFd::new(&self.0, PollFlags::OUT)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if !matches!(poll(&mut ready, Some(&now)), Ok(1)) {
                break;
            }
            self.0.write_all(piece)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Of this process.
pub fn stderr() -> Stderr {
    Stderr(io::stderr())
}
