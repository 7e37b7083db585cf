//! The loop: one thread, one poll(2) over the queues, the folder of bindings, interfaces and signals; in between, what is
//! due. A round of packets, then everybody else: what was said before a packet is known when it is answered.

use super::advertising::Advertising;
use super::checks::Checks;
use super::desk::Desk;
use super::metrics::Page;
use super::rate::Limit;
use super::registrar::Registrar;
use super::{dump, rules};
use crate::cli::nfdhcpd::{Config, Request};
use crate::daemon::endpoint::Listener;
use crate::daemon::schedule::Moment;
use crate::daemon::supervisor::Supervisor;
use crate::error::{Error, Result, in_words};
use crate::exit::Exit;
use crate::plan::responder::rules::Traffic;
use crate::plan::responder::{Client, Settings};
use crate::registry::paths::Paths;
use crate::sink::packet_socket::PacketSocket;
use crate::source::bindings::{Event, News, Store};
use crate::source::links::KernelLinks;
use crate::source::nfqueue::{Refused, Socket};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Packets between two looks at everything else.
const ROUND: usize = 64;
/// Rounds for the packets that are there when we are told to leave: more than all queues hold.
const LAST_ROUNDS: usize = 1024;
/// How often we look whether the folder is still the one at its path, of which no event tells.
const LOOK: Duration = Duration::from_secs(10);

/// What takes privileges to open.
pub struct Opened {
    socket: Socket,
    queues: Vec<(Traffic, u16)>,
    out: PacketSocket,
    listener: Option<Listener>,
}

impl Opened {
    /// Makes the queues ours.
    ///
    /// # Errors
    /// Somebody else has one, or we may not.
    pub fn open(config: &Config) -> Result<Self> {
        let mut socket = Socket::open()?;
        let queues = config.queues_in_use();
        for (kind, queue) in &queues {
            socket.bind(*queue).map_err(|refused| unbound(*queue, *kind, &refused))?;
        }
        let out = PacketSocket::open()?;
        let listener = config.metrics_listen.map(Listener::bind).transpose()?;
        Ok(Self { socket, queues, out, listener })
    }
}

fn unbound(queue: u16, kind: Traffic, refused: &Refused) -> Error {
    let option = kind.queue_option();
    let failed = |why: String| Error::new(format!("cannot take packets of {option} = {queue}: {why}"));
    match refused {
        Refused::Taken(holder) => failed(format!("{holder} does already"))
            .remedy(format!("end that one, or choose another {option}, here and in the packet filter rules")),
        Refused::NotPermitted => failed("no permission".to_owned()).remedy("run as root, or with CAP_NET_ADMIN"),
        Refused::Kernel(error) => {
            failed(in_words(&(*error).into())).remedy("the kernel needs nfnetlink_queue (modprobe nfnetlink_queue)")
        }
    }
}

/// What the loop asks others to do.
pub struct Hooks<'a> {
    /// Everything is there: who waits for that is told.
    pub ready: &'a dyn Fn() -> Result<()>,
    /// SIGHUP: the log is opened anew ...
    pub reopen_log: &'a dyn Fn(),
    /// ... and the configuration is read anew.
    pub read_configuration: &'a dyn Fn() -> Result<Request>,
}

/// Answers packets until SIGTERM or SIGINT. Privileges other than for packets are given up by now.
///
/// # Errors
/// It cannot begin, or something fails that it lives by.
pub fn run(config: &Config, opened: Opened, signals: SignalFd, hooks: &Hooks) -> Result<Exit> {
    let began = Instant::now();
    let Opened { socket, queues, out, listener } = opened;
    // Before the first look at the interfaces: no change is missed.
    let links = KernelLinks::listen()?;
    let (store, news) = Store::open(&config.datapath, KernelLinks::read()?)?;
    let mut desk = Desk::new(store, config.settings.clone(), queues, out, began);
    desk.limit = Limit::per_second(config.rate_limit);
    if let Some(listener) = listener {
        let queues = desk.queues.iter().map(|(_, queue)| *queue).collect();
        let page = Page::new(&desk.metrics, queues);
        listener.serve(move || page.text())?;
    }
    let advertising = advertising(&desk.settings, Moment::ZERO);
    let mut server = Server {
        began,
        socket,
        signals,
        links,
        desk,
        advertising,
        supervisor: Supervisor::from_environment(),
        registrar: registrar(config)?,
        checks: Checks::new(rules::wishes(config)),
        config: config.clone(),
        is_news: false,
        next_look: LOOK,
        end: false,
    };
    news.notices.iter().for_each(|notice| warn!("{notice}"));
    let taps: Vec<_> = server.desk.store.taps().collect();
    for tap in &taps {
        // In its turn: after a restart nothing is new to the guests.
        server.advertise_from_now_on(*tap, false);
        server.checks.look_at(&server.desk, *tap);
    }
    (hooks.ready)()?;
    server.follow();
    server.serve(hooks)
}

