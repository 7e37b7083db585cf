use crate::net::{IfName, Mac, Name, V6Class};
use indexmap::IndexMap;
use ipnet::IpNet;
use rustc_hash::{FxBuildHasher, FxHashSet};
use serde_json::value::RawValue;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All instances, in the order in which they were registered, which is the order of every output.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    pub(super) instances: IndexMap<Mac, Instance, FxBuildHasher>,
}

impl Registry {
    /// Number of instances.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether there is no instance.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// The instance with this MAC.
    pub fn get(&self, mac: Mac) -> Option<&Instance> {
        self.instances.get(&mac)
    }

    /// The instances in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Mac, &Instance)> + Clone {
        self.instances.iter().map(|(mac, instance)| (*mac, instance))
    }

    /// Those of its instances that are among `macs`.
    pub(crate) fn only(&self, macs: &FxHashSet<Mac>) -> Self {
        let chosen = self.instances.iter().filter(|(mac, _)| macs.contains(*mac));
        Self { instances: chosen.map(|(mac, instance)| (*mac, instance.clone())).collect() }
    }

    /// Whether no `ipv4`, `ipv6_gua` or `ipv6_ula` is held by two instances. Always so after [`Registry::observe`] alone;
    /// an edited file may break it.
    pub fn addresses_are_unique(&self) -> bool {
        let mut seen = FxHashSet::with_capacity_and_hasher(3 * self.len(), FxBuildHasher);
        let addresses = self.instances.values().flat_map(Instance::exclusive).filter_map(|(_, address)| address);
        addresses.map(super::shared::bits).all(|address| seen.insert(address))
    }
}

/// One instance: its name, its addresses, and what else its object in the file holds.
#[derive(Debug, Clone, Default)]
pub struct Instance {
    name: Option<Name>,
    ipv4: Option<Ipv4Addr>,
    ipv6_gua: Option<Ipv6Addr>,
    ipv6_ula: Option<Ipv6Addr>,
    ipv6_lla: Option<Ipv6Addr>,
    allowed: Vec<IpNet>,
    port: Option<IfName>,
    pub(super) fields: Vec<Field>,
}

/// The exclusive fields of one instance and what they hold.
pub(super) type Exclusive = [(Key, Option<IpAddr>); 3];

/// One field of an instance's object, in its place.
#[derive(Debug, Clone)]
pub(super) enum Field {
    Known(Key),
    /// A field that is not ours, or one of ours that says none (`null`, `""`): written back as it was read.
    Kept(Box<(Box<str>, Box<RawValue>)>),
}

impl Field {
    pub(super) fn is(&self, key: Key) -> bool {
        match self {
            Self::Known(known) => *known == key,
            Self::Kept(kept) => *kept.0 == *key.as_str(),
        }
    }
}

/// The fields that mean something to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Ipv4,
    Ipv6Gua,
    Ipv6Ula,
    Ipv6Lla,
    Allowed,
    Port,
}

impl Key {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "name" => Self::Name,
            "ipv4" => Self::Ipv4,
            "ipv6_gua" => Self::Ipv6Gua,
            "ipv6_ula" => Self::Ipv6Ula,
            "ipv6_lla" => Self::Ipv6Lla,
            "allowed" => Self::Allowed,
            "port" => Self::Port,
            _ => return None,
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Ipv4 => "ipv4",
            Self::Ipv6Gua => "ipv6_gua",
            Self::Ipv6Ula => "ipv6_ula",
            Self::Ipv6Lla => "ipv6_lla",
            Self::Allowed => "allowed",
            Self::Port => "port",
        }
    }

    pub(super) fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => Some(Self::Ipv4),
            IpAddr::V6(address) => V6Class::of(address).map(|class| match class {
                V6Class::Global => Self::Ipv6Gua,
                V6Class::UniqueLocal => Self::Ipv6Ula,
                V6Class::LinkLocal => Self::Ipv6Lla,
            }),
        }
    }
}

impl Instance {
    /// Whether both mean the same: the order of fields, and fields that are not ours, do not count.
    pub(crate) fn means_the_same(&self, other: &Self) -> bool {
        let Self { name, ipv4, ipv6_gua, ipv6_ula, ipv6_lla, allowed, port, fields: _ } = self;
        (name, ipv4, allowed, port) == (&other.name, &other.ipv4, &other.allowed, &other.port)
            && (ipv6_gua, ipv6_ula, ipv6_lla) == (&other.ipv6_gua, &other.ipv6_ula, &other.ipv6_lla)
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The IPv4 address.
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.ipv4
    }

    /// The IPv6 address of a class.
    pub fn ipv6(&self, class: V6Class) -> Option<Ipv6Addr> {
        match class {
            V6Class::Global => self.ipv6_gua,
            V6Class::UniqueLocal => self.ipv6_ula,
            V6Class::LinkLocal => self.ipv6_lla,
        }
    }

    /// Further addresses and prefixes that the instance may use.
    pub fn allowed(&self) -> &[IpNet] {
        &self.allowed
    }

    /// The bridge port that the instance sits behind, if it is known. Several may sit behind one: containers on a bridge
    /// inside a virtual machine.
    pub fn port(&self) -> Option<IfName> {
        self.port
    }

