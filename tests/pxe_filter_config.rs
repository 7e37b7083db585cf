//! The PXE filter's configuration: the originals' files as they are, flags and variables that say the same, clouds, and what is
//! said about mistakes.
#![cfg(feature = "pxe-filter")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use clap::Parser as _;
use instances::cli::pxe_filter::{Arguments, Config, FileNames, Mode, Request};
use instances::plan::pxe_access::{Removed, Semantics, Settings};
use instances::source::ironic::{Access, Auth, Domain, Endpoint, Identity, Named, Scope};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A folder with files and a home.
struct Lab {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Lab {
    fn new(files: &[(&str, &str)]) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() };
        for (name, text) in files {
            let path = lab.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            lab.chmod(name, 0o640);
        }
        lab
    }

    /// One file, called `a`.
    fn of(text: &str) -> Self {
        Self::new(&[("a", text)])
    }

    fn with(mut self, variables: &[(&str, &str)]) -> Self {
        self.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// This command line lowered; `@` is the folder, there and in what is said.
    fn lower(&self, arguments: &[&str]) -> Result<Request, String> {
        let folder = format!("{}/", self.folder.path().to_str().unwrap());
        let arguments = ["instances-pxe-filter"].iter().chain(arguments).map(|argument| argument.replace('@', &folder));
        let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let environment = |name: &str| {
            if name == "HOME" {
                return Some(self.path("home").into());
            }
            let set = self.variables.iter().find(|(variable, _)| variable == name);
            set.map(|(_, value)| value.replace('@', &folder).into())
        };
        let mut lowered = arguments.lower(&environment).map_err(|error| error.to_string().replace(&folder, "@"))?;
        for text in lowered.notices.iter_mut().chain(lowered.said.iter_mut().map(|said| &mut said.source)) {
            *text = text.replace(&folder, "@");
        }
        Ok(lowered)
    }

    /// With the file `a`.
    fn a(&self, arguments: &[&str]) -> Result<Request, String> {
        let with_file: Vec<_> = ["--config-file", "@a"].iter().chain(arguments).copied().collect();
        self.lower(&with_file)
    }

    #[track_caller]
    fn refusal(&self, arguments: &[&str]) -> String {
        self.a(arguments).err().unwrap()
    }
}

/// Who says what of an option.
#[track_caller]
fn said(request: &Request, option: &str) -> String {
    let said = request.said.iter().find(|said| said.option == option);
    said.map_or("nobody".to_owned(), |said| format!("{} ({})", said.value, said.source))
}

/// What is enough for ironic's rules.
const ENOUGH: &str =
    "[pxe_filter]\ndhcp_hostsdir = /hosts\n[ironic]\nauth_type = none\nendpoint_override = http://192.0.2.1:6385\n";

fn by_name(name: &str) -> Named {
    Named::Name { name: name.to_owned(), domain: Some(Domain::Name("Default".to_owned())) }
}

