//! Who gets which name. In the order of their numbers, so that a new guest never takes a name from an older one.

use super::name::GuestName;
use super::{Duplicates, Holder, Policy, Warning};
use crate::net::DomainName;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How often a guest's number is put behind its name before there is no name for it.
const TRIES: usize = 4;

/// A guest that is to have a name.
pub(super) struct Applicant<'a> {
    pub vmid: u32,
    pub name: GuestName,
    /// The domains of the networks that it is in.
    pub domains: Vec<&'a DomainName>,
}

/// The names that are given, by guest. Applicants are in the order of their numbers.
///
/// A name is one for all networks of a guest: who cannot have it in one has another in all. What counts is where its interfaces
/// are plugged in, not which addresses were seen, so names do not change when guests come and go on the wire.
pub(super) fn given<'a>(
    applicants: impl IntoIterator<Item = Applicant<'a>>,
    policy: &Policy,
    warnings: &mut Vec<Warning>,
) -> BTreeMap<u32, GuestName> {
    let mut register = Register::new(policy);
    let named =
        applicants.into_iter().filter_map(|applicant| Some((applicant.vmid, register.give(applicant, warnings)?)));
    named.collect()
}

/// Who has which name so far.
struct Register {
    taken: HashMap<DomainName, u32>,
    /// In lower case, as all names are that are given.
    reserved: HashSet<String>,
    /// All of ours, in lower case: what is reserved in a network's domain, is so too for who brings that domain along.
    domains: HashSet<String>,
    tries: usize,
}

impl Register {
    fn new(policy: &Policy) -> Self {
        let extra = policy.extra.iter().map(|extra| &extra.name);
        let reserved = policy.reserved_names.iter().chain(extra).map(|name| name.as_str().to_ascii_lowercase());
        let tries = match policy.duplicates {
            Duplicates::Numbered => TRIES,
            Duplicates::LeftOut => 0,
        };
        let domains = policy.networks.iter().map(|network| network.domain.as_str().to_ascii_lowercase());
        Self { taken: HashMap::new(), reserved: reserved.collect(), domains: domains.collect(), tries }
    }

    fn give(&mut self, applicant: Applicant, warnings: &mut Vec<Warning>) -> Option<GuestName> {
        let Applicant { vmid, name, domains } = applicant;
        let mut first_holder = None;
        let mut found = None;
        for candidate in (0..=self.tries).map(|times| name.numbered(vmid, times)) {
            let Some(whole) = domains.iter().map(|domain| candidate.under(domain)).collect::<Option<Vec<_>>>() else {
                warnings.push(Warning::NameTooLong { vmid, label: candidate.label });
                break;
            };
            let Some(holder) = self.holder(&candidate, &whole) else {
                self.taken.extend(whole.into_iter().map(|whole| (whole, vmid)));
                found = Some(candidate);
                break;
            };
            first_holder.get_or_insert(holder);
        }
        if let Some(holder) = first_holder {
            let now = found.as_ref().map(|found| found.label.clone());
            warnings.push(Warning::NameTaken { vmid, label: name.label, holder, now });
        }
        found
    }

    /// Who has one of these names, which are the candidate's in all its domains.
    fn holder(&self, candidate: &GuestName, whole: &[DomainName]) -> Option<Holder> {
        let is_ours = candidate.parent.as_ref().is_none_or(|parent| self.domains.contains(parent));
        if is_ours && (candidate.label == "localhost" || self.reserved.contains(&candidate.label)) {
            return Some(Holder::Reserved);
        }
        whole.iter().find_map(|whole| {
            let guest = self.taken.get(whole).map(|holder| Holder::Guest(*holder));
            guest.or_else(|| self.reserved.contains(whole.as_str()).then_some(Holder::Reserved))
        })
    }
}
