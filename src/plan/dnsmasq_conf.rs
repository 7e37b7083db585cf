//! The configuration file of a dnsmasq that is ours. Everything in it is a value of ours or was checked, so that no value can be
//! read as a further option, and the same configuration always gives the same text. dnsmasq's own opinion: `dnsmasq --test`.

use crate::net::{DomainName, IfName};
use ipnet::IpNet;
use std::fmt;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// dnsmasq cuts longer lines, and reads the rest as another line (MAXDNAME, 1025 octets).
const LONGEST: usize = 900;

/// What follows an option's name: printable ASCII in one line, without what dnsmasq takes for quotes, comments or escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(Box<str>);

/// The text cannot be an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidValue;

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a value has 1 to {LONGEST} printable ASCII characters in one line, without quotes, backslashes and #"
        )
    }
}

impl std::error::Error for InvalidValue {}

impl FromStr for Value {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim_matches(' ');
        let is_legal = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'#');
        let legal = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_legal);
        if legal { Ok(Self(text.into())) } else { Err(InvalidValue) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path as dnsmasq reads it back.
///
/// # Errors
/// It is not absolute, or has characters that dnsmasq reads as something else.
pub fn path_value(path: &Path) -> Result<Value, InvalidValue> {
    let text = path.to_str().filter(|text| text.starts_with('/') && !text.ends_with(' ')).ok_or(InvalidValue)?;
    text.parse()
}

/// A domain, and the networks whose addresses have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// Its prefixes; the first domain is that of all other addresses, too.
    pub prefixes: Vec<IpNet>,
}

/// What dnsmasq is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// The domains, the default one first.
    pub domains: Vec<Domain>,
    /// `dhcp-range`, each as dnsmasq has it: `10.0.1.1,10.0.1.254,255.255.254.0,12h`. None: no DHCP.
    pub ranges: Vec<Value>,
    /// `dhcp-option`, likewise: `option:router,10.0.0.1`.
    pub options: Vec<Value>,
    /// Who answers what is not ours; nobody: those of `/etc/resolv.conf`.
    pub upstream: Vec<SocketAddr>,
    /// The port for DNS.
    pub port: u16,
    /// Only on these interfaces, and on the loopback. None: on all.
    pub interfaces: Vec<IfName>,
    /// Whether to be the network's only DHCP server: clients of whom it does not know are not left waiting.
    pub is_authoritative: bool,
    /// Whether to ask by ping before an address is offered.
    pub pings: bool,
    /// Whom to become; nobody: as it was built.
    pub user: Option<Value>,
    /// `hostsdir`.
    pub hostsdir: PathBuf,
    /// `dhcp-hostsfile`.
    pub dhcp_hostsfile: PathBuf,
    /// `dhcp-leasefile`.
    pub leases: PathBuf,
    /// `pid-file`.
    pub pid_file: PathBuf,
}

impl Conf {
    /// The file's content.
    ///
    /// # Errors
    /// A path is one that dnsmasq would read as something else.
    pub fn text(&self) -> Result<String, InvalidValue> {
        let mut text = "# Written by instances-proxmox, which writes it anew at its start.\n".to_owned();
        let mut line = |line: fmt::Arguments| {
            let _ = writeln!(text, "{line}");
        };
        line(format_args!("port={}", self.port));
        for interface in &self.interfaces {
            line(format_args!("interface={interface}"));
        }
        if !self.interfaces.is_empty() {
            line(format_args!("bind-dynamic"));
        }
        if let Some(user) = &self.user {
            line(format_args!("user={user}"));
        }
        line(format_args!("pid-file={}", path_value(&self.pid_file)?));
        line(format_args!("log-facility=-"));
        // Names come from us alone: neither this machine's own, nor bare ones, nor questions for private addresses leave it.
        line(format_args!("no-hosts\ndomain-needed\nbogus-priv"));
        line(format_args!("hostsdir={}", path_value(&self.hostsdir)?));
        self.upstream(&mut line);
        self.domains(&mut line);
        if self.ranges.is_empty() {
            return Ok(text);
        }
        line(format_args!("dhcp-leasefile={}", path_value(&self.leases)?));
        line(format_args!("dhcp-hostsfile={}", path_value(&self.dhcp_hostsfile)?));
        // A client's own word is no name: it would be whatever it likes.
        line(format_args!("dhcp-ignore-names"));
        // Else a client's name is also one in no domain: two of the same label are in each other's way, and who looks for a lease's
        // name is told the label alone.
        line(format_args!("dhcp-fqdn"));
        if self.is_authoritative {
            line(format_args!("dhcp-authoritative"));
        }
        if !self.pings {
            line(format_args!("no-ping"));
        }
        for range in &self.ranges {
            line(format_args!("dhcp-range={range}"));
        }
        for option in &self.options {
            line(format_args!("dhcp-option={option}"));
        }
        Ok(text)
    }

    fn upstream(&self, line: &mut impl FnMut(fmt::Arguments)) {
        if !self.upstream.is_empty() {
            line(format_args!("no-resolv"));
        }
        for server in &self.upstream {
            line(format_args!("server={}#{}", server.ip(), server.port()));
        }
    }

