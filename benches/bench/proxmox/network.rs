//! A bridge for guests, and guests that say who has which address.

use super::wire::{BROADCAST, Wire, arp_reply};
use crate::lane::{enter_new_namespace, ip};
use instances::net::Mac;
use nix::sched::{CloneFlags, setns};
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The host's address on the bridge.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The namespace that this thread is in.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A network namespace with a bridge, in which this thread stays, and all guests behind one of its ports. They end with this.
pub(super) struct Network {
    guests: Arc<Guests>,
    answering: Option<JoinHandle<()>>,
}

struct Guests {
    wire: Wire,
    addresses: Mutex<HashMap<Ipv4Addr, Mac>>,
    ends: AtomicBool,
}

impl Network {
    /// With so long a prefix, and these guests.
    pub(super) fn new(prefix: u8, addresses: HashMap<Ipv4Addr, Mac>) -> Result<Self, Box<dyn Error>> {
        enter_new_namespace()?;
        let behind = File::open(NAMESPACE)?;
        enter_new_namespace()?;
        let host = File::open(NAMESPACE)?;
        let netns = format!("/proc/{}/fd/{}", std::process::id(), behind.as_raw_fd());
        ip(&format!(
            "link set lo up\nlink add vmbr0 type bridge mcast_snooping 0\nlink add tap0 type veth peer name eth0 netns {netns}\n\
             link set tap0 master vmbr0\nlink set tap0 up\naddr add {HOST}/{prefix} dev vmbr0\nlink set vmbr0 up\n"
        ))?;
        setns(&behind, CloneFlags::CLONE_NEWNET)?;
        let wire = ip("link set eth0 up\n").map(|()| Wire::open("eth0"));
        setns(&host, CloneFlags::CLONE_NEWNET)?;
        let guests = Arc::new(Guests { wire: wire?, addresses: Mutex::new(addresses), ends: AtomicBool::new(false) });
        let answering = thread::spawn({
            let guests = Arc::clone(&guests);
            move || guests.answer()
        });
        Ok(Self { guests, answering: Some(answering) })
    }

    /// A guest leaves its address for another, and says so.
    pub(super) fn moves(&self, mac: Mac, to: Ipv4Addr) {
        {
            let mut addresses = self.guests.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.retain(|_, of| *of != mac);
            addresses.insert(to, mac);
        }
        self.guests.wire.send(&arp_reply(mac.0, to, BROADCAST, to));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.guests.ends.store(true, Ordering::SeqCst);
        let _ = self.answering.take().map(JoinHandle::join);
    }
}

impl Guests {
    fn answer(&self) {
        while !self.ends.load(Ordering::SeqCst) {
            let Some(frame) = self.wire.receive(100) else { continue };
            // A request (RFC 826): who asks, and for whom.
            let Some((mac, sender, target)) = request(&frame) else { continue };
            let known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get(&target).copied();
            if let Some(known) = known {
                self.wire.send(&arp_reply(known.0, target, mac, sender));
            }
        }
    }
}

fn request(frame: &[u8]) -> Option<([u8; 6], Ipv4Addr, Ipv4Addr)> {
    let is_request = frame.get(12..22)? == [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    let mac = frame.get(22..)?.first_chunk()?;
    let address = |at: usize| frame.get(at..)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets));
    is_request.then_some((*mac, address(28)?, address(38)?))
}
