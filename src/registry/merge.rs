use super::model::{HostInterface, Instance, Registry};
use crate::net::{IfName, Mac, Name, link_local_of};
use ipnet::IpNet;
use std::net::IpAddr;

/// What came of a wish about an instance that must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amendment {
    /// The instance changed.
    Changed,
    /// It was so already.
    AsItWas,
    /// There is no instance with this MAC.
    NoSuchInstance,
}

/// What each action does to the registry. Every function says whether anything changed.
impl Registry {
    /// `add` and `old`: the instance `mac` was seen with `address`.
    ///
    /// A new instance takes `name`, unless another has it in DNS's eyes, and the link-local address of its MAC; a known
    /// one keeps its name. Then every exclusive address that this instance has is taken from all others.
    pub fn observe(&mut self, mac: Mac, address: IpAddr, name: Option<&Name>) -> bool {
        let mut changed = false;
        if !self.instances.contains_key(&mac) {
            let mut instance = Instance::default();
            instance.set_name(name.filter(|name| !self.has_name(name)).cloned());
            instance.put(IpAddr::V6(link_local_of(mac)));
            self.instances.insert(mac, instance);
            changed = true;
        }
        let Some(instance) = self.instances.get_mut(&mac) else { return changed };
        changed |= instance.store(address);
        let owned = instance.exclusive();
        for (_, other) in self.instances.iter_mut().filter(|(other, _)| **other != mac) {
            changed |= other.give_up_to(&owned);
        }
        changed
    }

    /// `--initialize`: records the host's own interface, replacing the instance as a whole but for its `allowed`
    /// (also its `port`: the host is behind none), then renames it.
    pub fn initialize(&mut self, interface: &HostInterface, name: &Name) -> bool {
        let mut instance = Instance::default();
        instance.set_name(Some(name.clone()));
        for &address in &interface.addresses {
            instance.put(address);
        }
        if let Some(before) = self.instances.get(&interface.mac) {
            instance.set_allowed(before.allowed().to_vec());
        }
        self.instances.insert(interface.mac, instance);
        self.rename(interface.mac, name);
        true
    }

    /// `--rename`: gives the instance this name and takes it from any other.
    pub fn rename(&mut self, mac: Mac, name: &Name) -> bool {
        let Some(instance) = self.instances.get_mut(&mac) else { return false };
        let mut changed = false;
        if instance.name() != Some(name) {
            instance.set_name(Some(name.clone()));
            changed = true;
        }
        for (other, instance) in &mut self.instances {
            if *other != mac && instance.name().is_some_and(|taken| taken.same_in_dns(name)) {
                instance.set_name(None);
                changed = true;
            }
        }
        changed
    }

    /// `--remove`: forgets the instance.
    pub fn remove(&mut self, mac: Mac) -> bool {
        self.instances.shift_remove(&mac).is_some()
    }

    /// `--allow`: adds to what the instance may use besides its own addresses.
    pub fn allow(&mut self, mac: Mac, net: IpNet) -> Amendment {
        self.change_allowed(mac, |allowed| {
            if !allowed.contains(&net) {
                allowed.push(net);
            }
        })
    }

    /// `--disallow`: takes back exactly what `--allow` gave.
    pub fn disallow(&mut self, mac: Mac, net: IpNet) -> Amendment {
        self.change_allowed(mac, |allowed| allowed.retain(|other| *other != net))
    }

    /// `--port`, and with `None` `--no-port`: the bridge port that the instance sits behind. Others may sit behind it too.
    pub fn set_port(&mut self, mac: Mac, port: Option<IfName>) -> Amendment {
        let Some(instance) = self.instances.get_mut(&mac) else { return Amendment::NoSuchInstance };
        if instance.port() == port {
            return Amendment::AsItWas;
        }
        instance.set_port(port);
        Amendment::Changed
    }

    fn change_allowed(&mut self, mac: Mac, change: impl FnOnce(&mut Vec<IpNet>)) -> Amendment {
        let Some(instance) = self.instances.get_mut(&mac) else { return Amendment::NoSuchInstance };
        let mut allowed = instance.allowed().to_vec();
        change(&mut allowed);
        if allowed == instance.allowed() {
            return Amendment::AsItWas;
        }
        instance.set_allowed(allowed);
        Amendment::Changed
    }

    fn has_name(&self, name: &Name) -> bool {
        self.instances.values().any(|instance| instance.name().is_some_and(|taken| taken.same_in_dns(name)))
    }
}
