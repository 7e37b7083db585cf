//! The registry that follows the bindings (`--registry`), in a thread of its own: there the lock is waited for, and files
//! are synchronised, while packets are answered.

use crate::registry::Bound;
use crate::registry::bound::{self, Followed};
use crate::registry::paths::Paths;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// After how long a registry that could not be changed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// The thread. It ends when this is dropped, after it has done what it was told last.
#[derive(Debug)]
pub struct Registrar {
    sender: Option<Sender<Vec<Bound>>>,
    thread: Option<JoinHandle<()>>,
}

impl Registrar {
    /// Starts it, with the privileges of who starts it. What went wrong, what could not be as the bindings say, and that
    /// the registry changed goes to `say`, a line each; what it said last time it does not say again.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(paths: Paths, say: impl FnMut(&str) + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("registry".to_owned()).spawn(move || serve(&paths, &receiver, say))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// The bindings are these now, all of them; never call it with those of a folder that could not be read. Does not wait.
    pub fn follow(&self, bindings: Vec<Bound>) {
        if let Some(sender) = &self.sender {
            // The thread only ends when we do.
            let _ = sender.send(bindings);
        }
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(paths: &Paths, receiver: &Receiver<Vec<Bound>>, mut say: impl FnMut(&str)) {
    let mut said: Vec<String> = Vec::new();
    let mut open = true;
    while open && let Ok(mut bindings) = receiver.recv() {
        loop {
            // Only the last of several counts.
            bindings = receiver.try_iter().last().unwrap_or(bindings);
            let (lines, is_done) = match bound::follow(paths, &bindings) {
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
            match receiver.recv_timeout(RETRY) {
                Ok(newer) => bindings = newer,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Instant;

    fn bound(number: u8) -> Bound {
        Bound {
            tap: format!("tap{number}").parse().unwrap(),
            mac: format!("02:00:00:00:00:{number:02x}").parse().unwrap(),
            name: None,
            addresses: vec![format!("10.0.0.{number}").parse().unwrap()],
            nets: Vec::new(),
        }
    }

    #[test]
    fn what_was_said_last_is_in_the_registry_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(folder.path().join("P").into()), None).unwrap();
        let (sender, said) = mpsc::channel();
        let registrar = Registrar::start(paths.clone(), move |line| drop(sender.send(line.to_owned()))).unwrap();
        for last in 1..=20 {
            registrar.follow((1..=last).map(bound).collect());
        }
        let twice = Bound { tap: "tap99".parse().unwrap(), ..bound(1) };
        registrar.follow(vec![bound(1), twice.clone()]);
        registrar.follow(vec![bound(1), bound(3), twice]);
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
        registrar.follow(vec![bound(1)]);
        let failed = said.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(failed.starts_with("registry: cannot") && failed.contains("later"), "{failed}");
        fs::create_dir(folder.path().join("later")).unwrap();
        let begun = Instant::now();
        registrar.follow(vec![bound(2)]);
        assert_eq!(said.recv_timeout(Duration::from_secs(60)).unwrap(), "registry: follows 1 bindings");
        assert!(begun.elapsed() < RETRY, "news are not kept waiting");
        assert!(fs::read_to_string(paths.registry()).unwrap().contains("10.0.0.2"));
    }
}
