//! By which interfaces to listen: purely, from what there is.
//!
//! A bridge stands for its ports. What comes in by a port is heard there whatever becomes of it: also what the bridge hands on to another
//! guest alone, what it keeps to a VLAN that the host is not in, and what multicast snooping keeps from the host. The bridge itself
//! would hear only what goes to the host. Two ports that are the ends of one veth pair connect two bridges (Proxmox's firewall
//! has such); what comes in there came in elsewhere before, so neither is listened to.

use super::Lack;
use crate::error::{Error, Result};
use crate::net::{IfName, Mac, until_nul};
use crate::netlink::{Connection, Message};
use crate::source::rtnetlink::{
    IFINFOMSG, IFLA_IFNAME, IFLA_MASTER, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, again, host_number, in_words,
};
use std::collections::{BTreeMap, BTreeSet};

/// By which interfaces to listen. Those by which the sweep asks are listened to as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Interfaces; a bridge stands for its ports. They need not be there yet.
    pub named: Vec<IfName>,
    /// Whether all bridges too.
    pub all_bridges: bool,
}

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub name: IfName,
    pub mac: Option<Mac>,
    pub is_ethernet: bool,
    pub is_bridge: bool,
    /// The bridge, or what else collects interfaces, that it belongs to: its index.
    pub master: Option<u32>,
    /// Of a veth, the index of its other end, if that is in this network namespace.
    pub other_end: Option<u32>,
    /// Of a VLAN, the index of what it is on top of.
    pub below: Option<u32>,
}

/// By index.
pub(super) type Links = BTreeMap<u32, Link>;

/// Something happened to an interface: it is so, or gone.
pub(super) type LinkEvent = (u32, Option<Link>);

/// Takes in what happened; whether that is a change.
pub(super) fn apply(links: &mut Links, (index, now): LinkEvent) -> bool {
    let before = match now {
        Some(link) => links.insert(index, link),
        None => links.remove(&index),
    };
    before != now
}

/// Where to listen, and what is not to be heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The interfaces to listen to, by index.
    pub ears: BTreeSet<u32>,
    /// Those of which all is heard thereby: these, the bridges that they are ports of, and VLANs on top of any.
    pub covered: BTreeSet<u32>,
    /// What is missing.
    pub lacking: Vec<Lack>,
}

impl Places {
    /// Where to listen; `asking` are the interfaces by which the sweep asks.
    pub(super) fn among(&self, links: &Links, asking: &BTreeSet<u32>) -> Chosen {
        let mut lacking = Vec::new();
        let mut meant = asking.clone();
        for name in &self.named {
            match links.iter().find(|(_, link)| link.name == *name) {
                Some((index, link)) if link.is_ethernet => _ = meant.insert(*index),
                Some(_) => lacking.push(Lack::NotEthernet(*name)),
                None => lacking.push(Lack::Absent(*name)),
            }
        }
        let bridges =
            links.iter().filter(|(index, link)| link.is_bridge && (self.all_bridges || meant.contains(index)));
        let bridges: BTreeSet<u32> = bridges.map(|(index, _)| *index).collect();
        let is_inside = |index: u32| {
            let master = links.get(&index).and_then(|link| link.master);
            master.is_some_and(|master| bridges.contains(&master))
        };
        let is_ear = |index: u32, link: &Link| {
            let is_port = is_inside(index) && !link.other_end.is_some_and(is_inside);
            link.is_ethernet && !link.is_bridge && (is_port || meant.contains(&index))
        };
        let ears: BTreeSet<u32> =
            links.iter().filter(|(index, link)| is_ear(**index, link)).map(|(index, _)| *index).collect();
        let mut covered: BTreeSet<u32> = ears.union(&bridges).copied().collect();
        let on_top = |link: &Link| link.below.is_some_and(|below| covered.contains(&below));
        let vlans: Vec<u32> = links.iter().filter(|(_, link)| on_top(link)).map(|(index, _)| *index).collect();
        covered.extend(vlans);
        Chosen { ears, covered, lacking }
    }
}

