//! MAC addresses that are no port's any more: denied at once, treated as unknown, if at all, when it is sure, and their files
//! deleted when nobody minds. dnsmasq does not notice a
//! deleted file before it reads everything anew, and while it does that it answers nobody.

use crate::daemon::schedule::Moment;
use crate::net::Mac;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long nothing must have changed.
const QUIET: Duration = Duration::from_secs(60);
/// How many complete listings must have missed a port: one may have been cut short.
const LISTINGS: u64 = 2;

/// Who waits to be deleted.
#[derive(Debug, Default)]
pub struct Tidy {
    /// With the number of the listing that was the first to miss it.
    removed: BTreeMap<Mac, u64>,
    listings: u64,
    last_change: Moment,
}

impl Tidy {
    /// A listing came to its end.
    pub fn listed(&mut self) {
        self.listings = self.listings.saturating_add(1);
    }

    /// These have a file and are no port's. Who is not among them is one again, or gone.
    pub fn removed(&mut self, macs: &[Mac]) {
        let before = std::mem::take(&mut self.removed);
        let since = |mac: &Mac| before.get(mac).copied().unwrap_or(self.listings);
        self.removed = macs.iter().map(|mac| (*mac, since(mac))).collect();
    }

    /// Whether there are any.
    pub fn waits(&self) -> bool {
        !self.removed.is_empty()
    }

    /// Whether it is sure that this is no port's any more.
    pub fn is_sure(&self, mac: Mac) -> bool {
        self.removed.get(&mac).is_some_and(|since| self.has_missed(*since))
    }

    /// Whether enough listings missed a port that the first missed then.
    fn has_missed(&self, since: u64) -> bool {
        self.listings >= since.saturating_add(LISTINGS - 1)
    }

    /// Files were written.
    pub fn changed(&mut self, now: Moment) {
        self.last_change = now;
    }

    /// Whose files may go now. `is_inspected`: a node is under inspection.
    pub fn due(&self, now: Moment, is_inspected: bool) -> Vec<Mac> {
        if is_inspected || now < self.last_change + QUIET {
            return Vec::new();
        }
        self.removed.iter().filter(|(_, since)| self.has_missed(**since)).map(|(mac, _)| *mac).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_when_two_listings_missed_its_port_and_all_is_quiet() {
        let mac = |number| Mac([2, 0, 0, 0, 0, number]);
        let mut tidy = Tidy::default();
        let (early, late) = (Duration::from_secs(69), Duration::from_secs(70));
        tidy.listed();
        tidy.removed(&[mac(1), mac(2)]);
        tidy.changed(Duration::from_secs(10));
        assert_eq!(tidy.due(late, false), []);
        assert!(tidy.waits() && !tidy.is_sure(mac(1)));
        tidy.listed();
        assert!(tidy.is_sure(mac(1)) && !tidy.is_sure(mac(3)));
        // The second came back.
        tidy.removed(&[mac(1), mac(3)]);
        assert_eq!(tidy.due(late, false), [mac(1)]);
        assert_eq!(tidy.due(late, true), []);
        assert_eq!(tidy.due(early, false), []);
        tidy.listed();
        assert_eq!(tidy.due(late, false), [mac(1), mac(3)]);
    }
}