    /// Whether `add` and `old` would store nothing for this address: the instance has it already, or no field takes such
    /// an address.
    pub fn has_or_ignores(&self, address: IpAddr) -> bool {
        Self::exclusive_key(address).is_none_or(|key| self.address(key) == Some(address))
    }

    /// Stores a leased address in the field of its class; says whether that changed anything.
    pub(super) fn store(&mut self, address: IpAddr) -> bool {
        if self.has_or_ignores(address) {
            return false;
        }
        self.put(address);
        true
    }

    /// Puts an address into the field of its class, link-local included.
    pub(super) fn put(&mut self, address: IpAddr) {
        let Some(key) = Key::of(address) else { return };
        match address {
            IpAddr::V4(address) => self.ipv4 = Some(address),
            IpAddr::V6(address) => *self.ipv6_mut(key) = Some(address),
        }
        self.place(key);
    }

    /// Takes away the exclusive addresses that `owner` has in the same field; says whether there was one.
    pub(super) fn give_up_to(&mut self, owner: &Exclusive) -> bool {
        let mut gave_up = false;
        for &(key, address) in owner {
            if address.is_some() && self.address(key) == address {
                self.clear(key);
                gave_up = true;
            }
        }
        gave_up
    }

    /// The fields whose addresses only one instance may have.
    pub(super) fn exclusive(&self) -> Exclusive {
        [Key::Ipv4, Key::Ipv6Gua, Key::Ipv6Ula].map(|key| (key, self.address(key)))
    }

    /// Sets the name; `None` is written as `""`.
    pub(super) fn set_name(&mut self, name: Option<Name>) {
        self.name = name;
        self.place(Key::Name);
    }

    /// Sets the list of further addresses and prefixes; an empty one leaves no field.
    pub(super) fn set_allowed(&mut self, allowed: Vec<IpNet>) {
        self.allowed = allowed;
        if self.allowed.is_empty() {
            self.clear(Key::Allowed);
        } else {
            self.place(Key::Allowed);
        }
    }

    /// Sets the bridge port; `None` leaves no field.
    pub(super) fn set_port(&mut self, port: Option<IfName>) {
        self.port = port;
        if self.port.is_none() {
            self.clear(Key::Port);
        } else {
            self.place(Key::Port);
        }
    }

    /// The value of a known field as one of the edge's types, put in by the parser.
    pub(super) fn parsed(&mut self, value: Parsed) {
        let key = match value {
            Parsed::Name(name) => {
                self.name = name;
                Key::Name
            }
            Parsed::Ipv4(address) => {
                self.ipv4 = Some(address);
                Key::Ipv4
            }
            Parsed::Ipv6(key, address) => {
                *self.ipv6_mut(key) = Some(address);
                key
            }
            Parsed::Allowed(allowed) => {
                self.allowed = allowed;
                Key::Allowed
            }
            Parsed::Port(port) => {
                self.port = Some(port);
                Key::Port
            }
        };
        self.fields.push(Field::Known(key));
    }

    pub(super) fn address(&self, key: Key) -> Option<IpAddr> {
        match key {
            Key::Ipv4 => self.ipv4.map(IpAddr::V4),
            Key::Ipv6Gua => self.ipv6_gua.map(IpAddr::V6),
            Key::Ipv6Ula => self.ipv6_ula.map(IpAddr::V6),
            Key::Ipv6Lla => self.ipv6_lla.map(IpAddr::V6),
            Key::Name | Key::Allowed | Key::Port => None,
        }
    }

    /// The field that a lease of this address goes to. The link-local address is the host's own affair, never leased.
    fn exclusive_key(address: IpAddr) -> Option<Key> {
        Key::of(address).filter(|key| *key != Key::Ipv6Lla)
    }

    fn ipv6_mut(&mut self, key: Key) -> &mut Option<Ipv6Addr> {
        match key {
            Key::Ipv6Gua => &mut self.ipv6_gua,
            Key::Ipv6Ula => &mut self.ipv6_ula,
            _ => &mut self.ipv6_lla,
        }
    }

    pub(super) fn clear(&mut self, key: Key) {
        match key {
            Key::Name => self.name = None,
            Key::Ipv4 => self.ipv4 = None,
            Key::Ipv6Gua | Key::Ipv6Ula | Key::Ipv6Lla => *self.ipv6_mut(key) = None,
            Key::Allowed => self.allowed = Vec::new(),
            Key::Port => self.port = None,
        }
        self.fields.retain(|field| !field.is(key));
    }

    /// Gives a field its place: where it was (also as `null`), else at the end.
    fn place(&mut self, key: Key) {
        match self.fields.iter_mut().find(|field| field.is(key)) {
            Some(field) => *field = Field::Known(key),
            None => self.fields.push(Field::Known(key)),
        }
    }
}

/// A known field's value as it comes out of the file.
pub(super) enum Parsed {
    Name(Option<Name>),
    Ipv4(Ipv4Addr),
    Ipv6(Key, Ipv6Addr),
    Allowed(Vec<IpNet>),
    Port(IfName),
}

/// A network interface of this host as `--initialize` records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostInterface {
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses in the order in which they shall be recorded; the last of a class wins.
    pub addresses: Vec<IpAddr>,
}
