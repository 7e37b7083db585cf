//! The types of sets: nft's numbers, and what it keeps beside them to print a set as it was written.

use super::expr::MetaKey;
use crate::plan::ruleset::{Datatype, Elements, Field};

/// What the kernel knows of a set's type, and nft's userdata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetType {
    /// nft's number for the type of a key.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_length: u32,
    /// NFT_SET_*.
    pub flags: u32,
    fields: Option<&'static [Field]>,
}

/// NFT_SET_INTERVAL, _TIMEOUT, _EVAL, _CONCAT.
const INTERVAL: u32 = 4;
const TIMEOUT: u32 = 0x10;
const DYNAMIC: u32 = 0x20;
const CONCAT: u32 = 0x80;

/// nft's numbers of types (enum datatypes).
const TYPE_INTEGER: u32 = 4;
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_MAC: u32 = 9;
const TYPE_INTERFACE: u32 = 41;

/// NFTNL_UDATA_SET_KEYBYTEORDER and _KEY_TYPEOF.
const KEY_BYTE_ORDER: u8 = 0;
const KEY_TYPEOF: u8 = 3;
/// NFTNL_UDATA_SET_TYPEOF_EXPR and _DATA.
const TYPEOF_EXPR: u8 = 0;
const TYPEOF_DATA: u8 = 1;
/// nft's enum byteorder.
const HOST_ENDIAN: u32 = 1;
const BIG_ENDIAN: u32 = 2;
/// nft's enum expr_types.
const EXPR_PAYLOAD: u32 = 7;
const EXPR_META: u32 = 9;
const EXPR_CONCAT: u32 = 13;
/// nft's PROTO_DESC_ETHER and ETHHDR_SADDR.
const PROTOCOL_ETHERNET: u32 = 17;
const ETHERNET_SOURCE: u32 = 2;

impl SetType {
    /// The type of a set with such elements.
    pub fn of(elements: &Elements) -> Self {
        let plain = |key_type, key_length| Self { key_type, key_length, flags: 0, fields: None };
        match elements {
            Elements::Ipv4(_) => plain(TYPE_IPV4, 4),
            Elements::Ipv6(_) => plain(TYPE_IPV6, 16),
            Elements::Keyed(keyed) => Self::keyed(keyed.fields, if keyed.interval { INTERVAL | CONCAT } else { 0 }),
            Elements::Recorded(recorded) => Self::keyed(recorded.fields, DYNAMIC | TIMEOUT),
        }
    }

    /// The field of a key, if a set is one of addresses alone.
    pub fn fields_of_addresses(key_type: u32, key_length: u32) -> Option<&'static [Field]> {
        match (key_type, key_length) {
            (TYPE_IPV4, 4) => Some(&[Field::IpSource]),
            (TYPE_IPV6, 16) => Some(&[Field::Ip6Source]),
            _ => None,
        }
    }

    fn keyed(fields: &'static [Field], flags: u32) -> Self {
        // Six bits for each. The type of raw bits alone is "integer" too.
        let key_type = fields.iter().fold(0, |joined, field| joined << 6 | type_number(*field));
        let length = |field: &Field| match fields {
            [only] => only.length(),
            _ => field.length().next_multiple_of(4),
        };
        let key_length = u32::try_from(fields.iter().map(length).sum::<usize>()).unwrap_or_default();
        Self { key_type, key_length, flags, fields: Some(fields) }
    }

    /// Whether the type has to be written with `typeof`, since a field of it has no name as a type.
    pub fn needs_typeof(fields: &[Field]) -> bool {
        fields.iter().any(|field| field.datatype() == Datatype::Integer)
    }

    /// What nft keeps.
    pub fn userdata(&self) -> Vec<u8> {
        let byte_order = match self.fields {
            Some([only]) if only.datatype() == Datatype::Interface => HOST_ENDIAN,
            None | Some([_]) => BIG_ENDIAN,
            // Each field of a concatenation has its own.
            Some(_) => 0,
        };
        let mut userdata = number(KEY_BYTE_ORDER, byte_order);
        match self.fields {
            Some([only]) if Self::needs_typeof(&[*only]) => userdata.extend(nested(KEY_TYPEOF, typeof_field(*only))),
            None | Some([_]) => {}
            Some(fields) if Self::needs_typeof(fields) => {
                let parts = (0..).zip(fields).flat_map(|(index, field)| nested(index, typeof_field(*field)));
                userdata.extend(nested(KEY_TYPEOF, expression(EXPR_CONCAT, parts.collect())));
            }
            Some(_) => userdata.extend(nested(KEY_TYPEOF, expression(EXPR_CONCAT, Vec::new()))),
        }
        userdata
    }
}

/// How nft keeps the expression of one field.
fn typeof_field(field: Field) -> Vec<u8> {
    match (field, field.location()) {
        (Field::EtherSource, _) => {
            expression(EXPR_PAYLOAD, [number(0, PROTOCOL_ETHERNET), number(1, ETHERNET_SOURCE)].concat())
        }
        (_, Some((header, offset, length))) => {
            // Of no protocol and no field: so many bits from the start of a header, which counts from 1.
            let bits = [0, 0, header as u32 + 1, u32::from(offset) * 8, u32::from(length) * 8];
            expression(EXPR_PAYLOAD, (0..).zip(bits).flat_map(|(kind, value)| number(kind, value)).collect())
        }
        // The only metadata in a key of ours.
        (_, None) => expression(EXPR_META, number(0, MetaKey::InputName as u32)),
    }
}

fn expression(kind: u32, data: Vec<u8>) -> Vec<u8> {
    [number(TYPEOF_EXPR, kind), nested(TYPEOF_DATA, data)].concat()
}

/// Type, length, a number in the host's order.
fn number(kind: u8, value: u32) -> Vec<u8> {
    nested(kind, value.to_ne_bytes().to_vec())
}

/// Type, length, data.
fn nested(kind: u8, data: Vec<u8>) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    [vec![kind, length], data].concat()
}

fn type_number(field: Field) -> u32 {
    match field.datatype() {
        Datatype::Ipv4 => TYPE_IPV4,
        Datatype::Ipv6 => TYPE_IPV6,
        Datatype::Mac => TYPE_MAC,
        Datatype::Interface => TYPE_INTERFACE,
        Datatype::Integer => TYPE_INTEGER,
    }
}