#[test]
fn inspectors_configuration_is_read_as_it_is() {
    let lab = Lab::of(include_str!("pxe_filter/inspector.conf"));
    let request = lab.a(&[]).unwrap();
    assert_eq!(request.notices, [""; 0]);
    assert_eq!(request.mode, Mode::Run);
    let expected = Config {
        policy: Settings {
            semantics: Semantics::Inspector,
            supported_inspect_interfaces: vec!["agent".to_owned()],
            deny_unknown_macs: false,
            discovers: false,
            deny_pxe_disabled: false,
            removed: Removed::Denied,
        },
        sync_period: Some(Duration::from_secs(10)),
        poll_interval: Duration::from_millis(1500),
        hostsdir: "/var/lib/ironic-inspector/hosts".into(),
        purge: true,
        file_names: FileNames::Colons,
        start_command: Some("dnsmasq --conf-file /etc/ironic-inspector/dnsmasq.conf".to_owned()),
        stop_command: Some("kill $(cat /var/run/dnsmasq.pid)".to_owned()),
        command_timeout: Duration::from_secs(60),
        api: Access {
            endpoint: Endpoint::Catalog {
                service_type: "baremetal".to_owned(),
                service_name: None,
                region: Some("RegionOne".to_owned()),
                interfaces: vec!["internal".to_owned()],
            },
            auth: Auth::Keystone {
                auth_url: "http://192.0.2.10:5000/v3".to_owned(),
                identity: Identity::Password {
                    user: by_name("ironic-inspector"),
                    password: "Gr$n; \"not # a comment".to_owned(),
                },
                scope: Scope::Project(by_name("service")),
            },
            ca_file: None,
            insecure: false,
            timeout: Duration::from_secs(60),
            page_size: 1000,
            environment_proxies: false,
        },
        dnsmasq_pid_file: None,
        ethoib_interfaces: vec!["eth-ib0".parse().unwrap(), "eth-ib1".parse().unwrap()],
        metrics_listen: None,
        log_level: tracing::Level::INFO,
    };
    assert_eq!(request.config, expected);
}

#[test]
fn ironics_configuration_is_read_as_it_is() {
    let request = Lab::of(include_str!("pxe_filter/ironic.conf")).a(&[]).unwrap();
    assert_eq!(request.notices, [""; 0]);
    let config = request.config;
    assert_eq!((config.policy.semantics, config.policy.discovers), (Semantics::Ironic, true));
    assert_eq!(config.policy.supported_inspect_interfaces, ["agent", "redfish"]);
    assert_eq!((config.sync_period, config.purge), (Some(Duration::from_secs(45)), false));
    assert_eq!(config.hostsdir, PathBuf::from("/var/lib/ironic/hostsdir"));
    assert_eq!((config.start_command, config.stop_command, config.log_level), (None, None, tracing::Level::DEBUG));
    let expected = Access {
        endpoint: Endpoint::Url("http://192.0.2.10:6385".to_owned()),
        auth: Auth::Keystone {
            auth_url: "https://keystone.example.com".to_owned(),
            identity: Identity::ApplicationCredential {
                credential: Named::Id("4b1b0c4e".to_owned()),
                user: None,
                secret: "12345678901234567890123".to_owned(),
            },
            scope: Scope::Default,
        },
        ca_file: Some("/etc/ssl/ca.pem".into()),
        insecure: false,
        timeout: Duration::from_secs(60),
        page_size: 1000,
        environment_proxies: false,
    };
    assert_eq!(config.api, expected);
}

#[test]
fn flags_are_stronger_than_variables_than_files_than_defaults() {
    let text = format!("{ENOUGH}[firewall]\nfirewall_update_period = 1\n");
    let period = |lab: &Lab, arguments: &[&str]| said(&lab.a(arguments).unwrap(), "[pxe_filter] sync_period");
    let lab = Lab::of(ENOUGH);
    assert_eq!(period(&lab, &[]), "45 (default)");
    let lab = Lab::of(&text);
    assert_eq!(period(&lab, &[]), "1 (@a:7)");
    let lab = Lab::of(&format!("{text}[pxe_filter]\nsync_period = 2\n"));
    assert_eq!(period(&lab, &[]), "2 (@a:9)");
    let lab = lab.with(&[("OS_PXE_FILTER__SYNC_PERIOD", "3")]);
    assert_eq!(period(&lab, &[]), "3 (variable OS_PXE_FILTER__SYNC_PERIOD)");
    let lab = lab.with(&[("INSTANCES_PXE_FILTER_SYNC_PERIOD", "4")]);
    assert_eq!(period(&lab, &[]), "4 (variable INSTANCES_PXE_FILTER_SYNC_PERIOD)");
    assert_eq!(period(&lab, &["--sync-period", "5"]), "5 (--sync-period)");
}

