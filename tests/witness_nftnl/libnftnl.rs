//! The model as nftnl and libnftnl encode it, without any code of ours: numbers are theirs or written out from the
//! kernel's headers, nft's and the RFCs.
//!
//! What nftnl 0.9.4 has no words for, [`super::raw`] asks libnftnl for directly: expressions with other registers than the
//! first, `meta ibrname`, look-ups and dynamic sets, and all about sets.
//! Not even libnftnl has NFNL_BATCH_GENID; `INTENDED` in main.rs names it. Comments longer than
//! [`LONGEST_COMMENT`] have no room in nftnl.

use crate::raw::{ElementsOf, NewSet, Raw, RawSet, UserData, user_data};
use instances::plan::diff::{ChainDelta, RuleEdit, SetDelta, TableDelta};
use instances::plan::ruleset::{
    Chain, Element, Elements, Family, Field, HookPoint, Keyed, Match, Operator, Rule, Ruleset, Set, Statement, Table,
    Value, Verdict,
};
use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::{MsgType, ProtoFamily, nft_expr};
use std::ffi::CString;

/// What is left of the 128 bytes that nftnl allots to a comment, without type, length and NUL.
pub(crate) const LONGEST_COMMENT: usize = 125;

/// Elements in one message of theirs: few, so that there are several.
const ELEMENTS: usize = 100;

/// The same transaction as `instances::sink::nft_netlink::batch::build`.
pub(crate) fn batch(ruleset: &Ruleset, deltas: &[TableDelta]) -> Vec<u8> {
    let mut batch = nftnl::Batch::new();
    let mut set_ids = 1..;
    for (ours, delta) in ruleset.tables.iter().zip(deltas).filter(|(_, delta)| !delta.is_empty()) {
        let table = nftnl::Table::new(c_string(ours.name.as_str()), family(ours.family));
        batch.add(&table, MsgType::Add);
        for (set, delta) in ours.sets.iter().zip(&delta.sets) {
            if *delta == SetDelta::New {
                batch.add(&NewSet(&described(ours, set, set_ids.next().unwrap())), MsgType::Add);
            }
        }
        let changed = || ours.chains.iter().zip(&delta.chains).filter(|(_, delta)| **delta != ChainDelta::Same);
        for (ours, _) in changed() {
            batch.add(&chain(ours, &table), MsgType::Add);
        }
        for (ours, delta) in changed() {
            change(&mut batch, ours, delta, &table);
        }
        for name in &delta.emptied_chains {
            batch.add(&nftnl::Rule::new(&nftnl::Chain::new(c_string(name), &table)), MsgType::Del);
        }
        for name in &delta.removed_chains {
            batch.add(&nftnl::Chain::new(c_string(name), &table), MsgType::Del);
        }
        for (set, delta) in ours.sets.iter().zip(&delta.sets) {
            change_elements(&mut batch, ours, set, delta);
        }
        for name in &delta.emptied_sets {
            batch.add(&ElementsOf(&named(ours, name)), MsgType::Del);
        }
    }
    batch.finalize().iter().flatten().copied().collect()
}

fn change(batch: &mut nftnl::Batch, ours: &Chain, delta: &ChainDelta, table: &nftnl::Table) {
    let chain = chain(ours, table);
    let ChainDelta::Edited(edits) = delta else {
        if *delta == ChainDelta::Replaced {
            batch.add(&nftnl::Rule::new(&chain), MsgType::Del);
        }
        for ours in &ours.rules {
            batch.add(&rule(ours, &chain), MsgType::Add);
        }
        return;
    };
    for edit in edits {
        match *edit {
            RuleEdit::Delete { handle } => {
                let mut gone = nftnl::Rule::new(&chain);
                gone.set_handle(handle);
                batch.add(&gone, MsgType::Del);
            }
            RuleEdit::Insert { rule: index, before } => {
                let mut new = rule(&ours.rules[index], &chain);
                if let Some(handle) = before {
                    new.set_position(handle);
                }
                batch.add(&new, MsgType::Add);
            }
        }
    }
}

