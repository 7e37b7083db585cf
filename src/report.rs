//! `instances-process --status` and `--metrics`: from the kernel's counters to people, programs and Prometheus.

use crate::cli::process::{Form, PROGRAM, Request};
use crate::cli::written;
use crate::error::Result;
use crate::exit::Exit;
use crate::registry::{Registry, store};
use crate::sink::atomic_file;
use crate::sink::nft_netlink::counters;
use crate::status::{Status, json, prometheus, text};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// Says what was asked for. A policy that is not in force is a failure.
///
/// # Errors
/// The kernel cannot be asked, or something cannot be written.
pub fn run(request: &Request, out: &mut dyn Write, news: &mut dyn Write) -> Result<Exit> {
    // Without names the numbers are as right.
    let registry = match store::read(&request.paths.registry()) {
        Ok(snapshot) => snapshot.registry,
        Err(error) => {
            let _ = writeln!(news, "{PROGRAM}: {error}; shown without names");
            Registry::default()
        }
    };
    let status = status(request, &registry)?;
    match request.report.status {
        None => {}
        Some(Form::Text) => written(text::write(&status, out))?,
        Some(Form::Json) => written(json::write(&status, out))?,
    }
    if let Some(file) = &request.report.metrics {
        write_metrics(&status, file)?;
    }
    match &status.idle {
        None => Ok(Exit::Done),
        Some(why) => {
            if request.report.status.is_none() {
                let _ = writeln!(news, "{PROGRAM}: not in force: {why}");
            }
            Ok(Exit::Failed)
        }
    }
}

/// Reads the kernel's counters anew and writes them for Prometheus, if that was asked for.
///
/// # Errors
/// The kernel cannot be asked, or the file cannot be written.
pub fn refresh_metrics(request: &Request, registry: &Registry) -> Result<()> {
    request.report.metrics.as_ref().map_or(Ok(()), |file| write_metrics(&status(request, registry)?, file))
}

fn status<'a>(request: &'a Request, registry: &'a Registry) -> Result<Status<'a>> {
    let table = &request.wishes.table;
    let counters = counters::read(table)?;
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Status::new(table.as_str(), counters, registry, time))
}

fn write_metrics(status: &Status, file: &Path) -> Result<()> {
    atomic_file::replace(file, |out| prometheus::write(status, out))
}