#[test]
fn later_files_are_stronger_and_folders_take_their_turn() {
    let lab = Lab::new(&[
        ("a", ENOUGH),
        ("b", "[pxe_filter]\nsync_period = 2\n"),
        ("d/1.conf", "[pxe_filter]\nsync_period = 3\n"),
        ("d/0.conf", "[pxe_filter]\nsync_period = 4\npoll_interval = 1\n"),
        ("d/.x.conf", "nonsense"),
        ("d/x.conf~", "nonsense"),
    ]);
    let period = |arguments: &[&str]| said(&lab.a(arguments).unwrap(), "[pxe_filter] sync_period");
    assert_eq!(period(&["--config-file", "@b"]), "2 (@b:2)");
    assert_eq!(period(&["--config-file", "@b", "--config-dir", "@d"]), "3 (@d/1.conf:2)");
    assert_eq!(period(&["--config-dir", "@d", "--config-file", "@b"]), "2 (@b:2)");
    let request = lab.a(&["--config-dir", "@d"]).unwrap();
    assert_eq!(request.config.poll_interval, Duration::from_secs(1));
    assert!(lab.refusal(&["--config-file", "@nope"]).contains("cannot read the configuration @nope: No such file"));
    assert!(
        lab.refusal(&["--config-dir", "@nope"]).contains("cannot read the configuration folder @nope: No such file")
    );
}

#[test]
fn command_line_alone_is_enough() {
    let lab = Lab::new(&[]);
    let request = lab
        .lower(&[
            "--once",
            "--dhcp-hostsdir",
            "/run/hosts",
            "--auth-type",
            "http_basic",
            "--endpoint",
            "http://[::1]:6385/v1",
            "--username",
            "u",
            "--password",
            "-p",
            "--deny-unknown-macs",
            "--removed-ports=unknown",
            "--file-names",
            "dashes",
            "--debug=no",
            "--sync-period",
            "0",
            "--semantics",
            "inspector",
            "--purge-dhcp-hostsdir=false",
            "--metrics-listen",
            "127.0.0.1:9548",
        ])
        .unwrap();
    assert_eq!(request.mode, Mode::Once);
    assert_eq!(request.config.sync_period, None);
    assert_eq!(request.config.api.endpoint, Endpoint::Url("http://[::1]:6385/v1".to_owned()));
    let basic = Auth::HttpBasic { username: "u".to_owned(), password: "-p".to_owned() };
    assert_eq!(request.config.api.auth, basic);
    assert!(request.config.policy.deny_unknown_macs && !request.config.purge);
    assert_eq!((request.config.policy.removed, request.config.file_names), (Removed::AsUnknown, FileNames::Dashes));
    assert!(request.notices.iter().any(|notice| notice.starts_with("--password can be seen by all users")));
    let shown = format!("{request:?}");
    assert!(!shown.contains("\"-p\""), "{shown}");
}

#[test]
fn an_empty_flag_takes_a_command_away() {
    let lab = Lab::of(include_str!("pxe_filter/inspector.conf"));
    let request = lab.a(&["--dnsmasq-start-command=", "--dnsmasq-stop-command", "none"]).unwrap();
    assert_eq!((request.config.start_command, request.config.stop_command), (None, None));
}

#[test]
fn the_task_is_one_of_several() {
    let lab = Lab::of(ENOUGH);
    for (flags, mode) in [
        (vec!["--check-config"], Mode::CheckConfig),
        (vec!["--dry-run"], Mode::DryRun),
        (vec!["--status"], Mode::Status { json: false }),
        (vec!["--status", "--json"], Mode::Status { json: true }),
    ] {
        assert_eq!(lab.a(&flags).unwrap().mode, mode);
    }
    for flags in [vec!["--status", "--once"], vec!["--json"], vec!["--dry-run", "--once"]] {
        assert!(lab.refusal(&flags).contains("Usage"), "{flags:?}");
    }
}

