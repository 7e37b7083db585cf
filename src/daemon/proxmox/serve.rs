//! The loop: whoever tells something is heard, and what is due is done. Nothing in it waits for one of them alone.

use super::beside::{Beside, Said};
use super::child::{Event, Managed};
use super::keeper::{Interests, Keeper};
use super::snapshot::Dnsmasq as Health;
use super::state::Now;
use crate::cli::proxmox::Hearing;
use crate::daemon::asked::{Asked, Signals};
use crate::daemon::schedule::Moment;
use crate::daemon::supervisor::Supervisor;
use crate::error::Result;
use crate::sink::dnsmasq_dir::Sink;
use crate::source::neighbors::{Kernel, Neighbors, Sighted};
use crate::source::proxmox::{Cluster, Done, Reading};
use std::collections::BTreeSet;
use std::future::pending;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

/// The beginning of time is so long before the start, so that what was known before has its order.
const BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// When we listen again after the kernel could not be heard any more.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);
/// How often people are shown how it is.
const SHOW: Duration = Duration::from_secs(2);
/// So many questions on their way are many.
const MANY: usize = 4;
/// How often it is looked whether something can be heard that could not, and the other way round.
const LACKING: Duration = Duration::from_secs(5);

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Begins.
    pub fn start() -> Self {
        let now = Instant::now();
        Self { began: now.checked_sub(BEFORE).unwrap_or(now) }
    }

    /// Now.
    pub fn now(self) -> Now {
        // Before 1970 nothing is known to be old.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { moment: self.began.elapsed(), time }
    }

    /// When time began.
    pub fn began(self) -> std::time::Instant {
        self.began.into_std()
    }

    fn at(self, moment: Moment) -> Instant {
        self.began + moment
    }
}

/// Whom we hear on the wire, for as long as that goes.
pub struct Ears {
    hearing: Option<Hearing>,
    kernel: Option<Kernel>,
    again: Instant,
    look: Instant,
    lacking: BTreeSet<String>,
    clock: Clock,
}

impl Ears {
    /// Opens them at once, if they are wanted.
    pub fn new(hearing: Option<Hearing>, clock: Clock) -> Self {
        let now = Instant::now();
        let mut ears = Self { hearing, kernel: None, again: now, look: now, lacking: BTreeSet::new(), clock };
        ears.open();
        ears
    }

    /// Opens them if they are wanted, shut, and it is time. Whether they were opened.
    fn open(&mut self) -> bool {
        let now = Instant::now();
        let Some(hearing) = self.hearing.as_ref().filter(|_| self.kernel.is_none() && self.again <= now) else {
            return false;
        };
        self.again = now + LISTEN_AGAIN;
        match Kernel::listen(hearing.places.clone(), hearing.sweeping.clone(), self.clock.began) {
            Ok(kernel) => self.kernel = Some(kernel),
            Err(failure) => self.tell(&failure.to_string()),
        }
        self.kernel.is_some()
    }

    /// The next one. Cancel-safe.
    async fn next(&mut self) -> Sighted {
        loop {
            match &mut self.kernel {
                Some(kernel) => match kernel.next().await {
                    Ok(sighted) => return sighted,
                    Err(failure) => {
                        self.kernel = None;
                        self.again = Instant::now() + LISTEN_AGAIN;
                        self.tell(&failure.to_string());
                    }
                },
                None => return pending().await,
            }
        }
    }

    /// Says what cannot be heard, each once until it can.
    fn look(&mut self) {
        let now = Instant::now();
        if self.look > now {
            return;
        }
        self.look = now + LACKING;
        let Some(kernel) = &self.kernel else { return };
        let lacking: BTreeSet<String> = kernel.lacking().iter().map(ToString::to_string).collect();
        for text in lacking.difference(&self.lacking) {
            warn!("{text}");
        }
        self.lacking = lacking;
    }

    fn tell(&mut self, text: &str) {
        if self.lacking.insert(text.to_owned()) {
            warn!("{text}");
        }
    }
}

/// What happens.
enum Happened {
    Asked(Asked),
    Answered(Done),
    Heard(Sighted),
    Dnsmasq(Event),
    Beside(Said),
    Due,
}

/// A running companion.
pub struct Server<'a, C, S> {
    /// What it does.
    pub keeper: Keeper<S>,
    /// What it has asked.
    pub reading: Reading<'a, C>,
    /// Whether so much is on its way that answers are gathered.
    pub gathers: Arc<AtomicBool>,
    /// Whom it hears.
    pub ears: Ears,
    /// Its dnsmasq, if that is its own.
    pub dnsmasq: Option<Managed>,
    /// Another's dnsmasq, if we know which.
    pub beside: Option<Beside>,
    /// When it is to leave.
    pub signals: Signals,
    /// Whom it tells how it is.
    pub supervisor: Supervisor,
    /// What time it is.
    pub clock: Clock,
    /// How its dnsmasq is.
    pub health: Health,
    /// Since it answered last: what was said of that it does not.
    pub down: Option<String>,
    /// When people are shown how it is.
    pub show: Moment,
}

