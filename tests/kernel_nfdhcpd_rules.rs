//! The responder's rules in the kernel, by each way that it has: nf_tables' `queue` is in Debian's own.
#![cfg(feature = "nfdhcpd")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/netns.rs"]
mod netns;

use frames::{BROADCAST, Wire};
use instances::plan::responder::rules::{Traffic, Wishes};
use instances::sink::nft_netlink::probe;
use instances::sink::queue_rules::{self, Form, Way};
use netns::needs::can;
use netns::{feed, in_new_netns, nft, on_stock_kernel, output, run};
use std::fs;
use std::time::{Duration, Instant};

const GUEST: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const ALL: [(Traffic, u16); 4] = [
    (Traffic::Dhcp4, 42),
    (Traffic::RouterSolicitations, 43),
    (Traffic::NeighborSolicitations, 44),
    (Traffic::Dhcp6, 45),
];

fn wishes(taps: &str, queues: &[(Traffic, u16)], bypass: bool) -> Wishes {
    let taps = taps.split(',').map(|taps| taps.parse().unwrap()).collect();
    Wishes { taps, queues: queues.to_vec(), bypass }
}

/// The ways that this kernel has.
fn ways() -> Vec<Way> {
    let has_queue = probe::has_queue().unwrap();
    assert!(has_queue || !on_stock_kernel(), "Debian's kernel has nft_queue");
    let iptables = can("iptables", "iptables --version && ip6tables --version").then_some(Way::Iptables);
    has_queue.then_some(Way::Nft).into_iter().chain(iptables).collect()
}

/// All rules there are, whoever made them, without what only counts.
fn listing() -> String {
    let tables = |program: &str| String::from_utf8(output(program, &["-t", "mangle", "-S"], "").stdout).unwrap();
    [run("nft", &["list", "ruleset"]), tables("iptables"), tables("ip6tables")].concat()
}

/// UDP over IPv4 from nowhere to everybody.
fn udp4(port: u16) -> Vec<u8> {
    let mut ip = [0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 7, 255, 255, 255, 255];
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    [&BROADCAST[..], &GUEST, &[8, 0], &ip, &[0, 68], &port.to_be_bytes(), &[0, 12, 0, 0, 1, 2, 3, 4]].concat()
}

fn ip6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1];
    let target = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let length = u8::try_from(payload.len()).unwrap();
    [&BROADCAST[..], &GUEST, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, length, protocol, 255], &source, &target, payload].concat()
}

