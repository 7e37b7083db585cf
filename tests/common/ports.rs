//! Sockets at a port that somebody has just given back.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// A socket once its port is free: a process that another thread has just forked holds what it inherited for a moment.
pub fn once_free<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && start.elapsed() < Duration::from_secs(20) => {
                std::thread::sleep(Duration::from_millis(2));
            }
            bound => return bound,
        }
    }
}
