//! What was known last, in a file: so that a start forgets nothing, also while nodes or the whole API are away.
//!
//! Times are written in seconds since 1970 and read back as moments before the start. The file has names and addresses, and no token.

use super::seen::Seen;
use crate::daemon::schedule::Moment;
use crate::error::{Error, Result, in_words};
use crate::net::Mac;
use crate::plan::guest::{By, Configured, Kind, Lists, Nic, Sighting, State};
use crate::sink::atomic_file;
use crate::source::proxmox::{Config, Known, Listed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// What this program writes.
const VERSION: u32 = 1;
/// Longer than any of ours, bytes: 100,000 guests are 60 MB.
const LONGEST: u64 = 256 << 20;

/// A moment, and what the clock says then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the program's own beginning of time.
    pub moment: Moment,
    /// Since 1970.
    pub time: Duration,
}

impl Now {
    fn time(self, moment: Moment) -> u64 {
        self.time.as_secs().saturating_sub(self.moment.saturating_sub(moment).as_secs())
    }

    /// What is said to be still to come is now: somebody has set the clock.
    fn moment(self, time: u64) -> Moment {
        self.moment.saturating_sub(Duration::from_secs(self.time.as_secs().saturating_sub(time)))
    }
}

/// A guest, with what it said about its addresses, and since when that is old.
pub type Last = (Listed, Option<Config>, Vec<Sighting>, Lists, Moment);

/// What was known.
#[derive(Debug, Default, PartialEq)]
pub struct Remembered {
    /// Guests.
    pub guests: Vec<Last>,
    /// What was heard on the wire.
    pub heard: Vec<Sighting>,
    /// What was leased, and when that ends: how old a lease is, dnsmasq's own file does not say.
    pub leases: Vec<(Sighting, Option<u64>)>,
}

/// The file.
#[derive(Debug)]
pub struct StateFile(PathBuf);

impl StateFile {
    /// It need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it says; nothing if there is none.
    ///
    /// # Errors
    /// It cannot be read, is not whole, or is a later version's. It stays as it is; see [`Self::put_aside`].
    pub fn read(&self, now: Now) -> Result<Option<Remembered>> {
        let Some((file, _)) = atomic_file::open_existing(&self.0)? else { return Ok(None) };
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).map_err(|error| Error::io("read", &self.0, &error))?;
        parse(&text, now).map(Some).map_err(|why| {
            Error::new(format!("the state file {} {why}", self.0.display()))
                .remedy("nothing of it is used; names stay until all guests were read anew")
        })
    }

    /// Renames a file that cannot be used, for somebody may want to look at it. Where it is now.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn put_aside(&self) -> Result<PathBuf> {
        let mut aside = self.0.clone().into_os_string();
        aside.push(".unusable");
        let aside = PathBuf::from(aside);
        fs::rename(&self.0, &aside).map_err(|error| {
            Error::new(format!("cannot rename {} to {}: {}", self.0.display(), aside.display(), in_words(&error)))
        })?;
        Ok(aside)
    }

    /// Replaces it.
    ///
    /// # Errors
    /// It cannot be written; it is as before.
    pub fn write<'a>(&self, guests: impl Iterator<Item = &'a Known>, seen: &Seen, now: Now) -> Result<()> {
        let wire = Wire {
            version: VERSION,
            guests: guests.map(|known| WireGuest::of(known, now)).collect(),
            heard: seen.heard().map(|sighting| WireSighting::of(sighting, now)).collect(),
            leases: seen
                .leased()
                .map(|(sighting, expires)| WireLease { seen: WireSighting::of(sighting, now), expires })
                .collect(),
        };
        atomic_file::replace(&self.0, |file| {
            serde_json::to_writer(&mut *file, &wire)?;
            file.write_all(b"\n")
        })
    }
}

