//! Into the background, as daemons go there: who started us returns only when the start has succeeded, or with its failure.
//!
//! Not by fork(2), which is unsafe as soon as there is another thread: the program starts itself once more.

use crate::cli::nfdhcpd::{IN_BACKGROUND, LogTo, Place};
use crate::error::{Error, Result, in_words};
use crate::exit::Exit;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// What is written to standard output when the start has succeeded.
const READY: &[u8] = b"ready\n";

/// Starts the program once more with the same arguments, and waits until it is ready. What it says on standard error goes where
/// ours goes.
///
/// # Errors
/// It cannot be started. If it fails later, it says itself why.
pub fn start_again() -> Result<Exit> {
    let failed = |error: &io::Error| Error::new(format!("cannot go to the background: {}", in_words(error)));
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let executable = std::env::current_exe().map_err(|error| failed(&error))?;
    let folder = std::env::current_dir().map_err(|error| failed(&error))?;
    let mut child = Command::new(executable)
        .arg0(program)
        .args(arguments)
        .env(IN_BACKGROUND, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    let mut said = Vec::new();
    if let Some(out) = child.stdout.take() {
        // Until it is ready, or is gone.
        let _ = out.take(READY.len() as u64).read_to_end(&mut said);
    }
    if said == READY {
        return Ok(Exit::Done);
    }
    let status = child.wait().map_err(|error| failed(&error))?;
    match status.code() {
        // It has said why.
        Some(_) => Ok(Exit::Failed),
        None => Err(Error::new(format!("it ended when it had gone to the background: {status}"))),
    }
}

/// Leaves the session of who started us, and its folder.
///
/// # Errors
/// It cannot.
pub fn detach(place: Place) -> Result<()> {
    if place != Place::Background {
        return Ok(());
    }
    // Fails for who leads a group already: then there is nothing to leave.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/").map_err(|error| Error::io("go to", "/".as_ref(), &error.into()))
}

/// Tells who started us that all is well, and lets go of its terminal.
///
/// # Errors
/// There is no /dev/null.
pub fn ready(place: Place, log: LogTo) -> Result<()> {
    if place != Place::Background {
        return Ok(());
    }
    let path = "/dev/null";
    let let_go = || {
        let null = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        if log != LogTo::Stderr {
            rustix::stdio::dup2_stderr(&null)?;
        }
        // Whoever hears it finds everything done.
        let mut out = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 0)?);
        rustix::stdio::dup2_stdout(&null)?;
        // Nobody may be waiting any more.
        let _ = out.write_all(READY);
        Ok::<_, rustix::io::Errno>(())
    };
    let_go().map_err(|error| Error::io("open", path.as_ref(), &error.into()))
}
