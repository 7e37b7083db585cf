//! Names and reservations as a running dnsmasq reads them: a `hostsdir`, whose files it reads as they come, and a `dhcp-hostsfile`, which
//! it reads when it is told to read everything anew ([`Reloads`]).
//!
//! Only what differs is written, after a comparison with what is there; nothing is remembered, so nothing can be remembered wrongly.
//! Others' files stay, and are named. dnsmasq before 2.87 does not forget names that a file no longer has: then it has to be told, too.

mod chunks;
mod findings;
mod memory;
mod reloads;
#[cfg(test)]
mod tests;

pub use findings::findings;
pub use memory::Memory;
pub use reloads::Reloads;

use crate::error::{Error, Result, in_words};
use crate::packet::dhcp6::Duid;
use crate::plan::dns_records::Records;
use crate::sink::atomic_file;
use crate::sink::dnsmasq::{Dnsmasq, Version};
use crate::sink::folder::{self, Folder, Identity, unwritable};
use crate::sink::lease_release;
use crate::source::leases::Lease;
use chunks::Files;
use rustix::io::Errno;
use rustix::process::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Longer than any file of ours, bytes.
const LONGEST: u64 = 16 << 20;
/// The first that forgets what a file of a `hostsdir` said before.
pub const FORGETS: Version = Version(2, 87);
/// How many files of others are named.
const NAMED: usize = 5;

/// Where names and reservations go.
pub trait Sink {
    /// Has it hold these, and nothing else. Failed, it holds the old or the new of each guest.
    ///
    /// # Errors
    /// It cannot be written.
    fn put(&mut self, records: &Records) -> Result<Put>;

    /// Tells dnsmasq to read everything anew.
    ///
    /// # Errors
    /// There is none, or it is not ours to be told; or it has just begun and cannot be told yet.
    fn reload(&mut self) -> Result<()>;

    /// Has dnsmasq end a lease whose client is gone; `server`: dnsmasq's DUID, of DHCPv6. Its leases file tells whether it has.
    ///
    /// # Errors
    /// It cannot be told.
    fn release(&mut self, lease: &Lease, server: Option<&Duid>) -> Result<()>;

    /// dnsmasq will begin anew, after all that was put: it need not be told any more.
    ///
    /// # Errors
    /// That cannot be noted.
    fn begins_anew(&mut self) -> Result<()>;

    /// dnsmasq has said which version it is.
    fn is_version(&mut self, _: Version) {}
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Put {
    /// How many files of names were written or deleted.
    pub files: usize,
    /// Whether dnsmasq has to be told: since this time, or since an earlier one of which that was not done.
    pub needs_reload: bool,
    /// Whether the folder is another than the one that dnsmasq watches: nothing is noticed until it begins anew.
    pub is_unwatched: bool,
    /// The same, or that nobody can say it yet: it is to be put again soon.
    pub is_doubtful: bool,
    /// That dnsmasq does not watch the folder, and that its user may not be able to read it, for people.
    pub faults: Faults,
    /// What else people should know.
    pub notices: BTreeSet<String>,
}

/// What keeps what was put from having an effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// dnsmasq does not watch the folder, and somebody has to start it anew.
    pub unwatched: Option<String>,
    /// Its user may not be able to read it.
    pub unreadable: Option<String>,
}

/// Where dnsmasq finds what it is to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `hostsdir`. Nobody else may write there what begins with `instances-`.
    pub hostsdir: PathBuf,
    /// `dhcp-hostsfile`, outside of it.
    pub dhcp_hostsfile: PathBuf,
    /// `pid-file`; none: it is told by somebody else.
    pub pid_file: Option<PathBuf>,
}

/// The files of a dnsmasq. The folder is held by a lock.
pub struct DnsmasqDir {
    places: Places,
    folder: Folder,
    /// Which one dnsmasq watches.
    watched: Identity,
    /// A file that is there while dnsmasq has to be told, also when we are killed in between.
    unread: PathBuf,
    /// Whether dnsmasq is started by somebody else, at any time.
    is_anothers: bool,
    /// Whether it did not watch the folder when it was looked at last: it may just have begun.
    is_doubtful: bool,
    /// Which one was seen to watch what was there then.
    seen: Option<Pid>,
    /// Which version it says it is.
    version: Option<Version>,
}

