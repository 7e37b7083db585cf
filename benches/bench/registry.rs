//! A registry of a given size, and events for it.

use crate::program;
use instances::net::Mac;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// A registry in a folder of its own.
pub(crate) struct Bench {
    /// Number of instances, before the ones that are added.
    pub(crate) size: usize,
    base: PathBuf,
}

impl Bench {
    /// Writes a registry of `size` instances, each with an IPv4, a global and a link-local address.
    pub(crate) fn new(folder: &Path, size: usize) -> io::Result<Self> {
        let folder = folder.join(size.to_string());
        std::fs::create_dir(&folder)?;
        let bench = Self { size, base: folder.join("instances") };
        // Piece by piece, to stay small: see `Sample::peak`.
        let mut out = BufWriter::new(File::create(bench.path("json"))?);
        for index in 0..size {
            let start = if index == 0 { "{" } else { "," };
            write!(out, "{start}\n  \"{}\": {{\n    \"name\": \"instance-{index}\",\n", mac(index))?;
            writeln!(out, "    \"ipv6_lla\": \"{}\",", link_local(index))?;
            writeln!(out, "    \"ipv4\": \"{}\",", ipv4(index))?;
            write!(out, "    \"ipv6_gua\": \"{}\"\n  }}", global(index))?;
        }
        out.write_all(b"\n}\n")?;
        out.flush()?;
        Ok(bench)
    }

    /// The file `P.what`.
    pub(crate) fn path(&self, what: &str) -> PathBuf {
        self.base.with_extension(what)
    }

    /// `instances-update` for this registry.
    pub(crate) fn update(&self) -> Command {
        program(env!("CARGO_BIN_EXE_instances-update"), &self.base)
    }

    /// `instances-process` for this registry.
    pub(crate) fn process(&self) -> Command {
        program(env!("CARGO_BIN_EXE_instances-process"), &self.base)
    }

    /// What dnsmasq passes for a lease that is known; of an instance in the middle.
    pub(crate) fn unchanged_lease(&self) -> [String; 4] {
        lease("old", self.size / 2)
    }

    /// What dnsmasq passes for an instance that is new, a different one in each round.
    pub(crate) fn new_lease(&self, round: usize) -> [String; 4] {
        lease("add", self.size + round)
    }

    /// What dnsmasq passes for a new address of a known instance, a different one in each round.
    pub(crate) fn changed_lease(&self, round: usize) -> [String; 4] {
        let [action, mac, _, name] = self.unchanged_lease();
        // 10.240.0.0 and on: nobody's, with a million instances at most.
        [action, mac, ipv4(0x00f0_0000 + round).to_string(), name]
    }

    /// As if an editor had saved the registry: nobody knows what is in it now.
    pub(crate) fn touch_registry(&self) -> io::Result<()> {
        File::options().append(true).open(self.path("json"))?.set_modified(SystemTime::now())
    }
}

/// What dnsmasq passes for a lease of an instance's.
pub(crate) fn lease(action: &str, index: usize) -> [String; 4] {
    [action.to_owned(), mac(index).to_string(), ipv4(index).to_string(), format!("instance-{index}")]
}

/// The MAC address of an instance.
pub(crate) fn mac(index: usize) -> Mac {
    let [.., a, b, c] = index.to_be_bytes();
    Mac([0x02, 0x16, 0x3e, a, b, c])
}

/// The IPv4 address of an instance.
pub(crate) fn ipv4(index: usize) -> Ipv4Addr {
    let [.., a, b, c] = index.to_be_bytes();
    Ipv4Addr::new(10, a, b, c)
}

/// Its global IPv6 address.
pub(crate) fn global(index: usize) -> Ipv6Addr {
    let [.., a, b, c] = index.to_be_bytes();
    Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 1, u16::from(a), u16::from_be_bytes([b, c]))
}

fn link_local(index: usize) -> Ipv6Addr {
    let [.., a, b, c] = index.to_be_bytes();
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0x16, 0x3eff, 0xfe00 | u16::from(a), u16::from_be_bytes([b, c]))
}
