//! The model as nf_tables messages. Every function writes one message.

use super::set_type::SetType;
use super::{expr, kernel, nfgenmsg};
use crate::netlink::{ACK, APPEND, CREATE, REQUEST, Writer};
use crate::plan::ruleset::{Chain, Comment, Elements, Entry, Family, HookPoint, Key, Keyed, Rule, Set, Table};

/// Elements in one message: their list is an attribute, which holds at most 65,535 bytes.
pub fn elements_per_message(elements: &Elements) -> usize {
    match elements {
        Elements::Ipv4(_) | Elements::Ipv6(_) => 1500,
        // Two keys and a comment take 236 bytes at most.
        Elements::Keyed(_) | Elements::Recorded(_) => 270,
    }
}

/// NF_ACCEPT as a base chain's policy.
pub(super) const POLICY_ACCEPT: u32 = 1;
/// NF_BR_PRE_ROUTING, NF_BR_LOCAL_IN, NF_BR_FORWARD.
pub(super) fn hook_number(point: HookPoint) -> u32 {
    match point {
        HookPoint::Prerouting => 0,
        HookPoint::Input => 1,
        HookPoint::Forward => 2,
    }
}

impl Writer {
    /// A comment as nft keeps it (NFTNL_UDATA_RULE_COMMENT and _SET_ELEM_COMMENT): type, length, text and NUL.
    fn comment(&mut self, kind: u16, text: &str) {
        let mut userdata = [0; 2 + Comment::LONGEST + 1];
        let length = text.len().min(Comment::LONGEST);
        userdata[1] = u8::try_from(length + 1).unwrap_or(u8::MAX);
        if let Some(place) = userdata.get_mut(2..2 + length) {
            place.copy_from_slice(text.as_bytes().get(..length).unwrap_or_default());
        }
        self.attribute(kind, userdata.get(..length + 3).unwrap_or_default());
    }
}

fn message(writer: &mut Writer, kind: u16, flags: u16, sequence: u32, family: Family, body: impl FnOnce(&mut Writer)) {
    writer.message(kind, REQUEST | flags, sequence, &nfgenmsg(family), body);
}

/// The table, if it is not there. Its flags are left alone, unless these are given: they are its owner's.
pub fn table(writer: &mut Writer, sequence: u32, table: &Table, flags: Option<u32>) {
    message(writer, kernel::NEWTABLE, CREATE, sequence, table.family, |writer| {
        writer.text(kernel::TABLE_NAME, table.name.as_str());
        if let Some(flags) = flags {
            writer.number(kernel::TABLE_FLAGS, flags);
        }
    });
}

