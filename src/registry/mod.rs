//! The registry: `P.json`, its lock, and the rules by which observations change it.
//!
//! [`model`] is what the file means, [`wire`] how it is spelled, [`merge`] what the actions do to it, [`lock`] who may
//! touch it, [`store`] how it is read and replaced, [`shared`] what two instances claim, [`bound`] how it follows binding files, [`probe`] how an event that
//! changes nothing is recognised without reading it.

pub mod bound;
pub mod lock;
mod merge;
mod model;
pub mod paths;
pub mod probe;
pub mod shared;
pub mod store;
pub mod wire;

pub use bound::Bound;
pub use merge::Amendment;
pub use model::{HostInterface, Instance, Registry};
