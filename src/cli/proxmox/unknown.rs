//! What stands in a file or in the environment and nobody here understands.

use super::document::{Document, Entry};
use super::lookup::{VARIABLES, variable};
use super::options::ALL;
use crate::net::Shown;
use std::ffi::OsString;

/// Tables of which there may be many, and what stands in them.
pub(super) const BLOCKS: [(&str, &[&str]); 2] =
    [("network", &["bridge", "tag", "prefixes", "domain"]), ("record", &["name", "address"])];
const SECTIONS: [&str; 4] = ["proxmox", "names", "neighbors", "dnsmasq"];
/// What somebody may write for the token's secret, which has no place in the file.
const SECRETS: [&str; 6] = ["token", "token_secret", "api_token_secret", "secret", "password", "token_value"];

/// The unit's variable for flags.
const OPTIONS: &str = "INSTANCES_PROXMOX_OPTIONS";

/// Variables that are called as ours and are none, a line each. No more than a notice: container platforms set what is called
/// as the service.
pub(super) fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let known = || ALL.iter().map(|option| variable(option.about().flag));
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with(VARIABLES) && name != OPTIONS);
    let mut unknown: Vec<_> = ours.filter(|name| known().all(|ours| ours != *name)).collect();
    unknown.sort();
    let told = unknown.into_iter().map(|name| {
        let last = |name: &str| name[VARIABLES.len()..].to_owned();
        let meant = nearest(&last(&name), known().map(|ours| (last(&ours).to_lowercase(), ours)));
        let meant = meant.map_or_else(|| "--help says what there is".to_owned(), |ours| format!("{ours} is meant?"));
        format!("variable {} is unknown: {meant}", Shown(&name))
    });
    told.collect()
}

/// All that stands in a file, a line each, with what may be meant.
pub(super) fn unknown(document: &Document) -> Vec<String> {
    let path = &document.path;
    let mut wrong: Vec<(usize, String)> = Vec::new();
    for entry in &document.entries {
        let why = if let Some((section, _)) = BLOCKS.iter().find(|(section, _)| *section == entry.section) {
            format!("[{section}] is one of many: write [[{section}]]")
        } else if SECTIONS.contains(&entry.name.as_str()) && entry.section.is_empty() {
            format!("{0} is a section: write [{0}]", entry.name)
        } else if is_known(entry) {
            continue;
        } else {
            in_words(entry)
        };
        wrong.push((entry.line, why));
    }
    for block in &document.blocks {
        match BLOCKS.iter().find(|(section, _)| *section == block.section) {
            Some((section, names)) => {
                for entry in block.entries.iter().filter(|entry| !names.contains(&entry.name.as_str())) {
                    let meant = nearest(&entry.name, names.iter().map(|name| ((*name).to_owned(), *name)));
                    let known = names.join(", ");
                    let meant = meant.map_or_else(|| format!("known are {known}"), |name| format!("{name} is meant?"));
                    wrong.push((entry.line, format!("[[{section}]] {} is unknown: {meant}", Shown(&entry.name))));
                }
            }
            None if SECTIONS.contains(&block.section.as_str()) => {
                wrong.push((block.line, format!("[[{0}]] can be there once: write [{0}]", block.section)));
            }
            None => wrong.push((block.line, section(&block.section, &format!("[[{}]]", Shown(&block.section))))),
        }
    }
    wrong.sort();
    // Of a section that is unknown, once is enough.
    wrong.dedup_by(|later, earlier| later.1 == earlier.1);
    wrong.into_iter().map(|(line, why)| format!("{path}:{line}: {why}")).collect()
}

fn is_known(entry: &Entry) -> bool {
    ALL.iter().any(|option| (option.about().section, option.about().name) == (&entry.section, &entry.name))
}

fn in_words(Entry { section: of, name, .. }: &Entry) -> String {
    let shown = if of.is_empty() { Shown(name).to_string() } else { format!("[{}] {}", Shown(of), Shown(name)) };
    if SECRETS.contains(&name.to_ascii_lowercase().as_str()) {
        return format!(
            "{shown} has no place here: write the secret into a file and name it, [proxmox] token_file, or set API_TOKEN_SECRET"
        );
    }
    if !of.is_empty() && !SECTIONS.contains(&of.as_str()) {
        return section(of, &format!("[{}]", Shown(of)));
    }
    // A key may be right, but in another section; or it is called as its variable or flag.
    let abouts = || ALL.iter().map(|option| option.about());
    let here = abouts().filter(|about| about.section == of).map(|about| (about.name.to_owned(), about.key()));
    let elsewhere = abouts().flat_map(|about| {
        let names = [about.name, about.flag].into_iter().chain(about.variables.iter().copied());
        names.map(|name| (plain(name), about.key()))
    });
    let same = elsewhere.clone().find(|(other, _)| *other == plain(name)).map(|(_, key)| key);
    let meant = same.or_else(|| nearest(name, here)).or_else(|| nearest(name, elsewhere));
    match meant {
        Some(key) => format!("{shown} is unknown: {key} is meant?"),
        None => format!("{shown} is unknown: --help says what there is"),
    }
}

