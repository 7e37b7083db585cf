//! How values are read, whoever says them: a variable, a flag, or the file.

use crate::net::{DomainName, IfName};
use crate::plan::dns_records::{Dotted, Duplicates, LinkDown, Unnamed, Vlan};
use crate::plan::dnsmasq_conf::{Value, path_value};
use crate::source::proxmox::{Fingerprint, host};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use url::Url;

/// The value, or what is wrong, as a sentence's end.
pub(super) type Read<T> = Result<T, String>;

/// In place of a path: none.
pub(super) const NONE: &str = "none";

/// Which dnsmasq it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Ours.
    Managed,
    /// Somebody else's.
    Companion,
}

fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Read<T> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("it is one of {}", words.join(", "))
    })
}

pub(super) fn switch(text: &str) -> Read<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("it is true or false (yes, no, on, off, 1, 0)".to_owned()),
    }
}

fn number(text: &str, least: f64, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

pub(super) fn seconds(text: &str) -> Read<Duration> {
    let expected = "it is a number of seconds from 1 to 86400";
    number(text, 1.0, 86_400.0).map(Duration::from_secs_f64).ok_or_else(|| expected.to_owned())
}

/// Zero: never.
pub(super) fn seconds_or_never(text: &str) -> Read<Duration> {
    if number(text, 0.0, 0.0).is_some() {
        return Ok(Duration::ZERO);
    }
    seconds(text).map_err(|expected| format!("{expected}, or 0 for never"))
}

/// Questions a second.
pub(super) fn rate(text: &str) -> Read<u32> {
    let rate = text.parse().ok().filter(|rate| (1..=1000).contains(rate));
    rate.ok_or_else(|| "it is a whole number from 1 to 1000".to_owned())
}

pub(super) fn port(text: &str) -> Read<u16> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| "it is a port, from 1 to 65535".to_owned())
}

pub(super) fn path(text: &str) -> Read<PathBuf> {
    let path = Some(PathBuf::from(text)).filter(|path| path.is_absolute() && !text.contains('\0'));
    path.ok_or_else(|| "it is a path".to_owned())
}

/// A path that dnsmasq's configuration can hold.
pub(super) fn dnsmasq_path(text: &str) -> Read<PathBuf> {
    let path = path(text)?;
    path_value(&path).map_err(|_| "dnsmasq cannot read a path with quotes, backslashes or #".to_owned())?;
    Ok(path)
}

/// None: nobody is to be told there.
pub(super) fn pid_file(text: &str) -> Read<Option<PathBuf>> {
    if text == NONE { Ok(None) } else { dnsmasq_path(text).map(Some) }
}

/// A program, by its path or by its name on the PATH.
pub(super) fn program(text: &str) -> Read<PathBuf> {
    if text.contains('/') && !text.starts_with('/') {
        return Err("it is a name on the PATH or a path from /".to_owned());
    }
    Ok(text.into())
}

pub(super) fn api_host(text: &str) -> Read<Url> {
    host(text).map_err(|error| error.to_string())
}

/// `user@realm!name`. What is wrong with it is said without it: it may be the secret, by mistake.
pub(super) fn token_id(text: &str) -> Read<String> {
    let expected = "it is USER@REALM!NAME, as `pveum user token list USER@REALM` shows it";
    let parts = text.split_once('!').and_then(|(user, name)| Some((user.rsplit_once('@')?, name)));
    let is_user =
        |part: &str| !part.is_empty() && !part.contains(['/', ':']) && part.bytes().all(|byte| byte.is_ascii_graphic());
    let is_name = |part: &str| {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        part.starts_with(|first: char| first.is_ascii_alphabetic()) && part.bytes().all(is_legal)
    };
    match parts {
        Some((_, name)) if name.contains('=') => {
            Err("the secret, behind =, has no place there: set API_TOKEN_SECRET, or name a token_file".to_owned())
        }
        Some(((user, realm), name)) if is_user(user) && is_name(realm) && is_name(name) => Ok(text.to_owned()),
        _ => Err(expected.to_owned()),
    }
}

/// What a header can hold.
pub(super) fn secret(text: &str) -> Read<String> {
    let is_legal = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_legal || text.contains('=') {
        return Err("the token's secret is one word without =, like 01234567-89ab-cdef-0123-456789abcdef".to_owned());
    }
    Ok(text.to_owned())
}

/// A file with the secret; not the secret itself, which would be seen by everybody.
pub(super) fn token_file(text: &str) -> Read<PathBuf> {
    let name = text.rsplit('/').next().unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if name.len() == 36 && name.bytes().all(is_digit) {
        return Err("it is the name of a file that holds the secret, not the secret".to_owned());
    }
    path(text)
}

pub(super) fn fingerprint(text: &str) -> Read<Fingerprint> {
    text.parse::<Fingerprint>().map_err(|error| error.to_string())
}

