//! `instances-process`: what is to be made of the registry, and where it goes.

use super::Environment;
use crate::error::{Error, Result};
use crate::explain::Explain;
use crate::net::{IfName, InvalidIfName, Name, Shown};
use crate::plan::address_sets::LONGEST_NAME;
use crate::plan::guard::Guard;
use crate::plan::hooks::Bridges;
use crate::plan::hosts::Domain;
use crate::plan::layout::Layout;
use crate::plan::policy::{Hooking, Wishes};
use crate::plan::ruleset::{Family, Identifier};
use crate::registry::paths::Paths;
use clap::{ArgGroup, Parser, ValueEnum};
use std::path::PathBuf;

/// The program's name, in messages.
pub const PROGRAM: &str = "instances-process";

/// Writes the hosts file and the nftables files from the registry, or loads them into the kernel.
#[allow(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = AFTER_HELP, max_term_width = 120)]
#[command(group = ArgGroup::new("kernel").args(["apply", "explain", "status", "metrics", "watch"]).multiple(true))]
#[command(group = ArgGroup::new("protected").args(["hook", "explain"]).multiple(true))]
#[command(group = ArgGroup::new("shown").args(["explain", "status"]))]
pub struct Arguments {
    /// Process even if no update is detected
    // May be repeated, as the original allows.
    #[arg(short, long, overrides_with = "force")]
    pub force: bool,

    /// Write the three files: hosts, nftables chains, nftables sets [default without --apply]
    #[arg(long)]
    pub emit: bool,

    /// Write the hosts file and load chains and sets into the kernel, in one transaction
    #[arg(long)]
    pub apply: bool,

    /// How the policy is laid out: a rule for each address, or addresses in sets, at a cost that does not grow [default: sets in the kernel, rules in files]
    #[arg(long, value_enum)]
    pub layout: Option<LayoutName>,

    /// Which protections: spec (the original's two chains), strict (all), or a list of arp, nd, source, mac, ra, dhcp4, dhcp6, query, ethertype, vlan, exthdr [default: strict with --hook, otherwise spec]
    #[arg(long, value_name = "WHICH")]
    pub guard: Option<Guard>,

    /// Log what is dropped to the kernel's log, too: for each protection five lines at once, then one per second
    #[arg(long)]
    pub log: bool,

    /// The bridge table for chains and sets; what others have in it stays [default: instances, or instances_ID with INSTANCES_BASE_ID]
    #[arg(long, value_name = "NAME", requires = "kernel")]
    pub table: Option<Identifier>,

    /// Put the protections in force on these bridges, by base chains of our own; '*': all bridges; none: remove the base chains
    #[arg(long, value_name = "BRIDGE,...", value_parser = hook, requires = "kernel")]
    pub hook: Option<Hook>,

    /// Let everything pass that comes in by these ports: all uplinks; none: check what comes in by uplinks too; only with --hook
    #[arg(long, value_name = "IFNAME,...", value_delimiter = ',', requires = "protected")]
    pub trusted_port: Vec<IfName>,

    /// Load the address sets also into this table, like inet:filter; may be repeated
    #[arg(long, value_name = "FAMILY:TABLE", value_parser = family_and_table, requires = "apply")]
    pub sets_into: Vec<(Family, Identifier)>,

    /// Where the hosts file goes: a file, or a folder such as dnsmasq's hostsdir [default: P.hosts]
    #[arg(long, value_name = "PATH")]
    pub hosts_to: Option<PathBuf>,

    /// Change nothing: compare the files (and with --apply the kernel) with the plan, print what differs
    #[arg(long)]
    pub check: bool,

    /// Do so at once, stay, and do it again whenever the registry or, by somebody else's hand, the kernel's ruleset changes
    #[arg(long, requires = "apply", conflicts_with = "check")]
    pub watch: bool,

    /// Change nothing: print for each frame of a pcap or pcapng file or a hex dump (-: standard input) whether the policy drops it, and by which rule and element; with --apply, say first whether the kernel holds that policy; exits 0 whatever the verdicts are [default: on all bridges]
    #[arg(long, value_name = "FRAMES", conflicts_with_all = ["force", "emit", "check", "watch", "hosts_to", "sets_into"])]
    pub explain: Option<PathBuf>,

    /// With --explain: the port by which frames came in that a capture names no interface for
    #[arg(long, value_name = "IFNAME", requires = "explain")]
    pub explain_port: Option<IfName>,

    /// With --explain: the registry to plan from [default: P.json]
    #[arg(long, value_name = "FILE", requires = "explain", conflicts_with = "apply")]
    pub registry: Option<PathBuf>,

    /// Print what the kernel counted: packets that claimed an instance's addresses rightfully, packets that each protection dropped, and who sent them; fails if the policy is not in force
    #[arg(long, conflicts_with_all = ["force", "emit", "apply", "layout", "guard", "log", "hosts_to", "check", "watch"])]
    pub status: bool,

    /// With --status or --explain: JSON, one object or one for each frame
    #[arg(long, requires = "shown")]
    pub json: bool,

