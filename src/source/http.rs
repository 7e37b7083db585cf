//! A request's answer, or every way in which there is none, told apart. What an answer says is for whoever asked.

use crate::error::in_words;
use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::http::Extensions;
use rustls::CertificateError;
use std::error::Error as StdError;
use std::io;
use std::time::Duration;
use url::Url;

/// Characters of what a server says that are passed on.
const LONGEST_WORDS: usize = 300;

/// The terms on which servers are asked, for what is said when they are not kept.
pub(crate) struct Terms {
    /// For how long a connection is tried.
    pub connect_timeout: Duration,
    /// For how long an answer is waited for altogether.
    pub timeout: Duration,
    /// What to do about an issuer of certificates that nobody knows here.
    pub unknown_issuer: &'static str,
    /// What to do about an answer that is too long.
    pub too_long: &'static str,
}

/// What was being done when it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// A connection was made.
    Connecting,
    /// Its answer was waited for, or read.
    Asking,
    /// The answer's body was unpacked.
    Unpacking,
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

impl Terms {
    /// What it means that there was no answer in time.
    pub(crate) fn late(&self, what: &str, doing: Doing) -> Broken {
        let (missing, time) = match doing {
            Doing::Connecting => ("no connection", self.connect_timeout),
            Doing::Asking | Doing::Unpacking => ("no complete answer", self.timeout),
        };
        let why = format!("{missing} within {}", seconds(time));
        Broken::new(what, doing, Lost::Timeout, &why, "look at the server and the network between")
    }

    /// What it means that an answer has more than `longest` octets.
    pub(crate) fn too_long(&self, what: &str, longest: usize) -> Broken {
        let why = format!("the answer is longer than {} MiB", longest >> 20);
        Broken::new(what, Doing::Asking, Lost::Nonsense, &why, self.too_long)
    }

    /// What an error means other than that time was up.
    pub(crate) fn broken(&self, what: &str, doing: Doing, error: &(dyn StdError + 'static)) -> Broken {
        let failure = |lost, why: &str, remedy| Broken::new(what, doing, lost, why, remedy);
        if let Some(tls) = tls(error) {
            let why = match tls {
                rustls::Error::InvalidCertificate(CertificateError::Other(other)) => other.0.to_string(),
                tls => tls.to_string(),
            };
            return failure(Lost::Tls, &format!("TLS: {why}"), self.remedy_for_tls(tls));
        }
        let why = root(error);
        let (lost, whence, remedy) = match doing {
            Doing::Connecting => (Lost::Unreachable, "cannot connect", "is it running, and is the address right?"),
            Doing::Asking => {
                let remedy = "look at the server's log or the proxy's between";
                (Lost::Unreachable, "the connection broke", remedy)
            }
            Doing::Unpacking => (Lost::Nonsense, "the answer cannot be unpacked", "look for a proxy between"),
        };
        failure(lost, &format!("{whence}: {why}"), remedy)
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

impl Broken {
    fn new(what: &str, doing: Doing, lost: Lost, why: &str, remedy: &str) -> Self {
        Self { lost, text: format!("{what}: {why}; {remedy}"), is_connect: doing == Doing::Connecting }
    }
}

/// What a server says instead of the usual words for a status; hyper keeps that with a response.
pub(crate) fn reason(response: &Extensions) -> Option<String> {
    let reason = response.get::<ReasonPhrase>()?;
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
pub(crate) fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
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
