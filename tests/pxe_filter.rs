//! The program `instances-pxe-filter` against a simulated Ironic: what it makes of nodes and ports, and of everything that goes
//! wrong. What dnsmasq makes of it is in `pxe_hostsdir`.
#![cfg(feature = "pxe-filter")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "pxe_filter/folder.rs"]
mod folder;
#[path = "common/needs.rs"]
mod needs;
#[path = "common/pxe.rs"]
mod pxe;
#[path = "common/ironic/mod.rs"]
mod simulator;
#[path = "common/wait.rs"]
mod wait;

use nix::sys::signal::Signal;
use pxe::{Lab, mac};
use simulator::{Fault, Port};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::process::Output;
use std::time::{Duration, Instant};
use uuid::Uuid;
use wait::until;

/// A second, so that a test need not wait for it.
const OFTEN: &str = "sync_period = 1";
const DENIES_UNKNOWN: &str = "*:*:*:*:*:*,ignore\n";

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_node_enters_inspection_boots_and_leaves() {
    let (lab, nodes) = Lab::new();
    let mut filter = lab.run(OFTEN);
    filter.says("all ports are as Ironic has them");
    assert_eq!(lab.files().len(), 5);
    lab.denies(0);
    assert_eq!(lab.unknown(), DENIES_UNKNOWN);

    lab.ironic.state().set_state(nodes[0], "inspecting");
    lab.allows(0);
    lab.allows(1);
    lab.denies(2);
    until("discovery of ports", || lab.unknown() == "*:*:*:*:*:*\n");
    filter.says("inspection has begun");
    let names_all =
        |line: &str| [&mac(0), "allow", &nodes[0].to_string(), "node-"].iter().all(|word| line.contains(word));
    until("the log names node and MAC address", || filter.log().lines().any(names_all));

    // Inspection found another port.
    lab.ironic.state().add_port(nodes[0], &mac(9));
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    lab.ironic.state().set_state(nodes[0], "manageable");
    lab.denies(0);
    lab.denies(1);
    lab.denies(9);
    until("no more discovery", || lab.unknown() == DENIES_UNKNOWN);
    assert!(filter.stop().success());
}

#[test]
fn ironic_down_at_the_start_denies_all_and_is_asked_until_it_is_there() {
    let (mut lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    fs::write(lab.hostsdir().join(mac(0)), format!("{}\n", mac(0))).unwrap();
    lab.ironic.down();
    let mut filter = lab.run(OFTEN);
    filter.says("until Ironic answers nobody may boot");
    filter.says("Connection refused");
    lab.denies(0);
    until("nobody else", || lab.unknown() == DENIES_UNKNOWN);
    lab.ironic.up();
    filter.says("Ironic answers again");
    lab.allows(0);
    assert!(filter.stop().success());
}

#[test]
fn while_nothing_is_known_what_somebody_opens_is_closed_again() {
    let (mut lab, _) = Lab::new();
    lab.ironic.down();
    let mut filter = lab.run(OFTEN);
    filter.says("nobody may boot");
    until("nobody else", || lab.unknown() == DENIES_UNKNOWN);
    fs::write(lab.hostsdir().join(mac(0)), format!("{}\n", mac(0))).unwrap();
    lab.denies(0);
    assert!(filter.stop().success());
}

#[test]
fn one_question_that_fails_holds_up_no_other() {
    let (lab, nodes) = Lab::new();
    let mut filter = lab.run("sync_period = 0");
    filter.says("all ports are as Ironic has them");
    // No listing succeeds, and no node's ports can be had.
    lab.ironic.fault("/v1/ports", Fault::Status(500));
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    lab.allows(0);
    filter.signal(Signal::SIGHUP);
    filter.says("until Ironic answers everything stays as it is");
    lab.ironic.state().set_state(nodes[0], "available");
    lab.ironic.state().set_state(nodes[1], "inspect wait");
    lab.denies(0);
    lab.allows(2);
    assert!(!filter.log().contains("answers again"), "{}", filter.log());
    lab.ironic.heal();
    filter.says("Ironic answers again");
    assert!(filter.stop().success());
}

#[test]
fn an_ironic_slower_than_the_interval_is_asked_everything() {
    let (lab, nodes) = Lab::new();
    lab.ironic.fault("/v1/nodes", Fault::Delay(Duration::from_millis(200)));
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let mut filter = lab.run(OFTEN);
    lab.allows(0);
    lab.ironic.state().set_state(nodes[0], "available");
    lab.denies(0);
    assert!(filter.stop().success());
}

#[test]
fn an_end_before_the_beginning_denies_everybody_but_not_in_anothers_folder() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    lab.allows(0);
    // Somebody listens there already.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = format!("{OFTEN}\nmetrics_listen = {}", taken.local_addr().unwrap());
    let mut other = lab.run(&lines);
    assert_eq!(other.ends().code(), Some(1));
    lab.denies(0);
    let mut filter = lab.run(OFTEN);
    lab.allows(0);
    assert_eq!(lab.run(&lines).ends().code(), Some(1));
    lab.allows(0);
    assert!(!lab.output(OFTEN, &["--stop"]).status.success());
    lab.allows(0);
    assert!(filter.stop().success());
}

