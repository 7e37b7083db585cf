//! Names for DHCP clients: interfaces whose address is not configured, or not known to be.

use super::claims::owners;
use super::subjects::{Plugged, Subject};
use super::{Policy, Reservation};
use crate::net::DomainName;
use crate::plan::guest::{Configured, Guest};
use std::collections::{BTreeMap, HashMap};

/// All of them, by MAC address. Of guests with the same, who comes first in [`owners`] has the name.
pub(super) fn all(guests: &[&Guest], subjects: &[Subject], policy: &Policy) -> Vec<Reservation> {
    let owners = owners(guests);
    let subjects: HashMap<u32, &Subject> = subjects.iter().map(|subject| (subject.guest.vmid, subject)).collect();
    let mut reservations = BTreeMap::new();
    for (mac, owners) in owners {
        let found = owners.iter().find_map(|(guest, nic)| {
            let subject = subjects.get(&guest.vmid)?;
            let plugged = subject.nics.iter().find(|plugged| plugged.nic.index == nic.index)?;
            let name = reserved_name(subject, plugged, policy).filter(|_| may_ask(guest, plugged))?;
            Some(Reservation { mac, name, vmid: guest.vmid, nic: nic.index })
        });
        reservations.extend(found.map(|reservation| (mac, reservation)));
    }
    reservations.into_values().collect()
}

/// Whether it may ask a DHCP server: it is told to, or nobody knows what it is told.
fn may_ask(guest: &Guest, plugged: &Plugged) -> bool {
    let nic = plugged.nic;
    guest.has_custom_cloud_init || nic.v4.address().is_none() || nic.v6 == Configured::Dhcp
}

/// The name in the form that dnsmasq reads as one. A domain that is not its network's cannot be said here: dnsmasq puts that of the
/// address's range behind the label, which may be somebody else's name.
fn reserved_name(subject: &Subject, plugged: &Plugged, policy: &Policy) -> Option<DomainName> {
    let domain = &policy.networks.get(*plugged.networks.first()?)?.domain;
    let whole = subject.name.under(domain)?;
    if !whole.parent()?.eq_ignore_ascii_case(domain.as_str()) {
        return None;
    }
    if is_other_word(&subject.name.label) { Some(whole) } else { subject.name.label.parse().ok() }
}

/// Whether dnsmasq reads the label as something else in a `dhcp-host`: a lease time (`42`, `10m`), or one of its words.
fn is_other_word(label: &str) -> bool {
    let number = label.strip_suffix(['s', 'm', 'h', 'd', 'w']).unwrap_or(label);
    matches!(label, "ignore" | "infinite") || number.bytes().all(|byte| byte.is_ascii_digit())
}
