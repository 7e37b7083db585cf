//! What is known and published at one time, for the page, the metrics and `/healthz`. A value: no I/O, no clock.

use crate::daemon::schedule::Moment;
use crate::net::Mac;
use crate::plan::dns_records::{LeftOut, Network, Policy, Reason, Record, Records, Reservation};
use crate::source::proxmox::{Known, Rounds};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// What is known and published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Names and addresses.
    pub rows: Vec<Row>,
    /// All guests, by number.
    pub guests: Vec<GuestRow>,
    /// Nodes, and whether they are online; by name.
    pub nodes: BTreeMap<String, bool>,
    /// Networks, as [`Row::network`] numbers them.
    pub networks: Vec<NetworkRow>,
    /// Names for DHCP clients.
    pub reservations: Vec<ReservationRow>,
    /// What is not published, and why.
    pub left_out: Vec<LeftOutRow>,
    /// What somebody should put in order.
    pub warnings: Vec<String>,
    /// What goes wrong now: the API, files, what cannot be heard.
    pub troubles: Vec<String>,
    /// Of these what keeps names from being right though rounds succeed: all is not well.
    pub faults: Vec<String>,
    /// dnsmasq.
    pub dnsmasq: Dnsmasq,
    /// Since when the list of guests has not come.
    pub failing_since: Option<Moment>,
}

/// A name with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The whole name.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Whether the address has this name, too (PTR).
    pub has_ptr: bool,
    /// The guest's interface; none: a record of the administrator's own.
    pub nic: Option<NicRow>,
    /// `config`, `agent`, ...; `extra` of the administrator's own.
    pub source: &'static str,
    /// Since when it has been published so, as far as this run of the program knows.
    pub since: Moment,
}

/// The interface that has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NicRow {
    /// The guest's number.
    pub vmid: u32,
    /// The interface's index.
    pub index: u8,
    /// Its address on the link, if it is known still.
    pub mac: Option<Mac>,
    /// The network, as an index of [`Snapshot::networks`].
    pub network: usize,
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRow {
    /// Its number.
    pub vmid: u32,
    /// `qemu` or `lxc`.
    pub kind: &'static str,
    /// The node that it is on.
    pub node: String,
    /// Its name as somebody wrote it: anything.
    pub name: Option<String>,
    /// `running`, `stopped` or `unknown`.
    pub state: &'static str,
    /// What it is called in DNS, with or without addresses; empty: it is not published.
    pub names: Vec<String>,
    /// How many records it has.
    pub records: usize,
    /// Since when what is known of it could not be looked at, and why.
    pub stale: Option<(Moment, String)>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkRow {
    /// The bridge and the VLAN.
    pub place: String,
    /// Its prefixes.
    pub prefixes: Vec<String>,
    /// The domain of its names.
    pub domain: String,
}

/// A name for a DHCP client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReservationRow {
    /// The client.
    pub mac: String,
    /// Its name.
    pub name: String,
    /// The guest.
    pub vmid: u32,
    /// The interface's index.
    pub nic: u8,
}

/// Something that is not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOutRow {
    /// The guest.
    pub vmid: u32,
    /// The interface's index, if it is not the whole guest.
    pub nic: Option<u8>,
    /// The address, if it is not the whole interface.
    pub address: Option<IpAddr>,
    /// Why.
    pub why: String,
}

/// How dnsmasq is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "why", rename_all = "snake_case")]
pub enum Dnsmasq {
    /// It has not answered yet, since it has only just begun.
    #[default]
    Starting,
    /// It answers.
    Answers,
    /// It does not, or does not run, and why.
    Down(String),
    /// Another's, which has never answered: nobody knows where to ask it.
    NotAsked,
}

/// What a [`Snapshot`] is made of.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// What is published.
    pub records: &'a Records,
    /// What they follow from.
    pub policy: &'a Policy,
    /// What is known of the cluster.
    pub rounds: &'a Rounds,
    /// dnsmasq.
    pub dnsmasq: Dnsmasq,
    /// What keeps names from being right besides what `rounds` says: files.
    pub faults: Vec<String>,
    /// What else goes wrong: what cannot be heard. No secrets.
    pub troubles: Vec<String>,
}

