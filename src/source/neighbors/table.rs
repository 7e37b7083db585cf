//! The kernel's neighbour table (linux/neighbour.h): its entries, and changes of it. Needs no privilege.

use super::How;
use super::claim::may_be_a_hosts;
use crate::error::{Error, Result, in_words};
use crate::net::Mac;
use crate::netlink::group::{Came, Group, Kind};
use crate::netlink::{Connection, Message, Messages};
use crate::source::rtnetlink::{self, again, host_number};
use rustix::fd::{AsFd, BorrowedFd};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
/// struct ndmsg.
const NDMSG: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// RTNLGRP_NEIGH, as a bit.
const RTMGRP_NEIGH: u32 = 4;

const NUD_REACHABLE: u16 = 0x02;
const NUD_STALE: u16 = 0x04;
const NUD_DELAY: u16 = 0x08;
const NUD_PROBE: u16 = 0x10;
const NUD_PERMANENT: u16 = 0x80;
/// NTF_PROXY: an address that the kernel answers for, without a neighbour.
const NTF_PROXY: u8 = 0x08;

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Index of the interface that has the neighbour.
    pub interface: u32,
    /// Who.
    pub mac: Mac,
    /// With which address.
    pub address: IpAddr,
    /// [`How::Reachable`] or [`How::Remembered`].
    pub how: How,
}

/// All entries there are, shown to `see`.
pub(super) fn read(mut see: impl FnMut(Entry)) -> Result<()> {
    let failed = |error| Error::new(format!("cannot read the neighbour table: {}", rtnetlink::in_words(error)));
    let mut connection = Connection::open(mnl::Bus::Route).map_err(|error| failed(error.into()))?;
    let dump =
        || connection.dump(RTM_GETNEIGH, &[0; NDMSG], |_| {}, |message| entry(&message).into_iter().for_each(&mut see));
    again(dump).map_err(failed)
}

/// Listens to changes.
pub(super) struct Table(Group);

impl Table {
    /// Joins the group.
    ///
    /// # Errors
    /// No sockets can be had.
    pub fn listen() -> Result<Self> {
        let kind = Kind { family: None, groups: RTMGRP_NEIGH, queue: 1 << 20, longest: 1 << 13 };
        Group::listen(&kind).map(Self).map_err(|error| {
            Error::new(format!("cannot listen to changes of the neighbour table: {}", in_words(&error.into())))
        })
    }

    /// Shows entries that are new or otherwise than before to `see`; whether none was lost.
    ///
    /// # Errors
    /// The socket failed.
    pub fn take(&mut self, mut see: impl FnMut(Entry)) -> Result<bool> {
        let mut complete = true;
        let taken = self.0.drain(|came| match came {
            Came::Datagram(datagram, is_cut) => {
                complete &= !is_cut;
                Messages(datagram).filter_map(|message| entry(&message)).for_each(&mut see);
            }
            Came::Loss => complete = false,
        });
        taken.map_err(|error| {
            let error = in_words(&error.into());
            Error::new(format!("no more news of the neighbour table: {error}")).remedy("start again")
        })?;
        Ok(complete)
    }
}

impl AsFd for Table {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The entry that a message is about, if it says who has an address. Bridges' entries (AF_BRIDGE) say only where a MAC is.
fn entry(message: &Message) -> Option<Entry> {
    if message.kind != RTM_NEWNEIGH {
        return None;
    }
    let state = message.body.get(8..)?.first_chunk().map(|state| u16::from_ne_bytes(*state))?;
    let how = match state {
        NUD_REACHABLE | NUD_PERMANENT => How::Reachable,
        NUD_STALE | NUD_DELAY | NUD_PROBE => How::Remembered,
        _ => return None,
    };
    if message.body.get(10)? & NTF_PROXY != 0 {
        return None;
    }
    let attributes = message.attributes(NDMSG);
    let address = attributes.get(NDA_DST)?;
    let address = match i32::from(*message.body.first()?) {
        libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).into(),
        _ => return None,
    };
    let mac = Mac(attributes.get(NDA_LLADDR)?.try_into().ok()?);
    let interface = host_number(message.body, 4)?;
    may_be_a_hosts(address).then_some(Entry { interface, mac, address, how })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Writer;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const RTM_DELNEIGH: u16 = 29;
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn header(family: i32, state: u16, flags: u8) -> Vec<u8> {
        let [low, high] = state.to_ne_bytes();
        [&[u8::try_from(family).unwrap(), 0, 0, 0][..], &7u32.to_ne_bytes(), &[low, high, flags, 1]].concat()
    }

    fn of(kind: u16, header: &[u8], address: &[u8], mac: &[u8]) -> Option<Entry> {
        let mut writer = Writer::default();
        writer.message(kind, 0, 0, header, |writer| {
            writer.attribute(NDA_DST, address);
            writer.attribute(NDA_LLADDR, mac);
        });
        let bytes = writer.finish().unwrap();
        Messages(&bytes).find_map(|message| entry(&message))
    }

    #[test]
    fn entries_with_a_link_layer_address_are_told_in_every_state_that_has_one() {
        let entry = |address: IpAddr, how| Some(Entry { interface: 7, mac: MAC, address, how });
        let v4 = Ipv4Addr::new(192, 0, 2, 1);
        let v6 = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        for (state, how) in [(0x02, How::Reachable), (0x80, How::Reachable), (0x04, How::Remembered)]
            .into_iter()
            .chain([(0x08, How::Remembered), (0x10, How::Remembered)])
        {
            let told = of(RTM_NEWNEIGH, &header(libc::AF_INET, state, 0), &v4.octets(), &MAC.0);
            assert_eq!(told, entry(v4.into(), how));
            let told = of(RTM_NEWNEIGH, &header(libc::AF_INET6, state, 0x80), &v6.octets(), &MAC.0);
            assert_eq!(told, entry(v6.into(), how));
        }
    }

    #[test]
    fn what_says_nothing_of_a_neighbour_is_left_out() {
        let (v4, good) = ([192, 0, 2, 1], header(libc::AF_INET, NUD_STALE, 0));
        assert!(of(RTM_NEWNEIGH, &good, &v4, &MAC.0).is_some());
        assert_eq!(of(RTM_DELNEIGH, &good, &v4, &MAC.0), None);
        // NUD_NONE, INCOMPLETE, FAILED, NOARP.
        for state in [0, 0x01, 0x20, 0x40] {
            assert_eq!(of(RTM_NEWNEIGH, &header(libc::AF_INET, state, 0), &v4, &MAC.0), None);
        }
        assert_eq!(of(RTM_NEWNEIGH, &header(libc::AF_INET, NUD_STALE, NTF_PROXY), &v4, &MAC.0), None);
        for family in [libc::AF_BRIDGE, libc::AF_INET6, 0] {
            assert_eq!(of(RTM_NEWNEIGH, &header(family, NUD_STALE, 0), &v4, &MAC.0), None);
        }
        for (address, mac) in [(&v4[..3], &MAC.0[..]), (&v4, &[]), (&v4, &[0; 20]), (&[224, 0, 0, 1], &MAC.0)] {
            assert_eq!(of(RTM_NEWNEIGH, &good, address, mac), None);
        }
    }

    proptest! {
            #[test]
            fn hostile_bytes_make_no_panic(noise in vec(any::<u8>(), 0..200), cut in 0usize..NDMSG) {
                Messages(&noise).filter_map(|message| entry(&message)).for_each(drop);
    of(RTM_NEWNEIGH, &header(libc::AF_INET, NUD_STALE, 0)[..cut], &noise, &MAC.0);
            }
        }
}
