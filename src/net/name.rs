use std::fmt;
use std::str::FromStr;

/// An instance's name: a letter, then letters, digits and hyphens. No dots, so it is always a single DNS label, and no
/// character that means anything in a hosts file, in nftables or in a shell.
///
/// Of any length, as in the original; see [`Name::fits_dns`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Octets that DNS allows in a whole name (RFC 1035, section 2.3.4).
    pub const LONGEST_IN_DNS: usize = 255;

    /// Whether DNS could have such a name at all. (A label has at most 63 octets; dnsmasq leaves longer ones out and says
    /// so.) Longer ones are not given to anybody, but kept where a registry has them, as the original does.
    pub fn fits_dns(&self) -> bool {
        self.0.len() <= Self::LONGEST_IN_DNS
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether DNS takes both names for the same (RFC 4343: case is ignored).
    pub fn same_in_dns(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// The text does not match `[a-zA-Z][a-zA-Z0-9-]*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name is a letter, then letters, digits and hyphens")
    }
}

impl std::error::Error for InvalidName {}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let starts_with_letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !starts_with_letter || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            Err(InvalidName)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_harmless_label() {
        for right in ["a", "Host", "web-1", "a-", "x--y9"] {
            assert_eq!(right.parse::<Name>().map(|name| name.to_string()), Ok(right.into()));
        }
        for wrong in ["", "1a", "-a", "a.b", "a_b", "a b", "a\n", "a\"", "$(x)", "é", "a;drop", "--help"] {
            assert_eq!(wrong.parse::<Name>(), Err(InvalidName), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_longer_than_dns_allows_is_known_as_such() {
        let fits = |length| "a".repeat(length).parse::<Name>().map(|name| name.fits_dns());
        assert_eq!((fits(255), fits(256)), (Ok(true), Ok(false)));
    }
}
