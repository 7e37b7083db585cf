//! Messages that came in, read where they lie: nothing is copied but options that were sent in pieces.

use super::options::{Options, number};
use super::{COOKIE, FIXED};
use crate::net::Mac;
use crate::packet::Malformed;
use std::net::Ipv4Addr;

/// A message whose fixed fields and options are what RFC 2131 and RFC 2132 allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// 1 from clients, 2 from servers.
    pub op: u8,
    /// Relays that it came by.
    pub hops: u8,
    /// `xid`: what joins question and answer.
    pub transaction: u32,
    /// `secs`: since the client began.
    pub seconds: u16,
    /// [`super::BROADCAST`], and bits without a meaning.
    pub flags: u16,
    /// `ciaddr`: the client's address, if it has one.
    pub client: Ipv4Addr,
    /// `yiaddr`: the address which a server gives.
    pub yours: Ipv4Addr,
    /// `siaddr`: the next server.
    pub next_server: Ipv4Addr,
    /// `giaddr`: the relay agent; servers answer to it.
    pub relay: Ipv4Addr,
    /// `chaddr`: the client's hardware address.
    pub hardware: Mac,
    /// All that is before the options, as it is.
    pub fixed: &'a [u8; FIXED],
    /// All options.
    pub options: Options<'a>,
    /// Option 53: what it is, one of [`super::kind`]; none in BOOTP.
    pub kind: Option<u8>,
    /// Option 50: the address that the client asks for.
    pub requested: Option<Ipv4Addr>,
    /// Option 54: the server that is meant.
    pub server: Option<Ipv4Addr>,
    /// Option 57: octets that an answer may have, IP header included.
    pub largest: Option<u16>,
}

impl<'a> Received<'a> {
    /// Reads a message. Hardware addresses must be Ethernet's, and each option whole and of the right length.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = message.split_first_chunk::<FIXED>().ok_or(Malformed("DHCP: message cut off"))?;
        let (cookie, area) = rest.split_first_chunk::<4>().ok_or(Malformed("DHCP: message cut off"))?;
        let (&[op, htype, hlen, hops, x0, x1, x2, x3, s0, s1, f0, f1], rest) = split(fixed)?;
        let (&[c0, c1, c2, c3, y0, y1, y2, y3, n0, n1, n2, n3, r0, r1, r2, r3], rest) = split(rest)?;
        let (hardware, rest) = split::<6>(rest)?;
        let (_, rest) = split::<10>(rest)?;
        let (server_name, file) = split::<64>(rest)?;
        if !(1..=2).contains(&op) {
            return Err(Malformed("DHCP: neither a request nor a reply"));
        }
        if (htype, hlen) != (1, 6) {
            return Err(Malformed("DHCP: hardware address is not Ethernet's"));
        }
        if *cookie != COOKIE {
            return Err(Malformed("DHCP: wrong magic cookie"));
        }
        let options = Options::parse(area, file, server_name)?;
        Ok(Self {
            op,
            hops,
            transaction: u32::from_be_bytes([x0, x1, x2, x3]),
            seconds: u16::from_be_bytes([s0, s1]),
            flags: u16::from_be_bytes([f0, f1]),
            client: Ipv4Addr::new(c0, c1, c2, c3),
            yours: Ipv4Addr::new(y0, y1, y2, y3),
            next_server: Ipv4Addr::new(n0, n1, n2, n3),
            relay: Ipv4Addr::new(r0, r1, r2, r3),
            hardware: Mac(*hardware),
            fixed,
            options,
            kind: options.fixed(number::KIND, "DHCP: option 53 is not one octet")?.map(|[kind]| kind),
            requested: options.fixed(number::REQUESTED, "DHCP: option 50 is no address")?.map(<[u8; 4]>::into),
            server: options.fixed(number::SERVER, "DHCP: option 54 is no address")?.map(<[u8; 4]>::into),
            largest: options.fixed(number::LARGEST, "DHCP: option 57 is not two octets")?.map(u16::from_be_bytes),
        })
    }

    /// `sname`, as it is.
    pub fn server_name(&self) -> [u8; 64] {
        self.field(44)
    }

    /// `file`, as it is.
    pub fn file(&self) -> [u8; 128] {
        self.field(108)
    }

    fn field<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.fixed.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), Malformed> {
    bytes.split_first_chunk().ok_or(Malformed("DHCP: message cut off"))
}
