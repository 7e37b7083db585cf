//! From registry to policy: what the kernel and the files should hold. No I/O, no clock.
//!
//! [`ruleset`] is the model. [`claims`] are the sets of who may claim what, [`spec`] are the original's two chains, [`guard`]
//! the stricter protections, [`layout`] puts rules in the place of sets, [`address_sets`] are the sets for people's own
//! rules, [`log`] has drops logged, [`hooks`] puts the protections in force, [`uplinks`] says where that would be a mistake,
//! [`groups`] what no rule sees, [`hosts`] is the hosts file. [`policy`] puts them together, [`diff`] says what has to change
//! where a policy is held already, and [`parts`] which instances it takes to know that.
//!
//! [`responder`] answers guests' packets from what is bound to their taps. `pxe_access` says who may boot from the inspection network.
//! [`guest`] are Proxmox VE's guests,
//! [`dns_records`] their names in DNS, [`dnsmasq_conf`] the configuration of a dnsmasq that is ours.

pub mod address_sets;
pub mod claims;
pub mod diff;
pub mod dns_records;
pub mod dnsmasq_conf;
pub mod groups;
pub mod guard;
pub mod guest;
pub mod hooks;
pub mod hosts;
pub mod layout;
pub mod log;
pub mod parts;
pub mod policy;
#[cfg(feature = "pxe-filter")]
pub mod pxe_access;
pub mod responder;
pub mod ruleset;
pub mod spec;
pub mod uplinks;
pub mod verdict;