fn change_elements(batch: &mut nftnl::Batch, table: &Table, set: &Set, delta: &SetDelta) {
    let (remove, add): (&[_], Vec<usize>) = match delta {
        SetDelta::New => (&[], (0..set.elements.len()).collect()),
        SetDelta::Edited { remove, add } => (remove, add.clone()),
    };
    for part in remove.chunks(ELEMENTS) {
        let elements = named(table, set.name.as_str());
        for (key, last) in part {
            elements.element(key, last.as_deref(), None);
        }
        batch.add(&ElementsOf(&elements), MsgType::Del);
    }
    for part in add.chunks(ELEMENTS) {
        let elements = named(table, set.name.as_str());
        for index in part {
            match &set.elements {
                Elements::Ipv4(all) => elements.element(&all[*index].octets(), None, None),
                Elements::Ipv6(all) => elements.element(&all[*index].octets(), None, None),
                Elements::Keyed(keyed) => {
                    let element = &keyed.elements[*index];
                    let comment = element.comment.as_ref().map(instances::plan::ruleset::Comment::as_str);
                    elements.element(&element.key, last(keyed, element).as_deref(), comment);
                }
                Elements::Recorded(_) => unreachable!("nothing is planned there"),
            }
        }
        batch.add(&ElementsOf(&elements), MsgType::Add);
    }
}

/// The last key of a range: all bits behind the prefix are set, in the first field.
fn last(keyed: &Keyed, element: &Element) -> Option<Vec<u8>> {
    let prefix = usize::from(element.prefix?);
    let mut last = element.key.to_vec();
    for bit in prefix..8 * bytes_of(keyed.fields[0]) {
        last[bit / 8] |= 0x80 >> (bit % 8);
    }
    Some(last)
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn family(family: Family) -> ProtoFamily {
    match family {
        Family::Inet => ProtoFamily::Inet,
        Family::Ip => ProtoFamily::Ipv4,
        Family::Arp => ProtoFamily::Arp,
        Family::Netdev => ProtoFamily::NetDev,
        Family::Bridge => ProtoFamily::Bridge,
        Family::Ip6 => ProtoFamily::Ipv6,
    }
}

fn chain<'a>(ours: &Chain, table: &'a nftnl::Table) -> nftnl::Chain<'a> {
    let mut chain = nftnl::Chain::new(c_string(ours.name), table);
    if let Some(hook) = ours.hook {
        // nftnl knows the hooks of the inet family; those of bridges have the same numbers (linux/netfilter_bridge.h).
        let point = match hook.point {
            HookPoint::Prerouting => nftnl::Hook::PreRouting,
            HookPoint::Input => nftnl::Hook::In,
            HookPoint::Forward => nftnl::Hook::Forward,
        };
        chain.set_hook(point, hook.priority);
        chain.set_policy(nftnl::Policy::Accept);
        chain.set_type(nftnl::ChainType::Filter);
    }
    chain
}

