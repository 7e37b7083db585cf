//! Records as dnsmasq reads them, in files of `hostsdir` and in a `dhcp-hostsfile`, and as people do.
//!
//! An address stands on one line, in one file: dnsmasq answers reverse lookups with the first name of a line, and if there were
//! several lines, with that of the file that it happens to read first. Names are always whole. A bare one would be looked up for a
//! reservation's address, and `expand-hosts` would put one domain behind all of them.

use super::{Network, Policy, Reason, Record, Records, Reservation};
use crate::net::DomainName;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

/// A line of a hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// The guest whose address it is; none if it is an extra record's only.
    pub vmid: Option<u32>,
    /// The address.
    pub address: IpAddr,
    /// Its names; the first one is that for reverse lookups.
    pub names: Vec<&'a DomainName>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.names.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

impl fmt::Display for Reservation {
    /// A line of a `dhcp-hostsfile`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.mac, self.name)
    }
}

impl Records {
    /// The lines of the hosts files: extra records first, then by guest and interface.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let mut further: BTreeMap<IpAddr, Vec<&DomainName>> = BTreeMap::new();
        for record in self.records.iter().filter(|record| !record.has_ptr) {
            further.entry(record.address).or_default().push(&record.name);
        }
        let first = self.records.iter().filter(|record| record.has_ptr);
        first
            .map(|record| {
                let mut names = vec![&record.name];
                let further = further.get(&record.address).into_iter().flatten();
                further.for_each(|name| {
                    if !names.contains(name) {
                        names.push(name);
                    }
                });
                Line { vmid: record.reason.vmid(), address: record.address, names }
            })
            .collect()
    }

    /// The content of a hosts file for each guest that has one, and of one for the extra records.
    pub fn hosts_files(&self) -> BTreeMap<Option<u32>, String> {
        let mut files: BTreeMap<_, String> = BTreeMap::new();
        for line in self.lines() {
            let _ = writeln!(files.entry(line.vmid).or_default(), "{line}");
        }
        files
    }

    /// The content of the `dhcp-hostsfile`.
    pub fn dhcp_hostsfile(&self) -> String {
        self.reservations.iter().fold(String::new(), |mut text, reservation| {
            let _ = writeln!(text, "{reservation}");
            text
        })
    }

    /// For people: every record and why it exists, what is reserved, what is left out, what is wrong.
    pub fn table<'a>(&'a self, policy: &'a Policy) -> Table<'a> {
        Table { records: self, policy }
    }

    /// The same for programs.
    pub fn json(&self, policy: &Policy) -> Value {
        let records: Vec<_> = self.records.iter().map(|record| record_json(record, policy)).collect();
        let reservations = self.reservations.iter().map(|reservation| {
            let Reservation { mac, name, vmid, nic } = reservation;
            json!({ "mac": mac.to_string(), "name": name.as_str(), "vmid": vmid, "nic": nic })
        });
        let names = self.names.iter().map(|(vmid, names)| {
            let names: Vec<_> = names.iter().map(DomainName::as_str).collect();
            (vmid.to_string(), json!(names))
        });
        let left_out = self.left_out.iter().map(|left| {
            let address = left.address.map(|address| address.to_string());
            json!({ "vmid": left.vmid, "nic": left.nic, "address": address, "why": left.why.to_string() })
        });
        json!({
            "records": records,
            "reservations": reservations.collect::<Vec<_>>(),
            "names": names.collect::<serde_json::Map<_, _>>(),
            "left_out": left_out.collect::<Vec<_>>(),
            "warnings": self.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

fn record_json(record: &Record, policy: &Policy) -> Value {
    let mut value = json!({
        "name": record.name.as_str(),
        "address": record.address.to_string(),
        "ptr": record.has_ptr,
        "source": "extra",
    });
    if let (Reason::Nic { vmid, nic, network, source }, Some(fields)) = (record.reason, value.as_object_mut()) {
        let network = policy.networks.get(network).map(Network::to_string);
        fields.insert("source".to_owned(), json!(source.name()));
        fields.insert("vmid".to_owned(), json!(vmid));
        fields.insert("nic".to_owned(), json!(nic));
        fields.insert("network".to_owned(), json!(network));
    }
    value
}

/// Records for people.
pub struct Table<'a> {
    records: &'a Records,
    policy: &'a Policy,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Records { records, reservations, left_out, warnings, names: _ } = self.records;
        let widest = records.iter().map(|record| record.name.as_str().len()).max().unwrap_or(0);
        for Record { name, address, has_ptr, reason } in records {
            let address = address.to_string();
            write!(f, "{name:widest$}  {address:39}  {}  ", if *has_ptr { "PTR" } else { "   " })?;
            write!(f, "{reason}")?;
            let network = match reason {
                Reason::Extra => None,
                Reason::Nic { network, .. } => self.policy.networks.get(*network),
            };
            network.map_or(Ok(()), |network| write!(f, ", in {network}"))?;
            writeln!(f)?;
        }
        for reservation in reservations {
            writeln!(f, "reserved: {reservation}  (guest {} net{})", reservation.vmid, reservation.nic)?;
        }
        for left in left_out {
            write!(f, "left out: guest {}", left.vmid)?;
            left.nic.map_or(Ok(()), |nic| write!(f, " net{nic}"))?;
            left.address.map_or(Ok(()), |address| write!(f, " {address}"))?;
            writeln!(f, ": {}", left.why)?;
        }
        warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}
