//! What a filter asks of its folder.

use crate::error::Result;
use crate::net::Mac;
use crate::plan::pxe_access::changes::Changes;
use crate::plan::pxe_access::{Access, Who};
use crate::sink::dhcp_hostsdir::Contents;
use std::future::Future;

/// The folder, as the filter sees it.
pub trait Hosts {
    /// Everything that it holds now.
    ///
    /// # Errors
    /// It cannot be read, or is another's.
    fn look(&mut self) -> Result<Contents>;

    /// Has it say this, in this order. Given up half-way, what was written stays.
    fn write(&mut self, writes: &[(Who, Access)]) -> impl Future<Output = Result<()>>;

    /// Deletes files of MAC addresses, and has dnsmasq forget them. Whether it could be told.
    ///
    /// # Errors
    /// They cannot be deleted.
    fn delete(&mut self, macs: &[Mac]) -> Result<bool>;

    /// Deletes files that are not ours and could mean something to dnsmasq. Their names.
    ///
    /// # Errors
    /// They cannot be deleted.
    fn purge(&mut self) -> Result<Vec<String>>;

    /// Waits until somebody else has changed it.
    fn changed(&mut self) -> impl Future<Output = ()>;

    /// Waits a moment for whoever reads it: after the last write.
    fn settle(&mut self) -> impl Future<Output = ()>;

    /// Whether [`Self::changed`] is sure to notice whatever somebody else does to it.
    fn notices_all(&self) -> bool;
}

/// Denies everybody; how many files had to be written for it.
///
/// # Errors
/// The folder cannot be read or written.
pub async fn deny_all(hosts: &mut impl Hosts) -> Result<u64> {
    let contents = hosts.look()?;
    let changes = Changes::to_deny_all(&contents.found);
    hosts.write(&changes.writes).await?;
    Ok(changes.writes.len() as u64)
}
