//! Instances that come from bindings (`instances-nfdhcpd --registry`), or from guests (`instances-proxmox --registry`), which are
//! bindings here as well.
//!
//! What a binding says of its instance is kept beside it, in the field of its [`Origin`]. So it is known later, whoever ran
//! meanwhile, which instances are there because of a binding, and what in them somebody else has written.
//!
//! - A new instance takes the binding's name unless another has it, all its addresses, and its port.
//! - One that somebody else registered takes the addresses and the port, keeps the rest, and stays when the binding goes.
//! - Of one that is ours, what the binding no longer says goes, unless somebody else has changed it.
//! - When the binding goes, ours goes, unless there is something in it that is not from the binding.
//! - An address belongs to whose binding has it. Of two bindings with the same address or MAC, the first by its
//!   own name has it; the other is named.

use super::lock::Lock;
use super::model::{Field, Instance, Key, Registry};
use super::paths::Paths;
use super::store::{self, Snapshot};
use super::{probe, wire};
use crate::error::Result;
use crate::net::{IfName, Mac, Name, link_local_of};
use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::value::RawValue;
use std::net::IpAddr;

/// Where bindings come from. Who follows those of one origin leaves those of others alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Files of `instances-nfdhcpd`.
    Binding,
    /// Guests of Proxmox VE.
    Guest,
}

impl Origin {
    /// The field in which it is kept what the binding says, and the word for people.
    fn field(self) -> &'static str {
        match self {
            Self::Binding => "binding",
            Self::Guest => "guest",
        }
    }
}

/// What a binding says of its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its own name: of a file that of the tap, of a guest its number and the interface.
    pub by: Box<str>,
    /// The port that the instance is behind, if that is known and is one.
    pub port: Option<IfName>,
    /// Whose it is.
    pub mac: Mac,
    /// Its name.
    pub name: Option<Name>,
    /// Its own addresses. Each goes to the field of its class; the second of a class, and what no field takes, is allowed.
    pub addresses: Vec<IpAddr>,
    /// What it may use besides.
    pub nets: Vec<IpNet>,
}

/// What became of a registry that was to follow bindings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Followed {
    /// Whether the registry changed; then the flag is up.
    pub changed: bool,
    /// What could not be as the bindings say, a line each.
    pub conflicts: Vec<String>,
}

/// Makes the registry follow the bindings: all there are of this origin, in any order.
///
/// # Errors
/// As for any change of the registry; it is as it was.
pub fn follow(paths: &Paths, origin: Origin, bindings: &[Bound]) -> Result<Followed> {
    let path = paths.registry();
    let lock = Lock::acquire(&paths.lock())?;
    let Snapshot { mut registry, layout } = store::read(&path)?;
    let before = wire::to_text(&registry);
    let conflicts = registry.follow(origin, bindings);
    let changed = wire::to_text(&registry) != before;
    let layout = if changed { Some(store::replace(&path, &paths.flag(), &registry)?) } else { layout };
    if let Some(layout) = layout
        && registry.addresses_are_unique()
    {
        probe::remember(&lock, layout);
    }
    Ok(Followed { changed, conflicts })
}

/// All fields of addresses.
const ADDRESSES: [Key; 4] = [Key::Ipv4, Key::Ipv6Gua, Key::Ipv6Ula, Key::Ipv6Lla];

