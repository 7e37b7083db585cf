//! What a bridge does with a frame before, or instead of, its prerouting hook (br_handle_frame, net/bridge/br_input.c).

use super::packet::{ETHERNET, Frame, TAG, is_tag, number16};
use std::fmt;

/// The hooks that a frame comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Prerouting, then input or forward or, for a group, both.
    Bridged,
    /// Input, then this host's own protocols: the bridge does not forward it.
    Input(Lost),
    /// None.
    Unseen(Lost),
}

/// Why a bridge does not forward a frame, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Shorter than an Ethernet header.
    TooShort,
    /// Shorter than its VLAN tag and the two octets behind (skb_vlan_untag).
    TagTooShort,
    /// The source is a group, or zero.
    InvalidSource,
    /// To 01:80:c2:00:00:01, the address of pause frames.
    Pause,
    /// To 01:80:c2:00:00:0e, the nearest bridge (LLDP): for this host's own protocols.
    NearestBridge,
    /// To another of the addresses 01:80:c2:00:00:0X, which bridges do not forward (IEEE 802.1Q, table 8-1).
    LinkLocal,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "shorter than an Ethernet header",
            Self::TagTooShort => "shorter than its VLAN tag",
            Self::InvalidSource => "its source is a group or zero, which a bridge drops",
            Self::Pause => "a pause frame, which a bridge drops",
            Self::NearestBridge => "for the nearest bridge, which does not forward it",
            Self::LinkLocal => "to a link-local group, which a bridge does not forward",
        })
    }
}

impl Path {
    /// The path of a frame through a bridge without spanning tree, and with `group_fwd_mask` 0 as by default.
    pub fn of(frame: &Frame) -> Self {
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *frame.bytes else {
            return Self::Unseen(Lost::TooShort);
        };
        let Some(ether_type) = number16(frame.bytes, 12) else { return Self::Unseen(Lost::TooShort) };
        if is_tag(ether_type) && frame.length() < ETHERNET + TAG + 2 {
            return Self::Unseen(Lost::TagTooShort);
        }
        if s0 & 1 == 1 || [s0, s1, s2, s3, s4, s5] == [0; 6] {
            return Self::Unseen(Lost::InvalidSource);
        }
        match ([d0, d1, d2, d3, d4], d5) {
            // Without spanning tree, that of bridges (0) is forwarded, so that loops can be found.
            ([0x01, 0x80, 0xc2, 0, 0], 0x01) => Self::Unseen(Lost::Pause),
            ([0x01, 0x80, 0xc2, 0, 0], 0x0e) => Self::Unseen(Lost::NearestBridge),
            ([0x01, 0x80, 0xc2, 0, 0], 0x02..=0x0f) => Self::Input(Lost::LinkLocal),
            _ => Self::Bridged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(destination: [u8; 6], source: [u8; 6], rest: &[u8]) -> Path {
        let bytes = [&destination[..], &source, rest].concat();
        Path::of(&Frame::new(&bytes))
    }

    const GUEST: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn groups_of_the_link_and_invalid_sources_never_come_to_prerouting() {
        let group = |last| [0x01, 0x80, 0xc2, 0, 0, last];
        for (destination, source, expected) in [
            (group(0), GUEST, Path::Bridged),
            (group(1), GUEST, Path::Unseen(Lost::Pause)),
            (group(2), GUEST, Path::Input(Lost::LinkLocal)),
            (group(0x0e), GUEST, Path::Unseen(Lost::NearestBridge)),
            (group(0x0f), GUEST, Path::Input(Lost::LinkLocal)),
            (group(0x10), GUEST, Path::Bridged),
            ([0xff; 6], GUEST, Path::Bridged),
            ([0xff; 6], [3, 0, 0, 0, 0, 1], Path::Unseen(Lost::InvalidSource)),
            ([0xff; 6], [0; 6], Path::Unseen(Lost::InvalidSource)),
        ] {
            assert_eq!(path(destination, source, &[8, 0]), expected, "{destination:x?} {source:x?}");
        }
    }

    #[test]
    fn what_ends_too_early_is_lost() {
        assert_eq!(path([0xff; 6], GUEST, &[8]), Path::Unseen(Lost::TooShort));
        assert_eq!(path([0xff; 6], GUEST, &[0x81, 0, 0, 0, 8]), Path::Unseen(Lost::TagTooShort));
        assert_eq!(path([0xff; 6], GUEST, &[0x81, 0, 0, 0, 8, 0]), Path::Unseen(Lost::TagTooShort));
        assert_eq!(path([0xff; 6], GUEST, &[0x81, 0, 0, 0, 8, 0, 0x45, 0]), Path::Bridged);
        assert_eq!(path([0xff; 6], GUEST, &[0x91, 0]), Path::Bridged, "no tag to Linux");
    }
}
