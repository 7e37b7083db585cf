//! Another's dnsmasq, beside which we are: it is asked now and then what it is, if it serves DNS where we can ask it. Who never answers
//! is not missed: nobody knows whether it is asked at the right place.

use super::asker::Asker;
use crate::sink::dnsmasq::{Dnsmasq, Version};
use rustix::process::Pid;
use std::fmt;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often it is asked.
const ASK: Duration = Duration::from_secs(5);
/// So long it may not answer: it stands still while it reads everything anew.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It answers, for the first time or again, and is of this version.
    Answers(Version),
    /// It has answered, and does so no longer.
    Silent(Duration),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers(version) => write!(f, "dnsmasq {version} answers"),
            Self::Silent(patience) => write!(f, "dnsmasq has not answered for {} s", patience.as_secs_f32()),
        }
    }
}

/// Whoever asks.
#[derive(Debug)]
pub struct Beside {
    pid_file: PathBuf,
    ask: Duration,
    patience: Duration,
    /// Which one it is, and where it is asked.
    running: Option<Pid>,
    asker: Option<Asker>,
    next: Instant,
    /// What it is while it answers, and when it did so last.
    answers: Option<(Version, Instant)>,
}

impl Beside {
    /// The one whose number is, or will be, in this file.
    pub fn new(pid_file: PathBuf) -> Self {
        Self::with(pid_file, ASK, PATIENCE)
    }

    /// The same, asked so often and missed after so long.
    pub fn with(pid_file: PathBuf, ask: Duration, patience: Duration) -> Self {
        let next = Instant::now();
        Self { pid_file, ask, patience, running: None, asker: None, next, answers: None }
    }

    /// Asks until something happens that is worth telling. Given up, nothing is lost: it is called again.
    pub async fn tend(&mut self) -> Said {
        loop {
            let now = Instant::now();
            if self.next <= now {
                self.next = now + self.ask;
                self.ask().await;
            }
            let give_up = self.answers.map(|(_, last)| last + self.patience);
            if give_up.is_some_and(|give_up| give_up <= now) {
                self.answers = None;
                return Said::Silent(self.patience);
            }
            let answer = async {
                match &self.asker {
                    Some(asker) => asker.answer().await,
                    None => pending().await,
                }
            };
            let until = give_up.map_or(self.next, |give_up| give_up.min(self.next));
            let answer = tokio::select! {
                answer = answer => answer,
                () = sleep_until(until) => continue,
            };
            if let Some(version) = answer.flatten() {
                let before = self.answers.replace((version, Instant::now()));
                if before.is_none_or(|(before, _)| before != version) {
                    return Said::Answers(version);
                }
            }
        }
    }

    async fn ask(&mut self) {
        if let Ok(dnsmasq) = Dnsmasq::find(&self.pid_file)
            && self.running != Some(dnsmasq.pid())
        {
            let asker = match dnsmasq.configuration().and_then(|configuration| configuration.asked_at()) {
                Some(place) => Asker::new(place).await.ok(),
                None => None,
            };
            (self.running, self.asker) = (Some(dnsmasq.pid()), asker);
        }
        if let Some(asker) = &mut self.asker {
            asker.ask().await;
        }
    }
}