fn frames() -> [Vec<u8>; 4] {
    let icmp6 = |message: u8| ip6(58, &[message, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    [udp4(67), icmp6(133), icmp6(135), ip6(17, &[2, 34, 2, 35, 0, 12, 0, 0, 1, 2, 3, 4])]
}

/// Counts what gets past the rules: four kinds of frames, and a last one that always does.
const SEEN: &str = "
        udp dport 67 counter
        icmpv6 type nd-router-solicit counter
        icmpv6 type nd-neighbor-solicit counter
        udp dport 547 counter
        udp dport 9 counter
";

fn counts(family: &str) -> Vec<u64> {
    let listed = run("nft", &["list", "table", family, "seen"]);
    let counts = listed.split("counter packets ").skip(1);
    counts.map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
}

/// Which of the four frames get past the rules.
fn passed(guest: &Wire, family: &str) -> [bool; 4] {
    let before = counts(family);
    for frame in frames() {
        guest.send(&frame);
    }
    guest.send(&udp4(9));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let after = counts(family);
        if after[4] > before[4] {
            return [0, 1, 2, 3].map(|kind| after[kind] > before[kind]);
        }
        assert!(Instant::now() < deadline, "the last frame never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A guest's end of a link whose other end has this name.
fn tap(guest: &str, tap: &str, bridge: Option<&str>) {
    run("ip", &["link", "add", guest, "type", "veth", "peer", "name", tap]);
    fs::write(format!("/proc/sys/net/ipv6/conf/{guest}/disable_ipv6"), "1").unwrap();
    if let Some(bridge) = bridge {
        run("ip", &["link", "set", tap, "master", bridge]);
    }
    for interface in [guest, tap] {
        run("ip", &["link", "set", interface, "up"]);
    }
}

#[test]
fn guests_packets_go_to_their_queues_and_no_others() {
    in_new_netns(|| {
        tap("routed", "tap0", None);
        tap("other", "eth9", None);
        run("ip", &["link", "add", "br0", "type", "bridge"]);
        run("ip", &["link", "set", "br0", "up"]);
        tap("bridged", "tap1", Some("br0"));
        tap("uplink", "eth8", Some("br0"));
        nft(&format!(
            "table inet seen {{ chain c {{ type filter hook prerouting priority -100; iifname tap1 return; {SEEN} }}; }}
             table bridge seen {{ chain c {{ type filter hook input priority 0; {SEEN} }}; }}"
        ));
        let [routed, other, bridged, uplink] = ["routed", "other", "bridged", "uplink"].map(Wire::open);
        for way in ways() {
            let all = |expected: bool, what: &str| {
                assert_eq!(passed(&routed, "inet"), [expected; 4], "{way}, routed, {what}");
                assert_eq!(passed(&bridged, "bridge"), [expected; 4], "{way}, bridged, {what}");
                assert_eq!(passed(&other, "inet"), [true; 4], "{way}, another interface, {what}");
                assert_eq!(passed(&uplink, "bridge"), [true; 4], "{way}, another port, {what}");
            };
            let install = |bypass| queue_rules::install(&wishes("tap+", &ALL, bypass), Some(way)).unwrap();
            all(true, "no rules");
            let outcome = install(false);
            assert!(outcome.changed && outcome.warnings.is_empty(), "{outcome:?}");
            // Nobody listens to the queues.
            all(false, "rules");
            assert!(install(true).changed);
            all(true, "rules with bypass");
            install(false);
            queue_rules::install(&wishes("tap+", &ALL[..1], false), Some(way)).unwrap();
            assert_eq!(passed(&routed, "inet"), [false, true, true, true], "{way}, DHCPv4 only");
            assert_eq!(passed(&bridged, "bridge"), [false, true, true, true], "{way}, DHCPv4 only");
            queue_rules::install(&wishes("eth5,tap0", &ALL, false), Some(way)).unwrap();
            assert_eq!(passed(&routed, "inet"), [false; 4], "{way}, by whole name");
            assert_eq!(passed(&bridged, "bridge"), [true; 4], "{way}, by whole name");
            assert_eq!(queue_rules::remove().unwrap(), [way]);
            all(true, "rules removed");
        }
    });
}

#[test]
fn twice_is_once_and_removal_takes_exactly_ours() {
    in_new_netns(|| {
        let foreign = "PREROUTING -i tap+ -p udp -m udp --dport 67 -j NFQUEUE --queue-num 42";
        for way in ways() {
            if way == Way::Iptables {
                for program in ["iptables", "ip6tables"] {
                    let rule: Vec<_> = ["-t mangle -A", foreign].iter().flat_map(|words| words.split(' ')).collect();
                    run(program, &rule);
                }
            }
            nft("table bridge other { chain c { type filter hook prerouting priority 0; ether type arp accept; }; }");
            assert_eq!(queue_rules::remove().unwrap(), [], "nothing of ours is there");
            let before = listing();
            let install = |taps, bypass| queue_rules::install(&wishes(taps, &ALL, bypass), Some(way)).unwrap();
            assert!(install("tap+", false).changed);
            let once = listing();
            assert_ne!(once, before);
            assert!(!install("tap+", false).changed, "{way}");
            assert_eq!(listing(), once);
            // Of another configuration before, and several times over.
            assert!(install("vnet+,tap+", true).changed);
            if way == Way::Iptables {
                let rules = run("iptables", &["-t", "mangle", "-S", "PREROUTING"]);
                let ours = rules.lines().find(|line| line.contains("--comment instances-nfdhcpd")).unwrap();
                run("iptables", &[vec!["-t", "mangle"], ours.split(' ').collect()].concat());
            }
            assert!(install("tap+", false).changed);
            assert_eq!(listing(), once, "{way}");
            assert_eq!(queue_rules::remove().unwrap(), [way]);
            assert_eq!(listing(), before, "{way}");
            assert_eq!(queue_rules::remove().unwrap(), []);
        }
    });
}

#[test]
fn what_others_put_into_our_tables_stays() {
    in_new_netns(|| {
        if !ways().contains(&Way::Nft) {
            return;
        }
        queue_rules::install(&wishes("tap+", &ALL, false), None).unwrap();
        nft("table bridge instances_nfdhcpd { chain theirs { accept; }; }");
        assert_eq!(queue_rules::remove().unwrap(), [Way::Nft]);
        let left = run("nft", &["list", "ruleset"]);
        let words: Vec<_> = left.split_whitespace().collect();
        assert_eq!(words.join(" "), "table bridge instances_nfdhcpd { chain theirs { accept } }");
    });
}

#[test]
fn the_kernels_own_queue_is_taken_where_it_has_one() {
    in_new_netns(|| {
        let ways = ways();
        let Some(best) = ways.first() else { return };
        assert_eq!(queue_rules::install(&wishes("tap+", &ALL, false), None).unwrap().way, *best);
        if *best != Way::Nft {
            let refused = queue_rules::install(&wishes("tap+", &ALL, false), Some(Way::Nft)).unwrap_err();
            assert!(refused.to_string().contains("nft_queue"), "{refused}");
        }
        queue_rules::remove().unwrap();
    });
}

fn printed(form: Form, bypass: bool) -> String {
    let mut text = Vec::new();
    queue_rules::print(&wishes("tap+,gnt.com0", &ALL, bypass), form, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn what_is_printed_is_what_is_installed() {
    in_new_netns(|| {
        for way in ways() {
            for bypass in [false, true] {
                queue_rules::install(&wishes("tap+,gnt.com0", &ALL, bypass), Some(way)).unwrap();
                let installed = listing();
                queue_rules::remove().unwrap();
                let load = || match way {
                    Way::Iptables => feed("sh", &[], printed(Form::Iptables, bypass)),
                    Way::Nft => nft(&printed(Form::Nft, bypass)),
                };
                load();
                assert_eq!(listing(), installed, "{way}");
                if way == Way::Nft {
                    load();
                    assert_eq!(listing(), installed, "loaded twice is loaded once");
                }
                // So it counts as ours.
                assert!(!queue_rules::install(&wishes("tap+,gnt.com0", &ALL, bypass), Some(way)).unwrap().changed);
                assert_eq!(queue_rules::remove().unwrap(), [way]);
            }
        }
    });
}

#[test]
fn ferm_gets_the_same_rules_in_its_own_words() {
    let expected = "\
domain ip table mangle chain PREROUTING {
    interface tap+ proto udp dport 67 NFQUEUE queue-num 42 queue-bypass;
    interface gnt.com0 proto udp dport 67 NFQUEUE queue-num 42 queue-bypass;
    mod physdev physdev-in tap+ proto udp dport 67 NFQUEUE queue-num 42 queue-bypass;
    mod physdev physdev-in gnt.com0 proto udp dport 67 NFQUEUE queue-num 42 queue-bypass;
}
domain ip6 table mangle chain PREROUTING {
    interface tap+ proto icmpv6 icmpv6-type 133 NFQUEUE queue-num 43 queue-bypass;
";
    let text = printed(Form::Ferm, true);
    let (comment, rules) = text.split_once('\n').unwrap();
    assert!(comment.starts_with("# ") && rules.starts_with(expected), "{text}");
    assert_eq!(rules.lines().count(), 5 + 1 + 6 + 6 + 2, "{text}");
}

#[test]
fn a_bridge_that_iptables_does_not_see_is_warned_about() {
    in_new_netns(|| {
        if !ways().contains(&Way::Iptables) {
            return;
        }
        let install =
            |queues| queue_rules::install(&wishes("tap+", queues, false), Some(Way::Iptables)).unwrap().warnings;
        install(&ALL);
        for name in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            fs::write(format!("/proc/sys/net/bridge/{name}"), "0").unwrap();
        }
        assert_eq!(install(&ALL).len(), 2);
        let warnings = install(&ALL[..1]);
        assert!(
            warnings.len() == 1 && warnings[0].contains("sysctl net.bridge.bridge-nf-call-iptables=1"),
            "{warnings:?}"
        );
    });
}

#[test]
fn the_program_takes_taps_and_queues_from_its_configuration() {
    in_new_netns(|| {
        let Some(best) = ways().first().copied() else { return };
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("nfdhcpd.conf");
        fs::write(
            &config,
            "[general]\ntaps = vnet+, tap0\nqueue_bypass = yes\n[dhcp]\ndhcp_queue = 7\n[ipv6]\nenable_ipv6 = no\n",
        )
        .unwrap();
        let program = |arguments: &[&str]| {
            let arguments = [&["-c", config.to_str().unwrap()], arguments].concat();
            let output = output(env!("CARGO_BIN_EXE_instances-nfdhcpd"), &arguments, "");
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
        };
        let said = |what: &str| (0, String::new(), format!("instances-nfdhcpd: {what}\n"));
        assert_eq!(program(&["--install-rules"]), said(&format!("rules loaded ({best})")));
        assert_eq!(program(&["--install-rules"]), said(&format!("rules there already ({best})")));
        let (status, printed, news) = program(&["--print-rules", "iptables"]);
        assert_eq!((status, news.as_str()), (0, ""));
        let rules: Vec<_> = printed.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            rules[0],
            "iptables -w -t mangle -A PREROUTING -i vnet+ -p udp -m udp --dport 67 -m comment --comment \
             instances-nfdhcpd -j NFQUEUE --queue-num 7 --queue-bypass"
        );
        assert_eq!(rules.len(), 4);
        assert_eq!(program(&["--remove-rules"]), said(&format!("rules removed ({best})")));
        assert_eq!(program(&["--remove-rules"]), said("there are no rules of ours"));
        let (status, _, refused) = program(&["--install-rules", "--taps", "tap+,+"]);
        assert!(status == 2 && refused.contains("tap+"), "{refused}");
    });
}