#[test]
fn after_a_good_end_stop_has_nothing_to_do() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    let stop = |result: &str| lab.command(OFTEN, &["--stop"]).env("SERVICE_RESULT", result).status().unwrap().success();
    assert!(stop("success"));
    lab.allows(0);
    assert!(stop("signal"));
    lab.denies(0);
}

#[test]
fn once_and_a_rehearsal_change_nothing_when_ironic_is_down() {
    let (mut lab, _) = Lab::new();
    fs::write(lab.hostsdir().join(mac(0)), format!("{}\n", mac(0))).unwrap();
    lab.ironic.down();
    for argument in ["--once", "--dry-run"] {
        let output = lab.output(OFTEN, &[argument]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("Connection refused"), "{}", stderr(&output));
        assert_eq!(lab.files().len(), 1);
    }
}

/// Each fault that may come while a node is under inspection: the folder stays as it is, and all is well afterwards.
#[test]
fn no_fault_of_the_api_opens_or_closes_anything() {
    let (mut lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    lab.ironic.state().max_limit = 3;
    let mut filter = lab.run("sync_period = 0");
    filter.says("all ports are as Ironic has them");
    let well = lab.files();
    let faults = [
        ("/v1/ports", Fault::Status(401)),
        ("/v1/nodes", Fault::Status(403)),
        ("/v1", Fault::Status(406)),
        ("/v1/ports", Fault::Status(500)),
        ("/v1/nodes", Fault::Status(503)),
        ("/v1/nodes", Fault::Html(200)),
        ("/v1/ports", Fault::Html(502)),
        ("/v1/ports", Fault::HalfJson),
        ("/v1/nodes", Fault::HalfJson),
        ("/v1/nodes", Fault::CutOff),
        ("/v1/ports", Fault::IgnoreMarker),
        ("/v1/nodes", Fault::IgnoreFilters),
        ("/v1/ports", Fault::Answer(200, "application/json", br#"{"ports": [], "next": "http://x/"}"#.to_vec())),
        ("/v1/ports", Fault::Answer(200, "application/json", b"{}".to_vec())),
        ("/v1/nodes", Fault::Answer(200, "application/json", b"[]".to_vec())),
        ("/", Fault::Close),
        ("/", Fault::NoHttp),
    ];
    for (path, fault) in faults {
        let before = filter.log().matches("until Ironic answers").count();
        let again = filter.log().matches("Ironic answers again").count();
        lab.ironic.fault(path, fault.clone());
        filter.signal(Signal::SIGHUP);
        until(&format!("{fault:?} on {path} is said"), || {
            filter.log().matches("until Ironic answers").count() > before
        });
        assert_eq!(lab.files(), well, "{fault:?} on {path}");
        lab.ironic.heal();
        until("it is forgotten", || filter.log().matches("Ironic answers again").count() > again);
        assert_eq!(lab.files(), well, "after {fault:?} on {path}");
    }
    // A page that is left out: the inspected node's ports stay open, the others' stay closed.
    lab.ironic.fault("/v1/ports", Fault::SkipPage);
    lab.ironic.seen();
    filter.signal(Signal::SIGHUP);
    let mut asked = 0;
    until("two listings without it", || {
        let listings = |path: &&String| path.contains("/v1/ports?limit") && !path.contains("marker");
        asked += lab.ironic.paths().iter().filter(listings).count();
        if asked == 1 {
            filter.signal(Signal::SIGHUP);
        }
        asked >= 2
    });
    assert_eq!(lab.files(), well);
    lab.ironic.heal();
    lab.ironic.down();
    until("down", || filter.log().contains("Connection refused"));
    assert_eq!(lab.files(), well);
    assert!(filter.stop().success());
}

#[test]
fn what_is_no_mac_address_is_never_written_and_named() {
    let (lab, nodes) = Lab::new();
    for wrong in [
        "52-54-00-00-00-99",
        "52:54:00:00:00:99:01",
        "52:54:00:00:00:99,ignore",
        "*:*:*:*:*:*",
        "",
        "52:54:00:00:00:9\u{0}",
    ] {
        lab.ironic.state().add_port(nodes[0], wrong);
    }
    let odd = lab.ironic.state().add_raw_port("{\"uuid\": \"UUID\", \"address\": 7}");
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let mut filter = lab.run(OFTEN);
    filter.says("all ports are as Ironic has them");
    assert_eq!(lab.files().keys().collect::<Vec<_>>().len(), 5);
    filter.says(&odd.to_string());
    filter.says("52-54-00-00-00-99");
    // Once, not with each comparison.
    let listings = || lab.ironic.paths().iter().filter(|path| path.contains("/v1/ports?limit")).count();
    listings();
    until("another listing", || listings() > 0);
    assert_eq!(filter.log().matches("52-54-00-00-00-99").count(), 1);
    assert!(filter.stop().success());
}

#[test]
fn a_mac_address_of_two_nodes_is_denied_unless_both_are_inspected() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().add_port(nodes[1], &mac(0));
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let mut filter = lab.run(OFTEN);
    lab.allows(1);
    lab.denies(0);
    filter.says("several nodes have it");
    lab.ironic.state().set_state(nodes[1], "inspect wait");
    lab.allows(0);
    assert!(filter.stop().success());
}

#[test]
fn a_removed_port_is_denied_even_while_unknown_ones_may_boot() {
    let (lab, nodes) = Lab::new();
    let port = lab.ironic.state().add_port(nodes[0], &mac(7));
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let mut filter = lab.run(OFTEN);
    lab.allows(7);
    lab.ironic.state().remove_port(port);
    lab.denies(7);
    assert_eq!(lab.unknown(), "*:*:*:*:*:*\n");
    assert!(filter.stop().success());

    // As the originals have it, if that is asked for and two listings say so.
    assert!(lab.output("removed_ports = unknown", &["--once"]).status.success());
    lab.denies(7);
    let mut filter = lab.run("sync_period = 1\nremoved_ports = unknown");
    lab.allows(7);
    assert!(filter.stop().success());
}

#[test]
fn a_page_that_one_listing_lost_opens_nobody_even_if_removed_ports_are_unknown() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[1], "inspect wait");
    lab.ironic.state().max_limit = 1;
    let mut filter = lab.run("sync_period = 0\nremoved_ports = unknown");
    filter.says("all ports are as Ironic has them");
    let well = lab.files();
    lab.ironic.seen();
    lab.ironic.fault("/v1/ports", Fault::SkipPage);
    filter.signal(Signal::SIGHUP);
    let mut listings = 0;
    until("a listing without it has ended", || {
        listings += lab.ironic.paths().iter().filter(|path| path.contains("/v1/ports?limit")).count();
        listings >= 3
    });
    lab.ironic.heal();
    // Which is what this one comes behind.
    filter.signal(Signal::SIGHUP);
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    lab.allows(0);
    lab.ironic.state().set_state(nodes[0], "available");
    lab.denies(0);
    lab.denies(1);
    assert_eq!(lab.files(), well);
    assert!(!filter.log().contains("no port of Ironic's"), "{}", filter.log());
    assert!(filter.stop().success());
}

