//! Where plans go: files, replaced as a whole, and the kernel, in one transaction.

pub mod atomic_file;
#[cfg(feature = "pxe-filter")]
pub mod dhcp_hostsdir;
pub mod nft_netlink;
pub mod nft_text;
#[cfg(any(feature = "nfdhcpd", feature = "proxmox"))]
pub mod packet_socket;
#[cfg(feature = "nfdhcpd")]
pub mod queue_rules;
