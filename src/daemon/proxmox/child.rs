//! A dnsmasq of our own: its configuration file is written, it is started, watched over, and ended with us.
//!
//! Should we be killed, it goes on: DNS and DHCP do not need us. The next of us takes it over if its configuration is still what it
//! should be, else it is ended first. Ours is only one that was started with our own configuration file.

use super::asker::Asker;
use super::process::Process;
use super::tending::{Pace, Step, Tending};
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result, in_words};
use crate::net::Shown;
use crate::plan::dnsmasq_conf::{Conf, path_value};
use crate::sink::atomic_file::{self, open_regular};
use crate::sink::dnsmasq::{Dnsmasq, number_in};
use crate::sink::folder::{self, Folder};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fmt;
use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::time::{sleep_until, timeout};
use tracing::warn;

/// How long `dnsmasq --test` may take.
const TEST: Duration = Duration::from_secs(10);
/// Longer than any configuration of ours, bytes.
const LONGEST: u64 = 1 << 20;
/// A variable of ours that is none of dnsmasq's business: the API token's secret.
const SECRET: &str = "API_TOKEN_SECRET";

/// What it is, and where its configuration goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The program, by its path or by its name on the PATH.
    pub program: PathBuf,
    /// The configuration file.
    pub conf_file: PathBuf,
    /// What is in there.
    pub conf: Conf,
    /// Where it is asked whether it answers.
    pub asked_at: SocketAddr,
    /// How patient we are.
    pub pace: Pace,
}

/// What happened to it.
#[derive(Debug)]
pub enum Event {
    /// It was started. It reads all that there is by now.
    Began(u32),
    /// It ran already and was taken over. It may not have read what was written since.
    Found(u32),
    /// It answers, for the first time since it began.
    Answers,
    /// It does not answer and is replaced.
    Hangs(Duration),
    /// It has ended, and how.
    Ended(String),
    /// It cannot be started.
    CannotBegin(Error),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began(pid) => write!(f, "dnsmasq runs as process {pid}"),
            Self::Found(pid) => write!(f, "dnsmasq runs already, as process {pid}, and is taken over"),
            Self::Answers => f.write_str("dnsmasq answers"),
            Self::Hangs(patience) => {
                write!(f, "dnsmasq has not answered for {} s and is replaced", patience.as_secs_f32())
            }
            Self::Ended(how) => write!(f, "dnsmasq has ended: {how}; it is started again"),
            Self::CannotBegin(error) => error.fmt(f),
        }
    }
}

/// A dnsmasq that is kept running.
#[derive(Debug)]
pub struct Managed {
    settings: Settings,
    /// The text of its configuration.
    text: String,
    /// The folder of its configuration, which is locked: a dnsmasq that is found there is nobody else's.
    folder: Folder,
    process: Option<Process>,
    found: bool,
    tending: Tending,
    began: Instant,
    asker: Asker,
    has_answered: bool,
}

impl Managed {
    /// Writes the configuration and has dnsmasq look at it. One that runs with ours already is taken over, or ended if it was
    /// started with another, or does not watch what is the folder of names by now. It is started by [`Self::tend`].
    ///
    /// # Errors
    /// dnsmasq is not there or does not like the configuration; or a file cannot be written; or one that runs does not end.
    pub async fn prepare(settings: Settings) -> Result<Self> {
        let text = settings.conf.text().map_err(|error| Error::new(format!("cannot configure dnsmasq: {error}")))?;
        let argument = conf_argument(&settings.conf_file)?;
        let folder = locked(&settings.conf_file)?;
        let running = Dnsmasq::find(&settings.conf.pid_file).ok().filter(|dnsmasq| dnsmasq.has_argument(&argument));
        let stays = running.as_ref().is_some_and(|dnsmasq| watches(dnsmasq, &settings.conf))
            && holds(&settings.conf_file, &text);
        let unwatched = |error: io::Error| Error::new(format!("cannot watch dnsmasq: {}", in_words(&error)));
        let mut process = running.map(Process::Found);
        if !stays {
            // First of all, so that one that runs does not end for one that cannot begin. What is at the file's own place is what
            // the running one was started with.
            test(&settings.program, &text).await?;
            if let Some(process) = process.take() {
                process.stop().await?;
            }
            // Those that nobody knows by their number: it was not written yet when we were killed, or somebody has deleted it.
            for orphan in Dnsmasq::all_with(&argument, &settings.conf_file) {
                Process::Found(orphan).stop().await?;
            }
            write(&settings.conf_file, &text)?;
        }
        let asker = Asker::new(settings.asked_at).await.map_err(unwatched)?;
        let tending = Tending::new(settings.pace);
        let found = process.is_some();
        let (began, has_answered) = (Instant::now(), false);
        Ok(Self { settings, text, folder, process, found, tending, began, asker, has_answered })
    }

