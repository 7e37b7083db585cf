//! Everything that can go wrong between a filter and Ironic: each is a failure that says what and what to do, never a panic,
//! never half a listing that passes for a whole one; and afterwards all is well again.
#![cfg(feature = "pxe-filter")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "common/ironic/mod.rs"]
mod simulator;

use instances::source::ironic::{Access, Failure, Kind, Ports};
use proptest::prelude::*;
use simulator::{Asking, AuthMode, Fault, Simulator, access, catalog, keystone};
use std::process::Command;
use std::time::{Duration, Instant};

/// An Ironic with ten ports on three pages, and one node under inspection.
fn ironic() -> Simulator {
    let ironic = Simulator::start();
    ironic.state().populate(5, 2);
    ironic.state().add_inspected();
    ironic.state().max_limit = 4;
    ironic
}

/// A client that waits for a moment only.
fn impatient(url: &str) -> Asking {
    Asking::new(&Access { timeout: Duration::from_millis(400), ..access(url) })
}

/// What the second page's fault makes of a listing, and that it is whole again without it.
#[track_caller]
fn on_the_second_page(fault: Fault) -> Failure {
    let ironic = ironic();
    let mut asking = Asking::at(&ironic.url());
    let first = asking.page(None).unwrap().next;
    ironic.fault("/v1/ports", fault);
    let failure = asking.page(first).expect_err("a failure");
    assert!(failure.text.starts_with(&format!("GET {}/v1/ports?limit=1000&fields=uuid,", ironic.url())), "{failure}");
    ironic.heal();
    assert_eq!(asking.ports().unwrap().ports.len(), 10);
    failure
}

#[track_caller]
fn is(failure: &Failure, kind: Kind, text: &str) {
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.text.contains(text), "{failure}\nhas no\n{text}");
    assert!(!failure.text.contains(|character: char| character.is_control()), "{failure:?}");
}

#[test]
fn an_ironic_that_is_down_is_unreachable_and_is_found_when_it_comes_up() {
    let mut ironic = ironic();
    ironic.down();
    let mut asking = Asking::at(&ironic.url());
    let failure = asking.ports().unwrap_err();
    is(
        &failure,
        Kind::Unreachable,
        "/v1: cannot connect: Connection refused; is it running, and is the address right?",
    );
    ironic.up();
    assert_eq!(asking.ports().unwrap().ports.len(), 10);
    // And once more, with a connection that was kept.
    ironic.down();
    is(&asking.nodes().unwrap_err(), Kind::Unreachable, "cannot connect");
    ironic.up();
    assert_eq!(asking.nodes().unwrap().len(), 1);
}

#[test]
fn a_name_that_nobody_knows_is_unreachable() {
    let failure = Asking::at("http://ironic.invalid:6385").ports().unwrap_err();
    is(&failure, Kind::Unreachable, "GET http://ironic.invalid:6385/v1: cannot connect: failed to lookup address");
}

#[test]
fn refusals_are_told_apart() {
    for (status, kind, text) in [
        (400, Kind::Nonsense, "400 Bad Request: simulated fault"),
        (401, Kind::Unauthorized, "401 Unauthorized: simulated fault; Ironic wants a token"),
        (403, Kind::Forbidden, "403 Forbidden: simulated fault; give the account a role that may list all ports"),
        (404, Kind::MarkerGone, "what the page before ended with was deleted meanwhile"),
        (405, Kind::Nonsense, "405 Method Not Allowed"),
        (406, Kind::Version, "406 Not Acceptable: simulated fault"),
        (418, Kind::Nonsense, "418"),
        (429, Kind::Server, "429 Too Many Requests"),
        (500, Kind::Server, "500 Internal Server Error: simulated fault; look at the log of Ironic's API"),
        (502, Kind::Server, "502 Bad Gateway"),
        (503, Kind::Server, "503 Service Unavailable"),
    ] {
        is(&on_the_second_page(Fault::Status(status)), kind, text);
    }
    let forbidden = ironic();
    forbidden.state().forbidden = true;
    let failure = Asking::at(&forbidden.url()).nodes().unwrap_err();
    is(&failure, Kind::Forbidden, "baremetal:port:list_all; give the account a role");
}

