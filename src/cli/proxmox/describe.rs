//! `--check-config`: what the configuration means, in sentences.

use super::{Config, Dnsmasq, PROGRAM, Request};
use crate::cli::print;
use crate::daemon::one_thread::complete;
use crate::daemon::proxmox::child;
use crate::error::Result;
use crate::exit::Exit;
use crate::plan::dns_records::{Dotted, Duplicates, Network, Policy, Unnamed, Vlan};
use crate::sink::{dnsmasq, dnsmasq_dir};
use crate::source::proxmox::{Client, Cluster as _};
use std::io::Write;

impl Request {
    /// `--print-config`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn print(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
        notify(&self.notices, err);
        print(out, format_args!("{}", self.printed))?;
        Ok(Exit::Done)
    }

    /// `--check-config`: also what shows only when it is used, as far as it can be seen without asking the cluster.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn check(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
        notify(&self.notices, err);
        self.describe(out)?;
        let mut problems = Vec::new();
        match Client::new(&self.config.access) {
            Ok(client) => notify(&client.notices(), err),
            Err(error) => problems.push(error),
        }
        let mut findings = Vec::new();
        match (&self.config.dnsmasq, self.config.places.pid_file.as_deref()) {
            (Dnsmasq::Managed(settings), _) => problems.extend(tested(settings).err()),
            (Dnsmasq::Companion, Some(pid_file)) => match dnsmasq::Dnsmasq::find(pid_file) {
                Ok(running) => findings = dnsmasq_dir::findings(&running, &self.config.places),
                Err(error) => problems.push(error),
            },
            (Dnsmasq::Companion, None) => {}
        }
        for problem in &problems {
            print(out, format_args!("{problem}\n"))?;
        }
        for finding in &findings {
            print(out, format_args!("{finding}\n"))?;
        }
        Ok(if problems.is_empty() && findings.is_empty() { Exit::Done } else { Exit::Failed })
    }

    /// Prints what the configuration means. Without secrets.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn describe(&self, out: &mut dyn Write) -> Result<()> {
        for sentence in sentences(&self.config) {
            print(out, format_args!("{sentence}\n"))?;
        }
        Ok(())
    }
}

fn notify(notices: &[String], err: &mut dyn Write) {
    for notice in notices {
        let _ = writeln!(err, "{PROGRAM}: {notice}");
    }
}

/// What dnsmasq itself says.
fn tested(settings: &child::Settings) -> Result<()> {
    complete(child::check(settings))?
}

fn sentences(config: &Config) -> Vec<String> {
    let hosts: Vec<_> = config.access.hosts.iter().map(|host| host.as_str().trim_end_matches('/')).collect();
    let token = &config.access.token.id;
    let mut sentences = vec![format!("Guests: from {}, as {token}.", hosts.join(", or else "))];
    sentences.extend(config.policy.networks.iter().map(network));
    sentences.push(names(&config.policy));
    sentences.push(wire(config));
    sentences.extend(whose(config));
    let (poll, sync) = (config.poll_interval.as_secs_f32(), config.sync_interval.as_secs_f32());
    sentences.push(format!("The cluster is asked every {poll} s; all files are compared every {sync} s at least."));
    sentences.extend(config.registry.as_ref().map(|file| format!("Guests are written to {} too.", file.display())));
    sentences.push(match config.listen {
        Some(address) => format!("Page and metrics: http://{address}/ and http://{address}/metrics."),
        None => "There is no page and no metrics (listen).".to_owned(),
    });
    sentences
}

fn network(network: &Network) -> String {
    let bridge = network.bridge.as_deref().map_or("any bridge".to_owned(), |bridge| format!("bridge {bridge}"));
    let vlan = match network.vlan {
        Vlan::Any => String::new(),
        Vlan::Untagged => ", untagged".to_owned(),
        Vlan::Tag(tag) => format!(", VLAN {tag}"),
    };
    let prefixes: Vec<_> = network.prefixes.iter().map(ToString::to_string).collect();
    format!("Interfaces at {bridge}{vlan}: names in {}, addresses in {}.", network.domain, prefixes.join(", "))
}

fn names(policy: &Policy) -> String {
    let listed = |tags: &std::collections::BTreeSet<String>| tags.iter().cloned().collect::<Vec<_>>().join(" or ");
    let mut who = "all guests but templates".to_owned();
    if !policy.only_tags.is_empty() {
        who = format!("guests with tag {}", listed(&policy.only_tags));
    }
    if !policy.without_tags.is_empty() {
        who = format!("{who}, but none with tag {}", listed(&policy.without_tags));
    }
    let unnamed = match policy.unnamed {
        Unnamed::Numbered => "without a name called vm-117 or ct104",
        Unnamed::LeftOut => "without a name left out",
    };
    let duplicates = match policy.duplicates {
        Duplicates::Numbered => "with another's name called name-117",
        Duplicates::LeftOut => "with another's name left out",
    };
    let dotted = match policy.dotted {
        Dotted::AsIs => "dots kept, with no domain behind",
        Dotted::Hyphens => "dots made hyphens",
    };
    format!("Names: {who}; {unnamed}, {duplicates}; {dotted}.")
}

fn wire(config: &Config) -> String {
    let Some(hearing) = &config.neighbors else {
        return "The wire: not listened to; a change of address is known when the API or a lease tells.".to_owned();
    };
    let named: Vec<_> = hearing.places.named.iter().map(ToString::to_string).collect();
    let places = if named.is_empty() { "all bridges".to_owned() } else { named.join(", ") };
    let swept: Vec<_> = hearing.sweeping.networks.iter().map(ToString::to_string).collect();
    let (interval, rate) = (hearing.sweeping.interval.as_secs_f32(), hearing.sweeping.per_second);
    let sweep = if swept.is_empty() {
        "nothing is swept".to_owned()
    } else {
        format!("swept every {interval} s are {}, {rate} questions a second at most", swept.join(", "))
    };
    format!("The wire: listened to at {places}; {sweep}.")
}

fn whose(config: &Config) -> Vec<String> {
    let places = &config.places;
    let (hosts, reservations) = (places.hostsdir.display(), places.dhcp_hostsfile.display());
    let reload = config.reload_interval.as_secs_f32();
    match &config.dnsmasq {
        Dnsmasq::Managed(settings) => {
            let conf = &settings.conf;
            let dhcp = match conf.ranges.len() {
                0 => "without DHCP".to_owned(),
                _ => format!(
                    "with DHCP ({})",
                    conf.ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                ),
            };
            let (program, port, file) = (settings.program.display(), conf.port, settings.conf_file.display());
            vec![format!("dnsmasq: {program} is started at port {port}, {dhcp}; its configuration is {file}.")]
        }
        Dnsmasq::Companion => {
            let told = match &places.pid_file {
                Some(file) => format!("SIGHUP goes to the process in {}, every {reload} s at most", file.display()),
                None => "somebody else has to send SIGHUP when reservations change".to_owned(),
            };
            vec![
                format!("dnsmasq: one that is there; {told}. Its configuration needs these lines:"),
                format!("  hostsdir={hosts}"),
                format!("  dhcp-hostsfile={reservations}"),
            ]
        }
    }
}
