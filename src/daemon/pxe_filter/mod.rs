//! `instances-pxe-filter`: keeps dnsmasq's `dhcp-hostsdir` in step with Ironic. [`filter`] is what it does, [`agenda`] when, each
//! without knowing where Ironic and the folder are.

pub mod agenda;
pub mod commands;
pub mod filter;
pub mod folder;
pub mod hosts;
pub mod metrics;
mod report;
pub mod serve;
pub mod status;
pub mod tidy;
pub mod told;

use crate::cli::print;
use crate::cli::pxe_filter::{Config, Mode, PROGRAM, Request};
use crate::daemon::asked::Signals;
use crate::daemon::endpoint::Listener;
use crate::daemon::log;
use crate::daemon::one_thread::complete;
use crate::daemon::supervisor::Supervisor;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::sink::dhcp_hostsdir::{self, dnsmasq::Dnsmasq};
use crate::source::ironic::Client;
use filter::Filter;
use folder::{Folder, Rehearsal};
use serve::Server;
use status::Board;
use std::io::Write;
use std::path::Path;
use tracing::level_filters::LevelFilter;
use tracing::warn;

/// The folder that the service's unit makes.
const SERVICES_OWN: &str = "/run/instances-pxe-filter";

/// Does what is requested. Results go to `out`, what the user should know to `err` or the log.
///
/// # Errors
/// It cannot be done.
pub fn run(request: &Request, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
    let config = &request.config;
    if matches!(request.mode, Mode::CheckConfig | Mode::Status { .. }) {
        for notice in &request.notices {
            let _ = writeln!(err, "{PROGRAM}: {notice}");
        }
    } else {
        // What a rehearsal comes to is printed; it does nothing that could be logged.
        log::begin(if request.mode == Mode::DryRun { LevelFilter::WARN } else { config.log_level.into() })?;
        for notice in &request.notices {
            warn!("{notice}");
        }
    }
    match request.mode {
        Mode::CheckConfig => check(request, out),
        Mode::Status { json } => {
            let contents = dhcp_hostsdir::contents(&config.hostsdir, config.file_names)?;
            let running = status::ask(&config.hostsdir);
            let text = report::status(&config.hostsdir, &contents, running.as_ref(), json);
            print(out, format_args!("{text}"))?;
            Ok(Exit::Done)
        }
        Mode::DryRun => {
            let mut filter = Filter::new(Client::new(&config.api)?, Rehearsal::new(config), config);
            complete(filter.once())??;
            let (writes, purged) =
                (std::mem::take(&mut filter.hosts().writes), std::mem::take(&mut filter.hosts().purged));
            print(out, format_args!("{}", report::changes(&writes, &purged, filter.inventory())))?;
            Ok(Exit::Done)
        }
        Mode::Once => {
            let once = async { Filter::new(Client::new(&config.api)?, Folder::open(config)?, config).once().await };
            complete(once)??;
            Ok(Exit::Done)
        }
        Mode::Stop => {
            let result = std::env::var("SERVICE_RESULT").ok();
            complete(stop(config, result.as_deref()))??;
            Ok(Exit::Done)
        }
        Mode::Run => {
            complete(serve(config))??;
            Ok(Exit::Done)
        }
    }
}

async fn serve(config: &Config) -> Result<()> {
    let signals = Signals::take()?;
    // First: while it is another's, dnsmasq is, too.
    let folder = match Folder::open(config) {
        Ok(folder) => folder,
        Err(failure) => return without_folder(config, failure).await,
    };
    let begun = Client::new(&config.api)
        .and_then(|client| Ok((client, config.metrics_listen.map(Listener::bind).transpose()?)));
    let (client, listener) = match begun {
        Ok(begun) => begun,
        Err(failure) => return serve::first(Err(failure), serve::farewell(config, &mut { folder }).await),
    };
    let filter = Filter::new(client, folder, config);
    if let Some(listener) = listener {
        let registry = filter.told.metrics.registry();
        listener.serve(move || metrics::page(&registry))?;
    }
    let board = Board::default();
    // A filter is not worth less for it.
    if let Err(error) = board.serve(&config.hostsdir) {
        warn!("{error}");
    }
    let supervisor = Supervisor::from_environment();
    Server { filter, board, supervisor, signals, is_hung_up: false }.run(config).await
}

/// What a filter does at its end, for one that was killed: the stop command, or everybody is denied. systemd says how it ended.
async fn stop(config: &Config, result: Option<&str>) -> Result<()> {
    if result == Some("success") {
        return Ok(());
    }
    match Folder::open(config) {
        Ok(mut folder) => serve::farewell(config, &mut folder).await,
        Err(failure) => without_folder(config, failure).await,
    }
}

/// The end of a filter that cannot have its folder: the stop command needs none, unless dnsmasq is another filter's.
async fn without_folder(config: &Config, failure: Error) -> Result<()> {
    let stopped = match &config.stop_command {
        Some(command) if !dhcp_hostsdir::is_taken(&config.hostsdir) => serve::run_stop_command(config, command).await,
        _ => Ok(()),
    };
    serve::first(Err(failure), stopped)
}

