//! Who says that which interface has which address, and who is right.

use super::addresses::{Current, Passing, current, lasting};
use super::subjects::{Plugged, Subject};
use super::{LeftOut, Policy, Records, Source, Warning, Why};
use crate::daemon::schedule::Moment;
use crate::net::Mac;
use crate::plan::guest::{By, Guest, Nic, Sighting, State};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// So many addresses of a family an interface may have, and of so many it is said why they are left out. A guest can claim any
/// number on the wire.
const MOST: usize = 16;

/// An interface has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub vmid: u32,
    pub nic: u8,
    pub network: usize,
    pub address: IpAddr,
    pub source: Source,
    is_given: bool,
    /// Whether the guest runs: what its agent or its node said of it is so now.
    is_running: bool,
    since: Moment,
    at: Moment,
}

impl Claim {
    /// Whether more than the wire says so of a guest that runs.
    fn is_vouched_for(&self) -> bool {
        self.is_running && matches!(self.source, Source::Seen(By::Agent | By::Interfaces))
    }

    /// Whether only the wire says so.
    fn is_only_heard(&self) -> bool {
        self.source == Source::Seen(By::Neighbor)
    }
}

/// Interfaces and sightings by MAC address.
struct ByMac<'a> {
    owners: HashMap<Mac, Vec<(&'a Guest, &'a Nic)>>,
    seen: HashMap<Mac, Vec<&'a Sighting>>,
    /// Which interface an address in a network is of by more than the wire's word: by a configuration, by whoever gave it out, by
    /// what an agent or a node tells of a guest that runs.
    held: HashMap<(IpAddr, usize), Vec<Mac>>,
}

/// All claims, and what is to be said about addresses that are none.
pub(super) fn all(
    guests: &[&Guest],
    subjects: &[Subject],
    sightings: &[Sighting],
    policy: &Policy,
    records: &mut Records,
) -> Vec<Claim> {
    let owners = owners(guests);
    report_shared_macs(&owners, records);
    let mut seen: HashMap<Mac, Vec<&Sighting>> = HashMap::new();
    for sighting in sightings {
        seen.entry(sighting.mac).or_default().push(sighting);
    }
    let held = held(&owners, sightings, policy);
    let by_mac = ByMac { owners, seen, held };
    let mut claims = Vec::new();
    for subject in subjects {
        for plugged in &subject.nics {
            let mut of_nic = OfNic { guest: subject.guest, plugged, policy, records, noted: 0 };
            of_nic.claims(&by_mac, &mut claims);
        }
    }
    claims
}

/// Whose a MAC address is: of all guests but templates, those that may run first, then those with the lowest number.
pub(super) fn owners<'a>(guests: &[&'a Guest]) -> HashMap<Mac, Vec<(&'a Guest, &'a Nic)>> {
    let mut owners: HashMap<Mac, Vec<(&Guest, &Nic)>> = HashMap::new();
    for guest in guests.iter().filter(|guest| !guest.is_template) {
        for nic in &guest.nics {
            owners.entry(nic.mac).or_default().push((guest, nic));
        }
    }
    // Stable: guests come by number.
    for owners in owners.values_mut() {
        owners.sort_by_key(|(guest, _)| guest.state == State::Stopped);
    }
    owners
}

fn held(
    owners: &HashMap<Mac, Vec<(&Guest, &Nic)>>,
    sightings: &[Sighting],
    policy: &Policy,
) -> HashMap<(IpAddr, usize), Vec<Mac>> {
    let mut held: HashMap<_, Vec<Mac>> = HashMap::new();
    let mut hold = |nic: &Nic, address: IpAddr| {
        let networks = policy.networks.iter().enumerate();
        for (index, _) in networks.filter(|(_, network)| network.has(nic) && network.holds(address)) {
            held.entry((address, index)).or_default().push(nic.mac);
        }
    };
    for (guest, nic) in owners.values().flatten() {
        guest.configured(nic).into_iter().flatten().for_each(|address| hold(nic, address));
    }
    for sighting in sightings {
        let is_so = |(guest, _): &&(&Guest, &Nic)| sighting.by.outweighs_the_wire(guest.state);
        for (_, nic) in owners.get(&sighting.mac).into_iter().flatten().filter(is_so) {
            hold(nic, sighting.address);
        }
    }
    held
}

