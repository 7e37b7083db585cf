//! What files say in sections that are ours, and nobody here understands.

use super::options::{ALL, IRONIC};
use crate::net::Shown;
use crate::source::oslo_conf::{Files, Found};
use std::collections::BTreeMap;

/// Options of keystoneauth, openstacksdk and ironic-inspector that are for the way they work, not for what is asked.
const WITHOUT_EFFECT: [&str; 14] = [
    "collect_timing",
    "connect_retries",
    "connect_retry_delay",
    "max_retries",
    "max_version",
    "min_version",
    "retriable_status_codes",
    "retry_interval",
    "split_loggers",
    "status_code_retries",
    "status_code_retry_delay",
    "tls_ciphers",
    "tls_min_version",
    "version",
];

/// One notice for each file that has such options. `ironic`: the section that says where Ironic is.
pub(super) fn unknown(files: &Files, ironic: &str) -> Vec<String> {
    let mut by_file: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for found in files.entries().filter(|found| is_unknown(found, ironic)) {
        let Found { path, entry } = found;
        let meant = meant(&entry.key).map_or(String::new(), |name| format!(", {name}?"));
        let named = format!("[{}] {} (line {}{meant})", Shown(&entry.section), Shown(&entry.key), entry.line);
        by_file.entry(path).or_default().push(named);
    }
    let notice = |(path, names): (&std::path::Path, Vec<String>)| {
        format!("{}: unknown here, and left alone: {}", path.display(), names.join(", "))
    };
    by_file.into_iter().map(notice).collect()
}

fn is_unknown(found: &Found, ironic: &str) -> bool {
    let (section, key) = (found.entry.section.as_str(), found.entry.key.as_str());
    let ours = section == ironic || matches!(section, "pxe_filter" | "dnsmasq_pxe_filter");
    // Our table has one name for that section, whichever it is.
    let section = if section == ironic { IRONIC } else { section };
    let known = ALL.iter().map(|option| option.about()).any(|about| {
        let older = |(older, name): &(&str, &str)| {
            (if older.is_empty() { about.section } else { older }, *name) == (section, key)
        };
        (about.section, about.name) == (section, key) || about.older.iter().any(older)
    });
    ours && !known && !(section == IRONIC && WITHOUT_EFFECT.contains(&key))
}

/// A name that differs from this one in its case and in `-` and `_` only.
fn meant(key: &str) -> Option<&'static str> {
    let plain = key.to_ascii_lowercase().replace('-', "_");
    ALL.iter().map(|option| option.about().name).find(|name| *name == plain)
}
