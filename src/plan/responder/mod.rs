//! What a guest is answered: from the binding of its tap and the packet that it sent to a reply, silence, or letting the
//! packet pass, each with its reason. No I/O, no clock, no randomness.

pub mod binding;
pub mod declined;
pub mod dhcp4;
pub mod dhcp6;
pub mod instance;
pub mod neighbor;
mod over_ipv6;
pub mod router;
pub mod rules;
pub mod settings;

pub use binding::Binding;
pub use declined::Declined;
pub use settings::Settings;

use crate::net::Mac;

/// Who asks, and through what it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// What is bound to its tap.
    pub binding: &'a Binding,
    /// MAC of the interface that answers come from ([`Binding::indev`], otherwise the tap): their Ethernet source, and
    /// what the responder's link-local address is derived from.
    pub responder: Mac,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is dropped, and the guest gets this Ethernet frame.
    Reply {
        /// The whole frame, from its destination on.
        frame: Vec<u8>,
        /// What it is, in a word for logs and metrics: `offer`, `ack`, `nak`, `advertise`, ...
        what: &'static str,
    },
    /// It is dropped without an answer.
    Silence(Reason),
    /// It goes its way: somebody else may answer.
    Pass(Reason),
}

/// Why there is no answer, in a few words without anything from the packet: a label of metrics, and for logs.
pub type Reason = &'static str;
