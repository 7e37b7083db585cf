//! The hosts file: every name under every domain, forward and, through dnsmasq's `hostsdir`, reverse.

use crate::net::{Name, V6Class};
use crate::registry::Registry;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A suffix for names, with its initial dot, like `.instance.internal`; empty is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

impl FromStr for Domain {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a domain has letters, digits, dots and hyphens")
        }
    }
}

/// One line of the file.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    address: IpAddr,
    name: &'a Name,
    /// The subdomains under which the name stands; the empty one is the name itself.
    subdomains: &'static [&'static str],
    domain: &'a Domain,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        for subdomain in self.subdomains {
            write!(f, " {}{subdomain}{}", self.name, self.domain.0)?;
        }
        Ok(())
    }
}

/// The lines: by domain, then by instance, then IPv4, global, unique local, link-local.
pub fn lines<'a>(registry: &'a Registry, domains: &'a [Domain]) -> impl Iterator<Item = Line<'a>> {
    let named = |domain| registry.iter().filter_map(move |(_, instance)| Some((domain, instance, instance.name()?)));
    domains.iter().flat_map(named).flat_map(|(domain, instance, name)| {
        let v6 = |class| instance.ipv6(class).map(IpAddr::V6);
        [
            (instance.ipv4().map(IpAddr::V4), &["", ".v4"][..]),
            (v6(V6Class::Global), &["", ".v6", ".g6"]),
            (v6(V6Class::UniqueLocal), &["", ".v6", ".u6"]),
            // Not under the plain name: a link-local address is of no use without its zone.
            (v6(V6Class::LinkLocal), &[".l6"]),
        ]
        .into_iter()
        .filter_map(move |(address, subdomains)| Some(Line { address: address?, name, subdomains, domain }))
    })
}
