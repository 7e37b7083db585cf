//! dnsmasq's leases file (`dhcp-leasefile`): who was given which address. It is dnsmasq's own: only read, never written.
//!
//! A line is `EXPIRY MAC ADDRESS NAME CLIENT-ID`; after a line `duid DUID` come those of DHCPv6, `EXPIRY IAID ADDRESS NAME DUID`. An expiry of 0
//! is none, a name of `*` is none. Names are the clients' own words. When a lease was granted, the file does not say.
//!
//! dnsmasq truncates the file and writes it anew, so there are moments when it holds half of what it should ([`LeaseFile`]).

use crate::error::{Error, Result};
use crate::net::{DomainName, Mac};
use crate::packet::dhcp6::Duid;
use crate::sink::atomic_file::open_existing;
use std::fs::Metadata;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file with 100,000 leases has 12 MB.
const LONGEST: u64 = 64 << 20;
/// So long nobody may have written before what is there counts: dnsmasq writes it in one go.
const SETTLED: Duration = Duration::from_millis(100);
/// The same if nothing is there any more: the disk may be slow.
const EMPTY_SETTLED: Duration = Duration::from_secs(2);
/// Hardware types in a DUID that have MAC addresses of 48 bits: Ethernet and IEEE 802 (RFC 8415, section 11.2).
const ETHERNET: [u16; 2] = [1, 6];

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The client. Of DHCPv6 only if its DUID is made of a MAC address and the IAID of the same one's last four octets, as
    /// dhclient and dhcpcd have it: a clone has the DUID of what it was cloned from.
    pub mac: Option<Mac>,
    /// Its address.
    pub address: IpAddr,
    /// When it ends, in seconds since 1970; none: never.
    pub expires: Option<u64>,
    /// What it is called, by itself or by a reservation.
    pub name: Option<DomainName>,
    /// By what dnsmasq knows the client.
    pub client: Client,
}

/// By what dnsmasq knows a client, beside its MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// The identifier that it sent (RFC 2132, section 9.14), if it sent one.
    V4(Option<Box<[u8]>>),
    /// Its DUID and the number of its association (RFC 8415, sections 11 and 12); and whether the address is one for a while.
    V6(Duid, u32, bool),
}

impl Lease {
    /// Whether it is in force at a time, in seconds since 1970.
    pub fn is_in_force(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// All leases of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leases {
    /// As they come.
    pub leases: Vec<Lease>,
    /// How many lines were something else.
    pub illegible: usize,
    /// dnsmasq's own DUID, if it serves IPv6.
    pub server: Option<Duid>,
}

impl Leases {
    /// Reads a file's content, whatever it is.
    pub fn parse(content: &[u8]) -> Self {
        let mut all = Self::default();
        let mut is_v6 = false;
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(line) = str::from_utf8(line) else {
                all.illegible += 1;
                continue;
            };
            if let Some(duid) = line.strip_prefix("duid ") {
                is_v6 = true;
                all.server = octets(duid).and_then(|octets| Duid::parse(&octets).ok());
                continue;
            }
            match lease(line, is_v6) {
                Some(lease) => all.leases.push(lease),
                None => all.illegible += 1,
            }
        }
        all
    }
}

fn lease(line: &str, is_v6: bool) -> Option<Lease> {
    let mut words = line.split(' ');
    let (expires, who, address) = (words.next()?, words.next()?, words.next()?);
    let (name, client) = (words.next()?, words.next()?);
    let address: IpAddr = address.parse().ok()?;
    if words.next().is_some() || address.is_ipv6() != is_v6 {
        return None;
    }
    let expires = Some(number::<u64>(expires)?).filter(|expires| *expires != 0);
    let (mac, client) = if is_v6 {
        // `T`: a temporary address.
        let (number_of, is_temporary) = who.strip_prefix('T').map_or((who, false), |number_of| (number_of, true));
        let iaid = number::<u32>(number_of)?;
        let duid = Duid::parse(&octets(client)?).ok()?;
        let mac = mac_in_duid(duid.octets()).filter(|Mac([_, _, iaid_of @ ..])| *iaid_of == iaid.to_be_bytes());
        (mac, Client::V6(duid, iaid, is_temporary))
    } else {
        // Of other links it is `HH-` before it, and none of ours.
        (Some(who.parse().ok()?), Client::V4(octets(client).map(Into::into)))
    };
    Some(Lease { mac, address, expires, name: name.parse().ok(), client })
}

