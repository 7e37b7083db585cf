//! One request and its answer: within a time, within a size, and every way to go wrong told apart. What an answer says is for
//! whoever asked.

use crate::error::in_words;
use hyper::ext::ReasonPhrase;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Request, Response, StatusCode, Url};
use rustls::CertificateError;
use std::error::Error as StdError;
use std::io;
use std::time::Duration;

/// Characters of what a server says that are passed on.
const LONGEST_WORDS: usize = 300;

/// What becomes of a client's requests.
pub(crate) struct Http {
    /// Makes connections, and keeps them.
    pub client: reqwest::Client,
    /// For how long it tries to connect, for the text.
    pub connect_timeout: Duration,
    /// For how long it waits altogether, for the text.
    pub timeout: Duration,
    /// What to do about an issuer of certificates that nobody knows here.
    pub unknown_issuer: &'static str,
    /// What to do about an answer that is too long.
    pub too_long: &'static str,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// No connection, or one that broke.
    Unreachable,
    /// Not in time.
    Timeout,
    /// The certificate, or TLS at all.
    Tls,
    /// It cannot be unpacked, or is too long.
    Nonsense,
}

/// That no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Why.
    pub lost: Lost,
    /// The same with what was asked and what to do.
    pub text: String,
    /// Whether there was no connection even.
    pub is_connect: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked: method and URL without secrets.
    pub what: String,
    /// How it went.
    pub status: StatusCode,
    /// How it went in the server's own words, if they are others than the usual ones.
    pub reason: Option<String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// What it says.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether it is a page for people, whatever it calls itself.
    pub(crate) fn is_html(&self) -> bool {
        let says_so = self.header(CONTENT_TYPE.as_str()).is_some_and(|value| value.starts_with("text/html"));
        says_so || self.body.trim_ascii_start().starts_with(b"<")
    }
}

impl Http {
    /// Asks for `what` (method and URL without secrets), and takes at most `longest` octets of a body, unpacked. A connection that
    /// breaks before the answer begins is made anew once: a server may close one that was idle at the moment in which we write to
    /// it.
    ///
    /// # Errors
    /// No answer, or one that is too long. Whatever the answer says is none.
    pub(crate) async fn send(&self, request: Request, what: String, longest: usize) -> Result<Answer, Broken> {
        let again = request.try_clone();
        let mut sent = self.client.execute(request).await;
        if let (Err(error), Some(again)) = (&sent, again)
            && error.is_request()
            && !error.is_timeout()
            && !error.is_connect()
        {
            sent = self.client.execute(again).await;
        }
        let mut response = sent.map_err(|error| self.broken(&what, &error))?;
        let mut body = Vec::new();
        let is_too_long = |length: u64| length > longest as u64;
        let mut has_end = !response.content_length().is_some_and(is_too_long);
        while has_end && let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&what, &error))? {
            has_end = !is_too_long((body.len() + chunk.len()) as u64);
            body.extend_from_slice(&chunk);
        }
        if !has_end {
            let (most, remedy) = (longest >> 20, self.too_long);
            let text = format!("{what}: the answer is longer than {most} MiB; {remedy}");
            return Err(Broken { lost: Lost::Nonsense, text, is_connect: false });
        }
        let (status, reason) = (response.status(), reason(&response));
        Ok(Answer { what, status, reason, headers: response.headers().clone(), body })
    }

    /// The failure that an answer's absence is.
    fn broken(&self, what: &str, error: &reqwest::Error) -> Broken {
        let is_connect = error.is_connect();
        let failure =
            |lost, why: String, remedy: &str| Broken { lost, text: format!("{what}: {why}; {remedy}"), is_connect };
        if error.is_timeout() {
            let (doing, time) =
                if is_connect { ("no connection", self.connect_timeout) } else { ("no complete answer", self.timeout) };
            let why = format!("{doing} within {}", seconds(time));
            return failure(Lost::Timeout, why, "look at the server and the network between");
        }
        if let Some(tls) = tls(error) {
            let why = match tls {
                rustls::Error::InvalidCertificate(CertificateError::Other(other)) => other.0.to_string(),
                tls => tls.to_string(),
            };
            return failure(Lost::Tls, format!("TLS: {why}"), self.remedy_for_tls(tls));
        }
        let why = root(error);
        if is_connect {
            return failure(
                Lost::Unreachable,
                format!("cannot connect: {why}"),
                "is it running, and is the address right?",
            );
        }
        if error.is_decode() && is_packing(error) {
            return failure(
                Lost::Nonsense,
                format!("the answer cannot be unpacked: {why}"),
                "look for a proxy between",
            );
        }
        failure(
            Lost::Unreachable,
            format!("the connection broke: {why}"),
            "look at the server's log or the proxy's between",
        )
    }

    fn remedy_for_tls(&self, error: &rustls::Error) -> &'static str {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => self.unknown_issuer,
            rustls::Error::InvalidCertificate(CertificateError::Other(_)) => {
                "if the certificate was renewed, pin the new one; if not, somebody else answers"
            }
            rustls::Error::InvalidCertificate(_) => "look at the server's certificate and at both clocks",
            rustls::Error::InvalidMessage(_) => "is it HTTPS that is spoken there?",
            _ => "look at the server's TLS settings: 1.2 and 1.3 are spoken here",
        }
    }
}

/// What a server says instead of the usual words for a status.
fn reason(response: &Response) -> Option<String> {
    let reason = response.extensions().get::<ReasonPhrase>()?;
    let text = printable(&String::from_utf8_lossy(reason.as_bytes()));
    (!text.is_empty()).then_some(text)
}

/// A URL for people: without a user's name and password.
pub(crate) fn shown(url: &Url) -> String {
    without_user(url.as_str())
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

/// A URL without `user:password@`, whether or not it is a legal one.
pub(crate) fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

/// What all the errors around it come from.
fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// The same, in the system's words.
pub(crate) fn root(error: &(dyn StdError + 'static)) -> String {
    let innermost = innermost(error);
    innermost.downcast_ref::<io::Error>().map_or_else(|| innermost.to_string(), in_words)
}

/// Whether it is what a body was packed into that makes no sense. reqwest says "decode" of a body that broke off, too.
fn is_packing(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput};
    let kind = innermost(error).downcast_ref().map(io::Error::kind);
    kind.is_some_and(|kind| matches!(kind, InvalidData | InvalidInput))
}

/// The error of TLS that it comes from, if it does. An `io::Error` hides what it was made of from `source`.
fn tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner: Option<&'a (dyn StdError + Send + Sync + 'static)> =
            error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref())) {
            return Some(found);
        }
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// One line, nothing that a terminal or a log could take for more than text, and not too long.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::new();
    for (index, character) in text.split_whitespace().collect::<Vec<_>>().join(" ").chars().enumerate() {
        if index == LONGEST_WORDS {
            line.push_str("...");
            break;
        }
        match character {
            '"' | '\'' | '\\' => line.push(character),
            _ => line.extend(character.escape_debug()),
        }
    }
    line
}
