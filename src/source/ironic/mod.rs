//! OpenStack Ironic's API: which ports there are, and which nodes are under inspection.
//!
//! [`Baremetal`] is what a filter asks; [`Client`] asks it over HTTP, [`Memory`] is its twin for tests. What is not as the API
//! says becomes a [`Failure`] or is named in [`Ports::refused`]: past here every port and node is legal.

mod access;
mod client;
mod explain;
mod http;
mod keystone;
mod listing;
mod memory;
mod time;
mod version;
mod wire;

pub use super::backoff::Backoff;
pub use access::{Access, Auth, Domain, Endpoint, Identity, Named, Scope};
pub use client::Client;
pub use memory::{Asked, Memory};
pub use version::Version;

use crate::plan::pxe_access::{Node, Port};
use std::fmt;
use std::future::Future;
use uuid::Uuid;

/// What kept an answer from us, for a metric's label and for whoever decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No connection, or one that broke.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The certificate, or TLS at all.
    Tls,
    /// 401: not let in, or Keystone does not know us.
    Unauthorized,
    /// 403: let in, but this is not for us.
    Forbidden,
    /// 404 for the marker of a page: that port or node was deleted meanwhile. Start over.
    MarkerGone,
    /// 404 for anything else.
    NotFound,
    /// 406: no version of the API that both know has what we need.
    Version,
    /// 5xx, 429.
    Server,
    /// Not what the API says: HTML, half a JSON, pages that go in circles, our request refused as a bad one.
    Nonsense,
}

impl Kind {
    /// One word, for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::MarkerGone => "marker_gone",
            Self::NotFound => "not_found",
            Self::Version => "version",
            Self::Server => "server",
            Self::Nonsense => "nonsense",
        }
    }
}

/// Why an answer did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of what kind.
    pub kind: Kind,
    /// What was asked (method and URL without secrets), what came, and what to do, for a person.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Ports, and what could not be one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// Those that make sense.
    pub ports: Vec<Port>,
    /// Those that do not, for people: which port, and why.
    pub refused: Vec<String>,
}

/// Ports of a listing, and where it goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What it holds.
    pub ports: Ports,
    /// The last one's UUID, behind which the next page begins; none if this was the last page, which is an empty one: Ironic
    /// leaves out ports of nodes that were just deleted and then says that the page, not being full, is the last.
    pub next: Option<Uuid>,
}

/// What a filter asks Ironic.
pub trait Baremetal {
    /// A page of all ports: the first, or that behind the port `marker`.
    fn ports(&mut self, marker: Option<Uuid>) -> impl Future<Output = Result<Page, Failure>>;

    /// All ports of a node. One that does not exist (any more) has none.
    fn ports_of(&mut self, node: Uuid) -> impl Future<Output = Result<Ports, Failure>>;

    /// The nodes in the provision states `inspecting` and `inspect wait`.
    fn nodes_under_inspection(&mut self) -> impl Future<Output = Result<Vec<Node>, Failure>>;

    /// What people should know since this was asked last: an old version of the API, certificates that nobody looks at.
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}