    /// Write the status to this file in Prometheus' text format, for node_exporter's textfile collector; with --watch every 15 s or more, otherwise once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["force", "emit", "check"])]
    pub metrics: Option<PathBuf>,
}

/// What `--layout` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutName {
    /// A rule for each address
    Rules,
    /// Addresses in sets
    Sets,
}

impl From<LayoutName> for Layout {
    fn from(name: LayoutName) -> Self {
        match name {
            LayoutName::Rules => Self::Rules,
            LayoutName::Sets => Self::Sets,
        }
    }
}

/// What `--hook` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// Our base chains go.
    None,
    /// They come, for these bridges.
    Bridges(Bridges),
}

/// Whether an uplink may be protected like any other port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uplinks {
    /// Only if it is trusted: whoever forgets one would cut the bridge off.
    MustBeTrusted,
    /// Yes, `--trusted-port none` says.
    Protected,
}

const AFTER_HELP: &str = "\
Environment:
  INSTANCES_BASE_PATH     base of all paths [default: /var/lib/misc/instances]
  INSTANCES_BASE_ID       appended to it after a hyphen: one registry per bridge
  INSTANCES_HOSTS_DOMAIN  suffixes for names, comma-separated, each with its initial dot [default: .instance.internal]
  INSTANCES_ADDRESS_SETS  names whose address sets are made, comma-separated [default: host]

Files (P is the base path):
  P.json                  read: the registry
  P.lock                  lock on all of them, waited for at most 10 s
  P.updated               removed when all is done: the flag that the registry changed
  P.hosts                 written: names and addresses, for dnsmasq's hostsdir
  P.nftables_chains       written: chains, to be included in a `table bridge`
  P.nftables_sets         written: sets of addresses

Signals (with --watch):
  SIGHUP                  read everything anew, compare everything
  SIGTERM, SIGINT         leave; the policy stays in force

Exit status: 0 done, 1 failed or what was compared differs or is not in force, 2 usage, 10 no update was detected

Examples:
  instances-process                                 the three files, if there was an update
  instances-process -f --apply --hook br0 --trusted-port eth0 --hosts-to /var/lib/instances/hosts
  instances-process --check --apply --hook br0 --trusted-port eth0     does the kernel still hold the policy?
  instances-process --watch --apply --hook br0 --trusted-port eth0      stay, apply each update, repair what others change
  tcpdump -i tap0 -c 9 -w - | instances-process --explain - --explain-port tap0     why is that guest blocked?
  instances-process --status                        who was let pass, what was dropped, and who sent it
";

/// What is to be done with the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Put it into files and kernel, if there was an update.
    ProcessUpdate,
    /// Put it there in any case.
    ForceProcess,
    /// Compare files and kernel with it.
    Check,
    /// Put it there in any case, and stay.
    Watch,
    /// Say what the kernel counted.
    Report,
}

/// What is wanted of the kernel's counters.
#[derive(Debug, Default)]
pub struct Report {
    /// Whether, and how, they are printed.
    pub status: Option<Form>,
    /// The file into which they are written for Prometheus.
    pub metrics: Option<PathBuf>,
}

/// How a status is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The command line and environment, lowered.
#[derive(Debug)]
pub struct Request {
    /// Where things are.
    pub paths: Paths,
    /// What is to be done.
    pub task: Task,
    /// Whether chains and sets go to files.
    pub emit: bool,
    /// Whether they go to the kernel.
    pub apply: bool,
    /// What is to be explained instead of all that.
    pub explain: Option<Explain>,
    /// What is done about uplinks that are not trusted.
    pub uplinks: Uplinks,
    /// Where the hosts file goes.
    pub hosts: PathBuf,
    /// The domains of names.
    pub domains: Vec<Domain>,
    /// What is wanted of the kernel.
    pub wishes: Wishes,
    /// What is wanted of the files, where that is something else.
    pub for_files: Wishes,
    /// What is wanted of the kernel's counters.
    pub report: Report,
    /// What was invalid in the environment and is left out, for the user to know.
    pub left_out: Vec<String>,
}

