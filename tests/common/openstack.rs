//! A real Ironic and a real Keystone, as tests/openstack/install.sh has them from PyPI. Each has a port that is its own only in
//! a network namespace of the test's.
#![allow(dead_code, reason = "each test crate uses its part")]

use crate::netns::wait::until;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Ironic is.
pub const IRONIC: &str = "http://127.0.0.1:6385";
/// Where Keystone is.
pub const KEYSTONE: &str = "http://127.0.0.1:5000/v3";
/// What its administrator calls itself, and its password, here and in `http_basic`.
pub const ADMIN: (&str, &str) = ("admin", "secret");

/// The version of Ironic's API that the tests speak; the filter chooses its own.
const VERSION: &str = "1.95";

/// Where both are installed.
///
/// # Errors
/// They are not; why.
pub fn installed() -> Result<PathBuf, String> {
    let folder = std::env::var_os("OPENSTACK")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("openstack"), PathBuf::from);
    if folder.join("ready").exists() {
        return Ok(folder);
    }
    let why = fs::read_to_string(folder.join("why")).unwrap_or_else(|_| "make e2e-ironic was not run yet".to_owned());
    Err(format!("no OpenStack here: {}", why.trim_end()))
}

/// How Ironic knows who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    None,
    HttpBasic,
    Keystone,
}

impl Auth {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::HttpBasic => "http_basic",
            Self::Keystone => "keystone",
        }
    }
}

/// A running service, with all its processes; they are killed in the end.
struct Service(Child);

impl Service {
    fn start(script: &str, arguments: &[&str], folder: &Path, port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openstack").join(script);
        let log = folder.join("log");
        // Killed, too, when this thread is gone without having said so.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(script).arg(folder).args(arguments);
        command.env("OPENSTACK", installed().unwrap()).env("PYTHONWARNINGS", "ignore").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let mut service = Self(command.spawn().unwrap());
        until(&format!("a service at port {port}; see {}", log.display()), || {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(service.0.try_wait().unwrap().is_none(), "{}", said());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// What one question was answered with.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Asks over HTTP, in a connection of its own.
#[track_caller]
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // HTTP/1.0: an answer in one piece.
    let question = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        headers.concat(),
        body.len()
    );
    stream.write_all(question.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {url}: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or_default() }
}

/// A running Ironic, in which nothing is yet.
pub struct Ironic {
    auth: Auth,
    folder: PathBuf,
    service: Option<Service>,
    token: OnceCell<String>,
}

impl Ironic {
    /// With [`Auth::Keystone`], one must be running.
    pub fn start(folder: &Path, auth: Auth) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut ironic = Self { auth, folder: folder.to_owned(), service: None, token: OnceCell::new() };
        ironic.start_again();
        ironic
    }

    pub fn start_again(&mut self) {
        self.service = Some(Service::start("ironic.sh", &[self.auth.word()], &self.folder, 6385));
    }

    pub fn stop(&mut self) {
        self.service = None;
    }

    /// Asks it for something that it must do.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let who = match self.auth {
            Auth::None => ("X-Nobody", ""),
            // RFC 7617: admin:secret
            Auth::HttpBasic => ("Authorization", "Basic YWRtaW46c2VjcmV0"),
            Auth::Keystone => ("X-Auth-Token", self.token.get_or_init(Keystone::administrators_token).as_str()),
        };
        let headers = [("X-OpenStack-Ironic-API-Version", VERSION), who];
        let answer = ask(method, &format!("{IRONIC}/v1{path}"), &headers, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer.body
    }

    /// A node with ports, `manageable`.
    #[track_caller]
    pub fn enroll(&self, name: &str, macs: &[&str]) {
        let node = self.call("POST", "/nodes", &json!({"name": name, "driver": "fake-hardware"}));
        for mac in macs {
            self.call("POST", "/ports", &json!({"node_uuid": node["uuid"], "address": mac}));
        }
        self.order(name, "manage");
        self.reaches(name, "manageable");
    }

    /// Has a node `inspect`, `abort`, ...
    #[track_caller]
    pub fn order(&self, node: &str, target: &str) {
        self.call("PUT", &format!("/nodes/{node}/states/provision"), &json!({"target": target}));
    }

    pub fn state(&self, node: &str) -> String {
        let node = self.call("GET", &format!("/nodes/{node}?fields=provision_state"), &Value::Null);
        node["provision_state"].as_str().unwrap().to_owned()
    }

    /// Waits until a node is in this state.
    #[track_caller]
    pub fn reaches(&self, node: &str, state: &str) {
        until(state, || self.state(node) == state);
    }

    /// Has a node be inspected, up to where its agent is waited for.
    #[track_caller]
    pub fn inspect(&self, node: &str) {
        self.order(node, "inspect");
        self.reaches(node, "inspect wait");
    }

