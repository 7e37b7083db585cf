//! `instances-update`: what dnsmasq or an admin asks for.
//!
//! Options are recognised as the first argument only. Everything after it is what dnsmasq passes on from a client, and a
//! client may call itself `--help`: so no argument parser ever sees it, and clap only explains the program.

use super::Environment;
use crate::error::{Error, Result};
use crate::net::{IfName, Mac, Name, Shown, never_a_source, parse_net};
use crate::registry::paths::Paths;
use clap::{Arg, ArgAction, Command};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::IpAddr;

/// The program's name, in messages.
pub const PROGRAM: &str = "instances-update";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Print the help.
    Help,
    /// Print the version.
    Version,
    /// No action was given.
    NoAction,
    /// An action that is none of ours, or an IPv6 lease of an unknown MAC: nothing.
    Ignore,
    /// `--delete`: say that `--remove` was meant.
    HintRemove,
    /// Change or list the registry.
    Work(Paths, Work),
}

/// What is to be done with the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// `add`, `old`.
    Observe(Mac, IpAddr, Option<Name>),
    /// `--initialize`.
    Initialize(IfName, Name),
    /// `--rename`.
    Rename(Mac, Name),
    /// `--remove`.
    Remove(Mac),
    /// `--allow`.
    Allow(Mac, IpNet),
    /// `--disallow`.
    Disallow(Mac, IpNet),
    /// `--port`, or with `None` `--no-port`.
    SetPort(Mac, Option<IfName>),
    /// `--list`.
    List {
        /// As JSON instead of a table.
        json: bool,
    },
}

/// Lowers the arguments after the program's name. The order of the checks is part of the contract.
///
/// # Errors
/// One line for the first thing that is wrong.
pub fn lower(arguments: &[OsString], environment: Environment) -> Result<Request> {
    let Some((action, rest)) = arguments.split_first() else { return Ok(Request::NoAction) };
    let work = match (action.to_str().unwrap_or_default(), rest) {
        ("--help" | "-h" | "help", _) => return Ok(Request::Help),
        ("--version", _) => return Ok(Request::Version),
        ("--delete", _) => return Ok(Request::HintRemove),
        ("add" | "old", [mac, address, hostname @ ..]) => match observe(mac, address, hostname.first(), environment)? {
            Some(work) => work,
            None => return Ok(Request::Ignore),
        },
        ("--initialize", [interface, hostname]) => Work::Initialize(ifname(interface)?, name(hostname)?),
        ("--rename", [address, hostname]) => Work::Rename(mac(address)?, name(hostname)?),
        ("--remove", [address]) => Work::Remove(mac(address)?),
        ("--allow", [address, prefix]) => Work::Allow(mac(address)?, source(prefix)?),
        ("--disallow", [address, prefix]) => Work::Disallow(mac(address)?, net(prefix)?),
        ("--port", [address, interface]) => Work::SetPort(mac(address)?, Some(ifname(interface)?)),
        ("--no-port", [address]) => Work::SetPort(mac(address)?, None),
        ("--list", []) => Work::List { json: false },
        ("--list", [option]) if option == "--json" => Work::List { json: true },
        (known, _) => match usage_of(known) {
            Some(usage) => {
                let message = format!("wrong number of arguments for {known}");
                return Err(Error::new(message).remedy(format!("usage: {PROGRAM} {usage}")));
            }
            None => return Ok(Request::Ignore),
        },
    };
    let paths = Paths::new(environment("INSTANCES_BASE_PATH"), environment("INSTANCES_BASE_ID"))?;
    Ok(Request::Work(paths, work))
}

fn usage_of(action: &str) -> Option<&'static str> {
    Some(match action {
        "add" | "old" => "add|old MAC IP [HOSTNAME]",
        "--initialize" => "--initialize INTERFACE NAME",
        "--rename" => "--rename MAC NAME",
        "--remove" => "--remove MAC",
        "--allow" => "--allow MAC PREFIX",
        "--disallow" => "--disallow MAC PREFIX",
        "--port" => "--port MAC IFNAME",
        "--no-port" => "--no-port MAC",
        "--list" => "--list [--json]",
        _ => return None,
    })
}

fn observe(
    mac: &OsString,
    ip: &OsString,
    hostname: Option<&OsString>,
    environment: Environment,
) -> Result<Option<Work>> {
    let address =
        parsed(ip, "IP address", |text| text.parse::<IpAddr>().map_err(|_| "expected IPv4 or IPv6, without %"))?;
    let from_dnsmasq;
    let mac = if address.is_ipv6() {
        // For IPv6 the argument is the DUID.
        match environment("DNSMASQ_MAC").filter(|mac| !mac.is_empty()) {
            Some(mac) => {
                from_dnsmasq = mac;
                &from_dnsmasq
            }
            None => return Ok(None),
        }
    } else {
        mac
    };
    Ok(Some(Work::Observe(self::mac(mac)?, address, hostname.map(name).transpose()?)))
}