fn rule<'a>(ours: &Rule, chain: &'a nftnl::Chain<'a>) -> nftnl::Rule<'a> {
    let mut rule = nftnl::Rule::new(chain);
    // nft compares what a field depends on once in a rule.
    let mut compared = Vec::new();
    for statement in &ours.statements {
        match statement {
            Statement::Match(matched) => {
                load(&mut rule, &[matched.field], &mut compared);
                compare(&mut rule, matched);
                compared.extend(says(matched));
            }
            Statement::Lookup { fields, set } => {
                load(&mut rule, fields, &mut compared);
                rule.add_expr(&Raw {
                    name: "lookup",
                    numbers: vec![(sys::NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1)],
                    text: Some((sys::NFTNL_EXPR_LOOKUP_SET, c_string(set))),
                    ..Raw::default()
                });
            }
            Statement::Record { fields, set } => {
                load(&mut rule, fields, &mut compared);
                let update = libc::NFT_DYNSET_OP_UPDATE.cast_unsigned();
                rule.add_expr(&Raw {
                    name: "dynset",
                    numbers: vec![(sys::NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1), (sys::NFTNL_EXPR_DYNSET_OP, update)],
                    text: Some((sys::NFTNL_EXPR_DYNSET_SET_NAME, c_string(set))),
                    inner: Some((sys::NFTNL_EXPR_DYNSET_EXPR, "counter")),
                    ..Raw::default()
                });
            }
            Statement::Counter => rule.add_expr(&nft_expr!(counter)),
            Statement::Limit { per_second, burst } => rule.add_expr(&Raw {
                name: "limit",
                numbers: vec![(sys::NFTNL_EXPR_LIMIT_BURST, *burst)],
                // The unit is one of so many seconds.
                long_numbers: vec![
                    (sys::NFTNL_EXPR_LIMIT_RATE, u64::from(*per_second)),
                    (sys::NFTNL_EXPR_LIMIT_UNIT, 1),
                ],
                ..Raw::default()
            }),
            Statement::Log { prefix } => rule.add_expr(&Raw {
                name: "log",
                numbers: vec![(sys::NFTNL_EXPR_LOG_FLAGS, NF_LOG_MACDECODE)],
                text: Some((sys::NFTNL_EXPR_LOG_PREFIX, c_string(prefix))),
                ..Raw::default()
            }),
            Statement::Queue { number, bypass } => {
                let mut short_numbers = vec![(sys::NFTNL_EXPR_QUEUE_NUM, *number), (sys::NFTNL_EXPR_QUEUE_TOTAL, 1)];
                short_numbers.extend(bypass.then_some((sys::NFTNL_EXPR_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS)));
                rule.add_expr(&Raw { name: "queue", short_numbers, ..Raw::default() });
            }
            Statement::Verdict(verdict) => rule.add_expr(&match verdict {
                Verdict::Accept => nft_expr!(verdict accept),
                Verdict::Drop => nft_expr!(verdict drop),
                Verdict::Return => nft_expr!(verdict return),
                Verdict::Jump(chain) => nft_expr!(verdict jump c_string(chain)),
                Verdict::Goto(chain) => nft_expr!(verdict goto c_string(chain)),
            }),
        }
    }
    if let Some(comment) = &ours.comment {
        rule.set_comment(c_string(comment.as_str())).unwrap();
    }
    rule
}

/// linux/netfilter/nf_log.h.
const NF_LOG_MACDECODE: u32 = 0x20;
/// linux/netfilter/nf_tables.h.
const NFT_QUEUE_FLAG_BYPASS: u16 = 1;
const NFT_REG_1: u32 = 1;
/// The quarters of the 16-byte registers, NFT_REG32_00 and on. Those that begin a register have its name.
const QUARTERS: [u32; 16] = [NFT_REG_1, 9, 10, 11, 2, 13, 14, 15, 3, 17, 18, 19, 4, 21, 22, 23];

/// Loads fields one behind the other; `compared` is what was compared in this rule before.
fn load(rule: &mut nftnl::Rule, fields: &[Field], compared: &mut Vec<(&'static str, u32)>) {
    for (what, value) in fields.iter().flat_map(|field| depends_on(*field)) {
        if !compared.contains(&(what, *value)) {
            compared.push((what, *value));
            let ether_type = || u16::try_from(*value).unwrap().to_be();
            match *what {
                "ether type" => {
                    rule.add_expr(&nft_expr!(payload ethernet ethertype));
                    rule.add_expr(&nft_expr!(cmp == ether_type()));
                }
                "protocol" => {
                    rule.add_expr(&nft_expr!(meta proto));
                    rule.add_expr(&nft_expr!(cmp == ether_type()));
                }
                _ => {
                    rule.add_expr(&nft_expr!(meta l4proto));
                    rule.add_expr(&nft_expr!(cmp == u8::try_from(*value).unwrap()));
                }
            }
        }
    }
    let mut quarters = 0;
    for field in fields {
        load_one(rule, *field, QUARTERS[quarters]);
        quarters += bytes_of(*field).div_ceil(4);
    }
}

/// What nft compares before it loads a field of a protocol. In the bridge family it knows IP in a look-up by `meta
/// protocol`, ARP and ICMPv6 by the ether type.
fn depends_on(field: Field) -> &'static [(&'static str, u32)] {
    const ARP: u32 = 0x0806;
    const IP: u32 = 0x0800;
    const IP6: u32 = 0x86dd;
    match field {
        Field::ArpSourceIp | Field::ArpSourceMac | Field::ArpTargetIp => &[("ether type", ARP)],
        Field::IpSource => &[("protocol", IP)],
        Field::Ip6Source => &[("protocol", IP6)],
        Field::Icmpv6Type => &[("ether type", IP6), ("l4proto", 58)],
        Field::RoutedIcmpv6Type => &[("l4proto", 58)],
        Field::UdpTarget => &[("l4proto", 17)],
        Field::EtherTarget
        | Field::EtherSource
        | Field::EtherType
        | Field::NetworkBits { .. }
        | Field::TransportBits { .. }
        | Field::L4Protocol
        | Field::InputBridge
        | Field::InputPort => &[],
    }
}

