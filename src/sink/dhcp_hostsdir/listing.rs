//! What the files say, by the version of each that was read: most of the time nothing has changed, and nothing is read.

use super::Contents;
use super::name::{self, FileNames, Name};
use crate::error::{Result, in_words};
use crate::net::Mac;
use crate::plan::pxe_access::changes::Found;
use crate::plan::pxe_access::{Access, Who};
use crate::sink::folder::{Folder, Stamp};
use rustix::fs::{FileType, Mode};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};

/// Longer than any file of ours with one answer, bytes.
const LONGEST_ANSWER: u64 = 64;
/// Longer than any file with all answers, bytes; a million are 25 MB.
pub const LONGEST: u64 = 64 << 20;
/// How many files of others are named.
const NAMED: usize = 8;

/// A file as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub stamp: Stamp,
    /// None: nothing that is understood.
    pub access: Option<Access>,
}

/// All files.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those called as they should be.
    pub own: BTreeMap<Who, Known>,
    /// Those called in the other way.
    pub other: BTreeMap<Mac, Known>,
    /// What is in a file's place and is none, or cannot be read: by name, why.
    wrong: BTreeMap<String, String>,
    foreign: Vec<String>,
}

/// Answers of the file that holds many.
pub type Lines = BTreeMap<Who, Access>;

impl Listing {
    /// Takes in what there is; the answers of [`name::BULK`], if there is one and they are wanted. Whoever opens that is taken for
    /// dnsmasq by the filter whose folder it is.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn read(&mut self, folder: &Folder, names: FileNames, wants_bulk: bool) -> Result<Option<Lines>> {
        let before = std::mem::take(self);
        let mut has_bulk = false;
        folder.list(|entry| match names.parse(entry.to_bytes()) {
            Name::Own(who) => {
                if let Some(known) = self.known(folder, entry, who, before.own.get(&who)) {
                    self.own.insert(who, known);
                }
            }
            Name::Other(mac) => {
                if let Some(known) = self.known(folder, entry, Who::Mac(mac), before.other.get(&mac)) {
                    self.other.insert(mac, known);
                }
            }
            Name::Bulk => has_bulk = wants_bulk,
            Name::Ignored => {}
            Name::Foreign => self.foreign.push(entry.to_string_lossy().into_owned()),
        })?;
        self.foreign.sort_unstable();
        let bulk = has_bulk.then(|| folder.read(name::BULK, LONGEST).ok()).flatten();
        Ok(bulk.map(|(content, _)| name::answers_among(&content.unwrap_or_default()).collect()))
    }

    /// The file as it is now, if it is still there.
    fn known(&mut self, folder: &Folder, entry: &CStr, who: Who, before: Option<&Known>) -> Option<Known> {
        let (kind, mode, stamp) = match folder.stat(entry) {
            Ok(stat) => stat?,
            Err(error) => return Some(self.wrong(entry, in_words(&error.into()))),
        };
        if kind != FileType::RegularFile {
            let what = match kind {
                FileType::Symlink => "it is a symbolic link",
                FileType::Directory => "it is a folder",
                _ => "it is not a regular file",
            };
            let wrong = self.wrong(entry, what.to_owned());
            return Some(Known { stamp, ..wrong });
        }
        if let Some(before) = before.filter(|before| before.stamp == stamp) {
            return Some(*before);
        }
        // dnsmasq is somebody else: to it there is nothing in the file.
        if !mode.contains(Mode::ROTH) {
            return Some(Known { stamp, access: None });
        }
        Some(match folder.read(entry, LONGEST_ANSWER) {
            Ok((content, stamp)) => Known { stamp, access: content.and_then(|content| name::answer(&content, who)) },
            Err(error) => self.wrong(entry, in_words(&error)),
        })
    }

    fn wrong(&mut self, entry: &CStr, why: String) -> Known {
        self.wrong.insert(entry.to_string_lossy().into_owned(), why);
        Known { stamp: Stamp::default(), access: None }
    }

    /// What all of it comes down to. Where two files say something else about the same, dnsmasq goes by the order in which it
    /// happens to find them.
    pub fn contents(&self, folder: &Folder, bulk: Option<&Lines>) -> Contents {
        let mut said: BTreeMap<Who, Option<Access>> =
            self.own.iter().map(|(who, known)| (*who, known.access)).collect();
        for (mac, known) in &self.other {
            agree(&mut said, Who::Mac(*mac), known.access);
        }
        for (who, access) in bulk.into_iter().flatten() {
            // It stands for files that were about to be exchanged; who has none yet is to get one.
            let access = said.contains_key(who).then_some(*access);
            agree(&mut said, *who, access);
        }
        let path = folder.path().display();
        let mut notices: BTreeSet<String> =
            self.wrong.iter().map(|(name, why)| format!("{path}/{name} says nothing: {why}")).collect();
        if !self.foreign.is_empty() {
            let shown: Vec<_> = self.foreign.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect();
            let more = if self.foreign.len() > NAMED { ", ..." } else { "" };
            let number = self.foreign.len();
            notices.insert(format!(
                "{number} files in {path} are not the filter's, and dnsmasq reads them: {}{more}",
                shown.join(", ")
            ));
        }
        let unknown = said.remove(&Who::Unknown).flatten();
        let macs = said.into_iter().filter_map(|(who, access)| match who {
            Who::Mac(mac) => Some((mac, access)),
            Who::Unknown => None,
        });
        let found = Found { macs: macs.collect(), unknown };
        Contents { found, notices, foreign: self.foreign.clone(), unread: 0 }
    }

    /// Who has a file that is called in the other way, with what it says if that may stay.
    pub fn to_take_over(&self) -> impl Iterator<Item = (Who, Access)> {
        self.other.iter().filter_map(|(mac, known)| {
            let who = Who::Mac(*mac);
            let agrees = self.own.get(&who).is_none_or(|own| own.access == known.access);
            Some((who, known.access.filter(|_| agrees)?))
        })
    }

    /// Whether a file is another than was read.
    pub fn differs(&self, folder: &Folder, names: FileNames, entry: &[u8]) -> bool {
        let known = match names.parse(entry) {
            Name::Own(who) => self.own.get(&who),
            Name::Other(mac) => self.other.get(&mac),
            Name::Bulk | Name::Ignored => return false,
            Name::Foreign => return true,
        };
        let Ok(entry) = CString::new(entry) else { return true };
        let stamp = folder.stat(entry.as_c_str()).ok().flatten().map(|(_, _, stamp)| stamp);
        stamp != known.map(|known| known.stamp)
    }
}

/// One more that says something about `who`.
fn agree(said: &mut BTreeMap<Who, Option<Access>>, who: Who, access: Option<Access>) {
    said.entry(who).and_modify(|said| *said = said.filter(|said| Some(*said) == access)).or_insert(access);
}