/// Digits only.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// What dnsmasq writes as `01:bc:24`; no client's identifier has more than 255 octets.
fn octets(text: &str) -> Option<Vec<u8>> {
    let octet = |text: &str| (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten();
    let octets: Vec<u8> = text.split(':').take(256).map(octet).collect::<Option<_>>()?;
    (octets.len() < 256).then_some(octets)
}

/// The MAC address that a DUID is made of: DUID-LLT and DUID-LL (RFC 8415, sections 11.2 and 11.4).
fn mac_in_duid(duid: &[u8]) -> Option<Mac> {
    let (hardware, mac) = match *duid {
        [0, 1, a, b, _, _, _, _, c, d, e, f, g, h] | [0, 3, a, b, c, d, e, f, g, h] => {
            (u16::from_be_bytes([a, b]), Mac([c, d, e, f, g, h]))
        }
        _ => return None,
    };
    ETHERNET.contains(&hardware).then_some(mac)
}

/// Which version of the file was read: device, inode, size, and when it was written in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

/// The file, and what it said last.
#[derive(Debug)]
pub struct LeaseFile {
    path: PathBuf,
    stamp: Option<Stamp>,
    leases: Leases,
}

/// What came of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It says what it said.
    Same,
    /// It says something else.
    New,
    /// Somebody writes it: what it said last counts until it is looked at again, in a tenth of a second or two.
    BeingWritten,
}

