//! The folder of a filter: [`HostsDir`], and dnsmasq that reads it; or, for `--dry-run`, what it would be told.

use super::filter::{Hosts, Look};
use crate::cli::pxe_filter::Config;
use crate::error::Result;
use crate::net::Mac;
use crate::plan::pxe_access::changes::Found;
use crate::plan::pxe_access::{Access, Who};
use crate::sink::dhcp_hostsdir::dnsmasq::{self, Dnsmasq};
use crate::sink::dhcp_hostsdir::{self, Contents, HostsDir};
use std::path::{Path, PathBuf};

/// A folder.
pub struct Folder {
    dir: HostsDir,
    pid_file: Option<PathBuf>,
}

impl Folder {
    /// Takes the folder that is configured.
    ///
    /// # Errors
    /// See [`HostsDir::open`].
    pub fn open(config: &Config) -> Result<Self> {
        let dir = HostsDir::open(&config.hostsdir, config.file_names)?;
        Ok(Self { dir, pid_file: config.dnsmasq_pid_file.clone() })
    }

    /// Which folder it is.
    pub fn identity(&self) -> dhcp_hostsdir::Identity {
        self.dir.identity()
    }
}

impl Hosts for Folder {
    fn look(&mut self) -> Result<Look> {
        self.dir.look().map(look)
    }

    async fn write(&mut self, writes: &[(Who, Access)]) -> Result<()> {
        self.dir.write(writes).await
    }

    fn delete(&mut self, macs: &[Mac]) -> Result<bool> {
        self.dir.delete(macs)?;
        let Some(pid_file) = &self.pid_file else { return Ok(false) };
        // They are denied until it is told, which is no failure of the folder's.
        let told = dnsmasq::reload(pid_file);
        if let Err(error) = &told {
            tracing::warn!("{error}");
        }
        Ok(told.is_ok())
    }

    fn findings(&mut self) -> Vec<String> {
        let Some(pid_file) = &self.pid_file else { return Vec::new() };
        findings(pid_file, self.dir.path())
    }

    fn purge(&mut self) -> Result<Vec<String>> {
        self.dir.purge()
    }

    async fn changed(&mut self) {
        self.dir.changed().await;
    }
}

/// What keeps the dnsmasq of this pid file from doing as the folder says.
pub fn findings(pid_file: &Path, hostsdir: &Path) -> Vec<String> {
    match Dnsmasq::find(pid_file) {
        Ok(dnsmasq) => dnsmasq.findings(hostsdir).iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// A folder that is not touched, and what would have been written to it.
#[derive(Debug)]
pub struct Rehearsal {
    config: Config,
    /// What would have been written.
    pub writes: Vec<(Who, Access)>,
}

impl Rehearsal {
    /// Of the folder that is configured.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), writes: Vec::new() }
    }
}

impl Hosts for Rehearsal {
    fn look(&mut self) -> Result<Look> {
        dhcp_hostsdir::contents(&self.config.hostsdir, self.config.file_names).map(look)
    }

    async fn write(&mut self, writes: &[(Who, Access)]) -> Result<()> {
        self.writes.extend(writes);
        Ok(())
    }

    fn delete(&mut self, _: &[Mac]) -> Result<bool> {
        Ok(false)
    }

    fn purge(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// What a folder says, as the filter sees it.
pub fn look(contents: Contents) -> Look {
    let Contents { macs, unknown, mut notices, foreign, unread } = contents;
    notices
        .extend(foreign.iter().map(|name| format!("{name} in the folder is not the filter's; dnsmasq reads it, too")));
    Look { found: Found { macs, unknown }, notices, foreign: foreign.len(), unread }
}
