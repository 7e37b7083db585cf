//! Where the API is and how one gets in. What is secret shows nowhere: `Debug` leaves it out.

use crate::source::http::without_user;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Whether `http_proxy`, `https_proxy` and `no_proxy` in the environment are followed. Not usually: what a filter asks
    /// stays in the control plane, and a proxy that somebody exported for downloads must not see a token.
    pub environment_proxies: bool,
}

/// Where the API is.
#[derive(Clone, PartialEq, Eq)]
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

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("endpoint", &self.endpoint)
            .field("auth", &self.auth)
            .field("ca_file", &self.ca_file)
            .field("insecure", &self.insecure)
            .field("timeout", &self.timeout)
            .field("page_size", &self.page_size)
            .field("environment_proxies", &self.environment_proxies)
            .finish()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.debug_tuple("Url").field(&without_user(url)).finish(),
            Self::Catalog { service_type, service_name, region, interfaces } => f
                .debug_struct("Catalog")
                .field("service_type", service_type)
                .field("service_name", service_name)
                .field("region", region)
                .field("interfaces", interfaces)
                .finish(),
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::HttpBasic { username, password: _ } => {
                f.debug_struct("HttpBasic").field("username", username).finish_non_exhaustive()
            }
            Self::Keystone { auth_url, identity, scope } => f
                .debug_struct("Keystone")
                .field("auth_url", &without_user(auth_url))
                .field("identity", identity)
                .field("scope", scope)
                .finish(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, password: _ } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::ApplicationCredential { credential, user, secret: _ } => f
                .debug_struct("ApplicationCredential")
                .field("credential", credential)
                .field("user", user)
                .finish_non_exhaustive(),
        }
    }
}

impl Auth {
    /// What must show nowhere.
    pub(super) fn secret(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::HttpBasic { password, .. } | Self::Keystone { identity: Identity::Password { password, .. }, .. } => {
                Some(password)
            }
            Self::Keystone { identity: Identity::ApplicationCredential { secret, .. }, .. } => Some(secret),
        }
    }
}
