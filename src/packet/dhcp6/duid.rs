use crate::net::Mac;
use crate::packet::Malformed;
use std::fmt;

/// Who a client or a server is: a type of two octets and 1 to 128 more (RFC 8415, section 11.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duid(Box<[u8]>);

impl Duid {
    /// From a link-layer address (DUID-LL, section 11.4): as long as the address stays, so does it.
    pub fn link_layer(mac: Mac) -> Self {
        Self([&[0, 3, 0, 1][..], &mac.0].concat().into())
    }

    /// From a link-layer address and a time (DUID-LLT, section 11.2), which should be seconds since the year 2000.
    pub fn link_layer_and_time(mac: Mac, time: u32) -> Self {
        Self([&[0, 1, 0, 1][..], &time.to_be_bytes(), &mac.0].concat().into())
    }

    /// These octets.
    ///
    /// # Errors
    /// They are too few or too many.
    pub fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        match octets.len() {
            3..=130 => Ok(Self(octets.into())),
            _ => Err(Malformed("DHCPv6: a DUID of a wrong length")),
        }
    }

    /// Its octets.
    pub const fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Duid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duids_octet_by_octet() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        assert_eq!(Duid::link_layer(mac).octets(), [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
        let timed = Duid::link_layer_and_time(mac, 0x0102_0304);
        assert_eq!(timed.octets(), [0, 1, 0, 1, 1, 2, 3, 4, 2, 0, 0, 0, 0, 1]);
        assert_eq!(format!("{timed:?}"), "0001000101020304020000000001");
    }

    #[test]
    fn a_duid_has_1_to_128_octets_behind_its_type() {
        for (length, right) in [(0, false), (2, false), (3, true), (130, true), (131, false)] {
            assert_eq!(Duid::parse(&vec![1; length]).is_ok(), right, "{length}");
        }
    }
}
