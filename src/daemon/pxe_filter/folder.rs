//! The folder of a filter: [`HostsDir`], and dnsmasq that reads it; or, for `--dry-run`, what it would be told.

use super::hosts::Hosts;
use crate::cli::pxe_filter::Config;
use crate::error::Result;
use crate::net::Mac;
use crate::plan::pxe_access::{Access, Who};
use crate::sink::dhcp_hostsdir::dnsmasq::Finding;
use crate::sink::dhcp_hostsdir::{self, Contents, HostsDir};
use crate::sink::dnsmasq::Dnsmasq;
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A folder.
pub struct Folder {
    dir: HostsDir,
    path: PathBuf,
    pid_file: Option<PathBuf>,
    /// The last dnsmasq that was looked at, and what was found.
    known: Option<(Pid, Vec<Finding>)>,
}

impl Folder {
    /// Takes the folder that is configured.
    ///
    /// # Errors
    /// See [`HostsDir::open`].
    pub fn open(config: &Config) -> Result<Self> {
        let dir = HostsDir::open(&config.hostsdir, config.file_names)?;
        Ok(Self { dir, path: config.hostsdir.clone(), pid_file: config.dnsmasq_pid_file.clone(), known: None })
    }

    /// The dnsmasq that reads it, if it runs and is configured.
    fn dnsmasq(&self) -> Option<Dnsmasq> {
        Dnsmasq::find(self.pid_file.as_ref()?).ok()
    }

    /// What keeps its filter from having an effect; each dnsmasq is looked at once.
    fn findings(&mut self) -> BTreeSet<String> {
        let Some(dnsmasq) = self.dnsmasq() else { return BTreeSet::new() };
        let known = self.known.take().filter(|(pid, _)| *pid == dnsmasq.pid());
        let mut findings = known.map_or_else(|| dnsmasq.findings(&self.path), |(_, findings)| findings);
        // It watches no folder yet in its first moments, and the right one again once that is back.
        let watches = || dhcp_hostsdir::identity(&self.path).is_ok_and(|ours| dnsmasq.watches(ours) != Some(false));
        findings.retain(|finding| !matches!(finding, Finding::WatchesAnother(_)) || !watches());
        let told = findings.iter().map(ToString::to_string).collect();
        self.known = Some((dnsmasq.pid(), findings));
        told
    }
}

impl Hosts for Folder {
    fn look(&mut self) -> Result<Contents> {
        let mut contents = self.dir.look()?;
        contents.notices.extend(self.findings());
        Ok(contents)
    }

    async fn write(&mut self, writes: &[(Who, Access)]) -> Result<()> {
        self.dir.write(writes).await
    }

    fn delete(&mut self, macs: &[Mac]) -> Result<bool> {
        self.dir.delete(macs)?;
        // Who is denied without a file stays denied: that is no reason for nobody to be answered for long.
        match self.dnsmasq().filter(|dnsmasq| dnsmasq.rereads_quickly(self.dir.files())) {
            Some(dnsmasq) => {
                let told = dnsmasq.reload();
                if let Err(error) = &told {
                    tracing::warn!("{error}");
                }
                Ok(told.is_ok())
            }
            None => Ok(false),
        }
    }

    fn purge(&mut self) -> Result<Vec<String>> {
        self.dir.purge()
    }

    async fn changed(&mut self) {
        self.dir.changed().await;
    }

    async fn settle(&mut self) {
        self.dir.settle().await;
    }

    fn notices_all(&self) -> bool {
        self.dir.notices_all()
    }
}

/// A folder that is not touched, and what would have been written to it.
#[derive(Debug)]
pub struct Rehearsal {
    config: Config,
    /// What would have been written.
    pub writes: Vec<(Who, Access)>,
    /// The files that would have been deleted.
    pub purged: Vec<String>,
}

impl Rehearsal {
    /// Of the folder that is configured.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), writes: Vec::new(), purged: Vec::new() }
    }
}

impl Hosts for Rehearsal {
    fn look(&mut self) -> Result<Contents> {
        dhcp_hostsdir::contents(&self.config.hostsdir, self.config.file_names)
    }

    async fn write(&mut self, writes: &[(Who, Access)]) -> Result<()> {
        self.writes.extend(writes);
        Ok(())
    }

    fn delete(&mut self, _: &[Mac]) -> Result<bool> {
        Ok(false)
    }

    fn purge(&mut self) -> Result<Vec<String>> {
        self.purged = dhcp_hostsdir::purgeable(&self.config.hostsdir, self.config.file_names)?;
        Ok(Vec::new())
    }

    async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn settle(&mut self) {}

    fn notices_all(&self) -> bool {
        false
    }
}
