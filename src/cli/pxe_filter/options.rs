//! Every option there is: its section and name, which are the originals', its older names, its flag, and how its value is read.
//!
//! Flags, variables, files, `--help` and `--check-config` all come from these tables.

use super::values::{self, Read};
use crate::cli::pxe_filter::FileNames;
use crate::net::IfName;
use crate::plan::pxe_access::{Removed, Semantics};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// An option whose value is a `T`.
pub(super) struct Opt<T> {
    about: About,
    /// `Ok(None)`: this is as if nothing were said.
    pub(super) read: fn(&str) -> Read<T>,
}

/// What there is to know about an option, whatever its type.
pub(super) struct About {
    /// The section that it is in. `ironic` may also be `service_catalog`, or what `auth_section` says.
    pub(super) section: &'static str,
    /// Its name, in files.
    pub(super) name: &'static str,
    /// Other places and names that files have for it; a section that is empty is its own.
    pub(super) older: &'static [(&'static str, &'static str)],
    /// Its flag, without dashes in front.
    pub(super) flag: &'static str,
    /// What stands for its value in the help; none: it is a switch.
    pub(super) metavar: Option<&'static str>,
    /// What it is.
    pub(super) help: &'static str,
    /// Whether its value is never shown.
    pub(super) secret: bool,
    /// Whether it is one of those that `auth_section` moves.
    pub(super) auth: bool,
    /// The variables that OpenStack's own command line tools read for it.
    pub(super) openrc: &'static [&'static str],
}

/// An option of any type.
pub(super) trait Described: Sync {
    /// What there is to know.
    fn about(&self) -> &About;

    /// Whether this may be its value.
    ///
    /// # Errors
    /// What is expected instead.
    fn check(&self, text: &str) -> Result<(), String>;
}

impl<T> Described for Opt<T> {
    fn about(&self) -> &About {
        &self.about
    }

    fn check(&self, text: &str) -> Result<(), String> {
        (self.read)(text).map(|_| ())
    }
}

impl<T> Opt<T> {
    const fn new(section: &'static str, name: &'static str, flag: &'static str, read: fn(&str) -> Read<T>) -> Self {
        let about =
            About { section, name, older: &[], flag, metavar: None, help: "", secret: false, auth: false, openrc: &[] };
        Self { about, read }
    }

    const fn help(mut self, metavar: &'static str, help: &'static str) -> Self {
        self.about.metavar = Some(metavar);
        self.about.help = help;
        self
    }

    const fn switch(mut self, help: &'static str) -> Self {
        self.about.help = help;
        self
    }

    const fn older(mut self, older: &'static [(&'static str, &'static str)]) -> Self {
        self.about.older = older;
        self
    }

    const fn openrc(mut self, openrc: &'static [&'static str]) -> Self {
        self.about.openrc = openrc;
        self
    }

    const fn secret(mut self) -> Self {
        self.about.secret = true;
        self
    }
}

/// An option of `[ironic]` that keystoneauth's plugins have.
const fn auth(
    name: &'static str,
    flag: &'static str,
    help: &'static str,
    openrc: &'static [&'static str],
) -> Opt<String> {
    let mut option = Opt::new(IRONIC, name, flag, values::text).help("TEXT", help).openrc(openrc);
    option.about.auth = true;
    option
}

const PXE_FILTER: &str = "pxe_filter";
const DNSMASQ: &str = "dnsmasq_pxe_filter";
/// The section that says where Ironic is.
pub(super) const IRONIC: &str = "ironic";

pub(super) static DRIVER: Opt<()> = Opt::new(PXE_FILTER, "driver", "driver", values::driver)
    .help("NAME", "The filter; there is no other than dnsmasq here [default: dnsmasq]");
pub(super) static SEMANTICS: Opt<Semantics> = Opt::new(PXE_FILTER, "semantics", "semantics", values::semantics)
    .help("WHOSE", "Whose rules: inspector or ironic [default: inspector if a file has [dnsmasq_pxe_filter] or a driver, otherwise ironic]");
