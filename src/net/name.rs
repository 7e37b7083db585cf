use std::fmt;
use std::str::FromStr;

/// An instance's name: a letter, then letters, digits and hyphens. No dots, so it is always a single DNS label, and no
/// character that means anything in a hosts file, in nftables or in a shell.
///
/// At most 255 octets, the most that DNS allows in a whole name (RFC 1035, section 2.3.4). Names longer than a label's
/// 63 octets are kept as the original keeps them; DNS servers leave them out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Longest name in octets.
    pub const LONGEST: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether DNS takes both names for the same (RFC 4343: case is ignored).
    pub fn same_in_dns(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidName {
    /// Does not match `[a-zA-Z][a-zA-Z0-9-]*`.
    Pattern,
    /// Longer than [`Name::LONGEST`].
    TooLong,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern => f.write_str("a name is a letter, then letters, digits and hyphens"),
            Self::TooLong => write!(f, "a name has at most {} characters", Name::LONGEST),
        }
    }
}

impl std::error::Error for InvalidName {}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let starts_with_letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !starts_with_letter || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            Err(InvalidName::Pattern)
        } else if text.len() > Self::LONGEST {
            Err(InvalidName::TooLong)
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
            assert_eq!(wrong.parse::<Name>(), Err(InvalidName::Pattern), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_longer_than_dns_allows_is_refused() {
        assert!("a".repeat(255).parse::<Name>().is_ok());
        assert_eq!("a".repeat(256).parse::<Name>(), Err(InvalidName::TooLong));
    }
}
