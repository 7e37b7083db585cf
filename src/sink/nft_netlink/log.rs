//! The expressions of a rule that logs.

use super::expr::Expr;
use super::found::long_number;
use crate::netlink::{Attributes, Writer};

/// NFTA_LIMIT_*: without a type it is of packets, without flags up to the rate, not above it.
const LIMIT_RATE: u16 = 1;
const LIMIT_UNIT: u16 = 2;
const LIMIT_BURST: u16 = 3;
const LIMIT_TYPE: u16 = 4;
const LIMIT_FLAGS: u16 = 5;
/// The unit of a rate, in seconds.
const SECOND: u64 = 1;
/// NFTA_LOG_*; without a group it is the kernel's log, without a level that of warnings.
const LOG_GROUP: u16 = 1;
const LOG_PREFIX: u16 = 2;
const LOG_LEVEL: u16 = 5;
const LOG_FLAGS: u16 = 6;
/// LOGLEVEL_WARNING.
const WARNING: u32 = 4;
/// NF_LOG_MACDECODE: with the Ethernet header, which is not what an ARP packet says of its sender.
const ETHERNET: u32 = 0x20;

pub(super) fn write_limit(writer: &mut Writer, per_second: u64, burst: u32) {
    writer.attribute(LIMIT_RATE, &per_second.to_be_bytes());
    writer.attribute(LIMIT_UNIT, &SECOND.to_be_bytes());
    writer.number(LIMIT_BURST, burst);
}

/// A limit of packets per second, up to it.
pub(super) fn read_limit<'a>(data: &Attributes) -> Option<Expr<'a>> {
    let is_plain = [LIMIT_TYPE, LIMIT_FLAGS].iter().all(|kind| data.number(*kind).unwrap_or_default() == 0);
    (is_plain && long_number(data, LIMIT_UNIT) == Some(SECOND)).then_some(())?;
    Some(Expr::Limit { per_second: long_number(data, LIMIT_RATE)?, burst: data.number(LIMIT_BURST)? })
}

pub(super) fn write_log(writer: &mut Writer, prefix: &str) {
    writer.text(LOG_PREFIX, prefix);
    writer.number(LOG_FLAGS, ETHERNET);
}

/// A line in the kernel's log, as ours are.
pub(super) fn read_log<'a>(data: &Attributes<'a>) -> Option<Expr<'a>> {
    let is_warning = data.number(LOG_LEVEL).unwrap_or(WARNING) == WARNING;
    let is_ours = is_warning && data.get(LOG_GROUP).is_none() && data.number(LOG_FLAGS) == Some(ETHERNET);
    data.text(LOG_PREFIX).filter(|_| is_ours).map(Expr::Log)
}
