//! From what is written to what is meant.

use super::access::access;
use super::document::Document;
use super::lookup::Lookup;
use super::networks::{networks, records};
use super::options as opt;
use super::options::{Described, Opt};
use super::unknown::{unknown, unknown_variables};
use super::values::Whose;
use super::written::Source;
use super::{Arguments, CONFIGURATION, Config, Dnsmasq, Hearing, Request};
use crate::cli::{Environment, configuration_text};
use crate::daemon::proxmox::child;
use crate::error::{Error, Result};
use crate::net::DomainName;
use crate::plan::dns_records::{Network, Policy};
use crate::plan::dnsmasq_conf::{Conf, Domain, Value};
use crate::sink::dnsmasq_dir;
use crate::source::neighbors::{Places, Sweeping};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// So old is what Proxmox itself knows of its guests' state (pvestatd).
const FRESH: Duration = Duration::from_secs(10);
/// Larger networks are not swept.
const SHORTEST_SWEPT: u8 = 16;
/// Where we keep what is to stay.
const STATE: &str = "/var/lib/instances-proxmox";
/// Where Debian's dnsmasq keeps its leases, and PVE-Leazzard's.
const LEASES: &str = "/var/lib/misc/dnsmasq.leases";

impl Arguments {
    /// Reads the file and the environment, and makes one configuration of all. `variables` are the names of all there are: one that is
    /// misspelt is told.
    ///
    /// # Errors
    /// Something is missing or wrong: all of it, a line each.
    pub fn lower(&self, environment: Environment, variables: impl IntoIterator<Item = OsString>) -> Result<Request> {
        let (document, wrong) = document(self.flags.config.as_deref())?;
        let mut lookup = Lookup::new(&self.flags, environment, &document);
        lookup.wrong.extend(unknown(&document));
        let (config, secret) = config(&mut lookup);
        // What a file says that is no TOML is half understood: what seems missing may be there.
        if !wrong.is_empty() {
            return Err(Error::new(wrong.join("\n")));
        }
        let Lookup { said, blocks, mut wrong, mut notices, .. } = lookup;
        let misspelt = unknown_variables(variables);
        match (config, secret) {
            (Some(config), Some(secret)) if wrong.is_empty() => {
                let printed = super::print::text(said, &blocks, &secret);
                notices.extend(misspelt);
                Ok(Request { mode: self.mode(), config, printed, notices })
            }
            _ => {
                // What is missing may be what they were to say.
                wrong.extend(misspelt);
                Err(Error::new(wrong.join("\n")))
            }
        }
    }
}

fn document(named: Option<&Path>) -> Result<(Document, Vec<String>)> {
    let path = named.unwrap_or(Path::new(CONFIGURATION));
    let text = configuration_text(path, named.is_some())?;
    Ok(text.map(|text| Document::read(&path.display().to_string(), &text)).unwrap_or_default())
}

fn config(lookup: &mut Lookup) -> (Option<Config>, Option<Source>) {
    let rounds = rounds(lookup);
    let state = first_folder(lookup, "STATE_DIRECTORY");
    let state_file = lookup.one_or(&opt::STATE_FILE, &format!("{}/state.json", state.as_deref().unwrap_or(STATE)));
    let registry = lookup.one(&opt::REGISTRY);
    let listen = lookup.one(&opt::LISTEN);
    let log_level = lookup.one(&opt::LOG_LEVEL);
    let (access, secret) = access(lookup);
    let domain = lookup.one(&opt::DOMAIN);
    let networks = networks(lookup, domain.as_ref());
    let neighbors = neighbors(lookup, &networks);
    let dnsmasq = dnsmasq(lookup, &networks, domain.as_ref(), state.as_deref());
    if let Some((dnsmasq, places, leases, _)) = &dnsmasq {
        let files = [(key(&opt::STATE_FILE), state_file.as_deref()), (key(&opt::REGISTRY), registry.as_deref())];
        check_places(lookup, dnsmasq, places, leases, files);
    }
    let extra = records(lookup, domain.as_ref());
    let policy = policy(lookup, networks).map(|policy| Policy { extra, ..policy });
    let config = || {
        let (poll_interval, sync_interval) = rounds?;
        let (dnsmasq, places, leases, reload_interval) = dnsmasq?;
        Some(Config {
            access: access?,
            policy: policy?,
            poll_interval,
            sync_interval,
            neighbors: neighbors?,
            dnsmasq,
            places,
            leases: Some(leases),
            reload_interval,
            state_file: state_file?,
            registry,
            listen,
            log_level: log_level?,
        })
    };
    (config(), secret)
}

