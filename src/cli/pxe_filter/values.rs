//! How values are read, with the words and numbers that oslo.config takes.

use super::FileNames;
use crate::net::IfName;
use crate::plan::pxe_access::{Removed, Semantics};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The value; none if that is as good as nothing; or what is expected instead, perhaps with a remedy behind `; `.
pub(super) type Read<T> = Result<Option<T>, String>;

/// As a sentence's end.
pub(super) fn expected(what: &str) -> String {
    match what.split_once("; ") {
        Some((what, remedy)) => format!("{what} is expected; {remedy}"),
        None => format!("{what} is expected"),
    }
}

/// Blanks around, and nothing at all, say nothing.
fn said<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Read<T> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// Any text, as it is.
#[allow(clippy::unnecessary_wraps, reason = "one of many that have this type")]
pub(super) fn text(text: &str) -> Read<String> {
    Ok(Some(text.to_owned()).filter(|text| !text.trim().is_empty()))
}

/// The same, but `none` is nothing, too.
#[allow(clippy::unnecessary_wraps, reason = "one of many that have this type")]
pub(super) fn command(text: &str) -> Read<String> {
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case("none")))
}

pub(super) fn switch(text: &str) -> Read<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(Some(true)),
        "false" | "0" | "off" | "no" => Ok(Some(false)),
        _ => Err("true or false (yes, no, on, off, 1, 0)".to_owned()),
    }
}

pub(super) fn count(text: &str) -> Read<u32> {
    said(text, |text| text.parse().map_err(|_| format!("a whole number from 0 to {}", u32::MAX)))
}

pub(super) fn page_size(text: &str) -> Read<u32> {
    let expected = || "a whole number from 1 to 100000".to_owned();
    said(text, |text| text.parse().ok().filter(|size| (1..=100_000).contains(size)).ok_or_else(expected))
}

pub(super) fn seconds(text: &str) -> Read<Duration> {
    let expected = || "a number of seconds from 0.1 to 86400".to_owned();
    said(text, |text| {
        let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
        seconds.map(Duration::from_secs_f64).ok_or_else(expected)
    })
}

pub(super) fn path(text: &str) -> Read<PathBuf> {
    said(text, |text| {
        let absolute = std::path::absolute(text).ok().filter(|_| !text.contains('\0'));
        absolute.ok_or_else(|| "a path".to_owned())
    })
}

/// As oslo.config takes lists apart.
#[allow(clippy::unnecessary_wraps, reason = "one of many that have this type")]
pub(super) fn list(text: &str) -> Read<Vec<String>> {
    let text = text.trim().trim_end_matches(',');
    let parts = text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
    Ok(Some(parts.collect()))
}

pub(super) fn interfaces(text: &str) -> Read<Vec<IfName>> {
    let names = list(text)?.unwrap_or_default();
    let names: Result<Vec<_>, _> = names.iter().map(|name| name.parse::<IfName>()).collect();
    names.map(Some).map_err(|why| format!("a list of interfaces, separated by commas ({why})"))
}

/// `publicURL` is what `public` was called.
pub(super) fn endpoints(text: &str) -> Read<Vec<String>> {
    let known = |name: String| match name.strip_suffix("URL").unwrap_or(&name) {
        name @ ("internal" | "public" | "admin") => Ok(name.to_owned()),
        _ => Err("a list of internal, public and admin, separated by commas".to_owned()),
    };
    let names: Vec<_> = list(text)?.unwrap_or_default().into_iter().map(known).collect::<Result<_, _>>()?;
    Ok(Some(names).filter(|names| !names.is_empty()))
}

pub(super) fn listen(text: &str) -> Read<SocketAddr> {
    said(text, |text| text.parse().map_err(|_| "ADDRESS:PORT, like 127.0.0.1:9548 or [::1]:9548".to_owned()))
}

pub(super) fn driver(text: &str) -> Read<()> {
    said(text, |text| match text {
        "dnsmasq" => Ok(()),
        "noop" => {
            Err("dnsmasq; with noop there is nothing to do for this program, --driver dnsmasq overrides the file"
                .to_owned())
        }
        _ => Err("dnsmasq; other filters stay with ironic-inspector, --driver dnsmasq overrides the file".to_owned()),
    })
}

pub(super) fn semantics(text: &str) -> Read<Semantics> {
    said(text, |text| match text {
        "inspector" => Ok(Semantics::Inspector),
        "ironic" => Ok(Semantics::Ironic),
        _ => Err("inspector or ironic".to_owned()),
    })
}

pub(super) fn removed(text: &str) -> Read<Removed> {
    said(text, |text| match text {
        "denied" => Ok(Removed::Denied),
        "unknown" => Ok(Removed::AsUnknown),
        _ => Err("denied or unknown".to_owned()),
    })
}

pub(super) fn file_names(text: &str) -> Read<FileNames> {
    said(text, |text| match text {
        "colons" => Ok(FileNames::Colons),
        "dashes" => Ok(FileNames::Dashes),
        _ => Err("colons or dashes".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What oslo.config makes of these texts; where it fails on none or has a value for none, none is as good as nothing here.
    #[test]
    fn values_are_those_of_oslo_config() {
        for (text, number) in [("15", 15), (" 15 ", 15), ("+15", 15), ("015", 15), ("0", 0)] {
            assert_eq!(count(text), Ok(Some(number)), "{text}");
        }
        for text in ["15.0", "0x10", "-1", "15s", "1 5", "4294967296"] {
            assert!(count(text).is_err(), "{text}");
        }
        assert_eq!(count(" "), Ok(None));
        for (text, value) in
            [("yes", true), ("TRUE", true), (" on ", true), ("1\n", true), ("oFf", false), ("0", false)]
        {
            assert_eq!(switch(text), Ok(Some(value)), "{text}");
        }
        for text in ["", "y", "t", "2", "yes!"] {
            assert!(switch(text).is_err(), "{text}");
        }
        for (text, values) in
            [("", vec![]), (" ", vec![]), ("a", vec!["a"]), ("a, b ,c,,", vec!["a", "b", "c"]), ("a b", vec!["a b"])]
        {
            assert_eq!(list(text).unwrap().unwrap(), values, "{text}");
        }
    }

    #[test]
    fn seconds_have_bounds() {
        assert_eq!(seconds("1.5"), Ok(Some(Duration::from_millis(1500))));
        for text in ["0", "-1", "inf", "nan", "1e9", "1s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn commands_may_be_none() {
        for none in ["", " ", "none", "None"] {
            assert_eq!(command(none), Ok(None));
        }
        let kill = "kill $(cat /var/run/dnsmasq.pid)";
        assert_eq!(command(kill), Ok(Some(kill.to_owned())));
    }

    #[test]
    fn endpoints_have_old_names_too() {
        assert_eq!(endpoints("internalURL,public").unwrap().unwrap(), ["internal", "public"]);
        assert!(endpoints("inside").is_err());
        assert_eq!(endpoints(""), Ok(None));
    }
}
