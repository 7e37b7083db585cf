//! What goes wrong, and what people are told of it: when it begins, and when it is over.

use super::super::{Failure, Kind};
use super::answers::Outcome;
use super::{Rounds, Stale};

/// Nobody says that a privilege is missing: the list is but shorter.
pub(super) const NOBODY: &str = "the cluster's list of guests is empty: either no guest exists, or the token, or its user, lacks the privilege \
                      VM.Audit on /vms (the role PVEAuditor has it; with separated privileges both need it)";

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It keeps names from being right.
    Fault(String),
    /// Such a thing has ended.
    Over(String),
    /// Something about a guest is strange; all others go on.
    Odd(String),
}

/// What a failure is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Resources,
    /// The list is empty, and nobody is known who should be in it.
    Nobody,
    Ipam,
    Node(String),
    Config(u32),
    Addresses(u32),
}

impl Subject {
    pub(super) fn is_one_of_many(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Addresses(_))
    }

    /// Whether it is the same about another guest.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Rounds {
    /// That the list is empty though it came, and nobody is known: most likely the token may see no guest.
    pub fn nobody(&self) -> Option<&Failure> {
        self.troubles.get(&Subject::Nobody)
    }

    /// Something goes wrong: people are told when it begins, or becomes another.
    pub(super) fn trouble(&mut self, subject: Subject, failure: Failure, outcome: &mut Outcome) {
        let lacks = |subject: &Subject, failure: &Failure| failure.kind == Kind::Forbidden && subject.is_one_of_many();
        // A privilege that the token lacks it lacks for many guests: the first says it for all.
        let is_first = !self.troubles.iter().any(|(other, failure)| other.is_like(&subject) && lacks(other, failure));
        let is_fault = match subject {
            Subject::Resources | Subject::Nobody | Subject::Node(_) => true,
            Subject::Ipam => failure.kind == Kind::Forbidden,
            Subject::Config(_) | Subject::Addresses(_) => lacks(&subject, &failure) && is_first,
        };
        let before = self.troubles.insert(subject, failure.clone());
        if before.is_none_or(|before| before.kind != failure.kind) {
            outcome.notes.push(if is_fault { Note::Fault(failure.text) } else { Note::Odd(failure.text) });
        }
    }

    pub(super) fn end(&mut self, subject: &Subject, outcome: &mut Outcome) {
        let Some(ended) = self.troubles.remove(subject) else { return };
        let is_forbidden = |failure: &Failure| failure.kind == Kind::Forbidden;
        let text = match subject {
            Subject::Resources => "the list of guests comes again".to_owned(),
            Subject::Nobody => "there are guests in the list".to_owned(),
            Subject::Node(name) => format!("the node {name} answers again"),
            Subject::Ipam if is_forbidden(&ended) => "the SDN's addresses may be read".to_owned(),
            Subject::Config(_) | Subject::Addresses(_)
                if is_forbidden(&ended)
                    && !self
                        .troubles
                        .iter()
                        .any(|(other, failure)| other.is_like(subject) && is_forbidden(failure)) =>
            {
                let what = if matches!(subject, Subject::Config(_)) { "configurations" } else { "addresses" };
                format!("all guests' {what} may be read")
            }
            Subject::Ipam | Subject::Config(_) | Subject::Addresses(_) => return,
        };
        outcome.notes.push(Note::Over(text));
    }

    /// Since when what is known of a guest could not be looked at, and why.
    pub fn stale(&self, vmid: u32) -> Option<Stale> {
        let own = self.guests.get(&vmid)?.stale.clone();
        let failing = self.troubles.get(&Subject::Resources);
        let list = self.listing.failing_since.zip(failing);
        own.or_else(|| list.map(|(since, failure)| Stale { since, why: failure.text.clone() }))
    }
}
