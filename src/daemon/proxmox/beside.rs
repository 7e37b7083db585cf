//! Another's dnsmasq, beside which we are: it is asked now and then what it is, if it serves DNS where we can ask it. Who never answers
//! is not missed: nobody knows whether it is asked at the right place.

use crate::sink::dnsmasq::{Dnsmasq, Version, asking};
use rustix::process::Pid;
use std::fmt;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UdpSocket;
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
    socket: Option<UdpSocket>,
    asked: u16,
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
        Self { pid_file, ask, patience, running: None, socket: None, asked: 0, next, answers: None }
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
            let mut answer = [0; 512];
            let received = async {
                match &self.socket {
                    Some(socket) => socket.recv(&mut answer).await,
                    None => pending().await,
                }
            };
            let until = give_up.map_or(self.next, |give_up| give_up.min(self.next));
            let received = tokio::select! {
                received = received => received,
                () = sleep_until(until) => continue,
            };
            // An error is what the system heard about an earlier question: nobody listens.
            let version = received.ok().and_then(|length| asking::answer(answer.get(..length)?)).flatten();
            if let Some(version) = version {
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
            let socket = match dnsmasq.configuration().and_then(|configuration| configuration.asked_at()) {
                Some(place) => connected(place).await.ok(),
                None => None,
            };
            (self.running, self.socket) = (Some(dnsmasq.pid()), socket);
        }
        self.asked = self.asked.wrapping_add(1);
        if let Some(socket) = &self.socket {
            // Unsent, it is unanswered.
            let _ = socket.send(&asking::question(self.asked)).await;
        }
    }
}

/// A socket for questions to this one.
///
/// # Errors
/// The system has none.
pub(super) async fn connected(place: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = match place {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(place).await?;
    Ok(socket)
}