/// The first of the folders that systemd made for us.
fn first_folder(lookup: &mut Lookup, variable: &str) -> Option<String> {
    let folders = lookup.variable(variable)?;
    folders.split(':').next().filter(|folder| folder.starts_with('/')).map(str::to_owned)
}

fn rounds(lookup: &mut Lookup) -> Option<(Duration, Duration)> {
    let poll = lookup.one(&opt::POLL_INTERVAL);
    let sync = lookup.one(&opt::SYNC_INTERVAL);
    let (poll, sync) = (poll?, sync?);
    if let Some(source) = lookup.is_said(opt::POLL_INTERVAL.about()).filter(|_| poll > sync) {
        let seconds = sync.as_secs_f32();
        lookup.notices.push(format!("{source}: poll_interval is longer than sync_interval, so it is {seconds} s too"));
    }
    let decides = if poll <= sync { opt::POLL_INTERVAL.about() } else { opt::SYNC_INTERVAL.about() };
    let poll = poll.min(sync);
    let source = lookup.is_said(decides);
    if let Some(source) = source.filter(|_| poll < FRESH) {
        let (seconds, fresh) = (poll.as_secs_f32(), FRESH.as_secs());
        lookup.notices.push(format!(
            "{source}: the cluster is asked every {seconds} s, but what it lists is up to {fresh} s old itself; {fresh} s is soon enough"
        ));
    }
    Some((poll, sync))
}

fn policy(lookup: &mut Lookup, networks: Vec<Network>) -> Option<Policy> {
    let only_tags = lookup.many(&opt::ONLY_TAGS);
    let without_tags = lookup.many(&opt::WITHOUT_TAGS);
    let unnamed = lookup.one(&opt::UNNAMED);
    let duplicates = lookup.one(&opt::DUPLICATES);
    let dotted = lookup.one(&opt::DOTTED);
    let link_down = lookup.one(&opt::LINK_DOWN);
    let reserved_names = lookup.many(&opt::RESERVED_NAMES);
    let options = lookup.many(&opt::OPTIONS);
    let routers: Vec<_> = options.iter().flat_map(routers).map(|router| router.to_string()).collect();
    let reserved_addresses = lookup.many_or(&opt::RESERVED_ADDRESSES, &routers.join(","));
    Some(Policy {
        networks,
        only_tags: only_tags.into_iter().collect(),
        without_tags: without_tags.into_iter().collect(),
        unnamed: unnamed?,
        duplicates: duplicates?,
        dotted: dotted?,
        link_down: link_down?,
        reserved_names: reserved_names.into_iter().collect(),
        reserved_addresses: reserved_addresses.into_iter().collect(),
        extra: Vec::new(),
    })
}

/// The routers that an option tells clients of: `option:router,10.0.0.1`, `3,10.0.0.1`, whatever tags are before.
fn routers(option: &Value) -> Vec<Ipv4Addr> {
    let text = option.to_string();
    let parts = text.split(',').map(str::trim);
    let behind = parts.skip_while(|part| part.contains(':') && !part.starts_with("option"));
    let mut behind = behind.skip_while(|part| part.starts_with("tag:"));
    if behind.next().is_some_and(|name| matches!(name, "option:router" | "3")) {
        behind.map_while(|part| part.parse().ok()).collect()
    } else {
        Vec::new()
    }
}

/// None: something is wrong.
#[allow(clippy::option_option, reason = "the inner one is the configuration's")]
fn neighbors(lookup: &mut Lookup, networks: &[Network]) -> Option<Option<Hearing>> {
    let hears = lookup.one(&opt::HEARS);
    let named = lookup.many(&opt::LISTEN_AT);
    let interval = lookup.one(&opt::SWEEP_INTERVAL);
    let per_second = lookup.one(&opt::SWEEP_RATE);
    let (interval, per_second) = (interval?, per_second?);
    if !hears? {
        return Some(None);
    }
    let mut swept = Vec::new();
    let prefixes = networks.iter().flat_map(|network| &network.prefixes);
    for prefix in prefixes.filter(|_| !interval.is_zero()) {
        match prefix {
            IpNet::V4(prefix) if prefix.prefix_len() >= SHORTEST_SWEPT => swept.push(*prefix),
            IpNet::V4(prefix) => lookup.notices.push(format!(
                "{prefix} is too large to be swept: silent guests with addresses of their own are not found there; name smaller \
                 prefixes, each a /{SHORTEST_SWEPT} or longer"
            )),
            IpNet::V6(_) => {}
        }
    }
    swept.sort_unstable();
    swept.dedup();
    let places = Places { all_bridges: named.is_empty(), named };
    // It has no rounds then, but must have an interval.
    let interval = if interval.is_zero() { Duration::from_secs(3600) } else { interval };
    Some(Some(Hearing { places, sweeping: Sweeping { networks: swept, interval, per_second } }))
}

