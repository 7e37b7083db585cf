//! Where Prometheus asks, and people: as much of HTTP/1.1 (RFC 9112) as that takes, in threads of its own.
//!
//! Not a server of others': whoever may connect must not be able to end or to stop who answers guests. Here a request is
//! its header, a body is never read, one connection is served at a time by a thread, and none for longer than [`PATIENCE`] until
//! its request has come and [`SENDING`] until its answer has gone.

use crate::error::{Error, Result, in_words};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a request may take to come, and how long a piece of its answer may take to go.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long all of an answer may take to go: a few MB to a telephone.
const SENDING: Duration = Duration::from_secs(20);
/// Octets of a piece of an answer.
const PIECE: usize = 1 << 16;
/// After how long we listen again when the system has no sockets left.
const PAUSE: Duration = Duration::from_millis(100);
/// Octets of the longest request that is looked at.
const LONGEST: usize = 8192;
/// Connections at a time where people ask: browsers open some that say nothing.
const PEOPLE: usize = 16;

/// Prometheus' own text format.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The socket. To be had while we may still have any port.
pub struct Listener(TcpListener, SocketAddr);

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET` or `HEAD`.
    pub method: &'a str,
    /// Without a query.
    pub path: &'a str,
    head: &'a str,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `200 OK`.
    pub status: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Further lines of its header.
    pub headers: Vec<(&'static str, String)>,
    /// Its content.
    pub body: Vec<u8>,
}

impl Request<'_> {
    /// A line of its header, by its name in any case; the first if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines =
            self.head.lines().skip(1).take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl Answer {
    /// One without further headers.
    pub fn new(status: &'static str, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, kind, headers: Vec::new(), body: body.into() }
    }

    /// This is not there.
    pub fn not_found() -> Self {
        Self::new("404 Not Found", "text/plain; charset=utf-8", "")
    }
}

impl Listener {
    /// Takes the port.
    ///
    /// # Errors
    /// Somebody else has it, or it is not ours.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        Self::bind_as("metrics_listen", address)
    }

    /// The same for a setting of another name.
    ///
    /// # Errors
    /// Somebody else has it, or it is not ours.
    pub fn bind_as(setting: &str, address: SocketAddr) -> Result<Self> {
        let bound = TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        bound.map(|(address, listener)| Self(listener, address)).map_err(|error| {
            let message = format!("cannot listen at {setting} = {address}: {}", in_words(&error));
            Error::new(message).remedy("choose another address or port")
        })
    }

    /// The address, with the port that the system chose if it was to choose one.
    pub fn address(&self) -> SocketAddr {
        self.1
    }

    /// Serves the page from now on: metrics in OpenMetrics' text format. The thread ends with the process.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn serve(self, page: impl Fn() -> String + Send + Sync + 'static) -> Result<()> {
        self.serve_by(1, move |request| match request.path {
            "/metrics" | "/" => Answer::new("200 OK", OPENMETRICS, page()),
            _ => Answer::new("404 Not Found", OPENMETRICS, ""),
        })
    }

    /// Serves these answers from now on, to several at a time. The threads end with the process.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn serve_people(self, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Result<()> {
        self.serve_by(PEOPLE, answer)
    }

    fn serve_by(self, threads: usize, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Result<()> {
        let Self(listener, address) = self;
        let shared = Arc::new((listener, answer));
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            let serve = move || {
                let (listener, answer) = &*shared;
                loop {
                    match listener.accept() {
                        // Whoever asked may be gone.
                        Ok((stream, _)) => drop(converse(stream, answer)),
                        Err(_) => thread::sleep(PAUSE),
                    }
                }
            };
            let spawned = thread::Builder::new().name("metrics".to_owned()).spawn(serve);
            let failed = |error| Error::new(format!("cannot serve metrics at {address}: {}", in_words(&error)));
            spawned.map(drop).map_err(failed)?;
        }
        Ok(())
    }
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Answer) -> io::Result<()> {
    let head = request(&mut stream)?;
    // Half a header may lack what decides who asks.
    let answer = if is_whole(&head) {
        answered(&head, answer)
    } else {
        Answer::new("431 Request Header Fields Too Large", "text/plain; charset=utf-8", "")
    };
    let Answer { status, kind, headers, body } = &answer;
    let mut lines = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        lines.extend([name, ": ", value, "\r\n"]);
    }
    lines.push_str("Connection: close\r\n\r\n");
    let until = Instant::now() + SENDING;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(lines.as_bytes())?;
    let body = if head.starts_with(b"HEAD ") { &[] } else { body.as_slice() };
    for piece in body.chunks(PIECE) {
        if until <= Instant::now() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.write_all(piece)?;
    }
    // What was not read would have the kernel take the answer back: the other end closes first, for a while.
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + PATIENCE;
    while read(&mut stream, &mut [0; LONGEST], until)? > 0 {}
    Ok(())
}

fn answered(head: &[u8], answer: &dyn Fn(&Request) -> Answer) -> Answer {
    let head = String::from_utf8_lossy(head);
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some(method @ ("GET" | "HEAD")), Some(target)) => {
            let path = target.split_once('?').map_or(target, |(path, _)| path);
            answer(&Request { method, path, head: &head })
        }
        (_, Some(_)) => Answer {
            headers: vec![("Allow", "GET, HEAD".to_owned())],
            ..Answer::new("405 Method Not Allowed", OPENMETRICS, "")
        },
        _ => Answer::new("400 Bad Request", OPENMETRICS, ""),
    }
}

/// Whether a header has its end.
fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// A request's header, and what came with its end; if it is too long, its beginning.
fn request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while request.len() < LONGEST && !is_whole(&request) {
        match read(stream, &mut piece, until)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => request.extend(piece.get(..length).unwrap_or_default()),
        }
    }
    Ok(request)
}

fn read(stream: &mut TcpStream, piece: &mut [u8], until: Instant) -> io::Result<usize> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.read(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes back for each of these, one after the other.
    fn answers(requests: &[&[u8]]) -> Vec<String> {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        listener.serve(|| "bindings 0\n# EOF\n".to_owned()).unwrap();
        let ask = |request: &&[u8]| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        requests.iter().map(ask).collect()
    }

    #[test]
    fn metrics_are_served_and_nothing_else_is() {
        let answers = answers(&[
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            b"HEAD / HTTP/1.1\r\n\r\n",
            b"GET /etc/passwd HTTP/1.1\r\n\r\n",
            // A body as long as no memory is; one that never comes.
            b"POST /metrics HTTP/1.1\r\nContent-Length: 4611686018427387904\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
            b"\xff\r\n\r\n",
        ]);
        let statuses: Vec<_> = answers.iter().map(|answer| &answer[9..12]).collect();
        assert_eq!(statuses, ["200", "200", "404", "405", "200", "400"]);
        assert!(answers[0].ends_with("bindings 0\n# EOF\n"));
        assert!(answers[1].ends_with("\r\n\r\n"));
    }

    #[test]
    fn people_are_told_apart_by_what_they_say() {
        let listener = Listener::bind_as("LISTEN", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let echo = |request: &Request| {
            let host = request.header("host").unwrap_or("nobody");
            let body = format!("{} {} {host}", request.method, request.path);
            let headers = vec![("X-Frame-Options", "DENY".to_owned())];
            Answer { headers, ..Answer::new("200 OK", "text/plain", body) }
        };
        listener.serve_people(echo).unwrap();
        // They need not wait for one another.
        let _silent: Vec<_> = (1..PEOPLE).map(|_| TcpStream::connect(address).unwrap()).collect();
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /a?b HTTP/1.1\r\nAccept: x\r\nHOST:  me:80 \r\n\r\nHost: you\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.contains("\r\nX-Frame-Options: DENY\r\n") && answer.ends_with("\r\n\r\nGET /a me:80"),
            "{answer}"
        );
        assert!(begun.elapsed() < PATIENCE * 3);
    }

    #[test]
    fn a_header_without_its_end_is_no_request() {
        let listener = Listener::bind_as("LISTEN", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        listener.serve_people(|request| Answer::new("200 OK", "text/plain", request.path)).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        // What says that a browser asks comes after all that fits.
        let long = format!("GET /?{} HTTP/1.1\r\nAccept-Language: en\r\n\r\n", "a".repeat(9000));
        assert!(ask(&long).starts_with("HTTP/1.1 431 "));
        assert_eq!(ask("GET / HTTP/1.1\r\nHost: x\r\n"), "");
        let odd = "GET / HTTP/1.1\r\nodd\r\nHost: x\r\n\r\nAccept: y\r\n";
        assert!(ask(odd).starts_with("HTTP/1.1 200 "));
        assert_eq!(Request { method: "GET", path: "/", head: odd }.header("host"), Some("x"));
        assert_eq!(Request { method: "GET", path: "/", head: odd }.header("accept"), None);
    }

    #[test]
    fn who_connects_and_says_nothing_holds_up_others_for_a_moment_only() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        listener.serve(|| "bindings 0\n# EOF\n".to_owned()).unwrap();
        let _silent = TcpStream::connect(address).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"));
    }
}
