//! `instances-nfdhcpd`: what each of its tasks does.

use crate::cli::nfdhcpd::{PROGRAM, Request, Task};
use crate::error::{Error, Result};
use crate::exit::Exit;
use std::io::Write;

/// Does what is requested. Results go to `out`, what the user should know to `err`.
///
/// # Errors
/// It cannot be done.
pub fn run(request: &Request, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
    for notice in &request.notices {
        let _ = writeln!(err, "{PROGRAM}: {notice}");
    }
    let _ = out;
    match request.task {
        Task::Serve(_) => Err(Error::new("it cannot serve yet")),
        Task::CheckConfig => Ok(Exit::Done),
        Task::Dump { .. } => Err(Error::new("there is no dump yet")),
        Task::Rules(_) => Err(Error::new("there are no rules yet")),
    }
}
