//! Every option there is: its section and name in the file, its flag, the variables of PVE-Leazzard that say the same, and how its value
//! is read.
//!
//! Flags, variables, the file, `--help`, `--check-config` and `--print-config` all come from this table.

use super::values::{self, Read, Whose};
use crate::net::{DomainName, IfName};
use crate::plan::dns_records::{Dotted, Duplicates, LinkDown, Unnamed};
use crate::plan::dnsmasq_conf;
use crate::source::proxmox::Fingerprint;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use url::Url;

/// An option whose value, or each of whose values, is a `T`.
pub(super) struct Opt<T> {
    about: About,
    pub(super) read: fn(&str) -> Read<T>,
}

/// What there is to know about an option, whatever its type.
pub(super) struct About {
    /// The section that it is in; empty: none.
    pub(super) section: &'static str,
    /// Its name, in the file.
    pub(super) name: &'static str,
    /// Its flag, without dashes in front.
    pub(super) flag: &'static str,
    /// How it is written.
    pub(super) kind: Kind,
    /// What stands for its value in the help.
    pub(super) metavar: &'static str,
    /// What it is.
    pub(super) help: &'static str,
    /// Variables with other names than its flag gives, the strongest first.
    pub(super) variables: &'static [&'static str],
    /// What it is if nobody says anything; what is not that simple is said in the help.
    pub(super) default: Option<&'static str>,
    /// Whether it is not shown when it is wrong: it may be a secret, by mistake.
    pub(super) is_hidden: bool,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A string, which is a path; whoever says it from here, says it from `/`.
    Path,
    /// A number.
    Number,
    /// `true` or `false`.
    Switch,
    /// Strings; in a variable or a flag separated by commas.
    List,
    /// Strings that have commas themselves: separated by semicolons or lines.
    Lines,
}

impl Kind {
    /// Whether there may be several.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Lines)
    }
}

/// An option of any type.
pub(super) trait Described: Sync {
    /// What there is to know.
    fn about(&self) -> &About;

    /// Whether this may be its value, or one of them.
    ///
    /// # Errors
    /// What is expected instead.
    fn check(&self, text: &str) -> Result<(), String>;
}

impl<T> Described for Opt<T> {
    fn about(&self) -> &About {
        &self.about
    }

    fn check(&self, text: &str) -> Result<(), String> {
        (self.read)(text).map(|_| ())
    }
}

impl About {
    /// As the file's readers would look for it.
    pub(super) fn key(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("[{}] {}", self.section, self.name) }
    }
}

impl<T> Opt<T> {
    const fn new(kind: Kind, section: &'static str, name: &'static str, read: fn(&str) -> Read<T>) -> Self {
        let (flag, metavar, help, variables, default) = ("", "", "", &[] as &[_], None);
        Self { about: About { section, name, flag, kind, metavar, help, variables, default, is_hidden: false }, read }
    }

    const fn flag(mut self, flag: &'static str, metavar: &'static str, help: &'static str) -> Self {
        self.about.flag = flag;
        self.about.metavar = metavar;
        self.about.help = help;
        self
    }

    const fn variables(mut self, variables: &'static [&'static str]) -> Self {
        self.about.variables = variables;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.about.default = Some(default);
        self
    }

    const fn hidden(mut self) -> Self {
        self.about.is_hidden = true;
        self
    }
}

const TOP: &str = "";
const PROXMOX: &str = "proxmox";
const NAMES: &str = "names";
const NEIGHBORS: &str = "neighbors";
const DNSMASQ: &str = "dnsmasq";

// [proxmox]
pub(super) static HOSTS: Opt<Url> = Opt::new(Kind::List, PROXMOX, "hosts", values::api_host)
    .flag(
        "hosts",
        "HOST,...",
        "Nodes of the cluster, or a proxy before them, tried in turn; without https:// at port 8006",
    )
    .variables(&["PROXMOX_HOST"])
    .hidden();
pub(super) static TOKEN_ID: Opt<String> = Opt::new(Kind::Text, PROXMOX, "token_id", values::token_id)
    .flag("token-id", "USER@REALM!NAME", "The API token; its secret is no flag, for all users of the host see flags")
    .variables(&["API_TOKEN_ID"])
    .hidden();
pub(super) static TOKEN_FILE: Opt<PathBuf> = Opt::new(Kind::Path, PROXMOX, "token_file", values::token_file)
    .flag("token-file", "FILE", "A file that holds the token's secret and nothing else, in place of API_TOKEN_SECRET")
    .variables(&["API_TOKEN_SECRET_FILE"])
    .hidden();
