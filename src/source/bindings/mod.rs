//! Binding files: what they say ([`file`]), the folder that they are in ([`folder`]), and which tap each is bound to
//! ([`store`]).

pub mod file;
pub mod folder;
pub mod store;

pub use store::{Bound, Event, News, Store};