impl Registry {
    /// Makes the instances of this origin's bindings those of `bindings`; what could not be as they say.
    pub fn follow(&mut self, origin: Origin, bindings: &[Bound]) -> Vec<String> {
        let mut conflicts = Vec::new();
        let wanted = wanted(bindings, &mut conflicts);
        self.forget_unbound(origin, &wanted, &mut conflicts);
        let names = self.instances.iter().filter_map(|(mac, instance)| Some((in_dns(instance.name()?), *mac)));
        let mut names: FxHashMap<String, Mac> = names.collect();
        for (mac, written) in &wanted {
            let instance = self.instances.entry(*mac);
            let is_new = matches!(instance, indexmap::map::Entry::Vacant(_));
            let instance = instance.or_default();
            let record = if is_new { Some(Instance::default()) } else { instance.record(origin) };
            let Some(record) = record else {
                instance.adopt(written);
                continue;
            };
            let mut written = written.clone();
            match instance.follow_name(*mac, &record, written.name().cloned(), &mut names) {
                Some(name) => written.set_name(Some(name)),
                None => written.clear(Key::Name),
            }
            instance.follow(&record, &written);
            instance.set_record(origin, &written);
        }
        let owners = wanted.iter().flat_map(|(mac, written)| {
            written.exclusive().into_iter().filter_map(move |(_, address)| Some((address?, *mac)))
        });
        let owners: FxHashMap<IpAddr, Mac> = owners.collect();
        for (mac, instance) in &mut self.instances {
            let taken = |address: Option<IpAddr>| {
                address.filter(|address| owners.get(address).is_some_and(|owner| owner != mac))
            };
            let lost = instance.exclusive().map(|(key, address)| (key, taken(address)));
            instance.give_up_to(&lost);
        }
        conflicts
    }

    /// Ends the instances whose bindings are gone.
    fn forget_unbound(&mut self, origin: Origin, wanted: &[(Mac, Instance)], conflicts: &mut Vec<String>) {
        let bound: FxHashSet<Mac> = wanted.iter().map(|(mac, _)| *mac).collect();
        self.instances.retain(|mac, instance| {
            let record = if bound.contains(mac) { None } else { instance.record(origin) };
            let Some(record) = record else { return true };
            let is_ours = instance.is_within(origin, &record);
            if !is_ours {
                instance.fields.retain(|field| !is_record(origin, field));
                let what = origin.field();
                conflicts.push(format!("{mac} has no {what} any more, but was changed by others: kept"));
            }
            !is_ours
        });
    }
}

/// The instances as the bindings say them, each MAC and each address once.
fn wanted(bindings: &[Bound], conflicts: &mut Vec<String>) -> Vec<(Mac, Instance)> {
    let mut sorted: Vec<_> = bindings.iter().collect();
    sorted.sort_by_key(|bound| &bound.by);
    let mut holders: FxHashMap<Mac, &str> = FxHashMap::default();
    let mut owners: FxHashMap<IpAddr, &str> = FxHashMap::default();
    let mut wanted = Vec::with_capacity(sorted.len());
    for bound in sorted {
        let by = &*bound.by;
        if let Some(other) = holders.get(&bound.mac) {
            conflicts.push(format!("{by}: {} is bound to {other} already: not registered", bound.mac));
            continue;
        }
        holders.insert(bound.mac, by);
        let mut addresses = bound.addresses.clone();
        addresses.retain(|address| {
            let owner = *owners.entry(*address).or_insert(by);
            if owner != by {
                conflicts.push(format!("{by}: {address} is bound to {owner} already: not registered"));
            }
            owner == by
        });
        wanted.push((bound.mac, instance_of(bound, &addresses)));
    }
    wanted
}

/// The instance as a binding says it, with these of its addresses.
fn instance_of(bound: &Bound, addresses: &[IpAddr]) -> Instance {
    let mut instance = Instance::default();
    if bound.name.is_some() {
        instance.set_name(bound.name.clone());
    }
    let mut allowed = Vec::new();
    for &address in addresses {
        match Key::of(address) {
            Some(key) if instance.address(key).is_none() => instance.put(address),
            Some(key) if instance.address(key) == Some(address) => {}
            _ if allowed.contains(&IpNet::from(address)) => {}
            _ => allowed.push(IpNet::from(address)),
        }
    }
    if instance.address(Key::Ipv6Lla).is_none() {
        instance.put(IpAddr::V6(link_local_of(bound.mac)));
    }
    allowed.extend(bound.nets.iter().copied());
    instance.set_allowed(allowed);
    instance.set_port(bound.port);
    instance
}

fn in_dns(name: &Name) -> String {
    name.as_str().to_ascii_lowercase()
}

