//! `instances-nfdhcpd`: the original's configuration file and a command line that can say all the same, lowered to one
//! [`Config`].

mod options;

use super::{Environment, configuration_text};
use crate::error::{Error, Result};
use crate::plan::responder::binding;
use crate::plan::responder::rules::{Taps, Traffic};
use crate::plan::responder::settings::{self, Mode, Settings};
use crate::source::nfdhcpd_conf;
use clap::{ArgGroup, Parser, ValueEnum};
use options::Options;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The program's name, in messages.
pub const PROGRAM: &str = "instances-nfdhcpd";

/// The configuration file that the original reads.
pub const CONFIGURATION: &str = "/etc/nfdhcpd/nfdhcpd.conf";

/// Set for the process that goes to the background, to the folder where it was started: its standard output says when the
/// start has succeeded.
pub const IN_BACKGROUND: &str = "INSTANCES_NFDHCPD_IN_BACKGROUND";

/// Answers the DHCP, DHCPv6, router and neighbour solicitations of virtual machines, each from the binding file of its tap.
#[allow(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = AFTER_HELP, max_term_width = 120)]
#[command(group = ArgGroup::new("task").args(["check_config", "dump", "install_rules", "remove_rules", "print_rules"]))]
pub struct Arguments {
    /// The configuration file [default: /etc/nfdhcpd/nfdhcpd.conf; if that is not there, what the options below say]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Stay in the foreground and log to standard error, as systemd likes it
    #[arg(short, long)]
    pub foreground: bool,

    /// Log every packet, too
    #[arg(short, long)]
    pub debug: bool,

    /// Change nothing: read the configuration and all bindings, say what is wrong with them; exits 1 if anything is
    #[arg(long)]
    pub check_config: bool,

    /// Change nothing: print the clients, one for each binding file, and whether their taps are there
    #[arg(long)]
    pub dump: bool,

    /// With --dump: JSON, one object for each client
    #[arg(long, requires = "dump")]
    pub json: bool,

    /// Load the packet filter rules that bring packets here, in place of those loaded before; then leave
    #[arg(long)]
    pub install_rules: bool,

    /// With --install-rules: by which firewall [default: nft where the kernel has its queue, otherwise iptables]
    #[arg(long, value_enum, value_name = "FIREWALL", requires = "install_rules")]
    pub rules_by: Option<RulesBy>,

    /// Remove these rules; then leave
    #[arg(long)]
    pub remove_rules: bool,

    /// Change nothing: print the rules as commands or as a file
    #[arg(long, value_enum, value_name = "FOR")]
    pub print_rules: Option<RulesFor>,

    #[command(flatten)]
    options: Options,
}

/// Whom rules are printed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RulesFor {
    /// Commands for a shell
    Iptables,
    /// A file for nft -f
    Nft,
    /// A file for ferm
    Ferm,
}

/// Which firewall rules are loaded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RulesBy {
    /// nf_tables, in tables of our own
    Nft,
    /// x_tables, table mangle, by running iptables and ip6tables
    Iptables,
}

/// What is done with packet filter rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// They are loaded: this way, or the one that the kernel has.
    Install(Option<RulesBy>),
    /// They are removed.
    Remove,
    /// They are printed.
    Print(RulesFor),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Answer packets.
    Serve(Place),
    /// Say what is wrong with configuration and bindings.
    CheckConfig,
    /// Print the clients.
    Dump {
        /// As JSON.
        json: bool,
    },
    /// Something about packet filter rules.
    Rules(Rules),
}

/// Where the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where it was started.
    Foreground,
    /// It starts itself once more, as [`Self::Background`], and leaves once that one is ready.
    Leaving,
    /// It has been started so, and standard output goes to who is waiting.
    Background,
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogTo {
    /// nfdhcpd.log in logdir
    File,
    /// Standard error
    Stderr,
    /// The systemd journal
    Journal,
}

/// The command line and the configuration file, lowered.
#[derive(Debug)]
pub struct Request {
    /// What is to be done.
    pub task: Task,
    /// How.
    pub config: Config,
    /// What of the configuration is not understood or has no effect, a line each, for the user to know.
    pub notices: Vec<String>,
}

