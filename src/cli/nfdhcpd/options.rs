//! Every option that file and command line share: one field each, filled from the command line first.

use super::{LogTo, nfdhcpd_conf};
use crate::error::{Error, Result};
use crate::net::{DomainName, Shown};
use crate::plan::responder::rules::Taps;
use crate::plan::responder::settings::Mode;
use crate::source::served::{self, LONGEST_LIST, Read};
use clap::Args;
use ipnet::Ipv4Net;
use nfdhcpd_conf::Entry;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What is not said is `None`.
#[derive(Debug, Args)]
#[allow(clippy::doc_link_with_quotes, reason = "the texts are for the help")]
pub(super) struct Options {
    /// [general] The file that holds the process's number [default: /var/run/nfdhcpd/nfdhcpd.pid]
    #[arg(long, value_name = "FILE", value_parser = path, help_heading = GENERAL)]
    pub(super) pidfile: Option<PathBuf>,

    /// [general] The folder of binding files [default: /var/lib/nfdhcpd]
    #[arg(long, value_name = "FOLDER", value_parser = path, help_heading = GENERAL)]
    pub(super) datapath: Option<PathBuf>,

    /// [general] The folder of nfdhcpd.log [default: /var/log/nfdhcpd]
    #[arg(long, value_name = "FOLDER", value_parser = path, help_heading = GENERAL)]
    pub(super) logdir: Option<PathBuf>,

    /// [general] Who to become, keeping CAP_NET_ADMIN and CAP_NET_RAW only [default: nobody]
    #[arg(long, value_name = "NAME", value_parser = user, help_heading = GENERAL)]
    pub(super) user: Option<String>,

    /// [general] Where the log goes: file, stderr or journal [default: stderr in the foreground, otherwise file]
    #[arg(long, value_name = "WHERE", value_parser = log, help_heading = GENERAL)]
    pub(super) log: Option<LogTo>,

    /// [general] Answer as nfdhcpd did, to the byte, mistakes included [default: no]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no", value_parser = switch, help_heading = GENERAL)]
    pub(super) compat: Option<bool>,

    /// [general] Serve metrics for Prometheus here, like 127.0.0.1:9547 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen, help_heading = GENERAL)]
    pub(super) metrics_listen: Option<SocketAddr>,

    /// [general] Packets of each kind per second that each tap may have answered; 0: as many as it likes [default: 1000]
    #[arg(long, value_name = "NUMBER", value_parser = count, help_heading = GENERAL)]
    pub(super) rate_limit: Option<u32>,

    /// [general] The taps that the rules are about: names, or how names begin and a + [default: tap+]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = taps, help_heading = GENERAL)]
    pub(super) taps: Option<Vec<Taps>>,

    /// [general] Rules let packets pass while nobody listens to their queue; otherwise they are dropped, and the instance asks again [default: no]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no", value_parser = switch, help_heading = GENERAL)]
    pub(super) queue_bypass: Option<bool>,

    /// [general] Keep the instances of the registry with this base path (P in instances-process(8)) in step with the bindings, so that instances-process(8) guards the same taps
    #[arg(long, value_name = "PATH", value_parser = path, help_heading = GENERAL)]
    pub(super) registry: Option<PathBuf>,

    /// [dhcp] Answer DHCP [default: yes]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no", value_parser = switch, help_heading = DHCP)]
    pub(super) enable_dhcp: Option<bool>,

    /// [dhcp] How long an address is leased [default: 604800, a week]
    #[arg(long, value_name = "SECONDS", value_parser = lifetime, help_heading = DHCP)]
    pub(super) lease_lifetime: Option<u32>,

    /// [dhcp] After how long a lease is renewed [default: 3600, an hour, or half of a short lease]
    #[arg(long, value_name = "SECONDS", value_parser = lifetime, help_heading = DHCP)]
    pub(super) lease_renewal: Option<u32>,

    /// [dhcp] The address that answers come from; required unless --server-on-link
    #[arg(long, value_name = "ADDRESS", value_parser = served::ipv4, help_heading = DHCP)]
    pub(super) server_ip: Option<Ipv4Addr>,

    /// [dhcp] Answers come from the binding's gateway instead, or the first address of its subnet [default: no]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no", value_parser = switch, help_heading = DHCP)]
    pub(super) server_on_link: Option<bool>,

