//! What is sent through the bridges.

use crate::frames::{arp_request, neighbor_advertisement, udp4, udp6};
use crate::lane::Frames;
use crate::registry::{global, ipv4, mac};
use crate::variant::Variant;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Traffic {
    Udp4,
    Arp,
    Udp6,
    Advertisement,
    SpoofedUdp4,
    SpoofedArp,
    SpoofedAdvertisement,
    TurnsUdp4,
    TurnsArp,
}

impl Traffic {
    pub(crate) const ALL: [Self; 9] = [
        Self::Udp4,
        Self::Arp,
        Self::Udp6,
        Self::Advertisement,
        Self::SpoofedUdp4,
        Self::SpoofedArp,
        Self::SpoofedAdvertisement,
        Self::TurnsUdp4,
        Self::TurnsArp,
    ];
    /// Of the last instance.
    pub(crate) const HONEST: [Self; 4] = [Self::Udp4, Self::Arp, Self::Udp6, Self::Advertisement];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Udp4 => "UDP over IPv4",
            Self::Arp => "ARP request",
            Self::Udp6 => "UDP over IPv6",
            Self::Advertisement => "neighbour advertisement",
            Self::SpoofedUdp4 => "spoofed UDP over IPv4",
            Self::SpoofedArp => "spoofed ARP request",
            Self::SpoofedAdvertisement => "spoofed neighbour advertisement",
            Self::TurnsUdp4 => "UDP over IPv4, all instances in turn",
            Self::TurnsArp => "ARP request, all instances in turn",
        }
    }

    pub(crate) const fn is_in_turn(self) -> bool {
        matches!(self, Self::TurnsUdp4 | Self::TurnsArp)
    }

    /// Whether it arrives.
    pub(crate) const fn passes(self, variant: Variant) -> bool {
        match self {
            Self::SpoofedUdp4 => !variant.is_strict(),
            Self::SpoofedArp | Self::SpoofedAdvertisement => variant.options().is_none(),
            _ => true,
        }
    }

    /// The frames, in which the last instance is the one that speaks or is impersonated by its neighbour.
    pub(crate) fn frames(self, size: usize) -> Frames {
        let (last, liar) = (size - 1, mac(size - 2));
        // 7919 is a prime: neighbours in turn are no neighbours in memory.
        let turns = (0..size).map(|turn| turn * 7919 % size);
        match self {
            Self::Udp4 => Frames::new([udp4(mac(last), ipv4(last))]),
            Self::Arp => Frames::new([arp_request(mac(last), ipv4(last))]),
            Self::Udp6 => Frames::new([udp6(mac(last), global(last))]),
            Self::Advertisement => Frames::new([neighbor_advertisement(mac(last), global(last))]),
            Self::SpoofedUdp4 => Frames::new([udp4(liar, ipv4(last))]),
            Self::SpoofedArp => Frames::new([arp_request(liar, ipv4(last))]),
            Self::SpoofedAdvertisement => Frames::new([neighbor_advertisement(liar, global(last))]),
            Self::TurnsUdp4 => Frames::new(turns.map(|index| udp4(mac(index), ipv4(index)))),
            Self::TurnsArp => Frames::new(turns.map(|index| arp_request(mac(index), ipv4(index)))),
        }
    }
}
