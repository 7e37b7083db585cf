//! Asking DNS all the while, in a thread of its own: what is there stays, whatever is done to the program meanwhile.

use crate::dns::Dns;
use crate::wait::PATIENCE;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub struct Watching {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64, String>>>,
}

/// An address, and the names that it is to have one after another.
struct Expected {
    address: String,
    names: Vec<String>,
    /// Which it had last.
    had: Option<usize>,
}

impl Watching {
    /// Of each address and the names that it may have one after another, without end but with the domain `lab`: once there is one, the
    /// address has just one at any time, never an earlier one, and the name has that address alone; and somebody answers.
    pub fn start<S: Into<String>>(dns: Dns, expected: impl IntoIterator<Item = (S, Vec<String>)>) -> Self {
        let expected = expected.into_iter().map(|(address, names)| {
            let names = names.into_iter().map(|name| format!("{name}.lab")).collect();
            Expected { address: address.into(), names, had: None }
        });
        let mut expected: Vec<_> = expected.collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        // In the network namespace of whoever starts it.
        let thread = std::thread::spawn(move || {
            let mut rounds = 0;
            while !told.load(Ordering::SeqCst) {
                for each in &mut expected {
                    each.look(dns)?;
                }
                rounds += 1;
                // Others run here, too.
                std::thread::sleep(Duration::from_millis(1));
            }
            // The last time, all of them are there.
            match expected.iter().find(|each| each.had.is_none()) {
                Some(each) => Err(format!("{} never had a name", each.address)),
                None => Ok(rounds),
            }
        });
        Self { is_over, thread: Some(thread) }
    }

    /// Populated clusters' guests, by their numbers from 100 on.
    pub fn guests(dns: Dns, numbers: std::ops::Range<u32>) -> Self {
        Self::start(dns, guests(numbers))
    }

    /// Nothing may have been wrong. Whether it was looked often enough is the caller's to say: it gets how often.
    #[track_caller]
    pub fn end(mut self) -> u64 {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap().unwrap_or_else(|wrong| panic!("{wrong}"))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// What to expect of a populated cluster.
pub fn guests(numbers: std::ops::Range<u32>) -> impl Iterator<Item = (String, Vec<String>)> {
    numbers.map(|number| (format!("10.0.0.{}", 100 + number), vec![format!("guest-{number}")]))
}

impl Expected {
    fn look(&mut self, dns: Dns) -> Result<(), String> {
        loop {
            let Some(now) = self.name(dns)? else { return Ok(()) };
            let name = self.names[now].clone();
            let addresses = asked(|| dns.try_addresses(&name)).map_err(|error| format!("{name}: {error}"))?;
            if addresses == [self.address.parse::<std::net::IpAddr>().unwrap()] {
                return Ok(());
            }
            // Renamed in between it has another by now.
            if self.name(dns)? == Some(now) {
                return Err(format!("{} is called {name}, which is {addresses:?}", self.address));
            }
        }
    }

    /// Which name it has now.
    fn name(&mut self, dns: Dns) -> Result<Option<usize>, String> {
        let Self { address, names, had } = self;
        let found = match asked(|| dns.try_names(address)) {
            Ok(found) => found,
            // dnsmasq does not run yet.
            Err(_) if had.is_none() => return Ok(None),
            Err(error) => return Err(format!("nobody says what {address} is called: {error}")),
        };
        let now = match &found[..] {
            [name] => names.iter().position(|known| known == name),
            _ => None,
        };
        if now < *had || now.is_none() && !found.is_empty() {
            let before = had.map(|had| &names[had]);
            return Err(format!("{address} is called {found:?} now, and was {before:?}"));
        }
        *had = now;
        Ok(now)
    }
}

/// The answer, for which a loaded machine may take its time.
fn asked<T>(ask: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                    && begun.elapsed() < PATIENCE => {}
            other => return other,
        }
    }
}
