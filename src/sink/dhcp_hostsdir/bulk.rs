//! Many changes at once, each served by dnsmasq at once, and none of them lost.
//!
//! 1. One file more, [`BULK`], says all that is new. dnsmasq reads it in one go, and what it reads last counts.
//! 2. The files of the single MAC addresses are exchanged: the old one is moved out of the folder and a hard link to the new
//!    one made, neither of which dnsmasq watches. Where there is none for a moment, or an old one, [`BULK`] stands for it, also
//!    for a dnsmasq that starts just now.
//! 3. All is written out to the disk. If somebody has read old files meanwhile, [`BULK`] is put once more.
//! 4. When dnsmasq has opened it, it goes; of that, too, dnsmasq takes no notice.
//!
//! One that a killed filter left is put again, with what counts by then, before it goes.

use super::listing::Lines;
use super::name::{self, BULK};
use super::{Failure, HostsDir};
use crate::plan::pxe_access::{Access, Who};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

/// After how many files others have their turn.
const TURN: usize = 64;
/// How long dnsmasq is waited for; it need not run.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long the file stays when somebody has opened it: there may be a second one.
const GRACE: Duration = Duration::from_secs(1);

/// The file and how far we are.
#[derive(Debug)]
pub struct Bulk {
    lines: Lines,
    /// Whose own files do not say so yet.
    todo: VecDeque<Who>,
    /// None: a killed filter did.
    put: Option<Instant>,
    opened: Option<Instant>,
    is_disturbed: bool,
    is_synced: bool,
}

impl Bulk {
    /// What a killed filter left.
    pub fn left_over(lines: Lines) -> Self {
        let todo = VecDeque::new();
        Self { lines, todo, put: None, opened: None, is_disturbed: false, is_synced: false }
    }

    /// What it says.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Whether the single files say so, too, and whoever reads them now may know it from them alone.
    pub fn is_written(&self) -> bool {
        self.put.is_some() && self.todo.is_empty() && self.is_synced && !self.is_disturbed
    }

    /// Whether nobody has opened it.
    pub fn is_unread(&self) -> bool {
        self.opened.is_none()
    }

    /// Since when nobody has.
    pub fn unread_since(&self) -> Option<Instant> {
        self.put.filter(|_| self.is_unread())
    }

    /// When it may go.
    pub fn ends(&self) -> Option<Instant> {
        self.opened.filter(|_| self.is_written()).map(|opened| opened + GRACE)
    }

    /// Somebody reads single files while they are exchanged.
    pub fn disturbed(&mut self) {
        self.is_disturbed |= !self.is_written();
    }

    /// More happened than is known.
    pub fn lost(&mut self) {
        self.is_disturbed = true;
    }

    /// It got its place, or lost it: who had opened it before has not read what it says now.
    pub fn moved(&mut self) {
        self.opened = None;
    }

    /// Somebody opened it.
    pub fn opened(&mut self) {
        self.opened.get_or_insert_with(Instant::now);
    }

    /// It is nobody's concern any more.
    pub fn forget(&mut self, who: Who) {
        self.lines.remove(&who);
        self.todo.retain(|other| *other != who);
    }

    /// Those who are denied first: dnsmasq searches from the end, and those with leases are allowed.
    fn text(&self) -> String {
        let mut text = String::with_capacity(self.lines.len() * name::LONGEST_LINE);
        for wanted in [Access::Deny, Access::Allow] {
            for (who, access) in self.lines.iter().filter(|(_, access)| **access == wanted) {
                name::push_line(&mut text, *who, *access);
            }
        }
        text
    }
}

impl HostsDir {
    /// Takes the file out of the folder if it has done its work; `soon`: without waiting for a second reader.
    pub(super) fn end_bulk(&mut self, soon: bool) {
        let Some(ends) = self.bulk.as_ref().and_then(Bulk::ends) else { return };
        if (soon || ends <= Instant::now()) && self.folder.take_out(BULK).is_ok() {
            self.bulk = None;
            self.folder.clear_staging();
        }
    }