#[test]
fn dnsmasq_is_started_once_after_everything_is_right_and_stopped_at_the_end() {
    let (mut lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    lab.ironic.down();
    let notes = lab.path().join("notes");
    let lines = format!(
        "{OFTEN}\n[dnsmasq_pxe_filter]\ndhcp_hostsdir = {hosts}\n\
         dnsmasq_start_command = echo start $$(cat {hosts}/{}) >>{notes}\n\
         dnsmasq_stop_command = echo stop $$(ls {hosts} | grep -c :) >>{notes}\n",
        mac(0),
        hosts = lab.hostsdir().display(),
        notes = notes.display()
    );
    let mut filter = lab.run(&lines);
    filter.says("until Ironic answers nobody may boot");
    assert!(!notes.exists());
    lab.ironic.up();
    let noted = || fs::read_to_string(&notes).unwrap_or_default();
    until("it is started", || noted() == format!("start {}\n", mac(0)));
    lab.ironic.state().set_state(nodes[1], "inspect wait");
    lab.allows(2);
    let began = Instant::now();
    assert!(filter.stop().success());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(noted(), format!("start {}\nstop 4\n", mac(0)));
    // Stopping dnsmasq is enough.
    lab.allows(2);
}

#[test]
fn a_start_command_that_fails_or_hangs_is_a_failure_and_the_stop_command_is_run() {
    let (lab, _) = Lab::new();
    let notes = lab.path().join("notes");
    for (command, said) in [("exit 7", "exit status: 7"), ("sleep 100", "took longer than 0.5 s")] {
        let lines = format!(
            "{OFTEN}\ncommand_timeout = 0.5\n[dnsmasq_pxe_filter]\ndhcp_hostsdir = {}\n\
             dnsmasq_start_command = {command}\ndnsmasq_stop_command = echo stop >>{}\n",
            lab.hostsdir().display(),
            notes.display()
        );
        let mut filter = lab.run(&lines);
        assert_eq!(filter.ends().code(), Some(1));
        filter.says(said);
        filter.says("dnsmasq_start_command");
    }
    assert_eq!(fs::read_to_string(notes).unwrap(), "stop\nstop\n");
}

#[test]
fn the_stop_command_needs_no_folder() {
    let (lab, _) = Lab::new();
    let notes = lab.path().join("notes");
    let lines = format!(
        "[dnsmasq_pxe_filter]\ndhcp_hostsdir = {}\ndnsmasq_stop_command = echo stop >>{}\n",
        lab.hostsdir().display(),
        notes.display()
    );
    fs::remove_dir(lab.hostsdir()).unwrap();
    for (number, arguments) in [(1, &[][..]), (2, &["--stop"])] {
        let output = lab.output(&lines, arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("there is none"), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(&notes).unwrap(), "stop\n".repeat(number), "{arguments:?}");
    }
}

#[test]
fn the_end_denies_everybody_also_while_ironic_does_not_answer() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let mut filter = lab.run(OFTEN);
    lab.allows(0);
    lab.ironic.fault("/", Fault::Stall);
    let requests = lab.ironic.requests();
    until("it waits for an answer", || lab.ironic.requests() > requests);
    let began = Instant::now();
    assert!(filter.stop().success());
    assert!(began.elapsed() < Duration::from_secs(5));
    lab.denies(0);
    assert_eq!(lab.unknown(), DENIES_UNKNOWN);
}