/// Prints the configuration, and what is wrong.
fn check(request: &Request, out: &mut dyn Write) -> Result<Exit> {
    request.describe(out)?;
    let config = &request.config;
    let mut problems = Vec::new();
    problems.extend(Client::new(&config.api).err().map(|error| error.to_string()));
    match dhcp_hostsdir::contents(&config.hostsdir, config.file_names) {
        Ok(contents) => problems.extend(contents.notices),
        // Before its first start there is none.
        Err(_) if config.hostsdir == Path::new(SERVICES_OWN) && !config.hostsdir.exists() => {
            print(out, format_args!("{SERVICES_OWN} is not there yet: the service makes it when it starts.\n"))?;
        }
        Err(error) => problems.push(error.to_string()),
    }
    match config.dnsmasq_pid_file.as_deref().map(Dnsmasq::find) {
        Some(Ok(dnsmasq)) => {
            problems.extend(dnsmasq.findings(&config.hostsdir).iter().map(ToString::to_string));
        }
        // Before it was started there is none.
        Some(Err(error)) if config.start_command.is_none() => problems.push(error.to_string()),
        _ => {}
    }
    for problem in &problems {
        print(out, format_args!("{problem}\n"))?;
    }
    // Options that are not known here are no problem: they are named, and others'.
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::hosts::Hosts;
    use crate::cli::pxe_filter::{Config, FileNames};
    use crate::error::{Error, Result};
    use crate::net::Mac;
    use crate::plan::pxe_access::{Access, Node, Port, Removed, Semantics, Settings, Who};
    use crate::sink::dhcp_hostsdir::Contents;
    use crate::source::ironic;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use uuid::Uuid;

    /// A folder in memory. Clones are the same folder.
    #[derive(Debug, Clone, Default)]
    pub(super) struct Twin(Arc<Mutex<Memory>>);

    #[derive(Debug, Default)]
    struct Memory {
        contents: Contents,
        writes: Vec<(Who, Access)>,
        fails: bool,
        is_unwatched: bool,
    }

    impl Twin {
        /// What was written since this was asked last.
        pub(super) fn writes(&self) -> Vec<(Who, Access)> {
            std::mem::take(&mut self.0.lock().unwrap().writes)
        }

        pub(super) fn put(&self, mac: Mac, access: Access) {
            self.0.lock().unwrap().contents.found.macs.insert(mac, Some(access));
        }

        /// From now on what somebody else does is not noticed.
        pub(super) fn unwatch(&self) {
            self.0.lock().unwrap().is_unwatched = true;
        }

        pub(super) fn fail(&self, fails: bool) {
            self.0.lock().unwrap().fails = fails;
        }
    }

    impl Hosts for Twin {
        fn look(&mut self) -> Result<Contents> {
            Ok(self.0.lock().unwrap().contents.clone())
        }

        async fn write(&mut self, writes: &[(Who, Access)]) -> Result<()> {
            let mut memory = self.0.lock().unwrap();
            if memory.fails {
                return Err(Error::new("the disk is full"));
            }
            for (who, access) in writes {
                match who {
                    Who::Mac(mac) => drop(memory.contents.found.macs.insert(*mac, Some(*access))),
                    Who::Unknown => memory.contents.found.unknown = Some(*access),
                }
            }
            memory.writes.extend(writes);
            Ok(())
        }

        fn delete(&mut self, macs: &[Mac]) -> Result<bool> {
            self.0.lock().unwrap().contents.found.macs.retain(|mac, _| !macs.contains(mac));
            Ok(true)
        }

        fn purge(&mut self) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn changed(&mut self) {
            std::future::pending::<()>().await;
        }

        async fn settle(&mut self) {}

        fn notices_all(&self) -> bool {
            !self.0.lock().unwrap().is_unwatched
        }
    }

    pub(super) fn mac(number: u8) -> Mac {
        Mac([0x52, 0x54, 0, 0, 0, number])
    }

    pub(super) fn allow(number: u8) -> (Who, Access) {
        (Who::Mac(mac(number)), Access::Allow)
    }

    pub(super) fn deny(number: u8) -> (Who, Access) {
        (Who::Mac(mac(number)), Access::Deny)
    }

    pub(super) fn port(number: u8, node: u128) -> Port {
        let uuid = Uuid::from_u128(number.into());
        Port { uuid, node: Uuid::from_u128(node), address: mac(number), pxe_enabled: true, guid: None }
    }

    pub(super) fn node(number: u128) -> Node {
        Node { uuid: Uuid::from_u128(number), name: None, inspect_interface: Some("agent".to_owned()), since: None }
    }

    pub(super) fn config() -> Config {
        Config {
            policy: Settings {
                semantics: Semantics::Ironic,
                supported_inspect_interfaces: vec!["agent".to_owned()],
                deny_unknown_macs: false,
                discovers: false,
                deny_pxe_disabled: false,
                removed: Removed::Denied,
            },
            sync_period: None,
            poll_interval: Duration::from_secs(3600),
            hostsdir: "/nonexistent".into(),
            purge: true,
            file_names: FileNames::Colons,
            start_command: None,
            stop_command: None,
            command_timeout: Duration::from_secs(60),
            api: ironic::Access {
                endpoint: ironic::Endpoint::Url("http://127.0.0.1:1".to_owned()),
                auth: ironic::Auth::None,
                ca_file: None,
                insecure: false,
                timeout: Duration::from_secs(60),
                page_size: 1000,
                environment_proxies: false,
            },
            dnsmasq_pid_file: None,
            ethoib_interfaces: Vec::new(),
            metrics_listen: None,
            log_level: tracing::Level::INFO,
        }
    }
}