#[test]
fn whoever_asks_for_the_status_need_not_be_let_in_by_ironic() {
    let lab = Lab::of("[pxe_filter]\ndhcp_hostsdir = /h\n[ironic]\nauth_type = nonsense\n");
    assert_eq!(lab.a(&["--status"]).unwrap().config.hostsdir, PathBuf::from("/h"));
    assert!(lab.refusal(&["--once"]).contains("nonsense"));
    assert!(Lab::of("").refusal(&["--status"]).contains("dhcp_hostsdir is missing"));
}

#[test]
fn unknown_options_in_our_sections_are_named_once() {
    let text = format!(
        "{ENOUGH}certfile = /c\nmax_retries = 3\n[pxe_filter]\nSync-Period = 1\nnew = 2\n[dnsmasq_pxe_filter]\nx = 1\n[other]\ny = 1\n\
         [processing]\nz = 1\n"
    );
    let request = Lab::of(&text).a(&[]).unwrap();
    let expected = "@a: unknown here, and left alone: [ironic] certfile (line 6), [pxe_filter] Sync-Period (line 9, sync_period?), \
                    [pxe_filter] new (line 10), [dnsmasq_pxe_filter] x (line 12)";
    assert_eq!(request.notices, [expected]);
}

/// What is added to [`ENOUGH`], and what is said then.
#[test]
fn what_is_wrong_is_refused_with_its_place_and_a_remedy() {
    for (text, refusal) in [
        (
            "[pxe_filter]\ndriver = iptables\n",
            "@a:7: [pxe_filter] driver = iptables is wrong: dnsmasq is expected; other filters stay with ironic-inspector, --driver \
             dnsmasq overrides the file",
        ),
        (
            "[pxe_filter]\nsync_period = 15s\n",
            "@a:7: [pxe_filter] sync_period = 15s is wrong: a whole number from 0 to 4294967295 is expected",
        ),
        (
            "[pxe_filter]\ndeny_unknown_macs =\n",
            "@a:7: [pxe_filter] deny_unknown_macs =  is wrong: true or false (yes, no, on, off, 1, 0) is expected",
        ),
        (
            "[pxe_filter]\npoll_interval = 0\n",
            "@a:7: [pxe_filter] poll_interval = 0 is wrong: a number of seconds from 0.1 to 86400 is expected",
        ),
        (
            "[pxe_filter]\ndhcp_hostsdir = $state_path/x\n",
            "@a:7: [dnsmasq_pxe_filter] dhcp_hostsdir has $state_path in it, an option that no file sets: write its value instead, or $$ \
             if a dollar sign is meant",
        ),
        (
            "[pxe_filter]\ndeny_unknown_macs = yes\n[processing]\nnode_not_found_hook = enroll\n",
            "@a:7: [pxe_filter] deny_unknown_macs = true keeps out whom [processing] node_not_found_hook = enroll (@a:9) wants to find: \
             remove one of them, or set deny_unknown_macs = false",
        ),
        (
            "[pxe_filter]\ndeny_unknown_macs = yes\n[auto_discovery]\nenabled = 1\n",
            "@a:7: [pxe_filter] deny_unknown_macs = true keeps out whom [auto_discovery] enabled = true (@a:9) wants to find: \
             remove one of them, or set deny_unknown_macs = false",
        ),
        (
            "auth_type = v3token\n",
            "[ironic] auth_type = v3token is not supported: none, http_basic, password, v3password and v3applicationcredential are",
        ),
        (
            "auth_type = http_basic\nusername = u\n",
            "[ironic] password is missing: the password for HTTP Basic; write it into a configuration file, or say it by \
             INSTANCES_PXE_FILTER_PASSWORD",
        ),
        (
            "endpoint_override = 192.0.2.1:6385\n",
            "@a:6: [ironic] endpoint_override is no URL of an API: http://HOST:PORT or https://HOST/PATH is expected",
        ),
        (
            "endpoint_override = http://u:secret@192.0.2.1\n",
            "@a:6: [ironic] endpoint_override has a user or a password in it: say username, password and auth_type = http_basic instead",
        ),
        (
            " continued\nsecret\n= secret\n",
            "@a:7: is neither [section] nor name = value nor # comment, and continues nothing\n@a:8: has no name in front of the = or :",
        ),
    ] {
        let text = format!("{ENOUGH}{text}");
        assert_eq!(Lab::of(&text).refusal(&[]), refusal, "{text}");
    }
    assert!(Lab::of("[ironic]\nauth_type = none\n").refusal(&[]).contains("dhcp_hostsdir is missing"));
    assert!(Lab::of("[ironic]\nauth_type = none\n").refusal(&[]).contains("endpoint_override is missing"));
    assert!(Lab::of("[pxe_filter]\ndhcp_hostsdir = /h\n").refusal(&[]).contains("[ironic] auth_url is missing"));
    // Of a flag, clap says it, with status 2.
    assert!(Lab::of(ENOUGH).refusal(&["--sync-period", "x"]).contains("a whole number"));
    fs::write(Lab::of("").path("a"), b"\xff").unwrap();
}

