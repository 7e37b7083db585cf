//! The network interfaces of this host: which there are, what they are called, which MAC they have; read by rtnetlink, and
//! kept by its events (linux/rtnetlink.h, linux/if_link.h).

use super::rtnetlink::{
    IFINFOMSG, IFLA_IFNAME, IFLA_MASTER, LinkGroup, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, again, host_number, in_words,
};
use crate::error::{Error, Result};
use crate::net::{IfName, Mac, until_nul};
use crate::netlink::group::Came;
use crate::netlink::{Connection, Message, Messages};
use rustc_hash::FxHashMap;
use rustix::fd::{AsFd, BorrowedFd};

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: IfName,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Whether only one guest can be behind it: neither a bridge nor another device that collects others, nor hardware.
    pub is_port: bool,
    /// The bridge, or what else collects interfaces, that it belongs to: its index.
    pub master: Option<u32>,
}

/// Something happened to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent {
    /// It is there, and is so.
    Is(u32, Link),
    /// It is gone.
    Gone(u32),
}

/// The interfaces, by index and by name. A value: what happens to it is up to who has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    by_index: FxHashMap<u32, Link>,
    by_name: FxHashMap<IfName, u32>,
}

impl Links {
    /// The interface with this index.
    pub fn get(&self, index: u32) -> Option<&Link> {
        self.by_index.get(&index)
    }

    /// The interface of this name, and its index.
    pub fn named(&self, name: IfName) -> Option<(u32, &Link)> {
        let index = *self.by_name.get(&name)?;
        self.by_index.get(&index).map(|link| (index, link))
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Link)> {
        self.by_index.iter().map(|(index, link)| (*index, link))
    }

    /// Takes in what happened. Gives the names that another interface has by now, or none, or one that is otherwise so: at most two.
    pub fn apply(&mut self, event: LinkEvent) -> Vec<IfName> {
        let (index, now) = match event {
            LinkEvent::Is(index, link) => (index, Some(link)),
            LinkEvent::Gone(index) => (index, None),
        };
        let before = match now {
            Some(link) => self.by_index.insert(index, link),
            None => self.by_index.remove(&index),
        };
        if before == now {
            return Vec::new();
        }
        let mut names = Vec::new();
        if let Some(before) = before {
            // Unless another one has taken the name meanwhile, of which we heard first.
            if self.by_name.get(&before.name) == Some(&index) {
                self.by_name.remove(&before.name);
            }
            names.push(before.name);
        }
        if let Some(link) = now {
            if let Some(other) = self.by_name.insert(link.name, index).filter(|other| *other != index) {
                // Two cannot have it: we did not hear that the other one is gone, or called otherwise.
                self.by_index.remove(&other);
            }
            if !names.contains(&link.name) {
                names.push(link.name);
            }
        }
        names
    }

    /// What happened in between, for `self` to become `now`: what is gone comes first.
    pub fn until(&self, now: &Self) -> Vec<LinkEvent> {
        let gone =
            self.by_index.keys().filter(|index| !now.by_index.contains_key(index)).map(|index| LinkEvent::Gone(*index));
        let is = now.iter().filter(|(index, link)| self.get(*index) != Some(*link));
        gone.chain(is.map(|(index, link)| LinkEvent::Is(index, *link))).collect()
    }
}

impl FromIterator<(u32, Link)> for Links {
    fn from_iter<I: IntoIterator<Item = (u32, Link)>>(links: I) -> Self {
        let mut all = Self::default();
        for (index, link) in links {
            all.apply(LinkEvent::Is(index, link));
        }
        all
    }
}

/// Listens to the kernel.
pub struct KernelLinks(LinkGroup);

impl KernelLinks {
    /// Joins the group, which needs no privilege. Do so before [`Self::read`], so that nothing is missed in between.
    ///
    /// # Errors
    /// No sockets can be had.
    pub fn listen() -> Result<Self> {
        // A message that is cut counts as lost.
        LinkGroup::listen(4 << 20, 1 << 16).map(Self)
    }

