//! Points in time as OpenStack writes them: ISO 8601, `2026-11-20T07:49:46.878363+00:00`.

use std::time::{Duration, SystemTime};

/// The time that is meant; without a zone it is UTC, as all of OpenStack means it. None if it is none.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_at_checked(10)?;
    let mut date = date.split('-');
    let (year, month, day) = (digits(date.next()?, 4)?, digits(date.next()?, 2)?, digits(date.next()?, 2)?);
    let time = time.strip_prefix(['T', ' '])?;
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(zone_at)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.split(':');
    let (hour, minute, second) = (digits(time.next()?, 2)?, digits(time.next()?, 2)?, digits(time.next()?, 2)?);
    let legal = date.next().is_none() && time.next().is_none() && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !legal || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let since_1970 = days(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = u64::try_from(since_1970 - offset(zone)?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds(fraction)?))
}

/// A number of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// What stands behind the point of the seconds.
fn nanoseconds(fraction: &str) -> Option<u32> {
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| nine.parse().ok())?
}

/// By how many seconds a zone is ahead of UTC: `Z`, `+00:00`, `-0530`.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes() {
        [] | [b'Z'] => return Some(0),
        [b'+', ..] => (1, zone.get(1..)?),
        _ => (-1, zone.strip_prefix('-')?),
    };
    let rest = rest.replace(':', "");
    let (hours, minutes) = rest.split_at_checked(2)?;
    Some(sign * (digits(hours, 2)? * 3600 + digits(minutes, 2)? * 60))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: months counted from March, so that a leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    (365 * year + year / 4 - year / 100 + year / 400 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_openstack_writes_is_read() {
        for (text, milliseconds) in [
            ("1970-01-01T00:00:00+00:00", 0),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2000-03-01T00:00:00", 951_868_800_000),
            ("2026-11-20T07:49:46.878363+00:00", 1_795_160_986_878),
            ("2026-11-20T07:49:46.878Z", 1_795_160_986_878),
            ("2026-11-20T08:49:46+01:00", 1_795_160_986_000),
            ("2026-11-20 02:19:46-0530", 1_795_160_986_000),
        ] {
            let since = parse(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis());
            assert_eq!(since, Some(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "now",
            "2026-11-20",
            "2026-13-20T07:49:46Z",
            "2026-00-20T07:49:46Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T07:49Z",
            "2026-11-20T07:49:46+1",
            "2026-11-20T07:49:46.x",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "２026-11-20T07:49:46",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*|.*") {
            let _ = parse(&text);
        }
    }
}