#[test]
fn a_hook_that_is_none_is_no_hook() {
    for hook in ["", "none", "None"] {
        let text =
            format!("{ENOUGH}[pxe_filter]\ndeny_unknown_macs = true\n[processing]\nnode_not_found_hook = {hook}\n");
        assert!(!Lab::of(&text).a(&[]).unwrap().config.policy.discovers);
    }
}

/// Options of `[ironic]`, and who we are then and what for.
#[test]
fn keystone_knows_us_as_keystoneauth_has_it() {
    let password = |user, scope| {
        let identity = Identity::Password { user, password: "p".to_owned() };
        Auth::Keystone { auth_url: "http://k".to_owned(), identity, scope }
    };
    let user = || by_name("u");
    let in_domain = "username = u\nuser_domain_name = Default\n";
    for (options, expected) in [
        (format!("{in_domain}project_id = i"), password(user(), Scope::Project(Named::Id("i".to_owned())))),
        (format!("{in_domain}system_scope = all"), password(user(), Scope::System)),
        (format!("{in_domain}domain_id = d"), password(user(), Scope::Domain(Domain::Id("d".to_owned())))),
        (in_domain.to_owned(), password(user(), Scope::Default)),
        ("user_id = i".to_owned(), password(Named::Id("i".to_owned()), Scope::Default)),
        (
            "user-name = u\ndefault_domain_name = Default\ntenant_name = t".to_owned(),
            password(user(), Scope::Project(by_name("t"))),
        ),
        (
            "os_username = u\nuser_domain_name = Default\nos_tenant_name = t\nproject_domain_name = Default".to_owned(),
            password(user(), Scope::Project(by_name("t"))),
        ),
    ] {
        let text =
            format!("[pxe_filter]\ndhcp_hostsdir = /h\n[ironic]\nauth_url = http://k/\npassword = p\n{options}\n");
        assert_eq!(
            Lab::of(&text).a(&[]).unwrap_or_else(|why| panic!("{options}: {why}")).config.api.auth,
            expected,
            "{options}"
        );
    }
}

#[test]
fn identities_that_are_incomplete_or_contradict_themselves_are_refused() {
    for (options, refusal) in [
        ("username = u", "[ironic] user_domain_name is missing"),
        ("user_domain_name = d", "[ironic] username is missing"),
        ("user_id = u\nproject_name = p", "[ironic] project_domain_name is missing"),
        (
            "user_id = u\nproject_id = p\nsystem_scope = all",
            "[ironic] system_scope (@a:8), project_id (@a:7): a token is for one of them only",
        ),
        ("user_id = u\ntrust_id = t", "@a:7: [ironic] trust_id is set, but trusts are not supported"),
        (
            "auth_type = v3applicationcredential\napplication_credential_secret = s",
            "[ironic] application_credential_id is missing",
        ),
        ("application_credential_name = a\napplication_credential_secret = s", "[ironic] username is missing"),
    ] {
        let text =
            format!("[pxe_filter]\ndhcp_hostsdir = /h\n[ironic]\nauth_url = http://k\npassword = p\n{options}\n");
        let said = Lab::of(&text).refusal(&[]);
        assert!(said.contains(refusal), "{options}: {said}");
    }
}