/// Begun by now, so that it has no more privileges than we.
fn registrar(config: &Config) -> Result<Option<Registrar>> {
    let Some(base) = &config.registry else { return Ok(None) };
    let paths = Paths::new(Some(base.clone().into()), None)?;
    let started = Registrar::start(paths, |line| info!("{line}"));
    started.map(Some).map_err(|error| Error::new(format!("cannot follow the registry: {}", in_words(&error))))
}

fn advertising(settings: &Settings, now: Moment) -> Option<Advertising> {
    settings.ipv6.as_ref().map(|ipv6| Advertising::every(ipv6.ra_period, now))
}

/// Who has something to say, as poll(2) has it.
#[derive(Clone, Copy)]
struct Told {
    signals: bool,
    links: bool,
    files: bool,
}

struct Server {
    began: Instant,
    config: Config,
    socket: Socket,
    signals: SignalFd,
    links: KernelLinks,
    desk: Desk,
    advertising: Option<Advertising>,
    supervisor: Supervisor,
    registrar: Option<Registrar>,
    checks: Checks,
    /// Whether others are to be told of what happened to files and taps.
    is_news: bool,
    next_look: Moment,
    end: bool,
}

impl Server {
    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    fn serve(mut self, hooks: &Hooks) -> Result<Exit> {
        let mut is_more = false;
        while !self.end {
            let told = self.wait(is_more)?;
            // First what was said before the packets that are there: who writes a file, then starts the guest, is served by it.
            self.take_in(told, hooks)?;
            is_more = self.round()?;
            self.do_what_is_due()?;
            if std::mem::take(&mut self.is_news) {
                self.follow();
            }
        }
        // What is in our hands gets its verdict. What comes later is dropped by the kernel, or, when the queues are gone,
        // handled as the rules say.
        for _ in 0..LAST_ROUNDS {
            if !self.round()? {
                break;
            }
        }
        self.supervisor.stopping();
        self.supervisor.tell(self.now());
        info!("ended");
        Ok(Exit::Done)
    }