fn is_record(origin: Origin, field: &Field) -> bool {
    matches!(field, Field::Kept(kept) if *kept.0 == *origin.field())
}

impl Instance {
    /// What its binding said of it, if it has one.
    fn record(&self, origin: Origin) -> Option<Self> {
        let kept = self.fields.iter().find_map(|field| match field {
            Field::Kept(kept) if is_record(origin, field) => Some(&kept.1),
            _ => None,
        });
        wire::parse_instance(kept?.get().as_bytes())
    }

    fn set_record(&mut self, origin: Origin, written: &Self) {
        // Spelled by us, so it is JSON.
        let Ok(value) = RawValue::from_string(wire::to_line(written)) else { return };
        let record = Field::Kept(Box::new((origin.field().into(), value)));
        match self.fields.iter_mut().find(|field| is_record(origin, field)) {
            Some(field) => *field = record,
            None => self.fields.push(record),
        }
    }

    /// The name that is ours in it from now on: the wanted one, unless another has that, or somebody else has renamed
    /// the instance.
    fn follow_name(
        &mut self,
        mac: Mac,
        record: &Self,
        wanted: Option<Name>,
        names: &mut FxHashMap<String, Mac>,
    ) -> Option<Name> {
        if self.name() != record.name() {
            return record.name().cloned();
        }
        let free = wanted.filter(|name| names.get(&in_dns(name)).is_none_or(|owner| *owner == mac));
        if free.as_ref() != self.name()
            && let Some(name) = free
        {
            if let Some(before) = self.name() {
                names.remove(&in_dns(before));
            }
            names.insert(in_dns(&name), mac);
            self.set_name(Some(name));
        }
        self.name().cloned()
    }

    /// What the binding says now, and without what it said before and says no longer.
    fn follow(&mut self, record: &Self, written: &Self) {
        for key in ADDRESSES {
            match written.address(key) {
                Some(address) if self.address(key) != Some(address) => self.put(address),
                None if self.address(key).is_some() && self.address(key) == record.address(key) => self.clear(key),
                _ => {}
            }
        }
        let is_stale = |net: &IpNet| record.allowed().contains(net) && !written.allowed().contains(net);
        self.allow_all(|net| !is_stale(net), written.allowed());
        if self.port() != written.port() {
            self.set_port(written.port());
        }
    }

    /// What the binding says, in an instance of somebody else's.
    fn adopt(&mut self, written: &Self) {
        for address in ADDRESSES.into_iter().filter_map(|key| written.address(key)) {
            if self.address_like(address) != Some(address) {
                self.put(address);
            }
        }
        self.allow_all(|_| true, written.allowed());
        if self.port() != written.port() {
            self.set_port(written.port());
        }
    }

    fn address_like(&self, address: IpAddr) -> Option<IpAddr> {
        self.address(Key::of(address)?)
    }

    /// Keeps some of what is allowed, and allows these.
    fn allow_all(&mut self, keep: impl Fn(&IpNet) -> bool, nets: &[IpNet]) {
        let mut allowed: Vec<IpNet> = self.allowed().iter().copied().filter(keep).collect();
        let new = nets.iter().copied().filter(|net| !self.allowed().contains(net));
        allowed.extend(new);
        if allowed != self.allowed() {
            self.set_allowed(allowed);
        }
    }

    /// Whether there is nothing in it that is not in the record.
    fn is_within(&self, origin: Origin, record: &Self) -> bool {
        let is_known = |field: &Field| match field {
            Field::Known(_) => true,
            Field::Kept(kept) => is_record(origin, field) || Key::named(&kept.0).is_some(),
        };
        self.name().is_none_or(|name| record.name() == Some(name))
            && ADDRESSES
                .into_iter()
                .all(|key| self.address(key).is_none_or(|address| record.address(key) == Some(address)))
            && self.allowed().iter().all(|net| record.allowed().contains(net))
            && self.port().is_none_or(|port| record.port() == Some(port))
            && self.fields.iter().all(is_known)
    }
}