pub(super) static CA_FILE: Opt<PathBuf> = Opt::new(Kind::Path, PROXMOX, "ca_file", values::path).flag(
    "ca-file",
    "FILE",
    "Certificates (PEM) to trust in place of the system's; the cluster's own is a node's /etc/pve/pve-root-ca.pem",
);
pub(super) static FINGERPRINTS: Opt<Fingerprint> = Opt::new(Kind::List, PROXMOX, "fingerprints", values::fingerprint)
    .flag("fingerprints", "SHA256,...", "Only these certificates, each node's own: `pvenode cert info` shows it")
    .default("");
pub(super) static SERVER_NAME: Opt<String> = Opt::new(Kind::Text, PROXMOX, "server_name", values::text).flag(
    "server-name",
    "NAME",
    "The name that certificates must be for, in place of the host's",
);
pub(super) static VERIFY: Opt<bool> = Opt::new(Kind::Switch, PROXMOX, "verify", values::switch)
    .flag("verify", "yes|no", "Look at certificates; no: whoever is on the way can read the token")
    .variables(&["VERIFY_SSL"])
    .default("true");
pub(super) static CONNECT_TIMEOUT: Opt<Duration> = Opt::new(Kind::Number, PROXMOX, "connect_timeout", values::seconds)
    .flag("connect-timeout", "SECONDS", "For how long a host is tried before the next")
    .default("5");
pub(super) static TIMEOUT: Opt<Duration> = Opt::new(Kind::Number, PROXMOX, "timeout", values::seconds)
    .flag("timeout", "SECONDS", "How long an answer may take; Proxmox itself waits for dead nodes up to 30")
    .default("35");

// [names]
pub(super) static DOMAIN: Opt<DomainName> = Opt::new(Kind::Text, NAMES, "domain", values::domain)
    .flag("domain", "DOMAIN", "The domain of names; a [[network]] may have its own")
    .variables(&["DNS_DOMAIN"]);
pub(super) static PREFIXES: Opt<IpNet> = Opt::new(Kind::List, NAMES, "prefixes", values::prefix)
    .flag("prefixes", "PREFIX,...", "The one network's prefixes; in place of all [[network]] of the file")
    .variables(&["NETWORK_CIDR"]);
pub(super) static ONLY_TAGS: Opt<String> = Opt::new(Kind::List, NAMES, "only_tags", values::tag)
    .flag("only-tags", "TAG,...", "Only guests with one of these tags have names")
    .default("");
pub(super) static WITHOUT_TAGS: Opt<String> = Opt::new(Kind::List, NAMES, "without_tags", values::tag)
    .flag("without-tags", "TAG,...", "Guests with one of these tags have none")
    .default("");
pub(super) static UNNAMED: Opt<Unnamed> = Opt::new(Kind::Text, NAMES, "unnamed", values::unnamed)
    .flag("unnamed", "HOW", "Guests without a name: numbered (vm-117, ct104) or left-out")
    .default("numbered");
pub(super) static DUPLICATES: Opt<Duplicates> = Opt::new(Kind::Text, NAMES, "duplicates", values::duplicates)
    .flag("duplicates", "HOW", "A name that a guest with a lower number has: numbered (web-117) or left-out")
    .default("numbered");
pub(super) static DOTTED: Opt<Dotted> = Opt::new(Kind::Text, NAMES, "dotted", values::dotted)
    .flag("dotted", "HOW", "Names with dots: as-is, with no domain behind them, or hyphens in place of dots")
    .default("as-is");
pub(super) static LINK_DOWN: Opt<LinkDown> = Opt::new(Kind::Text, NAMES, "link_down", values::link_down)
    .flag("link-down", "HOW", "Interfaces whose cable is out: published or left-out")
    .default("published");
pub(super) static RESERVED_NAMES: Opt<DomainName> = Opt::new(Kind::List, NAMES, "reserved_names", values::domain)
    .flag(
        "reserved-names",
        "NAME,...",
        "Names that no guest can have: gateway in every domain, www.example.com in its own",
    )
    .default("");
pub(super) static RESERVED_ADDRESSES: Opt<IpAddr> = Opt::new(Kind::List, NAMES, "reserved_addresses", values::address)
    .flag(
        "reserved-addresses",
        "ADDRESS,...",
        "Addresses that no guest can have [default: the routers of --dhcp-options]",
    );