/// What a comparison says of what fields depend on.
fn says(matched: &Match) -> Option<(&'static str, u32)> {
    match (matched.operator, matched.mask, matched.field, matched.value) {
        (Operator::Equal, None, Field::EtherType, Value::EtherType(it)) => Some(("ether type", u32::from(it as u16))),
        (Operator::Equal, None, Field::L4Protocol, Value::Protocol(it)) => Some(("l4proto", u32::from(it))),
        _ => None,
    }
}

const LINK: i32 = libc::NFT_PAYLOAD_LL_HEADER;
const NETWORK: i32 = libc::NFT_PAYLOAD_NETWORK_HEADER;
const TRANSPORT: i32 = libc::NFT_PAYLOAD_TRANSPORT_HEADER;

/// Header, offset and length in octets of what is in the packet.
fn place(field: Field) -> Option<(i32, usize, usize)> {
    let octets = |bits: u16| usize::from(bits).div_ceil(8);
    Some(match field {
        // Two addresses of 6 octets, then the type.
        Field::EtherTarget => (LINK, 0, 6),
        Field::EtherSource => (LINK, 6, 6),
        Field::EtherType => (LINK, 12, 2),
        // RFC 826: types, lengths and operation are 8 octets, then addresses of 6 and 4 octets, twice.
        Field::ArpSourceMac => (NETWORK, 8, 6),
        Field::ArpSourceIp => (NETWORK, 14, 4),
        Field::ArpTargetIp => (NETWORK, 24, 4),
        // RFC 791, section 3.1; RFC 8200, section 3.
        Field::IpSource => (NETWORK, 12, 4),
        Field::Ip6Source => (NETWORK, 8, 16),
        Field::NetworkBits { offset, length } => (NETWORK, octets(offset), octets(length)),
        Field::TransportBits { offset, length } => (TRANSPORT, octets(offset), octets(length)),
        Field::Icmpv6Type | Field::RoutedIcmpv6Type => (TRANSPORT, 0, 1),
        Field::UdpTarget => (TRANSPORT, 2, 2),
        Field::L4Protocol | Field::InputBridge | Field::InputPort => return None,
    })
}

fn bytes_of(field: Field) -> usize {
    match field {
        Field::L4Protocol => 1,
        Field::InputBridge | Field::InputPort => libc::IFNAMSIZ,
        _ => place(field).unwrap().2,
    }
}

fn load_one(rule: &mut nftnl::Rule, field: Field, register: u32) {
    if let Some((header, offset, length)) = place(field) {
        let [offset, length] = [offset, length].map(|octets| u32::try_from(octets).unwrap());
        rule.add_expr(&Raw {
            name: "payload",
            numbers: vec![
                (sys::NFTNL_EXPR_PAYLOAD_DREG, register),
                (sys::NFTNL_EXPR_PAYLOAD_BASE, header.cast_unsigned()),
                (sys::NFTNL_EXPR_PAYLOAD_OFFSET, offset),
                (sys::NFTNL_EXPR_PAYLOAD_LEN, length),
            ],
            ..Raw::default()
        });
        return;
    }
    let key = match field {
        Field::L4Protocol => libc::NFT_META_L4PROTO,
        Field::InputBridge => libc::NFT_META_BRI_IIFNAME,
        _ => libc::NFT_META_IIFNAME,
    };
    let numbers = vec![(sys::NFTNL_EXPR_META_KEY, key.cast_unsigned()), (sys::NFTNL_EXPR_META_DREG, register)];
    rule.add_expr(&Raw { name: "meta", numbers, ..Raw::default() });
}

