//! Random sequences of actions against a plain statement of the rules; random texts against the parser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use instances::cli::update::lower;
use instances::net::Mac;
use instances::registry::{Amendment, HostInterface, Registry, wire};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt as _;

/// MACs and their link-local addresses.
const MACS: [(&str, &str); 4] = [
    ("02:00:00:00:00:01", "fe80::ff:fe00:1"),
    ("02:00:00:00:00:0a", "fe80::ff:fe00:a"),
    ("11:22:33:44:55:01", "fe80::1322:33ff:fe44:5501"),
    ("01:22:33:44:55:01", "fe80::322:33ff:fe44:5501"),
];

const NAMES: [&str; 6] = ["host", "HOST", "Host", "web-1", "WEB-1", "z"];

/// Addresses, and the field that a lease of them goes to.
const ADDRESSES: [(&str, Option<&str>); 12] = [
    ("10.0.0.1", Some("ipv4")),
    ("10.0.0.2", Some("ipv4")),
    ("0.0.0.0", Some("ipv4")),
    ("2a00::1", Some("ipv6_gua")),
    ("2a00::2", Some("ipv6_gua")),
    ("2001:20::1", Some("ipv6_gua")),
    ("fd00::1", Some("ipv6_ula")),
    ("fd00::2", Some("ipv6_ula")),
    ("fe80::1", None),
    ("2001:db8::1", None),
    ("ff02::1", None),
    ("::1", None),
];

const PORTS: [&str; 3] = ["tap100i0", "veth-x_y@1", "eth0.100"];

const PREFIXES: [&str; 4] = ["10.0.0.1/32", "10.0.0.0/24", "fd00::/64", "2a00::1/128"];

/// Fields that are not ours, as they are spelled.
const UNKNOWN: [(&str, &str); 5] = [
    ("note", "1.0e5"),
    ("Name", "\"x\""),
    ("ports", "{\"a\": [1,  {\"b\": null}], \"c\": {}}"),
    ("big", "123456789012345678901234567890.10"),
    ("", "\"\\u00e9 é\""),
];

/// The registry as a person would write the rules down: instances in order, each with its fields in order, each field
/// with its spelling in JSON.
#[derive(Debug, Clone)]
struct Plain(Vec<(String, Vec<(String, String)>)>);

impl Plain {
    fn text(&self) -> String {
        let field = |(key, value): &(String, String)| format!("\n    \"{key}\": {value}");
        let instance = |(mac, fields): &(String, Vec<_>)| {
            let fields: Vec<_> = fields.iter().map(field).collect();
            let end = if fields.is_empty() { "" } else { "\n  " };
            format!("\n  \"{mac}\": {{{}{end}}}", fields.join(","))
        };
        let instances: Vec<_> = self.0.iter().map(instance).collect();
        format!("{{{}{}}}\n", instances.join(","), if instances.is_empty() { "" } else { "\n" })
    }

    fn fields(&mut self, mac: &str) -> Option<&mut Vec<(String, String)>> {
        self.0.iter_mut().find(|(other, _)| other == mac).map(|(_, fields)| fields)
    }

    fn get(fields: &[(String, String)], key: &str) -> Option<String> {
        let (_, value) = fields.iter().find(|(other, _)| other == key)?;
        Some(value.clone()).filter(|value| value != "null" && value != "\"\"" && value != "[]")
    }

    fn set(fields: &mut Vec<(String, String)>, key: &str, value: String) {
        match fields.iter_mut().find(|(other, _)| other == key) {
            Some(field) => field.1 = value,
            None => fields.push((key.to_owned(), value)),
        }
    }

    fn observe(&mut self, (mac, link_local): (&str, &str), (address, key): (&str, Option<&str>), name: Option<&str>) {
        if self.fields(mac).is_none() {
            let taken = |name: &str| {
                let same = |other: String| other.trim_matches('"').eq_ignore_ascii_case(name);
                self.0.iter().any(|(_, fields)| Self::get(fields, "name").is_some_and(same))
            };
            let name = name.filter(|name| !taken(name)).unwrap_or_default();
            let fields = vec![("name".into(), quoted(name)), ("ipv6_lla".into(), quoted(link_local))];
            self.0.push((mac.to_owned(), fields));
        }
        let fields = self.fields(mac).unwrap();
        if let Some(key) = key {
            Self::set(fields, key, quoted(address));
        }
        let owner = fields.clone();
        for key in ["ipv4", "ipv6_gua", "ipv6_ula"] {
            let Some(owned) = Self::get(&owner, key) else { continue };
            for (_, fields) in self.0.iter_mut().filter(|(other, _)| other != mac) {
                fields.retain(|(other, value)| other != key || *value != owned);
            }
        }
    }

