//! What everything that can be said comes down to.

use crate::daemon::proxmox::child;
use crate::plan::dns_records::Policy;
use crate::sink::dnsmasq_dir;
use crate::source::neighbors::{Places, Sweeping};
use crate::source::proxmox::Access;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// The command line, the environment and the file, lowered.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be done.
    pub mode: Mode,
    /// How.
    pub config: Config,
    /// The configuration as a file that can be read back, for `--print-config`. Without secrets.
    pub printed: String,
    /// What has no effect or may not be meant so, a line each, for the user to know.
    pub notices: Vec<String>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Keep dnsmasq in step until a signal ends it.
    Run,
    /// Bring the files in step once, then leave.
    Once,
    /// Print what [`Self::Once`] would have dnsmasq know, and why.
    DryRun {
        /// As JSON.
        json: bool,
    },
    /// Say what is wrong with the configuration, and what it means.
    CheckConfig,
    /// Print the configuration as a file that can be read back.
    PrintConfig,
}

/// Everything that is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the API is and how one gets in.
    pub access: Access,
    /// Which guests have which names.
    pub policy: Policy,
    /// A round begins so often; never longer than [`Self::sync_interval`].
    pub poll_interval: Duration,
    /// `SYNC_INTERVAL`: all files are compared with what they should be at least so often.
    pub sync_interval: Duration,
    /// How guests are heard on the wire; none: they are not.
    pub neighbors: Option<Hearing>,
    /// Whose dnsmasq it is.
    pub dnsmasq: Dnsmasq,
    /// Where names and reservations go.
    pub places: dnsmasq_dir::Places,
    /// dnsmasq's file of leases, for reading.
    pub leases: Option<PathBuf>,
    /// dnsmasq is told to read reservations anew no more often than this.
    pub reload_interval: Duration,
    /// What was known last, for the next start.
    pub state_file: PathBuf,
    /// The registry (`instances.json`) that guests are written to as well.
    pub registry: Option<PathBuf>,
    /// Where Prometheus and people with a browser ask.
    pub listen: Option<SocketAddr>,
    /// What is not worth less than this is told.
    pub log_level: LevelFilter,
}

/// How guests are heard on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hearing {
    /// By which interfaces.
    pub places: Places,
    /// What is asked for by ourselves.
    pub sweeping: Sweeping,
}

/// Whose dnsmasq it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dnsmasq {
    /// Ours: started, watched over and ended by us.
    Managed(Box<child::Settings>),
    /// Somebody else's: it reads our files, and is told when to read them anew.
    Companion,
}