// [neighbors]
pub(super) static HEARS: Opt<bool> = Opt::new(Kind::Switch, NEIGHBORS, "enabled", values::switch)
    .flag(
        "neighbors",
        "yes|no",
        "Hear guests' ARP and neighbour discovery: changes are known at once; needs CAP_NET_RAW",
    )
    .default("true");
pub(super) static LISTEN_AT: Opt<IfName> = Opt::new(Kind::List, NEIGHBORS, "interfaces", values::interface)
    .flag("neighbor-interfaces", "NAME,...", "By which interfaces; a bridge stands for its ports; none: by all bridges")
    .default("");
pub(super) static SWEEP_INTERVAL: Opt<Duration> =
    Opt::new(Kind::Number, NEIGHBORS, "sweep_interval", values::seconds_or_never)
        .flag("sweep-interval", "SECONDS", "Ask for every IPv4 address of the networks so often while a guest's is sought, else ten times more seldom; 0: never")
        .variables(&["ARP_CHECK_INTERVAL", "ARP_SCAN_INTERVAL"])
        .default("30");
pub(super) static SWEEP_RATE: Opt<u32> = Opt::new(Kind::Number, NEIGHBORS, "sweep_rate", values::rate)
    .flag("sweep-rate", "NUMBER", "Questions a second, at most; a large network takes longer than the interval")
    .default("100");

// [dnsmasq]
pub(super) static MODE: Opt<Whose> = Opt::new(Kind::Text, DNSMASQ, "mode", values::whose)
    .flag("dnsmasq", "WHOSE", "managed: a dnsmasq of our own; companion: one that is there, with lines as below")
    .default("managed");
pub(super) static PROGRAM: Opt<PathBuf> = Opt::new(Kind::Text, DNSMASQ, "program", values::program)
    .flag("dnsmasq-program", "PROGRAM", "Managed: its path, or its name on the PATH")
    .default("dnsmasq");
pub(super) static CONF_FILE: Opt<PathBuf> = Opt::new(Kind::Path, DNSMASQ, "conf_file", values::dnsmasq_path).flag(
    "dnsmasq-conf",
    "FILE",
    "Managed: its configuration, which is written [default: /run/instances-proxmox/dnsmasq.conf]",
);
pub(super) static RANGES: Opt<dnsmasq_conf::Value> = Opt::new(Kind::Lines, DNSMASQ, "ranges", values::range)
    .flag("dhcp-ranges", "RANGE;...", "Managed: its dhcp-range; none: no DHCP")
    .variables(&["DHCP_RANGE"])
    .default("");
pub(super) static OPTIONS: Opt<dnsmasq_conf::Value> = Opt::new(Kind::Lines, DNSMASQ, "options", values::option)
    .flag("dhcp-options", "OPTION;...", "Managed: its dhcp-option")
    .variables(&["DHCP_OPTION"])
    .default("");
pub(super) static UPSTREAM: Opt<SocketAddr> = Opt::new(Kind::List, DNSMASQ, "upstream", values::upstream)
    .flag("upstream", "ADDRESS,...", "Managed: who answers what is not ours; none: those of /etc/resolv.conf")
    .default("");
pub(super) static PORT: Opt<u16> = Opt::new(Kind::Number, DNSMASQ, "port", values::port)
    .flag("dns-port", "PORT", "Managed: where it answers")
    .default("53");
pub(super) static SERVE_AT: Opt<IfName> = Opt::new(Kind::List, DNSMASQ, "interfaces", values::interface)
    .flag(
        "dnsmasq-interfaces",
        "NAME,...",
        "Managed: by which interfaces it answers, beside the loopback; none: by all",
    )
    .default("");
pub(super) static USER: Opt<dnsmasq_conf::Value> = Opt::new(Kind::Text, DNSMASQ, "user", values::dnsmasq_value).flag(
    "dnsmasq-user",
    "USER",
    "Managed: whom it becomes if root starts it [default: as it was built]",
);
pub(super) static AUTHORITATIVE: Opt<bool> = Opt::new(Kind::Switch, DNSMASQ, "authoritative", values::switch)
    .flag("authoritative", "yes|no", "Managed: it is the network's only DHCP server")
    .default("true");
pub(super) static PING: Opt<bool> = Opt::new(Kind::Switch, DNSMASQ, "ping", values::switch)
    .flag("ping", "yes|no", "Managed: it asks whether an address is in use before it gives it away")
    .default("true");