fn report_shared_macs(owners: &HashMap<Mac, Vec<(&Guest, &Nic)>>, records: &mut Records) {
    for (mac, owners) in owners.iter().filter(|(_, owners)| owners.len() > 1) {
        let mut by_network: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        for (guest, nic) in owners {
            by_network.entry((&nic.bridge, nic.tag)).or_default().push(guest.vmid);
        }
        for mut vmids in by_network.into_values() {
            vmids.sort_unstable();
            vmids.dedup();
            if vmids.len() > 1 {
                records.warnings.push(Warning::MacTwice { mac: *mac, vmids });
            }
        }
    }
}

/// One interface's claims in the making.
struct OfNic<'a> {
    guest: &'a Guest,
    plugged: &'a Plugged<'a>,
    policy: &'a Policy,
    records: &'a mut Records,
    /// How many addresses were noted as left out.
    noted: usize,
}

impl OfNic<'_> {
    fn claims(&mut self, by_mac: &ByMac, claims: &mut Vec<Claim>) {
        let nic = self.plugged.nic;
        let [v4, v6] = self.guest.configured(nic);
        for address in [v4, v6].into_iter().flatten() {
            claims.extend(self.configured(address));
        }
        let of_mac = by_mac.seen.get(&nic.mac).map(Vec::as_slice).unwrap_or_default();
        let mut of_mac: Vec<_> = of_mac.iter().copied().filter(|sighting| self.is_believed(sighting)).collect();
        of_mac.sort_unstable();
        let is_seen = self.guest.state != State::Stopped;
        let listed = self.guest.lists.get(&nic.mac).copied().filter(|_| is_seen);
        for (is_v4, configured) in [(true, v4), (false, v6)] {
            if configured.is_some() {
                continue;
            }
            let of_family = of_mac.iter().copied().filter(|sighting| sighting.address.is_ipv4() == is_v4);
            let here: Vec<_> = of_family.filter(|sighting| self.is_here(sighting, by_mac)).collect();
            let is_anothers = |address| {
                let holders = self.network(address).and_then(|network| by_mac.held.get(&(address, network)));
                holders.is_some_and(|macs| macs.iter().any(|mac| *mac != nic.mac))
            };
            let (mut last, pass) = lasting(nic.mac, current(&here, listed, is_anothers), &of_mac);
            last.sort_by_key(|current| (!current.is_given, current.by, current.since, current.address));
            for current in last.split_off(last.len().min(MOST)) {
                self.leave_out(current.address, Why::TooMany);
            }
            claims.extend(last.iter().filter_map(|current| self.claim(current)));
            for (current, passing) in pass {
                if passing == Passing::Ambiguous {
                    self.records.warnings.push(Warning::Ambiguous { vmid: self.guest.vmid, nic: nic.index });
                }
                self.leave_out(
                    current.address,
                    match passing {
                        Passing::Temporary => Why::Temporary,
                        Passing::Ambiguous => Why::Ambiguous,
                    },
                );
            }
        }
    }

    fn configured(&mut self, address: IpAddr) -> Option<Claim> {
        let (vmid, nic) = (self.guest.vmid, self.plugged.nic.index);
        let ever = Moment::ZERO;
        let current = Current { address, by: By::Interfaces, is_given: true, since: ever, at: ever };
        let claim = self.claim(&current).map(|claim| Claim { source: Source::Config, ..claim });
        if claim.is_none() {
            let warning = if self.policy.reserved_addresses.contains(&address) {
                self.leave_out(address, Why::Reserved);
                Warning::ReservedAddress { vmid, nic, address }
            } else {
                self.leave_out(address, Why::Outside);
                Warning::Outside { vmid, nic, address }
            };
            self.records.warnings.push(warning);
        }
        claim
    }

    /// A claim, if the interface can have the address.
    fn claim(&self, current: &Current) -> Option<Claim> {
        let Current { address, by, is_given, since, at } = *current;
        let network = self.network(address).filter(|_| !self.policy.reserved_addresses.contains(&address))?;
        let (vmid, nic, source) = (self.guest.vmid, self.plugged.nic.index, Source::Seen(by));
        let is_running = self.guest.state == State::Running;
        Some(Claim { vmid, nic, network, address, source, is_given, is_running, since, at })
    }

    /// The network that an address of the interface is in.
    fn network(&self, address: IpAddr) -> Option<usize> {
        let holds = |index: &&usize| self.policy.networks.get(**index).is_some_and(|network| network.holds(address));
        self.plugged.networks.iter().find(holds).copied()
    }

    /// Whether a sighting can be about this guest at all: it says no other, and a guest that does not run is not seen.
    fn is_believed(&self, sighting: &Sighting) -> bool {
        let is_ours = sighting.vmid.is_none_or(|vmid| vmid == self.guest.vmid);
        is_ours && (self.guest.state != State::Stopped || sighting.by == By::Ipam)
    }

    /// Whether it is this interface that was seen, in its network. If not, and if it is nobody else's, that is noted.
    fn is_here(&mut self, sighting: &Sighting, by_mac: &ByMac) -> bool {
        let address = sighting.address;
        if self.network(address).is_none() {
            let is_link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
            if !is_link_local {
                self.leave_out(address, Why::Outside);
            }
            return false;
        }
        if self.policy.reserved_addresses.contains(&address) {
            self.leave_out(address, Why::Reserved);
            return false;
        }
        // Of several that have the MAC address, the first whose network holds the address.
        let owners = by_mac.owners.get(&sighting.mac).map(Vec::as_slice).unwrap_or_default();
        let can_have =
            |nic: &Nic| self.policy.networks.iter().any(|network| network.has(nic) && network.holds(address));
        let is_asked = |guest: &Guest| sighting.vmid.is_none_or(|vmid| vmid == guest.vmid);
        let first = owners.iter().find(|(guest, nic)| is_asked(guest) && can_have(nic));
        first.is_some_and(|(guest, nic)| (guest.vmid, nic.index) == (self.guest.vmid, self.plugged.nic.index))
    }

    fn leave_out(&mut self, address: IpAddr, why: Why) {
        self.noted += 1;
        if self.noted > MOST {
            return;
        }
        let (vmid, nic) = (self.guest.vmid, Some(self.plugged.nic.index));
        self.records.left_out.push(LeftOut { vmid, nic, address: Some(address), why });
    }
}

