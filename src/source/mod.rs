//! Where observations come from. dnsmasq's own come in by the command line ([`crate::cli::update`]).

#[cfg(any(feature = "proxmox", feature = "pxe-filter"))]
pub mod backoff;
#[cfg(feature = "nfdhcpd")]
pub mod bindings;
pub mod bridge_ports;
#[cfg(feature = "pxe-filter")]
pub mod clouds_yaml;
#[cfg(feature = "pxe-filter")]
pub mod ethoib;
pub mod folder_watch;
pub mod host_iface;
#[cfg(any(feature = "proxmox", feature = "pxe-filter"))]
pub(crate) mod http;
#[cfg(feature = "pxe-filter")]
pub mod ironic;
#[cfg(feature = "proxmox")]
pub mod leases;
#[cfg(feature = "nfdhcpd")]
pub mod links;
#[cfg(feature = "proxmox")]
pub mod neighbors;
#[cfg(feature = "nfdhcpd")]
pub mod nfdhcpd_conf;
#[cfg(feature = "nfdhcpd")]
pub mod nfqueue;
#[cfg(feature = "pxe-filter")]
pub mod oslo_conf;
#[cfg(feature = "proxmox")]
pub mod proxmox;
pub(crate) mod rtnetlink;
#[cfg(feature = "nfdhcpd")]
pub mod served;
