//! One host of the cluster, asked over HTTPS. hyper speaks HTTP; which connection a question takes is decided here, with little ado:
//! hundreds of small questions a minute are most of what the companion does.

use super::access::Access;
use super::tls;
use crate::error::{Error, Result};
use crate::source::http::{Answer, Broken, Doing, Lost, Terms, innermost, reason, shown};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::http::response::Parts;
use hyper::{Request, Response, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tower_service::Service as _;
use url::Url;

/// After which time a connection is used no more that nothing goes over. Proxmox closes it after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// How many of these: two for each of 32 nodes, the most that a cluster has.
const MOST_IDLE: usize = 64;
/// Octets for which there is room from the beginning, if a server says that so many come.
const ROOM: usize = 1 << 20;
/// The path of the API below the host's own.
const BASE: &str = "api2/json";

/// A host of the cluster, and the connections to it.
pub(super) struct Host {
    connector: HttpsConnector<HttpConnector>,
    /// Connections over which nothing goes, and since when; the one that was used last at the end.
    idle: Mutex<Vec<(Connection, Instant)>>,
    /// The URL that is connected to.
    place: Uri,
    /// The path of the API.
    base: String,
    /// Of each request.
    headers: HeaderMap,
    /// The URL for people.
    shown: String,
    terms: Terms,
}

type Connection = SendRequest<Empty<Bytes>>;

impl Host {
    /// Makes ready to ask; asks nothing yet. Whom to believe is TLS's affair.
    ///
    /// # Errors
    /// It is not asked with HTTPS; a token or name that no header can hold.
    pub(super) fn new(url: &Url, access: &Access, config: &rustls::ClientConfig) -> Result<Self> {
        let shown = shown(url).trim_end_matches('/').to_owned();
        if url.scheme() != "https" {
            return Err(Error::new(format!("{shown} is not asked with HTTPS")));
        }
        let place = shown.parse().map_err(|error| Error::new(format!("{shown} is no host: {error}")))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Of a name with several addresses each has its part of it.
        tcp.set_connect_timeout(Some(access.connect_timeout));
        let mut https = HttpsConnectorBuilder::new().with_tls_config(config.clone()).https_only();
        // SNI wants a name (RFC 6066, section 3).
        let name = access.trust.server_name.as_deref().filter(|name| name.parse::<IpAddr>().is_err());
        if let Some(name) = name {
            https = https.with_server_name_resolver(FixedServerNameResolver::new(tls::server_name(name)?));
        }
        let terms = Terms {
            connect_timeout: access.connect_timeout,
            timeout: access.timeout,
            unknown_issuer: "name a file with the issuer's certificate (a cluster's own is /etc/pve/pve-root-ca.pem), \
                             or pin the server's fingerprint",
            too_long: "is this Proxmox?",
        };
        Ok(Self {
            connector: https.enable_http1().wrap_connector(tcp),
            idle: Mutex::default(),
            place,
            base: format!("{}/{BASE}", url.path().trim_end_matches('/')),
            headers: headers(url, name, access)?,
            shown,
            terms,
        })
    }

    /// Its URL, for people.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks for a path of the API, and takes at most `longest` octets of a body, packed or not.
    ///
    /// # Errors
    /// No answer, or one that is too long. Whatever the answer says is none.
    pub(super) async fn ask(&self, path: &str, longest: usize) -> Result<Answer, Broken> {
        let what = format!("GET {}/{BASE}/{path}", self.shown);
        let Ok(exchange) = timeout(self.terms.timeout, self.exchange(path, &what, longest)).await else {
            return Err(self.terms.late(&what, Doing::Asking));
        };
        let (head, mut body) = exchange?;
        let is_packed = head.headers.get(CONTENT_ENCODING).is_some_and(|packing| packing.as_bytes() == b"gzip");
        if is_packed && !body.is_empty() {
            body = unpacked(&body, longest).map_err(|error| self.terms.broken(&what, Doing::Unpacking, &error))?;
        }
        if body.len() > longest {
            return Err(self.terms.too_long(&what, longest));
        }
        Ok(Answer { what, status: head.status, reason: reason(&head.extensions), headers: head.headers, body })
    }

    /// A request and its answer, as it came.
    async fn exchange(&self, path: &str, what: &str, longest: usize) -> Result<(Parts, Vec<u8>), Broken> {
        let (response, connection) = self.response(path, what).await?;
        let (head, mut incoming) = response.into_parts();
        let to_come = |incoming: &Incoming| usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
        let mut body = Vec::with_capacity(to_come(&incoming).min(ROOM));
        loop {
            if to_come(&incoming).saturating_add(body.len()) > longest {
                return Err(self.terms.too_long(what, longest));
            }
            let Some(frame) = incoming.frame().await else { break };
            let frame = frame.map_err(|error| self.terms.broken(what, Doing::Asking, &error))?;
            body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
        self.keep(connection);
        Ok((head, body))
    }

    /// What comes back to a question, whose body is still to come, and over which connection. If one that was idle breaks first, a new
    /// one is made: a server may close it at the moment in which we write to it.
    async fn response(&self, path: &str, what: &str) -> Result<(Response<Incoming>, Connection), Broken> {
        let uri = format!("{}/{path}", self.base).parse::<Uri>();
        let uri = uri.map_err(|error| {
            let text = format!("{what}: {error}");
            Broken { lost: Lost::Nonsense, text, is_connect: false }
        })?;
        let request = || {
            let mut request = Request::new(Empty::new());
            uri.clone_into(request.uri_mut());
            self.headers.clone_into(request.headers_mut());
            request
        };
        if let Some(mut idle) = self.take()
            && idle.ready().await.is_ok()
            && let Ok(response) = idle.send_request(request()).await
        {
            return Ok((response, idle));
        }
        let mut new = self.connect(what).await?;
        let response = new.send_request(request()).await;
        response.map(|response| (response, new)).map_err(|error| self.terms.broken(what, Doing::Asking, &error))
    }

    /// A new connection, TLS and all.
    async fn connect(&self, what: &str) -> Result<Connection, Broken> {
        let mut connector = self.connector.clone();
        let connecting = async {
            poll_fn(|context| connector.poll_ready(context)).await?;
            connector.call(self.place.clone()).await
        };
        let Ok(stream) = timeout(self.terms.connect_timeout, connecting).await else {
            return Err(self.terms.late(what, Doing::Connecting));
        };
        let stream = stream.map_err(|error| {
            let error: &(dyn StdError + 'static) = &*error;
            let is_late = innermost(error).downcast_ref().map(io::Error::kind) == Some(io::ErrorKind::TimedOut);
            let doing = Doing::Connecting;
            if is_late { self.terms.late(what, doing) } else { self.terms.broken(what, doing, error) }
        })?;
        let (connection, work) =
            http1::handshake(stream).await.map_err(|error| self.terms.broken(what, Doing::Connecting, &error))?;
        // It ends with the connection; how is told to whoever has asked.
        tokio::spawn(work);
        Ok(connection)
    }

    /// A connection over which nothing goes, if there is one.
    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((connection, since)) = idle.pop() {
            if since.elapsed() >= IDLE {
                // As are all before it.
                idle.clear();
            } else if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let old = idle.iter().take_while(|(_, since)| since.elapsed() >= IDLE).count();
        idle.drain(..old);
        if idle.len() < MOST_IDLE && !connection.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }
}

/// What goes with each request to a host, who may be known by another name than that of its place.
fn headers(url: &Url, name: Option<&str>, access: &Access) -> Result<HeaderMap> {
    let token = &access.token;
    let mut authorization = HeaderValue::from_str(&format!("PVEAPIToken={}={}", token.id, token.secret))
        .map_err(|_| Error::new("the token's id or secret has characters that no token has").remedy("copy it again"))?;
    authorization.set_sensitive(true);
    let name = name.or(url.host_str()).unwrap_or_default();
    let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let host = HeaderValue::from_str(&host).map_err(|error| Error::new(format!("the host {}: {error}", shown(url))))?;
    Ok(HeaderMap::from_iter([
        (HOST, host),
        (USER_AGENT, HeaderValue::from_static(concat!("instances-proxmox/", env!("CARGO_PKG_VERSION")))),
        (ACCEPT, HeaderValue::from_static("application/json")),
        (ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
        // A cache on the way would show the past.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (AUTHORIZATION, authorization),
    ]))
}

/// What was packed, up to the first octet over `longest`.
fn unpacked(packed: &[u8], longest: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    MultiGzDecoder::new(packed).take(longest as u64 + 1).read_to_end(&mut body)?;
    Ok(body)
}
