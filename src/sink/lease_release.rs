//! Giving a lease back to dnsmasq for a client that is gone: the message which that one did not send (DHCPRELEASE, RFC 2131, section 4.4.6;
//! Release, RFC 8415, section 18.2.7). The leases file is dnsmasq's own, and it has no other door but D-Bus; its dhcp_release and
//! dhcp_release6 do the same.
//!
//! dnsmasq goes by the interface that a message came in by, and of DHCPv4 by the address of its own that it names. So it is sent from
//! this host to itself, as if by the interface that has an address in the lease's network; which needs no privilege.

use crate::error::{Error, Result, in_words};
use crate::net::Mac;
use crate::packet::dhcp4::{self, Dhcp4};
use crate::packet::dhcp6::{self, Association, Dhcp6Option, Duid, Message};
use crate::source::host_iface::own_addresses;
use crate::source::leases::{Client, Lease};
use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU32;

/// All servers and relay agents on a link (RFC 8415, section 7.1).
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A message, and where it has to go.
#[derive(Debug, PartialEq, Eq)]
struct Release {
    interface: NonZeroU32,
    to: SocketAddr,
    message: Vec<u8>,
}

/// Has the dnsmasq of this host end a lease; `server`: its DUID, of DHCPv6. Whether it has, its leases file will say.
///
/// # Errors
/// The host has no address in the lease's network, the lease is none that can be given back, or nothing can be sent.
pub fn release(lease: &Lease, server: Option<&Duid>) -> Result<()> {
    let all = releases(lease, server, &own_addresses()?);
    if all.is_empty() {
        let address = lease.address;
        return Err(Error::new(format!(
            "the lease of {address} stays until it ends: this host has no address in its network"
        ))
        .remedy("release it where dnsmasq runs, with dhcp_release"));
    }
    all.iter().try_for_each(|release| {
        send(release).map_err(|error| {
            Error::new(format!("cannot give back the lease of {}: {}", lease.address, in_words(&error)))
        })
    })
}

/// By each of our addresses that may be the one which the lease was given by: to others dnsmasq pays no heed.
fn releases(lease: &Lease, server: Option<&Duid>, own: &[(u32, IpNet)]) -> Vec<Release> {
    let near = own.iter().filter(|(_, net)| net.contains(&lease.address));
    let all = near.filter_map(|(index, net)| {
        let interface = NonZeroU32::new(*index)?;
        let (to, message) = match (&lease.client, lease.address, net.addr()) {
            (Client::V4(client), IpAddr::V4(address), IpAddr::V4(own)) => {
                let message = message4(lease.mac?, address, client.as_deref(), own);
                (SocketAddr::V4(SocketAddrV4::new(own, dhcp4::SERVER)), message.bytes())
            }
            (Client::V6(client, iaid, is_temporary), IpAddr::V6(address), IpAddr::V6(_)) => {
                let message = message6(client, (*iaid, *is_temporary), address, server?);
                (SocketAddr::V6(SocketAddrV6::new(SERVERS, dhcp6::SERVER, 0, *index)), message.bytes())
            }
            _ => return None,
        };
        Some(Release { interface, to, message })
    });
    let mut all: Vec<_> = all.collect();
    all.dedup();
    all
}

fn message4(mac: Mac, address: Ipv4Addr, client: Option<&[u8]>, server: Ipv4Addr) -> Dhcp4 {
    let release = Dhcp4 { client: address, flags: 0, ..Dhcp4::from_client(dhcp4::kind::RELEASE, mac) };
    let release = release.with(dhcp4::number::SERVER, server.octets());
    match client {
        Some(client) => release.with(dhcp4::number::CLIENT_ID, client),
        None => release,
    }
}

fn message6(client: &Duid, (iaid, is_temporary): (u32, bool), address: Ipv6Addr, server: &Duid) -> Message {
    let association = Association { leases: vec![dhcp6::Lease::new(address, 128)], ..Association::new(iaid) };
    let association =
        if is_temporary { Dhcp6Option::Temporary(association) } else { Dhcp6Option::Addresses(association) };
    let options = vec![
        Dhcp6Option::Client(client.clone()),
        Dhcp6Option::Server(server.clone()),
        Dhcp6Option::Elapsed(0),
        association,
    ];
    Message { kind: dhcp6::kind::RELEASE, transaction: 1, options }
}