pub(super) fn text(text: &str) -> Read<String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("it is one word".to_owned())
    }
}

pub(super) fn tag(text: &str) -> Read<String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.');
    if !text.is_empty() && text.bytes().all(is_legal) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a tag has letters, digits, - + . and _".to_owned())
    }
}

pub(super) fn domain(text: &str) -> Read<DomainName> {
    let lower = text.trim_start_matches('.').to_ascii_lowercase();
    lower.parse().map_err(|why: crate::net::InvalidDomainName| why.to_string())
}

pub(super) fn prefix(text: &str) -> Read<IpNet> {
    if let Some(whole) = without_its_end(text) {
        return Err(format!("an IPv4 address has four numbers: write {whole}"));
    }
    let net = crate::net::parse_net(text).map_err(|why| format!("it {why}"))?;
    if net.prefix_len() == 0 {
        return Err("everything would be in there: name the networks that guests are in".to_owned());
    }
    crate::net::never_a_source(&net).map_or(Ok(net), |what| Err(format!("no guest has such an address: it is {what}")))
}

/// `10.0.0/23` is how some write `10.0.0.0/23`, and it is in PVE-Leazzard's description; but neither Python nor we take it.
fn without_its_end(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let numbers: Vec<&str> = address.trim_end_matches('.').split('.').collect();
    let is_number = |text: &&str| text.parse::<u8>().is_ok();
    let is_short = numbers.len() < 4 && numbers.iter().all(is_number) && length.parse::<u8>().is_ok();
    is_short.then(|| {
        let zeros = ["0"; 4];
        let whole: Vec<_> = numbers.iter().chain(&zeros).take(4).copied().collect();
        format!("{}/{length}", whole.join("."))
    })
}

pub(super) fn address(text: &str) -> Read<IpAddr> {
    text.parse().map_err(|_| "it is an address, like 10.0.0.1 or fd00::1".to_owned())
}

pub(super) fn interface(text: &str) -> Read<IfName> {
    text.parse::<IfName>().map_err(|why| why.to_string())
}

pub(super) fn vlan(text: &str) -> Read<Vlan> {
    match text {
        "any" => Ok(Vlan::Any),
        "untagged" => Ok(Vlan::Untagged),
        _ => {
            let tag = text.parse().ok().filter(|tag| (1..=4094).contains(tag));
            tag.map(Vlan::Tag).ok_or_else(|| "it is a VLAN, from 1 to 4094, or \"untagged\", or \"any\"".to_owned())
        }
    }
}

pub(super) fn listen(text: &str) -> Read<SocketAddr> {
    text.parse().map_err(|_| "it is ADDRESS:PORT, like 127.0.0.1:9549 or [::1]:9549".to_owned())
}

/// Port 53 unless it says otherwise.
pub(super) fn upstream(text: &str) -> Read<SocketAddr> {
    let spelt = text.replace('#', ":");
    let plain = spelt.trim_start_matches('[').trim_end_matches(']');
    let whole = || text.parse::<IpAddr>().or_else(|_| plain.parse()).ok().map(|address| SocketAddr::new(address, 53));
    let server = spelt.parse().ok().filter(|server: &SocketAddr| server.port() > 0);
    server.or_else(whole).ok_or_else(|| "it is the address of a DNS server, like 9.9.9.9 or 192.0.2.1:5353".to_owned())
}

/// What `dhcp-range`, `dhcp-option` or `user` can have.
pub(super) fn dnsmasq_value(text: &str) -> Read<Value> {
    text.parse::<Value>().map_err(|why| why.to_string())
}

pub(super) fn range(text: &str) -> Read<Value> {
    let value = dnsmasq_value(text)?;
    let has_address = text.split(',').any(|part| part.trim().parse::<IpAddr>().is_ok());
    let is_made = text.contains("constructor:");
    if has_address || is_made {
        Ok(value)
    } else {
        Err("it is dnsmasq's dhcp-range, like 10.0.1.1,10.0.1.254,255.255.254.0,12h".to_owned())
    }
}

pub(super) fn option(text: &str) -> Read<Value> {
    let value = dnsmasq_value(text)?;
    let part = |part: &str| part.trim().split(':').next().is_some_and(|word| matches!(word, "option" | "option6"));
    let is_number = |part: &str| part.trim().parse::<u8>().is_ok();
    if text.split(',').any(|text| part(text) || is_number(text)) {
        Ok(value)
    } else {
        Err("it is dnsmasq's dhcp-option, like option:router,10.0.0.1".to_owned())
    }
}