#[test]
fn the_section_of_credentials_may_be_another() {
    let text = "[dnsmasq_pxe_filter]\n[pxe_filter]\ndriver = dnsmasq\n[ironic]\nauth_section = Service\n[service]\nauth_type = http_basic\n\
                username = u\npassword = p\nendpoint = http://192.0.2.1\n";
    let request = Lab::of(text).a(&[]).unwrap();
    assert_eq!(said(&request, "[service] username"), "u (@a:8)");
    assert_eq!(request.config.api.endpoint, Endpoint::Url("http://192.0.2.1".to_owned()));
    let of_old = format!("{}auth_strategy = noauth\n", ENOUGH.replace("auth_type = none\n", ""));
    assert_eq!(Lab::of(&of_old).a(&[]).unwrap().config.api.auth, Auth::None);
}

const CLOUDS: &str = "\
clouds:
  lab:
    auth:
      auth_url: http://192.0.2.1:5000
      username: u
      project_name: p
      domain_name: Default
    region_name: r
    interface: public
    baremetal_interface: admin
    baremetal_endpoint_override: http://192.0.2.2:6385
    verify: false
    cacert: /ca.pem
    api_timeout: 7
  alone:
    auth_type: none
    auth: {endpoint: 'http://192.0.2.3:6385'}
  vendor:
    profile: someone
";

#[test]
fn a_cloud_says_where_ironic_is_in_place_of_files() {
    let lab = Lab::new(&[
        ("a", &format!("{ENOUGH}region_name = other\ncafile = /other.pem\n")),
        ("home/.config/openstack/clouds.yaml", CLOUDS),
        ("home/.config/openstack/secure.yaml", "clouds: {lab: {auth: {password: 0123}}}\n"),
    ]);
    let request = lab.a(&["--os-cloud", "lab"]).unwrap();
    let expected = Access {
        endpoint: Endpoint::Url("http://192.0.2.2:6385".to_owned()),
        auth: Auth::Keystone {
            auth_url: "http://192.0.2.1:5000".to_owned(),
            identity: Identity::Password { user: by_name("u"), password: "0123".to_owned() },
            scope: Scope::Project(by_name("p")),
        },
        ca_file: Some("/ca.pem".into()),
        insecure: true,
        timeout: Duration::from_secs(7),
        page_size: 1000,
        environment_proxies: false,
    };
    assert_eq!(request.config.api, expected);
    assert_eq!(said(&request, "[ironic] password"), "*** (@home/.config/openstack/clouds.yaml: cloud lab)");
    assert_eq!(
        request.notices,
        ["@a:4: how to get in comes from cloud lab (--os-cloud), so that [ironic] in files is not used"]
    );
    let request =
        lab.a(&["--os-cloud", "lab", "--region-name", "x", "--endpoint-override", "", "--username=v"]).unwrap();
    let interfaces = vec!["admin".to_owned()];
    let region = Some("x".to_owned());
    let catalog = Endpoint::Catalog { service_type: "baremetal".to_owned(), service_name: None, region, interfaces };
    assert_eq!(request.config.api.endpoint, catalog);
    assert_eq!(said(&request, "[ironic] username"), "v (--username)");

    let lab = lab.with(&[("OS_CLOUD", "alone"), ("OS_AUTH_URL", "http://ignored")]);
    let api = lab.a(&[]).unwrap().config.api;
    assert_eq!((api.auth, api.endpoint), (Auth::None, Endpoint::Url("http://192.0.2.3:6385".to_owned())));
}

