//! `--status` and `--metrics`: what the kernel counted, to the packet, whichever way the policy is laid out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;

use frames::{BROADCAST, Wire, arp_reply, neighbor_advertisement};
use instances::net::Mac;
use kernel::{DB, Host, WEB, bridge_with_guests};
use netns::{in_new_netns, nft, on_stock_kernel, skipped};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WEB_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const DB_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const WEB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const DB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const STRANGER: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];

/// Most offenders in one set.
const MOST: usize = instances::plan::guard::block::MOST as usize;

/// Sends frames of the guest web and waits until all have gone through the bridge: the last is an honest one for db, which
/// counts as one more.
fn send(frames: &[Vec<u8>]) {
    send_between("web", "db", frames);
}

fn send_between(web: &str, db: &str, frames: &[Vec<u8>]) {
    let (web, db) = (Wire::open(web), Wire::open(db));
    for frame in frames {
        web.send(frame);
    }
    let last = arp_reply(WEB, WEB_V4, DB, Ipv4Addr::new(10, 0, 0, 200));
    web.send(&last);
    assert!(db.sees_before(&last, &last));
}

fn claim(mac: [u8; 6], ip: Ipv4Addr) -> Vec<u8> {
    arp_reply(mac, ip, DB, DB_V4)
}

/// `--status --json` and whether it says that all is well.
fn status(host: &Host) -> (Value, bool) {
    let output = host.process(&["--status", "--json"]).output().unwrap();
    let status = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (status, output.status.success())
}

/// `--status` for people.
fn text(host: &Host) -> String {
    String::from_utf8(host.process(&["--status"]).output().unwrap().stdout).unwrap()
}

