//! What is seen beside the API: on the wire, and in dnsmasq's leases. A value: no I/O, no clock.

use crate::daemon::schedule::Moment;
use crate::net::Mac;
use crate::plan::guest::{By, Sighting};
use crate::source::leases::Leases;
use crate::source::neighbors::{How, MOST, Sighted};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

/// Who was seen where.
#[derive(Debug, Default)]
pub struct Seen {
    /// On the wire: of a MAC address, the addresses that it has had, [`MOST`] at most.
    heard: BTreeMap<Mac, Vec<Sighting>>,
    leases: BTreeMap<Mac, Vec<Leased>>,
    /// Who is about to take an address and was not contradicted yet; since when.
    tentative: VecDeque<(Mac, IpAddr, Moment)>,
}

/// For so long others may object to a guest that is about to take an address: a second (RFC 4862, section 5.1, RetransTimer), and as
/// much for whoever is busy.
const OBJECTION: Duration = Duration::from_secs(2);
/// So many are remembered that are about to take an address.
const TENTATIVE: usize = 256;

/// A lease, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leased {
    sighting: Sighting,
    expires: Option<u64>,
}

impl Seen {
    /// Everything.
    pub fn all(&self) -> impl Iterator<Item = &Sighting> {
        self.heard().chain(self.leases.values().flatten().map(|leased| &leased.sighting))
    }

    /// What was heard on the wire.
    pub fn heard(&self) -> impl Iterator<Item = &Sighting> {
        self.heard.values().flatten()
    }

    /// dnsmasq's leases, and when each ends.
    pub fn leased(&self) -> impl Iterator<Item = (&Sighting, Option<u64>)> {
        self.leases.values().flatten().map(|leased| (&leased.sighting, leased.expires))
    }

    /// Takes in what was heard before the program's start, and what was leased.
    pub fn restore(&mut self, heard: Vec<Sighting>, leases: Vec<(Sighting, Option<u64>)>) {
        for (sighting, expires) in leases {
            self.leases.entry(sighting.mac).or_default().push(Leased { sighting, expires });
        }
        for sighting in heard {
            let of_mac = self.heard.entry(sighting.mac).or_default();
            if of_mac.len() < MOST {
                of_mac.push(sighting);
            }
        }
    }

    /// Somebody was heard. Whether that may change what follows: a proof that all is as before does not.
    pub fn hear(&mut self, sighted: &Sighted) -> bool {
        let Sighted { mac, address, how, at, .. } = *sighted;
        self.tentative.retain(|(who, what, since)| (*who, *what) != (mac, address) && at < *since + OBJECTION);
        let says = matches!(how, How::Said | How::Tentative);
        let rivals = self.tentative.iter().filter(|(_, what, _)| says && *what == address);
        let rivals: Vec<Mac> = rivals.map(|(who, ..)| *who).collect();
        // Somebody else has, or wants to have, what they are about to take: then they do not get it (RFC 4862, section 5.4). Who
        // objects is known only if it is a guest.
        let mut is_news = false;
        for rival in &rivals {
            is_news |= self.forget(*rival, address);
        }
        if how == How::Tentative {
            self.tentative.truncate(TENTATIVE - 1);
            self.tentative.push_front((mac, address, at));
            // Who has it may have been quicker.
            let objects = |other: &Sighting| other.mac != mac && other.address == address && other.at >= at;
            if !rivals.is_empty() || self.heard().any(objects) {
                return self.forget(mac, address) || is_news;
            }
        }
        self.take(sighted) || is_news
    }

    /// It does not have the address. Whether that is news.
    fn forget(&mut self, mac: Mac, address: IpAddr) -> bool {
        let Some(of_mac) = self.heard.get_mut(&mac) else { return false };
        let before = of_mac.len();
        of_mac.retain(|known| known.address != address);
        of_mac.len() < before
    }

