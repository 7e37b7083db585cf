//! A simulator of a Proxmox VE cluster's API, over TLS with its own CA: the samples, or as many guests as one likes, every fault
//! that can be thought of, switched on while it runs, and counters.
//!
//! A cluster has several hosts, which share its state; each has a loopback address of its own, so that it can go down and come back
//! at the same place. Dropping it ends it.
// Every test crate uses some of it; a test fails by panicking.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

mod api;
mod asking;
mod cluster;
mod counters;
mod fault;
#[path = "../simulated.rs"]
mod simulated;

pub use asking::{Asking, SECRET, TOKEN, access};
pub use cluster::{Cluster, Guest, Reply};
pub use counters::{Counters, Lane};
pub use fault::Fault;
pub use simulated::certificates::{Authority, Certificates};
pub use simulated::http::Seen;

use simulated::certificates::own_address;
use simulated::http::{self, Request};
use simulated::{Faults, Requests, Serve, lock, wait_while};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// A cluster whose API runs.
pub struct Simulator {
    pub hosts: Vec<Host>,
    pub authority: Authority,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

/// One of its hosts.
pub type Host = simulated::Host<Node>;

/// What runs there.
pub struct Node {
    number: usize,
    shared: Arc<Shared>,
    pub certificates: Certificates,
}

/// What all hosts share.
struct Shared {
    cluster: Mutex<Cluster>,
    faults: Faults<Fault>,
    counters: Counters,
    seen: Requests,
}

impl Simulator {
    /// The cluster of the samples, with one host.
    pub fn start() -> Self {
        Self::with(Cluster::samples(), 1)
    }

    /// This cluster, with so many hosts.
    pub fn with(cluster: Cluster, hosts: usize) -> Self {
        let certify = |authority: &Authority, number: usize| {
            let address = own_address();
            authority.certify(address, &[&address.to_string(), &format!("pve{}.example.com", number + 1)], 2999)
        };
        Self::certified(cluster, hosts, certify)
    }

    /// The same with other certificates: what to certify for each host.
    pub fn certified(cluster: Cluster, hosts: usize, certify: impl Fn(&Authority, usize) -> Certificates) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        let shared = Arc::new(Shared {
            cluster: Mutex::new(cluster),
            faults: Faults::default(),
            counters: Counters::default(),
            seen: Requests::default(),
        });
        let host = |number| {
            let certificates = certify(&authority, number);
            let (address, tls) = (certificates.address, certificates.server());
            Host::start(address, Some(tls), Node { number, shared: Arc::clone(&shared), certificates })
        };
        Self { hosts: (0..hosts).map(host).collect(), authority, shared, folder }
    }

    /// Where its CA's certificate is.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The first host's address: `https://127.1.2.3:4567`.
    pub fn url(&self) -> String {
        self.hosts[0].url()
    }

    /// What it knows, to be looked at and changed while it runs. Nothing is answered while somebody has it; twice in one statement
    /// waits for ever.
    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        lock(&self.shared.cluster)
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Goes wrong so from now on for requests whose path without `/api2/json` begins so (`/nodes/pve1`; `/` for all).
    pub fn fault(&self, path: &str, fault: Fault) {
        self.shared.faults.add(None, path, None, fault);
    }

    /// Goes wrong so for one request.
    pub fn fault_once(&self, path: &str, fault: Fault) {
        self.shared.faults.add(None, path, Some(1), fault);
    }

    /// Goes wrong so at one host only.
    pub fn fault_at(&self, host: usize, path: &str, fault: Fault) {
        self.shared.faults.add(Some(host), path, None, fault);
    }

    /// All is well from now on.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// The requests since this was called last. Only the first 100,000 are kept.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.take()
    }

    /// Their paths with queries, without `/api2/json`.
    pub fn paths(&self) -> Vec<String> {
        let path = |seen: Seen| seen.path.strip_prefix("/api2/json").map_or(seen.path.clone(), str::to_owned);
        self.seen().into_iter().map(path).collect()
    }
}

impl Serve for Node {
    const KEEP_ALIVE: Option<Duration> = Some(Duration::from_secs(5));

    fn answer(&self, request: &Request, to: &mut impl Write, is_up: &dyn Fn() -> bool) -> bool {
        let shared = &self.shared;
        shared.seen.add(request);
        let path = request.path.strip_prefix("/api2/json").unwrap_or("").to_owned();
        let counted = shared.counters.begin(&path);
        let refused = lock(&shared.cluster).refused(request);
        if let Some((wait, refusal)) = refused {
            wait_while(wait, is_up);
            return refusal.send(request, to).is_ok();
        }
        let delay = lock(&shared.cluster).delay;
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        let right = || api::answer(&lock(&shared.cluster), &path, request);
        if let Some(fault) = shared.faults.take(self.number, &path) {
            return fault.play(request, right, to, is_up, counted).unwrap_or(false);
        }
        let answer = right();
        let ends = answer.status >= 590;
        // Whoever has the answer may ask the next thing before this thread goes on.
        drop(counted);
        answer.send(request, to).is_ok() && !ends
    }
}