    /// [dhcp] The queue of DHCP packets [default: 42]
    #[arg(long, value_name = "NUMBER", value_parser = queue, help_heading = DHCP)]
    pub(super) dhcp_queue: Option<u16>,

    /// [dhcp] Name servers
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',', value_parser = served::ipv4, help_heading = DHCP)]
    pub(super) nameservers: Option<Vec<Ipv4Addr>>,

    /// [dhcp] The instances' domain [default: what follows the first dot of HOSTNAME]
    #[arg(long, value_name = "NAME", value_parser = served::domain, help_heading = DHCP)]
    pub(super) domain: Option<DomainName>,

    /// [dhcp] Domains to search names in, option 119
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = served::domain, help_heading = DHCP)]
    pub(super) search: Option<Vec<DomainName>>,

    /// [dhcp] Routes, option 121, like '198.51.100.0/24 via 192.0.2.254'; the default route is added
    #[arg(long, value_name = "ROUTE,...", value_delimiter = ',', value_parser = served::route, help_heading = DHCP)]
    pub(super) routes: Option<Vec<(Ipv4Net, Ipv4Addr)>>,

    /// [dhcp] Time servers, option 42
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',', value_parser = served::ipv4, help_heading = DHCP)]
    pub(super) ntp: Option<Vec<Ipv4Addr>>,

    /// [dhcp] The boot server, option 66
    #[arg(long, value_name = "NAME", value_parser = served::tftp, help_heading = DHCP)]
    pub(super) tftp: Option<Box<str>>,

    /// [dhcp] The boot file, option 67
    #[arg(long, value_name = "FILE", value_parser = served::bootfile, help_heading = DHCP)]
    pub(super) bootfile: Option<Box<str>>,

    /// [ipv6] Answer DHCPv6, router and neighbour solicitations, send router advertisements [default: yes]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no", value_parser = switch, help_heading = IPV6)]
    pub(super) enable_ipv6: Option<bool>,

    /// [ipv6] How instances come to their addresses: auto, slaac, slaac+dhcpv6 or dhcpv6 [default: auto: slaac+dhcpv6, and an IP6 by DHCPv6]
    #[arg(long, value_name = "MODE", value_parser = mode, help_heading = IPV6)]
    pub(super) mode: Option<Mode>,

    /// [ipv6] Between two router advertisements to a tap [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = period, help_heading = IPV6)]
    pub(super) ra_period: Option<u32>,

    /// [ipv6] The queue of router solicitations [default: 43]
    #[arg(long, value_name = "NUMBER", value_parser = queue, help_heading = IPV6)]
    pub(super) rs_queue: Option<u16>,

    /// [ipv6] The queue of neighbour solicitations [default: 44]
    #[arg(long, value_name = "NUMBER", value_parser = queue, help_heading = IPV6)]
    pub(super) ns_queue: Option<u16>,

    /// [ipv6] The queue of DHCPv6 packets; in old files dhcp_queue [default: 45]
    #[arg(long, value_name = "NUMBER", value_parser = queue, help_heading = IPV6)]
    pub(super) dhcpv6_queue: Option<u16>,

    /// [ipv6] nameservers: name servers
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',', value_parser = served::ipv6, help_heading = IPV6)]
    pub(super) nameservers6: Option<Vec<Ipv6Addr>>,

    /// [ipv6] Domains to search names in
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = served::domain, help_heading = IPV6)]
    pub(super) domains: Option<Vec<DomainName>>,

    /// [ipv6] ntp: time servers, DHCPv6 option 56
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',', value_parser = served::ipv6, help_heading = IPV6)]
    pub(super) ntp6: Option<Vec<Ipv6Addr>>,

    /// [ipv6] Answer neighbour solicitations for any address in SUBNET6, as nfdhcpd did, whoever has it [default: no]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no", value_parser = switch, help_heading = IPV6)]
    pub(super) proxy_all: Option<bool>,

    /// [ipv6] How long an address by DHCPv6 is preferred [default: 302400, or valid_lifetime if that is shorter]
    #[arg(long, value_name = "SECONDS", value_parser = lifetime, help_heading = IPV6)]
    pub(super) preferred_lifetime: Option<u32>,

    /// [ipv6] How long an address by DHCPv6 is valid [default: 604800]
    #[arg(long, value_name = "SECONDS", value_parser = lifetime, help_heading = IPV6)]
    pub(super) valid_lifetime: Option<u32>,
}

