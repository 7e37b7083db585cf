//! `instances-pxe-filter`: the originals' configuration files and a command line that can say all the same, lowered to one
//! [`Config`].

mod config;

pub use config::{Config, FileNames, Mode, Request, Said};

/// The program's name, in messages.
pub const PROGRAM: &str = "instances-pxe-filter";
