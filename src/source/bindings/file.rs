//! One binding file: lines `KEY=VALUE`, as shell scripts write them.
//!
//! Read as nfdhcpd reads it: `KEY=` starts the line; the last of several wins; a value ends at a second `=`, is without
//! blanks around it, and nothing if it is empty; quotes are part of it; lines with other keys or none are left alone. A MAC is
//! taken in any case and with hyphens, too, and addresses of networks with host bits.

use crate::net::{DomainName, IfName, Mac, Shown};
use crate::plan::responder::{Binding, binding::Options};
use crate::source::served::{self, LONGEST_LIST, Read};
use std::fmt;
use std::net::IpAddr;

/// A binding, and what about it may not be what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The binding.
    pub binding: Binding,
    /// What is served otherwise than is written.
    pub warnings: Vec<Problem>,
}

/// Something in a file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; `None` if it is about something that is not there.
    pub line: Option<usize>,
    /// What, and why.
    pub why: String,
}

impl fmt::Display for Problem {
    /// To be put behind the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, ":{line}: {}", self.why),
            None => write!(f, ": {}", self.why),
        }
    }
}

/// The keys that mean something. TAGS has no meaning, and no other key.
const KEYS: [&str; 21] = [
    "INDEV",
    "IP",
    "MAC",
    "HOSTNAME",
    "GATEWAY",
    "SUBNET",
    "GATEWAY6",
    "SUBNET6",
    "EUI64",
    "PRIVATE",
    "MTU",
    "MACSPOOF",
    "IP6",
    "PREFIX6",
    "NAMESERVERS",
    "DOMAIN",
    "SEARCH",
    "ROUTES",
    "NTP",
    "TFTP",
    "BOOTFILE",
];

/// What a key says, and in which line.
#[derive(Debug, Clone, Copy)]
struct Said<'a> {
    key: &'static str,
    value: &'a [u8],
    line: usize,
}

/// What the file says.
///
/// # Errors
/// The first thing that makes it no binding: a required key is missing, or a value is none of its key's.
pub fn parse(text: &[u8]) -> Result<Parsed, Problem> {
    let said = &said(text);
    let Some(mac) = one(said, "MAC", mac)? else { return Err(missing("MAC")) };
    let hostname = find(said, "HOSTNAME").ok_or_else(|| missing("HOSTNAME"))?;
    let mut warnings = Vec::new();
    let hostname = sendable(hostname, &mut warnings);
    let (nameservers, nameservers6) = by_family(list(said, "NAMESERVERS", served::ip)?);
    let (ntp, ntp6) = by_family(list(said, "NTP", served::ip)?);
    let search = list(said, "SEARCH", served::domain)?;
    let binding = Binding {
        indev: one(said, "INDEV", interface)?,
        mac,
        hostname,
        ip: one(said, "IP", served::ipv4)?,
        subnet: one(said, "SUBNET", served::ipv4_net)?,
        gateway: one(said, "GATEWAY", served::ipv4)?,
        ip6: one(said, "IP6", served::ipv6)?,
        eui64: one(said, "EUI64", served::ipv6)?,
        subnet6: one(said, "SUBNET6", served::ipv6_net)?,
        gateway6: one(said, "GATEWAY6", served::ipv6)?,
        prefix6: one(said, "PREFIX6", served::ipv6_net)?,
        private: is_set(said, "PRIVATE", &mut warnings),
        mac_spoof: is_set(said, "MACSPOOF", &mut warnings),
        mtu: one(said, "MTU", mtu)?,
        own: Options {
            nameservers,
            nameservers6,
            domain: one(said, "DOMAIN", served::domain)?,
            search6: search.clone(),
            search,
            routes: list(said, "ROUTES", served::route)?,
            ntp,
            ntp6,
            tftp: one(said, "TFTP", served::tftp)?,
            bootfile: one(said, "BOOTFILE", served::bootfile)?,
        },
    };
    doubts(&binding, said, &mut warnings);
    Ok(Parsed { binding, warnings })
}

fn missing(key: &str) -> Problem {
    Problem { line: None, why: format!("{key} is missing, or empty") }
}

/// What is allowed and yet hardly meant.
fn doubts(binding: &Binding, said: &[Option<Said>], warnings: &mut Vec<Problem>) {
    let line = |key: &str| find(said, key).map(|said| said.line);
    let mut doubt = |key: &str, why: String| warnings.push(Problem { line: line(key), why });
    match (binding.ip, binding.subnet) {
        (Some(ip), None) => doubt("IP", format!("IP={ip} has no SUBNET: no mask can be served with it")),
        (Some(ip), Some(subnet)) if !subnet.contains(&ip) => {
            doubt("IP", format!("IP={ip} is not in SUBNET={subnet}"));
        }
        _ => {}
    }
    for (key, address) in [("EUI64", binding.eui64), ("IP6", binding.ip6)] {
        if let (Some(address), Some(subnet)) = (address, binding.subnet6)
            && !subnet.contains(&address)
        {
            doubt(key, format!("{key}={address} is not in SUBNET6={subnet}"));
        }
    }
    let by_slaac = binding.eui64.and(binding.subnet6).filter(|subnet| subnet.prefix_len() != 64);
    if let Some(subnet) = by_slaac {
        doubt("SUBNET6", format!("SUBNET6={subnet} is not a /64: no host makes itself an address in it (RFC 4862)"));
    }
}

