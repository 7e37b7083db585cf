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

#[cfg(test)]
mod tests {
    use super::super::tests::with_hostile_offender;
    use super::*;
    use crate::net::Mac;
    use crate::registry::Registry;
    use crate::status::{Counters, Offender};
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    /// A sample: its metric, its labels in order, its value.
    type Sample = (String, Vec<(String, String)>, f64);

    fn is_name(text: &str) -> bool {
        text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && text.chars().all(|other| other.is_ascii_alphanumeric() || other == '_')
    }

    /// The labels, up to the closing brace, and what is behind it.
    fn labels(mut rest: &str) -> (Vec<(String, String)>, &str) {
        let mut labels = Vec::new();
        loop {
            let (label, behind) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{label}");
            let mut value = String::new();
            let mut characters = behind.chars();
            loop {
                match characters.next().unwrap() {
                    '"' => break,
                    '\\' => value.push(match characters.next().unwrap() {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} is no escape"),
                    }),
                    other => value.push(other),
                }
            }
            labels.push((label.to_owned(), value));
            rest = characters.as_str();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return (labels, rest.strip_prefix('}').unwrap()),
            }
        }
    }

    /// Reads the format as strictly as Prometheus and node_exporter do: HELP and TYPE once and before their samples, which
    /// stand together, none of them twice, no timestamps; counters end in `_total`.
    fn parse(text: &str) -> Vec<Sample> {
        assert!(text.ends_with('\n'));
        let (mut helped, mut kinds) = (HashSet::new(), HashMap::new());
        let (mut series, mut samples) = (HashSet::new(), Vec::new());
        let mut current = "";
        for line in text.strip_suffix('\n').unwrap().split('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (metric, _) = help.split_once(' ').unwrap();
                assert!(helped.insert(metric), "{metric} twice");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (metric, kind) = kind.split_once(' ').unwrap();
                assert!(is_name(metric) && helped.contains(metric) && ["gauge", "counter"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", metric.ends_with("_total"), "{line}");
                assert!(kinds.insert(metric, kind).is_none(), "{metric} twice");
                current = metric;
            } else {
                let (metric, rest) = line.split_once('{').unwrap();
                assert_eq!(metric, current, "samples of a metric stand together");
                let (labels, rest) = labels(rest);
                let value: f64 = rest.strip_prefix(' ').unwrap().parse().unwrap();
                assert!(series.insert((metric, labels.clone())), "twice: {line}");
                samples.push((metric.to_owned(), labels, value));
            }
        }
        samples
    }

    fn written(status: &Status) -> Vec<Sample> {
        let mut text = Vec::new();
        write(status, &mut text).unwrap();
        parse(&String::from_utf8(text).unwrap())
    }

    fn sample(metric: &str, labels: &[(&str, &str)], value: f64) -> Sample {
        let labels =
            [("table", "instances")].iter().chain(labels).map(|(label, value)| ((*label).into(), (*value).into()));
        (format!("instances_{metric}"), labels.collect(), value)
    }

    #[test]
    fn every_number_is_there_and_hostile_names_survive() {
        with_hostile_offender(|status| {
            let samples = written(status);
            for wanted in [
                sample("policy_in_force", &[], 1.0),
                sample("last_read_timestamp_seconds", &[], 1_700_000_000.25),
                sample("accepted_packets_total", &[("mac", "02:00:00:00:00:01"), ("name", "web")], 7.0),
                sample("accepted_packets_total", &[("mac", "02:00:00:00:00:02"), ("name", "")], 0.0),
                sample("dropped_packets_total", &[("protection", "source")], 9.0),
                sample("offenders", &[("protection", "arp")], 2.0),
            ] {
                assert!(samples.contains(&wanted), "{wanted:?} in {samples:?}");
            }
            let hostile = [
                ("mac", "02:00:00:00:00:09"),
                ("port", "a\"\\\n\u{1b}[31m"),
                ("address", ""),
                ("protection", "source"),
            ];
            assert!(samples.contains(&sample("offender_packets_total", &hostile, 5.0)));
            assert!(samples.contains(&sample("offender_last_seen_timestamp_seconds", &hostile, 1_699_999_998.75)));
            assert_eq!(samples.len(), 2 + 3 + 2 * 3 + 2 * 4);
        });
    }

    fn offender(number: u32, ago: u64) -> Offender {
        let [_, _, high, low] = number.to_be_bytes();
        Offender {
            mac: Mac([2, 0, 0, 0, high, low]),
            port: "tap0".to_owned(),
            address: None,
            protection: "nd",
            packets: 1,
            ago: Duration::from_secs(ago),
        }
    }

    #[test]
    fn a_flood_of_offenders_is_no_flood_of_series() {
        let offenders = (0..5000).map(|number| offender(number, u64::from(number))).collect();
        let dropped = vec![crate::status::Dropped { protection: "nd", packets: 5000 }];
        let counters = Counters { dropped, offenders, ..Counters::default() };
        let registry = Registry::default();
        let samples = written(&Status::new("instances", Some(counters), &registry, Duration::from_secs(10_000)));
        let of = |metric: &str| samples.iter().filter(|(found, ..)| found == metric).collect::<Vec<_>>();
        assert_eq!(of("instances_offender_packets_total").len(), MOST_OFFENDERS);
        assert!((of("instances_offenders")[0].2 - 5000.0).abs() < 0.5);
        // The newest are those that are written.
        let last_seen = of("instances_offender_last_seen_timestamp_seconds");
        assert!(last_seen.iter().all(|(.., time)| *time > 9000.0));
    }

    #[test]
    fn what_two_sets_recorded_is_one_series() {
        let offenders = vec![offender(1, 5), offender(1, 3)];
        let counters = Counters { offenders, ..Counters::default() };
        let registry = Registry::default();
        let samples = written(&Status::new("instances", Some(counters), &registry, Duration::from_secs(10)));
        let values: Vec<_> = samples.iter().map(|(metric, _, value)| (metric.as_str(), *value)).collect();
        assert!(values.contains(&("instances_offender_packets_total", 2.0)), "{values:?}");
        assert!(values.contains(&("instances_offender_last_seen_timestamp_seconds", 7.0)), "{values:?}");
    }
}
