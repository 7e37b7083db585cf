use super::Mac;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// Which of an instance's three IPv6 fields an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum V6Class {
    /// Global unicast: `ipv6_gua`.
    Global,
    /// Unique local, fc00::/7 (RFC 4193): `ipv6_ula`.
    UniqueLocal,
    /// Link-local unicast, fe80::/10 (RFC 4291): `ipv6_lla`.
    LinkLocal,
}

impl V6Class {
    /// The class of an address; `None` for what an instance cannot be reached at from elsewhere: multicast, loopback,
    /// documentation, transition mechanisms and unassigned space.
    pub fn of(address: Ipv6Addr) -> Option<Self> {
        if address.is_unique_local() {
            Some(Self::UniqueLocal)
        } else if address.is_unicast_link_local() {
            Some(Self::LinkLocal)
        } else if is_global_unicast(address) {
            Some(Self::Global)
        } else {
            None
        }
    }
}

/// Inside 2000::/3 and globally reachable according to the IANA IPv6 Special-Purpose Address Registry.
fn is_global_unicast(address: Ipv6Addr) -> bool {
    match address.segments() {
        // 2001::/23, IETF protocol assignments, is not global, except for what IANA lists as such inside it:
        // 2001:1::1 and ::2 (RFC 7723, 8155), AMT (RFC 7450), AS112-v6 (RFC 7535), ORCHIDv2 (RFC 7343), DETs (RFC 9374).
        [0x2001, 1, 0, 0, 0, 0, 0, 1 | 2]
        | [0x2001, 3, ..]
        | [0x2001, 4, 0x112, ..]
        | [0x2001, 0x20..=0x3f, ..] => true,
        [0x2001, 0..=0x1ff, ..]
        | [0x2001, 0xdb8, ..] // documentation, RFC 3849
        | [0x2002, ..] // 6to4, RFC 3056
        | [0x3fff, 0..=0xfff, ..] => false, // documentation, RFC 9637
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The link-local address which a host derives from its MAC by modified EUI-64 (RFC 4291, appendix A).
pub fn link_local_of(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// An address, or a prefix without host bits (`10.0.0.5`, `10.0.0.0/24`, `fd00::/64`).
///
/// # Errors
/// A message that goes after the text in quotes.
pub fn parse_net(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    match text.parse::<IpNet>() {
        Ok(net) if net.trunc() == net => Ok(net),
        Ok(net) => Err(format!("has host bits set: write {} or {}", net.trunc(), IpNet::from(net.addr()))),
        Err(_) => Err("is no address and no prefix (like 10.0.0.5, 10.0.0.0/24, fd00::/64)".to_owned()),
    }
}

/// What all addresses of a prefix are, if none of them can be a packet's source on a bridge (RFC 1122, section 3.2.1.3;
/// RFC 4291, sections 2.5.2, 2.5.3 and 2.7).
pub fn never_a_source(net: &IpNet) -> Option<&'static str> {
    match net {
        IpNet::V4(net) if net.addr().is_loopback() && net.prefix_len() >= 8 => Some("loopback"),
        IpNet::V4(net) if net.addr().is_multicast() && net.prefix_len() >= 4 => Some("multicast"),
        IpNet::V6(net) if net.addr().is_multicast() && net.prefix_len() >= 8 => Some("multicast"),
        IpNet::V4(net) if net.prefix_len() == 32 && net.addr().is_unspecified() => Some("unspecified"),
        IpNet::V4(net) if net.prefix_len() == 32 && net.addr().is_broadcast() => Some("broadcast"),
        IpNet::V6(net) if net.prefix_len() == 128 && net.addr().is_unspecified() => Some("unspecified"),
        IpNet::V6(net) if net.prefix_len() == 128 && net.addr().is_loopback() => Some("loopback"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prefixes_without_any_source_are_never_one() {
        let of = |text: &str| never_a_source(&text.parse().unwrap());
        for (text, expected) in [
            ("0.0.0.0/32", "unspecified"),
            ("127.0.0.1/32", "loopback"),
            ("127.0.0.0/8", "loopback"),
            ("224.0.0.0/4", "multicast"),
            ("239.1.2.3/32", "multicast"),
            ("255.255.255.255/32", "broadcast"),
            ("::/128", "unspecified"),
            ("::1/128", "loopback"),
            ("ff02::1/128", "multicast"),
            ("ff00::/8", "multicast"),
        ] {
            assert_eq!(of(text), Some(expected), "{text}");
        }
        for text in
            ["0.0.0.0/0", "0.0.0.0/31", "126.0.0.0/7", "192.0.0.0/2", "255.255.255.254/31", "240.0.0.0/4", "::/0"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        for text in ["::/127", "fe00::/7", "fe80::1/128", "10.0.0.1/32"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    fn class(text: &str) -> Option<V6Class> {
        text.parse().ok().and_then(V6Class::of)
    }

    #[test]
    fn global_unicast_follows_the_iana_registry() {
        for global in [
            "2000::1",
            "2a00:1450::1",
            "2001:200::",
            "2001:1::1",
            "2001:1::2",
            "2001:3::9",
            "2001:3:ffff::",
            "2001:4:112::1",
            "2001:20::1",
            "2001:2f:ffff::",
            "2001:30::1",
            "2001:3f:ffff::",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "3ffe::1",
            "3fff:1000::",
        ] {
            assert_eq!(class(global), Some(V6Class::Global), "{global}");
        }
        for other in [
            "::",
            "::1",
            "::5",
            "::ffff:8.8.8.8",
            "64:ff9b::1",
            "1fff::1",
            "2001::1",
            "2001:1::3",
            "2001:1:0:1::1",
            "2001:2::1",
            "2001:4:111::1",
            "2001:1f::1",
            "2001:40::1",
            "2001:1ff:ffff::",
            "2001:db8::1",
            "2001:db8:ffff::",
            "2002::1",
            "3fff::1",
            "3fff:fff::",
            "4000::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert_eq!(class(other), None, "{other}");
        }
    }

    #[test]
    fn local_classes() {
        for (text, expected) in [
            ("fc00::1", V6Class::UniqueLocal),
            ("fdff:ffff::", V6Class::UniqueLocal),
            ("fe80::1", V6Class::LinkLocal),
            ("febf::1", V6Class::LinkLocal),
        ] {
            assert_eq!(class(text), Some(expected), "{text}");
        }
        assert_eq!(class("fbff::1"), None);
        assert_eq!(class("fe00::1"), None);
    }

    #[test]
    fn link_local_is_modified_eui_64_in_canonical_form() {
        let of = |octets| link_local_of(Mac(octets)).to_string();
        assert_eq!(of([0x11, 0x22, 0x33, 0x44, 0x55, 0x01]), "fe80::1322:33ff:fe44:5501");
        assert_eq!(of([0x01, 0x22, 0x33, 0x44, 0x55, 0x01]), "fe80::322:33ff:fe44:5501");
    }
}
