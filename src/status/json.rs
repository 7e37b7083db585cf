//! A status for programs. `docs/status.md` describes it; fields may be added, none are taken away or change their meaning.

use super::{Dropped, Offender, Status};
use crate::net::Name;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// The version of what is written: another one when something is taken away or changes its meaning.
const SCHEMA: u32 = 1;

/// Prints the status as one object, with a line for each of its parts.
pub fn write(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{{\n\"schema\": {SCHEMA},\n\"table\": {},", Value::from(status.table))?;
    writeln!(out, "\"time\": {},", Value::from(status.time.as_secs_f64()))?;
    writeln!(out, "\"in_force\": {},", status.idle.is_none())?;
    writeln!(out, "\"reason\": {},", Value::from(status.idle.as_deref()))?;
    let text = |name: Option<&Name>| Value::from(name.map(Name::as_str));
    let instances = status.instances.iter().map(|instance| {
        let dropped = instance.dropped.iter();
        let dropped: Map<_, _> =
            dropped.map(|dropped| (dropped.protection.to_owned(), Value::from(dropped.packets))).collect();
        json!({
            "mac": instance.mac.to_string(),
            "name": text(instance.name),
            "accepted_packets": instance.accepted,
            "dropped_packets": dropped,
        })
    });
    list(out, "instances", instances)?;
    writeln!(out, ",")?;
    let protections = status.dropped.iter().map(|Dropped { protection, packets }| {
        let offenders = status.offenders_of(protection);
        json!({"protection": protection, "dropped_packets": packets, "offenders": offenders})
    });
    list(out, "protections", protections)?;
    writeln!(out, ",")?;
    let offenders = status.offenders.iter().map(|(offender, name)| {
        let Offender { mac, port, address, protection, packets, ago } = offender;
        json!({
            "mac": mac.to_string(),
            "name": text(*name),
            "port": port,
            "address": address.map(|address| address.to_string()),
            "protection": protection,
            "packets": packets,
            "last_seen_seconds_ago": ago.as_secs_f64(),
        })
    });
    list(out, "offenders", offenders)?;
    writeln!(out, "\n}}")
}

/// A list, with a line for each item; not all are held at once.
fn list(out: &mut dyn Write, name: &str, items: impl Iterator<Item = Value>) -> io::Result<()> {
    write!(out, "\"{name}\": [")?;
    for (index, item) in items.enumerate() {
        write!(out, "{}\n{item}", if index == 0 { "" } else { "," })?;
    }
    write!(out, "]")
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_hostile_offender;
    use super::*;
    use crate::registry::Registry;
    use std::time::Duration;

    fn parsed(status: &Status) -> Value {
        let mut text = Vec::new();
        write(status, &mut text).unwrap();
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
    }

    #[test]
    fn every_part_is_there_and_hostile_names_are_what_they_are() {
        with_hostile_offender(|status| {
            let offender = |mac: u8,
                            name: Option<&str>,
                            port: &str,
                            address: Option<&str>,
                            protection: &str,
                            packets: u32,
                            ago: f64| {
                json!({
                    "mac": format!("02:00:00:00:00:{mac:02}"), "name": name, "port": port, "address": address,
                    "protection": protection, "packets": packets, "last_seen_seconds_ago": ago,
                })
            };
            let expected = json!({
                "schema": 1,
                "table": "instances",
                "time": 1_700_000_000.25,
                "in_force": true,
                "reason": null,
                "instances": [
                    {"mac": "02:00:00:00:00:01", "name": "web", "accepted_packets": 7, "dropped_packets": {"arp": 5, "source": 4}},
                    {"mac": "02:00:00:00:00:02", "name": null, "accepted_packets": 0, "dropped_packets": {}},
                    {"mac": "02:00:00:00:00:03", "name": null, "accepted_packets": 1, "dropped_packets": {}},
                ],
                "protections": [
                    {"protection": "arp", "dropped_packets": 5, "offenders": 2},
                    {"protection": "source", "dropped_packets": 9, "offenders": 2},
                    {"protection": "mac", "dropped_packets": 0, "offenders": 0},
                ],
                "offenders": [
                    offender(1, Some("web"), "webp", Some("fd00::2"), "source", 4, 0.09),
                    offender(9, None, "a\"\\\n\u{1b}[31m", None, "source", 5, 1.5),
                    offender(1, Some("web"), "webp", Some("10.0.0.2"), "arp", 3, 61.0),
                    offender(1, Some("web"), "webp", Some("10.0.0.3"), "arp", 2, 7200.0),
                ],
            });
            assert_eq!(parsed(status), expected);
        });
    }

    #[test]
    fn a_table_that_is_not_there_has_the_same_parts() {
        let registry = Registry::default();
        let status = parsed(&Status::new("guard", None, &registry, Duration::ZERO));
        assert_eq!(status["in_force"], false);
        assert!(status["reason"].as_str().unwrap().contains("no table bridge guard"));
        assert!(["instances", "protections", "offenders"].iter().all(|part| status[part] == json!([])));
    }
}