    /// Notes who was heard. Whether that may change what follows.
    fn take(&mut self, sighted: &Sighted) -> bool {
        let Sighted { mac, address, how, at, .. } = *sighted;
        let newest = self.newest_but(mac, address);
        let of_mac = self.heard.entry(mac).or_default();
        if how == How::Remembered && of_mac.iter().any(|other| other.address.is_ipv4() == address.is_ipv4()) {
            // The kernel's memory is older than what we know.
            return false;
        }
        if let Some(known) = of_mac.iter_mut().find(|known| known.address == address) {
            let was_gone = newest.is_some_and(|newest| newest > known.at);
            if was_gone {
                known.since = at;
            }
            known.at = known.at.max(at);
            return was_gone;
        }
        if of_mac.len() >= MOST
            && let Some(oldest) = (0..of_mac.len()).min_by_key(|index| of_mac.get(*index).map(|known| known.at))
        {
            of_mac.swap_remove(oldest);
        }
        of_mac.push(Sighting { mac, address, vmid: None, by: By::Neighbor, since: at, at });
        true
    }

    /// Whether something was heard of a MAC address after this moment.
    pub fn was_heard_after(&self, mac: Mac, moment: Moment) -> bool {
        self.heard.get(&mac).is_some_and(|of_mac| of_mac.iter().any(|sighting| sighting.at > moment))
    }

    /// Nobody else is of interest any more.
    pub fn retain<S: BuildHasher>(&mut self, known: &HashSet<Mac, S>) {
        self.heard.retain(|mac, _| known.contains(mac));
    }

    /// What dnsmasq's leases are now. `time` is now since 1970, `written` when the file was written. Whose are
    /// others than before: new, ended, or back: after another address, or renewed and not published.
    ///
    /// When a lease was granted the file does not say. It is written when one is granted, so the last one to end has just been; the
    /// others were, if all are for as long, as much earlier as they end earlier.
    pub fn lease(
        &mut self,
        leases: &Leases,
        time: Duration,
        written: Duration,
        now: Moment,
        is_published: impl Fn(IpAddr) -> bool,
    ) -> Vec<Mac> {
        let last_end = leases.leases.iter().filter_map(|lease| lease.expires).max().unwrap_or_default();
        let mut now_leased: BTreeMap<Mac, Vec<Leased>> = BTreeMap::new();
        for lease in leases.leases.iter().filter(|lease| lease.is_in_force(time.as_secs())) {
            let (Some(mac), address, expires) = (lease.mac, lease.address, lease.expires) else { continue };
            let before = self.leases.get(&mac).into_iter().flatten().find(|leased| leased.sighting.address == address);
            let leased = before.filter(|leased| leased.expires == expires).copied().unwrap_or_else(|| {
                let earlier = expires.map_or(0, |expires| last_end - expires);
                let at = now.saturating_sub(time.saturating_sub(written) + Duration::from_secs(earlier));
                let newest = self.newest_but(mac, address);
                // Renewed, it is there for as long as before, unless another came meanwhile: then it is back.
                let since =
                    before.map(|leased| leased.sighting).filter(|old| newest.is_none_or(|newest| newest <= old.at));
                let since = since.map_or(at, |old| old.since.min(at));
                Leased { sighting: Sighting { mac, address, vmid: None, by: By::Lease, since, at }, expires }
            });
            now_leased.entry(mac).or_default().push(leased);
        }
        let what = |of_mac: Option<&Vec<Leased>>| -> Vec<_> {
            let what = |leased: &Leased| {
                let Sighting { address, since, at, .. } = leased.sighting;
                (address, since, Some(at).filter(|_| !is_published(address)))
            };
            of_mac.into_iter().flatten().map(what).collect()
        };
        let macs: BTreeSet<Mac> = now_leased.keys().chain(self.leases.keys()).copied().collect();
        let is_other = |mac: &Mac| what(now_leased.get(mac)) != what(self.leases.get(mac));
        let changed = macs.into_iter().filter(is_other).collect();
        self.leases = now_leased;
        changed
    }

