//! `instances-nfdhcpd`: what each of its tasks does.

pub mod advertising;
pub mod background;
mod checks;
pub mod desk;
pub mod dump;
pub mod log;
pub mod metrics;
pub mod pid_file;
pub mod privileges;
pub mod rate;
pub mod registrar;
mod rules;
pub mod serve;
pub mod start;

use crate::cli::nfdhcpd::{Arguments, LogTo, PROGRAM, Place, Request, Task};
use crate::cli::print;
use crate::daemon::signals;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::source::bindings::Store;
use crate::source::links::KernelLinks;
use clap::Parser as _;
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

/// The configuration as it is now, with the command line that we were started with.
fn read_configuration() -> Result<Request> {
    Arguments::try_parse().map_err(|error| Error::new(error.to_string()))?.lower(&|variable| std::env::var_os(variable))
}

/// Prints what is wrong, or that nothing is.
fn check(request: &Request, out: &mut dyn Write) -> Result<Exit> {
    let (store, news) = Store::open(&request.config.datapath, KernelLinks::read()?)?;
    let user = privileges::Account::find(&request.config.user).err().map(|error| error.to_string());
    let mut problems = request.notices.iter().chain(&news.notices).chain(&user).peekable();
    let well = problems.peek().is_none();
    for problem in problems {
        print(out, format_args!("{problem}\n"))?;
    }
    let (number, folder) = (store.all().len(), store.path().display());
    print(out, format_args!("{number} bindings in {folder}{}\n", if well { ", all is well" } else { "" }))?;
    Ok(if well { Exit::Done } else { Exit::Failed })
}

/// Answers packets: what needs root comes first, then we are it no more.
fn serve(request: &Request, place: Place) -> Result<Exit> {
    let signals = signals::take()?;
    let start = Start::begin(request, place)?;
    let opened = serve::Opened::open(&request.config)?;
    start.drop_privileges()?;
    let hooks = serve::Hooks {
        ready: &|| start.succeeded(),
        reopen_log: &|| start.log.reopen(),
        read_configuration: &read_configuration,
    };
    serve::run(&request.config, opened, signals, &hooks)
}
