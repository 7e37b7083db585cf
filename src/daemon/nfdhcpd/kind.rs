//! What is asked for: one kind of packets for each queue.

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// DHCP for IPv4.
    Dhcp4 = 0,
    /// Router solicitations.
    Rs = 1,
    /// Neighbour solicitations.
    Ns = 2,
    /// DHCPv6.
    Dhcp6 = 3,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dhcp4, Self::Rs, Self::Ns, Self::Dhcp6];

    /// In a word, for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dhcp4 => "dhcp4",
            Self::Rs => "rs",
            Self::Ns => "ns",
            Self::Dhcp6 => "dhcp6",
        }
    }

    /// The option that names its queue.
    pub fn queue_option(self) -> &'static str {
        match self {
            Self::Dhcp4 => "dhcp_queue",
            Self::Rs => "rs_queue",
            Self::Ns => "ns_queue",
            Self::Dhcp6 => "dhcpv6_queue",
        }
    }
}
