//! How the registry is spelled: UTF-8 JSON, one object, MAC -> object, indented by two blanks.
//!
//! Reading is strict about what we use and keeps what we do not: unknown fields stay in place, as they were written.

use super::model::{Field, Instance, Key, Parsed, Registry};
use crate::net::text::{parse_v6, push_ip, push_mac};
use crate::net::{Mac, Shown, parse_net};
use indexmap::map::Entry;
use ipnet::IpNet;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt::{self, Write as _};
use std::io;

/// Where each instance's key (the MAC's first digit) stands in the text, in bytes from its start.
pub type Offsets = Vec<(Mac, u32)>;

/// Longest message in characters; ours are shorter.
const LONGEST_MESSAGE: usize = 300;

/// Bytes of a typical instance, for first guesses of sizes.
const TYPICAL: usize = 150;

/// The text is no registry.
#[derive(Debug)]
pub struct Malformed {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1; where reading stopped, which is at the end of the offending value.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// Reads a registry. The offsets are those of keys that are spelled without escapes, which is all of them in practice.
///
/// # Errors
/// [`Malformed`]: not JSON, not an object of objects, a key that is no lower-case MAC or stands twice, a field of ours
/// that stands twice or has a value it cannot have.
pub fn parse(text: &[u8]) -> Result<(Registry, Offsets), Malformed> {
    // All of it at once, which is faster than string by string.
    let text = str::from_utf8(text).map_err(|error| no_utf8(text, error.valid_up_to()))?;
    let mut offsets = Offsets::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let top = Top { start: text.as_ptr().addr(), expected: text.len() / TYPICAL, offsets: &mut offsets };
    match top.deserialize(&mut reader).and_then(|registry| reader.end().map(|()| registry)) {
        Ok(registry) => Ok((registry, offsets)),
        Err(error) => {
            let text = error.to_string();
            // The text may quote the file, at any length.
            let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
            let message = message.chars().take(LONGEST_MESSAGE).collect();
            Err(Malformed { line: error.line(), column: error.column().max(1), message })
        }
    }
}

fn no_utf8(text: &[u8], valid: usize) -> Malformed {
    let before = text.get(..valid).unwrap_or_default();
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let line = before.split(|byte| *byte == b'\n').count();
    Malformed { line, column: valid - line_start + 1, message: "not UTF-8".to_owned() }
}

/// Reads the object of one instance at the start of `text`; `None` if it is cut short or malformed.
pub fn parse_instance(text: &[u8]) -> Option<Instance> {
    Instance::deserialize(&mut serde_json::Deserializer::from_slice(text)).ok()
}

/// Spells a registry. Reading the result gives the same registry.
///
/// # Errors
/// Those of `out`.
pub fn print(registry: &Registry, out: &mut dyn io::Write) -> io::Result<Printed> {
    /// Bytes that are spelled before they are written.
    const CHUNK: usize = 1 << 16;
    let mut text = String::with_capacity(CHUNK + 4096);
    let mut printed = Printed { size: 0, offsets: Offsets::with_capacity(registry.len()) };
    text.push('{');
    for (index, (mac, instance)) in registry.iter().enumerate() {
        text.push_str(if index == 0 { "\n  \"" } else { ",\n  \"" });
        let offset = printed.size + text.len() as u64;
        printed.offsets.push((mac, u32::try_from(offset).unwrap_or(u32::MAX)));
        push_mac(&mut text, mac);
        text.push_str("\": ");
        print_instance(&mut text, instance);
        if text.len() > CHUNK {
            out.write_all(text.as_bytes())?;
            printed.size += text.len() as u64;
            text.clear();
        }
    }
    text.push_str(if registry.is_empty() { "}\n" } else { "\n}\n" });
    out.write_all(text.as_bytes())?;
    printed.size += text.len() as u64;
    Ok(printed)
}

/// Spells a registry in memory.
pub fn to_text(registry: &Registry) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail, and we write UTF-8.
    let _ = print(registry, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Spells one instance on one line.
pub(super) fn to_line(instance: &Instance) -> String {
    let mut text = String::new();
    print_instance(&mut text, instance);
    // No text of ours has blanks or line ends in it.
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// How a registry came to stand in its file.
#[derive(Debug)]
pub struct Printed {
    /// Bytes in all.
    pub size: u64,
    /// Where each instance stands.
    pub offsets: Offsets,
}

fn print_instance(text: &mut String, instance: &Instance) {
    text.push('{');
    for (index, field) in instance.fields.iter().enumerate() {
        text.push_str(if index == 0 { "\n    " } else { ",\n    " });
        match field {
            Field::Known(key) => {
                text.push('"');
                text.push_str(key.as_str());
                text.push_str("\": ");
                print_value(text, instance, *key);
            }
            Field::Kept(kept) => {
                let (key, value) = &**kept;
                // Writing to a String cannot fail.
                let _ = write!(text, "{}: {}", serde_json::Value::from(&**key), value.get());
            }
        }
    }
    text.push_str(if instance.fields.is_empty() { "}" } else { "\n  }" });
}

fn print_value(text: &mut String, instance: &Instance, key: Key) {
    match key {
        Key::Name => {
            text.push('"');
            text.push_str(instance.name().map_or("", |name| name.as_str()));
            text.push('"');
        }
        Key::Allowed => {
            for (index, net) in instance.allowed().iter().enumerate() {
                let _ = write!(text, "{}\n      \"{net}\"", if index == 0 { "[" } else { "," });
            }
            text.push_str("\n    ]");
        }
        Key::Port => {
            if let Some(port) = instance.port() {
                // No character that JSON would escape can be in it.
                let _ = write!(text, "\"{port}\"");
            }
        }
        _ => {
            if let Some(address) = instance.address(key) {
                text.push('"');
                push_ip(text, address);
                text.push('"');
            }
        }
    }
}

struct Top<'o> {
    /// Address of the text's first byte: a borrowed key's distance from it is the key's offset.
    start: usize,
    /// How many instances there may be.
    expected: usize,
    offsets: &'o mut Offsets,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Registry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Registry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Registry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of instances by MAC address")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Registry, A::Error> {
        let mut registry = Registry::default();
        registry.instances.reserve(self.expected);
        while let Some(MacKey { mac, position }) = map.next_key()? {
            let Entry::Vacant(place) = registry.instances.entry(mac) else {
                return Err(A::Error::custom(format_args!("instance {mac} stands twice")));
            };
            if let Some(offset) = position.and_then(|position| u32::try_from(position - self.start).ok()) {
                self.offsets.push((mac, offset));
            }
            place.insert(map.next_value()?);
        }
        Ok(registry)
    }
}

struct MacKey {
    mac: Mac,
    /// Address in memory of a key that was borrowed from the text.
    position: Option<usize>,
}

impl<'de> Deserialize<'de> for MacKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MacKeyVisitor)
    }
}