    /// What the agent tells when it has looked at a machine that has these interfaces and booted from the first.
    #[track_caller]
    pub fn continue_inspection(&self, macs: &[&str]) {
        let interfaces = macs.iter().enumerate().map(|(number, mac)| {
            json!({
                "name": format!("eth{number}"), "mac_address": mac, "has_carrier": true, "ipv4_address": null,
                "ipv6_address": null, "lldp": null, "vendor": null, "product": null, "client_id": null,
                "biosdevname": null,
            })
        });
        let inventory = json!({
            "interfaces": interfaces.collect::<Vec<_>>(),
            "cpu": {"count": 1, "architecture": "x86_64"},
            "memory": {"physical_mb": 1024},
            "disks": [],
            "bmc_address": null,
            "bmc_v6address": null,
            "boot": {"current_boot_mode": "bios", "pxe_interface": macs[0]},
            "system_vendor": {},
            "hostname": "h",
        });
        self.call("POST", "/continue_inspection", &json!({"inventory": inventory}));
    }

    /// MAC addresses of a node's ports.
    pub fn ports_of(&self, node: &str) -> Vec<String> {
        let ports = self.call("GET", &format!("/ports?node={node}&fields=address"), &Value::Null);
        let mut macs: Vec<_> = ports["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| port["address"].as_str().unwrap().to_owned())
            .collect();
        macs.sort();
        macs
    }
}

/// A running Keystone, with a user for the filter.
pub struct Keystone {
    _service: Service,
    token: String,
    /// The user's id.
    filter: String,
}

/// The user for the filter: its name and password.
pub const FILTER: (&str, &str) = ("filter", "of its own");

impl Keystone {
    /// Ironic is in its catalogue; the user for the filter may read everything, and has the role `service` in the project
    /// `service`.
    pub fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let service = Service::start("keystone.sh", &[], folder, 5000);
        let mut keystone = Self { _service: service, token: Self::administrators_token(), filter: String::new() };
        let user = keystone.make("user", &json!({"name": FILTER.0, "password": FILTER.1, "domain_id": "default"}));
        let project = keystone.make("project", &json!({"name": "service", "domain_id": "default"}));
        let (reader, service) = (keystone.role("reader"), keystone.role("service"));
        keystone.call("PUT", &format!("/system/users/{user}/roles/{reader}"), &Value::Null);
        keystone.call("PUT", &format!("/projects/{project}/users/{user}/roles/{service}"), &Value::Null);
        let service = keystone.make("service", &json!({"name": "ironic", "type": "baremetal"}));
        keystone.make(
            "endpoint",
            &json!({"service_id": service, "interface": "public", "region_id": "lab", "url": IRONIC}),
        );
        keystone.filter = user;
        keystone
    }

    fn administrators_token() -> String {
        Self::token(ADMIN, &json!({"system": {"all": true}}))
    }

    /// A token for a user with this scope.
    #[track_caller]
    pub fn token((name, password): (&str, &str), scope: &Value) -> String {
        let user = json!({"name": name, "domain": {"id": "default"}, "password": password});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let answer = ask("POST", &format!("{KEYSTONE}/auth/tokens"), &[], &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("X-Subject-Token").unwrap().to_owned()
    }

    /// An application credential of the filter's, in the project `service`: its id; its secret is `a secret`.
    pub fn application_credential(&self) -> String {
        let token = Self::token(FILTER, &json!({"project": {"name": "service", "domain": {"id": "default"}}}));
        let body = json!({"application_credential": {"name": "filter", "secret": "a secret"}});
        let url = format!("{KEYSTONE}/users/{}/application_credentials", self.filter);
        let made = ask("POST", &url, &[("X-Auth-Token", &token)], &body);
        assert_eq!(made.status, 201, "{made:?}");
        made.body["application_credential"]["id"].as_str().unwrap().to_owned()
    }

    /// No token that the filter has is good any more: its password is set, to what it was.
    pub fn revoke_tokens(&self) {
        self.call("PATCH", &format!("/users/{}", self.filter), &json!({"user": {"password": FILTER.1}}));
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = ask(method, &format!("{KEYSTONE}{path}"), &[("X-Auth-Token", &self.token)], body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer.body
    }

    /// Makes something; its id.
    #[track_caller]
    fn make(&self, what: &str, body: &Value) -> String {
        let made = self.call("POST", &format!("/{what}s"), &json!({what: body}));
        made[what]["id"].as_str().unwrap().to_owned()
    }

    fn role(&self, name: &str) -> String {
        let roles = self.call("GET", &format!("/roles?name={name}"), &Value::Null);
        roles["roles"][0]["id"].as_str().unwrap().to_owned()
    }
}
