//! What everything that can be said comes down to.

use crate::net::IfName;
use crate::plan::pxe_access::Settings;
pub use crate::sink::dhcp_hostsdir::FileNames;
use crate::source::ironic;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The command line, the environment and the files, lowered.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be done.
    pub mode: Mode,
    /// How.
    pub config: Config,
    /// Every option, its value and where that comes from, for `--check-config`.
    pub said: Vec<Said>,
    /// What is not understood or has no effect, a line each, for the user to know.
    pub notices: Vec<String>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Keep the folder in step until a signal ends it.
    Run,
    /// Bring it in step once, then leave.
    Once,
    /// Print what [`Self::Once`] would change.
    DryRun,
    /// Do what [`Self::Run`] does at its end. [`Config::api`] has no meaning.
    Stop,
    /// Print the configuration and what is wrong with it.
    CheckConfig,
    /// Print how the filter of the folder is, if one runs. [`Config::api`] has no meaning.
    Status {
        /// As JSON.
        json: bool,
    },
}

/// An option as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `[section] name`.
    pub option: String,
    /// Its value; stars in place of a secret.
    pub value: String,
    /// Who says so: a file and its line, a variable, a flag, or nobody.
    pub source: String,
}

/// Everything that is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Who may boot.
    pub policy: Settings,
    /// `sync_period`: a complete comparison at least that often; `None`, which is 0 in the file: only at the start and when in
    /// doubt.
    pub sync_period: Option<Duration>,
    /// `poll_interval`: from one look at the nodes under inspection to the next.
    pub poll_interval: Duration,
    /// `dhcp_hostsdir`: the folder that dnsmasq reads.
    pub hostsdir: PathBuf,
    /// `purge_dhcp_hostsdir`: whether files there that are not ours go, once all of ours are right.
    pub purge: bool,
    /// `file_names`: how files are called.
    pub file_names: FileNames,
    /// `dnsmasq_start_command`: a line for `sh -c`, run once after the first complete comparison.
    pub start_command: Option<String>,
    /// `dnsmasq_stop_command`: likewise, run when the program ends.
    pub stop_command: Option<String>,
    /// `command_timeout`: how long either may take.
    pub command_timeout: Duration,
    /// Where Ironic is and how one gets in.
    pub api: ironic::Access,
    /// `dnsmasq_pid_file`: where dnsmasq says which process it is.
    pub dnsmasq_pid_file: Option<PathBuf>,
    /// `[iptables] ethoib_interfaces`: interfaces that know the MAC addresses of InfiniBand ports.
    pub ethoib_interfaces: Vec<IfName>,
    /// `metrics_listen`: where Prometheus asks.
    pub metrics_listen: Option<SocketAddr>,
    /// `[DEFAULT] debug`: `DEBUG`, otherwise `INFO`.
    pub log_level: tracing::Level,
}
