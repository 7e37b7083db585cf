//! What the kernel will do with a frame under a planned policy, and by which rule and element: the model's own evaluation,
//! without a kernel. No I/O, no clock.
//!
//! [`path`] is what the bridge does before nf_tables sees a frame, [`packet`] is the frame as nf_tables sees it, `ipv6` walks
//! extension headers as it does, `sets` looks elements up. [`Evaluator`] goes through base chains, rules and statements.
//!
//! Limits: of what follows nf_tables (port isolation, VLAN filtering, multicast snooping) nothing is known here. On a bridge
//! with VLAN filtering, the `spec` chains on input and forward may see the port's VLAN as a tag. A set of offenders is
//! taken for one that has room; a full one costs no more than the record.

mod evaluator;
mod ipv6;
pub mod packet;
pub mod path;
mod sets;

pub use evaluator::{Evaluator, Found, Judgement, Step, Verdict};
pub use packet::Frame;
pub use path::Lost;
