//! The model as nf_tables messages. Every function writes one message.

use super::{expr, kernel, nfgenmsg};
use crate::netlink::{APPEND, CREATE, REQUEST, Writer};
use crate::plan::ruleset::{Chain, Comment, Elements, Family, HookPoint, Rule, Set, Table};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Elements in one message: their list is an attribute, which holds at most 65,535 bytes.
pub const ELEMENTS_PER_MESSAGE: usize = 1500;

/// NF_ACCEPT as a base chain's policy.
pub(super) const POLICY_ACCEPT: u32 = 1;
/// NFTNL_UDATA_RULE_COMMENT.
const UDATA_COMMENT: u8 = 0;
/// NFTNL_UDATA_SET_KEYBYTEORDER and nft's BYTEORDER_BIG_ENDIAN.
const UDATA_KEY_BYTE_ORDER: u8 = 0;
const BIG_ENDIAN: u32 = 2;

/// nft's numbers for the types of our sets' keys, and their sizes.
const IPV4_ADDR: (u32, u32) = (7, 4);
const IPV6_ADDR: (u32, u32) = (8, 16);

pub(super) fn key_type(elements: &Elements) -> (u32, u32) {
    match elements {
        Elements::Ipv4(_) => IPV4_ADDR,
        Elements::Ipv6(_) => IPV6_ADDR,
    }
}

pub(super) fn is_key_type(key_type: u32, key_length: u32) -> bool {
    [IPV4_ADDR, IPV6_ADDR].contains(&(key_type, key_length))
}

/// NF_BR_LOCAL_IN, NF_BR_FORWARD.
pub(super) fn hook_number(point: HookPoint) -> u32 {
    match point {
        HookPoint::Input => 1,
        HookPoint::Forward => 2,
    }
}

fn message(writer: &mut Writer, kind: u16, flags: u16, sequence: u32, family: Family, body: impl FnOnce(&mut Writer)) {
    writer.message(kind, REQUEST | flags, sequence, &nfgenmsg(family), body);
}

/// The table, if it is not there. Its flags are left alone: they are its owner's.
pub fn table(writer: &mut Writer, sequence: u32, table: &Table) {
    message(writer, kernel::NEWTABLE, CREATE, sequence, table.family, |writer| {
        writer.text(kernel::TABLE_NAME, table.name.as_str());
    });
}

/// The chain, if it is not there.
pub fn chain(writer: &mut Writer, sequence: u32, table: &Table, chain: &Chain) {
    message(writer, kernel::NEWCHAIN, CREATE, sequence, table.family, |writer| {
        writer.text(kernel::CHAIN_TABLE, table.name.as_str());
        writer.text(kernel::CHAIN_NAME, chain.name);
        if let Some(hook) = chain.hook {
            writer.nested(kernel::CHAIN_HOOK, |writer| {
                writer.number(kernel::HOOK_HOOKNUM, hook_number(hook.point));
                writer.number(kernel::HOOK_PRIORITY, hook.priority.cast_unsigned());
            });
            writer.number(kernel::CHAIN_POLICY, POLICY_ACCEPT);
            writer.text(kernel::CHAIN_TYPE, "filter");
        }
    });
}

/// The end of a base chain. It must have been flushed.
pub fn delete_chain(writer: &mut Writer, sequence: u32, table: &Table, name: &str) {
    message(writer, kernel::DELCHAIN, 0, sequence, table.family, |writer| {
        writer.text(kernel::CHAIN_TABLE, table.name.as_str());
        writer.text(kernel::CHAIN_NAME, name);
    });
}

/// The end of all rules of a chain.
pub fn flush_chain(writer: &mut Writer, sequence: u32, table: &Table, name: &str) {
    message(writer, kernel::DELRULE, 0, sequence, table.family, |writer| {
        writer.text(kernel::RULE_TABLE, table.name.as_str());
        writer.text(kernel::RULE_CHAIN, name);
    });
}

/// A rule at the end of its chain.
pub fn rule(writer: &mut Writer, sequence: u32, table: &Table, chain: &Chain, rule: &Rule) {
    message(writer, kernel::NEWRULE, CREATE | APPEND, sequence, table.family, |writer| {
        writer.text(kernel::RULE_TABLE, table.name.as_str());
        writer.text(kernel::RULE_CHAIN, chain.name);
        writer.nested(kernel::RULE_EXPRESSIONS, |writer| {
            for expression in expr::lower(&rule.statements) {
                expression.write(writer);
            }
        });
        if let Some(comment) = &rule.comment {
            writer.attribute(kernel::RULE_USERDATA, &comment_userdata(comment));
        }
    });
}

