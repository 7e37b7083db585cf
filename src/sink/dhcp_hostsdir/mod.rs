//! dnsmasq's `dhcp-hostsdir`: a file for each MAC address, named after it, `MAC` to answer its DHCP and `MAC,ignore` not to.
//!
//! dnsmasq reads each file that is moved into the folder, at once. What it reads later counts more than what it read before, and
//! it forgets nothing until it reads everything anew. One reading costs leases times entries, so a few files are written one
//! by one, and many by way of one more file that says all of it ([`bulk`]).

mod bulk;
pub mod dnsmasq;
mod events;
mod failure;
mod listing;
mod name;
mod purge;
#[cfg(test)]
mod tests;
mod watch;

pub use name::FileNames;
pub use purge::purgeable;

use crate::error::{Error, Result};
use crate::net::Mac;
use crate::plan::pxe_access::changes::Found;
use crate::plan::pxe_access::{Access, Who};
use crate::sink::folder::Folder;
pub use crate::sink::folder::Identity;
use bulk::Bulk;
use failure::Failure;
use listing::{Known, Listing};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use watch::Watch;

/// Up to how many files are written one by one.
const FEW: usize = 3;
/// How many of them may wait for dnsmasq: the kernel keeps 16,384 events for it and drops the rest.
const UNREAD: usize = 1024;
/// How long dnsmasq may take to read what is new before somebody is told; it answers nobody in that time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder, held by a lock: what it says, and everything that makes it say something else.
pub struct HostsDir {
    path: PathBuf,
    names: FileNames,
    folder: Folder,
    watch: Watch,
    listing: Listing,
    bulk: Option<Bulk>,
    /// What was put into the folder and not opened since, and when it was put there.
    unread: BTreeMap<Who, Instant>,
    /// Somebody else changed something.
    is_touched: bool,
    /// It is another folder than the first, which dnsmasq watches.
    is_replaced: bool,
}

/// What the folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What it says.
    pub found: Found,
    /// What is wrong, for people.
    pub notices: BTreeSet<String>,
    /// Files of others that dnsmasq would read.
    pub foreign: Vec<String>,
    /// How many files dnsmasq did not read since they were written.
    pub unread: usize,
}

/// What a folder says, without a word to whoever keeps it in step.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn contents(path: &Path, names: FileNames) -> Result<Contents> {
    let folder = Folder::look_at(path)?;
    let mut listing = Listing::default();
    listing.read(&folder, names, false)?;
    Ok(listing.contents(&folder, None))
}

/// Whether another filter has the folder at a path.
pub fn is_taken(path: &Path) -> bool {
    Folder::look_at(path).is_ok_and(|folder| folder.is_taken())
}

/// Which folder is at a path.
///
/// # Errors
/// There is none.
pub fn identity(path: &Path) -> Result<Identity> {
    Folder::look_at(path).map(|folder| folder.identity())
}

