//! `instances-nfdhcpd`: what each of its tasks does.

pub mod dump;

use crate::cli::nfdhcpd::{PROGRAM, Request, Task};
use crate::cli::print;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::source::bindings::Store;
use crate::source::links::KernelLinks;
use std::io::Write;

/// Does what is requested. Results go to `out`, what the user should know to `err`.
///
/// # Errors
/// It cannot be done.
pub fn run(request: &Request, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
    let config = &request.config;
    if request.task == Task::CheckConfig {
        return check(request, out);
    }
    for notice in &request.notices {
        let _ = writeln!(err, "{PROGRAM}: {notice}");
    }
    match request.task {
        Task::Serve(_) => Err(Error::new("it cannot serve yet")),
        Task::CheckConfig => check(request, out),
        Task::Dump { json } => {
            let (store, news) = Store::open(&config.datapath, KernelLinks::read()?)?;
            for notice in news.notices {
                let _ = writeln!(err, "{PROGRAM}: {notice}");
            }
            let text = if json { dump::json(&store) } else { dump::table(&store) };
            print(out, format_args!("{text}"))?;
            Ok(Exit::Done)
        }
        Task::Rules(_) => Err(Error::new("there are no rules yet")),
    }
}

/// Prints what is wrong, or that nothing is.
fn check(request: &Request, out: &mut dyn Write) -> Result<Exit> {
    let (store, news) = Store::open(&request.config.datapath, KernelLinks::read()?)?;
    let mut problems = request.notices.iter().chain(&news.notices).peekable();
    let well = problems.peek().is_none();
    for problem in problems {
        print(out, format_args!("{problem}\n"))?;
    }
    let (number, folder) = (store.all().len(), store.path().display());
    print(out, format_args!("{number} bindings in {folder}{}\n", if well { ", all is well" } else { "" }))?;
    Ok(if well { Exit::Done } else { Exit::Failed })
}
