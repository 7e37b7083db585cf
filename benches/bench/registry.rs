//! A registry of a given size, and events for it.

use crate::program;
use std::fs::File;
use std::io::{self, BufWriter, Write};
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
            let [.., a, b, c] = index.to_be_bytes();
            let start = if index == 0 { "{" } else { "," };
            write!(out, "{start}\n  \"{}\": {{\n    \"name\": \"instance-{index}\",\n", mac(index))?;
            writeln!(out, "    \"ipv6_lla\": \"fe80::16:3eff:fe{a:02x}:{:x}\",", u16::from_be_bytes([b, c]))?;
            writeln!(out, "    \"ipv4\": \"{}\",", ipv4(index))?;
            write!(out, "    \"ipv6_gua\": \"2a00:1450::1:{a:x}:{:x}\"\n  }}", u16::from_be_bytes([b, c]))?;
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
        let index = self.size / 2;
        ["old".to_owned(), mac(index), ipv4(index), format!("instance-{index}")]
    }

    /// What dnsmasq passes for an instance that is new, a different one in each round.
    pub(crate) fn new_lease(&self, round: usize) -> [String; 4] {
        let index = self.size + round;
        ["add".to_owned(), mac(index), ipv4(index), format!("instance-{index}")]
    }

    /// As if an editor had saved the registry: nobody knows what is in it now.
    pub(crate) fn touch_registry(&self) -> io::Result<()> {
        File::options().append(true).open(self.path("json"))?.set_modified(SystemTime::now())
    }
}

fn mac(index: usize) -> String {
    let [.., a, b, c] = index.to_be_bytes();
    format!("02:16:3e:{a:02x}:{b:02x}:{c:02x}")
}

fn ipv4(index: usize) -> String {
    let [.., a, b, c] = index.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}