impl<C: Cluster, S: Sink> Server<'_, C, S> {
    /// Keeps names in step until a signal ends it; dnsmasq ends with it.
    ///
    /// # Errors
    /// dnsmasq does not end.
    pub async fn run(mut self) -> Result<()> {
        while self.step().await {}
        self.supervisor.stopping();
        self.supervisor.tell(self.clock.now().moment);
        self.keeper.remember(self.clock.now());
        match self.dnsmasq.take() {
            Some(dnsmasq) => dnsmasq.stop().await,
            None => Ok(()),
        }
    }

    /// Whether it goes on.
    async fn step(&mut self) -> bool {
        let now = self.clock.now();
        self.keeper.work(now);
        if self.keeper.is_unwatched()
            && let Some(dnsmasq) = &mut self.dnsmasq
        {
            dnsmasq.begin_anew();
        }
        for call in self.keeper.calls(now.moment) {
            self.reading.ask(call, now.moment);
        }
        self.gathers.store(self.reading.in_flight() >= MANY, Ordering::Relaxed);
        let is_new = self.ears.open();
        let interests = self.keeper.interests(is_new);
        if let (Some(kernel), Some(Interests { macs, asked, spared, are_sought })) = (&mut self.ears.kernel, interests)
        {
            kernel.know(macs, asked);
            kernel.spare(spared);
            if are_sought {
                kernel.seek();
            }
        }
        self.ears.look();
        self.tell(now.moment);
        self.show(now.moment);
        match self.next(now.moment).await {
            Happened::Asked(Asked::ToLeave) => return false,
            Happened::Asked(Asked::ToLookAtEverything) => {
                info!("SIGHUP: everything is looked at anew");
                self.keeper.doubt(self.clock.now().moment);
            }
            Happened::Answered(done) => {
                let now = self.clock.now().moment;
                // What came together is taken in together: what follows from it is worked out once.
                for done in iter::once(done).chain(iter::from_fn(|| self.reading.done_already())) {
                    debug!(call = ?done.call, milliseconds = done.took.as_millis(), "answered");
                    self.keeper.answered(done, now);
                }
            }
            Happened::Heard(sighted) => self.keeper.heard(&sighted, self.clock.now().moment),
            Happened::Dnsmasq(event) => self.dnsmasq_says(&event),
            Happened::Beside(said) => self.another_says(said),
            Happened::Due => {}
        }
        true
    }

    async fn next(&mut self, now: Moment) -> Happened {
        let Self { keeper, reading, ears, dnsmasq, beside, signals, supervisor, clock, show, .. } = self;
        let beat = supervisor.next(now);
        let again = (ears.hearing.is_some() && ears.kernel.is_none()).then_some(ears.again);
        let due = keeper.wake().into_iter().chain(beat).chain([*show]).min().map(|moment| clock.at(moment));
        let due = due.into_iter().chain(again).min();
        let event = async {
            match dnsmasq {
                Some(dnsmasq) => dnsmasq.tend().await,
                None => pending().await,
            }
        };
        let another = async {
            match beside {
                Some(beside) => beside.tend().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            asked = signals.next() => Happened::Asked(asked),
            event = event => Happened::Dnsmasq(event),
            said = another => Happened::Beside(said),
            done = reading.done() => Happened::Answered(done),
            sighted = ears.next() => Happened::Heard(sighted),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Happened::Due,
        }
    }

    fn dnsmasq_says(&mut self, event: &Event) {
        match event {
            Event::Began(_) => {
                info!("{event}");
                self.health = Health::Starting;
                self.keeper.metrics.dnsmasq_started();
                self.keeper.dnsmasq_began();
            }
            Event::Found(_) => {
                info!("{event}");
                self.keeper.dnsmasq_found();
            }
            Event::Answers => {
                self.keeper.dnsmasq_answers();
                self.answers(&event.to_string());
            }
            Event::Hangs(_) | Event::Ended(_) | Event::CannotBegin(_) => self.is_down(event.to_string()),
        }
        // At once.
        (self.show, self.keeper.is_news) = (Moment::ZERO, true);
    }

    fn another_says(&mut self, said: Said) {
        match said {
            Said::Answers(version) => {
                self.keeper.dnsmasq_is(version);
                self.answers(&said.to_string());
            }
            Said::Silent(_) => self.is_down(said.to_string()),
        }
        (self.show, self.keeper.is_news) = (Moment::ZERO, true);
    }

    fn answers(&mut self, text: &str) {
        self.health = Health::Answers;
        if self.down.take().is_some() {
            // As loud as its beginning was.
            error!("it is over: {text}");
        } else {
            info!("{text}");
        }
    }

    fn is_down(&mut self, text: String) {
        if self.down.as_ref() != Some(&text) {
            error!("{text}");
        }
        self.down = Some(text.clone());
        self.health = Health::Down(text);
    }

    /// The service manager.
    fn tell(&mut self, now: Moment) {
        let is_answering = matches!(self.health, Health::Answers | Health::NotAsked);
        let text = match (is_answering, self.keeper.failure(), self.keeper.trouble()) {
            (false, ..) => "dnsmasq does not answer".to_owned(),
            (true, Some(failure), _) => failure.to_owned(),
            (true, None, Some(trouble)) => trouble,
            (true, None, None) if self.keeper.has_published() => {
                format!("{} names", self.keeper.records().records.len())
            }
            (true, None, None) => "Reading all guests".to_owned(),
        };
        self.supervisor.status(text, is_answering);
        self.supervisor.tell(now);
    }

    /// People, and Prometheus.
    fn show(&mut self, now: Moment) {
        if self.show > now {
            return;
        }
        self.show = now + SHOW;
        if let Some(kernel) = &self.ears.kernel {
            self.keeper.metrics.heard(kernel.counts());
        }
        if !self.keeper.is_news {
            return;
        }
        let lacking = self.ears.lacking.iter().cloned().collect();
        self.keeper.show(self.health.clone(), lacking, now);
    }
}