    /// Waits for events, or until something is due; not if there are more packets. Who besides the queues has something to say.
    fn wait(&self, is_more: bool) -> Result<Told> {
        let now = self.now();
        let advertise = self.advertising.as_ref().and_then(Advertising::next);
        let due = [advertise, Some(self.next_look), self.supervisor.next(now)].into_iter().flatten().min();
        let timeout = due.map(|due| due.saturating_sub(now)).filter(|_| !is_more).unwrap_or_default();
        let fds = [self.signals.as_fd(), self.links.as_fd(), self.desk.store.as_fd(), self.socket.as_fd()];
        let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, Timespec::try_from(timeout).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::new(format!("cannot wait for packets: {}", in_words(&error.into())))),
        }
        let [signals, links, files, _] = fds.map(|fd| !fd.revents().is_empty());
        Ok(Told { signals, links, files })
    }

    /// Answers packets; whether there may be more.
    fn round(&mut self) -> Result<bool> {
        let Self { socket, desk, .. } = self;
        let ended = socket.round(ROUND, |packet| desk.decide(packet));
        desk.metrics.losses(&socket.losses);
        ended.map_err(|error| Error::new(format!("no more packets from the kernel: {}", in_words(&error.into()))))
    }

    /// Takes in what happened to files, interfaces, and us.
    fn take_in(&mut self, told: Told, hooks: &Hooks) -> Result<()> {
        if told.files {
            let news = self.desk.store.folder_changed()?;
            self.note(news);
            self.is_news = true;
        }
        if told.links {
            self.take_in_links()?;
        }
        while told.signals
            && let Ok(Some(signal)) = self.signals.read_signal()
        {
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGHUP) => self.reload(hooks),
                Ok(Signal::SIGUSR1) => info!("clients:\n{}", dump::table(&self.desk.store)),
                Ok(Signal::SIGINT | Signal::SIGTERM) => self.end = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn take_in_links(&mut self) -> Result<()> {
        let mut events = Vec::new();
        let is_complete = self.links.take(|event| events.push(event))?;
        for event in events {
            let news = self.desk.store.link_changed(event);
            self.note(news);
        }
        if !is_complete {
            let news = self.desk.store.links_are(&KernelLinks::read()?);
            self.note(news);
        }
        Ok(())
    }

    fn do_what_is_due(&mut self) -> Result<()> {
        let now = self.now();
        if let Some(advertising) = &mut self.advertising {
            for tap in advertising.due(now) {
                self.desk.advertise(tap);
            }
        }
        if now >= self.next_look {
            self.next_look = now + LOOK;
            let news = self.desk.store.check_folder()?;
            self.note(news);
        }
        self.supervisor.tell(now);
        Ok(())
    }

    /// Files or interfaces have changed.
    fn note(&mut self, news: News) {
        news.notices.iter().for_each(|notice| warn!("{notice}"));
        if news.events.is_empty() {
            return;
        }
        for event in news.events {
            self.note_event(event);
        }
        self.is_news = true;
    }

    /// The registry, the supervisor and the metrics follow the bindings.
    fn follow(&mut self) {
        if let Some(registrar) = &self.registrar {
            registrar.follow(&self.desk.store);
        }
        self.tell();
    }

    fn note_event(&mut self, event: Event) {
        match event {
            Event::Added { tap } => {
                self.advertise_from_now_on(tap, true);
                self.checks.look_at(&self.desk, tap);
            }
            Event::Changed { tap, before, responder } => {
                let former = responder.map(|responder| Client { binding: &before.binding, responder });
                let is_other = self.desk.store.client(tap).is_none_or(|now| {
                    let router = |client: &Client| {
                        let binding = client.binding;
                        (client.responder, binding.subnet6, binding.gateway6, binding.private)
                    };
                    former.as_ref().is_none_or(|former| router(former) != router(&now))
                });
                if let Some(former) = former.filter(|_| is_other) {
                    self.desk.say_goodbye(tap, &former);
                }
                self.advertise_from_now_on(tap, true);
            }
            Event::Removed { tap, before, responder } => {
                if let Some(responder) = responder {
                    self.desk.say_goodbye(tap, &Client { binding: &before.binding, responder });
                }
                if let Some(advertising) = &mut self.advertising {
                    advertising.remove(tap);
                }
                self.desk.forget(tap);
            }
        }
    }

    /// If there is something to advertise.
    fn advertise_from_now_on(&mut self, tap: u32, at_once: bool) {
        let Some(advertising) = &mut self.advertising else { return };
        match self.desk.store.bound(tap).and_then(|bound| bound.binding.subnet6) {
            Some(_) => advertising.add(tap, at_once),
            None => advertising.remove(tap),
        }
    }

    /// Tells the supervisor, and the metrics, how many we serve.
    fn tell(&mut self) {
        let (bindings, taps) = self.desk.store.count();
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.desk.metrics.bindings.set(number(bindings));
        self.desk.metrics.taps.set(number(taps));
        self.supervisor.status(format!("{bindings} bindings, {taps} of them with a tap"), true);
        self.supervisor.tell(self.now());
    }

    /// SIGHUP: the log, the configuration and all bindings anew.
    fn reload(&mut self, hooks: &Hooks) {
        self.supervisor.reloading();
        (hooks.reopen_log)();
        match (hooks.read_configuration)() {
            Ok(request) => {
                request.notices.iter().for_each(|notice| warn!("{notice}"));
                self.configure(request.config);
            }
            Err(error) => warn!("the configuration stays as it was: {error}"),
        }
        let news = self.desk.store.read_all();
        self.note(news);
        self.supervisor.reloaded();
        self.is_news = true;
        info!("read anew: {} bindings", self.desk.store.count().0);
    }

    /// What answers consist of, and the rate limit, can be changed at run time. The rest is said to need a restart.
    fn configure(&mut self, config: Config) {
        let (old, new) = (&self.config, &config);
        let needs_restart = [
            ("queues", old.queues_in_use() != new.queues_in_use()),
            ("datapath", old.datapath != new.datapath),
            ("pidfile", old.pidfile != new.pidfile),
            ("user", old.user != new.user),
            ("log", (old.log, &old.logdir) != (new.log, &new.logdir)),
            ("registry", old.registry != new.registry),
            ("metrics_listen", old.metrics_listen != new.metrics_listen),
        ];
        for (what, _) in needs_restart.iter().filter(|(_, changed)| *changed) {
            warn!("{what}: changed, which takes a restart");
        }
        self.desk.limit = Limit::per_second(new.rate_limit);
        if old.settings != new.settings {
            self.desk.settings = new.settings.clone();
            self.advertising = advertising(&new.settings, self.now());
            let taps: Vec<_> = self.desk.store.taps().collect();
            for tap in taps {
                self.advertise_from_now_on(tap, true);
            }
        }
        // What takes a restart is compared with what is in force the next time, too.
        self.config.settings = config.settings;
        self.config.rate_limit = config.rate_limit;
    }
}
