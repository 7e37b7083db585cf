//! Everything that can go wrong on the way: each is a failure that says what and what to do, never a panic, never half an answer
//! that passes for a whole one; and afterwards all is well again.

use super::simulator::{Asking, Fault, SECRET, Simulator, access};
use super::{is, lxc, qemu};
use instances::source::proxmox::{Access, Failure, Kind, Token, Told};
use std::time::{Duration, Instant};

/// What a fault makes of the list, and that it is whole again without it.
#[track_caller]
fn list(fault: Fault) -> Failure {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    simulator.fault("/cluster/resources", fault);
    let failure = asking.resources().expect_err("a failure");
    assert!(failure.text.starts_with(&format!("GET {}/api2/json/cluster/resources: ", simulator.url())), "{failure}");
    simulator.heal();
    assert_eq!(asking.resources().unwrap().value.guests.len(), simulator.cluster().guests.len());
    failure
}

/// The same of a guest's configuration.
#[track_caller]
fn config(fault: Fault) -> Failure {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    simulator.fault("/nodes/pve1/lxc/100/", fault);
    let failure = asking.config(&lxc("pve1", 100)).expect_err("a failure");
    let what = format!("GET {}/api2/json/nodes/pve1/lxc/100/config: ", simulator.url());
    assert!(failure.text.starts_with(&what), "{failure}");
    simulator.heal();
    asking.config(&lxc("pve1", 100)).unwrap();
    failure
}

#[test]
fn a_wrong_token_is_told_with_proxmoxs_words_and_is_not_tried_twice() {
    let simulator = Simulator::start();
    let token = Token { id: "companion@pve!dns".to_owned(), secret: "wr0ng-secret".to_owned() };
    let asking = Asking::new(&Access { token, ..access(&simulator) });
    let start = Instant::now();
    let failure = asking.resources().unwrap_err();
    is(&failure, Kind::Unauthorized, "401 Authentication failed!; check the token's id (user@realm!name) and secret");
    assert!(!failure.text.contains("wr0ng") && start.elapsed() >= Duration::from_secs(3), "{failure}");
    assert_eq!(simulator.paths().len(), 1);
    is(&config(Fault::No(401, "token 'companion@pve!dns' access expired")), Kind::Unauthorized, "access expired");
}

#[test]
fn the_privilege_that_is_missing_is_named() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    let agent = "/nodes/pve1/qemu/110/agent";
    let reason = "Permission check failed (/vms/110, VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted)";
    simulator.fault_once(agent, Fault::No(403, reason));
    let failure = asking.interfaces(&qemu("pve1", 110)).unwrap_err();
    is(&failure, Kind::Forbidden, "the token lacks VM.GuestAgent.Audit or VM.GuestAgent.Unrestricted on /vms/110");
    // Proxmox VE 8, whose older versions say so in the reason phrase only.
    let reason = "Permission check failed (/vms/110, VM.Monitor)";
    simulator.fault_once(agent, Fault::Answer(403, reason, br#"{"data":null}"#.to_vec()));
    let failure = asking.interfaces(&qemu("pve1", 110)).unwrap_err();
    is(&failure, Kind::Forbidden, "lacks VM.Monitor on /vms/110 (Proxmox VE 8: PVEAuditor lacks it");
    simulator.cluster().sees_guests = false;
    let failure = asking.config(&lxc("pve1", 100)).unwrap_err();
    is(&failure, Kind::Forbidden, "the token lacks VM.Audit on /vms/100 (the role PVEAuditor has it)");
    // The list says nothing of it: it is empty, and that is no failure here.
    assert_eq!(asking.resources().unwrap().value.guests.len(), 0);
    is(&config(Fault::No(403, "Permission check failed")), Kind::Forbidden, "the role PVEAuditor on /");
}

#[test]
fn a_guest_that_moved_is_told_from_a_server_that_fails() {
    let moved = "Configuration file 'nodes/pve1/lxc/100.conf' does not exist";
    is(&config(Fault::No(500, moved)), Kind::Moved, &format!("500 {moved}"));
    is(&config(Fault::No(500, "unable to read tail")), Kind::Server, "500 unable to read tail; look at the system log");
    is(&config(Fault::Answer(500, "Internal Server Error", vec![])), Kind::Server, "500 Internal Server Error");
    let only_in_the_body = br#"{"data":null,"message":"Configuration file 'x' does not exist\n"}"#.to_vec();
    is(&config(Fault::Answer(500, "Internal Server Error", only_in_the_body)), Kind::Moved, "'x' does not exist");
}

#[test]
fn a_dead_node_is_told_in_each_of_its_ways() {
    for (status, reason) in
        [(595, "No route to host"), (595, "Connection timed out"), (596, "Broken pipe"), (599, "Too many redirections")]
    {
        is(&config(Fault::No(status, reason)), Kind::NodeDown, &format!("{status} {reason}; the node that was asked"));
    }
    let simulator = Simulator::start();
    let failure = Asking::of(&simulator).config(&lxc("pve9", 100)).unwrap_err();
    is(&failure, Kind::NodeDown, "500 hostname lookup 'pve9' failed");
}

#[test]
fn an_agent_that_is_not_there_is_no_trouble_of_the_servers() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    let failure = asking.interfaces(&qemu("pve1", 115)).unwrap_err();
    is(&failure, Kind::NoAgent, "500 QEMU guest agent is not running");
    is(&asking.interfaces(&qemu("pve2", 116)).unwrap_err(), Kind::NoAgent, "500 VM 116 is not running");
    is(&asking.interfaces(&qemu("pve1", 117)).unwrap_err(), Kind::NoAgent, "500 No QEMU guest agent configured");
    let disabled = std::fs::read("tests/proxmox/samples/errors/agent_disabled_command.json").unwrap();
    simulator.fault("/nodes/pve1/qemu/110/agent", Fault::Answer(200, "OK", disabled));
    let told = asking.interfaces(&qemu("pve1", 110)).unwrap();
    assert_eq!(told, Told::Not("Command guest-network-get-interfaces has been disabled".to_owned()));
}