    /// Does what there is to do until something happens that is worth telling. Given up, nothing is lost: it is called again.
    pub async fn tend(&mut self) -> Event {
        if std::mem::take(&mut self.found)
            && let Some(process) = &self.process
        {
            self.tending.runs(self.began.elapsed());
            return Event::Found(process.pid());
        }
        loop {
            let now = self.began.elapsed();
            match self.tending.next(now) {
                Step::Start => return self.start(now),
                Step::Ask => {
                    self.tending.asked(now);
                    self.asker.ask().await;
                }
                Step::End { hangs } => {
                    self.signal(false);
                    self.tending.told(now);
                    if hangs {
                        return Event::Hangs(self.settings.pace.patience);
                    }
                }
                Step::Kill => {
                    self.signal(true);
                    self.tending.told(now);
                }
                Step::Wait(until) => {
                    if let Some(event) = self.wait(until).await {
                        return event;
                    }
                }
            }
        }
    }

    async fn wait(&mut self, until: Moment) -> Option<Event> {
        let Self { process, asker, .. } = self;
        let ended = async {
            match process {
                Some(process) => process.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            how = ended => {
                self.process = None;
                self.tending.ended(self.began.elapsed());
                Some(Event::Ended(how))
            }
            answer = asker.answer() => {
                if answer.is_none() || !self.is_its_own() {
                    return None;
                }
                self.tending.answered(self.began.elapsed());
                (!std::mem::replace(&mut self.has_answered, true)).then_some(Event::Answers)
            }
            () = sleep_until((self.began + until).into()) => None,
        }
    }

    /// Whether an answer comes from it, and not from another resolver at the same address, beside which it cannot begin: it writes
    /// its number only once it has its port.
    fn is_its_own(&self) -> bool {
        match &self.process {
            Some(Process::Ours(_)) if self.has_answered => true,
            Some(Process::Ours(child)) => {
                let number = number_in(&self.settings.conf.pid_file).ok();
                number.is_some_and(|number| child.id() == Some(number.as_raw_pid().cast_unsigned()))
            }
            Some(Process::Found(_)) => true,
            None => false,
        }
    }

    fn start(&mut self, now: Moment) -> Event {
        self.has_answered = false;
        match self.spawn() {
            Ok(child) => {
                self.tending.runs(now);
                let process = self.process.insert(Process::Ours(child));
                Event::Began(process.pid())
            }
            Err(error) => {
                self.tending.ended(now);
                Event::CannotBegin(error)
            }
        }
    }

    fn spawn(&mut self) -> Result<Child> {
        let Settings { program, conf_file, conf, .. } = &self.settings;
        // Somebody may have deleted or changed it, and the folder with it.
        if !holds(conf_file, &self.text) {
            folder::make(folder_of(conf_file))?;
            if !self.folder.is_still_there()? {
                self.folder = locked(conf_file)?;
            }
            write(conf_file, &self.text)?;
        }
        // One that is there is not read by anybody as this one's, before it has written its own.
        match fs::remove_file(&conf.pid_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &conf.pid_file, &error));
            }
            _ => {}
        }
        let mut command = Command::new(program);
        command.arg("--keep-in-foreground").arg(conf_argument(conf_file)?).env_remove(SECRET);
        // In a group of its own: it ends when we have it end, not when somebody types Ctrl-C.
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command.spawn().map_err(|error| not_started(program, &error))
    }

    fn signal(&self, at_once: bool) {
        if let Some(process) = &self.process {
            // Whoever may start it may end it.
            let _ = process.signal(at_once);
        }
    }

    /// Has it begin anew: what it watches is gone.
    pub fn begin_anew(&mut self) {
        self.tending.replace(self.began.elapsed());
    }

    /// Has it end, within seven seconds.
    ///
    /// # Errors
    /// It does not.
    pub async fn stop(mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }
}

