//! The registry that follows the bindings (`--registry`), in a thread of its own: there the lock is waited for, and files
//! are synchronised, while packets are answered.

use crate::plan::responder::instance;
use crate::registry::Bound;
use crate::registry::bound::{self, Followed, Origin};
use crate::registry::paths::Paths;
use crate::source::bindings::Store;
use crate::source::bindings::store::Placed;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// After how long a registry that could not be changed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// How long its end may take: who waits for the lock that long is better started anew.
const LAST: Duration = Duration::from_secs(2);

/// What is to be followed: the newest only, so that nothing gathers while the thread waits.
type Slot = Arc<Mutex<Option<Vec<Bound>>>>;

/// The thread. When this is dropped it ends, after it has done what it was told last, if that is soon; otherwise the next
/// start catches up.
#[derive(Debug)]
pub struct Registrar {
    slot: Slot,
    wake: Option<SyncSender<()>>,
    /// Never sent to: its other end goes with the thread.
    end: Receiver<()>,
}

impl Registrar {
    /// Starts it, with the privileges of who starts it. What went wrong, what could not be as the bindings say, and that
    /// the registry changed goes to `say`, a line each; what it said last time it does not say again.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(paths: Paths, say: impl FnMut(&str) + Send + 'static) -> io::Result<Self> {
        let slot = Slot::default();
        let (wake, woken) = mpsc::sync_channel(1);
        let (ends, end) = mpsc::sync_channel(0);
        let theirs = Arc::clone(&slot);
        thread::Builder::new().name("registry".to_owned()).spawn(move || {
            serve(&paths, &theirs, &woken, say);
            drop(ends);
        })?;
        Ok(Self { slot, wake: Some(wake), end })
    }

    /// The bindings changed. Does not wait. Nothing happens while there is no folder: instances that are forgotten are cut
    /// off by a strict guard, which is more than not to be served for a while.
    pub fn follow(&self, store: &Store) {
        if store.path().is_dir() {
            self.follow_all(instances(store));
        }
    }

    /// The instances are these now, all of them.
    fn follow_all(&self, bindings: Vec<Bound>) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(bindings);
        if let Some(wake) = &self.wake {
            // If it is full, the thread is about to look.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        drop(self.wake.take());
        let _ = self.end.recv_timeout(LAST);
    }
}

/// The bindings as instances. Until a file's tap is there, it is taken for the one of its name.
fn instances(store: &Store) -> Vec<Bound> {
    let bound = |(bound, tap): Placed| {
        let tap = tap.map(|(_, name)| name).or_else(|| bound.file.parse().ok())?;
        Some(instance::of(tap, &bound.binding))
    };
    store.all().into_iter().filter_map(bound).collect()
}

fn serve(paths: &Paths, slot: &Slot, woken: &Receiver<()>, mut say: impl FnMut(&str)) {
    let newest = || slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut said: Vec<String> = Vec::new();
    let mut open = true;
    while open && woken.recv().is_ok() {
        let Some(mut bindings) = newest() else { continue };
        loop {
            bindings = newest().unwrap_or(bindings);
            let (lines, is_done) = match bound::follow(paths, Origin::Binding, &bindings) {
                Ok(Followed { changed, conflicts }) => {
                    if changed {
                        say(&format!("registry: follows {} bindings", bindings.len()));
                    }
                    (conflicts, true)
                }
                Err(error) => (vec![error.to_string()], false),
            };
            lines.iter().filter(|line| !said.contains(line)).for_each(|line| say(&format!("registry: {line}")));
            said = lines;
            if is_done {
                break;
            }
            if woken.recv_timeout(RETRY) == Err(RecvTimeoutError::Disconnected) {
                open = false;
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::links::Links;
    use std::fs;
    use std::time::Instant;

    fn bound(number: u8) -> Bound {
        Bound {
            by: format!("tap{number}").into(),
            port: Some(format!("tap{number}").parse().unwrap()),
            mac: format!("02:00:00:00:00:{number:02x}").parse().unwrap(),
            name: None,
            addresses: vec![format!("10.0.0.{number}").parse().unwrap()],
            nets: Vec::new(),
        }
    }

    #[test]
    fn a_folder_of_bindings_is_followed_and_one_that_is_gone_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("nfdhcpd");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("tap7"), "MAC=02:00:00:00:00:07\nHOSTNAME=web.example.com\nIP=10.0.0.7\n").unwrap();
        let paths = Paths::new(Some(folder.path().join("P").into()), None).unwrap();
        let (mut store, _) = Store::open(&files, Links::default()).unwrap();
        let follow = |store: &Store| {
            let registrar = Registrar::start(paths.clone(), |_| {}).unwrap();
            registrar.follow(store);
            drop(registrar);
            fs::read_to_string(paths.registry()).unwrap()
        };
        let registry = follow(&store);
        for wanted in ["02:00:00:00:00:07", "\"web\"", "\"10.0.0.7\"", "\"tap7\""] {
            assert!(registry.contains(wanted), "{wanted}: {registry}");
        }
        fs::rename(&files, folder.path().join("away")).unwrap();
        store.read_all();
        assert_eq!(follow(&store), registry);
        fs::create_dir(&files).unwrap();
        store.read_all();
        assert_eq!(follow(&store), "{}\n");
    }

    #[test]
    fn what_was_said_last_is_in_the_registry_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(folder.path().join("P").into()), None).unwrap();
        let (sender, said) = mpsc::channel();
        let registrar = Registrar::start(paths.clone(), move |line| drop(sender.send(line.to_owned()))).unwrap();
        for last in 1..=20 {
            registrar.follow_all((1..=last).map(bound).collect());
        }
        let twice = Bound { by: "tap99".into(), port: Some("tap99".parse().unwrap()), ..bound(1) };
        registrar.follow_all(vec![bound(1), twice.clone()]);
        registrar.follow_all(vec![bound(1), bound(3), twice]);
        drop(registrar);
        let registry = fs::read_to_string(paths.registry()).unwrap();
        assert!(registry.contains("\"10.0.0.3\"") && !registry.contains("\"10.0.0.2\""), "{registry}");
        let conflicts: Vec<_> = said.iter().filter(|line| line.contains("tap99")).collect();
        assert_eq!(conflicts.len(), 1, "once: {conflicts:?}");
    }

    #[test]
    fn a_registry_that_cannot_be_written_is_tried_again_with_what_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(folder.path().join("later/P").into()), None).unwrap();
        let (sender, said) = mpsc::channel();
        let registrar = Registrar::start(paths.clone(), move |line| drop(sender.send(line.to_owned()))).unwrap();
        registrar.follow_all(vec![bound(1)]);
        let failed = said.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(failed.starts_with("registry: cannot") && failed.contains("later"), "{failed}");
        fs::create_dir(folder.path().join("later")).unwrap();
        let begun = Instant::now();
        registrar.follow_all(vec![bound(2)]);
        assert_eq!(said.recv_timeout(Duration::from_secs(60)).unwrap(), "registry: follows 1 bindings");
        assert!(begun.elapsed() < RETRY, "news are not kept waiting");
        assert!(fs::read_to_string(paths.registry()).unwrap().contains("10.0.0.2"));
    }
}
