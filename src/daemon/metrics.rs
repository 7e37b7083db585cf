//! Metrics while watching. A thread of their own writes them: to read the counters of a hundred thousand instances takes the
//! kernel seconds, for which no repair of the policy must wait. The thread ends with the process, wherever it is: files are
//! replaced in one step.

use crate::cli::process::Request;
use crate::error::{Error, Result, in_words};
use crate::report;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How old metrics become: Prometheus asks every 15 s to 60 s.
const INTERVAL: Duration = Duration::from_secs(15);
/// Reading is followed by a rest of so many times its own length: a twentieth of one processor at most.
const REST: u32 = 19;

/// The thread.
pub struct Metrics(Receiver<Error>);

impl Metrics {
    /// Writes metrics from now on, if they are wanted.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn begin(request: &Request) -> Result<Option<Self>> {
        let Some(file) = request.report.metrics.clone() else { return Ok(None) };
        let (table, registry) = (request.wishes.table.clone(), request.paths.registry());
        let (sender, receiver) = mpsc::channel();
        let write = move || loop {
            let began = Instant::now();
            let problems = report::write_metrics_alone(&table, &registry, &file).err();
            // Nobody listens any more at the very end only.
            if problems.is_some_and(|problem| sender.send(problem).is_err()) {
                return;
            }
            thread::sleep(INTERVAL.max(began.elapsed().saturating_mul(REST)));
        };
        match thread::Builder::new().name("metrics".to_owned()).spawn(write) {
            Ok(_) => Ok(Some(Self(receiver))),
            Err(error) => Err(Error::new(format!("cannot start a thread for metrics: {}", in_words(&error)))),
        }
    }

    /// What went wrong since this was asked last.
    pub fn problems(&self) -> Vec<Error> {
        self.0.try_iter().collect()
    }
}
