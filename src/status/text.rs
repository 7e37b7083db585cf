//! A status for people.

use super::{Dropped, Status};
use crate::net::{Name, Shown};
use std::io::{self, Write};
use std::time::Duration;

/// Prints whether the policy is in force, then tables of instances, protections and offenders.
pub fn write(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    match &status.idle {
        None => writeln!(out, "table bridge {}: in force", status.table)?,
        Some(why) => writeln!(out, "table bridge {}: NOT IN FORCE: {why}", status.table)?,
    }
    columns(out, ["INSTANCE", "MAC", "ACCEPTED", "DROPPED"], || {
        status.instances.iter().map(|instance| {
            let accepted = instance.accepted.to_string();
            [name(instance.name), instance.mac.to_string(), accepted, joined(&instance.dropped)]
        })
    })?;
    columns(out, ["PROTECTION", "DROPPED", "OFFENDERS"], || {
        status.dropped.iter().map(|Dropped { protection, packets }| {
            [(*protection).to_owned(), packets.to_string(), status.offenders_of(protection).to_string()]
        })
    })?;
    columns(out, ["OFFENDER", "INSTANCE", "PORT", "CLAIMED", "PROTECTION", "PACKETS", "LAST SEEN"], || {
        status.offenders.iter().map(|(offender, instance)| {
            [
                offender.mac.to_string(),
                name(*instance),
                Shown(&offender.port).to_string(),
                offender.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
                offender.protection.to_owned(),
                offender.packets.to_string(),
                ago(offender.ago),
            ]
        })
    })
}

fn name(name: Option<&Name>) -> String {
    name.map_or("-", Name::as_str).to_owned()
}

/// What was dropped of one instance, in one cell.
fn joined(dropped: &[Dropped]) -> String {
    if dropped.is_empty() {
        return "-".to_owned();
    }
    let each: Vec<_> =
        dropped.iter().map(|Dropped { protection, packets }| format!("{protection} {packets}")).collect();
    each.join(", ")
}

/// A time in the largest unit of which it has one.
fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

/// Characters of the widest column; a longer cell pushes the rest of its row aside.
const WIDEST: usize = 64;

/// A table behind an empty line, if it has rows. The rows are made twice, so that not all are held at once.
fn columns<const N: usize, Rows: Iterator<Item = [String; N]>>(
    out: &mut dyn Write,
    head: [&str; N],
    rows: impl Fn() -> Rows,
) -> io::Result<()> {
    let mut widths = head.map(str::len);
    let mut is_empty = true;
    for row in rows() {
        is_empty = false;
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = cell.len().min(WIDEST).max(*width);
        }
    }
    if is_empty {
        return Ok(());
    }
    writeln!(out)?;
    for row in [head.map(str::to_owned)].into_iter().chain(rows()) {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_hostile_offender;
    use super::*;
    use crate::registry::Registry;

    fn text(status: &Status) -> String {
        let mut text = Vec::new();
        write(status, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_hostile_names_harmless() {
        let expected = r#"table bridge instances: in force

INSTANCE  MAC                ACCEPTED  DROPPED
web       02:00:00:00:00:01  7         arp 5, source 4
-         02:00:00:00:00:02  0         -
-         02:00:00:00:00:03  1         -

PROTECTION  DROPPED  OFFENDERS
arp         5        2
source      9        2
mac         0        0

OFFENDER           INSTANCE  PORT               CLAIMED   PROTECTION  PACKETS  LAST SEEN
02:00:00:00:00:01  web       webp               fd00::2   source      4        0 s ago
02:00:00:00:00:09  -         a\"\\\n\u{1b}[31m  -         source      5        1 s ago
02:00:00:00:00:01  web       webp               10.0.0.2  arp         3        1 min ago
02:00:00:00:00:01  web       webp               10.0.0.3  arp         2        2 h ago
"#;
        with_hostile_offender(|status| {
            assert_eq!(text(status), expected);
        });
    }

    #[test]
    fn a_table_that_is_not_there_is_one_line() {
        let registry = Registry::default();
        let text = text(&Status::new("guard", None, &registry, Duration::ZERO));
        assert_eq!(
            text,
            "table bridge guard: NOT IN FORCE: there is no table bridge guard; load it with: instances-process --force --apply\n"
        );
    }
}
