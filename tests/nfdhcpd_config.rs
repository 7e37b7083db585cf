//! The responder's configuration: nfdhcpd's file as it is, flags that say the same, and what is said about mistakes.
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use clap::Parser as _;
use instances::cli::nfdhcpd::{Arguments, Config, LogTo, Place, Queues, Request, Rules, RulesFor, Task};
use instances::plan::responder::Settings;
use instances::plan::responder::binding::Options;
use instances::plan::responder::settings::{Dhcp, Ipv6, Mode};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// The sample that nfdhcpd comes with.
const SAMPLE: &str = "\
## nfdhcpd sample configuration file
## General options
[general]
pidfile = /var/run/nfdhcpd/nfdhcpd.pid
datapath = /var/lib/nfdhcpd # Where the client configuration will be read from
logdir = /var/log/nfdhcpd   # Where to write our logs
user = nobody # An unprivileged user to run as

## DHCP options
[dhcp]
enable_dhcp = yes
lease_lifetime = 604800 # 1 week
lease_renewal = 3600 \t# 1 hour
server_ip = 192.0.2.1
server_on_link = no
dhcp_queue = 42 # NFQUEUE number to listen on for DHCP requests
# IPv4 nameservers to include in DHCP responses
nameservers = 192.0.2.2, 192.0.2.3
# Optional domain to serve with the replies
domain = example.com

## IPv6-related functionality
[ipv6]
enable_ipv6 = yes
mode = auto
ra_period = 300 # seconds
rs_queue = 43 # NFQUEUE number to listen on for router solicitations
ns_queue = 44 # NFQUEUE number to listen on for neighbor solicitations
dhcpv6_queue = 45 # NFQUEUE number to listen on for DHCPv6 Information-Requests
# IPv6 nameservers to send using the ICMPv6 RA RDNSS option (RFC 5006)
# since it is not supported by several OS we serve them to DHCPv6 replies
nameservers = 2001:db8:100::1, 2001:db8:200::2
domains = example.com
";

/// A configuration file in a folder of its own.
struct Lab {
    folder: TempDir,
}

