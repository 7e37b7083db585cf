//! From what is said to what is meant.

use super::access::access;
use super::flags::Place;
use super::lookup::Lookup;
use super::options as opt;
use super::options::{About, Described as _};
use super::{Arguments, CONFIGURATION, Config, FileNames, Mode, Request, clouds, unknown};
use crate::cli::{Environment, configuration_text};
use crate::error::{Error, Result, in_words};
use crate::plan::pxe_access::{Removed, Semantics, Settings};
use crate::source::ironic::{Access, Auth, Endpoint};
use crate::source::oslo_conf::Files;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Arguments {
    /// Reads the configuration files and lowers everything.
    ///
    /// # Errors
    /// A file cannot be read, or values are wrong, missing or contradict each other (a line for each, with the file's name and
    /// line).
    pub fn lower(self, environment: Environment) -> Result<Request> {
        let mut notices = Vec::new();
        let mode = self.mode();
        let files = files(&self.flags.places, &mut notices)?;
        let mut lookup = Lookup::new(&self.flags, environment, &files);
        let rules = semantics(&mut lookup, &files);
        if rules == Semantics::Ironic && !files.has_section(opt::IRONIC) && files.has_section(SERVICE_CATALOG) {
            lookup.ironic = SERVICE_CATALOG;
            SERVICE_CATALOG.clone_into(&mut lookup.auth);
        }
        credentials(&mut lookup, environment, &mut notices)?;
        lookup.auth = lookup.get(&opt::AUTH_SECTION).unwrap_or_else(|| lookup.ironic.to_owned()).to_lowercase();
        let policy = policy(&mut lookup, rules);
        let hostsdir = hostsdir(&mut lookup, rules);
        let config = config(&mut lookup, mode, policy, hostsdir, &mut notices);
        notices.extend(unknown::unknown(&files, lookup.ironic));
        for secret in [&opt::PASSWORD, &opt::APPLICATION_CREDENTIAL_SECRET] {
            notices.extend(open_secret(&lookup, secret.about()));
        }
        let Lookup { said, wrong, .. } = lookup;
        match config {
            Some(config) if wrong.is_empty() => Ok(Request { mode, config, said, notices }),
            _ => Err(Error::new(wrong.join("\n"))),
        }
    }
}

/// That all users of the host can see a secret, if so.
fn open_secret(lookup: &Lookup, about: &About) -> Option<String> {
    if lookup.has_flag(about) {
        let flag = about.flag;
        return Some(format!("--{flag} can be seen by all users of this host: better write it into a file"));
    }
    let found = lookup.in_files(about)?;
    let mode = found.path.metadata().ok()?.permissions().mode();
    let path = found.path.display();
    let name = lookup.name(about);
    (mode & 0o004 != 0).then(|| format!("{found}: {name} can be read by all users of this host: chmod o= {path}"))
}

/// Where ironic.conf says how Keystone's catalogue is reached.
const SERVICE_CATALOG: &str = "service_catalog";

fn files(places: &[Place], notices: &mut Vec<String>) -> Result<Files> {
    let mut files = Files::default();
    let mut add = |path: &Path, required| {
        let Some(text) = configuration_text(path, required)? else { return Ok(false) };
        files.add(path.to_owned(), &text).map(|()| true).map_err(|malformed| {
            let lines: Vec<_> = malformed.iter().map(|one| format!("{}:{one}", path.display())).collect();
            Error::new(lines.join("\n"))
        })
    };
    for place in places {
        match place {
            Place::File(path) => add(path, true).map(|_| ())?,
            Place::Folder(folder) => {
                for path in inside(folder)? {
                    add(&path, true)?;
                }
            }
        }
    }
    if places.is_empty() && !add(Path::new(CONFIGURATION), false)? {
        notices.push(format!("there is no {CONFIGURATION}: what flags and variables say is all there is"));
    }
    Ok(files)
}

/// The files of a `--config-dir`.
fn inside(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = || {
        let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
        // As a shell's *.conf: without hidden files.
        paths.retain(|path| {
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            !is_hidden && path.extension().is_some_and(|extension| extension == "conf")
        });
        paths.sort();
        Ok::<_, std::io::Error>(paths)
    };
    paths().map_err(|error| {
        Error::new(format!("cannot read the configuration folder {}: {}", folder.display(), in_words(&error)))
    })
}

fn semantics(lookup: &mut Lookup, files: &Files) -> Semantics {
    lookup.get_or(&opt::DRIVER, (), "dnsmasq");
    let is_inspector = files.has_section("dnsmasq_pxe_filter") || lookup.in_files(opt::DRIVER.about()).is_some();
    let (by_files, written) =
        if is_inspector { (Semantics::Inspector, "inspector") } else { (Semantics::Ironic, "ironic") };
    lookup.get_or(&opt::SEMANTICS, by_files, written)
}

/// Where credentials come from that are not in `[ironic]`.
fn credentials(lookup: &mut Lookup, environment: Environment, notices: &mut Vec<String>) -> Result<()> {
    let (credentials, alone, whose) = if let Some((name, source)) = lookup.get_with_source(&opt::OS_CLOUD) {
        (clouds::cloud(&name, environment)?, true, format!("cloud {name} ({source})"))
    } else {
        let (credentials, alone) = clouds::variables(environment);
        (credentials, alone, "OS_* variables".to_owned())
    };
    if alone
        && let Some(found) = lookup.in_files(opt::AUTH_TYPE.about()).or_else(|| lookup.in_files(opt::AUTH_URL.about()))
    {
        let section = &found.entry.section;
        notices.push(format!("{found}: how to get in comes from {whose}, so that [{section}] in files is not used"));
    }
    lookup.believe(credentials, alone);
    Ok(())
}

