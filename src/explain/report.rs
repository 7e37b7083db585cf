//! One line for each frame: for a person, or as JSON.

use super::summary::Summary;
use crate::net::{IfName, Mac, Name};
use crate::plan::claims;
use crate::plan::guard::{Guard, Protection, block};
use crate::plan::ruleset::{HookPoint, Rule};
use crate::plan::spec;
use crate::plan::verdict::{Found, Judgement, Step, Verdict};
use crate::registry::{Instance, Registry};
use crate::sink::nft_text::{ElementText, RuleText};
use ipnet::IpNet;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;

/// The version of the JSON: another one when something is taken away or changes its meaning.
const SCHEMA: u32 = 1;

/// What is known about a frame.
#[derive(Debug)]
pub(super) struct Report<'r> {
    /// Its place in the input, counted from 1.
    pub(super) number: usize,
    pub(super) port: Option<IfName>,
    pub(super) summary: Summary,
    /// Octets that were not captured.
    pub(super) missing: usize,
    pub(super) judgement: Judgement<'r>,
    pub(super) owners: &'r Owners<'r>,
}

/// Whose MACs and addresses are.
#[derive(Debug)]
pub(super) struct Owners<'r> {
    registry: &'r Registry,
    /// What says whether a link-local address comes of a MAC.
    guard: Guard,
    /// The first instance, in the registry's order, of each address.
    by_address: FxHashMap<IpAddr, Mac>,
    /// The prefixes of all, in that order.
    prefixes: Vec<(IpNet, Mac)>,
}

impl<'r> Owners<'r> {
    pub(super) fn new(registry: &'r Registry, guard: Guard) -> Self {
        let mut by_address = FxHashMap::default();
        let mut prefixes = Vec::new();
        for (mac, instance) in registry.iter() {
            for address in claims::addresses(mac, instance, guard) {
                by_address.entry(address).or_insert(mac);
            }
            prefixes.extend(claims::prefixes(instance).into_iter().map(|net| (net, mac)));
        }
        Self { registry, guard, by_address, prefixes }
    }

    fn name(&self, mac: Mac) -> Option<&Name> {
        self.registry.get(mac)?.name()
    }

    /// What the registry says about a frame's sender, as far as it explains a drop.
    fn note(&self, summary: &Summary, port: Option<IfName>) -> Option<String> {
        let source = summary.source?;
        let Some(instance) = self.registry.get(source) else { return Some(format!("{source} is not registered")) };
        if let Some(own) = instance.port().filter(|own| Some(*own) != port) {
            return Some(format!("{source} belongs behind port {own}"));
        }
        let claim = summary.claim.filter(|claim| !claim.is_unspecified())?;
        if self.may_claim(source, instance, claim) {
            return None;
        }
        let in_prefix = || self.prefixes.iter().find(|(net, _)| net.contains(&claim)).map(|(_, owner)| owner);
        match self.by_address.get(&claim).or_else(in_prefix) {
            Some(owner) => Some(format!("{claim} belongs to {}", Known(self, *owner))),
            None => Some(format!("{claim} belongs to no instance")),
        }
    }

    fn may_claim(&self, mac: Mac, instance: &Instance, claim: IpAddr) -> bool {
        claims::addresses(mac, instance, self.guard).any(|address| address == claim)
            || instance.allowed().iter().any(|net| net.contains(&claim))
    }
}

/// A MAC with its name.
struct Known<'o>(&'o Owners<'o>, Mac);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.1)?;
        self.0.name(self.1).map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