impl Lab {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(lab.file(), text).unwrap();
        fs::create_dir(lab.bindings()).unwrap();
        lab
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("nfdhcpd.conf")
    }

    fn bindings(&self) -> PathBuf {
        self.folder.path().join("bindings")
    }

    /// The file and this command line, lowered.
    fn lower(&self, arguments: &[&str]) -> Result<Request, String> {
        let file = self.file();
        let program = ["instances-nfdhcpd", "-c", file.to_str().unwrap()];
        let arguments =
            Arguments::try_parse_from(program.iter().chain(arguments)).map_err(|error| error.to_string())?;
        arguments.lower(&|_| None).map_err(|error| error.to_string().replace(file.to_str().unwrap(), "FILE"))
    }

    #[track_caller]
    fn config(&self, arguments: &[&str]) -> Config {
        let request = self.lower(arguments).unwrap();
        assert_eq!(request.notices, [""; 0]);
        request.config
    }

    /// The program, with the folder's bindings.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_instances-nfdhcpd"));
        command.env_clear().arg("-c").arg(self.file()).arg("--datapath").arg(self.bindings());
        command.args(arguments).output().unwrap()
    }

    /// Its status, standard output and error, with FOLDER in place of the folder's path.
    fn said(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.run(arguments);
        let folder = self.folder.path().to_str().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(folder, "FOLDER");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

fn sample() -> Config {
    Config {
        settings: Settings {
            compat: false,
            dhcp: Some(Dhcp {
                lease_lifetime: 604_800,
                lease_renewal: 3600,
                server_ip: "192.0.2.1".parse().unwrap(),
                server_on_link: false,
            }),
            ipv6: Some(Ipv6 {
                mode: Mode::Auto,
                ra_period: Duration::from_secs(300),
                proxy_all: false,
                lifetimes: (302_400, 604_800),
            }),
            options: Options {
                nameservers: Some(vec!["192.0.2.2".parse().unwrap(), "192.0.2.3".parse().unwrap()]),
                nameservers6: Some(vec!["2001:db8:100::1".parse().unwrap(), "2001:db8:200::2".parse().unwrap()]),
                domain: "example.com".parse().ok(),
                search6: Some(vec!["example.com".parse().unwrap()]),
                ..Options::default()
            },
        },
        queues: Queues { dhcp: 42, rs: 43, ns: 44, dhcpv6: 45 },
        datapath: "/var/lib/nfdhcpd".into(),
        pidfile: "/var/run/nfdhcpd/nfdhcpd.pid".into(),
        logdir: "/var/log/nfdhcpd".into(),
        log: LogTo::File,
        user: "nobody".to_owned(),
        debug: false,
        metrics_listen: None,
        rate_limit: Some(1000),
        registry: None,
        taps: vec!["tap+".parse().unwrap()],
        queue_bypass: false,
    }
}

#[test]
fn the_originals_sample_is_read_as_it_is() {
    let lab = Lab::new(SAMPLE);
    assert_eq!(lab.config(&[]), sample());
    assert_eq!(lab.lower(&[]).unwrap().task, Task::Serve(Place::Leaving));
    assert_eq!(lab.config(&["-f"]), Config { log: LogTo::Stderr, ..sample() });
}

#[test]
fn what_the_sample_says_is_the_default() {
    let lab = Lab::new("[dhcp]\nserver_ip = 192.0.2.1\n");
    let without_servers = Settings { options: Options::default(), ..sample().settings };
    assert_eq!(lab.config(&[]), Config { settings: without_servers, ..sample() });
}

#[test]
fn every_option_can_be_said_by_the_file_and_by_a_flag() {
    let options = [
        ("general", "pidfile", "pidfile", "/p"),
        ("general", "datapath", "datapath", "/d"),
        ("general", "logdir", "logdir", "/l"),
        ("general", "user", "user", "daemon"),
        ("general", "log", "log", "journal"),
        ("general", "compat", "compat", "yes"),
        ("general", "metrics_listen", "metrics-listen", "[::1]:9547"),
        ("general", "rate_limit", "rate-limit", "100"),
        ("dhcp", "enable_dhcp", "enable-dhcp", "no"),
        ("dhcp", "lease_lifetime", "lease-lifetime", "7200"),
        ("dhcp", "lease_renewal", "lease-renewal", "7"),
        ("dhcp", "server_ip", "server-ip", "192.0.2.9"),
        ("dhcp", "server_on_link", "server-on-link", "yes"),
        ("dhcp", "dhcp_queue", "dhcp-queue", "52"),
        ("dhcp", "nameservers", "nameservers", "192.0.2.8,192.0.2.9"),
        ("dhcp", "domain", "domain", "a.example"),
        ("dhcp", "search", "search", "a.example,b.example"),
        ("dhcp", "routes", "routes", "10.0.0.0/8 via 192.0.2.1,10.1.0.0/16 via 192.0.2.2"),
        ("dhcp", "ntp", "ntp", "192.0.2.7"),
        ("dhcp", "tftp", "tftp", "pxe.example"),
        ("dhcp", "bootfile", "bootfile", "pxelinux.0"),
        ("ipv6", "enable_ipv6", "enable-ipv6", "no"),
        ("ipv6", "mode", "mode", "slaac+dhcpv6"),
        ("ipv6", "ra_period", "ra-period", "60"),
        ("ipv6", "rs_queue", "rs-queue", "53"),
        ("ipv6", "ns_queue", "ns-queue", "54"),
        ("ipv6", "dhcpv6_queue", "dhcpv6-queue", "55"),
        ("ipv6", "nameservers", "nameservers6", "2001:db8::8"),
        ("ipv6", "domains", "domains", "b.example,c.example"),
        ("ipv6", "ntp", "ntp6", "2001:db8::7"),
        ("ipv6", "proxy_all", "proxy-all", "yes"),
        ("ipv6", "preferred_lifetime", "preferred-lifetime", "50"),
        ("ipv6", "valid_lifetime", "valid-lifetime", "700"),
    ];
    for (section, key, flag, value) in options {
        let by_file = Lab::new(format!("[{section}]\n{key} = {value}\n"));
        let nothing = Lab::new("");
        let server: &[&str] = if key == "server_ip" { &[] } else { &["--server-ip", "192.0.2.1"] };
        let flag = format!("--{flag}={value}");
        let said = by_file.config(server);
        assert_eq!(said, nothing.config(&[server, &[&flag]].concat()), "{section} {key}");
        if key != "server_ip" {
            assert_ne!(said, nothing.config(server), "{section} {key} has an effect");
        }
        // The command line wins.
        let by_both = Lab::new(format!("[{section}]\n{key} = {value}\n").replace("192.0.2.9", "192.0.2.6"));
        assert_eq!(by_both.config(&[server, &[&flag]].concat()), said, "{section} {key}");
        // And is in the help.
        let help = Command::new(env!("CARGO_BIN_EXE_instances-nfdhcpd")).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let (name, _) = flag.split_once('=').unwrap();
        let line =
            help.lines().position(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        assert!(help.lines().nth(line + 1).unwrap().trim_start().starts_with(&format!("[{section}]")), "{name}");
    }
}

#[test]
fn switches_are_read_as_configobj_reads_them() {
    for (word, on) in [
        ("yes", true),
        ("on", true),
        ("true", true),
        ("1", true),
        ("YES", true),
        ("True", true),
        ("no", false),
        ("off", false),
        ("false", false),
        ("0", false),
        ("No", false),
        ("FALSE", false),
    ] {
        let lab = Lab::new(format!("[dhcp]\nserver_ip = 192.0.2.1\nenable_dhcp = {word}\n"));
        assert_eq!(lab.config(&[]).settings.dhcp.is_some(), on, "{word}");
    }
    assert!(Lab::new(SAMPLE).config(&["--compat"]).settings.compat);
    assert!(!Lab::new(SAMPLE.replace("[dhcp]", "compat = on\n[dhcp]")).config(&["--compat=no"]).settings.compat);
}

#[test]
fn old_spellings_and_other_writings_are_read() {
    let old = SAMPLE.replace("dhcpv6_queue", "dhcp_queue").replace('\n', "\r\n").replace("= yes", "='on'");
    assert_eq!(Lab::new(old).config(&[]), sample());
    let single = SAMPLE.replace("192.0.2.2, 192.0.2.3", "192.0.2.2,").replace("domain = example.com", "domain =");
    let options = Lab::new(single).config(&[]).settings.options;
    assert_eq!((options.nameservers.map(|list| list.len()), options.domain), (Some(1), None));
    assert_eq!(Lab::new(SAMPLE.replace("192.0.2.2, 192.0.2.3", "")).config(&[]).settings.options.nameservers, None);
}

#[test]
fn unknown_options_are_named_once_and_left_alone() {
    let text = SAMPLE.replace("[ipv6]", "colour = blue\n[ipv6]") + "server_ip = 192.0.2.9\n[extra]\nx = \"y\"\n";
    let lab = Lab::new(text);
    let request = lab.lower(&[]).unwrap();
    assert_eq!(request.config, sample());
    let file = lab.file();
    let named = "unknown, and left alone: [dhcp] colour (line 23), [ipv6] server_ip (line 35), [extra] x (line 37)";
    assert_eq!(request.notices, [format!("{}: {named}", file.display())]);
    let (status, _, err) = lab.said(&["--dump"]);
    assert_eq!((status, err), (Some(0), format!("instances-nfdhcpd: FOLDER/nfdhcpd.conf: {named}\n")));
}

#[test]
fn wrong_values_are_named_with_line_key_and_what_is_allowed() {
    for (from, to, line, expected) in [
        (
            "lease_lifetime = 604800",
            "lease_lifetime = long",
            12,
            "[dhcp] lease_lifetime = long is wrong: a number of seconds",
        ),
        (
            "lease_renewal = 3600",
            "lease_renewal = 0",
            13,
            "[dhcp] lease_renewal = 0 is wrong: a number of seconds from 1",
        ),
        (
            "server_ip = 192.0.2.1",
            "server_ip = 192.0.2.256",
            14,
            "[dhcp] server_ip = 192.0.2.256 is wrong: an IPv4 address",
        ),
        ("server_ip = 192.0.2.1", "server_ip = 1.1.1.1, 2.2.2.2", 14, "= 1.1.1.1, 2.2.2.2 is wrong: a single value"),
        ("server_on_link = no", "server_on_link = maybe", 15, "yes or no (on, off, true, false, 1, 0) is expected"),
        ("enable_dhcp = yes", "enable_dhcp =", 11, "[dhcp] enable_dhcp =  is wrong: yes or no"),
        ("dhcp_queue = 42", "dhcp_queue = 65536", 16, "the number of a queue, from 0 to 65535 is expected"),
        ("192.0.2.2, 192.0.2.3", "192.0.2.2, ::1", 18, "[dhcp] nameservers = 192.0.2.2, ::1 is wrong: an IPv4 address"),
        ("domain = example.com", "domain = a b", 20, "[dhcp] domain = a b is wrong: a domain name"),
        (
            "mode = auto",
            "mode = magic",
            25,
            "[ipv6] mode = magic is wrong: auto, slaac, slaac+dhcpv6 or dhcpv6 is expected",
        ),
        ("ra_period = 300", "ra_period = -1", 26, "[ipv6] ra_period = -1 is wrong: a number of seconds"),
        (
            "ra_period = 300",
            "ra_period = 21846",
            26,
            "[ipv6] ra_period = 21846 is wrong: a number of seconds from 1 to 21845",
        ),
        ("user = nobody", "user nobody", 7, "is neither [section] nor key = value nor # comment"),
        ("logdir = /var/log/nfdhcpd", "user = x", 7, "user is there already, in line 6"),
    ] {
        let error = Lab::new(SAMPLE.replacen(from, to, 1)).lower(&[]).unwrap_err();
        assert!(error.starts_with(&format!("FILE:{line}: ")) && error.contains(expected), "{to}: {error}");
    }
    for period in ["= 1", "= 21845"] {
        assert!(Lab::new(SAMPLE.replace("= 300", period)).lower(&[]).is_ok(), "{period}");
    }
    let several = Lab::new(SAMPLE.replace("= 42", "= x").replace("= 300", "= y")).lower(&[]).unwrap_err();
    assert_eq!(several.lines().count(), 2, "{several}");
    assert!(Lab::new(b"[general]\nuser = \xff\n").lower(&[]).unwrap_err().starts_with("FILE:2: not UTF-8"));
    // Also where the command line wins.
    assert!(Lab::new(SAMPLE.replace("= auto", "= x")).lower(&["--mode", "slaac"]).is_err());
    // And for the whole program.
    let (status, out, err) = Lab::new(SAMPLE.replace("= auto", "= x")).said(&["-f"]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("instances-nfdhcpd: FOLDER/nfdhcpd.conf:25: [ipv6] mode = x is wrong"), "{err}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let error = |text: &str| Lab::new(text).lower(&[]).unwrap_err();
    assert!(error("").contains("[dhcp] server_ip is missing"));
    assert!(Lab::new("[dhcp]\nserver_on_link = yes").lower(&[]).is_ok());
    assert!(Lab::new("[dhcp]\nenable_dhcp = no").lower(&[]).is_ok());
    assert!(Lab::new("").lower(&["--dump"]).is_ok());
    assert!(error(&SAMPLE.replace("= 44", "= 43")).starts_with("rs_queue and ns_queue are both 43"));
    assert!(error(&SAMPLE.replace("= 45", "= 42")).starts_with("dhcp_queue and dhcpv6_queue are both 42"));
    assert!(
        Lab::new(SAMPLE.replace("= 45", "= 42").replace("enable_dhcp = yes", "enable_dhcp = no")).lower(&[]).is_ok()
    );
    assert!(error(&format!("{SAMPLE}preferred_lifetime = 8\nvalid_lifetime = 7\n")).contains("is longer than"));
    let long = Lab::new(SAMPLE.replace("= 604800", "= 60")).lower(&[]).unwrap();
    assert_eq!(long.notices.len(), 1, "{:?}", long.notices);
    let absent = Lab::new("");
    fs::remove_file(absent.file()).unwrap();
    let error = absent.lower(&[]).unwrap_err();
    assert_eq!(error, "cannot read the configuration FILE: No such file or directory");
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let lab = Lab::new(SAMPLE);
    for wrong in [
        &["--colour"][..],
        &["--server-ip", "x"],
        &["--mode", "magic"],
        &["--json"],
        &["--dump", "--check-config"],
        &["--install-rules", "--remove-rules"],
        &["--print-rules", "pf"],
        &["--taps", "a b"],
        &["--nameservers", "192.0.2.1,x"],
        &["operand"],
    ] {
        let (status, out, err) = lab.said(wrong);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{wrong:?}: {err}");
    }
    let (status, out, _) = lab.said(&["--version"]);
    assert_eq!((status, out), (Some(0), format!("instances-nfdhcpd {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn tasks_about_rules_are_told_apart() {
    let lab = Lab::new("");
    for (argument, rules) in [
        ("--install-rules", Rules::Install(None)),
        ("--remove-rules", Rules::Remove),
        ("--print-rules=ferm", Rules::Print(RulesFor::Ferm)),
        ("--print-rules=nft", Rules::Print(RulesFor::Nft)),
        ("--print-rules=iptables", Rules::Print(RulesFor::Iptables)),
    ] {
        assert_eq!(lab.lower(&[argument]).unwrap().task, Task::Rules(rules));
    }
}

const BINDING: &str = "\nINDEV=br0\nIP=192.0.2.100\nMAC=AA:6b:39:22:33:44\nHOSTNAME=testing-vm\nTAGS=\nGATEWAY=192.0.2.1\n\
    SUBNET=192.0.2.0/24\nSUBNET6=2001:db8::/64\nEUI64=2001:db8::a86b:39ff:fe22:3344\nNTP=192.0.2.5,2001:db8::5\n";

#[test]
fn check_config_says_all_that_is_wrong_and_exits_1() {
    let lab = Lab::new(SAMPLE);
    fs::write(lab.bindings().join("tap10"), BINDING).unwrap();
    let well = (Some(0), "1 bindings in FOLDER/bindings, all is well\n".to_owned(), String::new());
    assert_eq!(lab.said(&["--check-config"]), well);
    fs::write(lab.bindings().join("tap11"), "MAC=x\nHOSTNAME=y\n").unwrap();
    let out = "FOLDER/bindings/tap11:1: MAC=x is wrong: a MAC address is expected\n1 bindings in FOLDER/bindings\n";
    assert_eq!(lab.said(&["--check-config"]), (Some(1), out.to_owned(), String::new()));
}

#[test]
fn the_dump_is_a_table_or_json() {
    let lab = Lab::new(SAMPLE);
    fs::write(lab.bindings().join("nfdhcpd-test1"), BINDING).unwrap();
    fs::write(lab.bindings().join("lo"), BINDING.replace("INDEV=br0", "INDEV=lo")).unwrap();
    let (status, out, err) = lab.said(&["--dump"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let lines: Vec<Vec<_>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["FILE", "TAP", "INDEX", "MAC", "HOSTNAME", "IP", "IPV6", "INDEV"]);
    let ipv6 = "2001:db8::a86b:39ff:fe22:3344";
    assert_eq!(lines[1], ["lo", "lo", "1", "aa:6b:39:22:33:44", "testing-vm", "192.0.2.100", ipv6, "lo"]);
    let absent = ["nfdhcpd-test1", "absent", "-", "aa:6b:39:22:33:44", "testing-vm", "192.0.2.100", ipv6, "br0"];
    assert_eq!(lines[2], absent);
    assert_eq!(out.lines().last(), Some("2 clients, 1 of them with a tap"));
    let (_, out, _) = lab.said(&["--dump", "--json"]);
    let clients: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(clients.len(), 2);
    assert_eq!(clients[0]["tap"]["index"], 1);
    let expected = json!({
        "file": "nfdhcpd-test1", "tap": null, "indev": "br0", "mac": "aa:6b:39:22:33:44", "hostname": "testing-vm",
        "ip": "192.0.2.100", "subnet": "192.0.2.0/24", "gateway": "192.0.2.1", "ip6": null, "eui64": ipv6,
        "subnet6": "2001:db8::/64", "gateway6": null, "prefix6": null, "private": false, "macspoof": false, "mtu": null,
        "nameservers": null, "domain": null, "search": null, "routes": null, "ntp": ["192.0.2.5", "2001:db8::5"],
        "tftp": null, "bootfile": null
    });
    assert_eq!(clients[1], expected);
}