    fn domains(&self, line: &mut impl FnMut(fmt::Arguments)) {
        let mut names: Vec<_> = self.domains.iter().map(|domain| &domain.name).collect();
        for (index, Domain { name, prefixes }) in self.domains.iter().enumerate() {
            if index == 0 {
                line(format_args!("domain={name}"));
            } else {
                for prefix in prefixes {
                    line(format_args!("domain={name},{prefix}"));
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        for name in &names {
            line(format_args!("local=/{name}/"));
        }
    }

    /// Where it can be asked whether it still answers.
    pub fn asked_at(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([127, 0, 0, 1]), self.port)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// With the seed's values.
    pub fn conf(folder: &Path) -> Conf {
        let domain =
            |name: &str, prefix: &str| Domain { name: name.parse().unwrap(), prefixes: vec![prefix.parse().unwrap()] };
        Conf {
            domains: vec![domain("lab", "10.0.0.0/23")],
            ranges: vec!["10.0.1.1,10.0.1.254,255.255.254.0,12h".parse().unwrap()],
            options: vec!["option:router,10.0.0.1".parse().unwrap()],
            upstream: Vec::new(),
            port: 53,
            interfaces: Vec::new(),
            is_authoritative: true,
            pings: true,
            user: None,
            hostsdir: folder.join("hosts"),
            dhcp_hostsfile: folder.join("reservations"),
            leases: folder.join("leases"),
            pid_file: folder.join("pid"),
        }
    }

    /// What `dnsmasq --test` says; nothing where there is no dnsmasq.
    fn tested(text: &str) -> Option<(bool, String)> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("conf");
        std::fs::write(&file, text).unwrap();
        let output =
            Command::new("/usr/sbin/dnsmasq").arg("--test").arg(format!("--conf-file={}", file.display())).output();
        let output = output.ok()?;
        Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    #[test]
    fn the_seeds_values_make_this_file() {
        let text = conf(Path::new("/run/x")).text().unwrap();
        let expected = "\
            # Written by instances-proxmox, which writes it anew at its start.\n\
            port=53\npid-file=/run/x/pid\nlog-facility=-\nno-hosts\ndomain-needed\nbogus-priv\nhostsdir=/run/x/hosts\n\
            domain=lab\nlocal=/lab/\ndhcp-leasefile=/run/x/leases\ndhcp-hostsfile=/run/x/reservations\n\
            dhcp-ignore-names\ndhcp-fqdn\ndhcp-authoritative\n\
            dhcp-range=10.0.1.1,10.0.1.254,255.255.254.0,12h\ndhcp-option=option:router,10.0.0.1\n";
        assert_eq!(text, expected);
        assert!(tested(&text).is_none_or(|(is_right, _)| is_right), "{:?}", tested(&text));
    }

    #[test]
    fn all_of_it_is_what_dnsmasq_understands() {
        let mut all = conf(Path::new("/run/with blanks, commas=and so on"));
        let dmz = Domain {
            name: "dmz.example".parse().unwrap(),
            prefixes: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8:0:20::/64".parse().unwrap()],
        };
        all.domains.push(dmz);
        all.upstream = vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:5353".parse().unwrap()];
        all.interfaces = vec!["vmbr0".parse().unwrap(), "vmbr0.20".parse().unwrap()];
        all.user = Some("nobody".parse().unwrap());
        all.pings = false;
        all.ranges.push("2001:db8:0:20::,ra-stateless".parse().unwrap());
        all.options.push("tag:x,option:domain-search,lab,dmz.example".parse().unwrap());
        let text = all.text().unwrap();
        for line in [
            "domain=dmz.example,2001:db8:0:20::/64",
            "local=/dmz.example/",
            "dhcp-fqdn",
            "server=2001:db8::53#5353",
            "no-resolv",
            "bind-dynamic",
            "hostsdir=/run/with blanks, commas=and so on/hosts",
        ] {
            assert!(text.lines().any(|there| there == line), "{line}: {text}");
        }
        assert!(tested(&text).is_none_or(|(is_right, _)| is_right), "{:?}", tested(&text));
    }

    #[test]
    fn nothing_can_be_put_in_as_a_further_option() {
        let long = "x".repeat(LONGEST + 1);
        for wrong in ["", " ", "a\nport=1", "a\rb", "a\0b", "a\tb", "a # b", "#", "\"a", "a\\", "é", &long] {
            assert_eq!(wrong.parse::<Value>(), Err(InvalidValue), "{wrong:?}");
        }
        for wrong in ["", "relative", "/a\nb", "/a ", "/a#b", "/\"a\""] {
            assert_eq!(path_value(Path::new(wrong)), Err(InvalidValue), "{wrong:?}");
        }
        let mut bad = conf(Path::new("/run"));
        bad.leases = "/a\ndhcp-script=/bin/sh".into();
        assert_eq!(bad.text(), Err(InvalidValue));
    }

    proptest! {
        /// Whatever is taken is on one line, whole, and no line is longer than dnsmasq reads.
        #[test]
        fn a_value_stays_one_line(value in any::<String>(), ascii in "[ -~\n\t]{0,1000}") {
            for value in [value, ascii] {
                let Ok(value) = value.parse::<Value>() else { continue };
                let mut with = conf(Path::new("/run"));
                let lines = with.text().unwrap().lines().count();
                with.options.push(value.clone());
                let text = with.text().unwrap();
                prop_assert_eq!(text.lines().count(), lines + 1);
                prop_assert_eq!(text.lines().last().unwrap(), format!("dhcp-option={value}"));
                prop_assert!(text.lines().all(|line| line.len() < 1024 && line.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
            }
        }
    }
}