/// `--metrics`: the lines with numbers.
fn metrics(host: &Host) -> Vec<String> {
    let file = host.path("prom");
    let output = host.process(&["--metrics", file.to_str().unwrap()]).output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Packets of the protections that dropped any.
fn dropped(status: &Value) -> Value {
    let protections = status["protections"].as_array().unwrap().iter();
    let dropped = protections.filter(|protection| protection["dropped_packets"] != 0);
    dropped.map(|one| (one["protection"].as_str().unwrap().to_owned(), one["dropped_packets"].clone())).collect()
}

/// Offenders without their times, which are recent, in an order of their own.
fn offenders(status: &Value) -> Vec<Value> {
    let mut offenders = status["offenders"].as_array().unwrap().clone();
    for offender in &mut offenders {
        let ago = offender.as_object_mut().unwrap().remove("last_seen_seconds_ago").unwrap();
        assert!((0.0..600.0).contains(&ago.as_f64().unwrap()), "{ago}");
    }
    offenders.sort_by_key(Value::to_string);
    offenders
}

#[test]
fn strict_counts_to_the_packet_in_both_layouts() {
    for layout in ["sets", "rules"] {
        in_new_netns(move || {
            let host = Host::new();
            bridge_with_guests("br0", ["web", "db"]);
            host.apply(&["--hook", "*", "--layout", layout]);
            let other_type = [&BROADCAST[..], &WEB, &[0x88, 0xb5], &[0; 46]].concat();
            send(&[
                claim(WEB, WEB_V4),
                claim(WEB, WEB_V4),
                claim(WEB, DB_V4),
                claim(WEB, DB_V4),
                claim(WEB, DB_V4),
                claim(STRANGER, DB_V4),
                neighbor_advertisement(WEB, WEB_V6),
                neighbor_advertisement(WEB, DB_V6),
                other_type,
            ]);
            let (status, is_well) = status(&host);
            assert!(is_well && status["in_force"] == true, "{status}");
            assert_eq!(status["table"], "instances");
            // Three ARP replies; an advertisement.
            let web_dropped = json!({"arp": 3, "source": 1, "ethertype": 1});
            let instances = json!([
                {"mac": "02:00:00:00:00:01", "name": "web", "accepted_packets": 4, "dropped_packets": web_dropped},
                {"mac": "02:00:00:00:00:02", "name": "db", "accepted_packets": 0, "dropped_packets": {}},
            ]);
            assert_eq!(status["instances"], instances, "{layout}");
            assert_eq!(dropped(&status), json!({"arp": 4, "source": 1, "ethertype": 1}));
            assert_eq!(status["protections"].as_array().unwrap().len(), 11, "those that had nothing to do, too");
            let offender = |mac: &str, name: Option<&str>, protection: &str, address: Option<&str>, packets: u64| json!({"mac": mac, "name": name, "port": "webp", "protection": protection, "address": address, "packets": packets});
            let (web, name) = ("02:00:00:00:00:01", Some("web"));
            let mut expected = vec![
                offender(web, name, "arp", Some("10.0.0.2"), 3),
                offender("02:00:00:00:00:99", None, "arp", Some("10.0.0.2"), 1),
                offender(web, name, "source", Some("fd00::2"), 1),
                offender(web, name, "ethertype", None, 1),
            ];
            expected.sort_by_key(Value::to_string);
            assert_eq!(offenders(&status), expected);

            let text = text(&host);
            for row in [
                "table bridge instances: in force",
                "web 02:00:00:00:00:01 4 arp 3, source 1, ethertype 1",
                "db 02:00:00:00:00:02 0 -",
                "arp 4 2",
                "02:00:00:00:00:99 - webp 10.0.0.2 arp 1 ",
            ] {
                let mut squeezed = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
                assert!(squeezed.any(|line| line.starts_with(row)), "{row} in {text}");
            }
            let metrics = metrics(&host);
            for line in [
                "instances_policy_in_force{table=\"instances\"} 1",
                "instances_accepted_packets_total{table=\"instances\",mac=\"02:00:00:00:00:01\",name=\"web\"} 4",
                "instances_dropped_packets_total{table=\"instances\",protection=\"arp\"} 4",
                "instances_dropped_packets_total{table=\"instances\",protection=\"dhcp4\"} 0",
                "instances_offenders{table=\"instances\",protection=\"arp\"} 2",
                "instances_offender_packets_total{table=\"instances\",mac=\"02:00:00:00:00:01\",port=\"webp\",address=\"10.0.0.2\",protection=\"arp\"} 3",
            ] {
                assert!(metrics.iter().any(|found| found == line), "{line} in {metrics:#?}");
            }
        });
    }
}

#[test]
fn spec_counts_in_the_two_chains_in_both_layouts() {
    for layout in ["sets", "rules"] {
        in_new_netns(move || {
            let host = Host::new();
            bridge_with_guests("br0", ["web", "db"]);
            host.apply(&["--hook", "*", "--guard", "spec", "--layout", layout]);
            send(&[
                claim(WEB, WEB_V4),
                claim(WEB, DB_V4),
                claim(WEB, DB_V4),
                claim(STRANGER, DB_V4),
                neighbor_advertisement(WEB, WEB_V6),
                neighbor_advertisement(WEB, DB_V6),
            ]);
            let (status, is_well) = status(&host);
            assert!(is_well, "{status}");
            // What goes to all passes the hooks input and forward.
            assert_eq!(dropped(&status), json!({"arp": 3, "ndp": 2}), "{layout}");
            let accepted: Vec<_> =
                status["instances"].as_array().unwrap().iter().map(|one| &one["accepted_packets"]).collect();
            assert_eq!(accepted, [4, 0], "{layout}");
            assert_eq!(status["offenders"], json!([]));
            let line = "instances_dropped_packets_total{table=\"instances\",protection=\"arp\"} 3";
            assert!(metrics(&host).iter().any(|found| found == line));
        });
    }
}

#[test]
fn drops_of_the_original_chain_beside_the_guard_are_added_to_those_of_the_guard() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        host.apply(&["--hook", "*"]);
        send(&[claim(WEB, DB_V4), claim(WEB, DB_V4)]);
        assert_eq!(dropped(&status(&host).0), json!({"arp": 2}));
        // From a trusted port all passes the guard, and comes to a jump of somebody's own.
        host.apply(&["--hook", "*", "--trusted-port", "webp"]);
        nft("add chain bridge instances forward { type filter hook forward priority 0; }
             add rule bridge instances forward jump instances_drop_arp");
        send(&[claim(WEB, DB_V4)]);
        assert_eq!(dropped(&status(&host).0), json!({"arp": 3}));
        let of_arp =
            |line: &String| line.starts_with("instances_dropped_packets_total{table=\"instances\",protection=\"arp\"}");
        let series: Vec<_> = metrics(&host).into_iter().filter(of_arp).collect();
        assert_eq!(series.len(), 1, "a second would have Prometheus refuse all: {series:?}");
    });
}