/// What is said by each key, in the keys' order.
fn said(text: &[u8]) -> [Option<Said<'_>>; KEYS.len()] {
    let mut all = [None; KEYS.len()];
    for (line, content) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let mut parts = content.split(|byte| *byte == b'=');
        let (Some(written), Some(value)) = (parts.next(), parts.next()) else { continue };
        for (key, place) in KEYS.iter().zip(&mut all) {
            if key.as_bytes() == written {
                let value = value.trim_ascii();
                *place = (!value.is_empty()).then_some(Said { key, value, line });
            }
        }
    }
    all
}

impl Said<'_> {
    fn text(&self, allowed: &str) -> Result<&str, Problem> {
        str::from_utf8(self.value).map_err(|_| self.wrong(allowed))
    }

    fn wrong(&self, allowed: &str) -> Problem {
        let shown = String::from_utf8_lossy(self.value);
        Problem {
            line: Some(self.line),
            why: format!("{}={} is wrong: {allowed} is expected", self.key, Shown(&shown)),
        }
    }
}

fn find<'a, 'b>(all: &'a [Option<Said<'b>>], key: &str) -> Option<&'a Said<'b>> {
    all.iter().flatten().find(|said| said.key == key)
}

fn one<T>(all: &[Option<Said>], key: &str, read: impl Fn(&str) -> Read<T>) -> Result<Option<T>, Problem> {
    let Some(said) = find(all, key) else { return Ok(None) };
    read(said.text("text")?).map(Some).map_err(|allowed| said.wrong(&allowed))
}

fn list<T>(all: &[Option<Said>], key: &str, read: impl Fn(&str) -> Read<T>) -> Result<Option<Vec<T>>, Problem> {
    let Some(said) = find(all, key) else { return Ok(None) };
    let parts = said.text("text")?.split(',').map(str::trim).filter(|part| !part.is_empty());
    let values: Vec<T> = parts.map(read).collect::<Result<_, _>>().map_err(|allowed| said.wrong(&allowed))?;
    if values.len() > LONGEST_LIST {
        return Err(said.wrong(&format!("a list of at most {LONGEST_LIST}")));
    }
    Ok((!values.is_empty()).then_some(values))
}

type ByFamily = (Option<Vec<std::net::Ipv4Addr>>, Option<Vec<std::net::Ipv6Addr>>);

/// A family of which none is named keeps what the configuration says.
fn by_family(addresses: Option<Vec<IpAddr>>) -> ByFamily {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses.into_iter().flatten() {
        match address {
            IpAddr::V4(address) => v4.push(address),
            IpAddr::V6(address) => v6.push(address),
        }
    }
    ((!v4.is_empty()).then_some(v4), (!v6.is_empty()).then_some(v6))
}

/// Set by anything: nfdhcpd asks only whether it is empty.
fn is_set(all: &[Option<Said>], key: &str, warnings: &mut Vec<Problem>) -> bool {
    let Some(said) = find(all, key) else { return false };
    let meant_not = [&b"no"[..], b"false", b"off", b"0", b"\"\"", b"''"];
    if meant_not.iter().any(|word| said.value.eq_ignore_ascii_case(word)) {
        let shown = String::from_utf8_lossy(said.value);
        let why = format!("{key}={shown} means yes: only an empty {key}= means no");
        warnings.push(Problem { line: Some(said.line), why });
    }
    true
}

fn sendable(said: &Said, warnings: &mut Vec<Problem>) -> Option<DomainName> {
    let name = str::from_utf8(said.value).ok().and_then(|text| text.parse().ok());
    if name.is_none() {
        let Problem { line, why } = said.wrong("a host name");
        warnings.push(Problem { line, why: format!("{why}; no name is served") });
    }
    name
}

fn mac(text: &str) -> Read<Mac> {
    let mac: Mac = text.to_ascii_lowercase().replace('-', ":").parse().map_err(|_| "a MAC address".to_owned())?;
    let [first, ..] = mac.0;
    if first & 1 == 1 || mac.0 == [0; 6] {
        return Err("the MAC address of one host, not of a group".to_owned());
    }
    Ok(mac)
}

fn interface(text: &str) -> Read<IfName> {
    text.parse().map_err(|_| "the name of an interface".to_owned())
}

/// RFC 2132, section 5.1: 68 at least.
fn mtu(text: &str) -> Read<u16> {
    match text.parse() {
        Ok(mtu @ 68..) => Ok(mtu),
        _ => Err("a number of octets from 68 to 65535".to_owned()),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
