//! Bindings as instances of the registry, so that the guard protects who is served.

use super::Binding;
use crate::net::{IfName, Name};
use crate::registry::Bound;
use ipnet::IpNet;
use std::net::IpAddr;

/// What a binding says of its instance: its addresses, and as name the first label of HOSTNAME, if that can be one. It may
/// use the prefix that is delegated to it.
pub fn of(tap: IfName, binding: &Binding) -> Bound {
    let label = binding.hostname.as_ref().and_then(|hostname| hostname.labels().next());
    let name = label.and_then(|label| label.parse::<Name>().ok());
    let v6 = binding.ip6.into_iter().chain(binding.eui64).map(IpAddr::V6);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in binding.ip.map(IpAddr::V4).into_iter().chain(v6) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let nets = binding.prefix6.map(IpNet::V6).into_iter().collect();
    Bound { by: tap.as_str().into(), port: Some(tap), mac: binding.mac, name, addresses, nets }
}
