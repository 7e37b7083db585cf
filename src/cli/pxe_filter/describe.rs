//! `--check-config`: the configuration in words.

use super::{Config, Request};
use crate::cli::print;
use crate::error::Result;
use crate::net::Shown;
use crate::plan::pxe_access::{Removed, Semantics, Settings};
use crate::source::ironic::{Auth, Identity, Scope};
use std::io::Write;

impl Request {
    /// Prints every option and who says it, then what that means. Secrets are stars.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn describe(&self, out: &mut dyn Write) -> Result<()> {
        let lines: Vec<_> =
            self.said.iter().map(|said| (format!("{} = {}", said.option, Shown(&said.value)), &said.source)).collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default().min(72);
        for (line, source) in &lines {
            print(out, format_args!("{line:width$}  # {source}\n"))?;
        }
        for sentence in sentences(&self.config) {
            print(out, format_args!("{sentence}\n"))?;
        }
        Ok(())
    }
}

fn sentences(config: &Config) -> Vec<String> {
    let mut sentences = vec![String::new(), ports(&config.policy), unknown(&config.policy)];
    sentences.push(match config.policy.removed {
        Removed::Denied => "MAC addresses whose port is no more: denied.".to_owned(),
        Removed::AsUnknown => "MAC addresses whose port is no more: denied, and when two listings missed it like MAC addresses of no port.".to_owned(),
    });
    let folder = config.hostsdir.display();
    let others =
        if config.purge { "deleted if they hold rules for MAC addresses and nothing else" } else { "left alone" };
    sentences.push(format!("Folder {folder}: other files there are {others}."));
    sentences.push(match config.sync_period {
        Some(period) => format!("Everything is compared every {} s at least.", period.as_secs()),
        None => "Everything is compared at the start and when in doubt only.".to_owned(),
    });
    let command = |command: &Option<String>, none: &str| match command {
        Some(command) => format!("sh -c '{}'", Shown(command)),
        None => none.to_owned(),
    };
    sentences.push(format!("After the first comparison: {}.", command(&config.start_command, "nothing is run")));
    sentences.push(format!("On any exit: {}.", command(&config.stop_command, "everybody is denied")));
    sentences.extend(scope(&config.api.auth).map(str::to_owned));
    sentences
}

/// What a token in a project does not show.
fn scope(auth: &Auth) -> Option<&'static str> {
    match auth {
        Auth::Keystone { scope: Scope::Project(_), .. }
        | Auth::Keystone { identity: Identity::ApplicationCredential { .. }, .. } => Some(
            "Ironic is asked in a project: unless its policy says otherwise, it lists the nodes of that project only, and all \
             others would be taken for unknown. With system_scope = all it lists everything.",
        ),
        _ => None,
    }
}

fn ports(policy: &Settings) -> String {
    let whose = match policy.semantics {
        Semantics::Inspector => "inspecting or in inspect wait".to_owned(),
        Semantics::Ironic => {
            let by = policy.supported_inspect_interfaces.join(" or ");
            format!(
                "inspecting or in inspect wait, by {}",
                if by.is_empty() { "nobody (no interface is supported)" } else { &by }
            )
        }
    };
    let disabled = if policy.deny_pxe_disabled { ", if pxe_enabled" } else { "" };
    format!("MAC addresses of ports: allowed while the node is {whose}{disabled}; otherwise denied.")
}

/// The wildcard.
fn unknown(policy: &Settings) -> String {
    let when = match (policy.deny_unknown_macs, policy.discovers, policy.semantics) {
        (true, ..) => "denied always (deny_unknown_macs)",
        (_, true, _) => "allowed always, for nodes are to be discovered (node_not_found_hook, auto_discovery)",
        (.., Semantics::Inspector) => "allowed while any node is under inspection, otherwise denied",
        (.., Semantics::Ironic) => "allowed while any node is under inspection by one of these, otherwise denied",
    };
    format!("MAC addresses of no port: {when}.")
}