    fn rename(&mut self, mac: &str, name: &str) {
        let Some(fields) = self.fields(mac) else { return };
        Self::set(fields, "name", quoted(name));
        for (_, fields) in self.0.iter_mut().filter(|(other, _)| other != mac) {
            if fields.iter().any(|(key, value)| key == "name" && value.eq_ignore_ascii_case(&quoted(name))) {
                Self::set(fields, "name", quoted(""));
            }
        }
    }

    fn initialize(&mut self, mac: &str, addresses: &[(&str, &str)], name: &str) {
        let mut fields = vec![("name".to_owned(), quoted(name))];
        for (address, key) in addresses {
            Self::set(&mut fields, key, quoted(address));
        }
        match self.fields(mac) {
            Some(before) => {
                fields.extend(Self::get(before, "allowed").map(|allowed| ("allowed".to_owned(), allowed)));
                *before = fields;
            }
            None => self.0.push((mac.to_owned(), fields)),
        }
        self.rename(mac, name);
    }

    fn set_port(&mut self, mac: &str, port: Option<&str>) {
        let Some(fields) = self.fields(mac) else { return };
        match port {
            Some(port) => Self::set(fields, "port", quoted(port)),
            // One that says none already stays as it is spelled.
            None if Self::get(fields, "port").is_none() => {}
            None => fields.retain(|(key, _)| key != "port"),
        }
    }

