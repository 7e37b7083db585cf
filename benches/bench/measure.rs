//! Time and memory of one program.
#![allow(unsafe_code)]

use std::error::Error;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// From before it was started until it was gone.
    pub(crate) time: Duration,
    /// Largest resident set, in KiB. Never below that of the benchmark itself (some 2 MiB): the kernel counts from the
    /// moment the process exists, and it begins as a copy of its parent.
    pub(crate) peak: u64,
}

/// Runs `command` and waits for it.
///
/// # Errors
/// It cannot be run, or fails: then what it said.
pub(crate) fn measure(command: &mut Command) -> Result<Sample, Box<dyn Error>> {
    let mut said = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    let start = Instant::now();
    let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let (status, usage) = wait(libc::pid_t::try_from(child.id())?)?;
    let time = start.elapsed();
    if status != 0 {
        let mut complaint = String::new();
        said.rewind()?;
        said.read_to_string(&mut complaint)?;
        return Err(format!("{command:?} failed (wait status {status}): {complaint}").into());
    }
    Ok(Sample { time, peak: u64::try_from(usage.ru_maxrss)? })
}

/// wait4(2), which nobody wraps: only it tells what one child used, and not what all of them did.
fn wait(pid: libc::pid_t) -> std::io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live objects of the right type.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    if waited == pid {
        // SAFETY: numbers only, and all zeroes are valid numbers.
        return Ok((status, unsafe { usage.assume_init() }));
    }
    Err(std::io::Error::last_os_error())
}
