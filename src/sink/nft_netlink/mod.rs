//! The kernel: one nf_tables transaction over netlink, then read back.
//!
//! [`expr`] lowers the model's statements to the kernel's expressions and reads them back, [`set_type`] does so for the
//! types of sets; [`encode`] writes messages; [`batch`] puts them into one transaction; [`socket`] sends it and understands
//! the answers; [`state`] and [`found`] are what the kernel holds, [`compare`] and [`elements`] compare it with the plan,
//! [`reach`] follows its jumps, [`counters`] are what it counted, [`refusal`] is what its
//! refusals mean; [`probe`] asks what the kernel can do; [`apply`] is all of it in order.

pub mod apply;
pub mod batch;
pub mod compare;
pub mod counters;
pub mod elements;
pub mod encode;
pub mod expr;
pub mod found;
mod log;
pub mod probe;
pub mod reach;
pub mod refusal;
pub mod set_type;
pub mod socket;
pub mod state;

/// The numbers of nf_tables (linux/netfilter/nf_tables.h, nfnetlink.h), named as there without their prefixes.
pub(crate) mod kernel {
    /// NFNL_SUBSYS_NFTABLES << 8.
    pub(crate) const SUBSYSTEM: u16 = 10 << 8;
    /// struct nfgenmsg: family, version, resource id.
    pub(crate) const NFGENMSG: usize = 4;

    pub(crate) const NEWTABLE: u16 = SUBSYSTEM;
    pub(crate) const GETTABLE: u16 = SUBSYSTEM | 1;
    pub(crate) const DELTABLE: u16 = SUBSYSTEM | 2;
    pub(crate) const NEWCHAIN: u16 = SUBSYSTEM | 3;
    pub(crate) const GETCHAIN: u16 = SUBSYSTEM | 4;
    pub(crate) const DELCHAIN: u16 = SUBSYSTEM | 5;
    pub(crate) const NEWRULE: u16 = SUBSYSTEM | 6;
    pub(crate) const GETRULE: u16 = SUBSYSTEM | 7;
    pub(crate) const DELRULE: u16 = SUBSYSTEM | 8;
    pub(crate) const NEWSET: u16 = SUBSYSTEM | 9;
    pub(crate) const GETSET: u16 = SUBSYSTEM | 0xa;
    pub(crate) const NEWSETELEM: u16 = SUBSYSTEM | 0xc;
    pub(crate) const GETSETELEM: u16 = SUBSYSTEM | 0xd;
    pub(crate) const DELSETELEM: u16 = SUBSYSTEM | 0xe;
    pub(crate) const GETGEN: u16 = SUBSYSTEM | 0x10;

    pub(crate) const LIST_ELEM: u16 = 1;

    pub(crate) const TABLE_NAME: u16 = 1;
    pub(crate) const TABLE_FLAGS: u16 = 2;
    pub(crate) const TABLE_F_DORMANT: u32 = 1;
    pub(crate) const TABLE_F_OWNER: u32 = 2;

    pub(crate) const CHAIN_TABLE: u16 = 1;
    pub(crate) const CHAIN_NAME: u16 = 3;
    pub(crate) const CHAIN_HOOK: u16 = 4;
    pub(crate) const CHAIN_POLICY: u16 = 5;
    pub(crate) const CHAIN_USE: u16 = 6;
    pub(crate) const CHAIN_TYPE: u16 = 7;
    pub(crate) const HOOK_HOOKNUM: u16 = 1;
    pub(crate) const HOOK_PRIORITY: u16 = 2;

    pub(crate) const RULE_TABLE: u16 = 1;
    pub(crate) const RULE_CHAIN: u16 = 2;
    pub(crate) const RULE_HANDLE: u16 = 3;
    pub(crate) const RULE_EXPRESSIONS: u16 = 4;
    pub(crate) const RULE_POSITION: u16 = 6;
    pub(crate) const RULE_USERDATA: u16 = 7;

    pub(crate) const SET_TABLE: u16 = 1;
    pub(crate) const SET_NAME: u16 = 2;
    pub(crate) const SET_FLAGS: u16 = 3;
    pub(crate) const SET_KEY_TYPE: u16 = 4;
    pub(crate) const SET_KEY_LEN: u16 = 5;
    pub(crate) const SET_DESC: u16 = 9;
    pub(crate) const SET_ID: u16 = 10;
    pub(crate) const SET_TIMEOUT: u16 = 11;
    pub(crate) const SET_USERDATA: u16 = 13;
    pub(crate) const SET_EXPR: u16 = 17;
    pub(crate) const SET_EXPRESSIONS: u16 = 18;
    pub(crate) const SET_COUNT: u16 = 20;
    pub(crate) const SET_DESC_SIZE: u16 = 1;
    pub(crate) const SET_DESC_CONCAT: u16 = 2;
    pub(crate) const SET_FIELD_LEN: u16 = 1;

    pub(crate) const SET_ELEM_LIST_TABLE: u16 = 1;
    pub(crate) const SET_ELEM_LIST_SET: u16 = 2;
    pub(crate) const SET_ELEM_LIST_ELEMENTS: u16 = 3;
    pub(crate) const SET_ELEM_KEY: u16 = 1;
    pub(crate) const SET_ELEM_FLAGS: u16 = 3;
    pub(crate) const SET_ELEM_TIMEOUT: u16 = 4;
    pub(crate) const SET_ELEM_EXPIRATION: u16 = 5;
    pub(crate) const SET_ELEM_USERDATA: u16 = 6;
    pub(crate) const SET_ELEM_EXPR: u16 = 7;
    pub(crate) const SET_ELEM_KEY_END: u16 = 10;

    pub(crate) const COUNTER_PACKETS: u16 = 2;

    pub(crate) const DATA_VALUE: u16 = 1;
    pub(crate) const DATA_VERDICT: u16 = 2;
    pub(crate) const VERDICT_CODE: u16 = 1;
    pub(crate) const VERDICT_CHAIN: u16 = 2;

    pub(crate) const GEN_ID: u16 = 1;
}

use crate::plan::ruleset::Family;

/// NFPROTO_*.
fn family_number(family: Family) -> u8 {
    match family {
        Family::Inet => 1,
        Family::Ip => 2,
        Family::Arp => 3,
        Family::Netdev => 5,
        Family::Bridge => 7,
        Family::Ip6 => 10,
    }
}

/// struct nfgenmsg for a family.
pub(crate) fn nfgenmsg(family: Family) -> [u8; kernel::NFGENMSG] {
    [family_number(family), 0, 0, 0]
}
