//! `instances-nfdhcpd`: what each of its tasks does.

pub mod background;
pub mod dump;
pub mod log;
pub mod pid_file;
pub mod privileges;
pub mod registrar;
mod rules;
pub mod start;

use crate::cli::nfdhcpd::{LogTo, PROGRAM, Place, Request, Task};
use crate::cli::print;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::source::bindings::Store;
use crate::source::links::KernelLinks;
use nix::sys::signal::{SigSet, Signal};
use start::Start;
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
    let is_logged = match request.task {
        Task::Serve(Place::Background) => true,
        Task::Serve(Place::Foreground) => config.log == LogTo::Stderr,
        _ => false,
    };
    for notice in request.notices.iter().filter(|_| !is_logged) {
        let _ = writeln!(err, "{PROGRAM}: {notice}");
    }
    match request.task {
        Task::Serve(Place::Leaving) => background::start_again(),
        Task::Serve(place) => serve(request, place),
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
        Task::Rules(task) => rules::run(task, &request.config, out, err),
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

/// Answers nothing yet.
fn serve(request: &Request, place: Place) -> Result<Exit> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        signals.add(signal);
    }
    let failed = |error: nix::Error| Error::new(format!("cannot wait for signals: {error}"));
    signals.thread_block().map_err(failed)?;
    let start = Start::begin(request, place)?;
    start.drop_privileges()?;
    let (mut store, news) = Store::open(&request.config.datapath, KernelLinks::read()?)?;
    news.notices.iter().for_each(|notice| tracing::warn!("{notice}"));
    start.succeeded()?;
    tracing::info!("{} bindings", store.all().len());
    loop {
        match signals.wait().map_err(failed)? {
            Signal::SIGUSR1 => tracing::info!("clients:\n{}", dump::table(&store)),
            Signal::SIGHUP => {
                start.log.reopen();
                store.read_all().notices.iter().for_each(|notice| tracing::warn!("{notice}"));
            }
            _ => return Ok(Exit::Done),
        }
    }
}
