//! Requests to Ironic and to Keystone, and their answers.

use super::{Access, Auth, Endpoint, Failure, Kind};
use crate::error::{Error, Result, in_words};
pub(super) use crate::source::http::{Answer, shown};
use crate::source::http::{Broken, Doing, Lost, Terms, innermost, reason, root};
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue};
use reqwest::{Certificate, Request, redirect};
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
    terms: Terms,
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
        let terms = Terms {
            connect_timeout: access.timeout,
            timeout: access.timeout,
            unknown_issuer: "name the file with the issuer's certificate: cafile",
            too_long: "let a page have fewer entries",
        };
        Ok(Self { client, terms })
    }

    /// For making requests.
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Asks. A connection that breaks before the answer begins is made anew once: a server may close one that was idle at the moment
    /// in which we write to it.
    ///
    /// # Errors
    /// No answer, or one that is too long. Whatever the answer says is none.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let what = format!("{} {}", request.method(), shown(request.url()));
        self.exchange(request, what).await.map_err(|broken| {
            let kind = match broken.lost {
                Lost::Unreachable => Kind::Unreachable,
                Lost::Timeout => Kind::Timeout,
                Lost::Tls => Kind::Tls,
                Lost::Nonsense => Kind::Nonsense,
            };
            Failure { kind, text: broken.text }
        })
    }

    async fn exchange(&self, request: Request, what: String) -> Result<Answer, Broken> {
        let again = request.try_clone();
        let mut sent = self.client.execute(request).await;
        if let (Err(error), Some(again)) = (&sent, again)
            && error.is_request()
            && !error.is_timeout()
            && !error.is_connect()
        {
            sent = self.client.execute(again).await;
        }
        let broken = |error: reqwest::Error| self.broken(&what, &error);
        let mut response = sent.map_err(broken)?;
        let mut body = Vec::new();
        let is_too_long = |length: u64| length > LONGEST as u64;
        let mut has_end = !response.content_length().is_some_and(is_too_long);
        while has_end && let Some(chunk) = response.chunk().await.map_err(broken)? {
            has_end = !is_too_long((body.len() + chunk.len()) as u64);
            body.extend_from_slice(&chunk);
        }
        if !has_end {
            return Err(self.terms.too_long(&what, LONGEST));
        }
        let (status, reason) = (response.status(), reason(response.extensions()));
        Ok(Answer { what, status, reason, headers: response.headers().clone(), body })
    }

    fn broken(&self, what: &str, error: &reqwest::Error) -> Broken {
        let doing = match error {
            error if error.is_connect() => Doing::Connecting,
            error if error.is_decode() && is_packing(error) => Doing::Unpacking,
            _ => Doing::Asking,
        };
        if error.is_timeout() { self.terms.late(what, doing) } else { self.terms.broken(what, doing, error) }
    }
}

/// Whether it is what a body was packed into that makes no sense. reqwest says "decode" of a body that broke off, too.
fn is_packing(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput};
    let kind = innermost(error).downcast_ref().map(io::Error::kind);
    kind.is_some_and(|kind| matches!(kind, InvalidData | InvalidInput))
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
