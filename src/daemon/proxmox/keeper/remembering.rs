//! What outlives the program.

use super::super::state::Now;
use super::told::About;
use super::{Keeper, STATE};
use crate::sink::dnsmasq_dir::Sink;
use tracing::{info, warn};

impl<S: Sink> Keeper<S> {
    /// Takes in what was known before the start.
    pub fn restore(&mut self, now: Now) {
        match self.state.read(now) {
            Ok(Some(remembered)) => {
                info!(guests = remembered.guests.len(), "what was known last is taken up");
                self.is_ready = !remembered.guests.is_empty();
                for (listed, config, sightings, lists, since) in remembered.guests {
                    self.rounds.restore(listed, config, sightings, lists, since);
                }
                self.seen.restore(remembered.heard, remembered.leases);
                self.change(now.moment);
            }
            Ok(None) => {}
            Err(failure) if self.is_rehearsal => warn!("{failure}"),
            Err(failure) => {
                warn!("{failure}");
                match self.state.put_aside() {
                    Ok(aside) => warn!("it is {} now", aside.display()),
                    Err(failure) => warn!("{failure}"),
                }
            }
        }
    }

    /// Writes down what is known.
    pub fn remember(&mut self, now: Now) {
        self.due.state = None;
        if self.is_rehearsal {
            return;
        }
        let written = self.state.write(self.rounds.guests(), &self.seen, now);
        if written.is_err() {
            self.due.state = Some(now.moment + STATE);
            self.metrics.not_written();
        }
        let failure = written.err().map(|failure| {
            format!(
                "{failure}; names go on, but after a start of this program they stand still until all guests were read"
            )
        });
        self.faults(About::State, failure);
    }
}
