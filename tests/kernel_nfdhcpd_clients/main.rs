//! Real clients behind taps of every kind, served by `instances-nfdhcpd` by its own rules, from files as they are written
//! in the wild: what guests have in the end. On Debian's kernel by nf_tables' `queue`, elsewhere by iptables.
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod bridged;
mod changes;
mod dhcp6;
mod routed;

#[path = "../common/clients.rs"]
mod clients;
#[path = "../common/netns.rs"]
mod netns;
#[path = "../common/responder.rs"]
mod responder;

use clients::Machine;
use instances::source::nfqueue::states;
use netns::needs::can;
use responder::{GENERAL, Host, until};

/// What the tests cannot do without, each with a command that succeeds where it is present.
const NEEDS: [(&str, &str); 4] = [
    ("udhcpc with its script", "command -v udhcpc && test -x /etc/udhcpc/default.script"),
    ("dhclient with its script", "command -v dhclient && test -x /sbin/dhclient-script"),
    ("rdisc6", "command -v rdisc6"),
    ("iptables", "iptables --version && ip6tables --version"),
];

/// A host of its own for a test, with rules by the way that it chooses.
fn on_a_host(test: impl FnOnce(&Host) + Send + 'static) {
    if NEEDS.iter().all(|(what, command)| can(what, command)) {
        netns::in_new_netns(|| {
            let host = Host::new();
            host.install_rules(None);
            test(&host);
        });
    }
}

/// The same once for each way that the kernel has; on Debian's kernel, emulated, by nft's alone.
fn by_each_way(test: fn(&Host)) {
    for way in ["nft", "iptables"] {
        netns::in_new_netns(move || {
            let has_queue = instances::sink::nft_netlink::probe::has_queue().unwrap();
            let on_stock_kernel = netns::on_stock_kernel();
            assert!(has_queue || !on_stock_kernel, "Debian's kernel has nft_queue");
            // Where time is short, iptables' way is left to kernel_nfdhcpd.rs.
            let is_tried = if way == "nft" { has_queue } else { !on_stock_kernel };
            if is_tried && NEEDS.iter().all(|(what, command)| can(what, command)) {
                let host = Host::new();
                host.install_rules(Some(way));
                test(&host);
            }
        });
    }
}

/// Machines 2 and 3 do so, over both families.
#[track_caller]
fn reach_each_other_and_the_gateway(machines: &[Machine; 2]) {
    for (machine, other) in [(&machines[0], 3), (&machines[1], 2)] {
        for address in ["192.0.2.1", "2001:db8:1::1"] {
            machine.reaches(address);
        }
        machine.reaches(&format!("192.0.2.{other}"));
        machine.reaches(&format!("2001:db8:1::ff:fe00:{other}"));
    }
}

/// Every packet had its verdict.
#[track_caller]
fn nothing_waits() {
    until("a verdict for each packet", || states().iter().all(|state| state.waiting == 0));
}

/// `GENERAL` with further lines for its sections.
fn general(dhcp: &str, ipv6: &str) -> String {
    GENERAL.replace("[ipv6]\n", &format!("{dhcp}[ipv6]\n{ipv6}"))
}