/// Everything that is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What answers depend on.
    pub settings: Settings,
    /// Where packets come from; those of protocols that are not enabled have no meaning.
    pub queues: Queues,
    /// `datapath`: the folder of binding files.
    pub datapath: PathBuf,
    /// `pidfile`.
    pub pidfile: PathBuf,
    /// `logdir`.
    pub logdir: PathBuf,
    /// `log`.
    pub log: LogTo,
    /// `user`: who to become.
    pub user: String,
    /// Whether every packet is logged.
    pub debug: bool,
    /// `metrics_listen`: where Prometheus asks.
    pub metrics_listen: Option<SocketAddr>,
    /// `rate_limit`: packets of each kind per second and tap that are looked at; `None`: all.
    pub rate_limit: Option<u32>,
    /// `registry`: the base path of the registry that follows the bindings.
    pub registry: Option<PathBuf>,
    /// `taps`: what the rules are about.
    pub taps: Vec<Taps>,
    /// `queue_bypass`: whether packets pass while nobody listens to their queue.
    pub queue_bypass: bool,
}

/// The numbers of the NFQUEUEs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queues {
    /// `[dhcp] dhcp_queue`.
    pub dhcp: u16,
    /// `[ipv6] rs_queue`: router solicitations.
    pub rs: u16,
    /// `[ipv6] ns_queue`: neighbour solicitations.
    pub ns: u16,
    /// `[ipv6] dhcpv6_queue`.
    pub dhcpv6: u16,
}

impl Config {
    /// The queues of the protocols that are enabled, and what comes by each.
    pub fn queues_in_use(&self) -> Vec<(Traffic, u16)> {
        self.queues.in_use(self.settings.dhcp.is_some(), self.settings.ipv6.is_some())
    }
}

impl Queues {
    /// Those of IPv4, if that is enabled, and those of IPv6, likewise.
    fn in_use(self, dhcp: bool, ipv6: bool) -> Vec<(Traffic, u16)> {
        let number = |traffic| match traffic {
            Traffic::Dhcp4 => self.dhcp,
            Traffic::RouterSolicitations => self.rs,
            Traffic::NeighborSolicitations => self.ns,
            Traffic::Dhcp6 => self.dhcpv6,
        };
        let is_enabled = |traffic: &Traffic| if traffic.is_ipv6() { ipv6 } else { dhcp };
        Traffic::ALL.into_iter().filter(is_enabled).map(|traffic| (traffic, number(traffic))).collect()
    }
}

const AFTER_HELP: &str = "\
Environment:
  NOTIFY_SOCKET           told when the service is ready, and that it still runs (systemd)

Files (places can be changed by options):
  /etc/nfdhcpd/nfdhcpd.conf          read: the configuration, as nfdhcpd has it; an option on the command line wins
  /var/lib/nfdhcpd/TAP               read: what is bound to TAP; noticed at once when it changes
  /var/log/nfdhcpd/nfdhcpd.log       written unless in the foreground
  /var/run/nfdhcpd/nfdhcpd.pid       written: the process's number

Configuration (sections and keys are those of nfdhcpd):
  [dhcp]                  heading of a section; it stands in brackets before each option above
  lease_lifetime = 600    what --lease-lifetime 600 says, under the heading [dhcp]; lists are separated by commas
  # comment               also behind a value

Bindings (lines KEY=VALUE in a file that is called as the tap):
  MAC, HOSTNAME           who is served; both are required
  INDEV                   the interface whose MAC answers come from: the tap itself, or its bridge
  IP, SUBNET, GATEWAY     IPv4; SUBNET like 192.0.2.0/24
  SUBNET6, GATEWAY6       IPv6: what is advertised
  EUI64, IP6, PREFIX6     its address by SLAAC, its address by DHCPv6, what is delegated to it
  PRIVATE, MACSPOOF, MTU  no way out, if not empty; any MAC is served, if not empty; octets
  NAMESERVERS, DOMAIN, SEARCH, ROUTES, NTP, TFTP, BOOTFILE  in place of the configuration's
  .NAME, NAME~, NAME.new  such files are left alone: write one, then rename it to NAME