/// One claim for each address in each network, and what is to be said about the others.
pub(super) fn settled(claims: Vec<Claim>, records: &mut Records) -> Vec<Claim> {
    let mut by_address: BTreeMap<(IpAddr, usize), Vec<Claim>> = BTreeMap::new();
    for claim in claims {
        by_address.entry((claim.address, claim.network)).or_default().push(claim);
    }
    let mut owned = Vec::with_capacity(by_address.len());
    for ((address, _), claims) in by_address {
        // Who was seen last before somebody else came, has left: an address may be leased again.
        let newest = claims.iter().map(|claim| claim.since).max();
        let has_left = |claim: &Claim| claim.source != Source::Config && newest.is_some_and(|newest| newest > claim.at);
        // Somebody may say that he has another's address. What was given out is not his to say, nor by ARP alone what an agent or a node
        // tells of a guest that runs.
        let is_taken = claims.iter().any(Claim::is_vouched_for);
        let rank = |claim: &Claim| {
            let is_seen = claim.source != Source::Config;
            let is_arp_alone = is_taken && claim.is_only_heard();
            (is_seen, !claim.is_given, is_arp_alone, has_left(claim), claim.vmid, claim.nic)
        };
        let Some(winner) = claims.iter().min_by_key(|claim| rank(claim)).copied() else { continue };
        owned.push(winner);
        for loser in claims.iter().filter(|claim| claim.vmid != winner.vmid) {
            let (vmid, nic) = (loser.vmid, Some(loser.nic));
            records.left_out.push(LeftOut { vmid, nic, address: Some(address), why: Why::Claimed(winner.vmid) });
            let is_wires_word = [loser, &winner].into_iter().all(|claim| claim.is_running && claim.is_only_heard());
            if !has_left(loser) {
                records.warnings.push(Warning::AddressTwice { address, winner: winner.vmid, loser: vmid });
            } else if is_wires_word {
                records.warnings.push(Warning::AddressMoved { address, from: vmid, to: winner.vmid });
            }
        }
    }
    owned
}
