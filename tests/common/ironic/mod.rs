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
mod state;
#[path = "../certificates.rs"]
mod tls;
#[path = "../http.rs"]
mod wire;

pub use asking::{Asking, access, catalog, keystone};
pub use fault::Fault;
pub use recorded::{Recorded, recorded};
pub use state::{AuthMode, Port, State};
pub use tls::Certificates;
pub use wire::Seen;

use fault::Faults;
use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tls::own_address;
use wire::Request;

/// A running simulator.
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

/// What its threads share.
struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Seen>>,
    open: Mutex<HashMap<u64, TcpStream>>,
    tls: Option<Arc<rustls::ServerConfig>>,
    connections: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    is_up: AtomicBool,
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
        let ip = certificates.map_or_else(own_address, |certificates| certificates.address);
        let listener = TcpListener::bind(SocketAddrV4::new(ip, 0)).expect("a loopback address");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            faults: Mutex::default(),
            seen: Mutex::default(),
            open: Mutex::default(),
            tls: certificates.map(Certificates::server),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
        });
        let mut simulator = Self { shared, address, listening: None };
        simulator.listen(listener);
        simulator
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        shared.is_up.store(true, Ordering::SeqCst);
        self.listening = Some(thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if !shared.is_up.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let id = shared.connections.fetch_add(1, Ordering::SeqCst) ^ ((number as u64) << 32);
                if let Ok(copy) = stream.try_clone() {
                    lock(&shared.open).insert(id, copy);
                }
                let connection = Arc::clone(&shared);
                thread::spawn(move || {
                    let _closing = Closing(&connection, id);
                    connection.serve(stream);
                });
            }
        }));
    }

    /// Where it is: `http://127.1.2.3:4567`, without a path.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.address, self.state().prefix)
    }

    /// Where its Keystone is.
    pub fn auth_url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/identity", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it knows, to be looked at and changed while it runs. Nothing is answered while somebody has it; twice in one statement
    /// waits for ever.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Goes wrong so from now on for requests whose path begins so (`/v1/ports`; `/` for all).
    pub fn fault(&self, path: &str, fault: Fault) {
        lock(&self.shared.faults).add(path, None, fault);
    }

    /// Goes wrong so for one request.
    pub fn fault_once(&self, path: &str, fault: Fault) {
        lock(&self.shared.faults).add(path, Some(1), fault);
    }

    /// All is well from now on.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Ends: connections break, new ones are refused.
    pub fn down(&mut self) {
        if let Some(listening) = self.listening.take() {
            self.shared.is_up.store(false, Ordering::SeqCst);
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
        for (_, stream) in lock(&self.shared.open).drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The requests since this was called last. Only the first 100,000 are kept.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.shared.seen))
    }

    /// Methods and paths with queries of the requests since then.
    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }

    /// How many requests there were ever.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many connections there were ever.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes of answers were sent ever.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.down();
    }
}

/// Closes a connection at the end, even if that is a panic.
struct Closing<'a>(&'a Shared, u64);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if let Some(stream) = lock(&self.0.open).remove(&self.1) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Answers a connection's requests until it ends.
    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.answer_all(&stream, &stream),
            Some(config) => {
                let Ok(session) = rustls::ServerConnection::new(Arc::clone(config)) else { return };
                let mut stream = rustls::StreamOwned::new(session, stream);
                // One thing for both ways: requests are read a byte at a time, then.
                while let Some(request) = Request::read(&mut stream) {
                    if !self.answer(&request, &mut stream) {
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                        return;
                    }
                }
            }
        }
    }

    fn answer_all(&self, from: impl Read, mut to: impl Write) {
        let mut from = BufReader::new(from);
        while let Some(request) = Request::read(&mut from) {
            if !self.answer(&request, &mut to) {
                return;
            }
        }
        let _ = to.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }

    /// Whether the connection goes on.
    fn answer(&self, request: &Request, to: &mut impl Write) -> bool {
        self.requests.fetch_add(1, Ordering::SeqCst);
        {
            let mut seen = lock(&self.seen);
            if seen.len() < 100_000 {
                seen.push(request.seen());
            }
        }
        let prefix = lock(&self.state).prefix.clone();
        let path = request.path.strip_prefix(prefix.as_str()).unwrap_or(&request.path);
        let fault = lock(&self.faults).take(path);
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
            Some(fault) => fault.play(request, answer, to, || self.is_up.load(Ordering::SeqCst)),
        };
        let (sent, goes_on) = sent.unwrap_or((0, false));
        self.bytes.fetch_add(sent, Ordering::SeqCst);
        goes_on && self.is_up.load(Ordering::SeqCst) && request.header("connection") != Some("close")
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