pub(super) static SYNC_PERIOD: Opt<u32> = Opt::new(PXE_FILTER, "sync_period", "sync-period", values::count)
    .help("SECONDS", "List and compare everything at least that often; 0: only at the start and when in doubt [default: inspector 15, ironic 45]")
    .older(&[("firewall", "firewall_update_period")]);
pub(super) static POLL_INTERVAL: Opt<Duration> =
    Opt::new(PXE_FILTER, "poll_interval", "poll-interval", values::seconds)
        .help("SECONDS", "Look for nodes that began or ended inspection that often [default: 1.5]");
pub(super) static DENY_UNKNOWN_MACS: Opt<bool> =
    Opt::new(PXE_FILTER, "deny_unknown_macs", "deny-unknown-macs", values::switch)
        .switch("MAC addresses of no port never boot, not even while a node is under inspection [default: no]");
pub(super) static SUPPORTED_INSPECT_INTERFACES: Opt<Vec<String>> =
    Opt::new(PXE_FILTER, "supported_inspect_interfaces", "supported-inspect-interfaces", values::list)
        .help("NAME,...", "With ironic's rules: whose inspection opens ports [default: agent]");
pub(super) static DENY_PXE_DISABLED_PORTS: Opt<bool> =
    Opt::new(PXE_FILTER, "deny_pxe_disabled_ports", "deny-pxe-disabled-ports", values::switch)
        .switch("Ports with pxe_enabled = false are denied even under inspection [default: no]");
pub(super) static REMOVED_PORTS: Opt<Removed> = Opt::new(PXE_FILTER, "removed_ports", "removed-ports", values::removed)
    .help("HOW", "Ports that are no more: denied, or unknown: when two listings missed them, like MAC addresses of no port, as the originals do [default: denied]");
pub(super) static FILE_NAMES: Opt<FileNames> = Opt::new(PXE_FILTER, "file_names", "file-names", values::file_names)
    .help(
        "STYLE",
        "MAC addresses in names of files: colons or dashes; those of the other kind are taken over [default: colons]",
    );
pub(super) static DNSMASQ_PID_FILE: Opt<PathBuf> =
    Opt::new(PXE_FILTER, "dnsmasq_pid_file", "dnsmasq-pid-file", values::path)
        .help("FILE", "Where dnsmasq writes its number: to find out what keeps it from obeying, and for a SIGHUP when files of removed ports were deleted [default: none]");
pub(super) static COMMAND_TIMEOUT: Opt<Duration> =
    Opt::new(PXE_FILTER, "command_timeout", "command-timeout", values::seconds).help(
        "SECONDS",
        "How long dnsmasq's start command may take; the stop command has 4 seconds at most [default: 60]",
    );
pub(super) static METRICS_LISTEN: Opt<SocketAddr> =
    Opt::new(PXE_FILTER, "metrics_listen", "metrics-listen", values::listen)
        .help("ADDRESS:PORT", "Serve metrics for Prometheus here, like 127.0.0.1:9548 [default: nowhere]");
pub(super) static PAGE_SIZE: Opt<u32> = Opt::new(PXE_FILTER, "page_size", "page-size", values::page_size)
    .help("NUMBER", "Ask for as many ports at once; Ironic may give fewer [default: 1000]");
pub(super) static ENVIRONMENT_PROXIES: Opt<bool> =
    Opt::new(PXE_FILTER, "environment_proxies", "environment-proxies", values::switch)
        .switch("Ask through the proxies of http_proxy, https_proxy and no_proxy in the environment [default: no]");
pub(super) static OS_CLOUD: Opt<String> = Opt::new(PXE_FILTER, "os_cloud", "os-cloud", values::text)
    .help("NAME", "Take where Ironic is and how to get in from this cloud of clouds.yaml, instead of [ironic] [default: OS_CLOUD]")
    .openrc(&["OS_CLOUD"]);

