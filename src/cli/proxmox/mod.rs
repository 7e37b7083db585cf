//! `instances-proxmox`: the variables that PVE-Leazzard has, a TOML file for what they cannot say, and flags, lowered to one [`Config`].

mod config;

pub use config::{Config, Dnsmasq, Hearing, Mode, Request};

/// The program's name, in messages.
pub const PROGRAM: &str = "instances-proxmox";

/// The configuration file that is read if none is named.
pub const CONFIGURATION: &str = "/etc/instances/proxmox.toml";