struct MacKeyVisitor;

impl<'de> Visitor<'de> for MacKeyVisitor {
    type Value = MacKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MAC address")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<MacKey, E> {
        let mac = text.parse().map_err(|error| E::custom(format_args!("key \"{}\": {error}", Shown(text))))?;
        Ok(MacKey { mac, position: None })
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<MacKey, E> {
        let position = Some(text.as_ptr().addr());
        self.visit_str(text).map(|key| MacKey { position, ..key })
    }
}

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InstanceVisitor)
    }
}

struct InstanceVisitor;

impl<'de> Visitor<'de> for InstanceVisitor {
    type Value = Instance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instance (an object with name, ipv4, ipv6_gua, ipv6_ula, ipv6_lla, allowed, port)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Instance, A::Error> {
        let mut instance = Instance::default();
        instance.fields.reserve_exact(4);
        while let Some(key) = map.next_key()? {
            match key {
                AnyKey::Known(key) => {
                    if instance.fields.iter().any(|field| field.is(key)) {
                        return Err(A::Error::custom(format_args!("field \"{}\" stands twice", key.as_str())));
                    }
                    match map.next_value_seed(KnownValue(key))? {
                        Ok(value) => instance.parsed(value),
                        Err(none) => instance.fields.push(Field::Kept(Box::new((key.as_str().into(), none)))),
                    }
                }
                AnyKey::Unknown(key) => {
                    instance.fields.push(Field::Kept(Box::new((key, map.next_value()?))));
                }
            }
        }
        Ok(instance)
    }
}