impl LeaseFile {
    /// A file that need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), stamp: None, leases: Leases::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it said last.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// When it was written that way, since 1970; zero: it has not been read yet.
    pub fn written(&self) -> Duration {
        let (seconds, nanoseconds) =
            self.stamp.map_or((0, 0), |(_, _, _, seconds, nanoseconds)| (seconds, nanoseconds));
        Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0))
    }

    /// Reads it if it has changed. As long as it has not it costs one system call.
    ///
    /// # Errors
    /// It is gone, or cannot be read. What it said last is still there.
    pub fn look(&mut self) -> Result<Look> {
        let Some((file, metadata)) = open_existing(&self.path)? else {
            if self.stamp.is_none() {
                return Ok(Look::Same);
            }
            return Err(Error::new(format!("the leases file {} is gone", self.path.display()))
                .remedy("what it said last counts; does dnsmasq run with another dhcp-leasefile?"));
        };
        let now = stamp(&metadata);
        if self.stamp == Some(now) {
            return Ok(Look::Same);
        }
        if !is_settled(&metadata, SystemTime::now()) {
            return Ok(Look::BeingWritten);
        }
        let failed = |error| Error::io("read", &self.path, &error);
        let mut content = Vec::new();
        (&file).take(LONGEST + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > LONGEST {
            return Err(Error::new(format!("{} has more than {LONGEST} bytes", self.path.display()))
                .remedy("what it said before counts; is it dnsmasq's leases file?"));
        }
        if stamp(&file.metadata().map_err(failed)?) != now {
            return Ok(Look::BeingWritten);
        }
        let leases = Leases::parse(&content);
        self.stamp = Some(now);
        if leases == self.leases {
            return Ok(Look::Same);
        }
        self.leases = leases;
        Ok(Look::New)
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

/// Whether nobody has written for a while. A time to come says nothing: somebody has set the clock.
fn is_settled(metadata: &Metadata, now: SystemTime) -> bool {
    let wanted = if metadata.len() == 0 { EMPTY_SETTLED } else { SETTLED };
    let age = metadata.modified().ok().and_then(|written| now.duration_since(written).ok());
    age.is_none_or(|age| age >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::fs::File;

    const FILE: &str = "\
        1700000000 bc:24:11:00:00:01 192.0.2.101 web 01:bc:24:11:00:00:01\n\
        0 bc:24:11:00:00:02 192.0.2.102 * *\n\
        duid 00:01:00:01:2c:00:00:00:52:54:00:00:00:01\n\
        1700000001 285212673 2001:db8::101 web 00:01:00:01:2c:11:22:33:bc:24:11:00:00:01\n\
        1700000001 T285212674 2001:db8::102 * 00:03:00:01:bc:24:11:00:00:02\n\
        1700000001 285212675 2001:db8::103 clone 00:03:00:01:bc:24:11:00:00:02\n\
        1700000001 7 2001:db8::104 networkd 00:02:00:00:ab:11:12:34:56:78:9a:bc:de:f0\n";

    fn brief(leases: &Leases) -> Vec<String> {
        let brief = |lease: &Lease| {
            let mac = lease.mac.map_or("-".to_owned(), |mac| mac.to_string());
            let name = lease.name.as_ref().map_or("*", DomainName::as_str);
            format!("{mac} {} {} {name}", lease.address, lease.expires.unwrap_or(0))
        };
        leases.leases.iter().map(brief).collect()
    }

    #[test]
    fn both_families_are_read_and_a_clones_duid_is_nobodys() {
        let leases = Leases::parse(FILE.as_bytes());
        let expected = [
            "bc:24:11:00:00:01 192.0.2.101 1700000000 web",
            "bc:24:11:00:00:02 192.0.2.102 0 *",
            "bc:24:11:00:00:01 2001:db8::101 1700000001 web",
            "bc:24:11:00:00:02 2001:db8::102 1700000001 *",
            "- 2001:db8::103 1700000001 clone",
            "- 2001:db8::104 1700000001 networkd",
        ];
        assert_eq!((brief(&leases), leases.illegible), (expected.map(str::to_owned).to_vec(), 0));
        let [first, second, ..] = &leases.leases[..] else { panic!() };
        assert!(first.is_in_force(1_699_999_999) && !first.is_in_force(1_700_000_000) && second.is_in_force(u64::MAX));
    }

    #[test]
    fn what_is_no_lease_is_counted_and_no_name_is_taken_that_is_none() {
        let lines = [
            "1700000000 06-bc:24:11:00:00:01 192.0.2.101 web *",
            "1700000000 BC:24:11:00:00:01 192.0.2.101 web *",
            "-1 bc:24:11:00:00:01 192.0.2.101 web *",
            "+1 bc:24:11:00:00:01 192.0.2.101 web *",
            " bc:24:11:00:00:01 192.0.2.101 web *",
            "1700000000 bc:24:11:00:00:01 2001:db8::1 web *",
            "1700000000 bc:24:11:00:00:01 192.0.2.256 web *",
            "1700000000 bc:24:11:00:00:01 192.0.2.101 web",
            "1700000000 bc:24:11:00:00:01 192.0.2.101 web * *",
            "1700000000 bc:24:11:00:00:01 192.0.2.1\0 web *",
            "99999999999999999999999 bc:24:11:00:00:01 192.0.2.101 web *",
        ];
        for line in lines {
            let leases = Leases::parse(line.as_bytes());
            assert!(leases.leases.is_empty() && leases.illegible == 1, "{line}: {leases:?}");
        }
        for name in ["*", "-x;", "é", "a\tb", "$(x)"] {
            let leases = Leases::parse(format!("1 bc:24:11:00:00:01 192.0.2.101 {name} *\n").as_bytes());
            assert_eq!(brief(&leases), ["bc:24:11:00:00:01 192.0.2.101 1 *"], "{name}");
        }
        assert_eq!(Leases::parse(b"\xff\xfe\n\n\n").illegible, 1);
    }

    /// Has the file look as if it had been written a while ago.
    fn settle(path: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn a_file_that_is_being_written_says_what_it_said_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases");
        let mut file = LeaseFile::new(&path);
        assert_eq!(file.look().unwrap(), Look::Same);
        fs::write(&path, FILE).unwrap();
        settle(&path, 1);
        assert_eq!(file.look().unwrap(), Look::New);
        assert_eq!(file.look().unwrap(), Look::Same);
        let settled = file.leases().clone();
        for (content, age) in [("", 0), ("", 1), (&FILE[..100], 0)] {
            fs::write(&path, content).unwrap();
            settle(&path, age);
            assert_eq!((file.look().unwrap(), file.leases()), (Look::BeingWritten, &settled), "{content} {age}");
        }
        fs::write(&path, "").unwrap();
        settle(&path, 3);
        assert_eq!((file.look().unwrap(), file.leases()), (Look::New, &Leases::default()));
        fs::remove_file(&path).unwrap();
        assert!(file.look().unwrap_err().to_string().contains("is gone; what it said last counts"));
    }

    proptest! {
        /// Whatever is there, nothing breaks; what is understood is legal, and no line is forgotten.
        #[test]
        fn anything_is_read(
            content in proptest::collection::vec(any::<u8>(), 0..300),
            words in "([0-9T*:a-f. -]{0,40} ?\n?){0,20}",
            at in 0..FILE.len(), byte in any::<u8>(), cut in 0..FILE.len(),
        ) {
            let mut changed = FILE.as_bytes().to_vec();
            changed[at] = byte;
            for text in [&content[..], words.as_bytes(), &changed, &FILE.as_bytes()[..cut]] {
                let leases = Leases::parse(text);
                let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let lines = lines.filter(|line| !line.starts_with(b"duid ")).count();
                let invalid_duid = text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"duid ") && str::from_utf8(line).is_err()).count();
                prop_assert_eq!(leases.leases.len() + leases.illegible, lines + invalid_duid);
            }
        }
    }
}
