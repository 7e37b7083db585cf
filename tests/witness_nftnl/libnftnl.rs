//! The model as nftnl and libnftnl encode it, without any code of ours: numbers are theirs or written out from the
//! kernel's headers and the RFCs.
//!
//! Four things nftnl 0.9.4 has no words for, and libnftnl is asked for them directly: `meta ibrname`, the operation of
//! a bitwise expression, a set's flags and user data, and the flush of a set. That is all the `unsafe` here.
//! Not even libnftnl has NFNL_BATCH_GENID; `INTENDED` in main.rs names it. Comments longer than
//! [`LONGEST_COMMENT`] have no room in nftnl.

use instances::plan::ruleset::{
    Chain, Elements, EtherType, Family, Field, HookPoint, Icmpv6, Match, Rule, Ruleset, Set, Statement, Value, Verdict,
};
use instances::sink::nft_netlink::readback::TableState;
use ipnet::{Ipv4Net, Ipv6Net};
use nftnl::expr::{Bitwise, Expression, Icmpv6HeaderField, Meta, Payload, TransportHeaderField};
use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::set::SetKey;
use nftnl::{MsgType, NlMsg, ProtoFamily, nft_expr};
use std::ffi::{CString, c_void};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ptr::NonNull;

/// What is left of the 128 bytes that nftnl allots to a comment, without type, length and NUL.
pub(crate) const LONGEST_COMMENT: usize = 125;

/// The same transaction as `instances::sink::nft_netlink::batch::replace`.
pub(crate) fn batch(ruleset: &Ruleset, before: &[TableState]) -> Vec<u8> {
    let mut batch = nftnl::Batch::new();
    let mut set_ids = 1..;
    for (ours, before) in ruleset.tables.iter().zip(before) {
        let table = nftnl::Table::new(c_string(ours.name.as_str()), family(ours.family));
        batch.add(&table, MsgType::Add);
        for (name, _) in ours.absent_chains.iter().filter(|(name, _)| before.chains.contains_key(*name)) {
            let chain = nftnl::Chain::new(c_string(name), &table);
            batch.add(&nftnl::Rule::new(&chain), MsgType::Del);
            batch.add(&chain, MsgType::Del);
        }
        for ours in &ours.chains {
            let chain = chain(ours, &table);
            batch.add(&chain, MsgType::Add);
            if before.chains.contains_key(ours.name) {
                batch.add(&nftnl::Rule::new(&chain), MsgType::Del);
            }
            for ours in &ours.rules {
                batch.add(&rule(ours, &chain), MsgType::Add);
            }
        }
        for ours in &ours.sets {
            match &ours.elements {
                Elements::Ipv4(elements) => add_set(&mut batch, set_ids.next().unwrap(), ours, elements, &table),
                Elements::Ipv6(elements) => add_set(&mut batch, set_ids.next().unwrap(), ours, elements, &table),
            }
        }
    }
    batch.finalize().iter().flatten().copied().collect()
}

fn add_set<K: SetKey>(batch: &mut nftnl::Batch, id: u32, ours: &Set, elements: &[K], table: &nftnl::Table) {
    let name = c_string(ours.name.as_str());
    let mut set = nftnl::set::Set::<K>::new_named(&name, id, table, table.get_family());
    describe(&set);
    batch.add(&set, MsgType::Add);
    batch.add(&Flush(&set), MsgType::Del);
    for element in elements {
        set.add(element);
    }
    for message in set.elems_iter() {
        batch.add(&message, MsgType::Add);
    }
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
    for statement in &ours.statements {
        match statement {
            Statement::Match(matched) => {
                load(&mut rule, matched.field);
                compare(&mut rule, matched);
            }
            Statement::Counter => rule.add_expr(&nft_expr!(counter)),
            Statement::Verdict(verdict) => rule.add_expr(&match verdict {
                Verdict::Accept => nft_expr!(verdict accept),
                Verdict::Drop => nft_expr!(verdict drop),
                Verdict::Return => nft_expr!(verdict return),
                Verdict::Jump(chain) => nft_expr!(verdict jump c_string(chain)),
            }),
        }
    }
    if let Some(comment) = &ours.comment {
        rule.set_comment(c_string(comment.as_str())).unwrap();
    }
    rule
}

fn load(rule: &mut nftnl::Rule, field: Field) {
    match field {
        Field::EtherSource => rule.add_expr(&nft_expr!(payload ethernet saddr)),
        Field::EtherType => rule.add_expr(&nft_expr!(payload ethernet ethertype)),
        Field::ArpSourceIp => {
            rule.add_expr(&nft_expr!(payload ethernet ethertype));
            rule.add_expr(&nft_expr!(cmp == 0x0806_u16.to_be()));
            // RFC 826: types, lengths and operation are 8 octets, the sender's Ethernet address 6. Despite their names
            // in nftnl, offset and length are bytes.
            rule.add_expr(&nft_expr!(payload_raw nh 8 + 6, 4));
        }
        Field::NetworkBits { offset, length } => {
            let [offset, length] = [offset, length].map(|bits| u32::from(bits) / 8);
            rule.add_expr(&nft_expr!(payload_raw nh offset, length));
        }
        Field::Icmpv6Type => {
            rule.add_expr(&nft_expr!(meta l4proto));
            rule.add_expr(&nft_expr!(cmp == 58_u8));
            rule.add_expr(&Payload::Transport(TransportHeaderField::Icmpv6(Icmpv6HeaderField::Type)));
        }
        Field::InputBridge => {
            let key = libc::NFT_META_BRI_IIFNAME.cast_unsigned();
            rule.add_expr(&With(Meta::IifName, sys::NFTNL_EXPR_META_KEY, key));
        }
        Field::InputPort => rule.add_expr(&nft_expr!(meta iifname)),
    }
}

