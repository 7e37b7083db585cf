//! Proxmox VE's API: one host of the cluster after the other until one answers, which is then asked first.

use super::failure::{self, Failure, Kind};
use super::https::Host;
use super::interfaces::{agent_interfaces, container_interfaces};
use super::{Access, Cluster, Config, Place, Read, Resources, Told, tls};
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result};
use crate::plan::guest::{self, Sighting};
use crate::source::http::{Answer, Broken, Lost};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Octets of a listing's body, unpacked, that are taken: a guest's row has about 500, and there may be 100,000 guests.
const LONGEST_LIST: usize = 64 << 20;
/// The same of anything that concerns one guest, who may have written it.
const LONGEST: usize = 4 << 20;

/// A cluster, asked over HTTPS. After any failure it can be asked again, as often as one likes, and several things at a time.
pub struct Client {
    hosts: Vec<Host>,
    /// The host that answered last.
    current: AtomicUsize,
    secret: String,
    notices: Mutex<Vec<String>>,
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
        let config = tls::config(&access.trust)?;
        let blind = (access.trust.is_blind && access.trust.fingerprints.is_empty()).then(|| {
            "nobody looks at the API's certificate: whoever is on the way can read the token; name a CA file or pin a fingerprint \
             instead"
                .to_owned()
        });
        Ok(Self {
            hosts: access.hosts.iter().map(|url| Host::new(url, access, &config)).collect::<Result<_>>()?,
            current: AtomicUsize::new(0),
            secret: access.token.secret.clone(),
            notices: Mutex::new(blind.into_iter().collect()),
        })
    }

    /// The host that is asked first now, for people.
    pub fn host(&self) -> &str {
        self.hosts.get(self.current.load(Ordering::Relaxed)).map_or("", Host::shown)
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
            let text = format!("{} is asked from now on: {why}", host.shown());
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

    /// The same of an answer in parts.
    async fn read_parts<T>(
        &self,
        path: &str,
        who: Who,
        longest: usize,
        read: impl FnOnce(&[u8]) -> Result<Read<T>, serde_json::Error>,
    ) -> Result<Read<T>, Failure> {
        let mut read = self.read(path, who, longest, read).await?;
        for refused in &mut read.refused {
            self.hide_secret(&mut refused.field);
            self.hide_secret(&mut refused.why);
        }
        Ok(read)
    }

    /// A failure that shows no secret, whatever a server sent back to us.
    fn discreet(&self, mut failure: Failure) -> Failure {
        self.hide_secret(&mut failure.text);
        failure
    }

    /// Takes the secret out of a text, wherever that was cut.
    fn hide_secret(&self, text: &mut String) {
        if self.secret.len() > 3 {
            *text = text.replace(&self.secret, "***");
            let cuts = (4..self.secret.len()).rev().filter_map(|length| self.secret.get(..length));
            for cut in cuts {
                *text = text.replace(&format!("{cut}..."), "***...");
            }
        }
    }
}

impl Cluster for Client {
    async fn resources(&self) -> Result<Read<Resources>, Failure> {
        self.read_parts("cluster/resources", Who::Any, LONGEST_LIST, super::resources).await
    }

    async fn config(&self, place: &Place) -> Result<Read<Config>, Failure> {
        let path = match place.kind {
            // Without it, what is pending would be told as if it were so.
            guest::Kind::Qemu => format!("{}/config?current=1", place.path()?),
            guest::Kind::Lxc => format!("{}/config", place.path()?),
        };
        self.read_parts(&path, Who::Node, LONGEST, |body| super::config(place.kind, place.vmid, body)).await
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
        self.read_parts("cluster/sdn/ipams/pve/status", Who::Any, LONGEST_LIST, |body| super::ipam(body, at)).await
    }

    fn notices(&self) -> Vec<String> {
        std::mem::take(&mut Self::notices(self))
    }
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