Signals:
  SIGHUP                  read the configuration and all bindings anew, open the log file anew
  SIGUSR1                 log the clients, as --dump prints them
  SIGTERM, SIGINT         leave

Exit status: 0 done, 1 failed, or the configuration or a binding is wrong, 2 usage

Examples:
  instances-nfdhcpd --check-config                  is all well?
  instances-nfdhcpd --install-rules                 once after boot: queues for taps, routed or bridged
  instances-nfdhcpd                                 serve, in the background
  instances-nfdhcpd -f -d --server-ip 192.0.2.1     serve, in the foreground, and say what happens
  instances-nfdhcpd --dump --json                   who is served?
";

impl Arguments {
    /// Reads the configuration file and lowers both.
    ///
    /// # Errors
    /// The file cannot be read, or a value in it is wrong (a line for each, with the file's name and line), or what is
    /// required is nowhere.
    pub fn lower(mut self, environment: Environment) -> Result<Request> {
        // In the background it is in another folder.
        let started_in = environment(IN_BACKGROUND).map(PathBuf::from);
        let base = started_in.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
        let (path, required) = match self.config.take() {
            Some(path) => (base.join(path), true),
            None => (PathBuf::from(CONFIGURATION), false),
        };
        let mut notices = Vec::new();
        match configuration_text(&path, required)? {
            Some(text) => self.options.fill(&path, &text, &mut notices)?,
            None => notices.push(format!("there is no {}: what the options say is all there is", path.display())),
        }
        let place = match (self.foreground, started_in.is_some()) {
            (_, true) => Place::Background,
            (true, false) => Place::Foreground,
            (false, false) => Place::Leaving,
        };
        let task = match (self.check_config, self.dump, self.install_rules, self.remove_rules, self.print_rules) {
            (true, ..) => Task::CheckConfig,
            (_, true, ..) => Task::Dump { json: self.json },
            (_, _, true, ..) => Task::Rules(Rules::Install(self.rules_by)),
            (_, _, _, true, _) => Task::Rules(Rules::Remove),
            (.., Some(rules_for)) => Task::Rules(Rules::Print(rules_for)),
            _ => Task::Serve(place),
        };
        let options = self.options;
        let queues = queues(&options)?;
        let settings = settings(&options, &path, task, &mut notices)?;
        let by_place = if place == Place::Foreground { LogTo::Stderr } else { LogTo::File };
        let absolute = |path: Option<PathBuf>, default: &str| base.join(path.unwrap_or_else(|| default.into()));
        let config = Config {
            queues,
            settings,
            datapath: absolute(options.datapath, "/var/lib/nfdhcpd"),
            pidfile: absolute(options.pidfile, "/var/run/nfdhcpd/nfdhcpd.pid"),
            logdir: absolute(options.logdir, "/var/log/nfdhcpd"),
            log: options.log.unwrap_or(by_place),
            user: options.user.unwrap_or_else(|| "nobody".to_owned()),
            debug: self.debug,
            metrics_listen: options.metrics_listen,
            rate_limit: Some(options.rate_limit.unwrap_or(RATE_LIMIT)).filter(|rate| *rate != 0),
            registry: options.registry.map(|path| base.join(path)),
            taps: options.taps.filter(|taps| !taps.is_empty()).unwrap_or_else(|| vec![Taps::ALL_TAPS]),
            queue_bypass: options.queue_bypass.unwrap_or(false),
        };
        Ok(Request { task, config, notices })
    }
}

