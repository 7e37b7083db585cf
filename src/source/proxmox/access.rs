//! Where the API is and how one gets in. What is secret shows nowhere: `Debug` leaves it out.

use crate::error::{Error, Result};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// The port of Proxmox VE's API.
const PORT: u16 = 8006;

/// Where the API is and how one gets in, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Nodes of the cluster, each of which can answer for all: they are tried in turn. See [`host`].
    pub hosts: Vec<Url>,
    /// As whom.
    pub token: Token,
    /// Whom to believe about who is at the other end.
    pub trust: Trust,
    /// For how long one connection is tried.
    pub connect_timeout: Duration,
    /// For how long one answer is waited for altogether. A node that is dead is noticed by the one that asks it after up to 30 s.
    pub timeout: Duration,
}

impl Access {
    /// For how long a connection is tried if nobody says otherwise.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// For how long an answer is waited for if nobody says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(35);
}

/// An API token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// `user@realm!name`.
    pub id: String,
    /// Its secret, a UUID.
    pub secret: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whom to believe about who is at the other end of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// A file of certificates (PEM) to trust instead of the system's: a cluster's own is `/etc/pve/pve-root-ca.pem`.
    pub ca_file: Option<PathBuf>,
    /// The servers' certificates themselves: if there is one here, only these are taken, whoever issued them, whatever name they are
    /// for and however old they are. Each node has its own.
    pub fingerprints: Vec<Fingerprint>,
    /// The name that certificates must be for, and that is asked for (SNI), instead of the host's in the URL.
    pub server_name: Option<String>,
    /// Nobody looks at certificates, `VERIFY_SSL=false`. Fingerprints are looked at nevertheless.
    pub is_blind: bool,
}

/// The SHA-256 of a certificate (DER), as `pvenode cert info` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// A certificate's.
    pub(super) fn of(certificate: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        // SHA-256 has 32 octets.
        Self(digest.as_ref().try_into().unwrap_or_default())
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    /// 64 hexadecimal digits in either case, with colons between the octets or without.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let message = "a fingerprint is the SHA-256 of a certificate, 64 hexadecimal digits";
            Error::new(message)
                .remedy("`pvenode cert info` on the node shows it, or `openssl x509 -fingerprint -sha256`")
        };
        let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A host as people write it, `pve1`, `192.0.2.1`, `[2001:db8::1]:8006`, `https://pve.example.com`, as the URL of its API. Without
/// a scheme it is HTTPS at port 8006; with one, what HTTPS has otherwise: then there is a proxy before it.
///
/// # Errors
/// It is none, or would send the token in the clear.
pub fn host(text: &str) -> Result<Url> {
    let text = text.trim();
    // A password may stand there, or a token.
    let shown = if text.contains('@') { "what is written".to_owned() } else { crate::source::http::printable(text) };
    let wrong = |why: &str| Error::new(format!("{shown} {why}")).remedy("write pve1.example.com, 192.0.2.1:8006, say");
    let has_scheme = text.contains("://");
    let is_bare_v6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    let spelt = match (has_scheme, is_bare_v6) {
        (true, _) => text.to_owned(),
        (false, true) => format!("https://[{text}]"),
        (false, false) => format!("https://{text}"),
    };
    let mut url = Url::parse(&spelt).map_err(|_| wrong("is no host"))?;
    if url.scheme() != "https" {
        return Err(wrong("is not asked with HTTPS, so that anybody on the way could read the token"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a user's name before it; the token is who we are"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("is no host"));
    }
    let says_port = spelt.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
    });
    if !has_scheme && !says_port {
        url.set_port(Some(PORT)).map_err(|()| wrong("is no host"))?;
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api2/json").unwrap_or(path).trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_written_in_many_ways() {
        for (text, url) in [
            ("pve1", "https://pve1:8006/"),
            (" pve1.example.com ", "https://pve1.example.com:8006/"),
            ("192.0.2.1", "https://192.0.2.1:8006/"),
            ("192.0.2.1:443", "https://192.0.2.1/"),
            ("pve1:9999", "https://pve1:9999/"),
            ("2001:db8::1", "https://[2001:db8::1]:8006/"),
            ("[2001:db8::1]", "https://[2001:db8::1]:8006/"),
            ("[2001:db8::1]:9999", "https://[2001:db8::1]:9999/"),
            ("https://pve.example.com", "https://pve.example.com/"),
            ("https://pve.example.com:8006/api2/json/", "https://pve.example.com:8006/"),
            ("https://proxy/pve?x#y", "https://proxy/pve"),
        ] {
            assert_eq!(host(text).unwrap().as_str(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_host_or_would_tell_the_token_is_refused_without_showing_a_password() {
        for text in [
            "",
            "http://pve1:8006",
            "ftp://pve1",
            "https://",
            "a b",
            "pve1:70000",
            "https://root:s3cret@pve1",
            "PVEAPIToken=root@pam!x=s3cret",
            "a@s3cret@pve1",
        ] {
            let error = host(text).expect_err(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_pvenode_and_openssl_write_it() {
        let octets: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 8).unwrap());
        let shown = Fingerprint(octets).to_string();
        assert!(shown.starts_with("00:08:10:"), "{shown}");
        for text in [shown.clone(), shown.to_lowercase(), shown.replace(':', "")] {
            assert_eq!(text.parse::<Fingerprint>().unwrap(), Fingerprint(octets), "{text}");
        }
        for text in ["", "00:08", &shown[1..], &format!("{shown}:00"), &shown.replace("08", "0g")] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
        assert_eq!(Fingerprint::of(b"").to_string()[..11], *"E3:B0:C4:42");
    }

    #[test]
    fn the_secret_does_not_show() {
        let token = Token { id: "root@pam!x".to_owned(), secret: "5ecre7".to_owned() };
        let shown = format!("{token:?} {token:#?}");
        assert!(shown.contains("root@pam!x") && !shown.contains("5ecre7"), "{shown}");
    }
}
