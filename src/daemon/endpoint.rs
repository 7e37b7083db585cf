//! Where Prometheus asks: as much of HTTP/1.1 (RFC 9112) as that takes, in a thread of its own.
//!
//! Not a server of others': whoever may connect must not be able to end or to stop who answers guests. Here a request is
//! its first line, a body is never read, one connection is served at a time and none for longer than [`PATIENCE`].

use crate::error::{Error, Result, in_words};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long a request may take to come, and how long its answer may take to go.
const PATIENCE: Duration = Duration::from_millis(500);
/// After how long we listen again when the system has no sockets left.
const PAUSE: Duration = Duration::from_millis(100);
/// Octets of the longest request that is looked at.
const LONGEST: usize = 8192;

/// The socket. To be had while we may still have any port.
pub struct Listener(TcpListener, SocketAddr);

impl Listener {
    /// Takes the port.
    ///
    /// # Errors
    /// Somebody else has it, or it is not ours.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        TcpListener::bind(address).map(|listener| Self(listener, address)).map_err(|error| {
            let message = format!("cannot listen at metrics_listen = {address}: {}", in_words(&error));
            Error::new(message).remedy("choose another address or port")
        })
    }

    /// Serves the page from now on: metrics in OpenMetrics' text format. The thread ends with the process.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn serve(self, page: impl Fn() -> String + Send + 'static) -> Result<()> {
        let Self(listener, address) = self;
        let serve = move || {
            loop {
                match listener.accept() {
                    // Whoever asked may be gone.
                    Ok((stream, _)) => drop(answer(stream, &page)),
                    Err(_) => thread::sleep(PAUSE),
                }
            }
        };
        let spawned = thread::Builder::new().name("metrics".to_owned()).spawn(serve);
        let failed = |error| Error::new(format!("cannot serve metrics at {address}: {}", in_words(&error)));
        spawned.map(drop).map_err(failed)
    }
}

fn answer(mut stream: TcpStream, page: &dyn Fn() -> String) -> io::Result<()> {
    let request = request(&mut stream)?;
    let mut words = request.split(|octet| *octet == b' ');
    let (status, text) = match (words.next(), words.next()) {
        (Some(b"GET" | b"HEAD"), Some(b"/metrics" | b"/")) => ("200 OK", page()),
        (Some(b"GET" | b"HEAD"), Some(_)) => ("404 Not Found", String::new()),
        (_, Some(_)) => ("405 Method Not Allowed", String::new()),
        _ => ("400 Bad Request", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let body = if request.starts_with(b"HEAD") { "" } else { &text };
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    // What was not read would have the kernel take the answer back: the other end closes first, for a while.
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + PATIENCE;
    while read(&mut stream, &mut [0; LONGEST], until)? > 0 {}
    Ok(())
}

/// The first line of a request, and what came of its header until its end.
fn request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while request.len() < LONGEST && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match read(stream, &mut piece, until)? {
            0 => break,
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
        let address = listener.0.local_addr().unwrap();
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
    fn who_connects_and_says_nothing_holds_up_others_for_a_moment_only() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.0.local_addr().unwrap();
        listener.serve(|| "bindings 0\n# EOF\n".to_owned()).unwrap();
        let _silent = TcpStream::connect(address).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"));
    }
}