/// The end of the table, unless something is left in it. The kernel refuses that then (EBUSY).
pub fn delete_empty_table(writer: &mut Writer, sequence: u32, table: &Table) {
    /// NLM_F_NONREC.
    const NOT_RECURSIVE: u16 = 0x100;
    message(writer, kernel::DELTABLE, ACK | NOT_RECURSIVE, sequence, table.family, |writer| {
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

/// A rule in front of the rule with this handle, or at the end of its chain.
pub fn rule(writer: &mut Writer, sequence: u32, table: &Table, chain: &Chain, rule: &Rule, before: Option<u64>) {
    let flags = if before.is_some() { CREATE } else { CREATE | APPEND };
    message(writer, kernel::NEWRULE, flags, sequence, table.family, |writer| {
        writer.text(kernel::RULE_TABLE, table.name.as_str());
        writer.text(kernel::RULE_CHAIN, chain.name);
        if let Some(handle) = before {
            writer.attribute(kernel::RULE_POSITION, &handle.to_be_bytes());
        }
        writer.nested(kernel::RULE_EXPRESSIONS, |writer| {
            for expression in expr::lower(&rule.statements) {
                expression.write(writer);
            }
        });
        if let Some(comment) = &rule.comment {
            writer.comment(kernel::RULE_USERDATA, comment.as_str());
        }
    });
}

/// The rule with this handle goes.
pub fn delete_rule(writer: &mut Writer, sequence: u32, table: &Table, chain: &Chain, handle: u64) {
    message(writer, kernel::DELRULE, 0, sequence, table.family, |writer| {
        writer.text(kernel::RULE_TABLE, table.name.as_str());
        writer.text(kernel::RULE_CHAIN, chain.name);
        writer.attribute(kernel::RULE_HANDLE, &handle.to_be_bytes());
    });
}

/// The set, if it is not there. The kernel wants a number that is the set's own within the batch: the sequence number is.
pub fn set(writer: &mut Writer, sequence: u32, table: &Table, set: &Set) {
    let set_type = SetType::of(&set.elements);
    message(writer, kernel::NEWSET, CREATE, sequence, table.family, |writer| {
        writer.text(kernel::SET_TABLE, table.name.as_str());
        writer.text(kernel::SET_NAME, set.name.as_str());
        writer.number(kernel::SET_FLAGS, set_type.flags);
        writer.number(kernel::SET_KEY_TYPE, set_type.key_type);
        writer.number(kernel::SET_KEY_LEN, set_type.key_length);
        writer.number(kernel::SET_ID, sequence);
        match &set.elements {
            Elements::Keyed(keyed) if keyed.interval => writer.nested(kernel::SET_DESC, |writer| {
                writer.nested(kernel::SET_DESC_CONCAT, |writer| {
                    for field in keyed.fields {
                        let length = u32::try_from(field.length()).unwrap_or_default();
                        let field = |writer: &mut Writer| writer.number(kernel::SET_FIELD_LEN, length);
                        writer.nested(kernel::LIST_ELEM, field);
                    }
                });
            }),
            Elements::Recorded(recorded) => {
                writer.nested(kernel::SET_DESC, |writer| writer.number(kernel::SET_DESC_SIZE, recorded.size));
                let milliseconds = u64::from(recorded.timeout) * 1000;
                writer.attribute(kernel::SET_TIMEOUT, &milliseconds.to_be_bytes());
            }
            _ => {}
        }
        writer.attribute(kernel::SET_USERDATA, &set_type.userdata());
        if matches!(&set.elements, Elements::Keyed(Keyed { counted: true, .. })) {
            writer.nested(kernel::SET_EXPR, expr::write_counter);
        }
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
pub fn elements<'a>(
    writer: &mut Writer,
    sequence: u32,
    table: &Table,
    set: &Set,
    part: impl Iterator<Item = Entry<'a>>,
) {
    message(writer, kernel::NEWSETELEM, CREATE, sequence, table.family, |writer| {
        element_list(writer, table, set.name.as_str(), part);
    });
}

/// The end of some elements of a set.
pub fn delete_elements<'a>(
    writer: &mut Writer,
    sequence: u32,
    table: &Table,
    set: &str,
    part: impl Iterator<Item = Entry<'a>>,
) {
    message(writer, kernel::DELSETELEM, 0, sequence, table.family, |writer| element_list(writer, table, set, part));
}

/// The attributes of a message about elements.
pub(super) fn element_list<'a>(writer: &mut Writer, table: &Table, set: &str, part: impl Iterator<Item = Entry<'a>>) {
    writer.text(kernel::SET_ELEM_LIST_TABLE, table.name.as_str());
    writer.text(kernel::SET_ELEM_LIST_SET, set);
    writer.nested(kernel::SET_ELEM_LIST_ELEMENTS, |writer| part.for_each(|entry| element(writer, entry)));
}

/// Bytes that an element takes in a message.
pub fn element_size(entry: Entry) -> usize {
    let mut writer = Writer::default();
    element(&mut writer, entry);
    writer.len()
}

fn element(writer: &mut Writer, entry: Entry) {
    let data = |writer: &mut Writer, kind, key: &Key| {
        writer.nested(kind, |writer| writer.attribute(kernel::DATA_VALUE, key));
    };
    writer.nested(kernel::LIST_ELEM, |writer| {
        data(writer, kernel::SET_ELEM_KEY, &entry.key);
        if let Some(last) = &entry.last {
            data(writer, kernel::SET_ELEM_KEY_END, last);
        }
        if let Some(comment) = entry.comment {
            writer.comment(kernel::SET_ELEM_USERDATA, comment);
        }
    });
}