fn parse(text: &[u8], now: Now) -> Result<Remembered, String> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let broken = |error: serde_json::Error| format!("is not whole: {error}");
    let Head { version } = serde_json::from_slice(text).map_err(broken)?;
    if version != VERSION {
        return Err(format!("is of version {version}, and this program knows {VERSION} only"));
    }
    let wire: Wire = serde_json::from_slice(text).map_err(broken)?;
    let sightings =
        |all: Vec<WireSighting>| all.into_iter().map(|wire| wire.back(now)).collect::<Result<Vec<_>, String>>();
    let guest = |wire: WireGuest| {
        let (heard, stale) = (wire.sightings, now.moment(wire.known_at));
        let list = |(of, at): (String, u64)| Ok::<_, String>((mac(&of)?, now.moment(at)));
        let lists = wire.lists.into_iter().map(list).collect::<Result<_, _>>()?;
        let config = wire.config.map(WireConfig::back).transpose()?;
        let kind = match wire.kind.as_str() {
            "qemu" => Kind::Qemu,
            "lxc" => Kind::Lxc,
            other => return Err(format!("has a guest that is a {}", crate::net::Shown(other))),
        };
        let listed = Listed {
            vmid: wire.vmid,
            kind,
            node: wire.node,
            name: wire.name,
            state: match wire.state.as_str() {
                "running" => State::Running,
                "stopped" => State::Stopped,
                _ => State::Unknown,
            },
            is_template: wire.template,
            tags: wire.tags,
            uptime: None,
            lock: None,
        };
        Ok((listed, config, sightings(heard)?, lists, stale))
    };
    let guests = wire.guests.into_iter().map(guest).collect::<Result<_, String>>()?;
    let lease = |lease: WireLease| Ok((lease.seen.back(now)?, lease.expires));
    let leases = wire.leases.into_iter().map(lease).collect::<Result<_, String>>()?;
    Ok(Remembered { guests, heard: sightings(wire.heard)?, leases })
}

#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    guests: Vec<WireGuest>,
    heard: Vec<WireSighting>,
    leases: Vec<WireLease>,
}