fn conf_argument(conf_file: &Path) -> Result<String> {
    let path = path_value(conf_file).map_err(|_| {
        let path = conf_file.to_string_lossy();
        Error::new(format!("dnsmasq cannot read a configuration file {}", Shown(&path)))
            .remedy("name an absolute path without quotes, backslashes and #")
    })?;
    Ok(format!("--conf-file={path}"))
}

/// Whether it watches what is the folder of names now: else it knows of no change, and has to begin anew. Who may not see that
/// believes it.
fn watches(dnsmasq: &Dnsmasq, conf: &Conf) -> bool {
    let folder = Folder::look_at(&conf.hostsdir).ok();
    let watches = folder.and_then(|folder| dnsmasq.watches(folder.identity())) != Some(false);
    if !watches {
        warn!("dnsmasq, process {}, does not watch {} and is replaced", dnsmasq.pid(), conf.hostsdir.display());
    }
    watches
}

fn folder_of(conf_file: &Path) -> &Path {
    conf_file.parent().unwrap_or(Path::new("/"))
}

/// The folder of a configuration, which nobody else has then.
fn locked(conf_file: &Path) -> Result<Folder> {
    let folder = Folder::look_at(folder_of(conf_file))?;
    folder.lock()?;
    Ok(folder)
}

/// Writes the configuration.
fn write(conf_file: &Path, text: &str) -> Result<()> {
    atomic_file::replace(conf_file, |file| file.write_all(text.as_bytes()))
}

/// Whether a file holds this.
fn holds(path: &Path, text: &str) -> bool {
    let mut there = Vec::new();
    let read = open_regular(path).and_then(|file| file.take(LONGEST).read_to_end(&mut there));
    read.is_ok() && there == text.as_bytes()
}

/// Whether dnsmasq itself takes this configuration; nothing is written or started.
///
/// # Errors
/// It does not, or there is no dnsmasq.
pub async fn check(settings: &Settings) -> Result<()> {
    let text = settings.conf.text().map_err(|error| Error::new(format!("cannot configure dnsmasq: {error}")))?;
    test(&settings.program, &text).await
}

/// What dnsmasq itself says about a configuration, which it reads from its standard input.
async fn test(program: &Path, text: &str) -> Result<()> {
    let unmade = |error: io::Error| Error::new(format!("cannot have dnsmasq test: {}", in_words(&error)));
    let memory = memfd_create("dnsmasq.conf", MemfdFlags::CLOEXEC).map_err(|error| unmade(error.into()))?;
    let mut input = fs::File::from(memory);
    input.write_all(text.as_bytes()).and_then(|()| input.rewind()).map_err(unmade)?;
    let mut command = Command::new(program);
    command.args(["--test", "--conf-file=-"]).env_remove(SECRET).stdin(input).kill_on_drop(true);
    let output = match timeout(TEST, command.output()).await {
        Ok(output) => output.map_err(|error| not_started(program, &error))?,
        Err(_) => return Err(Error::new(format!("{} --test does not end", program.display()))),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = match said.trim() {
        "" => format!("{}: {}", program.display(), output.status),
        said => Shown(said).to_string(),
    };
    let line = wrong_line(&said, text).map_or_else(String::new, |line| format!(": {}", Shown(line)));
    Err(Error::new(format!("dnsmasq does not take its configuration: {said}{line}"))
        .remedy("correct the option that this comes from: --print-config shows who says what"))
}

/// The line of a configuration that dnsmasq complains about: `bad dhcp-range at line 16 of stdin`.
fn wrong_line<'a>(said: &str, text: &'a str) -> Option<&'a str> {
    let (_, rest) = said.split_once(" at line ")?;
    let number: usize = rest.split(' ').next()?.parse().ok()?;
    text.lines().nth(number.checked_sub(1)?)
}

fn not_started(program: &Path, error: &io::Error) -> Error {
    let error_said = Error::new(format!("cannot start {}: {}", program.display(), in_words(error)));
    if error.kind() == io::ErrorKind::NotFound {
        error_said.remedy("install dnsmasq (Debian: dnsmasq-base)")
    } else {
        error_said
    }
}