fn section(name: &str, shown: &str) -> String {
    let blocks = BLOCKS.iter().map(|(name, _)| ((*name).to_owned(), format!("[[{name}]]")));
    let sections = SECTIONS.iter().map(|name| ((*name).to_owned(), format!("[{name}]")));
    let meant = nearest(name, blocks.chain(sections));
    let meant = meant.map_or_else(
        || "known are [proxmox], [names], [neighbors], [dnsmasq], [[network]] and [[record]]".to_owned(),
        |name| format!("{name} is meant?"),
    );
    format!("{shown} is unknown: {meant}")
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// What is called almost like this.
fn nearest<T>(name: &str, known: impl Iterator<Item = (String, T)>) -> Option<T> {
    let name = plain(name);
    let far = |other: &str| strsim::damerau_levenshtein(&name, other);
    let near = known.map(|(other, what)| (far(&other), other.len(), what));
    let near = near.filter(|(distance, length, _)| *distance <= (length / 3).max(1));
    near.min_by_key(|(distance, ..)| *distance).map(|(.., what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_told_with_what_may_be_meant() {
        for (text, why) in [
            ("pol_interval = 1", "pol_interval is unknown: poll_interval is meant?"),
            ("[proxmox]\nhost = \"x\"", "[proxmox] host is unknown: [proxmox] hosts is meant?"),
            ("domain = \"x\"", "domain is unknown: [names] domain is meant?"),
            ("PROXMOX_HOST = \"x\"", "PROXMOX_HOST is unknown: [proxmox] hosts is meant?"),
            ("dns-port = 1", "dns-port is unknown: [dnsmasq] port is meant?"),
            ("[dnsmasq]\nxyzzy = 1", "[dnsmasq] xyzzy is unknown: --help says what there is"),
            ("[dnsmaq]\nport = 1", "[dnsmaq] is unknown: [dnsmasq] is meant?"),
            ("[[networks]]\ntag = 1", "[[networks]] is unknown: [[network]] is meant?"),
            ("[[network]]\nvlan = 1", "[[network]] vlan is unknown: known are bridge, tag, prefixes, domain"),
            ("[[network]]\nprefix = 1", "[[network]] prefix is unknown: prefixes is meant?"),
            ("[network]\ntag = 1", "[network] is one of many: write [[network]]"),
            ("[[names]]\ndomain = 1", "[[names]] can be there once: write [names]"),
            ("proxmox = 1", "proxmox is a section: write [proxmox]"),
        ] {
            let (document, wrong) = Document::read("f", text);
            assert!(wrong.is_empty(), "{text}: {wrong:?}");
            let line = if text.contains('\n') && !text.starts_with("[[n")
                || text.contains("vlan")
                || text.contains("prefix =")
            {
                2
            } else {
                1
            };
            assert_eq!(unknown(&document), [format!("f:{line}: {why}")], "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_misspelt_is_told_with_what_may_be_meant() {
        let names = ["PATH", "INSTANCES_PROXMOX_OPTIONS", "INSTANCES_PROXMOX_LISTEN", "INSTANCES_PROXMOX_POL_INTERVAL"];
        let names = names.into_iter().chain(["INSTANCES_PROXMOX_", "INSTANCES_PROXMOX_CONFIG"]).map(OsString::from);
        let told = [
            "variable INSTANCES_PROXMOX_ is unknown: --help says what there is",
            "variable INSTANCES_PROXMOX_CONFIG is unknown: --help says what there is",
            "variable INSTANCES_PROXMOX_POL_INTERVAL is unknown: INSTANCES_PROXMOX_POLL_INTERVAL is meant?",
        ];
        assert_eq!(unknown_variables(names), told);
    }

    #[test]
    fn a_secret_in_a_file_is_told_without_it() {
        let (document, _) = Document::read("f", "[proxmox]\ntoken_secret = \"5ecre7\"\n");
        let told = unknown(&document);
        assert!(told[0].contains("token_file") && !told[0].contains("5ecre7"), "{told:?}");
    }
}
