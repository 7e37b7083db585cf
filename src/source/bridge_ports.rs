//! The ports of this host's bridges, read through rtnetlink (linux/if_link.h).

use super::rtnetlink::{IFINFOMSG, IFLA_IFNAME, IFLA_MASTER, RTM_GETLINK, RTM_NEWLINK, again, host_number, in_words};
use crate::error::{Error, Result};
use crate::netlink::{Connection, Message};
use crate::plan::groups::Bridge;
use crate::plan::uplinks::BridgePort;
use std::collections::BTreeMap;

/// All bridges in this network namespace, by the index of the interface. Needs no privilege.
///
/// # Errors
/// The kernel cannot be asked.
pub fn bridges() -> Result<Vec<Bridge>> {
    let bridge = |link: &Link| {
        let group_forward_mask = link.group_forward_mask?;
        Some(Bridge { name: link.name.clone(), group_forward_mask })
    };
    Ok(links()?.values().filter_map(bridge).collect())
}

/// All ports of all bridges in this network namespace, by the index of the interface. Needs no privilege.
///
/// # Errors
/// The kernel cannot be asked.
pub fn read() -> Result<Vec<BridgePort>> {
    Ok(ports(&links()?))
}

fn links() -> Result<Links> {
    let failed = |error| Error::new(format!("cannot read the ports of bridges: {}", in_words(error)));
    let mut connection = Connection::open(mnl::Bus::Route).map_err(|error| failed(error.into()))?;
    let dump = || {
        let mut links = Links::new();
        connection.dump(RTM_GETLINK, &[0; IFINFOMSG], |_| {}, |message| links.extend(link(&message)))?;
        Ok(links)
    };
    again(dump).map_err(failed)
}

/// A network interface, bridge or port or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    name: String,
    kind: Option<String>,
    /// Index of what it belongs to: a bridge, a bond, a VRF.
    master: Option<u32>,
    /// Only of a bridge.
    group_forward_mask: Option<u16>,
}

/// By index.
type Links = BTreeMap<u32, Link>;

const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_GROUP_FWD_MASK: u16 = 9;

/// The interface that one message of a dump is about, and its index.
fn link(message: &Message) -> Option<(u32, Link)> {
    if message.kind != RTM_NEWLINK {
        return None;
    }
    let attributes = message.attributes(IFINFOMSG);
    let info = attributes.nested(IFLA_LINKINFO);
    let mask = info.nested(IFLA_INFO_DATA).get(IFLA_BR_GROUP_FWD_MASK);
    let kind = info.get(IFLA_INFO_KIND).map(text);
    let link = Link {
        name: text(attributes.get(IFLA_IFNAME)?),
        group_forward_mask: mask.filter(|_| kind.as_deref() == Some("bridge")).and_then(host_number16),
        kind,
        master: attributes.get(IFLA_MASTER).and_then(|index| host_number(index, 0)),
    };
    Some((host_number(message.body, 4)?, link))
}

fn host_number16(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|number| u16::from_ne_bytes(*number))
}

/// The kernel takes nearly any bytes for a name.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned()
}

/// Those links whose master is a bridge.
fn ports(links: &Links) -> Vec<BridgePort> {
    let port = |link: &Link| {
        let bridge = links.get(&link.master?).filter(|master| master.kind.as_deref() == Some("bridge"))?;
        Some(BridgePort { name: link.name.clone(), bridge: bridge.name.clone(), kind: link.kind.clone() })
    };
    links.values().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Messages, Writer};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A link as the kernel dumps it.
    fn write(writer: &mut Writer, index: u32, link: &Link) {
        let mut header = [0; IFINFOMSG];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        writer.message(RTM_NEWLINK, 0, 1, &header, |writer| {
            writer.text(IFLA_IFNAME, &link.name);
            if let Some(master) = link.master {
                writer.attribute(IFLA_MASTER, &master.to_ne_bytes());
            }
            if let Some(kind) = &link.kind {
                writer.nested(IFLA_LINKINFO, |writer| {
                    writer.text(IFLA_INFO_KIND, kind);
                    if let Some(mask) = link.group_forward_mask {
                        writer.nested(IFLA_INFO_DATA, |writer| {
                            writer.attribute(IFLA_BR_GROUP_FWD_MASK, &mask.to_ne_bytes());
                        });
                    }
                });
            }
        });
    }

    fn read_from(bytes: &[u8]) -> Links {
        Messages(bytes).filter_map(|message| link(&message)).collect()
    }

    fn any_link() -> impl Strategy<Value = Link> {
        let kind = prop::sample::select(vec!["bridge", "veth", "tun", "bond", "vxlan", ""]).prop_map(str::to_owned);
        ("[a-z0-9.é]{0,15}", prop::option::of(kind), prop::option::of(0u32..6), any::<u16>()).prop_map(
            |(name, kind, master, mask)| {
                let group_forward_mask = (kind.as_deref() == Some("bridge")).then_some(mask);
                Link { name, kind, master, group_forward_mask }
            },
        )
    }

    #[test]
    fn ports_are_those_whose_master_is_a_bridge() {
        let link = |name: &str, kind: Option<&str>, master| Link {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            master,
            group_forward_mask: None,
        };
        let links = Links::from([
            (1, link("lo", None, None)),
            (2, link("eth0", None, Some(4))),
            (3, link("eth1", None, Some(5))),
            (4, link("br0", Some("bridge"), Some(9))),
            (5, link("bond0", Some("bond"), Some(4))),
            (6, link("tap0", Some("tun"), Some(4))),
            (7, link("gone", Some("veth"), Some(99))),
            (9, link("blue", Some("vrf"), None)),
        ]);
        let named = |port: &BridgePort| (port.bridge.clone(), port.name.clone(), port.kind.clone());
        let expected = [("eth0", None), ("bond0", Some("bond")), ("tap0", Some("tun"))]
            .map(|(name, kind)| ("br0".to_owned(), name.to_owned(), kind.map(str::to_owned)));
        assert_eq!(ports(&links).iter().map(named).collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn links_are_read_as_they_are_dumped(links in prop::collection::btree_map(0u32..6, any_link(), 0..6)) {
            let mut writer = Writer::default();
            for (index, link) in &links {
                write(&mut writer, *index, link);
            }
            prop_assert_eq!(read_from(&writer.finish().unwrap()), links);
        }

        #[test]
        fn hostile_bytes_make_no_panic_and_no_port_without_a_bridge(
            links in vec((0u32..6, any_link()), 0..6), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(), noise in vec(any::<u8>(), 0..200)
        ) {
            let mut writer = Writer::default();
            for (index, link) in &links {
                write(&mut writer, *index, link);
            }
            let mut damaged = writer.finish().unwrap();
            damaged.truncate(cut.index(damaged.len() + 1));
            for (place, byte) in damage {
                if !damaged.is_empty() {
                    let place = place.index(damaged.len());
                    damaged[place] = byte;
                }
            }
            for bytes in [damaged, noise] {
                let links = read_from(&bytes);
                let bridges = |name: &str| links.values().any(|link| link.name == name && link.kind.as_deref() == Some("bridge"));
                prop_assert!(ports(&links).iter().all(|port| bridges(&port.bridge)));
            }
        }
    }
}
