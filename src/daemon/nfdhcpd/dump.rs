//! The clients, as a table or as JSON: what `--dump` prints and SIGUSR1 logs.

use crate::plan::responder::binding::Binding;
use crate::source::bindings::Store;
use serde_json::{Map, Value, json};
use std::fmt::{Display, Write as _};

/// A line of a table for each client, in the files' order, under a heading; then how many there are.
pub fn table(store: &Store) -> String {
    let heading = ["FILE", "TAP", "INDEX", "MAC", "HOSTNAME", "IP", "IPV6", "INDEV"].map(str::to_owned);
    let mut rows = vec![heading];
    let mut present: usize = 0;
    let all = store.all();
    for (bound, tap) in &all {
        let binding = &bound.binding;
        present = present.saturating_add(usize::from(tap.is_some()));
        rows.push([
            crate::net::Shown(&bound.file).to_string(),
            tap.map_or_else(|| "absent".to_owned(), |(_, name)| name.to_string()),
            or_dash(tap.map(|(index, _)| index)),
            binding.mac.to_string(),
            or_dash(binding.hostname.as_ref()),
            or_dash(binding.ip),
            or_dash(binding.ip6.or(binding.eui64)),
            or_dash(binding.indev),
        ]);
    }
    let mut text = String::new();
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &rows {
        let padded: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    let _ = writeln!(text, "{} clients, {present} of them with a tap", all.len());
    text
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A line with an object for each client, in the files' order. Keys are those of binding files, in lower case; what is not said
/// is null.
pub fn json(store: &Store) -> String {
    let mut text = String::new();
    for (bound, tap) in store.all() {
        let mut client = Map::new();
        client.insert("file".to_owned(), json!(bound.file));
        let links = store.links();
        let tap = tap.map(|(index, name)| {
            let mac = links.get(index).and_then(|link| link.mac);
            let responder = store.client(index).map(|client| client.responder);
            json!({ "name": name.as_str(), "index": index, "mac": shown(mac), "responder": shown(responder) })
        });
        client.insert("tap".to_owned(), tap.unwrap_or_default());
        fields(&bound.binding, &mut client);
        let _ = writeln!(text, "{}", Value::Object(client));
    }
    text
}

fn fields(binding: &Binding, client: &mut Map<String, Value>) {
    let own = &binding.own;
    let routes = own
        .routes
        .as_ref()
        .map(|routes| routes.iter().map(|(net, router)| format!("{net} via {router}")).collect::<Vec<_>>());
    let nameservers = both(own.nameservers.as_ref(), own.nameservers6.as_ref());
    let all = [
        ("indev", shown(binding.indev)),
        ("mac", shown(Some(binding.mac))),
        ("hostname", shown(binding.hostname.as_ref())),
        ("ip", shown(binding.ip)),
        ("subnet", shown(binding.subnet)),
        ("gateway", shown(binding.gateway)),
        ("ip6", shown(binding.ip6)),
        ("eui64", shown(binding.eui64)),
        ("subnet6", shown(binding.subnet6)),
        ("gateway6", shown(binding.gateway6)),
        ("prefix6", shown(binding.prefix6)),
        ("private", json!(binding.private)),
        ("macspoof", json!(binding.mac_spoof)),
        ("mtu", json!(binding.mtu)),
        ("nameservers", nameservers),
        ("domain", shown(own.domain.as_ref())),
        ("search", own.search.as_ref().map_or(Value::Null, |names| listed(names))),
        ("routes", json!(routes)),
        ("ntp", both(own.ntp.as_ref(), own.ntp6.as_ref())),
        ("tftp", json!(own.tftp)),
        ("bootfile", json!(own.bootfile)),
    ];
    client.extend(all.map(|(key, value)| (key.to_owned(), value)));
}

fn shown(value: Option<impl Display>) -> Value {
    value.map_or(Value::Null, |value| Value::String(value.to_string()))
}

fn listed<T: Display>(values: &[T]) -> Value {
    Value::Array(values.iter().map(|value| Value::String(value.to_string())).collect())
}

/// One list of both families; null if neither is said.
fn both<A: Display, B: Display>(v4: Option<&Vec<A>>, v6: Option<&Vec<B>>) -> Value {
    if v4.is_none() && v6.is_none() {
        return Value::Null;
    }
    let v4 = v4.into_iter().flatten().map(ToString::to_string);
    Value::Array(v4.chain(v6.into_iter().flatten().map(ToString::to_string)).map(Value::String).collect())
}
