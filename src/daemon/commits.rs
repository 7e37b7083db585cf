//! Other people's changes of the kernel's ruleset, from nf_tables' multicast group.
//!
//! For each commit the kernel sends what was changed and then, as NEWGEN, the new generation and whose commit it was.
//! We know the generation that holds our policy, verified: commits up to it are our own or older, the next one is
//! somebody else's. If it names nothing of ours, the policy is verified for its generation, too, and nothing has to be
//! read. Whatever is not sure (a gap, a lost message) is.

use crate::error::{Error, Result, in_words};
use crate::netlink::group::{Came, Group, Kind};
use crate::netlink::{Message, Messages};
use crate::plan::ruleset::Ruleset;
use crate::sink::nft_netlink::expr::Expr;
use crate::sink::nft_netlink::found::FoundRule;
use crate::sink::nft_netlink::{kernel, nfgenmsg};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::net::netlink::NETFILTER;
use std::collections::HashSet;
use std::fmt;

/// NFNLGRP_NFTABLES, as a bit. Events that get lost cost a comparison; none is longer.
const GROUP: Kind = Kind { family: Some(NETFILTER), groups: 1 << (7 - 1), queue: 4 << 20, longest: 1 << 16 };

const DELTABLE: u16 = kernel::SUBSYSTEM | 2;
const DELSET: u16 = kernel::SUBSYSTEM | 0xb;
const NEWGEN: u16 = kernel::SUBSYSTEM | 0xf;
const GEN_PROC_PID: u16 = 2;
const GEN_PROC_NAME: u16 = 3;
/// In all kinds of messages.
const TABLE: u16 = 1;

/// The names in the kernel that are ours.
#[derive(Debug, Default)]
pub struct Ours(Vec<Place>);

#[derive(Debug)]
struct Place {
    family: u8,
    table: String,
    chains: HashSet<String>,
    sets: HashSet<String>,
    set_endings: &'static [&'static str],
    /// Whether it takes other people's jumps to put the policy in force.
    needs_jumps: bool,
}

impl Ours {
    /// What is ours in this ruleset.
    pub fn of(ruleset: &Ruleset) -> Self {
        let places = ruleset.tables.iter().map(|table| {
            let absent = table.absent_chains.iter().map(|(name, _)| *name);
            let absent_sets = table.absent_sets.iter().copied();
            Place {
                family: nfgenmsg(table.family)[0],
                table: table.name.as_str().to_owned(),
                chains: table.chains.iter().map(|chain| chain.name).chain(absent).map(str::to_owned).collect(),
                sets: table.sets.iter().map(|set| set.name.as_str()).chain(absent_sets).map(str::to_owned).collect(),
                set_endings: table.set_endings,
                needs_jumps: !table.protections.is_empty() && table.chains.iter().all(|chain| chain.hook.is_none()),
            }
        });
        Self(places.collect())
    }

    fn include(&self, message: &Message) -> bool {
        let attributes = message.attributes(kernel::NFGENMSG);
        let family = message.body.first().copied().unwrap_or_default();
        let table = attributes.text(TABLE).unwrap_or_default();
        let mut places = self.0.iter().filter(|place| place.family == family && place.table == table);
        places.any(|place| match message.kind {
            kernel::NEWTABLE | DELTABLE => true,
            kernel::NEWCHAIN | kernel::DELCHAIN => place.has_chain(attributes.text(kernel::CHAIN_NAME)),
            kernel::NEWRULE | kernel::DELRULE => {
                place.has_chain(attributes.text(kernel::RULE_CHAIN)) || (place.needs_jumps && leads_on(message))
            }
            kernel::NEWSET | DELSET => place.has_set(attributes.text(kernel::SET_NAME)),
            kernel::NEWSETELEM | kernel::DELSETELEM => place.has_set(attributes.text(kernel::SET_ELEM_LIST_SET)),
            // Stateful objects, flow tables: we have none.
            _ => false,
        })
    }
}

/// Whether a rule leads to other chains. Elements of verdict maps may do so, too: those are not looked at.
fn leads_on(message: &Message) -> bool {
    FoundRule::of(message).expressions().any(|expression| match expression {
        Expr::Verdict { chain, .. } => chain.is_some(),
        Expr::VerdictMap => true,
        _ => false,
    })
}

impl Place {
    fn has_chain(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| self.chains.contains(name))
    }

    fn has_set(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| self.sets.contains(name) || self.set_endings.iter().any(|ending| name.ends_with(ending)))
    }
}

