//! Leases: one address and one prefix at most, by binding.

use super::{Answered, Server, What, leased_address};
use crate::packet::dhcp6::{Association, Dhcp6Option, Lease, Message, kind, number, status};
use crate::plan::responder::Reason;
use std::net::Ipv6Addr;

/// Associations, and leases in each, that one message may have: an honest client has a few, and the answer has to fit into
/// a packet.
const MOST: usize = 16;

/// Whether a message has no more than it may.
pub(super) fn is_modest(asked: &Message) -> Result<(), Reason> {
    let associations = || asked.options.iter().filter_map(association);
    if associations().count() > MOST || associations().any(|(_, association)| association.leases.len() > MOST) {
        return Err("DHCPv6: too many associations");
    }
    Ok(())
}

/// What kind of association an option is, by its number, and the association.
pub(super) const fn association(option: &Dhcp6Option) -> Option<(u16, &Association)> {
    match option {
        Dhcp6Option::Addresses(association) => Some((number::ADDRESSES, association)),
        Dhcp6Option::Temporary(association) => Some((number::TEMPORARY, association)),
        Dhcp6Option::Prefixes(association) => Some((number::PREFIXES, association)),
        _ => None,
    }
}

/// The other way round.
fn option(number: u16, association: Association) -> Dhcp6Option {
    match number {
        number::ADDRESSES => Dhcp6Option::Addresses(association),
        number::TEMPORARY => Dhcp6Option::Temporary(association),
        _ => Dhcp6Option::Prefixes(association),
    }
}

/// An association with nothing but how it went.
fn failed(id: u32, code: u16) -> Association {
    Association { status: Some((code, String::new())), ..Association::new(id) }
}

fn is_same(one: &Lease, other: &Lease) -> bool {
    (one.address, one.length) == (other.address, other.length)
}