#[test]
fn clouds_that_are_not_there_are_said_to_be() {
    let lab = Lab::of(ENOUGH);
    assert!(
        lab.refusal(&["--os-cloud", "x"])
            .starts_with("cloud x is asked for, but there is no clouds.yaml; it is looked for")
    );
    let lab = Lab::new(&[("a", ENOUGH), ("c.yaml", CLOUDS), ("broken", "clouds: {x: {auth: {password: [secret]}}}")])
        .with(&[("OS_CLIENT_CONFIG_FILE", "@c.yaml")]);
    let refusal = lab.refusal(&["--os-cloud", "x"]);
    assert_eq!(
        refusal,
        "@c.yaml: there is no cloud x, only: alone, lab, vendor; choose another by --os-cloud or OS_CLOUD"
    );
    assert!(
        lab.refusal(&["--os-cloud", "vendor"])
            .contains("cloud vendor has a profile, someone; profiles are not known here")
    );
    assert!(lab.refusal(&["--os-cloud", "lab"]).contains("[ironic] password is missing"));
    let lab = Lab::new(&[("a", ENOUGH), ("broken", "clouds: {x: {auth: {password: [secret]}}}")])
        .with(&[("OS_CLIENT_CONFIG_FILE", "@broken")]);
    let refusal = lab.refusal(&["--os-cloud", "x"]);
    assert!(refusal.starts_with("@broken: line 1: no clouds.yaml") && !refusal.contains("secret"), "{refusal}");
}

#[test]
fn variables_of_openstacks_tools_are_credentials() {
    let lab =
        Lab::of("[pxe_filter]\ndhcp_hostsdir = /h\n[ironic]\nauth_type = none\nendpoint_override = http://192.0.2.1\n");
    let openrc = [
        ("OS_AUTH_URL", "http://k"),
        ("OS_USERNAME", "u"),
        ("OS_PASSWORD", "p$p"),
        ("OS_PROJECT_NAME", "p"),
        ("OS_PROJECT_DOMAIN_ID", ""),
        ("OS_DEFAULT_DOMAIN_NAME", "Default"),
        ("OS_INTERFACE", "publicURL"),
        ("OS_REGION_NAME", "r"),
    ];
    let request = lab.with(&openrc).a(&[]).unwrap();
    let expected = Auth::Keystone {
        auth_url: "http://k".to_owned(),
        identity: Identity::Password { user: by_name("u"), password: "p$p".to_owned() },
        scope: Scope::Project(by_name("p")),
    };
    assert_eq!(request.config.api.auth, expected);
    let Endpoint::Catalog { interfaces, region, .. } = request.config.api.endpoint else { panic!() };
    assert_eq!((interfaces, region.as_deref()), (vec!["public".to_owned()], Some("r")));
    assert_eq!(
        request.notices,
        ["@a:4: how to get in comes from OS_* variables, so that [ironic] in files is not used"]
    );

    let lab = Lab::new(&[]).with(&[("OS_AUTH_TYPE", "none"), ("OS_ENDPOINT", "http://192.0.2.1:6385")]);
    let api = lab.lower(&["--dhcp-hostsdir", "/h"]).unwrap().config.api;
    assert_eq!((api.auth, api.endpoint), (Auth::None, Endpoint::Url("http://192.0.2.1:6385".to_owned())));

    let lab = Lab::new(&[]).with(&[("OS_AUTH_URL", "http://k"), ("OS_USER_ID", "i"), ("OS_PASSWORD", "p")]);
    let Endpoint::Catalog { interfaces, .. } = lab.lower(&["--dhcp-hostsdir", "/h"]).unwrap().config.api.endpoint
    else {
        panic!()
    };
    assert_eq!(interfaces, ["public"]);

    // A password alone completes what the file says.
    let text = "[pxe_filter]\ndhcp_hostsdir = /h\n[ironic]\nauth_url = http://k\nuser_id = i\n";
    for variable in ["OS_PASSWORD", "OS_IRONIC__PASSWORD", "INSTANCES_PXE_FILTER_PASSWORD"] {
        let request = Lab::of(text).with(&[(variable, "p")]).a(&[]).unwrap();
        assert_eq!(said(&request, "[ironic] password"), format!("*** (variable {variable})"));
    }
}