pub(super) static DHCP_HOSTSDIR: Opt<PathBuf> = Opt::new(DNSMASQ, "dhcp_hostsdir", "dhcp-hostsdir", values::path)
    .help("FOLDER", "dnsmasq's dhcp-hostsdir; [pxe_filter] in ironic.conf [default: inspector /var/lib/ironic-inspector/dhcp-hostsdir, ironic none]")
    .older(&[(PXE_FILTER, "dhcp_hostsdir")]);
pub(super) static PURGE_DHCP_HOSTSDIR: Opt<bool> =
    Opt::new(DNSMASQ, "purge_dhcp_hostsdir", "purge-dhcp-hostsdir", values::switch)
        .switch("Delete files in the folder that are not ours and hold rules for MAC addresses and nothing else, once the first comparison has succeeded [default: inspector yes, ironic no]");
pub(super) static START_COMMAND: Opt<String> =
    Opt::new(DNSMASQ, "dnsmasq_start_command", "dnsmasq-start-command", values::command).help(
        "COMMAND",
        "Run by sh -c after the first complete comparison; empty or none: nothing is run [default: none]",
    );
pub(super) static STOP_COMMAND: Opt<String> =
    Opt::new(DNSMASQ, "dnsmasq_stop_command", "dnsmasq-stop-command", values::command).help(
        "COMMAND",
        "Run by sh -c on any exit, in place of denying everybody; empty or none: everybody is denied [default: none]",
    );

pub(super) static NODE_NOT_FOUND_HOOK: Opt<String> =
    Opt::new("processing", "node_not_found_hook", "node-not-found-hook", values::command).help(
        "NAME",
        "If there is one, MAC addresses of no port may boot always; not with deny_unknown_macs [default: none]",
    );
pub(super) static AUTO_DISCOVERY: Opt<bool> =
    Opt::new("auto_discovery", "enabled", "auto-discovery-enabled", values::switch)
        .switch("The same, in ironic.conf [default: no]");
pub(super) static ETHOIB_INTERFACES: Opt<Vec<IfName>> =
    Opt::new("iptables", "ethoib_interfaces", "ethoib-interfaces", values::interfaces)
        .help(
            "NAME,...",
            "Ethernet over InfiniBand: interfaces that know the MAC addresses of such ports [default: none]",
        )
        .older(&[("firewall", "ethoib_interfaces")]);
pub(super) static DEBUG: Opt<bool> =
    Opt::new("DEFAULT", "debug", "debug", values::switch).switch("Log more [default: no]");

pub(super) static AUTH_TYPE: Opt<String> = auth(
    "auth_type",
    "auth-type",
    "none, http_basic, password, v3password or v3applicationcredential [default: password]",
    &["OS_AUTH_TYPE"],
)
.older(&[("", "auth_plugin")]);
pub(super) static AUTH_SECTION: Opt<String> = Opt::new(IRONIC, "auth_section", "auth-section", values::text)
    .help("NAME", "The section that has the auth options [default: this one]");
pub(super) static AUTH_STRATEGY: Opt<String> = Opt::new(IRONIC, "auth_strategy", "auth-strategy", values::text)
    .help("WHICH", "Of old: noauth is auth_type = none [default: none]");
pub(super) static AUTH_URL: Opt<String> =
    auth("auth_url", "auth-url", "Where Keystone is, like http://192.0.2.1:5000/v3", &["OS_AUTH_URL"])
        .older(&[("", "os_auth_url")]);
pub(super) static USERNAME: Opt<String> =
    auth("username", "username", "The user's name, for Keystone or HTTP Basic", &["OS_USERNAME"]).older(&[
        ("", "user_name"),
        ("", "user-name"),
        ("", "os_username"),
    ]);
pub(super) static USER_ID: Opt<String> = auth("user_id", "user-id", "The user's id", &["OS_USER_ID"]);
pub(super) static PASSWORD: Opt<String> = auth(
    "password",
    "password",
    "The password; better in a file or a variable: other users see command lines",
    &["OS_PASSWORD"],
)
.older(&[("", "os_password")])
.secret();
pub(super) static USER_DOMAIN_ID: Opt<String> =
    auth("user_domain_id", "user-domain-id", "The user's domain", &["OS_USER_DOMAIN_ID"]);
