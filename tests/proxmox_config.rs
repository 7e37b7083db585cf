//! The configuration of `instances-proxmox`: PVE-Leazzard's variables as they are, the file and flags that say the same and more, and what
//! is said about mistakes.
#![cfg(feature = "proxmox")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use clap::Parser as _;
use instances::cli::proxmox::{Arguments, Config, Dnsmasq, Hearing, Mode, Request};
use instances::daemon::proxmox::child::Settings;
use instances::daemon::proxmox::folders;
use instances::daemon::proxmox::tending::Pace;
use instances::plan::dns_records::{Dotted, Duplicates, Extra, LinkDown, Network, Policy, Unnamed, Vlan};
use instances::plan::dnsmasq_conf::{Conf, Domain};
use instances::sink::dnsmasq_dir;
use instances::source::neighbors::{Places, Sweeping};
use instances::source::proxmox::{Access, Token, Trust};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use tempfile::TempDir;
use tracing::level_filters::LevelFilter;

const SECRET: &str = "00000000-0000-0000-0000-000000000000";

/// As in PVE-Leazzard's docker-compose.yml.
const COMPOSE: [(&str, &str); 11] = [
    ("PROXMOX_HOST", "https://your-proxmox.host:port"),
    ("API_TOKEN_ID", "root@pam!leazzard"),
    ("API_TOKEN_SECRET", SECRET),
    ("VERIFY_SSL", "true"),
    ("NETWORK_CIDR", "10.0.0.0/23"),
    ("DHCP_RANGE", "10.0.1.1,10.0.1.254,255.255.254.0,12h"),
    ("DHCP_OPTION", "option:router,10.0.0.1"),
    ("DNS_DOMAIN", "lab"),
    ("SYNC_INTERVAL", "300"),
    ("ARP_CHECK_INTERVAL", "15"),
    ("LOG_LEVEL", "ERROR"),
];

/// A folder for files, `@` in what is said, and variables.
struct Lab {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Lab {
    /// Without any variable.
    fn bare() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// With PVE-Leazzard's.
    fn compose() -> Self {
        Self::bare().with(&COMPOSE).with(&[("PROXMOX_HOST", "https://your-proxmox.host:8006")])
    }

    /// With a secret, and nothing else.
    fn secret() -> Self {
        Self::bare().with(&[("API_TOKEN_SECRET", SECRET)])
    }