impl Snapshot {
    /// What is known now. What was so before is so since then.
    pub fn new(parts: Parts, before: Option<&Self>, now: Moment) -> Self {
        let Parts { records, policy, rounds, dnsmasq, mut faults, mut troubles } = parts;
        faults.extend(rounds.nobody().map(ToString::to_string));
        troubles.extend(faults.iter().cloned());
        troubles.extend(rounds.troubles().map(ToString::to_string));
        troubles.sort();
        troubles.dedup();
        let rows = rows(records, rounds, before, now);
        let mut published: HashMap<u32, usize> = HashMap::new();
        for nic in rows.iter().filter_map(|row| row.nic) {
            *published.entry(nic.vmid).or_default() += 1;
        }
        let of = |known: &Known| {
            let vmid = known.listed.vmid;
            let names = records.names.get(&vmid).into_iter().flatten().map(ToString::to_string).collect();
            let stale = rounds.stale(vmid).map(|stale| (stale.since, stale.why));
            GuestRow { names, stale, records: published.get(&vmid).copied().unwrap_or(0), ..GuestRow::of(known) }
        };
        Self {
            rows,
            guests: rounds.guests().map(of).collect(),
            nodes: rounds.nodes().map(|(name, is_online)| (name.to_owned(), is_online)).collect(),
            networks: policy.networks.iter().map(NetworkRow::of).collect(),
            reservations: reservations(records),
            left_out: left_out(records),
            warnings: records.warnings.iter().map(ToString::to_string).collect(),
            troubles,
            faults,
            dnsmasq,
            failing_since: rounds.failing_since(),
        }
    }

    /// A guest.
    pub fn guest(&self, vmid: u32) -> Option<&GuestRow> {
        let index = self.guests.binary_search_by_key(&vmid, |guest| guest.vmid).ok()?;
        self.guests.get(index)
    }

    /// The place of a network.
    pub fn network(&self, index: usize) -> &str {
        self.networks.get(index).map_or("", |network| &network.place)
    }

    /// All of it for programs, with ages in seconds as of now.
    pub fn json(&self, now: Moment) -> impl Serialize {
        View::new(self, now)
    }
}

impl GuestRow {
    fn of(known: &Known) -> Self {
        let listed = &known.listed;
        let configured = known.config.as_ref().and_then(|config| config.name.clone());
        Self {
            vmid: listed.vmid,
            kind: listed.kind.name(),
            node: listed.node.clone(),
            name: configured.or_else(|| listed.name.clone()),
            state: listed.state.name(),
            names: Vec::new(),
            records: 0,
            stale: None,
        }
    }
}

impl NetworkRow {
    fn of(network: &Network) -> Self {
        Self {
            place: network.to_string(),
            prefixes: network.prefixes.iter().map(ToString::to_string).collect(),
            domain: network.domain.to_string(),
        }
    }
}

fn rows(records: &Records, rounds: &Rounds, before: Option<&Snapshot>, now: Moment) -> Vec<Row> {
    let what = |row: &Row| (row.address, row.source, row.nic.map(|nic| (nic.vmid, nic.index)));
    // By the address, as a name is seldom another while all else is the same; and to compare names costs no copy.
    let mut earlier: HashMap<_, Vec<&Row>> = HashMap::new();
    for row in before.iter().flat_map(|before| &before.rows) {
        earlier.entry(what(row)).or_default().push(row);
    }
    let row = |record: &Record| {
        let (nic, source) = match record.reason {
            Reason::Extra => (None, "extra"),
            Reason::Nic { vmid, nic, network, source } => {
                (Some(NicRow { vmid, index: nic, mac: mac(rounds, vmid, nic), network }), source.name())
            }
        };
        let name = record.name.to_string();
        let mut row = Row { name, address: record.address, has_ptr: record.has_ptr, nic, source, since: now };
        let same = earlier.get(&what(&row)).into_iter().flatten().find(|before| before.name == row.name);
        row.since = same.map_or(now, |before| before.since);
        row
    };
    records.records.iter().map(row).collect()
}

