//! The rules in tables of our own.

use super::Wishes;
use crate::error::{Error, Result};
use crate::plan::responder::rules;
use crate::plan::ruleset::Ruleset;
use crate::sink::nft_netlink::apply::{self, Failure};
use crate::sink::nft_netlink::probe;

/// How often others may come between reading and loading.
const TRIES: usize = 10;

/// Whether the kernel's nf_tables has a `queue`.
pub(super) fn has_queue() -> Result<bool> {
    probe::has_queue()
}

/// Says whether anything had to be changed.
pub(super) fn install(wishes: &Wishes) -> Result<bool> {
    load(&rules::ruleset(wishes))
}

/// Whether the kernel holds them, as they are planned.
pub(super) fn is_installed(wishes: &Wishes) -> bool {
    apply::check(&rules::ruleset(wishes)).is_ok_and(|checked| checked.differences.iter().all(Vec::is_empty))
}

/// Says whether anything was there.
pub(super) fn remove() -> Result<bool> {
    if !probe::has_nf_tables() {
        return Ok(false);
    }
    let nothing = rules::nothing();
    let changed = load(&nothing)?;
    probe::drop_empty_tables(&nothing)?;
    Ok(changed)
}

fn load(ruleset: &Ruleset) -> Result<bool> {
    for _ in 0..TRIES {
        let generation = apply::generation()?;
        match apply::apply(ruleset, generation) {
            Ok(applied) => return Ok(applied.loaded),
            Err(Failure::Stale { .. }) => {}
            Err(Failure::Final(error)) => return Err(error),
        }
    }
    let message = format!("the kernel's ruleset was changed by others {TRIES} times while ours was made");
    Err(Error::new(message).remedy("see who does it with: nft monitor"))
}