    fn with(mut self, variables: &[(&str, &str)]) -> Self {
        for (name, value) in variables {
            self.variables.retain(|(variable, _)| variable != name);
            self.variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        self
    }

    fn file(self, name: &str, text: &str, mode: u32) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn at(&self) -> String {
        format!("{}/", self.folder.path().to_str().unwrap())
    }

    fn lower(&self, arguments: &[&str]) -> Result<Request, String> {
        let at = self.at();
        let arguments = ["instances-proxmox"].iter().chain(arguments).map(|argument| argument.replace('@', &at));
        let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let environment = |name: &str| {
            let set = self.variables.iter().find(|(variable, _)| variable == name);
            set.map(|(name, value)| {
                if matches!(&**name, "API_TOKEN_ID" | "PROXMOX_HOST") {
                    value.into()
                } else {
                    value.replace('@', &at).into()
                }
            })
        };
        let names = self.variables.iter().map(|(name, _)| name.into());
        let mut lowered = arguments.lower(&environment, names).map_err(|error| error.to_string().replace(&at, "@"))?;
        for text in &mut lowered.notices {
            *text = text.replace(&at, "@");
        }
        Ok(lowered)
    }

    /// With this file.
    fn toml(self, text: &str) -> Self {
        self.file("a", text, 0o640)
    }

    fn a(&self, arguments: &[&str]) -> Result<Request, String> {
        self.lower(&[&["--config", "@a"], arguments].concat())
    }

    /// What is wrong, line by line.
    #[track_caller]
    fn wrong(&self, arguments: &[&str]) -> Vec<String> {
        let lowered = if self.folder.path().join("a").exists() { self.a(arguments) } else { self.lower(arguments) };
        lowered.err().unwrap().lines().map(str::to_owned).collect()
    }
}

/// What is enough.
const LITTLE: &str = "\
[proxmox]
hosts = [\"pve1\"]
token_id = \"root@pam!x\"
[names]
domain = \"lab\"
prefixes = [\"10.0.0.0/23\"]
";

#[test]
fn the_variables_of_the_seeds_docker_compose_mean_what_they_meant() {
    let request = Lab::compose().lower(&[]).unwrap();
    let run = "/run/instances-proxmox";
    let lib = "/var/lib/instances-proxmox";
    let places = dnsmasq_dir::Places {
        hostsdir: format!("{lib}/hosts").into(),
        dhcp_hostsfile: format!("{lib}/reservations").into(),
        pid_file: Some(format!("{run}/dnsmasq.pid").into()),
    };
    let conf = Conf {
        domains: vec![Domain { name: "lab".parse().unwrap(), prefixes: vec!["10.0.0.0/23".parse().unwrap()] }],
        ranges: vec!["10.0.1.1,10.0.1.254,255.255.254.0,12h".parse().unwrap()],
        options: vec!["option:router,10.0.0.1".parse().unwrap()],
        upstream: Vec::new(),
        port: 53,
        interfaces: Vec::new(),
        is_authoritative: true,
        pings: true,
        user: None,
        hostsdir: places.hostsdir.clone(),
        dhcp_hostsfile: places.dhcp_hostsfile.clone(),
        leases: "/var/lib/misc/dnsmasq.leases".into(),
        pid_file: places.pid_file.clone().unwrap(),
    };
    let settings = Settings {
        program: "dnsmasq".into(),
        conf_file: format!("{run}/dnsmasq.conf").into(),
        conf,
        asked_at: "127.0.0.1:53".parse().unwrap(),
        pace: Pace::default(),
    };
    let network = Network {
        bridge: None,
        vlan: Vlan::Any,
        prefixes: vec!["10.0.0.0/23".parse().unwrap()],
        domain: "lab".parse().unwrap(),
    };
    let expected = Config {
        access: Access {
            hosts: vec!["https://your-proxmox.host:8006".parse().unwrap()],
            token: Token { id: "root@pam!leazzard".to_owned(), secret: SECRET.to_owned() },
            trust: Trust::default(),
            connect_timeout: Access::CONNECT_TIMEOUT,
            timeout: Access::TIMEOUT,
        },
        policy: Policy {
            networks: vec![network],
            reserved_addresses: ["10.0.0.1".parse().unwrap()].into(),
            ..Policy::default()
        },
        poll_interval: Duration::from_secs(10),
        sync_interval: Duration::from_secs(300),
        neighbors: Some(Hearing {
            places: Places { named: Vec::new(), all_bridges: true },
            sweeping: Sweeping {
                networks: vec!["10.0.0.0/23".parse().unwrap()],
                interval: Duration::from_secs(15),
                per_second: 100,
            },
        }),
        dnsmasq: Dnsmasq::Managed(Box::new(settings)),
        places,
        leases: Some("/var/lib/misc/dnsmasq.leases".into()),
        reload_interval: Duration::from_secs(30),
        state_file: format!("{lib}/state.json").into(),
        registry: None,
        listen: None,
        log_level: LevelFilter::ERROR,
    };
    assert_eq!(request.config, expected);
    assert_eq!(request.config.access.token.secret, SECRET);
    assert_eq!((request.mode, request.notices), (Mode::Run, Vec::<String>::new()));
}

#[test]
fn the_seeds_variables_have_its_defaults_and_both_spellings() {
    let of = |variables: &[(&str, &str)]| Lab::compose().with(variables).lower(&[]).unwrap();
    let nothing = [("VERIFY_SSL", ""), ("SYNC_INTERVAL", ""), ("ARP_CHECK_INTERVAL", ""), ("LOG_LEVEL", "")];
    let config = of(&nothing).config;
    assert_eq!((config.sync_interval.as_secs(), config.log_level), (300, LevelFilter::ERROR));
    assert!(!config.access.trust.is_blind);
    let sweep = |request: &Request| request.config.neighbors.as_ref().unwrap().sweeping.interval.as_secs();
    assert_eq!(sweep(&of(&nothing)), 30);
    assert_eq!(sweep(&of(&[("ARP_CHECK_INTERVAL", ""), ("ARP_SCAN_INTERVAL", "20")])), 20);
    let both = of(&[("ARP_SCAN_INTERVAL", "20")]);
    assert_eq!(sweep(&both), 15);
    let told = "variable ARP_SCAN_INTERVAL = 20 has no effect: ARP_CHECK_INTERVAL = 15 is stronger";
    assert_eq!(both.notices, [told]);
    let misspelt = [("INSTANCES_PROXMOX_POLINTERVAL", "5")];
    let told = "variable INSTANCES_PROXMOX_POLINTERVAL is unknown: INSTANCES_PROXMOX_POLL_INTERVAL is meant?";
    assert_eq!(of(&misspelt).notices, [told]);
    let missing = [misspelt[0], ("DNS_DOMAIN", "")];
    let wrong = Lab::compose().with(&missing).lower(&[]).unwrap_err();
    assert!(wrong.starts_with("[names] domain is missing") && wrong.ends_with(told), "{wrong}");
    let blind = of(&[("VERIFY_SSL", "False")]);
    assert!(blind.config.access.trust.is_blind);
    assert_eq!(of(&[("LOG_LEVEL", "info")]).config.log_level, LevelFilter::INFO);
    let hosts = of(&[("PROXMOX_HOST", "pve1, https://pve2/,192.0.2.3:8007")]).config.access.hosts;
    let hosts: Vec<_> = hosts.iter().map(AsRef::as_ref).collect();
    assert_eq!(hosts, ["https://pve1:8006/", "https://pve2/", "https://192.0.2.3:8007/"]);
    // Rounds are never rarer than comparisons.
    assert_eq!(of(&[("SYNC_INTERVAL", "5")]).config.poll_interval.as_secs(), 5);
    let several =
        of(&[("DHCP_RANGE", "10.0.1.1,10.0.1.9;fd00::,ra-stateless"), ("NETWORK_CIDR", "10.0.0.0/23,fd00::/64")]);
    let Dnsmasq::Managed(settings) = several.config.dnsmasq else { panic!() };
    assert_eq!(settings.conf.ranges.len(), 2);
}

#[test]
fn a_flag_is_stronger_than_a_variable_and_that_stronger_than_a_file() {
    let poll = |request: Result<Request, String>| request.unwrap().config.poll_interval.as_secs();
    let text = format!("poll_interval = 20\n{LITTLE}");
    let file = Lab::secret().toml(&text);
    assert_eq!(poll(file.a(&[])), 20);
    let file = file.with(&[("INSTANCES_PROXMOX_POLL_INTERVAL", "30")]);
    assert_eq!(poll(file.a(&[])), 30);
    assert_eq!(poll(file.a(&["--poll-interval", "40"])), 40);
    // Ours is stronger than the seed's.
    let file = file.with(&[("NETWORK_CIDR", "10.8.0.0/24"), ("INSTANCES_PROXMOX_PREFIXES", "10.9.0.0/24")]);
    assert_eq!(file.a(&[]).unwrap().config.policy.networks[0].prefixes, ["10.9.0.0/24".parse().unwrap()]);
    let modes = [
        (vec![], Mode::Run),
        (vec!["--once"], Mode::Once),
        (vec!["--dry-run"], Mode::DryRun { json: false }),
        (vec!["--dry-run", "--json"], Mode::DryRun { json: true }),
        (vec!["--check-config"], Mode::CheckConfig),
        (vec!["--print-config"], Mode::PrintConfig),
    ];
    for (arguments, mode) in modes {
        assert_eq!(file.a(&arguments).unwrap().mode, mode);
    }
    for wrong in [vec!["--json"], vec!["--once", "--dry-run"], vec!["--poll-interval", "x"]] {
        assert!(file.a(&wrong).is_err(), "{wrong:?}");
    }
}

/// All that can be said.
const MUCH: &str = r#"
poll_interval = 7.5
sync_interval = 60
state_file = "/srv/state"
registry = "/var/lib/instances/instances.json"
listen = "[::1]:9549"
log_level = "DEBUG"

[proxmox]
hosts = ["pve1", "[2001:db8::1]:9000"]
token_id = "monitor@pve!dns"
ca_file = "/etc/pve/pve-root-ca.pem"
server_name = "pve.lab"
connect_timeout = 2
timeout = 20

[names]
domain = "Lab."
only_tags = ["DNS"]
without_tags = ["private", "old"]
unnamed = "left-out"
duplicates = "left-out"
dotted = "hyphens"
link_down = "left-out"
reserved_names = ["gateway", "www.example.com"]
reserved_addresses = ["10.0.0.2"]

[neighbors]
interfaces = ["vmbr0", "eth1"]
sweep_interval = 60
sweep_rate = 10

[dnsmasq]
ranges = ["10.0.1.1,10.0.1.254,255.255.254.0,12h"]
options = ["option:router,10.0.0.1", "option:ntp-server,10.0.0.1"]
upstream = ["9.9.9.9", "[2001:db8::53]:5353"]
port = 5353
interfaces = ["vmbr0"]
user = "nobody"
authoritative = false
ping = false
program = "/opt/dnsmasq"
conf_file = "/srv/conf"
hostsdir = "/srv/hosts"
dhcp_hostsfile = "/srv/reservations"
pid_file = "/srv/pid"
leases = "/srv/leases"
reload_interval = 5

[[network]]
bridge = "vmbr0"
tag = "untagged"
prefixes = ["10.0.0.0/23", "2001:db8::/64"]

[[network]]
bridge = "vmbr0"
tag = 20
prefixes = ["10.0.20.0/24"]
domain = "dmz.lab"

[[network]]
prefixes = ["172.16.0.0/12", "2001:db8:1::/64"]

[[record]]
name = "nas"
address = ["10.0.0.9", "2001:db8::9"]

[[record]]
name = "www.example.com"
address = "10.0.0.10"
"#;

#[test]
fn a_file_can_say_everything() {
    let request = Lab::secret().toml(MUCH).a(&[]).unwrap();
    let too_large = "172.16.0.0/12 is too large to be swept: silent guests with addresses of their own are not found there; name \
                     smaller prefixes, each a /16 or longer";
    let often =
        "@a:2: the cluster is asked every 7.5 s, but what it lists is up to 10 s old itself; 10 s is soon enough";
    assert_eq!(request.notices, [often, too_large]);
    let config = request.config;
    assert_eq!(config.poll_interval, Duration::from_millis(7500));
    assert_eq!(config.access.trust.server_name.as_deref(), Some("pve.lab"));
    assert_eq!(config.access.hosts[1].as_str(), "https://[2001:db8::1]:9000/");
    let policy = &config.policy;
    let domains: Vec<_> = policy.networks.iter().map(|network| network.domain.as_str()).collect();
    assert_eq!(domains, ["lab", "dmz.lab", "lab"]);
    let vlans: Vec<_> = policy.networks.iter().map(|network| (network.bridge.as_deref(), network.vlan)).collect();
    assert_eq!(vlans, [(Some("vmbr0"), Vlan::Untagged), (Some("vmbr0"), Vlan::Tag(20)), (None, Vlan::Any)]);
    assert_eq!(policy.only_tags, ["dns".to_owned()].into());
    assert_eq!((policy.unnamed, policy.duplicates), (Unnamed::LeftOut, Duplicates::LeftOut));
    assert_eq!((policy.dotted, policy.link_down), (Dotted::Hyphens, LinkDown::LeftOut));
    // In place of the router's.
    assert_eq!(policy.reserved_addresses, ["10.0.0.2".parse().unwrap()].into());
    assert_eq!(policy.reserved_names.len(), 2);
    let extra = |name: &str, address: &str| Extra { name: name.parse().unwrap(), address: address.parse().unwrap() };
    let expected =
        [extra("nas.lab", "10.0.0.9"), extra("nas.lab", "2001:db8::9"), extra("www.example.com", "10.0.0.10")];
    assert_eq!(policy.extra, expected);
    let hearing = config.neighbors.unwrap();
    assert!(!hearing.places.all_bridges && hearing.places.named.len() == 2);
    assert_eq!(hearing.sweeping.networks, ["10.0.0.0/23".parse().unwrap(), "10.0.20.0/24".parse().unwrap()]);
    let Dnsmasq::Managed(settings) = config.dnsmasq else { panic!() };
    let conf = &settings.conf;
    let domains: Vec<_> = conf.domains.iter().map(|domain| (domain.name.as_str(), domain.prefixes.len())).collect();
    assert_eq!(domains, [("lab", 4), ("dmz.lab", 1)]);
    assert_eq!((settings.asked_at.port(), conf.pings, conf.is_authoritative), (5353, false, false));
    assert_eq!(conf.upstream.len(), 2);
    assert!(conf.text().is_ok());
}

#[test]
fn a_companion_has_the_paths_of_a_dnsmasq_that_is_there() {
    let text = format!("{LITTLE}[dnsmasq]\nmode = \"companion\"\nport = 54\noptions = [\"3,10.0.0.1\"]\n");
    let request = Lab::secret().toml(&text).a(&[]).unwrap();
    assert_eq!(request.config.dnsmasq, Dnsmasq::Companion);
    assert_eq!(request.config.places.pid_file, Some("/run/dnsmasq/dnsmasq.pid".into()));
    assert_eq!(request.config.policy.reserved_addresses.len(), 1);
    assert_eq!(request.notices, ["@a:9: [dnsmasq] port has no effect: [dnsmasq] mode = \"companion\""]);
    let nobody = Lab::secret().toml(&text.replace("port = 54", "pid_file = \"none\"")).a(&[]).unwrap();
    assert_eq!(nobody.config.places.pid_file, None);
    // As systemd says it.
    let folders = [("STATE_DIRECTORY", "/s:/x"), ("RUNTIME_DIRECTORY", "/r")];
    let managed = Lab::secret().with(&folders).toml(LITTLE).a(&[]).unwrap().config;
    assert_eq!(managed.places.hostsdir.to_str(), Some("/s/hosts"));
    assert_eq!(managed.places.pid_file.unwrap().to_str(), Some("/r/dnsmasq.pid"));
    assert_eq!(managed.leases.unwrap().to_str(), Some("/s/dnsmasq.leases"));
    let companion = Lab::secret().with(&folders).toml(&text).a(&[]).unwrap().config;
    assert_eq!(companion.leases.unwrap().to_str(), Some("/var/lib/misc/dnsmasq.leases"));
    assert_eq!(companion.places.hostsdir.to_str(), Some("/s/hosts"));
}

#[test]
fn the_secret_is_from_a_file_a_variable_or_systemd() {
    let secret = |request: Request| request.config.access.token.secret;
    let lab = || {
        let lab = Lab::bare().toml(&LITTLE.replace("token_id", "token_file = \"@f\"\ntoken_id"));
        let text =
            fs::read_to_string(lab.folder.path().join("a")).unwrap().replacen("@f", &format!("{}f", lab.at()), 1);
        lab.toml(&text).file("f", "of-the-file\n", 0o600).file("g", "of-the-flag", 0o604).file(
            "token",
            "of-systemd",
            0o600,
        )
    };
    assert_eq!(secret(lab().a(&[]).unwrap()), "of-the-file");
    let systemd = lab().with(&[("CREDENTIALS_DIRECTORY", "@")]);
    assert_eq!(secret(systemd.a(&[]).unwrap()), "of-systemd");
    for nothing in ["", "none"] {
        let systemd = lab().file("token", nothing, 0o600).with(&[("CREDENTIALS_DIRECTORY", "@")]);
        assert_eq!(secret(systemd.a(&[]).unwrap()), "of-the-file");
    }
    let variable = systemd.with(&[("API_TOKEN_SECRET", SECRET)]);
    assert_eq!(secret(variable.a(&[]).unwrap()), SECRET);
    let flag = variable.a(&["--token-file", "@g"]).unwrap();
    assert_eq!(flag.notices, ["--token-file: @g can be read by all users of this host: chmod o= @g"]);
    assert_eq!(secret(flag), "of-the-flag");
    let docker = lab().with(&[("API_TOKEN_SECRET_FILE", "@g")]);
    assert_eq!(secret(docker.a(&[]).unwrap()), "of-the-flag");
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_do() {
    let cases: [(&str, &str, &str); 24] = [
        ("poll_interval = 0", "", "@a:1: poll_interval = 0 is wrong: it is a number of seconds from 1 to 86400"),
        ("pol_interval = 1", "", "@a:1: pol_interval is unknown: poll_interval is meant?"),
        ("poll_interval = [1]", "", "@a:1: poll_interval is wrong: a number is expected, and this is a list"),
        ("poll_interval = true", "", "@a:1: poll_interval is wrong: a number is expected, and this is of type boolean"),
        ("listen = 80", "", "@a:1: listen is wrong: a string, in quotes, is expected, and this is of type integer"),
        ("listen = \"80\"", "", "@a:1: listen = 80 is wrong: it is ADDRESS:PORT, like 127.0.0.1:9549 or [::1]:9549"),
        (
            "state_file = 1979-05-27",
            "",
            "@a:1: state_file is wrong: a path, in quotes, is expected, and this is a date or a time",
        ),
        (
            "log_level = \"loud\"",
            "",
            "@a:1: log_level = loud is wrong: it is one of ERROR, WARNING, INFO, DEBUG, TRACE",
        ),
        ("listen = \"a", "", "@a:1: this is no TOML: "),
        ("", "[dnsmasq]\nport = 0", "@a:9: [dnsmasq] port = 0 is wrong: it is a port, from 1 to 65535"),
        (
            "",
            "[dnsmasq]\nupstream = [\"9.9.9.9\",\n\"dns\"]",
            "@a:10: [dnsmasq] upstream = dns is wrong: it is the address of a DNS server",
        ),
        ("", "[dnsmasq]\nranges = [\"x\"]", "@a:9: [dnsmasq] ranges = x is wrong: it is dnsmasq's dhcp-range, like "),
        ("", "[dnsmasq]\noptions = [\"a\\nport=1\"]", "@a:9: [dnsmasq] options = a\\nport=1 is wrong: a value has "),
        (
            "",
            "[dnsmasq]\nleases = \"/x/a\"\nhostsdir = \"/x\"",
            "[dnsmasq] leases = /x/a is wrong: dnsmasq reads all of hostsdir",
        ),
        (
            "",
            "[dnsmasq]\nleases = \"/x\"\ndhcp_hostsfile = \"/x\"",
            "[dnsmasq] leases = /x is wrong: that is [dnsmasq] dhcp_hostsfile",
        ),
        ("", "[dnsmasq]\nmode = \"mine\"", "@a:9: [dnsmasq] mode = mine is wrong: it is one of managed, companion"),
        ("", "[dnsmaq]\nport = 1", "@a:9: [dnsmaq] is unknown: [dnsmasq] is meant?"),
        ("", "[[record]]\nname = \"a b\"\naddress = \"1\"", "@a:9: [[record]] name = a b is wrong: a domain name has "),
        ("", "[[record]]\nname = \"a\"", "@a:8: [[record]] address is missing: write it here"),
        ("", "[[network]]\nprefixes = [\"10.0.0.0/24\"]", "@a:7: [names] prefixes and [[network]] are both there"),
        ("", "[names.x]\ny = 1", "@a:8: [names] x is unknown: "),
        (
            "",
            "[neighbors]\nsweep_rate = 5000",
            "@a:9: [neighbors] sweep_rate = 5000 is wrong: it is a whole number from 1 to 1000",
        ),
        ("", "[neighbors]\nenabled = \"perhaps\"", "@a:9: [neighbors] enabled = perhaps is wrong: it is true or false"),
        (
            "",
            "[neighbors]\ninterfaces = [\"averyverylongname\"]",
            "@a:9: [neighbors] interfaces = averyverylongname is wrong: an interface's name ",
        ),
    ];
    for (first, last, why) in cases {
        let lab = Lab::secret().toml(&format!("{first}\n{LITTLE}{last}\n"));
        let wrong = lab.wrong(&[]);
        assert!(wrong.iter().any(|line| line.starts_with(why)), "{first} {last}: {wrong:#?}");
    }
}

#[test]
fn variables_and_networks_that_are_wrong_are_told_too() {
    let cases: [(&str, &str, &str); 8] = [
        (
            "NETWORK_CIDR",
            "10.0.0/23",
            "variable NETWORK_CIDR: [names] prefixes = 10.0.0/23 is wrong: an IPv4 address has four numbers: write 10.0.0.0/23",
        ),
        (
            "NETWORK_CIDR",
            "10.0.1.1/23",
            "variable NETWORK_CIDR: [names] prefixes = 10.0.1.1/23 is wrong: it has host bits set: write 10.0.0.0/23 or 10.0.1.1/32",
        ),
        (
            "PROXMOX_HOST",
            "http://pve1",
            "variable PROXMOX_HOST: [proxmox] hosts is wrong: http://pve1 is not asked with HTTPS",
        ),
        (
            "PROXMOX_HOST",
            "https://your-proxmox.host:port",
            "variable PROXMOX_HOST: [proxmox] hosts is wrong: https://your-proxmox.host:port is no host",
        ),
        ("API_TOKEN_ID", "root", "variable API_TOKEN_ID: [proxmox] token_id is wrong: it is USER@REALM!NAME"),
        ("VERIFY_SSL", "maybe", "variable VERIFY_SSL: [proxmox] verify = maybe is wrong: it is true or false"),
        ("SYNC_INTERVAL", "soon", "variable SYNC_INTERVAL: sync_interval = soon is wrong: it is a number of seconds"),
        ("DNS_DOMAIN", "my lab", "variable DNS_DOMAIN: [names] domain = my lab is wrong: a domain name has labels"),
    ];
    for (name, value, why) in cases {
        let wrong = Lab::compose().with(&[(name, value)]).wrong(&[]);
        assert!(wrong.len() == 1 && wrong[0].starts_with(why), "{name}={value}: {wrong:#?}");
    }
    // All at once, and what is missing.
    let wrong = Lab::bare().wrong(&[]);
    let missing = [
        "[proxmox] hosts is missing",
        "[proxmox] token_id is missing",
        "the token's secret is missing",
        "[names] prefixes is missing",
    ];
    for missing in missing {
        assert!(wrong.iter().any(|line| line.starts_with(missing)), "{missing}: {wrong:#?}");
    }
    assert!(wrong.iter().any(|line| line.contains("set PROXMOX_HOST")), "{wrong:#?}");
    let networks = "[[network]]\ntag = 5000\nprefixes = [\"10.0.0/23\"]\n[[network]]\nbridge = \"vmbr0\"\n";
    let wrong = Lab::compose().with(&[("NETWORK_CIDR", ""), ("DNS_DOMAIN", "")]).toml(networks).wrong(&[]);
    let expected = [
        "@a:2: [[network]] tag = 5000 is wrong: it is a VLAN, from 1 to 4094, or \"untagged\", or \"any\"",
        "@a:3: [[network]] prefixes = 10.0.0/23 is wrong: an IPv4 address has four numbers: write 10.0.0.0/23",
        "@a:1: [[network]] domain is missing: write it here, or [names] domain for all",
        "@a:4: [[network]] prefixes is missing: write it here",
        "@a:4: [[network]] domain is missing: write it here, or [names] domain for all",
    ];
    assert_eq!(wrong, expected);
    let stronger = Lab::compose().toml("[[network]]\nprefixes = [\"10.9.0.0/24\"]\n").a(&[]).unwrap();
    assert_eq!(stronger.notices, ["variable NETWORK_CIDR is stronger than all [[network]] of the file"]);
    let outside = Lab::compose().with(&[("DHCP_RANGE", "10.9.0.1,10.9.0.9")]).lower(&[]).unwrap();
    assert!(outside.notices[0].contains("10.9.0.1 is in none of the networks"), "{:?}", outside.notices);
    let none = Lab::compose().lower(&["--config", "@nowhere"]).unwrap_err();
    assert!(none.starts_with("cannot read the configuration @nowhere: No such file"), "{none}");
}

#[test]
fn what_is_printed_is_read_back() {
    let labs = [
        Lab::compose(),
        Lab::secret().toml(MUCH),
        Lab::secret().toml(&format!(
            "{LITTLE}[dnsmasq]\nmode = \"companion\"\npid_file = \"none\"\n[neighbors]\nenabled = false\n"
        )),
        Lab::compose().with(&[("STATE_DIRECTORY", "/a\"b\\ c é"), ("ARP_CHECK_INTERVAL", "0"), ("VERIFY_SSL", "no")]),
    ];
    for lab in labs {
        let arguments: &[&str] = if lab.folder.path().join("a").exists() { &["--config", "@a"] } else { &[] };
        let Ok(first) = lab.lower(arguments) else {
            // A path that dnsmasq cannot read.
            continue;
        };
        assert!(!first.printed.contains(SECRET), "{}", first.printed);
        let again = Lab::secret().toml(&first.printed).a(&[]).unwrap_or_else(|why| panic!("{why}\n{}", first.printed));
        assert_eq!(again.config, first.config, "{}", first.printed);
        let third = Lab::secret().toml(&again.printed).a(&[]).unwrap();
        assert_eq!(third.config, first.config);
    }
    let printed = Lab::compose().lower(&["--poll-interval", "9"]).unwrap().printed;
    let said = |line: &str| printed.lines().any(|there| there.split_whitespace().collect::<Vec<_>>().join(" ") == line);
    for line in [
        "poll_interval = 9 # --poll-interval",
        "sync_interval = 300 # variable SYNC_INTERVAL",
        "log_level = \"ERROR\" # variable LOG_LEVEL",
        "hosts = [\"https://your-proxmox.host:8006/\"] # variable PROXMOX_HOST",
        "prefixes = [\"10.0.0.0/23\"] # variable NETWORK_CIDR",
        "mode = \"managed\" # default",
        "# The token's secret is not shown; it is from variable API_TOKEN_SECRET.",
    ] {
        assert!(said(line), "{line}: {printed}");
    }
}

/// Everything that can be printed about a configuration, right or wrong.
fn all_output(lab: &Lab, arguments: &[&str]) -> String {
    match lab.lower(arguments) {
        Ok(request) => {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            request.check(&mut out, &mut err).unwrap();
            request.print(&mut out, &mut err).unwrap();
            format!("{}{}{request:?}{request:#?}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err))
        }
        Err(why) => why,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Wherever somebody puts it by mistake.
    #[test]
    fn a_secret_is_in_no_output(secret in "5ecre7[a-f0-9=! \"\\\\#@:/\u{e9}-]{0,30}", quoted in any::<bool>()) {
        let is_told = |lab: Lab, arguments: &[&str]| {
            let output = all_output(&lab, arguments);
            prop_assert!(!output.contains("5ecre7"), "{}", output);
            Ok(())
        };
        is_told(Lab::compose().with(&[("API_TOKEN_SECRET", &secret)]), &[])?;
        is_told(Lab::compose().with(&[("API_TOKEN_ID", &format!("root@pam!x={secret}"))]), &[])?;
        let is_an_id = secret.contains('!');
        if !is_an_id {
            is_told(Lab::compose().with(&[("API_TOKEN_ID", &secret)]), &[])?;
        }
        is_told(Lab::compose().with(&[("API_TOKEN_SECRET", "")]).file("f", &secret, 0o600), &["--token-file", "@f"])?;
        if !secret.contains(['/', '@', ',', '#', '"', '\\', ' ']) {
            is_told(Lab::compose().with(&[("PROXMOX_HOST", &format!("https://root:{secret}@pve1"))]), &[])?;
            is_told(Lab::compose().with(&[("PROXMOX_HOST", &format!("https://pve1/?token={secret}"))]), &[])?;
        }
        let value = if quoted { format!("\"{}\"", secret.replace(['\\', '"'], "")) } else { secret.clone() };
        for key in ["token", "token_secret", "secret", "token_id"].into_iter().filter(|key| *key != "token_id" || !is_an_id) {
            is_told(Lab::compose().toml(&format!("[proxmox]\n{key} = {value}\n")), &["--config", "@a"])?;
        }
    }

    /// Whatever is in a file, it is read or refused.
    #[test]
    fn any_file_is_answered(text in any::<String>(), pieces in proptest::collection::vec(0..12usize, 0..12)) {
        let words = ["[names]", "\n", "domain", "=", "\"lab\"", "[[network]]", "prefixes", "[", "]", "20", "{", "true"];
        let built: String = pieces.iter().map(|index| words[*index]).collect();
        for text in [text, built] {
            let _ = Lab::compose().toml(&text).a(&[]);
        }
    }
}

#[test]
fn the_check_says_what_is_meant_and_what_only_shows_in_use() {
    let check = |lab: Lab| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = lab.lower(&[]).unwrap().check(&mut out, &mut err).unwrap();
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    };
    let (exit, out, err) = check(Lab::compose().with(&[("VERIFY_SSL", "false")]));
    assert_eq!(exit, instances::exit::Exit::Done, "{out}");
    assert!(err.starts_with("instances-proxmox: nobody looks at the API's certificate: "), "{err}");
    for sentence in [
        "Guests: from https://your-proxmox.host:8006, as root@pam!leazzard.",
        "Interfaces at any bridge: names in lab, addresses in 10.0.0.0/23.",
        "dnsmasq: dnsmasq is started at port 53, with DHCP (10.0.1.1,10.0.1.254,255.255.254.0,12h); its configuration is \
         /run/instances-proxmox/dnsmasq.conf.",
    ] {
        assert!(out.lines().any(|line| line == sentence), "{sentence}: {out}");
    }
    let (exit, out, _) = check(Lab::compose().with(&[("INSTANCES_PROXMOX_CA_FILE", "@nowhere")]));
    assert_eq!(exit, instances::exit::Exit::Failed);
    assert!(out.contains("nowhere"), "{out}");
    // dnsmasq has an opinion, too.
    let (exit, out, _) = check(Lab::compose().with(&[("DHCP_RANGE", "10.0.1.1,10.0.1.254,twelve")]));
    assert_eq!(exit, instances::exit::Exit::Failed);
    assert!(out.contains("dnsmasq does not take its configuration: "), "{out}");
    assert!(out.contains(": dhcp-range=10.0.1.1,10.0.1.254,twelve; correct the option"), "{out}");
}

#[test]
fn folders_are_made_that_are_missing() {
    let lab = Lab::compose().with(&[("STATE_DIRECTORY", "@a/state"), ("RUNTIME_DIRECTORY", "@a/run")]);
    let config = lab.lower(&[]).unwrap().config;
    folders::make(&config).unwrap();
    folders::make(&config).unwrap();
    assert!(config.places.hostsdir.is_dir() && lab.folder.path().join("a/run").is_dir());
    let file = Lab::compose().file("a", "", 0o600).with(&[("STATE_DIRECTORY", "@a/state")]);
    let why = folders::make(&file.lower(&[]).unwrap().config).unwrap_err().to_string();
    assert!(why.starts_with("cannot make the folder ") && why.contains("name another place"), "{why}");
}

/// A file of `packaging`.
fn packaged(name: &str) -> String {
    fs::read_to_string(format!("{}/packaging/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_sample_is_right_and_so_is_all_that_it_proposes() {
    let sample = packaged("proxmox/proxmox.toml");
    let request = Lab::secret().toml(&sample).a(&[]).unwrap();
    assert_eq!(request.notices, Vec::<String>::new());
    // Proposals have no blank behind the #.
    let is_proposal = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let all: Vec<_> = sample.lines().map(|line| line.strip_prefix('#').filter(is_proposal).unwrap_or(line)).collect();
    let all = Lab::secret().toml(&all.join("\n")).a(&[]).unwrap();
    // Pinned certificates make these needless.
    let (has_no_effect, others): (Vec<_>, Vec<_>) =
        all.notices.iter().partition(|notice| notice.contains("has no effect: with fingerprints"));
    assert_eq!((has_no_effect.len(), others.len()), (2, 0), "{:?}", all.notices);
    // What is proposed as a default is one, and every key is there.
    let mut with_all = all.config;
    let network = &mut with_all.policy.networks[0];
    (network.bridge, network.domain) = (None, "lab".parse().unwrap());
    with_all.policy.extra.clear();
    with_all.access.trust = Trust::default();
    (with_all.listen, with_all.registry) = (None, None);
    if let Dnsmasq::Managed(settings) = &mut with_all.dnsmasq {
        settings.conf.domains.retain(|domain| domain.name.as_str() == "lab");
        settings.conf.domains[0].prefixes = vec!["10.0.0.0/23".parse().unwrap()];
    }
    assert_eq!(with_all, request.config);
    let places = ["program", "conf_file", "user", "hostsdir", "dhcp_hostsfile", "pid_file", "leases", "state_file"];
    let rarely = ["connect_timeout", "timeout", "prefixes"];
    for line in request.printed.lines().filter_map(|line| line.split_once(" = ")) {
        let known = sample.contains(&format!("{} = ", line.0)) || places.contains(&line.0) || rarely.contains(&line.0);
        assert!(known, "{} is not in the sample", line.0);
    }
}

#[test]
fn the_image_takes_the_variables_of_compose_and_keeps_what_is_to_stay_in_its_volume() {
    let compose = packaged("oci/compose.yaml");
    let variables: Vec<_> = compose
        .lines()
        .filter_map(|line| line.trim().trim_start_matches('#').split_once(": \""))
        .map(|(name, rest)| (name, rest.split('"').next().unwrap()))
        .filter(|(name, _)| name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'))
        .collect();
    // The original's, unchanged, and ours.
    for (name, _) in COMPOSE {
        assert!(variables.iter().any(|(there, _)| *there == name), "{name}");
    }
    let recipe = packaged("oci/Containerfile");
    let set: Vec<_> = recipe.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('=')).collect();
    let lab = Lab::bare().with(&variables).with(&set).with(&[("PROXMOX_HOST", "https://your-proxmox.host:8006")]);
    let request = lab.lower(&[]).unwrap();
    assert_eq!(request.notices, Vec::<String>::new());
    let config = request.config;
    assert!(matches!(config.dnsmasq, Dnsmasq::Managed(_)));
    assert_eq!(config.listen, Some("127.0.0.1:9549".parse().unwrap()));
    assert_eq!(config.leases.unwrap().to_str(), Some("/var/lib/misc/dnsmasq.leases"));
    for path in [config.state_file, config.places.hostsdir, config.places.dhcp_hostsfile] {
        assert!(path.starts_with("/var/lib/misc/"), "{}", path.display());
    }
    assert!(recipe.contains("VOLUME /var/lib/misc\n") && compose.contains(":/var/lib/misc\n"));
}

#[test]
fn what_the_documentation_shows_is_right() {
    let text = concat!(include_str!("../README.md"), include_str!("../docs/proxmox.md"));
    let examples: Vec<_> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let lab = Lab::compose().with(&[("NETWORK_CIDR", ""), ("DHCP_RANGE", ""), ("DHCP_OPTION", "")]);
        let lab = if example.contains("prefixes = ") { lab } else { lab.with(&[("NETWORK_CIDR", "10.0.0.0/23")]) };
        let request = lab.toml(example).a(&[]).unwrap_or_else(|why| panic!("{why}\n{example}"));
        assert_eq!(request.notices, Vec::<String>::new(), "{example}");
    }
}

#[test]
fn who_asks_more_often_than_proxmox_itself_knows_is_told() {
    for variable in ["INSTANCES_PROXMOX_POLL_INTERVAL", "SYNC_INTERVAL"] {
        let notices = Lab::compose().with(&[(variable, "5")]).lower(&[]).unwrap().notices;
        let told = "the cluster is asked every 5 s, but what it lists is up to 10 s old itself; 10 s is soon enough";
        assert_eq!(notices, [format!("variable {variable}: {told}")]);
    }
}
