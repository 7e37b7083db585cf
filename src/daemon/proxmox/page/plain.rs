//! The page for browsers without JavaScript: one table.

use super::super::snapshot::{Row, Snapshot};
use super::STYLE;
use crate::daemon::schedule::Moment;
use std::fmt::{self, Write as _};

/// A text with what HTML would take for its own written otherwise, and control characters shown.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            _ if character.is_control() => f.write_char('\u{fffd}'),
            _ => f.write_char(character),
        })
    }
}

/// All of it.
pub(super) fn page(snapshot: &Snapshot, health: &Result<(), String>, now: Moment) -> String {
    let mut text = String::new();
    // A String takes everything.
    let _ = write(&mut text, snapshot, health, now);
    text
}

fn write(text: &mut String, snapshot: &Snapshot, health: &Result<(), String>, now: Moment) -> fmt::Result {
    write!(
        text,
        "<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <link rel=icon href=\"data:,\"><title>instances-proxmox</title><style>{STYLE}</style>\n<main class=plain><h1>instances-proxmox</h1>\n"
    )?;
    match health {
        Ok(()) => text.push_str("<p>All is well.</p>\n"),
        Err(why) => writeln!(text, "<p class=bad><bdi>{}</bdi></p>", Escaped(why))?,
    }
    for (class, lines) in [("bad", &snapshot.troubles), ("warn", &snapshot.warnings)] {
        lines.iter().try_for_each(|line| writeln!(text, "<p class={class}><bdi>{}</bdi></p>", Escaped(line)))?;
    }
    let nodes = snapshot.nodes.iter().map(|(name, is_online)| {
        let state = if *is_online { "online" } else { "offline" };
        format!("<bdi>{}</bdi> {state}", Escaped(name))
    });
    writeln!(text, "<p>Nodes: {}</p>", nodes.collect::<Vec<_>>().join(", "))?;
    text.push_str("<table><thead><tr>");
    for head in ["Name", "Address", "Guest", "Node", "Interface", "Network", "Source", "Age, s"] {
        write!(text, "<th>{head}</th>")?;
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    snapshot.rows.iter().try_for_each(|row| record(text, snapshot, row, now))?;
    text.push_str("</tbody></table>\n");
    let without = snapshot.guests.iter().filter(|guest| guest.records == 0 && !guest.names.is_empty());
    for guest in without {
        let name = Escaped(guest.name.as_deref().unwrap_or(""));
        writeln!(text, "<p>Guest {} <bdi>{name}</bdi> has no address.</p>", guest.vmid)?;
    }
    text.push_str("</main>\n</html>\n");
    Ok(())
}

fn record(text: &mut String, snapshot: &Snapshot, row: &Row, now: Moment) -> fmt::Result {
    let age = now.saturating_sub(row.since).as_secs();
    write!(text, "<tr><td>{}</td><td>{}</td>", Escaped(&row.name), row.address)?;
    match row.nic {
        Some(nic) => {
            let guest = snapshot.guest(nic.vmid);
            let name = guest.and_then(|guest| guest.name.as_deref()).unwrap_or("");
            let node = guest.map_or("", |guest| guest.node.as_str());
            let mac = nic.mac.map(|mac| mac.to_string()).unwrap_or_default();
            let stale = guest.and_then(|guest| guest.stale.as_ref()).map_or("", |_| " (stale)");
            let network = Escaped(snapshot.network(nic.network));
            write!(
                text,
                "<td>{} <bdi>{}</bdi>{stale}</td><td><bdi>{}</bdi></td>",
                nic.vmid,
                Escaped(name),
                Escaped(node)
            )?;
            write!(text, "<td>net{} {mac}</td><td>{network}</td>", nic.index)?;
        }
        None => text.push_str("<td></td><td></td><td></td><td></td>"),
    }
    writeln!(text, "<td>{}</td><td>{age}</td></tr>", row.source)
}
