//! What simulators of HTTP servers have in common: a host with a loopback address of its own, so that it can go down and come back at
//! the same place; faults, which are switched on while it runs; and what was asked.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each simulator uses its part"
)]

#[path = "certificates.rs"]
pub mod certificates;
#[path = "http.rs"]
pub mod http;
#[path = "ports.rs"]
mod ports;

use http::{Request, Seen};
use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a host does.
pub trait Serve: Send + Sync + 'static {
    /// After so long without a request it closes a connection, as Proxmox does.
    const KEEP_ALIVE: Option<Duration>;

    /// Answers a request, while the host is up. Whether the connection goes on.
    fn answer(&self, request: &Request, to: &mut impl Write, is_up: &dyn Fn() -> bool) -> bool;
}

/// A host. Dropping it ends it.
pub struct Host<S: Serve> {
    shared: Arc<Shared<S>>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

/// What its threads share.
struct Shared<S> {
    server: S,
    tls: Option<Arc<rustls::ServerConfig>>,
    open: Mutex<HashMap<u64, TcpStream>>,
    ever: AtomicU64,
    is_up: AtomicBool,
    names: Mutex<Vec<Option<String>>>,
}

impl<S: Serve> Host<S> {
    /// One that is up, over TLS or not.
    pub fn start(address: Ipv4Addr, tls: Option<Arc<rustls::ServerConfig>>, server: S) -> Self {
        let listener = TcpListener::bind(SocketAddrV4::new(address, 0)).expect("a loopback address");
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            server,
            tls,
            open: Mutex::default(),
            ever: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            names: Mutex::default(),
        };
        let mut host = Self { shared: Arc::new(shared), address, listening: None };
        host.listen(listener);
        host
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        shared.is_up.store(true, Ordering::SeqCst);
        self.listening = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if !shared.is_up() {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let id = shared.ever.fetch_add(1, Ordering::SeqCst);
                if let Ok(copy) = stream.try_clone() {
                    lock(&shared.open).insert(id, copy);
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let _closing = Closing(&shared.open, id);
                    shared.serve(stream);
                });
            }
        }));
    }

    pub fn server(&self) -> &S {
        &self.shared.server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.1.2.3:4567`.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// How many connections there were ever.
    pub fn connections(&self) -> u64 {
        self.shared.ever.load(Ordering::SeqCst)
    }

    /// The names that clients asked for (SNI), of each connection over TLS.
    pub fn names(&self) -> Vec<Option<String>> {
        lock(&self.shared.names).clone()
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
            self.listen(ports::once_free(|| TcpListener::bind(self.address)).expect("nobody else has this address"));
        }
    }

    /// Breaks all connections that are open, idle or not.
    pub fn break_connections(&self) {
        for (_, stream) in lock(&self.shared.open).drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl<S: Serve> Drop for Host<S> {
    fn drop(&mut self) {
        self.down();
    }
}

/// Closes a connection at the end, even if that is a panic.
struct Closing<'a>(&'a Mutex<HashMap<u64, TcpStream>>, u64);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if let Some(stream) = lock(self.0).remove(&self.1) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl<S: Serve> Shared<S> {
    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::SeqCst)
    }

    /// Answers a connection's requests until it ends.
    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(S::KEEP_ALIVE);
        let Some(config) = &self.tls else {
            let mut from = BufReader::new(&stream);
            while let Some(request) = Request::read(&mut from) {
                if !self.answer(&request, &mut &stream) {
                    return;
                }
            }
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        };
        let Ok(session) = rustls::ServerConnection::new(Arc::clone(config)) else { return };
        // One thing for both ways: requests are read a byte at a time, then.
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut is_first = true;
        while let Some(request) = Request::read(&mut stream) {
            if std::mem::take(&mut is_first) {
                lock(&self.names).push(stream.conn.server_name().map(str::to_owned));
            }
            if !self.answer(&request, &mut stream) {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                return;
            }
        }
    }

    fn answer(&self, request: &Request, to: &mut impl Write) -> bool {
        self.server.answer(request, to, &|| self.is_up()) && self.is_up()
    }
}

/// The requests that were made.
#[derive(Default)]
pub struct Requests(Mutex<Vec<Seen>>);

impl Requests {
    pub fn add(&self, request: &Request) {
        let mut seen = lock(&self.0);
        if seen.len() < 100_000 {
            seen.push(request.seen());
        }
    }

    /// Those since this was called last. Only the first 100,000 are kept.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// A fault that is switched on.
struct Wrong<F> {
    host: Option<usize>,
    path: String,
    times: Option<u32>,
    fault: F,
}

/// Which are switched on.
pub struct Faults<F>(Mutex<VecDeque<Wrong<F>>>);

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F: Clone> Faults<F> {
    /// At this host or at all, for paths that begin so, so often or always.
    pub fn add(&self, host: Option<usize>, path: &str, times: Option<u32>, fault: F) {
        lock(&self.0).push_back(Wrong { host, path: path.to_owned(), times, fault });
    }

    /// All is well from now on.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// The first that is for this path at this host.
    pub fn take(&self, at: usize, path: &str) -> Option<F> {
        let mut all = lock(&self.0);
        let is_for = |wrong: &Wrong<F>| wrong.host.is_none_or(|host| host == at) && path.starts_with(&wrong.path);
        let index = all.iter().position(is_for)?;
        let wrong = &mut all[index];
        let fault = wrong.fault.clone();
        if let Some(times) = &mut wrong.times {
            *times -= 1;
            if *times == 0 {
                all.remove(index);
            }
        }
        Some(fault)
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits in small steps while `goes_on`, for at most so long.
pub fn wait_while(time: Duration, goes_on: impl Fn() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end && goes_on() {
        thread::sleep(Duration::from_millis(10));
    }
}