const GENERAL: &str = "Options of section [general]";
const DHCP: &str = "Options of section [dhcp]";
const IPV6: &str = "Options of section [ipv6]";

impl Options {
    /// Fills in what the file says and the command line does not. What is not known goes to `notices`.
    ///
    /// # Errors
    /// What is wrong, with its line; several are joined by newlines.
    pub(super) fn fill(&mut self, path: &Path, text: &str, notices: &mut Vec<String>) -> Result<()> {
        let at = |line: usize| format!("{}:{line}", path.display());
        let entries = nfdhcpd_conf::read(text).map_err(|malformed| {
            let lines: Vec<_> = malformed.iter().map(|one| format!("{}: {}", at(one.line), one.why)).collect();
            Error::new(lines.join("\n"))
        })?;
        let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
        for entry in entries {
            match self.set(&entry) {
                Ok(true) => {}
                Ok(false) => unknown.push(format!("{} (line {})", named(&entry), entry.line)),
                Err(allowed) => wrong.push(format!(
                    "{}: {} = {} is wrong: {allowed} is expected",
                    at(entry.line),
                    named(&entry),
                    Shown(entry.written)
                )),
            }
        }
        if !unknown.is_empty() {
            notices.push(format!("{}: unknown, and left alone: {}", path.display(), unknown.join(", ")));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::new(wrong.join("\n"))) }
    }

    /// Whether there is such an option.
    fn set(&mut self, entry: &Entry) -> Read<bool> {
        let done = match entry.section {
            "general" => self.set_general(entry)?,
            "dhcp" => self.set_dhcp(entry)?,
            "ipv6" => self.set_ipv6(entry)?,
            _ => None,
        };
        Ok(done.is_some())
    }

    fn set_general(&mut self, entry: &Entry) -> Read<Option<()>> {
        match entry.key {
            "pidfile" => one(&mut self.pidfile, entry, path),
            "datapath" => one(&mut self.datapath, entry, path),
            "logdir" => one(&mut self.logdir, entry, path),
            "user" => one(&mut self.user, entry, user),
            "log" => one(&mut self.log, entry, log),
            "compat" => one(&mut self.compat, entry, switch),
            "metrics_listen" => optional(&mut self.metrics_listen, entry, listen),
            "rate_limit" => one(&mut self.rate_limit, entry, count),
            "taps" => list(&mut self.taps, entry, taps),
            "queue_bypass" => one(&mut self.queue_bypass, entry, switch),
            "registry" => optional(&mut self.registry, entry, path),
            _ => Ok(None),
        }
    }

    fn set_dhcp(&mut self, entry: &Entry) -> Read<Option<()>> {
        match entry.key {
            "enable_dhcp" => one(&mut self.enable_dhcp, entry, switch),
            "lease_lifetime" => one(&mut self.lease_lifetime, entry, lifetime),
            "lease_renewal" => one(&mut self.lease_renewal, entry, lifetime),
            "server_ip" => optional(&mut self.server_ip, entry, served::ipv4),
            "server_on_link" => one(&mut self.server_on_link, entry, switch),
            "dhcp_queue" => one(&mut self.dhcp_queue, entry, queue),
            "nameservers" => list(&mut self.nameservers, entry, served::ipv4),
            "domain" => optional(&mut self.domain, entry, served::domain),
            "search" => list(&mut self.search, entry, served::domain),
            "routes" => list(&mut self.routes, entry, served::route),
            "ntp" => list(&mut self.ntp, entry, served::ipv4),
            "tftp" => optional(&mut self.tftp, entry, served::tftp),
            "bootfile" => optional(&mut self.bootfile, entry, served::bootfile),
            _ => Ok(None),
        }
    }

    fn set_ipv6(&mut self, entry: &Entry) -> Read<Option<()>> {
        match entry.key {
            "enable_ipv6" => one(&mut self.enable_ipv6, entry, switch),
            "mode" => one(&mut self.mode, entry, mode),
            "ra_period" => one(&mut self.ra_period, entry, period),
            "rs_queue" => one(&mut self.rs_queue, entry, queue),
            "ns_queue" => one(&mut self.ns_queue, entry, queue),
            "dhcpv6_queue" | "dhcp_queue" => one(&mut self.dhcpv6_queue, entry, queue),
            "nameservers" => list(&mut self.nameservers6, entry, served::ipv6),
            "domains" => list(&mut self.domains, entry, served::domain),
            "ntp" => list(&mut self.ntp6, entry, served::ipv6),
            "proxy_all" => one(&mut self.proxy_all, entry, switch),
            "preferred_lifetime" => one(&mut self.preferred_lifetime, entry, lifetime),
            "valid_lifetime" => one(&mut self.valid_lifetime, entry, lifetime),
            _ => Ok(None),
        }
    }
}

