//! A status in Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats), for node_exporter's textfile
//! collector.

use super::Status;
use crate::net::Name;
use std::fmt;
use std::io::{self, Write};

/// Offenders that are written, the newest: each is a series of its own, and a flood of forged senders must not become one of
/// series. `instances_offenders` counts them all.
pub const MOST_OFFENDERS: usize = 1000;

/// Prints the status.
pub fn write(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let table = ("table", status.table);
    let mut family = Family { out, table };
    let name = |name: Option<&Name>| name.map_or_else(String::new, |name| name.as_str().to_owned());

    family.head("policy_in_force", "gauge", "Whether the policy is loaded and packets reach it.")?;
    family.sample("policy_in_force", &[], u8::from(status.idle.is_none()))?;
    family.head("last_read_timestamp_seconds", "gauge", "When the kernel's counters were read.")?;
    family.sample("last_read_timestamp_seconds", &[], status.time.as_secs_f64())?;

    let metric = "accepted_packets_total";
    family.head(metric, "counter", "Packets that rightfully claimed an address of the instance.")?;
    for instance in &status.instances {
        let (mac, name) = (instance.mac.to_string(), name(instance.name));
        family.sample(metric, &[("mac", &mac), ("name", &name)], instance.accepted)?;
    }
    let metric = "dropped_packets_total";
    family.head(metric, "counter", "Packets that the protection dropped.")?;
    for dropped in &status.dropped {
        family.sample(metric, &[("protection", dropped.protection)], dropped.packets)?;
    }
    let metric = "offenders";
    family.head(metric, "gauge", "Recorded senders of packets that the protection dropped.")?;
    for dropped in &status.dropped {
        family.sample(metric, &[("protection", dropped.protection)], status.offenders_of(dropped.protection))?;
    }

    let newest = || status.offenders.iter().take(MOST_OFFENDERS).map(|(offender, _)| offender);
    let metrics = [
        ("offender_packets_total", "counter", "Packets that were dropped of one of the newest offenders."),
        ("offender_last_seen_timestamp_seconds", "gauge", "When the offender's last packet was dropped."),
    ];
    for (metric, kind, help) in metrics {
        family.head(metric, kind, help)?;
        for offender in newest() {
            let address = offender.address.map_or_else(String::new, |address| address.to_string());
            let mac = offender.mac.to_string();
            let labels =
                [("mac", &*mac), ("port", &offender.port), ("address", &address), ("protection", offender.protection)];
            match kind {
                "counter" => family.sample(metric, &labels, offender.packets)?,
                _ => family.sample(metric, &labels, status.time.saturating_sub(offender.ago).as_secs_f64())?,
            }
        }
    }
    Ok(())
}

/// Writes metrics. All have the table as a label, so that the files of several bridges are one.
struct Family<'a> {
    out: &'a mut dyn Write,
    table: (&'a str, &'a str),
}

impl Family<'_> {
    fn head(&mut self, metric: &str, kind: &str, help: &str) -> io::Result<()> {
        writeln!(self.out, "# HELP instances_{metric} {help}\n# TYPE instances_{metric} {kind}")
    }

    fn sample(&mut self, metric: &str, labels: &[(&str, &str)], value: impl fmt::Display) -> io::Result<()> {
        let (table, name) = self.table;
        write!(self.out, "instances_{metric}{{{table}=\"{}\"", Escaped(name))?;
        for (label, value) in labels {
            write!(self.out, ",{label}=\"{}\"", Escaped(value))?;
        }
        writeln!(self.out, "}} {value}")
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => write!(f, "{other}"),
        })
    }
}