#[test]
fn after_a_kill_stop_denies_everybody_and_a_start_opens_only_who_is_inspected() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let mut filter = lab.run(OFTEN);
    lab.allows(0);
    filter.signal(Signal::SIGKILL);
    filter.ends();
    assert!(lab.output(OFTEN, &["--stop"]).status.success());
    lab.denies(0);
    assert_eq!(lab.unknown(), DENIES_UNKNOWN);
    let mut filter = lab.run(OFTEN);
    lab.allows(0);
    lab.denies(2);
    assert!(filter.stop().success());
}

/// Whenever it is killed: who was denied before and must be denied afterwards is never anything else.
#[test]
fn killed_at_any_time_it_never_opens_who_must_not_boot() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().populate(40, 1);
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    for round in 0..20_u64 {
        let (inspected, other) = if round % 2 == 0 { (nodes[0], nodes[1]) } else { (nodes[1], nodes[0]) };
        lab.ironic.state().set_state(inspected, "inspect wait");
        lab.ironic.state().set_state(other, "available");
        let mut filter = lab.run(OFTEN);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(round * 10) {
            for number in 4..44 {
                assert_eq!(lab.of(number), format!("{},ignore\n", mac(number)), "round {round}");
            }
        }
        filter.signal(Signal::SIGKILL);
        filter.ends();
        for number in 4..44 {
            assert_eq!(lab.of(number), format!("{},ignore\n", mac(number)), "after round {round}");
        }
    }
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    let expected = |number: u8| {
        if (2..4).contains(&number) { format!("{}\n", mac(number)) } else { format!("{},ignore\n", mac(number)) }
    };
    for number in 0..44 {
        assert_eq!(lab.of(number), expected(number));
    }
}

#[test]
fn a_rehearsal_says_what_would_change_and_why() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    fs::write(lab.hostsdir().join(mac(9)), format!("{}\n", mac(9))).unwrap();
    let output = lab.output(OFTEN, &["--dry-run"]);
    assert!(output.status.success());
    // It did not do what is logged else.
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(
        lines[0].starts_with(&format!("allow {}: port ", mac(0))) && lines[0].ends_with("which is under inspection")
    );
    assert!(
        lines[2].starts_with(&format!("deny {}: port ", mac(2))) && lines[2].ends_with("which is not under inspection")
    );
    assert_eq!(lines[4], "allow all MAC addresses that Ironic does not know");
    assert_eq!(lines[5], format!("deny {}: no port of Ironic's has it", mac(9)));
    assert_eq!(lab.files().len(), 1);
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    assert_eq!(stdout(&lab.output(OFTEN, &["--dry-run"])), "nothing would change\n");
}