type Both = (Dnsmasq, dnsmasq_dir::Places, PathBuf, Duration);

fn dnsmasq(
    lookup: &mut Lookup,
    networks: &[Network],
    domain: Option<&DomainName>,
    of_systemd: Option<&str>,
) -> Option<Both> {
    let whose = lookup.one(&opt::MODE);
    let run = first_folder(lookup, "RUNTIME_DIRECTORY").unwrap_or_else(|| "/run/instances-proxmox".to_owned());
    let state = of_systemd.unwrap_or(STATE);
    let (pid_file, leases) = match (whose, of_systemd) {
        // As Debian's has it.
        (Some(Whose::Companion), _) => ("/run/dnsmasq/dnsmasq.pid".to_owned(), LEASES.to_owned()),
        // It may write nowhere else.
        (_, Some(state)) => (format!("{run}/dnsmasq.pid"), format!("{state}/dnsmasq.leases")),
        (_, None) => (format!("{run}/dnsmasq.pid"), LEASES.to_owned()),
    };
    let hostsdir = lookup.one_or(&opt::HOSTSDIR, &format!("{state}/hosts"));
    let dhcp_hostsfile = lookup.one_or(&opt::DHCP_HOSTSFILE, &format!("{state}/reservations"));
    let pid_file = lookup.one_or(&opt::PID_FILE, &pid_file);
    let leases = lookup.one_or(&opt::LEASES, &leases);
    let reload_interval = lookup.one(&opt::RELOAD_INTERVAL);
    let (hostsdir, leases) = (hostsdir?, leases?);
    let places = dnsmasq_dir::Places { hostsdir, dhcp_hostsfile: dhcp_hostsfile?, pid_file: pid_file? };
    let dnsmasq = match whose? {
        Whose::Companion => {
            without_effect(lookup);
            Dnsmasq::Companion
        }
        Whose::Managed => managed(lookup, networks, domain, &run, &places, &leases)?,
    };
    Some((dnsmasq, places, leases, reload_interval?))
}

/// What only a dnsmasq of our own is told.
fn without_effect(lookup: &mut Lookup) {
    let managed: [&dyn Described; 9] = [
        &opt::PROGRAM,
        &opt::CONF_FILE,
        &opt::RANGES,
        &opt::UPSTREAM,
        &opt::PORT,
        &opt::SERVE_AT,
        &opt::USER,
        &opt::AUTHORITATIVE,
        &opt::PING,
    ];
    for about in managed.map(Described::about) {
        if let Some(source) = lookup.is_said(about) {
            let key = about.key();
            lookup.notices.push(format!("{source}: {key} has no effect: [dnsmasq] mode = \"companion\""));
        }
    }
}

fn managed(
    lookup: &mut Lookup,
    networks: &[Network],
    domain: Option<&DomainName>,
    run: &str,
    places: &dnsmasq_dir::Places,
    leases: &Path,
) -> Option<Dnsmasq> {
    let program = lookup.one(&opt::PROGRAM);
    let conf_file = lookup.one_or(&opt::CONF_FILE, &format!("{run}/dnsmasq.conf"));
    let ranges = lookup.many(&opt::RANGES);
    let options = lookup.many(&opt::OPTIONS);
    let upstream = lookup.many(&opt::UPSTREAM);
    let port = lookup.one(&opt::PORT);
    let interfaces = lookup.many(&opt::SERVE_AT);
    let user = lookup.one(&opt::USER);
    let is_authoritative = lookup.one(&opt::AUTHORITATIVE);
    let pings = lookup.one(&opt::PING);
    if places.pid_file.is_none() {
        lookup.wrong.push(format!("{} = none is wrong: a dnsmasq of ours has one", opt::PID_FILE.about().key()));
    }
    check_ranges(lookup, &ranges, networks);
    let conf = Conf {
        domains: domains(networks, domain),
        ranges,
        options,
        upstream,
        port: port?,
        interfaces,
        is_authoritative: is_authoritative?,
        pings: pings?,
        user,
        hostsdir: places.hostsdir.clone(),
        dhcp_hostsfile: places.dhcp_hostsfile.clone(),
        leases: leases.to_owned(),
        pid_file: places.pid_file.clone()?,
    };
    let asked_at = conf.asked_at();
    let pace = crate::daemon::proxmox::tending::Pace::default();
    Some(Dnsmasq::Managed(Box::new(child::Settings { program: program?, conf_file: conf_file?, conf, asked_at, pace })))
}