    fn change_allowed(&mut self, mac: &str, change: impl Fn(&mut Vec<String>)) {
        let Some(fields) = self.fields(mac) else { return };
        let before = Self::get(fields, "allowed").map_or_else(Vec::new, |text| serde_json::from_str(&text).unwrap());
        let mut allowed = before.clone();
        change(&mut allowed);
        if allowed.is_empty() && !before.is_empty() {
            fields.retain(|(key, _)| key != "allowed");
        } else if !allowed.is_empty() {
            Self::set(fields, "allowed", list(&allowed));
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn list(prefixes: &[impl AsRef<str>]) -> String {
    let prefixes: Vec<_> = prefixes.iter().map(|prefix| format!("\n      \"{}\"", prefix.as_ref())).collect();
    format!("[{}\n    ]", prefixes.join(","))
}

#[derive(Debug, Clone)]
enum Action {
    Observe((&'static str, &'static str), (&'static str, Option<&'static str>), Option<&'static str>),
    Initialize(&'static str, Vec<(&'static str, &'static str)>, &'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    Allow(&'static str, &'static str),
    Disallow(&'static str, &'static str),
    SetPort(&'static str, Option<&'static str>),
}

fn mac() -> impl Strategy<Value = &'static str> {
    select(&MACS[..]).prop_map(|(mac, _)| mac)
}

fn action() -> impl Strategy<Value = Action> {
    let (name, prefix) = (select(&NAMES[..]), select(&PREFIXES[..]));
    let recorded: Vec<_> = ADDRESSES.iter().filter_map(|(address, key)| Some((*address, (*key)?))).collect();
    let recorded = vec(select([recorded, vec![("fe80::77", "ipv6_lla")]].concat()), 0..5);
    prop_oneof![
        8 => (select(&MACS[..]), select(&ADDRESSES[..]), proptest::option::weighted(0.8, name.clone()))
            .prop_map(|(mac, address, name)| Action::Observe(mac, address, name)),
        1 => (mac(), recorded, name.clone()).prop_map(|(mac, addresses, name)| Action::Initialize(mac, addresses, name)),
        2 => (mac(), name).prop_map(|(mac, name)| Action::Rename(mac, name)),
        1 => mac().prop_map(Action::Remove),
        2 => (mac(), prefix.clone()).prop_map(|(mac, prefix)| Action::Allow(mac, prefix)),
        1 => (mac(), prefix).prop_map(|(mac, prefix)| Action::Disallow(mac, prefix)),
        2 => (mac(), proptest::option::weighted(0.7, select(&PORTS[..])))
            .prop_map(|(mac, port)| Action::SetPort(mac, port)),
    ]
}

/// A registry as somebody may have edited it: fields absent, saying none, in any order, addresses and names of several.
fn edited() -> impl Strategy<Value = Plain> {
    let one_of = |values: Vec<&'static str>| prop_oneof![1 => Just("null".to_owned()), 1 => Just("\"\"".to_owned()), 4 => select(values).prop_map(quoted)];
    let of =
        |key: &str| ADDRESSES.iter().filter(|(_, other)| *other == Some(key)).map(|(address, _)| *address).collect();
    let link_local = MACS.map(|(_, address)| address).to_vec();
    // Documentation is no lease, but is fine in the file.
    let global: Vec<_> = [of("ipv6_gua"), vec!["2001:db8::1"]].concat();
    let allowed = prop_oneof![
        Just("null".to_owned()),
        Just("[]".to_owned()),
        subsequence(&PREFIXES[..], 1..4).prop_map(|prefixes| list(&prefixes)),
    ];
    let ours = (
        one_of(NAMES.to_vec()),
        one_of(of("ipv4")),
        one_of(global),
        one_of(of("ipv6_ula")),
        one_of(link_local),
        allowed,
        one_of(PORTS.to_vec()),
    );
    let fields = (ours, subsequence(&UNKNOWN[..], 0..4), vec(any::<Index>(), 12)).prop_map(|(ours, unknown, order)| {
        let (name, ipv4, global, unique_local, link_local, allowed, port) = ours;
        let keys = ["name", "ipv4", "ipv6_gua", "ipv6_ula", "ipv6_lla", "allowed", "port"].map(str::to_owned);
        let mut fields: Vec<_> =
            keys.into_iter().zip([name, ipv4, global, unique_local, link_local, allowed, port]).collect();
        fields.extend(unknown.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
        // Some of them, in some order.
        let keep = order[0].index(fields.len() + 1);
        for (index, other) in order.iter().take(fields.len()).enumerate() {
            let other = other.index(fields.len());
            fields.swap(index, other);
        }
        fields.truncate(keep);
        fields
    });
    (subsequence(MACS.map(|(mac, _)| mac.to_owned()).to_vec(), 0..=4), vec(fields, 4))
        .prop_map(|(macs, fields)| Plain(macs.into_iter().zip(fields).collect()))
}

/// Does it to both; checks what the registry says about whether anything changed.
fn act(registry: &mut Registry, plain: &mut Plain, action: &Action) {
    let mac_of = |mac: &str| mac.parse::<Mac>().unwrap();
    let before = plain.text();
    let changed = match action {
        Action::Observe(mac, address, name) => {
            plain.observe(*mac, *address, *name);
            let (mac, address) = (mac_of(mac.0), address.0.parse::<IpAddr>().unwrap());
            let certain = registry.addresses_are_unique()
                && registry.get(mac).is_some_and(|instance| instance.has_or_ignores(address));
            let changed = registry.observe(mac, address, name.map(|name| name.parse().unwrap()).as_ref());
            assert!(!(certain && changed), "the fast path would have lost a change");
            changed
        }
        Action::Initialize(mac, addresses, name) => {
            plain.initialize(mac, addresses, name);
            let addresses = addresses.iter().map(|(address, _)| address.parse().unwrap()).collect();
            let interface = HostInterface { mac: mac_of(mac), addresses };
            registry.initialize(&interface, &name.parse().unwrap());
            plain.text() != before
        }
        Action::Rename(mac, name) => {
            plain.rename(mac, name);
            registry.rename(mac_of(mac), &name.parse().unwrap())
        }
        Action::Remove(mac) => {
            plain.0.retain(|(other, _)| other != mac);
            registry.remove(mac_of(mac))
        }
        Action::Allow(mac, prefix) => {
            plain.change_allowed(mac, |allowed| {
                if !allowed.iter().any(|other| other == prefix) {
                    allowed.push((*prefix).to_owned());
                }
            });
            registry.allow(mac_of(mac), prefix.parse().unwrap()) == Amendment::Changed
        }
        Action::Disallow(mac, prefix) => {
            plain.change_allowed(mac, |allowed| allowed.retain(|other| other != prefix));
            registry.disallow(mac_of(mac), prefix.parse().unwrap()) == Amendment::Changed
        }
        Action::SetPort(mac, port) => {
            plain.set_port(mac, *port);
            registry.set_port(mac_of(mac), port.map(|port| port.parse().unwrap())) == Amendment::Changed
        }
    };
    assert_eq!(changed, plain.text() != before, "{action:?} on {before}");
}

/// Printing and parsing again changes nothing, and every offset is where its MAC stands.
fn round_trip(registry: &Registry) -> String {
    let text = wire::to_text(registry);
    let offsets = wire::print(registry, &mut std::io::sink()).unwrap().offsets;
    let (again, found) = wire::parse(text.as_bytes()).unwrap();
    assert_eq!(wire::to_text(&again), text);
    assert_eq!(found, offsets);
    assert_eq!(offsets.len(), registry.len());
    assert!(offsets.iter().all(|(mac, offset)| text[*offset as usize..].starts_with(&mac.to_string())));
    text
}

/// Parses what may be no registry.
fn try_parse(text: &[u8]) {
    let _ = wire::parse_instance(text);
    match wire::parse(text) {
        Ok((registry, _)) => drop(round_trip(&registry)),
        Err(wrong) => {
            assert!(wrong.line > 0 && wrong.column > 0 && !wrong.message.is_empty(), "{wrong:?}");
            assert!(!wrong.message.contains('\n') && wrong.message.len() < 1500, "{wrong:?}");
        }
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((any::<String>(), inner), 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Pieces of which registries and almost-registries are made.
const PIECES: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\n",
    " ",
    "\"02:00:00:00:00:01\"",
    "\"02:00:00:00:00:0A\"",
    "\"name\"",
    "\"host\"",
    "\"ipv4\"",
    "\"10.0.0.1\"",
    "\"ipv6_gua\"",
    "\"2a00::1\"",
    "\"allowed\"",
    "\"port\"",
    "\"tap0\"",
    "\"10.0.0.0/24\"",
    "null",
    "\"\"",
    "1e400",
    "\\u",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn actions_follow_the_rules(mut plain in edited(), actions in vec(action(), 0..25)) {
        let (mut registry, _) = wire::parse(plain.text().as_bytes()).unwrap();
        prop_assert_eq!(wire::to_text(&registry), plain.text());
        for action in &actions {
            act(&mut registry, &mut plain, action);
            prop_assert_eq!(round_trip(&registry), plain.text(), "after {:?}", action);
        }
    }

    #[test]
    fn observing_again_changes_nothing(mut plain in edited(), actions in vec(action(), 1..10)) {
        let (mut registry, _) = wire::parse(plain.text().as_bytes()).unwrap();
        for action in &actions {
            act(&mut registry, &mut plain, action);
            if let Action::Observe((mac, _), (address, _), name) = action {
                let name = name.map(|name| name.parse().unwrap());
                prop_assert!(!registry.observe(mac.parse().unwrap(), address.parse().unwrap(), name.as_ref()));
            }
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..200)) {
        try_parse(&bytes);
    }

    #[test]
    fn no_pieces_make_the_parser_panic(pieces in vec(select(&PIECES[..]), 0..40)) {
        try_parse(pieces.concat().as_bytes());
        try_parse(format!("{{\"02:00:00:00:00:01\":{{{}}}}}", pieces.concat()).as_bytes());
    }

    #[test]
    fn no_damage_makes_the_parser_panic(plain in edited(), damage in vec((any::<Index>(), any::<u8>(), 0..3), 1..4)) {
        let mut text = plain.text().into_bytes();
        for (place, byte, kind) in damage {
            let place = place.index(text.len());
            match kind {
                0 => text[place] = byte,
                1 => text.insert(place, byte),
                _ => text.truncate(place.max(1)),
            }
        }
        try_parse(&text);
    }

    #[test]
    fn any_json_survives_in_a_field_that_is_not_ours(key in "x\\PC{0,8}", value in any_json()) {
        let key = serde_json::Value::from(key).to_string();
        let text = format!("{{\"02:00:00:00:00:01\": {{{key}: {value}, \"ipv4\": \"10.0.0.1\"}}}}");
        let (mut registry, _) = wire::parse(text.as_bytes()).unwrap();
        registry.observe("02:00:00:00:00:01".parse().unwrap(), "10.0.0.2".parse().unwrap(), None);
        let expected = format!("{{\n  \"02:00:00:00:00:01\": {{\n    {key}: {value},\n    \"ipv4\": \"10.0.0.2\"\n  }}\n}}\n");
        prop_assert_eq!(round_trip(&registry), expected);
    }

    #[test]
    fn no_arguments_make_the_command_line_panic(
        action in prop_oneof![select(vec!["add", "old", "--initialize", "--rename", "--allow", "--list"]).prop_map(String::from), any::<String>()],
        rest in vec(prop_oneof![vec(any::<u8>(), 0..20), select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec())], 0..5),
        mac in proptest::option::of(any::<String>()),
    ) {
        let arguments: Vec<_> = std::iter::once(action.into_bytes()).chain(rest).map(OsString::from_vec).collect();
        let environment = |variable: &str| mac.clone().filter(|_| variable == "DNSMASQ_MAC").map(OsString::from);
        if let Err(error) = lower(&arguments, &environment) {
            let message = error.to_string();
            prop_assert!(!message.contains(char::is_control) && message.len() < 2000, "{}", message);
        }
    }
}
