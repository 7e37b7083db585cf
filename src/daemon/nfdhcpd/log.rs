//! The log: lines of `tracing`, in a file, on standard error or in the systemd journal.

use super::privileges::Account;
use crate::cli::nfdhcpd::{Config, LogTo, PROGRAM};
use crate::daemon::stderr::stderr;
use crate::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The log's place, for it to be opened anew.
pub struct Log(Option<Arc<LogFile>>);

/// The file, and where it is.
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Begins to log as configured. A file is made in a folder that is made, too, and belongs to `account` then.
    ///
    /// # Errors
    /// It cannot be written, or there is a log already.
    pub fn begin(config: &Config, account: Option<&Account>) -> Result<Self> {
        let level = if config.debug { Level::DEBUG } else { Level::INFO };
        let lines = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_ansi(false);
        let (log, set) = match config.log {
            LogTo::File => {
                let file = Arc::new(LogFile::open(&config.logdir, account)?);
                let log = Self(Some(Arc::clone(&file)));
                (log, tracing::subscriber::set_global_default(lines.with_writer(file).finish()))
            }
            LogTo::Stderr if std::env::var_os("JOURNAL_STREAM").is_some() => {
                // The journal writes the time itself.
                let lines = lines.with_writer(stderr).without_time();
                (Self(None), tracing::subscriber::set_global_default(lines.finish()))
            }
            LogTo::Stderr => (Self(None), tracing::subscriber::set_global_default(lines.with_writer(stderr).finish())),
            LogTo::Journal => {
                let lines = lines.with_writer(Journal::connect()?).without_time().with_level(false);
                (Self(None), tracing::subscriber::set_global_default(lines.finish()))
            }
        };
        set.map(|()| log).map_err(|error| Error::new(format!("cannot log: {error}")))
    }

    /// Opens the file anew: logrotate has moved it away. If that fails, the old one stays.
    pub fn reopen(&self) {
        let Some(log) = &self.0 else { return };
        // Logged outside of the lock.
        let opened = {
            let mut file = log.file.lock().unwrap_or_else(PoisonError::into_inner);
            append(&log.path).map(|opened| *file = opened)
        };
        if let Err(error) = opened {
            tracing::error!("{error}; going on with the old file");
        }
    }
}

impl LogFile {
    fn open(folder: &Path, account: Option<&Account>) -> Result<Self> {
        let path = folder.join("nfdhcpd.log");
        let made = !folder.exists();
        fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        let file = append(&path)?;
        if let Some(account) = account {
            let (uid, gid) = (Some(account.uid.as_raw()), Some(account.gid.as_raw()));
            let folder = if made { std::os::unix::fs::chown(folder, uid, gid) } else { Ok(()) };
            folder
                .and_then(|()| std::os::unix::fs::fchown(&file, uid, gid))
                .map_err(|error| unwritable(&path, &error))?;
        }
        Ok(Self { path, file: Mutex::new(file) })
    }
}

impl Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Not through a symbolic link: the folder may be another user's, and we root.
fn append(path: &Path) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
    // Nor is somebody waited for who reads a pipe.
    let opened = rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR | Mode::RGRP);
    let file = opened.map(File::from).map_err(|error| unwritable(path, &error.into()))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(unwritable(path, &io::Error::other("it is no file"))),
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::new(format!("cannot write the log {}: {}", path.display(), crate::error::in_words(error)))
        .remedy("choose another place: [general] logdir, or --log stderr")
}

/// The journal's own socket, see systemd's documentation of the native journal protocol.
struct Journal(UnixDatagram);

/// One message, with its priority as syslog(3) has it.
struct Message<'a> {
    journal: &'a UnixDatagram,
    priority: u8,
}

impl Journal {
    fn connect() -> Result<Self> {
        const SOCKET: &str = "/run/systemd/journal/socket";
        let connect = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect(SOCKET)?;
            socket.set_nonblocking(true).map(|()| socket)
        };
        connect().map(Self).map_err(|error: io::Error| {
            let message = format!("cannot log to the journal, {SOCKET}: {}", crate::error::in_words(&error));
            Error::new(message).remedy("say --log file or --log stderr")
        })
    }
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Message<'a>;

    fn make_writer(&'a self) -> Message<'a> {
        Message { journal: &self.0, priority: 6 }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Message<'a> {
        let priority = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        Message { journal: &self.0, priority }
    }
}

impl Write for Message<'_> {
    /// A formatted line comes in one piece. What the journal does not take is lost: packets do not wait for it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.journal.send(&entry(self.priority, line.trim_ascii_end()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// With the length in front, the message may have several lines.
fn entry(priority: u8, message: &[u8]) -> Vec<u8> {
    let mut entry = format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER={PROGRAM}\nMESSAGE\n").into_bytes();
    entry.extend((message.len() as u64).to_le_bytes());
    entry.extend(message);
    entry.push(b'\n');
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_log_file_is_opened_anew_and_a_symbolic_link_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let logdir = folder.path().join("log");
        let log = Log(Some(Arc::new(LogFile::open(&logdir, None).unwrap())));
        let write = |text: &str| (&**log.0.as_ref().unwrap()).write_all(text.as_bytes()).unwrap();
        let (path, moved) = (logdir.join("nfdhcpd.log"), logdir.join("nfdhcpd.log.1"));
        write("a");
        fs::rename(&path, &moved).unwrap();
        write("b");
        log.reopen();
        write("c");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        log.reopen();
        assert_eq!(fs::read_to_string(moved).unwrap(), "ab");
        assert!(!folder.path().join("elsewhere").exists());
        assert!(LogFile::open(&logdir, None).is_err());
        // Nobody reads it: opening it must not wait for that.
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        let said = LogFile::open(&logdir, None).map(|_| ()).unwrap_err().to_string();
        assert!(said.contains("cannot write the log"), "{said}");
    }

    #[test]
    fn a_message_of_several_lines_is_one_entry() {
        let expected = b"PRIORITY=4\nSYSLOG_IDENTIFIER=instances-nfdhcpd\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n";
        assert_eq!(entry(4, b"a\nb"), expected);
    }
}
