//! Requests to Ironic and to Keystone, and their answers.

use super::{Access, Auth, Endpoint, Failure, Kind};
use crate::error::{Error, Result, in_words};
use crate::source::http::{self, Lost, root};
pub(super) use crate::source::http::{Answer, shown};
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue};
use reqwest::{Certificate, Request, redirect};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Octets of an answer's body, unpacked, that are taken. A page of a thousand ports has 0.4 million, unless somebody keeps
/// much in `extra`.
const LONGEST: usize = 16 << 20;
/// For how long a connection is kept that nothing goes over. Ironic's own server closes it after ten seconds.
const IDLE: Duration = Duration::from_secs(8);

/// Connections, and how they are made.
pub(super) struct Http(http::Http);

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
        Ok(Self(http::Http {
            client,
            connect_timeout: access.timeout,
            timeout: access.timeout,
            unknown_issuer: "name the file with the issuer's certificate: cafile",
            too_long: "let a page have fewer entries",
        }))
    }

    /// For making requests.
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.0.client
    }

    /// Asks.
    ///
    /// # Errors
    /// No answer, or one that is too long. Whatever the answer says is none.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let what = format!("{} {}", request.method(), shown(request.url()));
        self.0.send(request, what, LONGEST).await.map_err(|broken| {
            let kind = match broken.lost {
                Lost::Unreachable => Kind::Unreachable,
                Lost::Timeout => Kind::Timeout,
                Lost::Tls => Kind::Tls,
                Lost::Nonsense => Kind::Nonsense,
            };
            Failure { kind, text: broken.text }
        })
    }
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