fn compare(rule: &mut nftnl::Rule, matched: &Match) {
    const NFT_BITWISE_BOOL: u32 = 0;
    let operation = (sys::NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    match (matched.value, matched.prefix) {
        (Value::Ipv4(address), Some(prefix)) => {
            let mask = Ipv4Net::new(address, prefix).unwrap().netmask();
            rule.add_expr(&With(Bitwise::new(mask, Ipv4Addr::UNSPECIFIED), operation.0, operation.1));
        }
        (Value::Ipv6(address), Some(prefix)) => {
            let mask = Ipv6Net::new(address, prefix).unwrap().netmask();
            rule.add_expr(&With(Bitwise::new(mask, Ipv6Addr::UNSPECIFIED), operation.0, operation.1));
        }
        (_, prefix) => assert_eq!(prefix, None, "only addresses have prefixes"),
    }
    match matched.value {
        Value::Mac(mac) => rule.add_expr(&nft_expr!(cmp == &mac.0[..])),
        Value::Ipv4(address) => rule.add_expr(&nft_expr!(cmp == address)),
        Value::Ipv6(address) => rule.add_expr(&nft_expr!(cmp == address)),
        Value::EtherType(EtherType::Arp) => rule.add_expr(&nft_expr!(cmp == 0x0806_u16.to_be())),
        Value::EtherType(EtherType::Ip6) => rule.add_expr(&nft_expr!(cmp == 0x86dd_u16.to_be())),
        Value::Icmpv6(Icmpv6::NeighborAdvertisement) => rule.add_expr(&nft_expr!(cmp == 136_u8)),
        Value::Interface(name) => {
            // nftnl's InterfaceName ends at the first NUL and would match the same; nft compares all 16 bytes, as we do.
            let mut padded = [0; libc::IFNAMSIZ];
            padded[..name.as_str().len()].copy_from_slice(name.as_str().as_bytes());
            rule.add_expr(&nft_expr!(cmp == &padded[..]));
        }
    }
}

/// An expression with one more attribute.
struct With<E>(E, u32, u32);

impl<E: Expression> Expression for With<E> {
    fn to_expr(&self, rule: &nftnl::Rule) -> NonNull<sys::nftnl_expr> {
        let expression = self.0.to_expr(rule);
        let attribute = u16::try_from(self.1).unwrap();
        // SAFETY: the expression was just made and nobody else has it; both attributes that we set are u32.
        unsafe { sys::nftnl_expr_set_u32(expression.as_ptr(), attribute, self.2) };
        expression
    }
}

/// Gives a set its flags, none, and the byte order of its keys, for nft.
fn describe<K>(set: &nftnl::set::Set<K>) {
    const BYTEORDER_BIG_ENDIAN: u32 = 2;
    let [flags, userdata] = [sys::NFTNL_SET_FLAGS, sys::NFTNL_SET_USERDATA].map(|it| u16::try_from(it).unwrap());
    let byte_order = u8::try_from(sys::NFTNL_UDATA_SET_KEYBYTEORDER).unwrap();
    let set = set.as_ptr().as_ptr();
    // SAFETY: the set lives in our caller; the buffer lives from alloc to free, and libnftnl copies out of it.
    unsafe {
        sys::nftnl_set_set_u32(set, flags, 0);
        let buffer = sys::nftnl_udata_buf_alloc(64);
        assert!(!buffer.is_null() && sys::nftnl_udata_put_u32(buffer, byte_order, BYTEORDER_BIG_ENDIAN));
        let (data, length) = (sys::nftnl_udata_buf_data(buffer), sys::nftnl_udata_buf_len(buffer));
        assert_eq!(sys::nftnl_set_set_data(set, userdata, data, length), 0);
        sys::nftnl_udata_buf_free(buffer);
    }
}

/// The end of all elements of a set: the removal of no element in particular.
struct Flush<'a, K>(&'a nftnl::set::Set<'a, K>);

// SAFETY: writes a header, two names and a number, which is less than the largest message.
unsafe impl<K> NlMsg for Flush<'_, K> {
    unsafe fn write(&self, buffer: *mut c_void, sequence: u32, _: MsgType) {
        let kind = u16::try_from(libc::NFT_MSG_DELSETELEM).unwrap();
        // SAFETY: our caller vouches for the buffer; the set has no elements yet, and lives for as long as `self`.
        unsafe {
            let header = sys::nftnl_nlmsg_build_hdr(buffer.cast(), kind, self.0.get_family() as u16, 0, sequence);
            sys::nftnl_set_elems_nlmsg_build_payload(header, self.0.as_ptr().as_ptr());
        }
    }
}
