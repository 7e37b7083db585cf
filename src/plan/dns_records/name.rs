//! Names that DNS can carry, from names that people gave to guests.

use super::{Dotted, Policy, Unnamed};
use crate::net::DomainName;
use crate::plan::guest::{Guest, Kind};

/// Octets of a label (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// A guest's name, still without the domain of a network, unless it brings its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuestName {
    /// The first label: letters, digits and hyphens, no hyphen at either end (RFC 1123, section 2.1), in lower case.
    pub label: String,
    /// All behind the first dot of a name that has one.
    pub parent: Option<String>,
}

impl GuestName {
    /// The whole name of an interface in this domain; none if that is too long for DNS.
    pub fn under(&self, domain: &DomainName) -> Option<DomainName> {
        let parent = self.parent.as_deref().unwrap_or(domain.as_str());
        format!("{}.{}", self.label, parent.to_ascii_lowercase()).parse().ok()
    }

    /// As it is, or with the guest's number at the end so many times.
    pub fn numbered(&self, vmid: u32, times: usize) -> Self {
        let suffix = format!("-{vmid}").repeat(times);
        let longest = LONGEST_LABEL.saturating_sub(suffix.len());
        // ASCII only, so every index is a boundary.
        let label = self.label.get(..longest).unwrap_or(&self.label).trim_end_matches('-');
        Self { label: format!("{label}{suffix}").trim_start_matches('-').to_owned(), parent: self.parent.clone() }
    }
}

/// What a guest is to be called, and whether nothing of its name could be used. None if it is to have no name.
pub(super) fn wanted(guest: &Guest, policy: &Policy) -> (Option<GuestName>, bool) {
    let substitute = || {
        let label = match guest.kind {
            Kind::Qemu => format!("vm-{}", guest.vmid),
            Kind::Lxc => format!("ct{}", guest.vmid),
        };
        (policy.unnamed == Unnamed::Numbered).then_some(GuestName { label, parent: None })
    };
    let Some(name) = &guest.name else { return (substitute(), false) };
    let dotted = (policy.dotted == Dotted::AsIs).then(|| dotted(name)).flatten();
    let named = dotted.or_else(|| Some(GuestName { label: label(name)?, parent: None }));
    match named {
        Some(name) => (Some(name), false),
        None => (substitute(), true),
    }
}

/// A label: lower-case, what is illegal replaced by hyphens, none of these at the ends, not too long. None if nothing is left.
fn label(text: &str) -> Option<String> {
    let legal = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' };
    let label: String = text.trim().chars().map(legal).collect();
    let label = label.trim_matches('-');
    let label = label.get(..LONGEST_LABEL).unwrap_or(label).trim_end_matches('-');
    (!label.is_empty()).then(|| label.to_owned())
}

/// A name that brings its own domain: two labels at least, and the last one may be a top-level domain of hosts. (Not an IP
/// address's, RFC 1123, section 2.1; not what stands for the resolver's own host or for reverse lookups, RFC 6761.)
fn dotted(text: &str) -> Option<GuestName> {
    let mut labels = text.split('.').filter_map(label);
    let first = labels.next()?;
    let rest: Vec<_> = labels.collect();
    let top = rest.last()?;
    let is_number = top.bytes().all(|byte| byte.is_ascii_digit());
    let is_special = ["arpa", "invalid", "localhost", "localdomain"].contains(&top.as_str());
    let parent = rest.join(".");
    let fits = format!("{first}.{parent}").parse::<DomainName>().is_ok();
    (fits && !is_number && !is_special).then_some(GuestName { label: first, parent: Some(parent) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_made_legal() {
        let long = "a".repeat(300);
        let cut = format!("{}-{}", "a".repeat(62), "b".repeat(9));
        for (text, expected) in [
            ("web", Some("web")),
            ("DB01", Some("db01")),
            ("-x", Some("x")),
            ("x-", Some("x")),
            ("*", None),
            ("---", None),
            ("", None),
            ("\u{1f980}", None),
            ("a\u{1f980}b", Some("a-b")),
            ("B\u{fc}cher", Some("b-cher")),
            ("my host_1", Some("my-host-1")),
            ("a\nb#c", Some("a-b-c")),
            ("42", Some("42")),
            (&long, Some(&long[..63])),
            (&cut, Some(&cut[..62])),
        ] {
            assert_eq!(label(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn dotted_names_bring_their_domain_unless_it_is_none() {
        let whole = |text: &str| dotted(text).map(|name| format!("{} {}", name.label, name.parent.unwrap_or_default()));
        for (text, expected) in [
            ("win-ad.corp", Some("win-ad corp")),
            ("Win_AD.Corp.Example.", Some("win-ad corp.example")),
            (".a..b.", Some("a b")),
            ("web", None),
            ("web.", None),
            ("1.2.3.4", None),
            ("x.localhost", None),
            ("localhost.localdomain", None),
            ("1.2.0.192.in-addr.arpa", None),
        ] {
            assert_eq!(whole(text).as_deref(), expected, "{text}");
        }
        assert_eq!(label("1.2.3.4").as_deref(), Some("1-2-3-4"));
    }

    #[test]
    fn numbers_fit_behind_any_name() {
        let numbered = |label: &str, times| {
            let name = GuestName { label: label.to_owned(), parent: None };
            name.numbered(111, times).label
        };
        assert_eq!((numbered("db01", 0).as_str(), numbered("db01", 1).as_str()), ("db01", "db01-111"));
        assert_eq!(numbered("db01", 2), "db01-111-111");
        assert_eq!(numbered(&"a".repeat(63), 1), format!("{}-111", "a".repeat(59)));
        assert_eq!(numbered(&format!("{}-bcdef", "a".repeat(58)), 1), format!("{}-111", "a".repeat(58)));
    }

    proptest! {
        #[test]
        fn every_name_is_legal(text in any::<String>(), vmid in any::<u32>(), times in 0_usize..5) {
            let names = dotted(&text).into_iter().chain(label(&text).map(|label| GuestName { label, parent: None }));
            for name in names.map(|name| name.numbered(vmid, times)) {
                for label in name.label.split('.').chain(name.parent.iter().flat_map(|parent| parent.split('.'))) {
                    prop_assert!((1..=63).contains(&label.len()), "{}", label);
                    prop_assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
                    prop_assert!(!label.starts_with('-') && !label.ends_with('-'));
                }
                prop_assert!(!name.label.contains('.'));
            }
        }
    }
}