#[test]
fn a_page_for_people_is_not_taken_for_an_answer() {
    let failure = on_the_second_page(Fault::Html(200));
    is(
        &failure,
        Kind::Nonsense,
        "an HTML page (200 from the proxy) where JSON should be; look for a proxy or login page",
    );
    let failure = on_the_second_page(Fault::Html(503));
    is(&failure, Kind::Server, "503 Service Unavailable: 503 from the proxy (an HTML page, so it comes from a proxy");
    let failure = on_the_second_page(Fault::Redirect("https://u:s3cret@elsewhere/v1/ports".to_owned()));
    is(&failure, Kind::Nonsense, "301 Moved Permanently: https://elsewhere/v1/ports");
    is(&failure, Kind::Nonsense, "a redirection is not followed");
    let failure = on_the_second_page(Fault::Answer(200, "text/plain", b"<HTML>".to_vec()));
    is(&failure, Kind::Nonsense, "an HTML page where JSON should be");
}

#[test]
fn half_an_answer_is_none() {
    is(&on_the_second_page(Fault::HalfJson), Kind::Nonsense, "the JSON ends too early, after ");
    is(&on_the_second_page(Fault::CutOff), Kind::Unreachable, "the connection broke: ");
    is(&on_the_second_page(Fault::Close), Kind::Unreachable, "the connection broke: connection closed before message");
    is(&on_the_second_page(Fault::NoHttp), Kind::Unreachable, "the connection broke: ");
    is(&on_the_second_page(Fault::BadGzip), Kind::Nonsense, "the answer cannot be unpacked: ");
}

#[test]
fn a_connection_that_breaks_once_is_made_anew_at_once() {
    let ironic = ironic();
    let mut asking = Asking::at(&ironic.url());
    asking.ports().unwrap();
    ironic.fault_once("/v1/ports", Fault::Close);
    assert_eq!(asking.ports().unwrap().ports.len(), 10);
}