#[derive(Serialize, Deserialize)]
struct WireLease {
    #[serde(flatten)]
    seen: WireSighting,
    expires: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct WireGuest {
    vmid: u32,
    kind: String,
    node: String,
    name: Option<String>,
    state: String,
    template: bool,
    tags: Option<BTreeSet<String>>,
    /// When all this was so.
    known_at: u64,
    config: Option<WireConfig>,
    sightings: Vec<WireSighting>,
    /// By MAC address. Earlier versions wrote none.
    #[serde(default)]
    lists: BTreeMap<String, u64>,
}

impl WireGuest {
    fn of(known: &Known, now: Now) -> Self {
        let Listed { vmid, kind, node, name, state, is_template, tags, .. } = &known.listed;
        Self {
            vmid: *vmid,
            kind: kind.name().to_owned(),
            node: node.clone(),
            name: name.clone(),
            state: state.name().to_owned(),
            template: *is_template,
            tags: tags.clone(),
            known_at: known.stale.as_ref().map_or(now.time.as_secs(), |stale| now.time(stale.since)),
            config: known.config.as_ref().map(WireConfig::of),
            sightings: known.sightings.iter().map(|sighting| WireSighting::of(sighting, now)).collect(),
            lists: known.lists.iter().map(|(mac, at)| (mac.to_string(), now.time(*at))).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WireConfig {
    name: Option<String>,
    tags: BTreeSet<String>,
    template: bool,
    agent: bool,
    custom_cloud_init: bool,
    nics: Vec<WireNic>,
    digest: Option<String>,
}

impl WireConfig {
    fn of(config: &Config) -> Self {
        let Config { name, tags, is_template, agent_enabled, has_custom_cloud_init, nics, digest } = config.clone();
        let nics = nics.into_iter().map(|nic| WireNic {
            index: nic.index,
            mac: nic.mac.to_string(),
            bridge: nic.bridge,
            tag: nic.tag,
            link_down: nic.is_link_down,
            ip: written(nic.v4),
            ip6: written(nic.v6),
        });
        Self {
            name,
            tags,
            template: is_template,
            agent: agent_enabled,
            custom_cloud_init: has_custom_cloud_init,
            nics: nics.collect(),
            digest,
        }
    }

    fn back(self) -> Result<Config, String> {
        let nics = self.nics.into_iter().map(|nic| {
            Ok(Nic {
                index: nic.index,
                mac: mac(&nic.mac)?,
                bridge: nic.bridge,
                tag: nic.tag,
                is_link_down: nic.link_down,
                v4: read::<Ipv4Addr>(&nic.ip)?,
                v6: read::<Ipv6Addr>(&nic.ip6)?,
            })
        });
        Ok(Config {
            name: self.name,
            tags: self.tags,
            is_template: self.template,
            agent_enabled: self.agent,
            has_custom_cloud_init: self.custom_cloud_init,
            nics: nics.collect::<Result<_, String>>()?,
            digest: self.digest,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct WireNic {
    index: u8,
    mac: String,
    bridge: Option<String>,
    tag: Option<u16>,
    link_down: bool,
    ip: String,
    ip6: String,
}

#[derive(Serialize, Deserialize)]
struct WireSighting {
    mac: String,
    address: IpAddr,
    vmid: Option<u32>,
    by: String,
    since: u64,
    at: u64,
}

impl WireSighting {
    fn of(sighting: &Sighting, now: Now) -> Self {
        let Sighting { mac, address, vmid, by, since, at } = *sighting;
        let (since, at) = (now.time(since), now.time(at));
        Self { mac: mac.to_string(), address, vmid, by: by.name().to_owned(), since, at }
    }

    fn back(self, now: Now) -> Result<Sighting, String> {
        let known = [By::Agent, By::Interfaces, By::Lease, By::Neighbor, By::Ipam];
        let by = known.into_iter().find(|by| by.name() == self.by);
        let by = by.ok_or_else(|| format!("has an address from {}", crate::net::Shown(&self.by)))?;
        let (since, at) = (now.moment(self.since), now.moment(self.at));
        Ok(Sighting { mac: mac(&self.mac)?, address: self.address, vmid: self.vmid, by, since, at })
    }
}

fn mac(text: &str) -> Result<Mac, String> {
    text.parse().map_err(|_| format!("has a MAC address {}", crate::net::Shown(text)))
}

fn written<A: ToString>(configured: Configured<A>) -> String {
    match configured {
        Configured::Static(address) => address.to_string(),
        Configured::Dhcp => "dhcp".to_owned(),
        Configured::Auto => "auto".to_owned(),
        Configured::Manual => "manual".to_owned(),
        Configured::Unsaid => String::new(),
    }
}

fn read<A: FromStr>(text: &str) -> Result<Configured<A>, String> {
    Ok(match text {
        "" => Configured::Unsaid,
        "dhcp" => Configured::Dhcp,
        "auto" => Configured::Auto,
        "manual" => Configured::Manual,
        address => {
            let address = address.parse().map_err(|_| format!("has an address {}", crate::net::Shown(address)))?;
            Configured::Static(address)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::proxmox::Rounds;
    use proptest::prelude::*;

    const NOW: Now = Now { moment: Moment::from_secs(100_000), time: Duration::from_secs(1_800_000_000) };

    fn remembered() -> Remembered {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let at = Moment::from_secs(99_000);
        let sighting = |address: &str, by| Sighting {
            mac,
            address: address.parse().unwrap(),
            vmid: Some(117),
            by,
            since: Moment::from_secs(98_000),
            at,
        };
        let nic = |index, v4, v6| Nic {
            index,
            mac,
            bridge: Some("vmbr0".to_owned()),
            tag: Some(20),
            is_link_down: false,
            v4,
            v6,
        };
        let listed = Listed {
            vmid: 117,
            kind: Kind::Qemu,
            node: "pve1".to_owned(),
            name: Some("é\"<\n".to_owned()),
            state: State::Running,
            is_template: false,
            tags: Some(BTreeSet::from(["a".to_owned()])),
            uptime: None,
            lock: None,
        };
        let config = Config {
            name: Some("web".to_owned()),
            agent_enabled: true,
            nics: vec![
                nic(0, Configured::Static([10, 0, 0, 5].into()), Configured::Auto),
                nic(1, Configured::Dhcp, Configured::Static("2001:db8::5".parse().unwrap())),
                nic(2, Configured::Manual, Configured::Unsaid),
            ],
            digest: Some("d".to_owned()),
            ..Config::default()
        };
        let seen = vec![sighting("10.0.0.5", By::Agent), sighting("fe80::1", By::Interfaces)];
        let heard = Sighting { vmid: None, ..sighting("10.0.0.9", By::Neighbor) };
        let bare =
            Listed { vmid: 104, kind: Kind::Lxc, name: None, tags: None, state: State::Unknown, ..listed.clone() };
        let lists = BTreeMap::from([(mac, at)]);
        let guests = vec![(bare, None, Vec::new(), BTreeMap::new(), at), (listed, Some(config), seen, lists, at)];
        let leased = Sighting { vmid: None, ..sighting("10.0.1.9", By::Lease) };
        Remembered { guests, heard: vec![heard], leases: vec![(leased, Some(1_800_043_200)), (leased, None)] }
    }

    fn written_by(rounds: &Rounds, remembered: Remembered) -> (tempfile::TempDir, StateFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("state.json"));
        let mut seen = Seen::default();
        seen.restore(remembered.heard, remembered.leases);
        file.write(rounds.guests(), &seen, NOW).unwrap();
        (folder, file)
    }

    fn rounds() -> Rounds {
        let mut rounds = Rounds::new(Moment::from_secs(10));
        for (listed, config, sightings, lists, since) in remembered().guests {
            rounds.restore(listed, config, sightings, lists, since);
        }
        rounds
    }

    #[test]
    fn what_is_written_is_read_back_also_after_a_while() {
        let (_folder, file) = written_by(&rounds(), remembered());
        assert_eq!(file.read(NOW).unwrap(), Some(remembered()));
        let later = Now { moment: Moment::from_secs(86_400), time: NOW.time + Duration::from_secs(50) };
        let read = file.read(later).unwrap().unwrap();
        assert_eq!(read.heard[0].at, Moment::from_secs(86_400 - 50 - 1_000));
        // The clock was set back by a year.
        let earlier =
            Now { moment: Moment::from_secs(7), time: NOW.time.saturating_sub(Duration::from_secs(31_536_000)) };
        assert_eq!(file.read(earlier).unwrap().unwrap().heard[0].at, Moment::from_secs(7));
    }

    #[test]
    fn no_file_is_nothing_and_a_broken_or_later_one_is_named_and_put_aside() {
        let (folder, file) = written_by(&rounds(), Remembered::default());
        let whole = fs::read_to_string(file.path()).unwrap();
        let later = whole.replace("\"version\":1", "\"version\":2");
        let half = &whole[..whole.len() / 2];
        for (text, why) in [(half, "is not whole"), (&later, "is of version 2"), ("", "is not whole"), ("[]", "whole")]
        {
            fs::write(file.path(), text).unwrap();
            let error = file.read(NOW).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("state.json"), "{error}");
            assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        }
        let aside = file.put_aside().unwrap();
        assert_eq!((aside.parent(), fs::read_to_string(&aside).unwrap().as_str()), (Some(folder.path()), "[]"));
        assert_eq!(file.read(NOW).unwrap(), None);
    }

    proptest! {
        #[test]
        fn whatever_the_file_says_is_read_or_refused(text in any::<Vec<u8>>(), cut in 0_usize..2000, put in any::<u8>()) {
            let _ = parse(&text, NOW);
            let (_folder, file) = written_by(&rounds(), remembered());
            let mut text = fs::read(file.path()).unwrap();
            let place = cut % text.len();
            text[place] = put;
            let _ = parse(&text, NOW);
        }
    }
}
