//! What a kernel believes: its neighbours, its routes, its bridge's forwarding table (rtnetlink(7)).

use instances::net::Mac;
use instances::netlink::{ACK, CREATE, Connection, DumpError, ERROR, Messages, REQUEST, Writer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETROUTE: u16 = 26;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const REPLACE: u16 = 0x100;
/// struct ndmsg and struct rtmsg.
const HEADER: usize = 12;
const STALE: u16 = 4;
/// NUD_NOARP and NUD_PERMANENT: not learned.
const FIXED: u16 = 0xc0;
/// NUD_REACHABLE, STALE, DELAY, PROBE: traffic goes there.
const IN_USE: u16 = 0x02 | 0x04 | 0x08 | 0x10;
/// RTPROT_RA: learned from a router advertisement.
const RA: u8 = 9;

/// An entry of the neighbour table which was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    pub address: IpAddr,
    /// Where traffic for the address goes; none while that is unknown.
    pub mac: Option<Mac>,
}

/// A socket in one namespace.
pub struct Rtnl(Connection);

impl Rtnl {
    /// In the calling thread's namespace.
    pub fn open() -> Self {
        Self(Connection::open(mnl::Bus::Route).unwrap())
    }

    /// What was learned about neighbours on this interface.
    pub fn neighbours(&mut self, interface: u32) -> Vec<Neighbour> {
        self.dump(RTM_GETNEIGH, &[0; HEADER], |body, attribute| {
            let address = match attribute(NDA_DST)?.as_slice() {
                bytes if bytes.len() == 4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
                bytes => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
            };
            let state = u16::from_ne_bytes([body[8], body[9]]);
            let mac = attribute(NDA_LLADDR).and_then(|mac| mac.try_into().ok()).map(Mac);
            let here = body[4..8] == interface.to_ne_bytes() && state & FIXED == 0;
            here.then(|| Neighbour { address, mac: mac.filter(|_| state & IN_USE != 0) })
        })
    }

    /// Puts an entry there that is neither fresh nor unknown, as if it had been learned a while ago.
    pub fn learn(&mut self, interface: u32, address: IpAddr, mac: Mac) {
        self.change(RTM_NEWNEIGH, CREATE | REPLACE, interface, address, |writer| {
            writer.attribute(NDA_LLADDR, &mac.0);
        });
    }

    pub fn forget(&mut self, interface: u32, address: IpAddr) {
        self.change(RTM_DELNEIGH, 0, interface, address, |_| {});
    }

    /// On which ports, by index, the bridge has learned this MAC.
    pub fn ports_of(&mut self, mac: Mac) -> Vec<u32> {
        let mut header = [0; HEADER];
        header[0] = u8::try_from(libc::AF_BRIDGE).unwrap();
        self.dump(RTM_GETNEIGH, &header, |body, attribute| {
            let port = u32::from_ne_bytes(body[4..8].try_into().ok()?);
            (attribute(NDA_LLADDR)? == mac.0).then_some(port)
        })
    }

    /// Whether a router advertisement has made an IPv6 route.
    pub fn has_advertised_route(&mut self) -> bool {
        let mut header = [0; HEADER];
        header[0] = u8::try_from(libc::AF_INET6).unwrap();
        !self.dump(RTM_GETROUTE, &header, |body, _| (body[5] == RA).then_some(())).is_empty()
    }

    fn dump<T>(
        &mut self,
        kind: u16,
        header: &[u8],
        read: impl Fn(&[u8], &dyn Fn(u16) -> Option<Vec<u8>>) -> Option<T>,
    ) -> Vec<T> {
        loop {
            let mut found = Vec::new();
            let ended = self.0.dump(
                kind,
                header,
                |_| {},
                |message| {
                    let attributes = message.attributes(HEADER);
                    let attribute = |kind| attributes.get(kind).map(<[u8]>::to_vec);
                    found.extend(read(message.body, &attribute));
                },
            );
            match ended {
                Ok(()) => return found,
                Err(DumpError::Interrupted) => {}
                Err(DumpError::Io(error)) => panic!("{error}"),
            }
        }
    }

    /// Sends a change and awaits the answer. That what is to go was gone already is no failure.
    fn change(&mut self, kind: u16, flags: u16, interface: u32, address: IpAddr, more: impl FnOnce(&mut Writer)) {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let mut header = [0; HEADER];
        header[0] = u8::try_from(family).unwrap();
        header[4..8].copy_from_slice(&interface.to_ne_bytes());
        header[8..10].copy_from_slice(&STALE.to_ne_bytes());
        let mut writer = Writer::default();
        writer.message(kind, REQUEST | ACK | flags, 0, &header, |writer| {
            match address {
                IpAddr::V4(address) => writer.attribute(NDA_DST, &address.octets()),
                IpAddr::V6(address) => writer.attribute(NDA_DST, &address.octets()),
            }
            more(writer);
        });
        self.0.socket().send(&writer.finish().unwrap()).unwrap();
        let answer = self.0.receive().unwrap();
        let code = Messages(answer).find(|message| message.kind == ERROR).map(|message| message.body[..4].to_vec());
        let code = i32::from_ne_bytes(code.unwrap().try_into().unwrap());
        assert!(code == 0 || code == -libc::ENOENT, "{kind} {address}: error {code}");
    }
}
