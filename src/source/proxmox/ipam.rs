//! Addresses that the SDN's own address management has given out, `GET /cluster/sdn/ipams/pve/status`.

use super::interfaces::address;
use super::scalar::Scalar;
use super::{Read, Refused, mac};
use crate::daemon::schedule::Moment;
use crate::net::Shown;
use crate::plan::guest::{By, Sighting};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What an answer's body says of guests; gateways are left out.
///
/// # Errors
/// It is none; serde's words.
pub fn ipam(body: &[u8], at: Moment) -> Result<Read<Vec<Sighting>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: Option<Vec<&'a RawValue>>,
    }
    let Body { data } = serde_json::from_slice(body)?;
    let mut read = Read::<Vec<Sighting>>::default();
    for raw in data.unwrap_or_default() {
        match row(raw, at) {
            Ok(sighting) => read.value.extend(sighting),
            Err(refused) => read.refused.push(refused),
        }
    }
    Ok(read)
}

fn row(raw: &RawValue, at: Moment) -> Result<Option<Sighting>, Refused> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Wire<'a> {
        ip: Option<Scalar<'a>>,
        mac: Option<Scalar<'a>>,
        // A string before libpve-network-perl 1.1.4.
        vmid: Option<Scalar<'a>>,
        gateway: Option<Scalar<'a>>,
    }
    let field = || format!("IPAM row {}", Shown(raw.get()));
    let wire: Wire = serde_json::from_str(raw.get()).map_err(|error| Refused::new(None, field(), error.to_string()))?;
    let vmid = wire.vmid.as_ref().and_then(Scalar::number);
    let is_gateway = wire.gateway.is_some_and(|gateway| gateway.is_true());
    let Some(text) = wire.mac.as_ref().and_then(Scalar::text).filter(|_| !is_gateway) else { return Ok(None) };
    let mac = mac(text).map_err(|why| Refused::new(vmid, field(), why))?;
    let address = wire.ip.as_ref().and_then(Scalar::text).and_then(address);
    let address = address.ok_or_else(|| Refused::new(vmid, field(), "ip: it is no host's address"))?;
    Ok(Some(Sighting { mac, address, vmid, by: By::Ipam, since: at, at }))
}
