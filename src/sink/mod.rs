//! Where plans go: files, replaced as a whole, and the kernel, in one transaction.

pub mod atomic_file;
#[cfg(feature = "pxe-filter")]
pub mod dhcp_hostsdir;
#[cfg(any(feature = "proxmox", feature = "pxe-filter"))]
pub mod dnsmasq;
#[cfg(feature = "proxmox")]
pub mod dnsmasq_dir;
#[cfg(any(feature = "proxmox", feature = "pxe-filter"))]
pub mod folder;
#[cfg(feature = "proxmox")]
pub mod lease_release;
pub mod nft_netlink;
pub mod nft_text;
#[cfg(any(feature = "nfdhcpd", feature = "proxmox"))]
pub mod packet_socket;
#[cfg(feature = "nfdhcpd")]
pub mod queue_rules;