#[test]
fn the_status_is_the_folders_and_the_filters_own() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let mut filter = lab.run(OFTEN);
    lab.allows(1);
    until("the filter says so", || stdout(&lab.output("", &["--status"])).contains("under inspection: node-"));
    let text = stdout(&lab.output("", &["--status"]));
    assert!(text.contains("2 allowed, 2 denied, all others: allow"), "{text}");
    assert!(text.contains(&format!("a filter runs as process {};", filter.process.id())), "{text}");
    let json: serde_json::Value = serde_json::from_str(&stdout(&lab.output("", &["--status", "--json"]))).unwrap();
    assert_eq!(json["folder"]["allowed"], serde_json::json!([mac(0), mac(1)]));
    assert_eq!(json["filter"]["inspected"][0]["uuid"], nodes[0].to_string());
    assert_eq!(json["filter"]["failure"], serde_json::Value::Null);
    assert!(filter.stop().success());
    let text = stdout(&lab.output("", &["--status"]));
    assert!(text.contains("0 allowed, 4 denied, all others: deny") && text.contains("no filter runs"), "{text}");
}

/// What Prometheus gets.
fn metrics(port: u16) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn prometheus_is_told_how_it_goes() {
    let (mut lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    // Nobody listens there by now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut filter = lab.run(&format!("{OFTEN}\nmetrics_listen = 127.0.0.1:{port}"));
    lab.allows(0);
    until("it is counted", || metrics(port).contains("pxe_filter_ports{access=\"allow\"} 2\n"));
    let text = metrics(port);
    for line in [
        "pxe_filter_ports{access=\"deny\"} 2\n",
        "pxe_filter_unknown_allowed 1\n",
        "pxe_filter_nodes_inspected 1\n",
        "pxe_filter_api_up 1\n",
        "pxe_filter_change_delay_seconds_count 1\n",
        "pxe_filter_files_written_total 5\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    lab.ironic.down();
    until("it is known", || metrics(port).contains("pxe_filter_api_up 0\n"));
    assert!(metrics(port).contains("pxe_filter_api_failures_total{kind=\"unreachable\"}"));
    assert!(filter.stop().success());
}

#[test]
fn the_service_manager_hears_when_the_folder_is_right_and_that_the_filter_lives() {
    let (mut lab, _) = Lab::new();
    let path = lab.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    lab.ironic.fault("/v1/ports", Fault::Stall);
    let mut command = lab.command(OFTEN, &[]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut filter = pxe::Filter::start(command);
    let hear = || {
        let mut text = [0; 4096];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    // While the first listing hangs it lives, and is not ready.
    let mut heard = Vec::new();
    while heard.iter().filter(|text: &&String| *text == "WATCHDOG=1").count() < 5 {
        heard.push(hear());
    }
    assert!(!heard.iter().any(|text| text == "READY=1"), "{heard:?}");
    lab.ironic.heal();
    lab.ironic.break_connections();
    while hear() != "READY=1" {}
    assert_eq!(lab.files().len(), 5);
    until("it counts", || hear().contains("4 ports, 0 nodes under inspection"));
    lab.ironic.down();
    until("it says what is wrong", || hear().contains("Connection refused"));
    filter.signal(Signal::SIGTERM);
    while hear() != "STOPPING=1" {}
    assert!(filter.ends().success());
}

#[test]
fn a_port_that_is_not_for_pxe_is_denied_if_that_is_asked_for() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspect wait");
    let uuid = Uuid::from_u128(77);
    let port = Port { uuid, address: mac(7), node: nodes[0], pxe_enabled: false, extra: None, raw: None };
    lab.ironic.state().put_port(port);
    assert!(lab.output(OFTEN, &["--once"]).status.success());
    lab.allows(7);
    assert!(lab.output("deny_pxe_disabled_ports = true", &["--once"]).status.success());
    lab.denies(7);
    lab.allows(0);
}

#[test]
fn with_ironics_rules_only_supported_inspection_opens_and_with_inspectors_any() {
    let (lab, nodes) = Lab::new();
    lab.ironic.state().set_state(nodes[0], "inspecting");
    lab.ironic.state().node(nodes[0]).inspect_interface = "redfish".to_owned();
    assert!(lab.output("semantics = ironic", &["--once"]).status.success());
    lab.denies(0);
    assert_eq!(lab.unknown(), DENIES_UNKNOWN);
    assert!(lab.output("semantics = inspector", &["--once"]).status.success());
    lab.allows(0);
}
