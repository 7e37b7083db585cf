//! Base chains, rules and statements, in the order in which the kernel goes through them (nft_do_chain).

use super::packet::{Frame, Packet};
use super::path::{Lost, Path};
use super::sets::{self, Index};
use crate::plan::ruleset::{self, Chain, HookPoint, Match, Operator, Rule, Set, Statement, Table};
use rustc_hash::FxHashMap;

/// A table made ready for judging frames.
#[derive(Debug)]
pub struct Evaluator<'t> {
    table: &'t Table<'t>,
    chains: FxHashMap<&'static str, &'t Chain<'t>>,
    sets: FxHashMap<&'t str, Index<'t>>,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This table lets it through.
    Accepted,
    /// This table drops it, at this hook.
    Dropped(HookPoint),
    /// The bridge does not forward it, whatever the table says.
    Lost(Lost),
}

/// What becomes of a frame, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement<'t> {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Each rule that came to a verdict (jumps included), in order.
    pub trace: Vec<Step<'t>>,
    /// Whether other kernels than the newest may see the frame differently; see [`Packet::is_ambiguous`].
    pub is_ambiguous: bool,
}

/// A rule that came to a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'t> {
    /// The hook at which the frame was.
    pub hook: HookPoint,
    /// The rule's chain.
    pub chain: &'static str,
    /// Its place there, counted from 1.
    pub number: usize,
    /// The rule.
    pub rule: &'t Rule<'t>,
    /// What it looked up and found.
    pub found: Option<Found<'t>>,
}

/// An element that was looked up and found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found<'t> {
    /// The set.
    pub set: &'t Set<'t>,
    /// The element's index in it.
    pub index: usize,
}

/// Jumps within each other at most (NFT_JUMP_STACK_SIZE), and chains for one frame: the kernel takes no loops.
const DEEPEST: usize = 16;
const MOST_CHAINS: usize = 1024;

/// The order of hooks; a frame for a group comes by all.
const HOOKS: [HookPoint; 3] = [HookPoint::Prerouting, HookPoint::Forward, HookPoint::Input];
/// What decides where the guard is in force: on input it only looks at frames that are for bridges.
const GUARDED: [HookPoint; 2] = [HookPoint::Prerouting, HookPoint::Forward];

impl<'t> Evaluator<'t> {
    /// For this table, which is of the bridge family.
    pub fn new(table: &'t Table<'t>) -> Self {
        Self {
            table,
            chains: table.chains.iter().map(|chain| (chain.name, chain)).collect(),
            sets: table.sets.iter().map(|set| (set.name.as_str(), Index::new(set))).collect(),
        }
    }

    /// What becomes of a frame.
    pub fn judge(&self, frame: &Frame) -> Judgement<'t> {
        let packet = Packet::of(frame);
        let mut trace = Vec::new();
        let (hooks, otherwise): (&[HookPoint], _) = match Path::of(frame) {
            Path::Bridged if self.is_guarded() => (&GUARDED, Verdict::Accepted),
            Path::Bridged => (&HOOKS, Verdict::Accepted),
            Path::Input(lost) => (&[HookPoint::Input], Verdict::Lost(lost)),
            Path::Unseen(lost) => (&[], Verdict::Lost(lost)),
        };
        let drops = hooks.iter().find(|hook| self.drops(&packet, **hook, &mut trace));
        let verdict = drops.map_or(otherwise, |hook| Verdict::Dropped(*hook));
        Judgement { verdict, trace, is_ambiguous: packet.is_ambiguous() }
    }

    fn is_guarded(&self) -> bool {
        let mut hooks = self.table.chains.iter().filter_map(|chain| chain.hook);
        hooks.any(|hook| hook.point == HookPoint::Prerouting)
    }

    /// Whether one of the base chains on a hook drops the packet.
    fn drops(&self, packet: &Packet, hook: HookPoint, trace: &mut Vec<Step<'t>>) -> bool {
        let on_hook = |chain: &&'t Chain<'t>| chain.hook.is_some_and(|of| of.point == hook);
        let mut base_chains: Vec<_> = self.table.chains.iter().filter(on_hook).collect();
        base_chains.sort_by_key(|chain| chain.hook.map(|hook| hook.priority));
        base_chains.into_iter().any(|chain| self.base_chain_drops(packet, hook, chain, trace))
    }

    fn base_chain_drops(
        &self,
        packet: &Packet,
        hook: HookPoint,
        base_chain: &'t Chain<'t>,
        trace: &mut Vec<Step<'t>>,
    ) -> bool {
        // Where to go on: chain and index of the rule. The last is where we are.
        let mut stack = vec![(base_chain, 0)];
        let mut chains = 0;
        while let Some((chain, index)) = stack.pop() {
            let Some(rule) = chain.rules.get(index) else { continue };
            stack.push((chain, index + 1));
            let Some((verdict, found)) = self.rule(packet, rule) else { continue };
            trace.push(Step { hook, chain: chain.name, number: index + 1, rule, found });
            let target = match verdict {
                ruleset::Verdict::Accept => return false,
                ruleset::Verdict::Drop => return true,
                ruleset::Verdict::Return => {
                    stack.pop();
                    continue;
                }
                ruleset::Verdict::Jump(target) => target,
                ruleset::Verdict::Goto(target) => {
                    stack.pop();
                    target
                }
            };
            chains += 1;
            match self.chains.get(target) {
                Some(chain) if stack.len() <= DEEPEST && chains < MOST_CHAINS => stack.push((chain, 0)),
                // No such plan is ever loaded.
                _ => return true,
            }
        }
        false
    }

    /// The rule's verdict and what it found, unless it stops before.
    fn rule(&self, packet: &Packet, rule: &Rule) -> Option<(ruleset::Verdict, Option<Found<'t>>)> {
        let mut found = None;
        for statement in &rule.statements {
            match statement {
                Statement::Match(matched) => matches(packet, matched).then_some(())?,
                Statement::Lookup { fields, set } => {
                    let index = self.sets.get(set)?;
                    let element = index.find(&sets::key(packet, fields)?)?;
                    found = Some(Found { set: index.set, index: element });
                }
                Statement::Record { fields, .. } => drop(sets::key(packet, fields)?),
                // Rules of ours that are limited only log.
                Statement::Counter | Statement::Limit { .. } | Statement::Log { .. } => {}
                // The program behind it may drop it; it is none of the policies'.
                Statement::Queue { .. } => return Some((ruleset::Verdict::Accept, found)),
                Statement::Verdict(verdict) => return Some((*verdict, found)),
            }
        }
        None
    }
}

/// As the kernel compares: the masked field with the value as it is.
fn matches(packet: &Packet, matched: &Match) -> bool {
    let Some(field) = packet.field(matched.field) else { return false };
    let mask = matched.mask;
    let kept = |(index, byte): (usize, &u8)| match &mask {
        Some(mask) => byte & mask.get(index).copied().unwrap_or_default(),
        None => *byte,
    };
    let equal = field.iter().enumerate().map(kept).eq(matched.value.bytes().iter().copied());
    equal == (matched.operator == Operator::Equal)
}