fn queues(options: &Options) -> Result<Queues> {
    let queues = Queues {
        dhcp: options.dhcp_queue.unwrap_or(42),
        rs: options.rs_queue.unwrap_or(43),
        ns: options.ns_queue.unwrap_or(44),
        dhcpv6: options.dhcpv6_queue.unwrap_or(45),
    };
    let used = queues.in_use(options.enable_dhcp.unwrap_or(true), options.enable_ipv6.unwrap_or(true));
    for (place, (traffic, number)) in used.iter().enumerate() {
        if let Some((other, _)) = used.iter().take(place).find(|(_, other)| other == number) {
            let (other, name) = (other.queue_option(), traffic.queue_option());
            let message = format!("{other} and {name} are both {number}: each needs a queue of its own");
            return Err(Error::new(message).remedy("choose another, here and in the packet filter rules"));
        }
    }
    Ok(queues)
}

/// A week.
const WEEK: u32 = 604_800;
/// Packets of a kind that a tap may have looked at in a second: far more than honest guests send, far fewer than we can.
const RATE_LIMIT: u32 = 1000;

fn settings(options: &Options, path: &Path, task: Task, notices: &mut Vec<String>) -> Result<Settings> {
    let lease_lifetime = options.lease_lifetime.unwrap_or(WEEK);
    let server_on_link = options.server_on_link.unwrap_or(false);
    let dhcp = if options.enable_dhcp.unwrap_or(true) {
        let server_ip = match options.server_ip {
            Some(server_ip) => server_ip,
            // Where it is not needed: somebody in the binding's subnet is the server, and where nobody can be, no one is
            // answered.
            None if server_on_link || matches!(task, Task::Dump { .. } | Task::Rules(_)) => Ipv4Addr::UNSPECIFIED,
            None => return Err(no_server(path)),
        };
        let lease_renewal = options.lease_renewal.unwrap_or_else(|| lease_lifetime.div_ceil(2).min(3600));
        if lease_renewal >= lease_lifetime {
            notices.push(format!(
                "lease_renewal = {lease_renewal} is not shorter than lease_lifetime = {lease_lifetime}: leases will expire"
            ));
        }
        Some(settings::Dhcp { lease_lifetime, lease_renewal, server_ip, server_on_link })
    } else {
        None
    };
    let ipv6 = options.enable_ipv6.unwrap_or(true).then(|| ipv6(options)).transpose()?;
    let compat = options.compat.unwrap_or(false);
    Ok(Settings { compat, dhcp, ipv6, options: served(options) })
}

fn ipv6(options: &Options) -> Result<settings::Ipv6> {
    let valid = options.valid_lifetime.unwrap_or(WEEK);
    let preferred = options.preferred_lifetime.unwrap_or_else(|| valid.min(WEEK / 2));
    if preferred > valid {
        let message = format!("preferred_lifetime = {preferred} is longer than valid_lifetime = {valid}");
        return Err(Error::new(message).remedy("RFC 8415, section 21.6, wants it shorter or as long"));
    }
    Ok(settings::Ipv6 {
        mode: options.mode.unwrap_or(Mode::Auto),
        ra_period: Duration::from_secs(options.ra_period.unwrap_or(300).into()),
        proxy_all: options.proxy_all.unwrap_or(false),
        lifetimes: (preferred, valid),
    })
}

/// Both families' options; those that nobody names are not served.
fn served(options: &Options) -> binding::Options {
    fn some<T: Clone>(list: Option<&Vec<T>>) -> Option<Vec<T>> {
        list.filter(|list| !list.is_empty()).cloned()
    }
    binding::Options {
        nameservers: some(options.nameservers.as_ref()),
        nameservers6: some(options.nameservers6.as_ref()),
        domain: options.domain.clone(),
        search: some(options.search.as_ref()),
        search6: some(options.domains.as_ref()),
        routes: some(options.routes.as_ref()),
        ntp: some(options.ntp.as_ref()),
        ntp6: some(options.ntp6.as_ref()),
        tftp: options.tftp.clone(),
        bootfile: options.bootfile.clone(),
    }
}

fn no_server(path: &Path) -> Error {
    Error::new(format!("{}: [dhcp] server_ip is missing: the address that DHCP answers come from", path.display()))
        .remedy("say server_ip = ADDRESS or --server-ip ADDRESS; or server_on_link = yes: the gateway of each binding; or enable_dhcp = no")
}