fn compare(rule: &mut nftnl::Rule, matched: &Match) {
    const NFT_BITWISE_BOOL: u32 = 0;
    let value = bytes(&matched.value);
    if let Some(mask) = matched.mask.map(|mask| mask.to_vec()) {
        rule.add_expr(&Raw {
            name: "bitwise",
            numbers: vec![
                (sys::NFTNL_EXPR_BITWISE_SREG, NFT_REG_1),
                (sys::NFTNL_EXPR_BITWISE_DREG, NFT_REG_1),
                (sys::NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL),
                (sys::NFTNL_EXPR_BITWISE_LEN, u32::try_from(value.len()).unwrap()),
            ],
            data: vec![(sys::NFTNL_EXPR_BITWISE_MASK, mask), (sys::NFTNL_EXPR_BITWISE_XOR, vec![0; value.len()])],
            ..Raw::default()
        });
    }
    match matched.operator {
        Operator::Equal => rule.add_expr(&nft_expr!(cmp == &value[..])),
        Operator::NotEqual => rule.add_expr(&nft_expr!(cmp != &value[..])),
    }
}

/// A value in network byte order; names padded as nft does it, with which nftnl's own would only match the same.
fn bytes(value: &Value) -> Vec<u8> {
    match *value {
        Value::Mac(mac) => mac.0.to_vec(),
        Value::Ipv4(address) => address.octets().to_vec(),
        Value::Ipv6(address) => address.octets().to_vec(),
        Value::EtherType(ether_type) => (ether_type as u16).to_be_bytes().to_vec(),
        Value::Icmpv6(message) => vec![message as u8],
        Value::Interface(name) => {
            let mut padded = name.as_str().as_bytes().to_vec();
            padded.resize(libc::IFNAMSIZ, 0);
            padded
        }
        Value::Interfaces(start) => start.as_str().as_bytes().to_vec(),
        Value::Protocol(number) => vec![number],
        Value::Port(port) => port.to_be_bytes().to_vec(),
        Value::Bits(bits) => bits.to_vec(),
    }
}

fn named(table: &Table, name: &str) -> RawSet {
    RawSet::new(table.name.as_str(), family(table.family), name)
}

/// What nft knows of types (its datatype.h), and what it keeps for each (expression.h, proto.h).
const TYPE_INTEGER: u32 = 4;
const TYPE_IPADDR: u32 = 7;
const TYPE_IP6ADDR: u32 = 8;
const TYPE_ETHERADDR: u32 = 9;
const TYPE_IFNAME: u32 = 41;
const BYTEORDER_HOST_ENDIAN: u32 = 1;
const BYTEORDER_BIG_ENDIAN: u32 = 2;
const EXPR_PAYLOAD: u32 = 7;
const EXPR_META: u32 = 9;
const EXPR_CONCAT: u32 = 13;
const PROTO_DESC_ETHER: u32 = 17;
const ETHHDR_SADDR: u32 = 2;
const PROTO_BASE_LL_HDR: u32 = 1;