fn mac(text: &OsString) -> Result<Mac> {
    parsed(text, "MAC address", str::parse)
}

fn name(text: &OsString) -> Result<Name> {
    let name: Name = parsed(text, "hostname", str::parse)?;
    if name.fits_dns() {
        return Ok(name);
    }
    let message =
        format!("invalid hostname \"{}\": DNS has at most {} octets", Shown(name.as_str()), Name::LONGEST_IN_DNS);
    Err(Error::new(message))
}

fn ifname(text: &OsString) -> Result<IfName> {
    parsed(text, "interface name", str::parse)
}

fn net(text: &OsString) -> Result<IpNet> {
    parsed(text, "address or prefix", |text| parse_net(text).map_err(|why| format!("it {why}")))
}

/// What somebody may send from. What is allowed already can be taken back, whatever it is.
fn source(text: &OsString) -> Result<IpNet> {
    let net = net(text)?;
    match never_a_source(&net) {
        None => Ok(net),
        Some(what) => Err(Error::new(format!("cannot allow {net}: it is nobody's address ({what})"))),
    }
}

fn parsed<T, E: std::fmt::Display>(text: &OsString, what: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T> {
    let lossy = text.to_string_lossy();
    // What is not UTF-8 contains U+FFFD here, which is in none of our values.
    parse(&lossy).map_err(|why| Error::new(format!("invalid {what} \"{}\": {why}", Shown(&lossy))))
}

/// The program as clap describes it: for help, man page and completions, not for parsing.
pub fn command() -> Command {
    let argument = |id: &'static str, help: &'static str| Arg::new(id).help(help);
    Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Registers which MAC address has which name and addresses: dnsmasq's dhcp-script, or by hand")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(
            argument("ACTION", "One of the actions below; any other is ignored, as dnsmasq has more of them")
                .required(true),
        )
        .arg(argument("MAC", "MAC address in lower case; for IPv6 leases ignored in favour of DNSMASQ_MAC"))
        .arg(argument("IP", "IPv4 or IPv6 address"))
        .arg(argument("HOSTNAME", "Name: a letter, then letters, digits, hyphens"))
        .arg(argument("IGNORED", "What else dnsmasq passes").action(ArgAction::Append).num_args(0..))
        .after_help(AFTER_HELP)
}

const AFTER_HELP: &str = "\
Actions (recognised as the first argument only):
  add MAC IP [HOSTNAME]         register a lease; unknown MACs become instances
  old MAC IP [HOSTNAME]         the same
  --initialize INTERFACE NAME   register this host by one of its interfaces
  --rename MAC NAME             name an instance; any other of that name loses it
  --remove MAC                  forget an instance
  --allow MAC PREFIX            let an instance use further addresses (VRRP, delegated prefixes)
  --disallow MAC PREFIX         take that back
  --port MAC IFNAME             the bridge port that an instance sits behind; several may share one
  --no-port MAC                 forget its port
  --list [--json]               show the registry
  --help, -h, help              this text
  --version                     the version

Environment:
  INSTANCES_BASE_PATH           base of all paths [default: /var/lib/misc/instances]
  INSTANCES_BASE_ID             appended to it after a hyphen: one registry per bridge
  DNSMASQ_MAC                   set by dnsmasq for IPv6 leases; without it they are ignored

Files (P is the base path):
  P.json                        the registry
  P.updated                     raised whenever the registry changes
  P.lock                        lock on both, waited for at most 10 s

Exit status: 0 done or nothing to do, 1 failed (the message says why), 2 no action given

In dnsmasq.conf:
  dhcp-script=/usr/local/bin/instances-update
  script-on-renewal
By hand:
  instances-update --initialize br0 host
  instances-update --rename 00:16:3e:00:00:01 web
  instances-update --allow 00:16:3e:00:00:01 10.0.0.200/32
  instances-update --port 00:16:3e:00:00:01 tap100i0