pub(super) static USER_DOMAIN_NAME: Opt<String> =
    auth("user_domain_name", "user-domain-name", "The user's domain, by name", &["OS_USER_DOMAIN_NAME"]);
pub(super) static PROJECT_ID: Opt<String> =
    auth("project_id", "project-id", "The project", &["OS_PROJECT_ID", "OS_TENANT_ID"])
        .older(&[("", "tenant_id"), ("", "tenant-id")]);
pub(super) static PROJECT_NAME: Opt<String> =
    auth("project_name", "project-name", "The project, by name", &["OS_PROJECT_NAME", "OS_TENANT_NAME"]).older(&[
        ("", "tenant_name"),
        ("", "tenant-name"),
        ("", "os_tenant_name"),
    ]);
pub(super) static PROJECT_DOMAIN_ID: Opt<String> =
    auth("project_domain_id", "project-domain-id", "The project's domain", &["OS_PROJECT_DOMAIN_ID"]);
pub(super) static PROJECT_DOMAIN_NAME: Opt<String> =
    auth("project_domain_name", "project-domain-name", "The project's domain, by name", &["OS_PROJECT_DOMAIN_NAME"]);
pub(super) static DEFAULT_DOMAIN_ID: Opt<String> = auth(
    "default_domain_id",
    "default-domain-id",
    "The domain of user and project, if nothing else is said",
    &["OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN"],
);
pub(super) static DEFAULT_DOMAIN_NAME: Opt<String> =
    auth("default_domain_name", "default-domain-name", "The same, by name", &["OS_DEFAULT_DOMAIN_NAME"]);
pub(super) static DOMAIN_ID: Opt<String> =
    auth("domain_id", "domain-id", "A domain, in place of a project", &["OS_DOMAIN_ID"]);
pub(super) static DOMAIN_NAME: Opt<String> =
    auth("domain_name", "domain-name", "The same, by name", &["OS_DOMAIN_NAME"]);
pub(super) static SYSTEM_SCOPE: Opt<String> =
    auth("system_scope", "system-scope", "all: the whole system, in place of a project", &["OS_SYSTEM_SCOPE"]);
pub(super) static TRUST_ID: Opt<String> =
    auth("trust_id", "trust-id", "Refused: trusts are not supported", &["OS_TRUST_ID"]);
pub(super) static APPLICATION_CREDENTIAL_ID: Opt<String> = auth(
    "application_credential_id",
    "application-credential-id",
    "The application credential",
    &["OS_APPLICATION_CREDENTIAL_ID"],
);
pub(super) static APPLICATION_CREDENTIAL_NAME: Opt<String> = auth(
    "application_credential_name",
    "application-credential-name",
    "The same, by name, together with the user",
    &["OS_APPLICATION_CREDENTIAL_NAME"],
);
pub(super) static APPLICATION_CREDENTIAL_SECRET: Opt<String> = auth(
    "application_credential_secret",
    "application-credential-secret",
    "Its secret; better in a file or a variable: other users see command lines",
    &["OS_APPLICATION_CREDENTIAL_SECRET"],
)
.secret();
pub(super) static ENDPOINT: Opt<String> =
    auth("endpoint", "endpoint", "Ironic, with auth_type none or http_basic; endpoint_override is stronger", &[]);
pub(super) static ENDPOINT_OVERRIDE: Opt<String> =
    Opt::new(IRONIC, "endpoint_override", "endpoint-override", values::text)
        .help("URL", "Ironic, like http://192.0.2.1:6385 [default: where Keystone's catalogue says]")
        .older(&[("", "ironic_url")])
        .openrc(&["OS_BAREMETAL_ENDPOINT_OVERRIDE", "OS_ENDPOINT_OVERRIDE", "OS_ENDPOINT"]);
