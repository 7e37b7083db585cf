//! IGMP, versions 1 to 3 (RFC 1112, RFC 2236, RFC 9776).

use super::{Checksum, Segment, length16, protocol};
use crate::net::Mac;
use std::net::Ipv4Addr;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Igmp {
    /// Who listens? Version 1, to all groups.
    QueryV1,
    /// The same, version 2; 0.0.0.0 asks for all groups.
    QueryV2(Ipv4Addr),
    /// The same, version 3.
    QueryV3(Ipv4Addr),
    /// I listen there. Version 1.
    ReportV1(Ipv4Addr),
    /// I listen there. Version 2.
    ReportV2(Ipv4Addr),
    /// No more. Version 2.
    LeaveV2(Ipv4Addr),
    /// I listen there (version 3): a record for each group, of type 4, CHANGE_TO_EXCLUDE nobody.
    ReportV3(Vec<Ipv4Addr>),
}

impl Igmp {
    /// For IPv4 to carry, with TTL 1 and, but for version 1, a router alert.
    pub fn segment(&self) -> Segment {
        // Answers are due within 10 s: 100 tenths.
        let message = |kind, delay, group: Ipv4Addr| [&[kind, delay, 0, 0][..], &group.octets()].concat();
        let bytes = match self {
            Self::QueryV1 => message(0x11, 0, Ipv4Addr::UNSPECIFIED),
            Self::QueryV2(group) => message(0x11, 100, *group),
            Self::QueryV3(group) => [&message(0x11, 100, *group)[..], &[2, 125, 0, 0]].concat(),
            Self::ReportV1(group) => message(0x12, 0, *group),
            Self::ReportV2(group) => message(0x16, 0, *group),
            Self::LeaveV2(group) => message(0x17, 0, *group),
            Self::ReportV3(groups) => {
                let mut bytes = vec![0x22, 0, 0, 0, 0, 0];
                bytes.extend(length16(groups.len()));
                for group in groups {
                    bytes.extend([4, 0, 0, 0]);
                    bytes.extend(group.octets());
                }
                bytes
            }
        };
        let checksum = Checksum { offset: 2, pseudo_header: false, zero_means_none: false };
        Segment { protocol: protocol::IGMP, bytes, checksum: Some(checksum) }
    }
}

/// The Ethernet address of an IPv4 multicast group (RFC 1112, section 6.4).
pub fn multicast_mac(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    Mac([1, 0, 0x5e, b & 0x7f, c, d])
}

#[cfg(test)]
mod tests {
    use super::super::internet_checksum;
    use super::*;

    #[test]
    fn messages_verify_and_lengths_tell_the_versions_apart() {
        let group = Ipv4Addr::new(239, 1, 2, 3);
        for (message, length) in [
            (Igmp::QueryV1, 8),
            (Igmp::QueryV2(group), 8),
            (Igmp::QueryV3(group), 12),
            (Igmp::ReportV1(group), 8),
            (Igmp::ReportV2(group), 8),
            (Igmp::LeaveV2(group), 8),
            (Igmp::ReportV3(vec![group, group]), 24),
        ] {
            let bytes = message.segment().filled_in(&[1; 4], &[2; 4]);
            assert_eq!((bytes.len(), internet_checksum(&bytes)), (length, 0), "{message:?}");
        }
    }

    #[test]
    fn a_group_has_23_bits_in_ethernet() {
        assert_eq!(multicast_mac(Ipv4Addr::new(239, 129, 2, 3)), Mac([1, 0, 0x5e, 1, 2, 3]));
    }
}
