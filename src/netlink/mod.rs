//! Netlink's common ground: messages, attributes, and a socket that asks and reads answers (RFC 3549;
//! linux/netlink.h). Headers are in host order; what nf_tables puts into attributes is in network order.

mod attributes;
mod connection;
pub mod group;
pub mod nfqueue;

pub use attributes::{Attributes, Message, Messages, TooLong, Writer};
pub use connection::{Connection, DumpError};

/// NLM_F_REQUEST: a request to the kernel.
pub const REQUEST: u16 = 0x1;
/// NLM_F_ACK: wants an answer even if all went well.
pub const ACK: u16 = 0x4;
/// NLM_F_DUMP: wants all objects.
pub const DUMP: u16 = 0x300;
/// NLM_F_CREATE: make it if it is not there.
pub const CREATE: u16 = 0x400;
/// NLM_F_APPEND: at the end.
pub const APPEND: u16 = 0x800;
/// NLM_F_DUMP_INTR: what was dumped changed meanwhile.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// NLM_F_CAPPED, in an error: the failed message is not quoted.
pub const CAPPED: u16 = 0x100;
/// NLM_F_ACK_TLVS, in an error: attributes follow.
pub const ACK_TLVS: u16 = 0x200;

/// NLMSG_ERROR: an error, or with code 0 an acknowledgement.
pub const ERROR: u16 = 2;
/// NLMSG_DONE: the end of a dump.
pub const DONE: u16 = 3;
