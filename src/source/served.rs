//! The values that nfdhcpd's configuration and binding files have in common. Each reader takes the text of one value and says
//! in its error what is allowed; the name of the key and the place are added by who knows them.

use crate::net::DomainName;
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is read, or what would be allowed.
pub type Read<T> = Result<T, String>;

/// Most values in a list: as many name servers as one DHCPv4 option can hold.
pub const LONGEST_LIST: usize = 63;

/// An IPv4 address of one host.
pub fn ipv4(text: &str) -> Read<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().map_err(|_| "an IPv4 address, like 192.0.2.1".to_owned())?;
    if address.is_multicast() || address.is_broadcast() || address.is_unspecified() {
        return Err("the IPv4 address of a host, neither multicast nor broadcast nor 0.0.0.0".to_owned());
    }
    Ok(address)
}

/// An IPv6 address of one host.
pub fn ipv6(text: &str) -> Read<Ipv6Addr> {
    let address: Ipv6Addr = text.parse().map_err(|_| "an IPv6 address, like 2001:db8::1".to_owned())?;
    if address.is_multicast() || address.is_unspecified() {
        return Err("the IPv6 address of a host, neither multicast nor ::".to_owned());
    }
    Ok(address)
}

/// An address of either family.
pub fn ip(text: &str) -> Read<IpAddr> {
    let neither = || "an IPv4 or IPv6 address of a host".to_owned();
    ipv4(text).map(IpAddr::V4).or_else(|_| ipv6(text).map(IpAddr::V6)).map_err(|_| neither())
}

/// An IPv4 prefix: `192.0.2.0/24` or `192.0.2.0/255.255.255.0`; host bits are taken off. A mask alone does not say where.
pub fn ipv4_net(text: &str) -> Read<Ipv4Net> {
    let wanted = || "an IPv4 prefix, like 192.0.2.0/24 or 192.0.2.0/255.255.255.0".to_owned();
    let (address, length) = text.split_once('/').ok_or_else(wanted)?;
    let address: Ipv4Addr = address.parse().map_err(|_| wanted())?;
    let net = match (decimal(length), length.parse::<Ipv4Addr>()) {
        (Some(length), _) => Ipv4Net::new(address, length).ok(),
        (None, Ok(mask)) => Ipv4Net::with_netmask(address, mask).ok(),
        (None, Err(_)) => None,
    };
    net.map(|net| net.trunc()).ok_or_else(wanted)
}

/// An IPv6 prefix; host bits are taken off.
pub fn ipv6_net(text: &str) -> Read<Ipv6Net> {
    let net = text.split_once('/').and_then(|(address, length)| {
        let length = decimal(length)?;
        Ipv6Net::new(address.parse().ok()?, length).ok()
    });
    net.map(|net| net.trunc()).ok_or_else(|| "an IPv6 prefix, like 2001:db8::/64".to_owned())
}

/// Digits only: Rust's own reader takes a plus sign, too.
fn decimal(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A domain name.
pub fn domain(text: &str) -> Read<DomainName> {
    text.parse().map_err(|_| "a domain name: labels of letters, digits, - and _, joined by dots".to_owned())
}

/// A route of option 121: `PREFIX via ROUTER`, or `default via ROUTER`.
pub fn route(text: &str) -> Read<(Ipv4Net, Ipv4Addr)> {
    let read = || {
        let mut words = text.split_ascii_whitespace();
        let (prefix, via, router) = (words.next()?, words.next()?, words.next()?);
        let prefix = if prefix == "default" { "0.0.0.0/0" } else { prefix };
        let net = match prefix.parse::<Ipv4Addr>() {
            Ok(host) => Ipv4Net::from(host),
            Err(_) => ipv4_net(prefix).ok()?,
        };
        // 0.0.0.0: the prefix is on the link itself (RFC 3442).
        let router: Ipv4Addr = router.parse().ok()?;
        (via == "via" && words.next().is_none() && !router.is_multicast()).then_some((net, router))
    };
    read().ok_or_else(|| "a route: PREFIX via ROUTER, like 198.51.100.0/24 via 192.0.2.254".to_owned())
}

/// The name of a TFTP server, or its address: at most 63 octets, so that it fits `sname` too.
pub fn tftp(text: &str) -> Read<Box<str>> {
    printable(text, 63, "a host's name or address, at most 63 octets, without blanks")
}

/// The name of a boot file, or an URL: at most 127 octets, so that it fits `file` too.
pub fn bootfile(text: &str) -> Read<Box<str>> {
    printable(text, 127, "a file's name or an URL, printable ASCII, at most 127 octets, without blanks")
}

fn printable(text: &str, longest: usize, allowed: &str) -> Read<Box<str>> {
    let legal = (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    legal.then(|| text.into()).ok_or_else(|| allowed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_with_length_or_mask_and_lose_their_host_bits() {
        for text in ["192.0.2.0/24", "192.0.2.77/24", "192.0.2.0/255.255.255.0", "192.0.2.9/255.255.255.0"] {
            assert_eq!(ipv4_net(text).map(|net| net.to_string()), Ok("192.0.2.0/24".to_owned()), "{text}");
        }
        for wrong in
            ["", "192.0.2.0", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/+24", "192.0.2.0/255.0.255.0", "/24", "a/24"]
        {
            assert!(ipv4_net(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ipv6_net("2001:db8::5/64").map(|net| net.to_string()), Ok("2001:db8::/64".to_owned()));
        for wrong in ["", "2001:db8::", "2001:db8::/129", "2001:db8::/ffff::", "::/+1"] {
            assert!(ipv6_net(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn routes_name_a_prefix_and_a_router() {
        let shown = |text: &str| route(text).map(|(net, router)| format!("{net} {router}"));
        assert_eq!(shown("10.0.0.0/8 via 192.0.2.1"), Ok("10.0.0.0/8 192.0.2.1".to_owned()));
        assert_eq!(shown(" default  via 192.0.2.1 "), Ok("0.0.0.0/0 192.0.2.1".to_owned()));
        assert_eq!(shown("10.1.2.3 via 0.0.0.0"), Ok("10.1.2.3/32 0.0.0.0".to_owned()));
        for wrong in [
            "",
            "10.0.0.0/8",
            "10.0.0.0/8 192.0.2.1",
            "10.0.0.0/8 via",
            "10.0.0.0/8 via 192.0.2.1 dev x",
            "::/0 via ::1",
        ] {
            assert!(route(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn text_that_could_not_be_sent_is_refused() {
        assert!(bootfile(&"a".repeat(127)).is_ok() && bootfile(&"a".repeat(128)).is_err());
        assert!(tftp("").is_err() && tftp("a b").is_err() && tftp("é").is_err() && tftp("pxe.example.com").is_ok());
        assert!(
            ipv4("224.0.0.1").is_err() && ipv4("0.0.0.0").is_err() && ipv6("ff02::1").is_err() && ipv6("::").is_err()
        );
    }
}
