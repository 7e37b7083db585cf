//! As much of HTTP/1.1 as simulators need.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each simulator uses its part"
)]

use std::fmt::Write as _;
use std::io::{self, Read, Write};

/// A request.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The next one; none at the end, or if it is no request.
    pub fn read(from: &mut impl Read) -> Option<Self> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > 65_536 || from.read_exact(&mut byte).is_err() {
                return None;
            }
            if head.is_empty() && !byte[0].is_ascii_uppercase() {
                // No method begins so: TLS, perhaps.
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).ok()?;
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let headers = lines.filter_map(header).collect();
        let mut request = Self { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() };
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        request.body = vec![0; length];
        from.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's values, in order.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        self.query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
    }

    /// The same with another value of a parameter, or without it.
    pub fn with_parameter(&self, name: &str, value: Option<&str>) -> Self {
        let other = |pair: &&str| !pair.starts_with(&format!("{name}="));
        let new = value.map(|value| format!("{name}={value}"));
        let pairs: Vec<_> = self.query.split('&').filter(other).map(str::to_owned).chain(new).collect();
        Self { query: pairs.join("&"), ..self.clone() }
    }

    /// The same without a header.
    pub fn without_header(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(known, _)| known != name);
        other
    }

    pub fn seen(&self) -> Seen {
        let path = if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) };
        let body = String::from_utf8_lossy(&self.body).into_owned();
        Seen { method: self.method.clone(), path, headers: self.headers.clone(), body }
    }
}

/// `%20` and `+` are blanks.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut index = 0;
    while index < bytes.len() {
        let hexadecimal = text.get(index + 1..index + 3).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[index], hexadecimal) {
            (b'%', Some(byte)) => {
                out.push(byte);
                index += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Instead of the usual words.
    pub reason: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Self { status, reason: None, headers, body: body.into() }
    }

    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// The same in other words.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Everything before the body.
    pub fn head(&self, length: usize) -> String {
        let reason = match self.status {
            200 => "OK",
            201 => "Created",
            301 => "Moved Permanently",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            _ => "Other",
        };
        let reason = self.reason.as_deref().unwrap_or(reason);
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {length}\r\n\r\n");
        head
    }

    /// Sends it, packed if the client can unpack it and it is worth while (as a proxy before Ironic does). Gives its length.
    pub fn send(self, request: &Request, to: &mut impl Write) -> io::Result<u64> {
        let can_unpack = request.header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip"));
        let wants = self.headers.iter().any(|(name, _)| name == "Simulated-Gzip");
        let mut answer = self;
        answer.headers.retain(|(name, _)| name != "Simulated-Gzip");
        if wants && can_unpack {
            answer = answer.packed();
        }
        let mut bytes = answer.head(answer.body.len()).into_bytes();
        if request.method != "HEAD" {
            bytes.extend_from_slice(&answer.body);
        }
        to.write_all(&bytes)?;
        to.flush()?;
        Ok(bytes.len() as u64)
    }

    pub fn packed(mut self) -> Self {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&self.body).unwrap();
        self.body = packer.finish().unwrap();
        self.header("Content-Encoding", "gzip")
    }
}
