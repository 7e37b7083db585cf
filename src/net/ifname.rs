use std::fmt;
use std::str::FromStr;

/// The name of a network interface, as the kernel allows it (`dev_valid_name`, net/core/dev.c): 1 to 15 bytes, not `.`
/// or `..`, without `/`, `:` and blanks. Control characters, quotes and `*` (a wildcard to nft), which the kernel would take, are
/// refused too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IfName {
    /// Padded with NUL to the size of the kernel's IFNAMSIZ.
    padded: [u8; Self::SIZE],
}

impl IfName {
    /// IFNAMSIZ: bytes of a name with its final NUL.
    pub const SIZE: usize = 16;

    /// `tap`: how the names of most taps begin.
    pub(crate) const TAP: Self = Self { padded: *b"tap\0\0\0\0\0\0\0\0\0\0\0\0\0" };

    /// The name that is padded so, as nftables keeps it.
    pub fn of_padded(padded: &[u8]) -> Option<Self> {
        str::from_utf8(until_nul(padded)).ok()?.parse().ok()
    }

    /// The name padded with NUL, as nftables compares it.
    pub fn padded(&self) -> &[u8; Self::SIZE] {
        &self.padded
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(until_nul(&self.padded)).unwrap_or_default()
    }
}

/// What stands in front of the padding. The kernel's own names may be none that we would take.
pub(crate) fn until_nul(padded: &[u8]) -> &[u8] {
    padded.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The text cannot be an interface's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidIfName;

impl fmt::Display for InvalidIfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an interface's name has 1 to 15 printable characters without / : \" * and blanks; no patterns")
    }
}

impl std::error::Error for InvalidIfName {}

impl FromStr for IfName {
    type Err = InvalidIfName;

    fn from_str(text: &str) -> Result<Self, InvalidIfName> {
        let printable =
            text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'"' | b'\\' | b'*'));
        let mut padded = [0; Self::SIZE];
        match padded.get_mut(..text.len()) {
            Some(start) if printable && !matches!(text, "" | "." | "..") && text.len() < Self::SIZE => {
                start.copy_from_slice(text.as_bytes());
                Ok(Self { padded })
            }
            _ => Err(InvalidIfName),
        }
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_are_those_of_the_kernel() {
        for right in ["br0", "eth0.100", "fwbr117i0", "a23456789012345", "veth-x_y@1"] {
            assert_eq!(right.parse::<IfName>().map(|name| name.to_string()), Ok(right.into()));
        }
        for wrong in ["", ".", "..", "a/b", "a:0", "a b", "a\n", "a\"b", "a234567890123456", "é", "tap*", "*"] {
            assert_eq!(wrong.parse::<IfName>(), Err(InvalidIfName), "{wrong:?}");
        }
    }
}