impl DnsmasqDir {
    /// Takes the folder.
    ///
    /// # Errors
    /// There is none, it cannot be written, or somebody else keeps it in step.
    pub fn open(places: Places) -> Result<Self> {
        let folder = Folder::claim(&places.hostsdir)?;
        let watched = folder.identity();
        let name = places.dhcp_hostsfile.file_name().ok_or_else(|| {
            Error::new(format!("{} is no file", places.dhcp_hostsfile.display()))
                .remedy("name a file for dhcp-hostsfile")
        })?;
        let unread = places.dhcp_hostsfile.with_file_name(format!(".{}.unread", name.to_string_lossy()));
        Ok(Self { places, folder, watched, unread, is_anothers: false, is_doubtful: false, seen: None, version: None })
    }

    /// dnsmasq is started by somebody else: whether it watches the folder, it is asked itself, for nobody says when it begins.
    #[must_use]
    pub fn of_another(self) -> Self {
        Self { is_anothers: true, ..self }
    }

    /// The running one, if it can be found.
    fn running(&self) -> Option<Dnsmasq> {
        Dnsmasq::find(self.places.pid_file.as_deref()?).ok()
    }

    /// Whether dnsmasq is known to keep names that are gone.
    fn never_forgets(&self) -> bool {
        let version = self.version.or_else(|| self.running()?.version());
        version.is_some_and(|version| version < FORGETS)
    }

    /// Whether the path is another folder's by now; then that one is taken.
    fn follow(&mut self) -> Result<()> {
        // Somebody may have deleted it with all that was in it.
        folder::make(&self.places.hostsdir)?;
        if !self.folder.is_still_there()? {
            self.folder = Folder::claim(&self.places.hostsdir)?;
        }
        self.folder.restore_staging()
    }

    /// Our files, and the names of others' that dnsmasq reads.
    fn look(&self) -> Result<(Files, Vec<String>)> {
        let (mut ours, mut foreign) = (Vec::new(), Vec::new());
        self.folder.list(|name: &std::ffi::CStr| {
            let shown = name.to_string_lossy().into_owned();
            if chunks::is_ours(&shown) {
                ours.push((CString::from(name), shown));
            } else if chunks::is_read(&shown) {
                foreign.push(shown);
            }
        })?;
        let mut files = Files::new();
        for (name, shown) in ours {
            // What is no text, no file or too long is not what it should be, and is replaced.
            let content = self.folder.read(name.as_c_str(), LONGEST).ok().and_then(|(content, _)| content);
            files.insert(shown, content.and_then(|content| String::from_utf8(content).ok()).unwrap_or_default());
        }
        foreign.sort_unstable();
        Ok((files, foreign))
    }

    /// All or, should that fail on the way, some of them; each as a whole.
    fn write(&self, files: &BTreeMap<String, Option<String>>) -> Result<()> {
        let failed = |name: &str, error: &io::Error| failure(&self.places.hostsdir.join(name), error);
        let mut made = Vec::with_capacity(files.len());
        for (name, content) in files {
            let Some(content) = content else { continue };
            made.push((name, self.folder.make(name, content.as_bytes()).map_err(|error| failed(name, &error))?));
        }
        // Written out together, for the disk has less to do then. What can fail for want of space fails before anything counts.
        let mut ready = Vec::with_capacity(made.len());
        for (name, file) in made {
            file.sync_data().map_err(|error| failed(name, &error))?;
            // Closed before it has its place: dnsmasq would read it once more when it is closed there.
            drop(file);
            ready.push(name);
        }
        for name in ready {
            self.folder.put(name).map_err(|error| failed(name, &error.into()))?;
        }
        for name in files.iter().filter(|(_, content)| content.is_none()).map(|(name, _)| name) {
            self.folder.delete(name.as_str()).map_err(|error| failed(name, &error.into()))?;
        }
        if !files.is_empty() {
            self.folder.sync().map_err(|error| failed("", &error.into()))?;
        }
        Ok(())
    }

    fn put_reservations(&self, wanted: &str) -> Result<()> {
        let path = &self.places.dhcp_hostsfile;
        let mut there = Vec::new();
        let is_there = match atomic_file::open_existing(path)? {
            Some((file, _)) => {
                file.take(LONGEST).read_to_end(&mut there).map_err(|error| Error::io("read", path, &error))?;
                true
            }
            None => false,
        };
        if is_there && there == wanted.as_bytes() {
            return Ok(());
        }
        self.note_unread()?;
        atomic_file::replace(path, |file| file.write_all(wanted.as_bytes()))
    }

    fn note_unread(&self) -> Result<()> {
        match File::create_new(&self.unread) {
            // It is the name that counts, whatever it is of.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failure(&self.unread, &error)),
            _ => Ok(()),
        }
    }