/// A comment as nft keeps it: type, length, text and NUL.
pub fn comment_userdata(comment: &Comment) -> Vec<u8> {
    let text = comment.as_str();
    // At most Comment::LONGEST, so it fits.
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    [&[UDATA_COMMENT, length], text.as_bytes(), &[0]].concat()
}

/// The set, if it is not there. The kernel wants a number that is the set's own within the batch: the sequence number is.
pub fn set(writer: &mut Writer, sequence: u32, table: &Table, set: &Set) {
    let (key_type, key_length) = key_type(&set.elements);
    message(writer, kernel::NEWSET, CREATE, sequence, table.family, |writer| {
        writer.text(kernel::SET_TABLE, table.name.as_str());
        writer.text(kernel::SET_NAME, set.name.as_str());
        writer.number(kernel::SET_FLAGS, 0);
        writer.number(kernel::SET_KEY_TYPE, key_type);
        writer.number(kernel::SET_KEY_LEN, key_length);
        writer.number(kernel::SET_ID, sequence);
        let mut userdata = [UDATA_KEY_BYTE_ORDER, 4, 0, 0, 0, 0];
        userdata[2..].copy_from_slice(&BIG_ENDIAN.to_ne_bytes());
        writer.attribute(kernel::SET_USERDATA, &userdata);
    });
}

/// The end of all elements of a set.
pub fn flush_set(writer: &mut Writer, sequence: u32, table: &Table, name: &str) {
    message(writer, kernel::DELSETELEM, 0, sequence, table.family, |writer| {
        writer.text(kernel::SET_ELEM_LIST_TABLE, table.name.as_str());
        writer.text(kernel::SET_ELEM_LIST_SET, name);
    });
}

/// Part of a set's elements.
pub fn elements(writer: &mut Writer, sequence: u32, table: &Table, set: &Set, part: ElementsPart) {
    message(writer, kernel::NEWSETELEM, CREATE, sequence, table.family, |writer| {
        writer.text(kernel::SET_ELEM_LIST_TABLE, table.name.as_str());
        writer.text(kernel::SET_ELEM_LIST_SET, set.name.as_str());
        writer.nested(kernel::SET_ELEM_LIST_ELEMENTS, |writer| match part {
            ElementsPart::Ipv4(part) => part.iter().for_each(|address| element(writer, &address.octets())),
            ElementsPart::Ipv6(part) => part.iter().for_each(|address| element(writer, &address.octets())),
        });
    });
}

fn element(writer: &mut Writer, key: &[u8]) {
    writer.nested(kernel::LIST_ELEM, |writer| {
        writer.nested(kernel::SET_ELEM_KEY, |writer| writer.attribute(kernel::DATA_VALUE, key));
    });
}

/// What an element's message part has besides the key: three attribute headers.
pub(super) const ELEMENT_OVERHEAD: usize = 12;

/// As many elements as fit into one message.
#[derive(Debug, Clone, Copy)]
pub enum ElementsPart<'a> {
    /// IPv4.
    Ipv4(&'a [Ipv4Addr]),
    /// IPv6.
    Ipv6(&'a [Ipv6Addr]),
}

impl ElementsPart<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ipv4(part) => part.len(),
            Self::Ipv6(part) => part.len(),
        }
    }

    pub(super) fn key_length(&self) -> usize {
        match self {
            Self::Ipv4(_) => 4,
            Self::Ipv6(_) => 16,
        }
    }

    pub(super) fn text(&self, index: usize) -> Option<String> {
        match self {
            Self::Ipv4(part) => part.get(index).map(ToString::to_string),
            Self::Ipv6(part) => part.get(index).map(ToString::to_string),
        }
    }
}

/// The parts of a set, in order.
pub fn parts(elements: &Elements) -> Box<dyn Iterator<Item = ElementsPart<'_>> + '_> {
    match elements {
        Elements::Ipv4(all) => Box::new(all.chunks(ELEMENTS_PER_MESSAGE).map(ElementsPart::Ipv4)),
        Elements::Ipv6(all) => Box::new(all.chunks(ELEMENTS_PER_MESSAGE).map(ElementsPart::Ipv6)),
    }
}
