//! Rules and elements as the kernel dumps them.

use super::expr::{self, Expr};
use super::{kernel, nfgenmsg};
use crate::net::{Mac, Shown};
use crate::netlink::{Attributes, Connection, DumpError, Message, Writer};
use crate::plan::ruleset::{Comment, Entry, Field, Header, Key, Operator, Rule, Table};
use crate::sink::nft_text::ElementText;
use rustc_hash::{FxHashSet, FxHasher};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;

/// A rule that the kernel holds.
pub struct FoundRule<'a> {
    /// The kernel's number for it.
    pub handle: u64,
    expressions: Attributes<'a>,
    /// What nft keeps: perhaps a comment.
    userdata: Option<&'a [u8]>,
}

impl<'a> FoundRule<'a> {
    /// The rule of a dump's message.
    pub fn of(message: &Message<'a>) -> Self {
        let rule = message.attributes(kernel::NFGENMSG);
        Self {
            handle: long_number(&rule, kernel::RULE_HANDLE).unwrap_or_default(),
            expressions: rule.nested(kernel::RULE_EXPRESSIONS),
            userdata: rule.get(kernel::RULE_USERDATA),
        }
    }

    /// Its expressions.
    pub fn expressions(&self) -> impl Iterator<Item = Expr<'a>> {
        expr::read(self.expressions.clone())
    }

    /// The packets that its counters counted, in order.
    pub fn packets(&self) -> impl Iterator<Item = u64> + use<'a> {
        let counters = self.expressions.clone().map(|(_, expression)| Attributes(expression));
        let counters = counters.filter(|expression| expression.text(expr::EXPR_NAME) == Some("counter"));
        counters.filter_map(|counter| long_number(&counter.nested(expr::EXPR_DATA), kernel::COUNTER_PACKETS))
    }

    /// The Ethernet source that it wants, if it wants one.
    pub fn sender(&self) -> Option<Mac> {
        let mut is_loaded = false;
        for expression in self.expressions() {
            match expression {
                Expr::Compare(Operator::Equal, bytes) if is_loaded => return (*bytes).try_into().ok().map(Mac),
                Expr::Payload { base: Header::Link, offset: 6, length: 6, .. } => is_loaded = true,
                _ => is_loaded = false,
            }
        }
        None
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&'a str> {
        self.userdata.and_then(comment_of)
    }

    /// Whether it is this one.
    pub fn is(&self, planned: &Rule) -> bool {
        // Whatever else may be kept there, we would not have written it.
        let is_only_comment = self
            .userdata
            .is_none_or(|userdata| self.comment().is_some_and(|comment| userdata.len() == comment.len() + 3));
        is_only_comment
            && self.comment() == planned.comment.as_ref().map(Comment::as_str)
            && self.expressions().eq(expr::lower(&planned.statements))
    }

    /// A number that rules which are the same have in common.
    pub fn hash(&self) -> u64 {
        hash(self.expressions(), self.comment())
    }

    /// The same number of a planned rule.
    pub fn hash_of(planned: &Rule) -> u64 {
        hash(expr::lower(&planned.statements).into_iter(), planned.comment.as_ref().map(Comment::as_str))
    }
}

/// Shows all rules of a chain to `see`, once each, until it breaks off: the kernel shows some twice, and does not say so,
/// where somebody else's transaction that is still being made adds rules in front of them. After a break the rest is still
/// to be received: close the connection.
///
/// # Errors
/// [`DumpError`].
pub(super) fn dump_rules(
    connection: &mut Connection,
    table: &Table,
    chain: &str,
    mut see: impl FnMut(FoundRule) -> ControlFlow<()>,
) -> Result<(), DumpError> {
    let mut seen = FxHashSet::default();
    let in_chain = |writer: &mut Writer| {
        writer.text(kernel::RULE_TABLE, table.name.as_str());
        writer.text(kernel::RULE_CHAIN, chain);
    };
    connection.dump_while(kernel::GETRULE, &nfgenmsg(table.family), in_chain, |message| {
        let rule = FoundRule::of(&message);
        if seen.insert(rule.handle) { see(rule) } else { ControlFlow::Continue(()) }
    })
}

fn hash<'a>(expressions: impl Iterator<Item = Expr<'a>>, comment: Option<&str>) -> u64 {
    let mut hasher = FxHasher::default();
    expressions.for_each(|expression| expression.hash(&mut hasher));
    comment.hash(&mut hasher);
    hasher.finish()
}

/// Expressions in the form of `nft --debug=netlink`: what others write has no text of ours.
impl fmt::Display for FoundRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expressions().try_for_each(|expression| write!(f, " {expression:?}"))?;
        self.comment().map_or(Ok(()), |comment| write!(f, " comment \"{}\"", Shown(comment)))
    }
}

/// An element that the kernel holds.
pub struct FoundElement<'a> {
    /// Its key.
    pub key: Key,
    /// The last key of its range.
    pub last: Option<Key>,
    /// Its comment.
    pub comment: Option<&'a str>,
    /// Packets that it counted.
    pub packets: u64,
    /// Milliseconds after which it goes unless it is seen again; `None`: none, or those of its set.
    pub timeout: Option<u64>,
    /// Milliseconds until it goes.
    pub expires: Option<u64>,
    has_flags: bool,
}

impl<'a> FoundElement<'a> {
    /// The elements of a dump's message.
    pub fn all(message: &Message<'a>) -> impl Iterator<Item = Self> + use<'a> {
        let list = message.attributes(kernel::NFGENMSG).nested(kernel::SET_ELEM_LIST_ELEMENTS);
        list.map(|(_, element)| {
            let element = Attributes(element);
            let key = |kind| element.nested(kind).get(kernel::DATA_VALUE).map(Key::of_bytes);
            let counter = element.nested(kernel::SET_ELEM_EXPR).nested(expr::EXPR_DATA);
            Self {
                key: key(kernel::SET_ELEM_KEY).unwrap_or_else(|| Key::of_bytes(&[])),
                last: key(kernel::SET_ELEM_KEY_END),
                comment: element.get(kernel::SET_ELEM_USERDATA).and_then(comment_of),
                packets: long_number(&counter, kernel::COUNTER_PACKETS).unwrap_or_default(),
                timeout: long_number(&element, kernel::SET_ELEM_TIMEOUT),
                expires: long_number(&element, kernel::SET_ELEM_EXPIRATION),
                has_flags: element.get(kernel::SET_ELEM_FLAGS).is_some(),
            }
        })
    }

    /// Whether it is this one.
    pub fn is(&self, planned: &Entry) -> bool {
        let as_ref = Entry { key: self.key, last: self.last, comment: self.comment };
        as_ref == *planned && !self.has_flags
    }

    /// As text, for a set with such fields.
    pub fn text(&self, fields: &'static [Field]) -> String {
        let element = Entry { key: self.key, last: self.last, comment: None };
        let comment = self.comment.map(|comment| format!(" comment \"{}\"", Shown(comment)));
        format!("{}{}", ElementText { fields, element }, comment.unwrap_or_default())
    }
}

pub(super) fn long_number(attributes: &Attributes, kind: u16) -> Option<u64> {
    attributes.get(kind)?.try_into().ok().map(u64::from_be_bytes)
}

/// The comment in userdata, if it begins with one.
fn comment_of(userdata: &[u8]) -> Option<&str> {
    let [_, length, text @ ..] = userdata else { return None };
    let text = text.get(..usize::from(*length))?;
    str::from_utf8(text.strip_suffix(&[0])?).ok()
}
