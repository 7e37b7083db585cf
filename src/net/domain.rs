use std::fmt;
use std::str::FromStr;

/// A domain name as hosts have it: labels of letters, digits, hyphens and underscores, 1 to 63 octets each, joined by
/// dots; at most 253 octets (RFC 1035, section 2.3.4). A dot at the end is taken off.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Box<str>);

impl DomainName {
    /// The name as text, without a dot at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels, first to last.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// What follows the first dot, if there is one.
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }

    /// As DNS has it on the wire, without compression: each label behind its length, and the root at the end (RFC 1035,
    /// section 3.1).
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.0.len() + 2);
        for label in self.labels() {
            wire.push(u8::try_from(label.len()).unwrap_or_default());
            wire.extend(label.as_bytes());
        }
        wire.push(0);
        wire
    }
}

/// The text cannot be a host's domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDomainName;

impl fmt::Display for InvalidDomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a domain name has labels of 1 to 63 letters, digits, - and _, joined by dots, 253 octets at most")
    }
}

impl std::error::Error for InvalidDomainName {}

impl FromStr for DomainName {
    type Err = InvalidDomainName;

    fn from_str(text: &str) -> Result<Self, InvalidDomainName> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(legal)
        };
        if name.len() <= 253 && name.split('.').all(is_label) { Ok(Self(name.into())) } else { Err(InvalidDomainName) }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_are_those_that_dns_can_carry() {
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        for right in ["vm", "testing-vm.example.com", "_x.9", &longest] {
            assert_eq!(right.parse::<DomainName>().map(|name| name.to_string()), Ok(right.to_owned()));
        }
        let too_long = format!("{longest}d");
        let long_label = "a".repeat(64);
        for wrong in ["", ".", "a..b", ".a", "a b", "a\n", "é", "a/b", &too_long, &long_label] {
            assert_eq!(wrong.parse::<DomainName>(), Err(InvalidDomainName), "{wrong:?}");
        }
    }

    #[test]
    fn a_final_dot_is_taken_off_and_the_wire_ends_with_the_root() {
        let name: DomainName = "ab.c.".parse().unwrap();
        assert_eq!((name.as_str(), name.parent()), ("ab.c", Some("c")));
        assert_eq!(name.wire(), *b"\x02ab\x01c\0");
    }
}
