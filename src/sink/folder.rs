//! A folder that dnsmasq reads, by its descriptor: whatever becomes of its path, nothing is written anywhere else. No file in it is
//! followed if it is a link, or waited for.

use crate::error::{Error, Result, in_words};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RawDir, SeekFrom, Stat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Device and inode.
pub type Identity = (u64, u64);

/// Where files are made before they get their place, a folder in the folder: dnsmasq watches that one alone, and does not
/// read what begins with a dot.
pub const STAGING: &str = ".instances_staging";
/// In there: a file that is about to get its place, and one that lost it.
const NEW: &str = "new";
const OLD: &str = "old";

/// dnsmasq reads as its own user.
const FILE: Mode = Mode::from_raw_mode(0o644);
/// File systems that are written to by way of this kernel only (linux/magic.h): tmpfs, ramfs, ext2 to ext4, XFS, Btrfs, F2FS.
const LOCAL: [u32; 6] = [0x0102_1994, 0x8584_58f6, 0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];
const OTHERS_READ: u32 = 0o005;
/// How long a lock is waited for ...
const PATIENCE: Duration = Duration::from_secs(1);
/// ... and how long we wait in between.
const PAUSE: Duration = Duration::from_millis(10);

/// Which version of a file was read: inode, time of the last change in nanoseconds, size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp(u64, i64, i64);

impl From<&Stat> for Stamp {
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap, reason = "the types differ by architecture")]
    fn from(stat: &Stat) -> Self {
        let changed = (stat.st_ctime as i64).wrapping_mul(1_000_000_000).wrapping_add(stat.st_ctime_nsec as i64);
        Self(stat.st_ino as u64, changed, stat.st_size as i64)
    }
}

/// Makes a folder if it is missing, with those above it. Whatever the umask says, everybody may read it: dnsmasq does as somebody else.
/// Those above are made as the umask says.
///
/// # Errors
/// It cannot be made.
pub fn make(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let made = fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)));
    made.map_err(|error| {
        Error::new(format!("cannot make the folder {}: {}", path.display(), in_words(&error)))
            .remedy("run as root, make it yourself, or name another place")
    })
}

/// The folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    fd: OwnedFd,
    identity: Identity,
    /// Not if it is only looked at.
    staging: Option<OwnedFd>,
}

