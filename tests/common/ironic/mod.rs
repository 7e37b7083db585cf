//! A simulator of Ironic's API and of Keystone's, over real sockets: what the recorded exchanges with a real one show, and
//! every fault that can be thought of, to be switched on while it runs.
//!
//! Each has a loopback address of its own, so that it can go down and come back at the same place. Dropping it ends it.
// Every test crate uses some of it; a test fails by panicking.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod api;
mod asking;
mod fault;
mod keystone;
mod recorded;
#[path = "../simulated.rs"]
mod simulated;
mod state;

pub use asking::{Asking, access, catalog, keystone};
pub use fault::Fault;
pub use recorded::{Recorded, recorded};
pub use simulated::certificates::Certificates;
pub use simulated::http::Seen;
pub use state::{AuthMode, Port, State};

use simulated::certificates::own_address;
use simulated::http::{self as wire, Request};
use simulated::{Faults, Host, Requests, Serve, lock, wait_while};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// A running simulator.
pub struct Simulator(Host<Apis>);

/// What runs there.
struct Apis {
    state: Mutex<State>,
    faults: Faults<Fault>,
    seen: Requests,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Simulator {
    /// An Ironic without ports and nodes that lets everybody in.
    pub fn start() -> Self {
        Self::with(State::default(), None)
    }

    /// The same behind HTTPS.
    pub fn start_tls(certificates: &Certificates) -> Self {
        Self::with(State::default(), Some(certificates))
    }

    /// One with this in it.
    pub fn with(state: State, certificates: Option<&Certificates>) -> Self {
        let address = certificates.map_or_else(own_address, |certificates| certificates.address);
        let apis = Apis {
            state: Mutex::new(state),
            faults: Faults::default(),
            seen: Requests::default(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        Self(Host::start(address, certificates.map(Certificates::server), apis))
    }

    /// Where it is: `http://127.1.2.3:4567`, without a path.
    pub fn url(&self) -> String {
        format!("{}{}", self.0.url(), self.state().prefix)
    }

    /// Where its Keystone is.
    pub fn auth_url(&self) -> String {
        format!("{}/identity", self.0.url())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What it knows, to be looked at and changed while it runs. Nothing is answered while somebody has it; twice in one statement
    /// waits for ever.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.server().state)
    }

    /// Goes wrong so from now on for requests whose path begins so (`/v1/ports`; `/` for all).
    pub fn fault(&self, path: &str, fault: Fault) {
        self.0.server().faults.add(None, path, None, fault);
    }

    /// Goes wrong so for one request.
    pub fn fault_once(&self, path: &str, fault: Fault) {
        self.0.server().faults.add(None, path, Some(1), fault);
    }

    /// All is well from now on.
    pub fn heal(&self) {
        self.0.server().faults.clear();
    }

    /// Ends: connections break, new ones are refused.
    pub fn down(&mut self) {
        self.0.down();
    }

    /// Comes back at the same place.
    pub fn up(&mut self) {
        self.0.up();
    }

    /// Breaks all connections that are open, idle or not.
    pub fn break_connections(&self) {
        self.0.break_connections();
    }

    /// The requests since this was called last. Only the first 100,000 are kept.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.server().seen.take()
    }

    /// Methods and paths with queries of the requests since then.
    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }

    /// How many requests there were ever.
    pub fn requests(&self) -> u64 {
        self.0.server().requests.load(Ordering::SeqCst)
    }

    /// How many connections there were ever.
    pub fn connections(&self) -> u64 {
        self.0.connections()
    }

    /// How many bytes of answers were sent ever.
    pub fn bytes(&self) -> u64 {
        self.0.server().bytes.load(Ordering::SeqCst)
    }
}

impl Serve for Apis {
    const KEEP_ALIVE: Option<Duration> = None;

    fn answer(&self, request: &Request, to: &mut impl Write, is_up: &dyn Fn() -> bool) -> bool {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.seen.add(request);
        let prefix = lock(&self.state).prefix.clone();
        let path = request.path.strip_prefix(prefix.as_str()).unwrap_or(&request.path);
        let fault = self.faults.take(0, path);
        if let Some(Fault::Delay(time)) = &fault {
            thread::sleep(*time);
        }
        let answer = |request: &Request| {
            let mut state = lock(&self.state);
            if request.path.starts_with("/identity") {
                keystone::answer(&mut state, request)
            } else {
                api::answer(&mut state, request)
            }
        };
        let sent = match fault {
            None | Some(Fault::Delay(_)) => answer(request).send(request, to).map(|sent| (sent, true)),
            Some(fault) => fault.play(request, answer, to, is_up),
        };
        let (sent, goes_on) = sent.unwrap_or((0, false));
        self.bytes.fetch_add(sent, Ordering::SeqCst);
        goes_on && request.header("connection") != Some("close")
    }
}