/// Who changed the ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    name: String,
    id: u32,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", crate::net::Shown(&self.name), self.id)
    }
}

/// Which generation holds our policy, and what became of it since.
#[derive(Debug, Default)]
pub struct Follower {
    ours: Ours,
    held: Option<u32>,
    /// The commit whose messages come in touches what is ours, or messages of it may be lost.
    touched: bool,
    by: Option<Process>,
}

impl Follower {
    /// From now on the policy of which this is the part that is ours is known to be held since `generation`.
    pub fn hold(&mut self, ours: Ours, generation: u32) {
        self.ours = ours;
        self.held = Some(generation);
        self.by = None;
    }

    /// The generation for which the policy is known to be in the kernel.
    pub fn held(&self) -> Option<u32> {
        self.held
    }

    /// Whose commit was the last that may have changed what is ours.
    pub fn by(&self) -> Option<&Process> {
        self.by.as_ref()
    }

    /// Takes in a datagram; whether what is ours may have been changed.
    pub fn see(&mut self, datagram: &[u8]) -> bool {
        let mut changed = false;
        for message in Messages(datagram) {
            if message.kind == NEWGEN {
                changed |= self.see_generation(&message);
            } else {
                self.touched = self.touched || self.ours.include(&message);
            }
        }
        changed
    }

    fn see_generation(&mut self, message: &Message) -> bool {
        let attributes = message.attributes(kernel::NFGENMSG);
        let touched = std::mem::take(&mut self.touched);
        let Some(generation) = attributes.number(kernel::GEN_ID) else { return true };
        if let Some(held) = self.held {
            match generation.wrapping_sub(held).cast_signed() {
                // Our own, or one that we have seen when we compared.
                ..=0 => return false,
                1 if !touched => {
                    self.held = Some(generation);
                    return false;
                }
                _ => {}
            }
        }
        let name = attributes.text(GEN_PROC_NAME).unwrap_or("?").to_owned();
        self.by = attributes.number(GEN_PROC_PID).map(|id| Process { name, id });
        true
    }

    /// Messages were lost; perhaps some of a commit whose last one is still to come.
    fn lose(&mut self) {
        self.touched = true;
    }
}

/// The listener.
pub struct Commits(Group);

/// What the socket brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that concerns us.
    Nothing,
    /// What is ours may have been changed.
    Change,
    /// Messages were lost: compare generations.
    Loss,
}

impl Commits {
    /// Joins the group. Do so before the ruleset is read for the first time.
    ///
    /// # Errors
    /// No permission, or no nf_tables.
    pub fn listen() -> Result<Self> {
        Group::listen(&GROUP).map(Self).map_err(|error| {
            let message = format!("cannot listen to changes of the kernel's ruleset: {}", in_words(&error.into()));
            Error::new(message).remedy("run as root, or with CAP_NET_ADMIN")
        })
    }

    /// Takes in all that has come.
    ///
    /// # Errors
    /// The socket failed.
    pub fn drain(&mut self, follower: &mut Follower) -> Result<Seen> {
        let mut seen = Seen::Nothing;
        let ended = self.0.drain(|came| match came {
            Came::Datagram(datagram, is_cut) => {
                if is_cut {
                    follower.lose();
                }
                if follower.see(datagram) && seen == Seen::Nothing {
                    seen = Seen::Change;
                }
            }
            Came::Loss => {
                follower.lose();
                seen = Seen::Loss;
            }
        });
        ended.map(|()| seen).map_err(|error| {
            let message = format!("no more news of the kernel's ruleset: {}", in_words(&error.into()));
            Error::new(message).remedy("start again")
        })
    }
}

impl AsFd for Commits {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Writer;
    use crate::plan::guard::Guard;
    use crate::plan::layout::Layout;
    use crate::plan::policy::{Hooking, Wishes, ruleset};
    use crate::plan::ruleset::Family;
    use crate::registry::Registry;

    const BRIDGE: u8 = 7;
    const INET: u8 = 1;

    /// A follower that knows our policy to be held in generation 10.
    fn follower() -> Follower {
        let table = "instances".parse().expect("a name");
        let sets_into = vec![(Family::Inet, "filter".parse().expect("a name"))];
        let wishes = Wishes {
            table,
            guard: Guard::strict(),
            layout: Layout::Sets,
            log: false,
            set_names: vec![],
            hook: Hooking::Remove,
            sets_into,
        };
        let registry = Registry::default();
        let mut follower = Follower::default();
        follower.hold(Ours::of(&ruleset(&registry, &wishes)), 10);
        follower
    }

