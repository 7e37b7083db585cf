//! The guests that are published, with their names and the interfaces that are in our networks.

use super::name::{GuestName, wanted};
use super::naming::{Applicant, given};
use super::{LeftOut, LinkDown, Policy, Records, Warning, Why};
use crate::net::DomainName;
use crate::plan::guest::{Guest, Nic};

/// A guest that is published.
pub(super) struct Subject<'a> {
    pub guest: &'a Guest,
    pub name: GuestName,
    pub nics: Vec<Plugged<'a>>,
}

/// An interface that is in a network of ours.
pub(super) struct Plugged<'a> {
    pub nic: &'a Nic,
    /// Those that it is in, as indexes of [`Policy::networks`]; at least one.
    pub networks: Vec<usize>,
}

/// The guests by number, each once.
pub(super) fn in_order<'a>(guests: &'a [Guest], warnings: &mut Vec<Warning>) -> Vec<&'a Guest> {
    let mut guests: Vec<&Guest> = guests.iter().collect();
    guests.sort();
    guests.dedup();
    guests.dedup_by(|later, kept| {
        let is_same = later.vmid == kept.vmid;
        if is_same {
            warnings.push(Warning::ListedTwice { vmid: kept.vmid });
        }
        is_same
    });
    guests
}

/// Those of them that are published.
pub(super) fn published<'a>(guests: &[&'a Guest], policy: &Policy, records: &mut Records) -> Vec<Subject<'a>> {
    let mut subjects = Vec::new();
    for guest in guests {
        match subject(guest, policy, records) {
            Ok(subject) => subjects.push(subject),
            Err(why) => records.left_out.push(LeftOut { vmid: guest.vmid, nic: None, address: None, why }),
        }
    }
    let applicants = subjects.iter().map(|subject| Applicant {
        vmid: subject.guest.vmid,
        name: subject.name.clone(),
        domains: domains(subject, policy),
    });
    let mut names = given(applicants, policy, &mut records.warnings);
    subjects.retain_mut(|subject| {
        let vmid = subject.guest.vmid;
        let Some(name) = names.remove(&vmid) else {
            records.left_out.push(LeftOut { vmid, nic: None, address: None, why: Why::NameTaken });
            return false;
        };
        subject.name = name;
        let whole = domains(subject, policy).into_iter().filter_map(|domain| subject.name.under(domain));
        records.names.insert(vmid, whole.collect());
        true
    });
    subjects
}

fn domains<'a>(subject: &Subject, policy: &'a Policy) -> Vec<&'a DomainName> {
    let networks = subject.nics.iter().flat_map(|plugged| &plugged.networks);
    let mut domains: Vec<_> = networks.filter_map(|index| Some(&policy.networks.get(*index)?.domain)).collect();
    domains.sort_unstable();
    domains.dedup();
    domains
}

/// A guest with the name that it wants.
fn subject<'a>(guest: &'a Guest, policy: &Policy, records: &mut Records) -> Result<Subject<'a>, Why> {
    if guest.is_template {
        return Err(Why::Template);
    }
    if !guest.tags.is_disjoint(&policy.without_tags) {
        return Err(Why::OptedOut);
    }
    if !policy.only_tags.is_empty() && guest.tags.is_disjoint(&policy.only_tags) {
        return Err(Why::NotOptedIn);
    }
    let vmid = guest.vmid;
    let mut nics = Vec::new();
    for nic in &guest.nics {
        let is_left_out = nic.is_link_down && policy.link_down == LinkDown::LeftOut;
        let networks = policy.networks.iter().enumerate().filter(|(_, network)| network.has(nic));
        let networks: Vec<_> = networks.map(|(index, _)| index).collect();
        match networks.is_empty() {
            _ if is_left_out => {
                records.left_out.push(LeftOut { vmid, nic: Some(nic.index), address: None, why: Why::LinkDown });
            }
            true => records.left_out.push(LeftOut { vmid, nic: Some(nic.index), address: None, why: Why::NoNetwork }),
            false => nics.push(Plugged { nic, networks }),
        }
    }
    if nics.is_empty() {
        return Err(if guest.nics.iter().any(|nic| nic.is_link_down) { Why::LinkDown } else { Why::NoNetwork });
    }
    let (name, is_illegal) = wanted(guest, policy);
    if let Some(written) = &guest.name {
        let now = name.as_ref().map(|name| match &name.parent {
            Some(parent) => format!("{}.{parent}", name.label),
            None => name.label.clone(),
        });
        let is_same = now.as_ref().is_some_and(|now| now.eq_ignore_ascii_case(written));
        if is_illegal || !is_same {
            records.warnings.push(Warning::NameMadeLegal { vmid, name: written.clone(), now });
        }
    }
    Ok(Subject { guest, name: name.ok_or(Why::Unnamed)?, nics })
}
