//! The dnsmasq that reads the folder: what in it or its configuration keeps a filter from having an effect.

pub use crate::sink::dnsmasq::{Dnsmasq, Version, reload};

use crate::sink::dnsmasq::Setting;
use crate::sink::folder::Folder;
use std::fmt;
use std::path::{Path, PathBuf};

/// The first that reads `dhcp-hostsdir` by inotify.
const FIRST: Version = Version(2, 73);
/// What keeps the filter from having an effect, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It does not notice files.
    TooOld(Version),
    /// It is not told to read the folder.
    NoFolder {
        /// The folder.
        hostsdir: PathBuf,
        /// Those that it is told to read, and where.
        others: Vec<String>,
    },
    /// It reads the path, but what it watches is not what is there by now.
    WatchesAnother(PathBuf),
    /// A proxy answers whom it is told to ignore. Where it is told to be one.
    Proxy(String),
    /// While the folder says nothing about somebody, that one is answered.
    AnswersUnknown,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld(version) => {
                write!(f, "dnsmasq {version} does not notice files in a dhcp-hostsdir; install {FIRST} or later")
            }
            Self::NoFolder { hostsdir, others } if others.is_empty() => {
                let hostsdir = hostsdir.display();
                write!(
                    f,
                    "dnsmasq does not read {hostsdir}; give it the option dhcp-hostsdir={hostsdir} and start it again"
                )
            }
            Self::NoFolder { hostsdir, others } => {
                let (hostsdir, others) = (hostsdir.display(), others.join(", "));
                write!(f, "dnsmasq does not read {hostsdir} but {others}; let both name the same folder")
            }
            Self::WatchesAnother(hostsdir) => {
                let hostsdir = hostsdir.display();
                write!(f, "dnsmasq does not watch {hostsdir}: it was made anew since dnsmasq began; restart dnsmasq")
            }
            Self::Proxy(place) => write!(
                f,
                "dnsmasq answers as a proxy ({place}), and a proxy answers denied MAC addresses, too; \
                 give it a dhcp-range of its own"
            ),
            Self::AnswersUnknown => f.write_str(
                "dnsmasq answers everybody while the folder is empty; give it the option dhcp-ignore=tag:!known",
            ),
        }
    }
}

impl Dnsmasq {
    /// What keeps a filter of this folder from having an effect, as far as we may see.
    pub fn findings(&self, hostsdir: &Path) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.version().filter(|version| *version < FIRST).map(Finding::TooOld));
        let Some(configuration) = self.configuration() else { return findings };
        let ours = super::identity(hostsdir).ok();
        let folders: Vec<_> = configuration.all("dhcp-hostsdir").collect();
        let is_ours = |setting: &&Setting| {
            let theirs = Folder::look_at(&configuration.seen_from_here(&setting.value)).ok();
            theirs.map(|theirs| theirs.identity()) == ours && ours.is_some() || Path::new(&setting.value) == hostsdir
        };
        if !folders.iter().any(is_ours) {
            let others = folders.iter().map(|setting| format!("{} ({})", setting.value, setting.place)).collect();
            findings.push(Finding::NoFolder { hostsdir: hostsdir.to_owned(), others });
        } else if let Some(ours) = ours
            && self.watches(ours) == Some(false)
        {
            findings.push(Finding::WatchesAnother(hostsdir.to_owned()));
        }
        let proxies =
            configuration.all("dhcp-range").filter(|range| range.value.split(',').any(|part| part.trim() == "proxy"));
        findings.extend(proxies.map(|range| Finding::Proxy(range.place.clone())));
        let ignores_unknown = |ignore: &Setting| {
            let tags: Vec<_> = ignore.value.split(',').map(str::trim).collect();
            matches!(tags[..], ["tag:!known" | "!known" | "#known" | "tag:#known"])
        };
        if !configuration.all("dhcp-ignore").any(ignores_unknown) {
            findings.push(Finding::AnswersUnknown);
        }
        findings
    }
}
