//! `instances-process --status` and `--metrics`: from the kernel's counters to people, programs and Prometheus.

use crate::cli::process::{Form, PROGRAM, Request};
use crate::cli::written;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::plan::ruleset::Identifier;
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
    let (registry, nameless) = registry_or_none(&request.paths.registry());
    if let Some(error) = nameless {
        let _ = writeln!(news, "{PROGRAM}: {error}");
    }
    let status = status(&request.wishes.table, &registry)?;
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

/// Writes metrics of this table, with names of this registry.
///
/// # Errors
/// The kernel cannot be asked, or the file cannot be written; or it was, but without names.
pub fn write_metrics_alone(table: &Identifier, registry: &Path, file: &Path) -> Result<()> {
    let (registry, nameless) = registry_or_none(registry);
    write_metrics(&status(table, &registry)?, file)?;
    nameless.map_or(Ok(()), Err)
}

/// The registry. Without names the numbers are as right, so an error that keeps it from being read is not the end.
fn registry_or_none(path: &Path) -> (Registry, Option<Error>) {
    match store::read(path) {
        Ok(snapshot) => (snapshot.registry, None),
        Err(error) => (Registry::default(), Some(Error::new(format!("{error}; shown without names")))),
    }
}

fn status<'a>(table: &'a Identifier, registry: &'a Registry) -> Result<Status<'a>> {
    let counters = counters::read(table)?;
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Status::new(table.as_str(), counters, registry, time))
}

fn write_metrics(status: &Status, file: &Path) -> Result<()> {
    atomic_file::replace(file, |out| prometheus::write(status, out))
}
