//! Where things are: everything is derived from one base path.

use crate::error::{Error, Result};
use crate::net::Shown;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The base path when `INSTANCES_BASE_PATH` does not say otherwise.
pub const DEFAULT_BASE: &str = "/var/lib/misc/instances";

/// The base path `P`, to which each file's suffix is appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    base: OsString,
    id: Option<String>,
}

impl Paths {
    /// From the values of `INSTANCES_BASE_PATH` and `INSTANCES_BASE_ID`; empty counts as unset.
    ///
    /// # Errors
    /// An id that is not `[a-zA-Z0-9_]+`.
    pub fn new(base: Option<OsString>, id: Option<OsString>) -> Result<Self> {
        let is_set = |value: &OsString| !value.is_empty();
        let mut base = base.filter(is_set).unwrap_or_else(|| DEFAULT_BASE.into());
        let Some(id) = id.filter(is_set) else { return Ok(Self { base, id: None }) };
        match id.to_str() {
            Some(id) if id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                base.push("-");
                base.push(id);
                Ok(Self { base, id: Some(id.to_owned()) })
            }
            _ => Err(Error::new(format!("Invalid instances base id: {}", Shown(&id.to_string_lossy())))
                .remedy("INSTANCES_BASE_ID takes letters, digits and underscores")),
        }
    }

    /// Those of a registry.
    ///
    /// # Errors
    /// Its name does not end with `.json`.
    pub fn of(registry: &Path) -> Result<Self> {
        let has_name = registry.extension().is_some_and(|extension| extension == "json");
        if has_name {
            return Ok(Self { base: registry.with_extension("").into_os_string(), id: None });
        }
        let message =
            format!("{} is no registry, for its name does not end with .json", Shown(&registry.to_string_lossy()));
        Err(Error::new(message).remedy(format!("name {DEFAULT_BASE}.json, say")))
    }

    /// `INSTANCES_BASE_ID`, when set.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// `P.json`, the registry.
    pub fn registry(&self) -> PathBuf {
        self.with(".json")
    }

    /// `P.updated`, the flag that the registry changed since it was last processed.
    pub fn flag(&self) -> PathBuf {
        self.with(".updated")
    }

    /// `P.lock`, the lock on all of them.
    pub fn lock(&self) -> PathBuf {
        self.with(".lock")
    }

    /// `P.hosts`.
    pub fn hosts(&self) -> PathBuf {
        self.with(".hosts")
    }

    /// `P.nftables_chains`.
    pub fn chains(&self) -> PathBuf {
        self.with(".nftables_chains")
    }

    /// `P.nftables_sets`.
    pub fn sets(&self) -> PathBuf {
        self.with(".nftables_sets")
    }

    fn with(&self, suffix: &str) -> PathBuf {
        let mut path = self.base.clone();
        path.push(OsStr::new(suffix));
        path.into()
    }
}
