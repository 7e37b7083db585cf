//! Proxmox VE's API over HTTPS: one host of the cluster after the other until one answers, which is then asked first.

use super::failure::{self, Failure, Kind};
use super::interfaces::{agent_interfaces, container_interfaces};
use super::{Access, Cluster, Config, Place, Read, Resources, Told, tls};
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result, in_words};
use crate::plan::guest::{self, Sighting};
use crate::source::http::{Answer, Broken, Http, Lost, printable, root, shown};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue};
use reqwest::{Url, redirect};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Octets of a listing's body, unpacked, that are taken: a guest's row has about 500, and there may be 100,000 guests.
const LONGEST_LIST: usize = 64 << 20;
/// The same of anything that concerns one guest, who may have written it.
const LONGEST: usize = 4 << 20;
/// For how long a connection is kept that nothing goes over. Proxmox closes it after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// How many of these: two for each of 32 nodes, the most that a cluster has.
const MOST_IDLE: usize = 64;
/// The path of the API below the host's own.
const BASE: &str = "api2/json";

/// A cluster, asked over HTTPS. After any failure it can be asked again, as often as one likes, and several things at a time.
pub struct Client {
    hosts: Vec<Host>,
    /// The host that answered last.
    current: AtomicUsize,
    secret: String,
    notices: Mutex<Vec<String>>,
}

struct Host {
    http: Http,
    /// Where requests are sent: the host's place, under the name that its certificate is for.
    base: Url,
    /// The same for people.
    shown: String,
}

/// Who can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Any host for itself.
    Any,
    /// The guest's node, for which the host asks.
    Node,
}

impl Client {
    /// Makes ready to ask; asks nothing yet.
    ///
    /// # Errors
    /// What is configured cannot be: no host, a CA file that holds no certificates, a token that no header can hold.
    pub fn new(access: &Access) -> Result<Self> {
        if access.hosts.is_empty() {
            return Err(Error::new("no host of the cluster is named").remedy("set PROXMOX_HOST"));
        }
        let headers = headers(access)?;
        let config = tls::config(&access.trust)?;
        let sni = access.trust.server_name.as_deref().filter(|name| name.parse::<IpAddr>().is_err());
        let host = |url: &Url| Host::new(url, access, sni, headers.clone(), config.clone());
        let blind = (access.trust.is_blind && access.trust.fingerprints.is_empty()).then(|| {
            "nobody looks at the API's certificate: whoever is on the way can read the token; name a CA file or pin a fingerprint \
             instead"
                .to_owned()
        });
        Ok(Self {
            hosts: access.hosts.iter().map(host).collect::<Result<_>>()?,
            current: AtomicUsize::new(0),
            secret: access.token.secret.clone(),
            notices: Mutex::new(blind.into_iter().collect()),
        })
    }

    /// The host that is asked first now, for people.
    pub fn host(&self) -> &str {
        self.hosts.get(self.current.load(Ordering::Relaxed)).map_or("", |host| host.shown.as_str())
    }