#[test]
fn other_refusals_are_told_apart() {
    let body = std::fs::read("tests/proxmox/samples/errors/400_param.json").unwrap();
    let failure = list(Fault::Answer(400, "Parameter verification failed.", body));
    is(&failure, Kind::Nonsense, "400 Parameter verification failed. type: value 'foo' does not have a value");
    is(
        &config(Fault::No(501, "no such uri")),
        Kind::NotFound,
        "501 no such uri; this version of Proxmox does not have it",
    );
    is(&list(Fault::No(404, "Not Found")), Kind::NotFound, "404 Not Found");
    is(&list(Fault::No(429, "Too Many Requests")), Kind::Server, "429");
    is(&list(Fault::No(418, "I'm a teapot")), Kind::Nonsense, "418 I'm a teapot");
    is(&list(Fault::Html(503)), Kind::Server, "503 Service Unavailable (an HTML page, so it comes from a proxy");
    let failure = list(Fault::Redirect("https://elsewhere/"));
    is(&failure, Kind::Nonsense, "a redirection is not followed, as the token goes along");
}

#[test]
fn half_an_answer_is_none() {
    is(&list(Fault::HalfJson), Kind::Nonsense, "the JSON ends too early, after ");
    is(&list(Fault::CutOff), Kind::Unreachable, "the connection broke: ");
    is(&list(Fault::Close), Kind::Unreachable, "the connection broke: ");
    is(&list(Fault::NoHttp), Kind::Unreachable, "the connection broke: ");
    is(&list(Fault::Html(200)), Kind::Nonsense, "an HTML page where JSON should be");
    is(&config(Fault::HalfJson), Kind::Nonsense, "the JSON ends too early, after ");
    is(&config(Fault::CutOff), Kind::Unreachable, "the connection broke: ");
}