fn named(entry: &Entry) -> String {
    format!("[{}] {}", Shown(entry.section), Shown(entry.key))
}

/// Exactly one value. It is read in any case: what is wrong is wrong, also if the command line wins.
fn one<T>(slot: &mut Option<T>, entry: &Entry, read: impl Fn(&str) -> Read<T>) -> Read<Option<()>> {
    let value = match entry.values.as_slice() {
        [value] => read(value)?,
        [] => return Err(read("").err().unwrap_or_else(|| "a value".to_owned())),
        _ => return Err("a single value".to_owned()),
    };
    slot.get_or_insert(value);
    Ok(Some(()))
}

/// The same, but nothing behind `=` is as if it were not there.
fn optional<T>(slot: &mut Option<T>, entry: &Entry, read: impl Fn(&str) -> Read<T>) -> Read<Option<()>> {
    if entry.values.is_empty() { Ok(Some(())) } else { one(slot, entry, read) }
}

fn list<T>(slot: &mut Option<Vec<T>>, entry: &Entry, read: impl Fn(&str) -> Read<T>) -> Read<Option<()>> {
    if entry.values.len() > LONGEST_LIST {
        return Err(format!("a list of at most {LONGEST_LIST}"));
    }
    let values: Vec<T> = entry.values.iter().map(|value| read(value)).collect::<Result<_, _>>()?;
    slot.get_or_insert(values);
    Ok(Some(()))
}

/// The words that ConfigObj's `boolean` takes.
fn switch(text: &str) -> Read<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "1" => Ok(true),
        "no" | "off" | "false" | "0" => Ok(false),
        _ => Err("yes or no (on, off, true, false, 1, 0)".to_owned()),
    }
}

fn count(text: &str) -> Read<u32> {
    text.parse().map_err(|_| format!("a number from 0 to {}", u32::MAX))
}

fn lifetime(text: &str) -> Read<u32> {
    match text.parse() {
        Ok(seconds @ 1..) => Ok(seconds),
        _ => Err(format!("a number of seconds from 1 to {} (that one: for ever)", u32::MAX)),
    }
}

/// A router's lifetime is three periods at least, so that advertisements may get lost, and has 16 bits.
fn period(text: &str) -> Read<u32> {
    match text.parse() {
        Ok(seconds @ 1..=21_845) => Ok(seconds),
        _ => Err("a number of seconds from 1 to 21845, usually 300".to_owned()),
    }
}

fn queue(text: &str) -> Read<u16> {
    text.parse().map_err(|_| "the number of a queue, from 0 to 65535".to_owned())
}

fn mode(text: &str) -> Read<Mode> {
    match text {
        "auto" => Ok(Mode::Auto),
        "slaac" => Ok(Mode::Slaac),
        "slaac+dhcpv6" => Ok(Mode::SlaacAndDhcp),
        "dhcpv6" => Ok(Mode::Dhcp),
        _ => Err("auto, slaac, slaac+dhcpv6 or dhcpv6".to_owned()),
    }
}

fn path(text: &str) -> Read<PathBuf> {
    if text.is_empty() || text.contains('\0') { Err("a path".to_owned()) } else { Ok(text.into()) }
}

fn user(text: &str) -> Read<String> {
    let legal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if legal { Ok(text.to_owned()) } else { Err("the name or number of a user".to_owned()) }
}

fn log(text: &str) -> Read<LogTo> {
    match text {
        "file" => Ok(LogTo::File),
        "stderr" => Ok(LogTo::Stderr),
        "journal" => Ok(LogTo::Journal),
        _ => Err("file, stderr or journal".to_owned()),
    }
}

fn listen(text: &str) -> Read<SocketAddr> {
    text.parse().map_err(|_| "ADDRESS:PORT, like 127.0.0.1:9547 or [::1]:9547".to_owned())
}

fn taps(text: &str) -> Read<Taps> {
    text.parse()
}
