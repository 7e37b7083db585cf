//! Frames for a bridge itself and for nobody else: to the sixteen group addresses 01:80:c2:00:00:0X (IEEE 802.1Q, table 8-1),
//! as spanning tree, LACP and 802.1X use them.
//!
//! Intent: a bridge does not take them through prerouting but straight to the host, and learns from them all the same, so
//! they would carry a stolen MAC or a spoofed packet past every other protection. Guests have no business with them.
//!
//! Limits: those to ..:0e (LLDP) pass no hook of a bridge at all, unless it is told to forward them (`group_fwd_mask
//! 0x4000`): [`crate::plan::groups`] says so.

use super::rules::{chain, when};
use super::{Guard, Protection, block};
use crate::net::Mac;
use crate::plan::ruleset::{Bytes, Chain, Field, Match, Value};

/// What the input hook goes through; people's own rules may jump to it.
pub const CHAIN: &str = "instances_guard_local";

const GROUPS: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);
const ALL_BUT_THE_LAST_FOUR_BITS: [u8; 6] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xf0];

/// They count as what they are first of all; without that protection, as what they could do.
pub(super) fn chain_of(guard: Guard) -> Chain<'static> {
    let by_right = [Protection::EtherType, Protection::BoundMac].into_iter().find(|protection| guard.has(*protection));
    let counts_as = by_right.or_else(|| guard.protections().next()).unwrap_or(Protection::EtherType);
    let mask = Some(Bytes::from(&ALL_BUT_THE_LAST_FOUR_BITS[..]));
    let is_for_bridges = Match { mask, ..Match::equal(Field::EtherTarget, Value::Mac(GROUPS)) };
    Chain { meant_for: Some(Vec::new()), ..chain(CHAIN, vec![when(&[is_for_bridges], block::of(counts_as))]) }
}