#[test]
fn answers_that_are_something_else_are_refused() {
    for body in ["null", "5", "[]", "{}", r#"{"data": null}"#, r#"{"data": {}}"#, r#"{"data": []} x"#, "\u{0}"] {
        is(&list(Fault::Answer(200, "OK", body.into())), Kind::Nonsense, "GET");
    }
    for body in ["null", "{}", r#"{"data": []}"#, r#"{"data": null}"#, r#"{"data": 5}"#] {
        is(&config(Fault::Answer(200, "OK", body.into())), Kind::Nonsense, "not what Proxmox's API says");
    }
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_for_ever() {
    let simulator = Simulator::start();
    let asking = Asking::new(&Access { timeout: Duration::from_millis(1500), ..access(&simulator) });
    asking.resources().unwrap();
    simulator.fault("/", Fault::Stall);
    let start = Instant::now();
    is(&asking.resources().unwrap_err(), Kind::Timeout, "no complete answer within 1500 ms");
    assert!(start.elapsed() < Duration::from_secs(15));
    simulator.heal();
    asking.resources().unwrap();
}

#[test]
fn an_answer_of_200_mb_is_not_taken_in() {
    let huge = 200 << 20;
    is(&list(Fault::Huge(huge)), Kind::Nonsense, "the answer is longer than 64 MiB; is this Proxmox?");
    is(&list(Fault::Endless(huge)), Kind::Nonsense, "the answer is longer than 64 MiB");
    is(&config(Fault::Huge(huge)), Kind::Nonsense, "the answer is longer than 4 MiB");
    is(&config(Fault::Endless(huge)), Kind::Nonsense, "the answer is longer than 4 MiB");
    is(&config(Fault::Bomb(huge)), Kind::Nonsense, "the answer is longer than 4 MiB");
}

#[test]
fn an_answer_may_be_packed_but_not_only_say_so() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    simulator.fault_once("/cluster/resources", Fault::Packed);
    assert_eq!(asking.resources().unwrap().value.guests.len(), simulator.cluster().guests.len());
    assert_eq!(simulator.seen()[0].header("accept-encoding"), Some("gzip"));
    is(&list(Fault::BadPacking), Kind::Nonsense, "the answer cannot be unpacked: ");
}

#[test]
fn a_host_that_takes_connections_and_says_nothing_is_left_for_the_next() {
    let simulator = Simulator::start();
    // The kernel takes them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = instances::source::proxmox::host(&silent.local_addr().unwrap().to_string()).unwrap();
    let access = Access { hosts: vec![host], connect_timeout: Duration::from_millis(1500), ..access(&simulator) };
    is(&Asking::new(&access).resources().unwrap_err(), Kind::Timeout, "no connection within 1500 ms");
    let hosts = [access.hosts.clone(), super::simulator::access(&simulator).hosts].concat();
    Asking::new(&Access { hosts, ..access }).resources().unwrap();
}

#[test]
fn a_server_that_sends_the_token_back_does_not_make_us_show_it() {
    for before in (0..400).step_by(7) {
        let simulator = Simulator::start();
        let asking = Asking::of(&simulator);
        simulator.fault("/", Fault::Echo(before));
        let failure = asking.resources().unwrap_err();
        let has = |length: usize| failure.text.contains(&SECRET[..length]);
        assert!(failure.text.contains("500 ") && !has(4), "{before}: {failure}");
        if before > 35 {
            // Enough of where it is cut was tried.
            continue;
        }
        assert!(failure.text.contains("***"), "{failure}");
    }
}

#[test]
fn nor_does_one_that_has_it_where_nothing_makes_sense() {
    let simulator = Simulator::start();
    let asking = Asking::of(&simulator);
    let rows = format!(r#"{{"data": [{{"type": "qemu", "id": "{SECRET}"}}, "{SECRET}"]}}"#);
    simulator.fault_once("/cluster/resources", Fault::Answer(200, "OK", rows.into_bytes()));
    let nics =
        format!(r#"{{"data": {{"net0": "{SECRET}", "net1": "name=eth0,hwaddr=BC:24:11:00:00:01,tag={SECRET}"}}}}"#);
    simulator.fault_once("/nodes/pve1/lxc/100/config", Fault::Answer(200, "OK", nics.into_bytes()));
    let refused = [asking.resources().unwrap().refused, asking.config(&lxc("pve1", 100)).unwrap().refused].concat();
    assert!(refused.len() == 4 && refused.iter().all(|row| !row.to_string().contains(SECRET)), "{refused:?}");
    assert!(refused.iter().all(|row| row.to_string().contains("***")), "{refused:?}");
}

#[test]
fn a_reason_phrase_is_shown_as_one_line_without_control_characters() {
    let failure = list(Fault::No(500, "red\tblue  \u{202e}x"));
    is(&failure, Kind::Server, "red blue");
    assert!(!failure.text.contains('\u{202e}'), "{failure:?}");
}
