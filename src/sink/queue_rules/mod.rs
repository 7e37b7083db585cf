//! The responder's rules: put into the kernel, taken out of it, or printed.
//!
//! Where the kernel has nf_tables' `queue`, they are in tables of our own, loaded over netlink like all that is ours.
//! Elsewhere only x_tables knows NFQUEUE, and [`xtables`] runs the programs that speak to it.

mod nft;
mod text;
pub mod xtables;

pub use text::print;

use crate::error::{Error, Result};
use crate::plan::responder::rules::Wishes;
use std::fmt;

/// By which of the kernel's two firewalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// nf_tables.
    Nft,
    /// x_tables, by iptables and ip6tables.
    Iptables,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nft => "nftables",
            Self::Iptables => "iptables",
        })
    }
}

/// In which language rules are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A shell script of iptables and ip6tables.
    Iptables,
    /// A file for `nft -f`.
    Nft,
    /// For ferm.
    Ferm,
}

/// What became of a wish to change the kernel's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where the rules are, or were.
    pub way: Way,
    /// Whether anything had to be changed.
    pub changed: bool,
    /// Why packets may not come all the same.
    pub warnings: Vec<String>,
}

/// Makes the kernel hold these rules and no others of ours: by this way, otherwise by nf_tables where the kernel has its
/// `queue`.
///
/// # Errors
/// They cannot be loaded; then those from before are in force.
pub fn install(wishes: &Wishes, way: Option<Way>) -> Result<Outcome> {
    let way = match way {
        Some(way) => way,
        None if nft::has_queue()? => Way::Nft,
        None => Way::Iptables,
    };
    match way {
        Way::Nft if nft::has_queue()? => {
            let changed = nft::install(wishes)?;
            Ok(Outcome { way, changed, warnings: Vec::new() })
        }
        Way::Nft => Err(Error::new("this kernel has no nf_tables queue (nft_queue, CONFIG_NFT_QUEUE)")
            .remedy("modprobe nft_queue, or install the rules by iptables")),
        Way::Iptables => {
            let changed = xtables::install(wishes)?;
            Ok(Outcome { way, changed, warnings: xtables::warnings(wishes) })
        }
    }
}

/// Why packets of taps in bridges may not come by rules of x_tables; nothing if ours are in nf_tables.
pub fn bridge_warnings(wishes: &Wishes) -> Vec<String> {
    if nft::is_installed(wishes) { Vec::new() } else { xtables::warnings(wishes) }
}

/// Takes exactly our rules out of the kernel, whichever way they came in; says from where some went.
///
/// # Errors
/// Some cannot be removed.
pub fn remove() -> Result<Vec<Way>> {
    let by_nft = nft::remove()?.then_some(Way::Nft);
    let by_iptables = xtables::remove()?.then_some(Way::Iptables);
    Ok(by_nft.into_iter().chain(by_iptables).collect())
}