    fn note_read(&self) -> Result<()> {
        match fs::remove_file(&self.unread) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failure(&self.unread, &error)),
            _ => Ok(()),
        }
    }

    /// Whether dnsmasq is known to watch another folder, and whether that has to be looked at again.
    fn is_unwatched(&mut self) -> (bool, bool) {
        if self.is_anothers {
            let running = self.running();
            let watches = running.as_ref().and_then(|dnsmasq| dnsmasq.watches(self.folder.identity()));
            return self.judge(running.map(|dnsmasq| dnsmasq.pid()), watches);
        }
        let is_unwatched = self.folder.identity() != self.watched;
        (is_unwatched, is_unwatched)
    }

    /// The same of another's that has this number, and as far as we may see watches the folder or not.
    fn judge(&mut self, running: Option<Pid>, watches: Option<bool>) -> (bool, bool) {
        let identity = self.folder.identity();
        // Who has begun since it was looked at last has found what is there now.
        let has_begun = running.is_some() && running != self.seen;
        if watches == Some(true) || identity == self.watched || has_begun {
            self.seen = running;
        }
        if watches == Some(true) || (watches.is_none() && has_begun) {
            self.watched = identity;
        }
        if watches == Some(false) {
            // Whoever has just begun does not watch anything yet.
            return (std::mem::replace(&mut self.is_doubtful, true), true);
        }
        self.is_doubtful = false;
        (identity != self.watched, identity != self.watched)
    }

    fn notices(&self, foreign: &[String], is_unwatched: bool) -> BTreeSet<String> {
        let path = self.places.hostsdir.display();
        let mut notices = BTreeSet::new();
        if !foreign.is_empty() {
            let named: Vec<_> = foreign.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect();
            let more = if foreign.len() > NAMED { ", ..." } else { "" };
            let (number, named) = (foreign.len(), named.join(", "));
            notices.insert(format!("{number} files in {path} are not ours, and dnsmasq reads them: {named}{more}"));
        }
        if is_unwatched && !self.is_anothers {
            notices
                .insert(format!("{path} is another folder than before, which dnsmasq does not notice: it begins anew"));
        }
        notices
    }

    fn faults(&self, is_unwatched: bool) -> Faults {
        // One of our own that was not started by root is the same user.
        let is_anothers_user = self.is_anothers || rustix::process::geteuid().is_root();
        let path = self.places.hostsdir.display();
        let unwatched = (is_unwatched && self.is_anothers).then(|| {
            format!("dnsmasq does not watch {path}, which was made anew since it began, so names stand still: restart dnsmasq")
        });
        Faults { unwatched, unreadable: is_anothers_user.then(|| self.folder.unreadable()).flatten() }
    }
}

impl Sink for DnsmasqDir {
    fn put(&mut self, records: &Records) -> Result<Put> {
        self.follow()?;
        let (there, foreign) = self.look()?;
        let steps = chunks::steps(&there, &chunks::files(records));
        let (is_unwatched, is_doubtful) = self.is_unwatched();
        let mut notices = self.notices(&foreign, is_unwatched);
        if steps.takes_away && self.never_forgets() {
            self.note_unread()?;
            notices.insert(format!(
                "this dnsmasq does not forget names by itself, and is told to read everything anew for each that goes; \
                 install {FORGETS} or later"
            ));
        }
        self.write(&steps.first)?;
        self.write(&steps.second)?;
        self.put_reservations(&records.dhcp_hostsfile())?;
        let needs_reload = fs::symlink_metadata(&self.unread).is_ok();
        let faults = self.faults(is_unwatched);
        Ok(Put { files: steps.written(), needs_reload, is_unwatched, is_doubtful, faults, notices })
    }

    fn reload(&mut self) -> Result<()> {
        if let Some(pid_file) = &self.places.pid_file {
            Dnsmasq::find(pid_file)?.reload()?;
        }
        self.note_read()
    }

    fn release(&mut self, lease: &Lease, server: Option<&Duid>) -> Result<()> {
        lease_release::release(lease, server)
    }

    fn begins_anew(&mut self) -> Result<()> {
        self.watched = self.folder.identity();
        self.note_read()
    }

    fn is_version(&mut self, version: Version) {
        self.version = Some(version);
    }
}

fn failure(path: &Path, error: &io::Error) -> Error {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => {
            Error::new(format!("cannot write to {}: {}", path.display(), in_words(error)))
                .remedy("free some space; until then dnsmasq keeps what it knows")
        }
        Some(errno) => unwritable(path, errno),
        None => Error::io("write", path, error),
    }
}
