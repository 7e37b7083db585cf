//! What in a running dnsmasq, or its configuration, keeps our files from having an effect.

use super::Places;
use crate::sink::dnsmasq::{Configuration, Dnsmasq, Setting};
use crate::sink::folder::Folder;
use std::path::Path;
use std::{fs, os::unix::fs::MetadataExt as _};

/// What there is, as far as we may see; for people, with what to do.
pub fn findings(dnsmasq: &Dnsmasq, places: &Places) -> Vec<String> {
    let mut findings = Vec::new();
    let Some(configuration) = dnsmasq.configuration() else { return findings };
    let folder = Folder::look_at(&places.hostsdir).ok().map(|folder| folder.identity());
    let hostsdir = unread(&configuration, "hostsdir", &places.hostsdir);
    if hostsdir.is_none() && folder.and_then(|folder| dnsmasq.watches(folder)) == Some(false) {
        let path = places.hostsdir.display();
        findings.push(format!("dnsmasq does not watch {path}: it was made anew since dnsmasq began; restart dnsmasq"));
    }
    findings.extend(hostsdir);
    // Without a range it serves no DHCP.
    if configuration.all("dhcp-range").next().is_some() {
        findings.extend(unread(&configuration, "dhcp-hostsfile", &places.dhcp_hostsfile));
    }
    findings
}

/// That it is not told to read this.
fn unread(configuration: &Configuration, option: &str, path: &Path) -> Option<String> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let is_ours = |setting: &&Setting| {
        let theirs = identity(&configuration.seen_from_here(&setting.value));
        Path::new(&setting.value) == path || (theirs.is_some() && theirs == identity(path))
    };
    let settings: Vec<_> = configuration.all(option).collect();
    if settings.iter().any(is_ours) {
        return None;
    }
    let path = path.display();
    let others: Vec<_> = settings.iter().map(|setting| format!("{} ({})", setting.value, setting.place)).collect();
    Some(if others.is_empty() {
        format!("dnsmasq does not read {path}; give it the line {option}={path} and start it again")
    } else {
        format!("dnsmasq does not read {path} but {}; let both name the same", others.join(", "))
    })
}
