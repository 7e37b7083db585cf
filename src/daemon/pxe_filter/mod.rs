//! `instances-pxe-filter`: keeps dnsmasq's `dhcp-hostsdir` in step with Ironic. [`filter`] is what it does, [`agenda`] when, each
//! without knowing where Ironic and the folder are.

pub mod agenda;
pub mod commands;
pub mod filter;
pub mod metrics;
pub mod status;
pub mod tidy;
