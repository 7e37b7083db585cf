//! What stays running. [`watch`] is the loop of `instances-process --watch`; what it does next is decided by
//! [`schedule`], a value without clock or I/O, from what [`folder`] (inotify), [`commits`] (nf_tables' events), [`links`]
//! (ports of bridges), both by way of [`crate::netlink::group`], and [`signals`] bring. [`policy`] is one attempt: read, plan, load, write. [`supervisor`] is told about it.
//!
//! `nfdhcpd` is the responder: its loop, and what it needs besides packets. `pxe_filter` is the loop between Ironic and
//! dnsmasq. `proxmox` is what stands between a Proxmox VE cluster and dnsmasq. `endpoint` is where Prometheus asks any of them.

#[cfg(any(feature = "proxmox", feature = "pxe-filter"))]
pub mod asked;
pub mod commits;
#[cfg(any(feature = "nfdhcpd", feature = "proxmox", feature = "pxe-filter"))]
pub mod endpoint;
pub mod folder;
pub mod links;
#[cfg(any(feature = "proxmox", feature = "pxe-filter"))]
pub mod log;
mod metrics;
#[cfg(feature = "nfdhcpd")]
pub mod nfdhcpd;
#[cfg(any(feature = "proxmox", feature = "pxe-filter"))]
pub mod one_thread;
pub mod policy;
#[cfg(feature = "proxmox")]
pub mod proxmox;
#[cfg(feature = "pxe-filter")]
pub mod pxe_filter;
pub mod schedule;
pub mod signals;
#[cfg(any(feature = "nfdhcpd", feature = "proxmox", feature = "pxe-filter"))]
pub mod stderr;
pub mod supervisor;
pub mod watch;
