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
#[path = "../certificates.rs"]
mod certificates;
mod cluster;
mod counters;
mod fault;
#[path = "../http.rs"]
mod http;

pub use asking::{Asking, SECRET, TOKEN, access};
pub use certificates::{Authority, Certificates};
pub use cluster::{Cluster, Guest, Reply};
pub use counters::{Counters, Lane};
pub use fault::Fault;
pub use http::Seen;

use certificates::own_address;
use fault::Faults;
use http::Request;
use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// After so long without a request Proxmox closes a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A cluster whose API runs.
pub struct Simulator {
    pub hosts: Vec<Host>,
    pub authority: Authority,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

/// One of its hosts.
pub struct Host {
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
    pub certificates: Certificates,
}

/// What all hosts share.
struct Shared {
    cluster: Mutex<Cluster>,
    faults: Mutex<Faults>,
    counters: Counters,
    seen: Mutex<Vec<Seen>>,
}

/// A host's connections.
struct Connections {
    number: usize,
    tls: Arc<rustls::ServerConfig>,
    open: Mutex<HashMap<u64, TcpStream>>,
    ever: AtomicU64,
    is_up: AtomicBool,
    /// The names that clients asked for (SNI).
    names: Mutex<Vec<Option<String>>>,
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
            faults: Mutex::default(),
            counters: Counters::default(),
            seen: Mutex::default(),
        });
        let hosts = (0..hosts).map(|number| Host::start(&shared, number, certify(&authority, number))).collect();
        Self { hosts, authority, shared, folder }
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
        lock(&self.shared.faults).add(None, path, None, fault);
    }

    /// Goes wrong so for one request.
    pub fn fault_once(&self, path: &str, fault: Fault) {
        lock(&self.shared.faults).add(None, path, Some(1), fault);
    }

    /// Goes wrong so at one host only.
    pub fn fault_at(&self, host: usize, path: &str, fault: Fault) {
        lock(&self.shared.faults).add(Some(host), path, None, fault);
    }

    /// All is well from now on.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The requests since this was called last. Only the first 100,000 are kept.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.shared.seen))
    }

    /// Their paths with queries, without `/api2/json`.
    pub fn paths(&self) -> Vec<String> {
        let path = |seen: Seen| seen.path.strip_prefix("/api2/json").map_or(seen.path.clone(), str::to_owned);
        self.seen().into_iter().map(path).collect()
    }
}

impl Host {
    fn start(shared: &Arc<Shared>, number: usize, certificates: Certificates) -> Self {
        let listener = TcpListener::bind(SocketAddrV4::new(certificates.address, 0)).expect("a loopback address");
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Connections {
            number,
            tls: certificates.server(),
            open: Mutex::default(),
            ever: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            names: Mutex::default(),
        });
        let mut host = Self { shared: Arc::clone(shared), connections, address, listening: None, certificates };
        host.listen(listener);
        host
    }

    fn listen(&mut self, listener: TcpListener) {
        let (shared, connections) = (Arc::clone(&self.shared), Arc::clone(&self.connections));
        connections.is_up.store(true, Ordering::SeqCst);
        self.listening = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if !connections.is_up.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let id = connections.ever.fetch_add(1, Ordering::SeqCst);
                if let Ok(copy) = stream.try_clone() {
                    lock(&connections.open).insert(id, copy);
                }
                let (shared, connections) = (Arc::clone(&shared), Arc::clone(&connections));
                thread::spawn(move || {
                    let _closing = Closing(&connections, id);
                    connections.serve(&shared, stream);
                });
            }
        }));
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many connections there were ever.
    pub fn connections(&self) -> u64 {
        self.connections.ever.load(Ordering::SeqCst)
    }

    /// The names that clients asked for, of each connection.
    pub fn names(&self) -> Vec<Option<String>> {
        lock(&self.connections.names).clone()
    }

    /// Ends: connections break, new ones are refused.
    pub fn down(&mut self) {
        if let Some(listening) = self.listening.take() {
            self.connections.is_up.store(false, Ordering::SeqCst);
            // Wakes it up.
            drop(TcpStream::connect(self.address));
            listening.join().unwrap();
            self.break_connections();
        }
    }

    /// Comes back at the same place.
    pub fn up(&mut self) {
        if self.listening.is_none() {
            self.listen(TcpListener::bind(self.address).expect("nobody else has this address"));
        }
    }

    /// Breaks all connections that are open, idle or not.
    pub fn break_connections(&self) {
        for (_, stream) in lock(&self.connections.open).drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.down();
    }
}

/// Closes a connection at the end, even if that is a panic.
struct Closing<'a>(&'a Connections, u64);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if let Some(stream) = lock(&self.0.open).remove(&self.1) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Connections {
    /// Answers a connection's requests until it ends.
    fn serve(&self, shared: &Shared, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(KEEP_ALIVE));
        let Ok(session) = rustls::ServerConnection::new(Arc::clone(&self.tls)) else { return };
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut is_first = true;
        while let Some(request) = Request::read(&mut stream) {
            if std::mem::take(&mut is_first) {
                lock(&self.names).push(stream.conn.server_name().map(str::to_owned));
            }
            if !self.answer(shared, &request, &mut stream) {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                return;
            }
        }
    }

    /// Whether the connection goes on.
    fn answer(&self, shared: &Shared, request: &Request, to: &mut impl Write) -> bool {
        {
            let mut seen = lock(&shared.seen);
            if seen.len() < 100_000 {
                seen.push(request.seen());
            }
        }
        let path = request.path.strip_prefix("/api2/json").unwrap_or("").to_owned();
        let counted = shared.counters.begin(&path);
        let is_up = || self.is_up.load(Ordering::SeqCst);
        let refused = lock(&shared.cluster).refused(request);
        if let Some((wait, refusal)) = refused {
            wait_while(wait, is_up);
            return refusal.send(request, to).is_ok() && is_up();
        }
        let delay = lock(&shared.cluster).delay;
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        let fault = lock(&shared.faults).take(self.number, &path);
        let right = || api::answer(&lock(&shared.cluster), &path, request);
        if let Some(fault) = fault {
            return fault.play(request, right, to, is_up, counted).unwrap_or(false) && is_up();
        }
        let answer = right();
        let ends = answer.status >= 590;
        // Whoever has the answer may ask the next thing before this thread goes on.
        drop(counted);
        answer.send(request, to).is_ok() && is_up() && !ends
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits in small steps while `goes_on`, for at most so long.
fn wait_while(time: Duration, goes_on: impl Fn() -> bool) {
    let end = std::time::Instant::now() + time;
    while std::time::Instant::now() < end && goes_on() {
        thread::sleep(Duration::from_millis(10));
    }
}