    /// All interfaces there are.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn read() -> Result<Links> {
        let failed = |error| Error::new(format!("cannot read the network interfaces: {}", in_words(error)));
        let mut connection = Connection::open(mnl::Bus::Route).map_err(|error| failed(error.into()))?;
        let dump = || {
            let mut links = Vec::new();
            connection.dump(RTM_GETLINK, &[0; IFINFOMSG], |_| {}, |message| links.extend(event(&message)))?;
            Ok(links)
        };
        let mut links = Links::default();
        for event in again(dump).map_err(failed)? {
            links.apply(event);
        }
        Ok(links)
    }

    /// Shows all that has come to `see`, in its order; whether nothing was lost. Otherwise read all anew.
    ///
    /// # Errors
    /// The socket failed.
    pub fn take(&mut self, mut see: impl FnMut(LinkEvent)) -> Result<bool> {
        let mut complete = true;
        self.0.drain(|came| match came {
            Came::Datagram(datagram, is_cut) => {
                complete &= !is_cut;
                Messages(datagram).filter_map(|message| event(&message)).for_each(&mut see);
            }
            Came::Loss => complete = false,
        })?;
        Ok(complete)
    }
}

impl AsFd for KernelLinks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const IFLA_ADDRESS: u16 = 1;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

/// Kinds behind which there are many hosts.
const COLLECTING: [&[u8]; 10] =
    [b"bridge", b"openvswitch", b"bond", b"team", b"vlan", b"vrf", b"vxlan", b"geneve", b"macvlan", b"dummy"];