/// All interfaces there are.
///
/// # Errors
/// The kernel cannot be asked.
pub(super) fn read() -> Result<Links> {
    let failed = |error| Error::new(format!("cannot read the network interfaces: {}", in_words(error)));
    let mut connection = Connection::open(mnl::Bus::Route).map_err(|error| failed(error.into()))?;
    let dump = || {
        let mut links = Links::new();
        connection.dump(
            RTM_GETLINK,
            &[0; IFINFOMSG],
            |_| {},
            |message| {
                if let Some(happened) = event(&message) {
                    apply(&mut links, happened);
                }
            },
        )?;
        Ok(links)
    };
    again(dump).map_err(failed)
}

const ARPHRD_ETHER: u16 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;

/// What a message tells. Those of other families than AF_UNSPEC are about something else: a port that leaves its bridge is told of as
/// RTM_DELLINK in AF_BRIDGE.
pub(super) fn event(message: &Message) -> Option<LinkEvent> {
    let index = host_number(message.body, 4)?;
    match (message.kind, *message.body.first()?) {
        (RTM_DELLINK, 0) => Some((index, None)),
        (RTM_NEWLINK, 0) => Some((index, link(message))),
        _ => None,
    }
}

/// The interface that a message is about; none if it has a name that nobody can write down.
fn link(message: &Message) -> Option<Link> {
    let attributes = message.attributes(IFINFOMSG);
    let number = |kind| attributes.get(kind).and_then(|value| host_number(value, 0));
    let hardware = message.body.get(2..)?.first_chunk().map(|hardware| u16::from_ne_bytes(*hardware))?;
    let kind = attributes.nested(IFLA_LINKINFO).get(IFLA_INFO_KIND).map(until_nul);
    let linked = || number(IFLA_LINK).filter(|_| attributes.get(IFLA_LINK_NETNSID).is_none());
    Some(Link {
        name: attributes.get(IFLA_IFNAME).and_then(IfName::of_padded)?,
        mac: attributes.get(IFLA_ADDRESS).and_then(|octets| octets.try_into().ok()).map(Mac),
        is_ethernet: hardware == ARPHRD_ETHER,
        is_bridge: kind == Some(b"bridge"),
        master: number(IFLA_MASTER),
        other_end: linked().filter(|_| kind == Some(b"veth")),
        below: linked().filter(|_| kind == Some(b"vlan")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Messages, Writer};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn link(name: &str, master: u32) -> Link {
        let (name, master) = (name.parse().unwrap(), Some(master).filter(|master| *master > 0));
        Link { name, mac: None, is_ethernet: true, is_bridge: false, master, other_end: None, below: None }
    }

    /// A host as Proxmox has them: a guest with firewall, one without, an uplink, a bridge apart, and what is none of these.
    fn host() -> Links {
        let bridge = |name| Link { is_bridge: true, ..link(name, 0) };
        let veth = |name, master, other| Link { other_end: Some(other), ..link(name, master) };
        Links::from([
            (1, Link { is_ethernet: false, ..link("lo", 0) }),
            (2, link("eno1", 10)),
            (3, link("eno2", 0)),
            (10, bridge("vmbr0")),
            (11, bridge("fwbr117i0")),
            (12, bridge("vmbr1")),
            (20, link("tap117i0", 11)),
            (21, veth("fwln117i0", 11, 22)),
            (22, veth("fwpr117p0", 10, 21)),
            (23, link("veth104i0", 10)),
            (24, link("tap118i0", 12)),
            (25, veth("bond0", 26, 99)),
            (26, link("team0", 0)),
            (30, Link { below: Some(10), ..link("vmbr0.20", 0) }),
            (31, Link { below: Some(3), ..link("eno2.20", 0) }),
        ])
    }

    fn chosen(named: &[&str], all_bridges: bool, asking: &[u32]) -> Vec<u32> {
        let places = Places { named: named.iter().map(|name| name.parse().unwrap()).collect(), all_bridges };
        places.among(&host(), &asking.iter().copied().collect()).ears.into_iter().collect()
    }

    #[test]
    fn all_bridges_are_heard_by_the_ports_at_which_frames_come_in() {
        assert_eq!(chosen(&[], true, &[]), [2, 20, 23, 24]);
        assert_eq!(chosen(&["vmbr0", "eno2"], true, &[10]), [2, 3, 20, 23, 24]);
    }

    #[test]
    fn one_bridge_is_heard_by_all_its_ports_if_the_other_bridge_is_not() {
        assert_eq!(chosen(&["vmbr0"], false, &[]), [2, 22, 23]);
        assert_eq!(chosen(&["vmbr0", "fwbr117i0"], false, &[]), [2, 20, 23]);
    }

    #[test]
    fn other_interfaces_stand_for_themselves_and_so_do_those_that_are_asked_by() {
        assert_eq!(chosen(&["eno2", "tap118i0"], false, &[]), [3, 24]);
        assert_eq!(chosen(&[], false, &[3, 12]), [3, 24]);
        assert_eq!(chosen(&[], false, &[]), [0; 0]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let places = Places { named: ["lo", "vmbr7"].map(|name| name.parse().unwrap()).to_vec(), all_bridges: false };
        let chosen = places.among(&host(), &BTreeSet::new());
        let [lo, vmbr7] = [places.named[0], places.named[1]];
        assert_eq!((chosen.ears.len(), chosen.lacking), (0, vec![Lack::NotEthernet(lo), Lack::Absent(vmbr7)]));
    }

    #[test]
    fn bridges_and_what_is_on_top_of_them_are_covered_by_their_ports() {
        let covered = |all_bridges, asking: &[u32]| {
            let places = Places { named: Vec::new(), all_bridges };
            let chosen = places.among(&host(), &asking.iter().copied().collect());
            chosen.covered.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(covered(true, &[]), [2, 10, 11, 12, 20, 23, 24, 30]);
        assert_eq!(covered(false, &[3]), [3, 31]);
        assert_eq!(covered(false, &[24]), [24]);
    }

    fn told(kind: u16, family: u8, body: impl FnOnce(&mut Writer)) -> Vec<LinkEvent> {
        let mut header = [0; IFINFOMSG];
        header[0] = family;
        header[2..4].copy_from_slice(&1u16.to_ne_bytes());
        header[4..8].copy_from_slice(&7u32.to_ne_bytes());
        let mut writer = Writer::default();
        writer.message(kind, 0, 0, &header, body);
        let bytes = writer.finish().unwrap();
        Messages(&bytes).filter_map(|message| event(&message)).collect()
    }

    fn info(writer: &mut Writer, kind: &str) {
        writer.nested(IFLA_LINKINFO, |writer| writer.text(IFLA_INFO_KIND, kind));
    }

    #[test]
    fn links_are_read_as_they_are_told() {
        let veth = told(RTM_NEWLINK, 0, |writer| {
            writer.text(IFLA_IFNAME, "fwpr117p0");
            writer.attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
            writer.attribute(IFLA_MASTER, &10u32.to_ne_bytes());
            writer.attribute(IFLA_LINK, &21u32.to_ne_bytes());
            info(writer, "veth");
        });
        let mac = Some(Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(veth, [(7, Some(Link { mac, other_end: Some(21), ..link("fwpr117p0", 10) }))]);
        // The other end of this one is in a container, and the number says nothing here.
        let container = told(RTM_NEWLINK, 0, |writer| {
            writer.text(IFLA_IFNAME, "veth104i0");
            writer.attribute(IFLA_LINK, &2u32.to_ne_bytes());
            writer.attribute(IFLA_LINK_NETNSID, &0u32.to_ne_bytes());
            info(writer, "veth");
        });
        assert_eq!(container, [(7, Some(link("veth104i0", 0)))]);
        let bridge = told(RTM_NEWLINK, 0, |writer| {
            writer.text(IFLA_IFNAME, "vmbr0");
            info(writer, "bridge");
        });
        assert_eq!(bridge, [(7, Some(Link { is_bridge: true, ..link("vmbr0", 0) }))]);
        assert_eq!(told(RTM_DELLINK, 0, |_| {}), [(7, None)]);
        assert_eq!(told(RTM_DELLINK, 7, |_| {}), []);
        assert_eq!(told(RTM_NEWLINK, 7, |_| {}), []);
    }

    proptest! {
        #[test]
        fn hostile_bytes_make_no_panic_and_only_what_is_there_is_chosen(noise in vec(any::<u8>(), 0..200), all: bool) {
            let mut links = host();
            Messages(&noise).filter_map(|message| event(&message)).for_each(|event| _ = apply(&mut links, event));
            let chosen = Places { named: Vec::new(), all_bridges: all }.among(&links, &BTreeSet::from([3, 77]));
            prop_assert!(chosen.covered.iter().chain(&chosen.ears).all(|index| links.contains_key(index)));
        }
    }
}