/// A set with its type and all that nft tells the kernel about it.
fn described(table: &Table, set: &Set, id: u32) -> RawSet {
    let [interval, timeout, eval, concat] = [4, 0x10, 0x20, 0x80];
    let (fields, flags): (&[Field], u32) = match &set.elements {
        Elements::Ipv4(_) => (&[Field::IpSource], 0),
        Elements::Ipv6(_) => (&[Field::Ip6Source], 0),
        Elements::Keyed(keyed) => (keyed.fields, if keyed.interval { interval | concat } else { 0 }),
        Elements::Recorded(recorded) => (recorded.fields, timeout | eval),
    };
    let padded = |field: &Field| if fields.len() == 1 { bytes_of(*field) } else { bytes_of(*field).div_ceil(4) * 4 };
    let described = named(table, set.name.as_str())
        .number(sys::NFTNL_SET_FAMILY, family(table.family) as u32)
        .number(sys::NFTNL_SET_ID, id)
        .number(sys::NFTNL_SET_FLAGS, flags)
        .number(sys::NFTNL_SET_KEY_TYPE, fields.iter().fold(0, |joined, field| (joined << 6) + type_of(*field)))
        .number(sys::NFTNL_SET_KEY_LEN, u32::try_from(fields.iter().map(padded).sum::<usize>()).unwrap())
        .data(sys::NFTNL_SET_USERDATA, &user_data(&kept(fields)));
    match &set.elements {
        Elements::Keyed(keyed) => {
            let described = if keyed.counted { described.counted() } else { described };
            let lengths: Vec<_> = fields.iter().map(|field| u8::try_from(bytes_of(*field)).unwrap()).collect();
            if keyed.interval { described.data(sys::NFTNL_SET_DESC_CONCAT, &lengths) } else { described }
        }
        Elements::Recorded(recorded) => described
            .number(sys::NFTNL_SET_DESC_SIZE, recorded.size)
            .long_number(sys::NFTNL_SET_TIMEOUT, u64::from(recorded.timeout) * 1000),
        _ => described,
    }
}

fn type_of(field: Field) -> u32 {
    match field {
        Field::EtherSource | Field::ArpSourceMac => TYPE_ETHERADDR,
        Field::ArpSourceIp | Field::ArpTargetIp | Field::IpSource => TYPE_IPADDR,
        Field::Ip6Source => TYPE_IP6ADDR,
        Field::InputBridge | Field::InputPort => TYPE_IFNAME,
        _ => TYPE_INTEGER,
    }
}

/// What nft keeps of a set's key: its byte order, and how it was written.
fn kept(fields: &[Field]) -> Vec<UserData> {
    let [order, typeof_key] = [sys::NFTNL_UDATA_SET_KEYBYTEORDER, sys::NFTNL_UDATA_SET_KEY_TYPEOF].map(narrow);
    let has_no_type = fields.iter().any(|field| type_of(*field) == TYPE_INTEGER);
    match fields {
        [Field::InputPort | Field::InputBridge] => vec![UserData::Number(order, BYTEORDER_HOST_ENDIAN)],
        [only] if has_no_type => {
            vec![UserData::Number(order, BYTEORDER_BIG_ENDIAN), UserData::Nested(typeof_key, written(*only))]
        }
        [_] => vec![UserData::Number(order, BYTEORDER_BIG_ENDIAN)],
        // By its types alone, a concatenation is one of nothing.
        _ => {
            let part = |(index, field): (u8, &Field)| UserData::Nested(index, written(*field));
            let parts = if has_no_type { (0..).zip(fields).map(part).collect() } else { Vec::new() };
            vec![UserData::Number(order, 0), UserData::Nested(typeof_key, expression(EXPR_CONCAT, parts))]
        }
    }
}

fn narrow(attribute: u32) -> u8 {
    u8::try_from(attribute).unwrap()
}

fn expression(kind: u32, data: Vec<UserData>) -> Vec<UserData> {
    let [which, what] = [sys::NFTNL_UDATA_SET_TYPEOF_EXPR, sys::NFTNL_UDATA_SET_TYPEOF_DATA].map(narrow);
    vec![UserData::Number(which, kind), UserData::Nested(what, data)]
}

/// A field as nft keeps how it was written.
fn written(field: Field) -> Vec<UserData> {
    let numbers = |numbers: &[u32]| (0..).zip(numbers).map(|(kind, number)| UserData::Number(kind, *number)).collect();
    match (field, place(field)) {
        (Field::EtherSource, _) => expression(EXPR_PAYLOAD, numbers(&[PROTO_DESC_ETHER, ETHHDR_SADDR])),
        (_, Some((header, offset, length))) => {
            let bits = [offset, length].map(|octets| u32::try_from(octets * 8).unwrap());
            let base = PROTO_BASE_LL_HDR + header.cast_unsigned();
            expression(EXPR_PAYLOAD, numbers(&[0, 0, base, bits[0], bits[1]]))
        }
        (_, None) => expression(EXPR_META, numbers(&[libc::NFT_META_IIFNAME.cast_unsigned()])),
    }
}