impl Folder {
    /// To look at it, beside whoever may own it.
    ///
    /// # Errors
    /// There is none.
    pub fn look_at(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unopened(path, error))?;
        let stat = rustix::fs::fstat(&fd).map_err(|error| Error::io("look at", path, &error.into()))?;
        Ok(Self { path: path.to_owned(), fd, identity: identity(&stat), staging: None })
    }

    /// Whether another process keeps it in step.
    pub fn is_taken(&self) -> bool {
        rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
    }

    /// As long as it is open, nobody else has it.
    ///
    /// # Errors
    /// Somebody has, for longer than those do that only look, or that were killed with a child that had not begun yet.
    pub fn lock(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => return Err(taken(&self.path, self.identity)),
                Err(error) => return Err(Error::io("lock", &self.path, &error.into())),
            }
        }
    }

    /// To write to it, as the only one.
    ///
    /// # Errors
    /// There is none, it cannot be written, or another filter has it.
    pub fn claim(path: &Path) -> Result<Self> {
        let mut folder = Self::look_at(path)?;
        folder.lock()?;
        folder.staging = Some(folder.make_staging()?);
        Ok(folder)
    }

    /// Makes the place for new files; what a killed filter left there goes.
    fn make_staging(&self) -> Result<OwnedFd> {
        let unwritable = |error: Errno| unwritable(&self.path, error);
        match rustix::fs::mkdirat(&self.fd, STAGING, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(unwritable(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let staging = rustix::fs::openat(&self.fd, STAGING, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => {
                let message = format!("{}/{STAGING} is in the way: it is no folder", self.path.display());
                Error::new(message).remedy("move it out of the way")
            }
            error => unwritable(error),
        })?;
        empty(&staging).map_err(unwritable)?;
        Ok(staging)
    }

    /// Has a place for new files again if somebody deleted it, as whoever empties the folder does.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn restore_staging(&mut self) -> Result<()> {
        let Some(staging) = &self.staging else { return Ok(()) };
        let is_there = || -> rustix::io::Result<bool> {
            let ours = rustix::fs::fstat(staging)?;
            let there = rustix::fs::statat(&self.fd, STAGING, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(identity(&ours) == identity(&there))
        };
        if is_there() != Ok(true) {
            self.staging = Some(self.make_staging()?);
        }
        Ok(())
    }

    /// Where it was.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it is still what is at its path.
    ///
    /// # Errors
    /// There is nothing any more.
    pub fn is_still_there(&self) -> Result<bool> {
        let stat = rustix::fs::stat(&self.path).map_err(|error| unopened(&self.path, error))?;
        Ok(identity(&stat) == self.identity)
    }

    /// Whether it is on a file system of this host's alone, so that inotify tells of whatever is done to it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the type differs by architecture")]
    pub fn is_local(&self) -> bool {
        rustix::fs::fstatfs(&self.fd).is_ok_and(|stat| LOCAL.contains(&(stat.f_type as u32)))
    }

    /// Shows the names of all that is in it. Nobody who watches it is told that it was read.
    pub fn list(&self, mut see: impl FnMut(&CStr)) -> Result<()> {
        let unread = |error: Errno| Error::io("read", &self.path, &error.into());
        rustix::fs::seek(&self.fd, SeekFrom::Start(0)).map_err(unread)?;
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(unread)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                see(entry.file_name());
            }
        }
        Ok(())
    }

    /// What is there under a name: its kind and version.
    pub fn stat(&self, name: impl rustix::path::Arg) -> rustix::io::Result<Option<(FileType, Mode, Stamp)>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let mode = stat.st_mode;
                Ok(Some((FileType::from_raw_mode(mode), Mode::from_raw_mode(mode), Stamp::from(&stat))))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The content of a regular file up to this length, and its version; `None` if it is longer.
    pub fn read(&self, name: impl rustix::path::Arg, longest: u64) -> io::Result<(Option<Vec<u8>>, Stamp)> {
        let file = self.open(name, OFlags::RDONLY)?;
        let stamp = Stamp::from(&rustix::fs::fstat(&file)?);
        let mut content = Vec::new();
        (&file).take(longest + 1).read_to_end(&mut content)?;
        Ok(((content.len() as u64 <= longest).then_some(content), stamp))
    }

    fn open(&self, name: impl rustix::path::Arg, how: OFlags) -> io::Result<File> {
        let flags = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?);
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::RegularFile {
            Ok(file)
        } else {
            Err(io::Error::other("it is not a regular file"))
        }
    }

    /// Makes a file that has no place yet. Its permissions do not depend on the umask.
    pub fn make(&self, name: &str, content: &[u8]) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(self.staging(), name, flags, FILE);
        let opened = match open() {
            // What could not get its place the last time.
            Err(Errno::EXIST) => rustix::fs::unlinkat(self.staging(), name, AtFlags::empty()).and_then(|()| open()),
            opened => opened,
        };
        let mut file = File::from(opened?);
        rustix::fs::fchmod(&file, FILE)?;
        file.write_all(content)?;
        Ok(file)
    }

    /// Gives a file that was made its place: dnsmasq reads it.
    pub fn put(&self, name: &str) -> rustix::io::Result<()> {
        rustix::fs::renameat(self.staging(), name, &self.fd, name)
    }

    /// Exchanges a file: dnsmasq is told nothing. In between there is none.
    pub fn exchange(&self, name: &str, content: &[u8]) -> io::Result<()> {
        drop(self.make(NEW, content)?);
        self.take_out(name)?;
        rustix::fs::linkat(self.staging(), NEW, &self.fd, name, AtFlags::empty())?;
        Ok(rustix::fs::unlinkat(self.staging(), NEW, AtFlags::empty())?)
    }

    /// Takes a file out of the folder; dnsmasq is told nothing. Whether there was one.
    pub fn take_out(&self, name: impl rustix::path::Arg + Copy) -> rustix::io::Result<bool> {
        // That would be moved with all that is in it.
        if self.stat(name)?.is_some_and(|(kind, ..)| kind == FileType::Directory) {
            return Err(Errno::ISDIR);
        }
        match rustix::fs::renameat(&self.fd, name, self.staging(), OLD) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a file. Of those of a `hostsdir` dnsmasq is told, other than of one that is only taken out.
    pub fn delete(&self, name: impl rustix::path::Arg) -> rustix::io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            deleted => deleted,
        }
    }

    /// Takes a file out of the folder and puts it in again: dnsmasq reads it once more.
    pub fn put_again(&self, name: &str) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.fd, name, self.staging(), name)?;
        self.put(name)
    }

    /// Overwrites a file where it is, which takes no space.
    pub fn overwrite(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let file = self.open(name, OFlags::WRONLY)?;
        file.write_all_at(content, 0)?;
        file.set_len(content.len() as u64)
    }

    /// Removes what has no place any more.
    pub fn clear_staging(&self) {
        for name in [NEW, OLD] {
            let _ = rustix::fs::unlinkat(self.staging(), name, AtFlags::empty());
        }
    }

    /// Writes the folder out to the disk.
    pub fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(&self.fd)
    }

    /// Another descriptor of it.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    fn staging(&self) -> BorrowedFd<'_> {
        // One that is only looked at is not written to; nothing can be made in the folder itself by mistake, it has no such names.
        self.staging.as_ref().unwrap_or(&self.fd).as_fd()
    }

    /// What keeps a user other than the owner from reading the files.
    pub fn unreadable(&self) -> Option<String> {
        let absolute = fs::canonicalize(&self.path).ok()?;
        for (folder, needed) in absolute.ancestors().zip(std::iter::once(OTHERS_READ).chain(std::iter::repeat(0o001))) {
            let mode = rustix::fs::stat(folder).ok()?.st_mode;
            if mode & needed != needed {
                let wanted = if needed == OTHERS_READ { "o+rx" } else { "o+x" };
                return Some(format!(
                    "dnsmasq's user may not be able to read {}: {} has mode {:04o}; chmod {wanted} {}",
                    self.path.display(),
                    folder.display(),
                    mode & 0o7777,
                    folder.display()
                ));
            }
        }
        None
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.staging.is_some() {
            let _ = empty(self.staging());
            let _ = rustix::fs::unlinkat(&self.fd, STAGING, AtFlags::REMOVEDIR);
        }
    }
}