pub(super) static HOSTSDIR: Opt<PathBuf> = Opt::new(Kind::Path, DNSMASQ, "hostsdir", values::dnsmasq_path).flag(
    "hostsdir",
    "FOLDER",
    "The folder for names, dnsmasq's hostsdir [default: /var/lib/instances-proxmox/hosts]",
);
pub(super) static DHCP_HOSTSFILE: Opt<PathBuf> = Opt::new(Kind::Path, DNSMASQ, "dhcp_hostsfile", values::dnsmasq_path)
    .flag(
        "dhcp-hostsfile",
        "FILE",
        "The file for reservations, dnsmasq's dhcp-hostsfile [default: /var/lib/instances-proxmox/reservations]",
    );
pub(super) static PID_FILE: Opt<Option<PathBuf>> = Opt::new(Kind::Path, DNSMASQ, "pid_file", values::pid_file).flag(
    "pid-file",
    "FILE",
    "dnsmasq's; companion: none, if somebody else sends SIGHUP [default: /run/instances-proxmox/dnsmasq.pid; companion \
     /run/dnsmasq/dnsmasq.pid]",
);
pub(super) static LEASES: Opt<PathBuf> = Opt::new(Kind::Path, DNSMASQ, "leases", values::dnsmasq_path).flag(
    "leases",
    "FILE",
    "dnsmasq's leases [default: /var/lib/misc/dnsmasq.leases]",
);
pub(super) static RELOAD_INTERVAL: Opt<Duration> = Opt::new(Kind::Number, DNSMASQ, "reload_interval", values::seconds)
    .flag("reload-interval", "SECONDS", "Reservations that changed are read (SIGHUP) no more often than this")
    .default("30");

// The file itself
pub(super) static POLL_INTERVAL: Opt<Duration> = Opt::new(Kind::Number, TOP, "poll_interval", values::seconds)
    .flag("poll-interval", "SECONDS", "Ask the cluster what changed so often; never less often than --sync-interval")
    .default("10");
pub(super) static SYNC_INTERVAL: Opt<Duration> = Opt::new(Kind::Number, TOP, "sync_interval", values::seconds)
    .flag("sync-interval", "SECONDS", "Compare all files with what they should be at least so often")
    .variables(&["SYNC_INTERVAL"])
    .default("300");
pub(super) static STATE_FILE: Opt<PathBuf> = Opt::new(Kind::Path, TOP, "state_file", values::path).flag(
    "state-file",
    "FILE",
    "What was known last, for the next start [default: /var/lib/instances-proxmox/state.json]",
);
pub(super) static REGISTRY: Opt<PathBuf> = Opt::new(Kind::Path, TOP, "registry", values::path).flag(
    "registry",
    "FILE",
    "Write guests to the registry (instances.json) too, for instances-process",
);
pub(super) static LISTEN: Opt<SocketAddr> = Opt::new(Kind::Text, TOP, "listen", values::listen).flag(
    "listen",
    "ADDRESS:PORT",
    "Where a browser and Prometheus (/metrics, /healthz) can ask",
);
pub(super) static LOG_LEVEL: Opt<LevelFilter> = Opt::new(Kind::Text, TOP, "log_level", values::log_level)
    .flag("log-level", "LEVEL", "ERROR, WARNING, INFO or DEBUG")
    .variables(&["LOG_LEVEL"])
    .default("ERROR");

/// All of them, in the order of the help and of the file.
pub(super) static ALL: [&dyn Described; 45] = [
    &POLL_INTERVAL,
    &SYNC_INTERVAL,
    &STATE_FILE,
    &REGISTRY,
    &LISTEN,
    &LOG_LEVEL,
    &HOSTS,
    &TOKEN_ID,
    &TOKEN_FILE,
    &CA_FILE,
    &FINGERPRINTS,
    &SERVER_NAME,
    &VERIFY,
    &CONNECT_TIMEOUT,
    &TIMEOUT,
    &DOMAIN,
    &PREFIXES,
    &ONLY_TAGS,
    &WITHOUT_TAGS,
    &UNNAMED,
    &DUPLICATES,
    &DOTTED,
    &LINK_DOWN,
    &RESERVED_NAMES,
    &RESERVED_ADDRESSES,
    &HEARS,
    &LISTEN_AT,
    &SWEEP_INTERVAL,
    &SWEEP_RATE,
    &MODE,
    &HOSTSDIR,
    &DHCP_HOSTSFILE,
    &PID_FILE,
    &LEASES,
    &RELOAD_INTERVAL,
    &PROGRAM,
    &CONF_FILE,
    &RANGES,
    &OPTIONS,
    &UPSTREAM,
    &PORT,
    &SERVE_AT,
    &USER,
    &AUTHORITATIVE,
    &PING,
];