    /// When the newest other address of a MAC address and of this one's family appeared.
    fn newest_but(&self, mac: Mac, address: IpAddr) -> Option<Moment> {
        let heard = self.heard.get(&mac).into_iter().flatten();
        let leased = self.leases.get(&mac).into_iter().flatten().map(|leased| &leased.sighting);
        let others = heard.chain(leased);
        let others = others.filter(|other| other.address != address && other.address.is_ipv4() == address.is_ipv4());
        others.map(|other| other.since).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::leases::{Client, Lease};

    const fn s(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    fn mac(number: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, number])
    }

    fn heard(number: u8, address: &str, at: u64, how: How) -> Sighted {
        Sighted { mac: mac(number), address: address.parse().unwrap(), how, at: s(at) }
    }

    #[test]
    fn who_moves_is_news_and_who_stays_is_none() {
        let mut seen = Seen::default();
        assert!(seen.hear(&heard(1, "10.0.0.5", 1, How::Said)));
        assert!(!seen.hear(&heard(1, "10.0.0.5", 2, How::Said)));
        assert!(seen.hear(&heard(1, "10.0.0.6", 3, How::Said)));
        // Back again: it was gone, for the other one came after it was heard last.
        assert!(seen.hear(&heard(1, "10.0.0.5", 4, How::Said)));
        assert!(!seen.hear(&heard(1, "10.0.0.5", 5, How::Said)));
        assert!(seen.hear(&heard(1, "2001:db8::5", 6, How::Tentative)));
        let all: Vec<_> = seen.all().map(|s| (s.address.to_string(), s.since.as_secs(), s.at.as_secs())).collect();
        let expected = [("10.0.0.5", 4, 5), ("10.0.0.6", 3, 3), ("2001:db8::5", 6, 6)];
        assert_eq!(all, expected.map(|(address, since, at)| (address.to_owned(), since, at)));
    }

    #[test]
    fn who_is_about_to_take_what_another_guest_has_does_not_get_it() {
        let v6 = "2001:db8::5";
        let who = |seen: &Seen| seen.all().map(|sighting| sighting.mac.0[5]).collect::<Vec<_>>();
        // The one that has it objects, and may have its turn first.
        for order in [[0, 1], [1, 0]] {
            let mut seen = Seen::default();
            assert!(seen.hear(&heard(2, v6, 1, How::Said)));
            let both = [heard(1, v6, 9, How::Tentative), heard(2, v6, 9, How::Said)];
            let news = order.map(|index: usize| seen.hear(&both[index]));
            assert_eq!((who(&seen), news), (vec![2], [order[0] == 0; 2]), "{order:?}");
        }
        // Nobody objects in time: it has it, and who comes later is another matter.
        let mut seen = Seen::default();
        assert!(seen.hear(&heard(1, v6, 1, How::Tentative)));
        assert!(!seen.hear(&heard(1, v6, 2, How::Said)));
        assert!(seen.hear(&heard(2, v6, 3, How::Said)));
        assert_eq!(who(&seen), [1, 2]);
        // Of two that want it at the same time, none has it until one says so; what the kernel remembers is no objection.
        let mut seen = Seen::default();
        assert!(seen.hear(&heard(1, v6, 1, How::Tentative)));
        assert!(seen.hear(&heard(2, v6, 1, How::Remembered)));
        assert!(seen.hear(&heard(3, v6, 1, How::Tentative)));
        assert_eq!(who(&seen), [2]);
        assert!(seen.hear(&heard(1, v6, 2, How::Said)));
        assert_eq!(who(&seen), [1, 2]);
    }

    #[test]
    fn what_the_kernel_remembers_counts_only_if_nothing_is_known() {
        let mut seen = Seen::default();
        assert!(seen.hear(&heard(1, "10.0.0.5", 1, How::Remembered)));
        assert!(!seen.hear(&heard(1, "10.0.0.6", 2, How::Remembered)));
        assert!(seen.hear(&heard(1, "10.0.0.6", 3, How::Reachable)));
        assert!(seen.hear(&heard(1, "2001:db8::6", 3, How::Remembered)));
        assert_eq!(seen.all().count(), 3);
    }

