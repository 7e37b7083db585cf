//! What a [`Snapshot`] says, for Prometheus: made when it is asked for, so that nothing is left of what is gone.

use super::metrics::{Metrics, Now};
use super::snapshot::{Dnsmasq, Row, Snapshot};
use crate::daemon::schedule::Moment;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::collections::BTreeMap;
use std::fmt;

/// Characters of a guest's own name that are passed on: it may be as long as somebody likes.
const LONGEST: usize = 256;

/// Labels of one metric.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// What is published now.
#[derive(Debug)]
pub(super) struct Published(pub Metrics);

impl Collector for Published {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (now, at) = (self.0.now(), self.0.moment());
        let snapshot = &*now.snapshot;
        domains(&mut encoder, snapshot)?;
        guests(&mut encoder, snapshot, at)?;
        nodes(&mut encoder, snapshot)?;
        health(&mut encoder, &now, self.0.health().is_ok())?;
        heard(&mut encoder, &now)
    }
}

impl Row {
    /// Whether nobody has to see the address for it to be there.
    fn kind(&self) -> &'static str {
        if matches!(self.source, "config" | "extra") { "static" } else { "dynamic" }
    }
}

fn domains(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let help = "A name with an address in DNS; static if it is configured, dynamic if it was seen";
    let mut info = encoder.encode_descriptor("domain", help, None, MetricType::Info)?;
    let mut counts: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for row in &snapshot.rows {
        let vmid = row.nic.map(|nic| nic.vmid);
        let node = vmid.and_then(|vmid| snapshot.guest(vmid)).map_or("", |guest| &guest.node);
        *counts.entry((node, row.source, row.kind())).or_default() += 1;
        let address = row.address.to_string();
        let (vmid, nic) = (text(vmid), text(row.nic.map(|nic| nic.index)));
        let labels: Labels<'_, 8> = [
            ("name", &row.name),
            ("address", &address),
            ("kind", row.kind()),
            ("source", row.source),
            ("node", node),
            ("vmid", &vmid),
            ("nic", &nic),
            ("network", row.nic.map_or("", |nic| snapshot.network(nic.network))),
        ];
        info.encode_info(&labels)?;
    }
    let counts = counts.iter().map(|((node, source, kind), count)| {
        let labels: Labels<'_, 3> = [("node", node), ("source", source), ("kind", kind)];
        (labels, *count)
    });
    gauges(encoder, "domains", "Names with addresses in DNS", counts)
}

fn guests(encoder: &mut DescriptorEncoder, snapshot: &Snapshot, at: Moment) -> fmt::Result {
    let help = "A guest, and what it is called in Proxmox";
    let mut info = encoder.encode_descriptor("guest", help, None, MetricType::Info)?;
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for guest in &snapshot.guests {
        *counts.entry((&*guest.node, guest.kind, guest.state)).or_default() += 1;
        let vmid = guest.vmid.to_string();
        let name: String = guest.name.iter().flat_map(|name| name.chars()).take(LONGEST).collect();
        let labels: Labels<'_, 4> = [("vmid", &vmid), ("name", &name), ("type", guest.kind), ("node", &guest.node)];
        info.encode_info(&labels)?;
    }
    let counts = counts.iter().map(|((node, kind, state), count)| {
        let labels: Labels<'_, 3> = [("node", node), ("type", kind), ("state", state)];
        (labels, *count)
    });
    gauges(encoder, "guests", "Guests", counts)?;
    let help = "For how long what is known of a guest could not be looked at";
    let unit = Unit::Seconds;
    let mut stale = encoder.encode_descriptor("guest_stale", help, Some(&unit), MetricType::Gauge)?;
    for guest in &snapshot.guests {
        let vmid = guest.vmid.to_string();
        let labels: Labels<'_, 2> = [("vmid", &vmid), ("node", &guest.node)];
        let age = guest.stale.as_ref().map_or(0.0, |(since, _)| at.saturating_sub(*since).as_secs_f64());
        ConstGauge::new(age).encode(stale.encode_family(&labels)?)?;
    }
    let without = snapshot.guests.iter().filter(|guest| !guest.names.is_empty() && guest.records == 0).count();
    gauge(encoder, "guests_without_address", "Guests with a name and without an address", without)
}

fn nodes(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let nodes = snapshot.nodes.iter().map(|(name, is_online)| {
        let labels: Labels<'_, 1> = [("node", name)];
        (labels, u64::from(*is_online))
    });
    gauges(encoder, "node_online", "Whether a node is part of the cluster now", nodes)
}

fn health(encoder: &mut DescriptorEncoder, now: &Now, is_well: bool) -> fmt::Result {
    let snapshot = &*now.snapshot;
    gauge(encoder, "healthy", "Whether /healthz says so", is_well.into())?;
    gauge(encoder, "api_up", "Whether the list of guests comes", up(now).into())?;
    let dnsmasq = match snapshot.dnsmasq {
        Dnsmasq::Answers => Some(1),
        Dnsmasq::Starting | Dnsmasq::Down(_) => Some(0),
        Dnsmasq::NotAsked => None,
    };
    dnsmasq.map_or(Ok(()), |up| gauge(encoder, "dnsmasq_up", "Whether dnsmasq answers", up))?;
    gauge(encoder, "reservations", "Names reserved at the DHCP server", snapshot.reservations.len())?;
    gauge(encoder, "left_out", "Guests, interfaces and addresses not published", snapshot.left_out.len())?;
    gauge(encoder, "warnings", "What somebody should put in order", snapshot.warnings.len())?;
    gauge(encoder, "troubles", "What goes wrong now", snapshot.troubles.len())
}

fn up(now: &Now) -> bool {
    now.last_round.is_some() && now.snapshot.failing_since.is_none()
}

fn heard(encoder: &mut DescriptorEncoder, now: &Now) -> fmt::Result {
    let Some(heard) = now.heard else { return Ok(()) };
    let help = "ARP and neighbour discovery, frames and the kernel's table, by what came of them";
    let mut events = encoder.encode_descriptor("neighbor_events", help, None, MetricType::Counter)?;
    for (outcome, count) in [
        ("heard", heard.heard),
        ("unknown", heard.unknown),
        ("ignored", heard.ignored),
        ("table", heard.table),
        ("lost", heard.lost),
    ] {
        let labels: Labels<'_, 1> = [("outcome", outcome)];
        ConstCounter::new(count).encode(events.encode_family(&labels)?)?;
    }
    let help = "Questions of the sweep";
    let questions = encoder.encode_descriptor("neighbor_questions", help, None, MetricType::Counter)?;
    ConstCounter::new(heard.asked).encode(questions)?;
    gauge(encoder, "neighbor_interfaces", "Interfaces that are listened to", heard.interfaces)
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: usize) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn gauges<'a, const N: usize, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Labels<'a, N>, V)>,
) -> fmt::Result {
    let mut all = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(all.encode_family(&labels)?)?;
    }
    Ok(())
}

fn text(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
