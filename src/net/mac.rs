use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A 48-bit Ethernet address. Its text form is six lower-case hexadecimal octets with colons, and only that form is
/// read: the registry's keys are compared as text by others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Length of the text form in bytes.
    pub const TEXT_LEN: usize = 17;
}

impl Hash for Mac {
    /// As one number: several times faster than octet by octet.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let [a, b, c, d, e, f] = self.0;
        hasher.write_u64(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
    }
}

/// The text is not six lower-case hexadecimal octets joined by colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidMac;

impl fmt::Display for InvalidMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a MAC address in lower case (like 00:16:3e:00:00:01)")
    }
}

impl std::error::Error for InvalidMac {}

impl FromStr for Mac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidMac),
        };
        if text.len() != Self::TEXT_LEN {
            return Err(InvalidMac);
        }
        let mut octets = [0; 6];
        for (octet, group) in octets.iter_mut().zip(text.as_bytes().chunks(3)) {
            *octet = match *group {
                [high, low] | [high, low, b':'] => nibble(high)? << 4 | nibble(low)?,
                _ => return Err(InvalidMac),
            };
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(Self::TEXT_LEN);
        super::text::push_mac(&mut text, *self);
        f.pad(&text)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lower_case_form_with_colons_is_read() {
        assert_eq!("11:22:33:aa:bb:0f".parse(), Ok(Mac([0x11, 0x22, 0x33, 0xaa, 0xbb, 0x0f])));
        for wrong in [
            "",
            "11:22:33:44:55",
            "11:22:33:44:55:6",
            "11:22:33:44:55:66:",
            "11:22:33:44:55:66:77",
            "11-22-33-44-55-66",
            "AA:22:33:44:55:66",
            "g1:22:33:44:55:66",
            "112:2:33:44:55:66",
            "11:22:33:44:55:6\n",
            "é1:22:33:44:55:6",
            "11:22:33:44:55:66\n",
        ] {
            assert_eq!(wrong.parse::<Mac>(), Err(InvalidMac), "{wrong:?}");
        }
    }

    #[test]
    fn text_form_round_trips() {
        let text = "00:16:3e:0a:ff:01";
        assert_eq!(text.parse::<Mac>().map(|mac| mac.to_string()), Ok(text.into()));
    }
}