#[test]
fn secrets_are_printed_nowhere() {
    let text = "[pxe_filter]\ndhcp_hostsdir = /h\n[ironic]\nauth_url = http://k\nuser_id = i\npassword = s3cret\n\
                application_credential_secret = s3cret\n";
    for auth in [
        "",
        "auth_type = v3applicationcredential\napplication_credential_id = a\n",
        "auth_type = http_basic\nusername = u\nendpoint = http://i\n",
    ] {
        let request = Lab::of(&format!("{text}{auth}")).a(&[]).unwrap();
        let mut out = Vec::new();
        request.describe(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(" = ***"), "{out}");
        for shown in [out, format!("{request:?}"), format!("{:#?}", request.config)] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}

#[test]
fn a_password_that_all_users_can_read_is_told() {
    let lab = Lab::of(&format!("{ENOUGH}password = p\n"));
    assert_eq!(lab.a(&[]).unwrap().notices, [""; 0]);
    lab.chmod("a", 0o644);
    let notice = "@a:6: [ironic] password can be read by all users of this host: chmod o= @a";
    assert_eq!(lab.a(&[]).unwrap().notices, [notice]);
}

#[test]
fn the_configuration_is_told_with_its_sources_and_in_words() {
    let lab = Lab::of(&format!("{ENOUGH}[dnsmasq_pxe_filter]\npurge_dhcp_hostsdir = no\n"));
    let request = lab.a(&["--file-names", "dashes"]).unwrap();
    let mut out = Vec::new();
    request.describe(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    for line in [
        "[pxe_filter] file_names = dashes                    # --file-names\n",
        "[dnsmasq_pxe_filter] purge_dhcp_hostsdir = no       # @a:7\n",
        "[pxe_filter] semantics = inspector                  # default\n",
        "\nMAC addresses of ports: allowed while the node is inspecting or in inspect wait; otherwise denied.\n",
        "\nMAC addresses of no port: allowed while any node is under inspection, otherwise denied.\n",
        "\nOn any exit: everybody is denied.\n",
    ] {
        assert!(out.contains(line), "{line}{out}");
    }
    assert!(!out.contains("in a project"), "{out}");
    for (file, in_project) in [
        (include_str!("pxe_filter/inspector.conf").to_owned(), true),
        (include_str!("pxe_filter/inspector.conf").replace("project_name = service", "system_scope = all"), false),
        (include_str!("pxe_filter/ironic.conf").to_owned(), true),
    ] {
        let mut out = Vec::new();
        Lab::of(&file).a(&[]).unwrap().describe(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().contains("Ironic is asked in a project"), in_project);
    }
}

#[test]
fn the_sample_is_understood_and_so_is_all_that_it_proposes() {
    let sample = include_str!("../packaging/pxe-filter/pxe-filter.conf");
    let request = Lab::of(sample).a(&[]).unwrap();
    assert_eq!(request.notices, [""; 0]);
    // Proposals are `#name = value`; prose has a blank behind the #.
    let is_proposal = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let all: Vec<_> = sample.lines().map(|line| line.strip_prefix('#').filter(is_proposal).unwrap_or(line)).collect();
    let with_all = Lab::of(&all.join("\n")).a(&[]).unwrap();
    assert!(!with_all.notices.iter().any(|notice| notice.contains("unknown")), "{:?}", with_all.notices);
    // What is proposed as default is one.
    let (one, other) = (&request.config, &with_all.config);
    assert_eq!(one.policy, other.policy);
    assert_eq!((one.sync_period, one.poll_interval), (other.sync_period, other.poll_interval));
    assert_eq!(
        (one.file_names, &one.hostsdir, one.api.timeout),
        (other.file_names, &other.hostsdir, other.api.timeout)
    );
}