/// Removes what killed filters, and writes that failed, left.
fn empty(staging: impl AsFd) -> rustix::io::Result<()> {
    for entry in Dir::read_from(&staging)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            rustix::fs::unlinkat(&staging, entry.file_name(), AtFlags::empty())?;
        }
    }
    Ok(())
}

#[allow(clippy::unnecessary_cast, reason = "the types differ by architecture")]
fn identity(stat: &Stat) -> Identity {
    (stat.st_dev as u64, stat.st_ino as u64)
}

fn unopened(path: &Path, error: Errno) -> Error {
    let failed = |why: String| Error::new(format!("cannot open the folder {}: {why}", path.display()));
    match error {
        Errno::NOENT => {
            failed("there is none".to_owned()).remedy(format!("make it: install -d -m 755 {}", path.display()))
        }
        Errno::NOTDIR => failed("it is no folder".to_owned()).remedy("name a folder"),
        error => failed(in_words(&error.into())).remedy("run as its owner"),
    }
}

/// The error for a folder, or a file in it, that cannot be written.
pub fn unwritable(path: &Path, error: Errno) -> Error {
    let failed = Error::new(format!("cannot write to {}: {}", path.display(), in_words(&error.into())));
    match error {
        Errno::NOSPC | Errno::DQUOT => failed.remedy("free some space"),
        Errno::ROFS => failed.remedy("mount it writable (systemd: ReadWritePaths=)"),
        Errno::ACCESS | Errno::PERM => failed.remedy("run as its owner"),
        Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST => {
            failed.remedy("move what is there out of the way")
        }
        _ => failed,
    }
}

fn taken(path: &Path, identity: Identity) -> Error {
    let who = holder(identity).map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    Error::new(format!("{} is kept in step by {who} already", path.display()))
        .remedy("end that one first, or choose another folder")
}

/// Who has locked a file, as proc_locks(5) says: `1: FLOCK  ADVISORY  WRITE 2334 00:2a:13247 0 EOF`.
fn holder((_, inode): Identity) -> Option<u32> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|lock| {
        let fields: Vec<_> = lock.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else { return None };
        (file.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it_for_a_moment_only_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::claim(dir.path()).unwrap();
        // What a child has between fork and exec.
        let child = first.fd.try_clone().unwrap();
        drop(first);
        assert!(Folder::look_at(dir.path()).unwrap().is_taken());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(5 * PAUSE);
                drop(child);
            });
            Folder::claim(dir.path()).unwrap();
        });
    }
}