fn policy(lookup: &mut Lookup, semantics: Semantics) -> Settings {
    let supported = lookup.get_or(&opt::SUPPORTED_INSPECT_INTERFACES, vec!["agent".to_owned()], "agent");
    let deny_unknown_macs = lookup.get_with_source(&opt::DENY_UNKNOWN_MACS);
    let hook = lookup.get_with_source(&opt::NODE_NOT_FOUND_HOOK);
    let discovery = lookup.get_with_source(&opt::AUTO_DISCOVERY).filter(|(enabled, _)| *enabled);
    if let Some((true, denies)) = &deny_unknown_macs {
        let denies = format!("{denies}: {} = true", lookup.name(opt::DENY_UNKNOWN_MACS.about()));
        let hook = hook.as_ref().map(|(hook, source)| (opt::NODE_NOT_FOUND_HOOK.about(), hook.as_str(), source));
        let discovery = discovery.as_ref().map(|(_, source)| (opt::AUTO_DISCOVERY.about(), "true", source));
        for (about, value, source) in hook.into_iter().chain(discovery) {
            let name = lookup.name(about);
            lookup.wrong.push(format!(
                "{denies} keeps out whom {name} = {value} ({source}) wants to find: remove one of them, or set deny_unknown_macs = false"
            ));
        }
    }
    let removed = lookup.get_or(&opt::REMOVED_PORTS, Removed::Denied, "denied");
    Settings {
        semantics,
        supported_inspect_interfaces: supported,
        deny_unknown_macs: deny_unknown_macs.is_some_and(|(denies, _)| denies),
        discovers: hook.is_some() || discovery.is_some(),
        deny_pxe_disabled: lookup.get_or(&opt::DENY_PXE_DISABLED_PORTS, false, "false"),
        removed,
    }
}

/// Each of the originals has it in a section of its own, and one of them has a default.
fn hostsdir(lookup: &mut Lookup, semantics: Semantics) -> Option<PathBuf> {
    match (semantics, lookup.wrong.len()) {
        (Semantics::Inspector, _) => {
            Some(lookup.get_or(&opt::DHCP_HOSTSDIR, INSPECTORS_HOSTSDIR.into(), INSPECTORS_HOSTSDIR))
        }
        (Semantics::Ironic, before) => {
            let folder = lookup.get(&opt::DHCP_HOSTSDIR);
            if folder.is_none() && lookup.wrong.len() == before {
                lookup.wrong.push(NO_HOSTSDIR.to_owned());
            }
            folder
        }
    }
}

const INSPECTORS_HOSTSDIR: &str = "/var/lib/ironic-inspector/dhcp-hostsdir";
const NO_HOSTSDIR: &str = "[pxe_filter] dhcp_hostsdir is missing: the folder that dnsmasq's option --dhcp-hostsdir names; write it \
                           into a configuration file, or say --dhcp-hostsdir FOLDER; or take what is there by --config-file \
                           /etc/ironic-inspector/inspector.conf or /etc/ironic/ironic.conf";

fn config(
    lookup: &mut Lookup,
    mode: Mode,
    policy: Settings,
    hostsdir: Option<PathBuf>,
    notices: &mut Vec<String>,
) -> Option<Config> {
    let (period, purges) = match policy.semantics {
        Semantics::Inspector => ((15, "15"), (true, "true")),
        Semantics::Ironic => ((45, "45"), (false, "false")),
    };
    let sync_period = lookup.get_or(&opt::SYNC_PERIOD, period.0, period.1);
    let debug = lookup.get_or(&opt::DEBUG, false, "false");
    let poll_interval = lookup.get_or(&opt::POLL_INTERVAL, Duration::from_millis(1500), "1.5");
    let purge = lookup.get_or(&opt::PURGE_DHCP_HOSTSDIR, purges.0, purges.1);
    let file_names = lookup.get_or(&opt::FILE_NAMES, FileNames::Colons, "colons");
    let start_command = lookup.get(&opt::START_COMMAND);
    let stop_command = lookup.get(&opt::STOP_COMMAND);
    let command_timeout = lookup.get_or(&opt::COMMAND_TIMEOUT, Duration::from_secs(60), "60");
    let dnsmasq_pid_file = lookup.get(&opt::DNSMASQ_PID_FILE);
    let ethoib_interfaces = lookup.get(&opt::ETHOIB_INTERFACES).unwrap_or_default();
    let metrics_listen = lookup.get(&opt::METRICS_LISTEN);
    // Who asks Ironic nothing need not be let in anywhere.
    let before = lookup.wrong.len();
    let api = access(lookup, notices);
    let api = if let (None, Mode::Status { .. } | Mode::Stop) = (&api, mode) {
        lookup.wrong.truncate(before);
        Some(nowhere())
    } else {
        api
    };
    Some(Config {
        policy,
        sync_period: Some(Duration::from_secs(sync_period.into())).filter(|period| !period.is_zero()),
        poll_interval,
        hostsdir: hostsdir?,
        purge,
        file_names,
        start_command,
        stop_command,
        command_timeout,
        api: api?,
        dnsmasq_pid_file,
        ethoib_interfaces,
        metrics_listen,
        log_level: if debug { tracing::Level::DEBUG } else { tracing::Level::INFO },
    })
}

fn nowhere() -> Access {
    Access {
        endpoint: Endpoint::Url(String::new()),
        auth: Auth::None,
        ca_file: None,
        insecure: false,
        timeout: Duration::ZERO,
        page_size: 1,
        environment_proxies: false,
    }
}
