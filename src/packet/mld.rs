//! Multicast listener discovery, versions 1 (RFC 2710) and 2 (RFC 9777).

use super::Segment;
use std::net::Ipv6Addr;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mld {
    /// Who listens? Version 1; `::` asks for all groups.
    QueryV1(Ipv6Addr),
    /// The same, version 2.
    QueryV2(Ipv6Addr),
    /// I listen there. Version 1.
    ReportV1(Ipv6Addr),
    /// No more. Version 1.
    DoneV1(Ipv6Addr),
    /// I listen there (version 2): a record for each group, of type 4, CHANGE_TO_EXCLUDE nobody.
    ReportV2(Vec<Ipv6Addr>),
}

/// Within how many milliseconds an answer is due.
const RESPONSE_DELAY: [u8; 2] = 1000_u16.to_be_bytes();

impl Mld {
    /// For IPv6 to carry; see [`super::Ipv6::mld`].
    pub fn segment(&self) -> Segment {
        let with_delay = |group: &Ipv6Addr| [&RESPONSE_DELAY[..], &[0; 2], &group.octets()].concat();
        let without = |group: &Ipv6Addr| [&[0; 4][..], &group.octets()].concat();
        match self {
            Self::QueryV1(group) => Segment::icmpv6(130, 0, &with_delay(group)),
            // Robustness 2, asked every 125 s, no sources.
            Self::QueryV2(group) => Segment::icmpv6(130, 0, &[&with_delay(group)[..], &[2, 125, 0, 0]].concat()),
            Self::ReportV1(group) => Segment::icmpv6(131, 0, &without(group)),
            Self::DoneV1(group) => Segment::icmpv6(132, 0, &without(group)),
            Self::ReportV2(groups) => {
                let mut body = vec![0; 2];
                body.extend(super::length16(groups.len()));
                for group in groups {
                    body.extend([4, 0, 0, 0]);
                    body.extend(group.octets());
                }
                Segment::icmpv6(143, 0, &body)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_tell_the_versions_apart() {
        let group = Ipv6Addr::UNSPECIFIED;
        let length = |message: Mld| message.segment().bytes.len();
        assert_eq!(length(Mld::QueryV1(group)), 24);
        assert_eq!(length(Mld::QueryV2(group)), 28);
        assert_eq!(length(Mld::ReportV1(group)), 24);
        assert_eq!(length(Mld::DoneV1(group)), 24);
        assert_eq!(length(Mld::ReportV2(vec![group, group])), 8 + 2 * 20);
        assert_eq!(Mld::ReportV2(vec![group]).segment().bytes[..8], [143, 0, 0, 0, 0, 0, 0, 1]);
    }
}