impl Server<'_> {
    /// An answer to a Solicit (section 18.3.1): an offer, or with Rapid Commit the lease at once, if there is one.
    pub(super) fn offer(&self, asked: &Message) -> Answered<Message> {
        self.leases_anything()?;
        let associations = self.each(asked, |number, asked, lease| match lease {
            Some(lease) => leased(asked, lease),
            None => failed(asked.id, unavailable(number)),
        });
        if associations.is_empty() {
            return Err("DHCPv6: a solicit for nothing");
        }
        let is_leased =
            associations.iter().filter_map(association).any(|(_, association)| !association.leases.is_empty());
        let (kind, first, what) = if is_leased && asked.options.contains(&Dhcp6Option::RapidCommit) {
            (kind::REPLY, Some(Dhcp6Option::RapidCommit), What::Solicit)
        } else {
            // Nobody else is to be waited for, unless somebody else may have something.
            (kind::ADVERTISE, is_leased.then_some(Dhcp6Option::Preference(u8::MAX)), What::Advertise)
        };
        let options = first.into_iter().chain(associations).chain(self.configuration(asked)).collect();
        Ok((self.message(kind, asked, options), what))
    }

    /// An answer to a Request (section 18.3.2).
    pub(super) fn assign(&self, asked: &Message) -> Message {
        let associations = self.each(asked, |number, asked, lease| {
            let is_elsewhere = |lease: &Lease| number != number::PREFIXES && !self.is_on_link(lease.address);
            match lease {
                _ if asked.leases.iter().any(is_elsewhere) => failed(asked.id, status::NOT_ON_LINK),
                Some(lease) => leased(asked, lease),
                None => failed(asked.id, unavailable(number)),
            }
        });
        self.message(kind::REPLY, asked, [associations, self.configuration(asked)].concat())
    }

    /// An answer to a Renew or a Rebind (sections 18.3.4, 18.3.5): what the binding says now; what it does not say any more
    /// is over.
    pub(super) fn renew(&self, asked: &Message) -> Message {
        let associations = self.each(asked, |_, asked, lease| {
            let is_over = |old: &&Lease| !lease.as_ref().is_some_and(|lease| is_same(lease, old));
            let over = asked.leases.iter().filter(is_over).map(|old| Lease::new(old.address, old.length)).collect();
            match &lease {
                Some(lease) => {
                    let mut renewed = leased(asked, lease.clone());
                    renewed.leases.extend::<Vec<_>>(over);
                    renewed
                }
                None if over.is_empty() => failed(asked.id, status::NO_BINDING),
                None => Association { leases: over, ..Association::new(asked.id) },
            }
        });
        self.message(kind::REPLY, asked, [associations, self.configuration(asked)].concat())
    }

    /// An answer to a Confirm (section 18.3.3): whether all addresses belong to this link. Whether the binding has them is
    /// said when they are renewed.
    pub(super) fn confirm(&self, asked: &Message) -> Answered<Message> {
        if self.held(number::ADDRESSES).is_none() {
            return Err("DHCPv6: no address to lease");
        }
        let addresses: Vec<_> = asked
            .options
            .iter()
            .filter_map(association)
            .filter(|(number, _)| *number != number::PREFIXES)
            .flat_map(|(_, association)| &association.leases)
            .collect();
        if addresses.is_empty() {
            return Err("DHCPv6: a confirm without addresses");
        }
        let all_right = addresses.into_iter().all(|lease| self.is_on_link(lease.address));
        let code = if all_right { status::SUCCESS } else { status::NOT_ON_LINK };
        Ok((self.status(asked, code), What::Confirm))
    }

    /// An answer to a Release or a Decline (sections 18.3.7, 18.3.8): well, but for associations that we know nothing of.
    pub(super) fn give_back(&self, asked: &Message) -> Message {
        let strange = asked.options.iter().filter_map(association).filter(|(number, association)| {
            let held = self.held(*number);
            !association.leases.iter().any(|lease| held.as_ref().is_some_and(|held| is_same(held, lease)))
        });
        let strange = strange.map(|(number, association)| option(number, failed(association.id, status::NO_BINDING)));
        let options = [Dhcp6Option::Status(status::SUCCESS, String::new())].into_iter().chain(strange).collect();
        self.message(kind::REPLY, asked, options)
    }

    /// Whether it is the address of the binding that is declined.
    pub(super) fn declines_ours(&self, asked: &Message) -> bool {
        let held = self.held(number::ADDRESSES);
        let is_held = |association: &Association| {
            association.leases.iter().any(|lease| held.as_ref().is_some_and(|held| is_same(held, lease)))
        };
        let mut addresses =
            asked.options.iter().filter_map(association).filter(|(number, _)| *number == number::ADDRESSES);
        addresses.any(|(_, association)| is_held(association))
    }

    /// Whether this binding has anything for who asks.
    pub(super) fn leases_anything(&self) -> Result<(), Reason> {
        if self.held(number::ADDRESSES).is_some() || self.held(number::PREFIXES).is_some() {
            return Ok(());
        }
        Err("DHCPv6: nothing to lease")
    }

    /// An answer to each association, given the lease which it is due: the address goes to the one association that has it
    /// already, otherwise to the first; so does the prefix.
    fn each(
        &self,
        asked: &Message,
        answer: impl Fn(u16, &Association, Option<Lease>) -> Association,
    ) -> Vec<Dhcp6Option> {
        let due = [number::ADDRESSES, number::PREFIXES].map(|number| {
            let lease = self.lease(number)?;
            let mut candidates = asked.options.iter().enumerate().filter(|(_, option)| option.number() == number);
            let first = candidates.clone().next();
            let has_it = candidates.find(|(_, option)| {
                association(option).is_some_and(|(_, asked)| asked.leases.iter().any(|held| is_same(held, &lease)))
            });
            has_it.or(first).map(|(at, _)| (at, lease))
        });
        let answered = |(at, asked): (usize, &Dhcp6Option)| {
            let (number, asked) = association(asked)?;
            let lease = due.iter().flatten().find(|(due, _)| *due == at).map(|(_, lease)| lease.clone());
            Some(option(number, answer(number, asked, lease)))
        };
        asked.options.iter().enumerate().filter_map(answered).collect()
    }

    /// What there is for associations of this number: not an address that was declined.
    fn lease(&self, number: u16) -> Option<Lease> {
        self.held(number).filter(|_| number != number::ADDRESSES || !self.is_declined)
    }

    /// What the binding has for associations of this number; there are no temporary addresses.
    fn held(&self, number: u16) -> Option<Lease> {
        let (address, length) = match number {
            number::ADDRESSES => (leased_address(self.client, self.settings)?, 128),
            number::PREFIXES => self.client.binding.prefix6.map(|prefix| (prefix.network(), prefix.prefix_len()))?,
            _ => return None,
        };
        let (preferred, valid) = self.ipv6.lifetimes;
        Some(Lease { lifetimes: (preferred.min(valid), valid), ..Lease::new(address, length) })
    }

    /// Whether an address belongs to this link: that of the binding, and all in SUBNET6.
    fn is_on_link(&self, address: Ipv6Addr) -> bool {
        let held = self.held(number::ADDRESSES).is_some_and(|lease| lease.address == address);
        held || self.client.binding.subnet6.is_some_and(|subnet| subnet.contains(&address))
    }
}

/// An association with its lease, to be renewed after a half and eight tenths of its time (section 21.4).
fn leased(asked: &Association, lease: Lease) -> Association {
    let part = |tenths: u64| match lease.lifetimes.0 {
        u32::MAX => u32::MAX,
        preferred => u32::try_from(u64::from(preferred) * tenths / 10).unwrap_or(u32::MAX),
    };
    Association { timers: (part(5), part(8)), leases: vec![lease], ..Association::new(asked.id) }
}

/// How it went where there is nothing.
const fn unavailable(number: u16) -> u16 {
    if number == number::PREFIXES { status::NO_PREFIXES } else { status::NO_ADDRESSES }
}