pub(super) static SERVICE_TYPE: Opt<String> = Opt::new(IRONIC, "service_type", "service-type", values::text)
    .help("TYPE", "What the catalogue calls it [default: baremetal]")
    .older(&[("", "os_service_type")]);
pub(super) static SERVICE_NAME: Opt<String> = Opt::new(IRONIC, "service_name", "service-name", values::text)
    .help("NAME", "Which of them, if there are several [default: any]");
pub(super) static REGION_NAME: Opt<String> = Opt::new(IRONIC, "region_name", "region-name", values::text)
    .help("NAME", "The region [default: any]")
    .older(&[("", "os_region")])
    .openrc(&["OS_REGION_NAME"]);
pub(super) static VALID_INTERFACES: Opt<Vec<String>> =
    Opt::new(IRONIC, "valid_interfaces", "valid-interfaces", values::endpoints)
        .help(
            "NAME,...",
            "Which of its endpoints, those to be preferred first: internal, public, admin [default: internal,public; with a cloud or OS_AUTH_URL public]",
        )
        .older(&[("", "interface"), ("", "os_endpoint_type")])
        .openrc(&["OS_INTERFACE", "OS_ENDPOINT_TYPE"]);
pub(super) static CAFILE: Opt<PathBuf> = Opt::new(IRONIC, "cafile", "cafile", values::path)
    .help("FILE", "Certificates (PEM) to trust [default: the system's]")
    .openrc(&["OS_CACERT"]);
pub(super) static INSECURE: Opt<bool> = Opt::new(IRONIC, "insecure", "insecure", values::switch)
    .switch("Believe any certificate [default: no]")
    .openrc(&["OS_INSECURE"]);
pub(super) static TIMEOUT: Opt<Duration> = Opt::new(IRONIC, "timeout", "timeout", values::seconds)
    .help("SECONDS", "How long an answer may take [default: 60]");

/// All of them, in the order of the help.
pub(super) static ALL: [&dyn Described; 54] = [
    &DRIVER,
    &SEMANTICS,
    &SYNC_PERIOD,
    &POLL_INTERVAL,
    &DENY_UNKNOWN_MACS,
    &SUPPORTED_INSPECT_INTERFACES,
    &DENY_PXE_DISABLED_PORTS,
    &REMOVED_PORTS,
    &FILE_NAMES,
    &DNSMASQ_PID_FILE,
    &COMMAND_TIMEOUT,
    &METRICS_LISTEN,
    &PAGE_SIZE,
    &ENVIRONMENT_PROXIES,
    &OS_CLOUD,
    &DHCP_HOSTSDIR,
    &PURGE_DHCP_HOSTSDIR,
    &START_COMMAND,
    &STOP_COMMAND,
    &NODE_NOT_FOUND_HOOK,
    &AUTO_DISCOVERY,
    &ETHOIB_INTERFACES,
    &DEBUG,
    &AUTH_TYPE,
    &AUTH_SECTION,
    &AUTH_STRATEGY,
    &AUTH_URL,
    &USERNAME,
    &USER_ID,
    &PASSWORD,
    &USER_DOMAIN_ID,
    &USER_DOMAIN_NAME,
    &PROJECT_ID,
    &PROJECT_NAME,
    &PROJECT_DOMAIN_ID,
    &PROJECT_DOMAIN_NAME,
    &DEFAULT_DOMAIN_ID,
    &DEFAULT_DOMAIN_NAME,
    &DOMAIN_ID,
    &DOMAIN_NAME,
    &SYSTEM_SCOPE,
    &TRUST_ID,
    &APPLICATION_CREDENTIAL_ID,
    &APPLICATION_CREDENTIAL_NAME,
    &APPLICATION_CREDENTIAL_SECRET,
    &ENDPOINT,
    &ENDPOINT_OVERRIDE,
    &SERVICE_TYPE,
    &SERVICE_NAME,
    &REGION_NAME,
    &VALID_INTERFACES,
    &CAFILE,
    &INSECURE,
    &TIMEOUT,
];