#[test]
fn answers_that_are_something_else_are_refused() {
    for body in [
        "null",
        "5",
        "[]",
        "{}",
        r#"{"ports": null}"#,
        r#"{"ports": {}}"#,
        r#"{"nodes": []}"#,
        r#"{"ports": []} x"#,
        r#"{"ports": [], "ports": []}"#,
        "{\"ports\": [\"\u{0}\"]}",
    ] {
        is(
            &on_the_second_page(Fault::Answer(200, "application/json", body.into())),
            Kind::Nonsense,
            "check the endpoint",
        );
    }
    is(&on_the_second_page(Fault::Answer(200, "application/json", Vec::new())), Kind::Nonsense, "after 0 bytes");
    let deep = "[".repeat(200_000);
    on_the_second_page(Fault::Answer(200, "application/json", deep.into()));
    for status in [100, 204, 206, 299, 304, 600] {
        if status != 100 {
            let failure = on_the_second_page(Fault::Answer(status, "application/json", br#"{"ports": []}"#.to_vec()));
            is(&failure, Kind::Nonsense, &status.to_string());
        }
    }
}

#[test]
fn no_answer_in_time_is_a_failure_however_it_does_not_come() {
    for fault in [Fault::Stall, Fault::Drip(Duration::from_millis(20)), Fault::Delay(Duration::from_secs(2))] {
        let ironic = ironic();
        let mut asking = impatient(&ironic.url());
        // A busy machine may need more than a moment for the first pages; then that is the failure.
        ironic.fault("/v1/ports", fault.clone());
        let start = Instant::now();
        let failure = asking.page(None).unwrap_err();
        is(&failure, Kind::Timeout, "within 400 ms; look at the server and the network between");
        assert!(start.elapsed() < Duration::from_secs(10), "{fault:?} took {:?}", start.elapsed());
    }
    let ironic = ironic();
    ironic.fault("/v1", Fault::Delay(Duration::from_millis(30)));
    assert_eq!(Asking::at(&ironic.url()).ports().unwrap().ports.len(), 10);
}

#[test]
fn an_answer_without_end_is_given_up_however_small_it_is_on_the_way() {
    for fault in [Fault::Huge(200 << 20), Fault::Bomb(32 << 20)] {
        let failure = on_the_second_page(fault);
        is(&failure, Kind::Nonsense, "the answer is longer than 16 MiB; let a page have fewer entries");
    }
}

#[test]
fn a_page_twice_is_noticed_and_a_page_missing_is_at_worst_unknown() {
    let failure = on_the_second_page(Fault::IgnoreMarker);
    is(&failure, Kind::Nonsense, "the listing goes in circles");
    // Nothing in the API tells that a page is missing: what is not listed counts as not there, and is not allowed.
    let ironic = ironic();
    let mut asking = Asking::at(&ironic.url());
    let first = asking.page(None).unwrap();
    ironic.fault_once("/v1/ports", Fault::SkipPage);
    let behind = asking.page(first.next).unwrap();
    assert_eq!((first.ports.ports.len(), behind.ports.ports.len()), (4, 2));
    assert_eq!(asking.page(behind.next).unwrap().next, None);
    assert_eq!(asking.ports().unwrap().ports.len(), 10);
}

#[test]
fn a_server_may_say_what_it_likes_and_a_person_reads_one_line() {
    let long = "x".repeat(5000);
    for (body, expected) in [
        ("\u{1b}[31mred\u{7}\r\nalert", r"500 Internal Server Error: \u{1b}[31mred\u{7} alert; look"),
        (long.as_str(), "xxxxx...; look"),
        (r#"{"error_message": {"faultstring": "an object"}}"#, ": an object; look"),
        (r#"{"error_message": "{\"description\": \"<b>bold</b>\\u0000\"}"}"#, r": bold \0; look"),
        (r#"{"error": {"title": "only a title"}}"#, ": only a title; look"),
        (r#"{"error_message": ""}"#, "500 Internal Server Error; look"),
        (r#"{"error_message": 5}"#, "500 Internal Server Error; look"),
        ("", "500 Internal Server Error; look"),
        ("\u{202e}drow", r"\u{202e}drow; look"),
    ] {
        let failure = on_the_second_page(Fault::Answer(500, "application/json", body.into()));
        is(&failure, Kind::Server, expected);
        assert!(failure.text.len() < 900, "{failure}");
    }
    let nested = (0..12).fold("deep".to_owned(), |text, _| serde_json::json!({ "message": text }).to_string());
    on_the_second_page(Fault::Answer(500, "application/json", nested.into()));
}

#[test]
fn tokens_that_make_no_sense_are_refused() {
    let ironic = ironic();
    ironic.state().auth = AuthMode::Keystone;
    ironic.state().accounts.push(("ironic".to_owned(), "s3cret".to_owned()));
    let access = Access { endpoint: catalog(None), auth: keystone(&ironic.auth_url()), ..access("") };
    let token = ("X-Subject-Token".to_owned(), "t".to_owned());
    for (headers, body, text) in [
        (vec![], "{}", "without X-Subject-Token; check that auth_url is Keystone's"),
        (vec![token.clone()], "{}", "not a token's description: missing field `token`"),
        (vec![token.clone()], "hello", "not a token's description"),
        (vec![token.clone()], r#"{"token": {"catalog": 5}}"#, "not a token's description"),
    ] {
        ironic.heal();
        ironic.fault("/identity", Fault::AnswerWith(201, headers, body.into()));
        is(&Asking::new(&access).ports().unwrap_err(), Kind::Nonsense, text);
    }
    ironic.heal();
    ironic.fault("/identity", Fault::AnswerWith(201, vec![token], br#"{"token": {}}"#.to_vec()));
    is(&Asking::new(&access).ports().unwrap_err(), Kind::NotFound, "it has no services; set valid_interfaces");
}

#[test]
fn a_million_ports_are_listed() {
    let ironic = Simulator::start();
    ironic.state().populate(1000, 1000);
    ironic.state().max_limit = 10_000;
    ironic.state().gzip = false;
    let mut asking =
        Asking::new(&Access { page_size: 10_000, timeout: Duration::from_secs(60), ..access(&ironic.url()) });
    let (mut marker, mut count, mut pages) = (None, 0, 0);
    loop {
        let page = asking.page(marker).unwrap();
        count += page.ports.ports.len();
        pages += 1;
        marker = page.next;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!((count, pages), (1_000_000, 101));
}

#[test]
fn proxies_of_the_environment_are_followed_only_if_asked_for() {
    let (ironic, proxy) = (ironic(), Simulator::start());
    for (wanted, through_proxy) in [("", false), ("yes", true)] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "with_a_proxy_in_the_environment", "--ignored"])
            .env_remove("no_proxy")
            .env_remove("NO_PROXY");
        child.env("http_proxy", proxy.url()).env("FOLLOW", wanted).env("IRONIC", ironic.url());
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!((ironic.requests() > 0, proxy.requests() > 0), (true, through_proxy));
    }
}

#[test]
#[ignore = "run by the test before, in an environment of its own"]
fn with_a_proxy_in_the_environment() {
    let (url, follow) = (std::env::var("IRONIC").unwrap(), std::env::var("FOLLOW").unwrap());
    let _ = Asking::new(&Access { environment_proxies: !follow.is_empty(), ..access(&url) }).ports();
}

/// Almost JSON as Ironic has it, so that more than the first character is looked at.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just("00000000-0000-0000-0000-000000000001".to_owned()),
        Just("52:54:00:00:00:01".to_owned()),
        Just("52-54-00-00-00-01".to_owned()),
        Just("ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:24:4f".to_owned()),
        Just("2026-11-20T07:49:46+00:00".to_owned()),
        Just("1.115".to_owned()),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        text.prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    let key = prop::sample::select(vec![
        "uuid",
        "address",
        "node_uuid",
        "extra",
        "client-id",
        "pxe_enabled",
        "name",
        "inspect_interface",
        "provision_state",
        "provision_updated_at",
        "next",
        "ports",
        "nodes",
        "error_message",
        "error",
        "version",
        "min_version",
        "token",
        "catalog",
        "endpoints",
        "expires_at",
    ]);
    let value = leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    });
    let listing =
        |kind: &'static str, items: Vec<serde_json::Value>| serde_json::json!({ kind: items }).to_string().into_bytes();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        value.clone().prop_map(|value| value.to_string().into_bytes()),
        prop::collection::vec(value.clone(), 0..4).prop_map(move |items| listing("ports", items)),
        prop::collection::vec(value.clone(), 0..4).prop_map(move |items| listing("nodes", items)),
        value.prop_map(|value| serde_json::json!({ "token": value }).to_string().into_bytes()),
    ]
}

#[test]
fn no_answer_is_a_panic() {
    let ironic = ironic();
    ironic.state().auth = AuthMode::Keystone;
    ironic.state().accounts.push(("ironic".to_owned(), "s3cret".to_owned()));
    let statuses = prop::sample::select(vec![200_u16, 200, 200, 201, 301, 400, 401, 403, 404, 406, 500, 503]);
    let paths = prop::sample::select(vec!["/v1/ports", "/v1/nodes", "/v1", "/identity", "/"]);
    let with_token = (statuses, paths, almost(), any::<bool>());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let access = Access { auth: keystone(&ironic.auth_url()), ..access(&ironic.url()) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&with_token, |(status, path, body, token)| {
        ironic.heal();
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        headers.extend(token.then(|| ("X-Subject-Token".to_owned(), "t".to_owned())));
        // Once each, or it would be a listing without end that only its bound ends.
        for _ in 0..4 {
            ironic.fault_once(path, Fault::AnswerWith(status, headers.clone(), body.clone()));
        }
        let mut asking = Asking::new(&access);
        let node = uuid::Uuid::from_u128(1);
        let answers: [Result<Ports, Failure>; 3] =
            [asking.page(None).map(|page| page.ports), asking.ports_of(node), asking.nodes().map(|_| Ports::default())];
        for failure in answers.into_iter().filter_map(Result::err) {
            prop_assert!(!failure.text.contains(|character: char| character.is_control()), "{failure:?}");
            prop_assert!(!failure.text.contains("s3cret") && failure.text.len() < 2000, "{failure:?}");
        }
        Ok(())
    });
    outcome.unwrap();
}
