//! What people and Prometheus see of a running `instances-proxmox`: what a cluster does shows in the metrics, in `/healthz` and on the
//! page, and the token never does.
#![cfg(feature = "proxmox")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "common/browser.rs"]
mod browser;
#[path = "common/exposition.rs"]
mod exposition;
#[path = "common/needs.rs"]
mod needs;
#[path = "common/proxmox/mod.rs"]
mod simulator;

use browser::Browser;
use exposition::Exposition;
use simulator::{Cluster, Fault, SECRET, Simulator, TOKEN};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// On a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program beside a simulated cluster. There is no dnsmasq: it is another's.
struct Watched {
    simulator: Simulator,
    program: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Watched {
    fn start(cluster: Cluster) -> Self {
        let simulator = Simulator::with(cluster, 1);
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("token"), SECRET).unwrap();
        let text = format!(
            "poll_interval = 1\nlisten = '{address}'\nstate_file = '{}'\nlog_level = 'DEBUG'\n\
             [proxmox]\nhosts = ['{}']\ntoken_id = '{TOKEN}'\ntoken_file = '{}'\nca_file = '{}'\nconnect_timeout = 3\ntimeout = 3\n\
             [names]\ndomain = 'lan'\nprefixes = ['10.0.0.0/8']\n[neighbors]\nenabled = false\n\
             [dnsmasq]\nmode = 'companion'\nhostsdir = '{}'\ndhcp_hostsfile = '{}'\npid_file = 'none'\nleases = '{}'\n",
            at("state"),
            simulator.url(),
            at("token"),
            simulator.ca_file().display(),
            at("hosts"),
            at("reservations"),
            at("leases"),
        );
        fs::write(at("toml"), text).unwrap();
        fs::create_dir(at("hosts")).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_instances-proxmox"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["--config", &at("toml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { simulator, program, address, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// An answer, with its header; none: nobody answers yet.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn metrics(&self) -> Exposition {
        let answer = self.get("/metrics").unwrap();
        Exposition::read(answer.split_once("\r\n\r\n").unwrap().1)
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until all is well, and so many names are published.
    fn until_published(&self, names: usize) {
        self.until("all is well", |all| all.get("/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")));
        self.until("names", |all| all.metrics().find("instances_proxmox_domain_info", &[]).len() == names);
    }

    /// All that anybody can see of it.
    fn everything(&self) -> String {
        let paths = ["/", "/plain", "/metrics", "/healthz", "/api/state", "/api/records"];
        let mut all: Vec<_> = paths.iter().map(|path| self.get(path).unwrap()).collect();
        let process = format!("/proc/{}", self.program.id());
        all.push(self.log());
        for file in ["cmdline", "environ"] {
            all.push(String::from_utf8_lossy(&fs::read(format!("{process}/{file}")).unwrap()).into_owned());
        }
        all.concat()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn what_a_cluster_does_is_seen_in_the_metrics() {
    let watched = Watched::start(Cluster::populated(9, 3));
    watched.until_published(9);
    let metrics = watched.metrics();
    let domain = metrics.find("instances_proxmox_domain_info", &[("name", "guest-4.lan")]);
    let labels = &domain[0].0;
    let expected =
        [("address", "10.0.0.104"), ("kind", "dynamic"), ("node", "pve2"), ("source", "interfaces"), ("vmid", "104")];
    assert_eq!(expected.map(|(name, _)| (name, labels[name].as_str())), expected);
    assert!(metrics.value("instances_proxmox_api_request_duration_seconds_count", &[("call", "config")]) >= Some(9.0));
    watched.until("files", |all| all.metrics().value("instances_proxmox_files_written_total", &[]) >= Some(1.0));
    let metrics = watched.metrics();
    assert!(metrics.value("instances_proxmox_change_delay_seconds_count", &[]) >= Some(1.0));
    // A node goes: what was known stays, and is stale.
    watched.simulator.cluster().node("pve2", false);
    let stale = |all: &Watched| all.metrics().value("instances_proxmox_guest_stale_seconds", &[("vmid", "104")]);
    watched.until("it is stale", |all| stale(all) > Some(0.0));
    let metrics = watched.metrics();
    assert_eq!(metrics.value("instances_proxmox_node_online", &[("node", "pve2")]), Some(0.0));
    assert_eq!(metrics.find("instances_proxmox_domain_info", &[("node", "pve2")]).len(), 3);
    assert_eq!(metrics.value("instances_proxmox_guest_stale_seconds", &[("vmid", "103")]), Some(0.0));
    watched.simulator.cluster().node("pve2", true);
    watched.until("it is fresh", |all| stale(all) == Some(0.0));
}

#[test]
fn a_token_that_is_refused_or_told_back_is_seen_as_a_trouble_and_is_never_shown() {
    let watched = Watched::start(Cluster::populated(3, 1));
    watched.until_published(3);
    watched.simulator.fault("/cluster/resources", Fault::Echo(0));
    watched.until("it is a trouble", |all| all.metrics().value("instances_proxmox_api_up", &[]) == Some(0.0));
    watched
        .until("it is not well", |all| all.get("/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 503 ")));
    let all = watched.everything();
    assert!(all.contains("no round has succeeded for") && !all.contains(SECRET), "{all}");
    watched.simulator.heal();
    watched.simulator.fault("/cluster/resources", Fault::No(401, "invalid token value!"));
    watched.until("it is refused", |all| {
        let labels = [("call", "resources"), ("kind", "unauthorized")];
        all.metrics().value("instances_proxmox_api_failures_total", &labels).is_some()
    });
    let all = watched.everything();
    assert!(all.contains("401 invalid token value!") && !all.contains(SECRET), "{all}");
    // Names are kept meanwhile.
    assert_eq!(watched.metrics().find("instances_proxmox_domain_info", &[]).len(), 3);
}

#[test]
fn a_guest_that_is_renamed_is_another_on_the_page_while_one_looks() {
    let Some(browser) = Browser::open(true) else { return };
    let watched = Watched::start(Cluster::populated(12, 3));
    watched.until_published(12);
    browser.go(&format!("http://{}/", watched.address));
    browser.until("all names are shown", "document.querySelectorAll('tbody tr').length === 12");
    watched.simulator.cluster().rename(103, "<img src=x>");
    browser.until("its name", "document.querySelector('tbody').innerText.includes('<img src=x>')");
    assert!(browser.text("#warnings summary").contains("1 warning"), "{}", browser.text("body"));
    watched.simulator.cluster().node("pve3", false);
    browser.until("its state", "document.querySelector('#tiles').innerText.includes('pve3 offline')");
    browser.until("its guests", "document.querySelector('tbody').innerText.includes('the node pve3 is offline')");
    browser.screenshot("page-cluster");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
