//! How a running filter is: told to `--status` at a socket that is named after the folder, for there is one filter to a folder.

use crate::error::{Error, Result, in_words};
use crate::net::Mac;
use crate::plan::pxe_access::Access;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(1);
/// Octets of the longest status that is read.
const LONGEST: u64 = 64 << 20;

/// How a filter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started: SystemTime,
    /// The last complete comparison.
    pub last_sync: Option<SystemTime>,
    /// Everybody is denied, since nothing is known yet.
    pub denies_all: bool,
    /// Ironic's last answer.
    pub last_answer: Option<SystemTime>,
    /// Why Ironic does not answer.
    pub failure: Option<String>,
    /// Why the folder cannot be written.
    pub folder_failure: Option<String>,
    /// MAC addresses of ports.
    pub ports: usize,
    /// What all others are answered.
    pub unknown: Option<Access>,
    /// The nodes under inspection.
    pub inspected: Vec<NodeStatus>,
    /// MAC addresses that nodes do not agree about.
    pub disputed: Vec<Mac>,
    /// Files that are not the filter's.
    pub foreign: usize,
}

/// A node under inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name in the API.
    pub uuid: Uuid,
    /// Its name for people.
    pub name: Option<String>,
    /// Its ports' MAC addresses.
    pub ports: Vec<Mac>,
}

impl Status {
    /// Of a filter that has just begun.
    pub fn new() -> Self {
        Self {
            pid: std::process::id(),
            started: SystemTime::now(),
            last_sync: None,
            denies_all: false,
            last_answer: None,
            failure: None,
            folder_failure: None,
            ports: 0,
            unknown: None,
            inspected: Vec::new(),
            disputed: Vec::new(),
            foreign: 0,
        }
    }

    /// As JSON. Times are seconds since 1970.
    pub fn json(&self) -> serde_json::Value {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let texts = |macs: &[Mac]| macs.iter().map(Mac::to_string).collect::<Vec<_>>();
        let nodes = self.inspected.iter().map(
            |node| serde_json::json!({"uuid": node.uuid.to_string(), "name": node.name, "ports": texts(&node.ports)}),
        );
        serde_json::json!({
            "pid": self.pid,
            "started": seconds(self.started),
            "last_sync": self.last_sync.map(seconds),
            "denies_all": self.denies_all,
            "last_answer": self.last_answer.map(seconds),
            "failure": self.failure,
            "folder_failure": self.folder_failure,
            "ports": self.ports,
            "unknown": self.unknown.map(|access| access.to_string()),
            "inspected": nodes.collect::<Vec<_>>(),
            "disputed": texts(&self.disputed),
            "foreign_files": self.foreign,
        })
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the filter of this folder is asked: in the abstract namespace of unix(7), so of one network namespace.
fn address(folder: &Path) -> Result<SocketAddr> {
    let mut hasher = DefaultHasher::new();
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).hash(&mut hasher);
    SocketAddr::from_abstract_name(format!("instances-pxe-filter-{:016x}", hasher.finish()))
        .map_err(|error| Error::new(format!("cannot name the socket for --status: {}", in_words(&error))))
}

/// What a filter tells.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<String>>);

impl Board {
    /// Tells this from now on.
    pub fn put(&self, status: &Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status.json().to_string();
    }

    /// Tells everybody who asks, in a thread that ends with the process.
    ///
    /// # Errors
    /// Somebody has the socket's name already, or no thread can be had.
    pub fn serve(&self, folder: &Path) -> Result<()> {
        let failed = |error| Error::new(format!("--status cannot be answered: {}", in_words(&error)));
        let listener = UnixListener::bind_addr(&address(folder)?).map_err(failed)?;
        let board = self.clone();
        let serve = move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else {
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                };
                let text = board.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Whoever asked may be gone.
                let _ = stream.set_write_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(text.as_bytes()));
            }
        };
        std::thread::Builder::new().name("status".to_owned()).spawn(serve).map(drop).map_err(failed)
    }
}

/// What the running filter of this folder says of itself; nothing if there is none, or not in this network namespace.
pub fn ask(folder: &Path) -> Option<serde_json::Value> {
    let mut stream = UnixStream::connect_addr(&address(folder).ok()?).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = String::new();
    Read::take(&mut stream, LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(ask(folder), None);
        let board = Board::default();
        board.serve(folder).unwrap();
        let mut status = Status { failure: Some("down".to_owned()), ..Status::new() };
        for ports in [1, 2] {
            status.ports = ports;
            board.put(&status);
            assert_eq!(ask(folder), Some(status.json()));
        }
        assert!(board.serve(folder).is_err());
    }
}
