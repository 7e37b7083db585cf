//! Perl's JSON: whether a value comes as a number or as a string depends on what was done with it before, and on the version.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A value that is one thing: its text, however it is spelt in JSON. Never an error, as long as it is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    /// A string, or a number or a truth value as it would be in one.
    Text(Cow<'a, str>),
    /// `null`, a list or an object.
    Other,
}

impl Scalar<'_> {
    /// Its text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other => None,
        }
    }

    /// As Proxmox reads a truth value.
    pub fn is_true(&self) -> bool {
        self.text().is_some_and(is_true)
    }

    /// A whole number.
    pub fn number<N: std::str::FromStr>(&self) -> Option<N> {
        self.text()?.parse().ok()
    }
}

/// `1`, `on`, `yes` or `true`, in any case (PVE::JSONSchema, `parse_boolean`).
pub(super) fn is_true(text: &str) -> bool {
    text == "1" || ["on", "yes", "true"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(if value { "1" } else { "0" })))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_string())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Scalar<'de>, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scalar<'de>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_number_and_of_yes_is_the_same() {
        fn of(json: &str) -> Scalar<'_> {
            serde_json::from_str(json).unwrap()
        }
        for json in ["117", "\"117\"", "117.0"] {
            assert_eq!(of(json).number::<u32>(), Some(117), "{json}");
        }
        for json in ["-1", "\"\"", "null", "[117]", "{\"a\": {\"b\": []}}", "4294967296", "1e99", "\"+\""] {
            assert_eq!(of(json).number::<u32>(), None, "{json}");
        }
        for json in ["1", "\"1\"", "true", "\"Yes\"", "\"on\""] {
            assert!(of(json).is_true(), "{json}");
        }
        for json in ["0", "\"0\"", "false", "\"\"", "null", "2", "\"no\""] {
            assert!(!of(json).is_true(), "{json}");
        }
    }
}