    /// Asks one host after the other, beginning with the one that answered last.
    async fn get(&self, path: &str, who: Who, longest: usize) -> Result<Answer, Failure> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        let (later, sooner) = (self.hosts.iter().enumerate().skip(first), self.hosts.iter().enumerate().take(first));
        for (index, host) in later.chain(sooner) {
            match host.ask(path, longest).await {
                Ok(answer) if who == Who::Any && is_hosts_own(answer.status.as_u16()) => {
                    failures.push(failure::refusal(&answer));
                }
                Ok(answer) => {
                    if index != first {
                        self.prefer(index, first, &failures);
                    }
                    return if answer.status.is_success() { Ok(answer) } else { Err(failure::refusal(&answer)) };
                }
                // Another host would wait for the same node, or be told the same at the same length.
                Err(broken) if broken.lost == Lost::Nonsense || (who == Who::Node && is_nodes_own(&broken)) => {
                    return Err(broken.into());
                }
                Err(broken) => failures.push(broken.into()),
            }
        }
        Err(joined(failures))
    }

    /// From now on this host is asked first, unless somebody else has found another meanwhile.
    fn prefer(&self, index: usize, instead_of: usize, failures: &[Failure]) {
        let is_first = self.current.compare_exchange(instead_of, index, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_first && let (Some(host), Some(why)) = (self.hosts.get(index), failures.first()) {
            let text = format!("{} is asked from now on: {why}", host.shown);
            self.notices().push(self.discreet(Failure::new(why.kind, text)).text);
        }
    }

    fn notices(&self) -> MutexGuard<'_, Vec<String>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and reads the answer.
    async fn read<T>(
        &self,
        path: &str,
        who: Who,
        longest: usize,
        read: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, Failure> {
        let answer = self.get(path, who, longest).await.map_err(|failure| self.discreet(failure))?;
        read(&answer.body).map_err(|error| self.discreet(failure::nonsense(&answer, &error)))
    }

    /// A failure that shows no secret, whatever a server sent back to us, and wherever that was cut.
    fn discreet(&self, mut failure: Failure) -> Failure {
        if self.secret.len() > 3 {
            failure.text = failure.text.replace(&self.secret, "***");
            let cuts = (4..self.secret.len()).rev().filter_map(|length| self.secret.get(..length));
            for cut in cuts {
                failure.text = failure.text.replace(&format!("{cut}..."), "***...");
            }
        }
        failure
    }
}

impl Cluster for Client {
    async fn resources(&self) -> Result<Read<Resources>, Failure> {
        self.read("cluster/resources", Who::Any, LONGEST_LIST, super::resources).await
    }

    async fn config(&self, place: &Place) -> Result<Read<Config>, Failure> {
        let path = match place.kind {
            // Without it, what is pending would be told as if it were so.
            guest::Kind::Qemu => format!("{}/config?current=1", place.path()?),
            guest::Kind::Lxc => format!("{}/config", place.path()?),
        };
        self.read(&path, Who::Node, LONGEST, |body| super::config(place.kind, place.vmid, body)).await
    }

    async fn interfaces(&self, place: &Place) -> Result<Told, Failure> {
        let path = place.path()?;
        match place.kind {
            guest::Kind::Qemu => {
                let path = format!("{path}/agent/network-get-interfaces");
                self.read(&path, Who::Node, LONGEST, agent_interfaces).await
            }
            guest::Kind::Lxc => {
                let path = format!("{path}/interfaces");
                self.read(&path, Who::Node, LONGEST, container_interfaces).await.map(Told::Interfaces)
            }
        }
    }

    async fn ipam(&self, at: Moment) -> Result<Read<Vec<Sighting>>, Failure> {
        self.read("cluster/sdn/ipams/pve/status", Who::Any, LONGEST_LIST, |body| super::ipam(body, at)).await
    }

    fn notices(&self) -> Vec<String> {
        std::mem::take(&mut Self::notices(self))
    }
}

impl Host {
    fn new(
        url: &Url,
        access: &Access,
        sni: Option<&str>,
        headers: HeaderMap,
        config: rustls::ClientConfig,
    ) -> Result<Self> {
        let shown = shown(url).trim_end_matches('/').to_owned();
        let mut base = url.clone();
        base.set_path(&format!("{}/{BASE}", url.path().trim_end_matches('/')));
        if url.scheme() != "https" {
            return Err(Error::new(format!("{shown} is not asked with HTTPS")));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("instances-proxmox/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(access.connect_timeout)
            .timeout(access.timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .tls_backend_preconfigured(config);
        if let Some(name) = sni {
            // SNI is the URL's host (RFC 6066, section 3, wants a name): the name is asked for at the host's address.
            let place = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            base.set_host(Some(name))
                .map_err(|error| Error::new(format!("server name {}: {error}", printable(name))))?;
            builder = builder.dns_resolver(At(place));
        }
        let client =
            builder.build().map_err(|error| Error::new(format!("cannot prepare TLS for {shown}: {}", root(&error))))?;
        let http = Http {
            client,
            connect_timeout: access.connect_timeout,
            timeout: access.timeout,
            unknown_issuer: "name a file with the issuer's certificate (a cluster's own is /etc/pve/pve-root-ca.pem), \
                             or pin the server's fingerprint",
            too_long: "is this Proxmox?",
        };
        Ok(Self { http, base, shown })
    }

    async fn ask(&self, path: &str, longest: usize) -> Result<Answer, Broken> {
        let what = format!("GET {}/{BASE}/{path}", self.shown);
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path()));
        url.set_query(query);
        match self.http.client.get(url).build() {
            Ok(request) => self.http.send(request, what, longest).await,
            Err(error) => {
                let text = format!("{what}: {}", root(&error));
                Err(Broken { lost: Lost::Nonsense, text, is_connect: false })
            }
        }
    }
}

/// A resolver for which every name is at the same place.
struct At(String);

impl Resolve for At {
    fn resolve(&self, _: Name) -> Resolving {
        let place = self.0.clone();
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((place.as_str(), 0)).await.map_err(|error| in_words(&error))?;
            let addresses: Vec<SocketAddr> = addresses.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn headers(access: &Access) -> Result<HeaderMap> {
    let token = &access.token;
    let mut authorization = HeaderValue::from_str(&format!("PVEAPIToken={}={}", token.id, token.secret))
        .map_err(|_| Error::new("the token's id or secret has characters that no token has").remedy("copy it again"))?;
    authorization.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json")),
        // A cache on the way would show the past.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (AUTHORIZATION, authorization),
    ]))
}

/// Whether the host that was asked itself is in trouble, or a proxy before it.
fn is_hosts_own(status: u16) -> bool {
    matches!(status, 502..=504 | 595 | 596 | 599)
}

/// Whether the trouble may be that of the node for which the host asks.
fn is_nodes_own(broken: &Broken) -> bool {
    broken.lost == Lost::Timeout && !broken.is_connect
}

/// What became of all hosts.
fn joined(failures: Vec<Failure>) -> Failure {
    let kind = failures.first().map_or(Kind::Unreachable, |failure| failure.kind);
    let texts: Vec<_> = failures.into_iter().map(|failure| failure.text).collect();
    Failure { kind, text: texts.join("; and ") }
}