impl<'r> Report<'r> {
    /// The name of the protection that dropped the frame.
    fn protection(&self) -> Option<&'static str> {
        let Verdict::Dropped(_) = self.judgement.verdict else { return None };
        let chain = self.judgement.trace.last()?.chain;
        block::protection(chain).map(Protection::as_str).or_else(|| spec::protection(chain))
    }

    /// The rule that decided: the last, or the one that sent the frame to where it is counted and dropped.
    fn decision(&self) -> Option<&Step<'r>> {
        let decides = |step: &&Step| block::protection(step.chain).is_none();
        self.judgement.trace.iter().rev().find(decides)
    }

    /// The element that was found last.
    fn found(&self) -> Option<Found<'r>> {
        self.judgement.trace.iter().rev().find_map(|step| step.found)
    }

    /// What else there is to know.
    fn note(&self) -> Option<String> {
        let cut = (self.missing > 0).then(|| format!("{} octets were not captured", self.missing));
        let owner = match self.judgement.verdict {
            Verdict::Dropped(_) => self.owners.note(&self.summary, self.port),
            Verdict::Accepted | Verdict::Lost(_) => None,
        };
        let differs = "its extension headers end beyond it, which older kernels take for no protocol at all";
        let differs = self.judgement.is_ambiguous.then(|| differs.to_owned());
        let notes: Vec<_> = [owner, cut, differs].into_iter().flatten().collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// As one JSON object; `docs/explain.md` describes it.
    pub(super) fn json(&self) -> Value {
        let (verdict, hook, why) = match self.judgement.verdict {
            Verdict::Accepted => ("accepted", None, None),
            Verdict::Dropped(hook) => ("dropped", Some(hook_name(hook)), None),
            Verdict::Lost(why) => ("not forwarded", None, Some(why.to_string())),
        };
        let text = |mac: Option<Mac>| mac.map(|mac| mac.to_string());
        let name = self.summary.source.and_then(|source| self.owners.name(source));
        json!({
            "schema": SCHEMA,
            "frame": self.number,
            "port": self.port.map(|port| port.to_string()),
            "source": text(self.summary.source),
            "name": name.map(Name::as_str),
            "destination": text(self.summary.destination),
            "what": self.summary.what,
            "missing": self.missing,
            "verdict": verdict,
            "hook": hook,
            "why": why,
            "protection": self.protection(),
            "rule": self.decision().map(rule_json),
            "element": self.found().map(element_json),
            "note": self.note(),
            "trace": self.judgement.trace.iter().map(rule_json).collect::<Vec<_>>(),
        })
    }
}

fn hook_name(hook: HookPoint) -> &'static str {
    match hook {
        HookPoint::Prerouting => "prerouting",
        HookPoint::Input => "input",
        HookPoint::Forward => "forward",
    }
}

fn rule_json(step: &Step) -> Value {
    json!({
        "hook": hook_name(step.hook),
        "chain": step.chain,
        "number": step.number,
        "text": RuleOf(step.rule).to_string(),
        "element": step.found.map(element_json),
    })
}

fn element_json(found: Found) -> Value {
    json!({ "set": found.set.name.as_str(), "text": ElementOf(found).to_string() })
}

/// A rule as nft writes it.
struct RuleOf<'r>(&'r Rule<'r>);

impl fmt::Display for RuleOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", RuleText(&Rule { remark: None, ..self.0.clone() }))
    }
}

/// An element as nft writes it.
struct ElementOf<'f>(Found<'f>);

impl fmt::Display for ElementOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements = &self.0.set.elements;
        let element = elements.entry(self.0.index);
        element.map_or(Ok(()), |element| write!(f, "{}", ElementText { fields: elements.fields(), element }))
    }
}

/// As a line for a person.
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.number)?;
        match self.port {
            Some(port) => write!(f, "{port} ")?,
            None => f.write_str("- ")?,
        }
        if let (Some(source), Some(destination)) = (self.summary.source, self.summary.destination) {
            write!(f, "{} > {} ", Known(self.owners, source), Known(self.owners, destination))?;
        }
        write!(f, "{}: ", self.summary.what)?;
        match self.judgement.verdict {
            Verdict::Accepted => f.write_str("accepted")?,
            Verdict::Dropped(_) => write!(f, "dropped by {}", self.protection().unwrap_or("a rule"))?,
            Verdict::Lost(why) => write!(f, "not forwarded: {why}")?,
        }
        if let Some(note) = self.note() {
            write!(f, "; {note}")?;
        }
        if let Some(step) = self.decision() {
            write!(f, "; rule {} of {}: {}", step.number, step.chain, RuleOf(step.rule))?;
        }
        if let Some(found) = self.found() {
            write!(f, "; element of {}: {}", found.set.name, ElementOf(found))?;
        }
        Ok(())
    }
}
