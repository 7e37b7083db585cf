//! A network interface of this host, read through rtnetlink (linux/rtnetlink.h, linux/if_addr.h).

use super::rtnetlink::{IFINFOMSG, IFLA_IFNAME, RTM_GETLINK, again, host_number, in_words};
use crate::error::{Error, Result};
use crate::net::{IfName, Mac, V6Class};
use crate::netlink::{Attributes, Connection, DumpError};
use crate::registry::HostInterface;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The host's interfaces.
pub trait Interfaces {
    /// The interface of this name as `--initialize` records it.
    ///
    /// # Errors
    /// There is none, it has no Ethernet address, or the kernel cannot be asked.
    fn read(&self, name: IfName) -> Result<HostInterface>;
}

/// The kernel's interfaces.
#[derive(Debug, Clone, Copy)]
pub struct KernelInterfaces;

impl Interfaces for KernelInterfaces {
    fn read(&self, name: IfName) -> Result<HostInterface> {
        let failed = |error| Error::new(format!("cannot read interface {name}: {}", in_words(error)));
        let mut connection = Connection::open(mnl::Bus::Route).map_err(|error| failed(error.into()))?;
        let link = again(|| link(&mut connection, name)).map_err(failed)?;
        let (index, mac) = link.ok_or_else(|| {
            Error::new(format!("there is no interface {name}")).remedy("see which there are with: ip -br link")
        })?;
        let mac = mac.ok_or_else(|| Error::new(format!("interface {name} has no Ethernet (MAC) address")))?;
        let addresses = again(|| addresses(&mut connection, index)).map_err(failed)?;
        Ok(HostInterface { mac, addresses: recorded(&addresses) })
    }
}

/// An address of an interface; the flags (IFA_F_*) say whether it is secondary (IPv4), temporary or deprecated (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InterfaceAddress {
    address: IpAddr,
    flags: u32,
}

const IFA_F_SECONDARY_OR_TEMPORARY: u32 = 0x01;
const IFA_F_DEPRECATED: u32 = 0x20;

/// IFA_F_DADFAILED, IFA_F_TENTATIVE: the address is not, or not yet, the host's.
const NOT_OWN: u32 = 0x08 | 0x40;

/// The host's addresses with their prefixes, each with the index of the interface that has it; in the kernel's order.
///
/// # Errors
/// The kernel cannot be asked.
pub fn own_addresses() -> Result<Vec<(u32, IpNet)>> {
    let failed = |error| Error::new(format!("cannot read the host's addresses: {}", in_words(error)));
    let mut connection = Connection::open(mnl::Bus::Route).map_err(|error| failed(error.into()))?;
    let dump = || {
        let mut all = Vec::new();
        connection.dump(
            RTM_GETADDR,
            &[0; IFADDRMSG],
            |_| {},
            |message| {
                let own = || {
                    let interface = host_number(message.body, 4)?;
                    let found = address(&message.attributes(IFADDRMSG)).filter(|found| found.flags & NOT_OWN == 0)?;
                    Some((interface, IpNet::new(found.address, *message.body.get(1)?).ok()?))
                };
                all.extend(own());
            },
        )?;
        Ok(all)
    };
    again(dump).map_err(failed)
}

/// What is recorded: the first IPv4 address that is not secondary, and the IPv6 addresses that are neither temporary
/// nor deprecated.
fn recorded(addresses: &[InterfaceAddress]) -> Vec<IpAddr> {
    let primary = |address: &&InterfaceAddress| address.flags & IFA_F_SECONDARY_OR_TEMPORARY == 0;
    let ipv4 = addresses.iter().filter(primary).find(|address| address.address.is_ipv4());
    let ipv6 = addresses.iter().filter(primary).filter(|address| {
        let IpAddr::V6(v6) = address.address else { return false };
        address.flags & IFA_F_DEPRECATED == 0 && V6Class::of(v6).is_some()
    });
    ipv4.into_iter().chain(ipv6).map(|address| address.address).collect()
}

const RTM_GETADDR: u16 = 22;
const IFLA_ADDRESS: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// struct ifaddrmsg.
const IFADDRMSG: usize = 8;

/// Index and MAC of the interface with this name.
fn link(connection: &mut Connection, name: IfName) -> Result<Option<(u32, Option<Mac>)>, DumpError> {
    let mut found = None;
    connection.dump(
        RTM_GETLINK,
        &[0; IFINFOMSG],
        |_| {},
        |message| {
            let attributes = message.attributes(IFINFOMSG);
            if attributes.text(IFLA_IFNAME) == Some(name.as_str()) {
                let mac = attributes.get(IFLA_ADDRESS).and_then(|octets| octets.try_into().ok()).map(Mac);
                found = host_number(message.body, 4).map(|index| (index, mac));
            }
        },
    )?;
    Ok(found)
}

/// The addresses of the interface with this index, in the kernel's order.
fn addresses(connection: &mut Connection, index: u32) -> Result<Vec<InterfaceAddress>, DumpError> {
    let mut found = Vec::new();
    connection.dump(
        RTM_GETADDR,
        &[0; IFADDRMSG],
        |_| {},
        |message| {
            if host_number(message.body, 4) == Some(index)
                && let Some(address) = address(&message.attributes(IFADDRMSG))
            {
                found.push(address);
            }
        },
    )?;
    Ok(found)
}

fn address(attributes: &Attributes) -> Option<InterfaceAddress> {
    // On point-to-point links IFA_ADDRESS is the other end's.
    let octets = attributes.get(IFA_LOCAL).or_else(|| attributes.get(IFA_ADDRESS))?;
    let v4 = octets.try_into().map(|octets: [u8; 4]| IpAddr::V4(Ipv4Addr::from(octets)));
    let address = v4.or_else(|_| octets.try_into().map(|octets: [u8; 16]| IpAddr::V6(Ipv6Addr::from(octets))));
    let flags = attributes.get(IFA_FLAGS).and_then(|flags| host_number(flags, 0)).unwrap_or_default();
    Some(InterfaceAddress { address: address.ok()?, flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secondary_temporary_and_deprecated_addresses_are_not_recorded() {
        let address = |text: &str, flags| InterfaceAddress { address: text.parse().expect("an address"), flags };
        let all = [
            address("10.0.0.2", IFA_F_SECONDARY_OR_TEMPORARY),
            address("10.0.0.1", 0x80),
            address("10.0.1.1", 0x80),
            address("fd00::1", 0x80),
            address("fd00::bad", IFA_F_SECONDARY_OR_TEMPORARY),
            address("fd00::2", IFA_F_DEPRECATED),
            address("2a00::1", 0),
            address("::1", 0),
            address("fe80::1", 0),
        ];
        let texts: Vec<_> = recorded(&all).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.1", "fd00::1", "2a00::1", "fe80::1"]);
        assert!(recorded(&[]).is_empty());
    }
}