/// What a message tells. Those of other families than AF_UNSPEC are about something else: a port that leaves its bridge is
/// told of as RTM_DELLINK in AF_BRIDGE.
fn event(message: &Message) -> Option<LinkEvent> {
    let family = *message.body.first()?;
    let index = host_number(message.body, 4)?;
    match message.kind {
        RTM_DELLINK if family == 0 => Some(LinkEvent::Gone(index)),
        RTM_NEWLINK if family == 0 => {
            let attributes = message.attributes(IFINFOMSG);
            // A name that we would not take cannot be a file's either.
            let Some(name) = attributes.get(IFLA_IFNAME).and_then(IfName::of_padded) else {
                return Some(LinkEvent::Gone(index));
            };
            let mac = attributes.get(IFLA_ADDRESS).and_then(|octets| octets.try_into().ok()).map(Mac);
            let kind = attributes.nested(IFLA_LINKINFO).get(IFLA_INFO_KIND).map(until_nul);
            let is_port = kind.is_some_and(|kind| !COLLECTING.contains(&kind));
            let master = attributes.get(IFLA_MASTER).and_then(|index| host_number(index, 0));
            Some(LinkEvent::Is(index, Link { name, mac, is_port, master }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Writer;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn named(name: &str, mac: u8) -> Link {
        Link { name: name.parse().unwrap(), mac: Some(Mac([2, 0, 0, 0, 0, mac])), is_port: true, master: None }
    }

    fn names(names: &[IfName]) -> Vec<&str> {
        names.iter().map(IfName::as_str).collect()
    }

    #[test]
    fn a_renamed_interface_concerns_both_names() {
        let mut links = Links::default();
        assert_eq!(names(&links.apply(LinkEvent::Is(5, named("tap0", 1)))), ["tap0"]);
        assert_eq!(names(&links.apply(LinkEvent::Is(5, named("tap0", 1)))), [""; 0]);
        assert_eq!(names(&links.apply(LinkEvent::Is(5, named("tap1", 1)))), ["tap0", "tap1"]);
        assert_eq!(links.named("tap0".parse().unwrap()), None);
        assert_eq!(names(&links.apply(LinkEvent::Is(5, named("tap1", 2)))), ["tap1"]);
        assert_eq!(names(&links.apply(LinkEvent::Gone(5))), ["tap1"]);
        assert_eq!(links, Links::default());
        assert!(links.apply(LinkEvent::Gone(5)).is_empty());
    }

    #[test]
    fn an_interface_made_again_has_its_name_whatever_comes_first() {
        let mut links = Links::default();
        links.apply(LinkEvent::Is(5, named("tap0", 1)));
        links.apply(LinkEvent::Is(9, named("tap0", 1)));
        links.apply(LinkEvent::Gone(5));
        assert_eq!(links.named("tap0".parse().unwrap()).map(|(index, _)| index), Some(9));
        assert_eq!(links.iter().count(), 1);
    }

    fn message(kind: u16, family: u8, index: u32, body: impl FnOnce(&mut Writer)) -> Option<LinkEvent> {
        let mut header = [0; IFINFOMSG];
        header[0] = family;
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut writer = Writer::default();
        writer.message(kind, 0, 0, &header, body);
        event(&Messages(&writer.finish().unwrap()).next().unwrap())
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_not_gone() {
        assert_eq!(message(RTM_DELLINK, 7, 5, |_| {}), None);
        assert_eq!(message(RTM_DELLINK, 0, 5, |_| {}), Some(LinkEvent::Gone(5)));
        assert_eq!(message(RTM_NEWLINK, 7, 5, |writer| writer.text(IFLA_IFNAME, "tap0")), None);
        let bridge = message(RTM_NEWLINK, 0, 5, |writer| {
            writer.text(IFLA_IFNAME, "br0");
            writer.attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
            writer.nested(IFLA_LINKINFO, |writer| writer.text(IFLA_INFO_KIND, "bridge"));
        });
        assert_eq!(bridge, Some(LinkEvent::Is(5, Link { is_port: false, ..named("br0", 1) })));
        let port = message(RTM_NEWLINK, 0, 6, |writer| {
            writer.text(IFLA_IFNAME, "tap0");
            writer.attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
            writer.attribute(IFLA_MASTER, &5_u32.to_ne_bytes());
            writer.nested(IFLA_LINKINFO, |writer| writer.text(IFLA_INFO_KIND, "tun"));
        });
        assert_eq!(port, Some(LinkEvent::Is(6, Link { master: Some(5), ..named("tap0", 1) })));
    }

    fn any_event() -> impl Strategy<Value = LinkEvent> {
        (any::<bool>(), 0u32..6, 0u8..6, 0u8..3).prop_map(|(is, index, name, mac)| {
            if is { LinkEvent::Is(index, named(&format!("tap{name}"), mac)) } else { LinkEvent::Gone(index) }
        })
    }

    proptest! {
        #[test]
        fn both_indexes_always_agree(events in vec(any_event(), 0..40)) {
            let mut links = Links::default();
            for event in events {
                let before = links.clone();
                let changed = links.apply(event);
                prop_assert_eq!(links.by_index.len(), links.by_name.len());
                for (index, link) in links.iter() {
                    prop_assert_eq!(links.named(link.name), Some((index, link)));
                }
                for name in (0..6).map(|name| format!("tap{name}").parse().unwrap()) {
                    prop_assert!(before.named(name) == links.named(name) || changed.contains(&name));
                }
            }
        }

        #[test]
        fn what_happened_in_between_leads_there(from in vec(any_event(), 0..20), to in vec(any_event(), 0..20)) {
            let [mut from, to] = [from, to].map(|events| {
                let mut links = Links::default();
                for event in events {
                    links.apply(event);
                }
                links
            });
            for event in from.until(&to) {
                from.apply(event);
            }
            prop_assert_eq!(from, to);
        }

        #[test]
        fn hostile_bytes_make_no_panic(noise in vec(any::<u8>(), 0..200)) {
            Messages(&noise).filter_map(|message| event(&message)).for_each(drop);
        }
    }
}