fn send(release: &Release) -> io::Result<()> {
    let domain = if release.to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if release.to.is_ipv4() {
        // IP_UNICAST_IF: by which interface it goes out, and so seems to come in. Of IPv6 its address says so.
        socket.bind_device_by_index_v4(Some(release.interface))?;
    }
    socket.send_to(&release.message, &release.to.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::dhcp6::Dhcp6;
    use crate::source::leases::Leases;

    const FILE: &[u8] = b"\
        1700000000 bc:24:11:00:00:01 192.0.2.101 web 01:bc:24:11:00:00:01\n\
        1700000000 bc:24:11:00:00:02 192.0.2.102 * *\n\
        1700000000 bc:24:11:00:00:03 203.0.113.3 * *\n\
        duid 00:01:00:01:2c:00:00:00:52:54:00:00:00:01\n\
        1700000001 285212673 2001:db8::101 web 00:03:00:01:bc:24:11:00:00:01\n\
        1700000001 T285212674 2001:db8::102 * 00:03:00:01:bc:24:11:00:00:02\n";

    fn own() -> Vec<(u32, IpNet)> {
        let own = [
            (1, "127.0.0.1/8"),
            (2, "198.51.100.1/24"),
            (3, "192.0.2.1/24"),
            (4, "192.0.2.2/25"),
            (3, "2001:db8::1/64"),
        ];
        own.map(|(index, net)| (index, net.parse().unwrap())).to_vec()
    }

    #[test]
    fn a_lease_is_given_back_in_its_clients_words_by_each_address_near_it() {
        let leases = Leases::parse(FILE);
        let server = leases.server.as_ref();
        let of = |index: usize| releases(&leases.leases[index], server, &own());
        let to: Vec<_> = of(0).iter().map(|release| (release.interface.get(), release.to.to_string())).collect();
        assert_eq!(to, [(3, "192.0.2.1:67".to_owned()), (4, "192.0.2.2:67".to_owned())]);
        for (index, identifier) in [(0, Some(&[1, 0xbc, 0x24, 0x11, 0, 0, 1][..])), (1, None)] {
            let release = Dhcp4::parse(&of(index)[1].message).unwrap();
            assert_eq!((release.op, release.option(dhcp4::number::KIND)), (1, Some(&[dhcp4::kind::RELEASE][..])));
            assert_eq!(release.hardware, leases.leases[index].mac.unwrap());
            assert_eq!(IpAddr::V4(release.client), leases.leases[index].address);
            assert_eq!(release.option(dhcp4::number::SERVER), Some(&[192, 0, 2, 2][..]));
            assert_eq!(
                (release.option(dhcp4::number::CLIENT_ID), release.option(dhcp4::number::REQUESTED)),
                (identifier, None)
            );
        }
        assert_eq!(of(2), []);
    }

    #[test]
    fn of_dhcpv6_duid_and_association_are_those_of_the_file() {
        let leases = Leases::parse(FILE);
        let [.., lasting, temporary] = &leases.leases[..] else { panic!() };
        for lease in [lasting, temporary] {
            let all = releases(lease, leases.server.as_ref(), &own());
            let [release] = &all[..] else { panic!("{all:?}") };
            assert_eq!((release.interface.get(), release.to.to_string()), (3, "[ff02::1:2%3]:547".to_owned()));
            let Client::V6(duid, iaid, is_temporary) = &lease.client else { panic!() };
            let Dhcp6::Direct(message) = dhcp6::parse(&release.message).unwrap() else { panic!() };
            assert_eq!(
                (message.kind, message.client(), message.server()),
                (dhcp6::kind::RELEASE, Some(duid), leases.server.as_ref())
            );
            let association = message.options.iter().find_map(|option| match option {
                Dhcp6Option::Addresses(association) if !is_temporary => Some(association),
                Dhcp6Option::Temporary(association) if *is_temporary => Some(association),
                _ => None,
            });
            let association = association.unwrap();
            assert_eq!((association.id, IpAddr::V6(association.leases[0].address)), (*iaid, lease.address));
            assert_eq!(releases(lease, None, &own()), []);
        }
    }
}