";

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(arguments: &[&str], dnsmasq_mac: Option<&str>, id: Option<&str>) -> Result<Request, String> {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        let environment = |variable: &str| match variable {
            "DNSMASQ_MAC" => dnsmasq_mac.map(OsString::from),
            "INSTANCES_BASE_ID" => id.map(OsString::from),
            _ => None,
        };
        lower(&arguments, &environment).map_err(|error| error.to_string())
    }

    fn error_of(arguments: &[&str]) -> String {
        lowered(arguments, None, Some("not-an-id")).expect_err("must be refused")
    }

    #[test]
    fn checks_come_in_the_contracts_order() {
        // Each line mends the first mistake of the line before it.
        assert!(error_of(&["add", "MAC"]).contains("wrong number of arguments for add"));
        assert!(error_of(&["add", "MAC", "IP", "no.name"]).contains("invalid IP address \"IP\""));
        assert!(error_of(&["add", "MAC", "10.0.0.1", "no.name"]).contains("invalid MAC address \"MAC\""));
        assert!(
            error_of(&["add", "11:22:33:44:55:01", "10.0.0.1", "no.name"]).contains("invalid hostname \"no.name\"")
        );
        assert!(error_of(&["add", "11:22:33:44:55:01", "10.0.0.1", "name"]).contains("Invalid instances base id"));
        assert!(error_of(&["--initialize", "a/b", "no.name"]).contains("invalid interface name \"a/b\""));
        assert!(error_of(&["--initialize", "br0", "no.name"]).contains("invalid hostname"));
        assert!(error_of(&["--rename", "MAC", "no.name"]).contains("invalid MAC address"));
    }

    #[test]
    fn an_ipv6_lease_without_a_mac_is_ignored_whatever_its_name() {
        let ignored = lowered(&["add", "00:01:00:01", "fd00::1", "no.name"], None, Some("not-an-id"));
        assert_eq!(ignored, Ok(Request::Ignore));
        assert_eq!(lowered(&["old", "duid", "fd00::1"], Some(""), None), Ok(Request::Ignore));
    }

    #[test]
    fn an_ipv6_lease_takes_the_mac_from_dnsmasq() {
        let request = lowered(&["add", "11:22:33:44:55:99", "fd00::1"], Some("11:22:33:44:55:01"), None);
        let Ok(Request::Work(_, Work::Observe(mac, ..))) = request else { panic!("{request:?}") };
        assert_eq!(mac.to_string(), "11:22:33:44:55:01");
        assert!(lowered(&["add", "duid", "fd00::1"], Some("06-11:22"), None).is_err());
    }

    #[test]
    fn only_the_first_argument_is_ever_an_option() {
        for hostile in ["--help", "--version", "-f", "-x", "$(x)", "\"; drop", "--", "a\nb"] {
            let error = error_of(&["add", "11:22:33:44:55:01", "10.0.0.1", hostile]);
            assert!(error.contains("invalid hostname"), "{hostile}: {error}");
            assert!(!error.contains('\n'));
        }
        let request = lowered(&["add", "11:22:33:44:55:01", "10.0.0.1", "name", "-x", "--help"], None, None);
        assert!(matches!(request, Ok(Request::Work(_, Work::Observe(..)))), "{request:?}");
    }

    #[test]
    fn unknown_actions_are_ignored_and_known_ones_counted() {
        for action in ["del", "init", "tftp", "arp-add", "arp-del", "relay-snoop", "", "--unknown", "ADD"] {
            assert_eq!(lowered(&[action, "x", "y"], None, None), Ok(Request::Ignore), "{action}");
        }
        for arguments in [
            &["add"][..],
            &["old", "11:22:33:44:55:01"],
            &["--initialize", "br0"],
            &["--initialize", "br0", "host", "more"],
            &["--rename", "11:22:33:44:55:01"],
            &["--rename", "11:22:33:44:55:01", "a", "b"],
            &["--remove"],
            &["--remove", "11:22:33:44:55:01", "more"],
            &["--allow", "11:22:33:44:55:01"],
            &["--disallow"],
            &["--port", "11:22:33:44:55:01"],
            &["--no-port", "11:22:33:44:55:01", "tap1"],
            &["--list", "--xml"],
        ] {
            assert!(lowered(arguments, None, None).expect_err("refused").contains("wrong number"), "{arguments:?}");
        }
        assert_eq!(lowered(&[], None, None), Ok(Request::NoAction));
        assert_eq!(lowered(&["--delete", "a", "b", "c"], None, None), Ok(Request::HintRemove));
        for help in ["--help", "-h", "help"] {
            assert_eq!(lowered(&[help, "x"], None, None), Ok(Request::Help));
        }
    }

    #[test]
    fn addresses_that_are_none() {
        for address in ["", "10.0.0", "10.0.0.01", "10.0.0.1/24", "fd00::1%eth0", "fe80::1%1", "::g", "1", " 10.0.0.1"]
        {
            let error = error_of(&["add", "11:22:33:44:55:01", address]);
            assert!(error.contains("invalid IP address"), "{address}: {error}");
        }
    }

    #[test]
    fn prefixes_with_host_bits_are_refused_with_both_ways_out() {
        let error = error_of(&["--allow", "11:22:33:44:55:01", "10.0.0.5/24"]);
        assert!(error.contains("write 10.0.0.0/24 or 10.0.0.5/32"), "{error}");
        let request = lowered(&["--allow", "11:22:33:44:55:01", "fd00::5"], None, None);
        let Ok(Request::Work(_, Work::Allow(_, net))) = request else { panic!("{request:?}") };
        assert_eq!(net.to_string(), "fd00::5/128");
    }

    #[test]
    fn the_help_is_a_valid_clap_command() {
        command().debug_assert();
    }
}