impl Arguments {
    /// Lowers arguments and environment.
    ///
    /// # Errors
    /// A combination that makes no sense, an invalid base id.
    pub fn lower(self, environment: Environment) -> Result<Request> {
        let paths = Paths::new(environment("INSTANCES_BASE_PATH"), environment("INSTANCES_BASE_ID"))?;
        let table = match (self.table, paths.id()) {
            (Some(table), _) => table,
            (None, None) => default_table("instances")?,
            (None, Some(id)) => default_table(&format!("instances_{id}"))?,
        };
        let hosts = match self.hosts_to {
            Some(folder) if folder.is_dir() => folder.join(paths.hosts().file_name().unwrap_or_default()),
            Some(file) => file,
            None => paths.hosts(),
        };
        let mut left_out = Vec::new();
        let domains = listed(environment, "INSTANCES_HOSTS_DOMAIN", ".instance.internal", |text| {
            text.parse()
                .map_err(|why| left_out.push(format!("Invalid hosts domain: {} ({why}); skipped", Shown(text))))
                .ok()
        });
        let set_names = listed(environment, "INSTANCES_ADDRESS_SETS", "host", |text| set_name(text, &mut left_out));
        let (uplinks, trusted_ports) = trusted_ports(self.trusted_port)?;
        let explain = self.explain.map(|frames| Explain {
            frames,
            port: self.explain_port,
            registry: self.registry,
            json: self.json,
        });
        let hook = match self.hook {
            // What is not in force would drop nothing.
            None if explain.is_some() => Hooking::Protect { bridges: Bridges::All, trusted_ports },
            Some(Hook::None) if explain.is_some() => {
                return Err(Error::new("with --hook none nothing is in force, so there is nothing to explain"));
            }
            None => Hooking::LeaveAsIs,
            Some(Hook::Bridges(bridges)) => Hooking::Protect { bridges, trusted_ports },
            Some(Hook::None) if trusted_ports.is_empty() && uplinks == Uplinks::MustBeTrusted => Hooking::Remove,
            Some(Hook::None) => return Err(Error::new("--trusted-port has no meaning with --hook none")),
        };
        let by_default = if matches!(hook, Hooking::Protect { .. }) { Guard::strict() } else { Guard::SPEC };
        let guard = self.guard.unwrap_or(by_default);
        let layout = self.layout.map_or(Layout::Sets, Layout::from);
        let wishes = Wishes { table, guard, layout, log: self.log, set_names, hook, sets_into: self.sets_into };
        let for_files = Wishes {
            guard: self.guard.unwrap_or(Guard::SPEC),
            layout: self.layout.map_or(Layout::Rules, Layout::from),
            hook: Hooking::LeaveAsIs,
            sets_into: Vec::new(),
            ..wishes.clone()
        };
        let emit = self.emit || !self.apply;
        let form = if self.json { Form::Json } else { Form::Text };
        let report = Report { status: self.status.then_some(form), metrics: self.metrics };
        let reports = self.status || report.metrics.is_some();
        let task = match (self.check, self.watch, reports, self.force) {
            (true, ..) => Task::Check,
            (_, true, ..) => Task::Watch,
            (_, _, true, _) if self.apply => return Err(metrics_once()),
            (_, _, true, _) => Task::Report,
            (.., true) => Task::ForceProcess,
            (.., false) => Task::ProcessUpdate,
        };
        let apply = self.apply;
        Ok(Request { paths, task, emit, apply, explain, uplinks, hosts, domains, wishes, for_files, report, left_out })
    }
}

fn metrics_once() -> Error {
    Error::new("--metrics goes with --watch, with --status or alone, not with a single --apply")
        .remedy("say it in a run of its own")
}

fn default_table(name: &str) -> Result<Identifier> {
    name.parse().map_err(|why| Error::new(format!("no table can be called {name}: {why}")).remedy("use --table"))
}

/// A comma-separated list from the environment.
fn listed<T>(environment: Environment, variable: &str, default: &str, parse: impl FnMut(&str) -> Option<T>) -> Vec<T> {
    let list = environment(variable).map_or_else(|| default.to_owned(), |list| list.to_string_lossy().into_owned());
    list.split(',').filter_map(parse).collect()
}

fn set_name(text: &str, left_out: &mut Vec<String>) -> Option<Name> {
    let text = text.trim();
    match text.parse::<Name>() {
        Ok(name) if name.as_str().len() <= LONGEST_NAME => Some(name),
        _ if text.is_empty() => None,
        Ok(_) => {
            left_out.push(format!(
                "Invalid hostname for address set: {} (longer than {LONGEST_NAME}); skipped",
                Shown(text)
            ));
            None
        }
        Err(why) => {
            left_out.push(format!("Invalid hostname for address set: {} ({why}); skipped", Shown(text)));
            None
        }
    }
}

fn hook(text: &str) -> Result<Hook, String> {
    match text {
        "none" => Ok(Hook::None),
        "*" => Ok(Hook::Bridges(Bridges::All)),
        _ => text.split(',').map(bridge).collect::<Result<_, _>>().map(|these| Hook::Bridges(Bridges::These(these))),
    }
}

fn bridge(name: &str) -> Result<IfName, String> {
    match name {
        "*" | "none" => Err(format!("{name} stands alone, not in a list")),
        _ => name.parse().map_err(|why: InvalidIfName| format!("\"{}\": {why}", Shown(name))),
    }
}

/// What `--trusted-port` says about uplinks, and the ports that it names.
fn trusted_ports(named: Vec<IfName>) -> Result<(Uplinks, Vec<IfName>)> {
    match named.as_slice() {
        [only] if only.as_str() == "none" => Ok((Uplinks::Protected, Vec::new())),
        several if several.iter().any(|port| port.as_str() == "none") => {
            Err(Error::new("--trusted-port: none stands alone, not in a list"))
        }
        _ => Ok((Uplinks::MustBeTrusted, named)),
    }
}

fn family_and_table(text: &str) -> Result<(Family, Identifier), String> {
    let (family, table) = text.split_once(':').ok_or("expected FAMILY:TABLE, like inet:filter")?;
    Ok((family.parse()?, table.parse()?))
}