    fn message(kind: u16, family: u8, attributes: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.message(kernel::SUBSYSTEM | kind, 0, 0, &[family, 0, 0, 0], attributes);
        writer.finish().expect("fits")
    }

    fn about(kind: u16, family: u8, table: &str, (attribute, name): (u16, &str)) -> Vec<u8> {
        message(kind, family, |writer| {
            writer.text(TABLE, table);
            writer.text(attribute, name);
        })
    }

    fn generation(id: u32) -> Vec<u8> {
        message(NEWGEN & 0xff, 0, |writer| {
            writer.number(kernel::GEN_ID, id);
            writer.number(GEN_PROC_PID, 4711);
            writer.text(GEN_PROC_NAME, "nft");
        })
    }

    /// Whether a foreign commit of this one message concerns us.
    #[allow(clippy::needless_pass_by_value, reason = "a test's helper")]
    fn concerns(what: Vec<u8>) -> bool {
        let mut follower = follower();
        assert!(!follower.see(&what), "before the commit is complete");
        let concerns = follower.see(&generation(11));
        assert_eq!(follower.held(), Some(if concerns { 10 } else { 11 }));
        assert_eq!(follower.by().map(ToString::to_string), concerns.then(|| "nft (process 4711)".to_owned()));
        concerns
    }

    #[test]
    fn commits_to_what_is_ours_concern_us_and_others_do_not() {
        let (chain, rule, set) = (3, 2, 2);
        assert!(concerns(about(2, BRIDGE, "instances", (9, ""))), "table deleted");
        assert!(!concerns(about(2, INET, "instances", (9, ""))), "another family's");
        assert!(concerns(about(5, BRIDGE, "instances", (chain, "instances_drop_arp"))), "chain deleted");
        assert!(!concerns(about(3, BRIDGE, "instances", (chain, "forward"))), "a chain of theirs");
        assert!(concerns(about(8, BRIDGE, "instances", (rule, "instances_drop_ndp"))), "rule deleted");
        assert!(
            concerns(about(6, BRIDGE, "instances", (rule, "instances_forward"))),
            "rule in a chain that must not be"
        );
        assert!(!concerns(about(8, BRIDGE, "instances", (rule, "forward"))), "a rule of theirs");
        assert!(concerns(about(14, BRIDGE, "instances", (set, "all_v4.instance"))), "element deleted");
        assert!(concerns(about(12, INET, "filter", (set, "all_v4.instance"))), "element added elsewhere");
        assert!(concerns(about(12, INET, "filter", (set, "retired.v4.instance"))), "a set that is kept empty");
        assert!(concerns(about(12, BRIDGE, "instances", (set, "instances_ip"))), "a claim added");
        assert!(
            concerns(about(12, BRIDGE, "instances", (set, "instances_bound"))),
            "a set of the guard that is kept empty"
        );
        assert!(concerns(about(8, BRIDGE, "instances", (rule, "instances_block_arp"))), "a rule of the guard deleted");
        assert!(!concerns(about(12, INET, "filter", (set, "banned"))), "a set of theirs");
        assert!(!concerns(about(18, BRIDGE, "instances", (2, "counter"))), "a stateful object");
    }

    #[test]
    fn our_own_commits_do_not_wake_us() {
        let mut follower = follower();
        for id in [9, 10] {
            assert!(!follower.see(&about(6, BRIDGE, "instances", (2, "instances_drop_arp"))));
            assert!(!follower.see(&generation(id)));
        }
        // And what they touched is not laid to the next one's charge.
        assert!(!follower.see(&generation(11)));
        assert_eq!(follower.held(), Some(11));
    }

    #[test]
    fn a_gap_or_a_loss_is_not_trusted() {
        assert!(follower().see(&generation(12)));
        let mut follower = follower();
        follower.lose();
        assert!(follower.see(&generation(11)));
    }

    #[test]
    fn generations_may_wrap() {
        let mut follower = follower();
        follower.held = Some(u32::MAX);
        assert!(!follower.see(&generation(u32::MAX - 1)));
        assert!(follower.see(&generation(1)), "0 is left out, which looks like a gap");
    }
}