#[test]
fn instances_with_prefixes_and_ports_are_counted_wherever_they_are_looked_up() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        host.write(
            r#"{"02:00:00:00:00:01": {"name": "web", "ipv4": "10.0.0.1", "allowed": ["10.7.0.0/16"], "port": "webp"},
                "02:00:00:00:00:02": {"name": "db", "ipv4": "10.0.0.2"}}"#,
        );
        host.apply(&["--hook", "*"]);
        let udp = |source: Ipv4Addr| {
            let header = [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0][..], &source.octets(), &DB_V4.octets()].concat();
            [&DB[..], &WEB, &[8, 0], &header, &[0, 9, 0, 9, 0, 8, 0, 0], &[0; 18]].concat()
        };
        let from_prefix = Ipv4Addr::new(10, 7, 1, 1);
        // ARP in the two sets of ARP, UDP in the set with ports and in that of prefixes.
        send(&[claim(WEB, WEB_V4), claim(WEB, from_prefix), udp(WEB_V4), udp(from_prefix)]);
        let (status, is_well) = status(&host);
        assert!(is_well);
        assert_eq!(status["instances"][0]["accepted_packets"], 5, "{status}");
        assert_eq!(dropped(&status), json!({}));
    });
}

#[test]
fn a_policy_that_is_not_in_force_is_a_failure_that_says_why() {
    in_new_netns(|| {
        let host = Host::new();
        let (missing, is_well) = status(&host);
        assert!(!is_well);
        assert_eq!(missing["in_force"], false);
        assert_eq!(missing["instances"], json!([]));
        let said = text(&host);
        assert!(said.starts_with("table bridge instances: NOT IN FORCE: there is no table bridge instances"), "{said}");
        let in_force = |value| format!("instances_policy_in_force{{table=\"instances\"}} {value}");
        assert!(metrics(&host).contains(&in_force(0)));

        host.apply(&["--guard", "strict"]);
        let (unhooked, is_well) = status(&host);
        assert!(!is_well);
        assert!(unhooked["reason"].as_str().unwrap().contains("leads to instances_guard;"), "{unhooked}");
        assert_eq!(unhooked["instances"][0]["name"], "web");
        // People's own jumps are as good as ours.
        nft("add chain bridge instances forward { type filter hook forward priority 0; }
             add rule bridge instances forward jump instances_guard");
        assert!(status(&host).1);
        nft("add table bridge instances { flags dormant; }");
        let said = text(&host);
        assert!(said.contains("dormant"), "{said}");
        assert!(metrics(&host).contains(&in_force(0)));

        // Another table, by name.
        let output = host.process(&["--status", "--table", "guard"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        host.apply(&["--table", "guard", "--hook", "*"]);
        assert!(host.process(&["--status", "--table", "guard"]).output().unwrap().status.success());
    });
}

#[test]
fn names_of_a_broken_registry_are_missing_and_numbers_are_not() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        host.apply(&["--hook", "*"]);
        send(&[]);
        host.write("{");
        let output = host.process(&["--status", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("shown without names"));
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(status["instances"][0]["mac"], "02:00:00:00:00:01");
        assert_eq!(status["instances"][0]["name"], Value::Null);
        assert_eq!(status["instances"][0]["accepted_packets"], 1);
    });
}

#[test]
fn a_flood_of_claims_is_counted_in_full_and_remembered_in_part() {
    in_new_netns(|| {
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        host.apply(&["--hook", "*"]);
        let flood = MOST + 1000;
        let address = |number: usize| Ipv4Addr::from(0x0b00_0000 + u32::try_from(number).unwrap());
        send(&(0..flood).map(|number| claim(WEB, address(number))).collect::<Vec<_>>());
        let (status, _) = status(&host);
        assert_eq!(dropped(&status), json!({"arp": flood}));
        assert_eq!(status["offenders"].as_array().unwrap().len(), MOST);
        assert_eq!(status["instances"][0]["dropped_packets"], json!({"arp": MOST}));
        let series = metrics(&host).iter().filter(|line| line.starts_with("instances_offender_packets_total")).count();
        assert_eq!(series, instances::status::prometheus::MOST_OFFENDERS);
    });
}

#[test]
fn files_of_ours_are_not_overwritten_by_metrics() {
    let host = Host::new();
    for extension in ["json", "hosts", "lock"] {
        let file = host.path(extension);
        let output = host.process(&["--metrics", file.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("a file of ours"), "{output:?}");
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let host = Host::new();
    let refused = |arguments: &[&str]| {
        let output = host.process(arguments).output().unwrap();
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
        output.status.code().unwrap()
    };
    for with_status in ["--apply", "--watch", "--check", "--emit", "--force", "--log", "--guard=spec", "--layout=sets"]
    {
        assert_eq!(refused(&["--status", with_status]), 2, "{with_status}");
    }
    assert_eq!(refused(&["--json"]), 2);
    assert_eq!(refused(&["--metrics", "m", "--check"]), 2);
    assert_eq!(refused(&["--metrics", "m", "--force", "--apply"]), 2);
    assert_eq!(refused(&["--metrics", "m", "--apply"]), 1);
    assert!(!host.path("hosts").exists());
}

#[test]
fn the_watch_writes_metrics_when_it_begins() {
    in_new_netns(|| {
        let host = Host::new();
        let file = host.path("prom");
        let arguments = ["--watch", "--apply", "--hook", "*", "--metrics", file.to_str().unwrap()];
        let mut watch = host.process(&arguments).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        let text = loop {
            match fs::read_to_string(&file) {
                Ok(text) => break text,
                Err(_) => assert!(start.elapsed() < Duration::from_secs(60), "no metrics"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        kill(Pid::from_raw(watch.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(watch.wait().unwrap().success());
        assert!(text.contains("instances_policy_in_force{table=\"instances\"} 1\n"), "{text}");
        assert!(text.contains("name=\"web\""), "{text}");
    });
}

/// For as long as it lives, the kernel logs what happens in all network namespaces. It is one setting for the whole machine.
struct LogOfAllNamespaces(Vec<u8>);

impl LogOfAllNamespaces {
    const PATH: &str = "/proc/sys/net/netfilter/nf_log_all_netns";

    fn begin() -> Option<Self> {
        let before = fs::read(Self::PATH).ok()?;
        fs::write(Self::PATH, "1").ok()?;
        Some(Self(before))
    }
}

impl Drop for LogOfAllNamespaces {
    fn drop(&mut self) {
        let _ = fs::write(Self::PATH, &self.0);
    }
}

/// What the kernel has logged since the file was opened: one record for each read.
fn logged(log: &mut File) -> Vec<String> {
    let mut records = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match log.read(&mut buffer) {
            Ok(length) => records.push(String::from_utf8_lossy(&buffer[..length]).into_owned()),
            // Overwritten before it was read.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return records,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn drops_are_logged_only_if_asked_for_and_a_flood_is_a_few_lines() {
    let Some(_all) = LogOfAllNamespaces::begin() else {
        return skipped("no kernel log of network namespaces; run as root in the first one");
    };
    let Ok(mut log) = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg") else {
        return skipped("no kernel log");
    };
    log.seek(SeekFrom::End(0)).unwrap();
    in_new_netns(move || {
        let host = Host::new();
        // A name of its own: others may log, too.
        let (web, db) = (format!("w{}", std::process::id()), format!("d{}", std::process::id()));
        bridge_with_guests("br0", [&web, &db]);
        let mut lines = |protection: &str, frames: &[Vec<u8>]| {
            send_between(&web, &db, frames);
            let logged = logged(&mut log).into_iter();
            let line = format!(";[instances] {protection}: IN={web}p ");
            let lines: Vec<_> = logged.filter(|record| record.contains(&line)).collect();
            // Whatever an ARP packet says about its sender.
            assert!(lines.iter().all(|record| record.contains(" MACSRC=02:00:00:00:00:01 MACDST=")), "{lines:?}");
            lines.len()
        };
        host.apply(&["--hook", "*"]);
        assert_eq!(lines("arp", &[claim(WEB, DB_V4)]), 0);

        host.apply(&["--hook", "*", "--log"]);
        let start = Instant::now();
        let mut lie = claim(WEB, DB_V4);
        lie[22..28].copy_from_slice(&DB);
        let flood = vec![lie; 500];
        let seen = lines("arp", &flood);
        let most = 6 + usize::try_from(start.elapsed().as_secs()).unwrap();
        assert!((5..=most).contains(&seen), "{seen} lines");
        assert_eq!(lines("source", &[neighbor_advertisement(WEB, DB_V6)]), 1, "that flood hides nothing else");
        assert_eq!(dropped(&status(&host).0), json!({"arp": 501, "source": 1}), "counters went on");

        host.apply(&["--hook", "*", "--guard", "spec", "--log"]);
        assert_eq!(lines("arp", &[claim(WEB, DB_V4)]), 1);
        host.apply(&["--hook", "*", "--guard", "spec"]);
        assert_eq!(lines("arp", &[claim(WEB, DB_V4)]), 0);
    });
}

/// Each new lease changes the sets; a dump of one that is changed leaves out some elements and shows others twice.
#[test]
fn sets_that_are_changed_all_the_time_are_counted_to_the_packet() {
    in_new_netns(|| {
        let instances: u16 = if on_stock_kernel() { 2_000 } else { 10_000 };
        let host = Host::new();
        bridge_with_guests("br0", ["web", "db"]);
        let mac = |number: u16| [0x02, 0, 0, 1, number.to_be_bytes()[0], number.to_be_bytes()[1]];
        let address = |number: u16| Ipv4Addr::from(0x0a01_0000 + u32::from(number));
        let one = |number: u16| format!("\"{}\": {{\"ipv4\": \"{}\"}}", Mac(mac(number)), address(number));
        let web = r#""02:00:00:00:00:01": {"ipv4": "10.0.0.1"}"#.to_owned();
        host.write(&format!("{{{}}}", (0..instances).map(one).chain([web]).collect::<Vec<_>>().join(",")));
        host.apply(&["--hook", "*"]);
        send(&(0..instances).map(|number| claim(mac(number), address(number))).collect::<Vec<_>>());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let other =
                    |number: u8| format!("10.9.9.{number} . 02:09:09:09:09:{number:02x} . 02:09:09:09:09:{number:02x}");
                let others = (0..200).map(other).collect::<Vec<_>>().join(",");
                while !done.load(Ordering::Relaxed) {
                    nft(&format!("add element bridge instances instances_arp {{ {others} }}"));
                    nft(&format!("delete element bridge instances instances_arp {{ {others} }}"));
                }
            });
            // Whatever fails below must end the thread, too.
            let ended = std::panic::catch_unwind(|| {
                for _ in 0..3 {
                    let (status, is_well) = status(&host);
                    assert!(is_well);
                    let known = status["instances"].as_array().unwrap().iter().take(usize::from(instances) + 1);
                    let wrong: Vec<_> = known.filter(|instance| instance["accepted_packets"] != 1).collect();
                    assert!(wrong.is_empty(), "{} such as {}", wrong.len(), wrong[0]);
                }
            });
            done.store(true, Ordering::Relaxed);
            ended.unwrap();
        });
    });
}