enum AnyKey {
    Known(Key),
    Unknown(Box<str>),
}

impl<'de> Deserialize<'de> for AnyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyKeyVisitor;
        impl Visitor<'_> for AnyKeyVisitor {
            type Value = AnyKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AnyKey, E> {
                Ok(Key::named(text).map_or_else(|| AnyKey::Unknown(text.into()), AnyKey::Known))
            }
        }
        deserializer.deserialize_str(AnyKeyVisitor)
    }
}

/// The value of a field of ours; `Err` holds the spelling of one that says none.
struct KnownValue(Key);

impl<'de> DeserializeSeed<'de> for KnownValue {
    type Value = Result<Parsed, Box<RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KnownValue {
    type Value = Result<Parsed, Box<RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.0 {
            Key::Name => "a name",
            Key::Ipv4 => "an IPv4 address",
            Key::Ipv6Gua | Key::Ipv6Ula | Key::Ipv6Lla => "an IPv6 address",
            Key::Allowed => "a list of addresses and prefixes",
            Key::Port => "an interface name",
        };
        write!(f, "{what} in \"{}\"", self.0.as_str())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        none("null")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let wrong = |detail: &dyn fmt::Display| {
            E::custom(format_args!("field \"{}\": \"{}\" {detail}", self.0.as_str(), Shown(text)))
        };
        match (self.0, text) {
            (Key::Allowed, _) => Err(E::invalid_type(de::Unexpected::Str(text), &self)),
            (Key::Name, "") => Ok(Ok(Parsed::Name(None))),
            (Key::Name, _) => match text.parse() {
                Ok(name) => Ok(Ok(Parsed::Name(Some(name)))),
                Err(error) => Err(wrong(&format_args!("is no name: {error}"))),
            },
            (_, "") => none("\"\""),
            (Key::Port, _) => match text.parse() {
                Ok(port) => Ok(Ok(Parsed::Port(port))),
                Err(error) => Err(wrong(&format_args!("is no interface name: {error}"))),
            },
            (Key::Ipv4, _) => match text.parse() {
                Ok(address) => Ok(Ok(Parsed::Ipv4(address))),
                Err(_) => Err(wrong(&"is no IPv4 address")),
            },
            (key, _) => match parse_v6(text) {
                Some(address) => Ok(Ok(Parsed::Ipv6(key, address))),
                None => Err(wrong(&"is no IPv6 address")),
            },
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if self.0 != Key::Allowed {
            return Err(A::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut allowed = Vec::new();
        while let Some(AllowedNet(net)) = list.next_element()? {
            allowed.push(net);
        }
        if allowed.is_empty() { none("[]") } else { Ok(Ok(Parsed::Allowed(allowed))) }
    }
}

fn none<E: de::Error>(spelling: &str) -> Result<Result<Parsed, Box<RawValue>>, E> {
    RawValue::from_string(spelling.to_owned()).map(Err).map_err(E::custom)
}

struct AllowedNet(IpNet);

impl<'de> Deserialize<'de> for AllowedNet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NetVisitor;
        impl Visitor<'_> for NetVisitor {
            type Value = AllowedNet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or prefix in \"allowed\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AllowedNet, E> {
                parse_net(text)
                    .map(AllowedNet)
                    .map_err(|error| E::custom(format_args!("field \"allowed\": \"{}\" {error}", Shown(text))))
            }
        }
        deserializer.deserialize_str(NetVisitor)
    }
}
