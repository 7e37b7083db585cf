//! `[[network]]` and `[[record]]`: tables of which there may be many.

use super::document::Block;
use super::lookup::{Lookup, Said, SaidBlock};
use super::options as opt;
use super::options::{Described as _, Kind};
use super::values;
use super::written::{Source, Written};
use crate::net::{DomainName, IfName};
use crate::plan::dns_records::{Extra, Network, Vlan};

/// The networks, and the domain of what has none of its own.
pub(super) fn networks(lookup: &mut Lookup, domain: Option<&DomainName>) -> Vec<Network> {
    let blocks = blocks(lookup, "network");
    if let Some((prefixes, source)) = lookup.values(&opt::PREFIXES, None) {
        let is_both = !blocks.is_empty();
        match (&source, is_both) {
            (Source::File(..), true) => {
                let key = opt::PREFIXES.about().key();
                lookup
                    .wrong
                    .push(format!("{source}: {key} and [[network]] are both there: make it a [[network]], too"));
            }
            (_, true) => lookup.notices.push(format!("{source} is stronger than all [[network]] of the file")),
            _ => {}
        }
        let Some(domain) = domain else {
            if lookup.is_said(opt::DOMAIN.about()).is_none() {
                lookup.missing(opt::DOMAIN.about(), "the domain of guests' names, like lab");
            }
            return Vec::new();
        };
        return vec![Network { bridge: None, vlan: Vlan::Any, prefixes, domain: domain.clone() }];
    }
    if blocks.is_empty() && lookup.is_said(opt::PREFIXES.about()).is_none() {
        let what = "the networks that guests are in, like 10.0.0.0/23 (or [[network]] in the file)";
        lookup.missing(opt::PREFIXES.about(), what);
    }
    let mut networks: Vec<Network> = Vec::with_capacity(blocks.len());
    for block in &blocks {
        let Some(network) = network(lookup, block, domain) else { continue };
        let path = &lookup.document.path;
        if networks.iter().any(|other| {
            (&other.bridge, other.vlan) == (&network.bridge, network.vlan) && other.prefixes == network.prefixes
        }) {
            lookup.wrong.push(format!("{path}:{}: [[network]] is there twice: {network}", block.line));
        }
        networks.push(network);
    }
    networks
}

/// Further records.
pub(super) fn records(lookup: &mut Lookup, domain: Option<&DomainName>) -> Vec<Extra> {
    let mut records = Vec::new();
    for block in &blocks(lookup, "record") {
        let mut reader = Reader::new(lookup, block, "record");
        let name = reader.one("name", Kind::Text, values::domain);
        let addresses = reader.many("address", Kind::List, values::address);
        for (name, is_missing) in [("name", name.is_none()), ("address", addresses.is_empty())] {
            reader.needs(name, is_missing);
        }
        reader.done();
        let Some(name) = name else { continue };
        // As guests' names.
        let name = match domain.filter(|_| name.parent().is_none()) {
            Some(domain) => format!("{name}.{domain}").parse().unwrap_or(name),
            None => name,
        };
        records.extend(addresses.into_iter().map(|address| Extra { name: name.clone(), address }));
    }
    records
}

fn blocks(lookup: &Lookup, section: &str) -> Vec<Block> {
    lookup.document.blocks.iter().filter(|block| block.section == section).cloned().collect()
}

fn network(lookup: &mut Lookup, block: &Block, default: Option<&DomainName>) -> Option<Network> {
    let mut reader = Reader::new(lookup, block, "network");
    let bridge = reader.one("bridge", Kind::Text, values::interface);
    let vlan = reader.one("tag", Kind::Number, values::vlan);
    let prefixes = reader.many("prefixes", Kind::List, values::prefix);
    reader.needs("prefixes", prefixes.is_empty());
    let domain = reader.one("domain", Kind::Text, values::domain).or_else(|| default.cloned());
    let is_wrong = reader.lookup.is_said(opt::DOMAIN.about()).is_some();
    if domain.is_none() && !is_wrong {
        reader.needs("domain", true);
    }
    reader.done();
    let bridge = bridge.map(|bridge: IfName| bridge.to_string());
    Some(Network { bridge, vlan: vlan.unwrap_or(Vlan::Any), prefixes, domain: domain? })
}

/// Reads one table.
struct Reader<'l, 'a> {
    lookup: &'l mut Lookup<'a>,
    block: &'l Block,
    said: SaidBlock,
}

impl<'l, 'a> Reader<'l, 'a> {
    fn new(lookup: &'l mut Lookup<'a>, block: &'l Block, section: &'static str) -> Self {
        Self { lookup, block, said: SaidBlock { section, keys: Vec::new() } }
    }

    fn one<T>(&mut self, name: &'static str, kind: Kind, read: fn(&str) -> Result<T, String>) -> Option<T> {
        self.many(name, kind, read).into_iter().next()
    }

    fn many<T>(&mut self, name: &'static str, kind: Kind, read: fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(entry) = self.block.entries.iter().find(|entry| entry.name == name) else { return Vec::new() };
        let path = &self.lookup.document.path;
        let key = format!("[[{}]] {name}", self.said.section);
        match Written::of_kind(kind, &entry.value, path, entry.line) {
            Ok(written) => {
                let items = written.items.iter().map(|item| item.text.clone()).collect();
                let values = self.lookup.read(&key, false, &written, read);
                self.said.keys.push(Said { section: self.said.section, name, kind, items, source: written.source });
                values
            }
            Err(why) => {
                self.lookup.wrong.push(format!("{path}:{}: {key} is wrong: {why}", entry.line));
                Vec::new()
            }
        }
    }

    fn said(&self, name: &str) -> bool {
        self.block.entries.iter().any(|entry| entry.name == name)
    }

    /// Notes that something has to be there; what is there and wrong was noted.
    fn needs(&mut self, name: &str, is_missing: bool) {
        let is_empty = self.said.keys.iter().any(|said| said.name == name && said.items.is_empty());
        if is_missing && (is_empty || !self.said(name)) {
            let (path, line, section) = (&self.lookup.document.path, self.block.line, self.said.section);
            let also = if name == "domain" { ", or [names] domain for all" } else { "" };
            self.lookup.wrong.push(format!("{path}:{line}: [[{section}]] {name} is missing: write it here{also}"));
        }
    }

    fn done(self) {
        self.lookup.blocks.push(self.said);
    }
}
