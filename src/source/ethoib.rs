//! Ethernet over InfiniBand: which MAC address an InfiniBand port has on an interface of the host.
//!
//! Its driver, eth_ipoib, lists them in `/sys/class/net/IF/eth/neighs`, a line each: `EMAC=02:00:02:97:00:01
//! IMAC=97:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:26:52`, where the last eight octets of IMAC are the port's GUID.

use crate::net::{IfName, Mac};
use crate::plan::pxe_access::{Guid, InfiniBand};
use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

/// What sysfs is read up to: some hundred thousand ports.
const LONGEST: u64 = 16 << 20;

/// What these interfaces know, and which of them cannot be asked. Of two interfaces that know a GUID, the later counts.
pub fn read(interfaces: &[IfName]) -> (InfiniBand, Vec<(IfName, io::Error)>) {
    read_from(Path::new("/sys/class/net"), interfaces)
}

fn read_from(sysfs: &Path, interfaces: &[IfName]) -> (InfiniBand, Vec<(IfName, io::Error)>) {
    let (mut known, mut failed) = (InfiniBand::new(), Vec::new());
    for interface in interfaces {
        let path = sysfs.join(interface.as_str()).join("eth/neighs");
        let mut text = Vec::new();
        match fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text)) {
            Ok(_) => known.extend(String::from_utf8_lossy(&text).lines().filter_map(neighbor)),
            Err(error) => failed.push((*interface, error)),
        }
    }
    (known, failed)
}

/// A line of the file. Fields that are not known are skipped.
fn neighbor(line: &str) -> Option<(Guid, Mac)> {
    let field = |name| line.split_ascii_whitespace().find_map(|field| field.strip_prefix(name));
    let mac = field("EMAC=")?.to_ascii_lowercase().parse().ok()?;
    Some((guid(field("IMAC=")?)?, mac))
}

/// The last eight of octets in hexadecimal with colons, of which there must be that many.
pub fn guid(text: &str) -> Option<Guid> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).ok().filter(|_| octet.len() == 2 && !octet.starts_with('+')))
        .collect();
    octets?.last_chunk().copied().map(Guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_are_read_and_other_lines_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let eth = folder.path().join("eth0/eth");
        fs::create_dir_all(&eth).unwrap();
        let text = "EMAC=02:00:02:97:00:01 IMAC=97:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:26:52\n\
                    EMAC=02:00:00:61:00:02 IMAC=short\n\n\u{fffd} nonsense\n\
                    IMAC=61:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:24:4f EMAC=02:00:00:61:00:0A more\n";
        fs::write(eth.join("neighs"), text).unwrap();
        let interfaces = ["eth0", "eth1"].map(|name| name.parse::<IfName>().unwrap());
        let (known, failed) = read_from(folder.path(), &interfaces);
        let expected = [
            ([0x7c, 0xfe, 0x90, 3, 0, 0x29, 0x26, 0x52], "02:00:02:97:00:01"),
            ([0x7c, 0xfe, 0x90, 3, 0, 0x29, 0x24, 0x4f], "02:00:00:61:00:0a"),
        ];
        assert_eq!(known, expected.into_iter().map(|(guid, mac)| (Guid(guid), mac.parse().unwrap())).collect());
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, interfaces[1]);
    }

    #[test]
    fn a_guid_is_the_end_of_eight_octets_or_more() {
        let client_id = "ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:24:4f";
        assert_eq!(guid(client_id), Some(Guid([0x7c, 0xfe, 0x90, 3, 0, 0x29, 0x24, 0x4f])));
        for wrong in
            ["", "7c:fe:90:03:00:29:24", "7c:fe:90:03:00:29:24:+f", "7c:fe:90:03:00:29:24:4g", "7c:fe:90:03:0:29:24:4f"]
        {
            assert_eq!(guid(wrong), None, "{wrong}");
        }
    }
}
