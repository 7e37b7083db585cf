//! Asking a dnsmasq what it is, as anybody can: `version.bind`, TXT, CHAOS. It answers that by itself, whatever it knows and whoever is
//! upstream. No other privilege is needed, nor is anything run.

use super::{Configuration, Version};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Behind an ID.
const QUESTION: &[u8] = b"\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
/// How long a header is (RFC 1035, 4.1.1), and where in it the flags begin.
const HEADER: usize = 12;
const FLAGS: usize = 2;
/// This is an answer.
const RESPONSE: u8 = 0x80;
/// How dnsmasq's text begins.
const NAME: &[u8] = b"dnsmasq-";

/// The question, with this ID.
pub fn question(id: u16) -> Vec<u8> {
    [&id.to_be_bytes(), QUESTION].concat()
}

/// What an answer says: the version, if a dnsmasq has given it. Nothing if it is no answer.
pub fn answer(message: &[u8]) -> Option<Option<Version>> {
    let is_answer = message.len() >= HEADER && message.get(FLAGS).is_some_and(|flags| flags & RESPONSE != 0);
    is_answer.then(|| {
        let at = message.windows(NAME.len()).position(|part| part == NAME)?;
        let text = message.get(at + NAME.len()..)?;
        let end = text.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(text.len());
        Version::read(str::from_utf8(text.get(..end)?).ok()?)
    })
}

impl Configuration {
    /// Where it can be asked from this host; nothing if it serves no DNS. It serves the loopback interface, too, unless addresses are
    /// named.
    pub fn asked_at(&self) -> Option<SocketAddr> {
        let port = self.all("port").last().and_then(|setting| setting.value.parse().ok()).unwrap_or(53);
        let mut addresses = self.all("listen-address").flat_map(|setting| setting.value.split(','));
        let named = addresses.find_map(|address| address.trim().parse().ok());
        (port != 0).then(|| (named.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_the_version_if_it_is_a_dnsmasqs() {
        let asked = question(0x1234);
        assert_eq!((asked.len(), answer(&asked)), (30, None));
        let mut other = asked.clone();
        other[2] |= 0x80;
        assert_eq!(answer(&other), Some(None));
        let said = |text: &[u8]| {
            let length = u8::try_from(text.len()).unwrap();
            let record = [&b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0"[..], &[length + 1, length], text].concat();
            answer(&[&other, &record[..]].concat()).unwrap()
        };
        assert_eq!(said(b"dnsmasq-2.90"), Some(Version(2, 90)));
        assert_eq!(said(b"dnsmasq-2.86-1.1ubuntu0.7"), Some(Version(2, 86)));
        assert_eq!((said(b"dnsmasq-UNKNOWN"), said(b"unbound 1.19"), answer(&other[..11])), (None, None, None));
    }
}
