//! One request and its answer: within a time, within a size, and every way to go wrong told apart.

use super::{Access, Auth, Endpoint, Failure, Kind};
use crate::error::{Error, Result, in_words};
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Request, StatusCode, Url, redirect};
use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// Octets of an answer's body, unpacked, that are taken. A page of a thousand ports has 0.4 million, unless somebody keeps
/// much in `extra`.
const LONGEST: usize = 16 << 20;
/// For how long a connection is kept that nothing goes over. Ironic's own server closes it after ten seconds.
const IDLE: Duration = Duration::from_secs(8);

/// Connections, and how they are made.
pub(super) struct Http {
    client: reqwest::Client,
    timeout: Duration,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// What was asked: method and URL without secrets.
    pub what: String,
    /// How it went.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What it says.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, if it is there and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether it is a page for people, whatever it calls itself.
    pub(super) fn is_html(&self) -> bool {
        let says_so = self.header(CONTENT_TYPE.as_str()).is_some_and(|value| value.starts_with("text/html"));
        says_so || self.body.trim_ascii_start().starts_with(b"<")
    }
}

impl Http {
    /// # Errors
    /// The CA file cannot be read or holds no certificates; the system's certificates cannot be read.
    pub(super) fn new(access: &Access) -> Result<Self> {
        // Someone else may have chosen a provider already; that one does, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            // A cache on the way would show the past.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("instances-pxe-filter/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            .connect_timeout(access.timeout)
            .timeout(access.timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .tls_danger_accept_invalid_certs(access.insecure);
        if !access.environment_proxies {
            builder = builder.no_proxy();
        }
        if let Some(path) = &access.ca_file {
            builder = builder.tls_certs_only(certificates(path)?);
        } else if !may_need_tls(access) {
            // The system's certificates take a megabyte.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            let ca_file =
                access.ca_file.as_ref().map_or_else(String::new, |path| format!(" with cafile {}", path.display()));
            let message = format!("cannot prepare TLS{ca_file}: {}", root(&error));
            Error::new(message).remedy("let cafile name certificates in PEM")
        })?;
        Ok(Self { client, timeout: access.timeout })
    }

    /// For making requests.
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Asks. A connection that breaks before the answer begins is made anew once: a server may close one that was idle at the
    /// moment in which we write to it.
    ///
    /// # Errors
    /// No answer, or one that is too long. Whatever the answer says is none.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let what = format!("{} {}", request.method(), shown(request.url()));
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
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&what, &error))? {
            if body.len() + chunk.len() > LONGEST {
                let most = LONGEST >> 20;
                let text = format!("{what}: the answer is longer than {most} MiB; let a page have fewer entries");
                return Err(Failure { kind: Kind::Nonsense, text });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { what, status: response.status(), headers: response.headers().clone(), body })
    }

    /// The failure that an answer's absence is.
    fn broken(&self, what: &str, error: &reqwest::Error) -> Failure {
        let failure = |kind, why: String, remedy: &str| Failure { kind, text: format!("{what}: {why}; {remedy}") };
        if error.is_timeout() {
            let doing = if error.is_connect() { "no connection" } else { "no complete answer" };
            let why = format!("{doing} within {}", seconds(self.timeout));
            return failure(Kind::Timeout, why, "look at the server and the network between");
        }
        if let Some(tls) = tls(error) {
            return failure(Kind::Tls, format!("TLS: {tls}"), remedy_for_tls(tls));
        }
        let why = root(error);
        if error.is_connect() {
            return failure(
                Kind::Unreachable,
                format!("cannot connect: {why}"),
                "is it running, and is the address right?",
            );
        }
        if error.is_decode() && is_packing(error) {
            return failure(
                Kind::Nonsense,
                format!("the answer cannot be unpacked: {why}"),
                "look for a proxy between",
            );
        }
        failure(
            Kind::Unreachable,
            format!("the connection broke: {why}"),
            "look at the server's log or the proxy's between",
        )
    }
}

/// A URL for people: without a user's name and password.
pub(super) fn shown(url: &Url) -> String {
    super::access::without_user(url.as_str())
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>> {
    let file = format!("cafile {}", path.display());
    let pem = fs::read(path).map_err(|error| Error::new(format!("cannot read {file}: {}", in_words(&error))))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Error::new(format!("{file} holds no certificate")).remedy("it must be PEM")),
        Err(error) => Err(Error::new(format!("{file}: {}", root(&error))).remedy("it must be PEM")),
    }
}

/// Whether an URL that we know is HTTPS, or could be one that we learn.
fn may_need_tls(access: &Access) -> bool {
    let https = |url: &str| url.trim_start().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    let endpoint = match &access.endpoint {
        Endpoint::Url(url) => https(url),
        Endpoint::Catalog { .. } => true,
    };
    let keystone = matches!(&access.auth, Auth::Keystone { auth_url, .. } if https(auth_url));
    endpoint || keystone || access.environment_proxies
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
fn root(error: &(dyn StdError + 'static)) -> String {
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

fn remedy_for_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "name the file with the issuer's certificate: cafile"
        }
        rustls::Error::InvalidCertificate(_) => "look at the server's certificate and at both clocks",
        rustls::Error::InvalidMessage(_) => "is it HTTPS that is spoken there?",
        _ => "look at the server's TLS settings: 1.2 and 1.3 are spoken here",
    }
}