/// Each domain once, the default one first.
fn domains(networks: &[Network], default: Option<&DomainName>) -> Vec<Domain> {
    let mut domains: Vec<Domain> = Vec::new();
    let names = default.into_iter().chain(networks.iter().map(|network| &network.domain));
    for name in names {
        if domains.iter().any(|domain| domain.name == *name) {
            continue;
        }
        let mut prefixes = Vec::new();
        for prefix in networks.iter().filter(|network| network.domain == *name).flat_map(|network| &network.prefixes) {
            if !prefixes.contains(prefix) {
                prefixes.push(*prefix);
            }
        }
        domains.push(Domain { name: name.clone(), prefixes });
    }
    domains
}

/// What is leased outside of the networks has no name.
fn check_ranges(lookup: &mut Lookup, ranges: &[Value], networks: &[Network]) {
    let prefixes: Vec<_> = networks.iter().flat_map(|network| &network.prefixes).collect();
    for range in ranges {
        let text = range.to_string();
        let first = text.split(',').find_map(|part| part.trim().parse::<IpAddr>().ok());
        if let Some(first) = first.filter(|first| !prefixes.iter().any(|prefix| prefix.contains(first))) {
            let key = opt::RANGES.about().key();
            lookup.notices.push(format!(
                "{key} = {text}: {first} is in none of the networks, so what is leased there has no name"
            ));
        }
    }
}

/// Nobody's file is in another's place.
fn check_places(
    lookup: &mut Lookup,
    dnsmasq: &Dnsmasq,
    places: &dnsmasq_dir::Places,
    leases: &Path,
    others: [(String, Option<&Path>); 2],
) {
    let conf_file = match dnsmasq {
        Dnsmasq::Managed(settings) => Some(settings.conf_file.as_path()),
        Dnsmasq::Companion => None,
    };
    let files = [
        (key(&opt::DHCP_HOSTSFILE), Some(places.dhcp_hostsfile.as_path())),
        (key(&opt::LEASES), Some(leases)),
        (key(&opt::PID_FILE), places.pid_file.as_deref()),
        (key(&opt::CONF_FILE), conf_file),
    ];
    let files: Vec<_> = files.into_iter().chain(others).filter_map(|(key, path)| Some((key, path?))).collect();
    for (index, (key, path)) in files.iter().enumerate() {
        let shown = path.display();
        if path.starts_with(&places.hostsdir) {
            lookup.wrong.push(format!(
                "{key} = {shown} is wrong: dnsmasq reads all of hostsdir as names; keep it out of there"
            ));
        }
        if let Some((other, _)) = files.iter().take(index).find(|(_, other)| other == path) {
            lookup.wrong.push(format!("{key} = {shown} is wrong: that is {other}"));
        }
    }
}

fn key<T>(option: &Opt<T>) -> String {
    option.about().key()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_one_in_whatever_way_it_is_told() {
        for (option, expected) in [
            ("option:router,10.0.0.1", vec!["10.0.0.1"]),
            ("3,10.0.0.1,10.0.0.2", vec!["10.0.0.1", "10.0.0.2"]),
            ("tag:a,tag:!b,option:router,10.0.0.1", vec!["10.0.0.1"]),
            ("option:router", vec![]),
            ("option:dns-server,10.0.0.1", vec![]),
            ("6,10.0.0.1", vec![]),
            ("option6:dns-server,[fd00::1]", vec![]),
        ] {
            let routers: Vec<_> = routers(&option.parse().unwrap()).iter().map(ToString::to_string).collect();
            assert_eq!(routers, expected, "{option}");
        }
    }
}