fn mac(rounds: &Rounds, vmid: u32, index: u8) -> Option<Mac> {
    let config = rounds.guest(vmid)?.config.as_ref()?;
    config.nics.iter().find(|nic| nic.index == index).map(|nic| nic.mac)
}

fn reservations(records: &Records) -> Vec<ReservationRow> {
    let row = |reservation: &Reservation| ReservationRow {
        mac: reservation.mac.to_string(),
        name: reservation.name.to_string(),
        vmid: reservation.vmid,
        nic: reservation.nic,
    };
    records.reservations.iter().map(row).collect()
}

fn left_out(records: &Records) -> Vec<LeftOutRow> {
    let row = |left: &LeftOut| LeftOutRow {
        vmid: left.vmid,
        nic: left.nic,
        address: left.address,
        why: left.why.to_string(),
    };
    records.left_out.iter().map(row).collect()
}

/// A snapshot as programs read it.
#[derive(Serialize)]
struct View<'a> {
    records: Vec<RowView<'a>>,
    guests: Vec<GuestView<'a>>,
    nodes: Vec<NodeView<'a>>,
    networks: &'a [NetworkRow],
    reservations: &'a [ReservationRow],
    left_out: &'a [LeftOutRow],
    warnings: &'a [String],
    troubles: &'a [String],
    dnsmasq: &'a Dnsmasq,
    failing_for: Option<u64>,
}

#[derive(Serialize)]
struct RowView<'a> {
    name: &'a str,
    address: IpAddr,
    ptr: bool,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nic: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    age: u64,
}

#[derive(Serialize)]
struct GuestView<'a> {
    vmid: u32,
    kind: &'static str,
    node: &'a str,
    name: Option<&'a str>,
    state: &'static str,
    names: &'a [String],
    records: usize,
    stale: Option<StaleView<'a>>,
}

#[derive(Serialize)]
struct StaleView<'a> {
    age: u64,
    why: &'a str,
}

#[derive(Serialize)]
struct NodeView<'a> {
    name: &'a str,
    online: bool,
}

impl<'a> View<'a> {
    fn new(snapshot: &'a Snapshot, now: Moment) -> Self {
        let age = |since: Moment| now.saturating_sub(since).as_secs();
        let record = |row: &'a Row| RowView {
            name: &row.name,
            address: row.address,
            ptr: row.has_ptr,
            source: row.source,
            vmid: row.nic.map(|nic| nic.vmid),
            nic: row.nic.map(|nic| nic.index),
            mac: row.nic.and_then(|nic| nic.mac).map(|mac| mac.to_string()),
            network: row.nic.map(|nic| snapshot.network(nic.network)),
            age: age(row.since),
        };
        let guest = |guest: &'a GuestRow| GuestView {
            vmid: guest.vmid,
            kind: guest.kind,
            node: &guest.node,
            name: guest.name.as_deref(),
            state: guest.state,
            names: &guest.names,
            records: guest.records,
            stale: guest.stale.as_ref().map(|(since, why)| StaleView { age: age(*since), why }),
        };
        let node = |(name, online): (&'a String, &bool)| NodeView { name, online: *online };
        Self {
            records: snapshot.rows.iter().map(record).collect(),
            guests: snapshot.guests.iter().map(guest).collect(),
            nodes: snapshot.nodes.iter().map(node).collect(),
            networks: &snapshot.networks,
            reservations: &snapshot.reservations,
            left_out: &snapshot.left_out,
            warnings: &snapshot.warnings,
            troubles: &snapshot.troubles,
            dnsmasq: &snapshot.dnsmasq,
            failing_for: snapshot.failing_since.map(age),
        }
    }
}