pub(super) fn log_level(text: &str) -> Read<LevelFilter> {
    let words = [
        ("ERROR", LevelFilter::ERROR),
        ("WARNING", LevelFilter::WARN),
        ("INFO", LevelFilter::INFO),
        ("DEBUG", LevelFilter::DEBUG),
        ("TRACE", LevelFilter::TRACE),
    ];
    match text.to_ascii_uppercase().as_str() {
        // Python's, and tracing's.
        "CRITICAL" | "FATAL" => Ok(LevelFilter::ERROR),
        "WARN" => Ok(LevelFilter::WARN),
        text => one_of(text, &words),
    }
}

pub(super) fn whose(text: &str) -> Read<Whose> {
    one_of(text, &[("managed", Whose::Managed), ("companion", Whose::Companion)])
}

pub(super) fn unnamed(text: &str) -> Read<Unnamed> {
    one_of(text, &[("numbered", Unnamed::Numbered), ("left-out", Unnamed::LeftOut)])
}

pub(super) fn duplicates(text: &str) -> Read<Duplicates> {
    one_of(text, &[("numbered", Duplicates::Numbered), ("left-out", Duplicates::LeftOut)])
}

pub(super) fn dotted(text: &str) -> Read<Dotted> {
    one_of(text, &[("as-is", Dotted::AsIs), ("hyphens", Dotted::Hyphens)])
}

pub(super) fn link_down(text: &str) -> Read<LinkDown> {
    one_of(text, &[("published", LinkDown::Published), ("left-out", LinkDown::LeftOut)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_without_its_end_is_refused_with_what_is_meant() {
        // ipaddress.ip_network of Python refuses them likewise.
        for (text, meant) in [("10.0.0/23", "10.0.0.0/23"), ("10/8", "10.0.0.0/8"), ("10.0./16", "10.0.0.0/16")] {
            let why = prefix(text).unwrap_err();
            assert!(why.ends_with(&format!("write {meant}")), "{text}: {why}");
        }
        assert_eq!(prefix("10.0.1.1/23").unwrap_err(), "it has host bits set: write 10.0.0.0/23 or 10.0.1.1/32");
        for wrong in ["", "x", "10.0.0.0/33", "10.0.0.0.0/8", "0.0.0.0/0", "::/0", "224.0.0.0/4", "10.0.0.0-10.0.0.9"] {
            assert!(prefix(wrong).is_err(), "{wrong}");
        }
        for right in ["10.0.0.0/23", "10.0.0.5", "fd00::/64"] {
            assert!(prefix(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn a_token_is_named_without_its_secret() {
        assert_eq!(token_id("root@pam!leazzard").unwrap(), "root@pam!leazzard");
        assert!(token_id("a@b@pve!c").is_ok());
        for wrong in [
            "root@pam",
            "root!x",
            "@pam!x",
            "root@!x",
            "root@pam!",
            "a b@pam!x",
            "root@pam!1",
            "5ecre7@a!!",
            "root@pam!x=5ecre7",
            "5ecre7",
        ] {
            let why = token_id(wrong).expect_err(wrong);
            assert!(!why.contains("5ecre7"), "{why}");
        }
        for wrong in ["", "5ecre7 x", "5ecre7\n", "root@pam!x=5ecre7", "é"] {
            let why = secret(wrong).expect_err(wrong);
            assert!(!why.contains("5ecre7"), "{why}");
        }
        assert!(token_file("/x/00000000-0000-0000-0000-000000000000").is_err());
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(seconds_or_never("0"), Ok(Duration::ZERO));
        for wrong in ["0", "-1", "inf", "nan", "1e9", "1s", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(rate("0").is_err() && rate("1001").is_err() && port("0").is_err() && port("65536").is_err());
        assert_eq!((vlan("20"), vlan("any")), (Ok(Vlan::Tag(20)), Ok(Vlan::Any)));
        for wrong in ["0", "4095", "all", ""] {
            assert!(vlan(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_dns_server_is_written_in_many_ways() {
        for (text, server) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("9.9.9.9:5353", "9.9.9.9:5353"),
            ("9.9.9.9#5353", "9.9.9.9:5353"),
            ("fd00::1", "[fd00::1]:53"),
            ("[fd00::1]", "[fd00::1]:53"),
            ("[fd00::1]:5353", "[fd00::1]:5353"),
        ] {
            assert_eq!(upstream(text).unwrap().to_string(), server, "{text}");
        }
        for wrong in ["dns.example.com", "", "9.9.9.9:0", "9.9.9"] {
            assert!(upstream(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn levels_are_pythons_and_ours() {
        for (text, level) in [
            ("ERROR", LevelFilter::ERROR),
            ("critical", LevelFilter::ERROR),
            ("Warning", LevelFilter::WARN),
            ("INFO", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
        ] {
            assert_eq!(log_level(text), Ok(level), "{text}");
        }
        assert_eq!(log_level("verbose").unwrap_err(), "it is one of ERROR, WARNING, INFO, DEBUG, TRACE");
    }
}