    /// Writes many.
    pub(super) async fn write_bulk(&mut self, writes: &[(Who, Access)]) -> Result<(), Failure> {
        self.begin_bulk(writes)?;
        let exchanged = self.exchange_all().await;
        if exchanged.as_ref().is_err_and(Failure::is_of_all) {
            return exchanged;
        }
        self.sync_all().await?;
        // Whoever had begun to read before may have missed it. And what others did meanwhile was not looked after.
        self.take_in();
        self.is_touched = true;
        if self.bulk.as_ref().is_some_and(|bulk| bulk.is_disturbed) {
            self.folder.put_again(BULK).map_err(|error| self.failure(BULK, &error.into()))?;
            self.folder.sync().map_err(|error| self.failure(BULK, &error.into()))?;
            if let Some(bulk) = &mut self.bulk {
                (bulk.is_disturbed, bulk.put) = (false, Some(Instant::now()));
            }
        }
        exchanged
    }

    /// Gives dnsmasq the time to open the file, if there is one, so that it can go; for those who leave the folder then.
    pub async fn settle(&mut self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        self.take_in();
        while self.bulk.as_ref().is_some_and(Bulk::is_unread) {
            if tokio::time::timeout_at(deadline, self.watch.wait()).await.is_err() {
                return;
            }
            self.take_in();
        }
    }

    /// Puts the file, with what an earlier one said that is not done. If it cannot be put, all is as it was.
    fn begin_bulk(&mut self, writes: &[(Who, Access)]) -> Result<(), Failure> {
        let before = self.bulk.as_ref();
        let mut lines = before.map(|bulk| bulk.lines.clone()).unwrap_or_default();
        lines.extend(writes.iter().copied());
        let mut bulk = Bulk::left_over(lines);
        let new: HashSet<Who> = writes.iter().map(|(who, _)| *who).collect();
        bulk.todo.extend(before.iter().flat_map(|bulk| &bulk.todo).filter(|who| !new.contains(who)));
        bulk.todo.extend(writes.iter().map(|(who, _)| *who));
        let put = self.folder.make(BULK, bulk.text().as_bytes()).and_then(|file| file.sync_data());
        let put = put.and_then(|()| Ok(self.folder.put(BULK)?));
        put.map_err(|error| self.failure(BULK, &error))?;
        bulk.put = Some(Instant::now());
        self.bulk = Some(bulk);
        self.folder.sync().map_err(|error| self.failure(BULK, &error.into()))
    }

    /// Exchanges the files of single MAC addresses. Those that cannot be exchanged are left for the next time, by themselves:
    /// dnsmasq is not to read all of it again for them.
    async fn exchange_all(&mut self) -> Result<(), Failure> {
        let mut failed: Option<Failure> = None;
        let mut number = self.bulk.as_ref().map_or(0, |bulk| bulk.todo.len());
        while let Some((who, access)) = self.next_to_exchange().filter(|_| number > 0) {
            if let Err(failure) = self.exchange(who, access) {
                if failure.is_of_all() {
                    return Err(failure);
                }
                failed.get_or_insert(failure);
            }
            // Only now: whoever is given up half-way has not done it.
            if let Some(bulk) = &mut self.bulk {
                bulk.todo.pop_front();
            }
            number -= 1;
            if number.is_multiple_of(TURN) {
                self.take_in();
                tokio::task::yield_now().await;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn next_to_exchange(&self) -> Option<(Who, Access)> {
        let bulk = self.bulk.as_ref()?;
        let who = bulk.todo.front()?;
        Some((*who, *bulk.lines.get(who)?))
    }

    fn exchange(&mut self, who: Who, access: Access) -> Result<(), Failure> {
        let name = self.names.of(who);
        let exchanged = self.folder.exchange(&name, name::line(who, access).as_bytes());
        exchanged.map_err(|error| self.failure(&name, &error))?;
        self.written(who, access)
    }

    /// Writes all of it out to the disk; meanwhile others have their turn.
    async fn sync_all(&mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| self.failure("", &error);
        let folder = self.folder.try_clone().map_err(failed)?;
        let synced = tokio::task::spawn_blocking(move || rustix::fs::syncfs(folder)).await;
        synced.map_err(io::Error::other).and_then(|synced| Ok(synced?)).map_err(failed)?;
        self.folder.clear_staging();
        if let Some(bulk) = &mut self.bulk {
            bulk.is_synced = true;
        }
        Ok(())
    }
}
