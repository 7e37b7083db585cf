//! Which instance (MAC address) may use which name and which addresses: this crate keeps the answer and makes it hold.
//!
//! # The tour, in the order in which data flows
//!
//! An observation comes in. dnsmasq runs `instances-update add MAC IP HOSTNAME`; [`cli::update`] lowers these words,
//! some of them chosen by a client, to a typed request and refuses the rest. An admin may point to an interface of the
//! host instead, which [`source::host_iface`] reads from the kernel. From here on every value is one of [`net`]'s types
//! and legal by construction.
//!
//! [`update`] takes the lock ([`registry::lock`]) and asks [`registry::probe`] whether the event changes nothing, which
//! is the usual case and costs one small read. Otherwise [`registry::wire`] reads the registry, the rules in
//! `registry::merge` change it, and [`registry::store`] replaces the file in one step and raises the flag.
//!
//! `instances-process` answers the flag. [`cli::process`] lowers its options, [`process`] reads the registry and
//! has a plan made of it. [`plan`] is pure: [`plan::ruleset`] is the model of chains, rules and sets, the files
//! beside it are one protection each, [`plan::hosts`] is the hosts file. Before a bridge is put under protection,
//! [`plan::uplinks`] looks at its ports, which [`source::bridge_ports`] reads, for an uplink that was forgotten.
//! The same registry always gives the same plan.
//!
//! [`sink`] puts the plan where it takes effect: [`sink::nft_text`] prints it in nft's language,
//! [`sink::nft_netlink`] loads it into the kernel in one transaction and reads it back, and [`sink::atomic_file`]
//! replaces files so that nobody ever sees half of one. [`netlink`] is the wire format that both ends speak.
//!
//! [`report`] answers `--status` and `--metrics`: [`sink::nft_netlink::counters`] reads what the kernel counted, [`status`]
//! puts names to it and prints it.
//!
//! [`daemon`] is what stays running: `instances-process --watch` does the same whenever the registry or, by somebody
//! else's hand, the kernel's ruleset changes.
//!
//! [`packet`] builds frames, honest ones and others, for those who want to know what a policy makes of them.
//!
//! [`explain`] asks the plan instead: [`plan::verdict`] evaluates the model for a captured frame, as the kernel would, and
//! says which rule and which element decide.
//!
//! `instances-nfdhcpd` answers guests' packets from binding files: [`plan::responder`] decides, purely; packets come by
//! [`netlink::nfqueue`], each with a verdict in return, and answers go by a packet socket.
//! [`plan::responder::rules`] are the rules that bring it packets, and [`registry::bound`] is the registry that follows
//! bindings.
//!
//! `instances-pxe-filter` tells dnsmasq which machines may boot: [`source::ironic`] asks OpenStack Ironic, [`plan::pxe_access`] puts
//! together what it tells and decides, [`sink::dhcp_hostsdir`] has dnsmasq know it without missing a word or standing still.
//!
//! `instances-proxmox` gives the guests of a Proxmox VE cluster their names. `source::proxmox` reads the API's answers into
//! [`plan::guest`]'s values, and says what to ask next; `source::neighbors` hears on the wire, and `source::leases` reads, who has which
//! address. [`plan::dns_records`] decides which names, addresses and reservations follow, purely, and says why. `sink::dnsmasq_dir` puts them
//! where dnsmasq reads them; `registry::bound` has the registry follow, too. `daemon::proxmox` keeps it going: its `keeper` does what follows
//! from what was told, `serve` is the loop that waits for everybody at once, `state` outlives a start, `child` is a dnsmasq of its own,
//! `metrics` and `page` show it.
//!
//! Failures are one [`error::Error`] each, for a person, and [`exit::Exit`] lists every exit status.

pub mod cli;
pub mod daemon;
pub mod error;
pub mod exit;
pub mod explain;
pub mod net;
pub mod netlink;
pub mod packet;
pub mod plan;
pub mod process;
pub mod registry;
pub mod report;
pub mod sink;
pub mod source;
pub mod status;
pub mod update;