impl HostsDir {
    /// Takes the folder, within a tokio runtime.
    ///
    /// # Errors
    /// There is none, it cannot be written, or another filter has it.
    pub fn open(path: &Path, names: FileNames) -> Result<Self> {
        let folder = Folder::claim(path)?;
        let watch = Watch::new(&folder)?;
        Ok(Self {
            path: path.to_owned(),
            names,
            folder,
            watch,
            listing: Listing::default(),
            bulk: None,
            unread: BTreeMap::new(),
            is_touched: false,
            is_replaced: false,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which folder it is.
    pub fn identity(&self) -> Identity {
        self.folder.identity()
    }

    /// How many files of MAC addresses there are, as far as is known.
    pub fn files(&self) -> usize {
        self.listing.own.len() + self.listing.other.len()
    }

    /// Takes in all that the folder says. Files that are as they were are not read again.
    ///
    /// # Errors
    /// It cannot be read, or there is none any more.
    pub fn look(&mut self) -> Result<Contents> {
        self.follow()?;
        self.take_in();
        self.is_touched = false;
        let found = self.listing.read(&self.folder, self.names, self.bulk.is_none())?;
        // What was read is no news; what has changed since is.
        self.take_in();
        match &mut self.bulk {
            None => self.bulk = found.map(Bulk::left_over),
            // Somebody took it away, perhaps before dnsmasq read it.
            Some(bulk) if matches!(self.folder.stat(name::BULK), Ok(None)) => bulk.lost(),
            Some(_) => {}
        }
        let mut contents = self.listing.contents(&self.folder, self.bulk.as_ref().map(Bulk::lines));
        contents.unread = self.unread.len() + usize::from(self.bulk.as_ref().is_some_and(Bulk::is_unread));
        contents.notices.extend(self.folder.unreadable());
        contents.notices.extend(self.unread_notice());
        if self.is_replaced {
            let path = self.path.display();
            contents.notices.insert(format!(
                "{path} is another folder than before, and dnsmasq does not notice that: restart dnsmasq"
            ));
        }
        Ok(contents)
    }

    fn unread_notice(&self) -> Option<String> {
        let path = self.path.display();
        let oldest = self.unread.values().copied().chain(self.bulk.as_ref().and_then(Bulk::unread_since)).min()?;
        (oldest.elapsed() > PATIENCE).then(|| {
            format!("nobody reads {path}: does dnsmasq run, with dhcp-hostsdir={path}, and may it read files there?")
        })
    }

    /// Has the folder say this, in this order, and files of the other way of calling them give way. Given up half-way, or
    /// killed, it says the old or the new of each.
    ///
    /// # Errors
    /// It cannot be written, or is another than was looked at. What was written stays.
    pub async fn write(&mut self, writes: &[(Who, Access)]) -> Result<()> {
        if self.follow()? {
            let message = format!("{} is another folder than before", self.path.display());
            return Err(Error::new(message).remedy("it is looked at again; restart dnsmasq, which does not notice"));
        }
        self.take_in();
        let given: BTreeSet<Who> = writes.iter().map(|(who, _)| *who).collect();
        let taken_over = self.listing.to_take_over().filter(|(who, _)| !given.contains(who));
        let writes: Vec<_> = writes.iter().copied().chain(taken_over).collect();
        self.end_bulk(!writes.is_empty());
        if self.bulk.is_none() && writes.len() <= FEW && self.unread.len() < UNREAD {
            return self.write_few(&writes);
        }
        if writes.is_empty() && self.bulk.as_ref().is_some_and(Bulk::is_written) {
            return Ok(());
        }
        let written = self.write_bulk(&writes).await;
        self.or_deny_in_place(written, &writes)
    }

    /// Each by itself; dnsmasq reads each by itself.
    fn write_few(&mut self, writes: &[(Who, Access)]) -> Result<()> {
        let written = self.make_few(writes).and_then(|made| self.put_few(writes, &made));
        self.or_deny_in_place(written, writes)
    }

    fn make_few(&self, writes: &[(Who, Access)]) -> Result<Vec<String>, Failure> {
        let mut made = Vec::with_capacity(writes.len());
        for (who, access) in writes {
            let name = self.names.of(*who);
            let file = self.folder.make(&name, name::line(*who, *access).as_bytes());
            made.push((file.map_err(|error| self.failure(&name, &error))?, name));
        }
        // Written out together, for the disk has less to do then.
        for (file, name) in &made {
            file.sync_data().map_err(|error| self.failure(name, &error))?;
        }
        Ok(made.into_iter().map(|(_, name)| name).collect())
    }

    fn put_few(&mut self, writes: &[(Who, Access)], made: &[String]) -> Result<(), Failure> {
        let mut failed = None;
        for ((who, access), name) in writes.iter().zip(made) {
            let put = self.folder.put(name).map_err(|error| self.failure(name, &error.into()));
            match put.and_then(|()| self.written(*who, *access)) {
                Ok(()) => drop(self.unread.insert(*who, Instant::now())),
                Err(failure) => drop(failed.get_or_insert(failure)),
            }
        }
        if !writes.is_empty() {
            self.folder.sync().map_err(|error| self.failure("", &error.into()))?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// For want of space nobody stays allowed who must not be: to overwrite a file takes none.
    fn or_deny_in_place(&mut self, written: Result<(), Failure>, writes: &[(Who, Access)]) -> Result<()> {
        let Err(failure) = written else { return Ok(()) };
        if failure.is_for_want_of_space() {
            for (who, access) in writes.iter().filter(|(_, access)| *access == Access::Deny).take(UNREAD) {
                let name = self.names.of(*who);
                if self.folder.overwrite(&name, name::line(*who, *access).as_bytes()).is_ok() {
                    let _ = self.written(*who, *access);
                    self.unread.insert(*who, Instant::now());
                }
            }
        }
        Err(failure.error)
    }

    /// What is at this one's name now is ours, and what was called in the other way is in nobody's way any more.
    fn written(&mut self, who: Who, access: Access) -> Result<(), Failure> {
        let name = self.names.of(who);
        let stat = self.folder.stat(&name).map_err(|error| self.failure(&name, &error.into()))?;
        // Somebody may have taken it away already: that shows.
        if let Some((_, _, stamp)) = stat {
            self.listing.own.insert(who, Known { stamp, access: Some(access) });
        }
        if let Who::Mac(mac) = who
            && self.listing.other.contains_key(&mac)
        {
            let other = self.names.other_of(mac);
            self.folder.take_out(other.as_str()).map_err(|error| self.failure(&other, &error.into()))?;
            self.listing.other.remove(&mac);
        }
        Ok(())
    }

    /// Deletes files of MAC addresses. dnsmasq does not notice before it reads everything anew.
    ///
    /// # Errors
    /// They cannot be deleted.
    pub fn delete(&mut self, macs: &[Mac]) -> Result<()> {
        self.folder.restore_staging()?;
        for mac in macs {
            for name in [self.names.of(Who::Mac(*mac)), self.names.other_of(*mac)] {
                self.folder.take_out(name.as_str()).map_err(|error| self.failure(&name, &error.into()).error)?;
            }
            self.listing.own.remove(&Who::Mac(*mac));
            self.listing.other.remove(mac);
            self.unread.remove(&Who::Mac(*mac));
            if let Some(bulk) = &mut self.bulk {
                bulk.forget(Who::Mac(*mac));
            }
        }
        self.folder.clear_staging();
        Ok(())
    }

    /// Waits until somebody else has changed something in the folder.
    pub async fn changed(&mut self) {
        loop {
            self.take_in();
            self.end_bulk(false);
            if std::mem::take(&mut self.is_touched) {
                return;
            }
            let due = self.bulk.as_ref().and_then(Bulk::ends).map(tokio::time::Instant::from_std);
            tokio::select! {
                () = self.watch.wait() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Whether [`Self::changed`] is sure to notice whatever somebody else does: not on file systems that others write to behind
    /// the kernel's back, and not if another folder has our place.
    pub fn notices_all(&self) -> bool {
        self.folder.is_local() && self.folder.is_still_there().unwrap_or_default()
    }

    /// Whether the path is another folder's by now; then that one is taken.
    fn follow(&mut self) -> Result<bool> {
        if self.folder.is_still_there()? {
            self.folder.restore_staging()?;
            return Ok(false);
        }
        *self = Self::open(&self.path, self.names)?;
        self.is_replaced = true;
        Ok(true)
    }
}

impl Drop for HostsDir {
    fn drop(&mut self) {
        self.take_in();
        self.end_bulk(true);
    }
}
