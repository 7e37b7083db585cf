//! What people were told of what goes wrong here: each fault when it begins and when it is over, each oddity once until it is over.
//! Nothing else is remembered, so it does not grow.

use std::collections::{BTreeMap, BTreeSet};
use tracing::{error, warn};

/// What something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// Files of names and reservations.
    Names,
    /// Whether dnsmasq watches them.
    Watch,
    /// Whether dnsmasq may read them.
    Rights,
    /// Telling dnsmasq.
    Reload,
    /// dnsmasq's leases.
    Leases,
    /// The state file.
    State,
    /// The registry.
    Registry,
}

impl About {
    /// What is said when its fault is over.
    fn over(self) -> &'static str {
        match self {
            Self::Names => "names can be written again",
            Self::Watch => "dnsmasq watches the folder of names again",
            Self::Rights => "dnsmasq can read the folder of names again",
            Self::Reload => "dnsmasq can be told of reservations again",
            Self::Leases => "dnsmasq's leases can be read again",
            Self::State => "the state file can be written again",
            Self::Registry => "the registry can be written again",
        }
    }
}

/// What goes wrong now.
#[derive(Debug, Default)]
pub(super) struct Told {
    faults: BTreeMap<About, BTreeSet<String>>,
    oddities: BTreeMap<About, BTreeSet<String>>,
}

impl Told {
    /// These keep names from being right now; none: that is over. Whether it was another before.
    pub fn faults(&mut self, about: About, now: impl IntoIterator<Item = String>) -> bool {
        let now: BTreeSet<String> = now.into_iter().collect();
        let is_over = now.is_empty();
        let before = if is_over { self.faults.remove(&about) } else { self.faults.insert(about, now.clone()) };
        let before = before.unwrap_or_default();
        for text in now.difference(&before) {
            error!("{text}");
        }
        if is_over && !before.is_empty() {
            // As loud as its beginning was.
            error!("it is over: {}", about.over());
        }
        before != now
    }

    /// These are strange, and nothing is wrong for it.
    pub fn oddities(&mut self, about: About, now: impl IntoIterator<Item = String>) {
        let now: BTreeSet<String> = now.into_iter().collect();
        let before = self.oddities.remove(&about).unwrap_or_default();
        for text in now.difference(&before) {
            warn!("{text}");
        }
        if !now.is_empty() {
            self.oddities.insert(about, now);
        }
    }

    /// All that keeps names from being right, what matters most first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.faults.values().flatten().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_forgotten() {
        let mut told = Told::default();
        for number in 0..1000 {
            assert!(told.faults(About::Reload, [format!("process {number} is away")]));
            told.oddities(About::Names, [format!("{number} files are not ours")]);
        }
        assert!(!told.faults(About::Reload, ["process 999 is away".to_owned()]));
        assert_eq!(told.all().collect::<Vec<_>>(), ["process 999 is away"]);
        assert_eq!(told.oddities.values().flatten().count(), 1);
        assert!(told.faults(About::Reload, []) && !told.faults(About::Reload, []));
        told.oddities(About::Names, []);
        assert!(told.faults.is_empty() && told.oddities.is_empty());
    }
}
