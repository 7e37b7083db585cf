//! `clouds.yaml` and `secure.yaml`, where OpenStack's command line tools find clouds and how to get in.
//!
//! Values are kept as they are written: a password of digits is no number.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::collections::BTreeMap;
use std::fmt;

/// All clouds of a file, by name.
pub type Clouds = BTreeMap<String, Cloud>;

/// What a file says about a cloud. It has secrets: it cannot be printed for debugging.
#[derive(Default, Clone)]
pub struct Cloud {
    /// Keys and values of `auth`.
    pub auth: BTreeMap<String, String>,
    /// Keys and values beside it, as far as they are of [`KEYS`]. Of lists, the values are joined by commas.
    pub settings: BTreeMap<String, String>,
}

impl Cloud {
    /// Puts what `stronger` says in place of what is here.
    pub fn merge(&mut self, stronger: Self) {
        self.auth.extend(stronger.auth);
        self.settings.extend(stronger.settings);
    }
}

/// The keys beside `auth` that matter.
pub const KEYS: [&str; 22] = [
    "api_timeout",
    "auth_plugin",
    "auth_type",
    "baremetal_endpoint",
    "baremetal_endpoint_override",
    "baremetal_interface",
    "baremetal_service_name",
    "baremetal_service_type",
    "cacert",
    "cloud",
    "domain_id",
    "domain_name",
    "endpoint_type",
    "insecure",
    "interface",
    "profile",
    "project_domain_id",
    "project_domain_name",
    "region_name",
    "user_domain_id",
    "user_domain_name",
    "verify",
];

/// Reads either file.
///
/// # Errors
/// Where and why it cannot be read; values are not repeated.
pub fn read(text: &str) -> Result<Clouds, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options::<File>(text, options).map(|file| file.0).map_err(|error| {
        let place = error.location().map_or(String::new(), |at| format!("line {}: ", at.line()));
        format!("{place}no clouds.yaml: `clouds:`, below it names, below them `auth:` and other keys with texts are expected")
    })
}

struct File(Clouds);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = File;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("clouds")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<File, M::Error> {
        let mut clouds = Clouds::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "clouds" {
                clouds = map.next_value::<Option<Clouds>>()?.unwrap_or_default();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(File(clouds))
    }
}

impl<'de> Deserialize<'de> for Cloud {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CloudVisitor)
    }
}

struct CloudVisitor;

impl<'de> Visitor<'de> for CloudVisitor {
    type Value = Cloud;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a cloud")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Cloud, M::Error> {
        let mut cloud = Cloud::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == "auth" {
                let auth: BTreeMap<String, Option<String>> = map.next_value::<Option<_>>()?.unwrap_or_default();
                cloud.auth.extend(auth.into_iter().filter_map(|(key, value)| Some((key, value?))));
            } else if key.ends_with("interface") && KEYS.contains(&key.as_str()) {
                cloud.settings.extend(map.next_value_seed(TextOrList)?.map(|value| (key, value)));
            } else if KEYS.contains(&key.as_str()) {
                cloud.settings.extend(map.next_value::<Option<String>>()?.map(|value| (key, value)));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(cloud)
    }
}

struct TextOrList;

impl<'de> DeserializeSeed<'de> for TextOrList {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextOrList {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a text, or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut texts: Vec<String> = Vec::new();
        while let Some(text) = seq.next_element::<Option<String>>()? {
            texts.extend(text);
        }
        Ok(Some(texts.join(",")).filter(|text| !text.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_kept_as_they_are_written() {
        let text = "\
clouds:
  a: &a
    auth:
      auth_url: http://192.0.2.1:5000/v3
      username: 007
      password: 12345678901234567890123
      project_name: yes
      user_domain_id:
    region_name: 1.10
    interface: [internal, public]
    networks: [{name: x}]
    verify: no
  b:
    <<: *a
    interface: admin
cache: {expiration_time: 3600}
";
        let clouds = read(text).unwrap();
        let a = clouds.get("a").unwrap();
        let auth: Vec<_> = a.auth.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "auth_url=http://192.0.2.1:5000/v3",
            "password=12345678901234567890123",
            "project_name=yes",
            "username=007",
        ];
        assert_eq!(auth, expected);
        let settings: Vec<_> = a.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(settings, ["interface=internal,public", "region_name=1.10", "verify=no"]);
        let b = clouds.get("b").unwrap();
        assert_eq!((b.auth.len(), b.settings["interface"].as_str()), (4, "admin"));
    }

    #[test]
    fn json_is_yaml_and_nothing_is_no_cloud() {
        assert_eq!(read(r#"{"clouds": {"a": {"auth": {"username": "u"}}}}"#).unwrap()["a"].auth["username"], "u");
        assert!(read("clouds:\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_values() {
        for text in [
            "clouds:\n  a:\n    auth: {password: [secret]}\n",
            "clouds:\n  a: secret\n",
            "clouds:\n  a:\n    auth: {password: 'secret\n",
            "- secret\n",
            "secret",
            "clouds:\n  a:\n    region_name: {secret: 1}\n",
            "clouds:\n  a: {auth: {password: secret}}\n  a: {}\n",
        ] {
            let why = read(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(!why.contains("secret"), "{why}");
            assert!(why.contains("line "), "{text}: {why}");
        }
    }

    #[test]
    fn aliases_do_not_blow_up() {
        let line = |n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","));
        let lines: Vec<_> = (1..12).map(line).collect();
        assert!(read(&format!("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{}", lines.concat())).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(clouds|auth|[a-c:{}\\[\\]&*'\"#|>!%@`, \\n-]){0,60}") {
            let _ = read(&text);
        }
    }
}
