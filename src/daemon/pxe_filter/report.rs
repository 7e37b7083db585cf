//! What people ask for instead of a running filter: what would change, and how it is.

use crate::plan::pxe_access::inventory::Inventory;
use crate::plan::pxe_access::{Access, Who};
use crate::sink::dhcp_hostsdir::Contents;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Everything that would be written or deleted, and why, a line each.
pub fn changes(writes: &[(Who, Access)], purged: &[String], inventory: &Inventory) -> String {
    let ports: BTreeMap<_, _> = inventory.ports().map(|port| (port.address, port)).collect();
    let mut text = String::new();
    for (who, access) in writes {
        let _ = match who {
            Who::Unknown => writeln!(text, "{access} all MAC addresses that Ironic does not know"),
            Who::Mac(mac) => match ports.get(mac) {
                None => writeln!(text, "{access} {mac}: no port of Ironic's has it"),
                Some(port) => {
                    let node = inventory.nodes().get(&port.node);
                    let name = node.and_then(|node| node.name.clone()).unwrap_or_else(|| port.node.to_string());
                    let state = if node.is_some() { "is under inspection" } else { "is not under inspection" };
                    writeln!(text, "{access} {mac}: port {} of node {name}, which {state}", port.uuid)
                }
            },
        };
    }
    for name in purged {
        let _ = writeln!(text, "delete {}: not the filter's, with rules for MAC addresses", name.escape_debug());
    }
    if text.is_empty() {
        text.push_str("nothing would change\n");
    }
    text
}

/// What the folder says, and the filter of itself.
pub fn status(folder: &Path, contents: &Contents, running: Option<&Value>, json: bool) -> String {
    let of =
        |wanted| contents.found.macs.iter().filter(move |(_, access)| **access == Some(wanted)).map(|(mac, _)| mac);
    let allowed: Vec<_> = of(Access::Allow).map(ToString::to_string).collect();
    let denied = of(Access::Deny).count();
    let unknown = contents.found.unknown.map(|access| access.to_string());
    let unclear = contents.found.macs.len() - allowed.len() - denied;
    if json {
        let folder = json!({
            "path": folder.display().to_string(),
            "allowed": allowed,
            "denied": denied,
            "unclear": unclear,
            "unknown": unknown,
            "notices": contents.notices,
        });
        return format!("{}\n", json!({ "folder": folder, "filter": running }));
    }
    let mut text = format!("{}: {} allowed, {denied} denied", folder.display(), allowed.len());
    if unclear > 0 {
        let _ = write!(text, ", {unclear} unclear");
    }
    let _ = writeln!(text, ", all others: {}", unknown.as_deref().unwrap_or("nothing is said"));
    for mac in &allowed {
        let _ = writeln!(text, "  allow {mac}");
    }
    for notice in &contents.notices {
        let _ = writeln!(text, "  {notice}");
    }
    match running {
        None => text.push_str("no filter runs for this folder, or none in this network namespace\n"),
        Some(running) => filter(&mut text, running),
    }
    text
}

/// What a filter said of itself, in words.
fn filter(text: &mut String, running: &Value) {
    let number = |name: &str| running.get(name).and_then(Value::as_u64);
    let ago = |seconds: u64| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        format!("{} s ago", now.saturating_sub(seconds))
    };
    let when = |name: &str| number(name).map_or_else(|| "never".to_owned(), ago);
    let pid = number("pid").unwrap_or_default();
    let (sync, answer) = (when("last_sync"), when("last_answer"));
    let _ = writeln!(
        text,
        "a filter runs as process {pid}; last complete comparison {sync}, Ironic's last answer {answer}"
    );
    for name in ["failure", "folder_failure"] {
        if let Some(failure) = running.get(name).and_then(Value::as_str) {
            let _ = writeln!(text, "  {failure}");
        }
    }
    for node in running.get("inspected").and_then(Value::as_array).into_iter().flatten() {
        let text_of = |name: &str| node.get(name).and_then(Value::as_str);
        let name = text_of("name").or(text_of("uuid")).unwrap_or_default();
        let ports = node.get("ports").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let _ = writeln!(text, "  under inspection: {name} {}", ports.collect::<Vec<_>>().join(" "));
    }
}
