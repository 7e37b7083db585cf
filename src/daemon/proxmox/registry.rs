//! Guests as instances of the registry, so that `instances-process --apply` guards the bridge of a Proxmox host, too.

use crate::error::Result;
use crate::net::{Mac, Name};
use crate::plan::dns_records::{Reason, Records};
use crate::plan::guest::Guest;
use crate::registry::Bound;
use crate::registry::bound::{self, Followed, Origin};
use crate::registry::paths::Paths;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// The registry that follows.
pub struct Bridge {
    paths: Paths,
    /// What it was given last; none: nothing yet, or it did not take it.
    given: Option<Vec<Bound>>,
}

impl Bridge {
    /// This one.
    pub fn new(paths: Paths) -> Self {
        Self { paths, given: None }
    }

    /// Has it say what is published, under the same lock and by the same rules as `instances-update`. Nothing: it was given the same
    /// last, and is not to be `compared`, in case somebody else has written there meanwhile.
    ///
    /// # Errors
    /// It cannot be read or written; it is as it was.
    pub fn follow(&mut self, guests: &[Guest], records: &Records, compared: bool) -> Result<Option<Followed>> {
        let wanted = instances(guests, records);
        if !compared && self.given.as_ref() == Some(&wanted) {
            return Ok(None);
        }
        self.given = None;
        let followed = bound::follow(&self.paths, Origin::Guest, &wanted)?;
        self.given = Some(wanted);
        Ok(Some(followed))
    }
}

/// An instance for each interface of a guest that is published, with the addresses that are published of it. On which port it is
/// nobody says: guests move, and with Proxmox's firewall there is another bridge before it.
///
/// Of several interfaces of a guest the first has its name: in the registry each name is one instance's. Of several with the same
/// MAC address the guest with the lowest number has it.
fn instances(guests: &[Guest], records: &Records) -> Vec<Bound> {
    let mut addresses: BTreeMap<(u32, u8), Vec<IpAddr>> = BTreeMap::new();
    for record in &records.records {
        if let Reason::Nic { vmid, nic, .. } = record.reason {
            addresses.entry((vmid, nic)).or_default().push(record.address);
        }
    }
    let mut sorted: Vec<_> = guests.iter().filter(|guest| records.names.contains_key(&guest.vmid)).collect();
    sorted.sort_by_key(|guest| guest.vmid);
    let mut macs: HashSet<Mac> = HashSet::new();
    let mut all = Vec::new();
    for guest in sorted {
        let label = records.names.get(&guest.vmid).and_then(|names| names.first()?.labels().next());
        let mut name = label.and_then(|label| label.parse::<Name>().ok());
        for nic in guest.nics.iter().filter(|nic| macs.insert(nic.mac)) {
            let (vmid, index) = (guest.vmid, nic.index);
            let mut addresses = addresses.remove(&(vmid, index)).unwrap_or_default();
            addresses.dedup();
            all.push(Bound {
                by: format!("guest {vmid} net{index}").into(),
                port: None,
                mac: nic.mac,
                name: name.take(),
                addresses,
                nets: Vec::new(),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::dns_records::{Network, Policy, Vlan};
    use crate::plan::guest::{Configured, Kind, Nic, State};
    use std::collections::BTreeMap;
    use std::fs;

    fn guest(vmid: u32, name: &str, nics: &[(u8, u8)]) -> Guest {
        let nic = |(index, last): &(u8, u8)| Nic {
            index: *index,
            mac: Mac([2, 0, 0, 0, 0, *last]),
            bridge: Some("vmbr0".to_owned()),
            tag: None,
            is_link_down: false,
            v4: Configured::Static([10, 0, 0, *last].into()),
            v6: Configured::Unsaid,
        };
        Guest {
            vmid,
            kind: Kind::Qemu,
            node: "pve1".to_owned(),
            name: Some(name.to_owned()),
            state: State::Running,
            is_template: false,
            tags: std::collections::BTreeSet::new(),
            agent_enabled: false,
            has_custom_cloud_init: false,
            nics: nics.iter().map(nic).collect(),
            lists: BTreeMap::new(),
        }
    }

    #[test]
    fn guests_come_into_the_registry_and_go_and_others_instances_stay() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(folder.path().join("P").into()), None).unwrap();
        fs::write(paths.registry(), "{\"02:00:00:00:00:99\": {\"name\": \"mine\"}}\n").unwrap();
        let policy = Policy {
            networks: vec![Network {
                bridge: None,
                vlan: Vlan::Any,
                prefixes: vec!["10.0.0.0/24".parse().unwrap()],
                domain: "lab".parse().unwrap(),
            }],
            ..Policy::default()
        };
        let mut bridge = Bridge::new(paths.clone());
        let mut follow = |guests: &[Guest]| {
            let followed = bridge.follow(guests, &Records::new(guests, &[], &policy), true).unwrap().unwrap();
            assert_eq!(followed.conflicts, [""; 0]);
            followed.changed
        };
        // 1000 comes after 117, and has the same MAC address as one of its interfaces.
        let guests = [guest(1000, "late", &[(0, 2)]), guest(117, "web", &[(0, 1), (1, 2)])];
        assert!(follow(&guests) && !follow(&guests));
        let all: serde_json::Value = serde_json::from_str(&fs::read_to_string(paths.registry()).unwrap()).unwrap();
        let (first, second) = (&all["02:00:00:00:00:01"], &all["02:00:00:00:00:02"]);
        assert_eq!((first["name"].as_str(), first["ipv4"].as_str()), (Some("web"), Some("10.0.0.1")), "{all}");
        assert_eq!((second["name"].as_str(), second["ipv4"].as_str()), (None, Some("10.0.0.2")), "{all}");
        assert!(first.get("port").is_none());
        assert!(follow(&[]));
        let left: serde_json::Value = serde_json::from_str(&fs::read_to_string(paths.registry()).unwrap()).unwrap();
        assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["02:00:00:00:00:99"]);
    }
}
