//! Versions of the API, microversions: the client says one in a header, and the server answers in that version's terms.
//!
//! Both sides say what they know, and the newest that both do is taken. What came with which version is in Ironic's "REST API
//! Version History".

use reqwest::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use std::fmt;

/// The header that says the version, in requests and answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-openstack-ironic-api-version");
/// The headers of every answer that say which versions the server knows.
const MINIMUM: HeaderName = HeaderName::from_static("x-openstack-ironic-api-minimum-version");
const MAXIMUM: HeaderName = HeaderName::from_static("x-openstack-ironic-api-maximum-version");

/// A version of the API, `1.MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// The oldest that we can do with: 1.8 brought `fields`, 1.9 the filter by provision state.
    pub const OLDEST: Self = Self(9);
    /// The newest that we know (Zed); nothing that we need came later.
    pub const NEWEST: Self = Self(81);

    /// Whether ports say `pxe_enabled`.
    pub(super) fn has_pxe_enabled(self) -> bool {
        self.0 >= 19
    }

    /// Whether nodes say `inspect_interface`.
    pub(super) fn has_inspect_interface(self) -> bool {
        self.0 >= 31
    }

    /// Whether every server that knows no newer version has the state `inspect wait`.
    pub(super) fn has_inspect_wait(self) -> bool {
        self.0 >= 39
    }

    /// What a filter cannot do with this version, for people.
    pub(super) fn lacks(self) -> Option<String> {
        let mut lacks = Vec::new();
        if !self.has_pxe_enabled() {
            lacks.push("pxe_enabled (1.19), so every port counts as one for PXE");
        }
        if !self.has_inspect_interface() {
            lacks.push("inspect_interface (1.31), so Ironic's own rules open nothing");
        }
        let lacks = lacks.join(" and no ");
        (!lacks.is_empty())
            .then(|| format!("Ironic's API knows only version {self}, which has no {lacks}; upgrade Ironic"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// The versions that a server knows, oldest and newest, as `(major, minor)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    oldest: (u32, u32),
    newest: (u32, u32),
}

impl Offer {
    /// From an answer's headers.
    pub(super) fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let number = |name| headers.get(name).and_then(|value| value.to_str().ok()).and_then(numbers);
        Some(Self { oldest: number(MINIMUM)?, newest: number(MAXIMUM)? })
    }

    /// From the document at `/v1`, for when somebody on the way has taken the headers.
    pub(super) fn of_document(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            version: Range,
        }
        #[derive(Deserialize)]
        struct Range {
            min_version: String,
            version: String,
        }
        let Document { version } = serde_json::from_slice(body).ok()?;
        Some(Self { oldest: numbers(&version.min_version)?, newest: numbers(&version.version)? })
    }

    /// The newest version that both know.
    pub(super) fn choose(self) -> Option<Version> {
        let (oldest, newest) = ((1, Version::OLDEST.0), (1, Version::NEWEST.0));
        let (_, minor) = self.newest.min(newest);
        (self.oldest <= self.newest && self.oldest <= newest && self.newest >= oldest).then_some(Version(minor))
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((oldest_major, oldest), (newest_major, newest)) = (self.oldest, self.newest);
        write!(f, "{oldest_major}.{oldest} to {newest_major}.{newest}")
    }
}

fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(oldest: &str, newest: &str) -> Option<String> {
        let offer = Offer { oldest: numbers(oldest)?, newest: numbers(newest)? };
        offer.choose().map(|version| version.to_string())
    }

    #[test]
    fn the_newest_version_that_both_know_is_chosen() {
        for (oldest, newest, version) in [
            ("1.1", "1.115", Some("1.81")),
            ("1.1", "1.81", Some("1.81")),
            ("1.1", "1.34", Some("1.34")),
            ("1.1", "1.9", Some("1.9")),
            ("1.1", "1.8", None),
            ("1.81", "1.120", Some("1.81")),
            ("1.82", "1.120", None),
            ("2.1", "2.7", None),
            ("1.1", "2.7", Some("1.81")),
            ("1.50", "1.40", None),
            ("banana", "1.115", None),
        ] {
            assert_eq!(chosen(oldest, newest).as_deref(), version, "{oldest} to {newest}");
        }
    }

    #[test]
    fn an_old_version_says_what_is_missing() {
        assert_eq!(Version(31).lacks(), None);
        assert!(Version(19).lacks().unwrap().contains("no inspect_interface (1.31)"));
        let both = Version(9).lacks().unwrap();
        assert!(
            both.contains("only version 1.9") && both.contains("no pxe_enabled") && both.contains("and no inspect")
        );
    }
}
