//! OpenStack Ironic's API: which ports there are, and which nodes are under inspection.
//!
//! [`Baremetal`] is what a filter asks; [`Client`] asks it over HTTP.

use crate::plan::pxe_access::{Node, Port};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Where the API is and how one gets in, as configured.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Where.
    pub endpoint: Endpoint,
    /// As whom.
    pub auth: Auth,
    /// A file of certificates (PEM) to trust instead of the system's: `cafile`.
    pub ca_file: Option<PathBuf>,
    /// Whether certificates are not looked at: `insecure`.
    pub insecure: bool,
    /// For how long one connection is tried, and one answer waited for altogether.
    pub timeout: Duration,
    /// The most ports or nodes of one page; Ironic may give fewer.
    pub page_size: u32,
}

/// Where the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// At this URL: `endpoint_override`.
    Url(String),
    /// Where Keystone's catalogue says.
    Catalog {
        /// `service_type`, `baremetal`.
        service_type: String,
        /// `service_name`.
        service_name: Option<String>,
        /// `region_name`.
        region: Option<String>,
        /// `valid_interfaces`, those to be preferred first: `internal`, `public`.
        interfaces: Vec<String>,
    },
}

/// As whom the API is asked.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// Nobody: `auth_type = none`.
    None,
    /// HTTP Basic (RFC 7617): `auth_type = http_basic`.
    HttpBasic {
        /// `username`.
        username: String,
        /// `password`.
        password: String,
    },
    /// Keystone, Identity API v3: `auth_type = password` and the like.
    Keystone {
        /// `auth_url`, with or without `/v3`.
        auth_url: String,
        /// How it knows us.
        identity: Identity,
        /// What the token is for.
        scope: Scope,
    },
}

/// How Keystone knows us.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A user's password.
    Password {
        /// `username`, or `user_id`.
        user: Named,
        /// `password`.
        password: String,
    },
    /// `auth_type = v3applicationcredential`.
    ApplicationCredential {
        /// `application_credential_id`, or `_name` with the user whose it is.
        credential: Named,
        /// Whose, if it is given by name.
        user: Option<Named>,
        /// `application_credential_secret`.
        secret: String,
    },
}

/// Something of Keystone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its id.
    Id(String),
    /// By its name, in a domain. Domains themselves and application credentials have none around them.
    Name {
        /// The name.
        name: String,
        /// The domain's id or name.
        domain: Option<Domain>,
    },
}

/// A domain of Keystone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String),
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Nothing is said: what the user has by default, or an application credential's own project.
    Default,
    /// `project_name`, `project_id`.
    Project(Named),
    /// `domain_name`, `domain_id`.
    Domain(Domain),
    /// `system_scope = all`.
    System,
}

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
    /// Not what the API says: HTML, half a JSON, pages that go in circles.
    Nonsense,
}

/// Without secrets, for they end up in logs.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("endpoint", &self.endpoint)
            .field("auth", &self.auth)
            .field("ca_file", &self.ca_file)
            .field("insecure", &self.insecure)
            .field("timeout", &self.timeout)
            .field("page_size", &self.page_size)
            .finish()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::HttpBasic { username, .. } => {
                f.debug_struct("HttpBasic").field("username", username).finish_non_exhaustive()
            }
            Self::Keystone { auth_url, identity, scope } => f
                .debug_struct("Keystone")
                .field("auth_url", auth_url)
                .field("identity", identity)
                .field("scope", scope)
                .finish(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => f.debug_struct("Password").field("user", user).finish_non_exhaustive(),
            Self::ApplicationCredential { credential, user, .. } => f
                .debug_struct("ApplicationCredential")
                .field("credential", credential)
                .field("user", user)
                .finish_non_exhaustive(),
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
    /// The last one's UUID, behind which the next page begins; none if this was the last page.
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
}