    #[test]
    fn a_guest_that_claims_every_address_takes_little_space() {
        let mut seen = Seen::default();
        for number in 0..250 {
            assert!(seen.hear(&heard(1, &format!("10.0.0.{number}"), number, How::Said)));
        }
        let addresses: Vec<_> = seen.all().map(|sighting| sighting.at.as_secs()).collect();
        assert_eq!((addresses.len(), addresses.iter().min()), (MOST, Some(&(250 - MOST as u64))));
        seen.retain(&HashSet::from([mac(2)]));
        assert_eq!(seen.all().count(), 0);
    }

    #[test]
    fn a_lease_is_as_old_as_it_ends_before_the_last() {
        let lease = |number, address: &str, expires| Lease {
            mac: Some(mac(number)),
            address: address.parse().unwrap(),
            expires,
            name: None,
            client: Client::V4(None),
        };
        let leases = vec![
            lease(1, "10.0.1.1", Some(2000)),
            lease(2, "10.0.1.2", Some(1950)),
            lease(3, "10.0.1.3", Some(900)),
            lease(4, "10.0.1.4", None),
        ];
        let leases = Leases { leases, ..Leases::default() };
        let mut seen = Seen::default();
        assert_eq!(seen.lease(&leases, s(1000), s(990), s(500), |_| true), [mac(1), mac(2), mac(4)]);
        let all: Vec<_> = seen.all().map(|s| (s.mac.0[5], s.at.as_secs())).collect();
        assert_eq!(all, [(1, 490), (2, 440), (4, 490)], "the one that has ended is none");
        assert_eq!(seen.lease(&leases, s(1010), s(990), s(510), |_| true), []);
        assert_eq!(seen.lease(&leases, s(1960), s(990), s(1460), |_| true), [mac(2)], "it has ended");
    }

    #[test]
    fn a_start_makes_no_lease_older_or_newer() {
        let lease = Lease {
            mac: Some(mac(1)),
            address: "10.0.1.1".parse().unwrap(),
            expires: Some(2000),
            name: None,
            client: Client::V4(None),
        };
        let leases = Leases { leases: vec![lease], ..Leases::default() };
        let mut before = Seen::default();
        before.lease(&leases, s(1000), s(1000), s(100), |_| true);
        assert!(before.hear(&heard(1, "10.0.0.5", 200, How::Said)));
        let mut seen = Seen::default();
        let leased = before.leased().map(|(sighting, expires)| (*sighting, expires)).collect();
        seen.restore(before.heard().copied().collect(), leased);
        // Somebody else's lease was renewed in the meantime.
        assert_eq!(seen.lease(&leases, s(1500), s(1490), s(600), |_| true), []);
        assert!(seen.all().eq(before.all()));
    }

    #[test]
    fn a_lease_that_is_renewed_is_back_if_another_address_came_meanwhile() {
        let leased = |expires| Leases {
            leases: vec![Lease {
                mac: Some(mac(1)),
                address: "10.0.1.1".parse().unwrap(),
                expires: Some(expires),
                name: None,
                client: Client::V4(None),
            }],
            ..Leases::default()
        };
        let since = |seen: &Seen| seen.leases[&mac(1)][0].sighting.since.as_secs();
        let mut seen = Seen::default();
        assert_eq!(seen.lease(&leased(2000), s(1000), s(1000), s(100), |_| true), [mac(1)]);
        assert_eq!(seen.lease(&leased(2500), s(1500), s(1500), s(600), |_| true), []);
        assert_eq!(since(&seen), 100);
        assert!(seen.hear(&heard(1, "10.0.0.5", 700, How::Said)));
        assert_eq!(seen.lease(&leased(2800), s(1800), s(1800), s(900), |_| true), [mac(1)]);
        assert_eq!(since(&seen), 900);
        assert!(seen.hear(&heard(1, "10.0.0.5", 1000, How::Said)), "it is back, too");
    }
}
